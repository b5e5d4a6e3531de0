//! Two servers in turns: A B A B for each workload and shape, then the medians and their ratio.

use std::fmt::Write as _;
use std::fs;

use crate::args::Compare;
use crate::error::Error;
use crate::machine;
use crate::measure::Measurement;
use crate::progress::Progress;
use crate::run::{measure_one, memory};
use crate::server::Server;
use crate::shape::Shape;
use crate::table::{Table, count, microseconds, or_dash, percent, ratio};
use crate::workload::{QUEUE_NOTE, Workload};

/// A figure of a measurement, if it has it.
type Figure = fn(&Measurement) -> Option<f64>;

/// Rounds tried per round wanted, if only quiet ones count.
const QUIET_TRIES: usize = 4;

/// Requests per second.
const THROUGHPUT: Figure = |found| Some(found.throughput());
/// Microseconds that half of the requests did not exceed.
const P50: Figure = |found| Some(found.percentile(0.5));
/// Microseconds that 99 % did not exceed.
const P99: Figure = |found| Some(found.percentile(0.99));
/// Microseconds that 99.9 % did not exceed.
const P999: Figure = |found| Some(found.percentile(0.999));

/// All rounds of one workload and shape: A and B of each round.
type Rounds = Vec<(Measurement, Measurement)>;

/// Compares the servers, prints the report and writes it where it was asked for.
pub(crate) fn compare(arguments: &Compare) -> Result<(), Error> {
    let choice = &arguments.choice;
    let mut progress = Progress::new();
    progress.begin(format!("loading {}", arguments.a));
    let mut a = Server::prepare(&arguments.a, arguments.pid_a, choice.rows)?;
    progress.begin(format!("loading {}", arguments.b));
    let mut b = Server::prepare(&arguments.b, arguments.pid_b, choice.rows)?;

    let mut report = Report::new();
    for workload in choice.workloads() {
        for &shape in &choice.shape {
            match rounds(arguments, workload, shape, (&mut a, &mut b), &mut progress) {
                Ok(Some(rounds)) => report.add(workload, shape, &rounds),
                Ok(None) => report.leave_out(workload, shape, "not on both servers"),
                Err(error) => report.fail(workload, shape, error),
            }
        }
    }
    progress.clear();
    let text = format!("{}\n{report}", head(arguments, &a, &b), report = report.text());
    print!("{text}");
    if let Some(path) = &arguments.out {
        fs::write(path, &text)
            .map_err(|cause| Error::io(format!("writing {}", path.display()), cause))?;
    }
    match report.failure {
        Some(error) => Err(error),
        None => a.clean_up().and_then(|()| b.clean_up()),
    }
}

/// Measures both servers in turns; `None` if one of them does not offer the workload.
fn rounds(
    arguments: &Compare,
    workload: Workload,
    shape: Shape,
    (a, b): (&mut Server, &mut Server),
    progress: &mut Progress,
) -> Result<Option<Rounds>, Error> {
    let wanted = arguments.rounds as usize;
    let tries_max = if arguments.quiet.is_some() { wanted * QUIET_TRIES } else { wanted };
    let mut rounds = Rounds::new();
    let mut quiet_rounds = 0;
    while quiet_rounds < wanted && rounds.len() < tries_max {
        let done = rounds.len();
        let mut turn = |name: &str, server: &mut Server| {
            progress.begin(format!("{workload} {shape}, round {} of {wanted}, {name}", done + 1));
            measure_one(server, workload, shape, arguments.choice.effort(), progress)
        };
        let (Some(a), Some(b)) = (turn("A", a)?, turn("B", b)?) else {
            return Ok(None);
        };
        rounds.push((a, b));
        let noise_max = arguments.quiet.map_or(f64::INFINITY, |percent| f64::from(percent) / 100.0);
        quiet_rounds = rounds.iter().filter(|round| noise(round) <= noise_max).count();
    }
    if rounds.len() > wanted {
        rounds.sort_by(|left, right| noise(left).total_cmp(&noise(right)));
        rounds.truncate(wanted);
    }
    Ok(Some(rounds))
}

/// What other processes used of a core in the noisier turn of a round; 0 if that is not known.
fn noise((a, b): &(Measurement, Measurement)) -> f64 {
    a.others_cpu().unwrap_or(0.0).max(b.others_cpu().unwrap_or(0.0))
}

/// The head of the report: everything the numbers depend on.
fn head(arguments: &Compare, a: &Server, b: &Server) -> String {
    let mut text = String::from("# Comparison of two servers\n\n");
    let mut line = |words: String| writeln!(text, "- {words}").expect("a string takes all");
    for (name, server) in [("A", a), ("B", b)] {
        line(format!("{name}: {}; memory {}", server.greeting, memory(server)));
    }
    machine::describe().into_iter().for_each(&mut line);
    line("figures: medians of the rounds; A/B is the median of the ratios in one round".to_owned());
    line(format!("effort: {} rounds A B, {}", arguments.rounds, arguments.choice.describe()));
    if let Some(percent) = arguments.quiet {
        let tries = QUIET_TRIES;
        line(format!(
            "quiet: rounds with more than {percent} % of a core used by others were measured \
             again, up to {tries} times the rounds"
        ));
    }
    if arguments.choice.workloads().iter().any(|workload| workload.tube_type().is_some()) {
        line(QUEUE_NOTE.to_owned());
    }
    if let Some(note) = &arguments.note {
        line(format!("note: {note}"));
    }
    text
}

