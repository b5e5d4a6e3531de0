//! One server: the canonical mix, or a table of workloads and shapes.

use std::time::Duration;

use crate::args::{Arguments, Run};
use crate::error::Error;
use crate::measure::{Effort, Measurement, measure};
use crate::process::Process;
use crate::progress::Progress;
use crate::server::Server;
use crate::shape::Shape;
use crate::table::{Table, count, megabytes, microseconds, or_dash, percent};
use crate::workload::{QUEUE_NOTE, Workload};

/// Shape of the canonical mix.
const CANONICAL_SHAPE: Shape = Shape { connections: 16, in_flight: 8 };
/// Rows of the canonical mix.
const CANONICAL_ROWS: u32 = 100_000;
/// How the canonical mix is measured.
const CANONICAL_EFFORT: Effort =
    Effort { warmup: Duration::from_secs(1), counted: Duration::from_secs(5), threads: 1 };

/// Measures the canonical mix and prints two numbers.
pub(crate) fn canonical(arguments: &Arguments) -> Result<(), Error> {
    let mut progress = Progress::new();
    progress.begin(format!("loading {}", arguments.addr));
    let mut server = Server::prepare(&arguments.addr, None, CANONICAL_ROWS)?;
    let plan = server.plan(Workload::Mix)?.expect("every server can select and replace");
    progress.begin(format!("canonical mix {CANONICAL_SHAPE}"));
    let found = measure(&server, &plan, CANONICAL_SHAPE, CANONICAL_EFFORT, &progress);
    progress.clear();
    let found = found?;
    println!("{} requests/s", count(found.throughput()));
    println!("{} us p99", microseconds(found.percentile(0.99)));
    server.clean_up()
}

/// Measures every chosen workload in every chosen shape and prints a table. What was measured
/// before an error is printed too.
pub(crate) fn run(arguments: &Run) -> Result<(), Error> {
    let choice = &arguments.choice;
    let mut progress = Progress::new();
    progress.begin(format!("loading {}", arguments.addr));
    let mut server = Server::prepare(&arguments.addr, arguments.pid, choice.rows)?;
    let mut table = Table::new(
        2,
        &[
            "workload",
            "shape",
            "req/s",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "server us CPU/req",
            "driver us CPU/req",
            "driver's share",
            "others' CPU",
        ],
    );
    let mut failure = None;
    'all: for workload in choice.workloads() {
        for &shape in &choice.shape {
            progress.begin(format!("{workload} {shape}"));
            match measure_one(&mut server, workload, shape, choice.effort(), &progress) {
                Ok(found) => table.push(row(workload, shape, found.as_ref())),
                Err(error) => {
                    failure = Some(error);
                    break 'all;
                }
            }
        }
    }
    progress.clear();
    println!("{}\n{}\n\n{table}", server.greeting, choice.describe());
    if choice.workloads().iter().any(|workload| workload.tube_type().is_some()) {
        println!("{QUEUE_NOTE}");
    }
    println!("memory: {}", memory(&server));
    match failure {
        Some(error) => Err(error),
        None => server.clean_up(),
    }
}

/// Measures one workload in one shape; `None` if the server does not offer it.
pub(crate) fn measure_one(
    server: &mut Server,
    workload: Workload,
    shape: Shape,
    effort: Effort,
    progress: &Progress,
) -> Result<Option<Measurement>, Error> {
    match server.plan(workload)? {
        Some(plan) => measure(server, &plan, shape, effort, progress).map(Some),
        None => Ok(None),
    }
}

/// What a server's memory is and was.
pub(crate) fn memory(server: &Server) -> String {
    let peak = server.process.and_then(Process::peak_memory);
    match (server.loaded_memory, peak) {
        (Some(loaded), Some(peak)) => {
            format!("{} with the rows loaded, {} at the peak", megabytes(loaded), megabytes(peak))
        }
        _ => "unknown, its process was not found".to_owned(),
    }
}

/// A row of the table.
fn row(workload: Workload, shape: Shape, found: Option<&Measurement>) -> Vec<String> {
    let mut row = vec![workload.to_string(), shape.to_string()];
    let Some(found) = found else {
        row.push("not available".to_owned());
        return row;
    };
    row.push(count(found.throughput()));
    row.extend([0.5, 0.99, 0.999].map(|fraction| microseconds(found.percentile(fraction))));
    let (server, client) = (found.server_cpu(), found.client_cpu());
    row.push(or_dash(server.map(microseconds)));
    row.push(or_dash(client.map(microseconds)));
    let share = server.zip(client).map(|(server, client)| client / (server + client));
    row.push(or_dash(share.map(percent)));
    row.push(or_dash(found.others_cpu().map(percent)));
    row
}
