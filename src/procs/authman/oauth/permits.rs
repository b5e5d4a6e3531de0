//! What a user permits a consumer, row by row: scopes and redirects. Their rows begin with the consumer's key and the user's
//! id.
//!
//! Source: authman.md section 9.

use lycosa_proto::error::Result;

use super::Call;
use super::field::authorization;
use super::object::{Object, REDIRECT, SCOPE, consumer, list};
use crate::procs::authman::answer::{Judged, Reply, accepted};
use crate::procs::authman::model::{Accounts, Index, Record};

/// One kind of such rows.
pub(super) struct Permits {
    /// What clients see of a row.
    names: &'static [(&'static str, usize)],
    /// The index by consumer and user.
    by_consumer: Index,
    /// The index by user.
    by_user: Index,
}

/// The scopes.
pub(super) const SCOPES: Permits =
    Permits { names: SCOPE, by_consumer: Index::Scope, by_user: Index::ScopeByUser };

/// The redirects.
pub(super) const REDIRECTS: Permits =
    Permits { names: REDIRECT, by_consumer: Index::Redirect, by_user: Index::RedirectByUser };

impl Permits {
    /// Those of a consumer, of all users or of one: the first argument, and the second if it is text.
    pub(super) fn of_consumer(&self, call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
        let key = accepted!(Ok(call.text(0)));
        let key: Vec<_> = std::iter::once(key).chain(call.text(1)).collect();
        Ok(Ok(self.reply(&accounts.records(self.by_consumer, &key)?)))
    }

    /// Those of the user that is the first argument, each with its consumer; those whose consumer or application is gone are
    /// left out.
    pub(super) fn of_user(&self, call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
        let user_id = accepted!(Ok(call.text(0)));
        let records = accounts.records(self.by_user, &[user_id])?;
        let objects = records.iter().filter_map(|record| {
            let key = record.text(authorization::CONSUMER_KEY);
            let found = consumer(accounts, key).map(std::result::Result::ok).transpose()?;
            Some(found.map(|it| Object::of(self.names, record).with_object("consumer", &it)))
        });
        let objects: Vec<Object> = objects.collect::<Result<_>>()?;
        Ok(Ok(Reply::Value(list(&objects))))
    }

    /// Rows as an answer.
    pub(super) fn reply(&self, records: &[Record]) -> Reply {
        let objects: Vec<_> = records.iter().map(|row| Object::of(self.names, row)).collect();
        Reply::Value(list(&objects))
    }
}
