//! What is wrong with bytes that were refused, and where: for the payload of the error. Cold: it walks them anew.
//!
//! Source: errors.md §2; Tarantool `src/lib/msgpuck` mp_check, `src/box/mp_error.cc`, `src/box/xrow.c` xrow_on_decode_err.

use super::ext::check_ext;
use super::{Fault, Token, read};

/// Why bytes are not one MsgPack value. Offsets count from the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnosis {
    /// The input ends too early.
    Truncated {
        /// Values that should have followed, the one that is cut off among them.
        missing: u64,
        /// Where the first of them should have been.
        offset: usize,
    },
    /// An extension of a known type does not parse.
    Extension {
        /// What its payload is not.
        fault: Fault,
        /// Its type.
        kind: i8,
        /// Bytes of its payload.
        len: usize,
        /// Where its payload begins.
        offset: usize,
    },
    /// The byte 0xc1, or bytes after the value.
    At {
        /// Which of the two.
        fault: Fault,
        /// Where.
        offset: usize,
    },
}

impl Diagnosis {
    /// What is wrong with `bytes`; None if they are one value.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut left = 1u64;
        while left > 0 {
            let offset = bytes.len() - rest.len();
            match read(&mut rest) {
                Err(Fault::Truncated) => return Some(Self::Truncated { missing: left, offset }),
                Err(fault) => return Some(Self::At { fault, offset }),
                Ok(Token::Array(len)) => left += u64::from(len),
                Ok(Token::Map(len)) => left += 2 * u64::from(len),
                Ok(Token::Ext(kind, payload)) => {
                    if let Err(fault) = check_ext(kind, payload, 0) {
                        let offset = bytes.len() - rest.len() - payload.len();
                        return Some(Self::Extension { fault, kind, len: payload.len(), offset });
                    }
                }
                Ok(_) => {}
            }
            left -= 1;
        }
        let offset = bytes.len() - rest.len();
        (!rest.is_empty()).then_some(Self::At { fault: Fault::Junk, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_wrong_and_where() {
        let check = |bytes: &[u8], expected| assert_eq!(Diagnosis::of(bytes), expected);
        check(&[0x81, 0x10, 0x01], None);
        check(&[0x82, 0x10, 0x01], Some(Diagnosis::Truncated { missing: 2, offset: 3 }));
        check(&[0x81, 0x20, 0xc9, 0xff], Some(Diagnosis::Truncated { missing: 1, offset: 2 }));
        check(
            &[0x81, 0x20, 0xdd, 0xff, 0xff, 0xff, 0xff],
            Some(Diagnosis::Truncated { missing: 0xffff_ffff, offset: 7 }),
        );
        check(&[0x81, 0x10, 0xc1], Some(Diagnosis::At { fault: Fault::IllegalCode, offset: 2 }));
        check(&[0x05, 0x01], Some(Diagnosis::At { fault: Fault::Junk, offset: 1 }));
        check(
            &[0x91, 0xd5, 0x01, 0xff, 0xff],
            Some(Diagnosis::Extension {
                fault: Fault::Extension("cannot unpack decimal"),
                kind: 1,
                len: 2,
                offset: 3,
            }),
        );
    }
}
