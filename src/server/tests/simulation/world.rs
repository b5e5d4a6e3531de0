//! One run: processes one after the other on one disk, what strikes them, and what must hold.

use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::crowd::{Crowd, Story};
use super::director::{Director, Strike};
use super::dump::{Dump, check_indexes};
use super::ledger::{Ledger, Loss};
use super::node::{NoNode, Settings, alive, open_instance};
use super::request;
use super::tally::Tally;
use crate::instance::StartError;
use crate::wal::disk::faults::MemoryDisk;
use crate::wal::journal::Mode;
use crate::wal::{self, Damage};

/// Steps of a run.
const STEPS: usize = 40;
/// What a crowd does in a step.
const ACTIONS: usize = 4;
/// Why a run ends early.
pub(super) enum Stop {
    /// Something must not have happened.
    Violation(String),
    /// Files were lost as they may be, and the server refuses to go on without them.
    Gap,
}

impl From<String> for Stop {
    fn from(violation: String) -> Self {
        Self::Violation(violation)
    }
}

/// What a part of a run comes to.
pub(super) type Played = Result<(), Stop>;

/// A run in progress.
pub(super) struct World {
    pub(super) disk: MemoryDisk,
    pub(super) director: Arc<Director>,
    pub(super) dice: StdRng,
    /// The mode that most processes have.
    pub(super) mode: Mode,
    pub(super) settings: Settings,
    /// Every process has the same settings.
    pub(super) is_steady: bool,
    pub(super) crowd: Option<Arc<Mutex<Crowd>>>,
    /// Between two processes.
    pub(super) ledger: Option<Ledger>,
    pub(super) story: Story,
    pub(super) tally: Tally,
}

/// A disk with the spaces that every run begins with.
pub(super) static IMAGE: LazyLock<MemoryDisk> = LazyLock::new(|| {
    let disk = MemoryDisk::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let settings = Settings {
        mode: Mode::Fsync,
        wal_max_size: 1 << 20,
        wal_queue_max_size: 1 << 20,
        snapshots: 1,
        has_accounts: false,
    };
    runtime.block_on(async {
        let mut world = World::on(disk.clone(), StdRng::seed_from_u64(0), settings);
        assert!(world.open(Loss::Nothing).await.is_ok());
        let crowd = world.crowd.take().expect("it is open");
        let crowd = &mut *crowd.lock();
        for (name, args) in request::IMAGE {
            crowd.ask(request::call(name, args)).expect("a good definition");
        }
        crowd.node.instance().checkpoint().expect("a snapshot");
        crowd.node.instance().close().expect("the journal is written");
    });
    disk
});

/// Makes that disk, which cannot be done inside of a runtime.
pub(super) fn prepare() {
    LazyLock::force(&IMAGE);
}

impl Settings {
    pub(super) fn random(dice: &mut StdRng, mode: Mode) -> Self {
        Self {
            mode,
            wal_max_size: [2, 500, 3000, 1 << 20][dice.random_range(0..4)],
            wal_queue_max_size: [1, 500, 0][dice.random_range(0..3)],
            snapshots: dice.random_range(1..4),
            has_accounts: dice.random_ratio(1, 10),
        }
    }
}

/// Plays the run of a seed in one mode.
///
/// # Errors
/// What must not have happened, and what led to it.
pub(super) async fn play(seed: u64, mode: Mode) -> Result<Tally, String> {
    let mut dice = StdRng::seed_from_u64(seed);
    let settings = Settings::random(&mut dice, mode);
    let disk = if dice.random_ratio(1, 20) { MemoryDisk::new() } else { IMAGE.fork() };
    let mut world = World::on(disk, dice, settings);
    match world.run().await {
        Ok(()) | Err(Stop::Gap) => Ok(world.tally),
        Err(Stop::Violation(violation)) => {
            world.leave();
            let story = world.story.text();
            Err(format!("{:?}\n  {story}\n{violation}", world.settings))
        }
    }
}

impl World {
    pub(super) fn on(disk: MemoryDisk, dice: StdRng, settings: Settings) -> Self {
        let director = Arc::new(Director::default());
        disk.follow(director.clone());
        Self {
            disk,
            director,
            dice,
            mode: settings.mode,
            settings,
            is_steady: false,
            crowd: None,
            ledger: None,
            story: Story::default(),
            tally: Tally::default(),
        }
    }

    async fn run(&mut self) -> Played {
        if self.dice.random_ratio(1, 10) {
            self.strike();
        }
        self.open(Loss::Nothing).await?;
        for _ in 0..STEPS {
            self.step().await?;
            tokio::task::yield_now().await;
        }
        self.calm();
        self.settle().await?;
        self.close_and_open().await?;
        self.end(true).await
    }

    async fn step(&mut self) -> Played {
        match self.dice.random_range(0..100) {
            0..4 => self.strike(),
            4..6 => return self.checkpoint().await,
            6 => return self.close_and_open().await,
            7 => {
                let has_power = self.dice.random();
                return self.end(has_power).await;
            }
            8 => self.fill(),
            9..12 => {
                self.calm();
                return self.settle().await;
            }
            12 => {
                let gone = self.with(Crowd::disconnect);
                return self.judge(gone).await;
            }
            _ => {
                let acted = self.with(|crowd| {
                    (0..ACTIONS).for_each(|_| crowd.act());
                    crowd.take_violation()
                });
                return self.judge(acted).await;
            }
        }
        Ok(())
    }

