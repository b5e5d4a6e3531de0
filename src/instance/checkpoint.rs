//! Checkpoints of an instance: when they run, what they hold, and what may be removed afterwards.
//!
//! ```text
//! read lock: read view, vclock, newest ticket -> release -> the journal has all of it -> rotate
//!     -> a thread of low priority walks the view and writes -> old files go
//! ```
//!
//! Writers go on meanwhile. What they pay is a copy of each node that they change and that the view still holds: the view
//! holds primary indexes only, and lets go of a node when its tuples are written. The thread that writes yields to whoever
//! has requests to answer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::read_uint;
use uuid::Uuid;

use super::{Instance, now};
use crate::db::index::Index;
use crate::db::journal::Vclock;
use crate::db::schema::space_def::{Engine, SpaceDef};
use crate::db::schema::{sequence, space_id};
use crate::db::{Database, Tuple};
use crate::wal;
use crate::wal::checkpoint::{self, Checkpoint, Control};
use crate::wal::disk::Disk;
use crate::wal::xlog::{FileType, file_name};

/// How much less the thread that writes a snapshot is to be favoured than others, from 0 to 19.
const NICE: i32 = 19;

/// What an instance knows of its checkpoints.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// One is being written.
    is_running: AtomicBool,
    /// One is to be written that holds what is committed now.
    is_wanted: AtomicBool,
    /// How fast they are written, and that none is any more.
    pub(super) control: Control,
}

impl Instance {
    /// Writes a snapshot of everything that is committed now, and removes files that nothing needs any more. Blocks; to be
    /// called on a thread that may. Writers go on meanwhile.
    ///
    /// # Errors
    /// CHECKPOINT_IN_PROGRESS; SYSTEM with what the disk said; the error of a transaction in the snapshot that could not be
    /// made durable.
    pub fn checkpoint(&self) -> Result<PathBuf> {
        if self.checkpoints.is_running.swap(true, Ordering::AcqRel) {
            return Err(err!(CHECKPOINT_IN_PROGRESS));
        }
        // What was committed before somebody wanted one is in this one.
        self.checkpoints.is_wanted.store(false, Ordering::Release);
        self.schedule.begun(self.read().vclock().signature(), self.journal.written_bytes());
        let done = self.write_checkpoint();
        self.checkpoints.is_running.store(false, Ordering::Release);
        done
    }

    fn write_checkpoint(&self) -> Result<PathBuf> {
        let (view, ticket) = {
            let db = self.read();
            (ReadView::of(&db), db.unsettled_ticket())
        };
        // What is in the view must be durable before the snapshot may say so; what failed before is not in it.
        self.journal.flush();
        self.journal.result(ticket)?;
        let failed = |error: wal::Error| err!(SYSTEM, error.to_string());
        // As in Tarantool: whoever sees the snapshot needs no file from before it.
        self.journal.rotate().map_err(failed)?;
        let control = &self.checkpoints.control;
        let path = in_background(|| view.save(&*self.disk, &self.snap_dir, self.uuid, control));
        let path = path.map_err(failed)?;
        self.collect_garbage();
        Ok(path)
    }

    /// Makes a checkpoint due of what is committed now: at once, or when the one that is being written is over.
    pub fn want_checkpoint(&self) {
        self.checkpoints.is_wanted.store(true, Ordering::Release);
    }

    /// True while a checkpoint is being written.
    pub fn is_checkpointing(&self) -> bool {
        self.checkpoints.is_running.load(Ordering::Acquire)
    }

    /// Bytes of a snapshot that are written in a second at most; 0 is no limit.
    pub fn snapshot_rate_limit(&self) -> f64 {
        self.checkpoints.control.rate_limit()
    }

    /// Changes that limit; counts for the snapshot that is being written too.
    pub fn set_snapshot_rate_limit(&self, bytes_per_sec: f64) {
        self.checkpoints.control.set_rate_limit(bytes_per_sec);
    }

