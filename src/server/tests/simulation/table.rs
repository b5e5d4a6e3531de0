//! Every operation of the disk fails once, with every error, while a process does something: what it does then.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::io::Errno;

use super::crowd::Crowd;
use super::director::{ERRNOS, Strike};
use super::ledger::Loss;
use super::node::{Settings, alive};
use super::request;
use super::world::{IMAGE, Stop, World};
use crate::wal::disk::faults::Op;
use crate::wal::journal::Mode;

/// What fails, of files whose path has this in it; in which mode, during what; what comes of it.
type Row = (Op, &'static str, Mode, Doing, Outcome);

const TABLE: [Row; 34] = [
    // A write that cannot be written is refused, and the next one is not.
    (Op::Open, ".xlog", Mode::Write, Doing::Write, Outcome::Refused),
    (Op::Write, ".xlog", Mode::Write, Doing::Write, Outcome::Refused),
    (Op::Rename, ".xlog", Mode::Write, Doing::Write, Outcome::Refused),
    (Op::Open, ".xlog", Mode::Fsync, Doing::Write, Outcome::Refused),
    (Op::Write, ".xlog", Mode::Fsync, Doing::Write, Outcome::Refused),
    (Op::Rename, ".xlog", Mode::Fsync, Doing::Write, Outcome::Refused),
    // What may not have become durable ends the process.
    (Op::Sync, ".xlog", Mode::Fsync, Doing::Write, Outcome::Aborts),
    (Op::SyncDir, "", Mode::Fsync, Doing::Write, Outcome::Aborts),
    (Op::Sync, ".xlog", Mode::Write, Doing::Close, Outcome::Aborts),
    (Op::SyncDir, "", Mode::Write, Doing::Close, Outcome::Aborts),
    (Op::Sync, ".xlog", Mode::Fsync, Doing::Close, Outcome::Aborts),
    (Op::SyncDir, "", Mode::Fsync, Doing::Close, Outcome::Aborts),
    // Mode write syncs nothing while it writes.
    (Op::Sync, ".xlog", Mode::Write, Doing::Write, Outcome::GoesOn),
    (Op::SyncDir, "", Mode::Write, Doing::Write, Outcome::GoesOn),
    // Mode none has no journal.
    (Op::Open, ".xlog", Mode::None, Doing::Write, Outcome::GoesOn),
    (Op::Write, ".xlog", Mode::None, Doing::Write, Outcome::GoesOn),
    // A checkpoint that fails is an error; the process goes on.
    (Op::Open, ".snap", Mode::Write, Doing::Checkpoint, Outcome::Fails),
    (Op::Write, ".snap", Mode::Write, Doing::Checkpoint, Outcome::Fails),
    (Op::Sync, ".snap", Mode::Write, Doing::Checkpoint, Outcome::Fails),
    (Op::Rename, ".snap", Mode::Write, Doing::Checkpoint, Outcome::Fails),
    (Op::SyncDir, "", Mode::None, Doing::Checkpoint, Outcome::Fails),
    (Op::Write, ".snap", Mode::Fsync, Doing::Checkpoint, Outcome::Fails),
    (Op::Write, ".snap", Mode::None, Doing::Checkpoint, Outcome::Fails),
    (Op::Write, ".xlog", Mode::Write, Doing::Checkpoint, Outcome::Fails),
    // Old files that stay do not matter.
    (Op::Remove, "", Mode::Write, Doing::Checkpoint, Outcome::GoesOn),
    (Op::List, "", Mode::Write, Doing::Checkpoint, Outcome::GoesOn),
    (Op::Read, "", Mode::Write, Doing::Checkpoint, Outcome::GoesOn),
    // What a start needs.
    (Op::MakeDir, "", Mode::Write, Doing::Start, Outcome::Fails),
    (Op::Lock, "", Mode::Write, Doing::Start, Outcome::Fails),
    (Op::List, "", Mode::Write, Doing::Start, Outcome::Fails),
    (Op::Open, "", Mode::Write, Doing::Start, Outcome::Fails),
    (Op::Read, "", Mode::Write, Doing::Start, Outcome::Fails),
    (Op::Sync, ".xlog", Mode::Write, Doing::Start, Outcome::Fails),
    (Op::Sync, ".xlog", Mode::Fsync, Doing::Start, Outcome::Fails),
];

#[test]
fn every_operation_fails_as_the_table_says() {
    super::world::prepare();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for (op, of, mode, doing, outcome) in TABLE {
        // Those that the code tells apart, and two of the rest.
        for errno in &ERRNOS[..6] {
            let errno = *errno;
            // A write or a read that was interrupted is done again.
            let is_again = errno == Errno::INTR && matches!(op, Op::Write | Op::Read);
            // A snapshot that is not there is made. A journal that is gone when it is closed was removed by somebody.
            let is_gone = errno == Errno::NOENT
                && ((op == Op::Open && of == ".snap") || doing == Doing::Close);
            if is_again || is_gone {
                continue;
            }
            let settings = Settings {
                mode,
                wal_max_size: 1 << 20,
                wal_queue_max_size: 0,
                snapshots: 1,
                has_accounts: false,
            };
            let strike = Strike::on(op, of, errno);
            let found = runtime.block_on(failing(settings, strike, doing));
            assert_eq!(
                found,
                Ok(outcome),
                "{op:?} of '{of}' with {errno} in {mode:?} during {doing:?}"
            );
        }
    }
}

/// What a process does when something fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    Start,
    Write,
    Checkpoint,
    Close,
}

