//! Providers of social login: the OAuth2 authorization code flow.
//!
//! A provider is a row of a table, as the Lua application knows it, or what the configuration describes; whoever logs
//! somebody in sees no difference. Failures name no token, code or secret.
//!
//! - `listed`, `table`: the providers of the Lua application.
//! - `openid`, `settings`, `ready`: those that the configuration describes, and ready entries for it.
//! - `discovery`, `keys`, `cached`: what they publish.
//! - `id_token`, `jose`: what they sign.

mod cached;
mod discovery;
mod id_token;
#[cfg(test)]
pub(super) mod issuer;
mod jose;
mod keys;
mod listed;
mod openid;
mod ready;
mod settings;
mod table;

use std::fmt;

use serde_json::Value;

use super::clock::Clock;
use super::model::{Kept, Profile};
use crate::config::{self, Secret};
use crate::http::{self, Channel, Counted, Http, HttpError, Limits};
use listed::Listed;
use openid::{Openid, Times};
use table::PROVIDERS;

pub use openid::read_published;

/// Why a provider did not say what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderError {
    /// The request failed, or its status is not 200.
    Http(HttpError),
    /// The answer is not JSON.
    NotJson,
    /// The answer lacks this field, or it is of another type or empty.
    Missing(&'static str),
    /// The discovery document has not what it must have in this field.
    Document(&'static str),
    /// This is wrong with the ID token: a claim, a field of its header, its `form`, its `signature`.
    IdToken(&'static str),
    /// The profile is of another person than the ID token.
    AnotherPerson,
    /// The private key that secrets are signed with is none.
    PrivateKey,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::NotJson => f.write_str("the answer is not JSON"),
            Self::Missing(field) => write!(f, "the answer has no usable {field}"),
            Self::Document(field) => write!(f, "the discovery document has no usable {field}"),
            Self::IdToken(part) => write!(f, "the ID token has a wrong {part}"),
            Self::AnotherPerson => f.write_str("the profile is of another person"),
            Self::PrivateKey => f.write_str("client_secret_jwt.private_key can't sign"),
        }
    }
}

impl std::error::Error for ProviderError {}

impl ProviderError {
    /// The word that metrics have for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(error) => error.kind(),
            Self::NotJson => "json",
            Self::Missing(_) => "answer",
            Self::Document(_) => "discovery",
            Self::IdToken(_) => "id_token",
            Self::AnotherPerson => "person",
            Self::PrivateKey => "private_key",
        }
    }
}

/// What a code was exchanged for.
#[derive(Debug, PartialEq)]
pub struct Exchanged {
    /// The token to keep.
    pub kept: Kept,
    /// The token to ask for the profile with.
    pub access_token: Secret,
    /// The ID token, not verified.
    pub id_token: Option<Secret>,
    /// The email, from providers that give it here.
    pub email: Option<String>,
}

/// A person as a provider describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// The id, never empty.
    pub id: String,
    /// The email in lower case, if there is one that the provider vouches for.
    pub email: Option<String>,
    /// The names that the provider gave.
    pub profile: Profile,
}

/// What a kept token was turned into, to ask about the person again.
#[derive(Debug)]
pub struct Refreshed {
    /// The token to keep in place of the old one, which may not be good any more.
    pub kept: Option<Kept>,
    /// The token to ask for the profile with.
    pub access_token: Secret,
    /// The ID token, not verified.
    pub id_token: Option<Secret>,
}

impl Refreshed {
    /// For a token that needs nothing done.
    fn unchanged(kept: &Kept) -> Self {
        Self { kept: None, access_token: kept.token.clone(), id_token: None }
    }
}

/// What goes with a person to the consent page.
#[derive(Clone, Copy, Default)]
pub struct Consent<'a> {
    /// Comes back with the code.
    pub state: Option<&'a str>,
    /// What proves, when the code is exchanged, that it was us who asked for it.
    pub verifier: Option<&'a str>,
    /// Comes back in the ID token.
    pub nonce: Option<&'a str>,
}

/// What a person came back with, and what was kept for that moment.
#[derive(Clone, Copy, Default)]
pub struct Login<'a> {
    /// The code.
    pub code: &'a str,
    /// The state, for providers that want it again.
    pub state: Option<&'a str>,
    /// The device, as the provider calls it.
    pub device_id: Option<&'a str>,
    /// As in [`Consent`].
    pub verifier: Option<&'a str>,
    /// As in [`Consent`].
    pub nonce: Option<&'a str>,
    /// The time.
    pub clock: Clock,
}

/// A provider with an application registered there.
#[derive(Debug)]
pub struct Provider {
    name: String,
    channel: Channel,
    checks_state: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Listed(Listed),
    Openid(Box<Openid>),
}

