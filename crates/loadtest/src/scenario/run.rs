//! What the runs of all scenarios do alike: a server, a fleet, a window, and what it cost.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::calls;
use crate::clock::Clock;
use crate::connect::{self, JoinError, JoinSpec};
use crate::contestant::Contestant;
use crate::dtls::{DtlsError, Identity};
use crate::figures::{Expectation, Figures, Load, Memory};
use crate::fleet::{Door, Fleet};
use crate::floor::Way;
use crate::options::Common;
use crate::process::{self, Held, Process};
use crate::server::{Server, ServerError};
use crate::signal::Url;

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("a client could not join: {0}")]
    Join(#[from] JoinError),
    #[error(transparent)]
    Dtls(#[from] DtlsError),
    #[error("the generator could not start: {0}")]
    Start(#[from] std::io::Error),
}

/// One run and how it tells of itself.
pub(crate) struct Run<'a> {
    pub(crate) executable: &'a Path,
    /// What is put under load.
    pub(crate) contestant: &'a Contestant,
    /// Whether system calls are counted, too, where that is possible.
    pub(crate) counts_calls: bool,
    pub(crate) common: &'a Common,
    /// Takes a line of progress.
    pub(crate) say: &'a (dyn Fn(String) + Sync),
}

/// A server and the clients on it.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) fleet: Fleet,
    /// Where signalling is, if there is any.
    pub(crate) url: Option<Url>,
    /// The server's memory before the first client.
    held_before: Option<Held>,
    /// And once the first of them had their media, with how many they were.
    held_settled: Option<(Held, u32)>,
    /// Whether both run before other work.
    priority_raised: bool,
}

impl Run<'_> {
    /// Starts or finds the server and gets a fleet ready.
    pub(crate) fn stage(&self) -> Result<Stage, RunError> {
        let (server, entrance) = match self.contestant {
            Contestant::Own => {
                let (server, url) = Server::start(self.executable, &self.common.server_args)?;
                (server, Entrance::Signalling(url))
            }
            Contestant::Peer(executable) => {
                let (server, url) = Server::start(executable, &[])?;
                (server, Entrance::Signalling(url))
            }
            Contestant::Running(url, pid) => {
                let (server, url) = Server::running(url, *pid)?;
                (server, Entrance::Signalling(url))
            }
            Contestant::Floor(sending) => {
                let (server, way) = Server::start_floor(self.executable, sending.name())?;
                (server, Entrance::Known(way))
            }
        };
        let raised = [Some(Process::own()), server.process].map(|process| process.is_none_or(Process::raise));
        let priority_raised = !raised.contains(&false);
        if !priority_raised {
            self.say(
                "the priority within the autogroup could not be raised (see sched(7)); other work may disturb"
                    .to_owned(),
            );
        }
        let clock = Clock::start();
        let url = match &entrance {
            Entrance::Signalling(url) => Some(url.clone()),
            Entrance::Known(_) => None,
        };
        let door = match entrance {
            Entrance::Signalling(url) => Door::Server(connect::Door {
                url,
                identity: Identity::generate()?,
                clock,
                base: Instant::now(),
                prefix: prefix()?,
            }),
            Entrance::Known(way) => Door::Floor(way),
        };
        let held_before = server.process.and_then(Process::held);
        let fleet = Fleet::start(clock, door, self.common.threads)?;
        Ok(Stage { fleet, url, server, held_before, held_settled: None, priority_raised })
    }

    /// Lets all join and settle.
    pub(crate) fn fill(&self, stage: &mut Stage, specs: &[JoinSpec]) -> Result<(), RunError> {
        let began = Instant::now();
        let step = specs.len().div_ceil(4).max(10);
        let (first, others) = specs.split_at(FIRST.min(specs.len()));
        stage.fleet.enter_all(first, &|_| {})?;
        if !others.is_empty() {
            std::thread::sleep(FIRST_ALONE);
            stage.held_settled = stage.server.process.and_then(Process::held).map(|held| (held, FIRST as u32));
        }
        stage.fleet.enter_all(others, &|joined| {
            if joined % step == 0 {
                self.say(format!("{} of {} joined", first.len() + joined, specs.len()));
            }
        })?;
        let Common { warmup, .. } = self.common;
        self.say(format!("{} joined in {:.1} s; {warmup} s to settle", specs.len(), began.elapsed().as_secs_f64()));
        std::thread::sleep(Duration::from_secs(u64::from(*warmup)));
        Ok(())
    }

    /// Measures a window; `tick` is called with each second that has passed of it.
    pub(crate) fn measure(&self, stage: &Stage, expected: &Expectation, mut tick: impl FnMut(u32)) -> Figures {
        let Stage { server, fleet, held_before, held_settled, priority_raised, .. } = stage;
        let seconds = self.common.seconds;
        let (began, began_ns) = (Instant::now(), fleet.now_ns());
        let (from, until) = fleet.measure(Duration::from_secs(u64::from(seconds)));
        sleep_until(from);
        let cpu = || (server.process.and_then(Process::cpu), Process::own().cpu().unwrap_or_default());
        let threads = || server.process.map(Process::threads).unwrap_or_default();
        let ((server_before, own_before), threads_before, start) = (cpu(), threads(), fleet.report());
        for second in 1..seconds {
            sleep_until(from + Duration::from_secs(u64::from(second)));
            tick(second);
            if second % PROGRESS_SECONDS == 0 {
                let delivered: u64 = fleet.report().iter().map(|report| report.delivered).sum();
                self.say(format!("{second} of {seconds} s: {delivered} packets delivered"));
            }
        }
        sleep_until(until);
        let ((server_after, own_after), threads_after) = (cpu(), threads());
        let held_after = server.process.and_then(Process::held);
        std::thread::sleep(DRAIN);
        let mut figures = Figures::of_media(&start, &fleet.report(), expected, f64::from(seconds));
        figures.priority_raised = *priority_raised;
        figures.refused.extend(leap(began.elapsed(), fleet.now_ns().saturating_sub(began_ns)));
        let load = |cpu| Load::of(cpu, figures.delivered, figures.seconds);
        figures.server = server_before.zip(server_after).map(|(before, after)| load(after.since(before)));
        let busiest = process::busiest(&threads_before, &threads_after).filter(|_| figures.delivered > 0);
        figures.busiest_thread_micros_per_packet =
            busiest.map(|spent| spent.as_secs_f64() * 1e6 / figures.delivered as f64);
        figures.generator = load(own_after.since(own_before));
        let memory = held_before.zip(held_after);
        figures.memory = memory.map(|(before, after)| Memory::of(before, *held_settled, after, figures.members));
        figures
    }

    /// Counts the system calls of the process under load for a second; not while CPU is measured, for it costs some.
    pub(crate) fn count_calls(&self, stage: &Stage, figures: &mut Figures) {
        let process = stage.server.process.filter(|_| self.counts_calls);
        let calls = process.and_then(|process| calls::count(process, CALLS_SECONDS));
        let packets = figures.packets_per_second * f64::from(CALLS_SECONDS);
        figures.calls_per_packet = calls.filter(|_| packets > 0.0).map(|calls| calls as f64 / packets);
    }

    /// Tells of progress.
    pub(crate) fn say(&self, line: String) {
        (self.say)(line);
    }
}

