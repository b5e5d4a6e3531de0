//! What is left when the power fails.

use super::*;

/// More than there are changes that may be lost.
const CHANGES_MAX: usize = 8;

#[test]
fn what_was_refused_does_not_come_back() {
    for mode in [Mode::Write, Mode::Fsync] {
        let disk = MemoryDisk::new();
        let engine = Engine::on(&disk, mode);
        let good = engine.commit(10);
        block_on(engine.journal.wait(good)).expect("a success");
        // The disk stores all of it and fails then, so that without its cut the file has one row more.
        disk.tear(1, usize::MAX);
        let bad = engine.commit(10);
        assert_eq!(block_on(engine.journal.wait(bad)).expect_err("a failure").code(), 40);
        // The power fails before the next row, with so many of the changes on the disk that could be.
        for kept in 1..CHANGES_MAX {
            let disk = disk.fork();
            disk.power_fails(&mut |count| kept.min(count - 1));
            assert_eq!(lsns(&disk), [1], "{mode:?} {kept}");
        }
    }
}
