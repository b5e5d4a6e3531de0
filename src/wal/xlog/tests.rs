//! Against files of real servers, and against those files damaged.

use std::path::{Path, PathBuf};

use super::*;
use crate::wal::disk::OsDisk;
use crate::wal::disk::faults::MemoryDisk;
use crate::wal::{Damage, Error, Result};

/// Directories below tests/data/wal.
const CASES: [&str; 10] = [
    "2.6-basic",
    "2.6-rotate",
    "2.6-sync",
    "2.6-tx100",
    "3.9-basic",
    "3.9-names",
    "3.9-raft",
    "3.9-rotate",
    "3.9-sync",
    "3.9-tx100",
];

fn data_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wal")
}

fn listing(case: &str) -> serde_json::Value {
    let packed = std::fs::read(data_dir().join(case).join("rows.json.zst")).expect("a listing");
    let text = zstd::stream::decode_all(packed.as_slice()).expect("a listing");
    serde_json::from_slice(&text).expect("a listing")
}

fn type_of(path: &Path) -> FileType {
    if path.extension().is_some_and(|end| end == "snap") { FileType::Snap } else { FileType::Xlog }
}

/// A row as a file has it, if its writer was Tarantool.
fn encode(row: &Row<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    row.header.write(&mut bytes);
    bytes.extend_from_slice(row.body);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All rows with the offsets of their blocks, and how the file ends.
fn rows(reader: &mut Reader) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        let bytes = encode(&row);
        rows.push((reader.offset(), bytes));
    }
    Ok(rows)
}

/// The rows that can be read, then why there are no more.
fn prefix(disk: &MemoryDisk, path: &str) -> (Vec<Vec<u8>>, std::result::Result<End, Damage>) {
    let mut rows = Vec::new();
    let damage = |error| match error {
        Error::Damaged { damage, .. } => damage,
        other => panic!("{other}"),
    };
    let mut reader = match Reader::open(disk, Path::new(path), type_of(Path::new(path))) {
        Ok(reader) => reader,
        Err(error) => return (rows, Err(damage(error))),
    };
    loop {
        match reader.next_row() {
            Ok(Some(row)) => rows.push(encode(&row)),
            Ok(None) => return (rows, Ok(reader.end().expect("an end"))),
            Err(error) => return (rows, Err(damage(error))),
        }
    }
}

#[test]
fn real_files_are_read_as_listed() {
    let mut row_count = 0;
    for case in CASES {
        for listed in listing(case).as_array().expect("files") {
            let name = listed["file"].as_str().expect("a name");
            let path = data_dir().join(case).join(name);
            let bytes = std::fs::read(&path).expect("a file");
            let mut reader = Reader::open(&OsDisk, &path, type_of(&path)).expect("a file");

            let lines = listed["meta"].as_array().expect("lines");
            let lines: Vec<&str> = lines.iter().map(|line| line.as_str().expect("text")).collect();
            let text = reader.meta().text();
            assert_eq!(text, lines.join("\n") + "\n\n", "{path:?}");
            assert!(bytes.starts_with(text.as_bytes()));
            assert_eq!(file_name(&reader.meta().vclock, type_of(&path)), name);

            let rows = rows(&mut reader).expect("rows");
            row_count += rows.len();
            let mut rows = rows.iter().map(|(offset, row)| (*offset, hex(row)));
            for block in listed["blocks"].as_array().expect("blocks") {
                let offset = block["offset"].as_u64().expect("an offset");
                for row in block["rows"].as_array().expect("rows") {
                    let digits = row["hex"].as_str().expect("digits");
                    let is_listed = |(block, row): (u64, String)| {
                        // The listings end rows that are long with an ellipsis.
                        let start = digits.strip_suffix('\u{2026}');
                        block == offset
                            && start.map_or(row == digits, |start| row.starts_with(start))
                    };
                    // Listings of snapshots leave rows out, but none that stand in another order.
                    let is_there = match type_of(&path) {
                        FileType::Snap => rows.any(is_listed),
                        FileType::Xlog => rows.next().is_some_and(is_listed),
                    };
                    assert!(is_there, "{path:?} at {offset}: {digits}");
                }
            }
            if type_of(&path) == FileType::Xlog {
                assert_eq!(rows.next(), None, "{path:?}");
            }
            assert_eq!(reader.end(), Some(End::Marker));
        }
    }
    assert!(row_count > 3000, "{row_count}");
}

