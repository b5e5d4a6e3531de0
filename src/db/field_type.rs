//! Field types: their names, which values they take, which of two is narrower.
//!
//! Source: types-and-indexes.md §2; Tarantool `src/box/field_def.c`.

use lycosa_proto::err;
use lycosa_proto::error::Error;
use lycosa_proto::msgpack::{self, Decimal, Token, ext_type};

macro_rules! field_types {
    ($($variant:ident $name:literal $mask:expr;)*) => {
        /// The type of a field or of a key part.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum FieldType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// `decimal32`, `decimal64`, `decimal128`, `decimal256`
            FixedDecimal {
                /// How many digits there are.
                precision: Precision,
                /// How many of them stand after the point; negative for zeros that are left out before it.
                scale: i32,
            },
        }

        impl FieldType {
            /// The name as Tarantool writes it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::FixedDecimal { precision, .. } => precision.type_name(),
                }
            }

            /// The set of value kinds that the type takes, see [`kind`].
            fn mask(self) -> u32 {
                match self {
                    $(Self::$variant => $mask,)*
                    Self::FixedDecimal { .. } => kind::DECIMAL,
                }
            }

            /// The type of a name, in any case; the aliases `num`, `str` and `*` too. Decimals of fixed width have the scale
            /// 0, see [`Self::with_scale`].
            pub fn parse(name: &str) -> Option<Self> {
                match name.to_ascii_lowercase().as_str() {
                    $($name => Some(Self::$variant),)*
                    "num" => Some(Self::Unsigned),
                    "str" => Some(Self::String),
                    "*" => Some(Self::Any),
                    name => {
                        let precision =
                            Precision::ALL.into_iter().find(|known| known.type_name() == name)?;
                        Some(Self::FixedDecimal { precision, scale: 0 })
                    }
                }
            }
        }
    };
}

/// The widths of decimals of fixed width.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Precision {
    /// 9 digits, `decimal32`.
    Digits9,
    /// 18 digits, `decimal64`.
    Digits18,
    /// 38 digits, `decimal128`.
    Digits38,
    /// 76 digits, `decimal256`.
    Digits76,
}

impl Precision {
    const ALL: [Self; 4] = [Self::Digits9, Self::Digits18, Self::Digits38, Self::Digits76];

    fn type_name(self) -> &'static str {
        match self {
            Self::Digits9 => "decimal32",
            Self::Digits18 => "decimal64",
            Self::Digits38 => "decimal128",
            Self::Digits76 => "decimal256",
        }
    }

    fn digits(self) -> i64 {
        match self {
            Self::Digits9 => 9,
            Self::Digits18 => 18,
            Self::Digits38 => 38,
            Self::Digits76 => 76,
        }
    }
}

/// Kinds of values as bits.
mod kind {
    pub(super) const UINT: u32 = 1;
    pub(super) const INT: u32 = 1 << 1;
    pub(super) const FLOAT: u32 = 1 << 2;
    pub(super) const DOUBLE: u32 = 1 << 3;
    pub(super) const STR: u32 = 1 << 4;
    pub(super) const BIN: u32 = 1 << 5;
    pub(super) const BOOL: u32 = 1 << 6;
    pub(super) const ARRAY: u32 = 1 << 7;
    pub(super) const MAP: u32 = 1 << 8;
    pub(super) const DECIMAL: u32 = 1 << 9;
    pub(super) const UUID: u32 = 1 << 10;
    pub(super) const DATETIME: u32 = 1 << 11;
    pub(super) const INTERVAL: u32 = 1 << 12;
    pub(super) const OTHER: u32 = 1 << 13;
    pub(super) const NIL: u32 = 1 << 14;

    pub(super) const INTEGER: u32 = UINT | INT;
    pub(super) const REAL: u32 = INTEGER | FLOAT | DOUBLE;
    pub(super) const NUMBER: u32 = REAL | DECIMAL;
    /// Kinds that MsgPack has itself; the others are extensions.
    pub(super) const PLAIN: u32 = REAL | STR | BIN | BOOL | ARRAY | MAP | NIL;
    pub(super) const SCALAR: u32 = NUMBER | STR | BIN | BOOL | UUID | DATETIME;
    pub(super) const ALL: u32 = SCALAR | ARRAY | MAP | INTERVAL | OTHER | NIL;
}

