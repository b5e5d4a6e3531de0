//! Nodes of an R-tree: shared, copied when written, split and joined as Tarantool's pages are.
//!
//! Invariants: a branch's rectangle covers what is below it; all leaves are at one depth; no node but the root is emptier
//! than [`Shape::fill_min`].
//!
//! Source: Tarantool `src/lib/salad/rtree.c` rtree_split_page, rtree_page_insert, rtree_page_remove.

use arrayvec::ArrayVec;
use triomphe::Arc;

use super::rect::{self, Rect};
use crate::db::memory::{AccountId, Charge, block_bytes};
use crate::db::tuple::Tuple;

/// Branches of a node that make it as long as a page is at least (Tarantool's number).
const BRANCHES_OPTIMAL: usize = 18;
/// Bytes of a branch of Tarantool beside its rectangle.
const BRANCH_HEAD_BYTES: usize = 8;
/// Bytes of a page of Tarantool beside its branches.
const PAGE_HEAD_BYTES: usize = 4;
/// The highest tree: its nodes have eight branches or more.
pub(super) const HEIGHT_MAX: usize = 16;

/// How many branches a node has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Numbers of a rectangle, two for each axis.
    pub(super) coords: usize,
    /// The most branches of a node.
    pub(super) fill_max: usize,
    /// The fewest branches of a node that is not the root.
    pub(super) fill_min: usize,
}

impl Shape {
    /// The shape that Tarantool's pages have, so that trees grow alike and give their rows in the same order.
    pub(super) fn new(dimension: u32) -> Self {
        let coords = 2 * dimension as usize;
        let branch = BRANCH_HEAD_BYTES + coords * size_of::<f64>();
        let page = (BRANCHES_OPTIMAL * branch + PAGE_HEAD_BYTES).next_power_of_two();
        let fill_max = (page - PAGE_HEAD_BYTES) / branch;
        Self { coords, fill_max, fill_min: fill_max * 2 / 5 }
    }
}

/// What a branch leads to.
#[derive(Clone)]
pub(super) enum Child {
    /// In a leaf: a tuple.
    Tuple(Tuple),
    /// Above: a node.
    Node(Arc<Node>),
}

/// A branch that is on its way into a node.
pub(super) struct Branch {
    pub(super) rect: Rect,
    pub(super) child: Child,
}

/// A node: branches, each a rectangle and a child.
pub(super) struct Node {
    /// The rectangles one after another.
    rects: Vec<f64>,
    children: Vec<Child>,
    charge: Charge,
}

impl Clone for Node {
    fn clone(&self) -> Self {
        let (rects, children) = (self.rects.clone(), self.children.clone());
        let mut node = Self { rects, children, ..Self::new(self.charge.account()) };
        node.charge();
        node
    }
}

impl Node {
    /// A node without branches.
    pub(super) fn new(account: AccountId) -> Self {
        let mut node = Self { rects: Vec::new(), children: Vec::new(), charge: account.node(0) };
        node.charge();
        node
    }

    /// Another one without branches.
    pub(super) fn empty(&self) -> Self {
        Self::new(self.charge.account())
    }

    /// Charges what the node takes now.
    fn charge(&mut self) {
        /// The reference count that stands before the node.
        const COUNT_BYTES: usize = size_of::<usize>();
        let vector = |bytes: usize| if bytes == 0 { 0 } else { block_bytes(bytes) };
        let bytes = block_bytes(COUNT_BYTES + size_of::<Self>())
            + vector(self.rects.capacity() * size_of::<f64>())
            + vector(self.children.capacity() * size_of::<Child>());
        if bytes != self.charge.bytes() {
            self.charge.set(bytes);
        }
    }

    /// The number of branches.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// Bytes of memory of this node and of those below it.
    pub(super) fn bsize(&self) -> usize {
        let below = (0..self.len()).filter_map(|at| self.node(at)).map(Self::bsize).sum::<usize>();
        self.charge.bytes() + below
    }

    /// The rectangle of a branch.
    pub(super) fn rect(&self, at: usize) -> &[f64] {
        let coords = self.rects.len() / self.children.len();
        &self.rects[at * coords..(at + 1) * coords]
    }

    /// The child of a branch.
    pub(super) fn child(&self, at: usize) -> &Child {
        &self.children[at]
    }

    fn node(&self, at: usize) -> Option<&Node> {
        match &self.children[at] {
            Child::Node(node) => Some(node),
            Child::Tuple(_) => None,
        }
    }

