//! A database of nothing but the application's rows, for tests.

use std::collections::BTreeMap;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use parking_lot::Mutex;

use super::model::{
    Accounts, AccountsMut, Credential, From, Index, LoginSession, Password, Record, RestoreToken,
    Row, Store, User, user_type,
};
use super::spaces::SpaceDef;

/// The rows as tuples, so that every test goes through their encoding.
#[derive(Clone, Default)]
pub(super) struct Rows {
    users: Vec<Vec<u8>>,
    credentials: Vec<Vec<u8>>,
    sessions: Vec<Vec<u8>>,
    passwords: Vec<Vec<u8>>,
    restore_tokens: Vec<Vec<u8>>,
    /// Records by the keys of their spaces.
    records: BTreeMap<&'static str, Vec<Record>>,
}

/// Rows behind a lock.
#[derive(Default)]
pub(super) struct Memory(Mutex<Rows>);

impl Memory {
    /// Changes rows outside any procedure.
    pub(super) fn change(&self, work: impl FnOnce(&mut Rows)) {
        work(&mut self.0.lock());
    }

    /// How many users, credentials and sessions there are.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let rows = self.0.lock();
        (rows.users.len(), rows.credentials.len(), rows.sessions.len())
    }
}

impl Rows {
    /// Removes every session.
    pub(super) fn forget_sessions(&mut self) {
        self.sessions.clear();
    }

    /// Removes every credential.
    pub(super) fn forget_credentials(&mut self) {
        self.credentials.clear();
    }

    /// Removes every user.
    pub(super) fn forget_users(&mut self) {
        self.users.clear();
    }

    /// Changes the only user.
    pub(super) fn change_user(&mut self, work: impl FnOnce(&mut User)) {
        assert_eq!(self.users.len(), 1);
        let mut user = User::read(&self.users[0]).unwrap();
        work(&mut user);
        self.put_user(&user).unwrap();
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

impl Rows {
    fn all(&self, index: Index) -> &[Record] {
        self.records.get(index.names().0).map_or(&[], Vec::as_slice)
    }
}

fn find<R: Row>(rows: &[Vec<u8>], is_it: impl Fn(&R) -> bool) -> Option<R> {
    rows.iter().map(|tuple| R::read(tuple).expect("a row that was put")).find(|row| is_it(row))
}

fn put<R: Row>(rows: &mut Vec<Vec<u8>>, row: &R, is_it: impl Fn(&R) -> bool) {
    delete(rows, is_it);
    let mut tuple = Vec::new();
    row.write(&mut tuple);
    rows.push(tuple);
}

fn delete<R: Row>(rows: &mut Vec<Vec<u8>>, is_it: impl Fn(&R) -> bool) {
    rows.retain(|tuple| !R::read(tuple).is_some_and(|row| is_it(&row)));
}

impl Accounts for Rows {
    fn user(&self, id: &str) -> Result<Option<User>> {
        Ok(find(&self.users, |row: &User| row.id == id))
    }

    fn common_user(&self, email: &str) -> Result<Option<User>> {
        let is_it = |row: &User| row.email == email && row.user_type == user_type::COMMON;
        Ok(find(&self.users, is_it))
    }

    fn password(&self, user_id: &str) -> Result<Option<Password>> {
        Ok(find(&self.passwords, |row: &Password| row.user_id == user_id))
    }

    fn restore_token(&self, user_id: &str) -> Result<Option<RestoreToken>> {
        Ok(find(&self.restore_tokens, |row: &RestoreToken| row.user_id == user_id))
    }

    fn credential(&self, id: &str) -> Result<Option<Credential>> {
        Ok(find(&self.credentials, |row: &Credential| row.id == id))
    }

    fn credential_by_social_id(
        &self,
        social_id: &str,
        provider: &str,
    ) -> Result<Option<Credential>> {
        let is_it = |row: &Credential| row.social_id == social_id && row.provider == provider;
        Ok(find(&self.credentials, is_it))
    }

    fn first_credential(&self, user_id: &str) -> Result<Option<Credential>> {
        let all = self.credentials.iter().filter_map(|tuple| Credential::read(tuple));
        Ok(all.filter(|row| row.user_id == user_id).min_by_key(|row| row.provider.clone()))
    }

    fn session(&self, sid: &str) -> Result<Option<LoginSession>> {
        Ok(find(&self.sessions, |row: &LoginSession| row.sid == sid))
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
}

impl AccountsMut for Rows {
    fn insert_user(&mut self, user: &User) -> Result<()> {
        match self.user(&user.id)? {
            Some(_) => Err(err!(TUPLE_FOUND, "primary", "auth_user", "", "")),
            None => self.put_user(user),
        }
    }

    fn delete_user(&mut self, user_id: &str) -> Result<()> {
        delete(&mut self.users, |row: &User| row.id == user_id);
        delete(&mut self.passwords, |row: &Password| row.user_id == user_id);
        delete(&mut self.credentials, |row: &Credential| row.user_id == user_id);
        self.delete_restore_token(user_id)?;
        self.delete_sessions(user_id)
    }

    fn put_password(&mut self, password: &Password) -> Result<()> {
        put(&mut self.passwords, password, |old| old.id == password.id);
        Ok(())
    }

    fn put_restore_token(&mut self, token: &RestoreToken) -> Result<()> {
        put(&mut self.restore_tokens, token, |old| old.user_id == token.user_id);
        Ok(())
    }

    fn delete_restore_token(&mut self, user_id: &str) -> Result<()> {
        delete(&mut self.restore_tokens, |row: &RestoreToken| row.user_id == user_id);
        Ok(())
    }

    fn put_user(&mut self, user: &User) -> Result<()> {
        put(&mut self.users, user, |old| old.id == user.id);
        Ok(())
    }

    fn put_credential(&mut self, credential: &Credential) -> Result<()> {
        put(&mut self.credentials, credential, |old| old.id == credential.id);
        Ok(())
    }

    fn put_session(&mut self, session: &LoginSession) -> Result<()> {
        put(&mut self.sessions, session, |old| old.sid == session.sid);
        Ok(())
    }

    fn delete_session(&mut self, sid: &str) -> Result<()> {
        delete(&mut self.sessions, |row: &LoginSession| row.sid == sid);
        Ok(())
    }

    fn delete_sessions(&mut self, user_id: &str) -> Result<()> {
        delete(&mut self.sessions, |row: &LoginSession| row.user_id == user_id);
        Ok(())
    }

    fn insert_record(&mut self, index: Index, record: &Record) -> Result<()> {
        match self.record(index, &key_of(record, index))? {
            Some(_) => Err(err!(TUPLE_FOUND, "primary", index.names().0, "", "")),
            None => self.put_record(index, record),
        }
    }

    fn put_record(&mut self, index: Index, record: &Record) -> Result<()> {
        self.delete_records(index, &key_of(record, index))?;
        self.records.entry(index.names().0).or_default().push(record.clone());
        Ok(())
    }

    fn delete_records(&mut self, index: Index, key: &[&str]) -> Result<Vec<Record>> {
        let removed = self.records(index, key)?;
        let all = self.records.entry(index.names().0).or_default();
        all.retain(|record| !has_key(record, index, key));
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
}
