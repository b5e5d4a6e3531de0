//! RTREE: rectangles and points of up to twenty dimensions.
//!
//! An R*-tree without forced reinsertion whose nodes are shared and copied when written: a clone is a read view in O(1),
//! and a write after it copies the nodes on its way. It grows exactly as Tarantool's does, so rows come in the same order.
//! Why it is written here and not taken from a crate is docs/decisions/0009-rtree-and-bitset.md.
//!
//! Source: types-and-indexes.md §6.2; Tarantool `src/box/memtx_rtree.cc`, `src/lib/salad/rtree.c`.

mod node;
mod rect;
mod walk;

#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use triomphe::Arc;

use self::node::{Branch, Child, Node, Shape};
use self::rect::Rect;
pub(super) use self::walk::Walk;
use crate::db::key_def::{Key, KeyDef};
use crate::db::memory::AccountId;
use crate::db::schema::index_def::{Distance, IndexDef};
use crate::db::tuple::Tuple;

/// The entries of an RTREE.
#[derive(Clone)]
pub(super) struct Rtree {
    /// The indexed field.
    key_def: KeyDef,
    /// Axes of a rectangle.
    dimension: u32,
    distance: Distance,
    shape: Shape,
    root: Arc<Node>,
    /// Levels of nodes, the leaves among them.
    height: usize,
    len: usize,
}

impl Rtree {
    pub(super) fn new(def: &IndexDef, account: AccountId) -> Self {
        // One that does not fit is refused before there are entries: see `IndexDef::check_dimension`.
        let dimension = u32::try_from(def.rtree.dimension).unwrap_or(0);
        Self {
            key_def: def.key_def.clone(),
            dimension,
            distance: def.rtree.distance,
            shape: Shape::new(dimension),
            root: Arc::new(Node::new(account)),
            height: 1,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bsize(&self) -> usize {
        self.root.bsize()
    }

    pub(super) fn clear(&mut self) {
        (self.root, self.height, self.len) = (Arc::new(self.root.empty()), 1, 0);
    }

    fn rect(&self, tuple: &Tuple) -> Result<Rect> {
        let field = self.key_def.field(tuple, 0).unwrap_or(&[0xc0]);
        rect::from_field(field, self.dimension)
    }

    /// Checks that the indexed field is a rectangle.
    ///
    /// # Errors
    /// RTREE_RECT, FIELD_TYPE.
    pub(super) fn check_tuple(&self, tuple: &Tuple) -> Result<()> {
        self.rect(tuple).map(|_| ())
    }

    /// Checks a search key.
    ///
    /// # Errors
    /// KEY_PART_COUNT, KEY_PART_TYPE, RTREE_RECT, FIELD_TYPE.
    pub(super) fn check_key(&self, key: &Key<'_>) -> Result<()> {
        rect::from_key(key, self.dimension).map(|_| ())
    }

    pub(super) fn change(&mut self, old: Option<&Tuple>, new: Option<&Tuple>) {
        if let Some(new) = new {
            self.insert(new);
        }
        if let Some(old) = old {
            self.remove(old);
        }
    }

    fn insert(&mut self, tuple: &Tuple) {
        let rect = self.rect(tuple).expect("check_tuple was asked before");
        self.put(Branch { rect, child: Child::Tuple(tuple.clone()) }, 1);
        self.len += 1;
    }

    /// Puts a branch into a node of a level; leaves are at level 1.
    fn put(&mut self, branch: Branch, level: usize) {
        let root = Arc::make_mut(&mut self.root);
        if let Some(neighbour) = root.insert(branch, self.height - level, &self.shape) {
            let old = std::mem::replace(root, root.empty());
            *root = Node::over(old, neighbour);
            self.height += 1;
        }
    }

    fn remove(&mut self, tuple: &Tuple) {
        let Ok(rect) = self.rect(tuple) else { return };
        let mut path = ArrayVec::new();
        let is_found = self.root.path_to(tuple, &rect, &mut path);
        debug_assert!(is_found, "only what the index holds is taken out");
        if !is_found {
            return;
        }
        let mut orphans = Vec::new();
        Arc::make_mut(&mut self.root).take_out(&path, &self.shape, &mut orphans);
        self.len -= 1;
        // What was below nodes that became too empty goes in anew, from the highest of them down.
        while let Some(orphan) = orphans.pop() {
            let level = orphans.len() + 1;
            orphan.into_branches().for_each(|branch| self.put(branch, level));
        }
        if let Some(only) = self.root.only_node() {
            self.root = only;
            self.height -= 1;
        }
    }

    pub(super) fn select(&self, kind: Kind, key: &Key<'_>) -> Walk<'_> {
        let rect = match key.part_count {
            // Only ALL, which looks at no key, needs none.
            0 => Rect::new(),
            _ => rect::from_key(key, self.dimension).expect("check_select was asked before"),
        };
        match kind {
            Kind::Neighbor => Walk::nearest(&self.root, self.height, rect, self.distance),
            _ => Walk::matching(&self.root, kind, rect),
        }
    }
}
