//! Requests: cutting packets off a connection's input, decoding headers and bodies. Nothing is copied.

use crate::err;
use crate::error::{Error, Result};
use crate::msgpack::{self, Diagnosis, Fault, Token, read};

use super::{KeyType, key, key_name, key_type, request_type};

/// The longest packet whose length is believed (Tarantool's limit).
const PACKET_BYTES_MAX: u64 = 2 << 30;

/// What stands at the front of a connection's input.
#[derive(Debug)]
pub enum Frame {
    /// More bytes are needed: this many in all, if the length is known.
    Incomplete {
        /// Bytes of the whole packet, its length included; 0 if not known yet.
        need: usize,
    },
    /// A whole packet.
    Complete {
        /// Bytes of the length that begins it.
        head: usize,
        /// Bytes of the whole packet, its length included.
        total: usize,
    },
}

/// Looks for a packet at the front of `input`. `bytes_max` bounds what the length may announce.
///
/// # Errors
/// INVALID_MSGPACK: the length is no unsigned integer or above the limit. The connection cannot go on.
#[inline]
pub fn frame(input: &[u8], bytes_max: u64) -> Result<Frame> {
    let mut rest = input;
    let len = match read(&mut rest) {
        Ok(Token::Uint(len)) => len,
        Err(Fault::Truncated) if matches!(input.first(), None | Some(0xcc..=0xcf)) => {
            return Ok(Frame::Incomplete { need: 0 });
        }
        _ => return Err(err!(INVALID_MSGPACK, "packet length")),
    };
    if len > bytes_max.min(PACKET_BYTES_MAX) {
        let details = format!("too big packet size in the header: {len}");
        return Err(err!(INVALID_MSGPACK, details));
    }
    let head = input.len() - rest.len();
    let total = head + len as usize;
    Ok(if input.len() < total {
        Frame::Incomplete { need: total }
    } else {
        Frame::Complete { head, total }
    })
}

/// The header of a request, and the body's bytes after it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Header<'a> {
    /// The request type; 0 if absent.
    pub request_type: u64,
    /// The client's number, echoed in the reply.
    pub sync: u64,
    /// The schema version that the client believes in; 0 if it does not care.
    pub schema_version: u64,
    /// The stream; 0 if none.
    pub stream_id: u64,
    /// The thread that is to serve the request; 0 if it does not matter. There is no other.
    thread_id: u32,
    /// The body, or empty if absent: one well-formed value, unless it is of a request that [`Body::decode`] is for.
    pub body: &'a [u8],
}

impl<'a> Header<'a> {
    /// Decodes header and body of a packet (its bytes after the length) and checks the body to be well-formed.
    ///
    /// # Errors
    /// INVALID_MSGPACK with `packet header` or `packet body`, NO_SUCH_THREAD; the sync is what was decoded before the fault.
    #[inline]
    pub fn decode(packet: &'a [u8]) -> std::result::Result<Self, (u64, Error)> {
        let mut header = Self::default();
        let mut rest = packet;
        if header.decode_map(&mut rest).is_err() {
            // What is no MsgPack at all is refused before anything of it is believed.
            let is_whole = msgpack::skip(&mut { packet }).is_ok();
            let sync = if is_whole { header.sync } else { 0 };
            return Err((sync, err!(INVALID_MSGPACK, "packet header")));
        }
        header.body = rest;
        if !rest.is_empty() {
            if header.request_type == request_type::NOP {
                return Err((header.sync, err!(INVALID_MSGPACK, "junk after packet body")));
            }
            if !is_decoded_by_body(header.request_type) {
                msgpack::check_all(rest).map_err(|_| (header.sync, refused(rest)))?;
            }
        }
        if header.thread_id != 0 {
            return Err((header.sync, err!(NO_SUCH_THREAD, header.thread_id)));
        }
        Ok(header)
    }

