//! `fifo`: tasks in the order of their ids, nothing else.
//!
//! Row: [task_id, status, data]. A released or kicked task keeps its id, so it is back in its old place.
//!
//! Source: queue/abstract/driver/fifo.lua.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{write_array, write_uint};

use super::driver::Driver;
use super::layout::{Layout, unique};
use super::state::State;
use super::work::Work;
use crate::db::Tuple;

/// The type `fifo`.
pub(super) struct Fifo;

static LAYOUT: Layout = Layout {
    fields: &[("task_id", "unsigned"), ("status", "string"), ("data", "*")],
    indexes: &[unique("task_id", &[0]), unique("status", &[1, 0])],
};

impl Driver for Fifo {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn data_field(&self) -> u32 {
        2
    }

    fn put(
        &self,
        work: &mut Work<'_, '_>,
        data: Option<&[u8]>,
        _options: Option<&[u8]>,
    ) -> Result<Tuple> {
        let mut row = Vec::with_capacity(12 + data.map_or(0, <[u8]>::len));
        write_array(&mut row, 2 + usize::from(data.is_some()));
        write_uint(&mut row, work.next_id()?);
        row.extend_from_slice(&State::Ready.msgpack());
        // Without data the format of the space refuses the row.
        row.extend_from_slice(data.unwrap_or_default());
        work.insert(&row)
    }

    fn take(&self, work: &mut Work<'_, '_>) -> Result<Option<Tuple>> {
        work.move_first(State::Ready, State::Taken)
    }

    fn release(
        &self,
        work: &mut Work<'_, '_>,
        task: &Tuple,
        _options: Option<&[u8]>,
    ) -> Result<Tuple> {
        work.set_state(task, State::Ready)
    }

    fn bury(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple> {
        work.set_state(task, State::Buried)
    }

    fn kick(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple> {
        work.set_state(task, State::Ready)
    }

    fn delete(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
        work.remove(task)
    }
}
