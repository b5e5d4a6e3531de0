//! Committed transactions to disk, in commit order.
//!
//! ```text
//!  append (under the database lock)        flush (no lock of the database)
//!  rows --> queue: one buffer of blocks --swap--> batch --one write--> file --[fdatasync]--> settled --> waiters
//!                                                  '-- fails --> cut the file back, roll back batch and queue
//! ```
//!
//! - Mode write: whoever waits becomes the leader at its second poll and writes everything queued, on its own thread.
//!   The first poll gives other connections of the thread the time to join the batch, unless it is large by then. A
//!   caller that has flushed before finds its ticket settled at the first poll.
//! - Mode fsync: one thread writes and calls fdatasync for everything that gathered meanwhile.
//! - Mode none: a ticket is settled when it is appended; there is no file.
//!
//! Invariant: the file holds whole blocks in commit order, of settled tickets only; what a failed write left behind is
//! cut off before anything else is written, or the process aborts.
//! Invariant: locks are taken in the order writer, database, queue. Nobody who holds the database lock may flush, rotate
//! or shut down; appending takes the queue's lock alone.
//!
//! A failed fdatasync aborts the process: what the page cache holds can no longer be trusted.
//!
//! Source: wal.md §3, §6; design.md §1.2; Tarantool `src/box/wal.c`.

mod failures;
mod file;
mod wait;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use lycosa_proto::error;
use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use self::failures::Failures;
use self::file::JournalFile;
pub use self::wait::Wait;
use self::wait::Waiters;
use super::disk::Disk;
use super::process::{Join, OsProcess, Process};
use super::recovery::Position;
use super::xlog::Blocks;
use super::{Error, Result};
use crate::db::journal::{RollBack, Ticket, Vclock};

/// Bytes of queued rows that are worth a write by themselves: to wait for more only drives them out of the cache.
const BATCH_BYTES: usize = 64 << 10;
/// Memory that an idle buffer of blocks keeps.
const BUFFER_IDLE_BYTES_MAX: usize = 1 << 20;

/// When a transaction is durable. Tarantool's `wal_mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// At once: there is no journal.
    None,
    /// When the operating system has its rows.
    #[default]
    Write,
    /// When the disk has them.
    Fsync,
}

/// What a journal is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tarantool's `wal_mode`.
    pub mode: Mode,
    /// Tarantool's `wal_dir`.
    pub dir: PathBuf,
    /// Bytes after which a file takes no further batch. Tarantool's `wal_max_size`.
    pub max_bytes: u64,
    /// Bytes of rows that may wait until writers have to. Tarantool's `wal_queue_max_size`.
    pub queue_max_bytes: usize,
    /// The instance, named in each file.
    pub instance: Uuid,
}

impl Options {
    /// The defaults for a directory and an instance.
    pub fn new(dir: PathBuf, instance: Uuid) -> Self {
        Self { mode: Mode::Write, dir, max_bytes: 256 << 20, queue_max_bytes: 16 << 20, instance }
    }
}

/// The journal of one instance; shared by all connections.
pub struct Journal {
    shared: Arc<Shared>,
    /// Writes in mode fsync; None otherwise and after the end.
    thread: Mutex<Option<Join>>,
}

/// What connections and the thread share.
struct Shared {
    mode: Mode,
    queue_max_bytes: AtomicUsize,
    /// The longest write that is not worth a warning, nanoseconds.
    too_long_nsec: AtomicU64,
    queue: Mutex<Queue>,
    /// Signalled in mode fsync when the queue gets its first row, and at the end.
    has_work: Condvar,
    writer: Mutex<BatchWriter>,
    /// The newest ticket whose fate is known. Written after everything that a waiter may look at.
    settled: AtomicU64,
    /// The newest ticket that was appended.
    appended: AtomicU64,
    /// Bytes appended and not settled.
    pending_bytes: AtomicUsize,
    /// Bytes of rows written since the journal was opened.
    written_bytes: AtomicU64,
    failures: Failures,
    waiters: Waiters,
    rollback: OnceLock<Weak<dyn RollBack>>,
    process: Arc<dyn Process>,
}

