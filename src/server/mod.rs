//! The network side: listeners, worker threads, connections.
//!
//! ```text
//! accept (first worker) --> worker thread: one single-threaded runtime, its connections' tasks
//! connection: socket -> input buffer -> dispatch (under the database lock, in runs) -> output buffer -> socket
//! ```
//!
//! A request is read, executed and answered on one thread; a connection changes its worker only between requests, when
//! `balance` says so. All limits are named: connections, bytes of a packet, requests in flight.

mod auth;
mod balance;
mod connection;
mod dispatch;
mod home;
mod interactive;
mod listener;
mod refused;
mod round;
mod streams;
#[cfg(test)]
mod tests;
mod tuple_extension;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::config::Iproto;
use crate::instance::{Instance, SHUTDOWN};
use crate::procs::Registry;
use crate::stat::Counters;

/// What every connection shares.
pub struct Shared {
    /// The instance.
    pub instance: Arc<Instance>,
    /// The applications.
    pub registry: Registry,
    /// Limits.
    limits: Limits,
    /// The number of the newest session.
    session_id: AtomicU64,
    /// Connections that are open.
    connections: AtomicUsize,
    /// Which worker serves what.
    balance: balance::Balance,
    /// What each worker counts.
    counters: Vec<Arc<Counters>>,
    /// Where batches of writes are executed.
    home: home::Home,
    /// Where each worker takes its jobs from.
    jobs: Vec<worker::Jobs>,
    /// How far the server has gone towards its end.
    phase: watch::Sender<Phase>,
    /// The same, to look at between requests.
    is_stopping: AtomicBool,
}

impl Shared {
    /// What a server shares before it has any thread; where each worker takes its jobs from, and the home its orders.
    fn new(
        config: &Iproto,
        instance: Arc<Instance>,
        registry: Registry,
    ) -> (Arc<Self>, Vec<mpsc::UnboundedReceiver<worker::Job>>, home::Orders) {
        let limits = Limits {
            connections: usize::try_from(config.connections_max).unwrap_or(usize::MAX),
            packet_bytes: config.packet_bytes_max,
        };
        let threads = config.threads.0.max(1);
        let (jobs, receivers) = (0..threads).map(|_| mpsc::unbounded_channel()).unzip();
        let (home, orders) = home::Home::new();
        let shared = Self {
            home,
            counters: (0..threads).map(|_| instance.stat().join()).collect(),
            instance,
            registry,
            limits,
            session_id: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            balance: balance::Balance::new(threads),
            jobs,
            phase: watch::channel(Phase::Serving).0,
            is_stopping: AtomicBool::new(false),
        };
        (Arc::new(shared), receivers, orders)
    }

    /// Gives a worker a job. It is dropped if the worker has stopped.
    fn give(&self, worker: usize, job: worker::Job) {
        if matches!(job, worker::Job::Connection(_) | worker::Job::Moving(_)) {
            self.balance.loads[worker].connections.fetch_add(1, Ordering::Relaxed);
        }
        let _ = self.jobs[worker].send(job);
    }
}

/// Where a server is between its start and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It accepts connections and serves them.
    Serving,
    /// It accepts no more; those who watch [`SHUTDOWN`] finish what they are at.
    ShuttingDown,
    /// Connections are closed.
    Stopping,
}

/// How long those who watch [`SHUTDOWN`] have to close their connections (Tarantool's default).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections open at once.
    connections: usize,
    /// Bytes of a packet.
    packet_bytes: u64,
}

/// A server that accepts connections.
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    workers: Vec<worker::Worker>,
}

impl Server {
    /// Starts to listen on the configured addresses and to serve on the configured number of threads.
    ///
    /// To be called inside a runtime, which then watches over the load.
    ///
    /// # Errors
    /// What the system says of an address, with the address; of a thread that cannot be started.
    pub fn start(
        config: &Iproto,
        instance: Arc<Instance>,
        registry: Registry,
    ) -> std::io::Result<Self> {
        let (shared, receivers, orders) = Shared::new(config, instance, registry);
        let sockets = config
            .listen
            .iter()
            .map(|address| listener::bind(*address).map_err(|error| named(*address, &error)))
            .collect::<std::io::Result<Vec<_>>>()?;
        let addresses: Vec<SocketAddr> =
            sockets.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
        shared.instance.set_listen(addresses.iter().map(ToString::to_string).collect());
        let workers = receivers
            .into_iter()
            .enumerate()
            .map(|(no, jobs)| worker::Worker::start(no, shared.clone(), jobs))
            .collect::<std::io::Result<Vec<_>>>()?;
        shared.give(home::HOME, worker::Job::Home(orders));
        sockets.into_iter().for_each(|socket| shared.give(0, worker::Job::Listen(socket)));
        tokio::spawn(balance::run(shared.clone()));
        Ok(Self { shared, addresses, workers })
    }

    /// The addresses that the server listens on, ports that were 0 resolved.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Requests answered since the start.
    pub fn requests(&self) -> u64 {
        self.shared.balance.requests()
    }

    /// Stops: no new connections; time for those who watch [`SHUTDOWN`] to leave; the requests at work end, connections
    /// close. Returns when all threads are done.
    ///
    /// Source: protocol.md §15.
    pub fn stop(self) {
        self.shared.phase.send_replace(Phase::ShuttingDown);
        let watchable = self.shared.instance.watchable();
        watchable.broadcast(SHUTDOWN, Some(&[0xc3]));
        if !watchable.wait_unwatched(SHUTDOWN, SHUTDOWN_TIMEOUT) {
            tracing::warn!("connections that watch box.shutdown are still open: closing them");
        }
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        self.shared.phase.send_replace(Phase::Stopping);
        self.workers.into_iter().for_each(worker::Worker::join);
    }
}

fn named(address: SocketAddr, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
}
