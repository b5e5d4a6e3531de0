//! What an issuer says of itself: the discovery document of OpenID Connect.
//!
//! Always holds: the document is of the issuer that was configured, and an issuer that is reached by TLS sends nobody to
//! an address without it.
//!
//! Source: OpenID Connect Discovery 1.0 sections 3 and 4; RFC 8414 section 3.3.

use serde_json::Value;

use super::ProviderError;
use crate::config::TokenAuth;

/// Stands in an issuer for the tenant that a token names, as Microsoft writes it.
const TENANT: &str = "{tenantid}";

/// A discovery document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// The page where a person consents.
    pub(super) consent_url: String,
    /// Exchanges codes for tokens.
    pub(super) token_url: String,
    /// Tells who a token belongs to; not every issuer has it.
    pub(super) profile_url: Option<String>,
    /// Where the keys are.
    pub(super) jwks_url: String,
    /// How applications may say who they are.
    pub(super) token_auth: TokenAuth,
}

/// The address of an issuer's discovery document.
pub(super) fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

impl Metadata {
    /// Reads the document of `issuer`.
    pub(super) fn read(json: &Value, issuer: &str) -> Result<Self, ProviderError> {
        if json.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(ProviderError::Document("issuer"));
        }
        let is_secure = issuer.starts_with("https://");
        let url = |field: &'static str| match json.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(url)) if !is_secure || url.starts_with("https://") => {
                Ok(Some(url.clone()))
            }
            Some(_) => Err(ProviderError::Document(field)),
        };
        let needed = |field| url(field)?.ok_or(ProviderError::Document(field));
        Ok(Self {
            consent_url: needed("authorization_endpoint")?,
            token_url: needed("token_endpoint")?,
            profile_url: url("userinfo_endpoint")?,
            jwks_url: needed("jwks_uri")?,
            token_auth: token_auth(json),
        })
    }
}

/// The way that is best of those that the document names; without any it is Basic.
fn token_auth(json: &Value) -> TokenAuth {
    let named = json.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
    let has =
        |way: TokenAuth| named.is_none_or(|named| named.iter().any(|name| name == way.name()));
    match () {
        () if has(TokenAuth::Basic) => TokenAuth::Basic,
        () if has(TokenAuth::Post) => TokenAuth::Post,
        () => TokenAuth::None,
    }
}

/// Whether a token that names `found` as its issuer, and perhaps a tenant, is of `issuer`.
pub(super) fn is_issuer(issuer: &str, found: &str, tenant: Option<&str>) -> bool {
    match (issuer.contains(TENANT), tenant) {
        (false, _) => found == issuer,
        (true, Some(tenant)) => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            tenant.chars().all(is_plain) && found == issuer.replace(TENANT, tenant)
        }
        (true, None) => false,
    }
}

/// Whether `found`, which comes without a tenant, may be `issuer`.
pub(super) fn is_some_issuer(issuer: &str, found: &str) -> bool {
    match issuer.split_once(TENANT) {
        None => found == issuer,
        Some((before, after)) => {
            let tenant = found.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            tenant.is_some_and(|tenant| is_issuer(issuer, found, Some(tenant)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/auth",
            "token_endpoint": "https://id.example/token",
            "userinfo_endpoint": "https://id.example/me",
            "jwks_uri": "https://keys.example/jwks",
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
        })
    }

    #[test]
    fn documents() {
        let found = Metadata::read(&document(), ISSUER).unwrap();
        assert_eq!(found.token_auth, TokenAuth::Post);
        assert_eq!(found.profile_url.as_deref(), Some("https://id.example/me"));
        let check = |field: &str, value: Value, expected: Result<(), &'static str>| {
            let mut json = document();
            json[field] = value;
            let read = Metadata::read(&json, ISSUER).map(drop);
            assert_eq!(read, expected.map_err(ProviderError::Document), "{json}");
        };
        check("userinfo_endpoint", Value::Null, Ok(()));
        check("issuer", json!("https://id.example/"), Err("issuer"));
        check("issuer", Value::Null, Err("issuer"));
        check("jwks_uri", Value::Null, Err("jwks_uri"));
        check("token_endpoint", json!("http://127.0.0.1/token"), Err("token_endpoint"));
        check("userinfo_endpoint", json!(5), Err("userinfo_endpoint"));
        check("authorization_endpoint", json!("javascript:x"), Err("authorization_endpoint"));
    }

    #[test]
    fn addresses_of_documents() {
        let check = |issuer: &str, expected: &str| assert_eq!(discovery_url(issuer), expected);
        check("https://a.example", "https://a.example/.well-known/openid-configuration");
        check("https://a.example/b/", "https://a.example/b/.well-known/openid-configuration");
    }

    #[test]
    fn issuers_of_tokens() {
        let check = |issuer: &str, found: &str, tenant: Option<&str>, expected: bool| {
            assert_eq!(is_issuer(issuer, found, tenant), expected, "{issuer} {found} {tenant:?}");
        };
        check("https://a", "https://a", None, true);
        check("https://a", "https://a/", Some("t"), false);
        let many = "https://m/{tenantid}/v2.0";
        check(many, "https://m/t-1/v2.0", Some("t-1"), true);
        check(many, "https://m/t-1/v2.0", Some("t-2"), false);
        check(many, "https://m/t-1/v2.0", None, false);
        check(many, many, None, false);
        check(many, "https://m/x/../v2.0", Some("x/.."), false);
    }

    #[test]
    fn issuers_of_callbacks() {
        let check = |issuer: &str, found: &str, expected: bool| {
            assert_eq!(is_some_issuer(issuer, found), expected, "{issuer} {found}");
        };
        check("https://a", "https://a", true);
        check("https://a", "https://a/", false);
        check("https://m/{tenantid}/v2.0", "https://m/t-1/v2.0", true);
        check("https://m/{tenantid}/v2.0", "https://m/t/x/v2.0", false);
        check("https://m/{tenantid}/v2.0", "https://n/t/v2.0", false);
    }
}
