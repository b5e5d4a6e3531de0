//! A disk in memory that fails when it is told to.
//!
//! For tests and simulation. It tells what is durable from what is not: the content of a file since its last
//! `sync_data`, the names of a directory since its last `sync_dir`. [`MemoryDisk::crash`] loses the rest.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::{DirLock, Disk, File, Open};

/// An operation that can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// [`Disk::open`]
    Open,
    /// [`Disk::list`]
    List,
    /// [`Disk::rename`]
    Rename,
    /// [`Disk::remove`]
    Remove,
    /// [`Disk::sync_dir`]
    SyncDir,
    /// [`File::read_at`]
    Read,
    /// [`File::write_at`]
    Write,
    /// [`File::sync_data`]
    Sync,
    /// [`File::truncate`]
    Truncate,
}

/// A disk in memory; clones share it.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Files by number; a file stays when its name goes.
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    plans: Vec<Plan>,
    /// Bytes that all named files may have together; None: no limit.
    capacity: Option<u64>,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

/// A failure that waits for its turn.
struct Plan {
    op: Op,
    /// Calls of `op` until it fails; 1 is the next.
    countdown: u32,
    errno: Errno,
    /// Of a write: bytes that are stored before it fails.
    torn_at: usize,
}

impl State {
    /// Counts a call of `op`; the plan whose turn it is, if any.
    fn due(&mut self, op: Op) -> Option<Plan> {
        let mut due = None;
        for (place, plan) in self.plans.iter_mut().enumerate() {
            if plan.op == op {
                plan.countdown -= 1;
                if plan.countdown == 0 {
                    due = Some(place);
                }
            }
        }
        due.map(|place| self.plans.swap_remove(place))
    }

    fn step(&mut self, op: Op) -> io::Result<()> {
        self.due(op).map_or(Ok(()), |plan| Err(plan.errno.into()))
    }

