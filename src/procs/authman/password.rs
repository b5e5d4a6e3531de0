//! Passwords: how strong they must be, what is kept in their place.
//!
//! ```text
//! sha256(user_id, password)                       32 bytes, one round, the user's id is the salt: the Lua application's
//! $argon2id$v=19$m=KIB,t=ITERATIONS,p=1$SALT$HASH   a PHC string, 16 random bytes of salt, 32 of hash
//! ```
//!
//! Both fit into the same field of a row, and each names its own kind. This is the one place that hashes and compares;
//! [`super::hashing`] decides where and when.
//!
//! Source: authman.md section 5; RFC 9106; OWASP Password Storage Cheat Sheet.

use std::fmt;

use argon2::password_hash::SaltString;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::PasswordStrength;

/// What a strength asks for: bytes, and groups of characters.
fn demands(strength: PasswordStrength) -> (usize, usize) {
    match strength {
        PasswordStrength::None => (0, 0),
        PasswordStrength::Whocares => (2, 1),
        PasswordStrength::Easy => (6, 2),
        PasswordStrength::Common => (8, 2),
        PasswordStrength::Moderate => (12, 3),
        PasswordStrength::Violence => (16, 4),
        PasswordStrength::Nightmare => (24, 4),
    }
}

/// Whether a password is strong enough. Bytes outside the four groups count for length only.
pub fn is_strong(password: &[u8], strength: PasswordStrength) -> bool {
    let groups: [fn(&u8) -> bool; 4] =
        [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit, |byte| {
            b"!@#&_=;:,/\\|`~?+-.^%$* ".contains(byte)
        }];
    let present = groups.iter().filter(|group| password.iter().any(**group)).count();
    let (bytes_min, groups_min) = demands(strength);
    password.len() >= bytes_min && present >= groups_min
}

/// What an argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    memory_kib: u32,
    /// Passes over it.
    iterations: u32,
}

/// Lanes of a hash, which are computed one after another here.
const LANES: u32 = 1;

/// Memory of a hash that is verified, whatever its row says.
const MEMORY_KIB_MAX: u32 = 1 << 20;

/// Passes of a hash that is verified, whatever its row says.
const ITERATIONS_MAX: u32 = 1 << 10;

/// Length of a hash, in bytes.
const HASH_BYTES: usize = 32;

impl Cost {
    /// The cost of `memory` bytes and so many passes; the least that there is for less.
    pub fn new(memory: u64, iterations: u64) -> Self {
        let memory_kib = u32::try_from(memory / 1024).unwrap_or(MEMORY_KIB_MAX);
        Self {
            memory_kib: memory_kib.clamp(Params::MIN_M_COST, MEMORY_KIB_MAX),
            iterations: u32::try_from(iterations)
                .unwrap_or(ITERATIONS_MAX)
                .clamp(1, ITERATIONS_MAX),
        }
    }

    /// The parameters of a stored hash, if it may be computed.
    fn of(hash: &argon2::PasswordHash<'_>) -> Option<Self> {
        let params = Params::try_from(hash).ok()?;
        let cost = Self { memory_kib: params.m_cost(), iterations: params.t_cost() };
        let is_sane = params.p_cost() == LANES
            && cost.memory_kib <= MEMORY_KIB_MAX
            && cost.iterations <= ITERATIONS_MAX;
        is_sane.then_some(cost)
    }

    fn argon2(self) -> Argon2<'static> {
        let params = Params::new(self.memory_kib, self.iterations, LANES, Some(HASH_BYTES));
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.expect("within argon2's limits"))
    }
}

/// What is kept in place of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Vec<u8>);

impl PasswordHash {
    /// The hash that the Lua application keeps.
    pub fn legacy(user_id: &str, password: &[u8]) -> Self {
        Self(salted_hash(user_id, password).to_vec())
    }

    /// A slow hash; blocks for as long as it costs.
    pub fn argon2id(password: &[u8], salt: [u8; 16], cost: Cost) -> Self {
        let salt = SaltString::encode_b64(&salt).expect("16 bytes are a salt");
        let hash = cost.argon2().hash_password(password, &salt).expect("memory for a hash");
        Self(hash.to_string().into_bytes())
    }

    /// A hash as a row has it.
    pub fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes for a row.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is of the Lua application's kind, which is verified at once.
    pub fn is_legacy(&self) -> bool {
        self.phc().is_none()
    }

    /// Whether it is a slow hash of this cost.
    pub fn costs(&self, cost: Cost) -> bool {
        self.phc().and_then(|hash| Cost::of(&hash)) == Some(cost)
    }

    /// Whether this is the hash of the user's password. Takes the same time wherever it differs; blocks for as long as it
    /// costs.
    pub fn is_of(&self, user_id: &str, password: &[u8]) -> bool {
        let Some(hash) = self.phc() else {
            return salted_hash(user_id, password).ct_eq(&self.0).into();
        };
        Cost::of(&hash).is_some_and(|cost| cost.argon2().verify_password(password, &hash).is_ok())
    }

