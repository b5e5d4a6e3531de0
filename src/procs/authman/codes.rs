//! Codes that a person gets by email: to complete a registration, to choose a new password.
//!
//! ```text
//!                  given out                                          kept in auth_password_token
//! activation code  hex(sha256(sha256(activation_secret), seed,        [user_id, seed, expires_at], the seed being
//!                  user_id)[..16])                                    hex(16 random bytes)
//! restore token    hex(sha256(sha256(restore_secret), seed, user_id,  the same
//!                  "restore")[..16])
//! legacy:
//! activation code  hex(md5(activation_secret, user_id))               nothing: the same for a user at all times
//! restore token    hex(md5(user_id, seconds, restore_secret))         [user_id, token], until it is used
//! ```
//!
//! A user has one row: for an activation code while they are not active, for a restore token afterwards. Who asks again gets
//! the same one as long as half of its life is left, as people expect who have two emails, and so that nobody makes worthless
//! what somebody else has asked for; a newer one takes its place afterwards. What was used is gone. Rows of the Lua
//! application's kind are taken with `codes.legacy` only.
//!
//! Source: authman.md section 5.

use std::fmt::Write as _;
use std::time::Duration;

use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::answer::Refusal;
use super::attempts::Kind;
use super::model::PasswordToken;
use super::{Drawn, Secrets};
use crate::config::{self, Secret};

/// Length of a code before it becomes hexadecimal digits, in bytes.
const CODE_BYTES: usize = 16;

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To complete a registration.
    Activation,
    /// To choose a new password.
    Restore,
}

impl Use {
    /// How a wrong code is refused.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Activation => Refusal::WrongActivationCode,
            Self::Restore => Refusal::WrongRestoreToken,
        }
    }

    /// What trying one counts as.
    pub fn attempt(self) -> Kind {
        match self {
            Self::Activation => Kind::Activation,
            Self::Restore => Kind::Restore,
        }
    }
}

/// Makes codes and takes them.
#[derive(Debug)]
pub struct Codes {
    /// They are those of the Lua application.
    is_legacy: bool,
    activation_secret: Secret,
    restore_secret: Secret,
    activation_lifetime: Duration,
    restore_lifetime: Duration,
}

impl Codes {
    /// Codes as the configuration wants them.
    pub fn new(config: &config::Codes, secrets: &Secrets) -> Self {
        Self {
            is_legacy: config.legacy,
            activation_secret: secrets.activation.clone(),
            restore_secret: secrets.restore.clone(),
            activation_lifetime: config.activation_lifetime,
            restore_lifetime: config.restore_lifetime,
        }
    }

    /// A code to give out, and what to keep of it, if anything; `kept` is what there is.
    pub fn issue(
        &self,
        code_use: Use,
        user_id: &str,
        kept: Option<PasswordToken>,
        drawn: Drawn<'_>,
    ) -> (Secret, Option<PasswordToken>) {
        let row =
            |token, expires_at| PasswordToken { user_id: user_id.to_owned(), token, expires_at };
        match (self.is_legacy, code_use) {
            (true, Use::Activation) => (activation_code(&self.activation_secret, user_id), None),
            (true, Use::Restore) => {
                let token = restore_token(&self.restore_secret, user_id, drawn.now);
                (token.clone(), Some(row(token, None)))
            }
            (false, _) => {
                let lifetime = match code_use {
                    Use::Activation => self.activation_lifetime,
                    Use::Restore => self.restore_lifetime,
                };
                let young = ends_at(drawn.now, lifetime / 2);
                let kept = kept.filter(|kept| kept.expires_at.is_some_and(|time| time >= young));
                let seed = || Secret::new(hex(&(drawn.bytes)()[..CODE_BYTES]));
                let kept = kept.unwrap_or_else(|| row(seed(), Some(ends_at(drawn.now, lifetime))));
                (self.grown(code_use, user_id, &kept.token), Some(kept))
            }
        }
    }

    /// Whether a person gave the right code. Takes the same time wherever it differs.
    pub fn accepts(
        &self,
        code_use: Use,
        user_id: &str,
        given: &Secret,
        kept: Option<&PasswordToken>,
        now: u64,
    ) -> bool {
        let living = kept.filter(|kept| kept.expires_at.is_some_and(|time| now < time));
        let is_right =
            living.is_some_and(|kept| are_same(given, &self.grown(code_use, user_id, &kept.token)));
        let is_legacy = match code_use {
            Use::Activation => are_same(given, &activation_code(&self.activation_secret, user_id)),
            // A row with a time holds a seed, which is no token.
            Use::Restore => {
                kept.is_some_and(|kept| kept.expires_at.is_none() && are_same(given, &kept.token))
            }
        };
        is_right || (self.is_legacy && is_legacy)
    }

    /// The code that comes from a seed. Nobody can make it without the secret, however much they read.
    fn grown(&self, code_use: Use, user_id: &str, seed: &Secret) -> Secret {
        let (secret, mark) = match code_use {
            Use::Activation => (&self.activation_secret, ""),
            Use::Restore => (&self.restore_secret, "restore"),
        };
        let secret = Sha256::digest(secret.expose());
        let hash = Sha256::new().chain_update(secret).chain_update(seed.expose());
        let hash = hash.chain_update(user_id).chain_update(mark).finalize();
        Secret::new(hex(&hash[..CODE_BYTES]))
    }
}

/// The time at which something ends that is there for `lifetime` from `now`: a second at least.
pub(super) fn ends_at(now: u64, lifetime: Duration) -> u64 {
    now.saturating_add(lifetime.as_secs().max(1))
}

