//! The seam between `wal` and the operating system: a disk and its files.
//!
//! Nothing in `wal` touches a file otherwise, so [`faults::MemoryDisk`] can fail any single operation. Paths are the
//! caller's; a file has no position of its own, every read and write names its offset.
//!
//! Must not know: what stands in the files.

pub mod faults;

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::FlockOperation;

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, to read and write.
    CreateNew,
}

/// A directory tree with files.
pub trait Disk: Send + Sync {
    /// Makes a directory, and those above it, unless it is there.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>>;

    /// Names of what `dir` holds, in no particular order. Names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Renames a file. Refuses a target that exists: the directory is ours alone, so the check before is enough.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Sets the time of the last change to now.
    fn touch(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks `dir` until the lock is dropped. [`io::ErrorKind::WouldBlock`] if somebody else has it.
    fn lock_dir(&self, dir: &Path) -> io::Result<DirLock>;
}

/// An open file.
pub trait File: Send {
    /// Reads into `buf` from `offset` on; returns how many bytes, 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes with one system call; returns how many bytes were taken.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the content durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Writes all of `bytes`: one system call, and more only if the system takes a part.
pub fn write_all_at(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A lock on a directory, held until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct DirLock {
    /// The directory that flock(2) was called for; None on a disk without locks.
    _dir: Option<OwnedFd>,
}

/// The disk of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

/// Mode of new files: everybody may read them, as Tarantool has it.
const FILE_MODE: u32 = 0o644;

impl Disk for OsDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(how != Open::Read)
            .create_new(how == Open::CreateNew)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_modified(SystemTime::now())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::File::open(dir)?.sync_all()
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<DirLock> {
        let dir = OwnedFd::from(std::fs::File::open(dir)?);
        rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        Ok(DirLock { _dir: Some(dir) })
    }
}

impl File for std::fs::File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        std::fs::File::sync_data(self)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let lock = OsDisk.lock_dir(dir.path()).expect("the first lock");
        let second = OsDisk.lock_dir(dir.path()).expect_err("the second lock");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        let _ = OsDisk.lock_dir(dir.path()).expect("the lock after the first is gone");
    }

    #[test]
    fn renaming_never_replaces_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        OsDisk.open(&from, Open::CreateNew).expect("a file");
        OsDisk.open(&to, Open::CreateNew).expect("another file");
        let refusal = OsDisk.rename(&from, &to).expect_err("a refusal");
        assert_eq!(refusal.kind(), io::ErrorKind::AlreadyExists);
    }
}
