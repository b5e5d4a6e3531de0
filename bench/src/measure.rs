//! One measurement: a plan, a shape, a server, some seconds.

use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::connection::Connection;
use crate::error::Error;
use crate::histogram::Histogram;
use crate::process::{self, Process};
use crate::progress::Progress;
use crate::server::Server;
use crate::shape::Shape;
use crate::worker::{Clock, Feed, Worker};
use crate::workload::Plan;

/// How long the main thread sleeps between looks at the clock.
const STEP: Duration = Duration::from_millis(100);

/// How a measurement is made; the same for all of a run.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Time before counting begins.
    pub(crate) warmup: Duration,
    /// Time that is counted.
    pub(crate) counted: Duration,
    /// Threads of the driver.
    pub(crate) threads: usize,
}

/// What was found.
#[derive(Clone)]
pub(crate) struct Measurement {
    /// Latency of every request that was counted.
    pub(crate) latency: Histogram,
    /// Time that was counted.
    counted: Duration,
    /// CPU the server used in that time; `None` if its process is not known.
    server_cpu: Option<Duration>,
    /// CPU the driver used in that time.
    client_cpu: Option<Duration>,
    /// CPU the whole machine used in that time.
    machine_cpu: Option<Duration>,
}

/// CPU time at one moment.
#[derive(Clone, Copy)]
struct CpuTimes {
    /// The server's.
    server: Option<Duration>,
    /// The driver's.
    client: Option<Duration>,
    /// The whole machine's.
    machine: Option<Duration>,
}

impl CpuTimes {
    /// The times now.
    fn now(server: &Server) -> Self {
        Self {
            server: server.process.and_then(Process::cpu),
            client: Process::own().cpu(),
            machine: process::machine_cpu(),
        }
    }
}

impl Measurement {
    /// As if `requests` were answered in a second.
    #[cfg(test)]
    pub(crate) fn of_requests(requests: u64) -> Self {
        let mut latency = Histogram::new();
        (0..requests).for_each(|_| latency.record(1000));
        let counted = Duration::from_secs(1);
        Self { latency, counted, server_cpu: None, client_cpu: None, machine_cpu: None }
    }

    /// Adds what was counted at another time.
    pub(crate) fn merge(&mut self, other: &Self) {
        let sum = |ours: Option<Duration>, theirs: Option<Duration>| Some(ours? + theirs?);
        self.latency.merge(&other.latency);
        self.counted += other.counted;
        self.server_cpu = sum(self.server_cpu, other.server_cpu);
        self.client_cpu = sum(self.client_cpu, other.client_cpu);
        self.machine_cpu = sum(self.machine_cpu, other.machine_cpu);
    }

    /// Requests answered per second.
    pub(crate) fn throughput(&self) -> f64 {
        self.latency.total() as f64 / self.counted.as_secs_f64()
    }

    /// The latency that `fraction` of the requests did not exceed, in microseconds.
    pub(crate) fn percentile(&self, fraction: f64) -> f64 {
        self.latency.percentile(fraction).as_secs_f64() * 1e6
    }

    /// CPU of the server per request, in microseconds.
    pub(crate) fn server_cpu(&self) -> Option<f64> {
        self.per_request(self.server_cpu?)
    }

    /// CPU of the driver per request, in microseconds.
    pub(crate) fn client_cpu(&self) -> Option<f64> {
        self.per_request(self.client_cpu?)
    }

    /// CPU that neither server nor driver used, as a share of one core: how far the numbers can
    /// be trusted.
    pub(crate) fn others_cpu(&self) -> Option<f64> {
        let others = self.machine_cpu?.saturating_sub(self.server_cpu? + self.client_cpu?);
        Some(others.as_secs_f64() / self.counted.as_secs_f64())
    }

    /// Microseconds per request.
    fn per_request(&self, time: Duration) -> Option<f64> {
        let requests = self.latency.total();
        (requests > 0).then(|| time.as_secs_f64() * 1e6 / requests as f64)
    }
}

/// Opens the connections, runs the plan on them and counts.
pub(crate) fn measure(
    server: &Server,
    plan: &Plan,
    shape: Shape,
    effort: Effort,
    progress: &Progress,
) -> Result<Measurement, Error> {
    let workers = workers(server, plan, shape, effort.threads)?;
    let (begin, end) = (effort.warmup, effort.warmup + effort.counted);
    let clock = Clock { start: Instant::now() };
    thread::scope(|scope| {
        let threads = workers.into_iter().map(|w| scope.spawn(move || w.run(clock, begin, end)));
        // Collecting starts them all.
        let threads: Vec<_> = threads.collect();
        let cpu_at = |time: Duration| {
            while clock.start.elapsed() < time && !threads.iter().any(ScopedJoinHandle::is_finished)
            {
                thread::sleep(time.saturating_sub(clock.start.elapsed()).min(STEP));
                progress.tick(clock.start.elapsed(), end);
            }
            CpuTimes::now(server)
        };
        let before = cpu_at(begin);
        let after = cpu_at(end);
        let mut latency = Histogram::new();
        for thread in threads {
            latency.merge(&thread.join().expect("a worker does not panic")?);
        }
        Ok(Measurement {
            latency,
            counted: effort.counted,
            server_cpu: spent(before.server, after.server),
            client_cpu: spent(before.client, after.client),
            machine_cpu: spent(before.machine, after.machine),
        })
    })
}

/// Connects, and deals the connections out to at most `threads` workers.
fn workers<'a>(
    server: &Server,
    plan: &'a Plan,
    shape: Shape,
    threads: usize,
) -> Result<Vec<Worker<'a>>, Error> {
    let count = threads.min(shape.connections);
    let mut shares: Vec<Vec<Connection>> = (0..count).map(|_| Vec::new()).collect();
    for number in 0..shape.connections {
        let stream = Client::connect(&server.address)?.into_stream();
        shares[number % count].push(Connection::new(stream, shape.in_flight)?);
    }
    let numbered = shares.into_iter().zip(0u32..);
    numbered
        .map(|(share, n)| Worker::new(share, Feed::new(plan, server.rows, n, count as u32)))
        .collect()
}

/// The time between two readings of a CPU clock.
fn spent(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}

#[cfg(test)]
mod tests;
