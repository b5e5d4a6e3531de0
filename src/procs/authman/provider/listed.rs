//! The providers of the Lua application: each is asked as a row of a table says.
//!
//! Source: authman.md section 8.

use serde_json::Value;

use super::table::{Method, ProviderDef, Request, Slot};
use super::{Exchanged, Person, ProviderError, read_json, text};
use crate::config::{self, Secret};
use crate::http::{self, Channel, Response, url_with};
use crate::procs::authman::model::{Kept, Profile};

/// A provider of the table with an application registered there.
#[derive(Debug)]
pub(super) struct Listed {
    def: &'static ProviderDef,
    config: config::Provider,
}

/// What is known of one login, for the slots of a request.
#[derive(Clone, Copy, Default)]
struct Known<'a> {
    code: &'a str,
    token: &'a str,
}

impl Listed {
    pub(super) fn new(def: &'static ProviderDef, config: &config::Authman) -> Self {
        Self { def, config: (def.config)(config).clone() }
    }

    /// Whether logins must bring back a state of ours.
    pub(super) fn checks_state(&self) -> bool {
        self.config.check_state
    }

    /// The address of the page where a person consents. `state` comes back with the code.
    pub(super) fn consent_url(&self, state: Option<&str>) -> String {
        let url = self.versioned(self.def.consent_url);
        let url = self.config.endpoints.consent_url.as_deref().unwrap_or(&url);
        let mut params = self.fill(self.def.consent, Known::default());
        params.extend(state.map(|state| ("state", state)));
        url_with(url, &params)
    }

    /// Exchanges the code that the person came back with for a token.
    pub(super) async fn exchange(
        &self,
        channel: &Channel,
        code: &str,
    ) -> Result<Exchanged, ProviderError> {
        let known = Known { code, ..Known::default() };
        self.read_exchanged(&self.ask(channel, &self.def.token, known).await?)
    }

    /// Reads what a provider answers to a code.
    pub(super) fn read_exchanged(&self, body: &[u8]) -> Result<Exchanged, ProviderError> {
        let json = read_json(body)?;
        let token = Secret::new(text(&json, self.def.token_field)?);
        Ok(Exchanged {
            kept: Kept { token: token.clone(), token_use: None, device_id: None },
            access_token: token,
            id_token: None,
            email: self.def.token_email_field.and_then(|field| email(&json, field)),
        })
    }

    /// Asks who the kept token belongs to.
    pub(super) async fn profile(
        &self,
        channel: &Channel,
        token: &Secret,
    ) -> Result<Person, ProviderError> {
        let def = self.def;
        let access_token = match &def.refresh {
            Some(refresh) => {
                let known = Known { token: token.expose(), ..Known::default() };
                let json = read_json(&self.ask(channel, refresh, known).await?)?;
                Secret::new(text(&json, "access_token")?)
            }
            None => token.clone(),
        };
        let known = Known { token: access_token.expose(), ..Known::default() };
        self.read_person(&self.ask(channel, &def.profile, known).await?)
    }

    /// Reads what a provider answers to a token.
    pub(super) fn read_person(&self, body: &[u8]) -> Result<Person, ProviderError> {
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
    async fn ask(
        &self,
        channel: &Channel,
        request: &Request,
        known: Known<'_>,
    ) -> Result<Vec<u8>, ProviderError> {
        let url = self.versioned(request.url);
        let url = (request.configured_url)(&self.config).unwrap_or(&url);
        let params = self.fill(request.params, known);
        let base =
            http::Request { is_idempotent: request.is_idempotent, ..http::Request::get(url) };
        let request = match request.method {
            Method::Get => http::Request { query: &params, ..base },
            Method::Post => http::Request { form: Some(&params), ..base },
        };
        channel.send(&request).await.and_then(Response::ok).map_err(ProviderError::Http)
    }

    /// An address of the table with the version of the provider's interface in it.
    fn versioned(&self, url: &str) -> String {
        match &self.config.api_version {
            Some(version) => {
                url.replace("{version}", version).replace("{/version}", &format!("/{version}"))
            }
            None => url.replace("{version}", self.def.api_version).replace("{/version}", ""),
        }
    }

    fn fill<'a>(
        &'a self,
        params: &'static [(&'static str, Slot)],
        known: Known<'a>,
    ) -> Vec<(&'static str, &'a str)> {
        let value = |slot: &Slot| match *slot {
            Slot::Text(text) => text,
            Slot::Scope(scope) => self.config.scope.as_deref().unwrap_or(scope),
            Slot::Version(version) => self.config.api_version.as_deref().unwrap_or(version),
            Slot::ClientId => &self.config.client_id,
            Slot::ClientSecret => self.config.client_secret.expose(),
            Slot::RedirectUri => &self.config.redirect_uri,
            Slot::Code => known.code,
            Slot::Token => known.token,
        };
        params.iter().map(|(key, slot)| (*key, value(slot))).collect()
    }
}

/// A field that may hold an email.
fn email(json: &Value, field: &'static str) -> Option<String> {
    text(json, field).ok().map(str::to_ascii_lowercase)
}
