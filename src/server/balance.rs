//! How many threads serve, and which connections where.
//!
//! A thread that has company does more work for each request: it sleeps and wakes oftener, and writers hand the database
//! lock to and fro. So a server begins with one active worker, and takes another when the active ones are busy and the
//! machine has a core to spare; it gives one up when the machine has none to spare and requests come one at a time.
//!
//! - New connections go to the active worker that has the fewest.
//! - A worker that is to lose connections says how many ([`Load::evict`]); whichever of its connections finish a round of
//!   requests next go, with all they are.
//! - While more than one is active, batches of writes are executed on the first ([`super::home`]); the others read and send.
//!
//! Figures and the losing options: docs/decisions/0001-one-lock.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Shared;

/// Between two looks at the load.
const INTERVAL: Duration = Duration::from_millis(200);
/// Looks to let pass after a change, so that its effect is seen.
const SETTLE_LOOKS: u32 = 2;
/// A worker is busy if it runs for this share of the time.
const BUSY: f64 = 0.85;
/// A worker has room if it runs for less than this share.
const ROOMY: f64 = 0.6;
/// Cores that must be idle for another worker to be of use; with fewer, and light rounds, one is too many.
const SPARE_CORES: f64 = 0.5;
/// Requests of a round below which it is light: the thread's wake-ups cost more than the work.
const LIGHT_ROUND_REQUESTS: f64 = 4.0;

/// The load of one worker. Its own thread writes the counters, so that nothing is contended.
#[derive(Default)]
pub(super) struct Load {
    /// Connections that it has or was given.
    pub(super) connections: AtomicUsize,
    /// Connections that it is to give away.
    pub(super) evict: AtomicUsize,
    /// The worker that they go to.
    pub(super) target: AtomicUsize,
    /// Requests that it has answered.
    requests: AtomicU64,
    /// Rounds of requests, each under one hold of the lock.
    rounds: AtomicU64,
    /// Its thread's id, 0 until it runs.
    thread: AtomicU32,
}

impl Load {
    /// Counts a round. Called on the worker's own thread.
    #[inline]
    pub(super) fn count(&self, requests: u64) {
        self.requests.store(self.requests.load(Ordering::Relaxed) + requests, Ordering::Relaxed);
        self.rounds.store(self.rounds.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Names the thread that calls as the worker's.
    pub(super) fn enter(&self) {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.store(id.unsigned_abs(), Ordering::Relaxed);
    }

    /// Takes one of the places among those that are to go. None if no connection is to.
    #[inline]
    pub(super) fn take_eviction(&self) -> Option<usize> {
        if self.evict.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // Whoever looks at the load may have called it off meanwhile.
        let one_less = |left: usize| left.checked_sub(1);
        self.evict.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).ok()?;
        Some(self.target.load(Ordering::Relaxed))
    }

    fn order(&self, count: usize, target: usize) {
        self.target.store(target, Ordering::Relaxed);
        self.evict.store(count, Ordering::Relaxed);
    }
}

/// The loads of all workers.
pub(super) struct Balance {
    /// By worker.
    pub(super) loads: Vec<Load>,
    /// Workers that new connections go to: the first so many.
    active: AtomicUsize,
}

impl Balance {
    /// `count` workers, the first of which is active.
    pub(super) fn new(count: usize) -> Self {
        Self { loads: (0..count).map(|_| Load::default()).collect(), active: AtomicUsize::new(1) }
    }

    /// Makes the first so many workers active.
    #[cfg(test)]
    pub(super) fn activate(&self, count: usize) {
        self.active.store(count, Ordering::Relaxed);
    }

    /// The worker that a new connection goes to.
    pub(super) fn place(&self) -> usize {
        let active = self.active.load(Ordering::Relaxed);
        let count = |no: &usize| self.loads[*no].connections.load(Ordering::Relaxed);
        (0..active).min_by_key(count).unwrap_or(0)
    }

    /// True if more than one worker serves.
    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 1
    }

    /// Requests answered since the server started.
    pub(super) fn requests(&self) -> u64 {
        self.loads.iter().map(|load| load.requests.load(Ordering::Relaxed)).sum()
    }
}

/// What was seen at one look.
struct Look {
    at: Instant,
    /// Time that all cores together were idle.
    idle: Duration,
    /// Time that each worker ran.
    ran: Vec<Duration>,
    requests: u64,
    rounds: u64,
}

impl Look {
    /// None where the system does not tell.
    fn now(balance: &Balance) -> Option<Self> {
        let sum = |of: fn(&Load) -> &AtomicU64| {
            balance.loads.iter().map(|load| of(load).load(Ordering::Relaxed)).sum()
        };
        Some(Self {
            at: Instant::now(),
            idle: idle_time()?,
            ran: balance.loads.iter().map(thread_time).collect::<Option<_>>()?,
            requests: sum(|load| &load.requests),
            rounds: sum(|load| &load.rounds),
        })
    }
}

/// The fourth and fifth figure of the first line of /proc/stat: ticks idle, ticks waiting for a disk.
fn idle_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let mut figures = text.lines().next()?.split_whitespace().skip(4);
    let mut next = || figures.next()?.parse::<u64>().ok();
    let ticks = next()? + next()?;
    Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// The first figure of a thread's schedstat: nanoseconds that it ran.
