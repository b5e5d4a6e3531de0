//! `lycosa check`: whether a directory would open, without opening it.
//!
//! ```text
//! list --> each file from its start to its end --> what lies between files --> all of it in memory, as at a start
//!  ^                                                                             |
//!  '--------------- a server has added or removed files meanwhile ---------------'
//! ```
//!
//! The last step runs the code that a start runs. Nothing is written, and no lock is taken: a server may have the directory
//! open. What it appends while a file is read is left for the next check.

mod between;
mod file;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use self::file::FileReport;
use self::report::{Recovery, Report};
use super::disk::ReadOnlyDisk;
use super::error::{Error, Result};
use super::progress::Progress;
use crate::instance::rebuild;
use crate::wal::disk::Disk;
use crate::wal::recovery::Scan;
use crate::wal::xlog::{FileType, INPROGRESS, signature};

/// Times that everything is looked at anew because files came or went.
const ATTEMPTS_MAX: u32 = 4;

/// Verify the files of a data directory without opening it for work.
///
/// Every .snap and .xlog file is read to its end: header, checksums, rows, LSNs, instance UUID, what is missing between
/// files. Then the newest snapshot and the journals after it are loaded in memory with the code that a start runs, which
/// takes as much memory as the server does. Nothing is written and nothing is locked, so a running server may have the
/// directory open.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  lycosa check /var/lib/lycosa
  lycosa check --wal-dir /var/lib/lycosa/wal /var/lib/lycosa/snap
  lycosa check --files-only --json /backup/monday | jq .verdict

States of a file:
  ok          whole, and closed with its end marker
  open        whole so far, but not closed: a server writes it, or was killed
  torn        the last block is incomplete; recovery keeps the rows before it
  damaged     what is wrong, and at which offset
  left over   an .inprogress file, which the next start removes
  gone        removed while it was being checked

Exit status: 0 if a start would find everything, 1 if it would start but something is wrong with
the files, 2 if it would not start, or if nothing could be checked.")]
pub(super) struct Check {
    /// The directory of the snapshots, and of the journals unless --wal-dir names another.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The directory of the journals.
    #[arg(long, value_name = "DIR")]
    wal_dir: Option<PathBuf>,
    /// Check each file, but load nothing: for directories that need more memory than there is.
    #[arg(long)]
    files_only: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Prints the report.
    ///
    /// Errors: directories that cannot be read or that hold no files of a database. Everything else is in the report.
    pub(super) fn run(self) -> Result<ExitCode> {
        let progress = Progress::new();
        let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk::new(progress.clone()));
        let report = self.look(&disk, &progress);
        progress.finish();
        let report = report?;
        let text = if self.json { report.json() } else { report.table() };
        match std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes()) {
            Ok(()) => Ok(ExitCode::from(report.exit_code())),
            Err(error) => Err(Error::output(error)),
        }
    }

    /// Looks until nothing changes meanwhile, or often enough.
    fn look(&self, disk: &Arc<dyn Disk>, progress: &Progress) -> Result<Report> {
        let wal_dir = self.wal_dir.as_ref().unwrap_or(&self.dir);
        for attempt in 1.. {
            let paths = paths(&**disk, &self.dir, wal_dir)?;
            if !paths.iter().any(|(_, file_type)| file_type.is_some()) {
                return Err(Error::NothingToCheck(self.dir.clone()));
            }
            let report = self.look_once(disk, &paths, wal_dir, progress);
            let is_changed = paths != self::paths(&**disk, &self.dir, wal_dir)?;
            if !is_changed || report.exit_code() == 0 || attempt == ATTEMPTS_MAX {
                return Ok(report);
            }
        }
        unreachable!("the last attempt returns");
    }

    fn look_once(
        &self,
        disk: &Arc<dyn Disk>,
        paths: &[(PathBuf, Option<FileType>)],
        wal_dir: &Path,
        progress: &Progress,
    ) -> Report {
        paths.iter().for_each(|(path, _)| progress.more(size(path)));
        let files: Vec<FileReport> = paths
            .iter()
            .map(|(path, file_type)| FileReport::of(&**disk, path, *file_type))
            .collect();
        let problems = between::problems(&files);
        let recovery = if self.files_only {
            Recovery::NotTried
        } else {
            // What a start reads once more.
            files.iter().filter(|file| file.is_needed(&files)).for_each(|file| {
                progress.more(file.size);
            });
            let scan = Scan::look(disk.clone(), &self.dir, wal_dir);
            match scan.map_err(Into::into).and_then(rebuild) {
                Ok(db) => Recovery::of(&db),
                Err(error) => Recovery::Refused(error.to_string()),
            }
        };
        Report { dir: self.dir.clone(), files, problems, recovery }
    }
}

/// Files of a database by their place in time, snapshots first; then what is left over, which has no type.
fn paths(
    disk: &dyn Disk,
    snap_dir: &Path,
    wal_dir: &Path,
) -> Result<Vec<(PathBuf, Option<FileType>)>> {
    let mut found = Vec::new();
    for (dir, file_type) in [(snap_dir, FileType::Snap), (wal_dir, FileType::Xlog)] {
        let names = disk.list(dir).map_err(|error| Error::Directory(dir.to_owned(), error))?;
        for name in names {
            let final_name = name.strip_suffix(INPROGRESS);
            let Some(place) = signature(final_name.unwrap_or(&name), file_type) else { continue };
            let is_left_over = final_name.is_some();
            found.push((is_left_over, place, file_type == FileType::Xlog, dir.join(&name)));
        }
    }
    found.sort();
    let typed = |is_xlog| if is_xlog { FileType::Xlog } else { FileType::Snap };
    let typed = |(is_left_over, _, is_xlog, path): (bool, u64, bool, PathBuf)| {
        (path, (!is_left_over).then(|| typed(is_xlog)))
    };
    Ok(found.into_iter().map(typed).collect())
}

/// Bytes of a file; 0 if nobody can tell.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
