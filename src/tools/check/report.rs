//! What a check has found, as a table and as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::file::{FileReport, State};
use crate::db::Database;
use crate::wal::xlog::FileType;

/// What became of loading the files.
#[derive(Debug)]
pub(super) enum Recovery {
    /// Not wanted.
    NotTried,
    /// A start would succeed.
    Done {
        /// The vclock that it reaches.
        vclock: String,
        /// Spaces, those of the system among them.
        spaces: u64,
        /// Tuples in all of them.
        tuples: u64,
    },
    /// A start would fail, and why.
    Refused(String),
}

impl Recovery {
    /// Counts what was loaded.
    pub(super) fn of(db: &Database) -> Self {
        let len =
            |space: &crate::db::space::Space| space.primary().map_or(0, |index| index.len() as u64);
        Self::Done {
            vclock: db.vclock().to_string(),
            spaces: db.spaces().count() as u64,
            tuples: db.spaces().map(len).sum(),
        }
    }
}

/// What a check has found.
#[derive(Debug)]
pub(super) struct Report {
    /// The directory that was checked.
    pub(super) dir: PathBuf,
    /// Every file.
    pub(super) files: Vec<FileReport>,
    /// What is wrong between files.
    pub(super) problems: Vec<String>,
    /// Whether a start would succeed.
    pub(super) recovery: Recovery,
}

/// The head of the table.
const COLUMNS: [&str; 7] = ["", "FILE", "ROWS", "FIRST LSN", "LAST LSN", "SIZE", "STATE"];

impl Report {
    /// 0: all is well; 1: a start succeeds, but something is wrong; 2: a start fails.
    pub(super) fn exit_code(&self) -> u8 {
        match (&self.recovery, self.count_of_problems()) {
            (Recovery::Refused(_), _) => 2,
            (_, 0) => 0,
            _ => 1,
        }
    }

    /// The report for people: a table, what is wrong, the verdict.
    pub(super) fn table(&self) -> String {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        lines.extend(self.files.iter().map(|file| self.line(file)));
        let mut widths = [0; COLUMNS.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for line in &lines {
            let [mark, name, rows, first, last, size, state] = line;
            let [w_mark, w_name, w_rows, w_first, w_last, w_size, _] = widths;
            let _ = writeln!(
                text,
                "{mark:w_mark$} {name:w_name$}  {rows:>w_rows$}  {first:>w_first$}  \
                 {last:>w_last$}  {size:>w_size$}  {state}"
            );
        }
        text.push('\n');
        for problem in &self.problems {
            let _ = writeln!(text, "{problem}");
        }
        let _ = writeln!(text, "{}", self.verdict());
        text
    }

    /// The report for programs: one object on one line.
    pub(super) fn json(&self) -> String {
        let files = self.files.iter().map(|file| {
            let (state, detail) = words(&file.state);
            json!({
                "file": file.path.display().to_string(),
                "type": file.file_type.map(FileType::extension),
                "size": file.size,
                "rows": file.rows,
                "first_lsn": file.lsns.map(|[first, _]| first),
                "last_lsn": file.lsns.map(|[_, last]| last),
                "vclock": file.meta.as_ref().map(|meta| meta.vclock.to_string()),
                "instance": file.instance().map(|uuid| uuid.to_string()),
                "is_needed": file.is_needed(&self.files),
                "state": state,
                "detail": detail,
            })
        });
        let recovery = match &self.recovery {
            Recovery::NotTried => Value::Null,
            Recovery::Done { vclock, spaces, tuples } => {
                json!({"vclock": vclock, "spaces": spaces, "tuples": tuples})
            }
            Recovery::Refused(error) => json!({"error": error}),
        };
        let report = json!({
            "directory": self.dir.display().to_string(),
            "files": files.collect::<Vec<_>>(),
            "problems": self.problems,
            "recovery": recovery,
            "verdict": self.verdict(),
            "exit_code": self.exit_code(),
        });
        format!("{report}\n")
    }

    /// The outcome in a sentence.
    fn verdict(&self) -> String {
        let count = self.count_of_problems();
        let problems = match count {
            0 => "no problems".to_owned(),
            1 => "1 problem, see above".to_owned(),
            _ => format!("{count} problems, see above"),
        };
        match &self.recovery {
            Recovery::NotTried => format!("files read, nothing loaded: {problems}"),
            Recovery::Refused(error) => format!("does not start: {error}"),
            Recovery::Done { vclock, spaces, tuples } => format!(
                "starts at {vclock} with {spaces} spaces and {tuples} tuples from the files marked *: {problems}"
            ),
        }
    }

    fn count_of_problems(&self) -> usize {
        let is_bad = |file: &&FileReport| match file.state {
            State::Closed | State::Open | State::LeftOver | State::Gone => false,
            State::Torn { .. } | State::Damaged { .. } | State::Unreadable(_) => true,
        };
        self.problems.len() + self.files.iter().filter(is_bad).count()
    }

    /// A line of the table.
    fn line(&self, file: &FileReport) -> [String; COLUMNS.len()] {
        let (word, detail) = words(&file.state);
        let [first, last] = match file.lsns {
            Some(lsns) => lsns.map(|lsn| lsn.to_string()),
            None => ["-".to_owned(), "-".to_owned()],
        };
        let mark = if file.is_needed(&self.files) { "*" } else { "" };
        [
            mark.to_owned(),
            file.name(),
            file.rows.to_string(),
            first,
            last,
            HumanBytes(file.size).to_string(),
            detail.map_or_else(|| word.to_owned(), |detail| format!("{word} {detail}")),
        ]
    }
}

/// A state as a word, and what there is to say beyond it.
fn words(state: &State) -> (&'static str, Option<String>) {
    match state {
        State::Closed => ("ok", None),
        State::Open => ("open", None),
        State::Torn { offset } => ("torn", Some(format!("at offset {offset}"))),
        State::Damaged { first, more: 0 } => ("damaged", Some(first.clone())),
        State::Damaged { first, more } => {
            ("damaged", Some(format!("{first}; and in {more} more places")))
        }
        State::Unreadable(why) => ("unreadable", Some(why.clone())),
        State::LeftOver => ("left over", None),
        State::Gone => ("gone", None),
    }
}
