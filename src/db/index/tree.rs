//! A B+tree whose nodes are shared and copied when written.
//!
//! Cloning a tree takes O(1) and gives a read view: both share every node. A writer changes a node in place while nobody
//! else holds it, else it copies that node first, so what a clone sees never changes.
//!
//! ```text
//! Inner   children c0 c1 c2 ...      keys    k1 k2 ...       every item of c[i-1]  <  k[i]  <=  every item of c[i]
//! Leaf    keys, ascending
//! ```
//!
//! An item is stored under a hint, eight bytes that order as the items do. Hints decide first; only among items of equal
//! hints the tree asks the caller. The hints of a node lie together, apart from the items, so a search reads few cache
//! lines, most of them at once, and touches no item before it is down to those of the hint it seeks.
//!
//! Invariants: all leaves are at one depth; no node but the root and the last of its level is thinner than
//! [`FANOUT_LOW`], none is empty but an empty root. A key may be an item that is gone: it still separates.
//!
//! The tree knows no order of its own among items of one hint: every call brings a predicate or a comparison for them, and
//! all must agree.

use std::cmp::Ordering;

use arrayvec::ArrayVec;
use triomphe::Arc;

/// Items of a leaf, children of an inner node: as many as keep a leaf of tuples at about a kilobyte.
const FANOUT: usize = 64;
/// A node below this tries to join a neighbour.
const FANOUT_LOW: usize = FANOUT / 4;
/// Inner levels: 32^12 items would be needed to pass it.
const DEPTH_MAX: usize = 12;
/// Hints of one cache line.
const LINE: usize = 8;

/// Items in order, each with its hint.
#[derive(Clone)]
struct Keys<T> {
    hints: ArrayVec<u64, FANOUT>,
    /// As many as there are hints.
    items: ArrayVec<T, FANOUT>,
}

/// How many of the hints, which ascend, are lower than `hint`.
///
/// The last hint of each line is looked at first: these reads do not wait for one another.
#[inline]
fn lower(hints: &[u64], hint: u64) -> usize {
    let lines = hints.chunks_exact(LINE).filter(|line| line[LINE - 1] < hint).count();
    let at = lines * LINE;
    at + hints[at..].iter().take(LINE).filter(|other| **other < hint).count()
}

impl<T> Keys<T> {
    fn new() -> Self {
        Self { hints: ArrayVec::new(), items: ArrayVec::new() }
    }

    fn len(&self) -> usize {
        self.hints.len()
    }

    fn is_full(&self) -> bool {
        self.hints.is_full()
    }

    /// The items that have this hint: where they begin, and they themselves.
    #[inline]
    fn equal(&self, hint: u64) -> (usize, &[T]) {
        let at = lower(&self.hints, hint);
        let after = match self.hints.get(at) {
            Some(next) if *next == hint => match hint.checked_add(1) {
                Some(higher) => lower(&self.hints, higher),
                None => self.hints.len(),
            },
            _ => at,
        };
        (at, &self.items[at..after])
    }

    /// How many items are before a place; `before` tells for those of the hint.
    #[inline]
    fn partition(&self, hint: u64, before: impl Fn(&T) -> bool) -> usize {
        let (at, same) = self.equal(hint);
        at + same.partition_point(before)
    }

    /// Where the item is that compares equal, or where it would be. `tie` compares those of the hint with what is sought.
    #[inline]
    fn search(&self, hint: u64, tie: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
        let (at, same) = self.equal(hint);
        match same.binary_search_by(tie) {
            Ok(no) => Ok(at + no),
            Err(no) => Err(at + no),
        }
    }

    fn insert(&mut self, at: usize, hint: u64, item: T) {
        self.hints.insert(at, hint);
        self.items.insert(at, item);
    }

    fn push(&mut self, hint: u64, item: T) {
        self.hints.push(hint);
        self.items.push(item);
    }

    fn remove(&mut self, at: usize) -> (u64, T) {
        (self.hints.remove(at), self.items.remove(at))
    }

