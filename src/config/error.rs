//! Why there is no configuration.

use std::fmt;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file.
    File,
    /// An environment variable.
    Env(&'static str),
    /// A command line option, without its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Env(name) => write!(f, " (from {name})"),
            Self::Flag(name) => write!(f, " (from --{name})"),
        }
    }
}

/// Why there is no configuration. Shown as one line.
#[derive(Debug)]
pub enum ConfigError {
    /// A key of the file, or an environment variable, that no option has.
    UnknownKey {
        /// The key with the path to it.
        key: String,
        /// The closest name that exists.
        near: Option<String>,
    },
    /// A value that its option does not allow.
    BadValue {
        /// The option's path, with the keys inside the option after it.
        key: String,
        /// The value, fit to be shown.
        value: String,
        /// What is allowed.
        allowed: String,
        /// Where the value came from.
        origin: Origin,
    },
    /// The file cannot be read or is not YAML.
    File {
        /// The file.
        file: String,
        /// What went wrong.
        cause: String,
    },
    /// The command line does not parse.
    CommandLine(String),
    /// Not an error: the text of `--help` or `--version`.
    Shown(String),
}

impl ConfigError {
    /// What the process should end with.
    pub fn exit_code(&self) -> u8 {
        u8::from(!matches!(self, Self::Shown(_)))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, near } => {
                write!(f, "{}: no such option", one_line(key))?;
                near.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean {near}?"))
            }
            Self::BadValue { key, value, allowed, origin } => {
                let (key, value) = (one_line(key), one_line(value));
                write!(f, "{key}: {value} is not allowed; {allowed}{origin}")
            }
            Self::File { file, cause } => write!(f, "{file}: {}", one_line(cause)),
            Self::CommandLine(text) | Self::Shown(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A text without the line breaks and other control characters that a key of YAML may hold.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The name of `known` that is closest to `name`, if one is close enough to have been meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = |candidate: &&str| distance(name, candidate) <= 1 + name.len() / 6;
    known.filter(close).min_by_key(|candidate| distance(name, candidate))
}

/// Insertions, removals and exchanges of characters that turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let exchanged = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
