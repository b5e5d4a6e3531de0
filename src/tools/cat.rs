//! `lycosa cat`: rows of files to the standard output.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::error::{Error, Result};
use super::filter::{Filter, FilterArgs};
use super::syntax::Format;
use crate::wal::disk::{Disk, OsDisk};
use crate::wal::xlog::{End, Reader};
use crate::wal::{self};

/// Bytes of output that are written at a time.
const WRITE_BYTES: usize = 64 << 10;

/// Print the rows of .snap and .xlog files.
///
/// Rows of system spaces are left out unless --show-system or --space asks for them. The files may be those of a running
/// server: what it has written so far is printed. Memory does not grow with the size of the files.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  lycosa cat 00000000000000000000.xlog
  lycosa cat --format json --space people 00000000000000000086.snap *.xlog | jq .BODY.tuple
  lycosa cat --show-system --from 100 --to 200 00000000000000000086.xlog
  lycosa cat --force damaged.xlog

Exit status: 0 if all was printed, 1 if not, 2 for a command line that means nothing.
An error names the file and the offset; everything before it is printed.")]
pub(super) struct Cat {
    /// The files, in the order in which they are to be printed.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// Go on behind damage, as recovery does with force_recovery; each place is told, and the exit status is 1.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

impl Cat {
    /// Prints to the standard output.
    ///
    /// Errors: damage without `--force`; any damage at the end with it; names of spaces that are not found.
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut out = std::io::stdout().lock();
        let mut tell = |line: String| eprintln!("lycosa: {line}");
        self.print(&OsDisk, &mut out, &mut tell)?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(
        self,
        disk: &dyn Disk,
        out: &mut dyn Write,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        let mut printer = Printer { out, text: String::new(), format: self.format };
        let mut filter = Filter::new(self.filter);
        let mut skipped = 0;
        for path in &self.files {
            let mut has_rows = false;
            let mut reader = match Reader::open_any(disk, path) {
                Ok(reader) => reader,
                Err(error) => {
                    skip(&mut skipped, self.force, error, &mut printer, tell)?;
                    continue;
                }
            };
            loop {
                match reader.next_row() {
                    Ok(Some(row)) => {
                        if filter.takes(&row) {
                            has_rows = true;
                            printer.row(&row)?;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        skip(&mut skipped, self.force, error, &mut printer, tell)?;
                        reader.skip_damage()?;
                    }
                }
            }
            if has_rows && self.format == Format::Yaml {
                printer.text.push_str("...\n\n");
            }
            printer.flush()?;
            if reader.end() == Some(End::Torn) {
                let (path, offset) = (path.display(), reader.offset());
                tell(format!(
                    "{path}: at offset {offset}: the last block is incomplete, its rows are lost or still being written"
                ));
            }
        }
        filter.finish()?;
        if skipped > 0 { Err(Error::Skipped(skipped)) } else { Ok(()) }
    }
}

/// Tells of damage, or gives up; what was printed before is written out.
fn skip(
    skipped: &mut u64,
    is_forced: bool,
    error: wal::Error,
    printer: &mut Printer<'_>,
    tell: &mut dyn FnMut(String),
) -> Result<()> {
    printer.flush()?;
    match error {
        wal::Error::Damaged { .. } if is_forced => {
            *skipped += 1;
            tell(error.to_string());
            Ok(())
        }
        error => Err(error.into()),
    }
}

/// Gathers text and writes it in larger pieces.
struct Printer<'a> {
    out: &'a mut dyn Write,
    text: String,
    format: Format,
}

impl Printer<'_> {
    fn row(&mut self, row: &wal::xlog::Row<'_>) -> Result<()> {
        self.format.row(&mut self.text, row);
        if self.text.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let done = self.out.write_all(self.text.as_bytes()).and_then(|()| self.out.flush());
        self.text.clear();
        done.map_err(Error::output)
    }
}

#[cfg(test)]
mod tests;
