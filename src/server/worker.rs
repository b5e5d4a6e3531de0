//! A worker: a thread with a single-threaded runtime and its share of the connections.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::{self, Moving};
use super::{Phase, Shared, home, listener};

/// How long connections have for the round of requests that they are at, when the server stops.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// A worker thread.
pub(super) struct Worker {
    thread: JoinHandle<()>,
}

/// Something to do.
pub(super) enum Job {
    /// Serve a new connection.
    Connection(TcpStream),
    /// Serve a connection that another worker gives away.
    Moving(Box<Moving>),
    /// Execute batches of writes.
    Home(home::Orders),
    /// Accept connections and share them out.
    Listen(std::net::TcpListener),
}

/// Where jobs for a worker go.
pub(super) type Jobs = mpsc::UnboundedSender<Job>;

impl Worker {
    /// Starts worker `no`, which takes its jobs from `jobs`.
    pub(super) fn start(
        no: usize,
        shared: Arc<Shared>,
        jobs: mpsc::UnboundedReceiver<Job>,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("iproto-{no}")).spawn(move || {
            shared.balance.loads[no].enter();
            runtime.block_on(run(no, shared, jobs));
        })?;
        Ok(Self { thread })
    }

    /// Waits until it has stopped.
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a worker thread has panicked");
        }
    }
}

async fn run(no: usize, shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut phase = shared.phase.subscribe();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase == Phase::Stopping) => break,
            Some(job) = jobs.recv() => begin(no, &shared, &mut tasks, job),
            Some(_) = tasks.join_next() => {}
        }
    }
    // Connections at work see the flag and end; those that only wait are cut off.
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, all).await.is_err() {
        tasks.shutdown().await;
    }
}

fn begin(no: usize, shared: &Arc<Shared>, tasks: &mut JoinSet<()>, job: Job) {
    let shared = shared.clone();
    match job {
        Job::Listen(socket) => {
            tasks.spawn(listener::accept(shared, socket));
        }
        Job::Home(orders) => {
            tasks.spawn(home::run(shared, orders));
        }
        Job::Connection(stream) => {
            tasks.spawn(async move {
                let moving = connection::serve_new(&shared, no, stream).await;
                leave(&shared, no, moving);
            });
        }
        Job::Moving(moving) => {
            tasks.spawn(async move {
                let moving = connection::serve_moving(&shared, no, *moving).await;
                leave(&shared, no, moving);
            });
        }
    }
}

/// A connection leaves a worker: for another, or for good.
fn leave(shared: &Shared, no: usize, moving: Option<(usize, Moving)>) {
    shared.balance.loads[no].connections.fetch_sub(1, Ordering::Relaxed);
    match moving {
        Some((target, moving)) => shared.give(target, Job::Moving(Box::new(moving))),
        None => {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
