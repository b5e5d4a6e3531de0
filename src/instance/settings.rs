//! Options that may change while the process runs, as `box.cfg` changes them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::config::{Config, LogLevel};

/// Sets the least important level that is logged.
type SetLogLevel = Box<dyn Fn(LogLevel) + Send + Sync>;

/// The options with their values of now.
pub struct Settings {
    /// `snapshot.count`.
    checkpoint_count: AtomicU64,
    /// `memtx.memory`, bytes.
    memtx_memory: AtomicU64,
    /// `log.level`.
    log_level: Mutex<LogLevel>,
    /// Tells whoever writes the log. None where nobody does, as in tests.
    set_log_level: OnceLock<SetLogLevel>,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            checkpoint_count: AtomicU64::new(config.snapshot.count),
            memtx_memory: AtomicU64::new(config.memtx.memory),
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

    /// Memory for tuples, bytes.
    pub fn memtx_memory(&self) -> u64 {
        self.memtx_memory.load(Ordering::Relaxed)
    }

    /// Changes the memory for tuples, bytes.
    pub fn set_memtx_memory(&self, bytes: u64) {
        self.memtx_memory.store(bytes, Ordering::Relaxed);
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
