//! The second argument of `select` and `count`: iterator, offset, limit, pages.
//!
//! Source: Tarantool `src/box/lua/schema.lua` check_iterator_type, check_select_opts.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::lua;

/// The names of `box.index`, each at the place of its number.
const ITERATORS: [&str; 14] = [
    "EQ",
    "REQ",
    "ALL",
    "LT",
    "LE",
    "GE",
    "GT",
    "BITS_ALL_SET",
    "BITS_ANY_SET",
    "BITS_ALL_NOT_SET",
    "OVERLAPS",
    "NEIGHBOR",
    "NP",
    "PP",
];

/// Number of EQ.
pub(super) const EQ: u32 = 0;
/// Number of REQ.
pub(super) const REQ: u32 = 1;
/// Number of ALL.
const ALL: u32 = 2;
/// Number of LE.
pub(super) const LE: u32 = 4;
/// Number of GE.
pub(super) const GE: u32 = 5;

/// What a client may say about a selection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    /// The iterator's number; one that does not exist is for SELECT to refuse.
    pub(super) iterator: u32,
    /// Tuples to skip.
    pub(super) offset: u32,
    /// The most tuples to give.
    pub(super) limit: u32,
    /// What to begin after: the position, or a tuple that has it, as it came.
    pub(super) after: Option<&'a [u8]>,
    /// The position of the last tuple is wanted too.
    pub(super) fetch_pos: bool,
}

impl<'a> Options<'a> {
    /// From an argument: nothing, a map, or an iterator alone by name or number.
    ///
    /// # Errors
    /// Those of [`iterator`]; ITERATOR_POSITION for `after` of another type; PROC_LUA for an offset or a limit that is no
    /// number, `fetch_pos` that is no boolean.
    pub(super) fn parse(argument: Option<&'a [u8]>, is_key_empty: bool) -> Result<Self> {
        let iterator = iterator(argument, is_key_empty)?;
        let mut options =
            Self { iterator, offset: 0, limit: u32::MAX, after: None, fetch_pos: false };
        let pairs = argument.filter(|bytes| msgpack::read_map(&mut { *bytes }).is_ok());
        for (name, value) in pairs.into_iter().flat_map(msgpack::pairs) {
            options.set(msgpack::read_str(&mut { name }).unwrap_or(b""), value)?;
        }
        Ok(options)
    }

    /// Takes one option; those of other names mean nothing.
    fn set(&mut self, name: &[u8], value: &'a [u8]) -> Result<()> {
        match (name, msgpack::read(&mut { value }).unwrap_or(Token::Nil)) {
            (_, Token::Nil) => {}
            (b"offset", token) => self.offset = count("offset", &token)?,
            (b"limit", token) => self.limit = count("limit", &token)?,
            (b"after", Token::Str(_) | Token::Bin(_) | Token::Array(_) | Token::Map(_)) => {
                self.after = Some(value);
            }
            (b"after", _) => return Err(err!(ITERATOR_POSITION)),
            (b"fetch_pos", Token::Bool(is_wanted)) => self.fetch_pos = is_wanted,
            (b"fetch_pos", token) => {
                self.fetch_pos = number_of("fetch_pos", &token, "'bool'")? != 0;
            }
            _ => {}
        }
        Ok(())
    }
}

/// The number of the iterator that an argument says: a map with a member `iterator`, or the iterator alone.
///
/// # Errors
/// ITERATOR_TYPE.
pub(super) fn iterator(argument: Option<&[u8]>, is_key_empty: bool) -> Result<u32> {
    let default = if is_key_empty { ALL } else { EQ };
    let Some(bytes) = argument else { return Ok(default) };
    match msgpack::read(&mut { bytes }).unwrap_or(Token::Nil) {
        Token::Nil | Token::Array(_) => Ok(default),
        Token::Map(_) => {
            let is_iterator =
                |(name, _): &(&[u8], &[u8])| msgpack::read_str(&mut { *name }) == Ok(b"iterator");
            let option = msgpack::pairs(bytes).filter(is_iterator).last();
            match option.and_then(|(_, value)| msgpack::read(&mut { value }).ok()) {
                // `false` is as good as nothing here, nil is not.
                None | Some(Token::Bool(false)) => Ok(default),
                Some(token) => iterator_number(&token),
            }
        }
        token @ (Token::Bool(_) | Token::Bin(_) | Token::Ext(..)) => Err(unknown(&token)),
        token => iterator_number(&token),
    }
}

/// The number of an iterator that is given by name, in any case, or by number.
fn iterator_number(token: &Token<'_>) -> Result<u32> {
    match token {
        Token::Str(name) => {
            let is_named = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
            let place = ITERATORS.iter().position(|known| is_named(known));
            place.map(|number| number as u32).ok_or_else(|| unknown(token))
        }
        Token::Bool(_) => Err(unknown(token)),
        _ => number(token).ok_or_else(|| unknown(token)),
    }
}

fn unknown(token: &Token<'_>) -> lycosa_proto::error::Error {
    err!(ITERATOR_TYPE, lua::to_string(token))
}

fn count(name: &str, token: &Token<'_>) -> Result<u32> {
    number_of(name, token, "a number")
}

/// An option that is a number; `wanted` is what it should be, as the error says.
fn number_of(name: &str, token: &Token<'_>, wanted: &str) -> Result<u32> {
    number(token).ok_or_else(|| {
        let kind = match token {
            Token::Array(_) | Token::Map(_) => "table",
            other => other.kind(),
        };
        err!(PROC_LUA, format!("bad argument '{name}' (cannot convert '{kind}' to {wanted})"))
    })
}

/// A number without its fraction. What is below zero wraps to a great number in Tarantool, so it counts as the greatest.
fn number(token: &Token<'_>) -> Option<u32> {
    let float = |value: f64| if value <= -1.0 { u32::MAX } else { value as u32 };
    Some(match token {
        Token::Uint(value) => u32::try_from(*value).unwrap_or(u32::MAX),
        Token::Int(value) => u32::try_from(*value).unwrap_or(u32::MAX),
        Token::Float(value) => float(f64::from(*value)),
        Token::Double(value) => float(*value),
        Token::Bool(value) => u32::from(*value),
        _ => return None,
    })
}
