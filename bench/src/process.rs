//! What the kernel says about processes: CPU time, memory, and which of them listens on a port.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A process on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: u32,
}

impl Process {
    /// This process.
    pub(crate) fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// The process that listens on `address`; `None` if that is on another machine, or is not
    /// ours to look at.
    pub(crate) fn listening(address: &str) -> Option<Self> {
        let address = address.to_socket_addrs().ok()?.find(|found| found.ip().is_loopback())?;
        // The kernel writes its table page by page: a line may be missed while sockets come and go.
        let inode = (0..3).find_map(|_| listening_inode(address))?;
        let socket = format!("socket:[{inode}]");
        let pids = fs::read_dir("/proc").ok()?.flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.map(|pid| Self { pid }).find(|process| process.has_open(&socket))
    }

    /// CPU time of all threads so far, in steps of a clock tick (10 ms); `None` if the process is
    /// gone.
    pub(crate) fn cpu(self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        Some(Duration::from_secs_f64(cpu_ticks(&stat)? as f64 / ticks_per_second()))
    }

    /// Memory resident now, in bytes.
    pub(crate) fn resident_memory(self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that was ever resident, in bytes.
    pub(crate) fn peak_memory(self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// A line of `/proc/PID/status` in kB, as bytes.
    fn status(self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Whether a descriptor of the process is `target`.
    fn has_open(self, target: &str) -> bool {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{}/fd", self.pid)) else {
            return false;
        };
        descriptors
            .flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == target))
    }
}

/// CPU time of everything on this machine so far: all processes, the kernel, and what the host
/// took away.
pub(crate) fn machine_cpu() -> Option<Duration> {
    let ticks = busy_ticks(&fs::read_to_string("/proc/stat").ok()?)?;
    Some(Duration::from_secs_f64(ticks as f64 / ticks_per_second()))
}

/// Ticks that were not idle in the first line of `/proc/stat`: user, nice, system, (idle, iowait),
/// irq, softirq, steal.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let fields = fields.take(8).map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    Some(fields.iter().sum::<u64>() - fields.get(3)? - fields.get(4)?)
}

/// Clock ticks per second, the unit of CPU time in `/proc`.
fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// utime + stime, fields 14 and 15 of `/proc/PID/stat`. The name before them may hold spaces and
/// parentheses, so fields are counted from the last parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The inode of the socket that listens on the port of `address`.
fn listening_inode(address: SocketAddr) -> Option<u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|path| {
        let sockets = fs::read_to_string(path).ok()?;
        sockets.lines().find_map(|line| inode_if_listening(line, address.port()))
    })
}

/// The inode in a line of `/proc/net/tcp`, if that socket listens on `port`.
fn inode_if_listening(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let is_wanted =
        u16::from_str_radix(local_port, 16) == Ok(port) && fields.get(3) == Some(&LISTEN);
    if is_wanted { fields.get(9)?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 99";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn waiting_is_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 3 1000 1000 4 5 6 100 100\ncpu0 9 9"), Some(21));
        assert_eq!(busy_ticks("cpu  1 2 3"), None);
    }

    #[test]
    fn only_listening_sockets_count() {
        let line = |state| {
            format!(
                "0: 0100007F:0CE5 00000000:0000 {state} 00000000:00000000 00:00000000 0 0 0 4242"
            )
        };
        assert_eq!(inode_if_listening(&line("0A"), 3301), Some(4242));
        assert_eq!(inode_if_listening(&line("01"), 3301), None);
        assert_eq!(inode_if_listening(&line("0A"), 3302), None);
        assert_eq!(inode_if_listening("sl local_address rem_address st", 3301), None);
    }

    #[test]
    fn finds_the_process_behind_a_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(Process::listening(&address), Some(Process::own()));
        assert!(Process::own().cpu().is_some());
        // In this order: the process may grow between the two.
        let resident = Process::own().resident_memory();
        assert!(resident.is_some() && Process::own().peak_memory() >= resident);
    }
}