    fn node_mut(&mut self, at: usize) -> &mut Node {
        match &mut self.children[at] {
            Child::Node(node) => Arc::make_mut(node),
            Child::Tuple(_) => unreachable!("only inner nodes are descended"),
        }
    }

    fn push(&mut self, branch: Branch) {
        self.rects.extend_from_slice(&branch.rect);
        self.children.push(branch.child);
        self.charge();
    }

    /// Takes a branch out; those after it move up.
    fn remove(&mut self, at: usize) -> Branch {
        let coords = self.rects.len() / self.children.len();
        let rect = self.rects.drain(at * coords..(at + 1) * coords).collect();
        Branch { rect, child: self.children.remove(at) }
    }

    /// Takes every branch out.
    pub(super) fn into_branches(mut self) -> impl Iterator<Item = Branch> {
        let coords = self.rects.len() / self.children.len().max(1);
        let children = std::mem::take(&mut self.children).into_iter();
        children.enumerate().map(move |(at, child)| {
            let rect = self.rects[at * coords..(at + 1) * coords].iter().copied().collect();
            Branch { rect, child }
        })
    }

    /// A root over two nodes.
    pub(super) fn over(left: Node, right: Node) -> Self {
        let mut root = left.empty();
        root.push(left.into_branch());
        root.push(right.into_branch());
        root
    }

    fn into_branch(self) -> Branch {
        Branch { rect: self.cover(), child: Child::Node(Arc::new(self)) }
    }

    /// What all branches lie in. There must be one.
    fn cover(&self) -> Rect {
        let mut cover: Rect = self.rect(0).iter().copied().collect();
        (1..self.len()).for_each(|at| rect::add(&mut cover, self.rect(at)));
        cover
    }

    /// Puts a branch into a node `depth` levels below this one. Gives the new neighbour if this node was split.
    pub(super) fn insert(&mut self, branch: Branch, depth: usize, shape: &Shape) -> Option<Self> {
        if depth == 0 {
            return self.add(branch, shape);
        }
        let at = self.cheapest(&branch.rect);
        let grown = branch.rect.clone();
        match self.node_mut(at).insert(branch, depth - 1, shape) {
            None => {
                let from = at * shape.coords;
                rect::add(&mut self.rects[from..from + shape.coords], &grown);
                None
            }
            Some(neighbour) => {
                self.refresh(at, shape);
                self.add(neighbour.into_branch(), shape)
            }
        }
    }

    /// Computes the rectangle of a branch anew from its node.
    fn refresh(&mut self, at: usize, shape: &Shape) {
        let cover = self.node_mut(at).cover();
        let from = at * shape.coords;
        self.rects[from..from + shape.coords].copy_from_slice(&cover);
    }

    /// The branch whose area grows least to hold a rectangle; of equals the smallest.
    fn cheapest(&self, rect: &[f64]) -> usize {
        let (mut best, mut least, mut smallest) = (0, 0.0, 0.0);
        for at in 0..self.len() {
            let area = rect::area(self.rect(at));
            let growth = rect::area_together(self.rect(at), rect) - area;
            if at == 0 || growth < least || (growth == least && area < smallest) {
                (best, least, smallest) = (at, growth, area);
            }
        }
        best
    }

    fn add(&mut self, branch: Branch, shape: &Shape) -> Option<Self> {
        if self.len() < shape.fill_max {
            self.push(branch);
            return None;
        }
        Some(self.split(branch, shape))
    }

    /// Splits a full node to which a branch comes: gives the node of the lower half, the upper half stays.
    fn split(&mut self, branch: Branch, shape: &Shape) -> Self {
        // The new branch comes first, as it does in Tarantool.
        let mut branches: Vec<Option<Branch>> = vec![Some(branch)];
        let full = std::mem::replace(self, self.empty());
        branches.extend(full.into_branches().map(Some));
        let rect = |no: usize| &branches[no].as_ref().expect("nothing is taken yet").rect[..];
        let mut order: Vec<usize> = (0..branches.len()).collect();
        let axis = best_axis(&mut order, &rect, shape);
        sort_by_axis(&mut order, &rect, axis);
        let count = best_cut(&order, &rect, shape);
        let mut lower = self.empty();
        for no in &order[..count] {
            lower.push(branches[*no].take().expect("each branch is taken once"));
        }
        let mut rest = branches.into_iter();
        let newest = rest.next().flatten();
        rest.flatten().chain(newest).for_each(|branch| self.push(branch));
        lower
    }

