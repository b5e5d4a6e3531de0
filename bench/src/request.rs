//! Requests, built once and patched in place each time they are sent.
//!
//! ```text
//! 0   ce LLLLLLLL   bytes that follow
//! 5   82            header of two pairs
//! 6   00 TT         request type
//! 8   01 ce SSSSSSSS  sync
//! 14  body
//! ```
//!
//! The key appears in the body as an unsigned integer of fixed width, as ten decimal digits in a
//! string, or both; a template knows every place.

use crate::iproto::{key, request_type};
use crate::msgpack;

/// Where the length starts, after its `ce`.
const LENGTH_AT: usize = 1;
/// Where the header starts: what the length does not count.
const HEADER_AT: usize = LENGTH_AT + 4;
/// Where the sync starts, after its `ce`.
const SYNC_AT: usize = HEADER_AT + 5;

/// Keys start here: the first number whose shortest form is `ce` and 4 bytes. Tarantool compares
/// numbers by their first byte before their value, so a key in a longer form would not be found.
pub(crate) const KEY_MIN: u32 = 0x1_0000;
/// Counters start here for the same reason: adding one does not change the size of the row.
const COUNTER_MIN: u32 = 0x1_0000;

/// Bytes of a row of the test spaces; `Builder::row` fills it up to this.
const ROW_BYTES: usize = 100;
/// Bytes of a row before the filling: array head, key, name, counter, head of the filling.
const ROW_HEAD_BYTES: usize = 1 + 5 + 11 + 5 + 2;
/// Zero-based field of the counter in a row of the test spaces.
const COUNTER_FIELD: u64 = 2;

/// How the key is written at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// 4 bytes, big-endian.
    Binary,
    /// 10 decimal digits with leading zeros.
    Digits,
}

/// A request that lacks its sync and its key.
pub(crate) struct Template {
    /// The whole frame with zeros in the gaps.
    bytes: Vec<u8>,
    /// Where the key goes, and how.
    key_places: Vec<(usize, Form)>,
}

impl Template {
    /// Appends the request to `out` with `sync` and `key` filled in.
    pub(crate) fn append(&self, out: &mut Vec<u8>, sync: u32, key: u32) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        frame[SYNC_AT..SYNC_AT + 4].copy_from_slice(&sync.to_be_bytes());
        for &(place, form) in &self.key_places {
            match form {
                Form::Binary => frame[place..place + 4].copy_from_slice(&key.to_be_bytes()),
                Form::Digits => write_digits(&mut frame[place..place + 10], key),
            }
        }
    }
}

