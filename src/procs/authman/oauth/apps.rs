//! Applications: made, enabled, removed, listed.
//!
//! Source: authman.md section 9.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::Token;

use super::Call;
use super::consumers::{add_consumer, remove_consumers};
use super::field::app;
use super::object::{APP, CONSUMER, Object, app_with_consumer, list, with_user};
use crate::procs::authman::answer::{Judged, Refusal, Reply, accepted};
use crate::procs::authman::args;
use crate::procs::authman::model::{Accounts, AccountsMut, Field, From, Index, Record};

/// Types of an application.
const TYPES: [&str; 4] = ["server", "browser", "mobile", "native"];

/// The length of a list that is not given.
const LIST_LIMIT: u64 = 10;

/// The greatest length of a list: all of it is read under one hold of the database.
const LIST_MAX: f64 = 1000.0;

/// Makes an application with its consumer.
///
/// In: user_id: str; name: str; type: one of [`TYPES`]; redirect_urls: str; is_trusted: any, false if left out. Out: the
/// application with `consumer_key`, `consumer_secret`, which is shown this once, and `redirect_urls`.
/// Refuses: 1 no such user; 4 not active; 3 name, type or addresses; 19 as many applications as there may be, of which the
/// first is not counted; 16 the user has one of this name.
/// Errors: KEY_PART_TYPE, EXACT_MATCH: the user's id is not text.
pub(super) fn add_app(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    let user_id = match call.args.token(0) {
        Token::Str(_) => call.args.str(0).unwrap_or_default(),
        Token::Nil => return Err(err!(EXACT_MATCH, 1, 0)),
        _ => return Err(err!(KEY_PART_TYPE, 0, "string")),
    };
    match accounts.user(user_id)? {
        None => return Ok(Err(Refusal::UserNotFound)),
        Some(user) if !user.is_active => return Ok(Err(Refusal::UserNotActive)),
        Some(_) => {}
    }
    let name = accepted!(Ok(call.text(1)));
    let app_type = call.args.str(2).filter(|known| TYPES.contains(known));
    let app_type = accepted!(Ok(app_type.ok_or(Refusal::InvalidParams)));
    let redirect_urls = accepted!(Ok(call.text(3)));

    let others = accounts.records(Index::AppByUser, &[user_id])?;
    if !others.is_empty() && others.len() as u64 >= call.max_apps {
        return Ok(Err(Refusal::OauthMaxAppsReached));
    }
    if others.iter().any(|other| other.text(app::NAME) == name) {
        return Ok(Err(Refusal::OauthAppAlreadyExists));
    }
    let id = (call.drawn.uuid)();
    let app = Record::of(&[
        Field::Text(&id),
        Field::Text(user_id),
        Field::Text(name),
        Field::Text(app_type),
        Field::Bool(true),
        Field::Uint(call.drawn.now),
        call.value(4).map_or(Field::Bool(false), |value| Field::Raw(Some(value))),
    ]);
    accounts.insert_record(Index::App, &app)?;
    let (key, secret) = add_consumer(accounts, &id, redirect_urls, call.drawn)?;
    let object = Object::of(APP, &app)
        .with("consumer_key", Field::Text(&key))
        .with("consumer_secret", Field::Text(secret.expose()))
        .with("redirect_urls", Field::Text(redirect_urls));
    Ok(Ok(Reply::Value(object.encoded())))
}

/// Disables an application.
///
/// In: app_id: str. Out: the application. Refuses: 3 not text; 17 no such application.
pub(super) fn disable_app(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    set_active(call, accounts, false)
}

/// Enables an application; as [`disable_app`].
pub(super) fn enable_app(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    set_active(call, accounts, true)
}