    fn room(&self) -> u64 {
        let used: usize = self.names.values().map(|file| self.files[*file].bytes.len()).sum();
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used as u64))
    }

    fn write(&mut self, file: usize, bytes: &[u8], offset: u64) {
        let start = offset as usize;
        let content = &mut self.files[file].bytes;
        if content.len() < start + bytes.len() {
            content.resize(start + bytes.len(), 0);
        }
        content[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl MemoryDisk {
    /// An empty disk without limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `nth` call of `op` from now fail (1 is the next), once.
    pub fn fail(&self, op: Op, nth: u32, errno: Errno) {
        self.0.lock().plans.push(Plan { op, countdown: nth, errno, torn_at: 0 });
    }

    /// Makes the `nth` write from now store its first `bytes` bytes only, then fail.
    pub fn tear(&self, nth: u32, bytes: usize) {
        let plan = Plan { op: Op::Write, countdown: nth, errno: Errno::IO, torn_at: bytes };
        self.0.lock().plans.push(plan);
    }

    /// Forgets the failures that have not happened yet.
    pub fn heal(&self) {
        self.0.lock().plans.clear();
    }

    /// Limits all files together to `bytes`; None lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Loses whatever is not durable. Open files go on with what is left.
    pub fn crash(&self) {
        let state = &mut *self.0.lock();
        state.names.clone_from(&state.durable_names);
        for content in &mut state.files {
            content.bytes.clone_from(&content.durable);
        }
    }

    /// The content of a file.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.0.lock();
        let file = *state.names.get(path.as_ref())?;
        Some(state.files[file].bytes.clone())
    }

    /// Puts a durable file there, in place of one that is there.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: &[u8]) {
        let state = &mut *self.0.lock();
        let path = path.into();
        state.files.push(Content { bytes: bytes.to_vec(), durable: bytes.to_vec() });
        state.names.insert(path.clone(), state.files.len() - 1);
        state.durable_names.insert(path, state.files.len() - 1);
    }

    /// Paths of all files, ascending.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let state = &mut *self.0.lock();
        state.step(Op::Open)?;
        let file = match (how, state.names.get(path)) {
            (Open::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Open::CreateNew, None) => {
                state.files.push(Content::default());
                state.names.insert(path.to_owned(), state.files.len() - 1);
                state.files.len() - 1
            }
            (_, Some(file)) => *file,
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(MemoryFile { disk: self.clone(), file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = &mut *self.0.lock();
        state.step(Op::List)?;
        let here = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let state = &mut *self.0.lock();
        state.step(Op::Rename)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.0.lock();
        state.step(Op::Remove)?;
        state.find(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.0.lock().find(path).map(drop)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let state = &mut *self.0.lock();
        state.step(Op::SyncDir)?;
        state.durable_names.retain(|path, _| path.parent() != Some(dir));
        let here = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        state.durable_names.extend(here.map(|(path, file)| (path.clone(), *file)));
        Ok(())
    }

    fn lock_dir(&self, _dir: &Path) -> io::Result<DirLock> {
        Ok(DirLock { _dir: None })
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    /// Place in [`State::files`].
    file: usize,
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = &mut *self.disk.0.lock();
        state.step(Op::Read)?;
        let rest = state.files[self.file].bytes.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let state = &mut *self.disk.0.lock();
        if let Some(plan) = state.due(Op::Write) {
            state.write(self.file, &bytes[..bytes.len().min(plan.torn_at)], offset);
            return Err(plan.errno.into());
        }
        let end = offset + bytes.len() as u64;
        let growth = end.saturating_sub(state.files[self.file].bytes.len() as u64);
        let missing = growth.saturating_sub(state.room());
        let count = bytes.len() - (missing as usize).min(bytes.len());
        if count == 0 && !bytes.is_empty() {
            return Err(Errno::NOSPC.into());
        }
        state.write(self.file, &bytes[..count], offset);
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = &mut *self.disk.0.lock();
        state.step(Op::Sync)?;
        let Content { bytes, durable } = &mut state.files[self.file];
        durable.clone_from(bytes);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let state = &mut *self.disk.0.lock();
        state.step(Op::Truncate)?;
        state.files[self.file].bytes.resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.file].bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loses_what_was_not_synced() {
        let disk = MemoryDisk::new();
        let path = Path::new("d/file");
        let file = disk.open(path, Open::CreateNew).expect("a file");
        file.write_at(b"kept", 0).expect("a write");
        file.sync_data().expect("a sync");
        disk.sync_dir(Path::new("d")).expect("a sync");
        file.write_at(b"lost", 4).expect("a write");
        disk.open(Path::new("d/other"), Open::CreateNew).expect("a file");
        disk.crash();
        assert_eq!(disk.get(path).as_deref(), Some(b"kept".as_slice()));
        assert_eq!(disk.paths(), [path]);
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_then_refuses() {
        let disk = MemoryDisk::new();
        disk.set_capacity(Some(6));
        let file = disk.open(Path::new("d/file"), Open::CreateNew).expect("a file");
        assert_eq!(file.write_at(b"12345678", 0).ok(), Some(6));
        let refusal = file.write_at(b"78", 6).expect_err("a refusal");
        assert_eq!(refusal.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    }

    #[test]
    fn the_nth_call_fails_once() {
        let disk = MemoryDisk::new();
        let file = disk.open(Path::new("d/file"), Open::CreateNew).expect("a file");
        disk.fail(Op::Sync, 2, Errno::IO);
        disk.tear(2, 1);
        assert!(file.sync_data().is_ok());
        assert!(file.sync_data().is_err());
        assert!(file.sync_data().is_ok());
        assert!(file.write_at(b"ab", 0).is_ok());
        assert!(file.write_at(b"cd", 2).is_err());
        assert_eq!(disk.get("d/file").as_deref(), Some(b"abc".as_slice()));
    }
}
