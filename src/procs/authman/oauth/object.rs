//! Answers as maps from names of fields to what rows hold.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{write_array, write_map, write_str};

use super::field::{app, consumer};
use crate::procs::authman::answer::{Judged, Refusal, accepted, write_user};
use crate::procs::authman::model::{Accounts, Field, Index, Record};

/// What clients see of an application.
pub(super) const APP: &[(&str, usize)] =
    &[("id", 0), ("user_id", 1), ("name", 2), ("type", 3), ("is_active", 4), ("is_trusted", 6)];

/// What clients see of a consumer.
pub(super) const CONSUMER: &[(&str, usize)] =
    &[("consumer_key", 0), ("consumer_secret_hash", 1), ("app_id", 2), ("redirect_urls", 3)];

/// What clients see of a code.
pub(super) const CODE: &[(&str, usize)] = &[
    ("code", 0),
    ("consumer_key", 1),
    ("redirect_url", 2),
    ("scope", 3),
    ("state", 4),
    ("expires_in", 5),
    ("created_at", 6),
    ("code_challenge", 7),
    ("code_challenge_method", 8),
    ("resource_owner", 9),
];

/// What clients see of a token.
pub(super) const TOKEN: &[(&str, usize)] = &[
    ("access_token", 0),
    ("consumer_key", 1),
    ("refresh_token", 2),
    ("redirect_url", 3),
    ("scope", 4),
    ("expires_in", 5),
    ("created_at", 6),
    ("resource_owner", 7),
];

/// What clients see of a scope.
pub(super) const SCOPE: &[(&str, usize)] = &[("consumer_key", 0), ("user_id", 1), ("name", 2)];

/// What clients see of a redirect.
pub(super) const REDIRECT: &[(&str, usize)] = &[("consumer_key", 0), ("user_id", 1), ("url", 2)];

/// A map that is being made.
#[derive(Default)]
pub(in crate::procs::authman) struct Object {
    len: usize,
    pairs: Vec<u8>,
}

impl Object {
    /// The fields of a record under their names; what lies beyond its end is left out.
    pub(in crate::procs::authman) fn of(names: &[(&str, usize)], record: &Record) -> Self {
        Self::default().and(names, record)
    }

    /// Adds fields of another record.
    pub(in crate::procs::authman) fn and(
        mut self,
        names: &[(&str, usize)],
        record: &Record,
    ) -> Self {
        for (name, field_no) in names {
            if let Some(value) = record.field(*field_no) {
                self = self.with(name, Field::Raw(Some(value)));
            }
        }
        self
    }

    /// Adds a value.
    pub(in crate::procs::authman) fn with(mut self, name: &str, value: Field<'_>) -> Self {
        self.len += 1;
        write_str(&mut self.pairs, name);
        value.write(&mut self.pairs);
        self
    }

    /// Adds another map.
    pub(in crate::procs::authman) fn with_object(mut self, name: &str, object: &Self) -> Self {
        self.len += 1;
        write_str(&mut self.pairs, name);
        object.write(&mut self.pairs);
        self
    }

    /// Writes the map. Without any pair it is an array, as an empty Lua table.
    pub(in crate::procs::authman) fn write(&self, out: &mut Vec<u8>) {
        match self.len {
            0 => write_array(out, 0),
            len => write_map(out, len),
        }
        out.extend_from_slice(&self.pairs);
    }

    /// The map as MsgPack.
    pub(in crate::procs::authman) fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

/// An array of maps as MsgPack.
pub(super) fn list(objects: &[Object]) -> Vec<u8> {
    let mut out = Vec::new();
    write_array(&mut out, objects.len());
    objects.iter().for_each(|object| object.write(&mut out));
    out
}

/// An application with its consumer, if that is there.
pub(super) fn app_with_consumer(accounts: &dyn Accounts, app: &Record) -> Result<Object> {
    let consumer = accounts.record(Index::ConsumerByApp, &[app.text(app::ID)])?;
    let object = Object::of(APP, app);
    Ok(match &consumer {
        Some(consumer) => object.and(CONSUMER, consumer),
        None => object,
    })
}

/// A consumer with its application.
///
/// Refuses: 18 no such consumer; 17 its application is gone.
pub(super) fn consumer(accounts: &dyn Accounts, key: &str) -> Judged<Object> {
    let (app, consumer) = accepted!(consumer_and_app(accounts, key));
    Ok(Ok(Object::of(APP, &app).and(CONSUMER, &consumer)))
}

/// The rows of an application and its consumer, by the consumer's key; refuses as [`consumer`].
pub(super) fn consumer_and_app(accounts: &dyn Accounts, key: &str) -> Judged<(Record, Record)> {
    let Some(consumer) = accounts.record(Index::Consumer, &[key])? else {
        return Ok(Err(Refusal::OauthConsumerNotFound));
    };
    let app = accounts.record(Index::App, &[consumer.text(consumer::APP_ID)])?;
    Ok(app.map(|app| (app, consumer)).ok_or(Refusal::OauthAppNotFound))
}

/// Adds the user who made an application, if they are there.
pub(super) fn with_user(accounts: &dyn Accounts, object: Object, user_id: &str) -> Result<Object> {
    let Some(user) = accounts.user(user_id)? else { return Ok(object) };
    let mut value = Vec::new();
    write_user(&user, 0, &mut value);
    Ok(object.with("user", Field::Raw(Some(&value))))
}
