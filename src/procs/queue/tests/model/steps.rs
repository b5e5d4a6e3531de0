//! Random steps. A step names tubes, tasks and connections by numbers that mean something in every state, so that steps can
//! be taken out of a run and the rest is a run again.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::call::{Definition, Kind, Patience, PutOptions, Rule};

/// Connections at any one time.
pub(super) const CONNECTIONS: usize = 4;

/// A task: the one of this number among those that are meant, counted round and round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    pub(super) number: usize,
    /// Among those in this state; anything else means all of them.
    pub(super) state: char,
}

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Put(PutOptions),
    Take(Patience),
    Ack(Pick),
    Release(Pick, u64),
    Touch(Pick, u64),
    Peek(Pick),
    Bury(Pick),
    Delete(Pick),
    Kick(u64),
    ReleaseAll,
    Truncate,
    /// Drops the tube and creates it again.
    Drop,
    /// So many tasks, with options of their own or those of the call.
    PutMany(Vec<Option<PutOptions>>, PutOptions),
    TakeMany(u64, Patience),
    AckMany(Vec<Pick>),
    /// Joins the session of another connection.
    Join(usize),
    /// Joins a session by its UUID: the one of this number among all that there have been, counted round and round.
    Return(usize),
    /// Changes the time of sessions, tenths of a second.
    Cfg(u64),
    /// Opens a transaction in the connection's stream.
    Begin,
    Commit,
    Rollback,
    Disconnect,
    /// So many tenths of a second pass.
    Pass(u64),
    /// The process ends, in good order or not, and another one starts.
    Restart(bool),
}

impl Action {
    /// True for methods that work on tasks, and change no definition.
    pub(super) fn is_of_tasks(&self) -> bool {
        match self {
            Self::Put(..) | Self::PutMany(..) | Self::Take(_) | Self::TakeMany(..) => true,
            Self::Ack(_) | Self::AckMany(_) | Self::Release(..) | Self::Touch(..) => true,
            Self::Peek(_) | Self::Bury(_) | Self::Delete(_) | Self::Kick(_) => true,
            Self::ReleaseAll => true,
            Self::Truncate | Self::Drop | Self::Join(_) | Self::Return(_) | Self::Cfg(_) => false,
            Self::Begin | Self::Commit | Self::Rollback | Self::Disconnect => false,
            Self::Pass(_) | Self::Restart(_) => false,
        }
    }
}

/// One step of a run.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Which connection.
    pub(super) by: usize,
    /// Which tube.
    pub(super) tube: usize,
    pub(super) action: Action,
    /// In the connection's open transaction, if there is one and this is a method that changes no definition.
    pub(super) is_inside: bool,
    /// Tenths of a second that have passed without the timer noticing.
    pub(super) lag: u64,
    /// The journal refuses the write.
    pub(super) is_refused: bool,
}

/// The settings, the tubes and the steps of a run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The time of sessions with which each process begins, tenths of a second.
    pub(super) ttr: u64,
    /// Sessions outlive the process.
    pub(super) in_replicaset: bool,
    pub(super) tubes: Vec<Definition>,
    pub(super) steps: Vec<Step>,
}

impl Run {
    /// The run of a seed.
    pub(super) fn new(seed: u64, len: usize) -> Self {
        let dice = &mut StdRng::seed_from_u64(seed);
        let ttr = sometimes(dice, 2, |dice| dice.random_range(1..30)).unwrap_or(0);
        let in_replicaset = dice.random_ratio(1, 3);
        let count = dice.random_range(1..4);
        let tubes = (0..count).map(|no| definition(dice, no, in_replicaset)).collect();
        Self { ttr, in_replicaset, tubes, steps: (0..len).map(|_| step(dice)).collect() }
    }
}

/// Something in one of so many cases, else None.
fn sometimes<T>(dice: &mut StdRng, of: u32, value: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    dice.random_ratio(1, of).then(|| value(dice))
}

