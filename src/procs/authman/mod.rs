//! Accounts and login, with the interface of tarantool-authman.
//!
//! The procedures are written against [`model::Store`] and never see the engine. They get the time and fresh UUIDs
//! from the caller, once for each call, and hold no state but settings. No transaction stays open while a provider is
//! asked: what was read before is read and judged again afterwards. Only [`install`], [`store`] and [`module`] know the
//! engine.
//!
//! Modules in reading order:
//!
//! - [`spaces`]: the spaces and their indexes, as data.
//! - [`model`]: their rows, and what the procedures ask of a database.
//! - [`args`], [`answer`]: what comes in, what goes out, the refusals.
//! - [`password`], [`hashing`], [`codes`], [`session`]: hashes, when they are computed, codes sent by email, signed login
//!   sessions.
//! - [`attempts`]: guesses are limited. [`metrics`]: what is counted. [`clock`]: the time of a call.
//! - [`provider`]: the providers of social login.
//! - [`state`], [`recheck`]: what is kept from the consent page to the callback; asking a provider again.
//! - [`registration`], [`login`], [`profile`], [`social`], [`check`]: the procedures.
//! - [`oauth`]: the procedures for an OAuth2 server; [`expiry`], [`sweeper`]: what has expired is removed.
//! - [`install`]: the spaces are made, the secrets are kept.
//! - [`store`], [`module`]: the procedures on the engine, under their names.
//!
//! Source: authman.md; docs/authman.md lists what differs.

pub mod answer;
pub mod args;
pub mod attempts;
pub mod check;
pub mod clock;
pub mod codes;
pub mod expiry;
pub mod hashing;
pub mod install;
pub mod login;
#[cfg(test)]
mod memory;
pub mod metrics;
pub mod model;
pub mod module;
pub mod oauth;
pub mod password;
pub mod profile;
pub mod provider;
pub mod recheck;
pub mod registration;
pub mod session;
pub mod social;
pub mod spaces;
pub mod state;
pub mod store;
pub mod sweeper;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lycosa_proto::error::Result;

use crate::config::{self, PasswordStrength, Secret};
use crate::http::Http;
use crate::procs::Args;
use answer::Answer;
use attempts::Attempts;
use codes::Codes;
use hashing::Hasher;
use metrics::Metrics;
use model::{AccountsMut, Index, LoginSession, Record, Store};
use provider::Provider;
use recheck::Rechecks;

pub use module::AuthmanModule;

/// A procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// [`Authman::registration`]
    Registration,
    /// [`Authman::complete_registration`]
    CompleteRegistration,
    /// [`Authman::set_profile`]
    SetProfile,
    /// [`Authman::get_profile`]
    GetProfile,
    /// [`Authman::delete_user`]
    DeleteUser,
    /// [`Authman::auth`]
    Auth,
    /// [`Authman::check_auth`]
    CheckAuth,
    /// [`Authman::drop_session`]
    DropSession,
    /// [`Authman::restore_password`]
    RestorePassword,
    /// [`Authman::complete_restore_password`]
    CompleteRestorePassword,
    /// [`Authman::social_auth_url`]
    SocialAuthUrl,
    /// [`Authman::social_auth`]
    SocialAuth,
    /// [`Authman::stat`]
    Stat,
    /// One of the OAuth2 server's.
    Oauth(oauth::Procedure),
}

/// The procedures for accounts with their names, as IPROTO CALL has them.
pub const PROCEDURES: [(&str, Procedure); 13] = [
    ("auth.registration", Procedure::Registration),
    ("auth.complete_registration", Procedure::CompleteRegistration),
    ("auth.set_profile", Procedure::SetProfile),
    ("auth.get_profile", Procedure::GetProfile),
    ("auth.delete_user", Procedure::DeleteUser),
    ("auth.auth", Procedure::Auth),
    ("auth.check_auth", Procedure::CheckAuth),
    ("auth.drop_session", Procedure::DropSession),
    ("auth.restore_password", Procedure::RestorePassword),
    ("auth.complete_restore_password", Procedure::CompleteRestorePassword),
    ("auth.social_auth_url", Procedure::SocialAuthUrl),
    ("auth.social_auth", Procedure::SocialAuth),
    ("auth.stat", Procedure::Stat),
];

impl Procedure {
    /// The procedure of a name.
    pub fn find(name: &str) -> Option<Self> {
        let known = PROCEDURES.iter().find(|(known, _)| *known == name);
        let known = known.map(|(_, procedure)| *procedure);
        known.or_else(|| oauth::Procedure::find(name).map(Self::Oauth))
    }
}

/// What one call draws from outside.
#[derive(Clone, Copy)]
pub struct Drawn<'a> {
    /// The time, in seconds since the epoch.
    pub now: u64,
    /// Gives a fresh UUID as text at each call.
    pub uuid: &'a (dyn Fn() -> String + Sync),
    /// Gives fresh random bytes at each call.
    pub bytes: &'a (dyn Fn() -> [u8; 32] + Sync),
    /// Where the call comes from.
    pub address: IpAddr,
}

impl Drawn<'_> {
    /// A fresh salt.
    fn salt(&self) -> [u8; 16] {
        let bytes = (self.bytes)();
        std::array::from_fn(|place| bytes[place])
    }
}

