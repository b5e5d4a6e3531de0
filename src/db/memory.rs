//! What the tuples and index nodes of a database take, and the limit for it (`memtx.memory`).
//!
//! A tuple knows the account of its database, and a node of an index holds a [`Charge`]: making either adds to the account,
//! dropping it takes that back. So a tuple or node counts for exactly as long as it lives, whoever holds it last: an index,
//! a read view, what undoes a change that is not settled, an open transaction, a build beside the database. Nothing else is
//! kept in step.
//!
//! Counted are blocks as the allocator has them ([`block_bytes`]), since these are what the process grows by. Threads only
//! add to and subtract from counters; readers see each counter by itself. The limit is asked for in one place,
//! [`AccountId::admit`]; what gives memory back never asks, so it works when there is no room.
//!
//! Why accounts are numbers in a table of the process: docs/decisions/0012-memory.md.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lycosa_proto::err;
use lycosa_proto::error::Result;

/// Accounts of a process. What belongs to further ones is counted together and has no limit.
const ACCOUNTS_MAX: usize = 1024;
/// How many times its limit a database may take while it is recovered: an end below the limit may have a middle above it.
const RECOVERY_FACTOR: usize = 2;

/// What one database takes, bytes.
#[repr(align(64))]
struct Entry {
    /// A database has it.
    is_open: AtomicBool,
    /// Tuples.
    data: AtomicUsize,
    /// Nodes and pages of indexes.
    index: AtomicUsize,
    /// The limit for both together.
    max: AtomicUsize,
}

static ACCOUNTS: [Entry; ACCOUNTS_MAX] = [const {
    Entry {
        is_open: AtomicBool::new(false),
        data: AtomicUsize::new(0),
        index: AtomicUsize::new(0),
        max: AtomicUsize::new(usize::MAX),
    }
}; ACCOUNTS_MAX];

/// Bytes of the block that holds `size` bytes: the size classes of mimalloc, four to each doubling.
///
/// Source: mimalloc `src/page-queue.c` mi_bin, `src/page.c` mi_large_huge_page_alloc.
pub const fn block_bytes(size: usize) -> usize {
    const WORD: usize = size_of::<usize>();
    /// The longest block of a page of equal ones.
    const CLASSES_END: usize = 128 << 10;
    /// What longer ones are made of.
    const SLICE: usize = 64 << 10;
    if size > CLASSES_END {
        return size.next_multiple_of(SLICE);
    }
    let words = size.div_ceil(WORD);
    let step = match words {
        0 | 1 => return WORD,
        2..=8 => 2,
        _ => 1 << ((words - 1).ilog2() - 2),
    };
    words.next_multiple_of(step) * WORD
}

/// The account of a database, which owns it. What is charged to it may outlive it.
#[derive(Debug)]
pub struct Account(AccountId);

impl Account {
    /// An account with nothing in it and no limit.
    pub(super) fn open() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let first = NEXT.fetch_add(1, Ordering::Relaxed);
        let numbers = (first..first + ACCOUNTS_MAX).map(|no| AccountId((no % ACCOUNTS_MAX) as u32));
        let found = numbers.filter(|id| *id != AccountId::NOBODY).find(|id| {
            let entry = id.entry();
            // Acquire and Release order what two owners of an entry do with its limit.
            !entry.is_open.swap(true, Ordering::Acquire) && {
                let is_free = id.used() == 0;
                entry.is_open.store(is_free, Ordering::Release);
                is_free
            }
        });
        let account = Self(found.unwrap_or(AccountId::NOBODY));
        account.set_max(usize::MAX);
        account
    }

    /// What things are charged to.
    #[inline]
    pub fn id(&self) -> AccountId {
        self.0
    }

    /// Bytes of tuples.
    pub fn data_bytes(&self) -> usize {
        self.0.entry().data.load(Ordering::Relaxed)
    }

    /// Bytes of nodes and pages of indexes.
    pub fn index_bytes(&self) -> usize {
        self.0.entry().index.load(Ordering::Relaxed)
    }

    /// Bytes of tuples, nodes and pages.
    pub fn used(&self) -> usize {
        self.0.used()
    }

    /// The limit for [`Self::used`], bytes.
    pub fn max(&self) -> usize {
        self.0.entry().max.load(Ordering::Relaxed)
    }

    /// True if a transaction could come to the limit that puts one tuple of `tuple_bytes` and some smaller ones.
    #[inline]
    pub(super) fn is_nearly_full(&self, tuple_bytes: usize) -> bool {
        let max = self.max();
        self.used().saturating_add(tuple_bytes) > max - max / 8
    }

    /// Changes the limit. What is there already stays.
    pub fn set_max(&self, bytes: usize) {
        if self.0 != AccountId::NOBODY {
            self.0.entry().max.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.0 != AccountId::NOBODY {
            self.0.entry().is_open.store(false, Ordering::Release);
        }
    }
}

