//! A running instance: the database behind its lock, its journal, its files.
//!
//! ```text
//! open:  lock the directory -> scan -> recover | bootstrap, first snapshot -> journal -> configured users -> ready
//! write: wait for room in the journal's queue -> write lock: transaction -> release -> wait until it is durable
//! ```
//!
//! Invariant: nobody is told that a transaction succeeded before the journal says that it is durable. A guard of the lock
//! is never held across an await: guards are not `Send`, and what is spawned must be.

mod backup;
mod broadcast;
mod checkpoint;
mod credentials;
mod define;
mod lock;
mod recover;
mod schedule;
mod sessions;
mod settings;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lycosa_proto::error::Result;
use parking_lot::{Mutex, RwLockReadGuard};
use tokio::sync::watch;
use uuid::Uuid;

pub use self::backup::{Backup, BackupFrom};
pub use self::broadcast::SHUTDOWN;
use self::checkpoint::{Checkpoints, ReadView};
pub use self::define::Building;
use self::lock::Shared;
pub use self::lock::WriteGuard;
pub use self::schedule::Schedule;
pub use self::sessions::{Sessions, Socket};
pub use self::settings::{Settings, TxnDefaults};
use crate::config::{Config, WalMode};
use crate::db::access::ADMIN;
use crate::db::schema::bootstrap;
use crate::db::{Database, Txn};
use crate::stat::Stat;
use crate::wal::checkpoint::Control;
use crate::wal::disk::{DirLock, Disk};
use crate::wal::error::OneLine;
use crate::wal::journal::{Journal, Mode, Options};
use crate::wal::process::{OsProcess, Process};
use crate::wal::recovery::{Position, Scan, lock_dir};
use crate::wal::{self};
use crate::watcher::Watchable;

/// Bytes of a megabyte, as limits of rates have it.
pub const BYTES_PER_MEGABYTE: f64 = 1_048_576.0;

/// The version that the greeting shows.
pub const VERSION: &str = "3.9.0";

/// Why an instance does not start: one line for whoever started it.
#[derive(Debug)]
pub enum StartError {
    /// A directory cannot be made.
    Directory(PathBuf, std::io::Error),
    /// The files: damaged, locked, of another instance, unreadable.
    Files(wal::Error),
    /// The rows of a fresh database, or the configured users, were refused.
    Schema(lycosa_proto::error::Error),
    /// The data does not fit into `memtx.memory`.
    Memory {
        /// The option, bytes.
        max: usize,
        /// What the data takes, bytes.
        needed: usize,
        /// It takes more: the rest was not read.
        is_more: bool,
    },
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        match self {
            Self::Directory(path, error) => {
                write!(f, "can't make directory '{}': {error}", path.display())
            }
            Self::Files(error) if error.is_skipped_by_force() => {
                write!(f, "{error}; run with --wal-force-recovery true to pass over it")
            }
            Self::Files(error) => error.fmt(f),
            Self::Schema(error) => write!(OneLine(f), "{error}"),
            Self::Memory { max, needed, is_more } => {
                let more = if *is_more { "more than " } else { "" };
                write!(f, "memtx.memory is {max} bytes, but the data takes {more}{needed} bytes")
            }
        }
    }
}

impl std::error::Error for StartError {}

impl From<wal::Error> for StartError {
    fn from(error: wal::Error) -> Self {
        Self::Files(error)
    }
}

impl From<lycosa_proto::error::Error> for StartError {
    fn from(error: lycosa_proto::error::Error) -> Self {
        Self::Schema(error)
    }
}

/// The database with what makes it durable.
pub struct Instance {
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    disk: Arc<dyn Disk>,
    snap_dir: PathBuf,
    wal_dir: PathBuf,
    /// What it was started with.
    config: Config,
    /// Options that have changed since.
    settings: Settings,
    uuid: Uuid,
    /// The one that is being written, and how.
    checkpoints: Checkpoints,
    /// When checkpoints are due by themselves.
    schedule: Schedule,
    /// The backup that is going on. Its lock is held by whoever removes files.
    backup: Mutex<Option<Backup>>,
    /// Whether it is read-only, for applications.
    read_only: watch::Sender<bool>,
    /// What the network side counts.
    stat: Stat,
    /// The addresses that are listened on, as text.
    listen: OnceLock<Vec<String>>,
    /// The sessions that are open.
    sessions: Sessions,
    /// When the process became ready.
    started: std::time::Instant,
    /// Held for as long as the instance lives.
    _locks: Vec<DirLock>,
}

