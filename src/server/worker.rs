//! A worker: a thread with a single-threaded runtime and its share of the connections.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::{Shared, connection, listener};

/// A worker thread.
pub(super) struct Worker {
    thread: JoinHandle<()>,
    handle: WorkerHandle,
}

/// What others need to give a worker something to do.
#[derive(Clone)]
pub(super) struct WorkerHandle {
    jobs: mpsc::UnboundedSender<Job>,
    /// Connections that it has.
    load: Arc<AtomicUsize>,
}

/// Something to do.
pub(super) enum Job {
    /// Serve a connection.
    Connection(TcpStream),
    /// Accept connections and share them out.
    Listen(std::net::TcpListener, Vec<WorkerHandle>),
}

impl WorkerHandle {
    /// Connections that the worker has.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Gives the worker a job; dropped if it has stopped.
    pub(super) fn give(&self, job: Job) {
        if matches!(job, Job::Connection(_)) {
            self.load.fetch_add(1, Ordering::Relaxed);
        }
        let _ = self.jobs.send(job);
    }
}

impl Worker {
    /// Starts a worker.
    pub(super) fn start(no: usize, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = WorkerHandle { jobs, load: load.clone() };
        let thread = std::thread::Builder::new()
            .name(format!("iproto-{no}"))
            .spawn(move || runtime.block_on(run(shared, receiver, load)))?;
        Ok(Self { thread, handle })
    }

    /// How to give it jobs.
    pub(super) fn handle(&self) -> WorkerHandle {
        self.handle.clone()
    }

    /// Waits until it has stopped.
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a worker thread has panicked");
        }
    }
}

async fn run(shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>, load: Arc<AtomicUsize>) {
    let mut stop = shared.stop.subscribe();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|is_stopping| *is_stopping) => break,
            Some(job) = jobs.recv() => match job {
                Job::Connection(stream) => {
                    let (shared, load) = (shared.clone(), load.clone());
                    tasks.spawn(async move {
                        connection::serve(&shared, stream).await;
                        load.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                Job::Listen(socket, workers) => {
                    tasks.spawn(listener::accept(shared.clone(), socket, workers));
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
    // Connections end by themselves when they see that the server stops.
    while tasks.join_next().await.is_some() {}
}
