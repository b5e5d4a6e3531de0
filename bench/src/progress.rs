//! One line on a terminal that says what is being measured; nothing if stderr is not a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

/// The line; it goes away with its owner.
pub(crate) struct Progress {
    /// Whether anybody sees it.
    is_terminal: bool,
    /// What is being measured.
    label: String,
}

impl Progress {
    /// No line yet.
    pub(crate) fn new() -> Self {
        Self { is_terminal: stderr().is_terminal(), label: String::new() }
    }

    /// Begins something else.
    pub(crate) fn begin(&mut self, label: String) {
        self.label = label;
        self.show("");
    }

    /// Tells how far it is.
    pub(crate) fn tick(&self, elapsed: Duration, whole: Duration) {
        self.show(&format!("{:.1} of {:.1} s", elapsed.as_secs_f64(), whole.as_secs_f64()));
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        self.write("\r\x1b[K");
    }

    /// Writes the line anew.
    fn show(&self, detail: &str) {
        self.write(&format!("\r\x1b[K{} {detail}", self.label));
    }

    /// Writes to the terminal; a terminal that went away is no reason to stop.
    fn write(&self, text: &str) {
        if self.is_terminal {
            let _ = stderr().write_all(text.as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
