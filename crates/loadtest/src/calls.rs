//! System calls of another process, as `perf` counts them.

use std::process::{Command, Stdio};

use crate::process::Process;

/// Counts for so many seconds; `None` where there is no perf or it is not allowed.
pub(crate) fn count(process: Process, seconds: u32) -> Option<u64> {
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", EVENT, "-p", &process.0.to_string(), "--", "sleep", &seconds.to_string()]);
    let output = perf.stdin(Stdio::null()).output().ok()?;
    read(&String::from_utf8_lossy(&output.stderr))
}

/// The first field of the line of the event.
fn read(said: &str) -> Option<u64> {
    said.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

/// Fires at the beginning of every system call.
const EVENT: &str = "raw_syscalls:sys_enter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_and_its_absence_too() {
        assert_eq!(read("1234,,raw_syscalls:sys_enter,2001000,100.00,,\n"), Some(1234));
        assert_eq!(read("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n"), None);
        assert_eq!(read("event syntax error: unknown tracepoint"), None);
    }
}
