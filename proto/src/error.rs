//! Errors as a client sees them.
//!
//! [`kind`] names every code; an [`Error`] is a code with the arguments of its message. Message, payload fields, type and
//! bytes on the wire follow from one table (`error/table.rs`). Building an error is cold; a `Result` with it costs a word.
//!
//! Source: protocol.md §5, errors.md; Tarantool `src/box/mp_error.cc`.

use std::fmt;
use std::panic::Location;

use crate::msgpack::{write_array, write_int, write_map, write_str, write_uint};

/// A code of the table. Codes that are not in it exist too: procedures may answer with their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ErrorKind(pub u32);

/// What the table says of a code.
#[derive(Debug)]
pub struct ErrorDef {
    /// The code.
    pub code: u32,
    /// The name without `ER_`.
    pub name: &'static str,
    /// The message, with placeholders `{}` and `{field}`.
    pub message: &'static str,
    /// Names of the arguments that follow those of the message, in the payload only.
    pub extra: &'static str,
}

macro_rules! errors {
    ($($code:literal $name:ident $message:literal $extra:literal)*) => {
        /// The codes by name.
        pub mod kind {
            use super::ErrorKind;
            $(#[doc = $message] pub const $name: ErrorKind = ErrorKind($code);)*
        }

        /// Every code in ascending order, each at the place of its number.
        pub static TABLE: &[ErrorDef] = &[
            $(ErrorDef { code: $code, name: stringify!($name), message: $message, extra: $extra },)*
        ];
    };
}

include!("error/table.rs");

impl ErrorKind {
    /// The table's row, if the code is Tarantool's.
    pub fn def(self) -> Option<&'static ErrorDef> {
        TABLE.get(self.0 as usize)
    }
}

/// An argument of a message or a payload field.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// Text.
    Str(String),
    /// Text of a client that is not UTF-8.
    Bytes(Vec<u8>),
    /// A number that is not negative.
    Uint(u64),
    /// A number that may be negative.
    Int(i64),
    /// A value as MsgPack (a tuple, a key), for the payload.
    Raw(Vec<u8>),
}

macro_rules! arg_from {
    ($($from:ty => $arm:ident),*) => {
        $(impl From<$from> for Arg {
            fn from(value: $from) -> Self {
                Self::$arm(value.into())
            }
        })*
    };
}
arg_from!(&str => Str, String => Str, &String => Str, u32 => Uint, u64 => Uint, i32 => Int, i64 => Int, &[u8] => Raw, Vec<u8> => Raw);

impl From<usize> for Arg {
    fn from(value: usize) -> Self {
        Self::Uint(value as u64)
    }
}

impl Arg {
    /// Text as a client sent it. It ends at its first zero byte, as all that Tarantool prints.
    pub fn sent(text: &[u8]) -> Self {
        Self::sent_between("", text, "")
    }

