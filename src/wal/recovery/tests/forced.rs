//! What is refused, where, and what a recovery that is forced makes of it.

use super::*;

/// Where the first block of a journal begins that starts at an LSN of one digit and tells of none before it.
fn first_block() -> u64 {
    let meta = Meta::new(FileType::Xlog, INSTANCE, vclock(&[(1, 1)]));
    meta.text().len() as u64
}

fn block(rows: &[u8]) -> Vec<u8> {
    let mut block = Blocks::default();
    block.push(rows);
    block.seal().to_vec()
}

fn force(disk: &MemoryDisk) -> Recovered {
    let may_skip: MaySkip = |row| row.header.lsn > 0;
    recover_by(disk, |disk, dir| Scan::forced(disk, dir, dir, None, may_skip))
}

const FIRST: &str = "d/00000000000000000001.xlog";

/// A snapshot at 1 and a journal behind it with these blocks and these bytes at its end.
fn disk_with(blocks: &[Vec<u8>], tail: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    snapshot(&disk, &vclock(&[(1, 1)]));
    xlog(&disk, 1, None, blocks, tail);
    disk
}

/// Recovery refuses the directory with a line that ends with `refusal`; forced it delivers `lsns` and ends at `end`.
fn check(disk: &MemoryDisk, refusal: &str, lsns: &[u64], end: u64) {
    let error = recover(disk).result.expect_err(refusal);
    assert!(error.to_string().ends_with(refusal), "{error}\n{refusal}");
    assert!(error.is_skipped_by_force(), "{error}");
    let forced = force(disk);
    assert_eq!(forced.lsns(), lsns, "{refusal}");
    assert_eq!(forced.position().vclock, vclock(&[(1, end)]), "{refusal}");
}

#[test]
fn damaged_blocks_are_refused_and_passed_over_when_forced() {
    let good = [row(2), row(3), row(4)].map(|rows| block(&rows));
    let len = good[0].len() as u64;
    let second = first_block() + len;
    let check = |damage: &dyn Fn(&mut Vec<u8>), at: u64, text: &str, lsns: &[u64]| {
        let mut bytes = good.concat();
        damage(&mut bytes);
        let disk = disk_with(&[], &bytes);
        check(&disk, &format!("{FIRST}: at offset {at}: {text}"), lsns, lsns[lsns.len() - 1]);
    };
    let place = len as usize;
    let magic = "invalid magic: 0xabbad5, expected a block or the end of the file";
    check(&|bytes| bytes[place + 2] = 0, second, &magic.replace("abbad5", "ab00bad5"), &[2, 4]);
    let crc = |bytes: &mut Vec<u8>| bytes[place + 19] ^= 1;
    let disk = {
        let mut bytes = good.concat();
        crc(&mut bytes);
        disk_with(&[], &bytes)
    };
    let text = recover(&disk).result.expect_err("a refusal").to_string();
    assert!(text.starts_with(&format!("{FIRST}: at offset {second}: tx checksum mismatch: ")));
    assert_eq!(force(&disk).lsns(), [2, 4]);
    // Zeros behind the last block, as a disk may have them that was cut off from power.
    let zeros = "invalid magic: 0x0, expected a block or the end of the file";
    check(&|bytes| bytes.extend([0; 600]), first_block() + 3 * len, zeros, &[2, 3, 4]);
    let end = |bytes: &mut Vec<u8>| {
        bytes.extend(END_MARKER);
        bytes.extend(b"more");
    };
    let after = first_block() + 3 * len + 4;
    check(&end, after, "has some data after eof marker", &[2, 3, 4]);
}

