//! Attempts are limited: wrong passwords, codes and tokens, and codes that are given out.
//!
//! ```text
//!                 of one kind, on one account          limit
//! pair     account from one address                    max
//! account  account from all addresses                  per_account_max   not for an address known to be the person's
//! address  one address, whatever account and kind      per_address_max
//! ```
//!
//! Each count is a bucket: an attempt puts one in, time takes `limit` out in every `window`, and what has no room is refused
//! without being looked at. An address counts from the call's first step, whoever it is for and even for nobody; pair and
//! account count once the account is known. All that before anything is judged, so that many at once do not slip through;
//! what succeeds is taken out again and empties its pair. The address then is known to be the person's: whoever guesses
//! from elsewhere fills the account's bucket and does not shut them out. What a pair or an account has no room for counts
//! nowhere, lest who guesses at one account shuts out all others behind the same address.
//!
//! What is remembered is bounded: two generations of entries, keyed by a hash under a random key. When the younger is full
//! it becomes the older, and what nobody touched in the meantime is forgotten. Accounts that are not there get no entries, so
//! inventing names pushes nobody's out. The process forgets all of it at its end.
//!
//! Seconds are those of the caller's clock; one that goes back takes nothing out.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::answer::Refusal;
use crate::config;

/// What is attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A login with a password.
    Password,
    /// The end of a registration.
    Activation,
    /// A new password for a forgotten one.
    Restore,
    /// A code or token that is to be sent to the person.
    Issue,
}

/// Where attempts come from: the person's address as the caller gives it, else that of the connection. Addresses of IPv6
/// that differ behind their first 64 bits are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An address.
    Ip(IpAddr),
    /// Whatever the caller calls an address.
    Named(String),
}

impl Origin {
    /// The origin of a call from `peer` that names an address, or does not.
    pub fn new(named: Option<&str>, peer: IpAddr) -> Self {
        match named {
            None => Self::Ip(network(peer)),
            Some(text) => match parsed(text) {
                Some(address) => Self::Ip(network(address)),
                None => Self::Named(text.to_owned()),
            },
        }
    }
}

/// An address as applications have it: alone, in brackets, or with a port, which differs from connection to connection.
fn parsed(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

/// What stands for an address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// An attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// What is attempted.
    pub kind: Kind,
    /// The user.
    pub account: &'a str,
    /// Where it comes from.
    pub origin: &'a Origin,
}

/// What a bucket counts the attempts of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Pair,
    Account,
    Address,
}

/// A count.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// How much is in it.
    level: f64,
    /// When that was so.
    at: u64,
    /// Of a pair: the address is known to be the person's.
    is_known: bool,
}

/// The buckets by hashes of what they count.
#[derive(Default)]
struct Entries {
    younger: HashMap<u64, Bucket>,
    older: HashMap<u64, Bucket>,
}

impl Entries {
    fn get(&self, key: u64) -> Bucket {
        let found = self.younger.get(&key).or_else(|| self.older.get(&key));
        found.copied().unwrap_or_default()
    }

    /// Keeps a bucket; `max` is that of both generations.
    fn put(&mut self, key: u64, bucket: Bucket, max: u64) {
        if self.younger.len() as u64 >= max.div_ceil(2) && !self.younger.contains_key(&key) {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(key, bucket);
    }
}

/// The counts of a process.
pub struct Attempts {
    limits: config::Attempts,
    random: RandomState,
    entries: Mutex<Entries>,
    /// Attempts that were refused.
    refused: AtomicU64,
}

impl Attempts {
    /// Nothing is counted yet.
    pub fn new(limits: &config::Attempts) -> Self {
        Self {
            limits: limits.clone(),
            random: RandomState::new(),
            entries: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// How many attempts were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a call from an address.
    ///
    /// # Errors
    /// Refuses with 22 what there is no room for.
    pub fn arrive(&self, origin: &Origin, now: u64) -> Result<(), Refusal> {
        let (key, limit) = (self.address(origin), self.limits.per_address_max);
        let mut entries = self.entries.lock();
        let bucket = self.drained(entries.get(key), limit, now);
        if limit == 0 {
            return Ok(());
        }
        if bucket.level + 1.0 > limit as f64 {
            return self.refuse();
        }
        entries.put(key, Bucket { level: bucket.level + 1.0, ..bucket }, self.limits.entries_max);
        Ok(())
    }

    /// Takes a call out of the count of its address: it was a good one, or counts for less.
    pub fn leave(&self, origin: &Origin, now: u64) {
        let (key, limit) = (self.address(origin), self.limits.per_address_max);
        let mut entries = self.entries.lock();
        let bucket = self.drained(entries.get(key), limit, now);
        if bucket.level > 0.0 {
            let level = (bucket.level - 1.0).max(0.0);
            entries.put(key, Bucket { level, ..bucket }, self.limits.entries_max);
        }
    }

    /// Counts an attempt, whose call has arrived.
    ///
    /// # Errors
    /// Refuses with 22 what there is no room for; the call counts no more then.
    pub fn begin(&self, attempt: Attempt<'_>, now: u64) -> Result<(), Refusal> {
        let mut entries = self.entries.lock();
        let mut filled = Vec::with_capacity(2);
        let mut is_known = false;
        for (scope, key, limit) in self.scopes(attempt) {
            let bucket = self.drained(entries.get(key), limit, now);
            is_known |= bucket.is_known;
            if limit == 0 || (scope == Scope::Account && is_known) {
                continue;
            }
            if bucket.level + 1.0 > limit as f64 {
                drop(entries);
                self.leave(attempt.origin, now);
                return self.refuse();
            }
            filled.push((key, Bucket { level: bucket.level + 1.0, ..bucket }));
        }
        for (key, bucket) in filled {
            entries.put(key, bucket, self.limits.entries_max);
        }
        Ok(())
    }

    fn refuse(&self) -> Result<(), Refusal> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Refusal::TooManyAttempts)
    }

