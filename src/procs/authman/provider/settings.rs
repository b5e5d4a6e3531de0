//! What a configured provider is asked with: its configuration over its ready entry.

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::discovery::discovery_url;
use super::ready::{ProfileWay, ReadyDef, entry};
use crate::config::{ClientSecretJwt, IdTokenAlgorithm, OpenidProvider, Secret, TokenAuth};

/// What the application proves itself with.
#[derive(Debug)]
pub(super) enum ClientSecret {
    /// A text, empty for none.
    Text(Secret),
    /// A token that is signed anew each time.
    Signed(ClientSecretJwt),
}

/// Addresses that are known without a discovery document.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) consent_url: Option<String>,
    pub(super) token_url: Option<String>,
    pub(super) profile_url: Option<String>,
    pub(super) emails_url: Option<String>,
    pub(super) jwks_url: Option<String>,
}

/// An issuer of OpenID Connect.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) discovery_url: String,
}

/// Where in its claims a provider has what is wanted; empty for nowhere.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) email_verified: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
}

/// Everything about a provider that does not change.
#[derive(Debug)]
pub(super) struct Settings {
    /// None for plain OAuth2.
    pub(super) issuer: Option<Issuer>,
    pub(super) client_id: String,
    pub(super) secret: ClientSecret,
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) known: Known,
    pub(super) claims: Claims,
    pub(super) consent_params: Vec<(String, String)>,
    /// None leaves it to the discovery document.
    pub(super) token_auth: Option<TokenAuth>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) trust_email: bool,
    pub(super) profile_way: ProfileWay,
    pub(super) has_devices: bool,
    pub(super) lua_keeps_refresh_token: bool,
}

impl Settings {
    /// Puts the configuration over the ready entry that it names.
    pub(super) fn new(config: &OpenidProvider) -> Self {
        let ready = entry(config.ready);
        let scope = config.scopes.as_ref().map(|scopes| scopes.join(" "));
        let secret = match &config.client_secret_jwt {
            Some(signed) => ClientSecret::Signed(signed.clone()),
            None => ClientSecret::Text(config.client_secret.clone()),
        };
        let is_secretless =
            config.client_secret.expose().is_empty() && config.client_secret_jwt.is_none();
        let token_auth = config.token_auth.or(ready.token_auth);
        let issuer = issuer(config, ready);
        Self {
            // Without an issuer no document says how.
            token_auth: match (is_secretless, &issuer) {
                (true, _) => Some(TokenAuth::None),
                (false, Some(_)) => token_auth,
                (false, None) => Some(token_auth.unwrap_or(TokenAuth::Post)),
            },
            issuer,
            client_id: config.client_id.clone(),
            secret,
            redirect_uri: config.redirect_uri.clone(),
            scope: scope.unwrap_or_else(|| ready.scope.to_owned()),
            known: known(config, ready),
            claims: claims(config, ready),
            consent_params: consent_params(config, ready),
            algorithms: algorithms(config.algorithms.as_deref()),
            trust_email: config.trust_email.unwrap_or(ready.trust_email),
            profile_way: ready.profile_way,
            has_devices: ready.has_devices,
            lua_keeps_refresh_token: ready.lua_keeps_refresh_token,
        }
    }

    /// Whether the provider gives ID tokens.
    pub(super) fn has_id_tokens(&self) -> bool {
        self.issuer.is_some() && self.scope.split(' ').any(|scope| scope == "openid")
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn issuer(config: &OpenidProvider, ready: &ReadyDef) -> Option<Issuer> {
    let name = config.issuer.clone().or_else(|| some(ready.issuer))?;
    let its_own = || if config.issuer.is_none() { some(ready.discovery_url) } else { None };
    let configured = config.endpoints.get("discovery_url").cloned();
    let discovery_url = configured.or_else(its_own).unwrap_or_else(|| discovery_url(&name));
    Some(Issuer { name, discovery_url })
}

fn known(config: &OpenidProvider, ready: &ReadyDef) -> Known {
    let url = |key: &str, ready: &str| config.endpoints.get(key).cloned().or_else(|| some(ready));
    let [consent_url, token_url, profile_url] = ready.endpoints;
    Known {
        consent_url: url("consent_url", consent_url),
        token_url: url("token_url", token_url),
        profile_url: url("profile_url", profile_url),
        emails_url: url("emails_url", ready.emails_url),
        jwks_url: url("jwks_url", ""),
    }
}

fn claims(config: &OpenidProvider, ready: &ReadyDef) -> Claims {
    let [id, email, email_verified, first_name, last_name] = ready.claims;
    let claim = |key: &str, ready: &str| {
        config.claims.get(key).cloned().unwrap_or_else(|| ready.to_owned())
    };
    Claims {
        id: claim("id", id),
        email: claim("email", email),
        email_verified: claim("email_verified", email_verified),
        first_name: claim("first_name", first_name),
        last_name: claim("last_name", last_name),
    }
}

fn consent_params(config: &OpenidProvider, ready: &ReadyDef) -> Vec<(String, String)> {
    let configured = &config.consent_params;
    let own = ready.consent_params.iter().filter(|(name, _)| !configured.contains_key(*name));
    let own = own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    own.chain(configured.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

/// Those that are chosen, else all that go with public keys.
pub(super) fn algorithms(chosen: Option<&[IdTokenAlgorithm]>) -> Vec<Algorithm> {
    let algorithm = |chosen: IdTokenAlgorithm| match chosen {
        IdTokenAlgorithm::Rs256 => Algorithm::RS256,
        IdTokenAlgorithm::Rs384 => Algorithm::RS384,
        IdTokenAlgorithm::Rs512 => Algorithm::RS512,
        IdTokenAlgorithm::Ps256 => Algorithm::PS256,
        IdTokenAlgorithm::Ps384 => Algorithm::PS384,
        IdTokenAlgorithm::Ps512 => Algorithm::PS512,
        IdTokenAlgorithm::Es256 => Algorithm::ES256,
        IdTokenAlgorithm::Es384 => Algorithm::ES384,
        IdTokenAlgorithm::EdDsa => Algorithm::EdDSA,
    };
    match chosen {
        Some(chosen) => chosen.iter().map(|chosen| algorithm(*chosen)).collect(),
        None => IdTokenAlgorithm::ALL.iter().map(|(_, chosen)| algorithm(*chosen)).collect(),
    }
}

/// The value of a claim: by its name, or by a JSON pointer, which begins with `/`.
pub(super) fn claim<'a>(json: &'a Value, name: &str) -> Option<&'a Value> {
    let found = if name.starts_with('/') { json.pointer(name) } else { json.get(name) };
    found.filter(|value| !value.is_null())
}