/// Rows that wait to be written.
#[derive(Default)]
struct Queue {
    blocks: Blocks,
    /// First and last ticket in `blocks`; `last` is 0 if there is none.
    first: u64,
    last: u64,
    /// The vclock after `last`.
    vclock: Vclock,
    /// Bytes of rows in `blocks`.
    row_bytes: usize,
    /// Whether the thread has to end.
    is_over: bool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.last == 0
    }

    /// Forgets all rows.
    fn clear(&mut self) {
        self.blocks.clear(BUFFER_IDLE_BYTES_MAX);
        self.first = 0;
        self.last = 0;
        self.row_bytes = 0;
    }
}

/// What only the leader touches.
struct BatchWriter {
    file: JournalFile,
    /// The batch that is being written; empty between batches.
    batch: Queue,
}

impl Journal {
    /// Opens the journal that continues at `position`. No file is touched before the first row.
    ///
    /// Errors: [`Error::Io`] if the thread of mode fsync cannot be started.
    pub fn open(disk: Arc<dyn Disk>, options: Options, position: Position) -> Result<Self> {
        Self::open_in(Arc::new(OsProcess), disk, options, position)
    }

    /// The same in another process than that of the operating system, for tests and simulation.
    ///
    /// Errors: as [`Journal::open`].
    pub fn open_in(
        process: Arc<dyn Process>,
        disk: Arc<dyn Disk>,
        options: Options,
        position: Position,
    ) -> Result<Self> {
        let Options { mode, queue_max_bytes, .. } = options;
        let dir = options.dir.clone();
        let file = JournalFile::new(process.clone(), disk, options, position);
        let shared = Arc::new(Shared {
            mode,
            queue_max_bytes: AtomicUsize::new(queue_max_bytes.max(1)),
            too_long_nsec: AtomicU64::new(u64::MAX),
            queue: Mutex::default(),
            has_work: Condvar::new(),
            writer: Mutex::new(BatchWriter { file, batch: Queue::default() }),
            settled: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            pending_bytes: AtomicUsize::new(0),
            written_bytes: AtomicU64::new(0),
            failures: Failures::default(),
            waiters: Waiters::default(),
            rollback: OnceLock::new(),
            process,
        });
        let thread = match mode {
            Mode::Fsync => {
                let writer = shared.clone();
                let thread = shared.process.spawn("wal", Box::new(move || writer.run()));
                Some(thread.map_err(Error::io("start a thread for", &dir))?)
            }
            Mode::None | Mode::Write => None,
        };
        Ok(Self { shared, thread: Mutex::new(thread) })
    }

    /// Says who rolls back transactions that could not be written. Once, before the first append; later calls do nothing.
    pub fn set_rollback_target(&self, target: Weak<dyn RollBack>) {
        let _ = self.shared.rollback.set(target);
    }

    /// When transactions are durable.
    pub fn mode(&self) -> Mode {
        self.shared.mode
    }

    /// Writes everything that is queued, whoever queued it. After it returns, every ticket appended before is settled.
    ///
    /// Blocks for a write (in mode fsync also for an fdatasync). Must not be called under the database lock.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// In mode write, writes what is queued, as whoever waits for it would. In the others there is nothing to do.
    ///
    /// Blocks for a write. Must not be called under the database lock.
    #[inline]
    pub fn lead(&self) {
        if self.shared.mode == Mode::Write {
            self.shared.flush();
        }
    }

