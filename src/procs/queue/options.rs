//! The options of `queue.create_tube`.
//!
//! Source: queue/abstract.lua `queue.create_tube`; queue/abstract/driver/*.lua for defaults.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_map, write_str, write_uint};

use super::dead_letter::Rule;
use super::lua_number;
use super::settings::Settings;
use super::times;

/// MsgPack of false.
const FALSE: &[u8] = &[0xc2];

/// What a client wants of a new tube.
#[derive(Debug, PartialEq)]
pub(super) struct TubeOptions {
    /// A tube that is there already is the answer.
    pub(super) if_not_exists: bool,
    /// The same as it was given, MsgPack of what Lua takes for true; false if it was not.
    if_not_exists_given: Vec<u8>,
    /// Tasks go with the process.
    pub(super) is_temporary: bool,
    /// The engine of the space.
    pub(super) engine: String,
    /// An option that is not of the type it should be, with the name of that; None if all are.
    mistyped: Option<(&'static str, &'static str)>,
    /// Keys and values that are kept as they are given, each its MsgPack.
    kept: Vec<(Vec<u8>, Vec<u8>)>,
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
            if_not_exists_given: FALSE.to_vec(),
            is_temporary: false,
            engine: "memtx".to_owned(),
            mistyped: None,
            kept: Vec::new(),
        };
        for (key, value) in msgpack::pairs(map) {
            let value = &*lua_number::plain(value);
            let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
            match (msgpack::read(&mut { key }).unwrap_or(Token::Nil), token) {
                (Token::Str(b"if_not_exists"), token) => {
                    parsed.if_not_exists = is_true(token);
                    let given = if parsed.if_not_exists { value } else { FALSE };
                    parsed.if_not_exists_given = given.to_vec();
                    continue;
                }
                // A function, which no client can send; whatever this is, it is not kept.
                (Token::Str(b"on_task_change"), _) => continue,
                (Token::Str(b"temporary"), token) => {
                    parsed.is_temporary = is_true(token);
                    if !matches!(token, Token::Nil | Token::Bool(_)) {
                        parsed.mistyped = Some(("temporary", "boolean"));
                    }
                }
                (Token::Str(b"engine"), Token::Str(name)) => {
                    parsed.engine = String::from_utf8_lossy(name).into_owned();
                }
                (Token::Str(b"engine"), token) if token != Token::Nil => {
                    parsed.mistyped = Some(("engine", "string"));
                }
                _ => {}
            }
            parsed.kept.push((key.to_vec(), value.to_vec()));
        }
        Ok(parsed)
    }

    /// Checks what no driver needs to know of.
    ///
    /// # Errors
    /// ILLEGAL_PARAMS: what a space is made with is not of the type it should be; PROC_LUA: what says when tasks have failed
    /// is of no use.
    pub(super) fn check(&self, tube: &str) -> Result<()> {
        if let Some((name, wanted)) = self.mistyped {
            let text = format!("options parameter '{name}' should be of type {wanted}");
            return Err(err!(ILLEGAL_PARAMS, text));
        }
        Rule::check(tube, &self.map(&[]))
    }

    /// What the options mean to a driver.
    pub(super) fn settings(&self) -> Settings {
        Settings::parse(&self.map(&[]))
    }

    /// What `_queue` keeps of a tube of a type: the map as given without what cannot be kept, `if_not_exists` and the times
    /// filled in.
    pub(super) fn stored(&self, has_times: bool) -> Vec<u8> {
        let given: Vec<u8> = self.map(&[]);
        let is_missing = |name: &&str| has_times && times::given(&given, name).is_none();
        let missing: Vec<&str> = ["ttl", "ttr", "pri"].into_iter().filter(is_missing).collect();
        let ttl = times::given(&given, "ttl");
        let mut defaults = Vec::new();
        for name in missing {
            let mut value = Vec::with_capacity(9);
            match (name, ttl) {
                ("pri", _) => write_uint(&mut value, 0),
                ("ttr", Some(ttl)) => value.extend_from_slice(ttl),
                _ => write_uint(&mut value, times::TIMEOUT_MAX_SEC as u64),
            }
            defaults.push((name, value));
        }
        self.map(&defaults)
    }

    /// The map as given with `if_not_exists` and others; a nil that was given goes where another value comes.
    fn map(&self, others: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let is_replaced = |key: &[u8]| {
            let key = msgpack::read(&mut { key }).unwrap_or(Token::Nil);
            others.iter().any(|(name, _)| key == Token::Str(name.as_bytes()))
        };
        let kept: Vec<_> = self.kept.iter().filter(|(key, _)| !is_replaced(key)).collect();
        let mut map = Vec::new();
        write_map(&mut map, kept.len() + 1 + others.len());
        for (key, value) in kept {
            map.extend_from_slice(key);
            map.extend_from_slice(value);
        }
        write_str(&mut map, "if_not_exists");
        map.extend_from_slice(&self.if_not_exists_given);
        for (name, value) in others {
            write_str(&mut map, name);
            map.extend_from_slice(value);
        }
        map
    }
}

/// What Lua takes for true.
fn is_true(token: Token<'_>) -> bool {
    !matches!(token, Token::Nil | Token::Bool(false))
}
