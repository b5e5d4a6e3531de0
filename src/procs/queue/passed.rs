//! The first READY task whose life has not ended, however many stand before it whose life has.
//!
//! The timer removes those, a portion at a time, so after many have come to their end at once they are there for a while.
//! `take` passes each of them once and remembers how far it came. In the order of ranks, for one line of tasks (those of a
//! tube, or of a sub-queue):
//!
//! ```text
//! x x x o x x x | x x o o o       x  its life has ended      o  can be taken
//!       ^     floor
//!       before
//! ```
//!
//! All up to the floor have ended, but for what came there later, which is kept in `before`. If a look has passed many and
//! few are left in the tube that can be taken, those are looked at instead of the rest.
//!
//! What is kept is compared with rows before a task is handed out, and [`Freshness`] notices what could be missing. The lock
//! around it is a formality: it is used under the database's write lock.

use std::collections::{BTreeSet, HashMap};

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_uint};

use super::freshness::Freshness;
use super::lanes::Rank;
use super::row;
use super::state::State;
use super::timed::{self, PRI, WATCH_INDEX};
use super::work::Work;
use crate::db::{Key, Tuple};

/// Tasks that one look passes before it asks whether few are left.
const PASSED_MAX: usize = 32;

/// Lines that are kept. What is forgotten is passed once more.
pub(super) const LINES_MAX: usize = 10_000;

/// As many are few.
const FEW_MAX: usize = 32;

/// The lines of a tube in which tasks were passed.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// By the sub-queue, MsgPack; empty in a tube without.
    lines: HashMap<Box<[u8]>, Line>,
    /// Whether this says what rows say.
    pub(super) freshness: Freshness,
}

/// What is known of a line.
#[derive(Debug, Default)]
pub(super) struct Line {
    floor: Option<Rank>,
    before: BTreeSet<Rank>,
}

impl Passed {
    /// Forgets everything, since no task is there whose life has ended, or since it may be wrong.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// How many lines are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How far a line was passed; None if it was not.
    #[cfg(test)]
    pub(super) fn floor(&self, name: &[u8]) -> Option<Rank> {
        self.lines.get(name)?.floor
    }

    /// A task can be taken that could not, or was not there.
    pub(super) fn ready(&mut self, name: &[u8], rank: Rank) {
        if self.freshness.change()
            && let Some(line) = self.lines.get_mut(name)
            && line.floor.is_some_and(|floor| rank <= floor)
        {
            line.before.insert(rank);
        }
    }

    /// What is known of a line of a tube with so many rows, after so many rollbacks of the journal.
    pub(super) fn line(&mut self, name: &[u8], row_count: usize, rollbacks: u64) -> &mut Line {
        if !self.freshness.is_current(row_count, rollbacks) {
            self.clear();
            self.freshness = Freshness::new(row_count, rollbacks);
        }
        // What is taken out of it comes back if the transaction fails.
        self.freshness.change();
        if self.lines.len() >= LINES_MAX && !self.lines.contains_key(name) {
            self.clear();
        }
        self.lines.entry(name.into()).or_default()
    }
}

/// READY tasks that stand in one line, by rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadyLine<'a> {
    /// An index over (state, rank), or (state, sub-queue, rank).
    pub(super) index: u32,
    /// The sub-queue, MsgPack; None for all tasks of a tube without.
    pub(super) utube: Option<&'a [u8]>,
}

impl ReadyLine<'_> {
    fn name(&self) -> &[u8] {
        self.utube.unwrap_or_default()
    }

    fn has(&self, work: &Work<'_, '_>, task: &Tuple) -> bool {
        let field = work.tube.driver.lane_field();
        row::bytes(task, 1) == [State::Ready.char()]
            && self.utube.is_none_or(|utube| field.is_some_and(|no| row::raw(task, no) == utube))
    }

    /// The key of its tasks, or of the one with a rank.
    fn key(&self, rank: Option<Rank>) -> Vec<u8> {
        let mut key = Vec::with_capacity(32 + self.name().len());
        let rank_len = if rank.is_some() { 2 } else { 0 };
        write_array(&mut key, 1 + usize::from(self.utube.is_some()) + rank_len);
        key.extend_from_slice(&State::Ready.msgpack());
        key.extend_from_slice(self.name());
        if let Some((pri, id)) = rank {
            write_uint(&mut key, pri);
            write_uint(&mut key, id);
        }
        key
    }

    /// The first task whose life has not ended; None if there is none.
    ///
    /// # Errors
    /// Those of the space.
    pub(super) fn first_alive(&self, work: &Work<'_, '_>) -> Result<Option<Tuple>> {
        let tasks = work.space()?.index(self.index)?;
        let key = self.key(None);
        let first = tasks.select(Kind::Eq, Key::from_array(&key)).next();
        match first {
            Some(first) if timed::death(first) <= work.now_us => self.pass(work),
            _ => Ok(first.cloned()),
        }
    }

    /// The same if the life of the first has ended.
    fn pass(&self, work: &Work<'_, '_>) -> Result<Option<Tuple>> {
        let is_alive = |task: &&Tuple| timed::death(task) > work.now_us;
        let space = work.space()?;
        let mut passed = work.tube.passed.lock();
        let line = passed.line(self.name(), space.len(), work.txn.db().rollbacks());
        while let Some(rank) = line.before.first().copied() {
            let task = space.primary()?.get(&Key::from_array(&row::uint_key(rank.1)));
            let is_there = |task: &&Tuple| self.has(work, task) && rank_of(task) == rank;
            if let Some(task) = task.filter(is_there).filter(is_alive) {
                return Ok(Some(task.clone()));
            }
            line.before.pop_first();
        }
        let kind = if line.floor.is_some() { Kind::Gt } else { Kind::Ge };
        let tasks = space.index(self.index)?;
        let key = self.key(line.floor);
        let tasks = tasks.select(kind, Key::from_array(&key));
        for (count, task) in tasks.take_while(|task| self.has(work, task)).enumerate() {
            if is_alive(&task) {
                return Ok(Some(task.clone()));
            }
            if count == PASSED_MAX
                && let Some(few) = few_alive(work)?
            {
                return Ok(few.into_iter().find(|task| self.has(work, task)));
            }
            line.floor = Some(rank_of(task));
        }
        Ok(None)
    }
}

fn rank_of(task: &Tuple) -> Rank {
    (row::uint(task, PRI), row::uint(task, 0))
}

/// The READY tasks of a tube whose life has not ended, by rank; None if they are not few.
///
/// # Errors
/// Those of the space.
pub(super) fn few_alive(work: &Work<'_, '_>) -> Result<Option<Vec<Tuple>>> {
    let mut now = Vec::with_capacity(9);
    write_uint(&mut now, work.now_us);
    let key = row::raw_key([Some(&State::Ready.msgpack()), Some(&now)]);
    let tasks = work.space()?.index(WATCH_INDEX)?.select(Kind::Gt, Key::from_array(&key));
    let is_ready = |task: &&Tuple| row::bytes(task, 1) == [State::Ready.char()];
    let mut few: Vec<Tuple> = tasks.take_while(is_ready).take(FEW_MAX + 1).cloned().collect();
    if few.len() > FEW_MAX {
        return Ok(None);
    }
    // A row that was changed by hand may say otherwise.
    few.retain(|task| timed::death(task) > work.now_us);
    few.sort_by_key(rank_of);
    Ok(Some(few))
}
