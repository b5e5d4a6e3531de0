//! Passwords and codes derived from secrets.
//!
//! One round of SHA-256 and plain MD5 are what the Lua application stores; a database that both open cannot have better.
//!
//! Source: authman.md section 5.

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::config::{PasswordStrength, Secret};

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

/// Whether a password is strong enough. Characters outside the four groups count for length only.
pub fn is_strong(password: &str, strength: PasswordStrength) -> bool {
    let groups: [fn(char) -> bool; 4] = [
        |c| c.is_ascii_lowercase(),
        |c| c.is_ascii_uppercase(),
        |c| c.is_ascii_digit(),
        |c| "!@#&_=;:,/\\|`~?+-.^%$* ".contains(c),
    ];
    let present = groups.iter().filter(|group| password.contains(**group)).count();
    let (bytes_min, groups_min) = demands(strength);
    password.len() >= bytes_min && present >= groups_min
}

/// The hash that is stored: SHA-256 of the user's id and the password.
pub fn hash(user_id: &str, password: &str) -> [u8; 32] {
    Sha256::new().chain_update(user_id).chain_update(password).finalize().into()
}

/// The code that completes a registration; the same for a user at all times.
pub fn activation_code(secret: &Secret, user_id: &str) -> String {
    hex(&Md5::new().chain_update(secret.expose()).chain_update(user_id).finalize())
}

/// Bytes as lower case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_counts_bytes_and_groups() {
        let check = |password: &str, strength: PasswordStrength, strong: bool| {
            assert_eq!(is_strong(password, strength), strong, "{password} {strength:?}");
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
    fn hashes_are_known_values() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&hash("a", "bc")), abc);
        let md5 = activation_code(&Secret::new("ab"), "c");
        assert_eq!(md5, "900150983cd24fb0d6963f7d28e17f72");
    }
}