/// Seconds since the epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Instance {
    /// Opens the directories of a configuration: recovers what they hold, or bootstraps.
    ///
    /// # Errors
    /// [`StartError`]: anything that stands in the way; nothing is served then.
    pub fn open(config: &Config, disk: Arc<dyn Disk>) -> std::result::Result<Self, StartError> {
        Self::open_in(Arc::new(OsProcess), config, disk)
    }

    /// The same in another process than that of the operating system, for simulation.
    ///
    /// # Errors
    /// As [`Instance::open`].
    pub fn open_in(
        process: Arc<dyn Process>,
        config: &Config,
        disk: Arc<dyn Disk>,
    ) -> std::result::Result<Self, StartError> {
        for dir in [&config.wal.dir, &config.snapshot.dir] {
            disk.make_dir(dir).map_err(|error| StartError::Directory(dir.clone(), error))?;
        }
        let mut locks = vec![lock_dir(&*disk, &config.wal.dir)?];
        if std::fs::canonicalize(&config.wal.dir).ok()
            != std::fs::canonicalize(&config.snapshot.dir).ok()
        {
            locks.push(lock_dir(&*disk, &config.snapshot.dir)?);
        }
        let mut db = Database::new();
        db.tuple_bytes_max = usize::try_from(config.memtx.max_tuple_size).unwrap_or(usize::MAX);
        let is_forced = config.wal.force_recovery;
        let (dirs, known) =
            ((&config.snapshot.dir, &config.wal.dir), config.database.instance_uuid);
        let scan = match is_forced {
            false => Scan::new(disk.clone(), dirs.0, dirs.1, known)?,
            true => Scan::forced(disk.clone(), dirs.0, dirs.1, known, recover::may_skip)?,
        };
        db.memory().set_max(usize::try_from(config.memtx.memory).unwrap_or(usize::MAX));
        let opened = if scan.is_empty() {
            bootstrap_files(config, &*disk, &mut db)
        } else {
            scan.sync_snapshot()?;
            if config.wal.mode != WalMode::None {
                scan.sync_journals()?;
            }
            recover::run(scan, is_forced, &mut db)
        };
        let (max, needed) = (db.memory().max(), db.memory().used());
        if needed > max {
            return Err(StartError::Memory { max, needed, is_more: opened.is_err() });
        }
        let (uuid, position) = opened?;
        let options = Options {
            mode: match config.wal.mode {
                WalMode::None => Mode::None,
                WalMode::Write => Mode::Write,
                WalMode::Fsync => Mode::Fsync,
            },
            max_bytes: config.wal.max_size,
            queue_max_bytes: match config.wal.queue_max_size {
                0 => usize::MAX,
                bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
            },
            ..Options::new(config.wal.dir.clone(), uuid)
        };
        let journal = Arc::new(Journal::open_in(process, disk.clone(), options, position)?);
        db.set_journal(journal.clone());
        db.trust_guest(config.guest_is_trusted());
        let watchable = Arc::new(Watchable::default());
        broadcast::all(&watchable, &db);
        let shared = Arc::new(Shared::new(db, watchable));
        let target: std::sync::Weak<Shared> = Arc::downgrade(&shared);
        journal.set_rollback_target(target);
        let instance = Self {
            shared,
            journal,
            disk,
            snap_dir: config.snapshot.dir.clone(),
            wal_dir: config.wal.dir.clone(),
            config: config.clone(),
            settings: Settings::new(config),
            uuid,
            checkpoints: Checkpoints::default(),
            schedule: Schedule::new(&config.snapshot.by),
            backup: Mutex::default(),
            read_only: watch::Sender::new(false),
            stat: Stat::default(),
            listen: OnceLock::new(),
            sessions: Sessions::default(),
            started: std::time::Instant::now(),
            _locks: locks,
        };
        let megabytes = config.snapshot.snap_io_rate_limit.unwrap_or(0.0);
        instance.set_snapshot_rate_limit(megabytes * BYTES_PER_MEGABYTE);
        instance.set_too_long_threshold(config.fiber.too_long_threshold.as_secs_f64());
        instance.write_blocking(|txn| credentials::apply(txn, &config.credentials.users))?;
        Ok(instance)
    }

    /// The UUID of the instance.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Counters of requests, connections and bytes.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// What it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The options that may change.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When checkpoints are due by themselves.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The addresses that are listened on, as text; none before a server does.
    pub fn listen(&self) -> &[String] {
        self.listen.get().map_or(&[], Vec::as_slice)
    }

    /// Tells which addresses are listened on, ports that were 0 resolved. The first time counts.
    pub fn set_listen(&self, addresses: Vec<String>) {
        let _ = self.listen.set(addresses);
    }

    /// Time since the instance was opened.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Tells an application when the instance becomes read-only or writable again.
    pub fn watch_read_only(&self) -> watch::Receiver<bool> {
        self.read_only.subscribe()
    }

    /// Allows or forbids changes of what is neither temporary nor local, and tells those who watch it.
    pub fn set_read_only(&self, is_read_only: bool) {
        let mut db = self.write();
        if db.is_read_only() == is_read_only {
            return;
        }
        db.set_read_only(is_read_only);
        broadcast::read_only(&self.shared.watchable, &db);
        self.read_only.send_replace(is_read_only);
        match is_read_only {
            true => tracing::info!("box switched to read-only - box.cfg.read_only is true"),
            false => tracing::info!("box switched to rw"),
        }
    }

    /// Memory for tuples and indexes, bytes (`memtx.memory`).
    pub fn memtx_memory(&self) -> u64 {
        self.read().memory().max() as u64
    }

    /// Changes the memory for tuples and indexes.
    pub fn set_memtx_memory(&self, bytes: u64) {
        self.read().memory().set_max(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Changes how many bytes of rows may wait for the journal; 0 is no limit.
    pub fn set_wal_queue_max_size(&self, bytes: u64) {
        self.settings.set_wal_queue_max_size(bytes);
        self.journal.set_queue_max_bytes(match bytes {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        });
    }

    /// Changes the time that a write of the journal may take before a warning is logged, seconds.
    pub fn set_too_long_threshold(&self, seconds: f64) {
        self.settings.set_too_long_threshold(seconds);
        // What is no time is endless, or over at once.
        let longest = if seconds < 0.0 { Duration::ZERO } else { Duration::MAX };
        let threshold = Duration::try_from_secs_f64(seconds).unwrap_or(longest);
        self.journal.set_too_long_threshold(threshold);
    }

    /// The database, to read.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, Database> {
        self.shared.read()
    }

    /// The database, to write. Whoever commits must wait for the ticket before telling anybody; [`Self::transaction`] does
    /// all of it.
    #[inline]
    pub fn write(&self) -> WriteGuard<'_> {
        self.shared.write()
    }

    /// What can be watched.
    pub fn watchable(&self) -> &Arc<Watchable> {
        &self.shared.watchable
    }

    /// The journal, to wait for tickets.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Runs `body` as one transaction of a user and waits until it is durable.
    ///
    /// # Errors
    /// Those of `body`, after which nothing has changed; ER_WAL_IO if the journal could not write.
    pub async fn transaction<T: Send>(
        &self,
        uid: u32,
        body: impl FnOnce(&mut Txn<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        if self.journal.is_full() {
            self.journal.ready().await;
        }
        let (value, ticket) = {
            let mut db = self.write();
            db.transaction(uid, now(), body)?
        };
        self.journal.wait(ticket).await?;
        Ok(value)
    }

    /// The same on a thread that may block, at start.
    fn write_blocking<T>(&self, body: impl FnOnce(&mut Txn<'_>) -> Result<T>) -> Result<T> {
        let (value, ticket) = self.write().transaction(ADMIN, now(), body)?;
        self.journal.flush();
        self.journal.result(ticket)?;
        Ok(value)
    }

    /// Closes the journal; nothing may be written afterwards. A snapshot that is being written is given up.
    ///
    /// # Errors
    /// What the disk said.
    pub fn close(&self) -> wal::Result<()> {
        self.checkpoints.control.cancel();
        self.journal.shutdown()
    }
}

/// Makes a fresh database and its first snapshot.
fn bootstrap_files(
    config: &Config,
    disk: &dyn Disk,
    db: &mut Database,
) -> std::result::Result<(Uuid, Position), StartError> {
    let uuid = config.database.instance_uuid.unwrap_or_else(Uuid::new_v4);
    bootstrap::run(db, uuid, Uuid::new_v4())?;
    tracing::info!("bootstrapped instance {uuid}");
    ReadView::of(db).save(disk, &config.snapshot.dir, uuid, &Control::default())?;
    Ok((uuid, Position::default()))
}

/// Builds the database that files hold, as a start does, for somebody who only looks: nothing is written.
///
/// # Errors
/// What would stop a start.
pub fn rebuild(scan: Scan) -> std::result::Result<Database, StartError> {
    let mut db = Database::new();
    // Whatever the server's limit is, these tuples have passed it.
    db.tuple_bytes_max = usize::MAX;
    recover::run(scan, false, &mut db)?;
    Ok(db)
}
