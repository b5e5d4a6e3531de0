//! A field under change, and values below it.
//!
//! What the first operation below a field does is noted beside the old bytes (a bar). The next one whose path parts from
//! that of the first opens the container where they part: it becomes a list of its own, with the values that were
//! touched as fields of it. The way to an opened container that lies deeper stays closed (a route). This is Tarantool's
//! tree, since it can be seen from outside: keys of an opened map come in the order of the operations, and what is not
//! there can be deleted from an opened container only.
//!
//! Source: Tarantool `src/box/xrow_update_field.h`, `src/box/tuple.c` tuple_field_go_to_index, tuple_field_go_to_key.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_array};

use super::arithmetic;
use super::bar::Bar;
use super::container::{Map, apply_in_array};
use super::op::Op;
use super::route::{Route, branch};
use crate::db::field_type::FieldType;
use crate::db::format::Place;
use crate::db::json_path::Step;

/// A field, or a value below one.
#[derive(Debug)]
pub(super) enum Field<'a> {
    /// As it was, or as an operation has put it.
    Same(&'a [u8]),
    /// What an operation has computed.
    Computed(Vec<u8>),
    /// Something below has changed.
    Changed(Box<Below<'a>>),
}

/// How something below a value has changed.
#[derive(Debug)]
pub(super) enum Below<'a> {
    /// By one operation.
    Bar(Bar<'a>),
    /// In a container that lies deeper.
    Route(Route<'a>),
    /// The value is an array, and opened.
    Array(Vec<Field<'a>>),
    /// The value is a map, and opened.
    Map(Map<'a>),
}

/// A value that lies in some bytes. Their end stays the same however deep a walk goes: so places in them can be
/// compared by what is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// The bytes from the front of the value on.
    pub(super) from: &'a [u8],
    /// The length of the value.
    pub(super) len: usize,
}

impl<'a> Span<'a> {
    /// The value at the front of these bytes.
    pub(super) fn at(from: &'a [u8]) -> Self {
        Self { from, len: msgpack::take(&mut { from }).map_or(0, <[u8]>::len) }
    }

    /// How far from the front of the value `place` is, which is what is left of the same bytes.
    pub(super) fn offset_of(&self, place: &[u8]) -> usize {
        self.from.len() - place.len()
    }

    /// The bytes of the value from this offset on.
    pub(super) fn after(&self, offset: usize) -> &'a [u8] {
        &self.from[offset..self.len]
    }
}

impl<'a> Field<'a> {
    /// Applies an operation below this value.
    ///
    /// # Errors
    /// NO_SUCH_FIELD_NAME, UPDATE_FIELD; those of [`Op::compute`].
    pub(super) fn apply(&mut self, op: Op<'a>) -> Result<()> {
        match self {
            Self::Same(value) => {
                let bar = Bar::new(op, Span { from: value, len: value.len() })?;
                *self = Self::Changed(Box::new(Below::Bar(bar)));
                Ok(())
            }
            Self::Computed(_) => Err(op.not_found()),
            Self::Changed(below) => below.apply(op, None),
        }
    }

    /// Computes a new value from this one.
    ///
    /// # Errors
    /// Those of [`Op::compute`].
    pub(super) fn compute(&mut self, op: &Op<'a>) -> Result<()> {
        let new = match self {
            Self::Same(old) => op.compute(old)?,
            Self::Computed(old) => op.compute(old)?,
            // As for every other value that is no scalar.
            Self::Changed(_) => op.compute(&[0x90])?,
        };
        *self = Self::Computed(new);
        Ok(())
    }

    /// Writes the value; `place` is what the format says of it.
    pub(super) fn store(&self, out: &mut Vec<u8>, place: Option<Place<'_>>) {
        match self {
            Self::Same(bytes) => out.extend_from_slice(bytes),
            Self::Computed(bytes) => {
                let field_type = place.map_or(FieldType::Any, Place::field_type);
                arithmetic::store(out, bytes, field_type);
            }
            Self::Changed(below) => below.store(out, place),
        }
    }
}

impl<'a> Below<'a> {
    /// Applies an operation; `step` is its next one if that is cut from its path already.
    ///
    /// # Errors
    /// As [`Field::apply`].
    pub(super) fn apply(&mut self, mut op: Op<'a>, step: Option<Step<'a>>) -> Result<()> {
        match self {
            Self::Array(items) => apply_in_array(items, op, step),
            Self::Map(map) => map.apply(op, step),
            Self::Route(route) if route.leads(&op) => {
                op.below.pass(route.path.rest().len());
                route.next.apply(op, None)
            }
            Self::Bar(_) | Self::Route(_) => {
                let step = branch(self, &mut op)?;
                match self {
                    Self::Route(route) => route.next.apply(op, Some(step)),
                    opened => opened.apply(op, Some(step)),
                }
            }
        }
    }

    /// Writes the value; `place` is what the format says of it.
    pub(super) fn store(&self, out: &mut Vec<u8>, place: Option<Place<'_>>) {
        match self {
            Self::Bar(bar) => bar.store(out, place),
            Self::Route(route) => route.store(out, place),
            Self::Map(map) => map.store(out, place),
            Self::Array(items) => {
                write_array(out, items.len());
                for (no, item) in items.iter().enumerate() {
                    item.store(out, place.and_then(|place| place.below(&Step::Index(no as u64))));
                }
            }
        }
    }
}

/// Goes from a value to one below it; gives where its key begins, or the item itself in an array. None if there is no
/// such value. A number is an item of an array, or a key of a map, which is counted from 1.
///
/// Source: Tarantool `src/box/tuple.c` tuple_field_go_to_index, tuple_field_go_to_key.
pub(super) fn go_to<'a>(place: &mut &'a [u8], step: &Step<'_>) -> Option<&'a [u8]> {
    let mut rest = *place;
    match (msgpack::read(&mut rest).ok()?, step) {
        (Token::Array(count), Step::Index(index)) if *index < u64::from(count) => {
            for _ in 0..*index {
                msgpack::skip(&mut rest).ok()?;
            }
            *place = rest;
            Some(rest)
        }
        (Token::Map(count), Step::Index(_) | Step::Key(_)) => {
            for _ in 0..count {
                let key = rest;
                let is_it = match (msgpack::read(&mut { rest }).ok()?, step) {
                    (Token::Str(name), Step::Key(wanted)) => name == *wanted,
                    (Token::Uint(number), Step::Index(index)) => number == index + 1,
                    (Token::Int(number), Step::Index(index)) => {
                        u64::try_from(number).is_ok_and(|number| number == index + 1)
                    }
                    _ => false,
                };
                msgpack::skip(&mut rest).ok()?;
                if is_it {
                    *place = rest;
                    return Some(key);
                }
                msgpack::skip(&mut rest).ok()?;
            }
            None
        }
        _ => None,
    }
}
