//! Passwords are hashed and verified on threads that may block, a few at a time.
//!
//! A hash takes some ten milliseconds of a processor and `passwords.argon2_memory` bytes, by intention. So none is computed on
//! a worker's thread nor under the lock of the database, and `passwords.hashes_max` of them run at once; further ones wait,
//! 64 times as many at the most. That bounds memory to the product of the two, and the time for which who comes last has to
//! wait. Who finds no place to wait is refused before anything is counted or judged.
//!
//! ```text
//! stored          verified with      right: kept as
//! 32 bytes        SHA-256            argon2id, at this login
//! $argon2id$...   argon2id           argon2id with today's parameters, if they were others
//! ```
//!
//! With `passwords.legacy` new ones are kept as SHA-256 and nothing is changed at a login; both kinds are verified.
//!
//! A wrong password, one for an old hash or for nobody, takes as long as any.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;
use super::metrics::Counter;
use super::password::{Cost, PasswordHash};
use crate::config;

/// Hashes that may wait for each one that is computed.
const WAITING_MAX: usize = 64;

/// Hashes passwords.
#[derive(Debug)]
pub struct Hasher {
    /// What a new hash costs; none keeps passwords as the Lua application does.
    cost: Option<Cost>,
    /// One permit for each hash that may be computed now.
    slots: Arc<Semaphore>,
    /// All permits.
    slots_max: usize,
    /// One permit for each hash that is computed or waits.
    places: Arc<Semaphore>,
    /// How often there was none.
    refused: Counter,
}

/// A place in the queue, good for one hash after another.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// What became of a password that was given.
#[derive(Debug, PartialEq)]
pub enum Verified {
    /// It is another.
    Wrong,
    /// It is right.
    Right {
        /// What to keep from now on in place of the old hash, if that is due.
        replacement: Option<PasswordHash>,
    },
}

impl Hasher {
    /// Nothing is computed yet.
    pub fn new(config: &config::Passwords) -> Self {
        let cost =
            (!config.legacy).then(|| Cost::new(config.argon2_memory, config.argon2_iterations));
        let most = Semaphore::MAX_PERMITS;
        let slots_max = usize::try_from(config.hashes_max).map_or(most, |slots| slots.min(most));
        let places_max = slots_max.saturating_mul(WAITING_MAX + 1).min(most);
        let [slots, places] = [slots_max, places_max].map(|max| Arc::new(Semaphore::new(max)));
        Self { cost, slots, slots_max, places, refused: Counter::default() }
    }

    /// A place to wait in.
    ///
    /// # Errors
    /// Refuses with 22 if too many wait already.
    pub fn place(&self) -> Result<Place, Refusal> {
        match self.places.clone().try_acquire_owned() {
            Ok(permit) => Ok(Place { _permit: permit }),
            Err(_) => {
                self.refused.add(1);
                Err(Refusal::TooManyAttempts)
            }
        }
    }

    /// How often there was no place to wait in.
    pub fn refused(&self) -> &Counter {
        &self.refused
    }

    /// The hash to keep of a password that was chosen now; `salt` is random.
    pub async fn hash(
        &self,
        _place: &Place,
        user_id: &str,
        password: &[u8],
        salt: [u8; 16],
    ) -> PasswordHash {
        match self.cost {
            None => PasswordHash::legacy(user_id, password),
            Some(cost) => {
                let password = password.to_vec();
                self.blocking(move || PasswordHash::argon2id(&password, salt, cost)).await
            }
        }
    }

    /// Compares a password that was given, if any, with what is kept, if anything.
    pub async fn verify(
        &self,
        _place: &Place,
        user_id: &str,
        given: Option<&[u8]>,
        kept: Option<&PasswordHash>,
        salt: [u8; 16],
    ) -> Verified {
        let (cost, user_id) = (self.cost, user_id.to_owned());
        let (given, kept) = (given.unwrap_or_default().to_vec(), kept.cloned().zip(given));
        let kept = kept.map(|(kept, _)| kept);
        if cost.is_none() && kept.as_ref().is_none_or(PasswordHash::is_legacy) {
            let is_right = kept.is_some_and(|kept| kept.is_of(&user_id, &given));
            return if is_right { Verified::Right { replacement: None } } else { Verified::Wrong };
        }
        self.blocking(move || {
            let spend = || cost.map(|cost| PasswordHash::argon2id(&given, salt, cost));
            match kept {
                Some(kept) if kept.is_of(&user_id, &given) => {
                    let is_due = cost.is_some_and(|cost| !kept.costs(cost));
                    Verified::Right { replacement: is_due.then(spend).flatten() }
                }
                Some(kept) if !kept.is_legacy() => Verified::Wrong,
                _ => {
                    spend();
                    Verified::Wrong
                }
            }
        })
        .await
    }

