//! Says when the disk fails, and when the process ends in the middle of an operation.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;
use rustix::io::Errno;

use crate::wal::disk::faults::{Call, Fate, Op, Script};

/// What an operation that fails may say.
pub(super) const ERRNOS: [Errno; 12] = [
    Errno::IO,
    Errno::NOSPC,
    Errno::INTR,
    Errno::NOENT,
    Errno::EXIST,
    Errno::AGAIN,
    Errno::DQUOT,
    Errno::FBIG,
    Errno::ROFS,
    Errno::ACCESS,
    Errno::MFILE,
    Errno::NOMEM,
];

/// Operations that change something or make it durable.
const OPS: [Op; 8] =
    [Op::Open, Op::Write, Op::Write, Op::Sync, Op::SyncDir, Op::Rename, Op::Remove, Op::Truncate];

/// What happens to one operation to come.
#[derive(Clone, Debug)]
pub(super) struct Strike {
    /// Operations that count; none: all do.
    op: Option<Op>,
    /// What the path of a file that counts has in it.
    of: &'static str,
    /// Which of them, from 1.
    countdown: u32,
    what: What,
    /// Of a write: the share that is stored, of 1000.
    share: usize,
    /// Whether repairing what it leaves behind fails too.
    is_double: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Fails(Errno),
    Ends,
    EndsAfter,
}

impl Strike {
    pub(super) fn random(dice: &mut StdRng) -> Self {
        let op = dice.random_ratio(3, 4).then(|| OPS[dice.random_range(0..OPS.len())]);
        let far = match op {
            None => 60,
            Some(Op::Write | Op::Sync) => 20,
            Some(_) => 4,
        };
        let what = match dice.random_range(0..5) {
            0..3 => What::Fails(ERRNOS[dice.random_range(0..ERRNOS.len())]),
            3 => What::Ends,
            _ => What::EndsAfter,
        };
        let share = [0, 1000, dice.random_range(0..1000)][dice.random_range(0..3)];
        let is_double = dice.random_ratio(1, 6);
        Self { op, of: "", countdown: dice.random_range(1..=far), what, share, is_double }
    }

    /// The next operation of this kind on such a file fails.
    pub(super) fn on(op: Op, of: &'static str, errno: Errno) -> Self {
        let what = What::Fails(errno);
        Self { op: Some(op), of, countdown: 1, what, share: 500, is_double: false }
    }
}

/// What has happened.
#[derive(Clone, Debug)]
pub(super) struct Struck {
    pub(super) op: Op,
    pub(super) path: PathBuf,
    pub(super) fate: Fate,
}

/// Done before a write to a snapshot, which nobody has to wait for.
type Aside = Arc<dyn Fn() + Send + Sync>;

/// The script of a disk.
#[derive(Default)]
pub(super) struct Director(Mutex<State>);

#[derive(Default)]
struct State {
    strikes: Vec<Strike>,
    struck: Vec<Struck>,
    aside: Option<Aside>,
    is_full: bool,
}

impl Director {
    /// Plans a strike.
    pub(super) fn plan(&self, strike: Strike) {
        self.0.lock().strikes.push(strike);
    }

    /// Forgets what has not happened.
    pub(super) fn calm(&self) {
        self.0.lock().strikes.clear();
    }

    /// What has happened since this was asked last.
    pub(super) fn take_struck(&self) -> Vec<Struck> {
        std::mem::take(&mut self.0.lock().struck)
    }

    /// True if what is done now may fail: something has struck since [`Director::take_struck`], or the disk is full.
    pub(super) fn may_fail(&self) -> bool {
        let state = self.0.lock();
        state.is_full || !state.struck.is_empty()
    }

    /// True if the disk has no room left.
    pub(super) fn is_full(&self) -> bool {
        self.0.lock().is_full
    }

    /// The disk has no room left, or has room again.
    pub(super) fn set_full(&self, is_full: bool) {
        self.0.lock().is_full = is_full;
    }

    /// Does `aside` before each write to a snapshot from now on.
    pub(super) fn set_aside(&self, aside: Option<Aside>) {
        self.0.lock().aside = aside;
    }
}

impl State {
    fn strike(&mut self, call: Call<'_>) -> Fate {
        let path = call.path.to_string_lossy();
        let counts = |strike: &&mut Strike| {
            strike.op.is_none_or(|op| op == call.op) && path.contains(strike.of)
        };
        let mut due = None;
        for strike in self.strikes.iter_mut().filter(counts) {
            strike.countdown -= 1;
            if strike.countdown == 0 {
                due = Some(strike.clone());
            }
        }
        self.strikes.retain(|strike| strike.countdown > 0);
        let Some(strike) = due else { return Fate::Done };
        let stored = call.bytes * strike.share / 1000;
        let fate = match strike.what {
            What::Fails(errno) => Fate::Fails(errno, stored),
            What::Ends => Fate::Ends(stored),
            What::EndsAfter => Fate::EndsAfter,
        };
        if strike.is_double && call.op == Op::Write {
            let op = Some(Op::Truncate);
            self.strikes.push(Strike { op, countdown: 1, is_double: false, ..strike });
        }
        self.struck.push(Struck { op: call.op, path: call.path.to_owned(), fate });
        fate
    }
}

impl Script for Director {
    fn decide(&self, call: Call<'_>) -> Fate {
        let is_snapshot = call.path.as_os_str().to_string_lossy().contains(".snap");
        let aside = self.0.lock().aside.clone().filter(|_| call.op == Op::Write && is_snapshot);
        if let Some(aside) = aside {
            aside();
        }
        self.0.lock().strike(call)
    }
}
