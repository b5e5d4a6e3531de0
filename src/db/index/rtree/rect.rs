//! Rectangles of an R-tree: low and high of each axis in turn, as plain slices.
//!
//! A NaN compares as false with everything, here as in Tarantool: what has one can be missed by a search.
//!
//! Source: Tarantool `src/lib/salad/rtree.c`, `src/box/memtx_rtree.cc` mp_decode_rect.

use arrayvec::ArrayVec;
use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use crate::db::key_def::Key;
use crate::db::schema::index_def::{DIMENSION_MAX, Distance};

/// A rectangle of any dimension: `[low, high]` of the first axis, then of the next.
pub(super) type Rect = ArrayVec<f64, { 2 * DIMENSION_MAX as usize }>;

/// Reads a rectangle from `count` numbers: a point, or the low corner and then the high one, in any order on each axis.
/// `what` is named in errors.
///
/// # Errors
/// RTREE_RECT for another count, FIELD_TYPE for what is not a number that a double holds exactly.
fn read(mut numbers: &[u8], count: u32, dimension: u32, what: &str) -> Result<Rect> {
    let is_point = count == dimension;
    if !is_point && count != 2 * dimension {
        return Err(err!(RTREE_RECT, what, dimension, 2 * dimension));
    }
    let mut corners = Rect::new();
    for no in 0..count {
        let token = msgpack::read(&mut numbers).unwrap_or(Token::Nil);
        let number = exact(&token);
        let wrong = || err!(FIELD_TYPE, (no + 1).to_string(), "number", token.kind());
        corners.push(number.ok_or_else(wrong)?);
    }
    let high = if is_point { 0 } else { dimension as usize };
    let mut rect = Rect::new();
    for axis in 0..dimension as usize {
        let (low, high) = (corners[axis], corners[high + axis]);
        rect.extend(if low <= high { [low, high] } else { [high, low] });
    }
    Ok(rect)
}

/// A number as a double that equals it.
fn exact(token: &Token<'_>) -> Option<f64> {
    match *token {
        Token::Uint(value) => Some(value as f64).filter(|double| *double as u128 == value.into()),
        Token::Int(value) => Some(value as f64).filter(|double| *double as i128 == value.into()),
        Token::Float(value) => Some(f64::from(value)),
        Token::Double(value) => Some(value),
        _ => None,
    }
}

/// The rectangle of an indexed field, an array.
///
/// # Errors
/// As [`read`].
pub(super) fn from_field(mut field: &[u8], dimension: u32) -> Result<Rect> {
    let count = msgpack::read_array(&mut field).unwrap_or(0);
    read(field, count, dimension, "Field")
}

/// The rectangle of a search key: numbers, or one array of them.
///
/// # Errors
/// KEY_PART_COUNT, KEY_PART_TYPE; then as [`read`].
pub(super) fn from_key(key: &Key<'_>, dimension: u32) -> Result<Rect> {
    let (count, numbers) = match key.part_count {
        1 => {
            let mut parts = key.parts;
            let Ok(count) = msgpack::read_array(&mut parts) else {
                return Err(err!(KEY_PART_TYPE, 0, "array"));
            };
            if count != dimension && count != 2 * dimension {
                return Err(err!(RTREE_RECT, "Key", dimension, 2 * dimension));
            }
            (count, parts)
        }
        count if count == dimension || count == 2 * dimension => (count, key.parts),
        count => return Err(err!(KEY_PART_COUNT, 2 * dimension, count)),
    };
    let mut rest = numbers;
    for no in 0..count {
        let number = msgpack::take(&mut rest).and_then(|mut number| msgpack::read(&mut number));
        if !number.is_ok_and(|token| crate::db::field_type::FieldType::Number.takes(&token)) {
            // An array is one part.
            return Err(err!(KEY_PART_TYPE, if key.part_count == 1 { 0 } else { no }, "number"));
        }
    }
    read(numbers, count, dimension, "Key")
}

/// The axes of two rectangles side by side, from the last to the first: sums and products are then Tarantool's.
fn axes<'a>(left: &'a [f64], right: &'a [f64]) -> impl Iterator<Item = [f64; 4]> {
    let pairs = left.chunks_exact(2).zip(right.chunks_exact(2)).rev();
    pairs.map(|(left, right)| [left[0], left[1], right[0], right[1]])
}

/// Grows a rectangle until it holds another.
pub(super) fn add(to: &mut [f64], item: &[f64]) {
    for (to, item) in to.chunks_exact_mut(2).zip(item.chunks_exact(2)) {
        if to[0] > item[0] {
            to[0] = item[0];
        }
        if to[1] < item[1] {
            to[1] = item[1];
        }
    }
}

/// The product of the sides.
pub(super) fn area(rect: &[f64]) -> f64 {
    rect.chunks_exact(2).rev().fold(1.0, |area, axis| area * (axis[1] - axis[0]))
}

/// The sum of the sides.
pub(super) fn half_margin(rect: &[f64]) -> f64 {
    rect.chunks_exact(2).rev().fold(0.0, |sum, axis| sum + (axis[1] - axis[0]))
}

/// The area of what covers both.
pub(super) fn area_together(left: &[f64], right: &[f64]) -> f64 {
    axes(left, right).fold(1.0, |area, [low, high, other_low, other_high]| {
        let low = if low < other_low { low } else { other_low };
        let high = if high > other_high { high } else { other_high };
        area * (high - low)
    })
}

/// The area that both share. Axes on which they are apart count as flat.
pub(super) fn area_shared(left: &[f64], right: &[f64]) -> f64 {
    axes(left, right).fold(1.0, |area, [low, high, other_low, other_high]| {
        if low > other_high || high < other_low {
            return area * 0.0;
        }
        let low = if low > other_low { low } else { other_low };
        let high = if high < other_high { high } else { other_high };
        area * (high - low)
    })
}

/// True if they share a point.
pub(super) fn intersect(left: &[f64], right: &[f64]) -> bool {
    !axes(left, right)
        .any(|[low, high, other_low, other_high]| low > other_high || high < other_low)
}

/// True if `inner` lies in `outer`; it may touch its sides.
pub(super) fn is_inside(inner: &[f64], outer: &[f64]) -> bool {
    !axes(inner, outer)
        .any(|[low, high, other_low, other_high]| low < other_low || high > other_high)
}

/// True if `inner` lies in `outer` and touches no side of it.
pub(super) fn is_strictly_inside(inner: &[f64], outer: &[f64]) -> bool {
    !axes(inner, outer)
        .any(|[low, high, other_low, other_high]| low <= other_low || high >= other_high)
}

/// How far a rectangle is from the low corner of `from`; squared for [`Distance::Euclid`].
pub(super) fn distance(rect: &[f64], from: &[f64], distance: Distance) -> f64 {
    axes(rect, from).fold(0.0, |sum, [low, high, from, _]| {
        let apart = if from < low {
            low - from
        } else if from > high {
            from - high
        } else {
            return sum;
        };
        sum + if distance == Distance::Euclid { apart * apart } else { apart }
    })
}
