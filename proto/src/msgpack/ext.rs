//! The extension types: which payloads are valid, and what a decimal holds.
//!
//! Source: types-and-indexes.md §1; Tarantool `src/lib/core/mp_{decimal,uuid,datetime,interval}.c`.

use std::cmp::Ordering;

use super::{Fault, Result, Token, read, read_map, read_uint};

/// Numbers of the extension types.
pub mod ext_type {
    /// Scale, then packed BCD.
    pub const DECIMAL: i8 = 1;
    /// 16 bytes, big-endian in text order.
    pub const UUID: i8 = 2;
    /// A map `{0: [error, ...]}`.
    pub const ERROR: i8 = 3;
    /// 8 or 16 bytes, little-endian.
    pub const DATETIME: i8 = 4;
    /// Enterprise only; opaque.
    pub const COMPRESSION: i8 = 5;
    /// Count, then pairs of field id and integer.
    pub const INTERVAL: i8 = 6;
    /// Format id and an array.
    pub const TUPLE: i8 = 7;
    /// Arrow record batch; opaque.
    pub const ARROW: i8 = 8;
}

/// Extensions may hold extensions (errors in tuples, tuples in errors) this deep.
const NESTING_MAX: u32 = 16;

/// The most digits that a decimal may have.
pub(super) const DECIMAL_DIGITS_MAX: usize = 76;

