//! A running instance: the database behind its lock, its journal, its files.
//!
//! ```text
//! open:  lock the directory -> scan -> recover | bootstrap, first snapshot -> journal -> configured users -> ready
//! write: wait for room in the journal's queue -> write lock: transaction -> release -> wait until it is durable
//! ```
//!
//! Invariant: nobody is told that a transaction succeeded before the journal says that it is durable. A guard of the lock
//! is never held across an await: guards are not `Send`, and what is spawned must be.

mod broadcast;
mod credentials;
mod define;
mod lock;
mod schedule;
mod sessions;
mod settings;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::{Body, request_type};
use lycosa_proto::msgpack::read_uint;
use parking_lot::RwLockReadGuard;
use tokio::sync::watch;
use uuid::Uuid;

pub use self::broadcast::SHUTDOWN;
pub use self::define::Building;
use self::lock::Shared;
pub use self::lock::WriteGuard;
pub use self::schedule::Schedule;
pub use self::sessions::{Sessions, Socket};
pub use self::settings::{Settings, TxnDefaults};
use crate::config::{Config, WalMode};
use crate::db::access::ADMIN;
use crate::db::journal::Vclock;
use crate::db::schema::space_def::Engine;
use crate::db::schema::{bootstrap, sequence, space_id};
use crate::db::space::Space;
use crate::db::{Database, Statement, Tuple, Txn};
use crate::stat::Stat;
use crate::wal::checkpoint::{self, Checkpoint};
use crate::wal::disk::{DirLock, Disk};
use crate::wal::journal::{Journal, Mode, Options};
use crate::wal::recovery::{Delivery, Position, Scan, lock_dir};
use crate::wal::xlog::Row;
use crate::wal::{self};
use crate::watcher::Watchable;

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
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path, error) => {
                write!(f, "can't make directory '{}': {error}", path.display())
            }
            Self::Files(error) => error.fmt(f),
            Self::Schema(error) => write!(f, "{error}"),
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
    /// A checkpoint is being written.
    is_checkpointing: AtomicBool,
    /// When checkpoints are due by themselves.
    schedule: Schedule,
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
        for dir in [&config.wal.dir, &config.snapshot.dir] {
            std::fs::create_dir_all(dir)
                .map_err(|error| StartError::Directory(dir.clone(), error))?;
        }
        let mut locks = vec![lock_dir(&*disk, &config.wal.dir)?];
        if std::fs::canonicalize(&config.wal.dir).ok()
            != std::fs::canonicalize(&config.snapshot.dir).ok()
        {
            locks.push(lock_dir(&*disk, &config.snapshot.dir)?);
        }
        let mut db = Database::new();
        db.tuple_bytes_max = usize::try_from(config.memtx.max_tuple_size).unwrap_or(usize::MAX);
        let scan = Scan::new(
            disk.clone(),
            &config.snapshot.dir,
            &config.wal.dir,
            config.database.instance_uuid,
        )?;
        let (uuid, position) = if scan.is_empty() {
            bootstrap_files(config, &*disk, &mut db)?
        } else {
            recover(scan, &mut db)?
        };
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
        let journal = Arc::new(Journal::open(disk.clone(), options, position)?);
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
            is_checkpointing: AtomicBool::new(false),
            schedule: Schedule::new(&config.snapshot.by),
            read_only: watch::Sender::new(false),
            stat: Stat::default(),
            listen: OnceLock::new(),
            sessions: Sessions::default(),
            started: std::time::Instant::now(),
            _locks: locks,
        };
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

    /// Writes a snapshot of everything that is committed now, and removes files that nothing needs any more. Blocks; to be
    /// called on a thread that may. Writers go on meanwhile.
    ///
    /// # Errors
    /// CHECKPOINT_IN_PROGRESS; SYSTEM with what the disk said; the error of a transaction in the snapshot that could not be
    /// made durable.
    pub fn checkpoint(&self) -> Result<PathBuf> {
        if self.is_checkpointing.swap(true, Ordering::AcqRel) {
            return Err(err!(CHECKPOINT_IN_PROGRESS));
        }
        self.schedule.begun(self.read().vclock().signature(), self.journal.written_bytes());
        let done = self.write_checkpoint();
        self.is_checkpointing.store(false, Ordering::Release);
        done
    }

    fn write_checkpoint(&self) -> Result<PathBuf> {
        let (view, ticket) = {
            let db = self.read();
            (ReadView::of(&db), db.unsettled_ticket())
        };
        // What is in the view must be durable before the snapshot may say so; what failed before is not in it.
        self.journal.flush();
        self.journal.result(ticket)?;
        let failed = |error: wal::Error| err!(SYSTEM, error.to_string());
        // As in Tarantool: whoever sees the snapshot needs no file from before it.
        self.journal.rotate().map_err(failed)?;
        let path = view.save(&*self.disk, &self.snap_dir, self.uuid).map_err(failed)?;
        let keep = usize::try_from(self.settings.checkpoint_count()).unwrap_or(usize::MAX);
        match checkpoint::collect_garbage(&*self.disk, &self.snap_dir, &self.wal_dir, keep) {
            Ok(removed) => {
                removed.iter().for_each(|path| tracing::info!("removed '{}'", path.display()));
            }
            Err(error) => tracing::error!("can't remove old files: {error}"),
        }
        Ok(path)
    }

    /// True while a checkpoint is being written.
    pub fn is_checkpointing(&self) -> bool {
        self.is_checkpointing.load(Ordering::Acquire)
    }

    /// The vclocks of the snapshots that are kept, oldest first. Reads the heads of the files.
    ///
    /// # Errors
    /// What the disk said.
    pub fn checkpoints(&self) -> wal::Result<Vec<Vclock>> {
        checkpoint::list(&*self.disk, &self.snap_dir)
    }

    /// True if a checkpoint should be written now, by time or by what was written since the last one.
    pub fn is_checkpoint_due(&self) -> bool {
        self.schedule.is_due(self.read().vclock().signature(), self.journal.written_bytes())
    }

    /// Closes the journal; nothing may be written afterwards.
    ///
    /// # Errors
    /// What the disk said.
    pub fn close(&self) -> wal::Result<()> {
        self.journal.shutdown()
    }
}

