//! Huge pages below what lives long.
//!
//! A request for a random key waits for memory, and with pages of 4 KiB most of that is finding out where the memory is: a
//! database of a few megabytes needs more translations than a core remembers. Asking for huge pages beforehand makes the
//! thread that touches one first clear all of it. So memory is filled as ever, and a thread of its own then has the system
//! move what is full into huge pages, a few milliseconds in every second, until nothing is left to move. Figures:
//! docs/decisions/0015-huge-pages.md.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of a huge page, and what its address is a multiple of.
const HUGE_BYTES: usize = 2 << 20;
/// Bytes of a page; where they are others, nothing is done.
const PAGE_BYTES: usize = 4 << 10;
/// Pages that a huge page replaces.
const PAGES: usize = HUGE_BYTES / PAGE_BYTES;
/// Pages that must be there: the others are added, as memory that nobody uses.
const PAGES_MIN: usize = PAGES / 16 * 15;
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Attempts at one address, while the system says that it may succeed the next time.
const ATTEMPTS_MAX: usize = 3;
/// Time that one look may take.
const LOOK_MAX: Duration = Duration::from_millis(50);
/// By how much the process's memory must change for what is done to be looked at again.
const CHANGE_BYTES: usize = 4 * HUGE_BYTES;
/// How long what was moved counts as such: memory may be let go of and be filled again with small pages between two looks.
const MOVED_FOR: Duration = Duration::from_secs(600);
/// Bytes of an entry of `/proc/self/pagemap`, and the bits of it that say that its page is in memory.
const ENTRY_BYTES: usize = 8;
const PRESENT: u64 = 1 << 63;

