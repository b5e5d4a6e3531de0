//! Snapshots, and the removal of files that nothing needs any more.
//!
//! A snapshot is written by whoever has a read view, on a thread where it may block. It appears under its name when all
//! of it is durable: rows, end marker, the name itself.
//!
//! The disk gets to work on it while it is written, so that the end need not wait for all of it, and a limit of the rate can
//! be set, see [`Control`].
//!
//! Must not know: which rows, and in what order. The engine delivers them: spaces ascending, system spaces first.
//!
//! Source: wal.md §4, §7; Tarantool `src/box/memtx_engine.cc`, `src/box/gc.c`.

mod control;

use std::path::{Path, PathBuf};

use lycosa_proto::iproto::{key, request_type};
use lycosa_proto::msgpack::{write_map, write_uint};
use lycosa_proto::xrow::Header;
use uuid::Uuid;

pub use self::control::Control;
use self::control::Pace;
use super::disk::Disk;
use super::progress::Progress;
use super::recovery::{is_within, scan};
use super::xlog::{BLOCK_BYTES_CUT, FileType, Meta, Packer, Writer, file_name, signature};
use super::{Error, Result};
use crate::db::journal::Vclock;

/// Bytes of a snapshot between two calls that make them durable (Tarantool's `SNAP_SYNC_INTERVAL`).
const SYNC_BYTES: u64 = 16 << 20;

/// A snapshot that is being written. Dropped unfinished, it leaves nothing behind.
pub struct Checkpoint<'a> {
    disk: &'a dyn Disk,
    /// None once the snapshot is finished.
    file: Option<Writer>,
    packer: Packer,
    /// Rows of the block that is not written yet.
    rows: Vec<u8>,
    /// Rows so far; the next one has this number.
    progress: Progress,
    /// Who may slow it down or give it up; None: nobody.
    control: Option<&'a Control>,
    pace: Pace,
    /// Bytes of the file that were made durable.
    synced: u64,
    /// The time of all rows, in seconds since 1970.
    timestamp: f64,
}

impl<'a> Checkpoint<'a> {
    /// Starts the snapshot of `vclock` in `dir`. None if there is one already; then only its time is set to now. One that is
    /// damaged is put aside.
    pub fn start(
        disk: &'a dyn Disk,
        dir: &Path,
        instance: Uuid,
        vclock: &Vclock,
        timestamp: f64,
    ) -> Result<Option<Self>> {
        let path = dir.join(file_name(vclock, FileType::Snap));
        match scan::good_snapshot(disk, &path) {
            Ok(_) => {
                disk.touch(&path).map_err(Error::io("touch", &path))?;
                // Whoever wrote it may not have come so far.
                disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
                return Ok(None);
            }
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(Error::Damaged { .. }) => scan::put_aside(disk, &path)?,
            Err(error) => return Err(error),
        }
        let packer = Packer::new().map_err(Error::io("compress", &path))?;
        tracing::info!("saving snapshot '{}'", path.display());
        let meta = Meta::new(FileType::Snap, instance, vclock.clone());
        let file = Some(Writer::create(disk, &path, &meta)?);
        Ok(Some(Self {
            disk,
            file,
            packer,
            rows: Vec::new(),
            progress: Progress::new("written"),
            control: None,
            pace: Pace::new(),
            synced: 0,
            timestamp,
        }))
    }

    /// Has it obey.
    #[must_use]
    pub fn controlled(mut self, control: &'a Control) -> Self {
        self.control = Some(control);
        self
    }

    /// Adds a tuple; `group_id` is 1 for local spaces, `tuple` a MsgPack array.
    pub fn push(&mut self, space_id: u32, group_id: u32, tuple: &[u8]) -> Result<()> {
        let lsn = self.progress.rows();
        let header = Header {
            row_type: request_type::INSERT,
            group_id,
            lsn,
            tsn: lsn,
            is_commit: true,
            timestamp: self.timestamp,
            ..Header::default()
        };
        self.progress.add(1);
        header.write(&mut self.rows);
        write_map(&mut self.rows, 2);
        write_uint(&mut self.rows, key::SPACE_ID);
        // Five bytes whatever the id, as Tarantool writes it in snapshots.
        self.rows.push(0xce);
        self.rows.extend_from_slice(&space_id.to_be_bytes());
        write_uint(&mut self.rows, key::TUPLE);
        self.rows.extend_from_slice(tuple);
        if self.rows.len() >= BLOCK_BYTES_CUT { self.write_block() } else { Ok(()) }
    }