/// Everything that a snapshot holds, as it was at one moment.
struct ReadView {
    vclock: Vclock,
    /// Ascending by id.
    spaces: Vec<Space>,
    /// The values of sequences as rows, which the space of such rows need not have.
    sequence_rows: Vec<Vec<u8>>,
    /// Ids of spaces of type `temporary`, whose definitions are not kept.
    volatile: Vec<u32>,
}

impl ReadView {
    fn of(db: &Database) -> Self {
        let is_kept = |space: &&Space| space.def.engine == Engine::Memtx && !space.def.is_temporary;
        let mut spaces: Vec<Space> = db.spaces().filter(is_kept).cloned().collect();
        spaces.sort_by_key(|space| space.def.id);
        let is_volatile = |space: &&Space| space.def.is_type_temporary;
        let volatile = db.spaces().filter(is_volatile).map(|space| space.def.id).collect();
        Self { vclock: db.vclock().clone(), spaces, sequence_rows: sequence::rows(db), volatile }
    }

    /// True for a row of a system space that defines a space of type `temporary`.
    fn is_volatile(&self, space: &Space, tuple: &Tuple) -> bool {
        !self.volatile.is_empty()
            && matches!(space.def.id, space_id::SPACE | space_id::INDEX | space_id::TRUNCATE)
            && tuple.field(0).is_some_and(|mut id| {
                read_uint(&mut id).is_ok_and(|id| self.volatile.contains(&(id as u32)))
            })
    }

    /// Writes the snapshot; gives its path. One of the same vclock stays as it is.
    fn save(&self, disk: &dyn Disk, dir: &std::path::Path, uuid: Uuid) -> wal::Result<PathBuf> {
        let file_type = wal::xlog::FileType::Snap;
        let path = dir.join(wal::xlog::file_name(&self.vclock, file_type));
        let Some(mut snapshot) = Checkpoint::start(disk, dir, uuid, &self.vclock, now())? else {
            return Ok(path);
        };
        for space in &self.spaces {
            let group_id = u32::from(space.def.is_local);
            let Ok(primary) = space.primary() else { continue };
            if space.def.id == space_id::SEQUENCE_DATA {
                for row in &self.sequence_rows {
                    snapshot.push(space.def.id, group_id, row)?;
                }
                continue;
            }
            for tuple in primary.iter().filter(|tuple| !self.is_volatile(space, tuple)) {
                snapshot.push(space.def.id, group_id, tuple.data())?;
            }
        }
        snapshot.finish()
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
    ReadView::of(db).save(disk, &config.snapshot.dir, uuid)?;
    Ok((uuid, Position::default()))
}

/// Applies what the files hold.
fn recover(scan: Scan, db: &mut Database) -> std::result::Result<(Uuid, Position), StartError> {
    if let Some(uuid) = scan.instance() {
        db.instance_uuid = uuid;
    }
    let outcome = scan.recover(&mut |delivery| match delivery {
        Delivery::SnapshotRow(row) => apply_rows(db, std::iter::once(row)),
        Delivery::SnapshotEnd => Ok(()),
        Delivery::Transaction(transaction) => apply_rows(db, transaction.rows()),
    })?;
    db.set_vclock(outcome.position.vclock.clone());
    Ok((outcome.instance, outcome.position))
}

/// Applies the rows of one transaction of a file.
fn apply_rows<'a>(db: &mut Database, rows: impl Iterator<Item = Row<'a>>) -> Result<()> {
    let mut txn = db.begin_recovery();
    for row in rows {
        apply_row(&mut txn, &row)?;
    }
    txn.commit();
    Ok(())
}

fn apply_row(txn: &mut Txn<'_>, row: &Row<'_>) -> Result<()> {
    match row.header.row_type {
        request_type::INSERT
        | request_type::REPLACE
        | request_type::UPDATE
        | request_type::DELETE
        | request_type::UPSERT => {
            let body = Body::decode(row.body)?;
            txn.execute(&Statement::new(row.header.row_type, &body)).map(|_| ())
        }
        // Rows of Tarantool's synchronous replication: with one server there is nothing to confirm.
        request_type::NOP
        | request_type::RAFT
        | request_type::RAFT_PROMOTE
        | request_type::RAFT_DEMOTE
        | request_type::RAFT_CONFIRM => Ok(()),
        other => Err(err!(UNKNOWN_REQUEST_TYPE, other)),
    }
}
