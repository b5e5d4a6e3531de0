//! A B+tree whose nodes are shared and copied when written.
//!
//! Cloning a tree takes O(1) and gives a read view: both share every node. A writer changes a node in place while nobody
//! else holds it, else it copies that node first, so what a clone sees never changes.
//!
//! ```text
//! Inner   children c0 c1 c2 ...      keys    k1 k2 ...       every item of c[i-1]  <  k[i]  =  the first item of c[i]
//! Leaf    keys, ascending
//! ```
//!
//! An item is stored under a hint, eight bytes that order as the items do. Hints decide first; only among items of equal
//! hints the tree asks the caller. The hints of a node lie together, apart from the items, so a search reads few cache
//! lines, most of them at once, and touches no item before it is down to those of the hint it seeks.
//!
//! A leaf that is full gives items to a neighbour that has room before it is split (`room`), so leaves are well filled
//! whatever the order of insertions is. Each node is charged to the account of the database.
//!
//! Invariants: all leaves are at one depth; no node but the root and the last of its level is thinner than
//! [`FANOUT_LOW`], none is empty but an empty root. No key is an item that is gone, which would keep its memory.
//!
//! The tree knows no order of its own among items of one hint: every call brings a predicate or a comparison for them, and
//! all must agree.

mod room;

use std::cmp::Ordering;

use arrayvec::ArrayVec;
use triomphe::Arc;

use crate::db::memory::{AccountId, Charge, block_bytes};