    /// The PHC string, if it is one.
    fn phc(&self) -> Option<argon2::PasswordHash<'_>> {
        let text = std::str::from_utf8(&self.0).ok().filter(|text| text.starts_with(PHC))?;
        argon2::PasswordHash::new(text).ok()
    }
}

/// What a slow hash begins with.
const PHC: &str = "$argon2id$";

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// SHA-256 of a salt and a text behind it.
pub(super) fn salted_hash(salt: &str, text: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(text).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_counts_bytes_and_groups() {
        let check = |password: &str, strength: PasswordStrength, strong: bool| {
            assert_eq!(is_strong(password.as_bytes(), strength), strong, "{password} {strength:?}");
        };
        check("", PasswordStrength::None, true);
        check("a", PasswordStrength::Whocares, false);
        check("ab", PasswordStrength::Whocares, true);
        check("()", PasswordStrength::Whocares, false);
        check("abcdef", PasswordStrength::Easy, false);
        check("abcde1", PasswordStrength::Easy, true);
        check("Passw0r", PasswordStrength::Common, false);
        check("Passw0rd", PasswordStrength::Common, true);
        check("\u{430}\u{431}\u{432}a1", PasswordStrength::Common, true);
        check("password1234", PasswordStrength::Moderate, false);
        check("Password1234", PasswordStrength::Moderate, true);
        check("Password12345678", PasswordStrength::Violence, false);
        check("Password 1234567", PasswordStrength::Violence, true);
        check("Password 1234567", PasswordStrength::Nightmare, false);
        check("Password 123456789012345", PasswordStrength::Nightmare, true);
    }

    #[test]
    fn a_hash_is_a_known_value() {
        let abc = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61,
            0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(PasswordHash::legacy("a", b"bc").as_bytes(), abc);
    }

    #[test]
    fn a_hash_is_of_one_password_of_one_user() {
        let hash = PasswordHash::legacy("u1", b"Passw0rd");
        let check = |hash: &PasswordHash, user_id: &str, password: &[u8], expected: bool| {
            assert_eq!(hash.is_of(user_id, password), expected, "{user_id} {password:?}");
        };
        check(&hash, "u1", b"Passw0rd", true);
        check(&hash, "u1", b"passw0rd", false);
        check(&hash, "u1", b"", false);
        check(&hash, "u2", b"Passw0rd", false);
        check(&PasswordHash::legacy("u1", &[0xff, 0]), "u1", &[0xff, 0], true);
        let cut = |len: usize| PasswordHash::stored(hash.as_bytes()[..len].to_vec());
        (0..32).for_each(|len| check(&cut(len), "u1", b"Passw0rd", false));
        check(&cut(32), "u1", b"Passw0rd", true);
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }

    #[test]
    fn a_slow_hash_names_its_cost() {
        let cost = Cost::new(64 << 10, 3);
        let hash = PasswordHash::argon2id(b"Passw0rd", [7; 16], cost);
        let text = std::str::from_utf8(hash.as_bytes()).unwrap();
        let salt = "BwcHBwcHBwcHBwcHBwcHBw";
        assert!(text.starts_with(&format!("$argon2id$v=19$m=64,t=3,p=1${salt}$")), "{text}");
        assert!(!hash.is_legacy() && hash.costs(cost) && !hash.costs(Cost::new(64 << 10, 2)));
        assert!(hash.is_of("u1", b"Passw0rd") && hash.is_of("u2", b"Passw0rd"));
        assert!(!hash.is_of("u1", b"passw0rd") && !hash.is_of("u1", b""));
        for len in 0..text.len() {
            assert!(
                !PasswordHash::stored(text.as_bytes()[..len].to_vec()).is_of("u1", b"Passw0rd")
            );
        }
    }

    /// argon2-cffi 23.1.0: `PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash("Passw0rd", salt=b"7" * 16)`.
    #[test]
    fn a_slow_hash_of_another_program() {
        let text = "$argon2id$v=19$m=64,t=2,p=1$Nzc3Nzc3Nzc3Nzc3Nzc3Nw$BtO+yopveysIJzT39gYxOgAJitp6RYzebd1GQunb4sQ";
        let hash = PasswordHash::stored(text.as_bytes().to_vec());
        assert!(hash.is_of("u1", b"Passw0rd") && !hash.is_of("u1", b"passw0rd"));
        assert_eq!(hash, PasswordHash::argon2id(b"Passw0rd", [b'7'; 16], Cost::new(64 << 10, 2)));
    }

    #[test]
    fn a_hash_that_would_cost_too_much_is_of_nothing() {
        for params in ["m=2097152,t=1,p=1", "m=8,t=2000,p=1", "m=64,t=1,p=4"] {
            let text =
                format!("$argon2id$v=19${params}$BwcHBwcHBwcHBwcHBwcHBw$BwcHBwcHBwcHBwcHBwcHBw");
            assert!(!PasswordHash::stored(text.into_bytes()).is_of("u1", b"x"), "{params}");
        }
    }
}
