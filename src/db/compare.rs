//! The order of values inside one index part, and hashes that agree with it.
//!
//! nil < boolean < numbers < string < varbinary < uuid < datetime. Numbers of all kinds compare by value, without loss;
//! NaN is below every other number and equal to itself.
//!
//! Source: types-and-indexes.md §3; Tarantool `src/box/tuple_compare.cc`, `tuple_hash.cc`.

use std::cmp::Ordering;

use lycosa_proto::msgpack::{Decimal, Token, ext_type};

/// Compares two values of indexable types.
#[inline]
pub fn compare(left: &Token<'_>, right: &Token<'_>) -> Ordering {
    match (left, right) {
        (Token::Uint(left), Token::Uint(right)) => left.cmp(right),
        (Token::Str(left), Token::Str(right)) => left.cmp(right),
        _ => compare_any(left, right),
    }
}

fn compare_any(left: &Token<'_>, right: &Token<'_>) -> Ordering {
    let (class_left, class_right) = (class(left), class(right));
    if class_left != class_right {
        return class_left.cmp(&class_right);
    }
    match (left, right) {
        (Token::Bool(left), Token::Bool(right)) => left.cmp(right),
        (Token::Str(left), Token::Str(right)) | (Token::Bin(left), Token::Bin(right)) => {
            left.cmp(right)
        }
        (Token::Ext(ext_type::DATETIME, left), Token::Ext(ext_type::DATETIME, right)) => {
            datetime_point(left).cmp(&datetime_point(right))
        }
        (Token::Ext(ext_type::UUID, left), Token::Ext(ext_type::UUID, right)) => left.cmp(right),
        _ => compare_numbers(left, right),
    }
}

fn class(token: &Token<'_>) -> u8 {
    match token {
        Token::Nil => 0,
        Token::Bool(_) => 1,
        Token::Uint(_) | Token::Int(_) | Token::Float(_) | Token::Double(_) => 2,
        Token::Ext(ext_type::DECIMAL, _) => 2,
        Token::Str(_) => 3,
        Token::Bin(_) => 4,
        Token::Ext(ext_type::UUID, _) => 5,
        Token::Ext(ext_type::DATETIME, _) => 6,
        _ => 7,
    }
}

/// Seconds and nanoseconds; the time zone takes no part in the order.
pub(super) fn datetime_point(payload: &[u8]) -> (i64, i32) {
    let seconds = payload.first_chunk::<8>().map_or(0, |bytes| i64::from_le_bytes(*bytes));
    let nsec = payload
        .get(8..12)
        .map_or(0, |bytes| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    (seconds, nsec)
}

/// A number as one of three kinds that compare among each other.
enum Number {
    Int(i128),
    Double(f64),
    Decimal(Box<Decimal>),
}

fn number(token: &Token<'_>) -> Number {
    match token {
        Token::Uint(value) => Number::Int(i128::from(*value)),
        Token::Int(value) => Number::Int(i128::from(*value)),
        Token::Float(value) => Number::Double(f64::from(*value)),
        Token::Double(value) => Number::Double(*value),
        Token::Ext(_, payload) => Decimal::parse(payload)
            .map_or(Number::Int(0), |decimal| Number::Decimal(Box::new(decimal))),
        _ => Number::Int(0),
    }
}

fn compare_numbers(left: &Token<'_>, right: &Token<'_>) -> Ordering {
    match (number(left), number(right)) {
        (Number::Int(left), Number::Int(right)) => left.cmp(&right),
        (Number::Int(left), Number::Double(right)) => compare_int_double(left, right),
        (Number::Double(left), Number::Int(right)) => compare_int_double(right, left).reverse(),
        (Number::Double(left), Number::Double(right)) => compare_doubles(left, right),
        (Number::Decimal(left), Number::Decimal(right)) => left.compare(&right),
        (Number::Decimal(left), Number::Int(right)) => left.compare(&Decimal::from_i128(right)),
        (Number::Int(left), Number::Decimal(right)) => Decimal::from_i128(left).compare(&right),
        (Number::Decimal(left), Number::Double(right)) => compare_decimal_double(&left, right),
        (Number::Double(left), Number::Decimal(right)) => {
            compare_decimal_double(&right, left).reverse()
        }
    }
}

fn compare_doubles(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| nan_rank(left).cmp(&nan_rank(right)))
}

/// Signalling NaN below quiet NaN below everything else.
fn nan_rank(value: f64) -> u8 {
    const QUIET: u64 = 1 << 51;
    match (value.is_nan(), value.to_bits() & QUIET != 0) {
        (true, false) => 0,
        (true, true) => 1,
        (false, _) => 2,
    }
}

