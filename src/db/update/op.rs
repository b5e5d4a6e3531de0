//! One operation of UPDATE or UPSERT: decoding, its errors, and what it makes of a value.
//!
//! Source: protocol.md §18; Tarantool `src/box/xrow_update_field.c`.

use lycosa_proto::err;
use lycosa_proto::error::{Arg, Error, Result};
use lycosa_proto::msgpack::{self, Token, write_bin, write_str};

use super::arithmetic;
use crate::db::field_type::FieldType;
use crate::db::json_path::{Lexer, Step};
use crate::db::space::Space;

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    Assign,
    Insert,
    Delete,
    Add,
    Subtract,
    And,
    Xor,
    Or,
    Splice,
}

/// Codes with their letter and the elements of an operation.
const CODES: [(u8, Code, u32); 9] = [
    (b'=', Code::Assign, 3),
    (b'!', Code::Insert, 3),
    (b'#', Code::Delete, 3),
    (b'+', Code::Add, 3),
    (b'-', Code::Subtract, 3),
    (b'&', Code::And, 3),
    (b'^', Code::Xor, 3),
    (b'|', Code::Or, 3),
    (b':', Code::Splice, 5),
];

/// One decoded operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op<'a> {
    /// What it does.
    pub(super) code: Code,
    /// The name in the request: messages have that.
    pub(super) letter: u8,
    /// Zero-based from the front if not negative, else from the end: -1 is the last field.
    pub(super) field_no: i64,
    /// The steps below the field, which are cut when the operation is applied: only then is a fault in them one.
    pub(super) below: Lexer<'a>,
    /// What the request has in place of a number: messages name that.
    pub(super) path: Option<&'a [u8]>,
    /// The arguments' bytes: a value; for a splice offset, cut and text.
    pub(super) arg: &'a [u8],
    /// INDEX_BASE, for the offset of a splice.
    pub(super) index_base: i64,
}

fn illegal(text: &str) -> Error {
    err!(ILLEGAL_PARAMS, text)
}

impl<'a> Op<'a> {
    /// Decodes an operation, number `no` of its request, and checks what can be checked without a tuple.
    ///
    /// # Errors
    /// Those of [`super::Update::decode`].
    pub(super) fn decode(
        no: usize,
        bytes: &'a [u8],
        space: &Space,
        index_base: i64,
    ) -> Result<Self> {
        let mut rest = bytes;
        let Ok(len) = msgpack::read_array(&mut rest) else {
            return Err(illegal("update operation must be an array {op,..}"));
        };
        if len == 0 {
            return Err(illegal("update operation must be an array {op,..}, got empty array"));
        }
        let Ok(Token::Str(name)) = msgpack::read(&mut rest) else {
            return Err(illegal("update operation name must be a string"));
        };
        let known = CODES.iter().find(|(letter, ..)| name.len() == 1 && name[0] == *letter);
        let Some(&(letter, code, arity)) = known else {
            return Err(err!(UNKNOWN_UPDATE_OP, no, Arg::sent_between("\"", name, "\"")));
        };
        if len != arity {
            let details = format!("wrong number of arguments, expected {arity}, got {len}");
            return Err(err!(UNKNOWN_UPDATE_OP, no, details));
        }
        let below = Lexer::new(&[]);
        let mut op = Self { code, letter, field_no: 0, below, path: None, arg: &[], index_base };
        op.decode_field(&mut rest, space)?;
        op.arg = rest;
        op.check_arg()?;
        Ok(op)
    }

    fn decode_field(&mut self, rest: &mut &'a [u8], space: &Space) -> Result<()> {
        let number = match msgpack::read(rest).unwrap_or(Token::Nil) {
            Token::Uint(value) => i128::from(value),
            Token::Int(value) => i128::from(value),
            Token::Str(name) => return self.decode_path(name, space),
            _ => return Err(illegal("field id must be a number or a string")),
        };
        let Ok(number) = i32::try_from(number) else {
            return Err(err!(
                UPDATE_ARG_TYPE,
                char::from(self.letter).to_string(),
                "0",
                "an integer"
            ));
        };
        let number = i64::from(number);
        let based = number - self.index_base;
        if based < 0 && number >= 0 {
            return Err(err!(NO_SUCH_FIELD_NO, number));
        }
        self.field_no = if based >= 0 { based } else { number };
        Ok(())
    }

    fn decode_path(&mut self, name: &'a [u8], space: &Space) -> Result<()> {
        self.path = Some(name);
        if let Some(field_no) = space.def.field_no(name) {
            self.field_no = i64::from(field_no);
            return Ok(());
        }
        let mut lexer = Lexer::new(name);
        let field_no = match lexer.next() {
            Some(Ok(Step::Index(index))) => Some(index as i64),
            Some(Ok(Step::Key(key))) => space.def.field_no(key).map(i64::from),
            Some(Ok(Step::Any)) | None => None,
            Some(Err(position)) => return Err(self.bad_path(position)),
        };
        self.field_no = field_no.ok_or_else(|| err!(NO_SUCH_FIELD_NAME, Arg::sent(name)))?;
        self.below = lexer;
        Ok(())
    }

