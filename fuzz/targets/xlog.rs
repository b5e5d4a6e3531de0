//! A journal or snapshot as a file of any bytes.
//!
//! The first byte chooses what the rest is: a whole file; the rows of a block; the data of a compressed block; rows
//! that are compressed. In the last three, file and block around them are right, so that checksums do not stop what
//! is to be tried.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lycosa::db::journal::Vclock;
use lycosa::wal::disk::faults::MemoryDisk;
use lycosa::wal::xlog::{Blocks, FileType, Meta, Packer, Reader};
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    if data.is_empty() {
        return;
    }
    let file_type = if choice & 0x80 == 0 { FileType::Xlog } else { FileType::Snap };
    let meta = Meta::new(file_type, Uuid::from_u128(1), Vclock::default()).text();
    let with_meta = |block: &[u8]| [meta.as_bytes(), block].concat();
    let file = match choice % 4 {
        0 => data.to_vec(),
        1 => with_meta(&plain_block(data)),
        2 => {
            let mut block = plain_block(data);
            // The last byte of the magic says that the data is compressed.
            block[3] = 0xba;
            with_meta(&block)
        }
        _ => with_meta(Packer::new().expect("a packer").pack(data).expect("a block")),
    };
    read(&file, file_type);
});

fn plain_block(rows: &[u8]) -> Vec<u8> {
    let mut blocks = Blocks::default();
    blocks.push(rows);
    blocks.seal().to_vec()
}

fn read(bytes: &[u8], file_type: FileType) {
    let disk = MemoryDisk::new();
    let path = Path::new("file");
    disk.put(path, bytes);
    let mut reader = match Reader::open(&disk, path, file_type) {
        Ok(reader) => reader,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let mut offset = 0;
    loop {
        match reader.next_row() {
            Ok(Some(_)) => {}
            Ok(None) => {
                assert!(reader.end().is_some(), "a file without damage ends somehow");
                break;
            }
            Err(error) => return assert!(!error.to_string().is_empty()),
        }
        assert!(reader.offset() >= offset, "a reader goes forward");
        offset = reader.offset();
        assert!(offset <= bytes.len() as u64);
    }
}
