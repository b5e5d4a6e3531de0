//! What a SELECT asks a BITSET, and the walk over its answer.
//!
//! Source: types-and-indexes.md §6.3; Tarantool `src/lib/bitset/index.c` tt_bitset_index_expr_*.

use lycosa_proto::iproto::Iterator as Kind;

use super::page::{EMPTY, PAGE_SLOTS, Page, Pages, Slots};
use crate::db::tuple::Tuple;

/// The bits of a value that are set, ascending: bit 0 of byte 0 first.
pub(super) fn set_bits(value: &[u8]) -> impl Iterator<Item = u32> {
    let bytes = value.iter().enumerate().filter(|(_, byte)| **byte != 0);
    bytes.flat_map(|(at, byte)| {
        let set = (0..8).filter(move |bit| byte & (1 << bit) != 0);
        set.map(move |bit| at as u32 * 8 + bit)
    })
}

/// A condition on the bits of values.
struct Query {
    kind: Kind,
    /// The bits of the key that are set, ascending.
    bits: Vec<u32>,
    /// Bits of the key. EQ says nothing about those beyond it.
    length: u32,
}

impl Query {
    /// The slots of a page that meet the condition.
    fn matches(&self, page: &Page) -> Slots {
        match self.kind {
            Kind::Eq => {
                let mut found = self.with_all(page);
                let others = page.columns().take_while(|(bit, _)| *bit < self.length);
                for (bit, slots) in others {
                    if self.bits.binary_search(&bit).is_err() {
                        subtract(&mut found, slots);
                    }
                }
                found
            }
            // Without a bit that is asked for nothing is found.
            Kind::BitsAllSet if self.bits.is_empty() => EMPTY,
            Kind::BitsAllSet => self.with_all(page),
            Kind::BitsAnySet => {
                let mut found = EMPTY;
                for slots in self.bits.iter().filter_map(|bit| page.column(*bit)) {
                    found.iter_mut().zip(slots).for_each(|(found, slots)| *found |= slots);
                }
                found
            }
            Kind::BitsAllNotSet => {
                let mut found = *page.taken();
                for slots in self.bits.iter().filter_map(|bit| page.column(*bit)) {
                    subtract(&mut found, slots);
                }
                found
            }
            _ => *page.taken(),
        }
    }

    /// The slots that have every bit of the key.
    fn with_all(&self, page: &Page) -> Slots {
        let mut found = *page.taken();
        for bit in &self.bits {
            let Some(slots) = page.column(*bit) else { return EMPTY };
            found.iter_mut().zip(slots).for_each(|(found, slots)| *found &= slots);
        }
        found
    }
}

fn subtract(from: &mut Slots, slots: &Slots) {
    from.iter_mut().zip(slots).for_each(|(from, slots)| *from &= !slots);
}

/// A walk over the tuples of a SELECT, ascending by slot.
pub struct Walk<'a> {
    pages: &'a Pages,
    query: Query,
    /// The page that comes after this one.
    next_page: usize,
    page: Option<&'a Page>,
    /// Slots of the page that are still to be given.
    found: Slots,
}

impl<'a> Walk<'a> {
    /// A walk over what an iterator and the value of a key select.
    pub(super) fn new(pages: &'a Pages, kind: Kind, key: &[u8]) -> Self {
        let query = Query { kind, bits: set_bits(key).collect(), length: key.len() as u32 * 8 };
        Self { pages, query, next_page: 0, page: None, found: EMPTY }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Tuple;

    fn next(&mut self) -> Option<&'a Tuple> {
        loop {
            if let Some(word) = self.found.iter().position(|word| *word != 0) {
                let bit = self.found[word].trailing_zeros() as usize;
                self.found[word] &= self.found[word] - 1;
                return self.page?.tuple(word * (PAGE_SLOTS / self.found.len()) + bit);
            }
            let page = self.pages.page(self.next_page)?;
            (self.page, self.found) = (Some(page), self.query.matches(page));
            self.next_page += 1;
        }
    }
}
