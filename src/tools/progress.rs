//! How far a long piece of work has come: a bar on a terminal, nothing anywhere else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a bar shows of bytes.
const STYLE: &str = "{msg:32!} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";

/// A bar on the standard error. Clones move the same bar.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Bytes of work that there are; the bar knows them too, but may be hidden.
    total: Arc<AtomicU64>,
}

impl Progress {
    /// A bar for no bytes yet.
    pub(super) fn new() -> Self {
        // Draws nothing unless the standard error is a terminal.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template(STYLE).expect("the template is well-formed"));
        Self { bar, total: Arc::default() }
    }

    /// There are so many bytes more to do.
    pub(super) fn more(&self, bytes: u64) {
        let total = self.total.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bar.set_length(total);
    }

    /// So many bytes are done.
    pub(super) fn done(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Names the file at work.
    pub(super) fn name(&self, path: &Path) {
        let name = path.file_name().unwrap_or(path.as_os_str());
        self.bar.set_message(name.to_string_lossy().into_owned());
    }

    /// Prints a line on the standard error without breaking the bar.
    pub(super) fn tell(&self, line: &str) {
        self.bar.suspend(|| eprintln!("lycosa: {line}"));
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
