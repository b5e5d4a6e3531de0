//! Login with a password, and a new password for who has forgotten it.
//!
//! ```text
//! call counted --> read: user, kept hash --> attempt counted --> verified, off the database
//!                                                            --> write: the hash is still the one --> session, newer hash
//!                                       again, if somebody else has changed the hash meanwhile <--|
//! ```
//!
//! Source: authman.md section 7, `auth`, `restore_password`, `complete_restore_password`.

use lycosa_proto::error::Result;

use super::answer::{Answer, Judged, Refusal, Reply, accepted};
use super::attempts::{Attempt, Kind, Origin};
use super::codes::Use;
use super::hashing::Verified;
use super::model::{Accounts, AccountsMut, Password, Store, user_type};
use super::password::PasswordHash;
use super::registration::{active_user, keep_password};
use super::{Authman, Drawn, args};
use crate::procs::Args;

/// How often a login begins anew because the kept hash has changed meanwhile.
const ROUNDS_MAX: usize = 3;

/// What a login has come to.
enum Entered {
    /// The person is in.
    Yes(Reply),
    /// This is kept now in place of what was verified.
    Changed(Option<Password>),
}

impl Authman {
    /// Logs a person in.
    ///
    /// In: email: str; password: str; address of the person: str, optional. Out: the user with `session`.
    /// Refuses: 22 tried too often, or too many wait; 1 no such user; 4 not active; 23 password too long; 5 another password,
    /// or there is none.
    pub async fn auth(&self, args: &Args, store: &impl Store, drawn: Drawn<'_>) -> Result<Answer> {
        let (email, password) = (args::lower(args, 0), args::password(args, 1));
        let origin = Origin::new(args::text(args, 2), drawn.address);
        let mut place = accepted!(Ok(self.hasher.place()));
        accepted!(Ok(self.attempts.arrive(&origin, drawn.now)));
        let find = |accounts: &dyn Accounts| {
            let user = accepted!(active_user(accounts, email.as_deref()));
            let kept = accounts.password(&user.id)?;
            Ok(Ok((user.id, kept)))
        };
        let found = store.read(find).await?;
        if password.as_ref().is_some_and(|text| text.len() as u64 > self.password_bytes_max) {
            return Ok(Err(found.err().unwrap_or(Refusal::PasswordTooLong)));
        }
        let (user_id, mut kept) = match found {
            Ok(found) => found,
            Err(refusal) => {
                // As long as for a user who is there.
                self.hasher.verify(&place, "", password.as_deref(), None, drawn.salt()).await;
                return Ok(Err(refusal));
            }
        };
        let attempt = Attempt { kind: Kind::Password, account: &user_id, origin: &origin };
        accepted!(Ok(self.attempts.begin(attempt, drawn.now)));
        for _ in 0..ROUNDS_MAX {
            let hash = kept.as_ref().map(|kept| &kept.hash);
            let given = password.as_deref();
            let verified = self.hasher.verify(&place, &user_id, given, hash, drawn.salt()).await;
            drop(place);
            let Verified::Right { replacement } = verified else { break };
            let entered = store
                .write(|accounts| self.enter(accounts, &user_id, kept.as_ref(), replacement, drawn))
                .await;
            match accepted!(entered) {
                Entered::Yes(reply) => {
                    self.attempts.succeed(attempt, drawn.now);
                    self.attempts.leave(&origin, drawn.now);
                    return Ok(Ok(reply));
                }
                Entered::Changed(newer) => kept = newer,
            }
            place = accepted!(Ok(self.hasher.place()));
        }
        Ok(Err(Refusal::WrongPassword))
    }

