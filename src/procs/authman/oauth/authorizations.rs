//! What users permit consumers: scopes, by name.
//!
//! Source: authman.md section 9.

use lycosa_proto::msgpack::items;

use super::Call;
use super::field::scope;
use super::permits::SCOPES;
use crate::procs::authman::answer::{Judged, Refusal, Reply, accepted};
use crate::procs::authman::args;
use crate::procs::authman::model::{Accounts, AccountsMut, Field, Index, Record};

/// Adds scopes that the user has not given the consumer yet.
///
/// In: consumer_key: str; user_id: str; names: array, of which texts that are not empty count. Out: array of all scopes of
/// the two, older ones first.
/// Refuses: 3 key or id not text, or names not an array.
pub(super) fn add_consumer_scopes(
    call: &Call<'_>,
    accounts: &mut dyn AccountsMut,
) -> Judged<Reply> {
    let pair = [accepted!(Ok(call.text(0))), accepted!(Ok(call.text(1)))];
    let Some(names) = args::table(call.args, 2) else { return Ok(Err(Refusal::InvalidParams)) };
    let mut scopes = accounts.records(Index::Scope, &pair)?;
    for name in items(names).filter_map(args::nonempty) {
        if !scopes.iter().any(|known| known.text(scope::NAME) == name) {
            let scope = Record::of(&[pair[0], pair[1], name].map(Field::Text));
            accounts.put_record(Index::Scope, &scope)?;
            scopes.push(scope);
        }
    }
    Ok(Ok(SCOPES.reply(&scopes)))
}

/// Gives the scopes of a consumer, of all users or of one.
///
/// In: consumer_key: str; user_id: str, optional. Out: array of scopes. Refuses: 3 key not text.
pub(super) fn get_consumer_authorizations(
    call: &Call<'_>,
    accounts: &dyn Accounts,
) -> Judged<Reply> {
    SCOPES.of_consumer(call, accounts)
}

/// Gives the scopes that a user gave, each with its consumer; those whose consumer is gone are left out.
///
/// In: user_id: str. Out: array of scopes with `consumer`. Refuses: 3 id not text.
pub(super) fn get_user_authorizations(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    SCOPES.of_user(call, accounts)
}

/// Takes back what a user has permitted a consumer, with the codes and tokens of the two.
///
/// In: user_id: str; consumer_key: str. Out: array of the scopes. Refuses: 3 one of them not text.
pub(super) fn delete_user_authorizations(
    call: &Call<'_>,
    accounts: &mut dyn AccountsMut,
) -> Judged<Reply> {
    let (user_id, key) = (accepted!(Ok(call.text(0))), accepted!(Ok(call.text(1))));
    accounts.delete_records(Index::TokenByConsumer, &[key, user_id])?;
    accounts.delete_records(Index::CodeByConsumer, &[key, user_id])?;
    Ok(Ok(SCOPES.reply(&accounts.delete_records(Index::Scope, &[key, user_id])?)))
}
