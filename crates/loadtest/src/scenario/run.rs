//! What the runs of all scenarios do alike: a server, a fleet, a window, and what it cost.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::connect::{Door, JoinError, JoinSpec};
use crate::dtls::{DtlsError, Identity};
use crate::figures::{Expectation, Figures, Load, Memory};
use crate::fleet::Fleet;
use crate::options::Common;
use crate::process::Process;
use crate::server::{Server, ServerError};

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
    pub(crate) common: &'a Common,
    /// Takes a line of progress.
    pub(crate) say: &'a (dyn Fn(String) + Sync),
}

/// A server and the clients on it.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) fleet: Fleet,
    /// The server's memory before the first client, in KiB.
    rss_before_kib: Option<u64>,
    /// Whether both run before other work.
    priority_raised: bool,
}

impl Run<'_> {
    /// Starts or finds the server and gets a fleet ready.
    pub(crate) fn stage(&self) -> Result<Stage, RunError> {
        let Common { url, pid, threads, server_args, .. } = self.common;
        let server = match url {
            Some(url) => Server::running(url, *pid)?,
            None => Server::start(self.executable, server_args)?,
        };
        let raised = [Some(Process::own()), server.process].map(|process| process.is_none_or(Process::raise));
        let priority_raised = !raised.contains(&false);
        if !priority_raised {
            self.say(
                "the priority within the autogroup could not be raised (see sched(7)); other work may disturb"
                    .to_owned(),
            );
        }
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let door = Door {
            url: server.url.clone(),
            identity: Identity::generate()?,
            clock: Clock::start(),
            base: Instant::now(),
            prefix: format!("bench-{:08x}", u32::from_be_bytes(random)),
        };
        let rss_before_kib = server.process.and_then(Process::rss_kib);
        Ok(Stage { fleet: Fleet::start(door, *threads)?, server, rss_before_kib, priority_raised })
    }

    /// Lets all join and settle.
    pub(crate) fn fill(&self, stage: &Stage, specs: &[JoinSpec]) -> Result<(), RunError> {
        let began = Instant::now();
        let step = specs.len().div_ceil(4).max(10);
        stage.fleet.enter_all(specs, &|joined| {
            if joined % step == 0 {
                self.say(format!("{joined} of {} joined", specs.len()));
            }
        })?;
        let Common { warmup, .. } = self.common;
        self.say(format!("{} joined in {:.1} s; {warmup} s to settle", specs.len(), began.elapsed().as_secs_f64()));
        std::thread::sleep(Duration::from_secs(u64::from(*warmup)));
        Ok(())
    }

    /// Measures a window; `tick` is called with each second that has passed of it.
    pub(crate) fn measure(&self, stage: &Stage, expected: &Expectation, mut tick: impl FnMut(u32)) -> Figures {
        let Stage { server, fleet, rss_before_kib, priority_raised } = stage;
        let seconds = self.common.seconds;
        let (from, until) = fleet.measure(Duration::from_secs(u64::from(seconds)));
        sleep_until(from);
        let cpu = || (server.process.and_then(Process::cpu), Process::own().cpu().unwrap_or_default());
        let ((server_before, own_before), start) = (cpu(), fleet.report());
        for second in 1..seconds {
            sleep_until(from + Duration::from_secs(u64::from(second)));
            tick(second);
            if second % PROGRESS_SECONDS == 0 {
                let delivered: u64 = fleet.report().iter().map(|report| report.delivered).sum();
                self.say(format!("{second} of {seconds} s: {delivered} packets delivered"));
            }
        }
        sleep_until(until);
        let (server_after, own_after) = cpu();
        let rss_after_kib = server.process.and_then(Process::rss_kib);
        std::thread::sleep(DRAIN);
        let mut figures = Figures::of_media(&start, &fleet.report(), expected, f64::from(seconds));
        figures.priority_raised = *priority_raised;
        let load = |cpu| Load::of(cpu, figures.delivered, figures.seconds);
        figures.server = server_before.zip(server_after).map(|(before, after)| load(after.since(before)));
        figures.generator = load(own_after.since(own_before));
        let memory = rss_before_kib.zip(rss_after_kib);
        figures.memory = memory.map(|(before, after)| Memory::of(before, after, figures.members));
        figures
    }

    /// Tells of progress.
    pub(crate) fn say(&self, line: String) {
        (self.say)(line);
    }
}

/// Waits; at once if the time has passed.
pub(crate) fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// How long the last packets of a window may take, retransmitted ones too.
const DRAIN: Duration = Duration::from_millis(500);
/// Seconds between two lines of progress.
const PROGRESS_SECONDS: u32 = 2;
