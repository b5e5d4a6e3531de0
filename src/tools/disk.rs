//! The disk as tools see it: files are read, and that moves a bar; nothing else is possible.

use std::io;
use std::path::Path;

use super::progress::Progress;
use crate::wal::disk::{DirLock, Disk, File, Open, OsDisk};

/// The operating system's disk without anything that changes it.
pub(super) struct ReadOnlyDisk {
    progress: Progress,
}

impl ReadOnlyDisk {
    /// A disk whose reads are counted.
    pub(super) fn new(progress: Progress) -> Self {
        Self { progress }
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::PermissionDenied.into())
}

impl Disk for ReadOnlyDisk {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        if how != Open::Read {
            return refused();
        }
        let (file, progress) = (OsDisk.open(path, how)?, self.progress.clone());
        self.progress.name(path);
        Ok(Box::new(ReadOnlyFile { file, progress }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(dir)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn touch(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn lock_dir(&self, _: &Path) -> io::Result<DirLock> {
        refused()
    }
}

/// A file that is only read.
struct ReadOnlyFile {
    file: Box<dyn File>,
    progress: Progress,
}

impl File for ReadOnlyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.file.read_at(buf, offset)?;
        self.progress.done(count as u64);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        refused()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
