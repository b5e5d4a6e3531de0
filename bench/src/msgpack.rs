//! Just enough MsgPack: append values to a buffer, walk values in a slice.
//!
//! Reading returns `None` for input that is cut off or of another type; the caller knows what it
//! was looking for and says so.

/// Appends an unsigned integer in its shortest form.
pub(crate) fn put_uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => put_u32(out, value as u32),
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends an unsigned integer as `ce` and 4 bytes, whatever its value, so that it can be patched.
pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.push(0xce);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a string of at most 255 bytes.
pub(crate) fn put_str(out: &mut Vec<u8>, value: &str) {
    let length = u8::try_from(value.len()).expect("strings of the driver are short");
    if length < 32 {
        out.push(0xa0 | length);
    } else {
        out.extend_from_slice(&[0xd9, length]);
    }
    out.extend_from_slice(value.as_bytes());
}

/// Appends the head of an array of at most 15 elements.
pub(crate) fn put_array(out: &mut Vec<u8>, length: u8) {
    assert!(length < 16);
    out.push(0x90 | length);
}

/// Appends the head of a map of at most 15 pairs.
pub(crate) fn put_map(out: &mut Vec<u8>, length: u8) {
    assert!(length < 16);
    out.push(0x80 | length);
}

/// Appends a double.
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a boolean.
pub(crate) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// A place in a slice of MsgPack.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// What is not read yet.
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `count` bytes.
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes one byte.
    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    /// Takes a big-endian integer of `width` bytes.
    fn big_endian(&mut self, width: usize) -> Option<u64> {
        Some(self.take(width)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// Reads an unsigned integer of any width.
    pub(crate) fn uint(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ 0..=0x7f => Some(u64::from(small)),
            0xcc => self.big_endian(1),
            0xcd => self.big_endian(2),
            0xce => self.big_endian(4),
            0xcf => self.big_endian(8),
            _ => None,
        }
    }

    /// Reads the head of an array: its length.
    pub(crate) fn array(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ 0x90..=0x9f => Some(u64::from(small & 0x0f)),
            0xdc => self.big_endian(2),
            0xdd => self.big_endian(4),
            _ => None,
        }
    }

    /// Reads the head of a map: its number of pairs.
    pub(crate) fn map(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ 0x80..=0x8f => Some(u64::from(small & 0x0f)),
            0xde => self.big_endian(2),
            0xdf => self.big_endian(4),
            _ => None,
        }
    }

    /// Reads a string; bytes that are not UTF-8 are replaced.
    pub(crate) fn str(&mut self) -> Option<String> {
        let length = match self.byte()? {
            small @ 0xa0..=0xbf => u64::from(small & 0x1f),
            0xd9 => self.big_endian(1)?,
            0xda => self.big_endian(2)?,
            0xdb => self.big_endian(4)?,
            _ => return None,
        };
        let bytes = self.take(usize::try_from(length).ok()?)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Passes over one value with everything in it.
    pub(crate) fn skip(&mut self) -> Option<()> {
        let mut values: u64 = 1;
        while values > 0 {
            values -= 1;
            let (payload, nested) = match self.byte()? {
                0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
                head @ 0x80..=0x8f => (0, 2 * u64::from(head & 0x0f)),
                head @ 0x90..=0x9f => (0, u64::from(head & 0x0f)),
                head @ 0xa0..=0xbf => (u64::from(head & 0x1f), 0),
                0xc1 => return None,
                0xc4 | 0xd9 => (self.big_endian(1)?, 0),
                0xc5 | 0xda => (self.big_endian(2)?, 0),
                0xc6 | 0xdb => (self.big_endian(4)?, 0),
                0xc7 => (1 + self.big_endian(1)?, 0),
                0xc8 => (1 + self.big_endian(2)?, 0),
                0xc9 => (1 + self.big_endian(4)?, 0),
                0xcc | 0xd0 => (1, 0),
                0xcd | 0xd1 => (2, 0),
                0xca | 0xce | 0xd2 => (4, 0),
                0xcb | 0xcf | 0xd3 => (8, 0),
                head @ 0xd4..=0xd8 => (1 + (1 << (head - 0xd4)), 0),
                0xdc => (0, self.big_endian(2)?),
                0xdd => (0, self.big_endian(4)?),
                0xde => (0, 2 * self.big_endian(2)?),
                0xdf => (0, 2 * self.big_endian(4)?),
            };
            self.take(usize::try_from(payload).ok()?)?;
            values += nested;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_uint(value: u64, expected: &[u8]) {
        let mut out = Vec::new();
        put_uint(&mut out, value);
        assert_eq!(out, expected);
        assert_eq!(Reader::new(&out).uint(), Some(value));
    }

    #[test]
    fn uint_takes_the_shortest_form() {
        check_uint(0, &[0]);
        check_uint(0x7f, &[0x7f]);
        check_uint(0x80, &[0xcc, 0x80]);
        check_uint(0x100, &[0xcd, 1, 0]);
        check_uint(0x1_0000, &[0xce, 0, 1, 0, 0]);
        check_uint(1 << 32, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[track_caller]
    fn check_skip(bytes: &[u8], expected: Option<usize>) {
        let mut reader = Reader::new(bytes);
        let left = reader.skip().map(|()| reader.rest().len());
        assert_eq!(left, expected, "{bytes:02x?}");
    }

    #[test]
    fn skip_passes_one_value() {
        check_skip(&[0x01, 0x02], Some(1));
        check_skip(&[0x92, 0xa1, b'x', 0xc0, 0xff], Some(1));
        check_skip(&[0x81, 0x30, 0xdd, 0, 0, 0, 0], Some(0));
        check_skip(&[0xd8, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Some(0));
        check_skip(&[0xc7, 1, 2, 0x55, 0x07], Some(1));
        check_skip(&[0xcb, 0, 0, 0, 0, 0, 0, 0, 0], Some(0));
    }

    #[test]
    fn skip_refuses_what_is_cut_or_invalid() {
        check_skip(&[], None);
        check_skip(&[0xc1], None);
        check_skip(&[0x92, 0x01], None);
        check_skip(&[0xdd, 0xff, 0xff, 0xff, 0xff], None);
        check_skip(&[0xdb, 0xff, 0xff, 0xff, 0xff, b'x'], None);
    }

    #[test]
    fn long_strings_come_back() {
        let text = "x".repeat(83);
        let mut out = Vec::new();
        put_str(&mut out, &text);
        assert_eq!(out.len(), 85);
        assert_eq!(Reader::new(&out).str(), Some(text));
    }
}
