//! Room for an item whose leaf is full.
//!
//! ```text
//! a neighbour has room    LLLLLL..  FFFFFFFF            ->  LLLLLLL.  FFFFFFF.            evened out
//! neither has             NNNNNNNN  FFFFFFFF            ->  NNNNNN..  NNFFF...  FFFFF...  two become three
//! no neighbour: the root  FFFFFFFF                      ->  FFFF....  FFFF....
//! ```
//!
//! Keys in random order leave leaves more than four fifths full this way, where halves alone would leave them two thirds.

use std::cmp::Ordering;

use triomphe::Arc;

use super::{FANOUT, Inner, Keys, Leaf, Node};

/// A neighbour with fewer free places counts as full: to even out with it would be to do so again soon.
const ROOM_MIN: usize = FANOUT / 8;

/// An item with its hint.
type Pair<T> = (u64, T);

impl<T: Clone> Leaf<T> {
    /// Puts an item in that is not there; there is room.
    fn put(&mut self, (hint, item): Pair<T>, tie: &impl Fn(&T, &T) -> Ordering) {
        let at = self.partition(hint, |other| tie(other, &item).is_lt());
        self.insert(at, hint, item);
    }

    /// Moves the first items to the end of the leaf before this one.
    fn give_first(&mut self, count: usize, left: &mut Self) {
        left.hints.extend(self.hints.drain(..count));
        left.items.extend(self.items.drain(..count));
    }

    /// Moves the last items to the beginning of the leaf after this one.
    fn give_last(&mut self, count: usize, right: &mut Self) {
        let at = self.len() - count;
        let mut joined = self.split_off(at);
        joined.hints.extend(right.hints.drain(..));
        joined.items.extend(right.items.drain(..));
        *right = joined;
    }
}

/// Splits a leaf without neighbours and puts an item in. Gives the right half with its first item.
pub(super) fn split<T: Clone>(
    node: &mut Node<T>,
    pair: Pair<T>,
    tie: &impl Fn(&T, &T) -> Ordering,
) -> (Pair<T>, Node<T>) {
    let Node::Leaf(leaf) = node else { unreachable!("only leaves are full") };
    let leaf = Arc::make_mut(leaf);
    let mut right = leaf.split_off(FANOUT / 2);
    let half = if is_from(&right, &pair, tie) { &mut right } else { leaf };
    half.put(pair, tie);
    (right.first(), Node::Leaf(Arc::new(right)))
}

/// True if an item belongs to a leaf or behind it, not before.
fn is_from<T>(leaf: &Keys<T>, pair: &Pair<T>, tie: &impl Fn(&T, &T) -> Ordering) -> bool {
    let hint = leaf.hints[0];
    hint < pair.0 || (hint == pair.0 && tie(&leaf.items[0], &pair.1).is_le())
}

impl<T: Clone> Inner<T> {
    /// Free places of a leaf; none where there is no leaf.
    fn free(&self, at: Option<usize>) -> usize {
        match at.and_then(|at| self.children.get(at)) {
            Some(Node::Leaf(leaf)) => FANOUT - leaf.len(),
            _ => 0,
        }
    }

    /// Two leaves next to each other, for themselves.
    fn leaves(&mut self, left: usize) -> (&mut Leaf<T>, &mut Leaf<T>) {
        match &mut self.children[left..=left + 1] {
            [Node::Leaf(left), Node::Leaf(right)] => (Arc::make_mut(left), Arc::make_mut(right)),
            _ => unreachable!("all leaves are at one depth"),
        }
    }

    /// Puts an item into child `at`, a leaf that is full, or next to it. Gives a new leaf with the place of the child that it
    /// follows and its first item, if it took one.
    pub(super) fn make_room(
        &mut self,
        at: usize,
        pair: Pair<T>,
        tie: &impl Fn(&T, &T) -> Ordering,
    ) -> Option<(usize, Pair<T>, Node<T>)> {
        if let [only] = &mut self.children[..] {
            let (key, right) = split(only, pair, tie);
            return Some((at, key, right));
        }
        let before = self.free(at.checked_sub(1));
        let after = self.free(Some(at + 1));
        if before.max(after) < ROOM_MIN {
            return Some(self.make_three(at, pair, tie));
        }
        let left = if before >= after { at - 1 } else { at };
        let (first, second) = self.leaves(left);
        if before >= after {
            second.give_first(before.div_ceil(2), first);
        } else {
            first.give_last(after.div_ceil(2), second);
        }
        let leaf = if is_from(second, &pair, tie) { &mut *second } else { first };
        leaf.put(pair, tie);
        let (hint, item) = second.first();
        (self.keys.hints[left], self.keys.items[left]) = (hint, item);
        None
    }

    /// Makes three leaves of child `at` and a neighbour.
    fn make_three(
        &mut self,
        at: usize,
        pair: Pair<T>,
        tie: &impl Fn(&T, &T) -> Ordering,
    ) -> (usize, Pair<T>, Node<T>) {
        let left = if at + 1 < self.children.len() { at } else { at - 1 };
        let (first, third) = self.leaves(left);
        let share = (first.len() + third.len()) / 3;
        let mut second = first.split_off(share);
        third.give_first(third.len() - share, &mut second);
        let leaf = match (is_from(third, &pair, tie), is_from(&second, &pair, tie)) {
            (true, _) => &mut *third,
            (false, true) => &mut second,
            (false, false) => first,
        };
        leaf.put(pair, tie);
        let (hint, item) = third.first();
        (self.keys.hints[left], self.keys.items[left]) = (hint, item);
        (left, second.first(), Node::Leaf(Arc::new(second)))
    }
}
