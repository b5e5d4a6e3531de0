//! Snapshots read back, interrupted, and collected.

use rustix::io::Errno;

use super::*;
use crate::wal::disk::faults::{MemoryDisk, Op};
use crate::wal::xlog::{Blocks, End, Reader};

const INSTANCE: Uuid = Uuid::from_u128(7);

fn vclock(lsn: u64) -> Vclock {
    let mut vclock = Vclock::default();
    vclock.set(1, lsn);
    vclock
}

fn snap(disk: &MemoryDisk, lsn: u64, count: u32) -> Result<Option<PathBuf>> {
    let rows = (0..count).map(|id| {
        let mut tuple = vec![0x92];
        write_uint(&mut tuple, u64::from(id));
        lycosa_proto::msgpack::write_str(&mut tuple, "x".repeat(id as usize % 100));
        (512 + id / 1000, id % 2, tuple)
    });
    write(disk, Path::new("d"), INSTANCE, &vclock(lsn), 1.5, rows)
}

fn xlog(disk: &MemoryDisk, lsn: u64) {
    let meta = Meta::new(FileType::Xlog, INSTANCE, vclock(lsn));
    disk.put(Path::new("d").join(file_name(&meta.vclock, FileType::Xlog)), meta.text().as_bytes());
}

#[test]
fn a_snapshot_reads_back_and_is_durable() {
    let disk = MemoryDisk::new();
    let path = snap(&disk, 5, 20_000).expect("a snapshot").expect("a path");
    disk.crash();
    assert_eq!(disk.paths(), std::slice::from_ref(&path));
    let mut reader = Reader::open(&disk, &path, FileType::Snap).expect("a file");
    assert_eq!(reader.meta().vclock, vclock(5));
    let mut lsn = 0;
    let mut offsets = Vec::new();
    while let Some(row) = reader.next_row().expect("a row") {
        assert_eq!((row.header.lsn, row.header.timestamp), (lsn, 1.5));
        assert_eq!((row.header.row_type, row.header.group_id), (2, lsn as u32 % 2));
        let head =
            [&[0x82, 0x10, 0xce, 0, 0][..], &(512 + lsn as u16 / 1000).to_be_bytes(), &[0x21]];
        assert!(row.body.starts_with(&head.concat()));
        lsn += 1;
        offsets.push(reader.offset());
    }
    assert_eq!((lsn, reader.end()), (20_000, Some(End::Marker)));
    offsets.dedup();
    assert!(offsets.len() > 5, "{offsets:?}");
}

#[test]
fn a_snapshot_of_real_size_is_compressed_and_a_small_one_is_not() {
    let disk = MemoryDisk::new();
    let check = |lsn, count, magic: &[u8]| {
        let path = snap(&disk, lsn, count).expect("a snapshot").expect("a path");
        let bytes = disk.get(path).expect("a file");
        let start = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an end") + 2;
        assert_eq!(&bytes[start..start + 4], magic);
    };
    check(1, 1, &[0xd5, 0xba, 0x0b, 0xab]);
    check(2, 1000, &[0xd5, 0xba, 0x0b, 0xba]);
    check(3, 0, &[0xd5, 0x10, 0xad, 0xed]);
}

#[test]
fn a_second_snapshot_of_a_vclock_is_none() {
    let disk = MemoryDisk::new();
    let path = snap(&disk, 5, 10).expect("a snapshot").expect("a path");
    let bytes = disk.get(&path);
    assert_eq!(snap(&disk, 5, 1).expect("no failure"), None);
    assert_eq!(disk.get(&path), bytes);
}

#[test]
fn a_second_snapshot_makes_the_name_of_the_first_durable() {
    let disk = MemoryDisk::new();
    // The first has its name, but nobody knows whether the disk has it too.
    disk.fail(Op::SyncDir, 1, Errno::IO);
    snap(&disk, 5, 10).expect_err("a failure");
    let paths = disk.paths();
    assert_eq!(paths.len(), 1);
    let lost = disk.fork();
    lost.crash();
    assert_eq!(lost.paths(), Vec::<PathBuf>::new());
    assert_eq!(snap(&disk, 5, 10).expect("no failure"), None);
    disk.crash();
    assert_eq!(disk.paths(), paths);
}

#[test]
fn a_failure_leaves_nothing_behind() {
    for (op, calls) in [(Op::Open, 2), (Op::Write, 3), (Op::Sync, 1), (Op::Rename, 1)] {
        for nth in 1..=calls {
            let disk = MemoryDisk::new();
            disk.fail(op, nth, Errno::IO);
            snap(&disk, 5, 10).expect_err("a failure");
            assert_eq!(disk.paths(), Vec::<PathBuf>::new(), "{op:?} {nth}");
            snap(&disk, 5, 10).expect("a snapshot").expect("a path");
        }
    }
    let disk = MemoryDisk::new();
    disk.set_capacity(Some(3000));
    assert!(snap(&disk, 5, 20_000).expect_err("a full disk").is_out_of_space());
    assert_eq!(disk.paths(), Vec::<PathBuf>::new());
    let dropped = Checkpoint::start(&disk, Path::new("d"), INSTANCE, &vclock(1), 1.0);
    drop(dropped.expect("a start"));
    assert_eq!(disk.paths(), Vec::<PathBuf>::new());
}

