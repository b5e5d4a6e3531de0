//! Registration with an email and a password.
//!
//! ```text
//! registration --> inactive user, code --> complete_registration --> active user with a password
//!                  the same user, and the same code while it is young, when it is asked for again
//! ```
//!
//! Who gets the code is the caller's business: giving it back proves that the email is the person's. No password is hashed
//! before the code is known to be right, nor while the database is held: what was judged before is judged again after.
//!
//! Source: authman.md section 7, `registration`, `complete_registration`.

use std::borrow::Cow;

use lycosa_proto::error::Result;

use super::answer::{Answer, Judged, Refusal, Reply, accepted};
use super::attempts::{Attempt, Kind, Origin};
use super::codes::Use;
use super::model::{Accounts, AccountsMut, Password, Profile, Store, User, user_type};
use super::password::{PasswordHash, is_strong};
use super::{Authman, Drawn, args};
use crate::config::Secret;
use crate::procs::Args;

impl Authman {
    /// Makes a user who is not active yet.
    ///
    /// In: email: str; user_id: str, optional, a UUID is drawn without it; address of the person: str, optional. Out: the
    /// user with `code`, which completes the registration. A user who is there and not active is given again.
    /// Refuses: 22 there were too many from this address, or codes were asked for too often; 3 not an email; 2 an active
    /// user has it.
    /// Errors: ER_TUPLE_FOUND if the id is taken.
    pub async fn registration(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let origin = Origin::new(args::text(args, 2), drawn.address);
        accepted!(Ok(self.attempts.arrive(&origin, drawn.now)));
        let Some(email) = args::email(args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
        let register = |accounts: &mut dyn AccountsMut| {
            let user = match accounts.common_user(&email)? {
                Some(user) if user.is_active => return Ok(Err(Refusal::UserAlreadyExists)),
                Some(user) => {
                    accepted!(Ok(self.begin(Kind::Issue, &user.id, &origin, drawn)));
                    user
                }
                None => {
                    let id = args::text(args, 1).map_or_else(drawn.uuid, str::to_owned);
                    let user = newcomer(id, email, drawn.now);
                    accounts.insert_user(&user)?;
                    user
                }
            };
            let kept = accounts.password_token(&user.id)?;
            let (code, kept) = self.codes.issue(Use::Activation, &user.id, kept, drawn);
            if let Some(kept) = kept {
                accounts.put_password_token(&kept)?;
            }
            Ok(Ok(Reply::Registered { user: Box::new(user), code }))
        };
        store.write(register).await
    }

    /// Makes a user active, with a password.
    ///
    /// In: email: str; code: str; password: str; address of the person: str, optional. Out: the user.
    /// Refuses: 3 not an email or code; 14 password too weak; 23 password too long; 1 no such user; 10 active already; 22
    /// tried too often; 6 another code.
    pub async fn complete_registration(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let origin = Origin::new(args::text(args, 3), drawn.address);
        let place = accepted!(Ok(self.hasher.place()));
        accepted!(Ok(self.attempts.arrive(&origin, drawn.now)));
        let (Some(email), Some(code)) = (args::email(args, 0), args::text(args, 1)) else {
            return Ok(Err(Refusal::InvalidParams));
        };
        let password = accepted!(Ok(self.chosen_password(args, 2)));
        let registrant = |accounts: &dyn Accounts, counted: Option<&Origin>| {
            let user = match accounts.common_user(&email)? {
                None => return Ok(Err(Refusal::UserNotFound)),
                Some(user) if user.is_active => return Ok(Err(Refusal::UserAlreadyActive)),
                Some(user) => user,
            };
            accepted!(self.try_code(accounts, Use::Activation, &user.id, code, counted, drawn));
            Ok(Ok(user))
        };
        let user = accepted!(store.read(|accounts| registrant(accounts, Some(&origin))).await);
        let hash = self.hasher.hash(&place, &user.id, &password, drawn.salt()).await;
        drop(place);
        let complete = |accounts: &mut dyn AccountsMut| {
            let mut user = accepted!(registrant(accounts, None));
            keep_password(accounts, &user.id, hash, drawn)?;
            accounts.delete_password_token(&user.id)?;
            user.is_active = true;
            user.registration_ts = Some(drawn.now);
            accounts.put_user(&user)?;
            Ok(Ok(Reply::User(Box::new(user))))
        };
        store.write(complete).await
    }

    /// The argument at `place` as a password that may be chosen.
    ///
    /// Refuses: 14 no password, or too weak; 23 too long.
    pub(super) fn chosen_password<'a>(
        &self,
        args: &'a Args,
        place: usize,
    ) -> std::result::Result<Cow<'a, [u8]>, Refusal> {
        let password = args::password(args, place).ok_or(Refusal::WeakPassword)?;
        if password.len() as u64 > self.password_bytes_max {
            return Err(Refusal::PasswordTooLong);
        }
        let is_strong = is_strong(&password, self.password_strength);
        is_strong.then_some(password).ok_or(Refusal::WeakPassword)
    }

    /// Judges a code that a person gave; counts it as an attempt from `counted`.
    ///
    /// Refuses: 22 tried too often; 6 or 9 another code.
    pub(super) fn try_code(
        &self,
        accounts: &dyn Accounts,
        code_use: Use,
        user_id: &str,
        code: &str,
        counted: Option<&Origin>,
        drawn: Drawn<'_>,
    ) -> Judged<()> {
        let (kind, account) = (code_use.attempt(), user_id);
        let attempt = counted.map(|origin| Attempt { kind, account, origin });
        if let Some(attempt) = attempt {
            accepted!(Ok(self.attempts.begin(attempt, drawn.now)));
        }
        let kept = accounts.password_token(user_id)?;
        if !self.codes.accepts(code_use, user_id, &Secret::new(code), kept.as_ref(), drawn.now) {
            return Ok(Err(code_use.refusal()));
        }
        if let Some(attempt) = attempt {
            self.attempts.succeed(attempt, drawn.now);
            self.attempts.leave(attempt.origin, drawn.now);
        }
        Ok(Ok(()))
    }

    /// Counts an attempt.
    ///
    /// Refuses: 22 there were too many.
    pub(super) fn begin(
        &self,
        kind: Kind,
        account: &str,
        origin: &Origin,
        drawn: Drawn<'_>,
    ) -> std::result::Result<(), Refusal> {
        self.attempts.begin(Attempt { kind, account, origin }, drawn.now)
    }
}

/// The user of type common with this email, if they may log in.
pub(super) fn active_user(accounts: &dyn Accounts, email: Option<&str>) -> Judged<User> {
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
    hash: PasswordHash,
    drawn: Drawn<'_>,
) -> Result<()> {
    let old = accounts.password(user_id)?;
    let id = old.map_or_else(drawn.uuid, |old| old.id);
    accounts.put_password(&Password { id, user_id: user_id.to_owned(), hash })
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
