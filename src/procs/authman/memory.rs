//! A database of nothing but the application's rows, for tests.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use parking_lot::Mutex;

use super::model::{
    Accounts, AccountsMut, Credential, LoginSession, Password, RestoreToken, Row, SocialState,
    Store, User, user_type,
};

/// The rows as tuples, so that every test goes through their encoding.
#[derive(Clone, Default)]
pub(super) struct Rows {
    users: Vec<Vec<u8>>,
    credentials: Vec<Vec<u8>>,
    sessions: Vec<Vec<u8>>,
    passwords: Vec<Vec<u8>>,
    restore_tokens: Vec<Vec<u8>>,
    social_states: Vec<Vec<u8>>,
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

    fn put_social_state(&mut self, state: &SocialState, now: u64, max: u64) -> Result<()> {
        delete(&mut self.social_states, |old: &SocialState| old.expires_at <= now);
        put(&mut self.social_states, state, |old| old.key == state.key);
        while self.social_states.len() as u64 > max {
            self.social_states.remove(0);
        }
        Ok(())
    }

    fn take_social_state(&mut self, key: &str) -> Result<Option<SocialState>> {
        let found = find(&self.social_states, |row: &SocialState| row.key == key);
        delete(&mut self.social_states, |row: &SocialState| row.key == key);
        Ok(found)
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
