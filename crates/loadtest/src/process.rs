//! What `/proc` says of a process and of the machine.

use std::time::Duration;

/// Ticks of `/proc/PID/stat` in a second: `USER_HZ` is 100 on every architecture of Linux that Rust knows.
const TICKS_PER_SECOND: u64 = 100;
/// How much rather than others of its session group the load and the server are to run; the lowest that is allowed is -20.
const AUTOGROUP_NICE: &str = "-10";

/// A process, by its id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

/// CPU time of all threads of a process since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    /// What came between.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }

    /// All of it.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Process {
    /// This one.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// utime and stime, in steps of 10 ms; `None` if the process is gone.
    pub(crate) fn cpu(self) -> Option<Cpu> {
        cpu(&self.read("stat")?)
    }

    /// Resident memory in KiB.
    pub(crate) fn rss_kib(self) -> Option<u64> {
        rss(&self.read("status")?)
    }

    /// Open descriptors.
    pub(crate) fn descriptors(self) -> Option<usize> {
        Some(std::fs::read_dir(format!("/proc/{}/fd", self.0)).ok()?.count())
    }

    /// Raises the priority of the process's autogroup (sched(7)); whether that was allowed.
    pub(crate) fn raise(self) -> bool {
        std::fs::write(format!("/proc/{}/autogroup", self.0), AUTOGROUP_NICE).is_ok()
    }

    fn read(self, file: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0)).ok()
    }
}

fn cpu(stat: &str) -> Option<Cpu> {
    // The name in parentheses may hold anything; field 3 follows its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let time = |ticks: u64| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
    Some(Cpu { user: time(ticks()?), system: time(ticks()?) })
}

fn rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The machine: CPU, cores, kernel.
pub(crate) fn machine() -> (String, usize, String) {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (model.unwrap_or("unknown").trim().to_owned(), cores, kernel.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_the_name_whatever_it_is() {
        let stat = "42 (a b) S) R 1 42 42 0 -1 4194304 100 0 0 0 250 130 0 0 20 0 3 0 100 1 2";
        let expected = Cpu { user: Duration::from_millis(2_500), system: Duration::from_millis(1_300) };
        assert_eq!(cpu(stat), Some(expected));
        assert_eq!(cpu("42 (x) R 1"), None);
        assert_eq!(cpu(""), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(rss("Name:\tx\nVmRSS:\t   12345 kB\nThreads:\t3\n"), Some(12_345));
        assert_eq!(rss("Name:\tx\n"), None);
    }
}