    /// Opens a session for a person whose password is right if it is still `verified`; keeps a newer hash of it.
    fn enter(
        &self,
        accounts: &mut dyn AccountsMut,
        user_id: &str,
        verified: Option<&Password>,
        replacement: Option<PasswordHash>,
        drawn: Drawn<'_>,
    ) -> Judged<Entered> {
        let mut user = match accounts.user(user_id)? {
            None => return Ok(Err(Refusal::UserNotFound)),
            Some(user) if !user.is_active => return Ok(Err(Refusal::UserNotActive)),
            Some(user) => user,
        };
        let kept = accounts.password(user_id)?;
        if kept.as_ref() != verified {
            return Ok(Ok(Entered::Changed(kept)));
        }
        if let Some(hash) = replacement {
            keep_password(accounts, user_id, hash, drawn)?;
            self.metrics.replaced_hashes.add(1);
        }
        let session = self.open_session(accounts, user_id, None, drawn)?;
        user.session_update_ts = Some(drawn.now);
        accounts.put_user(&user)?;
        Ok(Ok(Entered::Yes(Reply::LoggedIn { user: Box::new(user), session, social: None })))
    }

    /// Gives a token to choose a new password with: the same one as long as it is young, else one in place of an older one.
    ///
    /// In: email: str; address of the person: str, optional. Out: str.
    /// Refuses: 22 tokens were asked for too often; 1 no such user; 4 not active.
    pub async fn restore_password(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let email = args::lower(args, 0);
        let origin = Origin::new(args::text(args, 1), drawn.address);
        accepted!(Ok(self.attempts.arrive(&origin, drawn.now)));
        let give = |accounts: &mut dyn AccountsMut| {
            let user = accepted!(active_user(accounts, email.as_deref()));
            accepted!(Ok(self.begin(Kind::Issue, &user.id, &origin, drawn)));
            let kept = accounts.password_token(&user.id)?;
            let (token, kept) = self.codes.issue(Use::Restore, &user.id, kept, drawn);
            if let Some(kept) = kept {
                accounts.put_password_token(&kept)?;
            }
            Ok(Ok(Reply::Text(token)))
        };
        store.write(give).await
    }

    /// Takes a new password, ends the user's login sessions and the token.
    ///
    /// In: email: str; token: str; password: str; address of the person: str, optional. Out: the user.
    /// Refuses: 3 no token; 1 no such user; 4 not active; 14 password too weak; 23 password too long; 22 tried too often; 9
    /// another token, or none was given out.
    pub async fn complete_restore_password(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let origin = Origin::new(args::text(args, 3), drawn.address);
        let place = accepted!(Ok(self.hasher.place()));
        accepted!(Ok(self.attempts.arrive(&origin, drawn.now)));
        let Some(token) = args::text(args, 1) else { return Ok(Err(Refusal::InvalidParams)) };
        let (email, password) = (args::lower(args, 0), self.chosen_password(args, 2));
        let forgetful = |accounts: &dyn Accounts, counted: Option<&Origin>| {
            let user = accepted!(active_user(accounts, email.as_deref()));
            if let Err(refusal) = &password {
                return Ok(Err(*refusal));
            }
            accepted!(self.try_code(accounts, Use::Restore, &user.id, token, counted, drawn));
            Ok(Ok(user))
        };
        let user = accepted!(store.read(|accounts| forgetful(accounts, Some(&origin))).await);
        let chosen = password.as_deref().unwrap_or_default();
        let hash = self.hasher.hash(&place, &user.id, chosen, drawn.salt()).await;
        drop(place);
        let complete = |accounts: &mut dyn AccountsMut| {
            let mut user = accepted!(forgetful(accounts, None));
            keep_password(accounts, &user.id, hash, drawn)?;
            accounts.delete_sessions(&user.id)?;
            accounts.delete_password_token(&user.id)?;
            user.user_type = user_type::COMMON;
            accounts.put_user(&user)?;
            Ok(Ok(Reply::User(Box::new(user))))
        };
        let answer = store.write(complete).await?;
        if answer.is_ok() {
            // Whoever guessed the password of before has not shut the person out.
            let attempt = Attempt { kind: Kind::Password, account: &user.id, origin: &origin };
            self.attempts.succeed(attempt, drawn.now);
        }
        Ok(answer)
    }
}