/// The tables as they grow.
struct Report {
    /// Throughput, CPU and p99 with ratios.
    ratios: Table,
    /// Other latencies, and what the driver itself cost.
    details: Table,
    /// The first error; measuring goes on after it.
    failure: Option<Error>,
}

impl Report {
    /// Empty tables.
    fn new() -> Self {
        let ratios = [
            "workload",
            "shape",
            "A req/s",
            "B req/s",
            "A/B",
            "A/B of rounds",
            "A us CPU/req",
            "B us CPU/req",
            "A/B",
            "A p99 us",
            "B p99 us",
            "A/B",
        ];
        let details = [
            "workload",
            "shape",
            "A p50 us",
            "B p50 us",
            "A p99.9 us",
            "B p99.9 us",
            "driver us CPU/req, A",
            "driver us CPU/req, B",
            "others' CPU, A",
            "others' CPU, B",
        ];
        Self { ratios: Table::new(2, &ratios), details: Table::new(2, &details), failure: None }
    }

    /// Adds the medians of one workload and shape.
    fn add(&mut self, workload: Workload, shape: Shape, rounds: &Rounds) {
        let name = || vec![workload.to_string(), shape.to_string()];
        let mut row = name();
        row.extend(with_ratio(rounds, THROUGHPUT, count));
        row.push(spread(rounds));
        row.extend(with_ratio(rounds, Measurement::server_cpu, microseconds));
        row.extend(with_ratio(rounds, P99, microseconds));
        self.ratios.push(row);

        let mut row = name();
        for figure in [P50, P999, Measurement::client_cpu] {
            row.extend(medians(rounds, figure).map(|value| or_dash(value.map(microseconds))));
        }
        row.extend(medians(rounds, Measurement::others_cpu).map(|v| or_dash(v.map(percent))));
        self.details.push(row);
    }

    /// Notes why there are no numbers.
    fn leave_out(&mut self, workload: Workload, shape: Shape, why: &str) {
        self.ratios.push(vec![workload.to_string(), shape.to_string(), why.to_owned()]);
    }

    /// Notes an error; the first one is what the program ends with.
    fn fail(&mut self, workload: Workload, shape: Shape, error: Error) {
        eprintln!("\r{workload} {shape}: {error}");
        self.leave_out(workload, shape, "failed");
        self.failure.get_or_insert(error);
    }

    /// Both tables.
    fn text(&self) -> String {
        format!("{}\n{}", self.ratios, self.details)
    }
}

/// The medians of a figure over the rounds, of A and of B.
fn medians(rounds: &Rounds, figure: Figure) -> [Option<f64>; 2] {
    let a = rounds.iter().map(|(a, _)| figure(a)).collect();
    let b = rounds.iter().map(|(_, b)| figure(b)).collect();
    [median(a), median(b)]
}

/// A to B in each round; `None` if a figure is missing.
fn ratios(rounds: &Rounds, figure: Figure) -> Option<Vec<f64>> {
    rounds.iter().map(|(a, b)| Some(figure(a)? / figure(b)?)).collect()
}

/// The middle value, or the mean of the two in the middle; `None` if any is missing.
fn median(values: Option<Vec<f64>>) -> Option<f64> {
    let mut values = values?;
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        Some((values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0)
    } else {
        values.get(middle).copied()
    }
}

/// The medians of a figure, and the median of its ratios: turns of one round are neighbours in
/// time, so that a machine which gets slower or faster does not show in the ratio.
fn with_ratio(rounds: &Rounds, figure: Figure, show: fn(f64) -> String) -> [String; 3] {
    let [a, b] = medians(rounds, figure);
    let quotient = median(ratios(rounds, figure));
    [or_dash(a.map(show)), or_dash(b.map(show)), or_dash(quotient.map(ratio))]
}

/// The smallest and the largest ratio of throughput in one round.
fn spread(rounds: &Rounds) -> String {
    let mut ratios = ratios(rounds, THROUGHPUT).unwrap_or_default();
    ratios.sort_by(f64::total_cmp);
    match (ratios.first(), ratios.last()) {
        (Some(least), Some(most)) => format!("{least:.2}..{most:.2}"),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(Some(vec![3.0, 1.0, 2.0])), Some(2.0));
        assert_eq!(median(Some(vec![4.0, 1.0, 2.0, 3.0])), Some(2.5));
        assert_eq!(median(Some(vec![])), None);
        assert_eq!(median(None), None);
    }

    #[test]
    fn ratios_are_first_to_second_round_by_round() {
        let found = |requests| Measurement::of_requests(requests);
        let rounds =
            vec![(found(100), found(50)), (found(30), found(10)), (found(400), found(400))];
        assert_eq!(with_ratio(&rounds, THROUGHPUT, count), ["100", "50", "2.00"]);
        assert_eq!(spread(&rounds), "1.00..3.00");
        assert_eq!(with_ratio(&rounds, Measurement::server_cpu, count), ["-", "-", "-"]);
    }
}