    fn decode_map(&mut self, rest: &mut &[u8]) -> msgpack::Result<()> {
        for _ in 0..msgpack::read_map(rest)? {
            let name = msgpack::read_uint(rest)?;
            let kind = key_type(name);
            if kind == Some(KeyType::Uint) {
                let value = msgpack::read_uint(rest)?;
                match name {
                    // Cut to 32 bits, as Tarantool cuts it.
                    key::REQUEST_TYPE => self.request_type = u64::from(value as u32),
                    key::SYNC => self.sync = value,
                    key::SCHEMA_VERSION => self.schema_version = value,
                    key::STREAM_ID => self.stream_id = value,
                    // The largest number stands for none.
                    key::THREAD_ID if value as u32 != u32::MAX => self.thread_id = value as u32,
                    _ => {}
                }
                continue;
            }
            let value = *rest;
            msgpack::check(rest)?;
            if let Some(kind) = kind
                && !kind.fits(&read(&mut { value })?)
            {
                return Err(Fault::Type);
            }
        }
        Ok(())
    }
}

/// Requests whose body [`Body::decode`] checks while it reads it, so that it is walked once.
fn is_decoded_by_body(request_type: u64) -> bool {
    use request_type::{
        AUTH, CALL, CALL_16, DELETE, INSERT, REPLACE, SELECT, UNWATCH, UPDATE, UPSERT, WATCH,
        WATCH_ONCE,
    };
    matches!(
        request_type,
        SELECT | INSERT | REPLACE | UPDATE | DELETE | UPSERT | CALL | CALL_16 | AUTH
    ) || matches!(request_type, WATCH | UNWATCH | WATCH_ONCE)
}

/// Iterator types of SELECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Iterator {
    /// Equal, ascending.
    Eq,
    /// Equal, descending.
    Req,
    /// All; with a key on a TREE the same as GE.
    All,
    /// Less, descending.
    Lt,
    /// Less or equal, descending.
    Le,
    /// Greater or equal, ascending.
    Ge,
    /// Greater, ascending.
    Gt,
    /// All bits of the key are set.
    BitsAllSet,
    /// Any bit of the key is set.
    BitsAnySet,
    /// No bit of the key is set.
    BitsAllNotSet,
    /// Rectangles that share a point with the key.
    Overlaps,
    /// By distance from the key.
    Neighbor,
    /// Next prefix.
    Np,
    /// Previous prefix.
    Pp,
}

impl Iterator {
    /// Every iterator at the place of its number.
    const ALL: [Self; 14] = [
        Self::Eq,
        Self::Req,
        Self::All,
        Self::Lt,
        Self::Le,
        Self::Ge,
        Self::Gt,
        Self::BitsAllSet,
        Self::BitsAnySet,
        Self::BitsAllNotSet,
        Self::Overlaps,
        Self::Neighbor,
        Self::Np,
        Self::Pp,
    ];

    /// True for those that walk against the order of the index.
    #[inline]
    pub fn is_reverse(self) -> bool {
        matches!(self, Self::Req | Self::Lt | Self::Le | Self::Pp)
    }

    /// The iterator of a number.
    ///
    /// # Errors
    /// ILLEGAL_PARAMS if there is none.
    pub fn from_number(number: u32) -> Result<Self> {
        Self::ALL
            .get(number as usize)
            .copied()
            .ok_or_else(|| err!(ILLEGAL_PARAMS, "Invalid iterator type"))
    }
}