    fn pop(&mut self) -> Option<(u64, T)> {
        self.hints.pop().zip(self.items.pop())
    }

    /// Takes out what follows the first `at`.
    fn split_off(&mut self, at: usize) -> Self {
        Self { hints: self.hints.drain(at..).collect(), items: self.items.drain(at..).collect() }
    }
}

impl<T: Clone> Keys<T> {
    /// A copy of the first item with its hint.
    fn first(&self) -> (u64, T) {
        (self.hints[0], self.items[0].clone())
    }

    /// Copies of all items with their hints.
    fn pairs(&self) -> impl Iterator<Item = (u64, T)> {
        self.hints.iter().copied().zip(self.items.iter().cloned())
    }
}

impl<T> FromIterator<(u64, T)> for Keys<T> {
    fn from_iter<I: IntoIterator<Item = (u64, T)>>(pairs: I) -> Self {
        let mut keys = Self::new();
        pairs.into_iter().for_each(|(hint, item)| keys.push(hint, item));
        keys
    }
}

type Leaf<T> = Keys<T>;

#[derive(Clone)]
struct Inner<T> {
    /// The separators, one fewer than children.
    keys: Keys<T>,
    children: ArrayVec<Node<T>, FANOUT>,
}

enum Node<T> {
    Leaf(Arc<Leaf<T>>),
    Inner(Arc<Inner<T>>),
}

impl<T> Node<T> {
    fn empty() -> Self {
        Self::Leaf(Arc::new(Leaf::new()))
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(leaf) => Self::Leaf(leaf.clone()),
            Self::Inner(inner) => Self::Inner(inner.clone()),
        }
    }
}

/// The tree.
pub struct Tree<T> {
    root: Node<T>,
    len: usize,
}

impl<T> Clone for Tree<T> {
    /// A read view, in O(1).
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<T: Clone> Default for Tree<T> {
    fn default() -> Self {
        Self { root: Node::empty(), len: 0 }
    }
}

/// What an insertion did below a node.
enum Grown<T> {
    /// An equal item was there: this one, which was replaced or stays.
    Met(T),
    /// The item is in; nothing to do above.
    Inserted,
    /// The item is in; the node was split, this key and node follow it.
    Split((u64, T), Node<T>),
}

/// Bytes of a node and of those below it.
fn bytes_below<T>(node: &Node<T>) -> usize {
    /// The reference count that stands before a shared node.
    const COUNT_BYTES: usize = size_of::<usize>();
    match node {
        Node::Leaf(_) => COUNT_BYTES + size_of::<Leaf<T>>(),
        Node::Inner(inner) => {
            let below: usize = inner.children.iter().map(bytes_below).sum();
            COUNT_BYTES + size_of::<Inner<T>>() + below
        }
    }
}

impl<T: Clone> Tree<T> {
    /// The number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that the nodes take. Visits all inner nodes.
    pub fn node_bytes(&self) -> usize {
        bytes_below(&self.root)
    }