    /// The same between other texts.
    pub fn sent_between(before: &str, text: &[u8], after: &str) -> Self {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let whole = [before.as_bytes(), text, after.as_bytes()].concat();
        String::from_utf8(whole).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Str)
    }

    /// Adds the text that a message has of it.
    fn show(&self, out: &mut Vec<u8>) {
        match self {
            Self::Str(value) => out.extend_from_slice(value.as_bytes()),
            Self::Bytes(value) => out.extend_from_slice(value),
            Self::Uint(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Raw(value) => out.extend_from_slice(&crate::msgpack::Text(value).bytes()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Str(value) => write_str(out, value),
            Self::Bytes(value) => write_str(out, value),
            Self::Uint(value) => write_uint(out, *value),
            Self::Int(value) => write_int(out, *value),
            Self::Raw(value) => out.extend_from_slice(value),
        }
    }
}

/// An error for a client: code, message, payload, causes.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    /// Arguments of the message, then of the payload.
    args: Vec<Arg>,
    /// Payload fields that the place where the error passed by added: a tuple, a space.
    context: Vec<(&'static str, Arg)>,
    /// The error that caused this one.
    cause: Option<Error>,
    /// A wait has taken too long, which is an error of the operating system in Tarantool.
    is_timeout: bool,
    /// Where it was made.
    place: &'static Location<'static>,
}

/// `errno` of a wait whose time is over.
const ETIMEDOUT: u64 = 110;

/// The result of whatever a client asked for.
pub type Result<T> = std::result::Result<T, Error>;

/// Builds an [`Error`]: the kind's name, then the arguments of its message and payload in the table's order.
#[macro_export]
macro_rules! err {
    ($kind:ident $(, $arg:expr)* $(,)?) => {
        $crate::error::Error::new($crate::error::kind::$kind, vec![$($crate::error::Arg::from($arg)),*])
    };
}

impl Error {
    /// An error of `kind`; `args` fill the placeholders of its message from left to right, then its extra fields.
    #[track_caller]
    #[cold]
    pub fn new(kind: ErrorKind, args: Vec<Arg>) -> Self {
        Self(Box::new(Inner {
            kind,
            args,
            context: Vec::new(),
            cause: None,
            is_timeout: false,
            place: Location::caller(),
        }))
    }

    /// The error of a wait whose time is over.
    #[track_caller]
    #[cold]
    pub fn timed_out() -> Self {
        let mut error = err!(SYSTEM, "timed out");
        error.0.is_timeout = true;
        error
    }

    /// The code.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The code as a number.
    pub fn code(&self) -> u32 {
        self.0.kind.0
    }

    /// Adds a payload field after those of the table, or in the place of one of them; one that was added already stays.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Arg>) -> Self {
        if !self.0.context.iter().any(|(known, _)| *known == name) {
            self.0.context.push((name, value.into()));
        }
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn because(mut self, cause: Self) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// The message as clients get it. Where it has names or values that a client sent, it may not be UTF-8.
    pub fn message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut args = self.0.args.iter();
        let Some(def) = self.0.kind.def() else {
            args.for_each(|arg| arg.show(&mut out));
            return out;
        };
        for (text, placeholder) in Pieces(def.message) {
            out.extend_from_slice(text.as_bytes());
            if placeholder.is_some()
                && let Some(arg) = args.next()
            {
                arg.show(&mut out);
            }
        }
        out
    }

    /// Tarantool's class of the error.
    pub fn type_name(&self) -> &'static str {
        match self.0.kind {
            kind::ILLEGAL_PARAMS => "IllegalParams",
            kind::MEMORY_ISSUE => "OutOfMemory",
            kind::PROC_LUA => "LuajitError",
            kind::ACCESS_DENIED => "AccessDeniedError",
            kind::SYSTEM if self.0.is_timeout => "TimedOut",
            kind::SYSTEM => "SystemError",
            kind::XLOG_GAP => "XlogGapError",
            _ => "ClientError",
        }
    }

    /// Names of the placeholders of the message, `""` for those without.
    fn placeholders(message: &str) -> impl Iterator<Item = &str> {
        Pieces(message).filter_map(|(_, name)| name)
    }

    /// The payload: names with values in the order of the wire.
    fn fields(&self) -> Vec<(&str, Arg)> {
        let mut fields = Vec::new();
        match (self.0.kind, self.0.kind.def()) {
            (kind::ACCESS_DENIED, _) => {
                let arg = |i: usize| self.0.args[i].clone();
                fields.extend([
                    ("object_type", arg(1)),
                    ("object_name", arg(2)),
                    ("access_type", arg(0)),
                    ("user", arg(3)),
                ]);
            }
            (_, Some(def)) => {
                if self.type_name() == "ClientError" {
                    fields.push(("name", Arg::from(def.name)));
                }
                let names = Self::placeholders(def.message).chain(def.extra.split_whitespace());
                let named = names.zip(&self.0.args).filter(|(name, _)| !name.is_empty());
                if self.0.kind != kind::ILLEGAL_PARAMS && self.0.kind != kind::PROC_LUA {
                    fields.extend(named.map(|(name, arg)| (name, arg.clone())));
                }
            }
            (_, None) => fields.push(("name", Arg::from("UNKNOWN"))),
        }
        for (name, value) in &self.0.context {
            match fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = value.clone(),
                None => fields.push((*name, value.clone())),
            }
        }
        fields
    }

    /// Writes the body of an error packet: `{0x31: message, 0x52: {0: [stack]}}`.
    pub fn write_body(&self, out: &mut Vec<u8>) {
        write_map(out, 2);
        write_uint(out, crate::iproto::key::ERROR_24);
        write_str(out, self.message());
        write_uint(out, crate::iproto::key::ERROR);
        self.write_stack(out);
    }

    /// Writes the MP_ERROR map `{0: [error, cause, ...]}`.
    pub fn write_stack(&self, out: &mut Vec<u8>) {
        let chain: Vec<&Self> =
            std::iter::successors(Some(self), |error| error.0.cause.as_ref()).collect();
        write_map(out, 1);
        write_uint(out, 0);
        write_array(out, chain.len());
        chain.into_iter().for_each(|error| error.write_one(out));
    }

    fn write_one(&self, out: &mut Vec<u8>) {
        let fields = self.fields();
        write_map(out, if fields.is_empty() { 6 } else { 7 });
        write_uint(out, 0);
        write_str(out, self.type_name());
        write_uint(out, 2);
        write_uint(out, u64::from(self.0.place.line()));
        write_uint(out, 1);
        write_str(out, self.0.place.file());
        write_uint(out, 3);
        write_str(out, self.message());
        write_uint(out, 4);
        write_uint(out, if self.0.is_timeout { ETIMEDOUT } else { 0 });
        write_uint(out, 5);
        write_uint(out, u64::from(self.code()));
        if !fields.is_empty() {
            write_uint(out, 6);
            write_map(out, fields.len());
            for (name, value) in &fields {
                write_str(out, name);
                value.write(out);
            }
        }
    }
}