fn thread_time(load: &Load) -> Option<Duration> {
    let id = load.thread.load(Ordering::Relaxed);
    let text = std::fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Looks at the load again and again and decides.
pub(super) async fn run(shared: Arc<Shared>) {
    let balance = &shared.balance;
    if balance.loads.len() < 2 {
        return;
    }
    let mut last: Option<Look> = None;
    let mut wait = 0;
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        let Some(look) = Look::now(balance) else {
            if last.is_some() {
                // The system stopped telling: serve on every thread.
                return balance.active.store(balance.loads.len(), Ordering::Relaxed);
            }
            continue;
        };
        if let Some(last) = &last {
            balance.loads.iter().for_each(|load| load.evict.store(0, Ordering::Relaxed));
            wait = if wait > 0 { wait - 1 } else { decide(balance, &Seen::between(last, &look)) };
        }
        last = Some(look);
    }
}

/// The load between two looks.
struct Seen {
    /// The share of the time that each worker ran.
    busy: Vec<f64>,
    /// Cores that were idle.
    idle: f64,
    /// Requests of a round.
    round: f64,
}

impl Seen {
    fn between(last: &Look, look: &Look) -> Self {
        let span = (look.at - last.at).as_secs_f64();
        let share =
            |(now, then): (&Duration, &Duration)| now.saturating_sub(*then).as_secs_f64() / span;
        let rounds = look.rounds.saturating_sub(last.rounds).max(1);
        Self {
            busy: look.ran.iter().zip(&last.ran).map(share).collect(),
            idle: look.idle.saturating_sub(last.idle).as_secs_f64() / span,
            round: look.requests.saturating_sub(last.requests) as f64 / rounds as f64,
        }
    }
}

/// Changes what has to change. Returns how many looks to let pass.
fn decide(balance: &Balance, seen: &Seen) -> u32 {
    let active = balance.active.load(Ordering::Relaxed);
    let connections = |no: usize| balance.loads[no].connections.load(Ordering::Relaxed);
    let by_busy = |a: &usize, b: &usize| seen.busy[*a].total_cmp(&seen.busy[*b]);
    let (Some(busiest), Some(idlest)) = ((0..active).max_by(by_busy), (0..active).min_by(by_busy))
    else {
        return 0;
    };
    if seen.idle < SPARE_CORES && seen.round < LIGHT_ROUND_REQUESTS && active > 1 {
        balance.active.store(active - 1, Ordering::Relaxed);
        balance.loads[active - 1].order(connections(active - 1), 0);
        return SETTLE_LOOKS;
    }
    let has_spare = seen.idle > SPARE_CORES;
    if seen.busy[idlest] > BUSY && has_spare && active < balance.loads.len() {
        balance.active.store(active + 1, Ordering::Relaxed);
        (0..active).for_each(|no| balance.loads[no].order(connections(no) / (active + 1), active));
        return SETTLE_LOOKS;
    }
    let surplus = connections(busiest).saturating_sub(connections(idlest)) / 2;
    if seen.busy[busiest] > BUSY && seen.busy[idlest] < ROOMY && has_spare && surplus > 0 {
        balance.loads[busiest].order(surplus, idlest);
        return SETTLE_LOOKS;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers with connections; the first `active` are active.
    fn balance(connections: &[usize], active: usize) -> Balance {
        let balance = Balance::new(connections.len());
        for (load, count) in balance.loads.iter().zip(connections) {
            load.connections.store(*count, Ordering::Relaxed);
        }
        balance.active.store(active, Ordering::Relaxed);
        balance
    }

    fn check(
        balance: &Balance,
        busy: &[f64],
        idle: f64,
        round: f64,
        active: usize,
        evict: &[usize],
    ) {
        decide(balance, &Seen { busy: busy.to_vec(), idle, round });
        assert_eq!(balance.active.load(Ordering::Relaxed), active);
        let ordered: Vec<usize> =
            balance.loads.iter().map(|load| load.evict.load(Ordering::Relaxed)).collect();
        assert_eq!(ordered, evict);
    }

    #[test]
    fn a_busy_worker_gets_help_if_there_is_a_core() {
        check(&balance(&[16, 0], 1), &[0.98, 0.0], 0.9, 32.0, 2, &[8, 0]);
        check(&balance(&[16, 0], 1), &[0.98, 0.0], 0.1, 32.0, 1, &[0, 0]);
        check(&balance(&[16, 0], 1), &[0.5, 0.0], 1.5, 32.0, 1, &[0, 0]);
        check(&balance(&[16, 16, 0], 2), &[0.9, 0.9, 0.0], 0.9, 1.0, 3, &[5, 5, 0]);
    }

    #[test]
    fn light_work_on_a_full_machine_moves_together() {
        check(&balance(&[8, 8], 2), &[0.5, 0.5], 0.3, 1.1, 1, &[0, 8]);
        check(&balance(&[8, 8], 2), &[0.9, 0.9], 0.1, 32.0, 2, &[0, 0]);
        check(&balance(&[8, 8], 2), &[0.5, 0.5], 2.0, 1.0, 2, &[0, 0]);
    }

    #[test]
    fn uneven_workers_are_evened_out() {
        check(&balance(&[12, 4], 2), &[0.95, 0.3], 0.7, 32.0, 2, &[4, 0]);
    }

    #[test]
    fn new_connections_go_where_the_fewest_are() {
        assert_eq!(balance(&[3, 1, 0], 2).place(), 1);
        assert_eq!(balance(&[3, 1, 0], 1).place(), 0);
    }
}
