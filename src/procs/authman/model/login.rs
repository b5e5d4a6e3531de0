//! What lets a person in, and that they are in.

use lycosa_proto::msgpack::items;

use super::row::{Fields, Row, write_texts};
use crate::config::Secret;

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

impl Row for Credential {
    const SPACE: &'static str = "social";
    const FIELDS: usize = 5;

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
    const FIELDS: usize = 4;

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
