//! Providers of social login: the OAuth2 authorization code flow, from a table of what each provider wants.
//!
//! Parameters are encoded where they are put into a query or a form. Failures name no token, code or secret.

mod table;

use std::fmt;

use serde_json::Value;

use super::model::Profile;
use crate::config::{self, Secret};
use crate::http::{Channel, Http, HttpError, Limits, Response, url_with};
use table::{Method, PROVIDERS, ProviderDef, Request, Slot};

/// Why a provider did not say what was asked.
#[derive(Debug, PartialEq, Eq)]
pub enum ProviderError {
    /// The request failed, or its status is not 200.
    Http(HttpError),
    /// The answer is not JSON.
    NotJson,
    /// The answer lacks this field, or it is of another type or empty.
    Missing(&'static str),
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::NotJson => f.write_str("the answer is not JSON"),
            Self::Missing(field) => write!(f, "the answer has no usable {field}"),
        }
    }
}

impl std::error::Error for ProviderError {}

/// What a code was exchanged for.
#[derive(Debug, PartialEq)]
pub struct Exchanged {
    /// The token to keep.
    pub token: Secret,
    /// The email, from providers that give it here.
    pub email: Option<String>,
}

/// A person as a provider describes it.
#[derive(Debug, PartialEq)]
pub struct Person {
    /// The id, never empty.
    pub id: String,
    /// The email in lower case, if there is one.
    pub email: Option<String>,
    /// The names that the provider gave.
    pub profile: Profile,
}

/// A provider with an application registered there.
#[derive(Debug)]
pub struct Provider {
    def: &'static ProviderDef,
    config: config::Provider,
    channel: Channel,
}

/// What is known of one login, for the slots of a request.
#[derive(Clone, Copy, Default)]
struct Known<'a> {
    code: &'a str,
    token: &'a str,
}

impl Provider {
    /// Every provider. What is not configured is empty text, as in the Lua application.
    pub fn all(config: &config::Authman, http: &Http) -> Vec<Self> {
        let limits = Limits {
            request_timeout: config.request_timeout,
            response_bytes_max: config.response_bytes_max,
            requests_max: usize::try_from(config.requests_max).unwrap_or(usize::MAX),
        };
        let provider = |def: &'static ProviderDef| Self {
            def,
            config: (def.config)(config).clone(),
            channel: http.channel(limits),
        };
        PROVIDERS.iter().map(provider).collect()
    }

    /// The name that clients use.
    pub fn name(&self) -> &'static str {
        self.def.name
    }

    /// The address of the page where a person consents. `state` comes back with the code.
    pub fn consent_url(&self, state: Option<&str>) -> String {
        let url = self.config.endpoints.consent_url.as_deref().unwrap_or(self.def.consent_url);
        let mut params = self.fill(self.def.consent, Known::default());
        params.extend(state.map(|state| ("state", state)));
        url_with(url, &params)
    }

    /// Exchanges the code that the person came back with for a token.
    pub async fn exchange(&self, code: &str) -> Result<Exchanged, ProviderError> {
        self.read_exchanged(&self.ask(&self.def.token, Known { code, ..Known::default() }).await?)
    }

    /// Reads what a provider answers to a code.
    pub fn read_exchanged(&self, body: &[u8]) -> Result<Exchanged, ProviderError> {
        let json = read_json(body)?;
        Ok(Exchanged {
            token: Secret::new(text(&json, self.def.token_field)?),
            email: self.def.token_email_field.and_then(|field| email(&json, field)),
        })
    }

    /// Asks who the token belongs to.
    pub async fn profile(&self, token: &Secret) -> Result<Person, ProviderError> {
        let def = self.def;
        let access_token = match &def.refresh {
            Some(refresh) => {
                let known = Known { token: token.expose(), ..Known::default() };
                let json = read_json(&self.ask(refresh, known).await?)?;
                Secret::new(text(&json, "access_token")?)
            }
            None => token.clone(),
        };
        let known = Known { token: access_token.expose(), ..Known::default() };
        self.read_person(&self.ask(&def.profile, known).await?)
    }

    /// Reads what a provider answers to a token.
    pub fn read_person(&self, body: &[u8]) -> Result<Person, ProviderError> {
        let (def, json) = (self.def, read_json(body)?);
        let json = json.pointer(def.profile_root).ok_or(ProviderError::Missing("profile"))?;
        let id = match &json["id"] {
            Value::Number(number) if def.id_may_be_number => number.to_string(),
            _ => text(json, "id")?.to_owned(),
        };
        let [first, last] = def.name_fields;
        let names = [("first_name", json.get(first)), ("last_name", json.get(last))];
        let names: Vec<_> =
            names.iter().filter_map(|(key, value)| Some((*key, (*value)?))).collect();
        Ok(Person { id, email: email(json, "email"), profile: Profile::new(&names) })
    }

    /// The body of the answer to a request.
    async fn ask(&self, request: &Request, known: Known<'_>) -> Result<Vec<u8>, ProviderError> {
        let url = (request.configured_url)(&self.config).unwrap_or(request.url);
        let params = self.fill(request.params, known);
        let response = match request.method {
            Method::Get => self.channel.get(url, &params).await,
            Method::Post => self.channel.post_form(url, &params).await,
        };
        response.and_then(Response::ok).map_err(ProviderError::Http)
    }

    fn fill<'a>(
        &'a self,
        params: &'static [(&'static str, Slot)],
        known: Known<'a>,
    ) -> Vec<(&'static str, &'a str)> {
        let value = |slot: &Slot| match *slot {
            Slot::Text(text) => text,
            Slot::ClientId => &self.config.client_id,
            Slot::ClientSecret => self.config.client_secret.expose(),
            Slot::RedirectUri => &self.config.redirect_uri,
            Slot::Code => known.code,
            Slot::Token => known.token,
        };
        params.iter().map(|(key, slot)| (*key, value(slot))).collect()
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

/// A field that may hold an email.
fn email(json: &Value, field: &'static str) -> Option<String> {
    text(json, field).ok().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests;
