//! Directories of real servers, and directories that something happened to.

use std::sync::Arc;

use lycosa_proto::err;

use lycosa_proto::xrow::Header;

use super::*;
use crate::wal::checkpoint;
use crate::wal::disk::faults::MemoryDisk;
use crate::wal::xlog::{Blocks, END_MARKER, Meta, file_name};

mod forced;

const INSTANCE: Uuid = Uuid::from_u128(7);

fn vclock(components: &[(u32, u64)]) -> Vclock {
    let mut vclock = Vclock::default();
    components.iter().for_each(|(id, lsn)| vclock.set(*id, *lsn));
    vclock
}

/// What a recovery delivered, and what came of it.
#[derive(Debug)]
struct Recovered {
    snapshot_rows: usize,
    /// (replica id, lsn) of each row of each transaction.
    transactions: Vec<Vec<(u32, u64)>>,
    result: Result<Outcome>,
}

impl Recovered {
    fn lsns(&self) -> Vec<u64> {
        self.transactions.iter().flatten().map(|(_, lsn)| *lsn).collect()
    }

    fn position(&self) -> &Position {
        &self.result.as_ref().expect("a recovery").position
    }
}

fn recover(disk: &MemoryDisk) -> Recovered {
    recover_by(disk, |disk, dir| Scan::new(disk, dir, dir, None))
}

fn recover_by(
    disk: &MemoryDisk,
    scan: impl FnOnce(Arc<dyn Disk>, &Path) -> Result<Scan>,
) -> Recovered {
    let (mut snapshot_rows, mut ends, mut transactions) = (0, 0, Vec::new());
    let mut sink = |delivery: Delivery<'_>| {
        match delivery {
            Delivery::SnapshotRow(_) => snapshot_rows += 1,
            Delivery::SnapshotEnd => ends += 1,
            Delivery::Transaction(transaction) => {
                let rows = transaction.rows().map(|row| (row.header.replica_id, row.header.lsn));
                transactions.push(rows.collect());
            }
        }
        Ok(())
    };
    let result =
        scan(Arc::new(disk.clone()), Path::new("d")).and_then(|scan| scan.recover(&mut sink));
    assert!(result.is_err() || ends == 1);
    Recovered { snapshot_rows, transactions, result }
}

fn real(case: &str) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wal").join(case);
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name");
        disk.put(Path::new("d").join(name), &std::fs::read(&path).expect("a file"));
    }
    disk
}

fn snapshot(disk: &MemoryDisk, vclock: &Vclock) {
    let rows = [(512, 0, [0x91, 0x01])];
    checkpoint::write(disk, Path::new("d"), INSTANCE, vclock, 1.0, rows).expect("a snapshot");
}

/// A row of replica 1 that is a transaction.
fn row(lsn: u64) -> Vec<u8> {
    tx_row(lsn, lsn, true)
}

fn tx_row(lsn: u64, tsn: u64, is_commit: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header { row_type: 2, replica_id: 1, lsn, tsn, is_commit, ..Header::default() };
    header.write(&mut bytes);
    bytes.push(0x80);
    bytes
}

/// A journal that begins at `{1: start}`, with a block of each of `blocks`.
fn xlog(disk: &MemoryDisk, start: u64, prev: Option<u64>, blocks: &[Vec<u8>], tail: &[u8]) {
    let mut meta = Meta::new(FileType::Xlog, INSTANCE, vclock(&[(1, start)]));
    meta.prev_vclock = prev.map(|lsn| vclock(&[(1, lsn)]));
    let mut bytes = meta.text().into_bytes();
    for rows in blocks {
        let mut block = Blocks::default();
        block.push(rows);
        bytes.extend_from_slice(block.seal());
    }
    bytes.extend_from_slice(tail);
    disk.put(Path::new("d").join(file_name(&meta.vclock, FileType::Xlog)), &bytes);
}

#[test]
fn directories_of_real_servers() {
    for (case, rows, start) in [("2.6-basic", 1, 86), ("3.9-basic", 1, 86)] {
        let disk = real(case);
        let from_newest = recover(&disk);
        assert!(from_newest.snapshot_rows > 400, "{}", from_newest.snapshot_rows);
        assert_eq!(from_newest.lsns().len(), rows);
        let position = from_newest.position().clone();
        assert_eq!(position.vclock.signature(), start + rows as u64);
        assert_eq!(position.newest_xlog.as_ref(), Some(&position.vclock));
        assert!(position.reusable.expect("the empty journal of the stop").is_closed);

        disk.remove(Path::new("d/00000000000000000086.snap")).expect("a file");
        let from_oldest = recover(&disk);
        assert_eq!(from_oldest.position().vclock, position.vclock);
        assert_eq!(from_oldest.lsns().len(), 87);
        let longest = from_oldest.transactions.iter().map(Vec::len).max();
        assert!(longest >= Some(3), "{longest:?}");
    }
}

