//! A B+tree whose nodes are shared and copied when written.
//!
//! Cloning a tree takes O(1) and gives a read view: both share every node. A writer changes a node in place while nobody
//! else holds it, else it copies that node first, so what a clone sees never changes.
//!
//! ```text
//! Inner   children c0 c1 c2 ...      keys    k1 k2 ...       every item of c[i-1]  <  k[i]  <=  every item of c[i]
//! Leaf    items, ascending
//! ```
//!
//! Invariants: all leaves are at one depth; no node but the root and the last of its level is thinner than
//! [`FANOUT_LOW`], none is empty but an empty root. A key may be an item that is gone: it still separates.
//!
//! The tree knows no order of its own: every call brings a predicate or a comparison, and all must agree.

use std::cmp::Ordering;

use arrayvec::ArrayVec;
use triomphe::Arc;

/// Items of a leaf, children of an inner node: as many as keep a leaf of index entries at about a kilobyte.
const FANOUT: usize = 64;
/// A node below this tries to join a neighbour.
const FANOUT_LOW: usize = FANOUT / 4;
/// Inner levels: 32^12 items would be needed to pass it.
const DEPTH_MAX: usize = 12;

type Leaf<T> = ArrayVec<T, FANOUT>;

#[derive(Clone)]
struct Inner<T> {
    /// The separators, one fewer than children.
    keys: ArrayVec<T, FANOUT>,
    children: ArrayVec<Node<T>, FANOUT>,
}

enum Node<T> {
    Leaf(Arc<Leaf<T>>),
    Inner(Arc<Inner<T>>),
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
        Self { root: Node::Leaf(Arc::new(Leaf::new())), len: 0 }
    }
}

/// What an insertion did below a node.
enum Grown<T> {
    /// An equal item was there and was replaced.
    Replaced(T),
    /// The item is in; nothing to do above.
    Inserted,
    /// The item is in; the node was split, this key and node follow it.
    Split(T, Node<T>),
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

    /// The item that compares equal. `compare` tells how an item stands to what is sought.
    #[inline]
    pub fn get(&self, compare: impl Fn(&T) -> Ordering) -> Option<&T> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = inner.keys.partition_point(|key| compare(key) != Ordering::Greater);
                    node = &inner.children[child];
                }
                Node::Leaf(leaf) => {
                    return leaf.binary_search_by(&compare).ok().map(|at| &leaf[at]);
                }
            }
        }
    }

    /// Puts `item` in, in place of an equal one if there is one, which is returned.
    pub fn replace(&mut self, item: T, compare: impl Fn(&T, &T) -> Ordering) -> Option<T> {
        match grow(&mut self.root, item, true, &compare) {
            Grown::Replaced(old) => return Some(old),
            Grown::Inserted => {}
            Grown::Split(key, right) => {
                let left = std::mem::replace(&mut self.root, Node::Leaf(Arc::new(Leaf::new())));
                let mut inner = Inner { keys: ArrayVec::new(), children: ArrayVec::new() };
                inner.keys.push(key);
                inner.children.extend([left, right]);
                self.root = Node::Inner(Arc::new(inner));
            }
        }
        self.len += 1;
        None
    }

    /// Takes the item out that compares equal.
    pub fn remove(&mut self, compare: impl Fn(&T) -> Ordering) -> Option<T> {
        let removed = shrink(&mut self.root, &compare)?;
        self.len -= 1;
        if let Node::Inner(inner) = &mut self.root
            && inner.children.len() == 1
        {
            let child = inner.children[0].clone();
            self.root = child;
        }
        Some(removed)
    }

    /// The place before the first item for which `before` is false. `before` must hold for all items up to some place and for
    /// none after it.
    #[inline]
    pub fn seek(&self, before: impl Fn(&T) -> bool) -> Cursor<'_, T> {
        let mut path = ArrayVec::new();
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let child = inner.keys.partition_point(&before);
                    path.push((&**inner, child));
                    node = &inner.children[child];
                }
                Node::Leaf(leaf) => {
                    let at = leaf.partition_point(&before);
                    return Cursor { path, leaf, at };
                }
            }
        }
    }

    /// The place before the first item.
    pub fn first(&self) -> Cursor<'_, T> {
        self.seek(|_| false)
    }

    /// The place after the last item.
    pub fn last(&self) -> Cursor<'_, T> {
        self.seek(|_| true)
    }

    /// Every item, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut cursor = self.first();
        std::iter::from_fn(move || cursor.step())
    }

    /// Builds a tree from items that ascend strictly; nodes are filled.
    pub fn from_sorted(items: impl IntoIterator<Item = T>) -> Self {
        let mut leaves: Vec<(T, Node<T>)> = Vec::new();
        let mut leaf: Leaf<T> = Leaf::new();
        let mut len = 0;
        for item in items {
            if leaf.is_full() {
                let full = std::mem::take(&mut leaf);
                leaves.push((full[0].clone(), Node::Leaf(Arc::new(full))));
            }
            leaf.push(item);
            len += 1;
        }
        if let Some(first) = leaf.first() {
            leaves.push((first.clone(), Node::Leaf(Arc::new(leaf))));
        }
        let mut level = leaves;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(FANOUT));
            let mut nodes = level.into_iter().peekable();
            while let Some((low, child)) = nodes.next() {
                let mut inner = Inner { keys: ArrayVec::new(), children: ArrayVec::new() };
                inner.children.push(child);
                while !inner.children.is_full()
                    && let Some((key, child)) = nodes.next()
                {
                    inner.keys.push(key);
                    inner.children.push(child);
                }
                above.push((low, Node::Inner(Arc::new(inner))));
            }
            level = above;
        }
        let root = level.pop().map_or_else(|| Node::Leaf(Arc::new(Leaf::new())), |(_, root)| root);
        Self { root, len }
    }
}

