//! The backup that is going on: which files it is made of, and that they stay.
//!
//! One at a time. It begins with a rotation of the journal, so that its files are closed and nobody writes to them, and it
//! ends when somebody says so or when its time is over.
//!
//! Source: Tarantool `src/box/box.cc` box_backup_start, box_backup_stop.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lycosa_proto::err;
use lycosa_proto::error::Result;

use super::{Instance, now};
use crate::db::journal::Vclock;
use crate::wal::{self, backup, checkpoint};

/// Where a backup begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupFrom {
    /// At a snapshot: 0 is the newest, 1 the one before. Only with the newest come the journals after it.
    Checkpoint(usize),
    /// Where another backup has ended: journals only.
    Vclock(Box<Vclock>),
}

/// The backup that is going on.
#[derive(Debug, Clone)]
pub struct Backup {
    /// The files to be copied.
    pub files: Vec<PathBuf>,
    /// What the files lead to.
    pub vclock: Vclock,
    /// What they begin at if it is another backup; None if it is a snapshot.
    pub prev_vclock: Option<Vclock>,
    /// The vclock of its snapshot; of the newest one if it begins at another backup.
    pub checkpoint: Vclock,
    /// When it ends by itself, in seconds since 1970; None if it does not.
    pub expires_at: Option<f64>,
    /// The same for a clock that nobody sets.
    deadline: Option<Instant>,
}

impl Backup {
    /// From where on everything has to stay.
    fn pinned(&self) -> &Vclock {
        match &self.prev_vclock {
            Some(prev) if prev.signature() < self.checkpoint.signature() => prev,
            _ => &self.checkpoint,
        }
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl Instance {
    /// Begins a backup: closes the journal, names the files, and keeps them until [`Instance::stop_backup`], at most for
    /// `ttl`. Blocks.
    ///
    /// # Errors
    /// BACKUP_IN_PROGRESS; MISSING_SNAPSHOT if there are not that many; XLOG_NOT_FOUND if no backup can have ended there;
    /// SYSTEM with what the disk said.
    pub fn start_backup(&self, from: &BackupFrom, ttl: Option<Duration>) -> Result<Vec<PathBuf>> {
        let failed = |error: wal::Error| err!(SYSTEM, error.to_string());
        // Held to the end: nothing is removed meanwhile.
        let mut current = self.backup.lock();
        if current.as_ref().is_some_and(|backup| !backup.is_over()) {
            return Err(err!(BACKUP_IN_PROGRESS));
        }
        let checkpoints = checkpoint::list(&*self.disk, &self.snap_dir).map_err(failed)?;
        let place = match from {
            BackupFrom::Checkpoint(place) => *place,
            BackupFrom::Vclock(_) => 0,
        };
        let checkpoint = checkpoints.into_iter().rev().nth(place);
        let checkpoint = checkpoint.ok_or_else(|| err!(MISSING_SNAPSHOT))?;
        let vclock = match place {
            0 => self.journal.rotate().map_err(failed)?,
            _ => checkpoint.clone(),
        };
        let dirs: [&Path; 2] = [&self.snap_dir, &self.wal_dir];
        let (files, prev_vclock) = match from {
            BackupFrom::Checkpoint(_) => {
                (backup::full(&*self.disk, dirs, &checkpoint, &vclock).map_err(failed)?, None)
            }
            BackupFrom::Vclock(prev) => {
                let found = backup::incremental(&*self.disk, &self.wal_dir, prev, &vclock);
                let files = found.map_err(failed)?;
                (
                    files.ok_or_else(|| err!(XLOG_NOT_FOUND, prev.to_string()))?,
                    Some((**prev).clone()),
                )
            }
        };
        tracing::info!("a backup of {} files up to {vclock} has begun", files.len());
        *current = Some(Backup {
            files: files.clone(),
            vclock,
            prev_vclock,
            checkpoint,
            expires_at: ttl.map(|ttl| now() + ttl.as_secs_f64()),
            deadline: ttl.and_then(|ttl| Instant::now().checked_add(ttl)),
        });
        Ok(files)
    }

    /// Ends the backup, if there is one, and removes what it alone has kept. Blocks.
    pub fn stop_backup(&self) {
        let ended = self.backup.lock().take();
        if ended.is_some() {
            tracing::info!("the backup has ended");
            self.collect_garbage();
        }
    }

    /// The backup that is going on.
    pub fn backup(&self) -> Option<Backup> {
        self.backup.lock().clone().filter(|backup| !backup.is_over())
    }

    /// True if there is a backup whose time is over, which is to be stopped.
    pub fn is_backup_over(&self) -> bool {
        self.backup.lock().as_ref().is_some_and(Backup::is_over)
    }

    /// Removes files that neither the snapshots to be kept nor a backup need. What the disk says against it is logged.
    pub(super) fn collect_garbage(&self) {
        let backup = self.backup.lock();
        let pinned = backup.as_ref().filter(|backup| !backup.is_over()).map(Backup::pinned);
        let keep = usize::try_from(self.settings.checkpoint_count()).unwrap_or(usize::MAX);
        let (disk, dirs) = (&*self.disk, [&self.snap_dir, &self.wal_dir]);
        match checkpoint::collect_garbage(disk, dirs[0], dirs[1], keep, pinned) {
            Ok(removed) => {
                removed.iter().for_each(|path| tracing::info!("removed '{}'", path.display()));
            }
            Err(error) => tracing::error!("can't remove old files: {error}"),
        }
    }
}
