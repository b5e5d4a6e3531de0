//! Accounts and login, with the interface of tarantool-authman.
//!
//! The procedures are written against [`model::Store`] and never see the engine. They get the time and fresh UUIDs
//! from the caller, once for each call, and hold no state but settings. No transaction stays open while a provider is
//! asked: what was read before is read and judged again afterwards.
//!
//! Modules in reading order:
//!
//! - [`spaces`]: the spaces and their indexes, as data.
//! - [`model`]: their rows, and what the procedures ask of a database.
//! - [`args`], [`answer`]: what comes in, what goes out, the refusals.
//! - [`password`], [`session`]: hashes, codes, signed login sessions.
//! - [`provider`]: the providers of social login.
//! - [`social`], [`check`]: the procedures.
//!
//! Source: authman.md; docs/authman.md lists what differs.

pub mod answer;
pub mod args;
pub mod check;
#[cfg(test)]
mod memory;
pub mod model;
pub mod password;
pub mod provider;
pub mod session;
pub mod social;
pub mod spaces;

use std::time::Duration;

use lycosa_proto::error::Result;

use crate::config::{self, Secret};
use crate::http::Http;
use answer::Answer;
use model::{Accounts, LoginSession, Store};
use provider::Provider;

/// Names of the procedures, as IPROTO CALL has them.
pub const PROCEDURES: [&str; 4] =
    ["auth.social_auth_url", "auth.social_auth", "auth.check_auth", "auth.drop_session"];

/// What one call draws from outside.
#[derive(Clone, Copy)]
pub struct Drawn<'a> {
    /// The time, in seconds since the epoch.
    pub now: u64,
    /// Gives a fresh UUID as text at each call.
    pub uuid: &'a (dyn Fn() -> String + Sync),
}

/// The application: settings and providers.
#[derive(Debug)]
pub struct Authman {
    /// Signs login sessions.
    session_secret: Secret,
    /// Life of a login session.
    session_lifetime: Duration,
    /// A common session with less than this left is renewed.
    session_update_timedelta: Duration,
    /// Time after which a social session asks the provider again.
    social_check_time: Duration,
    /// Every provider that there is.
    providers: Vec<Provider>,
}

impl Authman {
    /// Builds the application. `uuid` makes up for secrets that are not configured; they are never shown.
    pub fn new(config: &config::Authman, http: &Http, uuid: &dyn Fn() -> String) -> Self {
        if config.session_secret.is_none() {
            tracing::warn!(
                "roles_cfg.authman.session_secret is not set: login sessions end with this process"
            );
        }
        let drawn = || Secret::new(uuid());
        Self {
            session_secret: config.session_secret.clone().unwrap_or_else(drawn),
            session_lifetime: config.session_lifetime,
            session_update_timedelta: config.session_update_timedelta,
            social_check_time: config.social_check_time,
            providers: Provider::all(config, http),
        }
    }

    /// Runs the procedure `name`, one of [`PROCEDURES`]; none if there is no such procedure.
    pub async fn call(
        &self,
        name: &str,
        args: &[rmpv::Value],
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Option<Result<Answer>> {
        Some(match name {
            "auth.social_auth_url" => Ok(self.social_auth_url(args)),
            "auth.social_auth" => self.social_auth(args, store, drawn).await,
            "auth.check_auth" => self.check_auth(args, store, drawn).await,
            "auth.drop_session" => self.drop_session(args, store).await,
            _ => return None,
        })
    }

    fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    /// Stores a new login session and signs it: social with a credential, else common.
    fn open_session(
        &self,
        accounts: &mut dyn Accounts,
        user_id: &str,
        credential_id: Option<&str>,
        drawn: Drawn<'_>,
    ) -> Result<String> {
        let row = LoginSession {
            sid: (drawn.uuid)(),
            code: Secret::new((drawn.uuid)()),
            user_id: user_id.to_owned(),
            credential_id: credential_id.map(str::to_owned),
        };
        accounts.put_session(&row)?;
        let after = |time| session::instant(drawn.now, time);
        let exp = after(self.session_lifetime);
        let update = credential_id.map(|_| after(self.social_check_time));
        Ok(session::sign(&row.sid, row.code.expose(), &exp, update.as_ref(), &self.session_secret))
    }
}

#[cfg(test)]
mod tests;
