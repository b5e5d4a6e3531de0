//! Providers that the configuration describes: OpenID Connect, and OAuth2 with a profile.
//!
//! ```text
//! consent page --> code --> exchange --> access token, refresh token, ID token
//!                           ID token: signature, issuer, audience, times, nonce
//!                           access token --> profile, of the same person
//! re-check:        refresh token --> exchange --> access token --> profile
//! ```
//!
//! Always holds: who a person is comes from an ID token that was verified, or over TLS from the provider itself.
//!
//! Source: OpenID Connect Core 1.0; RFC 6749; RFC 7636; RFC 9700.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::cached::Cached;
use super::discovery::{Metadata, is_some_issuer};
use super::id_token::{self, Expected};
use super::keys::Keys;
use super::ready::ProfileWay;
use super::settings::{ClientSecret, Settings, algorithms, claim};
use super::{Consent, Exchanged, Login, Person, ProviderError, Refreshed, read_json, text};
use crate::config::{OpenidProvider, Secret, TokenAuth};
use crate::http::{Authorization, Channel, HttpError, Request, Response, form_encoded, url_with};
use crate::procs::authman::clock::Clock;
use crate::procs::authman::model::{Kept, Profile, TokenUse};

/// Life of a secret that is signed.
const SIGNED_SECRET_SEC: u64 = 300;

/// Times that hold for every provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How far a provider's clock may be off.
    pub(super) clock_skew: Duration,
    /// Time between two requests for keys that were not there.
    pub(super) jwks_refetch_interval: Duration,
}

/// A provider that the configuration describes.
#[derive(Debug)]
pub(super) struct Openid {
    settings: Settings,
    times: Times,
    metadata: Cached<Metadata>,
    keys: Cached<Keys>,
}

/// A form and what goes with it.
struct Form<'a> {
    params: Vec<(&'a str, &'a str)>,
    authorization: Option<Authorization<'a>>,
}

impl Openid {
    pub(super) fn new(config: &OpenidProvider, times: Times) -> Self {
        super::jose::install();
        let settings = Settings::new(config);
        Self { settings, times, metadata: Cached::default(), keys: Cached::default() }
    }

