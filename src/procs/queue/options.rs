//! The options of `queue.create_tube`.
//!
//! Source: queue/abstract.lua `queue.create_tube`; queue/abstract/driver/*.lua for defaults.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_bool, write_map, write_str};

/// What a client wants of a new tube.
#[derive(Debug, PartialEq)]
pub(super) struct TubeOptions {
    /// A tube that is there already is the answer.
    pub(super) if_not_exists: bool,
    /// Tasks go with the process.
    pub(super) is_temporary: bool,
    /// The engine of the space.
    pub(super) engine: String,
    /// What `_queue` keeps: the map as given without what cannot be kept, `if_not_exists` filled in.
    pub(super) stored: Vec<u8>,
}

impl TubeOptions {
    /// Parses a map; None, nil and an empty array (an empty table of many clients) are the map without options.
    ///
    /// # Errors
    /// PROC_LUA for anything else.
    pub(super) fn parse(options: Option<&[u8]>) -> Result<Self> {
        /// A map without pairs.
        const EMPTY: &[u8] = &[0x80];
        let map = match options.map(|mut bytes| msgpack::read(&mut bytes)) {
            None | Some(Ok(Token::Nil | Token::Array(0))) => EMPTY,
            Some(Ok(Token::Map(_))) => options.unwrap_or(EMPTY),
            Some(_) => return Err(err!(PROC_LUA, "options of a tube must be a table")),
        };
        let mut parsed = Self {
            if_not_exists: false,
            is_temporary: false,
            engine: "memtx".to_owned(),
            stored: Vec::with_capacity(map.len() + 16),
        };
        let mut kept = Vec::new();
        for (key, value) in msgpack::pairs(map) {
            let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
            match (msgpack::read(&mut { key }).unwrap_or(Token::Nil), token) {
                (Token::Str(b"if_not_exists"), token) => {
                    parsed.if_not_exists = is_true(token);
                    continue;
                }
                // A function, which no client can send; whatever this is, it is not kept.
                (Token::Str(b"on_task_change"), _) => continue,
                (Token::Str(b"temporary"), token) => parsed.is_temporary = is_true(token),
                (Token::Str(b"engine"), Token::Str(name)) => {
                    parsed.engine = String::from_utf8_lossy(name).into_owned();
                }
                _ => {}
            }
            kept.push((key, value));
        }
        write_map(&mut parsed.stored, kept.len() + 1);
        for (key, value) in kept {
            parsed.stored.extend_from_slice(key);
            parsed.stored.extend_from_slice(value);
        }
        write_str(&mut parsed.stored, "if_not_exists");
        write_bool(&mut parsed.stored, parsed.if_not_exists);
        Ok(parsed)
    }
}

/// What Lua takes for true.
fn is_true(token: Token<'_>) -> bool {
    !matches!(token, Token::Nil | Token::Bool(false))
}
