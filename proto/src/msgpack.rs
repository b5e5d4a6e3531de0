//! MsgPack as Tarantool uses it.
//!
//! A cursor is a `&mut &[u8]`: every reader takes what it reads off the front. Lengths are checked before they are
//! believed; nothing here panics on any input. [`check`] walks untrusted bytes once and refuses what Tarantool refuses
//! (protocol.md §6); the readers are then cheap on what passed.
//!
//! Source: Tarantool `src/lib/msgpuck`, `src/lib/core/mp_extension_types.h`, `mp_check`.

mod datetime;
mod decimal;
mod diagnosis;
mod ext;
mod interval;
mod text;
mod write;

pub use datetime::Datetime;
pub use decimal::Decimal;
pub use decimal::digits::Digits;
pub use diagnosis::Diagnosis;
pub use ext::ext_type;
pub use interval::Interval;
pub use text::{Text, cropped, general};
pub use write::*;

/// Why bytes are not the MsgPack that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The value ends before its length says.
    Truncated,
    /// The byte 0xc1, which begins no value.
    IllegalCode,
    /// Something follows the value where nothing may.
    Junk,
    /// A value of another type stands where this type was wanted.
    Type,
    /// An extension of a known type whose payload does not parse; the text names it.
    Extension(&'static str),
    /// Extensions nested deeper than Tarantool allows.
    TooDeep,
}

impl Fault {
    /// The text of the cause that Tarantool 3.9 puts under `packet body`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Truncated => "truncated input",
            Self::IllegalCode => "illegal code",
            Self::Junk => "junk after input",
            Self::Type => "unexpected type",
            Self::Extension(text) => text,
            Self::TooDeep => "too much nesting",
        }
    }
}

/// The result of a reader.
pub type Result<T> = std::result::Result<T, Fault>;

/// One MsgPack value, or the head of an array or a map whose items follow it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// nil
    Nil,
    /// true, false
    Bool(bool),
    /// MP_UINT: positive fixint, `cc` to `cf`
    Uint(u64),
    /// MP_INT: negative fixint, `d0` to `d3`; may hold a value that is not negative
    Int(i64),
    /// MP_FLOAT
    Float(f32),
    /// MP_DOUBLE
    Double(f64),
    /// MP_STR; not always valid UTF-8
    Str(&'a [u8]),
    /// MP_BIN
    Bin(&'a [u8]),
    /// MP_ARRAY with this many items after it
    Array(u32),
    /// MP_MAP with this many pairs after it
    Map(u32),
    /// MP_EXT: type and payload
    Ext(i8, &'a [u8]),
}

impl Token<'_> {
    /// The kind's name as Tarantool's messages have it ("got X").
    pub fn kind(&self) -> &'static str {
        match self {
            Token::Nil => "nil",
            Token::Bool(_) => "boolean",
            Token::Uint(_) => "unsigned",
            Token::Int(_) => "integer",
            Token::Float(_) => "float",
            Token::Double(_) => "double",
            Token::Str(_) => "string",
            Token::Bin(_) => "blob",
            Token::Array(_) => "array",
            Token::Map(_) => "map",
            Token::Ext(..) => "extension",
        }
    }
}

fn bytes<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    let (head, rest) = input.split_at_checked(len).ok_or(Fault::Truncated)?;
    *input = rest;
    Ok(head)
}

fn array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
    *input = rest;
    Ok(*head)
}

macro_rules! be {
    ($input:expr, $ty:ty) => {
        <$ty>::from_be_bytes(array($input)?)
    };
}

