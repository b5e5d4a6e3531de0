//! Where the password comes from: never the command line, which every user of the machine can read.

use std::path::Path;

use super::super::error::{Error, Result};

/// The variable, as `tt` has it.
const PASSWORD_ENV: &str = "TT_CLI_PASSWORD";

/// The first line of the file, else the variable, else nothing.
pub(super) fn read(file: Option<&Path>) -> Result<String> {
    let Some(path) = file else { return Ok(std::env::var(PASSWORD_ENV).unwrap_or_default()) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
        Err(error) => Err(Error::PasswordFile(path.to_owned(), error)),
    }
}