#[test]
fn journals_of_many_files_and_of_long_transactions() {
    for (case, rows, longest) in [
        ("2.6-rotate", 42, 1),
        ("3.9-rotate", 42, 1),
        ("2.6-tx100", 102, 100),
        ("3.9-tx100", 102, 100),
    ] {
        let disk = real(case);
        let instance = {
            let path = Path::new("d/00000000000000000000.xlog");
            Reader::open(&disk, path, FileType::Xlog).expect("a file").meta().instance
        };
        checkpoint::write(
            &disk,
            Path::new("d"),
            instance,
            &Vclock::default(),
            1.0,
            [(272, 0, [0x90])],
        )
        .expect("a snapshot");
        let recovered = recover(&disk);
        assert_eq!(recovered.lsns().len(), rows, "{case}");
        assert_eq!(recovered.transactions.iter().map(Vec::len).max(), Some(longest), "{case}");
        assert_eq!(recovered.position().vclock.signature(), rows as u64);
    }
}

#[test]
fn an_empty_directory_is_for_bootstrap() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let dir = Path::new("d");
    assert!(Scan::new(disk, dir, dir, None).expect("a scan").is_empty());
    let disk = MemoryDisk::new();
    xlog(&disk, 0, None, &[row(1)], b"");
    assert!(matches!(recover(&disk).result, Err(Error::NoSnapshot(_))));
}

#[test]
fn rows_that_the_snapshot_has_are_skipped() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &vclock(&[(1, 3)]));
    xlog(&disk, 0, None, &[row(1), [row(2), row(3), row(4)].concat()], &END_MARKER);
    xlog(&disk, 4, Some(0), &[row(5), row(9)], b"");
    let recovered = recover(&disk);
    assert_eq!(recovered.lsns(), [4, 5, 9]);
    assert_eq!(recovered.position().vclock, vclock(&[(1, 9)]));
    assert_eq!(recovered.position().newest_xlog, Some(vclock(&[(1, 4)])));
    assert_eq!(recovered.position().reusable, None);
}

#[test]
fn a_transaction_may_lie_over_several_blocks() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &Vclock::default());
    let blocks = [tx_row(1, 1, false), tx_row(2, 1, false), [tx_row(3, 1, true), row(4)].concat()];
    xlog(&disk, 0, None, &blocks, &END_MARKER);
    let transactions = recover(&disk).transactions;
    assert_eq!(transactions, [vec![(1, 1), (1, 2), (1, 3)], vec![(1, 4)]]);
}

#[test]
fn half_transactions_are_refused() {
    let check = |blocks: &[Vec<u8>], expected: Damage| {
        let disk = MemoryDisk::new();
        snapshot(&disk, &Vclock::default());
        xlog(&disk, 0, None, blocks, b"");
        let recovered = recover(&disk);
        assert!(
            matches!(&recovered.result, Err(Error::Damaged { damage, .. }) if *damage == expected),
            "{recovered:?}"
        );
        assert_eq!(recovered.lsns(), [1]);
    };
    check(&[row(1), tx_row(2, 2, false)], Damage::TransactionUnfinished);
    check(&[row(1), tx_row(2, 2, false), row(3)], Damage::TransactionInterrupted);
}

#[test]
fn a_torn_tail_is_passed_over() {
    let mut block = Blocks::default();
    block.push(&row(3));
    let torn = block.seal();
    for cut in 1..torn.len() {
        let disk = MemoryDisk::new();
        snapshot(&disk, &Vclock::default());
        xlog(&disk, 0, None, &[row(1), row(2)], &torn[..cut]);
        let recovered = recover(&disk);
        assert_eq!(recovered.lsns(), [1, 2]);
        assert_eq!(recovered.position().reusable, None);

        // Without any row the file can be used again, once it is cut.
        let disk = MemoryDisk::new();
        snapshot(&disk, &vclock(&[(1, 2)]));
        xlog(&disk, 2, None, &[], &torn[..cut]);
        let recovered = recover(&disk);
        let reusable = recovered.position().reusable.clone().expect("a file without rows");
        let len = disk.get(&reusable.path).expect("a file").len() - cut;
        assert_eq!((reusable.len, reusable.is_closed), (len as u64, false));
    }
}

#[test]
fn missing_journals_are_noticed() {
    let check = |disk: &MemoryDisk, text: &str| {
        let error = recover(disk).result.expect_err("a gap");
        assert!(matches!(error, Error::Gap { .. }), "{error}");
        assert_eq!(error.to_string(), format!("d/00000000000000000007.xlog: at offset 0: {text}"));
    };
    let disk = MemoryDisk::new();
    snapshot(&disk, &vclock(&[(1, 5)]));
    xlog(&disk, 7, None, &[row(8)], &END_MARKER);
    check(&disk, "Missing .xlog file between LSN 5 {1: 5} and 7 {1: 7}");
    let disk = MemoryDisk::new();
    snapshot(&disk, &vclock(&[(1, 5)]));
    xlog(&disk, 5, None, &[row(6)], &END_MARKER);
    xlog(&disk, 7, Some(6), &[row(8)], &END_MARKER);
    check(&disk, "Missing .xlog file between LSN 6 {1: 6} and 7 {1: 7}");
}