    /// The address of the consent page.
    pub(super) async fn consent_url(
        &self,
        channel: &Channel,
        consent: &Consent<'_>,
    ) -> Result<String, ProviderError> {
        let settings = &self.settings;
        let url = self.address(channel, &settings.known.consent_url, |found| &found.consent_url);
        let url = url.await?;
        let mut params = vec![
            ("client_id", settings.client_id.as_str()),
            ("redirect_uri", &settings.redirect_uri),
            ("response_type", "code"),
            ("scope", &settings.scope),
        ];
        params.extend(consent.state.map(|state| ("state", state)));
        let challenge =
            consent.verifier.map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
        if let Some(challenge) = &challenge {
            params.extend([
                ("code_challenge", challenge.as_str()),
                ("code_challenge_method", "S256"),
            ]);
        }
        if settings.has_id_tokens() {
            params.extend(consent.nonce.map(|nonce| ("nonce", nonce)));
        }
        params.extend(settings.consent_params.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        Ok(url_with(&url, &params))
    }

    /// Exchanges a code for tokens.
    pub(super) async fn exchange(
        &self,
        channel: &Channel,
        login: &Login<'_>,
    ) -> Result<Exchanged, ProviderError> {
        let mut params = vec![
            ("grant_type", "authorization_code"),
            ("code", login.code),
            ("redirect_uri", self.settings.redirect_uri.as_str()),
        ];
        params.extend(login.verifier.map(|verifier| ("code_verifier", verifier)));
        if self.settings.has_devices {
            params.extend(login.state.map(|state| ("state", state)));
        }
        let body = self.ask_for_token(channel, params, login.device_id, login.clock).await?;
        self.read_exchanged(&body, login.device_id)
    }

    /// Reads what a provider answers to a code or a refresh token.
    pub(super) fn read_exchanged(
        &self,
        body: &[u8],
        device_id: Option<&str>,
    ) -> Result<Exchanged, ProviderError> {
        let json = read_json(body)?;
        let access_token = Secret::new(text(&json, "access_token")?);
        let refresh_token = text(&json, "refresh_token").ok();
        let kept = Kept {
            token: refresh_token.map_or_else(|| access_token.clone(), Secret::new),
            token_use: Some(if refresh_token.is_some() {
                TokenUse::Refresh
            } else {
                TokenUse::Access
            }),
            device_id: device_id.filter(|_| self.settings.has_devices).map(str::to_owned),
        };
        let id_token = text(&json, "id_token").ok().map(Secret::new);
        Ok(Exchanged { kept, access_token, id_token, email: None })
    }

    /// Who the tokens of a login belong to.
    pub(super) async fn profile(
        &self,
        channel: &Channel,
        exchanged: &Exchanged,
        login: &Login<'_>,
    ) -> Result<Person, ProviderError> {
        let id_token = exchanged.id_token.as_ref();
        if id_token.is_none() && self.settings.has_id_tokens() {
            return Err(ProviderError::Missing("id_token"));
        }
        let claims = self.claims(channel, id_token, login.nonce, login.clock).await?;
        self.person(channel, &exchanged.access_token, claims).await
    }

    /// Turns the token that was kept into one to ask for the profile with.
    pub(super) async fn refresh(
        &self,
        channel: &Channel,
        kept: &Kept,
        clock: Clock,
    ) -> Result<Refreshed, ProviderError> {
        let lua = if self.settings.lua_keeps_refresh_token {
            TokenUse::Refresh
        } else {
            TokenUse::Access
        };
        if kept.token_use.unwrap_or(lua) == TokenUse::Access {
            return Ok(Refreshed::unchanged(kept));
        }
        let params = vec![("grant_type", "refresh_token"), ("refresh_token", kept.token.expose())];
        let device_id = kept.device_id.as_deref();
        let body = self.ask_for_token(channel, params, device_id, clock).await?;
        let Exchanged { kept: newer, access_token, id_token, .. } =
            self.read_exchanged(&body, device_id)?;
        // One that is replaced does not come again.
        let is_new = newer.token_use == Some(TokenUse::Refresh) && newer.token != kept.token;
        Ok(Refreshed { kept: Some(newer).filter(|_| is_new), access_token, id_token })
    }

    /// Who a refreshed token belongs to. An ID token need not come with it, and has no nonce.
    pub(super) async fn profile_again(
        &self,
        channel: &Channel,
        refreshed: &Refreshed,
        clock: Clock,
    ) -> Result<Person, ProviderError> {
        let claims = self.claims(channel, refreshed.id_token.as_ref(), None, clock).await?;
        self.person(channel, &refreshed.access_token, claims).await
    }

    /// Whether `found` may be the issuer.
    pub(super) fn may_be(&self, found: &str) -> bool {
        self.settings.issuer.as_ref().is_none_or(|issuer| is_some_issuer(&issuer.name, found))
    }

    /// Asks for tokens, as this application.
    async fn ask_for_token(
        &self,
        channel: &Channel,
        params: Vec<(&str, &str)>,
        device_id: Option<&str>,
        clock: Clock,
    ) -> Result<Vec<u8>, ProviderError> {
        let settings = &self.settings;
        let url =
            self.address(channel, &settings.known.token_url, |found| &found.token_url).await?;
        let way = match settings.token_auth {
            Some(way) => way,
            None => self.metadata(channel).await?.token_auth,
        };
        let secret = self.client_secret(clock.now())?;
        let basic = [form_encoded(&settings.client_id), form_encoded(secret.expose())];
        let mut form = Form { params, authorization: None };
        if settings.has_devices {
            form.params.extend(device_id.map(|id| ("device_id", id)));
        }
        match way {
            TokenAuth::Basic => {
                form.authorization = Some(Authorization::Basic(&basic[0], &basic[1]));
            }
            TokenAuth::Post => form.params.extend([
                ("client_id", settings.client_id.as_str()),
                ("client_secret", secret.expose()),
            ]),
            TokenAuth::None => form.params.push(("client_id", &settings.client_id)),
        }
        let request = Request {
            form: Some(&form.params),
            authorization: form.authorization,
            ..Request::get(&url)
        };
        channel.send(&request).await.and_then(Response::ok).map_err(ProviderError::Http)
    }

    fn client_secret(&self, now: u64) -> Result<Secret, ProviderError> {
        let signed = match &self.settings.secret {
            ClientSecret::Text(secret) => return Ok(secret.clone()),
            ClientSecret::Signed(signed) => signed,
        };
        let issuer = self.settings.issuer.as_ref().map(|issuer| &issuer.name);
        let claims = json!({
            "iss": signed.team_id,
            "sub": self.settings.client_id,
            "aud": issuer,
            "iat": now,
            "exp": now + SIGNED_SECRET_SEC,
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(signed.key_id.clone());
        let unusable = ProviderError::PrivateKey;
        let key = EncodingKey::from_ec_der(&signed.private_key_der().ok_or(unusable.clone())?);
        jsonwebtoken::encode(&header, &claims, &key).map(Secret::new).map_err(|_| unusable)
    }

    /// Asks the provider who a token belongs to; `claims` are those of a verified ID token.
    async fn person(
        &self,
        channel: &Channel,
        access_token: &Secret,
        claims: Option<Map<String, Value>>,
    ) -> Result<Person, ProviderError> {
        let settings = &self.settings;
        let url = match (&settings.known.profile_url, &settings.issuer) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(_)) => self.metadata(channel).await?.profile_url.clone(),
            (None, None) => None,
        };
        let info = match &url {
            Some(url) => Some(self.ask_for_profile(channel, url, access_token).await?),
            None => None,
        };
        let mut person = self.read_claims(info.as_ref(), claims)?;
        if let (None, Some(url)) = (&person.email, &settings.known.emails_url) {
            let request = Request {
                authorization: Some(Authorization::Token("Bearer", access_token.expose())),
                is_idempotent: true,
                ..Request::get(url)
            };
            person.email = match channel.send(&request).await.and_then(Response::ok) {
                Ok(body) => verified_email(&read_json(&body)?),
                // The person has not consented to it, or it is not for this kind of application.
                Err(HttpError::Status(401 | 403 | 404)) => None,
                Err(error) => return Err(ProviderError::Http(error)),
            };
        }
        Ok(person)
    }

    async fn ask_for_profile(
        &self,
        channel: &Channel,
        url: &str,
        access_token: &Secret,
    ) -> Result<Value, ProviderError> {
        let token = access_token.expose();
        let form = [("client_id", self.settings.client_id.as_str()), ("access_token", token)];
        let request = match self.settings.profile_way {
            ProfileWay::Header(scheme) => Request {
                authorization: Some(Authorization::Token(scheme, token)),
                ..Request::get(url)
            },
            ProfileWay::Form => Request { form: Some(&form), ..Request::get(url) },
        };
        let answer = channel.send(&Request { is_idempotent: true, ..request }).await;
        read_json(&answer.and_then(Response::ok).map_err(ProviderError::Http)?)
    }

    /// The person of a profile, of an ID token, or of both.
    pub(super) fn read_claims(
        &self,
        info: Option<&Value>,
        id_token: Option<Map<String, Value>>,
    ) -> Result<Person, ProviderError> {
        let (names, id_token) = (&self.settings.claims, id_token.map(Value::Object));
        if let (Some(info), Some(token)) = (info, &id_token)
            && info.get("sub") != token.get("sub")
        {
            return Err(ProviderError::AnotherPerson);
        }
        let sources = [info, id_token.as_ref()];
        let value = |name: &str| sources.iter().find_map(|json| claim((*json)?, name));
        let id = match value(&names.id) {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) if self.settings.issuer.is_none() => id.to_string(),
            _ => return Err(ProviderError::Missing("id")),
        };
        let is_trusted = self.settings.trust_email
            || match value(&names.email_verified) {
                Some(Value::Bool(is_verified)) => *is_verified,
                // Apple writes it so.
                Some(Value::String(text)) => text == "true",
                _ => false,
            };
        let email = value(&names.email).and_then(Value::as_str);
        let email = email.filter(|email| is_trusted && !email.is_empty());
        let profile = [("first_name", &names.first_name), ("last_name", &names.last_name)];
        let profile: Vec<_> = profile
            .into_iter()
            .filter_map(|(key, name)| Some((key, value(name).filter(|value| value.is_string())?)))
            .collect();
        Ok(Person {
            id,
            email: email.map(str::to_ascii_lowercase),
            profile: Profile::new(&profile),
        })
    }

