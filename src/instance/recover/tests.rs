//! What a start does to the files that it finds.

use std::sync::Arc;

use rustix::io::Errno;

use crate::config::{Config, WalMode};
use crate::instance::Instance;
use crate::wal::disk::faults::{MemoryDisk, Op};

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