/// Reads one token.
#[inline]
pub fn read<'a>(input: &mut &'a [u8]) -> Result<Token<'a>> {
    let code = be!(input, u8);
    Ok(match code {
        0x00..=0x7f => Token::Uint(u64::from(code)),
        0x80..=0x8f => Token::Map(u32::from(code & 0x0f)),
        0x90..=0x9f => Token::Array(u32::from(code & 0x0f)),
        0xa0..=0xbf => Token::Str(bytes(input, usize::from(code & 0x1f))?),
        0xc0 => Token::Nil,
        0xc1 => return Err(Fault::IllegalCode),
        0xc2 => Token::Bool(false),
        0xc3 => Token::Bool(true),
        0xc4 => Token::Bin(sized(input, 1)?),
        0xc5 => Token::Bin(sized(input, 2)?),
        0xc6 => Token::Bin(sized(input, 4)?),
        0xc7 => extension(input, 1)?,
        0xc8 => extension(input, 2)?,
        0xc9 => extension(input, 4)?,
        0xca => Token::Float(f32::from_bits(be!(input, u32))),
        0xcb => Token::Double(f64::from_bits(be!(input, u64))),
        0xcc => Token::Uint(u64::from(be!(input, u8))),
        0xcd => Token::Uint(u64::from(be!(input, u16))),
        0xce => Token::Uint(u64::from(be!(input, u32))),
        0xcf => Token::Uint(be!(input, u64)),
        0xd0 => Token::Int(i64::from(be!(input, i8))),
        0xd1 => Token::Int(i64::from(be!(input, i16))),
        0xd2 => Token::Int(i64::from(be!(input, i32))),
        0xd3 => Token::Int(be!(input, i64)),
        0xd4..=0xd8 => {
            let kind = be!(input, i8);
            Token::Ext(kind, bytes(input, 1 << (code - 0xd4))?)
        }
        0xd9 => Token::Str(sized(input, 1)?),
        0xda => Token::Str(sized(input, 2)?),
        0xdb => Token::Str(sized(input, 4)?),
        0xdc => Token::Array(u32::from(be!(input, u16))),
        0xdd => Token::Array(be!(input, u32)),
        0xde => Token::Map(u32::from(be!(input, u16))),
        0xdf => Token::Map(be!(input, u32)),
        0xe0..=0xff => Token::Int(i64::from(code as i8)),
    })
}

fn length(input: &mut &[u8], width: usize) -> Result<usize> {
    Ok(match width {
        1 => usize::from(be!(input, u8)),
        2 => usize::from(be!(input, u16)),
        _ => be!(input, u32) as usize,
    })
}

fn sized<'a>(input: &mut &'a [u8], width: usize) -> Result<&'a [u8]> {
    let len = length(input, width)?;
    bytes(input, len)
}

fn extension<'a>(input: &mut &'a [u8], width: usize) -> Result<Token<'a>> {
    let len = length(input, width)?;
    let kind = be!(input, i8);
    Ok(Token::Ext(kind, bytes(input, len)?))
}

/// Bytes of a value by its first byte, which is counted; 0 where that says nothing or not enough.
const WIDTHS: [u8; 256] = {
    let mut widths = [0; 256];
    let mut code = 0;
    while code < widths.len() {
        widths[code] = match code {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => 1,
            0xa0..=0xbf => 1 + (code as u8 & 0x1f),
            0xcc..=0xcf => 1 + (1 << (code - 0xcc)),
            0xd0..=0xd3 => 1 + (1 << (code - 0xd0)),
            0xca => 5,
            0xcb => 9,
            0xd4..=0xd8 => 2 + (1 << (code - 0xd4)),
            _ => 0,
        };
        code += 1;
    }
    widths
};

/// Skips one whole value, containers with all they hold.
#[inline]
pub fn skip(input: &mut &[u8]) -> Result<()> {
    match skip_head(input)? {
        0 => Ok(()),
        count => skip_values(input, count),
    }
}

fn skip_values(input: &mut &[u8], count: u64) -> Result<()> {
    let mut left = count;
    while left > 0 {
        left = left - 1 + skip_head(input)?;
    }
    Ok(())
}

/// Skips a value or, of an array or a map, the head. The number of values in it that follow.
#[inline]
fn skip_head(input: &mut &[u8]) -> Result<u64> {
    // What rows are made of most is told by branches, which a processor foresees: with the table, it waits at each value
    // for the one before.
    let (rest, count) = match *input {
        [0x00..=0x7f, rest @ ..]
        | [0xcd, _, _, rest @ ..]
        | [0xce, _, _, _, _, rest @ ..]
        | [0xcf, _, _, _, _, _, _, _, _, rest @ ..] => (rest, 0),
        [code @ 0x80..=0x8f, rest @ ..] => (rest, 2 * u64::from(code & 0x0f)),
        [code @ 0x90..=0x9f, rest @ ..] => (rest, u64::from(code & 0x0f)),
        // Texts and bytes of up to 255.
        [0xc4 | 0xd9, len, rest @ ..] => {
            (rest.get(usize::from(*len)..).ok_or(Fault::Truncated)?, 0)
        }
        [code, ..] => match usize::from(WIDTHS[usize::from(*code)]) {
            0 => return skip_any_head(input),
            width => (input.get(width..).ok_or(Fault::Truncated)?, 0),
        },
        [] => return Err(Fault::Truncated),
    };
    *input = rest;
    Ok(count)
}

