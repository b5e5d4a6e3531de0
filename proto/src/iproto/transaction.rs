//! Bodies of BEGIN and COMMIT: options of a transaction, all of them optional, the body too.
//!
//! Source: protocol.md §10; Tarantool `src/box/xrow.c` xrow_decode_begin, xrow_decode_commit.

use crate::err;
use crate::error::Result;
use crate::msgpack::{self, Fault, Token};

use super::{key, key_type};

/// What BEGIN asks for.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Begin {
    /// Seconds until the transaction is aborted; 0 takes the server's default.
    pub timeout: f64,
    /// The number of the isolation level; 0 takes the server's default.
    pub isolation: u64,
    /// The transaction is to be synchronous.
    pub is_sync: bool,
}

/// What COMMIT asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Commit {
    /// The transaction is to be synchronous.
    pub is_sync: bool,
}

impl Begin {
    /// Decodes the body of a BEGIN, which is well-formed or empty.
    ///
    /// # Errors
    /// INVALID_MSGPACK `request body`: not a map, or a value of another type than its key has. ILLEGAL_PARAMS: IS_SYNC is
    /// false.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut begin = Self::default();
        each_option(body, |name, token| {
            match (name, token) {
                (key::TIMEOUT, Token::Double(timeout)) => begin.timeout = timeout,
                // Cut to 32 bits, as Tarantool cuts it.
                (key::TXN_ISOLATION, Token::Uint(level)) => {
                    begin.isolation = u64::from(level as u32);
                }
                (key::IS_SYNC, Token::Bool(is_sync)) => begin.is_sync = must_be_true(is_sync)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(begin)
    }
}

impl Commit {
    /// Decodes the body of a COMMIT, which is well-formed or empty.
    ///
    /// # Errors
    /// As [`Begin::decode`].
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut commit = Self::default();
        each_option(body, |name, token| {
            if let (key::IS_SYNC, Token::Bool(is_sync)) = (name, token) {
                commit.is_sync = must_be_true(is_sync)?;
            }
            Ok(())
        })?;
        Ok(commit)
    }
}

fn must_be_true(is_sync: bool) -> Result<bool> {
    if is_sync { Ok(true) } else { Err(err!(ILLEGAL_PARAMS, "is_sync can only be true")) }
}

/// Gives the options of a body to `take`, in order, each with the type that its key has.
fn each_option(body: &[u8], mut take: impl FnMut(u64, Token<'_>) -> Result<()>) -> Result<()> {
    if body.is_empty() {
        return Ok(());
    }
    let bad = |_: Fault| err!(INVALID_MSGPACK, "request body");
    msgpack::read_map(&mut { body }).map_err(bad)?;
    for (name, value) in msgpack::pairs(body) {
        let name = msgpack::read_uint(&mut { name }).map_err(bad)?;
        let token = msgpack::read(&mut { value }).map_err(bad)?;
        let fits = key_type(name).is_none_or(|kind| kind.fits(&token));
        if !fits {
            return Err(bad(Fault::Type));
        }
        take(name, token)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kind;

    #[test]
    fn options_of_begin() {
        let check = |bytes: &[u8], wanted: Begin| {
            assert_eq!(Begin::decode(bytes).expect("a good body"), wanted, "{bytes:02x?}");
        };
        check(&[], Begin::default());
        check(&[0x80], Begin::default());
        check(&[0x81, 0x59, 3], Begin { isolation: 3, ..Begin::default() });
        check(&[0x81, 0x61, 0xc3], Begin { is_sync: true, ..Begin::default() });
        let half = [0x81, 0x56, 0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0];
        check(&half, Begin { timeout: 0.5, ..Begin::default() });
        check(&[0x81, 0xcc, 0xfe, 0xc0], Begin::default());
        check(&[0x81, 0x59, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0], Begin::default());
    }

    #[test]
    fn what_is_refused() {
        let check = |bytes: &[u8], code| {
            assert_eq!(Begin::decode(bytes).expect_err("a bad body").kind(), code, "{bytes:02x?}");
        };
        check(&[0x90], kind::INVALID_MSGPACK);
        check(&[0x81, 0x56, 5], kind::INVALID_MSGPACK);
        check(&[0x81, 0x59, 0xa1, b'x'], kind::INVALID_MSGPACK);
        check(&[0x81, 0x61, 5], kind::INVALID_MSGPACK);
        check(&[0x81, 0x16, 5], kind::INVALID_MSGPACK);
        check(&[0x81, 0xa1, b'x', 5], kind::INVALID_MSGPACK);
        check(&[0x81, 0x61, 0xc2], kind::ILLEGAL_PARAMS);
        assert_eq!(
            Commit::decode(&[0x81, 0x61, 0xc2]).expect_err("false").kind(),
            kind::ILLEGAL_PARAMS
        );
        assert_eq!(Commit::decode(&[0x81, 0x61, 0xc3]).expect("true"), Commit { is_sync: true });
    }
}
