//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand};

use crate::measure::Effort;
use crate::shape::Shape;
use crate::workload::Workload;

/// Where a server listens unless told otherwise.
const ADDRESS: &str = "127.0.0.1:3331";

/// Load generator for servers that speak IPROTO.
///
/// Without a subcommand it runs one canonical mix (half select, half replace, 16 connections
/// with 8 requests in flight each) and prints requests per second and p99.
#[derive(Parser)]
#[command(name = "lycosa-bench", version)]
pub(crate) struct Arguments {
    /// Server to measure, HOST:PORT.
    #[arg(long, env = "LYCOSA_BENCH_ADDR", default_value = ADDRESS)]
    pub(crate) addr: String,
    /// Workloads, shapes or two servers to choose.
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

/// What to do other than the canonical mix.
#[derive(Subcommand)]
pub(crate) enum Mode {
    /// Measure one server.
    Run(Run),
    /// Measure two servers in turns and print the ratio.
    Compare(Compare),
    /// Measure `take` of a queue with much else in the tube.
    Scans(Scans),
    /// Measure replaces without and beside a snapshot, in a space that is there.
    Checkpoint(Checkpoint),
}

/// Arguments of `run`.
#[derive(Args)]
pub(crate) struct Run {
    /// Server to measure, HOST:PORT.
    #[arg(long, env = "LYCOSA_BENCH_ADDR", default_value = ADDRESS)]
    pub(crate) addr: String,
    /// Server's process, if it cannot be found by its port.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// What to measure and for how long.
    #[command(flatten)]
    pub(crate) choice: Choice,
}

/// Arguments of `scans`.
#[derive(Args)]
pub(crate) struct Scans {
    /// Server to measure, HOST:PORT.
    #[arg(long, env = "LYCOSA_BENCH_ADDR", default_value = ADDRESS)]
    pub(crate) addr: String,
    /// Fill tubes with so many times fewer tasks.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) divisor: u32,
    /// Takes that are measured in each case.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(100..))]
    pub(crate) takes: u32,
    /// Measure only cases whose type and name contain this, besides empty tubes.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
}

/// Arguments of `checkpoint`.
#[derive(Args)]
pub(crate) struct Checkpoint {
    /// Server to measure, HOST:PORT.
    #[arg(long, env = "LYCOSA_BENCH_ADDR", default_value = ADDRESS)]
    pub(crate) addr: String,
    /// Name of the space, which has rows like those of the other workloads.
    #[arg(long)]
    pub(crate) space: String,
    /// Rows in it, with the keys from 65536 on.
    #[arg(long, value_parser = row_count())]
    pub(crate) rows: u32,
    /// Connections x requests in flight on each.
    #[arg(long, default_value = "16x1")]
    pub(crate) shape: Shape,
    /// Seconds counted without a snapshot.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Snapshots that are taken.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
}

impl Checkpoint {
    /// Time that is counted without a snapshot.
    pub(crate) fn seconds(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Arguments of `compare`.
#[derive(Args)]
pub(crate) struct Compare {
    /// First server, HOST:PORT.
    #[arg(long)]
    pub(crate) a: String,
    /// Second server, HOST:PORT; ratios are first to second.
    #[arg(long)]
    pub(crate) b: String,
    /// First server's process, if it cannot be found by its port.
    #[arg(long)]
    pub(crate) pid_a: Option<u32>,
    /// Second server's process.
    #[arg(long)]
    pub(crate) pid_b: Option<u32>,
    /// Turns of each server per workload and shape; medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Measure a round again if other processes used more than this much of a core, in per cent;
    /// after four times the rounds, the quietest ones count.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) quiet: Option<u32>,
    /// Words for the head of the report, such as the WAL mode of both servers.
    #[arg(long)]
    pub(crate) note: Option<String>,
    /// File for the report, besides standard output.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// What to measure and for how long.
    #[command(flatten)]
    pub(crate) choice: Choice,
}

/// What to measure and for how long.
#[derive(Args)]
pub(crate) struct Choice {
    /// Workloads, separated by commas; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Connections x requests in flight on each, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1x1,16x1,64x1,16x32,64x64")]
    pub(crate) shape: Vec<Shape>,
    /// Seconds counted per measurement.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds before counting begins.
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    warmup: f64,
    /// Rows loaded before measuring.
    #[arg(long, default_value_t = 100_000, value_parser = row_count())]
    pub(crate) rows: u32,
    /// Threads of the driver.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

impl Choice {
    /// The workloads chosen.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        if self.workload.is_empty() { Workload::all() } else { self.workload.clone() }
    }

    /// How each measurement is made.
    pub(crate) fn effort(&self) -> Effort {
        Effort {
            warmup: Duration::from_secs_f64(self.warmup),
            counted: Duration::from_secs_f64(self.seconds),
            threads: usize::from(self.threads),
        }
    }

    /// One line for the head of a report.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} s counted after {} s of warm-up, {} rows of 100 bytes, {} driver thread{}",
            self.seconds,
            self.warmup,
            self.rows,
            self.threads,
            if self.threads == 1 { "" } else { "s" },
        )
    }
}

/// Parses a number of rows: one or more, and few enough for keys of 32 bits.
fn row_count() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000_000)
}

/// Parses seconds: more than nothing, less than a day.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("write seconds from 0.01 to 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lists_are_split_at_commas() {
        let line = ["lycosa-bench", "run", "--workload", "ping,queue", "--shape", "1x1,64x64"];
        let Ok(Arguments { mode: Some(Mode::Run(run)), .. }) = Arguments::try_parse_from(line)
        else {
            panic!("run is a mode");
        };
        assert_eq!(run.choice.workloads(), [Workload::Ping, Workload::Queue]);
        assert_eq!(run.choice.shape[1], Shape { connections: 64, in_flight: 64 });
        assert!(Arguments::try_parse_from(["lycosa-bench", "run", "--seconds", "0"]).is_err());
    }
}
