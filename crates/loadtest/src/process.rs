//! What `/proc` says of a process and of the machine.

use std::time::Duration;

/// Ticks of `/proc/PID/stat` in a second: `USER_HZ` is 100 on every architecture of Linux that Rust knows.
const TICKS_PER_SECOND: u64 = 100;
/// utime and stime are each rounded down, at both ends of a window, and read a moment apart from the threads.
const ROUNDING: Duration = Duration::from_millis(25);
/// How much rather than others of its session group the load and the server are to run; the lowest that is allowed is -20.
const AUTOGROUP_NICE: &str = "-10";

/// A process, by its id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

/// CPU time of all threads of a process since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// In steps of a tick, like `system`.
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// The sum of the threads that live, to the ns.
    pub(crate) living: Duration,
}

impl Cpu {
    /// What came between.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            living: self.living.saturating_sub(earlier.living),
        }
    }

    /// All of it: to the ns, unless threads have ended, of which only the ticks remain.
    pub(crate) fn total(self) -> Duration {
        let ticks = self.user + self.system;
        if self.living.abs_diff(ticks) <= ROUNDING { self.living } else { ticks }
    }

    /// The part of it outside the kernel, 0 to 1.
    pub(crate) fn user_part(self) -> f64 {
        let ticks = (self.user + self.system).as_secs_f64();
        if ticks > 0.0 { self.user.as_secs_f64() / ticks } else { 0.0 }
    }
}

impl Process {
    /// This one.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// utime, stime and what the scheduler says of the threads; `None` if the process is gone.
    pub(crate) fn cpu(self) -> Option<Cpu> {
        let living = self.threads().iter().map(|(_, spent)| spent).sum();
        Some(Cpu { living, ..cpu(&self.read("stat")?)? })
    }

    /// How long each living thread has been on a CPU, by its id.
    pub(crate) fn threads(self) -> Vec<(u32, Duration)> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten();
        let spent = threads.filter_map(|thread| {
            let id = thread.file_name().to_str()?.parse().ok()?;
            Some((id, spent(&std::fs::read_to_string(thread.path().join("schedstat")).ok()?)?))
        });
        spent.collect()
    }

    /// Resident memory in KiB.
    pub(crate) fn rss_kib(self) -> Option<u64> {
        Some(self.held()?.resident_kib)
    }

    /// Memory it holds now.
    pub(crate) fn held(self) -> Option<Held> {
        let status = self.read("status")?;
        Some(Held { resident_kib: kib(&status, "VmRSS:")?, anonymous_kib: kib(&status, "RssAnon:")? })
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

/// What the busiest of the threads has spent since; those that came or went in between do not count.
pub(crate) fn busiest(before: &[(u32, Duration)], after: &[(u32, Duration)]) -> Option<Duration> {
    let spent = after.iter().filter_map(|(id, after)| {
        let (_, before) = before.iter().find(|(known, _)| known == id)?;
        Some(after.saturating_sub(*before))
    });
    spent.max()
}

fn cpu(stat: &str) -> Option<Cpu> {
    // The name in parentheses may hold anything; field 3 follows its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let time = |ticks: u64| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
    Some(Cpu { user: time(ticks()?), system: time(ticks()?), living: Duration::ZERO })
}

/// The first word of `schedstat`: ns on a CPU.
fn spent(schedstat: &str) -> Option<Duration> {
    Some(Duration::from_nanos(schedstat.split_ascii_whitespace().next()?.parse().ok()?))
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// All that is resident, …
    pub(crate) resident_kib: u64,
    /// … and what of it is no page of a file, such as those of the executable, which are read in when they first run.
    pub(crate) anonymous_kib: u64,
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Threads that ran or wanted to, on the average of the last minute.
pub(crate) fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().next()?.parse().ok()
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
        let ms = Duration::from_millis;
        let expected = Cpu { user: ms(2_500), system: ms(1_300), living: ms(0) };
        assert_eq!(cpu(stat), Some(expected));
        assert_eq!(cpu("42 (x) R 1"), None);
        assert_eq!(cpu(""), None);
    }

    #[test]
    fn time_is_told_to_the_ns_unless_threads_have_ended() {
        let ms = Duration::from_millis;
        assert_eq!(spent("123456 7 8\n"), Some(Duration::from_nanos(123_456)));
        let cpu = |living| Cpu { user: ms(100), system: ms(300), living };
        assert_eq!(cpu(ms(418)).total(), ms(418));
        assert_eq!(cpu(ms(300)).total(), ms(400), "a thread is missing");
        assert!((cpu(ms(418)).user_part() - 0.25).abs() < 1e-9);
        assert!(Process::own().cpu().is_some_and(|own| own.living > Duration::ZERO));
    }

    #[test]
    fn the_busiest_thread_is_the_one_that_spent_most_since() {
        let ms = Duration::from_millis;
        let (before, after) = ([(1, ms(900)), (2, ms(10))], [(1, ms(930)), (2, ms(90)), (3, ms(500))]);
        assert_eq!(busiest(&before, &after), Some(ms(80)));
        assert_eq!(busiest(&[], &after), None);
        assert!(Process::own().threads().iter().any(|(id, _)| *id == std::process::id()));
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tx\nVmRSS:\t   12345 kB\nRssAnon:\t     678 kB\nThreads:\t3\n";
        assert_eq!((kib(status, "VmRSS:"), kib(status, "RssAnon:")), (Some(12_345), Some(678)));
        assert_eq!(kib("Name:\tx\n", "VmRSS:"), None);
    }
}
