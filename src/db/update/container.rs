//! Arrays and maps below a field that operations have opened.
//!
//! Source: Tarantool `src/box/xrow_update_array.c`, `src/box/xrow_update_map.c`.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_map, write_str};

use super::below::Field;
use super::op::{Code, Op};
use crate::db::format::Place;
use crate::db::json_path::Step;

/// The next step of an operation: `step` if it is cut from the path already.
fn next_step<'a>(op: &mut Op<'a>, step: Option<Step<'a>>) -> Result<Step<'a>> {
    match step.map(Ok).or_else(|| op.below.next()) {
        Some(step) => step.map_err(|position| op.bad_path(position)),
        None => Err(op.not_found()),
    }
}

/// Applies an operation to the items of an array.
///
/// # Errors
/// As [`Field::apply`].
pub(super) fn apply_in_array<'a>(
    items: &mut Vec<Field<'a>>,
    mut op: Op<'a>,
    step: Option<Step<'a>>,
) -> Result<()> {
    let Step::Index(at) = next_step(&mut op, step)? else {
        return Err(op.wrong_field("can't update an array by a non-numeric index"));
    };
    let at = at as usize;
    let is_last = op.below.is_end();
    match op.code {
        Code::Insert | Code::Assign if is_last && at == items.len() => {
            items.push(Field::Same(op.arg));
        }
        Code::Insert if is_last && at < items.len() => items.insert(at, Field::Same(op.arg)),
        Code::Delete if is_last => {
            let end = at.saturating_add(op.delete_count()).min(items.len());
            items.drain(at.min(end)..end);
        }
        _ => {
            let item = items.get_mut(at).ok_or_else(|| op.not_found())?;
            return match op.code {
                _ if !is_last => item.apply(op),
                Code::Assign => {
                    *item = Field::Same(op.arg);
                    Ok(())
                }
                _ => item.compute(&op),
            };
        }
    }
    Ok(())
}

/// A map.
#[derive(Debug)]
pub(super) struct Map<'a> {
    /// The number of pairs.
    count: usize,
    /// The pairs that were touched, each with untouched ones behind it. The last touched comes last.
    items: Vec<Item<'a>>,
}

/// A pair of a map, and untouched ones behind it.
#[derive(Debug)]
struct Item<'a> {
    /// The key; None if there are untouched pairs only.
    key: Option<&'a [u8]>,
    value: Field<'a>,
    /// The untouched pairs.
    tail: &'a [u8],
}

impl<'a> Map<'a> {
    /// The map that begins at the front of these bytes.
    pub(super) fn new(map: &'a [u8]) -> Self {
        let mut tail = msgpack::take(&mut { map }).unwrap_or_default();
        let count = msgpack::read_map(&mut tail).unwrap_or(0) as usize;
        Self { count, items: vec![Item { key: None, value: Field::Same(&[]), tail }] }
    }

    /// The value with this key, which is touched from now on.
    pub(super) fn touch(&mut self, key: &'a [u8]) -> Option<&mut Field<'a>> {
        // The last touched first: of keys that are there twice that one is meant.
        if let Some(at) = self.items.iter().rposition(|item| item.key == Some(key)) {
            return Some(&mut self.items[at].value);
        }
        let is_key = |name: &[u8]| msgpack::read(&mut { name }).ok() == Some(Token::Str(key));
        for at in (0..self.items.len()).rev() {
            let tail = self.items[at].tail;
            let mut rest = tail;
            while !rest.is_empty() {
                let before = tail.len() - rest.len();
                let name = msgpack::take(&mut rest).unwrap_or_default();
                let value = msgpack::take(&mut rest).unwrap_or_default();
                if is_key(name) {
                    self.items[at].tail = &tail[..before];
                    let item = Item { key: Some(key), value: Field::Same(value), tail: rest };
                    let is_empty = before == 0 && self.items[at].key.is_none();
                    if is_empty {
                        self.items[at] = item;
                        return Some(&mut self.items[at].value);
                    }
                    self.items.push(item);
                    return self.items.last_mut().map(|item| &mut item.value);
                }
            }
        }
        None
    }

    /// Applies an operation.
    ///
    /// # Errors
    /// As [`Field::apply`].
    pub(super) fn apply(&mut self, mut op: Op<'a>, step: Option<Step<'a>>) -> Result<()> {
        let Step::Key(key) = next_step(&mut op, step)? else {
            return Err(op.wrong_field("can't update a map by not a string key"));
        };
        let is_last = op.below.is_end();
        let value = self.touch(key);
        match (op.code, value) {
            (Code::Assign | Code::Insert, None) if is_last => {
                self.count += 1;
                self.items.push(Item { key: Some(key), value: Field::Same(op.arg), tail: &[] });
                Ok(())
            }
            (Code::Assign, Some(value)) if is_last => {
                *value = Field::Same(op.arg);
                Ok(())
            }
            (Code::Insert, Some(_)) if is_last => Err(op.wrong_field("the key exists already")),
            (Code::Delete, _) if is_last && op.delete_count() != 1 => {
                Err(op.wrong_field("can delete only 1 field from a map in a row"))
            }
            (Code::Delete, value) if is_last => {
                if value.is_some() {
                    self.remove(key);
                }
                Ok(())
            }
            (_, None) => Err(op.not_found()),
            (_, Some(value)) if is_last => value.compute(&op),
            (_, Some(value)) => value.apply(op),
        }
    }

    /// Takes a touched pair out.
    fn remove(&mut self, key: &[u8]) {
        if let Some(at) = self.items.iter().rposition(|item| item.key == Some(key)) {
            self.items[at].key = None;
            self.items[at].value = Field::Same(&[]);
            self.count -= 1;
        }
    }

    /// Writes the touched pairs, the last touched first, then the others; `place` is what the format says of the map.
    pub(super) fn store(&self, out: &mut Vec<u8>, place: Option<Place<'_>>) {
        write_map(out, self.count);
        for item in self.items.iter().rev() {
            if let Some(key) = item.key {
                write_str(out, key);
                item.value.store(out, place.and_then(|place| place.below(&Step::Key(key))));
            }
        }
        self.items.iter().rev().for_each(|item| out.extend_from_slice(item.tail));
    }
}