/// The Lua application's code that completes a user's registration.
fn activation_code(secret: &Secret, user_id: &str) -> Secret {
    let hash = Md5::new().chain_update(secret.expose()).chain_update(user_id);
    Secret::new(hex(&hash.finalize()))
}

/// The Lua application's token to choose a new password with; `now` in seconds since the epoch.
fn restore_token(secret: &Secret, user_id: &str, now: u64) -> Secret {
    let hash = Md5::new().chain_update(user_id).chain_update(now.to_string());
    Secret::new(hex(&hash.chain_update(secret.expose()).finalize()))
}

/// Whether two texts are the same. Takes the same time wherever they differ.
fn are_same(left: &Secret, right: &Secret) -> bool {
    left.expose().as_bytes().ct_eq(right.expose().as_bytes()).into()
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
    use crate::config::Config;

    fn codes(settings: &str) -> Codes {
        let yaml = format!("roles_cfg: {{authman: {{codes: {{{settings}}}}}}}");
        let config = Config::from_yaml(&yaml).unwrap().roles_cfg.authman;
        let secret = || Secret::new("x");
        let secrets = Secrets { activation: secret(), session: secret(), restore: secret() };
        Codes::new(&config.codes, &secrets)
    }

    fn drawn(now: u64) -> Drawn<'static> {
        Drawn { now, uuid: &String::new, bytes: &|| [0xab; 32], address: [127, 0, 0, 1].into() }
    }

    const BOTH: [Use; 2] = [Use::Activation, Use::Restore];

    #[test]
    fn legacy_codes_are_known_values() {
        let abc = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(activation_code(&Secret::new("ab"), "c").expose(), abc);
        let a1c = hex(&Md5::digest("a1795450825c"));
        assert_eq!(restore_token(&Secret::new("c"), "a", 1_795_450_825).expose(), a1c);
    }

    #[test]
    fn a_code_is_for_one_user_one_use_and_a_time() {
        let codes = codes("activation_lifetime: 100, restore_lifetime: 50");
        for (code_use, lifetime) in [(Use::Activation, 100), (Use::Restore, 50)] {
            let (given, kept) = codes.issue(code_use, "u1", None, drawn(1000));
            let kept = kept.unwrap();
            assert_eq!(given.expose().len(), 32);
            assert_ne!(kept.token, given);
            assert_eq!(kept.expires_at, Some(1000 + lifetime));
            let check = |code_use, user_id: &str, given: &str, now, expected: bool| {
                let given = Secret::new(given);
                let found = codes.accepts(code_use, user_id, &given, Some(&kept), now);
                assert_eq!(found, expected, "{code_use:?} {user_id} {now}");
            };
            let right = given.expose();
            check(code_use, "u1", right, 1000, true);
            check(code_use, "u1", right, 999 + lifetime, true);
            check(code_use, "u1", right, 1000 + lifetime, false);
            check(code_use, "u2", right, 1000, false);
            check(code_use, "u1", &right.to_uppercase(), 1000, false);
            check(code_use, "u1", &right[1..], 1000, false);
            check(code_use, "u1", "", 1000, false);
            check(code_use, "u1", kept.token.expose(), 1000, false);
            let other = BOTH.into_iter().find(|other| *other != code_use).unwrap();
            check(other, "u1", right, 1000, false);
            assert!(!codes.accepts(code_use, "u1", &given, None, 1000));
        }
    }

    #[test]
    fn a_code_is_given_again_while_it_is_young() {
        let codes = codes("activation_lifetime: 100, restore_lifetime: 100");
        for code_use in BOTH {
            let issue = |kept: &Option<PasswordToken>, now| {
                let fresh = || [now as u8; 32];
                let drawn = Drawn { bytes: &fresh, ..drawn(now) };
                codes.issue(code_use, "u1", kept.clone(), drawn)
            };
            let (first, kept) = issue(&None, 1000);
            assert_eq!(issue(&kept, 1050), (first.clone(), kept.clone()));
            let (second, newer) = issue(&kept, 1051);
            assert_ne!(second, first);
            assert_eq!(newer.unwrap().expires_at, Some(1151));
            assert_ne!(issue(&kept, 1000 + 100).0, first);
        }
    }

    /// The formulas spelt out by hand, so that a change of making and taking together cannot pass.
    #[test]
    fn codes_made_by_the_formula() {
        for (code_use, mark) in [(Use::Activation, ""), (Use::Restore, "restore")] {
            let (given, kept) = codes("").issue(code_use, "u1", None, drawn(1000));
            let seed = "ab".repeat(16);
            assert_eq!(kept.unwrap().token.expose(), seed);
            let text = [&Sha256::digest("x")[..], format!("{seed}u1{mark}").as_bytes()].concat();
            assert_eq!(given.expose(), &hex(&Sha256::digest(text))[..32]);
        }
    }

    #[test]
    fn codes_of_the_lua_application_are_taken_where_it_is_asked_for() {
        let (legacy, safe) = (codes("legacy: true"), codes(""));
        for code_use in BOTH {
            let (given, kept) = legacy.issue(code_use, "u1", None, drawn(1000));
            let takes = |codes: &Codes, given: &Secret| {
                codes.accepts(code_use, "u1", given, kept.as_ref(), u64::MAX)
            };
            assert_eq!(kept.is_some(), code_use == Use::Restore);
            assert!(takes(&legacy, &given) && !takes(&legacy, &Secret::new("x")));
            assert!(!takes(&safe, &given));
            let (newer, kept) = safe.issue(code_use, "u1", kept.clone(), drawn(1000));
            assert!(legacy.accepts(code_use, "u1", &newer, kept.as_ref(), 1000));
            let row = kept.unwrap();
            assert!(!legacy.accepts(code_use, "u1", &row.token, Some(&row), 1000), "a seed");
        }
    }
}