/// What comes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// Nothing has failed.
    GoesOn,
    /// A write is refused; the process goes on.
    Refused,
    /// What was to be done is not; the process, if there is one, goes on.
    Fails,
    /// The process ends itself.
    Aborts,
}

/// Does something while the disk fails once; what comes of it. Then everything must be as it was promised.
///
/// # Errors
/// What must not have happened.
async fn failing(settings: Settings, strike: Strike, doing: Doing) -> Result<Outcome, String> {
    let mut world = World::on(IMAGE.fork(), StdRng::seed_from_u64(1), settings);
    world.is_steady = true;
    match world.fail(strike, doing).await {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Gap) => Err("a gap".to_owned()),
        Err(Stop::Violation(violation)) => Err(format!("{}\n{violation}", world.story.text())),
    }
}

impl World {
    async fn fail(&mut self, strike: Strike, doing: Doing) -> Result<Outcome, Stop> {
        if doing == Doing::Start {
            self.director.plan(strike);
            let started = self.try_open(Loss::Nothing).await?;
            self.disk.detach();
            self.leave();
            self.director.take_struck();
            self.open(Loss::Process).await?;
            self.settle().await?;
            return Ok(if started.is_some() { Outcome::Fails } else { Outcome::GoesOn });
        }
        self.open(Loss::Nothing).await?;
        self.with(Crowd::probe).expect("nothing was done to the disk")?;
        let crowd = self.crowd.clone().expect("it is open");
        let instance = crowd.lock().node.instance().clone();
        if doing == Doing::Write {
            // So that it needs a new file.
            instance.checkpoint().map_err(|error| error.to_string())?;
        }
        self.director.plan(strike);
        let done = alive(&self.disk, || match doing {
            Doing::Checkpoint => Ok(instance.checkpoint().is_ok()),
            Doing::Close => Ok(instance.close().is_ok()),
            Doing::Start | Doing::Write => {
                let mut crowd = crowd.lock();
                crowd.ask(request::probe()).map(|()| crowd.code == 0)
            }
        });
        drop((crowd, instance));
        let outcome = match done {
            None => {
                self.ended().await?;
                Outcome::Aborts
            }
            Some(is_done) => match is_done? {
                true => Outcome::GoesOn,
                false if doing == Doing::Write => Outcome::Refused,
                false => Outcome::Fails,
            },
        };
        self.calm();
        if doing == Doing::Close && outcome != Outcome::Aborts {
            self.leave();
            self.open(Loss::Process).await?;
        }
        self.settle().await?;
        Ok(outcome)
    }
}