/// Who admits something: see [`AccountId::admit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// As much as the limit says.
    Limited,
    /// Twice that for now: rows of a file are applied.
    Recovery,
}

/// What things are charged to: the number of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountId(u32);

impl AccountId {
    /// No database: tuples and indexes that are made to look something up.
    pub const NOBODY: Self = Self(0);

    #[inline]
    fn entry(self) -> &'static Entry {
        &ACCOUNTS[self.0 as usize % ACCOUNTS_MAX]
    }

    #[inline]
    fn used(self) -> usize {
        let entry = self.entry();
        entry.data.load(Ordering::Relaxed) + entry.index.load(Ordering::Relaxed)
    }

    /// Charges the block of a tuple, for as long as the tuple lives.
    #[inline]
    pub fn add_tuple(self, bytes: usize) {
        self.entry().data.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes the block of a tuple that is gone back.
    #[inline]
    pub fn remove_tuple(self, bytes: usize) {
        self.entry().data.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A charge for a node or a page of an index.
    #[inline]
    pub fn node(self, bytes: usize) -> Charge {
        let charge = Charge { account: self, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) };
        self.entry().index.fetch_add(charge.bytes(), Ordering::Relaxed);
        charge
    }

    /// Checks that what is charged by now may stay; `bytes`, `allocator` and `object` are what the error names.
    ///
    /// # Errors
    /// MEMORY_ISSUE.
    ///
    /// Source: Tarantool `src/box/memtx_engine.cc` memtx_tuple_new_raw_impl, memtx_index_extent_alloc.
    #[inline]
    pub fn admit(self, room: Room, bytes: usize, allocator: &str, object: &str) -> Result<()> {
        let max = self.entry().max.load(Ordering::Relaxed);
        let max = match room {
            Room::Limited => max,
            Room::Recovery => max.saturating_mul(RECOVERY_FACTOR),
        };
        match self.used() <= max {
            true => Ok(()),
            false => Err(err!(MEMORY_ISSUE, bytes, allocator, object)),
        }
    }
}

/// Bytes of an account that a node takes for as long as it holds this. A clone takes as many once more.
#[derive(Debug)]
pub struct Charge {
    account: AccountId,
    bytes: u32,
}

impl Charge {
    /// The account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Takes as many bytes as this from now on.
    pub fn set(&mut self, bytes: usize) {
        *self = self.account.node(bytes);
    }
}

impl Clone for Charge {
    fn clone(&self) -> Self {
        self.account.node(self.bytes())
    }
}

impl Drop for Charge {
    #[inline]
    fn drop(&mut self) {
        self.account.entry().index.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_allocator() {
        let cases = [
            (0, 8),
            (8, 8),
            (9, 16),
            (17, 32),
            (64, 64),
            (65, 80),
            (113, 128),
            (129, 160),
            (1024, 1024),
            (1025, 1280),
            (100_000, 114_688),
            (131_072, 131_072),
            (131_073, 196_608),
        ];
        for (size, block) in cases {
            assert_eq!(block_bytes(size), block, "{size}");
        }
    }

    #[test]
    fn charges_come_and_go_with_what_holds_them() {
        let account = Account::open();
        account.id().add_tuple(7);
        let mut charge = account.id().node(100);
        assert_eq!((account.data_bytes(), account.index_bytes()), (7, 100));
        charge.set(40);
        let other = charge.clone();
        assert_eq!((account.index_bytes(), charge.account()), (80, account.id()));
        drop((charge, other));
        account.id().remove_tuple(7);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn an_account_is_not_given_away_while_something_is_charged_to_it() {
        let account = Account::open();
        let (id, charge) = (account.id(), account.id().node(1));
        drop(account);
        let others: Vec<Account> = (0..ACCOUNTS_MAX).map(|_| Account::open()).collect();
        assert!(others.iter().all(|other| other.id() != id));
        assert!(others.iter().filter(|other| other.id() == AccountId::NOBODY).count() >= 2);
        drop((others, charge));
    }

    #[test]
    fn what_exceeds_the_limit_is_refused() {
        let account = Account::open();
        account.set_max(100);
        let admit = |room| account.id().admit(room, 50, "slab allocator", "memtx_tuple");
        let charge = account.id().node(100);
        assert!(admit(Room::Limited).is_ok());
        let more = account.id().node(50);
        let error = admit(Room::Limited).expect_err("no room");
        let text = "Failed to allocate 50 bytes in slab allocator for memtx_tuple";
        assert_eq!(error.to_string(), text);
        assert!(admit(Room::Recovery).is_ok());
        drop((charge, more));
        assert!(admit(Room::Limited).is_ok());
    }
}