    /// The claims of an ID token, if there is one and it counts.
    async fn claims(
        &self,
        channel: &Channel,
        token: Option<&Secret>,
        nonce: Option<&str>,
        clock: Clock,
    ) -> Result<Option<Map<String, Value>>, ProviderError> {
        match token.filter(|_| self.settings.has_id_tokens()) {
            Some(token) => self.verified(channel, token.expose(), nonce, clock).await.map(Some),
            None => Ok(None),
        }
    }

    /// The claims of an ID token that is good.
    async fn verified(
        &self,
        channel: &Channel,
        token: &str,
        nonce: Option<&str>,
        clock: Clock,
    ) -> Result<Map<String, Value>, ProviderError> {
        let issuer = self.settings.issuer.as_ref().ok_or(ProviderError::Missing("issuer"))?;
        let header = id_token::header(token, &self.settings.algorithms)?;
        let url = self.address(channel, &self.settings.known.jwks_url, |found| &found.jwks_url);
        let url = url.await?;
        let fetch = || async { Keys::read(&self.document(channel, &url).await?) };
        let keys = self.keys.get(fetch()).await?;
        let verify = |keys: &Keys| {
            let key = keys.find(&header).ok_or(ProviderError::IdToken("kid"))?;
            let expected = Expected {
                issuer: &issuer.name,
                client_id: &self.settings.client_id,
                nonce,
                // The keys may have taken a while.
                now: clock.now(),
                clock_skew: self.times.clock_skew,
            };
            id_token::verify(token, &header, key, &expected)
        };
        match verify(&keys) {
            // The issuer has other keys now, perhaps one under the id of an older one.
            Err(error @ ProviderError::IdToken("kid" | "signature")) => {
                let pause = self.times.jwks_refetch_interval;
                let newer = self.keys.newer(&keys, pause, fetch()).await?;
                if Arc::ptr_eq(&newer, &keys) { Err(error) } else { verify(&newer) }
            }
            verified => verified,
        }
    }

