//! `utube`: tasks in sub-queues, of which at most one task each is held; `utubettl`: the same with times and priorities.
//!
//! Rows: [task_id, status, utube, data], and [task_id, status, next_event, ttl, ttr, pri, created, utube, data], see
//! [`super::timed`].
//!
//! Whose turn it is: of each sub-queue in which no task is TAKEN the first READY one, and of these the first. They are kept
//! in [`super::lanes`], or in the side space of [`super::buffer`] if the tube's options say so; either way `take` looks at
//! one, however many tasks stand behind a busy sub-queue.
//!
//! Source: queue/abstract/driver/utube.lua, utubettl.lua.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_str, write_uint};

use super::buffer;
use super::driver::Driver;
use super::lanes::Rank;
use super::layout::{Layout, plain, unique};
use super::lua_text;
use super::options::TubeOptions;
use super::passed::{ReadyLine, few_alive};
use super::row;
use super::settings::Settings;
use super::state::State;
use super::timed;
use super::times;
use super::work::Work;
use crate::db::{Key, Tuple};

/// The types `utube` and `utubettl`.
pub(super) struct Utube {
    /// Tasks have times and priorities.
    pub(super) is_timed: bool,
}

static LAYOUT: Layout = Layout {
    fields: &[("task_id", "unsigned"), ("status", "string"), ("utube", "string"), ("data", "*")],
    indexes: &[unique("task_id", &[0]), unique("status", &[1, 0]), unique("utube", &[1, 2, 0])],
};

static LAYOUT_TIMED: Layout = Layout {
    fields: &[
        ("task_id", "unsigned"),
        ("status", "string"),
        ("next_event", "unsigned"),
        ("ttl", "unsigned"),
        ("ttr", "unsigned"),
        ("pri", "unsigned"),
        ("created", "unsigned"),
        ("utube", "string"),
        ("data", "*"),
    ],
    indexes: &[
        unique("task_id", &[0]),
        unique("status", &[1, 5, 0]),
        plain("watch", &[1, 2]),
        unique("utube", &[1, 7, 0]),
        unique("utube_pri", &[1, 7, 5, 0]),
    ],
};

impl Utube {
    /// The field with the name of the sub-queue.
    const fn utube_field(&self) -> u32 {
        if self.is_timed { 7 } else { 2 }
    }

    /// The index over (state, sub-queue, rank).
    const fn utube_index(&self) -> u32 {
        if self.is_timed { 4 } else { 2 }
    }

    fn rank(&self, task: &Tuple) -> Rank {
        let pri = if self.is_timed { row::uint(task, timed::PRI) } else { 0 };
        (pri, row::uint(task, 0))
    }

    /// The first task of a sub-queue in a state.
    fn first_of(&self, work: &Work<'_, '_>, state: State, utube: &[u8]) -> Result<Option<Tuple>> {
        let key = row::raw_key([Some(&state.msgpack()), Some(utube)]);
        let tasks = work.space()?.index(self.utube_index())?;
        Ok(tasks.select(Kind::Eq, Key::from_array(&key)).next().cloned())
    }

    /// The task of a sub-queue that can be taken; None if there is none, or if one is TAKEN.
    fn candidate(&self, work: &Work<'_, '_>, utube: &[u8]) -> Result<Option<Tuple>> {
        if self.first_of(work, State::Taken, utube)?.is_some() {
            return Ok(None);
        }
        if self.is_timed {
            let index = self.utube_index();
            return ReadyLine { index, utube: Some(utube) }.first_alive(work);
        }
        self.first_of(work, State::Ready, utube)
    }

    /// Keeps up with the rows of a sub-queue; tells whether a task of it can be taken.
    fn refresh(&self, work: &mut Work<'_, '_>, utube: &[u8]) -> Result<bool> {
        let rank = self.candidate(work, utube)?.map(|task| self.rank(&task));
        set(work, utube, rank)?;
        Ok(rank.is_some())
    }

