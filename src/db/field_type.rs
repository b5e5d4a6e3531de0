//! Field types: their names, which values they take, which of two is narrower.
//!
//! Source: types-and-indexes.md §2; Tarantool `src/box/field_def.c`.

use lycosa_proto::msgpack::{Token, ext_type};

macro_rules! field_types {
    ($($variant:ident $name:literal $mask:expr;)*) => {
        /// The type of a field or of a key part.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum FieldType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl FieldType {
            /// The name as Tarantool writes it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The set of value kinds that the type takes, see [`kind`].
            fn mask(self) -> u32 {
                match self {
                    $(Self::$variant => $mask,)*
                }
            }

            /// The type of a name, in any case; the aliases `num`, `str` and `*` too.
            pub fn parse(name: &str) -> Option<Self> {
                match name.to_ascii_lowercase().as_str() {
                    $($name => Some(Self::$variant),)*
                    "num" => Some(Self::Unsigned),
                    "str" => Some(Self::String),
                    "*" => Some(Self::Any),
                    _ => None,
                }
            }
        }
    };
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

impl FieldType {
    /// Tells whether the type takes this value. nil is only taken by `any`: nullability is not the type's affair.
    #[inline]
    pub fn takes(self, token: &Token<'_>) -> bool {
        kind_of(token) & self.mask() != 0
    }

    /// Tells whether every value of this type is one of `other` too.
    pub fn is_within(self, other: Self) -> bool {
        self.mask() & !other.mask() == 0
    }

    /// Tells whether an index part may have the type.
    pub fn is_indexable(self) -> bool {
        !matches!(self, Self::Any | Self::Array | Self::Map | Self::Interval)
    }
}
