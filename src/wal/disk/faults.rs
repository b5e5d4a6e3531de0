//! A disk in memory that fails when it is told to.
//!
//! For tests and simulation. It tells what is durable from what is not: the content of a file since its last
//! `sync_data`, the names of a directory since its last `sync_dir`. [`MemoryDisk::crash`] loses the rest.
//!
//! What becomes of an operation is said beforehand ([`MemoryDisk::fail`]) or decided when it comes ([`Script`]). A script
//! can also end the process in the middle of an operation: then the caller unwinds, with [`ProcessEnded`], as far as the
//! simulation, and nothing that is still done by what is left of it has any effect.

mod files;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use self::files::{FileNo, Files};
use super::{DirLock, Disk, File, Open};

/// An operation that can fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// [`Disk::make_dir`]
    MakeDir,
    /// [`Disk::lock_dir`]
    Lock,
    /// [`Disk::open`]
    Open,
    /// [`Disk::list`]
    List,
    /// [`Disk::rename`]
    Rename,
    /// [`Disk::remove`]
    Remove,
    /// [`Disk::touch`]
    Touch,
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

/// An operation that is about to happen.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What is to be done.
    pub op: Op,
    /// To what: of an open file, the path that it was opened by.
    pub path: &'a Path,
    /// Bytes of a write; 0 of anything else.
    pub bytes: usize,
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is done.
    Done,
    /// It fails with this error. A write has stored so many bytes, nothing else has changed anything.
    Fails(Errno, usize),
    /// The process ends: before it, or in the middle of a write that has stored so many bytes.
    Ends(usize),
    /// The process ends right after it.
    EndsAfter,
}

/// Decides what becomes of operations when they come.
pub trait Script: Send + Sync {
    /// Decides. Called on the thread that wants the operation, and may do something else with the disk before.
    fn decide(&self, call: Call<'_>) -> Fate;
}

/// What unwinds when a script has ended the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessEnded;

/// A disk in memory; clones share it, and the process that they belong to.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    /// The number of the process.
    process: u64,
}

#[derive(Default)]
struct State {
    files: Files,
    plans: Vec<Plan>,
    script: Option<Arc<dyn Script>>,
    /// Bytes that all named files may have together; None: no limit.
    capacity: Option<u64>,
    /// The number of the process that is there: whatever is left of one before changes nothing.
    process: u64,
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
    /// Counts a call of `op`; the plan whose turn it is, if any. Of several the others have theirs at the next call.
    fn due(&mut self, op: Op) -> Option<Plan> {
        let mut due = None;
        for (place, plan) in self.plans.iter_mut().enumerate() {
            if plan.op == op {
                plan.countdown = plan.countdown.saturating_sub(1);
                if plan.countdown == 0 {
                    due = Some(place);
                }
            }
        }
        due.map(|place| self.plans.swap_remove(place))
    }

    /// Ends a process, if it is still there.
    fn end(&mut self, process: u64) {
        if self.process == process {
            self.process += 1;
        }
    }

    fn room(&self) -> u64 {
        let used = self.files.used();
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used))
    }
}

impl MemoryDisk {
    /// An empty disk without limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk of its own that holds the same, and is well.
    pub fn fork(&self) -> Self {
        let files = self.state.lock().files.clone();
        Self { state: Arc::new(Mutex::new(State { files, ..State::default() })), process: 0 }
    }

    /// Makes the `nth` call of `op` from now fail (1 is the next), once.
    pub fn fail(&self, op: Op, nth: u32, errno: Errno) {
        self.state.lock().plans.push(Plan { op, countdown: nth, errno, torn_at: 0 });
    }

    /// Makes the `nth` write from now store its first `bytes` bytes only, then fail.
    pub fn tear(&self, nth: u32, bytes: usize) {
        let plan = Plan { op: Op::Write, countdown: nth, errno: Errno::IO, torn_at: bytes };
        self.state.lock().plans.push(plan);
    }

    /// Asks `script` from now on.
    pub fn follow(&self, script: Arc<dyn Script>) {
        self.state.lock().script = Some(script);
    }

    /// Forgets the failures that have not happened yet.
    pub fn heal(&self) {
        self.state.lock().plans.clear();
    }