    /// Waits until a ticket is settled, then says what became of it, see [`Journal::result`].
    ///
    /// Panics: in mode write, if the ticket was never appended.
    pub fn wait(&self, ticket: Ticket) -> Wait<'_> {
        Wait::new(&self.shared, ticket)
    }

    /// What became of a settled ticket.
    ///
    /// Errors: ER_WAL_IO if its rows could not be written; ER_CASCADE_ROLLBACK if those of a transaction before it
    /// could not.
    pub fn result(&self, ticket: Ticket) -> error::Result<()> {
        self.shared.failures.result(ticket)
    }

    /// Bytes of rows written since the journal was opened.
    pub fn written_bytes(&self) -> u64 {
        self.shared.written_bytes.load(Ordering::Relaxed)
    }

    /// Whether writers have to wait before they may append, see [`Journal::ready`].
    #[inline]
    pub fn is_full(&self) -> bool {
        let Shared { pending_bytes, queue_max_bytes, .. } = &*self.shared;
        pending_bytes.load(Ordering::Relaxed) >= queue_max_bytes.load(Ordering::Relaxed)
    }

    /// Changes how many bytes of rows may wait until writers have to. Tarantool's `wal_queue_max_size`.
    pub fn set_queue_max_bytes(&self, bytes: usize) {
        self.shared.queue_max_bytes.store(bytes.max(1), Ordering::Relaxed);
    }

    /// Changes the time that a write may take before a warning is logged. Tarantool's `too_long_threshold`.
    pub fn set_too_long_threshold(&self, threshold: Duration) {
        let nsec = u64::try_from(threshold.as_nanos()).unwrap_or(u64::MAX);
        self.shared.too_long_nsec.store(nsec, Ordering::Relaxed);
    }

    /// Waits until there is room in the queue. Await it before taking the database lock to write.
    pub async fn ready(&self) {
        while self.is_full() {
            let newest = Ticket(self.shared.appended.load(Ordering::Acquire));
            // What became of others is theirs to know.
            let _ = self.wait(newest).await;
        }
    }

    /// Closes the current file if it has rows; the next row begins a new one. For checkpoints and backups. Gives the vclock
    /// that the closed files lead to.
    ///
    /// Must not be called under the database lock.
    pub fn rotate(&self) -> Result<Vclock> {
        self.shared.flush();
        let file = &mut self.shared.writer.lock().file;
        file.rotate().inspect_err(|_| self.shared.repair(file))
    }

    /// Writes what is queued, closes the file, and leaves an empty one that names the last vclock.
    ///
    /// To be called once, when nothing is appended any more.
    pub fn shutdown(&self) -> Result<()> {
        self.end_thread();
        self.shared.flush();
        let file = &mut self.shared.writer.lock().file;
        file.shutdown().inspect_err(|_| self.shared.repair(file))
    }

    fn end_thread(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        self.shared.queue.lock().is_over = true;
        self.shared.has_work.notify_one();
        if !thread() {
            tracing::error!("the journal's thread has panicked");
            self.shared.process.abort();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end_thread();
    }
}

impl crate::db::journal::Journal for Journal {
    fn append(&self, ticket: Ticket, rows: &[u8], vclock: &Vclock) {
        self.shared.append(ticket, rows, vclock);
    }

    fn settled(&self) -> Ticket {
        self.shared.settled()
    }
}

impl Shared {
    fn settled(&self) -> Ticket {
        Ticket(self.settled.load(Ordering::Acquire))
    }

    fn append(&self, ticket: Ticket, rows: &[u8], vclock: &Vclock) {
        if self.mode == Mode::None {
            self.appended.store(ticket.0, Ordering::Release);
            self.settled.store(ticket.0, Ordering::Release);
            return;
        }
        let mut queue = self.queue.lock();
        let is_first = queue.is_empty();
        assert!(ticket.0 > queue.last, "tickets are appended in ascending order");
        queue.blocks.push(rows);
        queue.row_bytes += rows.len();
        if is_first {
            queue.first = ticket.0;
        }
        queue.last = ticket.0;
        queue.vclock.clone_from(vclock);
        self.pending_bytes.fetch_add(rows.len(), Ordering::Relaxed);
        self.appended.store(ticket.0, Ordering::Release);
        drop(queue);
        if is_first && self.mode == Mode::Fsync {
            self.has_work.notify_one();
        }
    }