    /// What is done with the crowd; None if the process has ended meanwhile.
    pub(super) fn with<T>(&mut self, action: impl FnOnce(&mut Crowd) -> T) -> Option<T> {
        let crowd = self.crowd.clone().expect("there is a process");
        alive(&self.disk, || action(&mut crowd.lock()))
    }

    /// Goes on after something was done, with another process if that one has ended.
    pub(super) async fn judge(&mut self, done: Option<Result<(), String>>) -> Played {
        match done {
            Some(result) => {
                self.look_at_strikes(false)?;
                Ok(result?)
            }
            None => self.ended().await,
        }
    }

    pub(super) fn strike(&mut self) {
        let strike = Strike::random(&mut self.dice);
        self.story.add(format!("PLAN {strike:?}"));
        self.director.plan(strike);
    }

    /// The disk is nearly full.
    fn fill(&mut self) {
        let room = self.dice.random_range(0..2000);
        self.disk.set_capacity(Some(self.disk.used() + room));
        self.director.set_full(true);
        self.story.add(format!("ROOM for {room}"));
    }

    /// The disk is well and has room.
    pub(super) fn calm(&mut self) {
        if let Some(crowd) = &self.crowd {
            crowd.lock().catch_up();
        }
        self.director.calm();
        self.director.set_full(false);
        self.disk.set_capacity(None);
        self.story.add("CALM".to_owned());
    }

    /// Everything is answered, a write succeeds, and the files hold what the database holds.
    pub(super) async fn settle(&mut self) -> Played {
        let settled = self.with(Crowd::settle);
        self.judge(settled).await?;
        let asked = self.with(Crowd::probe);
        self.judge(asked).await?;
        self.verify(Loss::Process)?;
        if self.dice.random() { self.verify(Loss::Power) } else { Ok(()) }
    }

    /// Recovers the files as they are now, beside the process.
    fn verify(&mut self, loss: Loss) -> Played {
        let disk = self.disk.fork();
        if loss == Loss::Power {
            disk.power_fails(&mut |count| self.dice.random_range(0..count));
        }
        let (_, instance) = match open_instance(&disk, self.settings) {
            Ok(opened) => opened,
            Err(NoNode::Refused(error)) if self.may_have_gap(&error, loss) => return Ok(()),
            Err(no_node) => return Err(self.refused(&no_node, loss)),
        };
        check_indexes(&instance.read())?;
        let dump = Dump::of(&instance.read());
        let crowd = self.crowd.as_ref().expect("there is a process").lock();
        crowd.ledger.check(&dump, loss)?;
        Ok(())
    }

    /// Without power the end of a file may be lost and the next file not, if neither was said to be durable. Then the server
    /// refuses to start, and nothing more can be said. It refuses a journal without a meta too, which mode fsync never leaves.
    pub(super) fn may_have_gap(&mut self, error: &StartError, loss: Loss) -> bool {
        let StartError::Files(error) = error else { return false };
        let is_without_meta = matches!(error, wal::Error::Damaged { damage: Damage::MetaEnds, .. });
        let is_gap = matches!(error, wal::Error::Gap { .. } | wal::Error::RowsMissing { .. });
        let promises = |ledger: &Ledger| (ledger.owes_power(), ledger.mode() == Mode::Fsync);
        let (owes_rows, owes_metas) = match (&self.ledger, &self.crowd) {
            (Some(ledger), _) => promises(ledger),
            (None, Some(crowd)) => promises(&crowd.lock().ledger),
            (None, None) => (true, true),
        };
        let is_owed = owes_rows && (owes_metas || !is_without_meta);
        let is_allowed = loss == Loss::Power && !is_owed && (is_gap || is_without_meta);
        self.tally.gaps += u64::from(is_allowed);
        is_allowed
    }

    pub(super) fn refused(&self, no_node: &NoNode, loss: Loss) -> Stop {
        let files = self.disk.paths();
        Stop::Violation(match no_node {
            NoNode::Ended => format!("it ends while it starts after {loss:?}"),
            NoNode::Refused(error) => {
                format!("it does not start after {loss:?}: {error}\n{files:?}")
            }
        })
    }

    pub(super) async fn checkpoint(&mut self) -> Played {
        self.story.add("CHECKPOINT".to_owned());
        let crowd = self.crowd.clone().expect("there is a process");
        let (instance, ticket) = {
            let mut crowd = crowd.lock();
            crowd.catch_up();
            (crowd.node.instance().clone(), crowd.ledger.newest())
        };
        let others = Arc::downgrade(&crowd);
        self.director.set_aside(Some(Arc::new(move || {
            if let Some(crowd) = others.upgrade() {
                crowd.lock().act();
            }
        })));
        let written = alive(&self.disk, || instance.checkpoint());
        self.director.set_aside(None);
        drop((instance, crowd));
        let Some(written) = written else { return self.ended().await };
        let may_fail = self.director.may_fail();
        let checked = self.with(|crowd| {
            crowd.take_violation()?;
            crowd.story.add(format!("CHECKPOINT -> {:?}", written.as_ref().map(|_| ())));
            match written {
                Ok(_) => crowd.ledger.snapshot(ticket),
                Err(_) if may_fail => {}
                Err(error) => return Err(format!("no checkpoint: {error}")),
            }
            crowd.observe("the checkpoint")
        });
        self.tally.checkpoints += 1;
        self.judge(checked).await
    }
}