/// The thread that moves memory into huge pages, until this is dropped.
pub struct HugePages {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HugePages {
    /// Starts it. Where the system does not allow huge pages or does not tell what is in memory there is nothing to do.
    pub fn start() -> Self {
        let (stop, stopped) = mpsc::channel();
        let mover = match Mover::new() {
            Ok(mover) => mover,
            Err(error) => {
                tracing::debug!("no huge pages: {error}");
                return Self { stop: None, thread: None };
            }
        };
        let run = move || {
            if let Err(error) = run(mover, &stopped) {
                tracing::debug!("no more huge pages: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("huge-pages".into()).spawn(run);
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(mut mover: Mover, stopped: &mpsc::Receiver<()>) -> io::Result<()> {
    let mut settled_at: Option<usize> = None;
    while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let resident = resident_bytes()?;
        if settled_at.is_some_and(|before| before.abs_diff(resident) < CHANGE_BYTES) {
            continue;
        }
        settled_at = mover.look(Instant::now() + LOOK_MAX)?.then_some(resident);
    }
    Ok(())
}

/// Moves the memory of this process.
struct Mover {
    pagemap: File,
    /// Addresses of what was moved and is full still.
    moved: HashSet<usize>,
    /// Since when they are gathered.
    moved_since: Instant,
    /// The address that the next look goes on at.
    next: usize,
}

impl Mover {
    fn new() -> io::Result<Self> {
        let policy = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")?;
        if policy.contains("[never]") || rustix::param::page_size() != PAGE_BYTES {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let pagemap = File::open("/proc/self/pagemap")?;
        Ok(Self { pagemap, moved: HashSet::new(), moved_since: Instant::now(), next: 0 })
    }

    /// Goes through memory from where it was left and moves what is full, until `deadline`. True if the end was reached and
    /// there is nothing more to do.
    fn look(&mut self, deadline: Instant) -> io::Result<bool> {
        if self.next == 0 && self.moved_since.elapsed() >= MOVED_FOR {
            self.moved.clear();
            self.moved_since = Instant::now();
        }
        for region in anonymous(&std::fs::read_to_string("/proc/self/maps")?) {
            let first = region.start.max(self.next).next_multiple_of(HUGE_BYTES);
            for address in (first..region.end).step_by(HUGE_BYTES) {
                if region.end - address < HUGE_BYTES {
                    break;
                }
                self.visit(address)?;
                if Instant::now() >= deadline {
                    self.next = address + HUGE_BYTES;
                    return Ok(false);
                }
            }
        }
        self.next = 0;
        Ok(true)
    }

    /// Moves what is at one address, if it is full and was not moved before.
    fn visit(&mut self, address: usize) -> io::Result<()> {
        let mut entries = [0; PAGES * ENTRY_BYTES];
        let offset = address / PAGE_BYTES * ENTRY_BYTES;
        self.pagemap.read_exact_at(&mut entries, offset as u64)?;
        let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
        let is_present = |entry: &&[u8; ENTRY_BYTES]| u64::from_ne_bytes(**entry) & PRESENT != 0;
        let present = entries.iter().filter(is_present).count();
        if present < PAGES_MIN {
            self.moved.remove(&address);
        } else if !self.moved.contains(&address) && is_moved(address) {
            self.moved.insert(address);
        }
        Ok(())
    }
}

/// Moves what is at one address. False if the system did not: it has no huge page left, or a part of the memory went away
/// or was in use just then. There is another look after the next change.
fn is_moved(address: usize) -> bool {
    (0..ATTEMPTS_MAX)
        .map(|_| lycosa_thin::collapse(address, HUGE_BYTES))
        .find(|done| !done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
        .is_some_and(|done| done.is_ok())
}

/// Where anonymous memory is that can be written, of the lines of `/proc/self/maps`.
fn anonymous(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let (range, flags) = (columns.next()?, columns.next()?);
        let (inode, name) = (columns.nth(2)?, columns.next());
        if !flags.starts_with("rw-p")
            || inode != "0"
            || name.is_some_and(|name| !name.starts_with("[anon"))
        {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        Some(address(start)?..address(end)?)
    })
}

/// Bytes of this process that are in memory.
fn resident_bytes() -> io::Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.map(|pages| pages * PAGE_BYTES).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_memory_is_found_among_the_maps() {
        let maps = "\
55d0a1000000-55d0a1200000 r--p 00000000 fe:00 1234                       /usr/bin/lycosa
55d0a2000000-55d0a2021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000400000 rw-p 00000000 00:00 0 
7f0000400000-7f0000800000 r--p 00000000 00:00 0 
7f0000800000-7f0000a00000 rw-p 00000000 00:00 0                          [anon:arena]
7f0000a00000-7f0000c00000 rw-p 00001000 fe:00 99                         /lib/libc.so.6
7f0000c00000-7f0000e00000 rw-s 00000000 00:01 7                          /dev/zero (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
";
        let found: Vec<_> = anonymous(maps).collect();
        let expected = [0x7f00_0000_0000..0x7f00_0040_0000, 0x7f00_0080_0000..0x7f00_00a0_0000];
        assert_eq!(found, expected);
    }

    /// Kilobytes in huge pages of the mapping that an address is in.
    fn huge_kilobytes(address: usize) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_inside = false;
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let word = words.next().unwrap();
            if let Some((start, end)) = word.split_once('-') {
                let bound = |text| usize::from_str_radix(text, 16).unwrap();
                is_inside = (bound(start)..bound(end)).contains(&address);
            } else if is_inside && word == "AnonHugePages:" {
                return words.next().unwrap().parse().unwrap();
            }
        }
        0
    }

    #[test]
    fn full_memory_is_moved_and_sparse_memory_is_not() {
        let Ok(mut mover) = Mover::new() else { return };
        // Each is long enough for a mapping of its own with huge pages in it wherever it begins.
        let full: Vec<u8> = (0..8 * HUGE_BYTES).map(|at| (at / PAGE_BYTES) as u8).collect();
        let mut sparse = vec![0u8; 8 * HUGE_BYTES];
        sparse.iter_mut().step_by(2 * PAGE_BYTES).for_each(|byte| *byte = 1);
        let address = full.as_ptr().addr() + 2 * HUGE_BYTES;
        // Those that lie in it from end to end.
        let moved = |mover: &Mover, of: &Vec<u8>| {
            let end = of.as_ptr().addr() + of.len();
            let range = of.as_ptr().addr()..=end - HUGE_BYTES;
            mover.moved.iter().filter(|address| range.contains(address)).count()
        };
        // A page that another processor still has on a list of its own is passed over.
        let look = |mover: &mut Mover| {
            while !mover.look(Instant::now() + LOOK_MAX).unwrap() {}
            moved(mover, &full) >= 6
        };
        assert!((0..100).any(|_| look(&mut mover)), "{} moved", moved(&mover, &full));
        assert!(huge_kilobytes(address) >= 6 * 2048, "{}", huge_kilobytes(address));
        assert!(full.iter().enumerate().all(|(at, byte)| *byte == (at / PAGE_BYTES) as u8));
        assert_eq!(moved(&mover, &sparse), 0);
    }

    #[test]
    fn the_thread_ends_when_it_is_dropped() {
        drop(HugePages::start());
    }
}
