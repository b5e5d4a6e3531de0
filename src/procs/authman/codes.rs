//! Codes that a person gets by email: to complete a registration, to choose a new password.
//!
//! ```text
//! activation code = hex(md5(activation_secret, user_id))         the same for a user at all times
//! restore token   = hex(md5(user_id, seconds, restore_secret))   kept in auth_password_token until it is used
//! ```
//!
//! Both are those of the Lua application, so that what one gave out the other takes. Only this file knows how they are
//! made; a restore token is checked against its row, so those of another kind would be taken at once.
//!
//! Source: authman.md section 5.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// The code that completes a user's registration.
pub fn activation_code(secret: &Secret, user_id: &str) -> Secret {
    let hash = Md5::new().chain_update(secret.expose()).chain_update(user_id);
    Secret::new(hex(&hash.finalize()))
}

/// A token to choose a new password with; `now` in seconds since the epoch.
pub fn restore_token(secret: &Secret, user_id: &str, now: u64) -> Secret {
    let hash = Md5::new().chain_update(user_id).chain_update(now.to_string());
    Secret::new(hex(&hash.chain_update(secret.expose()).finalize()))
}

/// Whether a person gave the right code. Takes the same time wherever it differs.
pub fn is_right(given: &str, right: &Secret) -> bool {
    given.as_bytes().ct_eq(right.expose().as_bytes()).into()
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
    fn codes_are_known_values() {
        let abc = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(activation_code(&Secret::new("ab"), "c").expose(), abc);
        let a1c = hex(&Md5::digest("a1795450825c"));
        assert_eq!(restore_token(&Secret::new("c"), "a", 1_795_450_825).expose(), a1c);
    }

    #[test]
    fn only_the_whole_code_is_right() {
        let check = |given: &str, right: &str, expected: bool| {
            assert_eq!(is_right(given, &Secret::new(right)), expected, "{given} {right}");
        };
        check("abc", "abc", true);
        check("abd", "abc", false);
        check("ab", "abc", false);
        check("abcd", "abc", false);
        check("ABC", "abc", false);
        check("", "abc", false);
    }
}
