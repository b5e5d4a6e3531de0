//! Pages of slots: the tuples of some slots, and for each bit which of them have it.
//!
//! ```text
//! Page     slots    s0 s1 ... s511            a tuple each, or the slot that is to be used after it
//!          columns  bit -> 512 bits           ascending by bit, none without a slot; bit N of the value of slot S at S
//! Pages    root -> blocks of 512 pages        all shared and copied when written
//! ```
//!
//! Source: Tarantool `src/lib/bitset/index.c`.

use triomphe::Arc;

use crate::db::memory::{AccountId, Charge, block_bytes};
use crate::db::tuple::Tuple;

/// Slots of a page.
pub(super) const PAGE_SLOTS: usize = 512;
/// Pages of a block.
const BLOCK_PAGES: usize = 512;
const WORD_BITS: usize = u64::BITS as usize;

/// A set of slots of one page.
pub(super) type Slots = [u64; PAGE_SLOTS / WORD_BITS];

/// No slot.
pub(super) const EMPTY: Slots = [0; PAGE_SLOTS / WORD_BITS];

/// A place for a tuple.
#[derive(Clone)]
pub(super) enum Slot {
    /// Taken.
    Tuple(Tuple),
    /// Free; the slot that was free before this one became free.
    Free(Option<u32>),
}

/// Which slots have a bit.
#[derive(Clone)]
struct Column {
    bit: u32,
    slots: Slots,
}

/// The slots of a page and their bits.
pub(super) struct Page {
    slots: Vec<Slot>,
    columns: Vec<Column>,
    taken: Slots,
    charge: Charge,
}

impl Clone for Page {
    fn clone(&self) -> Self {
        let mut page = Self {
            slots: self.slots.clone(),
            columns: self.columns.clone(),
            taken: self.taken,
            charge: self.charge.account().node(0),
        };
        page.charge();
        page
    }
}

fn flag(at: usize) -> (usize, u64) {
    (at / WORD_BITS, 1 << (at % WORD_BITS))
}

impl Page {
    /// A page without slots.
    fn new(account: AccountId) -> Self {
        let (slots, columns, charge) = (Vec::new(), Vec::new(), account.node(0));
        let mut page = Self { slots, columns, taken: EMPTY, charge };
        page.charge();
        page
    }

    /// Charges what the page takes now.
    fn charge(&mut self) {
        /// The reference count that stands before the page.
        const COUNT_BYTES: usize = size_of::<usize>();
        let vector = |bytes: usize| if bytes == 0 { 0 } else { block_bytes(bytes) };
        let bytes = block_bytes(COUNT_BYTES + size_of::<Self>())
            + vector(self.slots.capacity() * size_of::<Slot>())
            + vector(self.columns.capacity() * size_of::<Column>());
        if bytes != self.charge.bytes() {
            self.charge.set(bytes);
        }
    }

    /// The tuple of a slot, if it has one.
    pub(super) fn tuple(&self, at: usize) -> Option<&Tuple> {
        match self.slots.get(at) {
            Some(Slot::Tuple(tuple)) => Some(tuple),
            _ => None,
        }
    }

    /// The slots that have a tuple.
    pub(super) fn taken(&self) -> &Slots {
        &self.taken
    }

    /// The slots whose value has a bit; None if none has.
    pub(super) fn column(&self, bit: u32) -> Option<&Slots> {
        let at = self.columns.binary_search_by_key(&bit, |column| column.bit).ok()?;
        Some(&self.columns[at].slots)
    }

    /// The bits that any value has, each with its slots, ascending.
    pub(super) fn columns(&self) -> impl Iterator<Item = (u32, &Slots)> {
        self.columns.iter().map(|column| (column.bit, &column.slots))
    }

