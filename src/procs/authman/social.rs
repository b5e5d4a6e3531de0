//! Login through a provider.
//!
//! Source: authman.md section 8, `social_auth_url`, `social_auth`.

use std::sync::Arc;

use lycosa_proto::error::Result;

use super::answer::{Answer, Refusal, Reply, accepted};
use super::args;
use super::attempts::Origin;
use super::clock::Clock;
use super::codes::ends_at;
use super::model::{AccountsMut, Credential, Profile, SocialState, Store, User, user_type};
use super::provider::{Consent, Exchanged, Login, Person, Provider};
use super::state::{self, Drawing, OWN_STATE_BYTES_MAX, Returned};
use super::{Authman, Drawn};
use crate::config::Secret;
use crate::procs::Args;

impl Authman {
    /// The address of a provider's consent page.
    ///
    /// In: provider: str; state: str, optional, comes back with the code: as it is, or after a dot behind a state of ours
    /// where logins are taken with one only; address of the person: str, optional. Out: str.
    /// Refuses: 13 for an unknown provider; 3 for a state that is too long; 22 there were too many from this address; 15 if
    /// the provider does not say where the page is.
    pub async fn social_auth_url(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let Some(provider) = args::text(args, 0).and_then(|name| self.provider(name)) else {
            return Ok(Err(Refusal::WrongProvider));
        };
        let own_state = args::text(args, 1);
        let expires_at = ends_at(drawn.now, self.state_lifetime);
        let drawing = match (provider.checks_state(), own_state) {
            (true, _) => {
                let own_state = own_state.unwrap_or_default();
                if own_state.len() > OWN_STATE_BYTES_MAX {
                    return Ok(Err(Refusal::InvalidParams));
                }
                Some(Drawing::ours(provider.name(), own_state, expires_at))
            }
            (false, Some(own_state)) => {
                Some(Drawing::theirs(provider.name(), own_state, expires_at))
            }
            (false, None) => None,
        };
        if drawing.is_some() {
            let origin = Origin::new(args::text(args, 2), drawn.address);
            accepted!(Ok(self.attempts.arrive(&origin, drawn.now)));
        }
        let consent = drawing.as_ref().map_or(Consent::default(), |drawing| Consent {
            state: Some(&drawing.text),
            verifier: drawing.state.verifier(),
            nonce: drawing.state.nonce(),
        });
        let url = match provider.consent_url(&consent).await {
            Ok(url) => url,
            Err(error) => {
                tracing::warn!("{}: no consent page: {error}", provider.name());
                return Ok(Err(Refusal::SocialAuthError));
            }
        };
        if let Some(Drawing { state, .. }) = &drawing {
            let keep = |accounts: &mut dyn AccountsMut| {
                accounts.put_social_state(state, drawn.now, self.states_max)
            };
            // Nobody takes back a person who has gone there.
            store.outside().write(keep).await?;
        }
        Ok(Ok(Reply::Text(Secret::new(url))))
    }

