//! Where a consumer sends a user back to, one address for the two.
//!
//! Source: authman.md section 9.

use super::Call;
use super::object::{Object, REDIRECT};
use super::permits::REDIRECTS;
use crate::procs::authman::answer::{Judged, Reply, accepted};
use crate::procs::authman::model::{Accounts, AccountsMut, Field, Index, Record, with_rest};

/// Keeps an address in place of an older one.
///
/// In: consumer_key, user_id, url: str. Out: the redirect. Refuses: 3 one of them not text.
pub(super) fn save_redirect(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    let key = accepted!(Ok(call.text(0)));
    let (user_id, url) = (accepted!(Ok(call.text(1))), accepted!(Ok(call.text(2))));
    let redirect = Record::of(&[key, user_id, url].map(Field::Text));
    let kept = match accounts.record(Index::Redirect, &[key, user_id])? {
        Some(old) => Record::new(&with_rest(redirect.data(), old.data(), REDIRECT.len())),
        None => redirect,
    };
    accounts.put_record(Index::Redirect, &kept)?;
    Ok(Ok(Reply::Value(Object::of(REDIRECT, &kept).encoded())))
}

/// Gives the redirects of a consumer, of all users or of one.
///
/// In: consumer_key: str; user_id: str, optional. Out: array of redirects. Refuses: 3 key not text.
pub(super) fn get_consumer_redirects(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    REDIRECTS.of_consumer(call, accounts)
}

/// Gives the redirects of a user, each with its consumer; those whose consumer is gone are left out.
///
/// In: user_id: str. Out: array of redirects with `consumer`. Refuses: 3 id not text.
pub(super) fn get_user_redirects(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    REDIRECTS.of_user(call, accounts)
}

/// Removes the redirect of a user for a consumer.
///
/// In: user_id: str; consumer_key: str. Out: array of what was removed. Refuses: 3 one of them not text.
pub(super) fn delete_user_redirects(
    call: &Call<'_>,
    accounts: &mut dyn AccountsMut,
) -> Judged<Reply> {
    let (user_id, key) = (accepted!(Ok(call.text(0))), accepted!(Ok(call.text(1))));
    Ok(Ok(REDIRECTS.reply(&accounts.delete_records(Index::Redirect, &[key, user_id])?)))
}
