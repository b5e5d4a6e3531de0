//! UPDATE and UPSERT operations: decoding, application to a tuple.
//!
//! Operations apply in order, each to the result of those before it. A tuple under change is a list of fields that still
//! borrow from the old tuple where nothing touched them.
//!
//! Source: protocol.md §18; Tarantool `src/box/xrow_update.c`, `xrow_update_field.c`.

mod arithmetic;

use std::borrow::Cow;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result, kind};
use lycosa_proto::msgpack::{self, Token, write_array, write_bin, write_map, write_str};
use smallvec::SmallVec;

use super::field_type::FieldType;
use super::json_path::{Lexer, Step};
use super::space::Space;

/// The most operations of one request.
const OPERATION_MAX: u32 = 4000;
/// Operations of a request that take no memory of their own.
const OPERATIONS_USUAL: usize = 2;
/// Fields of a tuple that take no memory of their own.
const FIELDS_USUAL: usize = 12;

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Code {
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
#[derive(Debug)]
struct Op<'a> {
    code: Code,
    letter: u8,
    /// Zero-based from the front if not negative, else from the end: -1 is the last field.
    field_no: i64,
    /// Steps below the field.
    steps: Vec<Step<'a>>,
    /// What the request has in place of a number: messages name that.
    path: Option<&'a [u8]>,
    /// The arguments' bytes: a value; for a splice offset, cut and text.
    arg: &'a [u8],
    /// INDEX_BASE, for the offset of a splice.
    index_base: i64,
}

/// The operations of a request.
#[derive(Debug)]
pub struct Update<'a>(SmallVec<[Op<'a>; OPERATIONS_USUAL]>);

type Value<'a> = Cow<'a, [u8]>;
/// The fields of a tuple under change.
type Fields<'a> = SmallVec<[Value<'a>; FIELDS_USUAL]>;

impl<'a> Update<'a> {
    /// Decodes operations and checks what can be checked without a tuple.
    ///
    /// # Errors
    /// ILLEGAL_PARAMS, UNKNOWN_UPDATE_OP, UPDATE_ARG_TYPE, UPDATE_FIELD, NO_SUCH_FIELD_NO, NO_SUCH_FIELD_NAME.
    pub fn decode(ops: &'a [u8], space: &Space, index_base: u32) -> Result<Self> {
        let count = msgpack::read_array(&mut { ops }).unwrap_or(0);
        if count > OPERATION_MAX {
            return Err(err!(ILLEGAL_PARAMS, "too many operations for update"));
        }
        // Tarantool keeps the base as an int: the largest bases count from below.
        let index_base = i64::from(index_base as i32);
        let decode = |(no, op)| Op::decode(no + 1, op, space, index_base);
        msgpack::items(ops).enumerate().map(decode).collect::<Result<_>>().map(Self)
    }

    /// Applies the operations to a tuple. With `is_upsert` an operation that cannot be applied is skipped.
    ///
    /// # Errors
    /// Those of the operations: NO_SUCH_FIELD_NO, NO_SUCH_FIELD_NAME, UPDATE_FIELD, UPDATE_ARG_TYPE, UPDATE_SPLICE,
    /// UPDATE_INTEGER_OVERFLOW, UPDATE_DECIMAL_OVERFLOW.
    /// MEMTX_MAX_TUPLE_SIZE if a field so far beyond the end is set that the fields between would take more than
    /// `bytes_max`; this one not even UPSERT skips.
    pub fn apply(
        &self,
        old: &[u8],
        space: &Space,
        is_upsert: bool,
        bytes_max: usize,
    ) -> Result<Vec<u8>> {
        // What an operation has computed is owned, all else borrowed.
        let mut fields: Fields<'_> = msgpack::items(old).map(Cow::Borrowed).collect();
        for op in &self.0 {
            match op.apply(&mut fields, bytes_max) {
                Err(error) if is_upsert && error.kind() != kind::MEMTX_MAX_TUPLE_SIZE => {
                    tracing::debug!(space = &*space.def.name, %error, "UPSERT operation skipped");
                }
                done => done?,
            }
        }
        let mut out = Vec::with_capacity(old.len() + 16);
        write_array(&mut out, fields.len());
        for (no, field) in fields.iter().enumerate() {
            match field {
                Cow::Borrowed(bytes) => out.extend_from_slice(bytes),
                Cow::Owned(bytes) => {
                    arithmetic::store(&mut out, bytes, space.format.field_type(no as u32));
                }
            }
        }
        Ok(out)
    }
}

