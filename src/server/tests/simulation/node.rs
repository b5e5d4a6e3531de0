//! A process: an instance with its server, whose requests come from the simulation's clients.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use uuid::Uuid;

use super::process::SimProcess;
use crate::config::{Config, Role, WalMode};
use crate::instance::{Instance, StartError};
use crate::procs::Registry;
use crate::procs::authman::AuthmanModule;
use crate::procs::boxed::BoxModule;
use crate::procs::queue::Queue;
use crate::server::Shared;
use crate::wal::disk::faults::{MemoryDisk, ProcessEnded};
use crate::wal::journal::Mode;

/// Where the files are.
const DIR: &str = "data";

/// What a process is started with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) wal_max_size: u64,
    pub(super) wal_queue_max_size: u64,
    pub(super) snapshots: u64,
    /// The application of accounts runs.
    pub(super) has_accounts: bool,
}

impl Settings {
    fn config(self) -> Config {
        let mut config = Config::default();
        config.wal.mode = match self.mode {
            Mode::None => WalMode::None,
            Mode::Write => WalMode::Write,
            Mode::Fsync => WalMode::Fsync,
        };
        config.wal.dir = DIR.into();
        config.snapshot.dir = DIR.into();
        config.wal.max_size = self.wal_max_size;
        config.wal.queue_max_size = self.wal_queue_max_size;
        config.snapshot.count = self.snapshots;
        config.database.instance_uuid = Some(Uuid::from_u128(7));
        config.iproto.threads = crate::config::Threads(1);
        config.roles = match self.has_accounts {
            true => vec![Role::Queue, Role::Authman],
            false => vec![Role::Queue],
        };
        // Hashes of others are computed on threads.
        config.roles_cfg.authman.passwords.legacy = true;
        config
    }
}

/// A process that is there.
pub(super) struct Node {
    pub(super) process: Arc<SimProcess>,
    pub(super) shared: Arc<Shared>,
}

/// Why there is no process.
pub(super) enum NoNode {
    /// It has ended.
    Ended,
    /// It does not start.
    Refused(StartError),
}

/// What `action` gives; None if the process has ended meanwhile.
pub(super) fn alive<T>(disk: &MemoryDisk, action: impl FnOnce() -> T) -> Option<T> {
    // A task in the background may have ended it, before this or by it.
    if disk.is_detached() {
        return None;
    }
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(value) => Some(value).filter(|_| !disk.is_detached()),
        Err(panic) if panic.is::<ProcessEnded>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// Opens the instance of a disk, which nobody has used so far.
pub(super) fn open_instance(
    disk: &MemoryDisk,
    settings: Settings,
) -> Result<(Arc<SimProcess>, Arc<Instance>), NoNode> {
    let process = Arc::new(SimProcess::new(disk.clone()));
    let opened = alive(disk, || {
        Instance::open_in(process.clone(), &settings.config(), Arc::new(disk.clone()))
    });
    match opened {
        None => Err(NoNode::Ended),
        Some(Err(error)) => Err(NoNode::Refused(error)),
        Some(Ok(instance)) => Ok((process, Arc::new(instance))),
    }
}

impl Node {
    /// Serves an instance.
    pub(super) async fn start(
        disk: &MemoryDisk,
        process: Arc<SimProcess>,
        instance: Arc<Instance>,
    ) -> Result<Self, NoNode> {
        let mut registry = Registry::default();
        registry.add(Arc::new(BoxModule));
        registry.add(Arc::new(Queue::new()));
        if instance.config().roles.contains(&Role::Authman) {
            let accounts = AuthmanModule::new(&instance.config().roles_cfg.authman);
            registry.add(Arc::new(accounts.expect("a client for HTTP")));
        }
        let iproto = instance.config().iproto.clone();
        let started = {
            let mut start = pin!(registry.start(&instance));
            run(disk, &instance, start.as_mut()).await
        };
        match started {
            None => Err(NoNode::Ended),
            Some(Err(error)) => Err(NoNode::Refused(error.into())),
            Some(Ok(())) => {
                let (shared, _, _) = Shared::new(&iproto, instance, registry);
                Ok(Self { process, shared })
            }
        }
    }

    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.shared.instance
    }
}

/// Runs what waits for the journal only. None if the process ends meanwhile.
pub(super) async fn run<F: Future>(
    disk: &MemoryDisk,
    instance: &Arc<Instance>,
    mut future: std::pin::Pin<&mut F>,
) -> Option<F::Output> {
    loop {
        let cx = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = alive(disk, || future.as_mut().poll(cx))? {
            return Some(output);
        }
        alive(disk, || instance.journal().flush())?;
        tokio::task::yield_now().await;
    }
}
