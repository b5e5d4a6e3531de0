//! Decimals: up to 76 digits and a scale, as MsgPack holds them, in order, added and printed.
//!
//! Payload: the scale as a MsgPack integer, then digits two a byte, the last half byte the sign.
//!
//! Source: types-and-indexes.md §1, §3; Tarantool `src/lib/core/decimal.c`, `mp_decimal.c`.

use std::cmp::Ordering;

use super::{Token, read};

/// The most digits that a decimal may have.
pub(super) const DIGITS_MAX: usize = 76;
/// The most bytes of packed digits: Tarantool has room for 78.
const BYTES_MAX: usize = 39;
/// The largest power of ten of a first digit; the least is the same below zero.
const EXPONENT_MAX: i64 = 999_999;
/// Digits of the wider of two values beyond which the other cannot change the sum.
const ALIGNED_MAX: i64 = 2 * DIGITS_MAX as i64 + 1;

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
    /// Up to `DIGITS_MAX` digits, without allocation.
    #[derive(Clone, PartialEq, Eq)]
    pub struct Digits {
        len: u8,
        digits: [u8; super::DIGITS_MAX],
    }

    impl Digits {
        pub(super) fn new() -> Self {
            Self { len: 0, digits: [0; super::DIGITS_MAX] }
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
            // Tarantool cuts the number to 32 bits.
            Token::Uint(value) => value as i32,
            Token::Int(value) => value as i32,
            _ => return None,
        };
        if rest.len() > BYTES_MAX {
            return None;
        }
        let (&last, body) = rest.split_last()?;
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
        let parsed = Self { negative, digits, scale };
        parsed.has_good_exponent().then_some(parsed)
    }

    /// The power of ten of the first digit; of the only one if the value is zero.
    fn exponent(&self) -> i64 {
        self.digits.len().max(1) as i64 - 1 - i64::from(self.scale)
    }

    /// The exponent may be below its minimum by the digits that the value does not have.
    fn has_good_exponent(&self) -> bool {
        let least = -EXPONENT_MAX - (DIGITS_MAX as i64 - 1);
        let exponent = self.exponent();
        let digits = self.digits.len().max(1) as i64;
        exponent <= EXPONENT_MAX && (exponent >= -EXPONENT_MAX || digits <= exponent - least + 1)
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

    /// The sum, rounded half up to the digits that a decimal has; its scale is the larger of the two, or less where the
    /// digits do not suffice. None if the exponent is too large.
    pub fn add(&self, other: &Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let wide = if self.scale < other.scale { self } else { other };
        let zeros = i64::from(scale) - i64::from(wide.scale);
        let sum = if !wide.is_zero() && wide.digits.len() as i64 + zeros > ALIGNED_MAX {
            // The other is beyond what the digits can show.
            wide.padded()?
        } else {
            let zeros = if wide.is_zero() { 0 } else { zeros as usize };
            add_aligned(&self.aligned(scale, zeros), &other.aligned(scale, zeros), scale)?
        };
        (sum.exponent() <= EXPONENT_MAX).then_some(sum)
    }

    /// The signed digits, least significant first, at this scale; `zeros` follow if the own scale is another.
    fn aligned(&self, scale: i32, zeros: usize) -> Vec<i8> {
        let sign = if self.negative { -1 } else { 1 };
        let zeros = if self.scale == scale { 0 } else { zeros };
        let digits = self.digits.iter().rev().map(|digit| sign * *digit as i8);
        std::iter::repeat_n(0, zeros).chain(digits).collect()
    }

    /// The same value with all digits that there may be.
    fn padded(&self) -> Option<Self> {
        let mut padded = self.clone();
        while padded.digits.len() < DIGITS_MAX {
            padded.digits.push(0)?;
            padded.scale = padded.scale.checked_add(1)?;
        }
        Some(padded)
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

    /// The nearest double; infinite where that is beyond all of them.
    pub fn to_f64(&self) -> f64 {
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}0{digits}e{}", -i64::from(self.scale)).parse().unwrap_or(f64::NAN)
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

/// Adds signed digits, least significant first, and rounds what is too long.
fn add_aligned(left: &[i8], right: &[i8], mut scale: i32) -> Option<Decimal> {
    let digit = |digits: &[i8], at: usize| digits.get(at).copied().unwrap_or(0);
    let mut sum: Vec<i8> =
        (0..left.len().max(right.len())).map(|at| digit(left, at) + digit(right, at)).collect();
    // In the sign of the larger: carries and borrows go up.
    let negative = sum.iter().rev().find(|digit| **digit != 0).is_some_and(|digit| *digit < 0);
    let mut carry = 0;
    for digit in &mut sum {
        let value = if negative { -*digit } else { *digit } + carry;
        carry = value.div_euclid(10);
        *digit = value.rem_euclid(10);
    }
    sum.push(carry);
    while sum.last() == Some(&0) {
        sum.pop();
    }
    while sum.len() > DIGITS_MAX {
        let dropped = sum.len() - DIGITS_MAX;
        let mut carry = sum[dropped - 1] >= 5;
        sum.drain(..dropped);
        scale = scale.checked_sub(i32::try_from(dropped).ok()?)?;
        for digit in &mut sum {
            *digit += i8::from(carry);
            carry = *digit == 10;
            *digit %= 10;
        }
        sum.extend(carry.then_some(1));
    }
    let mut digits = digits::Digits::new();
    for digit in sum.into_iter().rev() {
        digits.push(digit as u8)?;
    }
    Some(Decimal { negative, digits, scale })
}

impl std::fmt::Display for Decimal {
    /// Plain where no zeros have to be invented and few stand before the digits, else with an exponent, as decNumber prints.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let text = if text.is_empty() { "0".to_owned() } else { text };
        let sign = if self.negative { "-" } else { "" };
        let exponent = self.exponent();
        match usize::try_from(self.scale) {
            Ok(0) => write!(f, "{sign}{text}"),
            Ok(scale) if scale < text.len() => {
                let (whole, fraction) = text.split_at(text.len() - scale);
                write!(f, "{sign}{whole}.{fraction}")
            }
            Ok(scale) if exponent >= -6 => write!(f, "{sign}0.{text:0>scale$}"),
            _ => {
                let (first, rest) = text.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{sign}{first}{point}{rest}E{exponent:+}")
            }
        }
    }
}