    /// Finds the branches that lead to a tuple, from this node down.
    pub(super) fn path_to(
        &self,
        tuple: &Tuple,
        rect: &[f64],
        path: &mut ArrayVec<usize, HEIGHT_MAX>,
    ) -> bool {
        // Where NaN stands a cover says nothing.
        let is_unsound = rect.iter().any(|coord| coord.is_nan());
        for at in 0..self.len() {
            path.push(at);
            let is_found = match &self.children[at] {
                Child::Tuple(other) => other.is(tuple),
                Child::Node(node) => {
                    (is_unsound || rect::intersect(self.rect(at), rect))
                        && node.path_to(tuple, rect, path)
                }
            };
            if is_found {
                return true;
            }
            path.pop();
        }
        false
    }

    /// Takes out the branch at the end of a path. Nodes that become too empty are taken out too, the lowest first.
    pub(super) fn take_out(&mut self, path: &[usize], shape: &Shape, orphans: &mut Vec<Node>) {
        let at = path[0];
        if path.len() == 1 {
            self.remove(at);
            return;
        }
        self.node_mut(at).take_out(&path[1..], shape, orphans);
        if self.node(at).is_some_and(|node| node.len() >= shape.fill_min) {
            self.refresh(at, shape);
        } else if let Child::Node(node) = self.remove(at).child {
            orphans.push(Arc::unwrap_or_clone(node));
        }
    }

    /// The only child, if it is the only one and a node.
    pub(super) fn only_node(&self) -> Option<Arc<Node>> {
        match &self.children[..] {
            [Child::Node(node)] => Some(node.clone()),
            _ => None,
        }
    }
}

/// Sorts by low, then high, by selection: the places of equals are then Tarantool's.
fn sort_by_axis<'a>(order: &mut [usize], rect: &impl Fn(usize) -> &'a [f64], axis: usize) {
    let bounds = |no: usize| (rect(no)[2 * axis], rect(no)[2 * axis + 1]);
    for at in 0..order.len() - 1 {
        let mut least = at;
        for other in at + 1..order.len() {
            let ((low, high), (least_low, least_high)) =
                (bounds(order[other]), bounds(order[least]));
            if low < least_low || (low == least_low && high < least_high) {
                least = other;
            }
        }
        order.swap(at, least);
    }
}

/// The axis along which halves have the least margins, summed over all cuts.
fn best_axis<'a>(order: &mut [usize], rect: &impl Fn(usize) -> &'a [f64], shape: &Shape) -> usize {
    let (mut best, mut least) = (0, 0.0);
    for axis in 0..shape.coords / 2 {
        sort_by_axis(order, rect, axis);
        let longest = order.len() - shape.fill_min;
        let lower = margins(order.iter().map(|no| rect(*no)), longest);
        let upper = margins(order.iter().rev().map(|no| rect(*no)), longest);
        let sum = cuts(order.len(), shape)
            .fold(0.0, |sum, count| sum + (lower[count] + upper[order.len() - count]));
        if axis == 0 || sum < least {
            (best, least) = (axis, sum);
        }
    }
    best
}

/// The half margins of what covers the first N rectangles, for N from 0 to `longest`.
fn margins<'a>(rects: impl Iterator<Item = &'a [f64]>, longest: usize) -> Vec<f64> {
    let mut margins = vec![0.0];
    let mut cover = Rect::new();
    for rect in rects.take(longest) {
        if cover.is_empty() {
            cover.extend(rect.iter().copied());
        } else {
            rect::add(&mut cover, rect);
        }
        margins.push(rect::half_margin(&cover));
    }
    margins
}

/// How many branches a lower half may have.
fn cuts(count: usize, shape: &Shape) -> impl Iterator<Item = usize> {
    shape.fill_min..count - shape.fill_min
}

/// The number of branches in the lower half whose halves share least, then are smallest.
fn best_cut<'a>(order: &[usize], rect: &impl Fn(usize) -> &'a [f64], shape: &Shape) -> usize {
    let cover = |part: &[usize]| {
        let mut cover: Rect = rect(part[0]).iter().copied().collect();
        part[1..].iter().for_each(|no| rect::add(&mut cover, rect(*no)));
        cover
    };
    let (mut best, mut least, mut smallest) = (0, 0.0, 0.0);
    for count in cuts(order.len(), shape) {
        let (lower, upper) = (cover(&order[..count]), cover(&order[count..]));
        let shared = rect::area_shared(&lower, &upper);
        let area = rect::area(&lower) + rect::area(&upper);
        if best == 0 || shared < least || (shared == least && area < smallest) {
            (best, least, smallest) = (count, shared, area);
        }
    }
    best
}