/// Writes `value` in decimal with leading zeros.
fn write_digits(out: &mut [u8], mut value: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Builds a request value by value.
pub(crate) struct Builder {
    /// The frame so far.
    bytes: Vec<u8>,
    /// Places of the key so far.
    key_places: Vec<(usize, Form)>,
}

impl Builder {
    /// A request of this type with an empty body; the body's map comes next.
    pub(crate) fn new(request_type: u8) -> Self {
        let mut bytes = vec![0xce, 0, 0, 0, 0];
        msgpack::put_map(&mut bytes, 2);
        bytes.extend_from_slice(&[key::REQUEST_TYPE, request_type, key::SYNC]);
        msgpack::put_u32(&mut bytes, 0);
        assert_eq!(bytes.len(), SYNC_AT + 4);
        Self { bytes, key_places: Vec::new() }
    }

    /// The head of a map.
    pub(crate) fn map(mut self, length: u8) -> Self {
        msgpack::put_map(&mut self.bytes, length);
        self
    }

    /// The head of an array.
    pub(crate) fn array(mut self, length: u8) -> Self {
        msgpack::put_array(&mut self.bytes, length);
        self
    }

    /// A key of a body map.
    pub(crate) fn field(mut self, key: u8) -> Self {
        self.bytes.push(key);
        self
    }

    /// An unsigned integer.
    pub(crate) fn uint(mut self, value: impl Into<u64>) -> Self {
        msgpack::put_uint(&mut self.bytes, value.into());
        self
    }

    /// A string.
    pub(crate) fn str(mut self, value: &str) -> Self {
        msgpack::put_str(&mut self.bytes, value);
        self
    }

    /// A double.
    pub(crate) fn double(mut self, value: f64) -> Self {
        msgpack::put_f64(&mut self.bytes, value);
        self
    }

    /// A boolean.
    pub(crate) fn bool(mut self, value: bool) -> Self {
        msgpack::put_bool(&mut self.bytes, value);
        self
    }

    /// The key as an unsigned integer.
    pub(crate) fn key(mut self) -> Self {
        msgpack::put_u32(&mut self.bytes, 0);
        self.key_places.push((self.bytes.len() - 4, Form::Binary));
        self
    }

    /// The key as a string of ten digits.
    pub(crate) fn key_digits(mut self) -> Self {
        msgpack::put_str(&mut self.bytes, "0000000000");
        self.key_places.push((self.bytes.len() - 10, Form::Digits));
        self
    }

    /// A row of the test spaces, 100 bytes: `[key: unsigned, name: string of ten digits,
    /// counter: unsigned, filling: string]`.
    pub(crate) fn row(self) -> Self {
        let start = self.bytes.len();
        let mut row = self.array(4).key().key_digits();
        msgpack::put_u32(&mut row.bytes, COUNTER_MIN);
        let row = row.str(&"x".repeat(ROW_BYTES - ROW_HEAD_BYTES));
        assert_eq!(row.bytes.len() - start, ROW_BYTES);
        row
    }

    /// Operations that add one to the counter of a row.
    pub(crate) fn add_one(self) -> Self {
        self.array(1).array(3).str("+").uint(COUNTER_FIELD).uint(1u64)
    }

    /// The finished request.
    pub(crate) fn finish(mut self) -> Template {
        let length = u32::try_from(self.bytes.len() - HEADER_AT).expect("requests are short");
        self.bytes[LENGTH_AT..HEADER_AT].copy_from_slice(&length.to_be_bytes());
        Template { bytes: self.bytes, key_places: self.key_places }
    }
}

/// PING.
pub(crate) fn ping() -> Template {
    Builder::new(request_type::PING).map(0).finish()
}

/// INSERT or REPLACE of a row of the test spaces.
pub(crate) fn write(request_type: u8, space_id: u32) -> Template {
    let builder = Builder::new(request_type).map(2).field(key::SPACE_ID).uint(space_id);
    builder.field(key::TUPLE).row().finish()
}

/// The start of a SELECT of at most `limit` rows; the key array comes next.
pub(crate) fn select(space_id: u32, index_id: u32, iterator: u64, limit: u32) -> Builder {
    Builder::new(request_type::SELECT)
        .map(5)
        .field(key::SPACE_ID)
        .uint(space_id)
        .field(key::INDEX_ID)
        .uint(index_id)
        .field(key::LIMIT)
        .uint(limit)
        .field(key::ITERATOR)
        .uint(iterator)
        .field(key::KEY)
}

/// UPDATE by primary key that adds one to the counter.
pub(crate) fn update(space_id: u32) -> Template {
    let builder = Builder::new(request_type::UPDATE).map(3).field(key::SPACE_ID).uint(space_id);
    builder.field(key::KEY).array(1).key().field(key::TUPLE).add_one().finish()
}

/// UPSERT that inserts the row or adds one to its counter.
pub(crate) fn upsert(space_id: u32) -> Template {
    let builder = Builder::new(request_type::UPSERT).map(3).field(key::SPACE_ID).uint(space_id);
    builder.field(key::TUPLE).row().field(key::OPS).add_one().finish()
}

/// The start of a CALL; the array of arguments comes next.
pub(crate) fn call(name: &str) -> Builder {
    Builder::new(request_type::CALL).map(2).field(key::FUNCTION_NAME).str(name).field(key::TUPLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msgpack::Reader;

    #[test]
    fn ping_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        ping().append(&mut out, 0x0102_0304, 9);
        let expected = [0xce, 0, 0, 0, 10, 0x82, 0, 64, 1, 0xce, 1, 2, 3, 4, 0x80];
        assert_eq!(out, expected);
    }

    /// Splits a frame into sync and body after checking its length and that it is whole MsgPack.
    #[track_caller]
    fn open(frame: &[u8]) -> (u64, Reader<'_>) {
        let mut reader = Reader::new(frame);
        assert_eq!(reader.uint(), Some(reader.rest().len() as u64));
        assert_eq!(reader.map(), Some(2));
        assert_eq!(reader.uint(), Some(u64::from(key::REQUEST_TYPE)));
        reader.skip().unwrap();
        assert_eq!(reader.uint(), Some(u64::from(key::SYNC)));
        let sync = reader.uint().unwrap();
        let mut rest = reader;
        rest.skip().unwrap();
        assert!(rest.rest().is_empty());
        (sync, reader)
    }

    #[test]
    fn sync_and_every_key_are_patched() {
        let template = write(request_type::REPLACE, 512);
        let mut out = Vec::new();
        template.append(&mut out, 1, 1_234_567);
        let first = out.len();
        template.append(&mut out, u32::MAX, u32::MAX);
        for (frame, sync, key, digits) in [
            (&out[..first], 1, 1_234_567, "0001234567"),
            (&out[first..], u64::from(u32::MAX), u64::from(u32::MAX), "4294967295"),
        ] {
            let (found, mut body) = open(frame);
            assert_eq!(found, sync);
            assert_eq!(body.map(), Some(2));
            assert_eq!((body.uint(), body.uint()), (Some(0x10), Some(512)));
            assert_eq!((body.uint(), body.array()), (Some(0x21), Some(4)));
            assert_eq!((body.uint(), body.str().as_deref()), (Some(key), Some(digits)));
        }
    }

    #[test]
    fn every_request_is_one_whole_frame() {
        let templates = [
            ping(),
            select(512, 1, 0, 1).array(1).key_digits().finish(),
            update(70_000),
            upsert(512),
            call("box.space.bench:get").array(1).key().finish(),
        ];
        for template in templates {
            let mut out = Vec::new();
            template.append(&mut out, 77, 5);
            assert_eq!(open(&out).0, 77);
        }
    }
}
