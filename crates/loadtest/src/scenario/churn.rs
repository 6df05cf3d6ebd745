//! Members come and go in meetings; what the server holds is compared before and after.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::rooms::{Rooms, camera};
use super::run::{Run, RunError, Stage, sleep_until};
use crate::connect::JoinSpec;
use crate::figures::{Expectation, Figures, Growth, Moment};
use crate::options::Churn;
use crate::publish::{Sizes, TrackSpec};

pub(crate) fn run(run: &Run<'_>, options: &Churn) -> Result<Figures, RunError> {
    let mut rooms = Rooms::default();
    let seats = options.members as u16 - 1; // The options allow 2 to 49.
    for place in 0..options.rooms * options.members {
        rooms.add(place / options.members, seats, tracks(place + 1));
    }
    let mut stage = run.stage()?;
    run.fill(&mut stage, &rooms.specs)?;
    let held = || {
        let process = stage.server.process?;
        Some((process.rss_kib()?, process.descriptors()?))
    };
    let start = held();
    let turnover = Turnover::new(&stage, rooms.specs);
    let mut moments = Moments::new(&stage, run.common.seconds);
    let mut figures = turnover
        .replace_while(options.rate, || run.measure(&stage, &Expectation::default(), |second| moments.note(second)));
    run.say(format!("churn is over; {} s to settle", run.common.warmup));
    std::thread::sleep(Duration::from_secs(u64::from(run.common.warmup)));
    figures.growth =
        start.zip(held()).map(|((start_rss_kib, start_descriptors), (end_rss_kib, end_descriptors))| Growth {
            replaced: turnover.replaced.load(Ordering::Relaxed),
            failed: turnover.failed.load(Ordering::Relaxed),
            start_rss_kib,
            end_rss_kib,
            start_descriptors,
            end_descriptors,
            moments: moments.noted,
        });
    Ok(figures)
}

/// How the server stands after each tenth of the window.
struct Moments<'a> {
    stage: &'a Stage,
    every: u32,
    before: Option<(Duration, u64)>,
    noted: Vec<Moment>,
}

impl<'a> Moments<'a> {
    fn new(stage: &'a Stage, seconds: u32) -> Self {
        Self { stage, every: (seconds / 10).max(1), before: None, noted: Vec::new() }
    }

    fn note(&mut self, second: u32) {
        if second == 1 {
            self.before = self.spent();
        } else if second.is_multiple_of(self.every) {
            let moment = self.moment(second);
            self.noted.extend(moment);
        }
    }

    /// CPU of the server so far, and what was delivered.
    fn spent(&self) -> Option<(Duration, u64)> {
        let cpu = self.stage.server.process?.cpu()?.total();
        Some((cpu, self.stage.fleet.report().iter().map(|report| report.delivered).sum()))
    }

    fn moment(&mut self, seconds: u32) -> Option<Moment> {
        let process = self.stage.server.process?;
        let (cpu, delivered) = self.spent()?;
        let (cpu_before, delivered_before) = self.before.replace((cpu, delivered))?;
        let packets = delivered.saturating_sub(delivered_before).max(1);
        Some(Moment {
            seconds,
            anonymous_kib: process.held()?.anonymous_kib,
            descriptors: process.descriptors()?,
            micros_per_packet: cpu.saturating_sub(cpu_before).as_secs_f64() * 1e6 / packets as f64,
        })
    }
}

/// What a member publishes: sound and a picture.
fn tracks(number: u32) -> Vec<TrackSpec> {
    let (sound, picture) = (2 * number, 2 * number + 1);
    vec![TrackSpec::Audio { source: sound }, camera(picture, PICTURE_KBIT, Sizes::Chromium)]
}

/// The members, of whom the longest there goes next.
struct Turnover<'a> {
    stage: &'a Stage,
    members: Mutex<(VecDeque<JoinSpec>, u32)>,
    replaced: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

impl<'a> Turnover<'a> {
    fn new(stage: &'a Stage, specs: Vec<JoinSpec>) -> Self {
        let next = specs.len() as u32 + 1; // Options bound the members far below that.
        Self {
            stage,
            members: Mutex::new((specs.into(), next)),
            replaced: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Replaces `rate` members a second while `measure` runs.
    fn replace_while<T>(&self, rate: u32, measure: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let interval = Duration::from_secs(1) * THREADS / rate.max(1);
                let mut due = Instant::now() + interval * thread / THREADS;
                scope.spawn(move || {
                    while !self.is_over.load(Ordering::Relaxed) {
                        sleep_until(due.min(Instant::now() + LOOK_UP));
                        if due <= Instant::now() {
                            due += interval;
                            self.replace();
                        }
                    }
                });
            }
            let measured = measure();
            self.is_over.store(true, Ordering::Relaxed);
            measured
        })
    }

    /// Lets the longest there go and another come in its place.
    fn replace(&self) {
        let Some((old, new)) = self.next() else { return };
        self.stage.fleet.leave(old);
        match self.stage.fleet.enter(&new, None) {
            Ok(()) => self.replaced.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.failed.fetch_add(1, Ordering::Relaxed),
        };
        self.members.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(new);
    }

    fn next(&self) -> Option<(u32, JoinSpec)> {
        let (members, next) = &mut *self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spec = members.pop_front()?;
        let old = std::mem::replace(&mut spec.number, *next);
        spec.tracks = tracks(*next);
        *next += 1;
        Some((old, spec))
    }
}

/// Of each picture.
const PICTURE_KBIT: u32 = 500;
/// Members that are replaced at once at most.
const THREADS: u32 = 4;
/// A thread looks up so often whether it is over.
const LOOK_UP: Duration = Duration::from_millis(100);
