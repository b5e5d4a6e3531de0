//! Consumers: what an application is to the OAuth2 server, a key with a secret.
//!
//! The secret has 256 random bits, so one round of SHA-256 keeps it as well as a slow hash would; and the hash is part of
//! the interface: clients get it and check secrets themselves.
//!
//! Source: authman.md sections 5, 9.

use std::collections::BTreeMap;

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::items;

use super::Call;
use super::field::{app, consumer};
use super::object::{
    APP, CONSUMER, Object, consumer as consumer_object, consumer_and_app, with_user,
};
use crate::config::Secret;
use crate::procs::authman::answer::{Judged, Refusal, Reply, accepted};
use crate::procs::authman::codes::hex;
use crate::procs::authman::model::{Accounts, AccountsMut, Field, Index, Record};
use crate::procs::authman::password::salted_hash;
use crate::procs::authman::{Drawn, args};

/// Makes the consumer of an application; gives its key and its secret, which is kept as a hash only.
pub(super) fn add_consumer(
    accounts: &mut dyn AccountsMut,
    app_id: &str,
    redirect_urls: &str,
    drawn: Drawn<'_>,
) -> Result<(String, Secret)> {
    let key = (drawn.uuid)().replace('-', "");
    let secret = Secret::new(hex(&(drawn.bytes)()));
    let consumer = Record::of(&[
        Field::Text(&key),
        Field::Bytes(&salted_hash(app_id, secret.expose().as_bytes())),
        Field::Text(app_id),
        Field::Text(redirect_urls),
    ]);
    accounts.insert_record(Index::Consumer, &consumer)?;
    Ok((key, secret))
}

/// Removes the consumer of an application with its codes, tokens, scopes and redirects; gives it, if it was there.
///
/// # Errors
/// Those of the database.
pub fn remove_consumers(accounts: &mut dyn AccountsMut, app_id: &str) -> Result<Vec<Record>> {
    let consumers = accounts.delete_records(Index::ConsumerByApp, &[app_id])?;
    for consumer in &consumers {
        let key = [consumer.text(consumer::KEY)];
        for index in [Index::CodeByConsumer, Index::TokenByConsumer, Index::Scope, Index::Redirect]
        {
            accounts.delete_records(index, &key)?;
        }
    }
    Ok(consumers)
}

/// Gives many consumers at once.
///
/// In: array of str. Out: map from key to application, consumer and `user`; what is not known is left out.
/// Refuses: 3 not an array.
pub(super) fn load_consumers(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    let Some(keys) = args::table(call.args, 0) else { return Ok(Err(Refusal::InvalidParams)) };
    let mut found = BTreeMap::new();
    for key in items(keys).filter_map(args::nonempty) {
        if let Ok((app, consumer)) = consumer_and_app(accounts, key)? {
            let object = Object::of(APP, &app).and(CONSUMER, &consumer);
            found.insert(key, with_user(accounts, object, app.text(app::USER_ID))?);
        }
    }
    let map = found.into_iter();
    let map = map.fold(Object::default(), |map, (key, object)| map.with_object(key, &object));
    Ok(Ok(Reply::Value(map.encoded())))
}

/// Gives a consumer with its application.
///
/// In: consumer_key: str. Out: application and consumer.
/// Refuses: 3 not text; 18 no such consumer; 17 its application is gone.
pub(super) fn get_consumer(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    let object = accepted!(consumer_object(accounts, accepted!(Ok(call.text(0)))));
    Ok(Ok(Reply::Value(object.encoded())))
}

/// Gives a consumer another secret.
///
/// In: consumer_key: str. Out: the secret, str. Refuses: 3 not text; 18 no such consumer.
pub(super) fn reset_consumer_secret(
    call: &Call<'_>,
    accounts: &mut dyn AccountsMut,
) -> Judged<Reply> {
    let key = accepted!(Ok(call.text(0)));
    let Some(consumer) = accounts.record(Index::Consumer, &[key])? else {
        return Ok(Err(Refusal::OauthConsumerNotFound));
    };
    let secret = Secret::new(hex(&(call.drawn.bytes)()));
    let hash = salted_hash(consumer.text(consumer::APP_ID), secret.expose().as_bytes());
    let consumer = consumer.with(consumer::SECRET_HASH, Field::Bytes(&hash));
    accounts.put_record(Index::Consumer, &consumer)?;
    Ok(Ok(Reply::Text(secret)))
}
