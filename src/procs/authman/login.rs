//! Login with a password, and a new password for who has forgotten it.
//!
//! Source: authman.md section 7, `auth`, `restore_password`, `complete_restore_password`.

use lycosa_proto::error::Result;

use super::answer::{Answer, Refusal, Reply, accepted};
use super::codes::{is_right, restore_token};
use super::model::{AccountsMut, RestoreToken, Store, user_type};
use super::password::is_strong;
use super::registration::{active_user, keep_password};
use super::{Authman, Drawn, args};
use crate::procs::Args;

impl Authman {
    /// Logs a person in.
    ///
    /// In: email: str; password: str. Out: the user with `session`.
    /// Refuses: 1 no such user; 4 not active; 5 another password, or there is none.
    pub async fn auth(&self, args: &Args, store: &impl Store, drawn: Drawn<'_>) -> Result<Answer> {
        let (email, password) = (args::lower(args, 0), args::password(args, 1));
        let log_in = |accounts: &mut dyn AccountsMut| {
            let mut user = accepted!(active_user(accounts, email.as_deref()));
            let kept = accounts.password(&user.id)?;
            let is_right =
                kept.zip(password).is_some_and(|(kept, given)| kept.hash.is_of(&user.id, &given));
            if !is_right {
                return Ok(Err(Refusal::WrongPassword));
            }
            let session = self.open_session(accounts, &user.id, None, drawn)?;
            user.session_update_ts = Some(drawn.now);
            accounts.put_user(&user)?;
            Ok(Ok(Reply::LoggedIn { user: Box::new(user), session, social: None }))
        };
        store.write(log_in).await
    }

    /// Gives a token to choose a new password with, in place of an older one.
    ///
    /// In: email: str. Out: str.
    /// Refuses: 1 no such user; 4 not active.
    pub async fn restore_password(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let email = args::lower(args, 0);
        let give = |accounts: &mut dyn AccountsMut| {
            let user = accepted!(active_user(accounts, email.as_deref()));
            let token = restore_token(&self.secrets.restore, &user.id, drawn.now);
            let text = token.expose().to_owned();
            accounts.put_restore_token(&RestoreToken { user_id: user.id, token })?;
            Ok(Ok(Reply::Text(text)))
        };
        store.write(give).await
    }

    /// Takes a new password, ends the user's login sessions and the token.
    ///
    /// In: email: str; token: str; password: str. Out: the user.
    /// Refuses: 3 no token; 1 no such user; 4 not active; 14 password too weak; 9 another token, or none was given out.
    pub async fn complete_restore_password(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let Some(token) = args::text(args, 1) else { return Ok(Err(Refusal::InvalidParams)) };
        let (email, password) = (args::lower(args, 0), args::password(args, 2));
        let password = password.filter(|text| is_strong(text, self.password_strength));
        let complete = |accounts: &mut dyn AccountsMut| {
            let mut user = accepted!(active_user(accounts, email.as_deref()));
            let Some(password) = password else { return Ok(Err(Refusal::WeakPassword)) };
            let kept = accounts.restore_token(&user.id)?;
            if !kept.is_some_and(|kept| is_right(token, &kept.token)) {
                return Ok(Err(Refusal::WrongRestoreToken));
            }
            keep_password(accounts, &user.id, &password, drawn)?;
            accounts.delete_sessions(&user.id)?;
            accounts.delete_restore_token(&user.id)?;
            user.user_type = user_type::COMMON;
            accounts.put_user(&user)?;
            Ok(Ok(Reply::User(Box::new(user))))
        };
        store.write(complete).await
    }
}
