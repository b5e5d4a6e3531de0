//! What the journal owes: which transactions were committed, what the database held after each, and which of them the
//! journal has said it has written.
//!
//! ```text
//! entries   base --- written --- written --- queued --- queued          after the process has ended
//!                                   '- kept     '--- in doubt ---'      the database holds what it held at one of the
//!           '- durable                                                  entries from kept (durable: without power) on
//! ```

use std::fmt::Write as _;

use super::dump::Dump;
use crate::db::Ticket;
use crate::instance::Instance;
use crate::wal::journal::Mode;

/// How the life of a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// In good order.
    Nothing,
    /// The process has ended; what the system had taken is there.
    Process,
    /// The power has failed.
    Power,
}

/// A transaction.
struct Entry {
    ticket: u64,
    /// What the database held after it; None if nobody looked before the next.
    seen: Option<Dump>,
    is_written: bool,
    /// Who did it.
    by: String,
}

/// The history of a database, from a state that is sure on.
pub(super) struct Ledger {
    mode: Mode,
    /// The first is the base.
    entries: Vec<Entry>,
    /// The newest ticket that was looked at.
    last_ticket: u64,
    /// Places in `entries` of what must survive the end of the process, and that of power.
    kept: usize,
    durable: usize,
}

impl Ledger {
    /// Begins with what a new database holds, which is durable.
    pub(super) fn new(mode: Mode, dump: Dump) -> Self {
        let base = Entry { ticket: 0, seen: Some(dump), is_written: true, by: "base".into() };
        Self { mode, entries: vec![base], last_ticket: 0, kept: 0, durable: 0 }
    }

    /// Looks at what has happened since the last time, `by` whom. True if something was refused. Unless it is thorough, it
    /// does not look for changes that nobody has committed.
    ///
    /// # Errors
    /// What must not have happened.
    pub(super) fn observe(
        &mut self,
        instance: &Instance,
        by: &str,
        is_thorough: bool,
    ) -> Result<bool, String> {
        let (journal, db) = (instance.journal(), instance.read());
        let settled = crate::db::journal::Journal::settled(journal);
        let is_refused =
            |ticket: u64| ticket <= settled.0 && journal.result(Ticket(ticket)).is_err();
        let refused = self.entries.iter().position(|entry| is_refused(entry.ticket));
        if let Some(first) = refused {
            if self.entries[first].is_written {
                return Err(format!("{} was written and then refused", self.entries[first].by));
            }
            if let Some(left) = self.entries[first..].iter().find(|entry| !is_refused(entry.ticket))
            {
                return Err(format!("{} outlived what it came after", left.by));
            }
            self.entries.truncate(first);
        }
        let newest = db.ticket().0;
        for ticket in self.last_ticket + 1..=newest {
            if !is_refused(ticket) {
                let by = by.to_owned();
                self.entries.push(Entry { ticket, seen: None, is_written: false, by });
            }
        }
        let is_quiet = refused.is_none() && newest == self.last_ticket;
        self.last_ticket = newest;
        for entry in &mut self.entries {
            entry.is_written |= entry.ticket <= settled.0;
        }
        if !is_quiet || is_thorough {
            let dump = Dump::of(&db);
            let last = self.entries.last_mut().expect("there is a base");
            let before = last.seen.get_or_insert_with(|| dump.clone());
            if let Some(difference) = before.difference(&dump) {
                let by = &last.by;
                return Err(format!("the database is not what it was after {by}:\n{difference}"));
            }
        }
        if self.mode != Mode::None {
            self.kept = self.entries.iter().rposition(|entry| entry.is_written).unwrap_or(0);
        }
        if self.mode == Mode::Fsync {
            self.durable = self.kept;
        }
        Ok(refused.is_some())
    }

    /// The mode of the process.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// True if everything that was acknowledged must survive a power failure.
    pub(super) fn owes_power(&self) -> bool {
        self.durable >= self.kept
    }

    /// Where the history is now.
    pub(super) fn newest(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.ticket)
    }

    /// A snapshot of what the database held after the transaction of this ticket is durable.
    pub(super) fn snapshot(&mut self, ticket: u64) {
        let place = self.entries.iter().rposition(|entry| entry.ticket == ticket);
        let place = place.expect("it was there when the snapshot began");
        (self.kept, self.durable) = (self.kept.max(place), self.durable.max(place));
    }

    /// The process has ended in good order.
    pub(super) fn close(&mut self) {
        if self.mode != Mode::None {
            (self.kept, self.durable) = (self.entries.len() - 1, self.entries.len() - 1);
        }
    }

    /// Compares what files hold with the history, which is left as it is.
    ///
    /// # Errors
    /// Why they may not.
    pub(super) fn check(&self, dump: &Dump, loss: Loss) -> Result<usize, String> {
        let floor = match loss {
            Loss::Nothing | Loss::Process => self.kept,
            Loss::Power => self.durable,
        };
        let is_same =
            |entry: &Entry| entry.seen.as_ref().is_some_and(|seen| seen.vclock == dump.vclock);
        let Some(place) = self.entries.iter().rposition(is_same).filter(|place| *place >= floor)
        else {
            let is_unseen = |entry: &&Entry| entry.seen.is_none();
            if self.entries[floor..].iter().any(|entry| is_unseen(&entry)) {
                return Ok(self.entries.len());
            }
            return Err(format!(
                "after {loss:?} it is at {}, no state from {floor} on\n{}",
                dump.vclock,
                self.text()
            ));
        };
        let seen = self.entries[place].seen.as_ref().expect("it was compared");
        match seen.difference(dump) {
            None => Ok(place),
            Some(difference) => {
                Err(format!("after {loss:?} entry {place} is another\n{difference}{}", self.text()))
            }
        }
    }

    /// Another process has recovered what its files hold: from here it goes on.
    ///
    /// # Errors
    /// Those of [`Ledger::check`].
    pub(super) fn recovered(&mut self, mode: Mode, dump: Dump, loss: Loss) -> Result<(), String> {
        let place = self.check(&dump, loss)?;
        let durable = match loss {
            Loss::Power => true,
            Loss::Nothing | Loss::Process => self.durable >= place || mode == Mode::Fsync,
        };
        self.mode = mode;
        self.entries.truncate(place);
        let base = Entry { ticket: 0, seen: Some(dump), is_written: true, by: "recovery".into() };
        self.entries.push(base);
        let place = self.entries.len() - 1;
        for entry in &mut self.entries {
            (entry.ticket, entry.is_written) = (0, true);
        }
        (self.last_ticket, self.kept) = (0, place);
        self.durable = if durable { place } else { self.durable.min(place) };
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let vclock = entry.seen.as_ref().map(|seen| seen.vclock.to_string());
            let is_kept = if place == self.kept { ", kept" } else { "" };
            let is_durable = if place == self.durable { ", durable" } else { "" };
            let _ = writeln!(
                text,
                "  {place}: ticket {} at {}, written: {}{is_kept}{is_durable}, by {}",
                entry.ticket,
                vclock.unwrap_or_default(),
                entry.is_written,
                entry.by
            );
        }
        text
    }
}
