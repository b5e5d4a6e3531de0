//! The seam between `wal` and the process that it runs in: its threads and its end.
//!
//! Beside [`super::disk`], which is the seam to files. With both in its hands a simulation decides in which order things
//! happen, and sees that a process ends without ending itself.

use std::io;

/// What a thread runs.
pub type Job = Box<dyn FnOnce() + Send>;

/// Waits for the end of a thread; false if it has panicked.
pub type Join = Box<dyn FnOnce() -> bool + Send>;

/// A process.
pub trait Process: Send + Sync {
    /// Runs `job` on a thread of this name.
    fn spawn(&self, name: &'static str, job: Job) -> io::Result<Join>;

    /// Ends the process at once: what its files hold can no longer be trusted. Returns in tests only.
    fn abort(&self);
}

/// The process of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsProcess;

impl Process for OsProcess {
    fn spawn(&self, name: &'static str, job: Job) -> io::Result<Join> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(job)?;
        Ok(Box::new(move || thread.join().is_ok()))
    }

    fn abort(&self) {
        std::process::abort();
    }
}
