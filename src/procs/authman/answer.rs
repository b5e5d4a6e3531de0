//! What a procedure answers: `true` and a value, or `false` and a map from a code to its text.
//!
//! Codes from 22 on are not in the Lua application.
//!
//! Source: authman.md section 2.

use std::fmt;

use lycosa_proto::msgpack::{write_bool, write_f64, write_map, write_nil, write_str, write_uint};

use super::model::{Credential, User};
use crate::config::Secret;
use crate::http::Counted;
use crate::procs::Values;

macro_rules! refusals {
    ($($code:literal $Name:ident $text:literal)*) => {
        /// Why a procedure refuses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            /// No reason is given: nil stands in its place.
            Unexplained = 0,
            $(#[doc = $text] $Name = $code,)*
        }

        impl Refusal {
            /// Every refusal that has a code, in the order of codes.
            pub const ALL: &'static [Self] = &[$(Self::$Name),*];

            /// The text that goes with the code.
            pub fn text(self) -> &'static str {
                match self { Self::Unexplained => "", $(Self::$Name => $text,)* }
            }
        }
    };
}

refusals! {
    1 UserNotFound "User not found"
    2 UserAlreadyExists "User already exists"
    3 InvalidParams "Invalid params"
    4 UserNotActive "User not activated"
    5 WrongPassword "Wrong password"
    6 WrongActivationCode "Wrong activation code"
    7 WrongSessionSign "Wrong session sign"
    8 NotAuthenticated "User is not authenticated"
    9 WrongRestoreToken "Wrong restore token"
    10 UserAlreadyActive "User already active"
    11 WrongAuthCode "Wrong auth code"
    12 ImproperlyConfigured "Wrong config passed"
    13 WrongProvider "Wrong social provider"
    14 WeakPassword "Password to weak"
    15 SocialAuthError "Error during getting user info"
    16 OauthAppAlreadyExists "oauth app already exists"
    17 OauthAppNotFound "oauth app not found"
    18 OauthConsumerNotFound "OAUTH consumer not found"
    19 OauthMaxAppsReached "Max oauth apps limit reached"
    20 OauthCodeNotFound "OAUTH authorization code not found"
    21 OauthAccessTokenNotFound "OAUTH access token not found"
    22 TooManyAttempts "Too many attempts"
    23 PasswordTooLong "Password too long"
}

impl Refusal {
    /// The code; none for [`Self::Unexplained`].
    pub fn code(self) -> Option<u8> {
        Some(self as u8).filter(|code| *code > 0)
    }
}

/// What a procedure gives when it does not refuse.
#[derive(Clone, PartialEq)]
pub enum Reply {
    /// Nothing but success.
    Done,
    /// A text: an address with a state in it, a token, a secret.
    Text(Secret),
    /// A number of rows.
    Count(u64),
    /// Any value, as its MsgPack.
    Value(Vec<u8>),
    /// A user.
    User(Box<User>),
    /// What was counted: of accounts, a map as its MsgPack, and by provider.
    Stat {
        /// Of accounts.
        accounts: Vec<u8>,
        /// By provider.
        providers: Vec<(String, Counted)>,
    },
    /// A user whose registration is not complete.
    Registered {
        /// The user.
        user: Box<User>,
        /// The code that completes the registration.
        code: Secret,
    },
    /// A user who is logged in.
    LoggedIn {
        /// The user.
        user: Box<User>,
        /// The signed session to use from now on.
        session: Secret,
        /// How a provider knows the user.
        social: Option<Social>,
    },
}

impl fmt::Debug for Reply {
    /// Shows what kind of reply it is, and nothing of what it holds: most of it is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Text(_) => "Text(..)",
            Self::Count(_) => "Count(..)",
            Self::Value(_) => "Value(..)",
            Self::User(_) => "User(..)",
            Self::Stat { .. } => "Stat { .. }",
            Self::Registered { .. } => "Registered { .. }",
            Self::LoggedIn { .. } => "LoggedIn { .. }",
        })
    }
}

/// How a provider knows a user, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Social {
    /// The provider's name.
    pub provider: String,
    /// The user's id there.
    pub social_id: String,
}

impl From<Credential> for Social {
    fn from(credential: Credential) -> Self {
        Self { provider: credential.provider, social_id: credential.social_id }
    }
}

/// A procedure's answer.
pub type Answer = Result<Reply, Refusal>;

/// A result inside a transaction: the database may fail, the procedure may refuse.
pub type Judged<T> = lycosa_proto::error::Result<Result<T, Refusal>>;

