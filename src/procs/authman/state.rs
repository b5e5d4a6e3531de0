//! States: what shows that a callback belongs to a login that was begun here.
//!
//! ```text
//! social_auth_url --> state: 43 random characters, or these, a dot and the application's own state
//!                     kept with it: provider, verifier (PKCE), nonce, own state, time
//!                 --> where logins are taken without one: the application's own state as it is, if there is one
//!                     kept with it: provider, time
//! social_auth     --> taken out, so that it counts once; refused if unknown, too old, or of another provider
//! ```
//!
//! A state is kept and taken out outside of any open transaction: what a rollback brings back would count twice.
//!
//! That the person who comes back is the one who went is for the application to see: it gives what its visitor's cookie
//! holds as its own state, and again with the callback.
//!
//! Source: RFC 6749 section 10.12; RFC 7636 section 4; OpenID Connect Core 1.0 section 15.5.2; RFC 9700 section 4.7.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lycosa_proto::error::Result;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::codes::hex;
use super::model::{AccountsMut, SocialState, Store};
use crate::config::Secret;

/// Between the random part and the application's own state.
const DOT: char = '.';

/// Greatest length of the application's own state.
pub const OWN_STATE_BYTES_MAX: usize = 2048;

/// A state that has been drawn.
pub struct Drawing {
    /// The text that goes with the person.
    pub text: String,
    /// What is kept.
    pub state: SocialState,
}

impl Drawing {
    /// Draws a state for a login with `provider` that is taken until `expires_at`.
    pub fn ours(provider: &str, own_state: &str, expires_at: u64) -> Self {
        let random = random_text();
        let text = match own_state {
            "" => random.clone(),
            own_state => format!("{random}{DOT}{own_state}"),
        };
        let state = SocialState {
            key: key(&random),
            provider: provider.to_owned(),
            verifier: Secret::new(random_text()),
            nonce: random_text(),
            own_state: own_state.to_owned(),
            expires_at,
        };
        Self { text, state }
    }

    /// Takes the application's own state as it is; how hard it is to guess is the application's care.
    pub fn theirs(provider: &str, own_state: &str, expires_at: u64) -> Self {
        let state = SocialState {
            key: key(own_state),
            provider: provider.to_owned(),
            verifier: Secret::default(),
            nonce: String::new(),
            own_state: String::new(),
            expires_at,
        };
        Self { text: own_state.to_owned(), state }
    }
}

/// What a callback brings back.
#[derive(Clone, Copy)]
pub struct Returned<'a> {
    /// The provider that it is said to come from.
    pub provider: &'a str,
    /// The state.
    pub text: &'a str,
    /// Whether it has to be one that was drawn here, else the application's own.
    pub is_ours: bool,
    /// What the application knows of its visitor; None if it looks for itself.
    pub own_state: Option<&'a str>,
}

/// Takes out what was kept under a state; None if the callback belongs to no login that was begun here.
///
/// # Errors
/// Those of the database.
pub async fn take(
    store: &impl Store,
    returned: Returned<'_>,
    now: u64,
) -> Result<Option<SocialState>> {
    let whole = (returned.text, "");
    let (random, own_state) = match returned.is_ours {
        true => returned.text.split_once(DOT).unwrap_or(whole),
        false => whole,
    };
    let key = key(random);
    let take = |accounts: &mut dyn AccountsMut| accounts.take_social_state(&key);
    let found = store.outside().write(take).await?;
    // What the visitor's cookie has to hold.
    let visitors = if returned.is_ours { own_state } else { returned.text };
    let is_good = |state: &SocialState| {
        state.provider == returned.provider
            && now < state.expires_at
            && state.verifier().is_some() == returned.is_ours
            && are_same(own_state, &state.own_state)
            && returned.own_state.is_none_or(|own| are_same(own, visitors))
    };
    Ok(found.filter(is_good))
}

/// Whether two texts are the same. Takes the same time wherever they differ.
fn are_same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// The key that a state is kept under.
fn key(random: &str) -> String {
    hex(&Sha256::digest(random))
}

/// 256 random bits as 43 characters of base64url.
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
