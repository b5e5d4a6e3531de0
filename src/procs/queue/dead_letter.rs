//! Tasks that fail again and again: how often they did, and where they go.
//!
//! ```text
//! TAKEN --release, ttr, end of the session--> one attempt more: fewer than max_attempts: READY
//!                                                               that many: to the tube dead_letter, or BURIED
//! ```
//!
//! `max_attempts` and `dead_letter` are options of the tube, which the rock keeps and does not know. A tube with the first
//! one has a side space `<tube>_attempts` of [task_id, attempts], a row for each task that has failed, so rows of tasks stay
//! as the rock has them. A task moves in the transaction of its last attempt. What is moved is put like a new task, so it
//! cannot move on at once.
//!
//! `release_all` and a restart of the server are nobody's failure.

use std::sync::Arc;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_array, write_map, write_str, write_uint};

use super::ddl::NewSpace;
use super::layout::{Layout, unique};
use super::row;
use super::state::State;
use super::statistics::Event;
use super::timed;
use super::times;
use super::tube::Tube;
use super::tubes::Tubes;
use super::work::{Work, find_task};
use crate::db::{Key, Tuple, Txn};

/// What follows the tube's name in the name of the side space.
const SUFFIX: &str = "_attempts";

/// [task_id, attempts].
pub(super) static LAYOUT: Layout = Layout {
    fields: &[("task_id", "unsigned"), ("attempts", "unsigned")],
    indexes: &[unique("task_id", &[0])],
};

/// When a task has failed too often, and what happens then.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rule {
    /// So many attempts are made.
    max_attempts: u64,
    /// The tube to which tasks go; None buries them.
    dead_letter: Option<Box<str>>,
    /// Data is put into a map that says where it came from.
    keeps_origin: bool,
}

impl Rule {
    /// Reads the options of a tube; None if they have no use for one.
    pub(super) fn parse(options: &[u8]) -> Option<Self> {
        let token = |name| {
            let value = times::get(options, name)?;
            msgpack::read(&mut { value }).ok()
        };
        let dead_letter = match token("dead_letter") {
            Some(Token::Str(name)) => std::str::from_utf8(name).ok().map(Into::into),
            _ => None,
        };
        let max_attempts = times::get(options, "max_attempts").and_then(times::number)? as u64;
        let keeps_origin = token("dead_letter_origin") == Some(Token::Bool(true));
        (max_attempts > 0).then_some(Self { max_attempts, dead_letter, keeps_origin })
    }

    /// The tube to which tasks go; None buries them.
    pub(super) fn dead_letter(&self) -> Option<&str> {
        self.dead_letter.as_deref()
    }

    /// Checks the options of a new tube.
    ///
    /// # Errors
    /// PROC_LUA: a dead letter that names no other tube, attempts that are no number, one without the other.
    pub(super) fn check(tube: &str, options: &[u8]) -> Result<()> {
        let bad = |text: &str| Err(err!(PROC_LUA, text));
        if let Some(value) = times::get(options, "dead_letter") {
            match msgpack::read(&mut { value }) {
                Ok(Token::Str(name))
                    if name != tube.as_bytes() && std::str::from_utf8(name).is_ok() => {}
                _ => return bad("dead_letter must be the name of another tube"),
            }
            if times::get(options, "max_attempts").is_none() {
                return bad("dead_letter needs max_attempts");
            }
        }
        let attempts = times::get(options, "max_attempts").map(times::number);
        if attempts.is_some_and(|attempts| attempts.is_none_or(|attempts| attempts < 1.0)) {
            return bad("max_attempts must be a number of at least 1");
        }
        Ok(())
    }
}

/// Why a task is not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// Its session gave it back.
    Release,
    /// It was held for too long.
    Ttr,
    /// Its session ended.
    Session,
}

impl Reason {
    /// The word for it.
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Ttr => "ttr",
            Self::Session => "session",
        }
    }
}

/// A task after an attempt on it.
pub(super) struct Outcome {
    /// Its row.
    pub(super) task: Tuple,
    /// Its state, if that is not what the row says: DONE if the task is not in the tube any more.
    pub(super) state: Option<State>,
}

/// The name of a tube's side space.
pub(super) fn space_name(tube: &str) -> String {
    format!("{tube}{SUFFIX}")
}

/// Creates the side space of a tube, unless it is there; gives its id.
///
/// # Errors
/// What the schema refuses; PROC_LUA if a space of its name is something else.
pub(super) fn create_space(
    txn: &mut Txn<'_>,
    tubes: &Tubes,
    tube: &str,
    is_temporary: bool,
) -> Result<u32> {
    let name = &*space_name(tube);
    let space = NewSpace { name, engine: "memtx", is_temporary };
    tubes.create_side_space(txn, space, &LAYOUT)
}

/// Removes what is noted of tasks that are not there: a server that does not know the side space may have removed them.
///
/// # Errors
/// Those of the spaces.
pub(super) fn sweep(work: &mut Work<'_, '_>) -> Result<()> {
    let Some(space_id) = work.tube.attempts_space_id else { return Ok(()) };
    let tasks = work.space()?;
    let mut gone = Vec::new();
    for row in work.txn.db().space(space_id)?.primary()?.iter() {
        if find_task(tasks, row.field(0))?.is_none() {
            gone.push(row::raw_key([row.field(0)]));
        }
    }
    gone.iter().try_for_each(|key| work.txn.delete(space_id, 0, key).map(|_| ()))
}

