//! What becomes of a login session: it is checked, renewed, dropped.
//!
//! ```text
//! check --> refused: bad, unknown, ended, user gone or not active
//!       --> same session                          nothing is due
//!       --> new common session                    less than session_update_timedelta left
//!       --> provider asked --> new social session social_check_time has passed
//!                          --> refused            no answer, or another person
//! ```
//!
//! Source: authman.md section 6, `check_auth`, `drop_session`.

use lycosa_proto::error::Result;

use super::answer::{Answer, Judged, Refusal, Reply, accepted};
use super::args;
use super::clock::Clock;
use super::model::{Accounts, AccountsMut, Credential, LoginSession, Store, User};
use super::provider::Person;
use super::session::Signed;
use super::{Authman, Drawn};
use crate::config::Secret;
use crate::procs::Args;

/// A session that holds, with whom it stands for.
struct Held {
    user: User,
    /// Of a social session.
    credential: Option<Credential>,
}

/// What a session that holds needs.
enum Due {
    Nothing(Reply),
    Renewal,
    Recheck(Credential),
}

impl Authman {
    /// Checks a login session.
    ///
    /// In: session: str. Out: the user with `session`, the one to use from now on; `social` too if it is a social one.
    /// Refuses: 3 not text; 7 not signed by us or dropped; 1 user or credential gone; 4 user not active; 8 ended, or the
    /// provider does not confirm the person.
    pub async fn check_auth(
        &self,
        args: &Args,
        store: &impl Store,
        drawn: Drawn<'_>,
    ) -> Result<Answer> {
        let Some(text) = args::text(args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
        let Some(signed) = Signed::parse(text) else { return Ok(Err(Refusal::WrongSessionSign)) };
        let clock = Clock::new(drawn.now);
        let due = |accounts: &dyn Accounts| self.due(accounts, &signed, text, drawn.now);
        // An open transaction that had read the credential would end by a conflict when the token is replaced: so the
        // provider is asked before it reads anything.
        let mut confirmed = None;
        if store.is_inside() {
            let outside = store.outside();
            if let Ok(Due::Recheck(credential)) = outside.read(due).await? {
                confirmed = Some(self.confirm(&credential, &outside, clock).await?);
            }
        }
        match accepted!(store.read(due).await) {
            Due::Nothing(reply) => Ok(Ok(reply)),
            Due::Renewal => {
                store.write(|accounts| self.renew(accounts, &signed, None, drawn)).await
            }
            Due::Recheck(credential) => {
                let person = match confirmed {
                    Some(person) => person,
                    None if store.is_inside() => {
                        self.confirm_inside(&credential, store, clock).await?
                    }
                    None => self.confirm(&credential, store, clock).await?,
                };
                let Some(person) = person else { return Ok(Err(Refusal::NotAuthenticated)) };
                store.write(|accounts| self.renew(accounts, &signed, Some(person), drawn)).await
            }
        }
    }

    /// Drops a login session, so that it does not hold any more.
    ///
    /// In: session: str. Out: true. Refuses: 3 not text; 7 not signed by us or dropped before.
    pub async fn drop_session(&self, args: &Args, store: &impl Store) -> Result<Answer> {
        let Some(text) = args::text(args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
        let Some(signed) = Signed::parse(text) else { return Ok(Err(Refusal::WrongSessionSign)) };
        let drop_it = |accounts: &mut dyn AccountsMut| {
            accepted!(self.row(accounts, &signed));
            accounts.delete_session(&signed.sid)?;
            Ok(Ok(Reply::Done))
        };
        store.write(drop_it).await
    }

    /// The row of a session that we signed.
    fn row(&self, accounts: &dyn Accounts, signed: &Signed<'_>) -> Judged<LoginSession> {
        let row = accounts.session(&signed.sid)?;
        let genuine = row.filter(|row| signed.is_genuine(row.code.expose(), &self.session_secret));
        Ok(genuine.ok_or(Refusal::WrongSessionSign))
    }

    /// Whom a session stands for, if it holds.
    fn hold(&self, accounts: &dyn Accounts, signed: &Signed<'_>, now: u64) -> Judged<Held> {
        let row = accepted!(self.row(accounts, signed));
        let Some(user) = accounts.user(&row.user_id)? else {
            return Ok(Err(Refusal::UserNotFound));
        };
        if !user.is_active {
            return Ok(Err(Refusal::UserNotActive));
        }
        let credential = match (signed.is_social, &row.credential_id) {
            (false, _) => None,
            (true, None) => return Ok(Err(Refusal::UserNotFound)),
            (true, Some(id)) => match accounts.credential(id)? {
                None => return Ok(Err(Refusal::UserNotFound)),
                found => found,
            },
        };
        if signed.exp <= now as f64 {
            return Ok(Err(Refusal::NotAuthenticated));
        }
        Ok(Ok(Held { user, credential }))
    }

    /// What a session needs; `text` is the session as it came.
    fn due(
        &self,
        accounts: &dyn Accounts,
        signed: &Signed<'_>,
        text: &str,
        now: u64,
    ) -> Judged<Due> {
        let held = accepted!(self.hold(accounts, signed, now));
        let renewal = now as f64 + self.session_update_timedelta.as_secs_f64();
        match held.credential {
            Some(credential) if signed.update <= now as f64 => {
                return Ok(Ok(Due::Recheck(credential)));
            }
            None if signed.exp <= renewal => return Ok(Ok(Due::Renewal)),
            _ => {}
        }
        reply(accounts, held.user, Secret::new(text), signed.is_social)
            .map(|reply| Ok(Due::Nothing(reply)))
    }

    /// Makes a new session in place of one that holds; `person` brings the user up to date.
    fn renew(
        &self,
        accounts: &mut dyn AccountsMut,
        signed: &Signed<'_>,
        person: Option<Person>,
        drawn: Drawn<'_>,
    ) -> Judged<Reply> {
        let Held { mut user, credential } = accepted!(self.hold(accounts, signed, drawn.now));
        if let Some(person) = person {
            user.profile = person.profile;
            user.email = person.email.unwrap_or(user.email);
        }
        user.session_update_ts = Some(drawn.now);
        accounts.put_user(&user)?;
        let credential_id = credential.as_ref().map(|credential| credential.id.as_str());
        let session = self.open_session(accounts, &user.id, credential_id, drawn)?;
        reply(accounts, user, session, signed.is_social).map(Ok)
    }
}

fn reply(accounts: &dyn Accounts, user: User, session: Secret, is_social: bool) -> Result<Reply> {
    let credential = if is_social { accounts.first_credential(&user.id)? } else { None };
    let social = credential.map(Into::into);
    Ok(Reply::LoggedIn { user: Box::new(user), session, social })
}
