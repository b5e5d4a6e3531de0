//! Replies, parsed where they lie in the read buffer.
//!
//! ```text
//! length: uint | header: map | body: map, or nothing
//! ```
//!
//! Tarantool writes fixed widths: `ce` + 4 bytes of length, then a header of three pairs in the
//! order status `ce`, sync `cf`, schema version `ce` (2.6) or `cf` (3.x). That form has a fast
//! path; any other valid form is read too, since the protocol does not promise widths or order.

use crate::error::Error;
use crate::iproto::{STATUS_ERROR, key};
use crate::msgpack::Reader;

/// One reply; the body stays in the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    /// 0, or an error code with the error bit.
    pub(crate) status: u32,
    /// The sync of the request.
    pub(crate) sync: u64,
    /// The body's bytes, perhaps none.
    pub(crate) body: &'a [u8],
    /// Bytes of the whole frame, its length included.
    pub(crate) frame_size: usize,
}

/// Parses the first reply in `bytes`; `None` if it is not complete yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Reply<'_>>, Error> {
    match bytes.first() {
        None => Ok(None),
        Some(0xce) => {
            let Some((length, rest)) = bytes[1..].split_first_chunk() else {
                return Ok(None);
            };
            parse_content(rest, u64::from(u32::from_be_bytes(*length)), 5)
        }
        Some(&first) => {
            let width = match first {
                0..=0x7f => 1,
                0xcc => 2,
                0xcd => 3,
                0xcf => 9,
                _ => return Err(Error::Malformed { problem: "its length is not a number" }),
            };
            let mut reader = Reader::new(bytes);
            match reader.uint() {
                Some(length) => parse_content(reader.rest(), length, width),
                None => Ok(None),
            }
        }
    }
}

/// Parses header and body, `length` bytes at the start of `bytes`.
fn parse_content(bytes: &[u8], length: u64, head: usize) -> Result<Option<Reply<'_>>, Error> {
    let Some(content) = usize::try_from(length).ok().and_then(|length| bytes.get(..length)) else {
        return Ok(None);
    };
    let frame_size = head + content.len();
    let (status, sync, body) = parse_fixed_header(content)
        .or_else(|| parse_any_header(content))
        .ok_or(Error::Malformed { problem: "its header is not a map of numbers" })?;
    Ok(Some(Reply { status, sync, body, frame_size }))
}

/// Reads the header in the widths that Tarantool writes; `None` if it is not in that form.
fn parse_fixed_header(content: &[u8]) -> Option<(u32, u64, &[u8])> {
    let (header, rest) = content.split_first_chunk::<18>()?;
    let [0x83, key::REQUEST_TYPE, 0xce, s0, s1, s2, s3, key::SYNC, 0xcf, sync @ .., 0x05] = *header
    else {
        return None;
    };
    let schema_version_width = match rest.first()? {
        0xce => 4,
        0xcf => 8,
        _ => return None,
    };
    let body = rest.get(1 + schema_version_width..)?;
    Some((u32::from_be_bytes([s0, s1, s2, s3]), u64::from_be_bytes(sync), body))
}

/// Reads a header of any valid form.
#[cold]
fn parse_any_header(content: &[u8]) -> Option<(u32, u64, &[u8])> {
    let mut reader = Reader::new(content);
    let (mut status, mut sync) = (0, 0);
    for _ in 0..reader.map()? {
        match u8::try_from(reader.uint()?) {
            Ok(key::REQUEST_TYPE) => status = u32::try_from(reader.uint()?).ok()?,
            Ok(key::SYNC) => sync = reader.uint()?,
            _ => reader.skip()?,
        }
    }
    Some((status, sync, reader.rest()))
}

