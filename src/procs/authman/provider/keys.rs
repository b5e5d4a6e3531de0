//! The public keys of a provider, which sign its ID tokens.
//!
//! A key that is not understood is left out; the others still count.
//!
//! Source: RFC 7517 sections 4 and 5.

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;

use super::ProviderError;

/// Keys beyond these are ignored.
const KEYS_MAX: usize = 100;

/// A provider's keys.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<(Jwk, DecodingKey)>);

impl Keys {
    /// Reads a set of keys.
    pub(super) fn read(json: &Value) -> Result<Self, ProviderError> {
        let keys = json.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(ProviderError::Missing("keys"))?.iter().take(KEYS_MAX);
        let read = |json: &Value| {
            let key: Jwk = serde_json::from_value(json.clone()).ok()?;
            let decoding = DecodingKey::from_jwk(&key).ok()?;
            Some((key, decoding))
        };
        Ok(Self(keys.filter_map(read).collect()))
    }

    /// The key that a token with this header is signed with: of its id, or the only one that fits if it names none.
    pub(super) fn find(&self, header: &Header) -> Option<&DecodingKey> {
        let mut fit = self.0.iter().filter(|(jwk, key)| fits(jwk, key, header.alg));
        match &header.kid {
            Some(kid) => {
                fit.find(|(jwk, _)| jwk.common.key_id.as_ref() == Some(kid)).map(|(_, key)| key)
            }
            None => fit.next().filter(|_| fit.next().is_none()).map(|(_, key)| key),
        }
    }
}

/// Whether a key may be used with this algorithm.
fn fits(jwk: &Jwk, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let common = &jwk.common;
    let is_for_signatures =
        common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let may_verify =
        common.key_operations.as_ref().is_none_or(|of| of.contains(&KeyOperations::Verify));
    let is_of_algorithm = common.key_algorithm.is_none_or(|of| of == KeyAlgorithm::from(algorithm));
    is_for_signatures && may_verify && is_of_algorithm && key.family() == algorithm.family()
}
