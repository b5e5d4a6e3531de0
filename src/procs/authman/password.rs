//! Passwords: how strong they must be, how they are kept, how one is verified.
//!
//! This is the one place that hashes and verifies. [`PasswordHash`] is whatever bytes the row holds, so that another kind
//! of hash, with its parameters in front, can stand beside this one: [`PasswordHash::of`] would make it,
//! [`PasswordHash::is_of`] would tell the kinds apart. A slow hash must then be computed outside the transaction.
//!
//! ```text
//! hash = sha256(user_id, password)       32 bytes, one round, the user's id is the salt
//! ```
//!
//! That is what the Lua application stores; a database that both open cannot have better.
//!
//! Source: authman.md section 5.

use std::fmt;

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

/// What is kept in place of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Vec<u8>);

impl PasswordHash {
    /// The hash to keep of a password that was chosen now.
    pub fn of(user_id: &str, password: &[u8]) -> Self {
        Self(salted_hash(user_id, password).to_vec())
    }

    /// A hash as a row has it.
    pub fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes for a row.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the hash of the user's password. Takes the same time wherever it differs.
    pub fn is_of(&self, user_id: &str, password: &[u8]) -> bool {
        salted_hash(user_id, password).ct_eq(&self.0).into()
    }
}

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
        assert_eq!(PasswordHash::of("a", b"bc").as_bytes(), abc);
    }

    #[test]
    fn a_hash_is_of_one_password_of_one_user() {
        let hash = PasswordHash::of("u1", b"Passw0rd");
        let check = |hash: &PasswordHash, user_id: &str, password: &[u8], expected: bool| {
            assert_eq!(hash.is_of(user_id, password), expected, "{user_id} {password:?}");
        };
        check(&hash, "u1", b"Passw0rd", true);
        check(&hash, "u1", b"passw0rd", false);
        check(&hash, "u1", b"", false);
        check(&hash, "u2", b"Passw0rd", false);
        check(&PasswordHash::of("u1", &[0xff, 0]), "u1", &[0xff, 0], true);
        let cut = |len: usize| PasswordHash::stored(hash.as_bytes()[..len].to_vec());
        (0..32).for_each(|len| check(&cut(len), "u1", b"Passw0rd", false));
        check(&cut(32), "u1", b"Passw0rd", true);
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
