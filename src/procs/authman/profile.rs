//! Users by their id: names, removal.
//!
//! Source: authman.md section 7, `set_profile`, `get_profile`, `delete_user`.

use lycosa_proto::error::Result;

use super::answer::{Answer, Judged, Refusal, Reply, accepted};
use super::model::{Accounts, AccountsMut, Profile, Store, User};
use super::{Authman, args};
use crate::procs::Args;

/// The names that a profile has.
const NAMES: [&str; 2] = ["first_name", "last_name"];

impl Authman {
    /// Gives a user, active or not.
    ///
    /// In: user_id: str. Out: the user.
    /// Refuses: 3 not text; 1 no such user.
    pub async fn get_profile(&self, args: &Args, store: &impl Store) -> Result<Answer> {
        let Some(user_id) = args::text(args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
        let get = |accounts: &dyn Accounts| {
            let user = accepted!(known_user(accounts, user_id));
            Ok(Ok(Reply::User(Box::new(user))))
        };
        store.read(get).await
    }

    /// Replaces a user's names.
    ///
    /// In: user_id: str; map of `first_name` and `last_name`, both optional and stored as they are; other keys are
    /// ignored. Out: the user.
    /// Refuses: 3 not text; 1 no such user; 4 not active; 3 not a map.
    pub async fn set_profile(&self, args: &Args, store: &impl Store) -> Result<Answer> {
        let Some(user_id) = args::text(args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
        let set = |accounts: &mut dyn AccountsMut| {
            let mut user = accepted!(known_user(accounts, user_id));
            if !user.is_active {
                return Ok(Err(Refusal::UserNotActive));
            }
            let Some(table) = args::table(args, 1) else { return Ok(Err(Refusal::InvalidParams)) };
            let name = |key| args::field(table, key).map(|value| (key, value));
            let names: Vec<_> = NAMES.into_iter().filter_map(name).collect();
            user.profile = Profile::from_msgpack(names.into_iter());
            accounts.put_user(&user)?;
            Ok(Ok(Reply::User(Box::new(user))))
        };
        store.write(set).await
    }

    /// Removes a user with everything that stands for them, see [`AccountsMut::delete_user`].
    ///
    /// In: user_id: str. Out: the user as they were.
    /// Refuses: 3 not text; 1 no such user.
    pub async fn delete_user(&self, args: &Args, store: &impl Store) -> Result<Answer> {
        let Some(user_id) = args::text(args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
        let delete = |accounts: &mut dyn AccountsMut| {
            let user = accepted!(known_user(accounts, user_id));
            accounts.delete_user(user_id)?;
            Ok(Ok(Reply::User(Box::new(user))))
        };
        store.write(delete).await
    }
}

fn known_user(accounts: &(impl Accounts + ?Sized), user_id: &str) -> Judged<User> {
    Ok(accounts.user(user_id)?.ok_or(Refusal::UserNotFound))
}