    /// The item that compares equal. `tie` tells how an item of this hint stands to what is sought.
    #[inline]
    pub fn get(&self, hint: u64, tie: impl Fn(&T) -> Ordering) -> Option<&T> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = inner.keys.partition(hint, |key| tie(key).is_le());
                    node = &inner.children[child];
                }
                Node::Leaf(leaf) => return leaf.search(hint, &tie).ok().map(|at| &leaf.items[at]),
            }
        }
    }

    /// Puts `item` in, in place of an equal one if there is one, which is returned. `tie` tells how an item of this hint
    /// stands to `item`.
    pub fn replace(&mut self, hint: u64, item: T, tie: impl Fn(&T, &T) -> Ordering) -> Option<T> {
        self.put::<true>(hint, item, tie)
    }

    /// Puts `item` in, unless there is an equal one, which stays and is returned. `tie` as in [`Self::replace`].
    pub fn insert(&mut self, hint: u64, item: T, tie: impl Fn(&T, &T) -> Ordering) -> Option<T> {
        self.put::<false>(hint, item, tie)
    }

    #[inline]
    fn put<const REPLACES: bool>(
        &mut self,
        hint: u64,
        item: T,
        tie: impl Fn(&T, &T) -> Ordering,
    ) -> Option<T> {
        match grow::<T, REPLACES>(&mut self.root, (hint, item), true, &tie) {
            Grown::Met(other) => return Some(other),
            Grown::Inserted => {}
            Grown::Split((hint, item), right) => {
                let left = std::mem::replace(&mut self.root, Node::empty());
                let mut inner = Inner { keys: Keys::new(), children: ArrayVec::new() };
                inner.keys.push(hint, item);
                inner.children.extend([left, right]);
                self.root = Node::Inner(Arc::new(inner));
            }
        }
        self.len += 1;
        None
    }

    /// Takes the item out that compares equal. `tie` as in [`Self::get`].
    pub fn remove(&mut self, hint: u64, tie: impl Fn(&T) -> Ordering) -> Option<T> {
        let removed = shrink(&mut self.root, hint, &tie)?;
        self.len -= 1;
        if let Node::Inner(inner) = &mut self.root
            && inner.children.len() == 1
        {
            let child = inner.children[0].clone();
            self.root = child;
        }
        Some(removed)
    }

    /// The place between the items before and after a hint; `before` tells for the items of the hint, and must hold for all
    /// up to some place and for none after it.
    #[inline]
    pub fn seek(&self, hint: u64, before: impl Fn(&T) -> bool) -> Cursor<'_, T> {
        self.descend(|keys| keys.partition(hint, &before))
    }

    /// The place before the first item.
    pub fn first(&self) -> Cursor<'_, T> {
        self.descend(|_| 0)
    }

    /// The place after the last item.
    pub fn last(&self) -> Cursor<'_, T> {
        self.descend(Keys::len)
    }

    /// Goes down by a place in each node.
    #[inline]
    fn descend(&self, place: impl Fn(&Keys<T>) -> usize) -> Cursor<'_, T> {
        let mut path = ArrayVec::new();
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = place(&inner.keys);
                    path.push((&**inner, child));
                    node = &inner.children[child];
                }
                Node::Leaf(leaf) => return Cursor { path, leaf, at: place(leaf) },
            }
        }
    }

    /// Every item, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut cursor = self.first();
        std::iter::from_fn(move || cursor.step().map(|(_, item)| item))
    }

    /// Gives every item, ascending, until `each` fails. Lets go of each node when its items were given: other trees that share
    /// it need not copy it any more when they change.
    pub fn drain<E>(
        self,
        mut each: impl FnMut(&T) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        drain(self.root, &mut each)
    }

    /// Builds a tree from items with their hints that ascend strictly; nodes are filled.
    pub fn from_sorted(items: impl IntoIterator<Item = (u64, T)>) -> Self {
        let mut builder = Builder::default();
        items.into_iter().for_each(|(hint, item)| builder.push(hint, item));
        builder.build()
    }
}

/// A tree in the making, whose items come in their order. Nodes are filled.
pub(super) struct Builder<T> {
    /// The leaves that are full, each with its first item.
    level: Vec<((u64, T), Node<T>)>,
    leaf: Leaf<T>,
    len: usize,
}

impl<T> Default for Builder<T> {
    fn default() -> Self {
        Self { level: Vec::new(), leaf: Leaf::new(), len: 0 }
    }
}

impl<T: Clone> Builder<T> {
    /// The item that came last, with its hint.
    pub(super) fn last(&self) -> Option<(u64, &T)> {
        Some((*self.leaf.hints.last()?, self.leaf.items.last()?))
    }

    /// Takes the next item, which must follow the last one.
    #[inline]
    pub(super) fn push(&mut self, hint: u64, item: T) {
        if self.leaf.is_full() {
            self.close_leaf();
        }
        self.leaf.push(hint, item);
        self.len += 1;
    }

