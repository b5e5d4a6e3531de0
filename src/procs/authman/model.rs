//! Rows of the application's spaces, and what its procedures ask of a database.

mod login;
mod row;
mod user;

use std::future::Future;

use lycosa_proto::error::Result;

pub use login::{Credential, LoginSession};
pub use row::{Row, with_rest};
pub use user::{Profile, User, user_type};

/// The rows, to read. Errors are those of the database.
pub trait Accounts {
    /// The user with this id.
    fn user(&self, id: &str) -> Result<Option<User>>;

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
}

/// The rows, inside one transaction that may change them. What a row has beyond the fields that we know stays.
pub trait AccountsMut: Accounts {
    /// Inserts or replaces a user.
    fn put_user(&mut self, user: &User) -> Result<()>;

    /// Inserts or replaces a credential.
    fn put_credential(&mut self, credential: &Credential) -> Result<()>;

    /// Inserts or replaces a login session.
    fn put_session(&mut self, session: &LoginSession) -> Result<()>;

    /// Deletes a login session, if it is there.
    fn delete_session(&mut self, sid: &str) -> Result<()>;
}

/// The database: runs one closure as one transaction.
pub trait Store: Sync {
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
}

#[cfg(test)]
mod tests;
