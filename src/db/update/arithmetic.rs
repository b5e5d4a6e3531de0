//! Arithmetic of UPDATE: `+`, `-` on numbers of every kind, `&`, `|`, `^` on unsigned ones.
//!
//! Source: protocol.md §18.2; Tarantool `src/box/xrow_update_field.c` make_arith_operation.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{
    self, Decimal, Token, ext_type, write_ext, write_f32, write_f64, write_int, write_uint,
};

use super::op::{Code, Op};
use crate::db::field_type::FieldType;

/// An integer that is not negative, however it is encoded.
pub(super) fn as_uint(token: &Token<'_>) -> Option<u64> {
    match token {
        Token::Uint(value) => Some(*value),
        Token::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

/// An operand by kind.
enum Operand {
    Int(i128),
    Double(f64),
    Decimal(Decimal),
}

fn operand(token: &Token<'_>) -> Option<Operand> {
    Some(match token {
        Token::Uint(value) => Operand::Int(i128::from(*value)),
        Token::Int(value) => Operand::Int(i128::from(*value)),
        Token::Float(value) => Operand::Double(f64::from(*value)),
        Token::Double(value) => Operand::Double(*value),
        Token::Ext(ext_type::DECIMAL, payload) => Operand::Decimal(Decimal::parse(payload)?),
        _ => return None,
    })
}

impl Operand {
    fn to_f64(&self) -> f64 {
        match self {
            Self::Int(value) => *value as f64,
            Self::Double(value) => *value,
            Self::Decimal(_) => f64::NAN,
        }
    }

    fn to_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Int(value) => Some(Decimal::from_i128(*value)),
            Self::Double(value) => Decimal::from_f64(*value),
            Self::Decimal(value) => Some(value.clone()),
        }
    }
}

/// `old + arg` or `old - arg` as MsgPack. A sum with a fraction is a float if that is exact: [`store`] has the last word.
pub(super) fn add(op: &Op<'_>, old: &Token<'_>) -> Result<Vec<u8>> {
    let arg = msgpack::read(&mut { op.arg }).unwrap_or(Token::Nil);
    let (Some(left), Some(right)) = (operand(old), operand(&arg)) else {
        return Err(op.wrong_arg("a number"));
    };
    let is_minus = op.code == Code::Subtract;
    let letter = || char::from(op.letter).to_string();
    let mut out = Vec::new();
    match (&left, &right) {
        (Operand::Int(left), Operand::Int(right)) => {
            let sum = if is_minus { left - right } else { left + right };
            match (u64::try_from(sum), i64::try_from(sum)) {
                (Ok(sum), _) => write_uint(&mut out, sum),
                (_, Ok(sum)) => write_int(&mut out, sum),
                _ => return Err(err!(UPDATE_INTEGER_OVERFLOW, letter(), op.label())),
            }
        }
        (Operand::Decimal(_), _) | (_, Operand::Decimal(_)) => {
            let (Some(left), Some(right)) = (left.to_decimal(), right.to_decimal()) else {
                return Err(op.wrong_arg("a number convertible to decimal"));
            };
            let right = if is_minus { right.negate() } else { right };
            let sum = left
                .add(&right)
                .ok_or_else(|| err!(UPDATE_DECIMAL_OVERFLOW, letter(), op.label()))?;
            write_ext(&mut out, ext_type::DECIMAL, &sum.payload());
        }
        _ => {
            let (left, right) = (left.to_f64(), right.to_f64());
            let sum = if is_minus { left - right } else { left + right };
            let narrow = sum as f32;
            if sum.is_finite() && f64::from(narrow) == sum {
                write_f32(&mut out, narrow);
            } else {
                write_f64(&mut out, sum);
            }
        }
    }
    Ok(out)
}

/// Writes a computed value as the field where it has come to lie takes it: the operations after may have moved it.
pub(super) fn store(out: &mut Vec<u8>, value: &[u8], field_type: FieldType) {
    match msgpack::read(&mut { value }) {
        Ok(Token::Float(number))
            if matches!(field_type, FieldType::Double | FieldType::Float64) =>
        {
            write_f64(out, f64::from(number));
        }
        Ok(Token::Double(number)) if field_type == FieldType::Float32 => {
            write_f32(out, number as f32);
        }
        _ => out.extend_from_slice(value),
    }
}

/// A bitwise operation as MsgPack.
pub(super) fn bits(op: &Op<'_>, old: &Token<'_>) -> Result<Vec<u8>> {
    let arg = msgpack::read(&mut { op.arg }).unwrap_or(Token::Nil);
    let (Some(left), Some(right)) = (as_uint(old), as_uint(&arg)) else {
        return Err(op.wrong_arg("a positive integer"));
    };
    let mut out = Vec::new();
    write_uint(
        &mut out,
        match op.code {
            Code::And => left & right,
            Code::Or => left | right,
            _ => left ^ right,
        },
    );
    Ok(out)
}