/// Items of a leaf, children of an inner node: as many as make a leaf of tuples fill a block of a kilobyte.
const FANOUT: usize = 62;
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
    /// For the node that they are of.
    charge: Charge,
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
    fn new(charge: Charge) -> Self {
        Self { hints: ArrayVec::new(), items: ArrayVec::new(), charge }
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

    /// Takes out what follows the first `at`, for another node of the kind.
    fn split_off(&mut self, at: usize) -> Self {
        let (hints, items) = (self.hints.drain(at..).collect(), self.items.drain(at..).collect());
        Self { hints, items, charge: self.charge.clone() }
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

impl<T> Extend<(u64, T)> for Keys<T> {
    fn extend<I: IntoIterator<Item = (u64, T)>>(&mut self, pairs: I) {
        pairs.into_iter().for_each(|(hint, item)| self.push(hint, item));
    }
}

/// Bytes of the block of a shared node.
const fn node_bytes<N>() -> usize {
    /// The reference count that stands before it.
    const COUNT_BYTES: usize = size_of::<usize>();
    block_bytes(COUNT_BYTES + size_of::<N>())
}

type Leaf<T> = Keys<T>;

/// A leaf without items.
fn leaf<T>(account: AccountId) -> Leaf<T> {
    Keys::new(account.node(node_bytes::<Leaf<T>>()))
}

#[derive(Clone)]
struct Inner<T> {
    /// The separators, one fewer than children.
    keys: Keys<T>,
    children: ArrayVec<Node<T>, FANOUT>,
}

impl<T> Inner<T> {
    /// A node with one child.
    fn over(child: Node<T>, account: AccountId) -> Self {
        let keys = Keys::new(account.node(node_bytes::<Self>()));
        Self { keys, children: ArrayVec::from_iter([child]) }
    }

    /// Adds a child after the others; `key` is not above any item of it, and above those before.
    fn push(&mut self, (hint, item): (u64, T), child: Node<T>) {
        self.keys.push(hint, item);
        self.children.push(child);
    }
}

enum Node<T> {
    Leaf(Arc<Leaf<T>>),
    Inner(Arc<Inner<T>>),
}

impl<T> Node<T> {
    fn empty(account: AccountId) -> Self {
        Self::Leaf(Arc::new(leaf(account)))
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
    /// What its nodes are charged to.
    account: AccountId,
}

impl<T> Clone for Tree<T> {
    /// A read view, in O(1).
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len, account: self.account }
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
    /// The item is not in: the node is a full leaf.
    Full((u64, T)),
}

/// Bytes of a node and of those below it.
fn bytes_below<T>(node: &Node<T>) -> usize {
    match node {
        Node::Leaf(_) => node_bytes::<Leaf<T>>(),
        Node::Inner(inner) => {
            let below: usize = inner.children.iter().map(bytes_below).sum();
            node_bytes::<Inner<T>>() + below
        }
    }
}

impl<T: Clone> Tree<T> {
    /// An empty tree whose nodes are charged to `account`.
    pub fn new(account: AccountId) -> Self {
        Self { root: Node::empty(account), len: 0, account }
    }

    /// Drops every item.
    pub fn clear(&mut self) {
        *self = Self::new(self.account);
    }

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
        let (key, right) = match grow::<T, REPLACES>(&mut self.root, (hint, item), true, &tie) {
            Grown::Met(other) => return Some(other),
            Grown::Inserted => {
                self.len += 1;
                return None;
            }
            Grown::Split(key, right) => (key, right),
            Grown::Full(pair) => room::split(&mut self.root, pair, &tie),
        };
        let left = std::mem::replace(&mut self.root, Node::empty(self.account));
        let mut root = Inner::over(left, self.account);
        root.push(key, right);
        self.root = Node::Inner(Arc::new(root));
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
    pub fn from_sorted(account: AccountId, items: impl IntoIterator<Item = (u64, T)>) -> Self {
        let mut builder = Builder::new(account);
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
    account: AccountId,
}

impl<T: Clone> Builder<T> {
    /// Without items. Nodes are charged to `account`.
    pub(super) fn new(account: AccountId) -> Self {
        Self { level: Vec::new(), leaf: leaf(account), len: 0, account }
    }

    /// What nodes are charged to.
    pub(super) fn account(&self) -> AccountId {
        self.account
    }

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
        let full = std::mem::replace(&mut self.leaf, leaf(self.account));
        self.level.push((full.first(), Node::Leaf(Arc::new(full))));
    }

    /// The tree.
    pub(super) fn build(mut self) -> Tree<T> {
        if self.leaf.len() > 0 {
            self.close_leaf();
        }
        let Self { mut level, len, account, .. } = self;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(FANOUT));
            let mut nodes = level.into_iter();
            while let Some((low, child)) = nodes.next() {
                let mut inner = Inner::over(child, account);
                while !inner.children.is_full()
                    && let Some((key, child)) = nodes.next()
                {
                    inner.push(key, child);
                }
                above.push((low, Node::Inner(Arc::new(inner))));
            }
            level = above;
        }
        let root = level.pop().map_or_else(|| Node::empty(account), |(_, root)| root);
        Tree { root, len, account }
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
                Err(FANOUT) if is_last => {
                    // Ascending keys fill the last leaf to the brim: what follows starts a new one.
                    let mut right = leaf.split_off(FANOUT);
                    right.push(hint, item);
                    Grown::Split(right.first(), Node::Leaf(Arc::new(right)))
                }
                Err(_) => Grown::Full((hint, item)),
            }
        }
        Node::Inner(inner) => {
            let inner = Arc::make_mut(inner);
            let at = inner.keys.partition(hint, |key| tie(key, &item).is_le());
            let is_last = is_last && at == inner.keys.len();
            let child = &mut inner.children[at];
            let (at, key, child) = match grow::<T, REPLACES>(child, (hint, item), is_last, tie) {
                Grown::Split(key, child) => (at, key, child),
                Grown::Full(pair) => match inner.make_room(at, pair, tie) {
                    Some(split) => split,
                    None => return Grown::Inserted,
                },
                Grown::Met(old) if REPLACES => {
                    inner.renew_key(at, hint, |key| tie(key, &old));
                    return Grown::Met(old);
                }
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
            inner.renew_key(at, hint, tie);
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

impl<T: Clone> Node<T> {
    /// A copy of the first item below with its hint; None if there is none.
    fn first(&self) -> Option<(u64, T)> {
        let mut node = self;
        loop {
            match node {
                Self::Inner(inner) => node = inner.children.first()?,
                Self::Leaf(leaf) => return (leaf.len() > 0).then(|| leaf.first()),
            }
        }
    }
}

impl<T: Clone> Inner<T> {
    /// Makes the first item of child `at` its key, if that was the item that has just gone from there.
    #[inline]
    fn renew_key(&mut self, at: usize, hint: u64, tie: impl Fn(&T) -> Ordering) {
        if let Some(before) = at.checked_sub(1)
            && self.keys.hints[before] == hint
            && tie(&self.keys.items[before]).is_eq()
            && let Some((hint, item)) = self.children[at].first()
        {
            (self.keys.hints[before], self.keys.items[before]) = (hint, item);
        }
    }

    /// Joins child `at`, which is thin, with a neighbour; if one node cannot hold both, evens them out.
    fn join(&mut self, at: usize) {
        let left = at.saturating_sub(1);
        if left + 1 >= self.children.len() {
            return;
        }
        let account = self.keys.charge.account();
        let right = self.children.remove(left + 1);
        let key = self.keys.remove(left);
        let split = match (&mut self.children[left], right) {
            (Node::Leaf(left), Node::Leaf(right)) => {
                let mut pairs: Vec<(u64, T)> = left.pairs().chain(right.pairs()).collect();
                let tail = (pairs.len() > FANOUT).then(|| pairs.split_off(pairs.len() / 2));
                let of = |pairs: Vec<(u64, T)>| {
                    let mut keys = leaf(account);
                    keys.extend(pairs);
                    Arc::new(keys)
                };
                *left = of(pairs);
                tail.map(|tail| (tail[0].clone(), Node::Leaf(of(tail))))
            }
            (Node::Inner(left), Node::Inner(right)) => {
                let keys = left.keys.pairs().chain([key]).chain(right.keys.pairs());
                let mut keys: Vec<(u64, T)> = keys.collect();
                let mut children: Vec<Node<T>> =
                    left.children.iter().chain(&right.children).cloned().collect();
                let of = |pairs: Vec<(u64, T)>, children: Vec<Node<T>>| {
                    let mut keys = Keys::new(account.node(node_bytes::<Self>()));
                    keys.extend(pairs);
                    Arc::new(Self { keys, children: children.into_iter().collect() })
                };
                let tail = (children.len() > FANOUT).then(|| {
                    let half = children.len() / 2;
                    let right = of(keys.split_off(half), children.split_off(half));
                    (keys.pop().expect("a key between the halves"), Node::Inner(right))
                });
                *left = of(keys, children);
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
mod tests;
