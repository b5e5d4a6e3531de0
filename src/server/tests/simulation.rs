//! Random runs of a server on a disk in memory: many clients at once, a disk that fails, processes that end, power that is
//! lost. A run is a function of its seed.
//!
//! ```text
//!  World   starts processes one after the other on one disk; plans strikes, fills the disk, takes checkpoints
//!    |
//!    +-- Crowd    clients that send requests through the server's rounds and let them wait; the journal's threads
//!    |     '-- Ledger   what was committed, acknowledged, refused, and what the database held after each
//!    +-- Director   decides what becomes of each operation of the disk
//! ```
//!
//! After every action: the database holds what it held after the newest transaction that was not refused, and an answer is
//! what became of the request. After every end: what was acknowledged is there, what was refused is not, what was neither is
//! there whole or not at all. When the disk is well again: a write succeeds, and the files hold what the database holds.
//!
//! `LYCOSA_SIMULATION_SEEDS=FROM..TO` plays those seeds instead of new ones. See docs/decisions/0014-simulation.md.

mod accounts;
mod client;
mod crowd;
mod director;
mod dump;
mod ledger;
mod lives;
mod node;
mod process;
mod request;
mod table;
mod tally;
mod tasks;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tally::Tally;

use crate::wal::journal::Mode;

/// Seeds of each mode that are played if nothing else is said.
const SEEDS: u64 = 40;

/// The seeds to play.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("LYCOSA_SIMULATION_SEEDS") else {
        let first = u64::from(rand::random::<u32>());
        return first..first + SEEDS;
    };
    let range = text.split_once("..").expect("FROM..TO");
    range.0.parse().expect("a number")..range.1.parse().expect("a number")
}

/// Plays one run.
fn play(seed: u64, mode: Mode) -> Result<Tally, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let play = || runtime.block_on(tokio::task::unconstrained(world::play(seed, mode)));
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}

fn simulate(mode: Mode) {
    world::prepare();
    let mut sum = Tally::default();
    let mut violations = Vec::new();
    for seed in seeds() {
        match play(seed, mode) {
            Ok(tally) => sum.add(tally),
            Err(violation) => violations.push((seed, violation)),
        }
    }
    println!("{mode:?}: {sum:?}");
    if let Some((first, violation)) = violations.first() {
        let seeds: Vec<u64> = violations.iter().map(|(seed, _)| *seed).collect();
        panic!("seed {first} in {mode:?}\n{violation}\nseeds that fail: {seeds:?}");
    }
}

#[test]
fn mode_none_keeps_what_it_promises() {
    simulate(Mode::None);
}

#[test]
fn mode_write_keeps_what_it_promises() {
    simulate(Mode::Write);
}

#[test]
fn mode_fsync_keeps_what_it_promises() {
    simulate(Mode::Fsync);
}
