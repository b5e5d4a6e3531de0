//! Which files there are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::super::disk::{DirLock, Disk, Open};
use super::super::xlog::{END_MARKER, FileType, INPROGRESS, Meta, Reader, signature};
use super::super::{Damage, Error, Result};
use super::MaySkip;

/// What is put after the name of a journal that is no longer to be read.
const CORRUPTED: &str = ".corrupted";

/// What the directories of an instance hold.
pub struct Scan {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) wal_dir: PathBuf,
    /// The newest good snapshot; None if there is none.
    pub(super) snapshot: Option<Found>,
    /// All journals, oldest first.
    pub(super) xlogs: Vec<Found>,
    /// If the recovery is forced: which rows of a snapshot may be lost.
    pub(super) may_skip: Option<MaySkip>,
    /// Journals that were passed over.
    passed_over: Vec<PathBuf>,
}

/// A file with what recovery needs of its meta.
#[derive(Debug, Clone)]
pub(in super::super) struct Found {
    pub(in super::super) path: PathBuf,
    pub(in super::super) instance: Uuid,
    pub(in super::super) vclock: crate::db::journal::Vclock,
    pub(in super::super) prev_vclock: Option<crate::db::journal::Vclock>,
}

/// Locks the WAL directory for this process until the lock is dropped.
///
/// Errors: [`Error::Locked`] if another process has it.
pub fn lock_dir(disk: &dyn Disk, dir: &Path) -> Result<DirLock> {
    disk.lock_dir(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked(dir.to_owned()),
        _ => Error::io("lock", dir)(error),
    })
}

impl Scan {
    /// Lists the directories, which may be the same, and reads the meta of each file. Removes leftovers `*.inprogress`.
    ///
    /// Errors: a journal whose meta is damaged, or whose name is not its vclock's; files of different instances; files
    /// of another instance than `instance`, if that is given; snapshots none of which is good; journals without any
    /// snapshot.
    pub fn new(
        disk: Arc<dyn Disk>,
        snap_dir: &Path,
        wal_dir: &Path,
        instance: Option<Uuid>,
    ) -> Result<Self> {
        remove_inprogress(&*disk, [snap_dir, wal_dir])?;
        Self::of(disk, snap_dir, wal_dir, instance, None)
    }

    /// The same for somebody who only looks: nothing is removed, and the directories need not be locked.
    ///
    /// Errors: those of [`Scan::new`].
    pub fn look(disk: Arc<dyn Disk>, snap_dir: &Path, wal_dir: &Path) -> Result<Self> {
        Self::of(disk, snap_dir, wal_dir, None, None)
    }

    /// The same for a recovery that is forced: journals that would be an error are passed over, and damaged snapshots if there
    /// is nothing better. `may_skip` tells of a row of a snapshot whether it may be lost, with all that follow: those before
    /// it may not.
    ///
    /// Errors: those of [`Scan::new`] but for journals.
    pub fn forced(
        disk: Arc<dyn Disk>,
        snap_dir: &Path,
        wal_dir: &Path,
        instance: Option<Uuid>,
        may_skip: MaySkip,
    ) -> Result<Self> {
        remove_inprogress(&*disk, [snap_dir, wal_dir])?;
        Self::of(disk, snap_dir, wal_dir, instance, Some(may_skip))
    }

