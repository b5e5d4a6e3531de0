//! A database of nothing but the application's rows, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use parking_lot::Mutex;

use super::model::{
    Accounts, AccountsMut, Credential, From, Index, LoginSession, Password, PasswordToken, Record,
    Row, SocialState, Store, User, user_type,
};
use super::spaces::SpaceDef;

/// The rows as tuples by the keys of their spaces, so that every test goes through their encoding.
#[derive(Clone, Default)]
pub(super) struct Rows(BTreeMap<&'static str, Vec<Record>>);

/// Rows behind a lock.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Rows>>);

impl Memory {
    /// Changes rows outside any procedure.
    pub(super) fn change(&self, work: impl FnOnce(&mut Rows)) {
        work(&mut self.0.lock());
    }

    /// How many users, credentials and sessions there are.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let rows = self.0.lock();
        let count = |index| rows.all(index).len();
        (count(Index::User), count(Index::Credential), count(Index::Session))
    }
}

impl Rows {
    /// Removes every session.
    pub(super) fn forget_sessions(&mut self) {
        self.all_mut(Index::Session).clear();
    }

    /// Removes every credential.
    pub(super) fn forget_credentials(&mut self) {
        self.all_mut(Index::Credential).clear();
    }

    /// Removes every user.
    pub(super) fn forget_users(&mut self) {
        self.all_mut(Index::User).clear();
    }

    /// Changes the only user.
    pub(super) fn change_user(&mut self, work: impl FnOnce(&mut User)) {
        let all = self.all(Index::User);
        assert_eq!(all.len(), 1);
        let mut user = User::read(all[0].data()).unwrap();
        work(&mut user);
        self.put_user(&user).unwrap();
    }

    /// Changes the only credential.
    pub(super) fn change_credential(&mut self, work: impl FnOnce(&mut Credential)) {
        let all = self.all(Index::Credential);
        assert_eq!(all.len(), 1);
        let mut credential = Credential::read(all[0].data()).unwrap();
        work(&mut credential);
        self.put_credential(&credential).unwrap();
    }

    fn all(&self, index: Index) -> &[Record] {
        self.0.get(index.names().0).map_or(&[], Vec::as_slice)
    }

    fn all_mut(&mut self, index: Index) -> &mut Vec<Record> {
        self.0.entry(index.names().0).or_default()
    }

    /// The first row that is it, of an index's space.
    fn find<R: Row>(&self, index: Index, is_it: impl Fn(&R) -> bool) -> Result<Option<R>> {
        let rows = self.all(index).iter();
        let mut rows = rows.map(|record| R::read(record.data()).expect("a row that was put"));
        Ok(rows.find(|row| is_it(row)))
    }

    fn put(&mut self, index: Index, row: &impl Row) -> Result<()> {
        let mut tuple = Vec::new();
        row.write(&mut tuple);
        self.put_record(index, &Record::new(&tuple))
    }
}

/// The fields of an index.
fn parts(index: Index) -> impl Iterator<Item = usize> {
    let (space, name) = index.names();
    let indexes = SpaceDef::find(space).expect("a space").indexes;
    let def = indexes.iter().find(|def| def.name == name).expect("an index");
    def.parts.iter().map(|(field, _)| *field as usize)
}

/// Whether a record has a key, or the first parts of one.
fn has_key(record: &Record, index: Index, key: &[&str]) -> bool {
    parts(index).zip(key).all(|(part, wanted)| record.text(part) == *wanted)
}

/// The whole key of a record.
fn key_of(record: &Record, index: Index) -> Vec<&str> {
    parts(index).map(|part| record.text(part)).collect()
}

impl Accounts for Rows {
    fn user(&self, id: &str) -> Result<Option<User>> {
        self.find(Index::User, |row: &User| row.id == id)
    }

    fn common_user(&self, email: &str) -> Result<Option<User>> {
        let is_it = |row: &User| row.email == email && row.user_type == user_type::COMMON;
        self.find(Index::User, is_it)
    }

    fn password(&self, user_id: &str) -> Result<Option<Password>> {
        self.find(Index::Password, |row: &Password| row.user_id == user_id)
    }

    fn password_token(&self, user_id: &str) -> Result<Option<PasswordToken>> {
        self.find(Index::PasswordToken, |row: &PasswordToken| row.user_id == user_id)
    }

    fn credential(&self, id: &str) -> Result<Option<Credential>> {
        self.find(Index::Credential, |row: &Credential| row.id == id)
    }

    fn credential_by_social_id(
        &self,
        social_id: &str,
        provider: &str,
    ) -> Result<Option<Credential>> {
        let is_it = |row: &Credential| row.social_id == social_id && row.provider == provider;
        self.find(Index::Credential, is_it)
    }

    fn first_credential(&self, user_id: &str) -> Result<Option<Credential>> {
        let first = self.record(Index::CredentialByUser, &[user_id])?;
        Ok(first.and_then(|record| Credential::read(record.data())))
    }

