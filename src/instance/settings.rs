//! Options that may change while the process runs, as `box.cfg` changes them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::{Config, LogLevel, TxnIsolation};
use crate::db::mvcc::Isolation;

/// Sets the least important level that is logged.
type SetLogLevel = Box<dyn Fn(LogLevel) + Send + Sync>;

/// What BEGIN means where it does not say.
#[derive(Clone, Copy, Debug)]
pub struct TxnDefaults {
    /// The isolation level.
    pub isolation: Isolation,
    /// The time after which a transaction is aborted.
    pub timeout: Duration,
}

/// The options with their values of now. Those of the database, the journal and checkpoints are kept there.
pub struct Settings {
    /// `snapshot.count`.
    checkpoint_count: AtomicU64,
    /// `iproto.net_msg_max`.
    net_msg_max: AtomicUsize,
    /// `iproto.readahead`, bytes.
    readahead: AtomicUsize,
    /// `wal.queue_max_size`, bytes; 0 is no limit.
    wal_queue_max_size: AtomicU64,
    /// `fiber.too_long_threshold`, seconds.
    too_long_threshold_sec: Mutex<f64>,
    /// `database.txn_isolation`, `database.txn_timeout`.
    txn_defaults: Mutex<TxnDefaults>,
    /// `log.level`.
    log_level: Mutex<LogLevel>,
    /// Tells whoever writes the log. None where nobody does, as in tests.
    set_log_level: OnceLock<SetLogLevel>,
}

/// A number of the configuration as one of what is in memory.
fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            checkpoint_count: AtomicU64::new(config.snapshot.count),
            net_msg_max: AtomicUsize::new(to_usize(config.iproto.net_msg_max)),
            readahead: AtomicUsize::new(to_usize(config.iproto.readahead)),
            wal_queue_max_size: AtomicU64::new(config.wal.queue_max_size),
            too_long_threshold_sec: Mutex::new(config.fiber.too_long_threshold.as_secs_f64()),
            txn_defaults: Mutex::new(TxnDefaults {
                isolation: match config.database.txn_isolation {
                    TxnIsolation::BestEffort => Isolation::BestEffort,
                    TxnIsolation::ReadCommitted => Isolation::ReadCommitted,
                    TxnIsolation::ReadConfirmed => Isolation::ReadConfirmed,
                },
                timeout: config.database.txn_timeout,
            }),
            log_level: Mutex::new(config.log.level),
            set_log_level: OnceLock::new(),
        }
    }

    /// Snapshots to keep.
    pub fn checkpoint_count(&self) -> u64 {
        self.checkpoint_count.load(Ordering::Relaxed)
    }

    /// Changes the number of snapshots to keep; counts from the next one on.
    pub fn set_checkpoint_count(&self, count: u64) {
        self.checkpoint_count.store(count, Ordering::Relaxed);
    }

    /// Requests of one connection that may be in work at once.
    #[inline]
    pub fn net_msg_max(&self) -> usize {
        self.net_msg_max.load(Ordering::Relaxed)
    }

    /// Changes how many requests of one connection may be in work at once; counts from its next round on.
    pub fn set_net_msg_max(&self, count: u64) {
        self.net_msg_max.store(to_usize(count), Ordering::Relaxed);
    }

    /// Bytes that a connection reads at once.
    #[inline]
    pub fn readahead(&self) -> usize {
        self.readahead.load(Ordering::Relaxed)
    }

    /// Changes how many bytes a connection reads at once; counts from its next read on.
    pub fn set_readahead(&self, bytes: u64) {
        self.readahead.store(to_usize(bytes), Ordering::Relaxed);
    }

    /// Bytes of rows that may wait for the journal; 0 is no limit.
    pub fn wal_queue_max_size(&self) -> u64 {
        self.wal_queue_max_size.load(Ordering::Relaxed)
    }

    pub(super) fn set_wal_queue_max_size(&self, bytes: u64) {
        self.wal_queue_max_size.store(bytes, Ordering::Relaxed);
    }

    /// The time that a write of the journal may take before a warning is logged, seconds.
    pub fn too_long_threshold(&self) -> f64 {
        *self.too_long_threshold_sec.lock()
    }

    pub(super) fn set_too_long_threshold(&self, seconds: f64) {
        *self.too_long_threshold_sec.lock() = seconds;
    }

    /// What interactive transactions have unless they say otherwise.
    pub fn txn_defaults(&self) -> TxnDefaults {
        *self.txn_defaults.lock()
    }

    /// Changes what interactive transactions have that begin from now on.
    pub fn change_txn_defaults(&self, change: impl FnOnce(&mut TxnDefaults)) {
        change(&mut self.txn_defaults.lock());
    }

    /// The least important level that is logged.
    pub fn log_level(&self) -> LogLevel {
        *self.log_level.lock()
    }

    /// Changes the level.
    pub fn set_log_level(&self, level: LogLevel) {
        let mut current = self.log_level.lock();
        *current = level;
        if let Some(set) = self.set_log_level.get() {
            set(level);
        }
    }

    /// Tells who is to know of changes of the level. The first one stays.
    pub fn on_log_level(&self, set: impl Fn(LogLevel) + Send + Sync + 'static) {
        let _ = self.set_log_level.set(Box::new(set));
    }
}