    /// Fills a slot: one that is free or the next after the last. Gives what was in it.
    fn fill(&mut self, at: usize, tuple: &Tuple, bits: impl Iterator<Item = u32>) -> Option<u32> {
        let (word, mask) = flag(at);
        self.taken[word] |= mask;
        let mut column = 0;
        let known = self.columns.len();
        for bit in bits {
            while column < known && self.columns[column].bit < bit {
                column += 1;
            }
            if column < known && self.columns[column].bit == bit {
                self.columns[column].slots[word] |= mask;
            } else {
                let mut slots = EMPTY;
                slots[word] = mask;
                self.columns.push(Column { bit, slots });
            }
        }
        if self.columns.len() > known {
            // Two ascending runs.
            self.columns.sort_by_key(|column| column.bit);
        }
        if at == self.slots.len() {
            self.slots.push(Slot::Tuple(tuple.clone()));
            return None;
        }
        match std::mem::replace(&mut self.slots[at], Slot::Tuple(tuple.clone())) {
            Slot::Free(next) => next,
            Slot::Tuple(_) => unreachable!("only free slots are filled"),
        }
    }

    fn free(&mut self, at: usize, next: Option<u32>, bits: impl Iterator<Item = u32>) {
        let (word, mask) = flag(at);
        self.taken[word] &= !mask;
        let (mut column, mut has_emptied) = (0, false);
        for bit in bits {
            while self.columns[column].bit < bit {
                column += 1;
            }
            let slots = &mut self.columns[column].slots;
            slots[word] &= !mask;
            has_emptied |= *slots == EMPTY;
        }
        if has_emptied {
            self.columns.retain(|column| column.slots != EMPTY);
        }
        self.slots[at] = Slot::Free(next);
    }
}

/// The pages of an index. A clone is a read view.
#[derive(Clone)]
pub(super) struct Pages {
    blocks: Arc<Vec<Arc<Vec<Arc<Page>>>>>,
    /// Slots that were ever used.
    used: u32,
    /// The slot that became free last.
    free: Option<u32>,
    /// What pages are charged to.
    account: AccountId,
}

impl Pages {
    pub(super) fn new(account: AccountId) -> Self {
        Self { blocks: Arc::default(), used: 0, free: None, account }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.account);
    }

    /// Bytes of memory of all pages.
    pub(super) fn bsize(&self) -> usize {
        let pages = self.blocks.iter().flat_map(|block| block.iter());
        pages.map(|page| page.charge.bytes()).sum()
    }

    /// A page; None beyond the last.
    pub(super) fn page(&self, no: usize) -> Option<&Page> {
        let block = self.blocks.get(no / BLOCK_PAGES)?;
        block.get(no % BLOCK_PAGES).map(|page| &**page)
    }

    fn page_mut(&mut self, no: usize) -> &mut Page {
        let blocks = Arc::make_mut(&mut self.blocks);
        if no / BLOCK_PAGES == blocks.len() {
            blocks.push(Arc::new(Vec::new()));
        }
        let block = Arc::make_mut(&mut blocks[no / BLOCK_PAGES]);
        if no % BLOCK_PAGES == block.len() {
            block.push(Arc::new(Page::new(self.account)));
        }
        Arc::make_mut(&mut block[no % BLOCK_PAGES])
    }

    /// Puts a tuple whose value has these bits, ascending, into the slot that became free last or a new one. Gives the slot.
    pub(super) fn insert(&mut self, tuple: &Tuple, bits: impl Iterator<Item = u32>) -> u32 {
        let slot = self.free.unwrap_or(self.used);
        let at = slot as usize;
        let page = self.page_mut(at / PAGE_SLOTS);
        let next = page.fill(at % PAGE_SLOTS, tuple, bits);
        page.charge();
        if self.free.is_some() {
            self.free = next;
        } else {
            self.used += 1;
        }
        slot
    }

    /// Frees a slot whose value has these bits, ascending.
    pub(super) fn remove(&mut self, slot: u32, bits: impl Iterator<Item = u32>) {
        let (at, next) = (slot as usize, self.free);
        self.page_mut(at / PAGE_SLOTS).free(at % PAGE_SLOTS, next, bits);
        self.free = Some(slot);
    }
}
