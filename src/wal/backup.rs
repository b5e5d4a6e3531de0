//! Which files make a backup: a snapshot and the journals after it, or the journals after another backup.
//!
//! A journal belongs to it if it has rows behind where the backup begins and begins before where it ends. Whoever asks has
//! rotated the journal, so that all of them are closed.
//!
//! Source: Tarantool `src/box/wal.c` wal_backup_f; `src/box/box.cc` box_backup_start.

use std::path::{Path, PathBuf};

use super::Result;
use super::disk::Disk;
use super::recovery::{is_within, scan};
use super::xlog::{FileType, file_name};
use crate::db::journal::Vclock;

/// The snapshot of `checkpoint` and the journals that lead from it to `end`.
pub fn full(
    disk: &dyn Disk,
    [snap_dir, wal_dir]: [&Path; 2],
    checkpoint: &Vclock,
    end: &Vclock,
) -> Result<Vec<PathBuf>> {
    let mut files = vec![snap_dir.join(file_name(checkpoint, FileType::Snap))];
    files.extend(Journals::list(disk, wal_dir)?.between(checkpoint, end));
    Ok(files)
}

/// The journals that lead from `begin` to `end`. None if no journal begins there: the rows behind it are gone, or `begin`
/// is not where a backup has ended.
pub fn incremental(
    disk: &dyn Disk,
    wal_dir: &Path,
    begin: &Vclock,
    end: &Vclock,
) -> Result<Option<Vec<PathBuf>>> {
    let journals = Journals::list(disk, wal_dir)?;
    let is_known = begin == end || journals.0.iter().any(|(_, vclock)| vclock == begin);
    Ok(is_known.then(|| journals.between(begin, end)))
}

/// Journals with the vclocks that they begin at, oldest first.
struct Journals(Vec<(PathBuf, Vclock)>);

impl Journals {
    fn list(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let read = |path: PathBuf| {
            let vclock = scan::read_meta(disk, &path, FileType::Xlog)?.vclock;
            Ok((path, vclock))
        };
        scan::paths(disk, dir, FileType::Xlog)?
            .into_iter()
            .map(read)
            .collect::<Result<_>>()
            .map(Self)
    }

    fn between(self, begin: &Vclock, end: &Vclock) -> Vec<PathBuf> {
        let ends: Vec<Vclock> = self.0.iter().skip(1).map(|(_, vclock)| vclock.clone()).collect();
        let ends = ends.iter().chain(std::iter::once(end));
        let is_part = |vclock: &Vclock, its_end: &Vclock| {
            !is_within(end, vclock) && !is_within(its_end, begin)
        };
        let parts = self.0.iter().zip(ends).filter(|((_, vclock), end)| is_part(vclock, end));
        parts.map(|((path, _), _)| path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::wal::disk::faults::MemoryDisk;
    use crate::wal::xlog::Meta;

    fn vclock(lsn: u64) -> Vclock {
        let mut vclock = Vclock::default();
        vclock.set(1, lsn);
        vclock
    }

    /// A disk with journals that begin at these LSNs.
    fn disk(xlogs: &[u64]) -> MemoryDisk {
        let disk = MemoryDisk::new();
        for lsn in xlogs {
            let meta = Meta::new(FileType::Xlog, Uuid::max(), vclock(*lsn));
            disk.put(format!("d/{lsn:020}.xlog"), meta.text().as_bytes());
        }
        disk
    }

    fn lsns(paths: &[PathBuf]) -> Vec<String> {
        let name =
            |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        paths.iter().map(|path| name(path).trim_start_matches('0').to_owned()).collect()
    }

    #[test]
    fn journals_with_rows_behind_the_snapshot_belong_to_a_full_backup() {
        let check = |xlogs: &[u64], checkpoint, end, expected: &[&str]| {
            let dir = Path::new("d");
            let files = full(&disk(xlogs), [dir, dir], &vclock(checkpoint), &vclock(end));
            assert_eq!(lsns(&files.expect("files")), expected, "{xlogs:?} {checkpoint} {end}");
        };
        check(&[], 3, 3, &["3.snap"]);
        check(&[0], 3, 3, &["3.snap"]);
        check(&[0], 3, 5, &["3.snap", ".xlog"]);
        check(&[0, 3], 3, 5, &["3.snap", "3.xlog"]);
        check(&[0, 3, 5], 3, 5, &["3.snap", "3.xlog"]);
        check(&[0, 4, 7, 9], 3, 9, &["3.snap", ".xlog", "4.xlog", "7.xlog"]);
        check(&[0, 4, 7], 8, 8, &["8.snap"]);
    }

    #[test]
    fn an_incremental_backup_begins_where_a_journal_does() {
        let check = |begin, end, expected: Option<&[&str]>| {
            let files =
                incremental(&disk(&[2, 5, 9]), Path::new("d"), &vclock(begin), &vclock(end));
            let files = files.expect("files").map(|files| lsns(&files));
            let expected =
                expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(files, expected, "{begin} {end}");
        };
        check(2, 12, Some(&["2.xlog", "5.xlog", "9.xlog"]));
        check(5, 9, Some(&["5.xlog"]));
        check(12, 12, Some(&[]));
        check(3, 12, None);
        check(0, 12, None);
    }
}
