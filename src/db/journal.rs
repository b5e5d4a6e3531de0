//! What the engine asks of a journal.
//!
//! Under the write lock a transaction gets its LSNs, and its rows join the journal's queue in commit order. What becomes of
//! them is the journal's business: it makes them durable outside the lock, in the same order, or calls for a rollback.

use arrayvec::ArrayVec;

/// The number of a committed transaction since the process started: 1, 2, 3, ... It is never given again, LSNs may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The ticket of a transaction that has nothing to wait for: it never fails.
    pub const SETTLED: Self = Self(0);
}

/// Replicas that a vclock can name, 0 (local rows) included.
pub const VCLOCK_MAX: usize = 32;

/// The newest LSN of each originator, ascending by replica id; components that are zero are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vclock(ArrayVec<(u32, u64), VCLOCK_MAX>);

impl Vclock {
    /// The LSN of `replica_id`, 0 if it has none.
    pub fn get(&self, replica_id: u32) -> u64 {
        self.0.iter().find(|(id, _)| *id == replica_id).map_or(0, |(_, lsn)| *lsn)
    }

    /// Sets the LSN of `replica_id`. Ids of 32 and above are ignored.
    pub fn set(&mut self, replica_id: u32, lsn: u64) {
        match self.0.binary_search_by_key(&replica_id, |(id, _)| *id) {
            // A rollback may lead back to before the first.
            Ok(at) if lsn == 0 => {
                self.0.remove(at);
            }
            Ok(at) => self.0[at].1 = lsn,
            Err(at) if lsn != 0 && (replica_id as usize) < VCLOCK_MAX => {
                self.0.insert(at, (replica_id, lsn));
            }
            Err(_) => {}
        }
    }

    /// The sum of all components, which names files.
    pub fn signature(&self) -> u64 {
        self.0.iter().map(|(_, lsn)| lsn).sum()
    }

    /// The components, ascending by replica id.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl std::fmt::Display for Vclock {
    /// As files have it: `{1: 10, 2: 3}`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (place, (id, lsn)) in self.iter().enumerate() {
            write!(f, "{}{id}: {lsn}", if place == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

/// Where committed transactions go.
pub trait Journal: Send + Sync {
    /// Takes the rows of one transaction, encoded as in a file. Called under the write lock, in commit order; must not block
    /// and must not call the database. `vclock` is the vclock after the transaction.
    fn append(&self, ticket: Ticket, rows: &[u8], vclock: &Vclock);

    /// The newest ticket whose fate is known: it is durable, or it was rolled back.
    fn settled(&self) -> Ticket;
}

/// Who can take back transactions that a journal could not write.
pub trait RollBack: Send + Sync {
    /// Rolls back every transaction from `from` on, newest first, and restores the vclock from before `from`. While new
    /// commits are still held off, calls `forget` with the newest ticket rolled back, so that the journal empties its queue.
    fn roll_back(&self, from: Ticket, forget: &mut dyn FnMut(Ticket));
}