    /// How many passwords are being hashed or verified.
    pub fn running(&self) -> u64 {
        self.slots_max.saturating_sub(self.slots.available_permits()) as u64
    }

    /// Runs `work` on a thread that may block, when there is a slot for it. It keeps its slot even if nobody waits any more.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let slot = self.slots.clone().acquire_owned().await.expect("never closed");
        let work = move || {
            let result = work();
            drop(slot);
            result
        };
        tokio::task::spawn_blocking(work).await.expect("a hash does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn hasher(settings: &str) -> Hasher {
        let yaml = format!("roles_cfg: {{authman: {{passwords: {{{settings}}}}}}}");
        Hasher::new(&Config::from_yaml(&yaml).unwrap().roles_cfg.authman.passwords)
    }

    const CHEAP: &str = "argon2_memory: 8192, argon2_iterations: 1";
    const OTHER: &str = "argon2_memory: 8192, argon2_iterations: 2";
    const LEGACY: &str = "legacy: true";

    /// Whether a password of a hash made under some settings is right under others, and is kept anew.
    async fn check(made: &str, verified: &str, given: Option<&[u8]>, expected: (bool, bool)) {
        let maker = hasher(made);
        let place = maker.place().unwrap();
        let kept = maker.hash(&place, "u1", b"Passw0rd", [1; 16]).await;
        let hasher = hasher(verified);
        let found = match hasher.verify(&place, "u1", given, Some(&kept), [2; 16]).await {
            Verified::Wrong => (false, false),
            Verified::Right { replacement: None } => (true, false),
            Verified::Right { replacement: Some(newer) } => {
                let again = hasher.verify(&place, "u1", given, Some(&newer), [3; 16]).await;
                assert_eq!(again, Verified::Right { replacement: None }, "it is up to date");
                (true, true)
            }
        };
        assert_eq!(found, expected, "{made} {verified}");
    }

    #[tokio::test]
    async fn hashes_of_older_kinds_are_replaced_at_a_login() {
        for (made, verified, is_due) in [
            (CHEAP, CHEAP, false),
            (CHEAP, OTHER, true),
            (LEGACY, CHEAP, true),
            (LEGACY, LEGACY, false),
            (CHEAP, LEGACY, false),
        ] {
            check(made, verified, Some(b"Passw0rd"), (true, is_due)).await;
            check(made, verified, Some(b"passw0rd"), (false, false)).await;
            check(made, verified, Some(b""), (false, false)).await;
            check(made, verified, None, (false, false)).await;
        }
        for settings in [CHEAP, LEGACY] {
            let hasher = hasher(settings);
            let place = hasher.place().unwrap();
            let found = hasher.verify(&place, "u1", Some(b"x"), None, [0; 16]).await;
            assert_eq!(found, Verified::Wrong);
        }
    }

    #[tokio::test]
    async fn a_hash_that_nobody_waits_for_keeps_its_slot() {
        let hasher = Arc::new(hasher(&format!("{CHEAP}, hashes_max: 1")));
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let waiting = tokio::spawn({
            let busy = hasher.clone();
            async move { busy.blocking(move || ended.recv()).await }
        });
        while hasher.running() == 0 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        waiting.await.unwrap_err();
        assert_eq!(hasher.running(), 1);
        end.send(()).unwrap();
        hasher.hash(&hasher.place().unwrap(), "u1", b"x", [0; 16]).await;
        assert_eq!(hasher.running(), 0);
    }

    #[test]
    fn few_may_wait() {
        let hasher = hasher(&format!("{CHEAP}, hashes_max: 2"));
        let mut places: Vec<_> = (0..500).map_while(|_| hasher.place().ok()).collect();
        assert_eq!(places.len(), 2 * 65);
        assert_eq!(hasher.place().unwrap_err(), Refusal::TooManyAttempts);
        places.pop();
        hasher.place().unwrap();
        assert_eq!(hasher.refused().get(), 2);
    }
}
