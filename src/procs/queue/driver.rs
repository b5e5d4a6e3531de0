//! What makes one type of tube differ from another.
//!
//! A driver says what rows of its tubes look like and how a task changes; it has no state of its own. Who may change a
//! task, which session holds it, who is told and what is counted is the same for all types and lies in
//! [`super::operations`]. Everything a driver does is inside of the transaction it is given.
//!
//! Source: queue/abstract/driver/*.lua.

use lycosa_proto::err;
use lycosa_proto::error::Result;

use super::fifo::Fifo;
use super::fifottl::Fifottl;
use super::layout::Layout;
use super::options::TubeOptions;
use super::settings::Settings;
use super::times::Times;
use super::utube::Utube;
use super::work::Work;
use crate::db::Tuple;

/// A type of tube.
pub(super) trait Driver: Send + Sync {
    /// The name, as in `queue.create_tube(..., name)`.
    fn name(&self) -> &'static str;

    /// Fields and indexes of the tube's space. Field 0 is the task's id, field 1 its state; index 0 is over the id, index 1
    /// begins with the state.
    fn layout(&self) -> &'static Layout;

    /// The field with what the client put.
    fn data_field(&self) -> u32;

    /// Rows have the fields and the index of [`super::timed`].
    fn has_times(&self) -> bool {
        false
    }

    /// The field with the name of the task's sub-queue; None if there are none.
    fn lane_field(&self) -> Option<u32> {
        None
    }

    /// The space beside the tube's own that a tube with these settings has; None if it has none.
    fn side_layout(&self, settings: &Settings) -> Option<&'static Layout> {
        let _ = settings;
        None
    }

    /// Makes what depends on the rows agree with them when the server starts.
    ///
    /// # Errors
    /// Those of the spaces.
    fn start(&self, work: &mut Work<'_, '_>) -> Result<()> {
        let _ = work;
        Ok(())
    }

    /// Checks the options of a new tube.
    ///
    /// # Errors
    /// PROC_LUA: the type cannot do this.
    fn check(&self, options: &TubeOptions) -> Result<()> {
        let _ = options;
        Ok(())
    }

    /// How many tasks a tube with these settings holds; None = any number.
    fn capacity(&self, settings: &Settings) -> Option<u64> {
        let _ = settings;
        None
    }

    /// Keeps up with a task whose state was changed by somebody else than the driver.
    ///
    /// # Errors
    /// Those of the spaces.
    fn follow(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<()> {
        let _ = (work, task);
        Ok(())
    }

    /// Checks the options of a task that is to be put, so that one of many is refused before another is stored. What the format
    /// of the space is to refuse passes.
    ///
    /// # Errors
    /// Those of the options.
    fn check_put(&self, settings: &Settings, options: Option<&[u8]>) -> Result<()> {
        match self.has_times() {
            true => Times::parse(options, settings).map(|_| ()),
            false => Ok(()),
        }
    }

    /// Stores a task; `data` and `options` are MsgPack as the client sent it, None if it sent none.
    ///
    /// # Errors
    /// FIELD_MISSING without data; those of the options.
    fn put(
        &self,
        work: &mut Work<'_, '_>,
        data: Option<&[u8]>,
        options: Option<&[u8]>,
    ) -> Result<Tuple>;

    /// Makes the task whose turn it is TAKEN; None if none can be taken.
    ///
    /// # Errors
    /// Those of the space.
    fn take(&self, work: &mut Work<'_, '_>) -> Result<Option<Tuple>>;

    /// Puts a TAKEN task back.
    ///
    /// # Errors
    /// Those of the space and of the options.
    fn release(
        &self,
        work: &mut Work<'_, '_>,
        task: &Tuple,
        options: Option<&[u8]>,
    ) -> Result<Tuple>;

    /// Puts a task aside.
    ///
    /// # Errors
    /// Those of the space.
    fn bury(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple>;

    /// Makes a BURIED task READY.
    ///
    /// # Errors
    /// Those of the space.
    fn kick(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<Tuple>;

    /// Removes a task.
    ///
    /// # Errors
    /// Those of the space.
    fn delete(&self, work: &mut Work<'_, '_>, task: &Tuple) -> Result<()>;

    /// Prolongs the time of a TAKEN task. The default is for types without times.
    ///
    /// # Errors
    /// PROC_LUA: the type does not support it.
    fn touch(&self, work: &mut Work<'_, '_>, task: &Tuple, delta_sec: f64) -> Result<Tuple> {
        let _ = (work, task, delta_sec);
        Err(err!(PROC_LUA, format!("{} queue does not support touch", self.name())))
    }
}

/// The types that are there.
static DRIVERS: &[&dyn Driver] = &[
    &Fifo,
    &Fifottl { is_limited: false },
    &Fifottl { is_limited: true },
    &Utube { is_timed: false },
    &Utube { is_timed: true },
];

/// The driver of a type; None if there is none.
pub(super) fn find(tube_type: &str) -> Option<&'static dyn Driver> {
    DRIVERS.iter().copied().find(|driver| driver.name() == tube_type)
}

/// The driver of the type that a client asks for.
///
/// # Errors
/// PROC_LUA: unknown.
pub(super) fn get(tube_type: &str) -> Result<&'static dyn Driver> {
    find(tube_type).ok_or_else(|| err!(PROC_LUA, format!("Unknown tube type {tube_type}")))
}
