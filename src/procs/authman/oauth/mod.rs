//! What an OAuth2 server keeps here: applications, consumers, codes, tokens, scopes, redirects.
//!
//! ```text
//! user --> application --> consumer (key, secret) --> codes, tokens      each of an owner, who may be nobody
//!                                                 --> scopes, redirects  each of a user
//! ```
//!
//! Nothing is checked but that rows are there: not secrets, redirect addresses, challenges nor times. That is the OAuth2
//! server's work, which is what calls these procedures.
//!
//! Most procedures are one transaction and nothing else, so the table holds plain functions.
//!
//! Source: authman.md section 9; docs/authman.md lists what differs.

mod apps;
mod authorizations;
mod consumers;
pub mod field;
mod grants;
pub(super) mod object;
mod permits;
mod redirects;

use lycosa_proto::error::Result;

use super::answer::{Answer, Judged, Refusal, Reply};
use super::expiry::{self, Expiring};
use super::model::{Accounts, AccountsMut, Store};
use super::{Authman, Drawn, args};
use crate::procs::Args;

pub use consumers::remove_consumers;

/// What the names of these procedures begin with.
const PREFIX: &str = "auth.oauth.";

/// One call.
pub(super) struct Call<'a> {
    /// The arguments.
    pub(super) args: &'a Args,
    /// Time and chance.
    pub(super) drawn: Drawn<'a>,
    /// The most applications of a user.
    pub(super) max_apps: u64,
}

impl Call<'_> {
    /// An argument that must be text and not empty.
    fn text(&self, place: usize) -> std::result::Result<&str, Refusal> {
        args::text(self.args, place).ok_or(Refusal::InvalidParams)
    }

    /// An argument that must be a number and not negative.
    fn number(&self, place: usize) -> std::result::Result<f64, Refusal> {
        args::number(self.args, place).ok_or(Refusal::InvalidParams)
    }

    /// An argument as its MsgPack; none if it is nil or left out.
    fn value(&self, place: usize) -> Option<&[u8]> {
        self.args.get(place).filter(|value| *value != [0xc0])
    }
}

/// How a procedure works.
enum Work {
    /// It reads.
    Read(fn(&Call<'_>, &dyn Accounts) -> Judged<Reply>),
    /// It is one transaction.
    Write(fn(&Call<'_>, &mut dyn AccountsMut) -> Judged<Reply>),
    /// It removes what has expired, portion by portion.
    Expire(&'static Expiring),
}

/// The procedures by what follows the prefix of their names.
static PROCEDURES: [(&str, Work); 28] = [
    ("add_app", Work::Write(apps::add_app)),
    ("disable_app", Work::Write(apps::disable_app)),
    ("enable_app", Work::Write(apps::enable_app)),
    ("delete_app", Work::Write(apps::delete_app)),
    ("get_app", Work::Read(apps::get_app)),
    ("get_user_apps", Work::Read(apps::get_user_apps)),
    ("list_apps", Work::Read(apps::list_apps)),
    ("load_consumers", Work::Read(consumers::load_consumers)),
    ("get_consumer", Work::Read(consumers::get_consumer)),
    ("reset_consumer_secret", Work::Write(consumers::reset_consumer_secret)),
    ("save_code", Work::Write(grants::save_code)),
    ("get_code", Work::Read(grants::get_code)),
    ("delete_code", Work::Write(grants::delete_code)),
    ("delete_expired_codes", Work::Expire(&expiry::CODES)),
    ("save_access", Work::Write(grants::save_access)),
    ("get_access", Work::Read(grants::get_access)),
    ("delete_access", Work::Write(grants::delete_access)),
    ("get_refresh", Work::Read(grants::get_refresh)),
    ("delete_refresh", Work::Write(grants::delete_refresh)),
    ("delete_expired_tokens", Work::Expire(&expiry::TOKENS)),
    ("add_consumer_scopes", Work::Write(authorizations::add_consumer_scopes)),
    ("get_consumer_authorizations", Work::Read(authorizations::get_consumer_authorizations)),
    ("get_user_authorizations", Work::Read(authorizations::get_user_authorizations)),
    ("delete_user_authorizations", Work::Write(authorizations::delete_user_authorizations)),
    ("save_redirect", Work::Write(redirects::save_redirect)),
    ("get_consumer_redirects", Work::Read(redirects::get_consumer_redirects)),
    ("get_user_redirects", Work::Read(redirects::get_user_redirects)),
    ("delete_user_redirects", Work::Write(redirects::delete_user_redirects)),
];

/// A procedure of the OAuth2 server: its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Procedure(usize);

impl Procedure {
    /// The procedure of a whole name.
    pub fn find(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?;
        PROCEDURES.iter().position(|(known, _)| *known == name).map(Self)
    }

    /// Every whole name.
    pub fn names() -> impl Iterator<Item = String> {
        PROCEDURES.iter().map(|(name, _)| format!("{PREFIX}{name}"))
    }
}

impl Authman {
    /// Runs a procedure of the OAuth2 server.
    ///
    /// # Errors
    /// Those of the database; what a procedure refuses is an answer.
    pub(super) async fn oauth(
        &self,
        procedure: Procedure,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let call = Call { args, drawn, max_apps: self.oauth_max_apps };
        match PROCEDURES[procedure.0].1 {
            Work::Read(read) => store.read(|accounts| read(&call, accounts)).await,
            Work::Write(write) => store.write(|accounts| write(&call, accounts)).await,
            Work::Expire(expiring) => {
                let Ok(now) = call.number(0) else { return Ok(Err(Refusal::InvalidParams)) };
                let removed = expiry::remove(store, expiring, now).await?;
                Ok(Ok(Reply::Count(removed.rows)))
            }
        }
    }
}
