//! Signed login sessions.
//!
//! ```text
//! payload   = base64(json {sid, type, exp[, update]})
//! signature = base64(hex(sha256(code, payload, session_secret)))
//! session   = payload "." signature
//! ```
//!
//! `code` is known to the row of the session only. Times are seconds since the epoch. Whatever a client sends, reading
//! a session gives claims or nothing; claims mean nothing before [`Signed::is_genuine`].
//!
//! Source: authman.md section 6.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::codes::hex;
use crate::config::Secret;

/// A session as a client sent it.
pub struct Signed<'a> {
    payload: &'a str,
    signature: &'a str,
    /// The id of the session's row.
    pub sid: String,
    /// Whether it came from a provider.
    pub is_social: bool,
    /// When it ends; in the past if the payload does not say.
    pub exp: f64,
    /// When a social session asks its provider again; in the past if the payload does not say.
    pub update: f64,
}

impl<'a> Signed<'a> {
    /// Reads a session; none if it cannot be one.
    pub fn parse(session: &'a str) -> Option<Self> {
        let (payload, signature) = session.split_once('.')?;
        let json: Value = serde_json::from_slice(&STANDARD.decode(payload).ok()?).ok()?;
        let time = |key: &str| json.get(key).and_then(Value::as_f64).unwrap_or(f64::MIN);
        Some(Self {
            payload,
            signature,
            sid: json.get("sid")?.as_str()?.to_owned(),
            is_social: json.get("type").and_then(Value::as_str) == Some("social"),
            exp: time("exp"),
            update: time("update"),
        })
    }

    /// Whether the signature is the one that `code` and `secret` give. Takes the same time wherever it differs.
    pub fn is_genuine(&self, code: &str, secret: &Secret) -> bool {
        signature(code, self.payload, secret).as_bytes().ct_eq(self.signature.as_bytes()).into()
    }
}

impl fmt::Debug for Signed<'_> {
    /// Shows whose it is; with the rest anybody could use it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("sid", &self.sid).finish_non_exhaustive()
    }
}

/// Makes a session: social if it has a time of `update`, else common.
pub fn sign(
    sid: &str,
    code: &str,
    exp: &Number,
    update: Option<&Number>,
    secret: &Secret,
) -> Secret {
    let mut json = Map::new();
    json.insert("sid".into(), sid.into());
    json.insert("type".into(), if update.is_some() { "social" } else { "common" }.into());
    json.insert("exp".into(), exp.clone().into());
    if let Some(update) = update {
        json.insert("update".into(), update.clone().into());
    }
    let payload = STANDARD.encode(Value::Object(json).to_string());
    let signature = signature(code, &payload, secret);
    Secret::new(format!("{payload}.{signature}"))
}

fn signature(code: &str, payload: &str, secret: &Secret) -> String {
    let hash = Sha256::new().chain_update(code).chain_update(payload);
    STANDARD.encode(hex(&hash.chain_update(secret.expose()).finalize()))
}

/// The time `after` from `now`: whole seconds as an integer, as Lua writes them.
pub fn instant(now: u64, after: Duration) -> Number {
    let whole = after.subsec_nanos() == 0;
    let float = || Number::from_f64(now as f64 + after.as_secs_f64());
    let exact = Number::from(now.saturating_add(after.as_secs()));
    if whole { exact } else { float().unwrap_or(exact) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new("secret")
    }

    #[test]
    fn what_is_signed_reads_back() {
        let check = |update: Option<u64>| {
            let update_at = update.map(Number::from);
            let text = sign("sid-1", "code", &1000.into(), update_at.as_ref(), &secret());
            let signed = Signed::parse(text.expose()).unwrap();
            let shown = format!("{signed:?} {text:?}");
            assert!(!shown.contains(text.expose().split_once('.').unwrap().1), "{shown}");
            assert_eq!((signed.sid.as_str(), signed.exp), ("sid-1", 1000.0));
            assert_eq!(signed.is_social, update.is_some());
            assert_eq!(signed.update, update.map_or(f64::MIN, |time| time as f64));
            assert!(signed.is_genuine("code", &secret()));
            assert!(!signed.is_genuine("other", &secret()));
            assert!(!signed.is_genuine("code", &Secret::new("other")));
        };
        check(None);
        check(Some(500));
    }

    /// The layout spelt out by hand, so that a change of `sign` and `parse` together cannot pass.
    #[test]
    fn a_session_made_by_the_formula() {
        let payload = STANDARD.encode(r#"{"type":"common","exp":1795451825,"sid":"s"}"#);
        let hash = hex(&Sha256::digest(format!("code{payload}secret")));
        let text = format!("{payload}.{}", STANDARD.encode(hash));
        let signed = Signed::parse(&text).unwrap();
        assert_eq!((signed.exp, signed.is_social), (1_795_451_825.0, false));
        assert!(signed.is_genuine("code", &secret()));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = sign("s", "code", &1000.into(), None, &secret());
        let text = text.expose();
        for place in 0..text.len() {
            let mut bytes = text.to_owned().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let genuine = Signed::parse(&changed).is_some_and(|s| s.is_genuine("code", &secret()));
            assert!(!genuine, "{changed}");
        }
    }

    #[test]
    fn what_cannot_be_a_session() {
        let check = |json: &str| {
            let text = format!("{}.x", STANDARD.encode(json));
            assert!(Signed::parse(&text).is_none(), "{json}");
        };
        for json in ["{}", "\"str\"", "{\"sid\":5}", "1", "", "[]", "null", "{\"sid\":null}", "{"] {
            check(json);
        }
        for text in ["", ".", "a.b", "thissession.iswrongsigned", "no dot", "=.=", "\u{e9}.\u{e9}"]
        {
            assert!(Signed::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn instants_are_integers_for_whole_seconds() {
        assert_eq!(instant(1000, Duration::from_secs(5)).to_string(), "1005");
        assert_eq!(instant(1000, Duration::from_millis(500)).to_string(), "1000.5");
    }
}