    /// The vclocks of the snapshots that are kept, oldest first. Reads the heads of the files.
    ///
    /// # Errors
    /// What the disk said.
    pub fn checkpoints(&self) -> wal::Result<Vec<Vclock>> {
        checkpoint::list(&*self.disk, &self.snap_dir)
    }

    /// True if a checkpoint should be written now: somebody wants it, or by time or by what was written since the last one.
    pub fn is_checkpoint_due(&self) -> bool {
        let is_scheduled =
            || self.schedule.is_due(self.read().vclock().signature(), self.journal.written_bytes());
        !self.is_checkpointing()
            && (self.checkpoints.is_wanted.load(Ordering::Acquire) || is_scheduled())
    }
}

/// Does something on a thread that yields to others. Where no thread can be started, does it here.
fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!("can't lower the priority of the checkpoint: {error}");
            }
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Everything that a snapshot holds, as it was at one moment.
pub(super) struct ReadView {
    vclock: Vclock,
    /// Ascending by id.
    spaces: Vec<SpaceView>,
    /// The values of sequences as rows, which the space of such rows need not have.
    sequence_rows: Vec<Vec<u8>>,
    /// Ids of spaces of type `temporary`, whose definitions are not kept.
    volatile: Vec<u32>,
}

/// The tuples of a space.
struct SpaceView {
    id: u32,
    is_local: bool,
    primary: Index,
}

impl ReadView {
    pub(super) fn of(db: &Database) -> Self {
        let is_kept = |def: &SpaceDef| def.engine == Engine::Memtx && !def.is_temporary;
        let view = |space: &crate::db::space::Space| {
            let primary = space.primary().ok().filter(|_| is_kept(&space.def))?.clone();
            Some(SpaceView { id: space.def.id, is_local: space.def.is_local, primary })
        };
        let mut spaces: Vec<SpaceView> = db.spaces().filter_map(view).collect();
        spaces.sort_by_key(|space| space.id);
        let is_volatile = |space: &&crate::db::space::Space| space.def.is_type_temporary;
        let volatile = db.spaces().filter(is_volatile).map(|space| space.def.id).collect();
        Self { vclock: db.vclock().clone(), spaces, sequence_rows: sequence::rows(db), volatile }
    }

    /// Writes the snapshot; gives its path. One of the same vclock stays as it is.
    pub(super) fn save(
        self,
        disk: &dyn Disk,
        dir: &std::path::Path,
        uuid: Uuid,
        control: &Control,
    ) -> wal::Result<PathBuf> {
        let path = dir.join(file_name(&self.vclock, FileType::Snap));
        let Some(snapshot) = Checkpoint::start(disk, dir, uuid, &self.vclock, now())? else {
            return Ok(path);
        };
        let mut snapshot = snapshot.controlled(control);
        let Self { spaces, sequence_rows, volatile, .. } = self;
        for SpaceView { id, is_local, primary } in spaces {
            let group_id = u32::from(is_local);
            if id == space_id::SEQUENCE_DATA {
                for row in &sequence_rows {
                    snapshot.push(id, group_id, row)?;
                }
                continue;
            }
            primary.drain(|tuple| match is_volatile(&volatile, id, tuple) {
                true => Ok(()),
                false => snapshot.push(id, group_id, tuple.data()),
            })?;
        }
        snapshot.finish()
    }
}

/// True for a row of a system space that defines one of these spaces.
fn is_volatile(volatile: &[u32], space_id: u32, tuple: &Tuple) -> bool {
    !volatile.is_empty()
        && matches!(space_id, space_id::SPACE | space_id::INDEX | space_id::TRUNCATE)
        && tuple.field(0).is_some_and(|mut id| {
            read_uint(&mut id).is_ok_and(|id| volatile.contains(&(id as u32)))
        })
}

#[cfg(test)]
mod tests;