    /// Takes out an attempt that has succeeded, and whatever its pair had failed before.
    pub fn succeed(&self, attempt: Attempt<'_>, now: u64) {
        let mut entries = self.entries.lock();
        for (scope, key, limit) in self.scopes(attempt) {
            let bucket = self.drained(entries.get(key), limit, now);
            let bucket = match scope {
                Scope::Pair => Bucket { level: 0.0, is_known: true, ..bucket },
                _ => Bucket { level: (bucket.level - 1.0).max(0.0), ..bucket },
            };
            entries.put(key, bucket, self.limits.entries_max);
        }
    }

    /// The buckets of an attempt, the pair first: what they count, their keys, their limits.
    fn scopes(&self, attempt: Attempt<'_>) -> [(Scope, u64, u64); 2] {
        let Attempt { kind, account, origin } = attempt;
        let pair = self.random.hash_one((Scope::Pair, kind, account, origin));
        let of_account = self.random.hash_one((Scope::Account, kind, account));
        [
            (Scope::Pair, pair, self.limits.max),
            (Scope::Account, of_account, self.limits.per_account_max),
        ]
    }

    /// The key of an address's bucket.
    fn address(&self, origin: &Origin) -> u64 {
        self.random.hash_one((Scope::Address, origin))
    }

    /// A bucket at `now`, out of which `limit` goes in every window.
    fn drained(&self, bucket: Bucket, limit: u64, now: u64) -> Bucket {
        let passed = now.saturating_sub(bucket.at) as f64;
        let gone = passed * limit as f64 / self.limits.window.as_secs_f64();
        Bucket { level: (bucket.level - gone).max(0.0), at: now.max(bucket.at), ..bucket }
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempts(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn attempts(
        max: u64,
        per_account_max: u64,
        per_address_max: u64,
        entries_max: u64,
    ) -> Attempts {
        let window = Duration::from_secs(100);
        let limits =
            config::Attempts { max, per_account_max, per_address_max, window, entries_max };
        Attempts::new(&limits)
    }

    fn of<'a>(account: &'a str, origin: &'a Origin) -> Attempt<'a> {
        Attempt { kind: Kind::Password, account, origin }
    }

    fn origin(address: &str) -> Origin {
        Origin::new(Some(address), IpAddr::from([127, 0, 0, 1]))
    }

    /// How many attempts of many at one time are let through.
    fn passed(attempts: &Attempts, attempt: Attempt<'_>, now: u64) -> usize {
        (0..50).filter(|_| attempts.begin(attempt, now).is_ok()).count()
    }

    #[test]
    fn a_pair_has_a_limit_that_comes_back_with_time() {
        let (attempts, here) = (attempts(10, 0, 0, 1000), origin("10.0.0.1"));
        assert_eq!(passed(&attempts, of("u1", &here), 1000), 10);
        assert_eq!(attempts.refused(), 40);
        assert_eq!(passed(&attempts, of("u1", &here), 1009), 0);
        assert_eq!(passed(&attempts, of("u1", &here), 1010), 1);
        assert_eq!(passed(&attempts, of("u1", &here), 990), 0, "a clock that goes back");
        assert_eq!(passed(&attempts, of("u1", &here), 1110), 10);
        assert_eq!(passed(&attempts, of("u2", &here), 1110), 10);
        assert_eq!(passed(&attempts, of("u1", &origin("10.0.0.2")), 1110), 10);
        let restore = Attempt { kind: Kind::Restore, ..of("u1", &here) };
        assert_eq!(passed(&attempts, restore, 1110), 10);
    }

    #[test]
    fn who_succeeds_begins_anew() {
        let (attempts, here) = (attempts(3, 4, 0, 1000), origin("10.0.0.1"));
        for _ in 0..20 {
            attempts.begin(of("u1", &here), 1000).unwrap();
            attempts.begin(of("u1", &here), 1000).unwrap();
            attempts.succeed(of("u1", &here), 1000);
            // One failed each time; time takes it out of the account.
            assert!(passed(&attempts, of("u1", &here), 1000) >= 1);
            attempts.succeed(of("u1", &here), 1000);
        }
    }

    #[test]
    fn guesses_from_everywhere_do_not_shut_out_who_is_known() {
        let (attempts, home) = (attempts(5, 20, 0, 10_000), origin("192.168.0.1"));
        attempts.begin(of("u1", &home), 1000).unwrap();
        attempts.succeed(of("u1", &home), 1000);
        let others: Vec<_> = (0..50).map(|n| origin(&format!("10.0.0.{n}"))).collect();
        let let_through = others.iter().map(|other| passed(&attempts, of("u1", other), 1000));
        assert_eq!(let_through.sum::<usize>(), 20);
        assert_eq!(passed(&attempts, of("u1", &origin("10.0.1.1")), 1000), 0);
        assert_eq!(passed(&attempts, of("u1", &home), 1000), 5);
    }

    #[test]
    fn an_address_has_a_limit_of_its_own() {
        let (attempts, here) = (attempts(10, 0, 15, 1000), origin("10.0.0.1"));
        let arrived = |now| (0..50).filter(|_| attempts.arrive(&here, now).is_ok()).count();
        assert_eq!(arrived(1000), 15);
        assert_eq!(attempts.refused(), 35);
        attempts.arrive(&origin("10.0.0.2"), 1000).unwrap();
        attempts.leave(&here, 1000);
        assert_eq!(arrived(1000), 1);
        assert_eq!(arrived(1100), 15);
    }

    #[test]
    fn what_a_pair_has_no_room_for_does_not_count_for_its_address() {
        let (attempts, here) = (attempts(3, 0, 10, 1000), origin("10.0.0.1"));
        for n in 0..100 {
            attempts.arrive(&here, 1000).unwrap();
            assert_eq!(attempts.begin(of("u1", &here), 1000).is_ok(), n < 3);
        }
        assert_eq!((0..50).filter(|_| attempts.arrive(&here, 1000).is_ok()).count(), 7);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (attempts, here) = (attempts(2, 0, 0, 100), origin("10.0.0.1"));
        for n in 0..10_000 {
            attempts.begin(of(&n.to_string(), &here), 1000).unwrap();
        }
        let entries = attempts.entries.lock();
        assert!(entries.younger.len() + entries.older.len() <= 100);
        drop(entries);
        assert_eq!(passed(&attempts, of("9999", &here), 1000), 1);
        (0..1000).for_each(|_| attempts.arrive(&here, 1000).unwrap());
        assert_eq!(passed(&attempts, of("9999", &here), 1000), 0, "nobody leaves no entry");
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let peer = IpAddr::from([127, 0, 0, 1]);
        let check = |left: Option<&str>, right: Option<&str>, same: bool| {
            let is_same = Origin::new(left, peer) == Origin::new(right, peer);
            assert_eq!(is_same, same, "{left:?} {right:?}");
        };
        check(None, Some("127.0.0.1"), true);
        check(Some("10.0.0.1"), Some("10.0.0.2"), false);
        check(Some("10.0.0.1"), Some("::ffff:10.0.0.1"), true);
        check(Some("2001:db8::1"), Some("2001:db8::ffff:2"), true);
        check(Some("2001:db8::1"), Some("2001:db8:0:1::1"), false);
        check(Some("10.0.0.1"), Some("10.0.0.1:4000"), true);
        check(Some("10.0.0.1:4000"), Some("10.0.0.2:4000"), false);
        check(Some("2001:db8::1"), Some("[2001:db8::1]"), true);
        check(Some("2001:db8::1"), Some("[2001:db8::2]:4000"), true);
        check(Some("[2001:db8::1]:4000"), Some("[2001:db8:0:1::1]:4000"), false);
        check(Some("somebody"), Some("somebody"), true);
        check(Some("somebody"), None, false);
    }
}
