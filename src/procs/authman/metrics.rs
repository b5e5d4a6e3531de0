//! What is counted since the process started, as `auth.stat` shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Authman;
use super::model::Field;
use super::oauth::object::Object;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it; gives what it was.
    pub fn add(&self, number: u64) -> u64 {
        self.0.fetch_add(number, Ordering::Relaxed)
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Hashes of passwords that were replaced by newer ones at a login.
    pub replaced_hashes: Counter,
    /// Logins through a provider that were taken without a state, which only the application can have looked at.
    pub stateless_logins: Counter,
    /// Passes over rows that expire.
    pub passes: Counter,
    /// Passes that met an error of the database.
    pub failed_passes: Counter,
    /// Times that the database was held to look at rows.
    pub portions: Counter,
    /// Login sessions that were removed because they had expired.
    pub sessions: Counter,
    /// Activation codes and restore tokens, likewise.
    pub password_tokens: Counter,
    /// Logins through a provider that nobody has ended, likewise.
    pub social_states: Counter,
    /// Codes of the OAuth2 server, likewise.
    pub oauth_codes: Counter,
    /// Tokens of the OAuth2 server, likewise.
    pub oauth_tokens: Counter,
}

impl Authman {
    /// What was counted of accounts: a map of numbers, as its MsgPack.
    pub fn counted(&self) -> Vec<u8> {
        let Metrics {
            replaced_hashes,
            stateless_logins,
            passes,
            failed_passes,
            portions,
            sessions,
            password_tokens,
            social_states,
            oauth_codes,
            oauth_tokens,
        } = &self.metrics;
        let counters = [
            ("replaced_hashes", replaced_hashes),
            ("stateless_logins", stateless_logins),
            ("expiration_passes", passes),
            ("expiration_failed_passes", failed_passes),
            ("expiration_portions", portions),
            ("expired_sessions", sessions),
            ("expired_password_tokens", password_tokens),
            ("expired_social_states", social_states),
            ("expired_oauth_codes", oauth_codes),
            ("expired_oauth_tokens", oauth_tokens),
        ];
        let accounts = Object::default()
            .with("refused_attempts", Field::Uint(self.attempts.refused()))
            .with("running_hashes", Field::Uint(self.hasher.running()))
            .with("refused_hashes", Field::Uint(self.hasher.refused().get()));
        let accounts = counters.iter().fold(accounts, |object, (name, counter)| {
            object.with(name, Field::Uint(counter.get()))
        });
        accounts.encoded()
    }
}