/// What codes and signatures are made with: those of the configuration, or what takes their place.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Is in activation codes.
    pub activation: Secret,
    /// Signs login sessions.
    pub session: Secret,
    /// Is in restore tokens.
    pub restore: Secret,
}

/// The application: settings and providers.
#[derive(Debug)]
pub struct Authman {
    /// Signs login sessions.
    session_secret: Secret,
    codes: Codes,
    hasher: Hasher,
    attempts: Attempts,
    metrics: Metrics,
    /// Life of a login session.
    session_lifetime: Duration,
    /// A common session with less than this left is renewed.
    session_update_timedelta: Duration,
    /// Time after which a social session asks the provider again.
    social_check_time: Duration,
    /// How strong a new password must be.
    password_strength: PasswordStrength,
    /// The greatest length of a password, in bytes.
    password_bytes_max: u64,
    /// The most login sessions of a user.
    sessions_max: u64,
    /// The most applications of a user.
    oauth_max_apps: u64,
    /// Every provider that there is.
    providers: Vec<Arc<Provider>>,
    /// Time for which a login may be under way.
    state_lifetime: Duration,
    /// Logins that may be under way.
    states_max: u64,
    /// Providers that are being asked again.
    rechecks: Rechecks,
}

impl Authman {
    /// Builds the application.
    pub fn new(config: &config::Authman, http: &Http, secrets: Secrets) -> Self {
        Self {
            codes: Codes::new(&config.codes, &secrets),
            session_secret: secrets.session,
            hasher: Hasher::new(&config.passwords),
            attempts: Attempts::new(&config.attempts),
            metrics: Metrics::default(),
            password_bytes_max: config.passwords.bytes_max,
            session_lifetime: config.session_lifetime,
            session_update_timedelta: config.session_update_timedelta,
            social_check_time: config.social_check_time,
            password_strength: config.password_strength,
            sessions_max: config.sessions_max,
            oauth_max_apps: config.oauth_max_apps,
            providers: Provider::all(config, http).into_iter().map(Arc::new).collect(),
            state_lifetime: config.state_lifetime,
            states_max: config.states_max,
            rechecks: Rechecks::default(),
        }
    }

    /// Runs a procedure.
    ///
    /// # Errors
    /// Those of the database; what a procedure refuses is an answer.
    pub async fn call(
        &self,
        procedure: Procedure,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        match procedure {
            Procedure::Registration => self.registration(args, store, drawn).await,
            Procedure::CompleteRegistration => self.complete_registration(args, store, drawn).await,
            Procedure::SetProfile => self.set_profile(args, store).await,
            Procedure::GetProfile => self.get_profile(args, store).await,
            Procedure::DeleteUser => self.delete_user(args, store).await,
            Procedure::Auth => self.auth(args, store, drawn).await,
            Procedure::CheckAuth => self.check_auth(args, store, drawn).await,
            Procedure::DropSession => self.drop_session(args, store).await,
            Procedure::RestorePassword => self.restore_password(args, store, drawn).await,
            Procedure::CompleteRestorePassword => {
                self.complete_restore_password(args, store, drawn).await
            }
            Procedure::SocialAuthUrl => self.social_auth_url(args, store, drawn).await,
            Procedure::SocialAuth => self.social_auth(args, store, drawn).await,
            Procedure::Stat => Ok(self.stat()),
            Procedure::Oauth(procedure) => self.oauth(procedure, args, store, drawn).await,
        }
    }

    fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    /// Stores a new login session and signs it: social with a credential, else common. Of too many of one user those go that
    /// end first.
    fn open_session(
        &self,
        accounts: &mut dyn AccountsMut,
        user_id: &str,
        credential_id: Option<&str>,
        drawn: Drawn<'_>,
    ) -> Result<Secret> {
        let exp = session::instant(drawn.now, self.session_lifetime);
        let row = LoginSession {
            sid: (drawn.uuid)(),
            code: Secret::new((drawn.uuid)()),
            user_id: user_id.to_owned(),
            credential_id: credential_id.map(str::to_owned),
            expires_at: exp.as_f64().map(|time| time.ceil() as u64),
        };
        self.make_room(accounts, user_id)?;
        accounts.put_session(&row)?;
        let update = credential_id.map(|_| session::instant(drawn.now, self.social_check_time));
        Ok(session::sign(&row.sid, row.code.expose(), &exp, update.as_ref(), &self.session_secret))
    }

    /// Removes login sessions of a user, those that end first, until there is room for one more.
    fn make_room(&self, accounts: &mut dyn AccountsMut, user_id: &str) -> Result<()> {
        let count = accounts.count_under(Index::SessionByUser, &[user_id])?;
        let max = usize::try_from(self.sessions_max).unwrap_or(usize::MAX);
        if count < max {
            return Ok(());
        }
        let mut held = accounts.records(Index::SessionByUser, &[user_id])?;
        // Rows of the Lua application do not say when they end, and are the oldest.
        let end = |row: &Record| row.number(LoginSession::EXPIRES_AT).unwrap_or(0.0);
        held.sort_by(|left, right| end(left).total_cmp(&end(right)));
        held.iter().take(count + 1 - max).try_for_each(|row| accounts.delete_session(row.text(0)))
    }
}

#[cfg(test)]
mod tests;
