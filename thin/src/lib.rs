//! Shared bytes behind one word, with as short a header as can be.
//!
//! ```text
//! offset  0       4       8          8 + size of the owner
//!         refs    len     owner      bytes ...
//!         u32     u32     O          len
//! ```
//!
//! This is what `triomphe::ThinArc<O, u8>` is, with 4 bytes for the reference count and 4 for the length where that has 8
//! for each: a tuple of 100 bytes then takes a block of 112 bytes and not of 128. It is a crate of its own since it is the
//! only place with `unsafe`.
//!
//! # Rules of access
//!
//! - A [`ThinBytes`] points to a block that [`ThinBytes::new`] allocated and filled whole. `refs` is the number of handles.
//! - Between `new` and the release of the last handle, nobody writes to the block but for `refs`, which is atomic: shared
//!   references to the bytes may be had by any number of threads.
//! - The handle that takes `refs` from 1 to 0 is the last: it alone frees the block. Each release orders what its thread did
//!   with the bytes before (Release), and the last one sees all of that (Acquire).
//! - `len` and with it the layout of the block never change.

//!
//! Advice about memory needs it too: [`give_back`] to the allocator, [`collapse`] to the system.

// One crate of the whole workspace needs it, for what is said above.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Who is told that bytes are gone.
pub trait Owner: Copy + Send + Sync {
    /// The last handle of `len` bytes is being dropped.
    fn released(self, len: usize);
}

/// What stands before the bytes.
#[repr(C)]
struct Head<O> {
    refs: AtomicU32,
    len: u32,
    owner: O,
}

/// Handles of one block, beyond which the process ends: another one could make the count pass its end.
const REFS_MAX: u32 = i32::MAX as u32;

/// Bytes that any number of handles share. A handle is one word, and not null.
pub struct ThinBytes<O: Owner>(NonNull<Head<O>>, PhantomData<Head<O>>);

// SAFETY: all that a handle gives is shared references to bytes that nobody writes, and an owner that may be shared and sent;
// the count is atomic. Whichever thread drops the last handle frees the block, as the global allocator allows.
unsafe impl<O: Owner> Send for ThinBytes<O> {}
// SAFETY: as above.
unsafe impl<O: Owner> Sync for ThinBytes<O> {}

impl<O: Owner> ThinBytes<O> {
    /// Bytes of a block before the data.
    pub const HEADER_BYTES: usize = size_of::<Head<O>>();

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(Self::HEADER_BYTES + len, align_of::<Head<O>>())
            .expect("a length of 32 bits is far from the end of memory")
    }

    /// A copy of `data`.
    ///
    /// # Panics
    /// If the data is longer than a length of 32 bits can say.
    pub fn new(data: &[u8], owner: O) -> Self {
        let len = u32::try_from(data.len()).expect("tuples are shorter than 4 GiB");
        let layout = Self::layout(data.len());
        // SAFETY: the layout is not of size zero: it has a head.
        let block = unsafe { alloc(layout) };
        let Some(head) = NonNull::new(block.cast::<Head<O>>()) else { handle_alloc_error(layout) };
        // SAFETY: the block is new, so nobody else has it; it is aligned for a head and as long as a head and the data, which
        // cannot overlap with it.
        unsafe {
            head.write(Head { refs: AtomicU32::new(1), len, owner });
            let bytes = block.add(Self::HEADER_BYTES);
            bytes.copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
        Self(head, PhantomData)
    }

    #[inline]
    fn head(&self) -> &Head<O> {
        // SAFETY: the block lives and was filled, since this handle is counted; of the head only `refs` changes, atomically.
        unsafe { self.0.as_ref() }
    }

    /// Who is told when the bytes are gone.
    pub fn owner(&self) -> O {
        self.head().owner
    }

    #[cold]
    #[inline(never)]
    fn abort_for_too_many() -> ! {
        std::process::abort()
    }
}

impl<O: Owner> Deref for ThinBytes<O> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let len = self.head().len as usize;
        // SAFETY: `len` bytes follow the head in the same block, written by `new` and by nobody since. The pointer is that of
        // the allocation, so it may reach all of it.
        unsafe {
            let bytes = self.0.as_ptr().cast::<u8>().add(Self::HEADER_BYTES);
            std::slice::from_raw_parts(bytes, len)
        }
    }
}

impl<O: Owner> Clone for ThinBytes<O> {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed: whoever has a handle already sees the bytes.
        if self.head().refs.fetch_add(1, Ordering::Relaxed) > REFS_MAX {
            Self::abort_for_too_many();
        }
        Self(self.0, PhantomData)
    }
}