field_types! {
    Any "any" kind::ALL;
    Unsigned "unsigned" kind::UINT;
    String "string" kind::STR;
    Number "number" kind::NUMBER;
    Double "double" kind::REAL;
    Integer "integer" kind::INTEGER;
    Boolean "boolean" kind::BOOL;
    Varbinary "varbinary" kind::BIN;
    Scalar "scalar" kind::SCALAR;
    Decimal "decimal" kind::DECIMAL;
    Uuid "uuid" kind::UUID;
    Datetime "datetime" kind::DATETIME;
    Interval "interval" kind::INTERVAL;
    Array "array" kind::ARRAY;
    Map "map" kind::MAP;
    Int8 "int8" kind::INTEGER;
    Uint8 "uint8" kind::UINT;
    Int16 "int16" kind::INTEGER;
    Uint16 "uint16" kind::UINT;
    Int32 "int32" kind::INTEGER;
    Uint32 "uint32" kind::UINT;
    Int64 "int64" kind::INTEGER;
    Uint64 "uint64" kind::UINT;
    Float32 "float32" kind::FLOAT;
    Float64 "float64" kind::DOUBLE;
}

fn kind_of(token: &Token<'_>) -> u32 {
    match token {
        Token::Nil => kind::NIL,
        Token::Bool(_) => kind::BOOL,
        Token::Uint(_) => kind::UINT,
        Token::Int(_) => kind::INT,
        Token::Float(_) => kind::FLOAT,
        Token::Double(_) => kind::DOUBLE,
        Token::Str(_) => kind::STR,
        Token::Bin(_) => kind::BIN,
        Token::Array(_) => kind::ARRAY,
        Token::Map(_) => kind::MAP,
        Token::Ext(ext_type::DECIMAL, _) => kind::DECIMAL,
        Token::Ext(ext_type::UUID, _) => kind::UUID,
        Token::Ext(ext_type::DATETIME, _) => kind::DATETIME,
        Token::Ext(ext_type::INTERVAL, _) => kind::INTERVAL,
        Token::Ext(1.., _) => kind::OTHER,
        Token::Ext(..=0, _) => 0,
    }
}

/// The kind of the values that begin with a byte; 0 where it says nothing.
const KINDS: [u32; 256] = {
    let mut kinds = [0; 256];
    let mut code = 0;
    while code < kinds.len() {
        kinds[code] = match code {
            0x00..=0x7f | 0xcc..=0xcf => kind::UINT,
            0x80..=0x8f | 0xde | 0xdf => kind::MAP,
            0x90..=0x9f | 0xdc | 0xdd => kind::ARRAY,
            0xa0..=0xbf | 0xd9..=0xdb => kind::STR,
            0xc0 => kind::NIL,
            0xc2 | 0xc3 => kind::BOOL,
            0xc4..=0xc6 => kind::BIN,
            0xca => kind::FLOAT,
            0xcb => kind::DOUBLE,
            0xd0..=0xd3 | 0xe0..=0xff => kind::INT,
            _ => 0,
        };
        code += 1;
    }
    kinds
};

/// The numbers that an integer type of fixed width holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Range {
    min: i64,
    max: u64,
}

impl FieldType {
    /// Tells whether the type takes this value. nil is only taken by `any`: nullability is not the type's affair.
    #[inline]
    pub fn takes(self, token: &Token<'_>) -> bool {
        kind_of(token) & self.mask() != 0 && (!self.is_bounded() || self.has_room(token))
    }

    /// True if the type takes all values that begin with this byte.
    #[inline]
    pub fn takes_all(self, code: u8) -> bool {
        KINDS[usize::from(code)] & self.mask() != 0 && !self.is_bounded()
    }

    /// True for the types that take only some of the values of a kind.
    #[inline]
    fn is_bounded(self) -> bool {
        matches!(
            self,
            Self::Int8
                | Self::Uint8
                | Self::Int16
                | Self::Uint16
                | Self::Int32
                | Self::Uint32
                | Self::Int64
                | Self::FixedDecimal { .. }
        )
    }

    fn range(self) -> Option<Range> {
        let (min, max) = match self {
            Self::Int8 => (i64::from(i8::MIN), i8::MAX as u64),
            Self::Uint8 => (0, u64::from(u8::MAX)),
            Self::Int16 => (i64::from(i16::MIN), i16::MAX as u64),
            Self::Uint16 => (0, u64::from(u16::MAX)),
            Self::Int32 => (i64::from(i32::MIN), i32::MAX as u64),
            Self::Uint32 => (0, u64::from(u32::MAX)),
            Self::Int64 => (i64::MIN, i64::MAX as u64),
            Self::Uint64 => (0, u64::MAX),
            _ => return None,
        };
        Some(Range { min, max })
    }

    /// Tells whether a value of the right kind is among those that a bounded type takes.
    fn has_room(self, token: &Token<'_>) -> bool {
        match (self, token) {
            (Self::FixedDecimal { precision, scale }, Token::Ext(_, payload)) => {
                let fits = |decimal: Decimal| {
                    let (_, digits, own_scale) = decimal.canonical();
                    let zeros = i64::from(scale) - i64::from(own_scale);
                    let count = digits.len() as i64;
                    count == 0 || (zeros >= 0 && count + zeros <= precision.digits())
                };
                Decimal::parse(payload).is_some_and(fits)
            }
            _ => self.range().is_none_or(|range| match token {
                Token::Uint(value) => *value <= range.max,
                Token::Int(value) => range.min <= *value && i128::from(*value) <= range.max.into(),
                _ => true,
            }),
        }
    }

