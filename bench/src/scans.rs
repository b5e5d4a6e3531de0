//! How long `take` waits with much else in the tube: the cases in which a queue is tempted to walk over tasks.
//!
//! ```text
//! case:      fill the tube --> (put one task, take one, acknowledge it) x takes
//!                                             ^ measured, one request in flight
//! compared:  with the same in an empty tube of the same type
//! ```

use std::time::{Duration, Instant};

use crate::args::Scans;
use crate::client::Client;
use crate::error::Error;
use crate::histogram::Histogram;
use crate::iproto::ER_PROC_LUA;
use crate::progress::Progress;
use crate::reply;
use crate::request::{self, Builder};
use crate::schema::{self, TUBE};
use crate::table::{Table, count, microseconds, ratio};

/// Requests that are built with the same times.
const BATCH: u32 = 1000;

/// Time to fill a tube whose tasks all come to their time at once.
const FILLING: Duration = Duration::from_secs(10);

/// What fills a tube.
#[derive(Clone, Copy)]
enum Filling {
    /// Nothing.
    Empty,
    /// Tasks of one sub-queue, of which one is held.
    Busy(u32),
    /// Tasks whose life ends as the measurement begins.
    Expired(u32),
    /// Tasks that are delayed for long.
    Delayed(u32),
    /// Tasks whose delay ends as the measurement begins.
    Ready(u32),
    /// Four tasks in each of so many sub-queues.
    Many(u32),
    /// So many tasks of which all are held, nine in ten of which are given back.
    Released(u32),
}

/// The cases: what it is, the type, the storage mode if it is not the usual one, what is in it.
const CASES: [(&str, &str, Option<&str>, Filling); 21] = [
    ("empty", "fifo", None, Filling::Empty),
    ("900 of 1000 takes released", "fifo", None, Filling::Released(1000)),
    ("empty", "fifottl", None, Filling::Empty),
    ("100,000 expired", "fifottl", None, Filling::Expired(100_000)),
    ("100,000 delayed", "fifottl", None, Filling::Delayed(100_000)),
    ("100,000 delays end", "fifottl", None, Filling::Ready(100_000)),
    ("900 of 1000 takes released", "fifottl", None, Filling::Released(1000)),
    ("empty", "utube", None, Filling::Empty),
    ("1,000,000 in a busy sub-queue", "utube", None, Filling::Busy(1_000_000)),
    ("50,000 sub-queues", "utube", None, Filling::Many(50_000)),
    ("900 of 1000 takes released", "utube", None, Filling::Released(1000)),
    ("empty", "utube", Some(BUFFERED), Filling::Empty),
    ("1,000,000 in a busy sub-queue", "utube", Some(BUFFERED), Filling::Busy(1_000_000)),
    ("50,000 sub-queues", "utube", Some(BUFFERED), Filling::Many(50_000)),
    ("empty", "utubettl", None, Filling::Empty),
    ("1,000,000 in a busy sub-queue", "utubettl", None, Filling::Busy(1_000_000)),
    ("100,000 expired", "utubettl", None, Filling::Expired(100_000)),
    ("100,000 delayed", "utubettl", None, Filling::Delayed(100_000)),
    ("100,000 delays end", "utubettl", None, Filling::Ready(100_000)),
    ("50,000 sub-queues", "utubettl", None, Filling::Many(50_000)),
    ("900 of 1000 takes released", "utubettl", None, Filling::Released(1000)),
];

/// The storage mode with a side space.
const BUFFERED: &str = "ready_buffer";

/// Measures every case and prints a table.
pub(crate) fn scans(arguments: &Scans) -> Result<(), Error> {
    let mut progress = Progress::new();
    let mut client = Client::connect(&arguments.addr)?;
    let head = ["type", "tube", "takes", "p50 us", "p99 us", "max us", "p99 to empty"];
    let mut table = Table::new(2, &head);
    let mut of_empty = Duration::ZERO;
    for (name, tube_type, mode, filling) in CASES {
        let title = format!("{tube_type}: {name}");
        if !matches!(filling, Filling::Empty) && !title.contains(&arguments.only) {
            continue;
        }
        progress.begin(title);
        // Sessions hold the tasks of the last case.
        drop(std::mem::replace(&mut client, Client::connect(&arguments.addr)?));
        if !schema::create_tube(&mut client, tube_type, mode)? {
            return Err(Error::Unexpected {
                request: "CALL queue.create_tube".to_owned(),
                problem: "there is no queue".to_owned(),
            });
        }
        let mut tube = Tube { client, divisor: arguments.divisor };
        tube.fill(filling)?;
        let found = tube.measure(arguments.takes)?;
        client = tube.client;
        let p99 = found.percentile(0.99);
        if matches!(filling, Filling::Empty) {
            of_empty = p99;
        }
        let micros = |fraction| microseconds(found.percentile(fraction).as_secs_f64() * 1e6);
        table.push(vec![
            mode.map_or(tube_type.to_owned(), |_| format!("{tube_type}, buffer")),
            name.to_owned(),
            count(found.total() as f64),
            micros(0.5),
            micros(0.99),
            micros(1.0),
            ratio(p99.as_secs_f64() / of_empty.as_secs_f64()),
        ]);
    }
    schema::drop_tube(&mut client)?;
    progress.clear();
    println!("{}\ntasks: 1/{} of what is written\n\n{table}", client.greeting(), arguments.divisor);
    Ok(())
}