    /// Limits all files together to `bytes`; None lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> u64 {
        self.state.lock().files.used()
    }

    /// Loses whatever is not durable. Open files go on with what is left.
    pub fn crash(&self) {
        self.power_fails(&mut |_| 0);
    }

    /// Loses some of what is not durable. `choice` names a number below the one that it gets: 0 loses, the greatest keeps.
    pub fn power_fails(&self, choice: &mut dyn FnMut(usize) -> usize) {
        self.state.lock().files.lose(choice);
    }

    /// The process has ended: nothing that is done with this disk from now on has an effect.
    pub fn detach(&self) {
        self.state.lock().end(self.process);
    }

    /// The same disk for another process.
    pub fn attach(&self) -> Self {
        Self { state: self.state.clone(), process: self.state.lock().process }
    }

    /// Whether the process has ended.
    pub fn is_detached(&self) -> bool {
        self.state.lock().process != self.process
    }

    /// The content of a file.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let files = &self.state.lock().files;
        Some(files.bytes(*files.names.get(path.as_ref())?).to_vec())
    }

    /// Puts a durable file there, in place of one that is there.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: &[u8]) {
        self.state.lock().files.put(&path.into(), bytes);
    }

    /// Paths of all files, ascending.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state.lock().files.names.keys().cloned().collect()
    }

    /// What becomes of an operation.
    fn decide(&self, call: Call<'_>) -> Fate {
        let mut state = self.state.lock();
        if state.process != self.process {
            return Fate::Fails(Errno::IO, 0);
        }
        let (due, script) = (state.due(call.op), state.script.clone());
        // A script may use the disk.
        drop(state);
        match (due, script) {
            (Some(plan), _) => Fate::Fails(plan.errno, plan.torn_at),
            (None, Some(script)) => script.decide(call),
            (None, None) => Fate::Done,
        }
    }

    /// Does an operation, or what is decided instead. `effect` is given how many bytes a write stores.
    fn perform<T>(
        &self,
        call: Call<'_>,
        effect: impl FnOnce(&mut State, usize) -> io::Result<T>,
    ) -> io::Result<T> {
        let fate = self.decide(call);
        let state = &mut *self.state.lock();
        match fate {
            Fate::Done => return effect(state, call.bytes),
            Fate::Fails(errno, stored) => {
                if stored > 0 {
                    effect(state, stored.min(call.bytes))?;
                }
                return Err(errno.into());
            }
            Fate::Ends(stored) if stored > 0 => drop(effect(state, stored.min(call.bytes))),
            Fate::Ends(_) => {}
            Fate::EndsAfter => drop(effect(state, call.bytes)),
        }
        state.end(self.process);
        if std::thread::panicking() {
            return Err(Errno::IO.into());
        }
        std::panic::resume_unwind(Box::new(ProcessEnded))
    }

    /// The same for what is no write.
    fn step<T>(
        &self,
        op: Op,
        path: &Path,
        effect: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.perform(Call { op, path, bytes: 0 }, |state, _| effect(state))
    }
}

impl Disk for MemoryDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.step(Op::MakeDir, dir, |_| Ok(()))
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let file =
            self.step(Op::Open, path, |State { files, .. }| match (how, files.find(path)) {
                (Open::CreateNew, Ok(_)) => Err(io::ErrorKind::AlreadyExists.into()),
                (Open::CreateNew, Err(_)) => Ok(files.create(path)),
                (_, found) => found,
            })?;
        Ok(Box::new(MemoryFile { disk: self.clone(), path: path.to_owned(), file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.step(Op::List, dir, |state| {
            let here = state.files.names.keys().filter(|path| path.parent() == Some(dir));
            Ok(here.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Op::Rename, from, |State { files, .. }| {
            if files.names.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let file = files.find(from)?;
            files.name(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(Op::Remove, path, |State { files, .. }| {
            files.find(path)?;
            files.name(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.step(Op::Touch, path, |state| state.files.find(path).map(drop))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step(Op::SyncDir, dir, |state| {
            state.files.sync_dir(dir);
            Ok(())
        })
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<DirLock> {
        self.step(Op::Lock, dir, |_| Ok(DirLock { _dir: None }))
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    /// What it was opened by.
    path: PathBuf,
    file: FileNo,
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.step(Op::Read, &self.path, |state| {
            let rest = state.files.bytes(self.file).get(offset as usize..).unwrap_or(&[]);
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let call = Call { op: Op::Write, path: &self.path, bytes: bytes.len() };
        self.disk.perform(call, |state, stored| {
            let end = offset + stored as u64;
            let growth = end.saturating_sub(state.files.bytes(self.file).len() as u64);
            let missing = growth.saturating_sub(state.room());
            let count = stored - (missing as usize).min(stored);
            if count == 0 && !bytes.is_empty() {
                return Err(Errno::NOSPC.into());
            }
            state.files.write(self.file, &bytes[..count], offset);
            Ok(count)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.step(Op::Sync, &self.path, |state| {
            state.files.sync(self.file);
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.step(Op::Truncate, &self.path, |state| {
            state.files.cut(self.file, len);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().files.bytes(self.file).len() as u64)
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

    #[test]
    fn a_power_failure_keeps_what_comes_first() {
        let make = || {
            let disk = MemoryDisk::new();
            let file = disk.open(Path::new("d/a"), Open::CreateNew).expect("a file");
            file.write_at(b"12", 0).expect("a write");
            file.write_at(b"345", 2).expect("a write");
            disk.rename(Path::new("d/a"), Path::new("d/b")).expect("a rename");
            disk
        };
        // The first write, a byte of the second; names in order, the first of them.
        let mut choices = [1, 1, 0, 1].into_iter();
        let disk = make();
        disk.power_fails(&mut |_| choices.next().expect("a choice"));
        assert_eq!((disk.get("d/a").as_deref(), disk.get("d/b")), (Some(b"123".as_slice()), None));
        let disk = make();
        disk.power_fails(&mut |count| count - 1);
        assert_eq!(disk.get("d/b").as_deref(), Some(b"12345".as_slice()));
        assert_eq!(disk.paths().len(), 1);
    }

    /// Ends the process after two bytes of a write.
    struct Ending;

    impl Script for Ending {
        fn decide(&self, call: Call<'_>) -> Fate {
            if call.op == Op::Write { Fate::Ends(2) } else { Fate::Done }
        }
    }

    #[test]
    fn a_process_ends_in_the_middle_of_a_write() {
        let disk = MemoryDisk::new();
        let file = disk.open(Path::new("d/file"), Open::CreateNew).expect("a file");
        disk.follow(Arc::new(Ending));
        let writing = std::panic::AssertUnwindSafe(|| file.write_at(b"abc", 0));
        let end = std::panic::catch_unwind(writing).expect_err("an end");
        assert!(end.is::<ProcessEnded>() && disk.is_detached());
        file.truncate(0).expect_err("it has ended");
        assert_eq!(disk.fork().get("d/file").as_deref(), Some(b"ab".as_slice()));
    }
}
