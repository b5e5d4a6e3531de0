//! The start of an instance from a journal with any rows: it starts, or says in a line why not; and what it has read it
//! can write as a snapshot.
//!
//! Input: the rows of one block. They come after a good snapshot of a fresh instance, in a file whose checksums are right.

#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use lycosa::config::Config;
use lycosa::instance::Instance;
use lycosa::wal::disk::faults::MemoryDisk;
use lycosa::wal::xlog::Blocks;

/// The files of an instance that has stopped at once, its empty journal last.
static FRESH: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let disk = MemoryDisk::new();
    let instance = Instance::open(&config(), Arc::new(disk.clone())).expect("a fresh instance");
    let mut files: Vec<(PathBuf, Vec<u8>)> = disk
        .paths()
        .into_iter()
        .filter_map(|path| disk.get(&path).map(|bytes| (path, bytes)))
        .filter(|(path, _)| path.extension().is_some_and(|ext| ext == "snap" || ext == "xlog"))
        .collect();
    files.sort_by_key(|(path, _)| path.extension().is_some_and(|ext| ext == "xlog"));
    drop(instance);
    files
});

fn config() -> Config {
    // Only the directory is made; the files are in memory.
    let dir = std::env::temp_dir().join("lycosa-fuzz-recovery");
    let mut config = Config::default();
    config.wal.dir = dir.clone();
    config.snapshot.dir = dir;
    config
}

fuzz_target!(|rows: &[u8]| {
    if rows.is_empty() {
        return;
    }
    let disk = MemoryDisk::new();
    for (path, bytes) in FRESH.iter() {
        disk.put(path, bytes);
    }
    let (journal, begin) = FRESH.last().expect("a journal");
    let mut blocks = Blocks::default();
    blocks.push(rows);
    disk.put(journal, &[begin, blocks.seal()].concat());
    match Instance::open(&config(), Arc::new(disk)) {
        Ok(instance) => {
            instance.checkpoint().expect("what was read can be written");
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && !line.contains('\n'), "not one line: {line:?}");
        }
    }
});
