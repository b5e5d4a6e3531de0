//! What is printed of whole and of damaged files.

use std::io;
use std::path::Path;

use super::*;
use crate::wal::disk::faults::MemoryDisk;

const FILE: &str = "d/00000000000000000000.xlog";

/// A disk with a real journal.
fn disk() -> (MemoryDisk, Vec<u8>) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wal/2.6-rotate");
    let bytes = std::fs::read(data.join("00000000000000000000.xlog")).expect("a file");
    let disk = MemoryDisk::new();
    disk.put(FILE, &bytes);
    (disk, bytes)
}

fn cat(force: bool) -> Cat {
    let filter = FilterArgs::all();
    Cat { files: vec![FILE.into()], format: Format::Json, force, filter }
}

/// What is printed, what is told, how it ends.
fn run(cat: Cat, disk: &MemoryDisk) -> (usize, Vec<String>, Result<()>) {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let done = cat.print(disk, &mut out, &mut |line| told.push(line));
    let rows = String::from_utf8(out).expect("text").lines().count();
    (rows, told, done)
}

#[test]
fn what_stands_before_damage_is_printed() {
    let (disk, mut bytes) = disk();
    let (all, told, done) = run(cat(false), &disk);
    assert!(all > 3 && told.is_empty() && done.is_ok(), "{all}");
    // The last block, in front of the end marker.
    let place = bytes.len() - 6;
    bytes[place] ^= 0x01;
    disk.put(FILE, &bytes);
    let (rows, told, done) = run(cat(false), &disk);
    let error = done.expect_err("damage").to_string();
    assert!(error.starts_with(&format!("{FILE}: at offset ")), "{error}");
    assert!((1..all).contains(&rows) && told.is_empty());
    let (forced, told, done) = run(cat(true), &disk);
    assert_eq!((forced, told), (rows, vec![error]));
    assert!(matches!(done, Err(Error::Skipped(1))));
}

#[test]
fn a_torn_tail_is_told_and_is_no_failure() {
    let (disk, bytes) = disk();
    disk.put(FILE, &bytes[..bytes.len() - 6]);
    let (rows, told, done) = run(cat(false), &disk);
    assert!(rows > 0 && done.is_ok());
    assert!(told[0].contains("the last block is incomplete"), "{told:?}");
}

#[test]
fn a_file_that_is_no_journal_is_an_error() {
    let (disk, _) = disk();
    disk.put(FILE, b"what?\n\n");
    for force in [false, true] {
        let (rows, _, done) = run(cat(force), &disk);
        assert!(rows == 0 && done.is_err());
    }
}

/// A reader who has left.
struct Gone;

impl io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_who_leaves_ends_it() {
    let (disk, _) = disk();
    let done = cat(false).print(&disk, &mut Gone, &mut |line| panic!("{line}"));
    let error = done.expect_err("nobody reads");
    assert_eq!(error.exit_code(), 0);
}