/// The body of a request: what its keys held. Arrays and strings are ranges of the packet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Body<'a> {
    /// Bit N is set if key N was there.
    present: u128,
    /// SPACE_ID
    pub space_id: u32,
    /// INDEX_ID
    pub index_id: u32,
    /// LIMIT
    pub limit: u32,
    /// OFFSET
    pub offset: u32,
    /// ITERATOR
    pub iterator: u32,
    /// INDEX_BASE
    pub index_base: u32,
    /// KEY, a MsgPack array
    pub key: Option<&'a [u8]>,
    /// TUPLE, a MsgPack array: tuple, arguments, operations of UPDATE or the authentication request
    pub tuple: Option<&'a [u8]>,
    /// OPS, a MsgPack array
    pub ops: Option<&'a [u8]>,
    /// FUNCTION_NAME
    pub function_name: Option<&'a [u8]>,
    /// USER_NAME
    pub user_name: Option<&'a [u8]>,
    /// EVENT_KEY
    pub event_key: Option<&'a [u8]>,
    /// SPACE_NAME
    pub space_name: Option<&'a [u8]>,
    /// INDEX_NAME
    pub index_name: Option<&'a [u8]>,
    /// FETCH_POSITION
    pub fetch_position: bool,
    /// AFTER_POSITION
    pub after_position: Option<&'a [u8]>,
    /// AFTER_TUPLE, a MsgPack array
    pub after_tuple: Option<&'a [u8]>,
}

