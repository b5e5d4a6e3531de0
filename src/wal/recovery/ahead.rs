//! The rows of a file, read by a thread that is ahead of the one that applies them.
//!
//! ```text
//! reading: file -> checksum -> decompression -> rows found --full batches--> applying
//!             ^------------------empty batches--------------------------------'
//! ```
//!
//! Reading takes about as long as applying, so a recovery takes half the time on two cores. A short file is read by the
//! thread that applies: starting another takes longer than reading it. What always holds: rows come in the order of the
//! file; a batch ends with the last row of a transaction, unless the file ends before.
//!
//! Must not know: what rows mean.

use std::ops::Range;
use std::sync::mpsc::sync_channel;

use lycosa_proto::xrow::Header;

use super::super::xlog::{End, Reader, Row};
use super::super::{Error, Result};

/// A file of fewer bytes is read by the thread that applies.
const AHEAD_BYTES_MIN: u64 = 1 << 20;
/// Bytes of bodies at which a batch is full: two of them and their rows fit into a cache.
const BATCH_BYTES: usize = 128 << 10;
/// Batches that there are: one is read, one applied, the others wait.
const BATCHES: usize = 4;

/// A row of a batch, by its place.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) header: Header,
    /// Where its body is among the bytes of the batch.
    pub(super) body: Range<usize>,
    /// Offset of its block in the file.
    pub(super) offset: u64,
    /// Something damaged was skipped between the row before and this one.
    pub(super) is_after_damage: bool,
}

/// How a file has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) end: End,
    /// Where the last whole block ends.
    pub(super) offset: u64,
}

/// Rows that follow one another in a file.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Placed>,
    /// The bodies.
    pub(super) bytes: Vec<u8>,
    /// After the last row: how the file has ended, or why it cannot be read on. None if there is more.
    pub(super) end: Option<Result<Ended>>,
}

impl Batch {
    /// A row with its body.
    pub(super) fn row(&self, placed: &Placed) -> Row<'_> {
        Row { header: placed.header, body: &self.bytes[placed.body.clone()] }
    }
}

/// A file that is read batch by batch.
pub(super) struct Source {
    reader: Reader,
    /// Tells which rows have nothing before them that must not be lost: from the first such row on damage is skipped. None:
    /// damage is an error.
    skips_from: Option<fn(&Row<'_>) -> bool>,
    /// Whether damage is skipped by now.
    is_skipping: bool,
    is_after_damage: bool,
}

impl Source {
    /// Damage is an error, or skipped from the first row on of which `skips_from` says so.
    pub(super) fn new(reader: Reader, skips_from: Option<fn(&Row<'_>) -> bool>) -> Self {
        Self { reader, skips_from, is_skipping: false, is_after_damage: false }
    }

    /// Skips damage before the first row too.
    pub(super) fn skipping(self) -> Self {
        Self { is_skipping: self.skips_from.is_some(), ..self }
    }

    /// Reads the next rows.
    fn fill(&mut self, batch: &mut Batch) {
        batch.rows.clear();
        batch.bytes.clear();
        batch.end = None;
        loop {
            match self.reader.next_row() {
                Ok(Some(row)) => {
                    let start = batch.bytes.len();
                    batch.bytes.extend_from_slice(row.body);
                    let body = start..batch.bytes.len();
                    let header = row.header;
                    if !self.is_skipping {
                        self.is_skipping = self.skips_from.is_some_and(|starts| starts(&row));
                    }
                    let offset = self.reader.offset();
                    let is_after_damage = std::mem::take(&mut self.is_after_damage);
                    batch.rows.push(Placed { header, body, offset, is_after_damage });
                    if header.is_commit && batch.bytes.len() >= BATCH_BYTES {
                        return;
                    }
                }
                Ok(None) => {
                    let end = self.reader.end().unwrap_or(End::Torn);
                    batch.end = Some(Ok(Ended { end, offset: self.reader.offset() }));
                    return;
                }
                Err(error @ Error::Damaged { .. }) if self.is_skipping => {
                    tracing::error!("skipping damage: {error}");
                    self.is_after_damage = true;
                    if let Err(error) = self.reader.skip_damage() {
                        batch.end = Some(Err(error));
                        return;
                    }
                }
                Err(error) => {
                    batch.end = Some(Err(error));
                    return;
                }
            }
        }
    }

    /// Gives all batches to `apply`, in order. An error of it ends the reading.
    ///
    /// Errors: those of `apply`. What the file ends with is in the last batch.
    pub(super) fn run(mut self, mut apply: impl FnMut(&mut Batch) -> Result<()>) -> Result<()> {
        if self.reader.file_len() < AHEAD_BYTES_MIN {
            let mut batch = Batch::default();
            while batch.end.is_none() {
                self.fill(&mut batch);
                let is_last = batch.end.is_some();
                apply(&mut batch)?;
                if is_last {
                    break;
                }
            }
            return Ok(());
        }
        let path = self.reader.path().to_owned();
        std::thread::scope(|scope| {
            let (give_full, full) = sync_channel::<Batch>(BATCHES);
            let (give_empty, empty) = sync_channel::<Batch>(BATCHES);
            for _ in 0..BATCHES {
                let _ = give_empty.send(Batch::default());
            }
            let read = move || {
                // Ends when the file does, or when nobody takes or returns batches any more.
                while let Ok(mut batch) = empty.recv() {
                    self.fill(&mut batch);
                    let is_last = batch.end.is_some();
                    if give_full.send(batch).is_err() || is_last {
                        break;
                    }
                }
            };
            std::thread::Builder::new()
                .name("read-ahead".into())
                .spawn_scoped(scope, read)
                .map_err(Error::io("start a thread to read", &path))?;
            for mut batch in full {
                apply(&mut batch)?;
                // The thread has ended if this was the last one.
                let _ = give_empty.send(batch);
            }
            Ok(())
        })
    }
}
