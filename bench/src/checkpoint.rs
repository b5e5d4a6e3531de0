//! Writes while a snapshot is written: what replaces of random rows wait without one, and beside one.
//!
//! ```text
//! round:  replaces, counted for some seconds --> replaces, counted while CALL box.snapshot runs
//! ```
//!
//! The space is there before, with as many rows as are replaced: whoever loads it decides how many.

use std::thread;
use std::time::{Duration, Instant};

use crate::args::Checkpoint;
use crate::client::Client;
use crate::error::Error;
use crate::measure::{Effort, Measurement, measure};
use crate::progress::Progress;
use crate::request;
use crate::server::Server;
use crate::table::{Table, count, microseconds, ratio};
use crate::workload::Workload;

/// What is counted at once beside a snapshot; the last such time may reach beyond it.
const SLICE: Duration = Duration::from_millis(500);
/// How long a snapshot may take.
const SNAPSHOT_MAX: Duration = Duration::from_secs(600);

/// Measures every round and prints a table.
pub(crate) fn checkpoint(arguments: &Checkpoint) -> Result<(), Error> {
    let mut progress = Progress::new();
    let mut server = Server::with_space(&arguments.addr, &arguments.space, arguments.rows)?;
    let head = [
        "round",
        "snapshot",
        "req/s",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "max us",
        "seconds",
        "p99 to without",
    ];
    let mut table = Table::new(2, &head);
    for round in 1..=arguments.rounds {
        progress.begin(format!("round {round}, without a snapshot"));
        let effort = Effort { warmup: SLICE, counted: arguments.seconds(), threads: 1 };
        let plan = server.plan(Workload::Replace)?.expect("every server can replace");
        let alone = measure(&server, &plan, arguments.shape, effort, &progress)?;
        table.push(row(round, "no", &alone, None));
        progress.begin(format!("round {round}, beside a snapshot"));
        let mut client = Client::connect_patiently(&arguments.addr, SNAPSHOT_MAX)?;
        let began = Instant::now();
        let snapshot = thread::spawn(move || {
            client.ask("CALL box.snapshot", request::call("box.snapshot").array(0))?;
            Ok::<_, Error>(began.elapsed())
        });
        let effort = Effort { warmup: Duration::ZERO, counted: SLICE, threads: 1 };
        let mut beside: Option<Measurement> = None;
        while !snapshot.is_finished() {
            let slice = measure(&server, &plan, arguments.shape, effort, &progress)?;
            match &mut beside {
                Some(beside) => beside.merge(&slice),
                none => *none = Some(slice),
            }
        }
        let took = snapshot.join().expect("a client does not panic")?;
        let Some(beside) = beside else { continue };
        table.push(row(round, "yes", &beside, Some((took, &alone))));
    }
    progress.clear();
    println!("{}\n{}, {} rows\n\n{table}", server.greeting, arguments.shape, arguments.rows);
    Ok(())
}

/// A row of the table; with a snapshot, how long it took and what there was without.
fn row(
    round: u32,
    name: &str,
    found: &Measurement,
    beside: Option<(Duration, &Measurement)>,
) -> Vec<String> {
    let mut row = vec![round.to_string(), name.to_owned(), count(found.throughput())];
    row.extend([0.5, 0.99, 0.999, 1.0].map(|fraction| microseconds(found.percentile(fraction))));
    if let Some((took, alone)) = beside {
        row.push(format!("{:.2}", took.as_secs_f64()));
        row.push(ratio(found.percentile(0.99) / alone.percentile(0.99)));
    }
    row
}