impl<O: Owner> Drop for ThinBytes<O> {
    #[inline]
    fn drop(&mut self) {
        if self.head().refs.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        let (owner, len) = (self.owner(), self.head().len as usize);
        owner.released(len);
        // SAFETY: this was the last handle, so nobody else can reach the block; it was allocated with this layout. A head has
        // nothing to drop: the owner is `Copy`.
        unsafe { dealloc(self.0.as_ptr().cast::<u8>(), Self::layout(len)) };
    }
}

/// Gives the system what the allocator keeps of freed memory, which it does otherwise only when there is more to do.
///
/// For after a short time of great need, that of a start for example. Takes about 0.1 ms for each MB.
pub fn give_back() {
    // SAFETY: may be called by any thread at any time, and touches nothing that is allocated.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// Has the system move what is at these addresses of the process into huge pages; of `start` and `len` both are multiples of
/// their size. Nothing that the process reads or writes there is different after that.
///
/// # Errors
/// `EINVAL` if a page of the range cannot be: nothing is there, it is not anonymous memory, the system does not want to, or
/// does not know how (Linux before 6.1). `ENOMEM`, `EAGAIN` or `EBUSY` if it did not succeed this time.
pub fn collapse(start: usize, len: usize) -> std::io::Result<()> {
    let start = std::ptr::without_provenance_mut(start);
    // SAFETY: this advice changes how memory is mapped and not what is in it, whatever the addresses; the system checks them.
    match unsafe { libc::madvise(start, len, libc::MADV_COLLAPSE) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use proptest::prelude::*;

    use super::*;

    /// Counts what is released.
    #[derive(Clone, Copy)]
    struct Tally<'a>(&'a AtomicUsize);

    impl Owner for Tally<'_> {
        fn released(self, len: usize) {
            self.0.fetch_add(len, Ordering::Relaxed);
        }
    }

    fn released(tally: Tally<'_>) -> usize {
        tally.0.load(Ordering::Relaxed)
    }

    #[derive(Clone, Copy)]
    struct Number(#[expect(dead_code, reason = "makes the head as long as one of a tuple")] u32);

    impl Owner for Number {
        fn released(self, _: usize) {}
    }

    #[test]
    fn a_head_has_no_gaps() {
        assert_eq!(ThinBytes::<Number>::HEADER_BYTES, 12);
        assert_eq!(size_of::<Option<ThinBytes<Number>>>(), size_of::<usize>());
    }

    #[test]
    fn no_bytes_are_bytes_too() {
        let counter = AtomicUsize::new(0);
        let tally = Tally(&counter);
        let empty = ThinBytes::new(&[], tally);
        assert!(empty.is_empty());
        drop(empty.clone());
        drop(empty);
        assert_eq!(released(tally), 0);
    }

    #[test]
    fn threads_share_and_the_last_one_frees() {
        let counter = AtomicUsize::new(0);
        let tally = Tally(&counter);
        let bytes = ThinBytes::new(b"abc", tally);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let own = bytes.clone();
                scope.spawn(move || {
                    let copies: Vec<_> = (0..50).map(|_| own.clone()).collect();
                    assert!(copies.iter().all(|copy| &copy[..] == b"abc"));
                });
            }
        });
        assert_eq!(released(tally), 0);
        drop(bytes);
        assert_eq!(released(tally), 3);
    }

    fn data() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..40)
    }

    /// Miri takes its time.
    const CASES: u32 = if cfg!(miri) { 4 } else { 256 };

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(CASES)
        })]
        /// Against vectors: what each handle reads, and how many bytes are gone.
        #[test]
        fn handles_behave_as_shared_vectors(
            ops in prop::collection::vec((0u8..3, any::<usize>(), data()), 0..60),
        ) {
            let counter = AtomicUsize::new(0);
            let tally = Tally(&counter);
            let mut handles: Vec<(ThinBytes<Tally<'_>>, std::sync::Arc<Vec<u8>>)> = Vec::new();
            let mut gone = 0;
            for (op, at, data) in ops {
                match (op, at.checked_rem(handles.len())) {
                    (1, Some(at)) => handles.push(handles[at].clone()),
                    (2, Some(at)) => {
                        let (_, model) = handles.swap_remove(at);
                        gone += std::sync::Arc::try_unwrap(model).map_or(0, |data| data.len());
                    }
                    _ => handles.push((ThinBytes::new(&data, tally), std::sync::Arc::new(data))),
                }
                prop_assert!(handles.iter().all(|(bytes, model)| bytes[..] == model[..]));
                prop_assert_eq!(released(tally), gone);
            }
        }
    }
}
