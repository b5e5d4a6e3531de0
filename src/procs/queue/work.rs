//! A piece of work on the tasks of one tube, inside of a transaction: what drivers and operations are made of.

use std::sync::Arc;

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{write_array, write_str, write_uint};

use super::dead_letter;
use super::layout::STATUS_INDEX;
use super::lua_number;
use super::row;
use super::state::State;
use super::statistics::Event;
use super::timed;
use super::timer::Due;
use super::tube::Tube;
use super::tubes::{Services, Tubes};
use crate::db::mvcc::TxnId;
use crate::db::space::Space;
use crate::db::{Key, Tuple, Txn};

/// A transaction at work on a tube.
pub(super) struct Work<'a, 'db> {
    /// The transaction.
    pub(super) txn: &'a mut Txn<'db>,
    /// The tube.
    pub(super) tube: &'a Arc<Tube>,
    /// All tubes.
    pub(super) tubes: &'a Tubes,
    /// Where the queue keeps its own rows.
    pub(super) services: &'a Services,
    /// The time, in microseconds since the epoch, by the queue's clock.
    pub(super) now_us: u64,
    /// The open transaction of a stream that it is done in; None if it is done in one of its own.
    pub(super) open: Option<TxnId>,
}

impl<'a, 'db> Work<'a, 'db> {
    /// Begins the work; this is the moment at which all of it happens.
    pub(super) fn new(
        txn: &'a mut Txn<'db>,
        tubes: &'a Tubes,
        tube: &'a Arc<Tube>,
        services: &'a Services,
    ) -> Self {
        let open = txn.db().interactive();
        Self { txn, tube, tubes, services, now_us: tube.timer.clock.now_us(), open }
    }