#[test]
fn rows_that_are_missing_at_the_end_of_a_journal_are_noticed() {
    let mut block = Blocks::default();
    block.push(&row(7));
    let torn = &block.seal()[..10];
    let tails: [&[u8]; 3] = [torn, b"", &END_MARKER];
    // Also if no row follows, and whether or not the next file names the one before it.
    for (tail, prev, next) in tails.into_iter().flat_map(|tail| {
        [(tail, Some(5), vec![row(8)]), (tail, None, vec![row(8)]), (tail, Some(5), vec![])]
    }) {
        let disk = MemoryDisk::new();
        snapshot(&disk, &vclock(&[(1, 5)]));
        xlog(&disk, 5, None, &[row(6)], tail);
        let before = "d/00000000000000000005.xlog";
        let end = disk.get(before).expect("a file").len() - tail.len();
        xlog(&disk, 7, prev, &next, &END_MARKER);
        let recovered = recover(&disk);
        assert_eq!(recovered.lsns(), [6]);
        let error = recovered.result.expect_err("a gap");
        assert!(error.is_skipped_by_force());
        let between = "LSN 6 {1: 6} and 7 {1: 7}, where d/00000000000000000007.xlog begins";
        let expected = format!("{before}: at offset {end}: rows are missing between {between}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_lsn_used_twice_is_refused() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &Vclock::default());
    xlog(&disk, 0, None, &[row(1), row(2), row(2)], b"");
    let error = recover(&disk).result.expect_err("a refusal");
    assert!(error.to_string().contains("LSN for 1 is used twice"), "{error}");
}

#[test]
fn rows_of_replicas_that_no_vclock_can_name_are_refused() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &Vclock::default());
    let mut bytes = Vec::new();
    let header = Header {
        row_type: 12,
        replica_id: 32,
        lsn: 1,
        tsn: 1,
        is_commit: true,
        ..Header::default()
    };
    header.write(&mut bytes);
    xlog(&disk, 0, None, &[bytes], b"");
    let result = recover(&disk).result;
    assert!(matches!(result, Err(Error::Damaged { damage: Damage::ReplicaId(32), .. })));
}

#[test]
fn the_newest_good_snapshot_is_taken() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &vclock(&[(1, 2)]));
    snapshot(&disk, &vclock(&[(1, 4)]));
    xlog(&disk, 2, None, &[row(3), row(4), row(5)], &END_MARKER);
    assert_eq!(recover(&disk).lsns(), [5]);
    let newest = "d/00000000000000000004.snap";
    let bytes = disk.get(newest).expect("a file");
    for len in [0, 20, bytes.len() - 1] {
        disk.put(newest, &bytes[..len]);
        assert_eq!(recover(&disk).lsns(), [3, 4, 5]);
    }
    disk.put("d/00000000000000000002.snap", b"");
    assert!(recover(&disk).result.is_err());
}

#[test]
fn files_of_other_instances_are_refused() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &Vclock::default());
    let meta = Meta::new(FileType::Xlog, Uuid::from_u128(8), Vclock::default());
    disk.put("d/00000000000000000000.xlog", meta.text().as_bytes());
    assert!(matches!(recover(&disk).result, Err(Error::Instance { .. })));
    let dir = Path::new("d");
    let result = Scan::new(Arc::new(disk), dir, dir, Some(Uuid::from_u128(9)));
    assert!(matches!(result, Err(Error::ConfiguredInstance { .. })));
}

#[test]
fn a_name_that_is_not_the_vclock_is_refused() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &Vclock::default());
    let meta = Meta::new(FileType::Xlog, INSTANCE, Vclock::default());
    disk.put("d/00000000000000000001.xlog", meta.text().as_bytes());
    let result = recover(&disk).result;
    assert!(matches!(result, Err(Error::Damaged { damage: Damage::Signature(_), .. })));
}

#[test]
fn leftovers_are_removed() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &Vclock::default());
    disk.put("d/00000000000000000009.snap.inprogress", b"");
    disk.put("d/00000000000000000009.xlog.inprogress", b"");
    disk.put("d/mine.inprogress", b"");
    recover(&disk).result.expect("a recovery");
    let paths = disk.paths();
    assert_eq!(paths, ["d/00000000000000000000.snap", "d/mine.inprogress"].map(PathBuf::from));
}

#[test]
fn a_row_that_the_engine_refuses_stops_recovery() {
    let disk = MemoryDisk::new();
    snapshot(&disk, &Vclock::default());
    xlog(&disk, 0, None, &[row(1)], b"");
    let dir = Path::new("d");
    let scan = Scan::new(Arc::new(disk), dir, dir, None).expect("a scan");
    let mut sink = |delivery: Delivery<'_>| match delivery {
        Delivery::Transaction(_) => Err(err!(NO_SUCH_SPACE, "512")),
        _ => Ok(()),
    };
    let error = scan.recover(&mut sink).expect_err("a refusal").to_string();
    assert!(error.starts_with("d/00000000000000000000.xlog: at offset "), "{error}");
    assert!(error.ends_with(": row with LSN 1: Space '512' does not exist"), "{error}");
}