#[test]
fn what_is_left_of_transactions_is_passed_over() {
    let at = |bytes: usize| first_block() + bytes as u64;
    let (head, tail) = (tx_row(3, 3, false), tx_row(4, 3, true));
    let blocks = [row(2), head.clone(), row(5)];
    let place = block(&blocks[0]).len() + block(&blocks[1]).len();
    let interrupted = "found a next transaction with the previous one not yet committed";
    let text = format!("{FIRST}: at offset {}: {interrupted}", at(place));
    check(&disk_with(&blocks, b""), &text, &[2, 5], 5);
    let place = block(&blocks[0]).len();
    let text =
        format!("{FIRST}: at offset {}: found a not finished transaction in the log", at(place));
    check(&disk_with(&blocks[..2], b""), &text, &[2], 3);
    // The first rows of a transaction are lost, or those in its middle.
    let lost = |blocks: [Vec<u8>; 4], damaged: usize| {
        let mut bytes = blocks.each_ref().map(|rows| block(rows));
        bytes[damaged][19] ^= 1;
        let recovered = force(&disk_with(&[], &bytes.concat()));
        assert_eq!(recovered.position().vclock, vclock(&[(1, 5)]));
        recovered.lsns()
    };
    assert_eq!(lost([row(2), head.clone(), tail.clone(), row(5)], 1), [2, 5]);
    assert_eq!(lost([row(2), head.clone(), tail, row(5)], 2), [2, 5]);
    let middle = [head, tx_row(4, 3, false), tx_row(5, 3, true)];
    assert_eq!(lost([row(2), middle[0].clone(), middle[1].clone(), middle[2].clone()], 2), [2]);
}

#[test]
fn gaps_and_journals_that_cannot_be_read_are_passed_over() {
    let disk = disk_with(&[row(2)], &END_MARKER);
    xlog(&disk, 7, Some(5), &[row(8)], &END_MARKER);
    let missing = "d/00000000000000000007.xlog: at offset 0: Missing .xlog file between LSN";
    check(&disk, &format!("{missing} 2 {{1: 2}} and 7 {{1: 7}}"), &[2, 8], 8);

    let disk = disk_with(&[row(2)], &END_MARKER);
    xlog(&disk, 7, Some(1), &[], &END_MARKER);
    let place = first_block() + block(&row(2)).len() as u64;
    let text = "rows are missing between LSN 2 {1: 2} and 7 {1: 7}, where \
                d/00000000000000000007.xlog begins";
    check(&disk, &format!("{FIRST}: at offset {place}: {text}"), &[2], 7);

    let disk = MemoryDisk::new();
    snapshot(&disk, &vclock(&[(1, 5)]));
    xlog(&disk, 7, None, &[], b"");
    check(&disk, &format!("{missing} 5 {{1: 5}} and 7 {{1: 7}}"), &[], 7);

    let disk = disk_with(&[row(2), row(3), row(3)], b"");
    let place = first_block() + 2 * block(&row(2)).len() as u64;
    let twice = "LSN for 1 is used twice or COMMIT order is broken: confirmed: 3, new: 3";
    check(&disk, &format!("{FIRST}: at offset {place}: {twice}"), &[2, 3], 3);

    let disk = disk_with(&[row(2)], &END_MARKER);
    disk.put("d/00000000000000000002.xlog", b"");
    let text = "d/00000000000000000002.xlog: at offset 0: unexpected end of file, expected the end \
                of the meta";
    check(&disk, text, &[2], 2);
    // It is out of the way of the next journal.
    assert!(disk.paths().contains(&PathBuf::from("d/00000000000000000002.xlog.corrupted")));

    let disk = disk_with(&[row(2)], &END_MARKER);
    let other = Meta::new(FileType::Xlog, Uuid::from_u128(8), Vclock::default());
    disk.put("d/00000000000000000000.xlog", other.text().as_bytes());
    let (ours, theirs) = (INSTANCE, other.instance);
    let text = format!("invalid instance UUID: expected {ours}, got {theirs}");
    check(&disk, &format!("d/00000000000000000000.xlog: {text}"), &[2], 2);
    assert!(disk.paths().contains(&PathBuf::from("d/00000000000000000000.xlog")));

    let disk = disk_with(&[row(2)], &END_MARKER);
    let path = "d/00000000000000000001.xlog";
    let bytes = disk.get(path).expect("a file");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let newer = Meta::new(FileType::Xlog, INSTANCE, vclock(&[(1, 2)])).text();
    assert!(text.contains("0.13"));
    disk.put("d/00000000000000000002.xlog", newer.replacen("0.13", "0.99", 1).as_bytes());
    let refusal = "unsupported file format version 0.99, expected 0.13 or 0.12";
    check(&disk, &format!("d/00000000000000000002.xlog: at offset 0: {refusal}"), &[2], 2);
}

