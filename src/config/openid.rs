//! Options that describe providers of social login: OpenID Connect and OAuth2.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_norway::Value;

use super::choice::{IdTokenAlgorithm, ReadyProvider, TokenAuth};
use super::options::Limits;
use super::scalar::Secret;
use super::value::{OptionType, Refused, read_any_map, read_list, read_map};

/// Limits of values inside a map, which the table does not bound.
const UNBOUND: Limits = Limits { min: 0, max: u64::MAX, unit: "" };

/// Greatest length of a provider's name.
const NAME_BYTES_MAX: usize = 64;

/// A provider as the configuration describes it. What is left out comes from its ready entry, else from its discovery
/// document.
#[derive(Clone, Debug)]
pub struct OpenidProvider {
    /// The ready entry that fills in what is left out.
    pub ready: Option<ReadyProvider>,
    /// The issuer of OpenID Connect.
    pub issuer: Option<String>,
    /// The application's id.
    pub client_id: String,
    /// The application's secret; empty for none.
    pub client_secret: Secret,
    /// What secrets are signed with, for providers that want a new one every time.
    pub client_secret_jwt: Option<ClientSecretJwt>,
    /// Where the provider sends people back to.
    pub redirect_uri: String,
    /// What to ask people's consent for.
    pub scopes: Option<Vec<String>>,
    /// Addresses by [`ENDPOINT_KEYS`].
    pub endpoints: BTreeMap<String, String>,
    /// Names of claims by [`CLAIM_KEYS`]; one that begins with `/` is a JSON pointer.
    pub claims: BTreeMap<String, String>,
    /// Further parameters of the consent page.
    pub consent_params: BTreeMap<String, String>,
    /// How the application says who it is when it exchanges a code.
    pub token_auth: Option<TokenAuth>,
    /// Algorithms that ID tokens may be signed with.
    pub algorithms: Option<Vec<IdTokenAlgorithm>>,
    /// Whether emails are taken that the provider does not mark as verified.
    pub trust_email: Option<bool>,
    /// Whether a login is taken only with the state that `auth.social_auth_url` has made; without it there is neither PKCE
    /// nor a nonce.
    pub check_state: bool,
}

/// What signs the application's secrets.
#[derive(Clone, Debug)]
pub struct ClientSecretJwt {
    /// The team that the key is of.
    pub team_id: String,
    /// The key's id.
    pub key_id: String,
    /// A private key for ES256, PKCS#8 in PEM.
    pub private_key: Secret,
}

/// Keys of a provider's addresses.
pub const ENDPOINT_KEYS: [&str; 6] =
    ["discovery_url", "consent_url", "token_url", "profile_url", "emails_url", "jwks_url"];

/// Keys of what is taken from a provider's claims.
pub const CLAIM_KEYS: [&str; 5] = ["id", "email", "email_verified", "first_name", "last_name"];

const KEYS: [&str; 14] = [
    "ready",
    "issuer",
    "client_id",
    "client_secret",
    "client_secret_jwt",
    "redirect_uri",
    "scopes",
    "endpoints",
    "claims",
    "consent_params",
    "token_auth",
    "algorithms",
    "trust_email",
    "check_state",
];

impl OpenidProvider {
    fn read(name: &str, value: &Value) -> Result<Self, Refused> {
        // The name of a ready entry stands for it.
        let named = ReadyProvider::ALL.iter().find(|(known, _)| *known == name);
        let mut provider = Self {
            ready: named.map(|(_, ready)| *ready),
            issuer: None,
            client_id: String::new(),
            client_secret: Secret::default(),
            client_secret_jwt: None,
            redirect_uri: String::new(),
            scopes: None,
            endpoints: BTreeMap::new(),
            claims: BTreeMap::new(),
            consent_params: BTreeMap::new(),
            token_auth: None,
            algorithms: None,
            trust_email: None,
            check_state: true,
        };
        if !value.is_mapping() {
            return Err(Refused::hidden(format!("a map with keys: {}", KEYS.join(", "))));
        }
        for (key, value) in read_map(value, &KEYS)? {
            provider.set(key, value).map_err(|refused| refused.under(key))?;
        }
        provider.check()?;
        Ok(provider)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), Refused> {
        match key {
            "ready" => self.ready = Some(ReadyProvider::read(value, &UNBOUND)?),
            "issuer" => self.issuer = Some(address(value)?),
            "client_id" => self.client_id = text(value)?,
            "client_secret" => self.client_secret = Secret::read(value, &UNBOUND)?,
            "client_secret_jwt" => self.client_secret_jwt = Some(ClientSecretJwt::read(value)?),
            "redirect_uri" => self.redirect_uri = text(value)?,
            "scopes" => self.scopes = Some(read_list(value, "a list of texts", text)?),
            "endpoints" => self.endpoints = texts(value, Some(&ENDPOINT_KEYS), address)?,
            "claims" => self.claims = texts(value, Some(&CLAIM_KEYS), text)?,
            "consent_params" => self.consent_params = texts(value, None, text)?,
            "token_auth" => self.token_auth = Some(TokenAuth::read(value, &UNBOUND)?),
            "algorithms" => {
                let algorithm = |item: &Value| IdTokenAlgorithm::read(item, &UNBOUND);
                self.algorithms = Some(read_list(value, "a list of algorithms", algorithm)?);
            }
            "trust_email" => self.trust_email = Some(bool::read(value, &UNBOUND)?),
            _ => self.check_state = bool::read(value, &UNBOUND)?,
        }
        Ok(())
    }