fn grow<T: Clone>(
    node: &mut Node<T>,
    item: T,
    is_last: bool,
    compare: &impl Fn(&T, &T) -> Ordering,
) -> Grown<T> {
    match node {
        Node::Leaf(leaf) => {
            let leaf = Arc::make_mut(leaf);
            match leaf.binary_search_by(|other| compare(other, &item)) {
                Ok(at) => Grown::Replaced(std::mem::replace(&mut leaf[at], item)),
                Err(at) if !leaf.is_full() => {
                    leaf.insert(at, item);
                    Grown::Inserted
                }
                Err(at) => {
                    // Ascending keys fill the last leaf to the brim: what follows starts a new one.
                    let cut = if is_last && at == FANOUT { FANOUT } else { FANOUT / 2 };
                    let mut right: Leaf<T> = leaf.drain(cut..).collect();
                    if at <= cut && cut != FANOUT {
                        leaf.insert(at, item);
                    } else {
                        right.insert(at - cut, item);
                    }
                    Grown::Split(right[0].clone(), Node::Leaf(Arc::new(right)))
                }
            }
        }
        Node::Inner(inner) => {
            let inner = Arc::make_mut(inner);
            let at = inner.keys.partition_point(|key| compare(key, &item) != Ordering::Greater);
            let is_last = is_last && at == inner.keys.len();
            let (key, child) = match grow(&mut inner.children[at], item, is_last, compare) {
                Grown::Split(key, child) => (key, child),
                done => return done,
            };
            if !inner.children.is_full() {
                inner.keys.insert(at, key);
                inner.children.insert(at + 1, child);
                return Grown::Inserted;
            }
            let cut = if is_last { FANOUT - 1 } else { FANOUT / 2 };
            let mut right = Inner {
                keys: inner.keys.drain(cut..).collect(),
                children: inner.children.drain(cut..).collect(),
            };
            let up = inner.keys.pop().expect("half of the keys stay");
            if at < cut {
                inner.keys.insert(at, key);
                inner.children.insert(at + 1, child);
            } else {
                right.keys.insert(at - cut, key);
                right.children.insert(at - cut + 1, child);
            }
            Grown::Split(up, Node::Inner(Arc::new(right)))
        }
    }
}

