//! A process whose threads run when the simulation says so, and whose end is the simulation's to see.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::wal::disk::faults::{MemoryDisk, ProcessEnded};
use crate::wal::process::{Job, Join, Process};

/// A process on a disk in memory.
pub(super) struct SimProcess {
    disk: MemoryDisk,
    jobs: Arc<Mutex<Jobs>>,
    is_aborted: AtomicBool,
}

/// Threads that have not run yet.
#[derive(Default)]
struct Jobs {
    waiting: VecDeque<(u64, Job)>,
    last: u64,
}

impl SimProcess {
    pub(super) fn new(disk: MemoryDisk) -> Self {
        Self { disk, jobs: Arc::default(), is_aborted: AtomicBool::new(false) }
    }

    /// True if it has ended itself.
    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Relaxed)
    }

    /// Lets the oldest thread run.
    pub(super) fn run_thread(&self) {
        let job = self.jobs.lock().waiting.pop_front();
        if let Some((_, job)) = job {
            job();
        }
    }
}

impl Process for SimProcess {
    fn spawn(&self, name: &'static str, job: Job) -> io::Result<Join> {
        if name == "wal" {
            // It flushes the journal for as long as there is something, which is the simulation's turn to do.
            return Ok(Box::new(|| true));
        }
        let mut jobs = self.jobs.lock();
        jobs.last += 1;
        let no = jobs.last;
        jobs.waiting.push_back((no, job));
        let jobs = self.jobs.clone();
        Ok(Box::new(move || {
            let mut locked = jobs.lock();
            let place = locked.waiting.iter().position(|(other, _)| *other == no);
            let job = place.and_then(|place| locked.waiting.remove(place));
            drop(locked);
            if let Some((_, job)) = job {
                job();
            }
            true
        }))
    }

    fn abort(&self) {
        // What is left of a process that has ended is taken apart.
        if self.disk.is_detached() {
            return;
        }
        self.is_aborted.store(true, Ordering::Relaxed);
        self.disk.detach();
        if !std::thread::panicking() {
            std::panic::resume_unwind(Box::new(ProcessEnded));
        }
    }
}