/// The same for all kinds of values.
fn skip_any_head(input: &mut &[u8]) -> Result<u64> {
    Ok(match read(input)? {
        Token::Array(len) => u64::from(len),
        Token::Map(len) => 2 * u64::from(len),
        _ => 0,
    })
}

/// Takes one whole value off the front, as bytes.
#[inline]
pub fn take<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    let all = *input;
    skip(input)?;
    Ok(&all[..all.len() - input.len()])
}

/// Checks one whole value deeply, extensions included, and takes it off the front.
pub fn check(input: &mut &[u8]) -> Result<()> {
    ext::check(input, 0)
}

/// Takes one whole value off the front, as bytes, that [`check`] finds nothing wrong with.
#[inline]
pub fn take_checked<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    let all = *input;
    check(input)?;
    Ok(&all[..all.len() - input.len()])
}

/// Checks that `input` is one value and nothing else.
pub fn check_all(mut input: &[u8]) -> Result<()> {
    check(&mut input)?;
    if input.is_empty() { Ok(()) } else { Err(Fault::Junk) }
}

/// Reads an MP_UINT.
#[inline]
pub fn read_uint(input: &mut &[u8]) -> Result<u64> {
    let (code, mut rest) = input.split_first().ok_or(Fault::Truncated)?;
    let value = match code {
        0x00..=0x7f => u64::from(*code),
        0xcc => u64::from(be!(&mut rest, u8)),
        0xcd => u64::from(be!(&mut rest, u16)),
        0xce => u64::from(be!(&mut rest, u32)),
        0xcf => be!(&mut rest, u64),
        _ => return Err(no_uint(input)),
    };
    *input = rest;
    Ok(value)
}

/// What is wrong with a value that is no MP_UINT.
#[cold]
fn no_uint(input: &mut &[u8]) -> Fault {
    read(input).err().unwrap_or(Fault::Type)
}

/// Reads an MP_STR as bytes.
#[inline]
pub fn read_str<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    match read(input)? {
        Token::Str(value) => Ok(value),
        _ => Err(Fault::Type),
    }
}

/// Reads the head of an array: its length.
#[inline]
pub fn read_array(input: &mut &[u8]) -> Result<u32> {
    if let [code @ 0x90..=0x9f, rest @ ..] = *input {
        *input = rest;
        return Ok(u32::from(code & 0x0f));
    }
    match read(input)? {
        Token::Array(len) => Ok(len),
        _ => Err(Fault::Type),
    }
}

/// Reads the head of a map: its number of pairs.
#[inline]
pub fn read_map(input: &mut &[u8]) -> Result<u32> {
    if let [code @ 0x80..=0x8f, rest @ ..] = *input {
        *input = rest;
        return Ok(u32::from(code & 0x0f));
    }
    match read(input)? {
        Token::Map(len) => Ok(len),
        _ => Err(Fault::Type),
    }
}

/// Reads an MP_BOOL.
pub fn read_bool(input: &mut &[u8]) -> Result<bool> {
    match read(input)? {
        Token::Bool(value) => Ok(value),
        _ => Err(Fault::Type),
    }
}

/// Reads any integer or floating number as f64.
pub fn read_f64(input: &mut &[u8]) -> Result<f64> {
    match read(input)? {
        Token::Uint(value) => Ok(value as f64),
        Token::Int(value) => Ok(value as f64),
        Token::Float(value) => Ok(f64::from(value)),
        Token::Double(value) => Ok(value),
        _ => Err(Fault::Type),
    }
}

/// The items of an array value, each as its bytes. Stops early if the bytes end.
pub fn items(array: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = array;
    let mut left = read_array(&mut rest).unwrap_or(0);
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        take(&mut rest).ok()
    })
}

/// The pairs of a map value, each as the bytes of key and value. Stops early if the bytes end.
pub fn pairs(map: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    let mut rest = map;
    let mut left = read_map(&mut rest).unwrap_or(0);
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        Some((take(&mut rest).ok()?, take(&mut rest).ok()?))
    })
}

#[cfg(test)]
mod tests;