    /// Refuses a provider that cannot work.
    fn check(&self) -> Result<(), Refused> {
        let missing = |key: &str, allowed: &str| {
            Err(Refused::new(&Value::Null, allowed.to_owned()).under(key))
        };
        let needed = [("client_id", &self.client_id), ("redirect_uri", &self.redirect_uri)];
        for (key, value) in needed {
            if value.is_empty() {
                return missing(key, "text that is not empty");
            }
        }
        let is_secretless = self.client_secret.expose().is_empty();
        if is_secretless && self.client_secret_jwt.is_none() && !self.check_state {
            let allowed = "true, unless there is a secret: without either anybody's code is taken";
            return Err(Refused::new(&Value::from(false), allowed.to_owned()).under("check_state"));
        }
        let has = |key: &&str| self.endpoints.contains_key(*key);
        let is_whole = ["consent_url", "token_url", "profile_url"].iter().all(has);
        if self.ready.is_none() && self.issuer.is_none() && !is_whole {
            return missing(
                "issuer",
                "an address, unless a ready entry is named or endpoints has consent_url, token_url \
                 and profile_url",
            );
        }
        Ok(())
    }
}

impl ClientSecretJwt {
    fn read(value: &Value) -> Result<Self, Refused> {
        let allowed = "a map of team_id, key_id and private_key";
        let mut found =
            Self { team_id: String::new(), key_id: String::new(), private_key: Secret::default() };
        if !value.is_mapping() {
            return Err(Refused::hidden(allowed));
        }
        for (key, value) in read_map(value, &["team_id", "key_id", "private_key"])? {
            match key {
                "team_id" => found.team_id = text(value).map_err(|e| e.under(key))?,
                "key_id" => found.key_id = text(value).map_err(|e| e.under(key))?,
                _ => found.private_key = Secret::read(value, &UNBOUND).map_err(|e| e.under(key))?,
            }
        }
        if found.team_id.is_empty() || found.key_id.is_empty() {
            return Err(Refused::hidden(allowed));
        }
        match found.private_key_der() {
            Some(_) => Ok(found),
            None => Err(Refused::hidden("a private key, PKCS#8 in PEM").under("private_key")),
        }
    }

    /// The private key, PKCS#8 in DER.
    pub fn private_key_der(&self) -> Option<Vec<u8>> {
        let text = self.private_key.expose().trim();
        let text = text.strip_prefix("-----BEGIN PRIVATE KEY-----")?;
        let text = text.strip_suffix("-----END PRIVATE KEY-----")?;
        STANDARD.decode(text.split_whitespace().collect::<String>()).ok()
    }
}

fn text(value: &Value) -> Result<String, Refused> {
    let text = String::read(value, &UNBOUND).ok().filter(|text| !text.is_empty());
    text.ok_or_else(|| Refused::new(value, "text that is not empty"))
}

/// An address that may be spoken to; what exactly it leads to is checked when it is used.
fn address(value: &Value) -> Result<String, Refused> {
    let text = text(value)?;
    if is_safe(&text) {
        return Ok(text);
    }
    Err(Refused::new(value, "an address that begins with https://, or http:// and this machine"))
}

/// Whether nobody between here and there can read along.
fn is_safe(address: &str) -> bool {
    if address.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return false;
    }
    if let Some(rest) = address.strip_prefix("https://") {
        return !rest.is_empty() && !rest.starts_with('/');
    }
    let Some(rest) = address.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(host) => host.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
    !host.contains('@') && (name == "localhost" || name.parse().is_ok_and(is_loopback))
}

