//! Judges whether a stream of media had a gap that the server is to blame for.
//!
//! Tests share their machine, so a gap between two arrivals may have causes that say nothing about the
//! server: the sender was late (packets carry the time they left), the test process was not run (a
//! thread that sleeps in short steps notices), the machine as a whole stood still (a control stream
//! through another server process stood still at the same time), or the server's thread was ready but
//! got no processor (the kernel counts that in `schedstat`). What is left of a gap after all these is
//! the server's.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use roundtable::protocol::event::TrackSource::Microphone;
use roundtable_client::synthetic::now_us;
use roundtable_client::{Arrival, Client};

use super::mark_of;

/// Microphones send that often.
const PACE_US: u64 = 20_000;
/// How often the watch looks.
const STEP: Duration = Duration::from_millis(5);
/// Arrivals that may wait to be noted.
const CAPACITY: usize = 4096;

/// Arrivals of one microphone at one listener.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Stream {
    /// Notes from now on when packets of `of`'s microphone come to `listener`.
    pub(crate) fn listen(listener: &Client, of: &Client) -> Self {
        let mark = mark_of(of, Microphone);
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let notes = Arc::clone(&arrivals);
        let mut coming = listener.arrivals(CAPACITY);
        tokio::spawn(async move {
            while let Some(arrival) = coming.recv().await {
                if arrival.stamp.mark == mark {
                    notes.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
                }
            }
        });
        Self { arrivals }
    }

    /// What has come so far.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Times without a packet, longest first: from, to, and the part of it for which the sender was late.
    fn gaps(&self) -> Vec<(u64, u64, u64)> {
        let arrivals = self.arrivals();
        let pairs = arrivals.windows(2);
        let mut gaps: Vec<_> = pairs
            .map(|pair| {
                let next = pair[1].stamp.number == pair[0].stamp.number.wrapping_add(1);
                let sent = pair[1].stamp.sent_us.saturating_sub(pair[0].stamp.sent_us).saturating_sub(PACE_US);
                (pair[0].at_us, pair[1].at_us, if next { sent } else { 0 })
            })
            .collect();
        gaps.sort_by_key(|(from, to, _)| std::cmp::Reverse(to.saturating_sub(*from)));
        gaps
    }
}

/// Watches the machine while streams run.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Times in which this process was not run.
    stalls: Vec<(u64, u64)>,
    /// How long the server's thread had waited for a processor, at a time.
    waited: Vec<(u64, u64)>,
}

/// A gap as judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    /// Its whole length.
    #[expect(dead_code, reason = "assertions print it")]
    pub(crate) gap: Duration,
    /// What nothing but the server explains.
    pub(crate) unexplained: Duration,
}

impl Watch {
    /// Watches this process, and the thread `shard-0` of the process `server`.
    pub(crate) fn start(server: u32) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let (notes, end) = (Arc::clone(&seen), Arc::clone(&over));
        let schedule = schedule_of(server, "shard-0");
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let (before, began) = (now_us(), Instant::now());
                std::thread::sleep(STEP);
                let late = began.elapsed().saturating_sub(STEP);
                let waited = schedule.as_deref().and_then(waited_us);
                let mut seen = notes.lock().unwrap_or_else(PoisonError::into_inner);
                if late > STEP {
                    seen.stalls.push((before, now_us()));
                }
                seen.waited.extend(waited.map(|us| (now_us(), us)));
            }
        });
        Self { seen, over, thread: Some(thread) }
    }

    /// Judges the gaps of a stream: the one of which most is unexplained.
    pub(crate) fn judge(&self, stream: &Stream, control: &Stream) -> Verdict {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let controls = control.gaps();
        let judged = stream.gaps().into_iter().map(|(from, to, late)| {
            let overlaps = |a: u64, b: u64| a < to && from < b;
            let stood: u64 = seen.stalls.iter().filter(|(a, b)| overlaps(*a, *b)).map(|(a, b)| b - a).sum();
            let other =
                controls.iter().filter(|(a, b, _)| overlaps(*a, *b)).map(|(a, b, _)| b.saturating_sub(*a)).max();
            let other = other.unwrap_or(0).saturating_sub(PACE_US);
            let explained = late + stood.max(other) + seen.waited_within(from, to);
            let gap = to.saturating_sub(from);
            let unexplained = Duration::from_micros(gap.saturating_sub(explained));
            Verdict { gap: Duration::from_micros(gap), unexplained }
        });
        judged.max_by_key(|verdict| verdict.unexplained).expect("something came")
    }
}

impl Seen {
    /// How long the server's thread waited for a processor in a time.
    fn waited_within(&self, from: u64, to: u64) -> u64 {
        let before = self.waited.iter().rev().find(|(at, _)| *at <= from).or(self.waited.first());
        let after = self.waited.iter().find(|(at, _)| *at >= to).or(self.waited.last());
        before.zip(after).map_or(0, |((_, a), (_, b))| b.saturating_sub(*a))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where the kernel tells how a thread is scheduled.
fn schedule_of(process: u32, name: &str) -> Option<PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let task = tasks
        .flatten()
        .map(|entry| entry.path())
        .find(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name))?;
    Some(task.join("schedstat"))
}

/// The second figure: nanoseconds spent ready, but waiting for a processor.
fn waited_us(schedule: &std::path::Path) -> Option<u64> {
    let figures = std::fs::read_to_string(schedule).ok()?;
    Some(figures.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1000)
}
