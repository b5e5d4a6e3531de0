//! Registration with an email and a password.
//!
//! ```text
//! registration --> inactive user, code --> complete_registration --> active user with a password
//!                  the same user and code when it is asked for again
//! ```
//!
//! Who gets the code is the caller's business: giving it back proves that the email is the person's.
//!
//! Source: authman.md section 7, `registration`, `complete_registration`.

use lycosa_proto::error::Result;

use super::answer::{Answer, Judged, Refusal, Reply};
use super::codes::{activation_code, is_right};
use super::model::{AccountsMut, Password, Profile, Store, User, user_type};
use super::password::{PasswordHash, is_strong};
use super::{Authman, Drawn, args};
use crate::procs::Args;

impl Authman {
    /// Makes a user who is not active yet.
    ///
    /// In: email: str; user_id: str, optional, a UUID is drawn without it. Out: the user with `code`, which completes the
    /// registration. A user who is there and not active is given again.
    /// Refuses: 3 not an email; 2 an active user has it.
    /// Errors: ER_TUPLE_FOUND if the id is taken.
    pub async fn registration(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let Some(email) = args::email(args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
        let register = |accounts: &mut dyn AccountsMut| {
            let user = match accounts.common_user(&email)? {
                Some(user) if user.is_active => return Ok(Err(Refusal::UserAlreadyExists)),
                Some(user) => user,
                None => {
                    let id = args::text(args, 1).map_or_else(drawn.uuid, str::to_owned);
                    let user = newcomer(id, email, drawn.now);
                    accounts.insert_user(&user)?;
                    user
                }
            };
            let code = activation_code(&self.secrets.activation, &user.id);
            Ok(Ok(Reply::Registered { user: Box::new(user), code }))
        };
        store.write(register).await
    }

    /// Makes a user active, with a password.
    ///
    /// In: email: str; code: str; password: str. Out: the user.
    /// Refuses: 3 not an email or code; 14 password too weak; 1 no such user; 10 active already; 6 another code.
    pub async fn complete_registration(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let (Some(email), Some(code)) = (args::email(args, 0), args::text(args, 1)) else {
            return Ok(Err(Refusal::InvalidParams));
        };
        let password = args::password(args, 2);
        let Some(password) = password.filter(|text| is_strong(text, self.password_strength)) else {
            return Ok(Err(Refusal::WeakPassword));
        };
        let complete = |accounts: &mut dyn AccountsMut| {
            let Some(mut user) = accounts.common_user(&email)? else {
                return Ok(Err(Refusal::UserNotFound));
            };
            if user.is_active {
                return Ok(Err(Refusal::UserAlreadyActive));
            }
            if !is_right(code, &activation_code(&self.secrets.activation, &user.id)) {
                return Ok(Err(Refusal::WrongActivationCode));
            }
            keep_password(accounts, &user.id, &password, drawn)?;
            user.is_active = true;
            user.registration_ts = Some(drawn.now);
            accounts.put_user(&user)?;
            Ok(Ok(Reply::User(Box::new(user))))
        };
        store.write(complete).await
    }
}

/// The user of type common with this email, if they may log in.
pub(super) fn active_user(accounts: &dyn AccountsMut, email: Option<&str>) -> Judged<User> {
    let found = email.map_or(Ok(None), |email| accounts.common_user(email))?;
    Ok(match found {
        None => Err(Refusal::UserNotFound),
        Some(user) if !user.is_active => Err(Refusal::UserNotActive),
        Some(user) => Ok(user),
    })
}

/// Keeps a password, in place of an older one.
pub(super) fn keep_password(
    accounts: &mut dyn AccountsMut,
    user_id: &str,
    password: &[u8],
    drawn: Drawn<'_>,
) -> Result<()> {
    let old = accounts.password(user_id)?;
    accounts.put_password(&Password {
        id: old.map_or_else(drawn.uuid, |old| old.id),
        user_id: user_id.to_owned(),
        hash: PasswordHash::of(user_id, password),
    })
}

fn newcomer(id: String, email: String, now: u64) -> User {
    User {
        id,
        email,
        user_type: user_type::COMMON,
        is_active: false,
        profile: Profile::unset(),
        registration_ts: Some(now),
        session_update_ts: None,
    }
}
