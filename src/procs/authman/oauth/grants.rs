//! What a consumer was given: codes, and tokens, each an access token with its refresh token.
//!
//! Source: authman.md section 9.

use super::Call;
use super::field::grant;
use super::object::{CODE, Object, TOKEN, consumer};
use crate::procs::authman::answer::{Judged, Refusal, Reply, accepted};
use crate::procs::authman::model::{Accounts, AccountsMut, Field, Index, Record};

/// Keeps a code.
///
/// In: code, consumer_key, redirect_url, scope: str; state: any; expires_in, created_at: seconds, not negative;
/// code_challenge, code_challenge_method: any; resource_owner: str, empty if left out. Out: the code.
/// Refuses: 3 an argument that is not what it must be.
/// Errors: TUPLE_FOUND if the code is kept already; FIELD_TYPE if the owner is not text.
pub(super) fn save_code(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    save(call, accounts, Index::Code, CODE, &[0, 1, 2, 3], &[5, 6])
}

/// Keeps a token.
///
/// In: access_token, consumer_key, refresh_token, redirect_url, scope: str; expires_in, created_at: seconds, not negative;
/// resource_owner: str, empty if left out. Out: the token.
/// Refuses: 3 an argument that is not what it must be.
/// Errors: TUPLE_FOUND if one of the two tokens is kept already; FIELD_TYPE if the owner is not text.
pub(super) fn save_access(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    save(call, accounts, Index::Token, TOKEN, &[0, 1, 2, 3, 4], &[5, 6])
}

/// Keeps a row that has the arguments as fields, the last of which is the owner.
fn save(
    call: &Call<'_>,
    accounts: &mut dyn AccountsMut,
    index: Index,
    names: &[(&str, usize)],
    texts: &[usize],
    numbers: &[usize],
) -> Judged<Reply> {
    for place in texts {
        accepted!(Ok(call.text(*place)));
    }
    for place in numbers {
        accepted!(Ok(call.number(*place)));
    }
    let mut fields: Vec<_> =
        names.iter().map(|(_, place)| Field::Raw(call.value(*place))).collect();
    if let Some(owner @ Field::Raw(None)) = fields.last_mut() {
        *owner = Field::Text("");
    }
    let record = Record::of(&fields);
    accounts.insert_record(index, &record)?;
    Ok(Ok(Reply::Value(Object::of(names, &record).encoded())))
}

/// Gives a code with its consumer, expired or not.
///
/// In: code: str. Out: the code with `consumer`.
/// Refuses: 3 not text; 20 no such code; 18 its consumer is gone; 17 the application is.
pub(super) fn get_code(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    get(call, accounts, Index::Code, CODE, Refusal::OauthCodeNotFound)
}

/// Gives a token with its consumer, expired or not, by its access token.
///
/// In: access_token: str. Out: the token with `consumer`.
/// Refuses: 3 not text; 21 no such token; 18 its consumer is gone; 17 the application is.
pub(super) fn get_access(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    get(call, accounts, Index::Token, TOKEN, Refusal::OauthAccessTokenNotFound)
}

/// Gives a token with its consumer, expired or not, by its refresh token.
///
/// In: refresh_token: str. Out: the token with `consumer`.
/// Refuses: 3 not text; 21 no such token; without a reason if consumer or application is gone.
pub(super) fn get_refresh(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    let not_found = Refusal::OauthAccessTokenNotFound;
    let got = get(call, accounts, Index::TokenByRefresh, TOKEN, not_found)?;
    Ok(got.map_err(|refusal| match refusal {
        Refusal::OauthConsumerNotFound | Refusal::OauthAppNotFound => Refusal::Unexplained,
        refusal => refusal,
    }))
}

/// Removes a code.
///
/// In: code: str. Out: the code. Refuses: 3 not text; 20 no such code.
pub(super) fn delete_code(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    delete(call, accounts, Index::Code, CODE, Refusal::OauthCodeNotFound)
}

/// Removes a token by its access token.
///
/// In: access_token: str. Out: the token. Refuses: 3 not text; 21 no such token.
pub(super) fn delete_access(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    delete(call, accounts, Index::Token, TOKEN, Refusal::OauthAccessTokenNotFound)
}

/// Removes a token by its refresh token.
///
/// In: refresh_token: str. Out: the token. Refuses: 3 not text; 21 no such token.
pub(super) fn delete_refresh(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    delete(call, accounts, Index::TokenByRefresh, TOKEN, Refusal::OauthAccessTokenNotFound)
}

/// Gives the row whose key is the first argument, with its consumer.
fn get(
    call: &Call<'_>,
    accounts: &dyn Accounts,
    index: Index,
    names: &[(&str, usize)],
    not_found: Refusal,
) -> Judged<Reply> {
    let key = accepted!(Ok(call.text(0)));
    let record = accepted!(Ok(accounts.record(index, &[key])?.ok_or(not_found)));
    let consumer = accepted!(consumer(accounts, record.text(grant::CONSUMER_KEY)));
    Ok(Ok(Reply::Value(Object::of(names, &record).with_object("consumer", &consumer).encoded())))
}

/// Removes the row whose key is the first argument.
fn delete(
    call: &Call<'_>,
    accounts: &mut dyn AccountsMut,
    index: Index,
    names: &[(&str, usize)],
    not_found: Refusal,
) -> Judged<Reply> {
    let key = accepted!(Ok(call.text(0)));
    let removed = accounts.delete_records(index, &[key])?;
    let Some(record) = removed.first() else { return Ok(Err(not_found)) };
    Ok(Ok(Reply::Value(Object::of(names, record).encoded())))
}
