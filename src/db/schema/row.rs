//! Reading the rows of system spaces: fields by place, after the space's format has checked their types.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use crate::db::tuple::Tuple;

/// A row of a system space.
#[derive(Clone, Copy)]
pub struct Row<'a>(pub &'a Tuple);

impl<'a> Row<'a> {
    /// The bytes of a field; nil if it is absent.
    pub fn raw(&self, field_no: u32) -> &'a [u8] {
        self.0.field(field_no).unwrap_or(&[0xc0])
    }

    /// The field as a token.
    pub fn token(&self, field_no: u32) -> Token<'a> {
        msgpack::read(&mut self.raw(field_no)).unwrap_or(Token::Nil)
    }

    /// An unsigned field.
    ///
    /// # Errors
    /// FIELD_TYPE if it is not one.
    pub fn uint(&self, field_no: u32) -> Result<u64> {
        match self.token(field_no) {
            Token::Uint(value) => Ok(value),
            other => Err(err!(FIELD_TYPE, (field_no + 1).to_string(), "unsigned", other.kind())),
        }
    }

    /// An unsigned field of 32 bits.
    ///
    /// # Errors
    /// FIELD_TYPE if it is not one.
    pub fn uint32(&self, field_no: u32) -> Result<u32> {
        let value = self.uint(field_no)?;
        let wrong = |_| err!(FIELD_TYPE, (field_no + 1).to_string(), "uint32_t", "uint64_t");
        u32::try_from(value).map_err(wrong)
    }

    /// A signed field of 64 bits.
    ///
    /// # Errors
    /// FIELD_TYPE if it is not one.
    pub fn int(&self, field_no: u32) -> Result<i64> {
        match self.token(field_no) {
            Token::Uint(value) if i64::try_from(value).is_ok() => Ok(value as i64),
            Token::Int(value) => Ok(value),
            other => Err(err!(FIELD_TYPE, (field_no + 1).to_string(), "integer", other.kind())),
        }
    }

    /// A string field; empty if it is none.
    pub fn bytes(&self, field_no: u32) -> &'a [u8] {
        match self.token(field_no) {
            Token::Str(value) => value,
            _ => b"",
        }
    }

    /// A string field; empty if it is none, U+FFFD if it is not valid UTF-8.
    pub fn str(&self, field_no: u32) -> &'a str {
        std::str::from_utf8(self.bytes(field_no)).unwrap_or("\u{fffd}")
    }

    /// A boolean field; false if it is none.
    pub fn bool(&self, field_no: u32) -> bool {
        self.token(field_no) == Token::Bool(true)
    }
}