    fn session(&self, sid: &str) -> Result<Option<LoginSession>> {
        self.find(Index::Session, |row: &LoginSession| row.sid == sid)
    }

    fn records(&self, index: Index, key: &[&str]) -> Result<Vec<Record>> {
        let all = self.all(index).iter().filter(|record| has_key(record, index, key));
        let mut found: Vec<Record> = all.cloned().collect();
        found.sort_by(|a, b| key_of(a, index).cmp(&key_of(b, index)));
        Ok(found)
    }

    fn page(&self, index: Index, from: From<'_>, limit: usize) -> Result<Vec<Record>> {
        let all = self.records(index, &[])?;
        let skipped = match from {
            From::Offset(count) => count,
            From::After(last) => {
                all.partition_point(|other| key_of(other, index) <= key_of(last, index))
            }
        };
        Ok(all.into_iter().skip(skipped).take(limit).collect())
    }

    fn count(&self, index: Index) -> Result<usize> {
        Ok(self.all(index).len())
    }

    fn count_under(&self, index: Index, key: &[&str]) -> Result<usize> {
        Ok(self.records(index, key)?.len())
    }
}

impl AccountsMut for Rows {
    fn insert_user(&mut self, user: &User) -> Result<()> {
        match self.user(&user.id)? {
            Some(_) => Err(err!(TUPLE_FOUND, "primary", "auth_user", "", "")),
            None => self.put_user(user),
        }
    }

    fn delete_user(&mut self, user_id: &str) -> Result<()> {
        for index in [
            Index::User,
            Index::PasswordByUser,
            Index::CredentialByUser,
            Index::PasswordToken,
            Index::SessionByUser,
        ] {
            self.delete_records(index, &[user_id])?;
        }
        Ok(())
    }

    fn put_password(&mut self, password: &Password) -> Result<()> {
        self.put(Index::Password, password)
    }

    fn put_password_token(&mut self, token: &PasswordToken) -> Result<()> {
        self.put(Index::PasswordToken, token)
    }

    fn delete_password_token(&mut self, user_id: &str) -> Result<()> {
        self.delete_records(Index::PasswordToken, &[user_id]).map(drop)
    }

    fn put_user(&mut self, user: &User) -> Result<()> {
        self.put(Index::User, user)
    }

    fn put_credential(&mut self, credential: &Credential) -> Result<()> {
        self.put(Index::Credential, credential)
    }

    fn put_social_state(&mut self, state: &SocialState, now: u64, max: u64) -> Result<()> {
        let states = self.all_mut(Index::SocialState);
        states.retain(|old| SocialState::read(old.data()).is_some_and(|old| old.expires_at > now));
        self.put(Index::SocialState, state)?;
        let states = self.all_mut(Index::SocialState);
        let surplus = states.len().saturating_sub(usize::try_from(max).unwrap_or(usize::MAX));
        states.drain(..surplus);
        Ok(())
    }

    fn take_social_state(&mut self, key: &str) -> Result<Option<SocialState>> {
        let taken = self.delete_records(Index::SocialState, &[key])?;
        Ok(taken.first().and_then(|record| SocialState::read(record.data())))
    }

    fn put_session(&mut self, session: &LoginSession) -> Result<()> {
        self.put(Index::Session, session)
    }

    fn delete_session(&mut self, sid: &str) -> Result<()> {
        self.delete_records(Index::Session, &[sid]).map(drop)
    }

    fn delete_sessions(&mut self, user_id: &str) -> Result<()> {
        self.delete_records(Index::SessionByUser, &[user_id]).map(drop)
    }

    fn insert_record(&mut self, index: Index, record: &Record) -> Result<()> {
        match self.record(index, &key_of(record, index))? {
            Some(_) => Err(err!(TUPLE_FOUND, "primary", index.names().0, "", "")),
            None => self.put_record(index, record),
        }
    }

    fn put_record(&mut self, index: Index, record: &Record) -> Result<()> {
        self.delete_records(index, &key_of(record, index))?;
        self.all_mut(index).push(record.clone());
        Ok(())
    }

    fn delete_records(&mut self, index: Index, key: &[&str]) -> Result<Vec<Record>> {
        let removed = self.records(index, key)?;
        self.all_mut(index).retain(|record| !has_key(record, index, key));
        Ok(removed)
    }
}

impl Store for Memory {
    async fn read<T: Send>(
        &self,
        work: impl FnOnce(&dyn Accounts) -> Result<T> + Send,
    ) -> Result<T> {
        work(&*self.0.lock())
    }

    async fn write<T: Send>(
        &self,
        work: impl FnOnce(&mut dyn AccountsMut) -> Result<T> + Send,
    ) -> Result<T> {
        let mut rows = self.0.lock();
        let before = rows.clone();
        let result = work(&mut *rows);
        if result.is_err() {
            *rows = before;
        }
        result
    }

    fn is_inside(&self) -> bool {
        false
    }

    fn outside(&self) -> Self {
        self.clone()
    }
}
