//! Arguments and results of procedures.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{
    self, Token, write_array, write_bool, write_nil, write_str, write_uint,
};

use crate::db::Tuple;
use crate::db::rows::encode;

/// The arguments of a call: a MsgPack array, well-formed.
#[derive(Clone, Debug)]
pub struct Args(Box<[u8]>);

impl Args {
    /// From the TUPLE of a request.
    pub fn new(array: &[u8]) -> Self {
        Self(array.into())
    }

    /// The arguments one by one, each as its bytes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        msgpack::items(&self.0)
    }

    /// An argument by place; None beyond the last.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.iter().nth(at)
    }

    /// An argument as a token; nil beyond the last.
    pub fn token(&self, at: usize) -> Token<'_> {
        self.get(at).and_then(|mut bytes| msgpack::read(&mut bytes).ok()).unwrap_or(Token::Nil)
    }

    /// An argument that is a string of valid UTF-8.
    pub fn str(&self, at: usize) -> Option<&str> {
        match self.token(at) {
            Token::Str(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// An argument as a typed value.
    ///
    /// # Errors
    /// What serde says of bytes that are not a `T`.
    pub fn parse<'a, T: serde::Deserialize<'a>>(
        &'a self,
        at: usize,
    ) -> std::result::Result<T, rmp_serde::decode::Error> {
        rmp_serde::from_slice(self.get(at).unwrap_or(&[0xc0]))
    }
}

/// Which values of a procedure are tuples, and of which space: the few clients that want to know are told their format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tuples {
    /// None.
    #[default]
    None,
    /// Each that is an array, without a space.
    Unnamed,
    /// Each that is an array, of this space.
    Each(u32),
    /// Each element of each that is an array, of this space.
    Listed(u32),
}

impl Tuples {
    /// The space; None without tuples or for those of none.
    pub fn space_id(self) -> Option<u32> {
        match self {
            Self::None | Self::Unnamed => None,
            Self::Each(space_id) | Self::Listed(space_id) => Some(space_id),
        }
    }
}

/// What a procedure returns: any number of values, as a Lua function does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// The values' MsgPack one after another.
    bytes: Vec<u8>,
    count: u32,
    tuples: Tuples,
}

impl Values {
    /// No value.
    pub fn none() -> Self {
        Self::default()
    }

    /// One nil.
    pub fn nil() -> Self {
        Self::one(write_nil)
    }

    /// One value that `write` writes.
    pub fn one(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut values = Self::none();
        values.push(write);
        values
    }

    /// One value that is MsgPack already.
    pub fn raw(bytes: &[u8]) -> Self {
        Self::one(|out| out.extend_from_slice(bytes))
    }

    /// A tuple of a space that may be missing.
    pub fn found(space_id: u32, tuple: Option<&Tuple>) -> Self {
        let tuple = tuple.map_or_else(Self::none, |tuple| Self::raw(tuple.data()));
        tuple.with_tuples(Tuples::Each(space_id))
    }

    /// Says which of the values are tuples.
    #[must_use]
    pub fn with_tuples(self, tuples: Tuples) -> Self {
        Self { tuples, ..self }
    }

    /// One value that serde writes.
    ///
    /// # Errors
    /// PROC_C with what serde says of a value that MsgPack has no form for.
    pub fn of<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self> {
        Ok(Self::raw(&encode(value)?))
    }

    /// Adds a value that `write` writes.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.count += 1;
    }

    /// The number of values.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Which of the values are tuples.
    pub fn tuples(&self) -> Tuples {
        self.tuples
    }

    /// The values' MsgPack one after another.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What CALL_16 makes of the values: each element of its answer is an array (protocol.md §9.2), and plain.
    #[must_use]
    pub fn into_call_16(self) -> Self {
        let values: Vec<&[u8]> = split(&self.bytes, self.count);
        let is_array = |bytes: &[u8]| msgpack::read_array(&mut { bytes }).is_ok();
        let mut wrapped = Self::none();
        let wrap = |out: &mut Self, bytes: &[u8]| {
            out.push(|out| {
                if !is_array(bytes) {
                    write_array(out, 1);
                }
                out.extend_from_slice(bytes);
            });
        };
        match values[..] {
            // One list of tuples is spread.
            [list] if msgpack::items(list).next().is_some_and(is_array) => {
                msgpack::items(list).for_each(|item| wrap(&mut wrapped, item));
            }
            _ => values.into_iter().for_each(|bytes| wrap(&mut wrapped, bytes)),
        }
        wrapped
    }
}

fn split(bytes: &[u8], count: u32) -> Vec<&[u8]> {
    let mut rest = bytes;
    (0..count).filter_map(|_| msgpack::take(&mut rest).ok()).collect()
}

impl From<bool> for Values {
    fn from(value: bool) -> Self {
        Self::one(|out| write_bool(out, value))
    }
}

impl From<u64> for Values {
    fn from(value: u64) -> Self {
        Self::one(|out| write_uint(out, value))
    }
}

impl From<&str> for Values {
    fn from(value: &str) -> Self {
        Self::one(|out| write_str(out, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_16_answers_arrays_only() {
        let check = |values: &[&[u8]], wanted: &[&[u8]]| {
            let mut made = Values::none();
            values.iter().for_each(|value| made.push(|out| out.extend_from_slice(value)));
            let made = made.into_call_16();
            assert_eq!(split(&made.bytes, made.count), wanted, "{values:?}");
        };
        check(&[], &[]);
        check(&[&[5]], &[&[0x91, 5]]);
        check(&[&[0x90]], &[&[0x90]]);
        check(&[&[0x93, 1, 2, 3]], &[&[0x93, 1, 2, 3]]);
        check(&[&[0x92, 0x92, 1, 2, 0x91, 3]], &[&[0x92, 1, 2], &[0x91, 3]]);
        check(&[&[0x92, 0x91, 2, 1]], &[&[0x91, 2], &[0x91, 1]]);
        check(&[&[1], &[0x91, 2], &[0xc0]], &[&[0x91, 1], &[0x91, 2], &[0x91, 0xc0]]);
    }
}