    fn close_leaf(&mut self) {
        let full = std::mem::replace(&mut self.leaf, Leaf::new());
        self.level.push((full.first(), Node::Leaf(Arc::new(full))));
    }

    /// The tree.
    pub(super) fn build(mut self) -> Tree<T> {
        if self.leaf.len() > 0 {
            self.close_leaf();
        }
        let Self { mut level, len, .. } = self;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(FANOUT));
            let mut nodes = level.into_iter();
            while let Some((low, child)) = nodes.next() {
                let mut inner = Inner { keys: Keys::new(), children: ArrayVec::new() };
                inner.children.push(child);
                while !inner.children.is_full()
                    && let Some(((hint, item), child)) = nodes.next()
                {
                    inner.keys.push(hint, item);
                    inner.children.push(child);
                }
                above.push((low, Node::Inner(Arc::new(inner))));
            }
            level = above;
        }
        let root = level.pop().map_or_else(Node::empty, |(_, root)| root);
        Tree { root, len }
    }
}

fn drain<T: Clone, E>(
    node: Node<T>,
    each: &mut impl FnMut(&T) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    match node {
        Node::Leaf(leaf) => leaf.items.iter().try_for_each(each),
        Node::Inner(inner) => {
            let children = inner.children.clone();
            drop(inner);
            children.into_iter().try_for_each(|child| drain(child, each))
        }
    }
}

fn grow<T: Clone, const REPLACES: bool>(
    node: &mut Node<T>,
    (hint, item): (u64, T),
    is_last: bool,
    tie: &impl Fn(&T, &T) -> Ordering,
) -> Grown<T> {
    match node {
        Node::Leaf(leaf) => {
            let leaf = Arc::make_mut(leaf);
            match leaf.search(hint, |other| tie(other, &item)) {
                Ok(at) if REPLACES => Grown::Met(std::mem::replace(&mut leaf.items[at], item)),
                Ok(at) => Grown::Met(leaf.items[at].clone()),
                Err(at) if !leaf.is_full() => {
                    leaf.insert(at, hint, item);
                    Grown::Inserted
                }
                Err(at) => {
                    // Ascending keys fill the last leaf to the brim: what follows starts a new one.
                    let cut = if is_last && at == FANOUT { FANOUT } else { FANOUT / 2 };
                    let mut right = leaf.split_off(cut);
                    if at <= cut && cut != FANOUT {
                        leaf.insert(at, hint, item);
                    } else {
                        right.insert(at - cut, hint, item);
                    }
                    Grown::Split(right.first(), Node::Leaf(Arc::new(right)))
                }
            }
        }
        Node::Inner(inner) => {
            let inner = Arc::make_mut(inner);
            let at = inner.keys.partition(hint, |key| tie(key, &item).is_le());
            let is_last = is_last && at == inner.keys.len();
            let child = &mut inner.children[at];
            let (key, child) = match grow::<T, REPLACES>(child, (hint, item), is_last, tie) {
                Grown::Split(key, child) => (key, child),
                done => return done,
            };
            if !inner.children.is_full() {
                inner.keys.insert(at, key.0, key.1);
                inner.children.insert(at + 1, child);
                return Grown::Inserted;
            }
            let cut = if is_last { FANOUT - 1 } else { FANOUT / 2 };
            let mut right = Inner {
                keys: inner.keys.split_off(cut),
                children: inner.children.drain(cut..).collect(),
            };
            let up = inner.keys.pop().expect("half of the keys stay");
            if at < cut {
                inner.keys.insert(at, key.0, key.1);
                inner.children.insert(at + 1, child);
            } else {
                right.keys.insert(at - cut, key.0, key.1);
                right.children.insert(at - cut + 1, child);
            }
            Grown::Split(up, Node::Inner(Arc::new(right)))
        }
    }
}

