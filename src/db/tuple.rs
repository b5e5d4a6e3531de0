//! A tuple: MsgPack as the client sent it, shared behind one word.
//!
//! Nothing outside this file knows the layout. It is a [`ThinBytes`]: reference count, length, the account of the database
//! and the bytes in one allocation, so an index entry is a hint and one pointer. Fields are found by walking; which fields are
//! walked often, and whether offsets would pay, is docs/decisions/0002-tuple-layout.md.

use lycosa_proto::msgpack;
use lycosa_thin::{Owner, ThinBytes};

use super::memory::{AccountId, block_bytes};

/// The account of the database that a tuple is of.
#[derive(Clone, Copy)]
struct Charged(AccountId);

impl Owner for Charged {
    #[inline]
    fn released(self, len: usize) {
        self.0.remove_tuple(Tuple::block_bytes(len));
    }
}

/// A MsgPack array, well-formed for as long as it lives.
#[derive(Clone)]
pub struct Tuple(ThinBytes<Charged>);

impl Tuple {
    /// Bytes before the data: the reference count, the length and the account.
    pub const HEADER_BYTES: usize = ThinBytes::<Charged>::HEADER_BYTES;

    /// Bytes of the block of a tuple with so many bytes of data.
    #[inline]
    const fn block_bytes(len: usize) -> usize {
        block_bytes(Self::HEADER_BYTES + len)
    }

    /// Copies `data`, one well-formed MsgPack array. The memory is charged to `account`.
    #[inline]
    pub fn new(data: &[u8], account: AccountId) -> Self {
        debug_assert!(msgpack::check_all(data).is_ok());
        account.add_tuple(Self::block_bytes(data.len()));
        Self(ThinBytes::new(data, Charged(account)))
    }

    /// A tuple to look something up with: charged to nobody.
    pub fn probe(data: &[u8]) -> Self {
        Self::new(data, AccountId::NOBODY)
    }

    /// The MsgPack.
    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.0
    }

    /// Bytes of memory that the tuple takes: the block with its data and what stands before it.
    pub fn memory(&self) -> usize {
        Self::block_bytes(self.data().len())
    }

    /// The number of fields.
    pub fn field_count(&self) -> u32 {
        msgpack::read_array(&mut self.data()).unwrap_or(0)
    }

    /// The bytes of a field, zero-based; None beyond the end.
    pub fn field(&self, field_no: u32) -> Option<&[u8]> {
        let mut at = self.fields().seek(field_no)?;
        msgpack::take(&mut at).ok()
    }

    /// A walk over the fields.
    #[inline]
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(self.data())
    }

    /// Where the tuple is in memory: no other has this address as long as this one lives.
    pub fn address(&self) -> u64 {
        self.data().as_ptr().addr() as u64
    }

    /// True if both are the same allocation.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.data(), other.data())
    }
}

impl std::fmt::Debug for Tuple {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", msgpack::Text(self.data()))
    }
}

/// A walk over the fields of an array that goes forward cheaply and starts over to go back.
#[derive(Clone)]
pub struct Fields<'a> {
    /// The first field.
    first: &'a [u8],
    /// The field `next`.
    rest: &'a [u8],
    next: u32,
    count: u32,
}

impl<'a> Fields<'a> {
    /// A walk over `array`, a well-formed MsgPack array.
    #[inline]
    pub fn new(array: &'a [u8]) -> Self {
        let mut rest = array;
        let count = msgpack::read_array(&mut rest).unwrap_or(0);
        Self { first: rest, rest, next: 0, count }
    }

    /// The number of fields.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The bytes from the beginning of a field on; None beyond the last.
    #[inline]
    pub fn seek(&mut self, field_no: u32) -> Option<&'a [u8]> {
        if field_no >= self.count {
            return None;
        }
        if field_no < self.next {
            (self.rest, self.next) = (self.first, 0);
        }
        while self.next < field_no {
            msgpack::skip(&mut self.rest).ok()?;
            self.next += 1;
        }
        Some(self.rest)
    }
}
