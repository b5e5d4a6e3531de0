//! What is kept between the consent page and the callback.

use lycosa_proto::msgpack::{items, write_array, write_str, write_uint};

use super::row::{Fields, Row};
use crate::config::Secret;

/// A login that has been begun, of space `auth_social_state`.
#[derive(Clone, Debug, PartialEq)]
pub struct SocialState {
    /// A hash of the text that comes back, so that who reads the row cannot end the login.
    pub key: String,
    /// The provider's name.
    pub provider: String,
    /// Proves, when the code is exchanged, that it was us who asked for it; empty for a state of the application's.
    pub verifier: Secret,
    /// Comes back in the ID token; likewise.
    pub nonce: String,
    /// What the application wants back; empty for nothing.
    pub own_state: String,
    /// When it is not taken any more, in seconds since the epoch.
    pub expires_at: u64,
}

impl SocialState {
    /// The verifier, if there is one.
    pub fn verifier(&self) -> Option<&str> {
        Some(self.verifier.expose()).filter(|verifier| !verifier.is_empty())
    }

    /// The nonce, if there is one.
    pub fn nonce(&self) -> Option<&str> {
        Some(self.nonce.as_str()).filter(|nonce| !nonce.is_empty())
    }
}

impl Row for SocialState {
    const SPACE: &'static str = "social_state";
    const FIELDS: usize = 6;

    fn write(&self, out: &mut Vec<u8>) {
        write_array(out, Self::FIELDS);
        let verifier = self.verifier.expose();
        for text in [&self.key, &self.provider, verifier, &self.nonce, &self.own_state] {
            write_str(out, text);
        }
        write_uint(out, self.expires_at);
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            key: fields.text()?,
            provider: fields.text()?,
            verifier: Secret::new(fields.text()?),
            nonce: fields.text()?,
            own_state: fields.text()?,
            expires_at: fields.uint()?,
        })
    }
}
