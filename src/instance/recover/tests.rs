//! What a start does to the files that it finds.

use std::sync::Arc;

use rustix::io::Errno;

use crate::config::{Config, WalMode};
use crate::instance::Instance;
use crate::wal::disk::faults::{MemoryDisk, Op};
use crate::wal::xlog::{Blocks, END_MARKER};

/// More than there are changes that may be lost.
const CHANGES_MAX: usize = 8;

#[test]
fn a_snapshot_that_is_found_is_durable_before_it_is_built_on() {
    for mode in [WalMode::None, WalMode::Write, WalMode::Fsync] {
        let disk = MemoryDisk::new();
        let mut config = Config::default();
        (config.wal.dir, config.snapshot.dir) = ("w".into(), "s".into());
        config.wal.mode = mode;
        let open = |disk: &MemoryDisk| Instance::open(&config, Arc::new(disk.clone()));
        // The name of the first snapshot is there and not durable.
        disk.fail(Op::SyncDir, 1, Errno::ACCESS);
        open(&disk).map(drop).expect_err("no start");
        disk.heal();
        let uuid = open(&disk).expect("a start").uuid();
        for kept in 0..CHANGES_MAX {
            let disk = disk.fork();
            disk.power_fails(&mut |count| kept.min(count - 1));
            assert_eq!(open(&disk).expect("a start").uuid(), uuid, "{mode:?} {kept}");
        }
    }
}

/// What is no time, for example, would be a tuple that nothing can read.
#[test]
fn a_row_with_a_broken_extension_is_refused() {
    // INSERT into _schema: ["x", a datetime of 4 bytes]; its LSN and time do not count in a snapshot.
    let row = b"\x83\x00\x02\x02\x01\x03\x01\x82\x10\xcd\x01\x10\x21\x92\xa1x\xd6\x04\0\0\0\0";
    let disk = MemoryDisk::new();
    let mut config = Config::default();
    (config.wal.dir, config.snapshot.dir) = ("d".into(), "d".into());
    let open = || Instance::open(&config, Arc::new(disk.clone())).map(drop);
    open().expect("a fresh instance");
    let snapshot = "d/00000000000000000000.snap";
    let whole = disk.get(snapshot).expect("a snapshot");
    let mut blocks = Blocks::default();
    blocks.push(row);
    let begin = whole.strip_suffix(&END_MARKER).expect("an end");
    disk.put(snapshot, &[begin, blocks.seal(), &END_MARKER].concat());
    let refusal = open().expect_err("no start").to_string();
    for part in [snapshot, &format!("offset {}", begin.len()), "cannot unpack datetime"] {
        assert!(refusal.contains(part), "{refusal}");
    }
}