fn set_active(call: &Call<'_>, accounts: &mut dyn AccountsMut, is_active: bool) -> Judged<Reply> {
    let app_id = accepted!(Ok(call.text(0)));
    let Some(app) = accounts.record(Index::App, &[app_id])? else {
        return Ok(Err(Refusal::OauthAppNotFound));
    };
    let app = app.with(app::IS_ACTIVE, Field::Bool(is_active));
    accounts.put_record(Index::App, &app)?;
    Ok(Ok(Reply::Value(Object::of(APP, &app).encoded())))
}

/// Removes an application with its consumer and what that was given.
///
/// In: app_id: str. Out: application and consumer as they were. Refuses: 3 not text; 17 no such application.
pub(super) fn delete_app(call: &Call<'_>, accounts: &mut dyn AccountsMut) -> Judged<Reply> {
    let app_id = accepted!(Ok(call.text(0)));
    let consumers = remove_consumers(accounts, app_id)?;
    let removed = accounts.delete_records(Index::App, &[app_id])?;
    let Some(app) = removed.first() else { return Ok(Err(Refusal::OauthAppNotFound)) };
    let object = Object::of(APP, app);
    let object = consumers.iter().fold(object, |object, consumer| object.and(CONSUMER, consumer));
    Ok(Ok(Reply::Value(object.encoded())))
}

/// Gives an application with its consumer.
///
/// In: app_id: str. Out: application and consumer. Refuses: 3 not text; 17 no such application; 18 it has no consumer.
pub(super) fn get_app(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    let app_id = accepted!(Ok(call.text(0)));
    let Some(app) = accounts.record(Index::App, &[app_id])? else {
        return Ok(Err(Refusal::OauthAppNotFound));
    };
    let Some(consumer) = accounts.record(Index::ConsumerByApp, &[app_id])? else {
        return Ok(Err(Refusal::OauthConsumerNotFound));
    };
    Ok(Ok(Reply::Value(Object::of(APP, &app).and(CONSUMER, &consumer).encoded())))
}

/// Gives a user's applications, ordered by name.
///
/// In: user_id: str. Out: array of application and consumer. Refuses: 3 not text.
pub(super) fn get_user_apps(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    let user_id = accepted!(Ok(call.text(0)));
    let apps = accounts.records(Index::AppByUser, &[user_id])?;
    let apps = apps.iter().map(|app| app_with_consumer(accounts, app));
    Ok(Ok(Reply::Value(list(&apps.collect::<Result<Vec<_>>>()?))))
}

/// Gives a page of all applications, in no particular order.
///
/// In: offset, 0 unless it is a number that is not negative; limit, likewise 10, and 1000 for more. Out: map of `data`, an
/// array of application, consumer and `user`, and of `pager`, a map of `total`, `offset`, `limit`.
pub(super) fn list_apps(call: &Call<'_>, accounts: &dyn Accounts) -> Judged<Reply> {
    let offset = args::number(call.args, 0);
    let limit = args::number(call.args, 1);
    let count = limit.unwrap_or(LIST_LIMIT as f64).min(LIST_MAX);
    // As the options of Tarantool's `select`, which are cut off to whole numbers.
    let skipped = From::Offset(offset.unwrap_or(0.0) as usize);
    let apps = accounts.page(Index::App, skipped, count as usize)?;
    let shown = apps.iter().map(|app| {
        let object = app_with_consumer(accounts, app)?;
        with_user(accounts, object, app.text(app::USER_ID))
    });
    let data = list(&shown.collect::<Result<Vec<_>>>()?);
    let echoed = |place, number: Option<f64>, default| match number {
        Some(_) => Field::Raw(call.args.get(place)),
        None => Field::Uint(default),
    };
    let pager = Object::default()
        .with("total", Field::Uint(accounts.count(Index::App)? as u64))
        .with("offset", echoed(0, offset, 0))
        .with("limit", echoed(1, limit.filter(|limit| *limit <= LIST_MAX), count as u64));
    let reply =
        Object::default().with("data", Field::Raw(Some(&data))).with_object("pager", &pager);
    Ok(Ok(Reply::Value(reply.encoded())))
}