/// Takes the value out of a [`Judged`], or returns its refusal.
macro_rules! accepted {
    ($judged:expr) => {
        match $judged? {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}
pub(super) use accepted;

/// The two values of an answer: `true, value` or `false, {'3': 'Invalid params'}`.
pub fn values(answer: &Answer) -> Values {
    let mut values = Values::from(answer.is_ok());
    values.push(|out| match answer {
        Ok(reply) => write_reply(reply, out),
        Err(refusal) => match refusal.code() {
            Some(code) => {
                write_map(out, 1);
                write_str(out, code.to_string());
                write_str(out, refusal.text());
            }
            None => write_nil(out),
        },
    });
    values
}

fn write_reply(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Done => write_bool(out, true),
        Reply::Text(text) => write_str(out, text.expose()),
        Reply::Count(count) => write_uint(out, *count),
        Reply::Value(value) => out.extend_from_slice(value),
        Reply::User(user) => write_user(user, 0, out),
        Reply::Stat { accounts, providers } => {
            write_map(out, 2);
            write_str(out, "accounts");
            out.extend_from_slice(accounts);
            write_str(out, "providers");
            write_map(out, providers.len());
            for (name, counted) in providers {
                write_str(out, name);
                write_counted(counted, out);
            }
        }
        Reply::Registered { user, code } => {
            write_user(user, 1, out);
            write_str(out, "code");
            write_str(out, code.expose());
        }
        Reply::LoggedIn { user, session, social } => {
            write_user(user, 1 + usize::from(social.is_some()), out);
            if let Some(social) = social {
                write_str(out, "social");
                write_map(out, 2);
                write_str(out, "provider");
                write_str(out, &social.provider);
                write_str(out, "social_id");
                write_str(out, &social.social_id);
            }
            write_str(out, "session");
            write_str(out, session.expose());
        }
    }
}

/// Writes what was counted of one provider; times are seconds.
fn write_counted(counted: &Counted, out: &mut Vec<u8>) {
    write_map(out, 5);
    for (key, number) in [
        ("requests", counted.requests),
        ("in_flight", counted.in_flight),
        ("retries", counted.retries),
    ] {
        write_str(out, key);
        write_uint(out, number);
    }
    write_str(out, "errors");
    write_map(out, counted.errors.len());
    for (kind, number) in &counted.errors {
        write_str(out, kind);
        write_uint(out, *number);
    }
    write_str(out, "latency");
    write_map(out, 4);
    for (key, time) in [
        ("sum", counted.latency_sum),
        ("max", counted.latency_max),
        ("p50", counted.latency_p50),
        ("p99", counted.latency_p99),
    ] {
        write_str(out, key);
        write_f64(out, time.as_secs_f64());
    }
}

/// Writes a map of the user that has room for `more` entries.
pub(super) fn write_user(user: &User, more: usize, out: &mut Vec<u8>) {
    write_map(out, 4 + more);
    write_str(out, "id");
    write_str(out, &user.id);
    write_str(out, "email");
    write_str(out, &user.email);
    write_str(out, "is_active");
    write_bool(out, user.is_active);
    write_str(out, "profile");
    out.extend_from_slice(user.profile.as_msgpack());
}

#[cfg(test)]
mod tests {
    use super::super::model::Profile;
    use super::*;

    #[test]
    fn codes_are_the_places_in_the_table() {
        for (place, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(refusal.code().map(usize::from), Some(place + 1));
        }
    }

    #[test]
    fn answers_as_clients_see_them() {
        let check = |answer: Answer, expected: &str| {
            let mut out = vec![0x92];
            out.extend_from_slice(values(&answer).bytes());
            assert_eq!(lycosa_proto::msgpack::Text(&out).to_string(), expected);
        };
        check(Ok(Reply::Done), "[true, true]");
        check(Ok(Reply::Text(Secret::new("x"))), r#"[true, "x"]"#);
        let user = || {
            Box::new(User {
                id: "u".into(),
                email: "a@b".into(),
                user_type: 1,
                is_active: true,
                profile: Profile::unset(),
                registration_ts: None,
                session_update_ts: None,
            })
        };
        let head = r#"[true, {"id": "u", "email": "a@b", "is_active": true, "profile": null"#;
        check(Ok(Reply::User(user())), &format!("{head}}}]"));
        let code = Secret::new("c");
        let registered = Reply::Registered { user: user(), code };
        check(Ok(registered), &format!(r#"{head}, "code": "c"}}]"#));
        let session = Secret::new("s");
        let logged_in = Reply::LoggedIn { user: user(), session, social: None };
        check(Ok(logged_in), &format!(r#"{head}, "session": "s"}}]"#));
        check(Err(Refusal::InvalidParams), r#"[false, {"3": "Invalid params"}]"#);
        check(Ok(Reply::Count(7)), "[true, 7]");
        check(Ok(Reply::Value(vec![0x90])), "[true, []]");
        check(Err(Refusal::Unexplained), "[false, null]");
        check(Err(Refusal::WeakPassword), r#"[false, {"14": "Password to weak"}]"#);
    }
}
