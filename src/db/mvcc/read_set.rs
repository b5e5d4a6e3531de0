//! What an interactive transaction has read: keys of unique indexes, found or not, and ranges.
//!
//! A key is kept as its hash, which equal keys share; two that collide cost a conflict that was none. A range is kept with
//! its ends. When there are too many of either, the whole index counts as read.

use std::cmp::Ordering;
use std::collections::HashSet;

use lycosa_proto::iproto::Iterator as Kind;

use crate::db::database::Ids;
use crate::db::index::Index;
use crate::db::key_def::Key;
use crate::db::schema::index_def::IndexType;
use crate::db::space::Space;
use crate::db::tuple::Tuple;

/// Keys of one index, beyond which all of it counts as read.
const KEYS_MAX: usize = 1 << 16;
/// Ranges of one index, beyond which all of it counts as read.
const RANGES_MAX: usize = 256;

/// What one transaction has read.
#[derive(Default)]
pub(super) struct ReadSet {
    /// By the id of the space.
    spaces: Ids<Vec<IndexReads>>,
}

/// What was read of one index.
struct IndexReads {
    index_id: u32,
    /// Hashes of keys.
    keys: HashSet<u64>,
    ranges: Vec<Range>,
}

/// A stretch of an index.
#[derive(Debug)]
struct Range {
    low: End,
    high: End,
    /// How many keys the transaction had written: those hide what others do to them.
    at: usize,
}

impl Range {
    /// All of an index, as it was before the transaction wrote anything.
    const WHOLE: Self = Self { low: End::Open, high: End::Open, at: 0 };

    fn is_whole(&self) -> bool {
        matches!(self, Self { low: End::Open, high: End::Open, at: 0 })
    }
}

/// One end of a range.
#[derive(Debug)]
enum End {
    /// There is none.
    Open,
    /// At a key, a MsgPack array, which is in the range or not.
    Key(Box<[u8]>, bool),
    /// At the key of a tuple, which is in the range.
    Tuple(Tuple),
}

impl End {
    /// True if `tuple` is within this end, which lies where `beyond` says.
    fn holds(&self, index: &Index, tuple: &Tuple, beyond: Ordering) -> bool {
        match self {
            Self::Open => true,
            Self::Key(key, is_inside) => {
                match index.def.key_def.compare_key_fields(tuple, &Key::from_array(key)) {
                    Ordering::Equal => *is_inside,
                    order => order != beyond,
                }
            }
            Self::Tuple(end) => index.def.key_def.compare_tuples(tuple, end) != beyond,
        }
    }
}

impl ReadSet {
    /// Adds what another has.
    pub(super) fn merge(&mut self, other: Self) {
        for (space_id, indexes) in other.spaces {
            for reads in indexes {
                let own = self.of_index(space_id, reads.index_id);
                reads.keys.into_iter().for_each(|hash| own.add_key(hash));
                reads.ranges.into_iter().for_each(|range| own.add_range(range));
            }
        }
    }

    /// True if something of the space was read.
    pub(super) fn has_space(&self, space_id: u32) -> bool {
        self.spaces.contains_key(&space_id)
    }

    fn of_index(&mut self, space_id: u32, index_id: u32) -> &mut IndexReads {
        let indexes = self.spaces.entry(space_id).or_default();
        let at = indexes.iter().position(|reads| reads.index_id == index_id);
        let at = at.unwrap_or_else(|| {
            indexes.push(IndexReads { index_id, keys: HashSet::new(), ranges: Vec::new() });
            indexes.len() - 1
        });
        &mut indexes[at]
    }

    /// Notes that the key with this hash was looked for in a unique index.
    pub(super) fn add_key(&mut self, space_id: u32, index_id: u32, hash: u64) {
        self.of_index(space_id, index_id).add_key(hash);
    }

    /// Notes that all of an index was read.
    pub(super) fn add_whole(&mut self, space_id: u32, index_id: u32) {
        self.of_index(space_id, index_id).add_range(Range::WHOLE);
    }

    /// Notes a walk over an index; `last` is the tuple that it ended at because of its limit. The transaction had written
    /// `at` keys before.
    pub(super) fn add_walk(
        &mut self,
        space_id: u32,
        index: &Index,
        (kind, key): (Kind, &[u8]),
        last: Option<Tuple>,
        at: usize,
    ) {
        if index.def.index_type != IndexType::Tree || !index.has_one_key() {
            return self.add_whole(space_id, index.def.id);
        }
        let end = |is_inside| match Key::from_array(key).part_count {
            0 => End::Open,
            _ => End::Key(key.into(), is_inside),
        };
        let (mut low, mut high) = match kind {
            Kind::Eq | Kind::Req => (end(true), end(true)),
            Kind::Ge | Kind::All => (end(true), End::Open),
            Kind::Gt => (end(false), End::Open),
            Kind::Le => (End::Open, end(true)),
            Kind::Lt => (End::Open, end(false)),
            _ => (End::Open, End::Open),
        };
        if let Some(last) = last {
            match kind {
                Kind::Eq | Kind::Ge | Kind::All | Kind::Gt => high = End::Tuple(last),
                Kind::Req | Kind::Le | Kind::Lt => low = End::Tuple(last),
                _ => {}
            }
        }
        self.of_index(space_id, index.def.id).add_range(Range { low, high, at });
    }

    /// True if the transaction has read that `tuple` is in its space, or that it is not. `written_at` is when it has itself
    /// written the primary key of the tuple.
    pub(super) fn has(&self, space: &Space, tuple: &Tuple, written_at: Option<usize>) -> bool {
        let Some(indexes) = self.spaces.get(&space.def.id) else { return false };
        indexes.iter().any(|reads| match space.index(reads.index_id) {
            Ok(index) => reads.have(index, tuple, written_at),
            Err(_) => true,
        })
    }
}

impl IndexReads {
    fn add_key(&mut self, hash: u64) {
        if self.keys.len() < KEYS_MAX {
            self.keys.insert(hash);
        } else if !self.keys.contains(&hash) {
            self.add_range(Range::WHOLE);
        }
    }

    fn add_range(&mut self, range: Range) {
        if range.is_whole() || self.ranges.len() >= RANGES_MAX {
            self.ranges.truncate(1);
            match self.ranges.first_mut() {
                Some(first) => *first = Range::WHOLE,
                None => self.ranges.push(Range::WHOLE),
            }
        } else if !self.ranges.first().is_some_and(Range::is_whole) {
            self.ranges.push(range);
        }
    }

    fn have(&self, index: &Index, tuple: &Tuple, written_at: Option<usize>) -> bool {
        if !index.has_one_key() {
            // It counts as read whole.
            return !self.ranges.is_empty();
        }
        let key_def = &index.def.key_def;
        if !key_def.includes(tuple) {
            return false;
        }
        if !self.keys.is_empty() && self.keys.contains(&key_def.hash(tuple)) {
            return true;
        }
        self.ranges.iter().any(|range| {
            written_at.is_none_or(|at| at >= range.at)
                && range.low.holds(index, tuple, Ordering::Less)
                && range.high.holds(index, tuple, Ordering::Greater)
        })
    }
}