impl<'a> Body<'a> {
    /// Decodes the body of a SELECT or of a write and checks it to be well-formed. Every known key's type is checked, used or
    /// not; the last of equal keys wins.
    ///
    /// # Errors
    /// INVALID_MSGPACK `packet body`: not a map, or a key's value of another type.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut body = Self::default();
        if !bytes.is_empty() {
            body.decode_map::<true>(bytes, KeyType::fits, |_| true).map_err(|_| refused(bytes))?;
        }
        Ok(body)
    }

    /// Decodes a body of which only the keys in `names` matter, and are checked. It must not be absent, and all its keys must
    /// be numbers.
    ///
    /// # Errors
    /// INVALID_MSGPACK `packet body`, or `missing request body`.
    /// Source: Tarantool `src/box/xrow.c` xrow_decode_call, xrow_decode_auth.
    pub fn decode_only(bytes: &'a [u8], names: &[u64]) -> Result<Self> {
        Self::decode_strict(bytes, KeyType::fits, |name| names.contains(&name))
    }

    /// Decodes the body of a WATCH, UNWATCH or WATCH_ONCE: as [`Self::decode_only`], but all keys are checked, and those
    /// without a type of their own may be anything.
    ///
    /// # Errors
    /// INVALID_MSGPACK `packet body`, or `missing request body`.
    /// Source: Tarantool `src/box/xrow.c` xrow_decode_watch.
    pub fn decode_watch(bytes: &'a [u8]) -> Result<Self> {
        let fits = |kind: KeyType, value: &Token<'_>| kind == KeyType::Nil || kind.fits(value);
        Self::decode_strict(bytes, fits, |_| true)
    }

    fn decode_strict(
        bytes: &'a [u8],
        fits: impl Fn(KeyType, &Token<'_>) -> bool,
        is_read: impl Fn(u64) -> bool,
    ) -> Result<Self> {
        if bytes.is_empty() {
            return Err(err!(INVALID_MSGPACK, "missing request body"));
        }
        let mut body = Self::default();
        body.decode_map::<false>(bytes, fits, is_read).map_err(|_| refused(bytes))?;
        Ok(body)
    }

    /// `SKIPS_OTHER`: keys that are no numbers are skipped. `fits` checks the value of a key for which `is_read` is true.
    #[inline(always)]
    fn decode_map<const SKIPS_OTHER: bool>(
        &mut self,
        mut rest: &'a [u8],
        fits: impl Fn(KeyType, &Token<'_>) -> bool,
        is_read: impl Fn(u64) -> bool,
    ) -> msgpack::Result<()> {
        for _ in 0..msgpack::read_map(&mut rest)? {
            let name = match read(&mut rest)? {
                Token::Uint(name) => name,
                head if SKIPS_OTHER => {
                    check_items(head, &mut rest)?;
                    msgpack::check(&mut rest)?;
                    continue;
                }
                _ => return Err(Fault::Type),
            };
            let from = rest;
            msgpack::check(&mut rest)?;
            let Some(kind) = key_type(name).filter(|_| is_read(name)) else { continue };
            let value = &from[..from.len() - rest.len()];
            let token = read(&mut { value })?;
            if !fits(kind, &token) {
                return Err(Fault::Type);
            }
            self.present |= 1 << name;
            match token {
                Token::Uint(value) => self.set_uint(name, value),
                Token::Str(value) => self.set_str(name, value),
                Token::Array(_) => self.set_array(name, value),
                Token::Bool(value) => self.set_bool(name, value),
                _ => {}
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Fault::Junk) }
    }

    fn set_uint(&mut self, name: u64, value: u64) {
        // Numbers are cut to 32 bits, as Tarantool cuts them.
        match name {
            key::SPACE_ID => self.space_id = value as u32,
            key::INDEX_ID => self.index_id = value as u32,
            key::LIMIT => self.limit = value as u32,
            key::OFFSET => self.offset = value as u32,
            key::ITERATOR => self.iterator = value as u32,
            key::INDEX_BASE => self.index_base = value as u32,
            _ => {}
        }
    }

    fn set_bool(&mut self, name: u64, value: bool) {
        if name == key::FETCH_POSITION {
            self.fetch_position = value;
        }
    }

    fn set_str(&mut self, name: u64, value: &'a [u8]) {
        let slot = match name {
            key::FUNCTION_NAME => &mut self.function_name,
            key::USER_NAME => &mut self.user_name,
            key::EVENT_KEY => &mut self.event_key,
            key::SPACE_NAME => &mut self.space_name,
            key::INDEX_NAME => &mut self.index_name,
            key::AFTER_POSITION => &mut self.after_position,
            _ => return,
        };
        *slot = Some(value);
    }

    fn set_array(&mut self, name: u64, value: &'a [u8]) {
        let slot = match name {
            key::KEY => &mut self.key,
            key::TUPLE => &mut self.tuple,
            key::OPS => &mut self.ops,
            key::AFTER_TUPLE => &mut self.after_tuple,
            _ => return,
        };
        *slot = Some(value);
    }

    /// Tells whether `name` was in the body.
    pub fn has(&self, name: u64) -> bool {
        self.present & (1 << name) != 0
    }

    /// Checks that every key of `names`, given in ascending order, is there. SPACE_NAME stands in for SPACE_ID.
    ///
    /// # Errors
    /// MISSING_REQUEST_FIELD for the first that is not.
    #[inline]
    pub fn require(&self, names: &[u64]) -> Result<()> {
        let is_there =
            |name: u64| self.has(name) || (name == key::SPACE_ID && self.has(key::SPACE_NAME));
        match names.iter().find(|name| !is_there(**name)) {
            Some(&name) => Err(err!(MISSING_REQUEST_FIELD, key_name(name))),
            None => Ok(()),
        }
    }
}

/// The error of a body: what is wrong with its MsgPack if anything is, else just that it is not as it should be.
#[cold]
fn refused(bytes: &[u8]) -> Error {
    let error = err!(INVALID_MSGPACK, "packet body");
    let invalid = |text: &str| err!(INVALID_MSGPACK, text);
    match Diagnosis::of(bytes) {
        None => error,
        Some(Diagnosis::Truncated { missing, offset }) => error.because(
            invalid(Fault::Truncated.text()).with("trunc_count", missing).with("offset", offset),
        ),
        Some(Diagnosis::Extension { fault, kind, len, offset }) => error.because(
            invalid("invalid extension")
                .with("ext_type", i64::from(kind))
                .with("ext_len", len)
                .with("offset", offset)
                .because(invalid(fault.text())),
        ),
        Some(Diagnosis::At { fault, offset }) => {
            error.because(invalid(fault.text()).with("offset", offset))
        }
    }
}

/// Checks what follows the head of a container that was read already.
fn check_items(head: Token<'_>, rest: &mut &[u8]) -> msgpack::Result<()> {
    let left = match head {
        Token::Array(len) => u64::from(len),
        Token::Map(len) => 2 * u64::from(len),
        _ => 0,
    };
    (0..left).try_for_each(|_| msgpack::check(rest))
}
