//! `lycosa play`: rows of files to a server, as requests.
//!
//! ```text
//! files --rows that are wanted--> Player --requests--> Connection ==> server
//!                                   |  <--replies, one by one--  |
//!                                   '- a window of requests whose replies have not come yet
//! ```
//!
//! Requests are the rows' bodies as they stand in the file. Where the server has streams, the rows of a transaction of several
//! go between BEGIN and COMMIT, and the commit is not sent before each of them has succeeded. The first error ends it all:
//! nothing more is sent, what is on its way is waited for and told.
//!
//! Source: Tarantool `extra/dist/tarantoolctl.in`, play, which sends each row when the one before is answered.

mod connection;
mod password;
mod player;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use self::connection::{Address, Connection};
use self::player::Player;
pub(super) use self::player::{Played, Refused};
use super::disk::ReadOnlyDisk;
use super::error::{Error, Result};
use super::filter::{Filter, FilterArgs};
use super::progress::Progress;
use crate::wal::xlog::{End, Reader};

/// Send the rows of .snap and .xlog files to a server.
///
/// The server is any that speaks IPROTO: Lycosa, Tarantool. Rows of system spaces are left out unless --show-system or
/// --space asks for them, so the spaces have to be there already. Rows of one transaction are applied as one where the
/// server has streams and transactions in them (Lycosa; Tarantool 2.10 or newer with memtx_use_mvcc_engine); elsewhere, and
/// with --row-by-row, one by one as tarantoolctl does.
///
/// The first error ends it. What was already on its way is finished and told, with the LSN to go on from.
#[derive(clap::Args)]
#[command(override_usage = "lycosa play [OPTIONS] <FILE>... <HOST:PORT>")]
#[command(after_help = "\
Examples:
  lycosa play 00000000000000000086.xlog localhost:3301
  lycosa play --user app --password-file secret --space people *.xlog db1:3301
  TT_CLI_PASSWORD=secret lycosa play --user app --from 100 --to 200 a.xlog db1:3301

Exit status: 0 if every row was applied, 1 if not, 2 for a command line that means nothing.")]
pub(super) struct Play {
    /// The files, in the order in which they are to be played, and the server's HOST:PORT (which may also come first).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The user to log in as; guest without.
    #[arg(long, env = "TT_CLI_USERNAME", value_name = "NAME")]
    user: Option<String>,
    /// A file whose first line is the password. Without, it is taken from the environment variable TT_CLI_PASSWORD.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Requests that may be on their way at a time; 1 waits for each reply.
    #[arg(long, value_name = "COUNT", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Send the rows of transactions one by one even if the server could apply them as one.
    #[arg(long)]
    row_by_row: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

impl Play {
    /// Sends all rows and prints how many there were.
    ///
    /// Errors: damage; a server that cannot be reached, or that refuses; names of spaces that are not found.
    pub(super) fn run(mut self) -> Result<ExitCode> {
        let address = self.take_address()?;
        let password = password::read(self.password_file.as_deref())?;
        let mut connection = Connection::open(address)?;
        if let Some(user) = &self.user {
            connection.authenticate(user, password.as_bytes())?;
        }
        let has_transactions = !self.row_by_row && connection.has_transactions()?;
        let progress = Progress::new();
        let mut player = Player::new(connection, self.in_flight as usize, has_transactions);
        let played = self.play(&mut player, &progress);
        progress.finish();
        // Whatever the end was, what is on its way is part of the story.
        let played = player.finish(played)?;
        if played.is_torn_apart && !self.row_by_row {
            eprintln!(
                "lycosa: the server has no transactions in streams: rows of transactions were sent one by one"
            );
        }
        println!("{played}");
        Ok(ExitCode::SUCCESS)
    }

    /// Takes the server's address from the end of the arguments, or from their start, where tarantoolctl wants it.
    fn take_address(&mut self) -> Result<Address> {
        if let [only] = self.files.as_slice() {
            return Err(Error::NoAddress(only.clone()));
        }
        let parse = |path: &PathBuf| path.to_str().and_then(Address::parse);
        if let Some(address) = self.files.last().and_then(parse) {
            self.files.pop();
            return Ok(address);
        }
        match self.files.first().and_then(parse) {
            Some(address) => {
                self.files.remove(0);
                Ok(address)
            }
            None => Err(Error::NoAddress(self.files.pop().unwrap_or_default())),
        }
    }

    fn play(&self, player: &mut Player, progress: &Progress) -> Result<()> {
        let disk = ReadOnlyDisk::new(progress.clone());
        let mut filter = Filter::new(self.filter.clone());
        for path in &self.files {
            progress.more(std::fs::metadata(path).map_or(0, |file| file.len()));
        }
        for path in &self.files {
            let mut reader = Reader::open_any(&disk, path)?;
            let shared: Arc<Path> = path.as_path().into();
            while let Some(row) = reader.next_row()? {
                let is_wanted = filter.takes(&row);
                player.row(&row, &shared, is_wanted)?;
            }
            player.end_of_file(&shared)?;
            if reader.end() == Some(End::Torn) {
                let (path, offset) = (path.display(), reader.offset());
                progress.tell(&format!(
                    "{path}: at offset {offset}: the last block is incomplete and was not played"
                ));
            }
        }
        filter.finish()
    }
}
