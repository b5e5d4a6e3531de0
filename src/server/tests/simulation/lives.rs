//! How processes begin and end.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::io::Errno;

use super::crowd::Crowd;
use super::director::Struck;
use super::dump::Dump;
use super::ledger::{Ledger, Loss};
use super::node::{NoNode, Node, Settings, open_instance};
use super::world::{Played, Stop, World};
use crate::wal::disk::faults::{Fate, Op};
use crate::wal::journal::Mode;

/// Attempts to start until it must have succeeded.
const STARTS_MAX: usize = 20;

impl World {
    pub(super) async fn close_and_open(&mut self) -> Played {
        self.close().await?;
        if self.crowd.is_none() {
            self.open(Loss::Nothing).await?;
        }
        Ok(())
    }

    /// The process ends in good order, if the disk lets it.
    async fn close(&mut self) -> Played {
        let settled = self.with(Crowd::settle);
        self.judge(settled).await?;
        self.story.add("CLOSE".to_owned());
        let closed = self.with(|crowd| {
            let closed = crowd.node.instance().close();
            crowd.observe("the end").map(|()| closed)
        });
        let Some(closed) = closed else { return self.ended().await };
        let may_fail = self.director.may_fail();
        self.look_at_strikes(false)?;
        match closed? {
            Ok(()) => {
                self.with(|crowd| crowd.ledger.close());
                self.leave();
                Ok(())
            }
            Err(_) if may_fail => {
                self.leave();
                self.open(Loss::Process).await
            }
            Err(error) => Err(Stop::Violation(format!("it does not close: {error}"))),
        }
    }

    /// The process is killed, or the power fails.
    pub(super) async fn end(&mut self, has_power: bool) -> Played {
        self.disk.detach();
        let loss = if has_power { Loss::Process } else { Loss::Power };
        self.gone(loss).await
    }

    /// The process has ended in the middle of something.
    pub(super) async fn ended(&mut self) -> Played {
        if let Some(crowd) = &self.crowd {
            crowd.lock().observe("the last action")?;
        }
        let is_aborted =
            self.crowd.as_ref().is_some_and(|crowd| crowd.lock().node.process.is_aborted());
        self.tally.aborts += u64::from(is_aborted);
        self.look_at_strikes(is_aborted)?;
        let loss = if self.dice.random() { Loss::Process } else { Loss::Power };
        self.gone(loss).await
    }

    /// Another process comes after one that is gone.
    async fn gone(&mut self, loss: Loss) -> Played {
        self.leave();
        self.tally.ends += 1;
        self.story.add(format!("END {loss:?}"));
        if loss == Loss::Power {
            self.tally.power_failures += 1;
            let dice = &mut self.dice;
            match dice.random_range(0..3) {
                0 => self.disk.crash(),
                _ => self.disk.power_fails(&mut |count| dice.random_range(0..count)),
            }
        }
        self.open(loss).await
    }

    /// Nobody uses the process any more.
    pub(super) fn leave(&mut self) {
        self.disk.detach();
        let Some(crowd) = self.crowd.take() else { return };
        let crowd = Arc::into_inner(crowd).expect("nobody else has it").into_inner();
        self.tally.acknowledged += crowd.acknowledged;
        self.tally.refused += crowd.refused;
        self.ledger = Some(crowd.ledger);
    }

    /// Starts a process, and another one for as long as something strikes them.
    pub(super) async fn open(&mut self, mut loss: Loss) -> Played {
        for _ in 0..STARTS_MAX {
            let no_node = match self.try_open(loss).await? {
                None => return Ok(()),
                Some(no_node) => no_node,
            };
            self.disk.detach();
            match &no_node {
                NoNode::Refused(error) if self.may_have_gap(error, loss) => return Err(Stop::Gap),
                NoNode::Refused(error) => {
                    self.story.add(format!("REFUSED {error}"));
                    if !self.director.may_fail() {
                        return Err(self.refused(&no_node, loss));
                    }
                    self.calm();
                }
                NoNode::Ended => self.story.add("END at the start".to_owned()),
            }
            self.look_at_strikes(false)?;
            if loss == Loss::Nothing {
                loss = Loss::Process;
            }
        }
        Err(Stop::Violation("it never starts".to_owned()))
    }

    /// Starts a process. Some if there is none.
    pub(super) async fn try_open(&mut self, loss: Loss) -> Result<Option<NoNode>, Stop> {
        if !self.is_steady && self.dice.random_ratio(1, 4) {
            let mode = match self.dice.random_range(0..12) {
                0 => Mode::None,
                1 => Mode::Write,
                2 => Mode::Fsync,
                _ => self.mode,
            };
            self.settings = Settings::random(&mut self.dice, mode);
        }
        self.disk = self.disk.attach();
        let (process, instance) = match open_instance(&self.disk, self.settings) {
            Ok(opened) => opened,
            Err(no_node) => return Ok(Some(no_node)),
        };
        let (mode, dump) = (self.settings.mode, Dump::of(&instance.read()));
        let ledger = match &mut self.ledger {
            Some(ledger) => {
                ledger.recovered(mode, dump, loss)?;
                ledger
            }
            none => none.insert(Ledger::new(mode, dump)),
        };
        let node = Node::start(&self.disk, process, instance.clone()).await;
        ledger.observe(&instance, "the start", true)?;
        match (node, self.ledger.take()) {
            (Ok(node), Some(ledger)) => {
                let dice = StdRng::seed_from_u64(self.dice.random());
                let crowd =
                    Crowd::new(node, ledger, self.director.clone(), self.story.clone(), dice);
                self.crowd = Some(Arc::new(Mutex::new(crowd)));
                self.story.add(format!("OPEN {:?}", self.settings));
                Ok(None)
            }
            (Err(no_node), ledger) => {
                self.ledger = ledger;
                Ok(Some(no_node))
            }
            (Ok(_), None) => unreachable!("there is a ledger"),
        }
    }

    /// Checks that the process has ended for what must end it, and for nothing else.
    pub(super) fn look_at_strikes(&mut self, is_aborted: bool) -> Played {
        let struck = self.director.take_struck();
        struck.iter().for_each(|struck| self.story.add(format!("STRUCK {struck:?}")));
        self.tally.strikes += struck.len() as u64;
        let failed = |op: Op, of: &str| {
            let of = |path: &Path| path.to_string_lossy().contains(of);
            // Somebody has removed the file: nothing is left to be trusted.
            let is_failure = |fate| matches!(fate, Fate::Fails(errno, _) if errno != Errno::NOENT);
            struck.iter().any(|it| it.op == op && of(&it.path) && is_failure(it.fate))
        };
        let must_not_fail = |it: &Struck| matches!(it.op, Op::Sync | Op::SyncDir | Op::Truncate);
        match is_aborted {
            true if !struck.iter().any(must_not_fail) => {
                Err(Stop::Violation(format!("the process ended itself for nothing: {struck:?}")))
            }
            // What a failed write has left is made durable as well as it can be, outside of mode fsync.
            false
                if failed(Op::Sync, ".xlog")
                    && !self.disk.is_detached()
                    && (self.settings.mode == Mode::Fsync
                        || !(failed(Op::Write, ".xlog") || self.director.is_full())) =>
            {
                Err(Stop::Violation("a journal that was not made durable is trusted".to_owned()))
            }
            _ => Ok(()),
        }
    }
}