#[test]
fn a_snapshot_without_its_end_is_taken_when_there_is_no_other() {
    let disk = disk_with(&[row(2)], &END_MARKER);
    let path = "d/00000000000000000001.snap";
    let bytes = disk.get(path).expect("a file");
    disk.put(path, &bytes[..bytes.len() - 4]);
    let error = recover(&disk).result.expect_err("a refusal").to_string();
    assert!(error.starts_with("d/00000000000000000001.snap: at offset "), "{error}");
    assert!(error.ends_with(": has no EOF marker"), "{error}");
    let forced = force(&disk);
    assert_eq!((forced.snapshot_rows, forced.lsns()), (1, vec![2]));
    // With an older one that is whole, nothing is lost.
    snapshot(&disk, &Vclock::default());
    xlog(&disk, 0, None, &[row(1)], &END_MARKER);
    assert_eq!(force(&disk).lsns(), [1, 2]);
    assert_eq!(recover(&disk).lsns(), [1, 2]);
}

#[test]
fn of_a_snapshot_the_rows_of_the_system_are_not_passed_over() {
    let disk = MemoryDisk::new();
    let rows = (0..20_000u32).map(|id| {
        let mut tuple = vec![0x91, 0xce];
        tuple.extend_from_slice(&id.wrapping_mul(2_654_435_761).to_be_bytes());
        (512, 0, tuple)
    });
    checkpoint::write(&disk, Path::new("d"), INSTANCE, &vclock(&[(1, 1)]), 1.0, rows)
        .expect("a snapshot");
    let path = "d/00000000000000000001.snap";
    let whole = disk.get(path).expect("a file");
    let magic = [0xd5, 0xba, 0x0b, 0xba];
    let is_block = |at: &usize| whole[*at..].starts_with(&magic);
    let blocks: Vec<usize> = (0..whole.len()).filter(is_block).collect();
    assert!(blocks.len() > 2, "{blocks:?}");
    let damage = |block: usize| {
        let mut bytes = whole.clone();
        bytes[blocks[block] + 50] ^= 1;
        disk.put(path, &bytes);
        let error = recover(&disk).result.expect_err("a refusal").to_string();
        assert!(error.contains(&format!("{path}: at offset {}: ", blocks[block])), "{error}");
        force(&disk)
    };
    // The first row is one of the system here.
    damage(0).result.expect_err("a refusal");
    let recovered = damage(1);
    recovered.result.expect("a recovery");
    assert!((10_000..20_000).contains(&recovered.snapshot_rows), "{}", recovered.snapshot_rows);
}

#[test]
fn transactions_that_the_engine_refuses_are_passed_over() {
    let disk = disk_with(&[row(2), row(3)], b"");
    let dir = Path::new("d");
    let scan = Scan::forced(Arc::new(disk), dir, dir, None, |_| true).expect("a scan");
    let mut taken = Vec::new();
    let mut sink = |delivery: Delivery<'_>| match delivery {
        Delivery::Transaction(transaction) => match transaction.rows().next() {
            Some(row) if row.header.lsn == 2 => Err(err!(NO_SUCH_SPACE, "512")),
            row => {
                taken.extend(row.map(|row| row.header.lsn));
                Ok(())
            }
        },
        _ => Ok(()),
    };
    let outcome = scan.recover(&mut sink).expect("a recovery");
    assert_eq!(outcome.position.vclock, vclock(&[(1, 3)]));
    assert_eq!(taken, [3]);
}