impl Provider {
    /// Every provider: those that the configuration describes, and those of the Lua application whose name none of them
    /// has. What of the latter is not configured is empty text, as there.
    pub fn all(config: &config::Authman, http: &Http) -> Vec<Self> {
        let limits = Limits {
            request_timeout: config.request_timeout,
            response_bytes_max: config.response_bytes_max,
            requests_max: usize::try_from(config.requests_max).unwrap_or(usize::MAX),
        };
        let times = Times {
            clock_skew: config.clock_skew,
            jwks_refetch_interval: config.jwks_refetch_interval,
        };
        let provider = |name: &str, checks_state, kind| Self {
            name: name.to_owned(),
            channel: http.channel(limits),
            checks_state,
            kind,
        };
        let listed = PROVIDERS.iter().filter(|def| !config.providers.contains_key(def.name));
        let listed = listed.map(|def| {
            let listed = Listed::new(def, config);
            provider(def.name, listed.checks_state(), Kind::Listed(listed))
        });
        let described = config.providers.iter().map(|(name, config)| {
            let openid = Box::new(Openid::new(config, times));
            provider(name, config.check_state, Kind::Openid(openid))
        });
        listed.chain(described).collect()
    }

    /// The name that clients use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether logins must bring back a state of ours.
    pub fn checks_state(&self) -> bool {
        self.checks_state
    }

    /// Whether `found`, which a callback has as `iss`, may be this provider: nobody knows where it has no issuer.
    ///
    /// Source: RFC 9207 section 2.4.
    pub fn may_be(&self, found: &str) -> bool {
        match &self.kind {
            Kind::Listed(_) => true,
            Kind::Openid(openid) => openid.may_be(found),
        }
    }

    /// What was counted of the requests to it.
    pub fn counted(&self) -> Counted {
        self.channel.metrics().counted()
    }

    /// The address of the page where a person consents.
    ///
    /// # Errors
    /// The provider does not say where that is.
    pub async fn consent_url(&self, consent: &Consent<'_>) -> Result<String, ProviderError> {
        let url = match &self.kind {
            Kind::Listed(listed) => Ok(listed.consent_url(consent.state)),
            Kind::Openid(openid) => openid.consent_url(&self.channel, consent).await,
        };
        // What goes there with the person must not be read on the way.
        self.counting(url.and_then(|url| match http::check(&url) {
            Ok(()) => Ok(url),
            Err(error) => {
                self.channel.metrics().count_error(error.kind());
                Err(ProviderError::Http(error))
            }
        }))
    }

    /// Exchanges the code that the person came back with for tokens.
    ///
    /// # Errors
    /// The provider does not give any.
    pub async fn exchange(&self, login: &Login<'_>) -> Result<Exchanged, ProviderError> {
        self.counting(match &self.kind {
            Kind::Listed(listed) => listed.exchange(&self.channel, login.code).await,
            Kind::Openid(openid) => openid.exchange(&self.channel, login).await,
        })
    }

    /// Reads what the provider answers to a code.
    ///
    /// # Errors
    /// It holds no token.
    pub fn read_exchanged(&self, body: &[u8]) -> Result<Exchanged, ProviderError> {
        match &self.kind {
            Kind::Listed(listed) => listed.read_exchanged(body),
            Kind::Openid(openid) => openid.read_exchanged(body, None),
        }
    }

    /// Finds out who the tokens belong to.
    ///
    /// # Errors
    /// The provider does not say, or what it has signed is not as expected.
    pub async fn profile(
        &self,
        exchanged: &Exchanged,
        login: &Login<'_>,
    ) -> Result<Person, ProviderError> {
        self.counting(match &self.kind {
            Kind::Listed(listed) => listed.profile(&self.channel, &exchanged.kept.token).await,
            Kind::Openid(openid) => openid.profile(&self.channel, exchanged, login).await,
        })
    }

    /// Reads what the provider answers to a token.
    ///
    /// # Errors
    /// It describes nobody.
    pub fn read_person(&self, body: &[u8]) -> Result<Person, ProviderError> {
        match &self.kind {
            Kind::Listed(listed) => listed.read_person(body),
            Kind::Openid(openid) => openid.read_claims(Some(&read_json(body)?), None),
        }
    }

    /// Turns the token that was kept at login into one to ask for the profile with.
    ///
    /// # Errors
    /// The provider does not give one.
    pub async fn refresh(&self, kept: &Kept, clock: Clock) -> Result<Refreshed, ProviderError> {
        self.counting(match &self.kind {
            Kind::Listed(_) => Ok(Refreshed::unchanged(kept)),
            Kind::Openid(openid) => openid.refresh(&self.channel, kept, clock).await,
        })
    }

    /// Finds out again who a token belongs to.
    ///
    /// # Errors
    /// The provider does not say, or what it has signed is not as expected.
    pub async fn profile_again(
        &self,
        refreshed: &Refreshed,
        clock: Clock,
    ) -> Result<Person, ProviderError> {
        self.counting(match &self.kind {
            Kind::Listed(listed) => listed.profile(&self.channel, &refreshed.access_token).await,
            Kind::Openid(openid) => openid.profile_again(&self.channel, refreshed, clock).await,
        })
    }

    /// Counts failures that are not of the request, which counts its own.
    fn counting<T>(&self, result: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if let Err(error) = &result
            && !matches!(error, ProviderError::Http(_))
        {
            self.channel.metrics().count_error(error.kind());
        }
        result
    }
}

fn read_json(body: &[u8]) -> Result<Value, ProviderError> {
    serde_json::from_slice(body).map_err(|_| ProviderError::NotJson)
}

/// A field that must be text and not empty.
fn text<'a>(json: &'a Value, field: &'static str) -> Result<&'a str, ProviderError> {
    let text = json.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or(ProviderError::Missing(field))
}

#[cfg(test)]
mod tests;