#[test]
fn garbage_is_what_the_snapshots_kept_do_not_need() {
    let check_pinned = |snaps: &[u64], xlogs: &[u64], keep, pinned: u64, expected: &[&str]| {
        let pinned = (pinned != 0).then(|| vclock(pinned));
        let disk = MemoryDisk::new();
        snaps.iter().for_each(|lsn| drop(snap(&disk, *lsn, 1).expect("a snapshot")));
        xlogs.iter().for_each(|lsn| xlog(&disk, *lsn));
        let dir = Path::new("d");
        let removed =
            collect_garbage(&disk, dir, dir, keep, pinned.as_ref()).expect("a collection");
        let short = |path: &PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.trim_start_matches('0').to_owned()
        };
        let left: Vec<String> = disk.paths().iter().map(short).collect();
        assert_eq!(left, expected);
        assert_eq!(removed.len(), snaps.len() + xlogs.len() - left.len());
    };
    let check = |snaps: &[u64], xlogs: &[u64], keep, expected: &[&str]| {
        check_pinned(snaps, xlogs, keep, 0, expected);
    };
    // wal.md section 7: one row for each snapshot.
    check(&[1, 2, 3, 4], &[1, 2, 3], 2, &["3.snap", "3.xlog", "4.snap"]);
    check(&[1, 2, 3, 4], &[1, 2, 3], 1, &["3.xlog", "4.snap"]);
    check(&[5, 9], &[1, 7], 2, &["1.xlog", "5.snap", "7.xlog", "9.snap"]);
    check(&[5, 9], &[1, 7, 9, 10], 1, &["9.snap", "9.xlog", "10.xlog"]);
    check(&[5], &[1, 3], 2, &["1.xlog", "3.xlog", "5.snap"]);
    check(&[], &[1, 3], 2, &["1.xlog", "3.xlog"]);
    check(&[2], &[5], 1, &["2.snap", "5.xlog"]);
    // A backup of the second snapshot, one of journals from before any snapshot that is kept, one of the newest.
    check_pinned(
        &[1, 3, 5, 7],
        &[0, 3, 5, 7],
        1,
        3,
        &["3.snap", "3.xlog", "5.snap", "5.xlog", "7.snap", "7.xlog"],
    );
    check_pinned(&[1, 7], &[0, 3, 5, 7], 1, 4, &["3.xlog", "5.xlog", "7.snap", "7.xlog"]);
    check_pinned(&[1, 7], &[0, 3, 5, 7], 1, 7, &["7.snap", "7.xlog"]);
    check_pinned(&[1, 7], &[0, 3, 5, 7], 1, 9, &["7.snap", "7.xlog"]);
}

#[test]
fn a_journal_with_a_bad_meta_stops_the_collection() {
    let disk = MemoryDisk::new();
    [1, 2, 3].iter().for_each(|lsn| drop(snap(&disk, *lsn, 1).expect("a snapshot")));
    disk.put("d/00000000000000000003.xlog", Blocks::default().seal());
    let dir = Path::new("d");
    collect_garbage(&disk, dir, dir, 1, None).expect_err("damage");
    assert_eq!(disk.paths().len(), 4);
}

#[test]
fn the_rate_is_kept_and_may_change() {
    let disk = MemoryDisk::new();
    let control = Control::default();
    let write = |lsn: u64, bytes: usize| {
        let start = Checkpoint::start(&disk, Path::new("d"), INSTANCE, &vclock(lsn), 1.0);
        let mut snapshot = start.expect("a start").expect("no such snapshot").controlled(&control);
        let began = std::time::Instant::now();
        // Bytes that do not shrink.
        let mut seed = lsn;
        for _ in 0..bytes / 1000 {
            let mut tuple = vec![0x91, 0xc5, 0x03, 0xe5];
            tuple.extend((0..997).map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            }));
            snapshot.push(512, 0, &tuple)?;
        }
        snapshot.finish().map(|_| began.elapsed().as_secs_f64())
    };
    control.set_rate_limit(10e6);
    let slow = write(1, 3_000_000).expect("a snapshot");
    assert!((0.2..5.0).contains(&slow), "{slow}");
    control.set_rate_limit(1.0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(2, 3_000_000));
        control.set_rate_limit(0.0);
        writer.join().expect("no panic").expect("a snapshot");
        control.cancel();
        assert!(matches!(write(3, 1_000_000), Err(Error::GivenUp(_))));
    });
    assert_eq!(disk.paths().len(), 2);
}

#[test]
fn a_damaged_snapshot_neither_counts_nor_stands_in_the_way() {
    let disk = MemoryDisk::new();
    let paths = [1, 2, 3].map(|lsn| snap(&disk, lsn, 1).expect("a snapshot").expect("a path"));
    xlog(&disk, 1);
    let newest = disk.get(&paths[2]).expect("a file");
    disk.put(&paths[2], &newest[..newest.len() - 1]);
    let dir = Path::new("d");
    collect_garbage(&disk, dir, dir, 2, None).expect("a collection");
    assert_eq!(disk.paths().len(), 4, "two good ones are kept");
    snap(&disk, 3, 1).expect("a snapshot").expect("a path");
    assert_eq!(disk.get(&paths[2]), Some(newest));
    assert!(disk.paths().contains(&PathBuf::from("d/00000000000000000003.snap.corrupted")));
    collect_garbage(&disk, dir, dir, 1, None).expect("a collection");
    assert!(!disk.paths().contains(&paths[1]));
}