    /// Logs a person in with the code that the provider sent back.
    ///
    /// In: provider: str; code: str; state: str, as it came back, which is checked if it is given, and must be where logins
    /// are taken with one only; further parameters of the callback: map of `device_id`, `iss`, and `own_state`, what the
    /// application knows of its visitor, `address`, where they are; all optional.
    /// Out: the user with `session` and `social`. The user is made if the provider's id is new, else brought up to date.
    /// Refuses: 22 too many from this address have failed; 13 provider unknown or code empty; 11 it comes from another
    /// issuer, no login was begun with this state, or no token for the code; 15 no profile for the token, or the ID token
    /// is not as it must be.
    pub async fn social_auth(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let params = args::table(args, 3);
        let param = |key: &str| params.and_then(|params| args::text_field(params, key));
        let origin = Origin::new(param("address"), drawn.address);
        accepted!(Ok(self.attempts.arrive(&origin, drawn.now)));
        let clock = Clock::new(drawn.now);
        let provider = args::text(args, 0).and_then(|name| self.provider(name));
        let (Some(provider), Some(code)) = (provider, args::text(args, 1)) else {
            return Ok(Err(Refusal::WrongProvider));
        };
        let name = provider.name();
        if param("iss").is_some_and(|found| !provider.may_be(found)) {
            tracing::warn!("{name}: a callback is of another issuer");
            return Ok(Err(Refusal::WrongAuthCode));
        }
        let begun = match (args::text(args, 2), provider.checks_state()) {
            // The application looks for itself.
            (None, false) => None,
            (text, is_ours) => {
                let (text, own_state) = (text.unwrap_or_default(), param("own_state"));
                let returned = Returned { provider: name, text, is_ours, own_state };
                let Some(begun) = state::take(store, returned, drawn.now).await? else {
                    tracing::warn!("{name}: a callback belongs to no login that was begun here");
                    return Ok(Err(Refusal::WrongAuthCode));
                };
                Some(begun)
            }
        };
        let login = Login {
            code,
            state: args::text(args, 2),
            device_id: param("device_id"),
            verifier: begun.as_ref().and_then(SocialState::verifier),
            nonce: begun.as_ref().and_then(SocialState::nonce),
            clock,
        };
        let (exchanged, person) = match recognize(provider, &login).await {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let enter = |accounts: &mut dyn AccountsMut| {
            let (user, credential) = enter(accounts, provider, exchanged, person, drawn)?;
            let session = self.open_session(accounts, &user.id, Some(&credential.id), drawn)?;
            let social = Some(credential.into());
            Ok(Reply::LoggedIn { user: Box::new(user), session, social })
        };
        let reply = store.write(enter).await?;
        if begun.is_none() && self.metrics.stateless_logins.add(1) == 0 {
            tracing::warn!(
                "{name}: a login without a state was taken, see check_state in docs/authman.md"
            );
        }
        // The call itself, and the one to which the person owes the state.
        for _ in 0..1 + usize::from(begun.is_some()) {
            self.attempts.leave(&origin, drawn.now);
        }
        Ok(Ok(reply))
    }

    /// What was counted of the requests to providers. Out: map of `providers`, by name.
    pub fn stat(&self) -> Answer {
        let counted = |provider: &Arc<Provider>| (provider.name().to_owned(), provider.counted());
        let providers = self.providers.iter().map(counted).collect();
        Ok(Reply::Stat { accounts: self.counted(), providers })
    }
}

/// Asks the provider who comes with a code.
async fn recognize(
    provider: &Provider,
    login: &Login<'_>,
) -> std::result::Result<(Exchanged, Person), Refusal> {
    let exchanged = provider.exchange(login).await.map_err(|error| {
        tracing::warn!("{}: no token: {error}", provider.name());
        Refusal::WrongAuthCode
    })?;
    let person = provider.profile(&exchanged, login).await.map_err(|error| {
        tracing::warn!("{}: no profile: {error}", provider.name());
        Refusal::SocialAuthError
    })?;
    Ok((exchanged, person))
}

/// Makes or updates user and credential of a person.
fn enter(
    accounts: &mut dyn AccountsMut,
    provider: &Provider,
    exchanged: Exchanged,
    person: Person,
    drawn: Drawn<'_>,
) -> Result<(User, Credential)> {
    let known = accounts.credential_by_social_id(&person.id, provider.name())?;
    let old = match &known {
        Some(credential) => accounts.user(&credential.user_id)?,
        None => None,
    };
    let user_id = known.as_ref().map(|credential| credential.user_id.clone());
    let mut user = old.unwrap_or_else(|| User {
        id: user_id.unwrap_or_else(drawn.uuid),
        email: String::new(),
        user_type: user_type::SOCIAL,
        is_active: true,
        profile: Profile::unset(),
        registration_ts: Some(drawn.now),
        session_update_ts: None,
    });
    user.user_type = user_type::SOCIAL;
    user.is_active = true;
    user.profile = person.profile;
    user.session_update_ts = Some(drawn.now);
    if let Some(email) = person.email.or(exchanged.email) {
        user.email = email;
    }
    let credential = Credential {
        id: known.map_or_else(drawn.uuid, |credential| credential.id),
        user_id: user.id.clone(),
        provider: provider.name().to_owned(),
        social_id: person.id,
        kept: exchanged.kept,
    };
    accounts.put_user(&user)?;
    accounts.put_credential(&credential)?;
    Ok((user, credential))
}