    fn check_arg(&self) -> Result<()> {
        let mut rest = self.arg;
        let token = msgpack::read(&mut rest).unwrap_or(Token::Nil);
        match self.code {
            Code::Assign | Code::Insert => Ok(()),
            Code::Delete => match token {
                Token::Uint(count) if count as u32 == 0 => {
                    Err(self.wrong_field("cannot delete 0 fields"))
                }
                Token::Uint(_) => Ok(()),
                _ => Err(self.wrong_arg("a positive integer")),
            },
            Code::Add | Code::Subtract => match FieldType::Number.takes(&token) {
                true => Ok(()),
                false => Err(self.wrong_arg("a number")),
            },
            Code::And | Code::Or | Code::Xor => match arithmetic::as_uint(&token) {
                Some(_) => Ok(()),
                None => Err(self.wrong_arg("a positive integer")),
            },
            Code::Splice => self.splice_args().map(|_| ()),
        }
    }

    /// Offset (from 0, or from the end if negative), cut and text of a splice.
    fn splice_args(&self) -> Result<(i64, i64, &'a [u8])> {
        let mut rest = self.arg;
        let mut int = || match msgpack::read(&mut rest) {
            Ok(Token::Uint(value)) => i32::try_from(value).ok().map(i64::from),
            Ok(Token::Int(value)) => i32::try_from(value).ok().map(i64::from),
            _ => None,
        };
        let mut offset = int().ok_or_else(|| self.wrong_arg("an integer"))?;
        if offset >= 0 {
            offset -= self.index_base;
            if offset < 0 {
                return Err(self.out_of_bound());
            }
        }
        let cut = int().ok_or_else(|| self.wrong_arg("an integer"))?;
        match msgpack::read(&mut rest) {
            Ok(Token::Str(text) | Token::Bin(text)) => Ok((offset, cut, text)),
            _ => Err(self.wrong_arg("a string or varbinary")),
        }
    }

    /// The field as messages name it: the path in quotes, or a number from 1.
    #[cold]
    pub(super) fn label(&self) -> Arg {
        match self.path {
            Some(path) => Arg::sent_between("'", path, "'"),
            None => printed(self.field_no).to_string().into(),
        }
    }

    /// The error for an argument, or an old value, of the wrong type.
    #[cold]
    pub(super) fn wrong_arg(&self, expected: &str) -> Error {
        err!(UPDATE_ARG_TYPE, char::from(self.letter).to_string(), self.label(), expected)
    }

    /// The error for a field that the operation is not for.
    #[cold]
    pub(super) fn wrong_field(&self, details: &str) -> Error {
        err!(UPDATE_FIELD, self.label(), details)
    }

    /// The error for a path that is none, with the place of the symbol that is wrong.
    #[cold]
    pub(super) fn bad_path(&self, position: usize) -> Error {
        self.wrong_field(&format!("invalid JSON in position {position}"))
    }

    #[cold]
    fn out_of_bound(&self) -> Error {
        err!(UPDATE_SPLICE, self.label(), "offset is out of bound")
    }

    /// The error for a place that is not there.
    #[cold]
    pub(super) fn not_found(&self) -> Error {
        match self.path {
            Some(_) => err!(NO_SUCH_FIELD_NAME, self.label()),
            None => err!(NO_SUCH_FIELD_NO, printed(self.field_no)),
        }
    }

    /// How many fields or items `#` takes out.
    pub(super) fn delete_count(&self) -> usize {
        msgpack::read_uint(&mut { self.arg }).map_or(0, |count| count as u32 as usize)
    }

    /// The new value of a field for the operations that compute one from the old.
    pub(super) fn compute(&self, old: &[u8]) -> Result<Vec<u8>> {
        let token = msgpack::read(&mut { old }).unwrap_or(Token::Nil);
        match self.code {
            Code::Add | Code::Subtract => arithmetic::add(self, &token),
            Code::And | Code::Or | Code::Xor => arithmetic::bits(self, &token),
            Code::Splice => self.splice(&token),
            Code::Assign | Code::Insert | Code::Delete => unreachable!("they do not compute"),
        }
    }

    fn splice(&self, old: &Token<'_>) -> Result<Vec<u8>> {
        let (text, is_bin) = match old {
            Token::Str(text) => (*text, false),
            Token::Bin(text) => (*text, true),
            _ => return Err(self.wrong_arg("a string or varbinary")),
        };
        let len = text.len() as i64;
        let (offset, cut, paste) = self.splice_args()?;
        let offset = if offset < 0 { offset + len + 1 } else { offset.min(len) };
        let offset = usize::try_from(offset).map_err(|_| self.out_of_bound())?;
        let rest = text.len() - offset;
        let cut = match cut {
            cut if cut < 0 => (rest as i64 + cut).max(0) as usize,
            cut => (cut as usize).min(rest),
        };
        let joined = [&text[..offset], paste, &text[offset + cut..]].concat();
        let mut out = Vec::with_capacity(joined.len() + 5);
        if is_bin {
            write_bin(&mut out, &joined);
        } else {
            write_str(&mut out, &joined);
        }
        Ok(out)
    }
}

/// A field number as messages print it: one-based from the front.
fn printed(field_no: i64) -> i64 {
    if field_no >= 0 { field_no + 1 } else { field_no }
}