    /// Does a part of the work: if it fails nothing of it has happened, and the rest can go on.
    ///
    /// # Errors
    /// Those of the part.
    pub(super) fn attempt<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let savepoint = self.txn.savepoint();
        let done = part(self);
        if done.is_err() {
            self.txn.roll_back_to_savepoint(savepoint);
            self.tubes.reach(self.tube).for_each(|tube| tube.doubt());
        }
        done
    }

    /// The tube's space.
    ///
    /// # Errors
    /// NO_SUCH_SPACE.
    #[inline]
    pub(super) fn space(&self) -> Result<&Space> {
        self.txn.db().space(self.tube.space_id)
    }

    /// True if there is room for so many tasks more.
    ///
    /// # Errors
    /// NO_SUCH_SPACE.
    pub(super) fn has_room(&self, count: usize) -> Result<bool> {
        match self.tube.capacity() {
            Some(capacity) => Ok((self.space()?.len() + count) as u64 <= capacity),
            None => Ok(true),
        }
    }

    /// The id of the next task: one more than the largest there is, so ids return when the newest tasks are gone.
    pub(super) fn next_id(&self) -> Result<u64> {
        let last = self.space()?.primary()?.select(Kind::Le, Key::EMPTY).next();
        Ok(last.map_or(0, |task| row::uint(task, 0) + 1))
    }

    /// The first task in a state, in the order of the status index.
    pub(super) fn first(&self, state: State) -> Result<Option<Tuple>> {
        let status = self.space()?.index(STATUS_INDEX)?;
        Ok(status.select(Kind::Eq, Key::from_array(&state.key())).next().cloned())
    }

    /// Stores a new task.
    ///
    /// # Errors
    /// Those of the format; TUPLE_FOUND.
    pub(super) fn insert(&mut self, task: &[u8]) -> Result<Tuple> {
        let task = self.txn.insert(self.tube.space_id, task)?;
        self.note_change(None, Some(&task));
        self.schedule(&task);
        Ok(task)
    }

    /// Gives a task another state.
    ///
    /// # Errors
    /// Those of the space.
    pub(super) fn set_state(&mut self, task: &Tuple, state: State) -> Result<Tuple> {
        self.change(task, Some(state), &[])
    }

    /// Gives a task another state, if one is given, and other numbers.
    ///
    /// # Errors
    /// Those of the space.
    pub(super) fn change(
        &mut self,
        task: &Tuple,
        state: Option<State>,
        numbers: &[(u32, u64)],
    ) -> Result<Tuple> {
        let mut operations = Vec::with_capacity(64);
        write_array(&mut operations, numbers.len() + usize::from(state.is_some()));
        let set = |operations: &mut Vec<u8>, field_no: u32| {
            write_array(operations, 3);
            write_str(operations, "=");
            write_uint(operations, u64::from(field_no));
        };
        if let Some(state) = state {
            set(&mut operations, 1);
            operations.extend_from_slice(&state.msgpack());
        }
        for (field_no, number) in numbers {
            set(&mut operations, *field_no);
            write_uint(&mut operations, *number);
        }
        let before = State::of(task);
        let key = row::raw_key([task.field(0)]);
        let changed = self.txn.update(self.tube.space_id, 0, &key, &operations, 0)?;
        let task = changed.unwrap_or_else(|| task.clone());
        self.note_change(before, Some(&task));
        self.schedule(&task);
        Ok(task)
    }

    /// Tells the timer of the next event of a row that was written.
    fn schedule(&self, task: &Tuple) {
        if self.tube.driver.has_times() {
            let moment = row::uint(task, timed::NEXT_EVENT);
            self.tube.timer.schedule(Due::Tube(self.tube.id), moment);
        }
    }

    /// Moves the first task in one state to another.
    ///
    /// # Errors
    /// Those of the space.
    pub(super) fn move_first(&mut self, from: State, to: State) -> Result<Option<Tuple>> {
        let Some(task) = self.first(from)? else { return Ok(None) };
        self.set_state(&task, to).map(Some)
    }

    /// Removes a task.
    ///
    /// # Errors
    /// Those of the space.
    pub(super) fn remove(&mut self, task: &Tuple) -> Result<()> {
        let key = row::raw_key([task.field(0)]);
        self.txn.delete(self.tube.space_id, 0, &key)?;
        self.note_change(State::of(task), None);
        dead_letter::forget(self, task)?;
        if self.tube.capacity().is_some() {
            match self.open {
                Some(id) => self.tube.note(id, |done| done.room += 1),
                None => self.tube.producers.call_one(),
            }
        }
        Ok(())
    }

    /// Notes that a task goes from one state to another; None before it is put and after it is removed.
    fn note_change(&self, from: Option<State>, task: Option<&Tuple>) {
        let to = task.and_then(State::of);
        if let Some(id) = self.open {
            self.tube.note(id, |done| done.note_change(from, to));
        }
        self.tube.counts.lock().change(from, to);
        if !self.tube.driver.has_times() {
            return;
        }
        let mut passed = self.tube.passed.lock();
        match (from, task) {
            (None, Some(_)) => passed.freshness.row_put(),
            (_, None) => passed.freshness.row_removed(),
            _ => {}
        }
        if let Some(task) = task.filter(|_| to == Some(State::Ready)) {
            let utube = self.tube.driver.lane_field().map_or(&[][..], |no| row::raw(task, no));
            passed.ready(utube, (row::uint(task, timed::PRI), row::uint(task, 0)));
        }
    }

    /// Counts an event.
    pub(super) fn count(&self, event: Event) {
        self.tube.counters.count(event, self.now_us);
    }

    /// Something has happened to a task, which is as given now: counts it, and calls a consumer if it can be taken.
    pub(super) fn happened(&self, event: Event, task: &Tuple) {
        self.count(event);
        if row::bytes(task, 1) == [State::Ready.char()] {
            self.call_consumer();
        }
    }

    /// Calls a consumer: there is a task that can be taken. In an open transaction, when it ends.
    pub(super) fn call_consumer(&self) {
        match self.open {
            Some(id) => self.tube.note(id, |done| done.ready += 1),
            None => self.tube.waiters.call_one(),
        }
    }
}

/// The task with an id that a client sent; `id` is MsgPack, None if it sent none.
///
/// # Errors
/// EXACT_MATCH, KEY_PART_TYPE.
pub(super) fn find_task<'a>(space: &'a Space, id: Option<&[u8]>) -> Result<Option<&'a Tuple>> {
    let id = id.map(lua_number::plain);
    let key = row::raw_key([id.as_deref()]);
    let key = Key::from_array(&key);
    let primary = space.primary()?;
    primary.def.key_def.check_exact_key(&key)?;
    Ok(primary.get(&key))
}