pub(super) fn check(input: &mut &[u8], depth: u32) -> Result<()> {
    let mut left = 1u64;
    while left > 0 {
        left -= 1;
        match read(input)? {
            Token::Array(len) => left += u64::from(len),
            Token::Map(len) => left += 2 * u64::from(len),
            Token::Ext(kind, payload) => check_ext(kind, payload, depth)?,
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn check_ext(kind: i8, payload: &[u8], depth: u32) -> Result<()> {
    if depth >= NESTING_MAX {
        return Err(Fault::TooDeep);
    }
    let good = match kind {
        ext_type::DECIMAL => {
            return Decimal::parse(payload)
                .map(|_| ())
                .ok_or(Fault::Extension("cannot unpack decimal"));
        }
        ext_type::UUID => return fault_unless(payload.len() == 16, "cannot unpack uuid"),
        ext_type::DATETIME => {
            return fault_unless(datetime_is_valid(payload), "cannot unpack datetime");
        }
        ext_type::INTERVAL => {
            return fault_unless(interval_is_valid(payload), "cannot unpack interval");
        }
        ext_type::ERROR => nested(payload, depth, |rest, depth| {
            read_map(&mut { *rest })?;
            check(rest, depth)
        }),
        ext_type::TUPLE => nested(payload, depth, |rest, depth| {
            read_uint(rest)?;
            super::read_array(&mut { *rest })?;
            check(rest, depth)
        }),
        _ => return Ok(()),
    };
    fault_unless(
        good?,
        if kind == ext_type::ERROR { "cannot unpack error" } else { "cannot unpack tuple" },
    )
}

fn fault_unless(good: bool, text: &'static str) -> Result<()> {
    if good { Ok(()) } else { Err(Fault::Extension(text)) }
}

/// True if `body` takes the whole payload without a fault; nesting that is too deep stays a fault of its own.
fn nested(
    payload: &[u8],
    depth: u32,
    body: impl FnOnce(&mut &[u8], u32) -> Result<()>,
) -> Result<bool> {
    let mut rest = payload;
    match body(&mut rest, depth + 1) {
        Ok(()) => Ok(rest.is_empty()),
        Err(Fault::TooDeep) => Err(Fault::TooDeep),
        Err(_) => Ok(false),
    }
}

/// Seconds since the epoch that Tarantool's datetime holds (years -5879610 to 5879611).
const DATETIME_SECONDS: std::ops::RangeInclusive<i64> = -185_604_722_870_400..=185_480_451_417_600;

fn datetime_is_valid(payload: &[u8]) -> bool {
    let Some((seconds, rest)) = payload.split_first_chunk::<8>() else { return false };
    if !DATETIME_SECONDS.contains(&i64::from_le_bytes(*seconds)) {
        return false;
    }
    match rest {
        [] => true,
        [n0, n1, n2, n3, o0, o1, z0, z1] => {
            let nsec = i32::from_le_bytes([*n0, *n1, *n2, *n3]);
            let offset = i16::from_le_bytes([*o0, *o1]);
            let zone = i16::from_le_bytes([*z0, *z1]);
            (0..2_000_000_000).contains(&nsec)
                && (-720..=840).contains(&offset)
                && (0..1024).contains(&zone)
        }
        _ => false,
    }
}

fn interval_is_valid(payload: &[u8]) -> bool {
    let Some((&count, mut rest)) = payload.split_first() else { return false };
    for _ in 0..count {
        let (Ok(field), Ok(value)) = (read_uint(&mut rest), read(&mut rest)) else { return false };
        let value = match value {
            Token::Uint(value) => i128::from(value),
            Token::Int(value) => i128::from(value),
            _ => return false,
        };
        let good = match field {
            0..=2 | 7 => i32::try_from(value).is_ok(),
            3..=6 => i64::try_from(value).is_ok(),
            8 => (0..=2).contains(&value),
            _ => false,
        };
        if !good {
            return false;
        }
    }
    rest.is_empty()
}

/// A decimal as its payload holds it: a sign, the digits without leading zeros, and how many of them follow the point.
///
/// Value = (negative ? -1 : 1) * digits * 10^-scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    /// True for values below zero and for -0.
    pub negative: bool,
    /// Digits 0 to 9, most significant first, without leading zeros; empty for zero.
    pub digits: digits::Digits,
    /// Digits after the point; negative for trailing zeros left out.
    pub scale: i32,
}

/// A fixed buffer of decimal digits.
pub(super) mod digits {
    /// Up to [`super::super::Decimal`] digits, without allocation.
    #[derive(Clone, PartialEq, Eq)]
    pub struct Digits {
        len: u8,
        digits: [u8; super::DECIMAL_DIGITS_MAX],
    }

    impl Digits {
        pub(super) fn new() -> Self {
            Self { len: 0, digits: [0; super::DECIMAL_DIGITS_MAX] }
        }

        pub(super) fn push(&mut self, digit: u8) -> Option<()> {
            *self.digits.get_mut(usize::from(self.len))? = digit;
            self.len += 1;
            Some(())
        }
    }

    impl std::ops::Deref for Digits {
        type Target = [u8];
        fn deref(&self) -> &[u8] {
            &self.digits[..usize::from(self.len)]
        }
    }

    impl std::fmt::Debug for Digits {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.iter().try_for_each(|digit| write!(f, "{digit}"))
        }
    }
}

impl Decimal {
    /// Parses the payload of an extension of type 1. None if Tarantool would refuse it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        let scale = match read(&mut rest).ok()? {
            Token::Uint(value) => i32::try_from(value).ok()?,
            Token::Int(value) => i32::try_from(value).ok()?,
            _ => return None,
        };
        let (&last, body) = rest.split_last()?;
        if !(-999_999..=999_999).contains(&scale) {
            return None;
        }
        let negative = match last & 0x0f {
            0x0a | 0x0c | 0x0e | 0x0f => false,
            0x0b | 0x0d => true,
            _ => return None,
        };
        let mut digits = digits::Digits::new();
        let nibbles = body.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).chain([last >> 4]);
        for nibble in nibbles {
            if nibble > 9 {
                return None;
            }
            if nibble != 0 || !digits.is_empty() {
                digits.push(nibble)?;
            }
        }
        Some(Self { negative, digits, scale })
    }

    /// Power of ten just above the value: 0.05 has -1, 7 has 1, 10 has 2. Meaningless for zero.
    fn magnitude(&self) -> i64 {
        self.digits.len() as i64 - i64::from(self.scale)
    }

    /// True for 0, 0.00 and -0.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn signum(&self) -> i32 {
        match (self.is_zero(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// Compares by value: 1.0 equals 1.00.
    pub fn compare(&self, other: &Self) -> Ordering {
        let by_sign = self.signum().cmp(&other.signum());
        if by_sign != Ordering::Equal || self.is_zero() {
            return by_sign;
        }
        let by_size = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            let width = self.digits.len().max(other.digits.len());
            let padded = |digits: &[u8], i: usize| digits.get(i).copied().unwrap_or(0);
            (0..width)
                .map(|i| padded(&self.digits, i).cmp(&padded(&other.digits, i)))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        if self.negative { by_size.reverse() } else { by_size }
    }

    /// The same with the other sign.
    #[must_use]
    pub fn negate(mut self) -> Self {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    /// The sum, exact; its scale is the larger of the two. None if it takes more digits than a decimal has.
    pub fn add(&self, other: &Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let aligned = |value: &Self| {
            let zeros = usize::try_from(scale - value.scale)
                .ok()
                .filter(|zeros| *zeros <= DECIMAL_DIGITS_MAX)?;
            let mut digits: Vec<i8> = value.digits.iter().map(|digit| *digit as i8).collect();
            if !digits.is_empty() {
                digits.extend(std::iter::repeat_n(0, zeros));
            }
            digits.reverse();
            Some(digits)
        };
        let (left, right) = (aligned(self)?, aligned(other)?);
        let sign = |value: &Self| if value.negative { -1 } else { 1 };
        // Least significant first, in the sign of the larger: carries and borrows go up.
        let digit = |digits: &[i8], at: usize| digits.get(at).copied().unwrap_or(0);
        let is_negative = |signed: &[i8]| {
            signed.iter().rev().find(|digit| **digit != 0).is_some_and(|digit| *digit < 0)
        };
        let mut sum: Vec<i8> = (0..left.len().max(right.len()))
            .map(|at| sign(self) * digit(&left, at) + sign(other) * digit(&right, at))
            .collect();
        let negative = is_negative(&sum);
        let mut carry = 0;
        for digit in &mut sum {
            let value = if negative { -*digit } else { *digit } + carry;
            carry = value.div_euclid(10);
            *digit = value.rem_euclid(10);
        }
        sum.push(carry);
        let mut digits = digits::Digits::new();
        for digit in sum.into_iter().rev().skip_while(|digit| *digit == 0) {
            digits.push(digit as u8)?;
        }
        Some(Self { negative, digits, scale })
    }

    /// The payload of the extension.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        super::write_int(&mut out, i64::from(self.scale));
        let mut nibbles: Vec<u8> =
            if self.digits.is_empty() { vec![0] } else { self.digits.to_vec() };
        nibbles.push(if self.negative { 0x0d } else { 0x0c });
        if nibbles.len() % 2 == 1 {
            nibbles.insert(0, 0);
        }
        out.extend(nibbles.chunks(2).map(|pair| (pair[0] << 4) | pair[1]));
        out
    }

    /// From an integer.
    pub fn from_i128(value: i128) -> Self {
        let mut digits = digits::Digits::new();
        if value != 0 {
            for byte in value.unsigned_abs().to_string().bytes() {
                digits.push(byte - b'0').expect("an i128 has at most 39 digits");
            }
        }
        Self { negative: value < 0, digits, scale: 0 }
    }

    /// From a finite double, rounded to 15 significant digits as Tarantool does before it compares.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{:.14e}", value.abs());
        let (mantissa, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let all: Vec<u8> =
            mantissa.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
        let kept = all.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
        let mut digits = digits::Digits::new();
        for &digit in all[..kept].iter().skip_while(|&&digit| digit == 0) {
            digits.push(digit)?;
        }
        Some(Self { negative: value.is_sign_negative(), scale: kept as i32 - 1 - exponent, digits })
    }

    /// The digits of the value without trailing zeros, with its scale: equal values give equal results.
    pub fn canonical(&self) -> (bool, &[u8], i32) {
        let kept = self.digits.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
        let dropped = (self.digits.len() - kept) as i32;
        if kept == 0 {
            (false, &[], 0)
        } else {
            (self.negative, &self.digits[..kept], self.scale - dropped)
        }
    }
}

impl std::fmt::Display for Decimal {
    /// Plain notation, as Tarantool prints decimals; an exponent where zeros would have to be invented.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let text = if text.is_empty() { "0".to_owned() } else { text };
        let sign = if self.negative { "-" } else { "" };
        match usize::try_from(self.scale) {
            Ok(0) => write!(f, "{sign}{text}"),
            Ok(scale) if scale < text.len() => {
                let (whole, fraction) = text.split_at(text.len() - scale);
                write!(f, "{sign}{whole}.{fraction}")
            }
            Ok(scale) => write!(f, "{sign}0.{text:0>scale$}"),
            Err(_) => write!(f, "{sign}{text}E+{}", -self.scale),
        }
    }
}
