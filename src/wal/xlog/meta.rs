//! The text that a file begins with.
//!
//! ```text
//! XLOG
//! 0.13
//! Version: 2.6.0-0-g47aa4e01e
//! Instance: f6f145c0-2aaf-4173-9b71-de1537a81a4f
//! VClock: {1: 86}
//! PrevVClock: {}
//!
//! ```
//!
//! Source: wal.md §1; Tarantool `src/box/xlog.c`, `xlog_meta_format` and `xlog_meta_parse`.

use std::fmt::Write;

use uuid::Uuid;

use super::super::Damage;
use crate::db::journal::{VCLOCK_MAX, Vclock};

/// Bytes that a meta may have.
pub const META_BYTES_MAX: usize = 2048;

/// The version of the format that we write.
const FORMAT_VERSION: &str = "0.13";

/// The version before: as 0.13, with `Server` for `Instance`.
const FORMAT_VERSION_OLD: &str = "0.12";

/// What we write after `Version: `; Tarantool does not read it.
const WRITER_VERSION: &str = concat!("lycosa-", env!("CARGO_PKG_VERSION"));

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileType {
    /// A journal.
    Xlog,
    /// A snapshot.
    Snap,
}

impl FileType {
    /// The first line of the file.
    pub fn line(self) -> &'static str {
        match self {
            Self::Xlog => "XLOG",
            Self::Snap => "SNAP",
        }
    }

    /// The type that a file's first line names.
    pub(super) fn of_line(line: &[u8]) -> Option<Self> {
        [Self::Xlog, Self::Snap].into_iter().find(|file_type| file_type.line().as_bytes() == line)
    }

    /// The end of the file's name, without its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Xlog => "xlog",
            Self::Snap => "snap",
        }
    }
}

/// What a file says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meta {
    /// What the file holds.
    pub file_type: FileType,
    /// The version of the server that wrote the file; empty if the file does not say.
    pub version: String,
    /// The instance that wrote the file; nil if the file does not say.
    pub instance: Uuid,
    /// Journal: the vclock before its first row. Snapshot: the vclock of its content.
    pub vclock: Vclock,
    /// Journal: the vclock of the journal before it; None if it was the first in its directory.
    pub prev_vclock: Option<Vclock>,
}

impl Meta {
    /// The meta of a file that we write.
    pub fn new(file_type: FileType, instance: Uuid, vclock: Vclock) -> Self {
        let version = WRITER_VERSION.to_owned();
        Self { file_type, version, instance, vclock, prev_vclock: None }
    }

    /// The release of Tarantool that wrote the file, major and minor; None if it was none.
    pub fn release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// The text of the meta, the empty line at its end included.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{FORMAT_VERSION}\n", self.file_type.line());
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{key}: {value}").expect("a string takes any text");
        };
        if !self.version.is_empty() {
            line("Version", &self.version);
        }
        line("Instance", &self.instance);
        line("VClock", &self.vclock);
        if let Some(vclock) = &self.prev_vclock {
            line("PrevVClock", vclock);
        }
        text.push('\n');
        text
    }

    /// Parses the text before the empty line. Keys that nobody knows are skipped.
    pub(super) fn parse(text: &str, file_type: FileType) -> Result<Self, Damage> {
        let mut lines = text.split('\n');
        let found = lines.next().unwrap_or_default();
        if found != file_type.line() {
            return Err(Damage::FileType(file_type.line(), found.to_owned()));
        }
        let format = lines.next().unwrap_or_default();
        if format != FORMAT_VERSION && format != FORMAT_VERSION_OLD {
            return Err(Damage::FormatVersion(format.to_owned()));
        }
        let mut meta = Self::new(file_type, Uuid::nil(), Vclock::default());
        meta.version.clear();
        for line in lines {
            let bad = || Damage::MetaLine(line.to_owned());
            let (key, value) = line.split_once(':').ok_or_else(bad)?;
            let value = value.trim();
            match key {
                "Version" => value.clone_into(&mut meta.version),
                "Instance" | "Server" => {
                    meta.instance = Uuid::try_parse(value).map_err(|_| bad())?;
                }
                "VClock" => meta.vclock = parse_vclock(value).ok_or_else(bad)?,
                "PrevVClock" => meta.prev_vclock = Some(parse_vclock(value).ok_or_else(bad)?),
                _ => tracing::warn!("Unknown meta item: '{key}'"),
            }
        }
        Ok(meta)
    }
}

/// Parses `{1: 10, 2: 3}`. Ids out of range or given twice are refused.
fn parse_vclock(text: &str) -> Option<Vclock> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut vclock = Vclock::default();
    if inside.is_empty() {
        return Some(vclock);
    }
    for component in inside.split(',') {
        let (id, lsn) = component.split_once(':')?;
        let id: u32 = id.trim().parse().ok()?;
        // LSNs are signed in Tarantool, and so is their sum.
        let lsn: i64 = lsn.trim().parse().ok()?;
        if id as usize >= VCLOCK_MAX || lsn < 0 || vclock.get(id) != 0 {
            return None;
        }
        vclock.set(id, lsn as u64);
    }
    let sum: u128 = vclock.iter().map(|(_, lsn)| u128::from(lsn)).sum();
    (sum <= i64::MAX as u128).then_some(vclock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let check = |text: &str| {
            let meta = Meta::parse(text.strip_suffix("\n\n").expect("an end"), FileType::Xlog);
            assert_eq!(meta.expect("a meta").text(), text);
        };
        let instance = "Instance: f6f145c0-2aaf-4173-9b71-de1537a81a4f\n";
        check(&format!("XLOG\n0.13\n{instance}VClock: {{}}\n\n"));
        let mut meta = Meta::new(FileType::Xlog, Uuid::nil(), Vclock::default());
        assert_eq!(meta.release(), None);
        for (version, release) in [("2.6.0-0-g47aa4e01e", (2, 6)), ("3.10.1", (3, 10))] {
            meta.version = version.to_owned();
            assert_eq!(meta.release(), Some(release));
        }
        check(&format!(
            "XLOG\n0.13\nVersion: 2.6\n{instance}VClock: {{0: 1, 1: 10}}\nPrevVClock: {{}}\n\n"
        ));
    }

    #[test]
    fn what_readers_take_though_writers_do_not_write_it() {
        let meta = Meta::parse(
            "SNAP\n0.12\nServer: f6f145c0-2aaf-4173-9b71-de1537a81a4f\nColor: red\nVClock: { 1:2,  3 : 4 }",
            FileType::Snap,
        );
        let meta = meta.expect("a meta");
        assert_eq!(meta.vclock.to_string(), "{1: 2, 3: 4}");
        assert!(!meta.instance.is_nil());
    }

    #[test]
    fn what_is_refused() {
        let check = |text: &str, damage: Damage| {
            assert_eq!(Meta::parse(text, FileType::Xlog), Err(damage), "{text}");
        };
        check("SNAP\n0.13", Damage::FileType("XLOG", "SNAP".into()));
        check("", Damage::FileType("XLOG", String::new()));
        check("XLOG\n0.14", Damage::FormatVersion("0.14".into()));
        for line in [
            "VClock",
            "VClock: ",
            "VClock: {1}",
            "VClock: {1: -2}",
            "VClock: {32: 1}",
            "VClock: {1: 2, 1: 3}",
            "VClock: {1: 9223372036854775808}",
            "VClock: {1: 9223372036854775807, 2: 1}",
            "Instance: 1",
        ] {
            check(&format!("XLOG\n0.13\n{line}"), Damage::MetaLine(line.into()));
        }
    }
}