    /// Ends the snapshot and makes it durable. Returns its path.
    pub fn finish(mut self) -> Result<PathBuf> {
        self.write_block()?;
        let file = self.file.as_mut().expect("a snapshot is finished once");
        file.end()?;
        file.sync()?;
        file.publish(self.disk)?;
        let path = file.path().to_owned();
        let synced = file.sync_name(self.disk);
        // It has its name now: there is nothing to remove any more, even if the name is not durable yet.
        self.file = None;
        synced?;
        let (rows, rate) = (self.progress.rows(), self.progress.rate());
        tracing::info!("saved snapshot '{}', {rows} rows, {rate:.0} per second", path.display());
        Ok(path)
    }

    fn write_block(&mut self) -> Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !self.rows.is_empty()) else {
            return Ok(());
        };
        let block = self.packer.pack(&self.rows).map_err(Error::io("compress", file.path()))?;
        file.append(block)?;
        self.rows.clear();
        if let Some(control) = self.control {
            self.pace.wait(block.len(), control);
            if control.is_cancelled() {
                return Err(Error::GivenUp(file.path().to_owned()));
            }
        }
        if file.len() - self.synced >= SYNC_BYTES {
            file.sync()?;
            self.synced = file.len();
        }
        Ok(())
    }
}

impl Drop for Checkpoint<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            file.discard(self.disk);
        }
    }
}

/// Writes a whole snapshot of rows `(space_id, group_id, tuple)`. None if there is one of that vclock already.
pub fn write<T: AsRef<[u8]>>(
    disk: &dyn Disk,
    dir: &Path,
    instance: Uuid,
    vclock: &Vclock,
    timestamp: f64,
    rows: impl IntoIterator<Item = (u32, u32, T)>,
) -> Result<Option<PathBuf>> {
    let Some(mut checkpoint) = Checkpoint::start(disk, dir, instance, vclock, timestamp)? else {
        return Ok(None);
    };
    for (space_id, group_id, tuple) in rows {
        checkpoint.push(space_id, group_id, tuple.as_ref())?;
    }
    checkpoint.finish().map(Some)
}

/// The vclocks of the snapshots in `dir`, oldest first.
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Vclock>> {
    let snapshots = scan::paths(disk, dir, FileType::Snap)?;
    snapshots.iter().map(|path| Ok(scan::read_meta(disk, path, FileType::Snap)?.vclock)).collect()
}

/// Removes snapshots but the newest `keep`, and the journals that none of those needs. Returns what was removed.
///
/// Needed are the newest journal that begins at or before the oldest snapshot kept, and all after it. `keep` is
/// Tarantool's `checkpoint_count`; 0 counts as 1. What a backup has `pinned` stays, and so does all after it.
pub fn collect_garbage(
    disk: &dyn Disk,
    snap_dir: &Path,
    wal_dir: &Path,
    keep: usize,
    pinned: Option<&Vclock>,
) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    let snapshots = scan::paths(disk, snap_dir, FileType::Snap)?;
    // What is damaged counts for nothing: a start would pass over it.
    let is_good = |path: &PathBuf| scan::good_snapshot(disk, path).is_ok();
    let mut kept = (0..snapshots.len()).rev().filter(|place| is_good(&snapshots[*place]));
    let Some(mut oldest) = kept.nth(keep.max(1) - 1) else { return Ok(removed) };
    let mut needed = scan::read_meta(disk, &snapshots[oldest], FileType::Snap)?.vclock;
    if let Some(pinned) = pinned.filter(|pinned| !is_within(&needed, pinned)) {
        let is_older = |path: &PathBuf| signature_of(path) < Some(pinned.signature());
        oldest = snapshots[..oldest].partition_point(is_older);
        needed.clone_from(pinned);
    }
    let xlogs = scan::paths(disk, wal_dir, FileType::Xlog)?;
    let mut begin = 0;
    for (place, path) in xlogs.iter().enumerate().rev() {
        if is_within(&scan::read_meta(disk, path, FileType::Xlog)?.vclock, &needed) {
            begin = place;
            break;
        }
    }
    for path in snapshots[..oldest].iter().chain(&xlogs[..begin]) {
        tracing::info!("removing {}", path.display());
        disk.remove(path).map_err(Error::io("remove", path))?;
        removed.push(path.clone());
    }
    Ok(removed)
}

/// The signature in the name of a snapshot.
fn signature_of(path: &Path) -> Option<u64> {
    signature(path.file_name()?.to_str()?, FileType::Snap)
}

#[cfg(test)]
mod tests;