#[test]
fn journals_are_written_byte_for_byte_as_tarantool_does() {
    let mut count = 0;
    for case in CASES {
        for listed in listing(case).as_array().expect("files") {
            let path = data_dir().join(case).join(listed["file"].as_str().expect("a name"));
            let blocks = listed["blocks"].as_array().expect("blocks");
            let is_plain = |block: &serde_json::Value| {
                block["fixheader"].as_str().is_some_and(|digits| digits.starts_with("d5ba0bab"))
            };
            if !blocks.iter().all(is_plain) {
                continue;
            }
            let mut reader = Reader::open(&OsDisk, &path, type_of(&path)).expect("a file");
            let disk = MemoryDisk::new();
            let mut writer =
                Writer::create(&disk, Path::new("d/f"), reader.meta()).expect("a file");
            let rows = rows(&mut reader).expect("rows");
            for block in rows.chunk_by(|a, b| a.0 == b.0) {
                let mut blocks = Blocks::default();
                block.iter().for_each(|(_, row)| blocks.push(row));
                writer.append(blocks.seal()).expect("a write");
            }
            writer.end().expect("a write");
            writer.publish(&disk).expect("a name");
            assert_eq!(disk.get("d/f"), std::fs::read(&path).ok(), "{path:?}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn a_file_cut_anywhere_has_a_torn_tail_and_keeps_the_rows_before() {
    for case in ["2.6-basic/00000000000000000000", "3.9-basic/00000000000000000000"] {
        let bytes = std::fs::read(data_dir().join(format!("{case}.xlog"))).expect("a file");
        let disk = MemoryDisk::new();
        disk.put("d/f", &bytes);
        let (all, end) = prefix(&disk, "d/f");
        assert_eq!(end, Ok(End::Marker));
        let meta_len = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an end") + 2;
        let [mut open, mut torn] = [0, 0];
        for cut in 0..bytes.len() {
            disk.put("d/f", &bytes[..cut]);
            let (rows, end) = prefix(&disk, "d/f");
            assert!(all.starts_with(&rows));
            match end {
                Err(damage) => assert!(cut < meta_len && damage == Damage::MetaEnds, "{cut}"),
                Ok(End::Open) => open += 1,
                Ok(End::Torn) => torn += 1,
                Ok(End::Marker) => panic!("cut at {cut}, and the marker is there"),
            }
        }
        assert!(open >= 38 && torn > 3000, "{open} {torn}");
    }
}

#[test]
fn no_flipped_bit_makes_another_row() {
    let path = data_dir().join("2.6-basic/00000000000000000000.xlog");
    let mut bytes = std::fs::read(path).expect("a file");
    let disk = MemoryDisk::new();
    disk.put("d/f", &bytes);
    let (all, _) = prefix(&disk, "d/f");
    let meta_len = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an end") + 2;
    let mut checksums = 0;
    for place in meta_len..bytes.len() {
        for bit in [0x01, 0x80] {
            bytes[place] ^= bit;
            disk.put("d/f", &bytes);
            let (rows, end) = prefix(&disk, "d/f");
            assert!(all.starts_with(&rows), "{place}");
            // Only what nobody reads may change unnoticed: crc32p and the padding.
            assert!(end != Ok(End::Marker) || rows == all, "{place}");
            checksums += usize::from(matches!(end, Err(Damage::Checksum(..))));
            bytes[place] ^= bit;
        }
    }
    assert!(checksums > 7000, "{checksums}");
}

#[test]
fn damage_is_told_apart() {
    let disk = MemoryDisk::new();
    let check = |tail: &[u8], expected: std::result::Result<End, Damage>| {
        let mut bytes = b"XLOG\n0.13\nVClock: {}\n\n".to_vec();
        bytes.extend_from_slice(tail);
        disk.put("d/f", &bytes);
        assert_eq!(prefix(&disk, "d/f").1, expected, "{}", hex(tail));
    };
    let block = |rows: &[u8]| {
        let mut blocks = Blocks::default();
        blocks.push(rows);
        blocks.seal().to_vec()
    };
    check(b"", Ok(End::Open));
    check(&END_MARKER, Ok(End::Marker));
    check(&END_MARKER[..3], Ok(End::Torn));
    check(&[&END_MARKER[..], b"\0"].concat(), Err(Damage::AfterEnd));
    check(&[0; 3], Ok(End::Torn));
    check(&[0; 4], Err(Damage::Magic(0)));
    check(&[0; 512], Err(Damage::Magic(0)));
    check(&[0xd5, 0xba, 0x0b, 0xac], Err(Damage::Magic(0xac0b_bad5)));
    check(&block(b"\x81\x00\x0c"), Ok(End::Open));
    check(&block(b"\x81\x00\x0c")[..20], Ok(End::Torn));
    check(&block(b"\x81\x00\x02\x80\x81\x00\x0c"), Ok(End::Open));
    check(&block(b"\x81\x00\x02\x90"), Err(Damage::Row(lycosa_proto::msgpack::Fault::Type)));
    check(
        &block(b"\x81\x00\x02\x81\x10"),
        Err(Damage::Row(lycosa_proto::msgpack::Fault::Truncated)),
    );
    check(&block(b"\x81\x00\x02\xc1"), Err(Damage::Row(lycosa_proto::msgpack::Fault::IllegalCode)));
    let packed =
        |rows: &[u8]| Packer::new().expect("a packer").pack(rows).expect("a block").to_vec();
    check(&packed(&b"\x81\x00\x0c".repeat(1000)), Ok(End::Open));
    let mut unzstd = block(&[7; 100]);
    unzstd[..4].copy_from_slice(&[0xd5, 0xba, 0x0b, 0xba]);
    assert!(matches!(
        {
            disk.put("d/f", &[b"XLOG\n0.13\nVClock: {}\n\n".as_slice(), &unzstd].concat());
            prefix(&disk, "d/f").1
        },
        Err(Damage::Zstd(_))
    ));
}

#[test]
fn an_error_names_the_file_and_the_offset() {
    let disk = MemoryDisk::new();
    disk.put("d/f", b"XLOG\n0.13\n\nzero\0");
    let mut reader = Reader::open(&disk, Path::new("d/f"), FileType::Xlog).expect("a file");
    let text = reader.next_row().expect_err("damage").to_string();
    assert_eq!(
        text,
        "d/f: at offset 11: invalid magic: 0x6f72657a, expected a block or the end of the file"
    );
}

/// The rows of a file whose damage is skipped, and how often that was.
fn forced(disk: &MemoryDisk, path: &str) -> (Vec<Vec<u8>>, usize, End) {
    let mut reader = Reader::open_any(disk, Path::new(path)).expect("a file");
    let (mut rows, mut skipped) = (Vec::new(), 0);
    loop {
        match reader.next_row() {
            Ok(Some(row)) => rows.push(encode(&row)),
            Ok(None) => return (rows, skipped, reader.end().expect("an end")),
            Err(_) => {
                skipped += 1;
                reader.skip_damage().expect("the rest of the file");
            }
        }
    }
}

#[test]
fn damage_costs_its_block_and_no_other() {
    let bytes = std::fs::read(data_dir().join("2.6-basic/00000000000000000000.xlog"));
    let bytes = bytes.expect("a file");
    let disk = MemoryDisk::new();
    disk.put("d/f", &bytes);
    let mut reader = Reader::open_any(&disk, Path::new("d/f")).expect("a file");
    let all = rows(&mut reader).expect("rows");
    assert_eq!(reader.meta().file_type, FileType::Xlog);
    for block in all.chunk_by(|a, b| a.0 == b.0) {
        let offset = block[0].0;
        let others = all.iter().filter(|(of, _)| *of != offset).map(|(_, row)| row.clone());
        let others: Vec<Vec<u8>> = others.collect();
        // The magic, the length, a checksum, the data.
        for place in [0, 4, 8, FIXHEADER_BYTES + 1] {
            let mut damaged = bytes.clone();
            damaged[offset as usize + place] ^= 0x01;
            disk.put("d/f", &damaged);
            let (rows, skipped, end) = forced(&disk, "d/f");
            assert_eq!((skipped, end), (1, End::Marker), "{offset} {place}");
            assert_eq!(rows, others, "{offset} {place}");
        }
    }
    disk.put("d/f", &[&bytes[..], b"more"].concat());
    let (rows, skipped, end) = forced(&disk, "d/f");
    assert_eq!((rows.len(), skipped, end), (all.len(), 1, End::Marker));
    disk.put("d/f", &[&bytes[..bytes.len() - 4], &[0; 600_000]].concat());
    let (rows, skipped, end) = forced(&disk, "d/f");
    assert_eq!((rows.len(), skipped, end), (all.len(), 1, End::Torn));
}

#[test]
fn blocks_are_cut_between_transactions_only() {
    let row = |len: usize| {
        let mut row = vec![0x81, 0x00, 0x02, 0x81, 0x21];
        lycosa_proto::msgpack::write_bin(&mut row, &vec![7; len]);
        row
    };
    let mut blocks = Blocks::default();
    for _ in 0..3 {
        blocks.push(&row(100 << 10).repeat(3));
    }
    (0..300).for_each(|_| blocks.push(&row(1000)));
    let disk = MemoryDisk::new();
    disk.put("d/f", &[b"XLOG\n0.13\n\n".as_slice(), blocks.seal()].concat());
    let mut reader = Reader::open(&disk, Path::new("d/f"), FileType::Xlog).expect("a file");
    let rows = rows(&mut reader).expect("rows");
    let counts: Vec<usize> = rows.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).collect();
    assert_eq!(counts, [3, 3, 3, 131, 131, 38]);
}

#[test]
fn names_of_files() {
    let check = |name, expected| assert_eq!(signature(name, FileType::Xlog), expected, "{name}");
    check("00000000000000000086.xlog", Some(86));
    check("00000000000000000086.snap", None);
    check("00000000000000000086.xlog.inprogress", None);
    check("86.xlog", None);
    check("+0000000000000000086.xlog", None);
    check("99999999999999999999.xlog", None);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(tail: Vec<u8>, magic in 0usize..4) {
        let magic: &[u8] = [&b""[..], &[0xd5, 0xba, 0x0b, 0xab], &[0xd5, 0xba, 0x0b, 0xba], &END_MARKER][magic];
        let disk = MemoryDisk::new();
        disk.put("d/f", &[b"XLOG\n0.13\n\n", magic, &tail].concat());
        let _ = prefix(&disk, "d/f");
        let _ = forced(&disk, "d/f");
    }
}
