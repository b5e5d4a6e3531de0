//! Rows of the application's spaces, and what its procedures ask of a database.

use std::future::Future;

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{
    items, read_bool, read_str, read_uint, write_array, write_bool, write_map, write_nil,
    write_str, write_uint,
};

use crate::config::Secret;

/// A row of a space.
pub trait Row: Sized {
    /// The key of its space in the configuration.
    const SPACE: &'static str;

    /// Writes the tuple.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads a tuple; none if it is not what this application writes. Further fields are ignored.
    fn read(tuple: &[u8]) -> Option<Self>;
}

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

    /// The names that are there. JSON null becomes nil; an empty Lua table is an array.
    pub fn new(names: &[(&str, &serde_json::Value)]) -> Self {
        let mut out = Vec::new();
        match names.len() {
            0 => write_array(&mut out, 0),
            len => write_map(&mut out, len),
        }
        for (key, value) in names {
            write_str(&mut out, key);
            rmp_serde::encode::write(&mut out, value).expect("JSON fits into MsgPack");
        }
        Self(out)
    }

    /// The value.
    pub fn as_msgpack(&self) -> &[u8] {
        &self.0
    }
}

/// A person as a provider knows them, of space `auth_social_credential`.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// UUID as text.
    pub id: String,
    /// The user.
    pub user_id: String,
    /// The provider's name.
    pub provider: String,
    /// The person's id there.
    pub social_id: String,
    /// The token to ask the provider with.
    pub token: Secret,
}

/// A login session, of space `auth_sesssion`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginSession {
    /// UUID as text.
    pub sid: String,
    /// UUID as text; part of what is signed, and never leaves the database.
    pub code: Secret,
    /// The user.
    pub user_id: String,
    /// The credential of a social session.
    pub credential_id: Option<String>,
}

/// Fields of a tuple, from the first on. A field past the end and nil read as none.
struct Fields<'a, I: Iterator<Item = &'a [u8]>>(I);

impl<'a, I: Iterator<Item = &'a [u8]>> Fields<'a, I> {
    fn raw(&mut self) -> Option<&'a [u8]> {
        self.0.next().filter(|value| *value != [0xc0])
    }

    fn text(&mut self) -> Option<String> {
        let bytes = read_str(&mut self.raw()?).ok()?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }

    fn uint(&mut self) -> Option<u64> {
        read_uint(&mut self.raw()?).ok()
    }
}

fn write_texts<const N: usize>(out: &mut Vec<u8>, texts: [&str; N]) {
    write_array(out, N);
    texts.iter().for_each(|text| write_str(out, text));
}

impl Row for User {
    const SPACE: &'static str = "user";

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

impl Row for Credential {
    const SPACE: &'static str = "social";

    fn write(&self, out: &mut Vec<u8>) {
        let token = self.token.expose();
        write_texts(out, [&self.id, &self.user_id, &self.provider, &self.social_id, token]);
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            id: fields.text()?,
            user_id: fields.text()?,
            provider: fields.text()?,
            social_id: fields.text()?,
            token: Secret::new(fields.text().unwrap_or_default()),
        })
    }
}

impl Row for LoginSession {
    const SPACE: &'static str = "session";

    fn write(&self, out: &mut Vec<u8>) {
        let (sid, code, user_id) = (&self.sid, self.code.expose(), &self.user_id);
        match &self.credential_id {
            Some(credential_id) => write_texts(out, [sid, code, user_id, credential_id]),
            None => write_texts(out, [sid, code, user_id]),
        }
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            sid: fields.text()?,
            code: Secret::new(fields.text()?),
            user_id: fields.text()?,
            credential_id: fields.text(),
        })
    }
}

/// The rows, inside one transaction. Errors are those of the database.
pub trait Accounts {
    /// The user with this id.
    fn user(&self, id: &str) -> Result<Option<User>>;

    /// The credential with this id.
    fn credential(&self, id: &str) -> Result<Option<Credential>>;

    /// The credential of the person whom `provider` calls `social_id`.
    fn credential_by_social_id(
        &self,
        social_id: &str,
        provider: &str,
    ) -> Result<Option<Credential>>;

    /// The user's credential whose provider's name comes first.
    fn first_credential(&self, user_id: &str) -> Result<Option<Credential>>;

    /// The login session with this id.
    fn session(&self, sid: &str) -> Result<Option<LoginSession>>;

    /// Inserts or replaces a user.
    fn put_user(&mut self, user: &User) -> Result<()>;

    /// Inserts or replaces a credential.
    fn put_credential(&mut self, credential: &Credential) -> Result<()>;

    /// Inserts or replaces a login session.
    fn put_session(&mut self, session: &LoginSession) -> Result<()>;

    /// Deletes a login session, if it is there.
    fn delete_session(&mut self, sid: &str) -> Result<()>;
}

/// The database: runs one closure as one transaction.
pub trait Store: Sync {
    /// Runs `work`, which only reads.
    fn read<T: Send>(
        &self,
        work: impl FnOnce(&dyn Accounts) -> Result<T> + Send,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Runs `work` and commits, or takes everything back if it fails. The future ends when the commit is durable.
    fn write<T: Send>(
        &self,
        work: impl FnOnce(&mut dyn Accounts) -> Result<T> + Send,
    ) -> impl Future<Output = Result<T>> + Send;
}

#[cfg(test)]
mod tests {
    use lycosa_proto::msgpack::Text;
    use serde_json::json;

    use super::*;

    fn check<R: Row + PartialEq + std::fmt::Debug>(row: &R, text: &str) {
        let mut tuple = Vec::new();
        row.write(&mut tuple);
        assert_eq!(Text(&tuple).to_string(), text);
        assert_eq!(R::read(&tuple).as_ref(), Some(row));
        for len in 0..tuple.len() {
            R::read(&tuple[..len]);
        }
    }

    #[test]
    fn rows_are_tuples_of_the_lua_application() {
        let mut user = User {
            id: "u".into(),
            email: String::new(),
            user_type: user_type::COMMON,
            is_active: true,
            profile: Profile::unset(),
            registration_ts: Some(1_795_450_825),
            session_update_ts: None,
        };
        check(&user, r#"["u", "", 1, true, null, 1795450825]"#);
        user.registration_ts = None;
        user.session_update_ts = Some(7);
        user.profile = Profile::new(&[("first_name", &json!("F")), ("last_name", &json!(null))]);
        check(&user, r#"["u", "", 1, true, {"first_name": "F", "last_name": null}, null, 7]"#);
        user.profile = Profile::new(&[]);
        check(&user, r#"["u", "", 1, true, [], null, 7]"#);

        let mut session = LoginSession {
            sid: "s".into(),
            code: Secret::new("c"),
            user_id: "u".into(),
            credential_id: None,
        };
        check(&session, r#"["s", "c", "u"]"#);
        session.credential_id = Some("k".into());
        check(&session, r#"["s", "c", "u", "k"]"#);

        let credential = Credential {
            id: "k".into(),
            user_id: "u".into(),
            provider: "facebook".into(),
            social_id: "1".into(),
            token: Secret::new("t"),
        };
        check(&credential, r#"["k", "u", "facebook", "1", "t"]"#);
    }

    #[test]
    fn rows_of_others_are_none() {
        assert_eq!(LoginSession::read(&[0x90]), None);
        assert_eq!(Credential::read(&[0xc0]), None);
        assert_eq!(User::read(&[0x93, 0x01, 0x02, 0x03]), None);
    }
}
