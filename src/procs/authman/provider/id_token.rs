//! ID tokens: who has logged in, signed by the provider, for this application and this login.
//!
//! Nothing of a token is believed before its signature is verified with a key of the provider and each claim below has
//! been checked. A claim of another type than it must have is refused, not taken for an absent one.
//!
//! Source: OpenID Connect Core 1.0 sections 2 and 3.1.3.7; RFC 8725.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::ProviderError;
use super::discovery::is_issuer;

/// What a token must say.
pub(super) struct Expected<'a> {
    /// Who has signed it.
    pub(super) issuer: &'a str,
    /// Whom it is for.
    pub(super) client_id: &'a str,
    /// The login that it is for; None at a refresh, where there is none.
    pub(super) nonce: Option<&'a str>,
    /// The time, in seconds since the epoch.
    pub(super) now: u64,
    /// How far the provider's clock may be off.
    pub(super) clock_skew: Duration,
}

/// The header of a token, if it is signed in one of the ways that are allowed.
pub(super) fn header(token: &str, allowed: &[Algorithm]) -> Result<Header, ProviderError> {
    let header = decode_header(token).map_err(|_| ProviderError::IdToken("form"))?;
    if !allowed.contains(&header.alg) {
        return Err(ProviderError::IdToken("alg"));
    }
    // What must be understood and is not.
    if header.crit.is_some() {
        return Err(ProviderError::IdToken("crit"));
    }
    Ok(header)
}

/// The claims of a token, once everything about it is as expected.
pub(super) fn verify(
    token: &str,
    header: &Header,
    key: &DecodingKey,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, ProviderError> {
    // The claims are checked below, against the time that is handed in.
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = decode::<Map<String, Value>>(token, key, &validation);
    let claims = decoded.map_err(|_| ProviderError::IdToken("signature"))?.claims;
    check(&claims, expected)?;
    Ok(claims)
}

/// Checks the claims.
fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), ProviderError> {
    let refused = |claim| Err(ProviderError::IdToken(claim));
    let text = |claim| claims.get(claim).and_then(Value::as_str);
    if !text("iss").is_some_and(|found| is_issuer(expected.issuer, found, text("tid"))) {
        return refused("iss");
    }
    if !is_for(claims.get("aud"), expected.client_id) {
        return refused("aud");
    }
    let has_others = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    match claims.get("azp") {
        None if has_others => return refused("azp"),
        Some(azp) if azp != expected.client_id => return refused("azp"),
        _ => {}
    }
    let (now, skew) = (expected.now as f64, expected.clock_skew.as_secs_f64());
    let time = |claim| claims.get(claim).and_then(Value::as_f64);
    if !time("exp").is_some_and(|exp| now < exp + skew) {
        return refused("exp");
    }
    if !time("iat").is_some_and(|iat| iat <= now + skew) {
        return refused("iat");
    }
    if claims.contains_key("nbf") && !time("nbf").is_some_and(|nbf| nbf <= now + skew) {
        return refused("nbf");
    }
    if let Some(nonce) = expected.nonce {
        let found = text("nonce").unwrap_or_default();
        if !bool::from(found.as_bytes().ct_eq(nonce.as_bytes())) {
            return refused("nonce");
        }
    }
    if text("sub").is_none_or(str::is_empty) {
        return refused("sub");
    }
    Ok(())
}

/// Whether `client_id` is the audience or one of several.
fn is_for(aud: Option<&Value>, client_id: &str) -> bool {
    match aud {
        Some(Value::String(aud)) => aud == client_id,
        Some(Value::Array(all)) => {
            all.iter().all(Value::is_string) && all.iter().any(|aud| aud == client_id)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn claims() -> Value {
        json!({"iss": "https://i", "aud": "C", "exp": NOW + 100, "iat": NOW, "nonce": "n", "sub": "s"})
    }

    #[test]
    fn every_claim_counts() {
        let expected = Expected {
            issuer: "https://i",
            client_id: "C",
            nonce: Some("n"),
            now: NOW,
            clock_skew: Duration::from_secs(60),
        };
        let check = |changes: Value, result: Result<(), &'static str>| {
            let mut claims = claims().as_object().unwrap().clone();
            for (claim, value) in changes.as_object().unwrap() {
                match value {
                    Value::Null => drop(claims.remove(claim)),
                    value => drop(claims.insert(claim.clone(), value.clone())),
                }
            }
            let checked = super::check(&claims, &expected);
            assert_eq!(checked, result.map_err(ProviderError::IdToken), "{changes}");
        };
        check(json!({}), Ok(()));
        for claim in ["iss", "aud", "exp", "iat", "nonce", "sub"] {
            check(json!({claim: null}), Err(claim));
        }
        for claim in ["iss", "aud", "exp", "iat", "nbf", "nonce", "sub"] {
            check(json!({claim: {"of": "another type"}}), Err(claim));
        }
        check(json!({"iss": "https://i/"}), Err("iss"));
        check(json!({"aud": "D"}), Err("aud"));
        check(json!({"aud": []}), Err("aud"));
        check(json!({"aud": ["C"]}), Ok(()));
        check(json!({"aud": ["C", "D"]}), Err("azp"));
        check(json!({"aud": ["C", "D"], "azp": "C"}), Ok(()));
        check(json!({"aud": ["C", "D"], "azp": "D"}), Err("azp"));
        check(json!({"azp": "D"}), Err("azp"));
        check(json!({"exp": NOW - 59}), Ok(()));
        check(json!({"exp": NOW - 60}), Err("exp"));
        check(json!({"exp": "9999999999"}), Err("exp"));
        check(json!({"iat": NOW + 60}), Ok(()));
        check(json!({"iat": NOW + 61}), Err("iat"));
        check(json!({"nbf": NOW + 60}), Ok(()));
        check(json!({"nbf": NOW + 61}), Err("nbf"));
        check(json!({"nonce": "N"}), Err("nonce"));
        check(json!({"sub": ""}), Err("sub"));
        check(json!({"sub": 5}), Err("sub"));
    }

    #[test]
    fn without_a_login_there_is_no_nonce() {
        let expected = Expected {
            issuer: "https://i",
            client_id: "C",
            nonce: None,
            now: NOW,
            clock_skew: Duration::ZERO,
        };
        let claims =
            json!({"iss": "https://i", "aud": "C", "exp": NOW + 1, "iat": NOW, "sub": "s"});
        assert_eq!(check(claims.as_object().unwrap(), &expected), Ok(()));
    }
}
