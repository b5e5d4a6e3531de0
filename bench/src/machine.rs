//! What a result depends on besides the servers: processor, kernel, compiler, commit, day.

use std::fs;
use std::process::Command;
use std::thread;

/// Lines for the head of a report.
pub(crate) fn describe() -> Vec<String> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    vec![
        format!(
            "machine: {}, {cores} cores, {} of memory, Linux {}",
            processor().unwrap_or_else(|| "unknown processor".to_owned()),
            memory().unwrap_or_else(|| "unknown amount".to_owned()),
            kernel().unwrap_or_else(|| "unknown".to_owned()),
        ),
        format!("compiler: {}", answer("rustc", &["--version"])),
        format!("commit: {}", answer("git", &["describe", "--always", "--dirty", "--abbrev=12"])),
        format!("date: {}", answer("date", &["--utc", "+%Y-%m-%d"])),
    ]
}

/// The processor's name.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The machine's memory.
fn memory() -> Option<String> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(format!("{:.0} GB", kilobytes * 1024.0 / 1e9))
}

/// The kernel's release.
fn kernel() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/osrelease").ok()?.trim().to_owned())
}

/// The first line that a command prints, or "unknown".
fn answer(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().ok();
    let output = output.filter(|output| output.status.success());
    let line = output.and_then(|output| {
        String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
    });
    line.unwrap_or_else(|| "unknown".to_owned())
}
