//! The start of an instance from a directory with any rows: it starts, or says in a line why not; and what it has read it
//! can write as a snapshot.
//!
//! Input: a byte that says where the rows are, and the rows of one block. They follow the rows of a fresh instance, in
//! its journal or in its snapshot, in a file whose checksums are right.

#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use lycosa::config::Config;
use lycosa::instance::Instance;
use lycosa::wal::disk::faults::MemoryDisk;
use lycosa::wal::xlog::{Blocks, END_MARKER};

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

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rows)) = data.split_first() else { return };
    if rows.is_empty() {
        return;
    }
    let disk = MemoryDisk::new();
    for (path, bytes) in FRESH.iter() {
        disk.put(path, bytes);
    }
    let mut blocks = Blocks::default();
    blocks.push(rows);
    if choice & 1 == 0 {
        let (journal, begin) = FRESH.last().expect("a journal");
        disk.put(journal, &[begin, blocks.seal()].concat());
    } else {
        let (snapshot, whole) = FRESH.first().expect("a snapshot");
        let begin = whole.strip_suffix(&END_MARKER).expect("an end");
        disk.put(snapshot, &[begin, blocks.seal(), &END_MARKER].concat());
    }
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