    fn of(
        disk: Arc<dyn Disk>,
        snap_dir: &Path,
        wal_dir: &Path,
        instance: Option<Uuid>,
        may_skip: Option<MaySkip>,
    ) -> Result<Self> {
        let mut newest_fault = None;
        let mut snapshot: Option<Found> = None;
        let mut cut = None;
        for path in paths(&*disk, snap_dir, FileType::Snap)?.into_iter().rev() {
            match good_snapshot(&*disk, &path) {
                Ok(found) => match &snapshot {
                    Some(newest) => same_instance(&found, newest.instance)?,
                    None => snapshot = Some(found),
                },
                Err(error @ Error::Damaged { .. }) => {
                    tracing::error!("snapshot passed over: {error}");
                    newest_fault.get_or_insert(error);
                    if may_skip.is_some() && cut.is_none() {
                        cut = read_meta(&*disk, &path, FileType::Snap).ok();
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let snapshot = snapshot.or(cut);
        let xlogs = paths(&*disk, wal_dir, FileType::Xlog)?;
        let Some(newest) = &snapshot else {
            return match (newest_fault, xlogs.is_empty()) {
                (Some(error), _) => Err(error),
                (None, true) => Ok(Self {
                    disk,
                    wal_dir: wal_dir.to_owned(),
                    snapshot,
                    xlogs: Vec::new(),
                    may_skip,
                    passed_over: Vec::new(),
                }),
                (None, false) => Err(Error::NoSnapshot(wal_dir.to_owned())),
            };
        };
        if let Some(expected) = instance
            && expected != newest.instance
        {
            return Err(Error::ConfiguredInstance { expected, found: newest.instance });
        }
        let read = |path: &Path| {
            let found = read_meta(&*disk, path, FileType::Xlog)?;
            same_instance(&found, newest.instance)?;
            Ok(found)
        };
        let (mut found, mut passed_over) = (Vec::new(), Vec::new());
        for path in xlogs {
            match read(&path) {
                Ok(xlog) => found.push(xlog),
                Err(error @ (Error::Damaged { .. } | Error::Instance { .. }))
                    if may_skip.is_some() =>
                {
                    tracing::error!("journal passed over: {error}");
                    passed_over.push(path);
                }
                Err(error) => return Err(error),
            }
        }
        let wal_dir = wal_dir.to_owned();
        Ok(Self { disk, wal_dir, snapshot, xlogs: found, may_skip, passed_over })
    }

    /// Gives journals that were passed over other names, if their own are still to be used by new ones: those from
    /// `signature` on.
    pub(super) fn set_aside(&self, from: u64) -> Result<()> {
        for path in &self.passed_over {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if signature(name, FileType::Xlog).is_some_and(|signature| signature >= from) {
                put_aside(&*self.disk, path)?;
            }
        }
        Ok(())
    }

    /// Whether there is nothing to recover: the instance is new and has to be bootstrapped.
    pub fn is_empty(&self) -> bool {
        self.snapshot.is_none()
    }

    /// Makes the snapshot durable: whoever wrote it or put it there may have ended before it was.
    ///
    /// Errors: [`Error::Io`].
    pub fn sync_snapshot(&self) -> Result<()> {
        let Some(Found { path, .. }) = &self.snapshot else { return Ok(()) };
        self.sync(std::iter::once(path), path.parent().unwrap_or(Path::new(".")))
    }

    /// Makes the journals durable: what is recovered from them may be in the system's memory only, and what comes after it
    /// is of no use without it.
    ///
    /// Errors: [`Error::Io`].
    pub fn sync_journals(&self) -> Result<()> {
        self.sync(self.xlogs.iter().map(|xlog| &xlog.path), &self.wal_dir)
    }

    /// Makes files of a directory durable, and their names.
    fn sync<'a>(&self, files: impl Iterator<Item = &'a PathBuf>, dir: &Path) -> Result<()> {
        for path in files {
            let file = self.disk.open(path, Open::Read).map_err(Error::io("open", path))?;
            file.sync_data().map_err(Error::io("sync", path))?;
        }
        self.disk.sync_dir(dir).map_err(Error::io("sync", dir))
    }

    /// The instance that the files are of.
    pub fn instance(&self) -> Option<Uuid> {
        self.snapshot.as_ref().map(|snapshot| snapshot.instance)
    }
}

/// Paths of the files of that type in `dir`, oldest first.
pub(in super::super) fn paths(
    disk: &dyn Disk,
    dir: &Path,
    file_type: FileType,
) -> Result<Vec<PathBuf>> {
    let mut names = disk.list(dir).map_err(Error::io("list", dir))?;
    names.retain(|name| signature(name, file_type).is_some());
    // Names have equally many digits.
    names.sort_unstable();
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// Reads the meta of a file and compares its vclock with its name.
pub(in super::super) fn read_meta(
    disk: &dyn Disk,
    path: &Path,
    file_type: FileType,
) -> Result<Found> {
    let reader = Reader::open(disk, path, file_type)?;
    let Meta { instance, vclock, prev_vclock, .. } = reader.meta().clone();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if signature(name, file_type) != Some(vclock.signature()) {
        return Err(Error::damaged(path, 0, Damage::Signature(Box::new(vclock))));
    }
    Ok(Found { path: path.to_owned(), instance, vclock, prev_vclock })
}

/// Gives a file that cannot be read another name, under which nobody looks for it.
pub(in super::super) fn put_aside(disk: &dyn Disk, path: &Path) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let aside = path.with_file_name(format!("{name}{CORRUPTED}"));
    tracing::warn!("renaming '{}' to '{}'", path.display(), aside.display());
    disk.rename(path, &aside).map_err(Error::io("rename", path))
}

/// The meta of a snapshot that has its end marker.
pub(in super::super) fn good_snapshot(disk: &dyn Disk, path: &Path) -> Result<Found> {
    let found = read_meta(disk, path, FileType::Snap)?;
    let mut tail = [0; END_MARKER.len()];
    let file = disk.open(path, Open::Read).map_err(Error::io("open", path))?;
    let len = file.len().map_err(Error::io("read", path))?;
    let offset = len.saturating_sub(tail.len() as u64);
    let count = file.read_at(&mut tail, offset).map_err(Error::io("read", path))?;
    if count == tail.len() && tail == END_MARKER {
        Ok(found)
    } else {
        Err(Error::damaged(path, offset, Damage::NoEnd))
    }
}

fn same_instance(found: &Found, expected: Uuid) -> Result<()> {
    if found.instance == expected {
        return Ok(());
    }
    Err(Error::Instance { path: found.path.clone(), expected, found: found.instance })
}

fn remove_inprogress(disk: &dyn Disk, dirs: [&Path; 2]) -> Result<()> {
    for dir in dirs {
        for name in disk.list(dir).map_err(Error::io("list", dir))? {
            let Some(final_name) = name.strip_suffix(INPROGRESS) else { continue };
            let is_ours = [FileType::Xlog, FileType::Snap]
                .into_iter()
                .any(|file_type| signature(final_name, file_type).is_some());
            if is_ours {
                let path = dir.join(&name);
                // Such a file is in nobody's way: what would be written under its name removes it first.
                if let Err(error) = disk.remove(&path) {
                    tracing::warn!("{}: can't remove: {error}", path.display());
                }
            }
        }
    }
    Ok(())
}