/// Why a window does not count in which the clock of the wall, by which packets are marked, did not run as the other one.
fn leap(elapsed: Duration, by_the_wall_ns: u64) -> Option<String> {
    let leap = Duration::from_nanos(by_the_wall_ns).abs_diff(elapsed);
    (leap > LARGEST_LEAP + elapsed / SLEWING).then(|| format!("the clock was set by {} ms meanwhile", leap.as_millis()))
}

/// How clients find what is under load.
enum Entrance {
    Signalling(Url),
    Known(Way),
}

/// Begins the names of a run's rooms, so that runs on one server do not meet.
fn prefix() -> Result<String, RunError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    Ok(format!("bench-{:08x}", u32::from_be_bytes(random)))
}

/// Waits; at once if the time has passed.
pub(crate) fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// Between two clocks that run as they should.
const LARGEST_LEAP: Duration = Duration::from_millis(20);
/// One may be slewed by a thousandth of the time; the kernel does half of that.
const SLEWING: u32 = 1_000;
/// How long the last packets of a window may take, retransmitted ones too.
const DRAIN: Duration = Duration::from_millis(500);
/// Who joins first, and how long before the others: what the server needs once is there by then.
const FIRST: usize = 2;
const FIRST_ALONE: Duration = Duration::from_secs(1);
/// Seconds between two lines of progress.
const PROGRESS_SECONDS: u32 = 2;
/// Seconds in which system calls are counted.
const CALLS_SECONDS: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_spoils_the_window() {
        let elapsed = Duration::from_secs(3);
        assert_eq!(leap(elapsed, 3_019_000_000), None);
        assert_eq!(leap(elapsed, 5_750_000_000).as_deref(), Some("the clock was set by 2750 ms meanwhile"));
        assert!(leap(elapsed, 0).is_some());
    }
}
