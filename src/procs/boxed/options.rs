//! The second argument of `select` and `count`: iterator, offset, limit.
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
const EQ: u32 = 0;
/// Number of ALL.
const ALL: u32 = 2;

/// What a client may say about a selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Options {
    /// The iterator's number; one that does not exist is for SELECT to refuse.
    pub(super) iterator: u32,
    /// Tuples to skip.
    pub(super) offset: u32,
    /// The most tuples to give.
    pub(super) limit: u32,
}

impl Options {
    /// From an argument: nothing, a map, or an iterator alone by name or number.
    ///
    /// # Errors
    /// ITERATOR_TYPE; PROC_LUA for an offset or a limit that is no number; UNSUPPORTED for pagination.
    pub(super) fn parse(argument: Option<&[u8]>, is_key_empty: bool) -> Result<Self> {
        let iterator = if is_key_empty { ALL } else { EQ };
        let mut options = Self { iterator, offset: 0, limit: u32::MAX };
        let Some(bytes) = argument else { return Ok(options) };
        match msgpack::read(&mut { bytes }).unwrap_or(Token::Nil) {
            Token::Nil | Token::Array(_) => {}
            Token::Map(_) => {
                for (name, value) in msgpack::pairs(bytes) {
                    let value = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
                    options.set(msgpack::read_str(&mut { name }).unwrap_or(b""), &value)?;
                }
            }
            token @ (Token::Bool(_) | Token::Bin(_) | Token::Ext(..)) => {
                return Err(unknown(&token));
            }
            token => options.iterator = iterator_number(&token)?,
        }
        Ok(options)
    }

    /// Takes one option; those of other names mean nothing.
    fn set(&mut self, name: &[u8], value: &Token<'_>) -> Result<()> {
        match (name, value) {
            // `false` is as good as nothing here, nil is not.
            (b"iterator", Token::Bool(false)) => {}
            (b"iterator", _) => self.iterator = iterator_number(value)?,
            (b"offset" | b"limit" | b"after" | b"fetch_pos", Token::Nil) => {}
            (b"offset", _) => self.offset = count("offset", value)?,
            (b"limit", _) => self.limit = count("limit", value)?,
            (b"fetch_pos", Token::Bool(false)) => {}
            (b"after" | b"fetch_pos", _) => return Err(err!(UNSUPPORTED, "Lycosa", "pagination")),
            _ => {}
        }
        Ok(())
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
    number(token).ok_or_else(|| {
        let kind = match token {
            Token::Array(_) | Token::Map(_) => "table",
            other => other.kind(),
        };
        err!(PROC_LUA, format!("bad argument '{name}' (cannot convert '{kind}' to a number)"))
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
