//! Load generator for servers that speak IPROTO, and the comparison of two of them.
//!
//! Modules in reading order: what is asked for (`args`), what is sent and checked (`iproto`,
//! `msgpack`, `request`, `reply`, `workload`), who is asked (`client`, `schema`, `server`,
//! `process`), the loop itself (`connection`, `worker`, `measure`), and what is told
//! (`histogram`, `progress`, `table`, `machine`, `run`, `compare`, `scans`,
//! `checkpoint`).
//!
//! The driver must cost much less CPU than the server it measures: requests are built once and
//! patched in place, one read and one write serve all requests of a wake-up, replies are parsed
//! where they lie, and nothing is allocated while the clock runs.
//!
//! It shares no code with the server on purpose: a mistake in our encoder must not be cancelled
//! out by the same mistake in the tool that checks it.

mod args;
mod checkpoint;
mod client;
mod compare;
mod connection;
mod error;
mod histogram;
mod iproto;
mod machine;
mod measure;
mod msgpack;
mod process;
mod progress;
mod random;
mod reply;
mod request;
mod run;
mod scans;
mod schema;
mod server;
mod shape;
mod table;
mod worker;
mod workload;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let done = match &arguments.mode {
        None => run::canonical(&arguments),
        Some(args::Mode::Run(run)) => run::run(run),
        Some(args::Mode::Compare(compare)) => compare::compare(compare),
        Some(args::Mode::Scans(scans)) => scans::scans(scans),
        Some(args::Mode::Checkpoint(arguments)) => checkpoint::checkpoint(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lycosa-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