fn shrink<T: Clone>(node: &mut Node<T>, hint: u64, tie: &impl Fn(&T) -> Ordering) -> Option<T> {
    match node {
        Node::Leaf(leaf) => {
            let at = leaf.search(hint, tie).ok()?;
            Some(Arc::make_mut(leaf).remove(at).1)
        }
        Node::Inner(inner) => {
            let at = inner.keys.partition(hint, |key| tie(key).is_le());
            let inner = Arc::make_mut(inner);
            let removed = shrink(&mut inner.children[at], hint, tie)?;
            if inner.children[at].width() < FANOUT_LOW {
                inner.join(at);
            }
            Some(removed)
        }
    }
}

impl<T> Node<T> {
    /// Items of a leaf, children of an inner node.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }
}

impl<T: Clone> Inner<T> {
    /// Joins child `at`, which is thin, with a neighbour; if one node cannot hold both, evens them out.
    fn join(&mut self, at: usize) {
        let left = at.saturating_sub(1);
        if left + 1 >= self.children.len() {
            return;
        }
        let right = self.children.remove(left + 1);
        let key = self.keys.remove(left);
        let split = match (&mut self.children[left], right) {
            (Node::Leaf(left), Node::Leaf(right)) => {
                let mut pairs: Vec<(u64, T)> = left.pairs().chain(right.pairs()).collect();
                let tail = (pairs.len() > FANOUT).then(|| pairs.split_off(pairs.len() / 2));
                *left = Arc::new(pairs.into_iter().collect());
                tail.map(|tail| (tail[0].clone(), Node::Leaf(Arc::new(tail.into_iter().collect()))))
            }
            (Node::Inner(left), Node::Inner(right)) => {
                let keys = left.keys.pairs().chain([key]).chain(right.keys.pairs());
                let mut keys: Vec<(u64, T)> = keys.collect();
                let mut children: Vec<Node<T>> =
                    left.children.iter().chain(&right.children).cloned().collect();
                let tail = (children.len() > FANOUT).then(|| {
                    let half = children.len() / 2;
                    let right = Inner {
                        children: children.split_off(half).into_iter().collect(),
                        keys: keys.split_off(half).into_iter().collect(),
                    };
                    (keys.pop().expect("a key between the halves"), Node::Inner(Arc::new(right)))
                });
                *left = Arc::new(Inner {
                    keys: keys.into_iter().collect(),
                    children: children.into_iter().collect(),
                });
                tail
            }
            _ => unreachable!("all leaves are at one depth"),
        };
        if let Some((key, right)) = split {
            self.keys.insert(left, key.0, key.1);
            self.children.insert(left + 1, right);
        }
    }
}

/// A place between two items of a tree.
pub struct Cursor<'a, T> {
    /// The inner nodes from the root down, each with the child that was taken.
    path: ArrayVec<(&'a Inner<T>, usize), DEPTH_MAX>,
    leaf: &'a Leaf<T>,
    /// Items of the leaf before the place.
    at: usize,
}

impl<'a, T: Clone> Cursor<'a, T> {
    /// Steps over the next item and gives it with its hint.
    #[inline]
    pub fn step(&mut self) -> Option<(u64, &'a T)> {
        if self.at == self.leaf.len() && !self.next_leaf() {
            return None;
        }
        self.at += 1;
        Some((self.leaf.hints[self.at - 1], &self.leaf.items[self.at - 1]))
    }

    /// Steps back over the item before the place and gives it with its hint.
    #[inline]
    pub fn step_back(&mut self) -> Option<(u64, &'a T)> {
        if self.at == 0 && !self.prev_leaf() {
            return None;
        }
        self.at -= 1;
        Some((self.leaf.hints[self.at], &self.leaf.items[self.at]))
    }

    /// Goes to the beginning of the next leaf; stays if there is none.
    fn next_leaf(&mut self) -> bool {
        let Some(level) =
            self.path.iter().rposition(|(inner, child)| child + 1 < inner.children.len())
        else {
            return false;
        };
        self.path[level].1 += 1;
        self.descend(level, |_| 0);
        self.at = 0;
        self.leaf.len() > 0
    }

