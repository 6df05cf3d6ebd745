//! How long joining takes, and how many joins a second are sustained.
//!
//! One member publishes sound and a picture. As many as asked for join at once, each waiting for its first packet and its
//! first picture before it leaves and another joins; that is done once for the times, and once without waiting for the
//! picture for the rate.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::rooms::{Rooms, camera};
use super::run::{Run, RunError, Stage};
use crate::client::Joined;
use crate::connect::JoinSpec;
use crate::figures::{Expectation, Figures, Spread};
use crate::measure::histogram;
use crate::options::Joins;
use crate::publish::{Sizes, TrackSpec};

pub(crate) fn run(run: &Run<'_>, options: &Joins) -> Result<Figures, RunError> {
    let mut rooms = Rooms::default();
    rooms.add(0, 0, vec![TrackSpec::Audio { source: 1 }, camera(2, PICTURE_KBIT, Sizes::Chromium)]);
    let stage = run.stage()?;
    run.fill(&stage, &rooms.specs)?;
    run.say(format!("{} at once, each until its first picture", options.parallel));
    let timed = Crowd::new(&stage, true);
    timed.join_while(options.parallel, || run.measure(&stage, &Expectation::default(), |_| {}));
    run.say(format!("{} at once, each until its first packet", options.parallel));
    let sustained = Crowd::new(&stage, false);
    sustained.next.store(timed.next.load(Ordering::Relaxed), Ordering::Relaxed);
    let began = Instant::now();
    let mut figures = sustained.join_while(options.parallel, || run.measure(&stage, &Expectation::default(), |_| {}));
    let (joins, elapsed) = (sustained.joined.load(Ordering::Relaxed), began.elapsed());
    figures.joins_per_second = Some(joins as f64 / elapsed.as_secs_f64());
    let core = figures.server.map(|server| server.core_percent / 100.0);
    figures.cpu_ms_per_join = core.filter(|_| joins > 0).map(|core| core * 1e3 * elapsed.as_secs_f64() / joins as f64);
    figures.memory = None; // Those who joined have left.
    let Times { media_us, picture_us, connect_us } = timed.times.into_inner().unwrap_or_else(PoisonError::into_inner);
    figures.join_ms = Spread::of(&media_us);
    figures.picture_ms = Spread::of(&picture_us);
    figures.connect_ms = Spread::of(&connect_us);
    let failures =
        [timed.failure, sustained.failure].map(|why| why.into_inner().unwrap_or_else(PoisonError::into_inner));
    figures.refused.extend(failures.into_iter().flatten().map(|why| format!("a join failed: {why}")));
    Ok(figures)
}

/// Those who join and leave again.
struct Crowd<'a> {
    stage: &'a Stage,
    /// Whether each waits for a picture, too.
    until_picture: bool,
    next: AtomicU32,
    joined: AtomicU64,
    is_over: AtomicBool,
    times: Mutex<Times>,
    failure: Mutex<Option<String>>,
}

/// Since the beginning of signalling, in µs.
struct Times {
    media_us: Histogram<u64>,
    picture_us: Histogram<u64>,
    connect_us: Histogram<u64>,
}

impl<'a> Crowd<'a> {
    fn new(stage: &'a Stage, until_picture: bool) -> Self {
        let times = Times { media_us: histogram(), picture_us: histogram(), connect_us: histogram() };
        Self {
            stage,
            until_picture,
            next: AtomicU32::new(FIRST_NUMBER),
            joined: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            times: Mutex::new(times),
            failure: Mutex::new(None),
        }
    }

    /// Lets `parallel` join one after the other while `measure` runs.
    fn join_while<T>(&self, parallel: u32, measure: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            for _ in 0..parallel {
                scope.spawn(|| {
                    while !self.is_over.load(Ordering::Relaxed) {
                        if let Err(why) = self.join() {
                            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                            self.is_over.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
            let measured = measure();
            self.is_over.store(true, Ordering::Relaxed);
            measured
        })
    }

    fn join(&self) -> Result<(), String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let spec = JoinSpec { room: 0, number, seats: 1, voice_slots: 0, tracks: vec![], loss: 0.0, is_heard: true };
        let (notify, news) = channel();
        self.stage.fleet.enter(&spec, Some(notify)).map_err(|error| error.to_string())?;
        let joined = self.wait(&news);
        self.stage.fleet.leave(number);
        self.note(joined?);
        Ok(())
    }

    fn wait(&self, news: &Receiver<Joined>) -> Result<Joined, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let joined = news.recv_timeout(left).map_err(|_| format!("no media in {} s", PATIENCE.as_secs()))?;
            if joined.first_media_ns.is_some() && (joined.first_picture_ns.is_some() || !self.until_picture) {
                return Ok(joined);
            }
        }
    }

    fn note(&self, joined: Joined) {
        self.joined.fetch_add(1, Ordering::Relaxed);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let us = |ns: u64| ns.saturating_sub(joined.began_ns) / 1_000;
        times.connect_us.saturating_record(us(joined.connected_ns));
        joined.first_media_ns.into_iter().for_each(|ns| times.media_us.saturating_record(us(ns)));
        joined.first_picture_ns.into_iter().for_each(|ns| times.picture_us.saturating_record(us(ns)));
    }
}

/// Of the picture that is published.
const PICTURE_KBIT: u32 = 1_500;
/// The publisher is number 1.
const FIRST_NUMBER: u32 = 2;
/// How long one waits for media.
const PATIENCE: Duration = Duration::from_secs(10);