fn definition(dice: &mut StdRng, no: usize, in_replicaset: bool) -> Definition {
    let kind = Kind::ALL[dice.random_range(0..Kind::ALL.len())];
    Definition {
        name: format!("tube{no}"),
        kind,
        is_buffered: matches!(kind, Kind::Utube | Kind::Utubettl) && dice.random(),
        is_temporary: dice.random_ratio(1, 6) && !in_replicaset,
        ttl: sometimes(dice, 3, |dice| dice.random_range(5..40)),
        ttr: sometimes(dice, 3, |dice| dice.random_range(1..20)),
        pri: dice.random_range(0..2),
        capacity: (kind == Kind::Limfifottl).then(|| dice.random_range(1..5)),
        rule: sometimes(dice, 3, |dice| rule(dice, no)),
    }
}

fn rule(dice: &mut StdRng, no: usize) -> Rule {
    // Three tubes at most, so this may be none.
    let other = (no + dice.random_range(1..4)) % 4;
    Rule {
        max_attempts: dice.random_range(1..4),
        dead_letter: dice.random_ratio(3, 4).then(|| format!("tube{other}")),
        keeps_origin: dice.random(),
    }
}

fn step(dice: &mut StdRng) -> Step {
    let lag = sometimes(dice, 12, |dice| dice.random_range(1..10)).unwrap_or(0);
    let action = action(dice);
    Step {
        by: dice.random_range(0..CONNECTIONS),
        tube: dice.random_range(0..3),
        action,
        is_inside: dice.random_ratio(2, 3),
        lag,
        // What a take removes on its way is not worth an error when that is refused.
        is_refused: dice.random_ratio(1, 25) && lag == 0,
    }
}

fn patience(dice: &mut StdRng) -> Patience {
    match dice.random_range(0..5) {
        0 => Patience::For(dice.random_range(0..20)),
        1 => Patience::Endless,
        _ => Patience::None,
    }
}

fn put_options(dice: &mut StdRng) -> PutOptions {
    PutOptions {
        ttl: sometimes(dice, 4, |dice| dice.random_range(0..20)),
        ttr: sometimes(dice, 4, |dice| dice.random_range(0..15)),
        delay: sometimes(dice, 5, |dice| dice.random_range(0..15)),
        pri: sometimes(dice, 2, |dice| dice.random_range(0..3)),
        utube: sometimes(dice, 2, |dice| dice.random_range(0..3).to_string()),
        timeout: match dice.random_range(0..3) {
            0 => Patience::For(dice.random_range(0..15)),
            _ => Patience::None,
        },
    }
}

fn action(dice: &mut StdRng) -> Action {
    let number = dice.random_range(0..1000);
    let any = Pick { number, state: ' ' };
    let held = Pick { number, state: if dice.random_ratio(1, 8) { ' ' } else { 't' } };
    match dice.random_range(0..130) {
        0..24 => Action::Put(put_options(dice)),
        24..48 => Action::Take(patience(dice)),
        48..56 => Action::Ack(held),
        56..64 => Action::Release(held, sometimes(dice, 2, |d| d.random_range(1..15)).unwrap_or(0)),
        64..68 => Action::Touch(held, dice.random_range(0..20)),
        68..70 => Action::Peek(any),
        70..75 => Action::Bury(any),
        75..79 => Action::Delete(any),
        79..83 => Action::Kick(dice.random_range(0..4)),
        83 => Action::ReleaseAll,
        84 => Action::Truncate,
        85 => Action::Drop,
        86..89 => Action::Join(dice.random_range(0..CONNECTIONS)),
        89..92 => Action::Disconnect,
        92..98 => Action::Pass(dice.random_range(1..15)),
        98..100 => Action::Restart(dice.random()),
        100..103 => Action::Return(number),
        103 => Action::Cfg(dice.random_range(0..30)),
        104..108 => {
            let own = |_| sometimes(dice, 2, put_options);
            let tasks = (0..number % 4).map(own).collect();
            Action::PutMany(tasks, put_options(dice))
        }
        108..112 => Action::TakeMany(dice.random_range(1..4), patience(dice)),
        112..115 => {
            let pick = |_| Pick { number: dice.random_range(0..1000), state: 't' };
            Action::AckMany((0..number % 4).map(pick).collect())
        }
        115..122 => Action::Begin,
        122..127 => Action::Commit,
        _ => Action::Rollback,
    }
}