    /// The thread of mode fsync.
    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while queue.is_empty() {
                if queue.is_over {
                    return;
                }
                self.has_work.wait(&mut queue);
            }
            drop(queue);
            self.flush();
        }
    }

    fn flush(&self) {
        self.write_queue(&mut self.writer.lock());
    }

    /// Writes what is queued if that is worth a write by itself and nobody else is writing.
    fn flush_batch(&self) {
        if self.pending_bytes.load(Ordering::Relaxed) >= BATCH_BYTES
            && let Some(mut writer) = self.writer.try_lock()
        {
            self.write_queue(&mut writer);
        }
    }

    fn write_queue(&self, writer: &mut BatchWriter) {
        {
            let queue = &mut *self.queue.lock();
            if queue.is_empty() {
                return;
            }
            // The two take turns, so that neither allocates.
            std::mem::swap(queue, &mut writer.batch);
            queue.is_over = writer.batch.is_over;
        }
        let batch = &mut writer.batch;
        let begun = Instant::now();
        let written = writer.file.write(&mut batch.blocks, &batch.vclock);
        self.warn_if_too_long(begun.elapsed(), batch);
        match written {
            Ok(()) => {
                self.written_bytes.fetch_add(batch.row_bytes as u64, Ordering::Relaxed);
                self.settle(batch.last, batch.row_bytes);
            }
            Err(error) => {
                tracing::error!("can't write to the journal, rolling back: {error}");
                // First the file: nobody may hear of a failure whose rows a restart would find.
                self.repair(&writer.file);
                self.roll_back(batch);
            }
        }
        writer.batch.clear();
    }

    /// Source: Tarantool `src/box/txn.c` txn_on_journal_write.
    #[inline]
    fn warn_if_too_long(&self, elapsed: Duration, batch: &Queue) {
        if elapsed.as_nanos() > u128::from(self.too_long_nsec.load(Ordering::Relaxed)) {
            tracing::warn!(
                "too long WAL write: {} transactions up to LSN {}: {:.3} sec",
                batch.last - batch.first + 1,
                batch.vclock.signature(),
                elapsed.as_secs_f64()
            );
        }
    }

    /// Cuts off what a failed write has left in the file.
    fn repair(&self, file: &JournalFile) {
        if let Err(error) = file.repair() {
            tracing::error!("can't cut the journal back to its last whole block: {error}");
            self.process.abort();
        }
    }

    /// Publishes that everything up to `ticket` has found its fate.
    fn settle(&self, ticket: u64, row_bytes: usize) {
        self.pending_bytes.fetch_sub(row_bytes, Ordering::Relaxed);
        self.settled.store(ticket, Ordering::Release);
        self.waiters.wake(ticket);
    }

    /// Takes back the transactions of a batch that could not be written, and all that were queued behind it.
    fn roll_back(&self, batch: &Queue) {
        let mut forget = |newest: Ticket| {
            let queue = &mut *self.queue.lock();
            let newest = newest.0.max(queue.last).max(batch.last);
            self.failures.add(batch.first, batch.last, error::kind::WAL_IO);
            if newest > batch.last {
                self.failures.add(batch.last + 1, newest, error::kind::CASCADE_ROLLBACK);
            }
            self.settle(newest, batch.row_bytes + queue.row_bytes);
            queue.clear();
        };
        match self.rollback.get().and_then(Weak::upgrade) {
            Some(target) => target.roll_back(Ticket(batch.first), &mut forget),
            None => forget(Ticket(batch.last)),
        }
        assert!(self.settled().0 >= batch.last, "a rollback forgets what it rolled back");
    }
}

#[cfg(test)]
mod tests;