/// Forgets the attempts on a task, if there were any.
///
/// # Errors
/// Those of the space.
pub(super) fn forget(work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
    let Some(space_id) = work.tube.attempts_space_id else { return Ok(()) };
    let key = row::raw_key([task.field(0)]);
    if work.txn.db().space(space_id)?.primary()?.get(&Key::from_array(&key)).is_some() {
        work.txn.delete(space_id, 0, &key)?;
    }
    Ok(())
}

/// An attempt on a TAKEN task has failed; its row of `_queue_taken_2` is gone already. Gives what became of the task if that
/// was the last attempt, None if it is to be put back.
///
/// # Errors
/// Those of the spaces.
pub(super) fn fail(
    work: &mut Work<'_, '_>,
    task: &Tuple,
    reason: Reason,
) -> Result<Option<Outcome>> {
    let tube = work.tube;
    let (Some(rule), Some(space_id)) = (&tube.settings.rule, tube.attempts_space_id) else {
        return Ok(None);
    };
    if tube.driver.has_times() && timed::death(task) <= work.now_us {
        // Its life has ended, which comes first.
        return Ok(None);
    }
    let key = row::raw_key([task.field(0)]);
    let known = work.txn.db().space(space_id)?.primary()?.get(&Key::from_array(&key));
    let attempts = 1 + known.map_or(0, |row| row::uint(row, 1));
    if attempts < rule.max_attempts {
        let mut row = Vec::with_capacity(16);
        write_array(&mut row, 2);
        write_uint(&mut row, row::uint(task, 0));
        write_uint(&mut row, attempts);
        work.txn.replace(space_id, &row)?;
        return Ok(None);
    }
    if let Some(name) = &rule.dead_letter
        && try_move(work, task, rule, name, Letter { attempts, reason })
    {
        return Ok(Some(Outcome { task: task.clone(), state: Some(State::Done) }));
    }
    forget(work, task)?;
    let task = tube.driver.bury(work, task)?;
    work.happened(Event::Bury, &task);
    Ok(Some(Outcome { task, state: None }))
}

/// What is told of a task that moves.
#[derive(Clone, Copy)]
struct Letter {
    /// The attempts that were made.
    attempts: u64,
    /// Why the last one failed.
    reason: Reason,
}

/// Moves a task to another tube; false if it cannot be put there, after which nothing has changed.
fn try_move(
    work: &mut Work<'_, '_>,
    task: &Tuple,
    rule: &Rule,
    name: &str,
    letter: Letter,
) -> bool {
    let Some(target) = work.tubes.find(work.txn.db(), name) else {
        tracing::warn!("queue: no tube {name} for dead letters of tube {}", work.tube.name);
        return false;
    };
    match work.attempt(|work| move_to(work, task, rule, &target, letter)) {
        Ok(true) => return true,
        Ok(false) => {
            tracing::warn!("queue: no room in tube {name} for dead letters of {}", work.tube.name);
        }
        Err(error) => {
            tracing::warn!("queue: dead letter of {} to {name}: {error}", work.tube.name);
        }
    }
    false
}

/// Puts a task into another tube and removes it from its own; false if there is no room.
fn move_to(
    work: &mut Work<'_, '_>,
    task: &Tuple,
    rule: &Rule,
    target: &Arc<Tube>,
    letter: Letter,
) -> Result<bool> {
    let data = row::raw(task, work.tube.driver.data_field());
    let data = match rule.keeps_origin {
        true => with_origin(&work.tube.name, task, data, letter),
        false => data.to_vec(),
    };
    let options = carried(work.tube, task);
    let mut there = Work::new(&mut *work.txn, work.tubes, target, work.services);
    if !there.has_room(1)? {
        return Ok(false);
    }
    let put = target.driver.put(&mut there, Some(&data), Some(&options))?;
    there.happened(Event::Put, &put);
    work.tube.driver.delete(work, task)?;
    work.tube.counters.count_dead_letter();
    Ok(true)
}

/// The data of a task in a map that says where it came from.
fn with_origin(tube: &str, task: &Tuple, data: &[u8], letter: Letter) -> Vec<u8> {
    let mut map = Vec::with_capacity(data.len() + 64);
    write_map(&mut map, 5);
    write_str(&mut map, "tube");
    write_str(&mut map, tube);
    write_str(&mut map, "task_id");
    write_uint(&mut map, row::uint(task, 0));
    write_str(&mut map, "attempts");
    write_uint(&mut map, letter.attempts);
    write_str(&mut map, "reason");
    write_str(&mut map, letter.reason.name());
    write_str(&mut map, "data");
    map.extend_from_slice(data);
    map
}

/// Options of a `put` that keep what a task has: its priority and its sub-queue.
fn carried(tube: &Tube, task: &Tuple) -> Vec<u8> {
    let fields = [
        ("pri", tube.driver.has_times().then_some(timed::PRI)),
        ("utube", tube.driver.lane_field()),
    ];
    let fields = fields.iter().filter_map(|(name, field_no)| Some((name, (*field_no)?)));
    let mut options = Vec::with_capacity(32);
    write_map(&mut options, fields.clone().count());
    for (name, field_no) in fields {
        write_str(&mut options, name);
        options.extend_from_slice(row::raw(task, field_no));
    }
    options
}