fn illegal(text: &str) -> Error {
    err!(ILLEGAL_PARAMS, text)
}

impl<'a> Op<'a> {
    fn decode(no: usize, bytes: &'a [u8], space: &Space, index_base: i64) -> Result<Self> {
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
            return Err(err!(
                UNKNOWN_UPDATE_OP,
                no,
                format!("\"{}\"", String::from_utf8_lossy(name))
            ));
        };
        if len != arity {
            let details = format!("wrong number of arguments, expected {arity}, got {len}");
            return Err(err!(UNKNOWN_UPDATE_OP, no, details));
        }
        let mut op =
            Self { code, letter, field_no: 0, steps: Vec::new(), path: None, arg: &[], index_base };
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
        let bad = |op: &Self, position: usize| {
            op.wrong_field(&format!("invalid JSON in position {position}"))
        };
        self.field_no = match lexer.next() {
            Some(Ok(Step::Index(index))) => index as i64,
            Some(Ok(Step::Key(key))) => match space.def.field_no(key) {
                Some(field_no) => i64::from(field_no),
                None => return Err(err!(NO_SUCH_FIELD_NAME, &*String::from_utf8_lossy(name))),
            },
            Some(Ok(Step::Any)) => return Err(bad(self, lexer.symbols() - 1)),
            Some(Err(position)) => return Err(bad(self, position)),
            None => return Err(err!(NO_SUCH_FIELD_NAME, &*String::from_utf8_lossy(name))),
        };
        while let Some(step) = lexer.next() {
            match step.map_err(|position| bad(self, position))? {
                Step::Any => return Err(bad(self, lexer.symbols() - 1)),
                step => self.steps.push(step),
            }
        }
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
    fn label(&self) -> String {
        match self.path {
            Some(path) => format!("'{}'", String::from_utf8_lossy(path)),
            None => printed(self.field_no).to_string(),
        }
    }

    #[cold]
    fn wrong_arg(&self, expected: &str) -> Error {
        err!(UPDATE_ARG_TYPE, char::from(self.letter).to_string(), self.label(), expected)
    }

    #[cold]
    fn wrong_field(&self, details: &str) -> Error {
        err!(UPDATE_FIELD, self.label(), details)
    }

    #[cold]
    fn out_of_bound(&self) -> Error {
        err!(UPDATE_SPLICE, self.label(), "offset is out of bound")
    }

    /// The error for a place that is not there.
    #[cold]
    fn not_found(&self) -> Error {
        match self.path {
            Some(_) => err!(NO_SUCH_FIELD_NAME, self.label()),
            None => err!(NO_SUCH_FIELD_NO, printed(self.field_no)),
        }
    }

