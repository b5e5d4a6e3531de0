//! Positions: where a SELECT ended, so that the next one goes on from there.
//!
//! A position is the MsgPack array of a tuple's key, primary parts appended; a client sees it in base64 without padding and
//! need not know what is in it. Only a TREE has positions.
//!
//! Source: protocol.md §16.1; Tarantool `src/box/index.cc` iterator_position_validate, `box.cc` box_select.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{NO_PAD, STANDARD_NO_PAD};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack;

use super::{Entries, Index, Walk};
use crate::db::key_def::Key;
use crate::db::schema::index_def::IndexType;
use crate::db::schema::space_def::Engine;
use crate::db::tuple::Tuple;

/// What a SELECT begins after.
#[derive(Clone, Copy, Debug)]
pub enum After<'a> {
    /// A position as the server gave it; the empty one is before everything.
    Position(&'a [u8]),
    /// A tuple, a well-formed MsgPack array, that need not be in the space.
    Tuple(&'a [u8]),
}

/// A place in the order of an index: the MsgPack array of a key.
#[derive(Clone, Debug)]
pub struct Position(Vec<u8>);

/// Reads positions that have bits beyond their last byte, as Tarantool does.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, DECODING);
const DECODING: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);

/// Decodes base64 with or without padding; None if it is not one MsgPack array.
fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let padding = packed.iter().rev().take_while(|byte| **byte == b'=').count();
    let array = LENIENT.decode(&packed[..packed.len() - padding]).ok()?;
    let is_array = msgpack::read_array(&mut &array[..]).is_ok();
    (is_array && msgpack::check_all(&array).is_ok()).then_some(array)
}

impl Index {
    /// The position that a SELECT begins after, which is not the empty one.
    ///
    /// # Errors
    /// ITERATOR_POSITION: no position of this index. UNSUPPORTED: a tuple for a multikey index, where it has several places.
    pub fn unpack(&self, after: After<'_>) -> Result<Position> {
        let array = match after {
            After::Position(packed) => unpack(packed),
            After::Tuple(_) if self.def.key_def.is_multikey() => {
                return Err(err!(UNSUPPORTED, "Multikey index", "position by tuple"));
            }
            After::Tuple(data) => {
                let mut array = Vec::new();
                let tuple = Tuple::probe(data);
                self.cmp_def.extract(&tuple, &mut array);
                Some(array)
            }
        };
        let array = array.ok_or_else(|| err!(ITERATOR_POSITION))?;
        let position = Key::from_array(&array);
        let is_whole = position.part_count == self.cmp_def.part_count();
        if !is_whole || self.cmp_def.check_search_key(&position).is_err() {
            return Err(err!(ITERATOR_POSITION));
        }
        Ok(Position(array))
    }

    /// Checks that a position is in what a SELECT with this iterator and key selects. Both have passed
    /// [`Self::check_select`]; `space` and `engine` are named in errors.
    ///
    /// # Errors
    /// ITERATOR_POSITION: outside of that. UNSUPPORTED_INDEX_FEATURE: the index has no positions.
    pub fn check_position(
        &self,
        position: &Position,
        kind: Kind,
        key: &Key<'_>,
        space: &str,
        engine: Engine,
    ) -> Result<()> {
        if self.def.index_type == IndexType::Tree {
            let order = self.cmp_def.compare_keys(&Key::from_array(&position.0), key);
            let is_before = if kind.is_reverse() { order.is_gt() } else { order.is_lt() };
            if is_before || (matches!(kind, Kind::Eq | Kind::Req) && order.is_ne()) {
                return Err(err!(ITERATOR_POSITION));
            }
        }
        self.check_pagination(space, engine)
    }

    /// The position of a tuple, a well-formed MsgPack array that need not be in the space, as clients get it.
    ///
    /// # Errors
    /// As [`Self::unpack`]; UNSUPPORTED in a functional index.
    ///
    /// Source: Tarantool `src/box/index.cc` box_iterator_position_from_tuple.
    pub fn tuple_position(&self, data: &[u8]) -> Result<String> {
        if self.is_disabled() {
            return Err(err!(UNSUPPORTED, "Functional index", "position by tuple"));
        }
        Ok(STANDARD_NO_PAD.encode(self.unpack(After::Tuple(data))?.0))
    }

    /// Checks that this index has positions.
    ///
    /// # Errors
    /// UNSUPPORTED_INDEX_FEATURE if it is not a TREE, or of the settings of a session.
    pub fn check_pagination(&self, space: &str, engine: Engine) -> Result<()> {
        if self.def.index_type == IndexType::Tree && engine != Engine::Service {
            return Ok(());
        }
        Err(self.unsupported(space, engine.name(), "pagination"))
    }

    /// The position of the last tuple that a walk gave, as clients get it.
    pub fn position_of(&self, tuple: &Tuple, walk: &Walk<'_>) -> String {
        let mut array = Vec::new();
        self.cmp_def.extract_at(tuple, walk.multikey_no(), &mut array);
        STANDARD_NO_PAD.encode(array)
    }

    /// The walk of [`Self::select`] from behind a position on, which is of this index.
    pub fn select_after<'a>(&'a self, kind: Kind, key: Key<'a>, position: &Position) -> Walk<'a> {
        let position = Key::from_array(&position.0);
        match &self.entries {
            Entries::Ordered(ordered) => Walk::Ordered(ordered.select_after(kind, key, &position)),
            Entries::Multikey(multikey) => {
                Walk::Multikey(multikey.select_after(kind, key, &position))
            }
            Entries::Rtree(_) | Entries::Bitset(_) | Entries::Disabled => {
                unreachable!("only a TREE has positions")
            }
        }
    }
}