    /// The same for the sub-queue of a task.
    fn refresh_of(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<bool> {
        self.refresh(work, row::raw(task, self.utube_field()))
    }

    /// What should be the first task of all, with its sub-queue.
    fn first(&self, work: &mut Work<'_, '_>) -> Result<Option<(Rank, Box<[u8]>)>> {
        if let Some(space_id) = work.tube.side_space_id {
            return buffer::first(work, space_id);
        }
        let (row_count, rollbacks) = (work.space()?.len(), work.txn.db().rollbacks());
        if !work.tube.lanes.lock().is_current(row_count, rollbacks) {
            let stale = work.tube.lanes.lock().take_stale(row_count, rollbacks);
            let names = match stale {
                Some(names) => names.into_iter().collect(),
                None => self.ready_names(work)?,
            };
            for utube in names {
                self.refresh(work, &utube)?;
            }
        }
        Ok(work.tube.lanes.lock().first())
    }

    /// Every sub-queue that has a READY task.
    fn ready_names(&self, work: &Work<'_, '_>) -> Result<Vec<Box<[u8]>>> {
        let tasks = work.space()?.index(self.utube_index())?;
        let is_ready = |task: &&Tuple| row::bytes(task, 1) == [State::Ready.char()];
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut key = State::Ready.key().to_vec();
        let mut kind = Kind::Ge;
        loop {
            let next = tasks.select(kind, Key::from_array(&key)).next().filter(is_ready).cloned();
            let Some(task) = next else { break };
            let name = row::raw(&task, self.utube_field());
            names.push(name.into());
            key = row::raw_key([Some(&State::Ready.msgpack()), Some(name)]);
            kind = Kind::Gt;
        }
        Ok(names)
    }

    /// The task whose turn it is; None if none can be taken.
    fn next(&self, work: &mut Work<'_, '_>) -> Result<Option<Tuple>> {
        /// Sub-queues that one look finds wrong before it asks whether few tasks are left.
        const WRONG_MAX: usize = 4;
        let mut wrong = 0;
        while let Some((rank, utube)) = self.first(work)? {
            let candidate = self.candidate(work, &utube)?;
            let found = candidate.as_ref().map(|task| self.rank(task));
            if found == Some(rank) {
                return Ok(candidate);
            }
            // The life of a task has ended, or rows were changed by hand.
            set(work, &utube, found)?;
            wrong += 1;
            if self.is_timed
                && wrong == WRONG_MAX
                && let Some(few) = few_alive(work)?
            {
                return self.first_free(work, few);
            }
        }
        Ok(None)
    }

    /// The first of the tasks in whose sub-queue none is TAKEN.
    fn first_free(&self, work: &Work<'_, '_>, tasks: Vec<Tuple>) -> Result<Option<Tuple>> {
        for task in tasks {
            let utube = row::raw(&task, self.utube_field());
            if self.first_of(work, State::Taken, utube)?.is_none() {
                return Ok(Some(task));
            }
        }
        Ok(None)
    }

    /// Somebody may wait for a task of this sub-queue, in which none is held any more.
    fn release_lane(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
        if self.refresh_of(work, task)? {
            work.call_consumer();
        }
        Ok(())
    }
}

/// Says which task of a sub-queue can be taken; None if none can.
///
/// # Errors
/// Those of the side space.
fn set(work: &mut Work<'_, '_>, utube: &[u8], rank: Option<Rank>) -> Result<()> {
    match work.tube.side_space_id {
        Some(space_id) => buffer::set(work, space_id, utube, rank),
        None => {
            if let Some(id) = work.open {
                work.tube.note(id, |done| done.note_lane(utube));
            }
            work.tube.lanes.lock().set(utube, rank);
            Ok(())
        }
    }
}

impl Driver for Utube {
    fn name(&self) -> &'static str {
        if self.is_timed { "utubettl" } else { "utube" }
    }

