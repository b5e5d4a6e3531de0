//! Rows whose fields are given on as they are: those of the OAuth2 spaces, and whatever is walked through as tuples.
//!
//! Most fields of an OAuth2 row have no type: the Lua application keeps whatever it is given. So a row stays the tuple that
//! it is, and who needs a field reads it.

use lycosa_proto::msgpack::{
    items, read_f64, read_str, write_array, write_bool, write_nil, write_str, write_uint,
};

macro_rules! indexes {
    ($($(#[doc = $doc:literal])* $Name:ident $space:literal $index:literal)*) => {
        /// An index that the procedures look rows up in. The primary one also stands for its space.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Index {
            $($(#[doc = $doc])* $Name,)*
        }

        impl Index {
            /// Every index.
            pub const ALL: &'static [Self] = &[$(Self::$Name),*];

            /// The key of its space in the configuration, and its name.
            pub fn names(self) -> (&'static str, &'static str) {
                match self { $(Self::$Name => ($space, $index),)* }
            }
        }
    };
}

indexes! {
    /// Users by id.
    User "user" "primary"
    /// Users by email, then type.
    UserByEmail "user" "email_index"
    /// Passwords by id.
    Password "password" "primary"
    /// Passwords by user.
    PasswordByUser "password" "user"
    /// Activation codes and restore tokens by user.
    PasswordToken "password_token" "primary"
    /// Social credentials by id.
    Credential "social" "primary"
    /// Social credentials by user, then provider.
    CredentialByUser "social" "user"
    /// Social credentials by the person's id at a provider.
    CredentialBySocialId "social" "social"
    /// Login sessions by id.
    Session "session" "primary"
    /// Login sessions by user.
    SessionByUser "session" "user_index"
    /// Logins that are under way, by state.
    SocialState "social_state" "primary"
    /// Logins that are under way, by the time at which they expire.
    SocialStateByExpiry "social_state" "expires_at"
    /// Applications by id.
    App "oauth_app" "primary"
    /// Applications by user, then name.
    AppByUser "oauth_app" "user"
    /// Consumers by key.
    Consumer "oauth_consumer" "primary"
    /// Consumers by application.
    ConsumerByApp "oauth_consumer" "app"
    /// Codes.
    Code "oauth_code" "primary"
    /// Codes by consumer, then owner.
    CodeByConsumer "oauth_code" "consumer"
    /// Tokens by access token.
    Token "oauth_token" "primary"
    /// Tokens by consumer, then owner.
    TokenByConsumer "oauth_token" "consumer"
    /// Tokens by refresh token.
    TokenByRefresh "oauth_token" "refresh"
    /// Scopes by consumer, user, name.
    Scope "oauth_scope" "primary"
    /// Scopes by user.
    ScopeByUser "oauth_scope" "user_id"
    /// Redirects by consumer, user.
    Redirect "oauth_redirect" "primary"
    /// Redirects by user.
    RedirectByUser "oauth_redirect" "user_id"
}

/// A row as its tuple, a MsgPack array.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(Vec<u8>);

impl Record {
    /// A tuple as it is.
    pub fn new(tuple: &[u8]) -> Self {
        Self(tuple.to_vec())
    }

    /// A tuple of these fields.
    pub fn of(fields: &[Field<'_>]) -> Self {
        let mut out = Vec::new();
        write_array(&mut out, fields.len());
        fields.iter().for_each(|field| field.write(&mut out));
        Self(out)
    }

    /// The tuple.
    pub fn data(&self) -> &[u8] {
        &self.0
    }

    /// A field, zero-based, as its MsgPack; none beyond the last.
    pub fn field(&self, field_no: usize) -> Option<&[u8]> {
        items(&self.0).nth(field_no)
    }

    /// A field that is text; empty if it is anything else.
    pub fn text(&self, field_no: usize) -> &str {
        let bytes = self.field(field_no).and_then(|mut field| read_str(&mut field).ok());
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// A field that is a number.
    pub fn number(&self, field_no: usize) -> Option<f64> {
        read_f64(&mut self.field(field_no)?).ok()
    }

    /// The same with another value in a field; nil stands in fields before it that are not there.
    pub fn with(&self, field_no: usize, value: Field<'_>) -> Self {
        let mut fields: Vec<_> = items(&self.0).map(|field| Field::Raw(Some(field))).collect();
        fields.resize(fields.len().max(field_no + 1), Field::Raw(None));
        fields[field_no] = value;
        Self::of(&fields)
    }
}

/// Where a page of records begins.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// Behind this many.
    Offset(usize),
    /// Behind a record, which need not be there any more.
    After(&'a Record),
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// Text.
    Text(&'a str),
    /// A text that need not be UTF-8.
    Bytes(&'a [u8]),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Uint(u64),
    /// Any value, as its MsgPack; none is nil.
    Raw(Option<&'a [u8]>),
}

impl Field<'_> {
    /// Writes the value.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_str(out, text),
            Self::Bytes(bytes) => write_str(out, bytes),
            Self::Bool(value) => write_bool(out, value),
            Self::Uint(number) => write_uint(out, number),
            Self::Raw(Some(value)) => out.extend_from_slice(value),
            Self::Raw(None) => write_nil(out),
        }
    }
}
