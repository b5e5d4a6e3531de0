//! Walks over an R-tree: those that a rectangle selects, and all by distance.
//!
//! Source: Tarantool `src/lib/salad/rtree.c` rtree_search, rtree_iterator_next.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use arrayvec::ArrayVec;
use lycosa_proto::iproto::Iterator as Kind;

use super::node::{Child, HEIGHT_MAX, Node};
use super::rect::{self, Rect};
use crate::db::schema::index_def::Distance;
use crate::db::tuple::Tuple;

/// Does a rectangle of the tree (the second) go with the key (the first)?
type Test = fn(&[f64], &[f64]) -> bool;

/// A walk over the tuples of a SELECT.
pub struct Walk<'a>(Way<'a>);

/// Boxed, so that walks over other kinds of indexes stay short.
enum Way<'a> {
    /// Depth first, into what may hold something.
    Matching(Box<Matching<'a>>),
    /// Nearest first.
    Nearest(Box<Nearest<'a>>),
}

impl<'a> Walk<'a> {
    /// A walk over those rectangles below `root` that an iterator other than NEIGHBOR selects.
    pub(super) fn matching(root: &'a Node, kind: Kind, key: Rect) -> Self {
        let (descends, takes): (Test, Test) = match kind {
            Kind::Eq => (rect::is_inside, |key, rect| key == rect),
            Kind::Ge => (rect::is_inside, rect::is_inside),
            Kind::Gt => (rect::is_strictly_inside, rect::is_strictly_inside),
            Kind::Le => (rect::intersect, |key, rect| rect::is_inside(rect, key)),
            Kind::Lt => (rect::intersect, |key, rect| rect::is_strictly_inside(rect, key)),
            Kind::Overlaps => (rect::intersect, rect::intersect),
            Kind::All => (|_, _| true, |_, _| true),
            _ => unreachable!("check_select refuses the others"),
        };
        let mut path = ArrayVec::new();
        path.push((root, 0));
        Self(Way::Matching(Box::new(Matching { key, descends, takes, path })))
    }

    /// A walk over everything below `root` at level `height`, by distance from the low corner of `key`.
    pub(super) fn nearest(root: &'a Node, height: usize, key: Rect, distance: Distance) -> Self {
        let (queue, free) = (BinaryHeap::new(), Vec::new());
        let mut nearest = Nearest { key, distance, queue, free, used: 0 };
        nearest.expand(root, height);
        Self(Way::Nearest(Box::new(nearest)))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Tuple;

    fn next(&mut self) -> Option<&'a Tuple> {
        match &mut self.0 {
            Way::Matching(matching) => matching.next(),
            Way::Nearest(nearest) => nearest.next(),
        }
    }
}

struct Matching<'a> {
    key: Rect,
    /// For rectangles of nodes.
    descends: Test,
    /// For rectangles of tuples.
    takes: Test,
    /// The nodes from the root down, each with the branch that comes next.
    path: ArrayVec<(&'a Node, usize), HEIGHT_MAX>,
}

impl<'a> Matching<'a> {
    fn next(&mut self) -> Option<&'a Tuple> {
        while let Some((node, at)) = self.path.last_mut() {
            if *at == node.len() {
                self.path.pop();
                continue;
            }
            let (node, branch) = (*node, *at);
            *at += 1;
            match node.child(branch) {
                Child::Tuple(tuple) if (self.takes)(&self.key, node.rect(branch)) => {
                    return Some(tuple);
                }
                Child::Node(below) if (self.descends)(&self.key, node.rect(branch)) => {
                    self.path.push((below, 0));
                }
                _ => {}
            }
        }
        None
    }
}

/// Something that waits for its turn in the order of distance.
struct Near<'a> {
    distance: f64,
    /// 0 for tuples, 1 for leaves, and so on: of what is equally far the lowest comes first,
    level: usize,
    /// then the lowest number. Numbers are used again, the last freed first: Tarantool compares addresses here.
    no: usize,
    child: &'a Child,
}

impl Ord for Near<'_> {
    /// The nearest is the greatest, as the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_distance = other.distance.total_cmp(&self.distance);
        by_distance.then(other.level.cmp(&self.level)).then(other.no.cmp(&self.no))
    }
}

impl PartialOrd for Near<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Near<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Near<'_> {}

struct Nearest<'a> {
    key: Rect,
    distance: Distance,
    queue: BinaryHeap<Near<'a>>,
    /// Numbers that are free, the last freed at the end.
    free: Vec<usize>,
    /// Numbers that were ever used.
    used: usize,
}

impl<'a> Nearest<'a> {
    /// Queues the branches of a node.
    fn expand(&mut self, node: &'a Node, level: usize) {
        for at in 0..node.len() {
            let distance = rect::distance(node.rect(at), &self.key, self.distance);
            let no = self.free.pop().unwrap_or(self.used);
            self.used = self.used.max(no + 1);
            self.queue.push(Near { distance, level: level - 1, no, child: node.child(at) });
        }
    }

    fn next(&mut self) -> Option<&'a Tuple> {
        loop {
            let near = self.queue.pop()?;
            self.free.push(near.no);
            match near.child {
                Child::Tuple(tuple) => return Some(tuple),
                Child::Node(node) => self.expand(node, near.level),
            }
        }
    }
}