    /// Tells whether every value of this type is one of `other` too, as Tarantool sees it: of a type that has kinds of
    /// MsgPack only those count, so `number` is within `double`.
    ///
    /// Source: Tarantool `src/box/field_def.c` field_type1_contains_type2.
    pub fn is_within(self, other: Self) -> bool {
        let plain = self.mask() & kind::PLAIN;
        let counts = if plain != 0 { plain } else { self.mask() };
        if counts & !other.mask() != 0 {
            return false;
        }
        if let Some(outer) = other.range() {
            return match self.range() {
                Some(inner) => outer.min <= inner.min && inner.max <= outer.max,
                // `uint64` is another name of `unsigned`.
                None => other == Self::Uint64 && self == Self::Unsigned,
            };
        }
        match (self, other) {
            (
                Self::FixedDecimal { precision: inner, scale: inner_scale },
                Self::FixedDecimal { precision: outer, scale: outer_scale },
            ) => inner <= outer && inner_scale == outer_scale,
            (_, Self::FixedDecimal { .. }) => false,
            _ => true,
        }
    }

    /// Tells whether an index part may have the type.
    pub fn is_indexable(self) -> bool {
        !matches!(self, Self::Any | Self::Array | Self::Map | Self::Interval)
    }

    /// True for `unsigned`, `integer` and the integers of fixed width.
    #[inline]
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            Self::Unsigned
                | Self::Integer
                | Self::Int8
                | Self::Uint8
                | Self::Int16
                | Self::Uint16
                | Self::Int32
                | Self::Uint32
                | Self::Int64
                | Self::Uint64
        )
    }

    /// True for the types that take decimals and numbers of other kinds.
    #[inline]
    pub fn mixes_numbers(self) -> bool {
        matches!(self, Self::Number | Self::Scalar | Self::Any)
    }

    /// Tells whether a collation makes sense for the type of an index part.
    pub fn has_collation(self) -> bool {
        matches!(self, Self::String | Self::Scalar)
    }

    /// The type with the `scale` of its definition.
    ///
    /// # Errors
    /// What is wrong, if the type needs a scale and has none, or has one that means nothing.
    pub fn with_scale(self, given: Option<i64>) -> Result<Self, &'static str> {
        match (self, given) {
            (Self::FixedDecimal { precision, .. }, Some(scale)) => {
                let scale = scale.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
                Ok(Self::FixedDecimal { precision, scale })
            }
            (Self::FixedDecimal { .. }, None) => Err("scale is not specified"),
            (_, Some(_)) => Err("scale makes sense only for fixed-point decimals"),
            (_, None) => Ok(self),
        }
    }

    /// The error for the value of a field (its MsgPack) that the type does not take; `label` names the field.
    #[cold]
    pub fn field_error(self, label: String, value: &[u8]) -> Error {
        let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
        if kind_of(&token) & self.mask() == 0 {
            return err!(FIELD_TYPE, label, self.name(), token.kind());
        }
        match self.range() {
            Some(Range { min, max }) => {
                let number = match token {
                    Token::Uint(value) => value.to_string(),
                    Token::Int(value) => value.to_string(),
                    _ => String::new(),
                };
                let details = format!("expected [{min}..{max}], got {number}");
                let (min, max) = Self::bounds(Range { min, max });
                err!(FIELD_VALUE_OUT_OF_RANGE, label, self.name(), details, value, &*min, &*max)
            }
            None => err!(FIELD_IRREPRESENTABLE_VALUE, label, value),
        }
    }

    /// The error for the value of a part of a search key, counted from zero.
    #[cold]
    pub fn key_error(self, part_no: usize, value: &[u8]) -> Error {
        let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
        if kind_of(&token) & self.mask() == 0 {
            return err!(KEY_PART_TYPE, part_no, self.name());
        }
        match self.range() {
            Some(range) => {
                let (min, max) = Self::bounds(range);
                err!(KEY_PART_VALUE_OUT_OF_RANGE, part_no, self.name(), value, &*min, &*max)
            }
            None => err!(KEY_PART_IRREPRESENTABLE_VALUE, part_no, value),
        }
    }

    /// The ends of a range as MsgPack.
    fn bounds(range: Range) -> (Vec<u8>, Vec<u8>) {
        let (mut min, mut max) = (Vec::new(), Vec::new());
        msgpack::write_int(&mut min, range.min);
        msgpack::write_uint(&mut max, range.max);
        (min, max)
    }
}

#[cfg(test)]
mod tests;
