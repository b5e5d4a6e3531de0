//! What lets a person in, and that they are in.

use lycosa_proto::msgpack::{items, write_array, write_nil, write_str, write_uint};

use super::row::{Fields, Row};
use crate::config::Secret;
use crate::procs::authman::password::PasswordHash;

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
    pub kept: Kept,
}

/// What a kept token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// To ask for the profile.
    Access,
    /// To ask for another token.
    Refresh,
}

impl TokenUse {
    /// Every use with its name.
    const ALL: [(&'static str, Self); 2] =
        [("access_token", Self::Access), ("refresh_token", Self::Refresh)];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => Self::ALL[0].0,
            Self::Refresh => Self::ALL[1].0,
        }
    }

    /// The use of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, token_use)| *token_use)
    }
}

/// A token to keep, to ask about the person again.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The token.
    pub token: Secret,
    /// What it is good for; None is what the Lua application keeps.
    pub token_use: Option<TokenUse>,
    /// The device that the provider gave it to, where it wants to know.
    pub device_id: Option<String>,
}

/// A user's password, of space `auth_password_credential`.
#[derive(Clone, Debug, PartialEq)]
pub struct Password {
    /// UUID as text.
    pub id: String,
    /// The user.
    pub user_id: String,
    /// What is kept in place of the password.
    pub hash: PasswordHash,
}

/// What lets a user choose a password, of space `auth_password_token`: the activation code of one who is not active, the
/// restore token of one who is.
#[derive(Clone, Debug, PartialEq)]
pub struct PasswordToken {
    /// The user, who has one at most.
    pub user_id: String,
    /// The token as it was given out, if it never expires; else a seed of it.
    pub token: Secret,
    /// When it expires, in seconds since the epoch; none is a row of the Lua application's kind.
    pub expires_at: Option<u64>,
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
    /// When the session ends, in seconds since the epoch, rounded up; the Lua application does not note it.
    pub expires_at: Option<u64>,
}

impl Row for Credential {
    const SPACE: &'static str = "social";
    const FIELDS: usize = 7;

    fn write(&self, out: &mut Vec<u8>) {
        let texts: [&str; Self::FIELDS] = [
            &self.id,
            &self.user_id,
            &self.provider,
            &self.social_id,
            self.kept.token.expose(),
            // Providers of the Lua application have no more fields than there.
            self.kept.token_use.map_or("", TokenUse::name),
            self.kept.device_id.as_deref().unwrap_or_default(),
        ];
        let filled = texts.iter().rposition(|text| !text.is_empty()).map_or(0, |place| place + 1);
        let count = filled.max(5);
        write_array(out, count);
        texts[..count].iter().for_each(|text| write_str(out, text));
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            id: fields.text()?,
            user_id: fields.text()?,
            provider: fields.text()?,
            social_id: fields.text()?,
            kept: Kept {
                token: Secret::new(fields.text().unwrap_or_default()),
                token_use: fields.text().and_then(|name| TokenUse::find(&name)),
                device_id: fields.text().filter(|id| !id.is_empty()),
            },
        })
    }
}

impl LoginSession {
    /// The place of the field that says when it ends.
    pub const EXPIRES_AT: usize = 4;
}

impl Row for LoginSession {
    const SPACE: &'static str = "session";
    const FIELDS: usize = 5;

    fn write(&self, out: &mut Vec<u8>) {
        let texts = [&self.sid, self.code.expose(), &self.user_id];
        let len = match (self.expires_at, &self.credential_id) {
            (Some(_), _) => Self::FIELDS,
            (None, Some(_)) => 4,
            (None, None) => 3,
        };
        write_array(out, len);
        texts.iter().for_each(|text| write_str(out, text));
        match &self.credential_id {
            Some(credential_id) => write_str(out, credential_id),
            None if self.expires_at.is_some() => write_nil(out),
            None => {}
        }
        if let Some(time) = self.expires_at {
            write_uint(out, time);
        }
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            sid: fields.text()?,
            code: Secret::new(fields.text()?),
            user_id: fields.text()?,
            credential_id: fields.text(),
            expires_at: fields.uint(),
        })
    }
}

impl Row for Password {
    const SPACE: &'static str = "password";
    const FIELDS: usize = 3;

    fn write(&self, out: &mut Vec<u8>) {
        write_array(out, Self::FIELDS);
        write_str(out, &self.id);
        write_str(out, &self.user_id);
        write_str(out, self.hash.as_bytes());
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            id: fields.text()?,
            user_id: fields.text()?,
            hash: PasswordHash::stored(fields.bytes()?),
        })
    }
}

impl Row for PasswordToken {
    const SPACE: &'static str = "password_token";
    const FIELDS: usize = 3;

    fn write(&self, out: &mut Vec<u8>) {
        write_array(out, 2 + usize::from(self.expires_at.is_some()));
        write_str(out, &self.user_id);
        write_str(out, self.token.expose());
        if let Some(time) = self.expires_at {
            write_uint(out, time);
        }
    }

    fn read(tuple: &[u8]) -> Option<Self> {
        let mut fields = Fields(items(tuple));
        Some(Self {
            user_id: fields.text()?,
            token: Secret::new(fields.text()?),
            expires_at: fields.uint(),
        })
    }
}