    /// The address that is configured, else the one that the discovery document has.
    async fn address(
        &self,
        channel: &Channel,
        known: &Option<String>,
        found: fn(&Metadata) -> &String,
    ) -> Result<String, ProviderError> {
        match known {
            Some(url) => Ok(url.clone()),
            None => Ok(found(&*self.metadata(channel).await?).clone()),
        }
    }

    async fn metadata(&self, channel: &Channel) -> Result<Arc<Metadata>, ProviderError> {
        let issuer = self.settings.issuer.as_ref().ok_or(ProviderError::Missing("issuer"))?;
        let fetch = async {
            Metadata::read(&self.document(channel, &issuer.discovery_url).await?, &issuer.name)
        };
        self.metadata.get(fetch).await
    }

    /// A JSON document that everybody may read.
    async fn document(&self, channel: &Channel, url: &str) -> Result<Value, ProviderError> {
        let answer = channel.send(&Request { is_idempotent: true, ..Request::get(url) }).await;
        read_json(&answer.and_then(Response::ok).map_err(ProviderError::Http)?)
    }
}

/// The verified email that is the primary one, of a list with marks.
fn verified_email(json: &Value) -> Option<String> {
    let is_true = |item: &Value, mark: &str| item.get(mark) == Some(&Value::Bool(true));
    let mut all = json.as_array()?.iter();
    let chosen = all.find(|item| is_true(item, "primary") && is_true(item, "verified"))?;
    text(chosen, "email").ok().map(str::to_ascii_lowercase)
}

/// Reads `document` as a discovery document and as a set of keys, and `token` as an ID token that is signed with one of
/// `keys`: what anybody may make a provider's answers hold, for tests of decoders.
pub fn read_published(document: &[u8], token: &str, keys: &[u8]) -> [Result<(), ProviderError>; 3] {
    super::jose::install();
    let metadata = read_json(document).and_then(|json| {
        let issuer = json.get("issuer").and_then(Value::as_str).unwrap_or_default();
        Metadata::read(&json, issuer).map(drop)
    });
    let set = read_json(document).and_then(|json| Keys::read(&json)).map(drop);
    let verified = read_json(keys).and_then(|json| Keys::read(&json)).and_then(|keys| {
        let header = id_token::header(token, &algorithms(None))?;
        let key = keys.find(&header).ok_or(ProviderError::IdToken("kid"))?;
        let (issuer, client_id, clock_skew) = ("https://i", "C", Duration::ZERO);
        let expected = Expected { issuer, client_id, nonce: None, now: 0, clock_skew };
        id_token::verify(token, &header, key, &expected).map(drop)
    });
    [metadata, set, verified]
}