fn shrink<T: Clone>(node: &mut Node<T>, compare: &impl Fn(&T) -> Ordering) -> Option<T> {
    match node {
        Node::Leaf(leaf) => {
            let at = leaf.binary_search_by(compare).ok()?;
            Some(Arc::make_mut(leaf).remove(at))
        }
        Node::Inner(inner) => {
            let at = inner.keys.partition_point(|key| compare(key) != Ordering::Greater);
            let inner = Arc::make_mut(inner);
            let removed = shrink(&mut inner.children[at], compare)?;
            if inner.children[at].width() < FANOUT_LOW {
                inner.join(at);
            }
            Some(removed)
        }
    }
}

impl<T: Clone> Node<T> {
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
                let mut items: Vec<T> = left.iter().chain(right.iter()).cloned().collect();
                let tail = (items.len() > FANOUT).then(|| items.split_off(items.len() / 2));
                *left = Arc::new(items.into_iter().collect());
                tail.map(|tail| (tail[0].clone(), Node::Leaf(Arc::new(tail.into_iter().collect()))))
            }
            (Node::Inner(left), Node::Inner(right)) => {
                let mut keys: Vec<T> = left.keys.iter().cloned().collect();
                keys.push(key);
                keys.extend(right.keys.iter().cloned());
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
            self.keys.insert(left, key);
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
    /// Steps over the next item and gives it.
    #[expect(clippy::should_implement_trait, reason = "a cursor goes both ways")]
    #[inline]
    pub fn step(&mut self) -> Option<&'a T> {
        if self.at == self.leaf.len() && !self.next_leaf() {
            return None;
        }
        self.at += 1;
        Some(&self.leaf[self.at - 1])
    }

    /// Steps back over the item before the place and gives it.
    #[inline]
    pub fn step_back(&mut self) -> Option<&'a T> {
        if self.at == 0 && !self.prev_leaf() {
            return None;
        }
        self.at -= 1;
        Some(&self.leaf[self.at])
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
        !self.leaf.is_empty()
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

    #[derive(Clone, Debug)]
    enum Op {
        Put(u16),
        Take(u16),
        View,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            6 => (0u16..600).prop_map(Op::Put),
            5 => (0u16..600).prop_map(Op::Take),
            1 => Just(Op::View),
        ];
        prop::collection::vec(op, 0..4000)
    }

    fn check(tree: &Tree<u16>, model: &BTreeSet<u16>) {
        assert_eq!(tree.len(), model.len());
        assert!(tree.iter().eq(model.iter()));
        let mut back = tree.last();
        assert!(std::iter::from_fn(|| back.step_back()).eq(model.iter().rev()));
        for bound in (0..600).step_by(37) {
            let (mut up, mut down) =
                (tree.seek(|item| *item < bound), tree.seek(|item| *item < bound));
            assert_eq!(up.step(), model.range(bound..).next());
            assert_eq!(down.step_back(), model.range(..bound).next_back());
            assert_eq!(tree.get(|item| item.cmp(&bound)), model.get(&bound));
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
                    Op::Put(item) => prop_assert_eq!(tree.replace(item, Ord::cmp).is_none(), model.insert(item)),
                    Op::Take(item) => prop_assert_eq!(tree.remove(|other| other.cmp(&item)).is_some(), model.remove(&item)),
                    Op::View => views.push((tree.clone(), model.clone())),
                }
            }
            check(&tree, &model);
            for (tree, model) in &views {
                check(tree, model);
            }
            check(&Tree::from_sorted(model.iter().copied()), &model);
        }
    }

    #[test]
    fn deep_trees_split_and_join() {
        for descending in [false, true] {
            let mut tree = Tree::default();
            let keys: Vec<u32> =
                if descending { (0..100_000).rev().collect() } else { (0..100_000).collect() };
            for key in &keys {
                tree.replace(*key, Ord::cmp);
            }
            let view = tree.clone();
            assert!(tree.iter().copied().eq(0..100_000));
            for key in keys.iter().filter(|key| **key % 100 != 0) {
                assert_eq!(tree.remove(|other| other.cmp(key)), Some(*key));
            }
            assert!(tree.iter().copied().eq((0..100_000).step_by(100)));
            assert!(view.iter().copied().eq(0..100_000));
        }
    }
}
