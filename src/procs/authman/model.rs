//! Rows of the application's spaces, and what its procedures ask of a database.

mod login;
mod record;
mod row;
mod state;
mod user;

use std::future::Future;

use lycosa_proto::error::Result;

pub use login::{Credential, Kept, LoginSession, Password, PasswordToken, TokenUse};
pub use record::{Field, From, Index, Record};
pub use row::{Row, with_rest};
pub use state::SocialState;
pub use user::{Profile, User, user_type};

/// The rows, to read. Errors are those of the database.
pub trait Accounts {
    /// The user with this id.
    fn user(&self, id: &str) -> Result<Option<User>>;

    /// The user of type common with this email, which is in lower case.
    fn common_user(&self, email: &str) -> Result<Option<User>>;

    /// The user's password.
    fn password(&self, user_id: &str) -> Result<Option<Password>>;

    /// What lets the user choose a password.
    fn password_token(&self, user_id: &str) -> Result<Option<PasswordToken>>;

    /// The credential with this id.
    fn credential(&self, id: &str) -> Result<Option<Credential>>;

    /// The credential of the person whom `provider` calls `social_id`.
    fn credential_by_social_id(
        &self,
        social_id: &str,
        provider: &str,
    ) -> Result<Option<Credential>>;

    /// The user's credential whose provider's name comes first.
    fn first_credential(&self, user_id: &str) -> Result<Option<Credential>>;

    /// The login session with this id.
    fn session(&self, sid: &str) -> Result<Option<LoginSession>>;

    /// The records under a key, which may be the first parts of one, in the order of the index.
    fn records(&self, index: Index, key: &[&str]) -> Result<Vec<Record>>;

    /// The first record under a key.
    fn record(&self, index: Index, key: &[&str]) -> Result<Option<Record>> {
        Ok(self.records(index, key)?.into_iter().next())
    }

    /// At most `limit` records of a primary index, in its order.
    fn page(&self, index: Index, from: From<'_>, limit: usize) -> Result<Vec<Record>>;

    /// The number of records of an index's space.
    fn count(&self, index: Index) -> Result<usize>;

    /// The number of records under a key, as [`Self::records`] would give them.
    fn count_under(&self, index: Index, key: &[&str]) -> Result<usize>;
}

/// The rows, inside one transaction that may change them. What a row has beyond the fields that we know stays.
pub trait AccountsMut: Accounts {
    /// Inserts a user; an error of the database if the id is taken.
    fn insert_user(&mut self, user: &User) -> Result<()>;

    /// Inserts or replaces a user.
    fn put_user(&mut self, user: &User) -> Result<()>;

    /// Deletes a user with every row that stands for them, down to what their applications gave out.
    fn delete_user(&mut self, user_id: &str) -> Result<()>;

    /// Inserts or replaces a password.
    fn put_password(&mut self, password: &Password) -> Result<()>;

    /// Inserts or replaces what lets a user choose a password.
    fn put_password_token(&mut self, token: &PasswordToken) -> Result<()>;

    /// Deletes what lets the user choose a password, if it is there.
    fn delete_password_token(&mut self, user_id: &str) -> Result<()>;

    /// Inserts or replaces a credential.
    fn put_credential(&mut self, credential: &Credential) -> Result<()>;

    /// Inserts a state; forgets a few that have expired at `now`, and the oldest while there are more than `max`.
    fn put_social_state(&mut self, state: &SocialState, now: u64, max: u64) -> Result<()>;

    /// Takes out the state with this key, so that it is found once.
    fn take_social_state(&mut self, key: &str) -> Result<Option<SocialState>>;

    /// Inserts or replaces a login session.
    fn put_session(&mut self, session: &LoginSession) -> Result<()>;

    /// Deletes a login session, if it is there.
    fn delete_session(&mut self, sid: &str) -> Result<()>;

    /// Deletes every login session of a user.
    fn delete_sessions(&mut self, user_id: &str) -> Result<()>;

    /// Inserts a record into an index's space; an error of the database if a unique key of it is taken.
    fn insert_record(&mut self, index: Index, record: &Record) -> Result<()>;

    /// Inserts or replaces a record of an index's space, whole.
    fn put_record(&mut self, index: Index, record: &Record) -> Result<()>;

    /// Deletes the records under a key, which may be the first parts of one; gives them in the order of the index.
    fn delete_records(&mut self, index: Index, key: &[&str]) -> Result<Vec<Record>>;
}

/// The database: runs one closure as one transaction, or in the one that is open. Clones are the same database.
pub trait Store: Clone + Send + Sync + 'static {
    /// Runs `work`, which only reads.
    fn read<T: Send>(
        &self,
        work: impl FnOnce(&dyn Accounts) -> Result<T> + Send,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Runs `work` and commits, or takes everything back if it fails. The future ends when the commit is durable.
    fn write<T: Send>(
        &self,
        work: impl FnOnce(&mut dyn AccountsMut) -> Result<T> + Send,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Whether closures run in an open transaction, which may yet be rolled back.
    fn is_inside(&self) -> bool;

    /// The same outside of the open transaction: what is written there stays, however that one ends.
    #[must_use]
    fn outside(&self) -> Self;
}

#[cfg(test)]
mod tests;