/// Exact: the integer is not turned into a double.
fn compare_int_double(left: i128, right: f64) -> Ordering {
    /// 2^64: every integer of ours is below it.
    const ABOVE_ALL: f64 = 18_446_744_073_709_551_616.0;
    if right.is_nan() {
        Ordering::Greater
    } else if right >= ABOVE_ALL {
        Ordering::Less
    } else if right < -ABOVE_ALL {
        Ordering::Greater
    } else {
        let whole = right.trunc();
        left.cmp(&(whole as i128))
            .then_with(|| 0.0.partial_cmp(&(right - whole)).unwrap_or(Ordering::Equal))
    }
}

fn compare_decimal_double(left: &Decimal, right: f64) -> Ordering {
    match Decimal::from_f64(right) {
        Some(right) => left.compare(&right),
        None if right.is_nan() => Ordering::Greater,
        None => 0.0.partial_cmp(&right).unwrap_or(Ordering::Equal),
    }
}

/// A 64-bit hash that grows by the values of a key.
///
/// FNV-1a over words with a final mix. Values that compare equal give equal hashes, but for decimals: where they meet
/// numbers of other kinds, all go through [`Self::add_mixed`].
#[derive(Clone, Copy)]
pub struct KeyHash {
    hash: u64,
    /// Extensions hash as their bytes, equal values of different bytes differently.
    by_bytes: bool,
}

/// Numbers from here on, or below its negative, are one to [`KeyHash::add_mixed`]: rounded to 15 digits they may be beyond
/// what a double holds.
const MIXED_MAX: f64 = 1e308;

impl KeyHash {
    /// The hash of no value.
    pub fn new() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, by_bytes: false }
    }

    /// The same for the entries of a HASH index. There extensions hash as their bytes: the decimals 1 and 1.0, or two
    /// datetimes of one moment in different zones, live side by side.
    ///
    /// Source: Tarantool `src/box/tuple_hash.cc` tuple_hash_field.
    pub fn of_bytes() -> Self {
        Self { by_bytes: true, ..Self::new() }
    }

    /// Adds eight bytes.
    #[inline]
    pub(super) fn word(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Adds a string by its bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.tagged(0x57, bytes);
    }

    fn tagged(&mut self, tag: u64, bytes: &[u8]) {
        self.word(tag ^ ((bytes.len() as u64) << 8));
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// Adds a value of a part that takes decimals and other numbers: those that compare equal agree whatever their kind.
    ///
    /// A decimal equals a double if it is what 15 digits of that are, and an integer only if it is the very same: so all
    /// numbers are made doubles and count by 15 digits. Others than equal ones may meet.
    pub fn add_mixed(&mut self, token: &Token<'_>) {
        if self.by_bytes {
            return self.add(token);
        }
        let value = match *token {
            Token::Uint(value) => value as f64,
            Token::Int(value) => value as f64,
            Token::Float(value) => f64::from(value),
            Token::Double(value) => value,
            Token::Ext(ext_type::DECIMAL, payload) => {
                Decimal::parse(payload).map_or(0.0, |decimal| decimal.to_f64())
            }
            _ => return self.add(token),
        };
        match Decimal::from_f64(value) {
            Some(decimal) if value.abs() < MIXED_MAX => self.decimal(&decimal),
            _ if value.is_nan() => self.double(value),
            _ => self.double(f64::INFINITY.copysign(value)),
        }
    }

    fn decimal(&mut self, decimal: &Decimal) {
        let (negative, digits, scale) = decimal.canonical();
        self.tagged(0xdec ^ u64::from(negative) ^ ((scale as u32 as u64) << 32), digits);
    }

    /// Adds a value.
    pub fn add(&mut self, token: &Token<'_>) {
        match *token {
            Token::Uint(value) => self.word(value),
            Token::Int(value) => self.word(value as u64),
            Token::Float(value) => self.double(f64::from(value)),
            Token::Double(value) => self.double(value),
            Token::Bool(value) => self.word(0xb001 + u64::from(value)),
            Token::Str(bytes) => self.bytes(bytes),
            Token::Bin(bytes) => self.tagged(0xb1, bytes),
            Token::Ext(kind, payload) if self.by_bytes => self.tagged(kind as u64, payload),
            Token::Ext(ext_type::DATETIME, payload) => {
                let (seconds, nsec) = datetime_point(payload);
                self.word(seconds as u64);
                self.word(nsec as u64);
            }
            Token::Ext(ext_type::DECIMAL, payload) => {
                self.decimal(&Decimal::parse(payload).unwrap_or(Decimal::from_i128(0)));
            }
            Token::Ext(kind, payload) => self.tagged(kind as u64, payload),
            Token::Nil | Token::Array(_) | Token::Map(_) => self.word(0xc0),
        }
    }

    /// A whole number hashes as the integer, every NaN alike.
    fn double(&mut self, value: f64) {
        let whole = value.trunc();
        if whole == value && (-9.3e18..1.9e19).contains(&value) {
            let value = whole as i128;
            self.word(u64::try_from(value).unwrap_or(value as i64 as u64));
        } else {
            self.word(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() });
        }
    }

    /// The hash.
    pub fn finish(self) -> u64 {
        let mixed = (self.hash ^ (self.hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

impl Default for KeyHash {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