/// Cuts a message into literal text and the placeholder after it.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let is_name =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        for (start, _) in self.0.match_indices('{') {
            let Some(len) = self.0[start..].find('}') else { continue };
            let name = &self.0[start + 1..start + len];
            if is_name(name) {
                let text = &self.0[..start];
                self.0 = &self.0[start + len + 1..];
                return Some((text, Some(name)));
            }
        }
        Some((std::mem::take(&mut self.0), None))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: {self}", self.code())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_at_its_number() {
        for (place, def) in TABLE.iter().enumerate() {
            assert_eq!(place, def.code as usize);
        }
    }

    #[test]
    fn messages_take_their_arguments_in_order() {
        let check = |error: Error, text: &str| assert_eq!(error.to_string(), text);
        check(err!(NO_SUCH_SPACE, "512"), "Space '512' does not exist");
        check(
            err!(FIELD_TYPE, "1 (id)", "unsigned", "string"),
            "Tuple field 1 (id) type does not match one required by operation: expected unsigned, got string",
        );
        check(
            err!(WRONG_INDEX_RECORD, "a", "b"),
            "Wrong record in _index space: got {a}, expected {b}",
        );
        check(
            err!(ACCESS_DENIED, "Read", "space", "t", "u"),
            "Read access to space 't' is denied for user 'u'",
        );
    }

    #[test]
    fn texts_of_clients_stay_as_they_are() {
        let check = |arg: Arg, message: &[u8]| {
            assert_eq!(err!(WRONG_SPACE_OPTIONS, arg).message(), message);
        };
        check(Arg::sent(b"a\0b"), b"Wrong space options: a");
        check(Arg::sent(b"\xffb"), b"Wrong space options: \xffb");
        check(
            Arg::sent_between("got '", b"\xc3\x28\0", "'"),
            b"Wrong space options: got '\xc3\x28'",
        );
        assert_eq!(
            err!(WRONG_SPACE_OPTIONS, Arg::sent(b"\xff")).to_string(),
            "Wrong space options: \u{fffd}"
        );
        let error = err!(NO_SUCH_SPACE, Arg::sent(b"\xff"));
        assert_eq!(error.fields()[1], ("space", Arg::Bytes(vec![0xff])));
    }

    #[test]
    fn a_field_of_the_table_may_be_replaced() {
        let error = err!(FOREIGN_KEY_INTEGRITY, "fk", "why").with("name", "fk").with("name", "x");
        let fields = error.fields();
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["name", "constraint", "details"]);
        assert_eq!(fields[0].1, Arg::from("fk"));
    }

    #[test]
    fn payload_names_the_code_and_its_fields() {
        let error = err!(KEY_PART_COUNT, 1u32, 2u32).with("space", "t").with("space", "other");
        let fields = error.fields();
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["name", "max", "value", "space"]);
        assert_eq!(fields[3].1, Arg::from("t"));
    }
}