    /// Goes to the end of the leaf before this one; stays if there is none.
    fn prev_leaf(&mut self) -> bool {
        let Some(level) = self.path.iter().rposition(|(_, child)| *child > 0) else {
            return false;
        };
        self.path[level].1 -= 1;
        self.descend(level, |inner| inner.children.len() - 1);
        self.at = self.leaf.len();
        self.at > 0
    }

    fn descend(&mut self, level: usize, child: impl Fn(&Inner<T>) -> usize) {
        self.path.truncate(level + 1);
        let (inner, at) = self.path[level];
        let mut node = &inner.children[at];
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = child(inner);
                    self.path.push((inner, at));
                    node = &inner.children[at];
                }
                Node::Leaf(leaf) => {
                    self.leaf = leaf;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Five items share a hint.
    fn hint(item: u16) -> u64 {
        u64::from(item / 5)
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(u16),
        PutNew(u16),
        Take(u16),
        View,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            3 => (0u16..600).prop_map(Op::Put),
            3 => (0u16..600).prop_map(Op::PutNew),
            5 => (0u16..600).prop_map(Op::Take),
            1 => Just(Op::View),
        ];
        prop::collection::vec(op, 0..4000)
    }

    fn check(tree: &Tree<u16>, model: &BTreeSet<u16>) {
        assert_eq!(tree.len(), model.len());
        assert!(tree.iter().eq(model.iter()));
        let mut back = tree.last();
        assert!(
            std::iter::from_fn(|| back.step_back()).map(|(_, item)| item).eq(model.iter().rev())
        );
        for bound in (0..600).step_by(37) {
            let (mut up, mut down) = (
                tree.seek(hint(bound), |item| *item < bound),
                tree.seek(hint(bound), |item| *item < bound),
            );
            assert_eq!(up.step().map(|(_, item)| item), model.range(bound..).next());
            assert_eq!(down.step_back().map(|(_, item)| item), model.range(..bound).next_back());
            assert_eq!(tree.get(hint(bound), |item| item.cmp(&bound)), model.get(&bound));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_as_an_ordered_set_and_views_stay(ops in ops()) {
            let (mut tree, mut model) = (Tree::default(), BTreeSet::new());
            let mut views = Vec::new();
            for op in ops {
                match op {
                    Op::Put(item) => {
                        let old = tree.replace(hint(item), item, Ord::cmp);
                        prop_assert_eq!(old.is_none(), model.insert(item));
                    }
                    Op::PutNew(item) => {
                        let met = tree.insert(hint(item), item, Ord::cmp);
                        prop_assert_eq!(met.is_none(), model.insert(item));
                    }
                    Op::Take(item) => {
                        let old = tree.remove(hint(item), |other| other.cmp(&item));
                        prop_assert_eq!(old.is_some(), model.remove(&item));
                    }
                    Op::View => views.push((tree.clone(), model.clone())),
                }
            }
            check(&tree, &model);
            for (tree, model) in &views {
                check(tree, model);
            }
            check(&Tree::from_sorted(model.iter().map(|item| (hint(*item), *item))), &model);
        }
    }

    #[test]
    fn deep_trees_split_and_join() {
        for descending in [false, true] {
            let mut tree = Tree::default();
            let keys: Vec<u32> =
                if descending { (0..100_000).rev().collect() } else { (0..100_000).collect() };
            for key in &keys {
                tree.replace(u64::from(*key), *key, Ord::cmp);
            }
            let view = tree.clone();
            assert!(tree.iter().copied().eq(0..100_000));
            for key in keys.iter().filter(|key| **key % 100 != 0) {
                assert_eq!(tree.remove(u64::from(*key), |other| other.cmp(key)), Some(*key));
            }
            assert!(tree.iter().copied().eq((0..100_000).step_by(100)));
            assert!(view.iter().copied().eq(0..100_000));
        }
    }
}
