//! Login through a provider.
//!
//! Source: authman.md section 8, `social_auth_url`, `social_auth`.

use lycosa_proto::error::Result;

use super::answer::{Answer, Refusal, Reply};
use super::args;
use super::model::{AccountsMut, Credential, Profile, Store, User, user_type};
use super::provider::{Exchanged, Person, Provider};
use super::{Authman, Drawn};
use crate::procs::Args;

impl Authman {
    /// The address of a provider's consent page.
    ///
    /// In: provider: str; state: str, optional, comes back with the code. Out: str.
    /// Refuses: 13 for an unknown provider.
    pub fn social_auth_url(&self, args: &Args) -> Answer {
        let provider = args::text(args, 0).and_then(|name| self.provider(name));
        let provider = provider.ok_or(Refusal::WrongProvider)?;
        Ok(Reply::Text(provider.consent_url(args::text(args, 1))))
    }

    /// Logs a person in with the code that the provider sent back.
    ///
    /// In: provider: str; code: str. Out: the user with `session` and `social`. The user is made if the provider's id is
    /// new, else brought up to date.
    /// Refuses: 13 provider unknown or code empty; 11 no token for the code; 15 no profile for the token.
    pub async fn social_auth(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let provider = args::text(args, 0).and_then(|name| self.provider(name));
        let (Some(provider), Some(code)) = (provider, args::text(args, 1)) else {
            return Ok(Err(Refusal::WrongProvider));
        };
        let (exchanged, person) = match recognize(provider, code).await {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let login = |accounts: &mut dyn AccountsMut| {
            let (user, credential) = enter(accounts, provider, exchanged, person, drawn)?;
            let session = self.open_session(accounts, &user.id, Some(&credential.id), drawn)?;
            let social = Some(credential.into());
            Ok(Reply::LoggedIn { user: Box::new(user), session, social })
        };
        store.write(login).await.map(Ok)
    }
}

/// Asks the provider who comes with `code`.
async fn recognize(
    provider: &Provider,
    code: &str,
) -> std::result::Result<(Exchanged, Person), Refusal> {
    let exchanged = provider.exchange(code).await.map_err(|error| {
        tracing::warn!("{}: no token: {error}", provider.name());
        Refusal::WrongAuthCode
    })?;
    let person = provider.profile(&exchanged.token).await.map_err(|error| {
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
        token: exchanged.token,
    };
    accounts.put_user(&user)?;
    accounts.put_credential(&credential)?;
    Ok((user, credential))
}
