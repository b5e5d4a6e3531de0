//! What an operator does with files when no server helps: `lycosa cat`, `lycosa play`, `lycosa check`.
//!
//! Modules in reading order:
//!
//! - `filter`: which rows are wanted.
//! - `syntax`: values and rows as YAML, JSON or Lua.
//! - `cat`: rows of files to the standard output.
//! - `check`: whether a directory would open, without opening it.
//! - `play`: rows of files to a server, as requests.
//! - `progress`: a bar, where somebody looks; `disk`: files that can only be read.
//!
//! Files are read by [`crate::wal`] and nothing else: what these commands say of a file is what recovery would find. They
//! write nothing to the directories that they read, and hold no lock there, so a server may have them open.
//!
//! Runs on the main thread; no log is written. What goes wrong is one line on the standard error.
//!
//! Source: Tarantool `extra/dist/tarantoolctl.in`, cat and play; `tt cat`, `tt play`.

mod cat;
mod check;
mod disk;
mod error;
mod filter;
mod play;
mod progress;
mod syntax;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use self::error::Error;

/// Exit status for a command line that means nothing.
const MISUSED: u8 = 2;

/// The subcommands.
#[derive(Parser)]
#[command(name = "lycosa", version, disable_help_subcommand = true)]
enum Tool {
    Cat(cat::Cat),
    Check(check::Check),
    Play(play::Play),
}

/// Runs the subcommand that the command line names. None if it names none: then a server is wanted.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<OsString> = args.into_iter().collect();
    let named = args.get(1)?.to_str()?;
    let mut command = Tool::command();
    command.find_subcommand(named)?;
    command.build();
    let matches = command.try_get_matches_from_mut(args);
    let tool = match matches.and_then(|mut matches| Tool::from_arg_matches_mut(&mut matches)) {
        Ok(tool) => tool,
        Err(error) => return Some(misused(&error)),
    };
    let done = match tool {
        Tool::Cat(cat) => cat.run(),
        Tool::Check(check) => check.run(),
        Tool::Play(play) => play.run(),
    };
    Some(done.unwrap_or_else(|error| {
        // Who reads the output and leaves has seen enough.
        if !matches!(error, Error::PipeClosed) {
            eprintln!("lycosa: {error}");
        }
        ExitCode::from(error.exit_code())
    }))
}

/// Help goes to the standard output; a mistake is cut down to one line.
fn misused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    // What is missing or wrong stands in lines of its own.
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("lycosa: {}", line.trim_start_matches("error: "));
    ExitCode::from(MISUSED)
}