    fn layout(&self) -> &'static Layout {
        if self.is_timed { &LAYOUT_TIMED } else { &LAYOUT }
    }

    fn data_field(&self) -> u32 {
        self.utube_field() + 1
    }

    fn has_times(&self) -> bool {
        self.is_timed
    }

    fn lane_field(&self) -> Option<u32> {
        Some(self.utube_field())
    }

    fn side_layout(&self, settings: &Settings) -> Option<&'static Layout> {
        let layout = if self.is_timed { &buffer::LAYOUT_TIMED } else { &buffer::LAYOUT };
        settings.is_buffered.then_some(layout)
    }

    fn check(&self, options: &TubeOptions) -> Result<()> {
        if options.engine == "vinyl" && options.settings().is_buffered {
            let text = "\"ready_buffer\" storage mode cannot be used with vinyl engine";
            return Err(err!(PROC_LUA, text));
        }
        Ok(())
    }

    fn start(&self, work: &mut Work<'_, '_>) -> Result<()> {
        let Some(space_id) = work.tube.side_space_id else { return Ok(()) };
        let mut names = buffer::names(work, space_id)?;
        names.extend(self.ready_names(work)?);
        names.iter().try_for_each(|utube| self.refresh(work, utube).map(|_| ()))
    }

    fn follow(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
        self.refresh_of(work, task).map(|_| ())
    }

    fn put(
        &self,
        work: &mut Work<'_, '_>,
        data: Option<&[u8]>,
        options: Option<&[u8]>,
    ) -> Result<Tuple> {
        let len = self.utube_field() as usize + 1 + usize::from(data.is_some());
        let mut row = if self.is_timed {
            timed::begin_row(work, options, len)?
        } else {
            let mut row = Vec::with_capacity(32);
            write_array(&mut row, len);
            write_uint(&mut row, work.next_id()?);
            row.extend_from_slice(&State::Ready.msgpack());
            row
        };
        let utube = options.and_then(|options| times::get(options, "utube"));
        write_str(&mut row, lua_text::of(utube));
        row.extend_from_slice(data.unwrap_or_default());
        let task = work.insert(&row)?;
        let row_count = work.space()?.len();
        work.tube.lanes.lock().row_put(row_count, work.txn.db().rollbacks());
        self.follow(work, &task)?;
        Ok(task)
    }

    fn take(&self, work: &mut Work<'_, '_>) -> Result<Option<Tuple>> {
        let Some(task) = self.next(work)? else { return Ok(None) };
        let taken = if self.is_timed {
            // Its life may end while it is held.
            timed::take(work, &task, u64::MAX)?
        } else {
            work.set_state(&task, State::Taken)?
        };
        set(work, row::raw(&taken, self.utube_field()), None)?;
        Ok(Some(taken))
    }

    fn release(
        &self,
        work: &mut Work<'_, '_>,
        task: &Tuple,
        options: Option<&[u8]>,
    ) -> Result<Tuple> {
        let released = if self.is_timed {
            timed::release(work, task, options)?
        } else {
            work.set_state(task, State::Ready)?
        };
        if row::bytes(&released, 1) == [State::Ready.char()] {
            // Whoever waits is called for the task itself.
            self.follow(work, &released)?;
        } else {
            self.release_lane(work, &released)?;
        }
        Ok(released)
    }

    fn bury(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple> {
        let buried = if self.is_timed {
            timed::settle(work, task, State::Buried)?
        } else {
            work.set_state(task, State::Buried)?
        };
        self.release_lane(work, &buried)?;
        Ok(buried)
    }

    fn kick(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple> {
        let kicked = work.set_state(task, State::Ready)?;
        self.follow(work, &kicked)?;
        Ok(kicked)
    }

    fn delete(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
        work.remove(task)?;
        work.tube.lanes.lock().freshness.row_removed();
        self.release_lane(work, task)
    }

    fn touch(&self, work: &mut Work<'_, '_>, task: &Tuple, delta_sec: f64) -> Result<Tuple> {
        if !self.is_timed {
            return Err(err!(PROC_LUA, "utube queue does not support touch"));
        }
        timed::touch(work, task, delta_sec)
    }
}