/// A map of texts; `known` bounds its keys.
fn texts(
    value: &Value,
    known: Option<&[&str]>,
    read: fn(&Value) -> Result<String, Refused>,
) -> Result<BTreeMap<String, String>, Refused> {
    let pairs = match known {
        Some(known) => read_map(value, known)?.collect(),
        None => read_any_map(value, "a map of texts")?,
    };
    let one = |(key, value): (&str, &Value)| match read(value) {
        Ok(text) => Ok((key.to_owned(), text)),
        Err(refused) => Err(refused.under(key)),
    };
    pairs.into_iter().map(one).collect()
}

impl OptionType for BTreeMap<String, OpenidProvider> {
    const SECRET: bool = true;

    fn allowed(_: &Limits) -> String {
        format!("a map from names to {{{}}}", KEYS.join(", "))
    }

    fn read(value: &Value, limits: &Limits) -> Result<Self, Refused> {
        let providers = read_any_map(value, &Self::allowed(limits))?;
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let provider = |(name, value): (&str, &Value)| {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_good) {
                return Err(Refused::new(&Value::from(name), "a name of letters, digits, -, _, ."));
            }
            Ok((name.to_owned(), OpenidProvider::read(name, value).map_err(|e| e.under(name))?))
        };
        providers.into_iter().map(provider).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_addresses() {
        let check =
            |address: &str, expected: bool| assert_eq!(is_safe(address), expected, "{address}");
        check("https://a.example", true);
        check("https://", false);
        check("https:///x", false);
        check("http://127.0.0.1:80/x", true);
        check("http://[::1]:80/x", true);
        check("http://localhost?x", true);
        check("http://localhost.example", false);
        check("http://127.0.0.1@example.com/", false);
        check("http://10.0.0.1", false);
        check("https://a.example/#x", false);
        check("https://a example", false);
        check("ftp://127.0.0.1", false);
    }

    #[test]
    fn providers_that_cannot_work_are_refused() {
        let check = |provider: &str, expected: &str| {
            let yaml = format!("roles_cfg: {{authman: {{providers: {{p: {provider}}}}}}}");
            let error = crate::config::Config::from_yaml(&yaml).unwrap_err().to_string();
            assert_eq!(error, format!("roles_cfg.authman.providers.p{expected}"));
        };
        let whole = "client_id: C, redirect_uri: 'https://x'";
        check("{redirect_uri: x}", ".client_id: null is not allowed; text that is not empty");
        check(
            &format!("{{{whole}}}"),
            ".issuer: null is not allowed; an address, unless a ready entry is named or endpoints has \
             consent_url, token_url and profile_url",
        );
        check(
            &format!("{{{whole}, issuer: 'http://id.example'}}"),
            ".issuer: \"http://id.example\" is not allowed; an address that begins with https://, or \
             http:// and this machine",
        );
        check(
            &format!("{{{whole}, ready: google, algorithms: [HS256]}}"),
            ".algorithms.1: \"HS256\" is not allowed; one of: RS256, RS384, RS512, PS256, PS384, \
             PS512, ES256, ES384, EdDSA",
        );
        check(
            &format!("{{{whole}, ready: google, client_secret: [hush]}}"),
            ".client_secret: (hidden) is not allowed; text",
        );
        check(
            &format!(
                "{{{whole}, ready: apple, client_secret_jwt: {{team_id: T, key_id: K, private_key: hush}}}}"
            ),
            ".client_secret_jwt.private_key: (hidden) is not allowed; a private key, PKCS#8 in PEM",
        );
        check(
            &format!("{{{whole}, ready: vkid, check_state: false}}"),
            ".check_state: false is not allowed; true, unless there is a secret: without either \
             anybody's code is taken",
        );
        check(
            "hush",
            ": (hidden) is not allowed; a map with keys: ready, issuer, client_id, \
             client_secret, client_secret_jwt, redirect_uri, scopes, endpoints, claims, \
             consent_params, token_auth, algorithms, trust_email, check_state",
        );
    }

    #[test]
    fn a_name_may_stand_for_a_ready_entry() {
        let yaml = "roles_cfg: {authman: {providers: {
            github: {client_id: 17, redirect_uri: 'https://x'},
            work: {ready: gitlab, client_id: C, client_secret: hush, redirect_uri: 'https://x'}}}}";
        let config = crate::config::Config::from_yaml(yaml).unwrap();
        let providers = &config.roles_cfg.authman.providers;
        assert_eq!(providers["github"].ready, Some(ReadyProvider::Github));
        assert_eq!(providers["github"].client_id, "17");
        assert_eq!(providers["work"].ready, Some(ReadyProvider::Gitlab));
        assert!(providers["work"].check_state);
        assert!(!format!("{config:?}").contains("hush"));
    }
}