/// The tube under test.
struct Tube {
    /// Whoever fills and measures.
    client: Client,
    /// Tasks are so many times fewer.
    divisor: u32,
}

fn call(method: &str) -> Builder {
    request::call(&format!("queue.tube.{TUBE}:{method}"))
}

/// A put of a small task with options to follow: so many.
fn put(option_count: u8) -> Builder {
    call("put").array(2).uint(1u64).map(option_count)
}

impl Tube {
    fn fill(&mut self, filling: Filling) -> Result<(), Error> {
        let of = |count: u32| 0..count / self.divisor;
        match filling {
            Filling::Empty => {}
            Filling::Busy(tasks) => {
                let busy = put(1).str("utube").str("busy").finish();
                self.client.load("put", &busy, of(tasks))?;
                self.take()?;
            }
            Filling::Expired(tasks) => self.fill_until("ttl", of(tasks).end)?,
            Filling::Ready(tasks) => self.fill_until("delay", of(tasks).end)?,
            Filling::Delayed(tasks) => {
                let delayed = put(2).str("delay").uint(3600u64).str("utube").key().finish();
                self.client.load("put", &delayed, of(tasks))?;
            }
            Filling::Many(lanes) => {
                let one = put(1).str("utube").key().finish();
                for _ in 0..4 {
                    self.client.load("put", &one, of(lanes))?;
                }
            }
            Filling::Released(tasks) => {
                let one = put(1).str("utube").key().finish();
                self.client.load("put", &one, 0..tasks)?;
                let mut held = Vec::new();
                for _ in 0..tasks {
                    held.push(self.take()?.0);
                }
                for id in &held[..held.len() / 10 * 9] {
                    self.client.ask("CALL release", call("release").array(1).uint(*id))?;
                }
            }
        }
        Ok(())
    }

    /// Fills the tube with tasks that all come to their time at the same moment, and waits for it.
    fn fill_until(&mut self, option: &str, tasks: u32) -> Result<(), Error> {
        let end = Instant::now() + FILLING;
        for first in (0..tasks).step_by(BATCH as usize) {
            let left = end.saturating_duration_since(Instant::now()).as_secs_f64();
            let one = put(2).str(option).double(left).str("utube").key().finish();
            self.client.load("put", &one, first..tasks.min(first + BATCH))?;
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        Ok(())
    }

    /// Takes a task: its id, and how long that took.
    fn take(&mut self) -> Result<(u64, Duration), Error> {
        let began = Instant::now();
        let body = self.client.ask("CALL take", call("take").array(1).uint(0u64))?;
        let took = began.elapsed();
        let task =
            reply::data(&body).and_then(|(_, mut rows)| rows.array().and_then(|_| rows.uint()));
        let no_task = || Error::Unexpected {
            request: "CALL take".to_owned(),
            problem: "no task in it".to_owned(),
        };
        Ok((task.ok_or_else(no_task)?, took))
    }

    fn measure(&mut self, takes: u32) -> Result<Histogram, Error> {
        let mut found = Histogram::new();
        for _ in 0..takes {
            let free = put(2).str("utube").str("free").str("pri").uint(1u64);
            self.client.ask("CALL put", free)?;
            let (id, took) = self.take()?;
            found.record(took.as_nanos() as u64);
            match self.client.ask("CALL ack", call("ack").array(1).uint(id)) {
                // Its life has ended meanwhile.
                Err(Error::Refused { code: ER_PROC_LUA, .. }) => {}
                done => drop(done?),
            }
        }
        Ok(found)
    }
}
