//! Persons and their names.

use lycosa_proto::msgpack::{
    items, read_bool, write_array, write_bool, write_map, write_nil, write_str, write_uint,
};

use super::row::{Fields, Row};

/// Types of a user, field `type`.
pub mod user_type {
    /// Registered with an email and a password.
    pub const COMMON: u64 = 1;
    /// Came from a provider.
    pub const SOCIAL: u64 = 2;
}

/// A person, of space `auth_user`.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// UUID as text, or what the caller of registration chose.
    pub id: String,
    /// Lower case; empty if unknown.
    pub email: String,
    /// One of [`user_type`].
    pub user_type: u64,
    /// Whether the person may log in.
    pub is_active: bool,
    /// The names.
    pub profile: Profile,
    /// When the user was made, in seconds; older databases may lack it.
    pub registration_ts: Option<u64>,
    /// When a login session was last made, in seconds.
    pub session_update_ts: Option<u64>,
}

/// A profile, as one MsgPack value: nil until set, a map of names, an empty array without any.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile(Vec<u8>);

impl Profile {
    /// No profile yet.
    pub fn unset() -> Self {
        Self(vec![0xc0])
    }

    /// The names that are there, as JSON, whose null becomes nil.
    pub fn new(names: &[(&str, &serde_json::Value)]) -> Self {
        let encoded = |value| rmp_serde::to_vec(value).expect("JSON fits into MsgPack");
        let names: Vec<_> = names.iter().map(|(key, value)| (*key, encoded(*value))).collect();
        Self::from_msgpack(names.iter().map(|(key, value)| (*key, value.as_slice())))
    }

    /// The names that are there, each a MsgPack value. Without any it is an array, as an empty Lua table.
    pub fn from_msgpack<'a>(names: impl ExactSizeIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut out = Vec::new();
        match names.len() {
            0 => write_array(&mut out, 0),
            len => write_map(&mut out, len),
        }
        for (key, value) in names {
            write_str(&mut out, key);
            out.extend_from_slice(value);
        }
        Self(out)
    }

    /// The value.
    pub fn as_msgpack(&self) -> &[u8] {
        &self.0
    }
}

impl Row for User {
    const SPACE: &'static str = "user";
    const FIELDS: usize = 7;

    fn write(&self, out: &mut Vec<u8>) {
        write_array(out, 6 + usize::from(self.session_update_ts.is_some()));
        write_str(out, &self.id);
        write_str(out, &self.email);
        write_uint(out, self.user_type);
        write_bool(out, self.is_active);
        out.extend_from_slice(self.profile.as_msgpack());
        match self.registration_ts {
            Some(time) => write_uint(out, time),
            None => write_nil(out),
        }
        if let Some(time) = self.session_update_ts {
            write_uint(out, time);
        }
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            id: fields.text()?,
            email: fields.text().unwrap_or_default(),
            user_type: fields.uint()?,
            is_active: fields.raw().is_some_and(|mut value| read_bool(&mut value) == Ok(true)),
            profile: fields.raw().map_or_else(Profile::unset, |value| Profile(value.to_vec())),
            registration_ts: fields.uint(),
            session_update_ts: fields.uint(),
        })
    }
}
