//! Where a consumer sends a user back to, one address for the two.
//!
//! Source: authman.md section 9.

use super::Call;
use super::authorizations::with_consumers;
use super::object::{Object, REDIRECT, list};
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
    let key = accepted!(Ok(call.text(0)));
    let key: Vec<_> = std::iter::once(key).chain(call.text(1)).collect();
    Ok(Ok(Reply::Value(shown(&accounts.records(Index::Redirect, &key)?))))
}

/// Gives the redirects of a user, each with its consumer; those whose consumer is gone are left out.
///
/// In: user_id: str. Out: array of redirects with `consumer`. Refuses: 3 id not text.
pub(super) fn get_user_redirects(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    let user_id = accepted!(Ok(call.text(0)));
    let redirects = accounts.records(Index::RedirectByUser, &[user_id])?;
    Ok(Ok(Reply::Value(list(&with_consumers(accounts, REDIRECT, &redirects)?))))
}

/// Removes the redirect of a user for a consumer.
///
/// In: user_id: str; consumer_key: str. Out: array of what was removed. Refuses: 3 one of them not text.
pub(super) fn delete_user_redirects(
    call: &Call<'_>,
    accounts: &mut dyn AccountsMut,
) -> Judged<Reply> {
    let (user_id, key) = (accepted!(Ok(call.text(0))), accepted!(Ok(call.text(1))));
    Ok(Ok(Reply::Value(shown(&accounts.delete_records(Index::Redirect, &[key, user_id])?))))
}

fn shown(redirects: &[Record]) -> Vec<u8> {
    list(&redirects.iter().map(|redirect| Object::of(REDIRECT, redirect)).collect::<Vec<_>>())
}
