//! The task that removes what has expired, pass after pass.
//!
//! ```text
//! pause --> sessions that do not say when they end get a time, once --> pass --> pause --> pass ...
//! pass: login sessions, activation codes and restore tokens, logins through a provider that nobody has ended, codes and
//!       tokens of the OAuth2 server
//! ```
//!
//! The end of a login session stands in the session that the person holds, and in its row since this server writes it. Rows
//! of the Lua application get the latest time at which they could end, a whole life from now.
//!
//! Runs on the main thread's runtime; see [`super::expiry`] for how long it holds the database. An instance that is
//! read-only is left alone.

use std::sync::{Arc, Weak};
use std::time::Duration;

use lycosa_proto::error::Result;

use super::Authman;
use super::expiry::{self, PASSWORD_TOKENS, SESSIONS};
use super::metrics::{Counter, Metrics};
use super::model::Store;
use super::store::{Engine, Ids};
use crate::config;
use crate::instance::{Instance, now};
use crate::procs::{Context, Session};

/// What a pass has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two passes.
    pub interval: Duration,
    /// Life of a login session.
    pub session_lifetime: Duration,
    /// Time for which codes of the OAuth2 server outlive their end.
    pub oauth_codes_kept: Duration,
    /// Likewise tokens.
    pub oauth_tokens_kept: Duration,
}

impl Settings {
    /// Those of the configuration.
    pub fn new(config: &config::Authman) -> Self {
        Self {
            interval: config.expiration.interval,
            session_lifetime: config.session_lifetime,
            oauth_codes_kept: config.expiration.oauth_codes_kept,
            oauth_tokens_kept: config.expiration.oauth_tokens_kept,
        }
    }
}

/// Makes passes until the instance is gone.
pub async fn run(instance: Weak<Instance>, ids: Ids, authman: Arc<Authman>, settings: Settings) {
    let mut are_stamped = false;
    loop {
        tokio::time::sleep(settings.interval).await;
        {
            let Some(instance) = instance.upgrade() else { return };
            if !*instance.watch_read_only().borrow() {
                // Nobody's session: the procedures act as admin.
                let session = Arc::new(Session::new(0, ([127, 0, 0, 1], 0).into(), [0; 32]));
                let context = Context { instance, session, stream: None };
                let store = Engine { context, ids };
                let result = async {
                    if !are_stamped {
                        stamp(&store, &settings, now()).await?;
                    }
                    are_stamped = true;
                    pass(&store, &settings, now(), &authman.metrics).await
                };
                if let Err(error) = result.await {
                    authman.metrics.failed_passes.add(1);
                    tracing::warn!("authman: can't remove what has expired: {error}");
                }
            }
        }
    }
}

/// Gives login sessions of the Lua application the time at which they end at the latest.
///
/// # Errors
/// Those of the database.
pub async fn stamp(store: &impl Store, settings: &Settings, now: f64) -> Result<u64> {
    let end = now + settings.session_lifetime.as_secs_f64();
    expiry::stamp(store, &SESSIONS, end.ceil() as u64).await
}

/// Removes what has expired at `now`, in seconds since the epoch.
///
/// # Errors
/// The first of the database's; other spaces have been looked at all the same.
pub async fn pass(
    store: &impl Store,
    settings: &Settings,
    now: f64,
    metrics: &Metrics,
) -> Result<()> {
    metrics.passes.add(1);
    let all: [(_, Duration, &Counter); 5] = [
        (&SESSIONS, Duration::ZERO, &metrics.sessions),
        (&PASSWORD_TOKENS, Duration::ZERO, &metrics.password_tokens),
        (&expiry::SOCIAL_STATES, Duration::ZERO, &metrics.social_states),
        (&expiry::CODES, settings.oauth_codes_kept, &metrics.oauth_codes),
        (&expiry::TOKENS, settings.oauth_tokens_kept, &metrics.oauth_tokens),
    ];
    let mut failed = Ok(());
    for (expiring, kept, counter) in all {
        match expiry::remove(store, expiring, now - kept.as_secs_f64()).await {
            Ok(removed) => {
                metrics.portions.add(removed.portions);
                counter.add(removed.rows);
            }
            // The other spaces have nothing to do with it.
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    failed
}
