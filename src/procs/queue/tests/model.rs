//! Random runs of several connections, with time that passes, disconnects, restarts and a journal that refuses, against a
//! model of the specification that is too simple to be wrong.
//!
//! ```text
//! seed --steps--> run --play--> queue   ==?  model (spec, tube)
//!                  ^                |
//!                  +---- shrink ----+ they differ
//! ```
//!
//! After each step every reply, every row, every count and everybody who waits is compared. A run that fails is made as
//! short as it can be and printed with its seed; `LYCOSA_QUEUE_SEEDS=FROM..TO` plays those seeds instead of the usual ones.

mod call;
mod calls;
mod compare;
mod failing;
mod play;
mod rows;
mod sessions;
mod spec;
mod steps;
mod streams;
mod task;
mod tube;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use steps::Run;

/// Steps of a run.
const STEPS: usize = 120;

/// Plays a run from the beginning; what differs, if anything does.
fn outcome(run: &Run) -> Result<(), String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let play = || runtime.block_on(tokio::task::unconstrained(play::play(run, dir.path())));
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|_| Err("a panic".to_owned()))
}

/// Takes steps out of a run that fails for as long as it fails without them.
fn shrink(run: &mut Run) {
    let mut len = run.steps.len() / 2;
    while len > 0 {
        let mut start = 0;
        while start < run.steps.len() {
            let mut shorter = run.clone();
            shorter.steps.drain(start..(start + len).min(run.steps.len()));
            if outcome(&shorter).is_err() {
                *run = shorter;
            } else {
                start += len;
            }
        }
        len /= 2;
    }
    for no in 0..run.steps.len() {
        let mut simpler = run.clone();
        (simpler.steps[no].lag, simpler.steps[no].is_refused) = (0, false);
        if outcome(&simpler).is_err() {
            *run = simpler;
        }
    }
}

/// The seeds to play.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("LYCOSA_QUEUE_SEEDS") else { return 0..100 };
    let range = text.split_once("..").expect("FROM..TO");
    range.0.parse().expect("a number")..range.1.parse().expect("a number")
}

#[test]
fn the_queue_does_what_the_specification_says() {
    for seed in seeds() {
        let mut run = Run::new(seed, STEPS);
        if outcome(&run).is_ok() {
            continue;
        }
        shrink(&mut run);
        let difference = outcome(&run).expect_err("it failed before");
        let tubes = run.tubes.iter().map(|tube| format!("  {tube:?}\n")).collect::<String>();
        let steps = run.steps.iter().map(|step| format!("  {step:?}\n")).collect::<String>();
        panic!("seed {seed}\n{tubes}{steps}{difference}");
    }
}