    fn apply<'f>(&'f self, fields: &mut Fields<'f>, bytes_max: usize) -> Result<()> {
        let count = fields.len() as i64;
        let at = match self.field_no {
            no if no >= 0 => no,
            no if self.code == Code::Insert && self.steps.is_empty() => count + no + 1,
            no => count + no,
        };
        let Ok(at) = usize::try_from(at) else { return Err(self.not_found()) };
        if !self.steps.is_empty() {
            let field = fields.get_mut(at).ok_or_else(|| self.not_found())?;
            let changed = self.apply_below(field, &self.steps)?;
            *field = Cow::Owned(changed);
            return Ok(());
        }
        match self.code {
            Code::Assign | Code::Insert => {
                // Every field takes a byte at least: refuse before the memory is taken.
                if at > bytes_max {
                    return Err(err!(MEMTX_MAX_TUPLE_SIZE, at, bytes_max));
                }
                while fields.len() < at {
                    fields.push(Cow::Borrowed(&[0xc0]));
                }
                if self.code == Code::Assign && at < fields.len() {
                    fields[at] = Cow::Borrowed(self.arg);
                } else {
                    fields.insert(at, Cow::Borrowed(self.arg));
                }
            }
            Code::Delete => {
                if at < fields.len() {
                    let end = at.saturating_add(self.delete_count()).min(fields.len());
                    fields.drain(at..end);
                }
            }
            _ => {
                let field = fields.get_mut(at).ok_or_else(|| self.not_found())?;
                let changed = self.compute(field)?;
                *field = Cow::Owned(changed);
            }
        }
        Ok(())
    }

    fn delete_count(&self) -> usize {
        msgpack::read_uint(&mut { self.arg }).map_or(0, |count| count as u32 as usize)
    }

    /// The new value of a field for the operations that compute one from the old.
    fn compute(&self, old: &[u8]) -> Result<Vec<u8>> {
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

    /// Applies the operation inside a container.
    fn apply_below(&self, value: &[u8], steps: &[Step<'_>]) -> Result<Vec<u8>> {
        match (msgpack::read(&mut { value }).unwrap_or(Token::Nil), &steps[0]) {
            (Token::Array(_), Step::Index(at)) => {
                self.apply_in_array(value, *at as usize, &steps[1..])
            }
            (Token::Map(_), Step::Key(key)) => self.apply_in_map(value, key, &steps[1..]),
            _ if steps.len() > 1 || !matches!(self.code, Code::Assign | Code::Insert) => {
                Err(self.not_found())
            }
            (_, Step::Key(_)) => Err(self.wrong_field("can not access by key a non-map field")),
            (_, Step::Index(_) | Step::Any) => {
                Err(self.wrong_field("can not access by index a non-array field"))
            }
        }
    }

    fn apply_in_array(&self, value: &[u8], at: usize, below: &[Step<'_>]) -> Result<Vec<u8>> {
        let mut items: Fields<'_> = msgpack::items(value).map(Cow::Borrowed).collect();
        let is_last = below.is_empty();
        match self.code {
            Code::Assign | Code::Insert if is_last && at == items.len() => {
                items.push(Cow::Borrowed(self.arg));
            }
            _ if at >= items.len() => return Err(self.not_found()),
            Code::Assign if is_last => items[at] = Cow::Borrowed(self.arg),
            Code::Insert if is_last => items.insert(at, Cow::Borrowed(self.arg)),
            Code::Delete if is_last => {
                let end = at.saturating_add(self.delete_count()).min(items.len());
                items.drain(at..end);
            }
            _ => {
                let changed = self.step_down(&items[at], below)?;
                items[at] = Cow::Owned(changed);
            }
        }
        let mut out = Vec::with_capacity(value.len() + self.arg.len());
        write_array(&mut out, items.len());
        items.iter().for_each(|item| out.extend_from_slice(item));
        Ok(out)
    }

    fn apply_in_map(&self, value: &[u8], key: &[u8], below: &[Step<'_>]) -> Result<Vec<u8>> {
        let mut pairs: Vec<(Value<'_>, Value<'_>)> = msgpack::pairs(value)
            .map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)))
            .collect();
        let is_key = |bytes: &[u8]| matches!(msgpack::read(&mut { bytes }), Ok(Token::Str(text)) if text == key);
        let at = pairs.iter().position(|(key, _)| is_key(key));
        let is_last = below.is_empty();
        match (self.code, at) {
            (Code::Assign, Some(at)) if is_last => pairs[at].1 = Cow::Borrowed(self.arg),
            (Code::Insert, Some(_)) if is_last => {
                return Err(self.wrong_field("the key exists already"));
            }
            (Code::Assign | Code::Insert, None) if is_last => {
                let mut name = Vec::new();
                write_str(&mut name, key);
                pairs.insert(0, (Cow::Owned(name), Cow::Borrowed(self.arg)));
            }
            (_, None) => return Err(self.not_found()),
            (Code::Delete, _) if is_last && self.delete_count() != 1 => {
                return Err(self.wrong_field("can delete only 1 field from a map in a row"));
            }
            (Code::Delete, Some(at)) if is_last => {
                pairs.remove(at);
            }
            (_, Some(at)) => {
                let changed = self.step_down(&pairs[at].1, below)?;
                pairs[at].1 = Cow::Owned(changed);
            }
        }
        let mut out = Vec::with_capacity(value.len() + self.arg.len());
        write_map(&mut out, pairs.len());
        for (key, value) in &pairs {
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        }
        Ok(out)
    }

    fn step_down(&self, value: &[u8], below: &[Step<'_>]) -> Result<Vec<u8>> {
        if below.is_empty() { self.compute(value) } else { self.apply_below(value, below) }
    }
}

/// A field number as messages print it: one-based from the front.
fn printed(field_no: i64) -> i64 {
    if field_no >= 0 { field_no + 1 } else { field_no }
}
