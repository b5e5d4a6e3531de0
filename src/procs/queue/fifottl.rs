//! `fifottl`: tasks by priority and id, which live for a time and are held for a time; `limfifottl`: so many of them and
//! no more.
//!
//! Row: [task_id, status, next_event, ttl, ttr, pri, created, data], see [`super::timed`]. What is done at its time is
//! done by [`super::timer`]; a task whose life has ended is not handed out even before.
//!
//! Source: queue/abstract/driver/fifottl.lua, limfifottl.lua.

use lycosa_proto::err;
use lycosa_proto::error::Result;

use super::driver::Driver;
use super::layout::{Layout, STATUS_INDEX, plain, unique};
use super::options::TubeOptions;
use super::passed::ReadyLine;
use super::settings::Settings;
use super::state::State;
use super::timed;
use super::work::Work;
use crate::db::Tuple;

/// The types `fifottl` and `limfifottl`.
pub(super) struct Fifottl {
    /// The tube may have a capacity.
    pub(super) is_limited: bool,
}

static LAYOUT: Layout = Layout {
    fields: &[
        ("task_id", "unsigned"),
        ("status", "string"),
        ("next_event", "unsigned"),
        ("ttl", "unsigned"),
        ("ttr", "unsigned"),
        ("pri", "unsigned"),
        ("created", "unsigned"),
        ("data", "*"),
    ],
    indexes: &[unique("task_id", &[0]), unique("status", &[1, 5, 0]), plain("watch", &[1, 2])],
};

impl Driver for Fifottl {
    fn name(&self) -> &'static str {
        if self.is_limited { "limfifottl" } else { "fifottl" }
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn data_field(&self) -> u32 {
        7
    }

    fn has_times(&self) -> bool {
        true
    }

    fn check(&self, options: &TubeOptions) -> Result<()> {
        if self.is_limited && options.engine == "vinyl" {
            return Err(err!(PROC_LUA, "limfifottl queue does not support vinyl engine"));
        }
        Ok(())
    }

    fn capacity(&self, settings: &Settings) -> Option<u64> {
        settings.capacity.filter(|_| self.is_limited)
    }

    fn put(
        &self,
        work: &mut Work<'_, '_>,
        data: Option<&[u8]>,
        options: Option<&[u8]>,
    ) -> Result<Tuple> {
        let mut row = timed::begin_row(work, options, 7 + usize::from(data.is_some()))?;
        row.extend_from_slice(data.unwrap_or_default());
        work.insert(&row)
    }

    fn take(&self, work: &mut Work<'_, '_>) -> Result<Option<Tuple>> {
        // Those whose life has ended are the timer's to remove, which is about to.
        let line = ReadyLine { index: STATUS_INDEX, utube: None };
        let Some(task) = line.first_alive(work)? else { return Ok(None) };
        timed::take(work, &task, timed::death(&task)).map(Some)
    }

    fn release(
        &self,
        work: &mut Work<'_, '_>,
        task: &Tuple,
        options: Option<&[u8]>,
    ) -> Result<Tuple> {
        timed::release(work, task, options)
    }

    fn bury(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple> {
        timed::settle(work, task, State::Buried)
    }

    fn kick(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple> {
        work.set_state(task, State::Ready)
    }

    fn delete(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
        work.remove(task)
    }

    fn touch(&self, work: &mut Work<'_, '_>, task: &Tuple, delta_sec: f64) -> Result<Tuple> {
        timed::touch(work, task, delta_sec)
    }
}