impl Reply<'_> {
    /// The error this reply carries, if it is one.
    pub(crate) fn error(&self, request: &str) -> Option<Error> {
        if self.status == 0 {
            return None;
        }
        if self.status & STATUS_ERROR == 0 {
            let problem = format!("status {:#x} is neither success nor error", self.status);
            return Some(Error::Unexpected { request: request.to_owned(), problem });
        }
        Some(Error::Refused {
            request: request.to_owned(),
            code: self.status & !STATUS_ERROR,
            message: self.error_message().unwrap_or_else(|| "no message".to_owned()),
        })
    }

    /// The text of an error reply.
    fn error_message(&self) -> Option<String> {
        let mut reader = Reader::new(self.body);
        for _ in 0..reader.map()? {
            if reader.uint()? == u64::from(key::ERROR_24) {
                return reader.str();
            }
            reader.skip()?;
        }
        None
    }
}

/// Finds DATA in a body: how many rows or values there are, and a reader at the first.
pub(crate) fn data(body: &[u8]) -> Option<(u64, Reader<'_>)> {
    let mut reader = Reader::new(body);
    for _ in 0..reader.map()? {
        if reader.uint()? == u64::from(key::DATA) {
            let count = reader.array()?;
            return Some((count, reader));
        }
        reader.skip()?;
    }
    None
}

/// Whether `body` is exactly one valid value.
pub(crate) fn is_whole(body: &[u8]) -> bool {
    let mut reader = Reader::new(body);
    reader.skip().is_some() && reader.rest().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply to PING as 2.6 writes it, sync 7.
    const PING_2_6: &[u8] = &[
        0xce, 0, 0, 0, 24, 0x83, 0x00, 0xce, 0, 0, 0, 0, 0x01, 0xcf, 0, 0, 0, 0, 0, 0, 0, 7, 0x05,
        0xce, 0, 0, 0, 80, 0x80,
    ];

    /// The same as 3.9 writes it.
    const PING_3_9: &[u8] = &[
        0xce, 0, 0, 0, 28, 0x83, 0x00, 0xce, 0, 0, 0, 0, 0x01, 0xcf, 0, 0, 0, 0, 0, 0, 0, 7, 0x05,
        0xcf, 0, 0, 0, 0, 0, 0, 0, 80, 0x80,
    ];

    /// The same in the shortest form, keys the other way round.
    const PING_SHORT: &[u8] = &[6, 0x82, 0x01, 0x07, 0x00, 0x00, 0x80];

    #[track_caller]
    fn check(bytes: &[u8], status: u32, sync: u64, body: &[u8]) {
        let expected = Reply { status, sync, body, frame_size: bytes.len() };
        assert_eq!(parse(bytes).unwrap(), Some(expected));
        let mut followed = bytes.to_vec();
        followed.extend_from_slice(PING_2_6);
        assert_eq!(parse(&followed).unwrap().unwrap().frame_size, bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn forms_of_header() {
        check(PING_2_6, 0, 7, &[0x80]);
        check(PING_3_9, 0, 7, &[0x80]);
        check(PING_SHORT, 0, 7, &[0x80]);
        check(&[0xcc, 5, 0x82, 0x01, 0x07, 0x00, 0x00], 0, 7, &[]);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(parse(&[0xa1, 0x00]).is_err());
        assert!(parse(&[0x01, 0xc0]).is_err());
        assert!(parse(&[0x03, 0x81, 0x00, 0xa0]).is_err());
    }

    #[test]
    fn errors_are_told_with_code_and_text() {
        let bytes = [10, 0x81, 0x00, 0xcd, 0x80, 0x21, 0x81, 0x31, 0xa2, b'n', b'o'];
        let reply = parse(&bytes).unwrap().unwrap();
        let error = reply.error("call").unwrap();
        assert!(error.is_no_such_procedure());
        assert_eq!(error.to_string(), "the server refused call: error 33, no");
    }

    #[test]
    fn data_is_found() {
        let (count, mut rows) = data(&[0x81, 0x30, 0xdd, 0, 0, 0, 1, 0x91, 0x05]).unwrap();
        assert_eq!((count, rows.array(), rows.uint()), (1, Some(1), Some(5)));
        assert!(data(&[0x80]).is_none());
    }
}
