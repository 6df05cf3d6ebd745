//! How long joining takes, and how many joins a second are sustained.
//!
//! One member publishes sound and a picture. As many as asked for join at once, each waiting for its first packet and its
//! first picture before it leaves and another joins; that is done once for the times, and once without waiting for the
//! picture for the rate. Beside a flood it is done for the times only, in quiet and then while somebody floods.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::flood::Attempts;
use super::rooms::{Rooms, camera};
use super::run::{Run, RunError, Stage};
use crate::client::Joined;
use crate::connect::JoinSpec;
use crate::figures::{Expectation, Figures, Flooded, Spread};
use crate::measure::histogram;
use crate::options::Joins;
use crate::publish::{Sizes, TrackSpec};

pub(crate) fn run(run: &Run<'_>, options: &Joins) -> Result<Figures, RunError> {
    let mut rooms = Rooms::default();
    rooms.add(0, 0, vec![TrackSpec::Audio { source: 1 }, camera(2, PICTURE_KBIT, Sizes::Chromium)]);
    let mut stage = run.stage()?;
    run.fill(&mut stage, &rooms.specs)?;
    run.say(format!("{} at once, each until its first picture", options.parallel));
    let timed = Crowd::new(&stage, true);
    timed.join_while(options.parallel, || run.measure(&stage, &Expectation::default(), |_| {}));
    if options.flood > 0 {
        return Ok(beside_a_flood(run, options, &stage, timed));
    }
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
    timed.put_into(&mut figures);
    sustained.put_failure_into(&mut figures);
    Ok(figures)
}

/// Lets as many join again while somebody floods. The times in the figures are those beside the flood.
fn beside_a_flood(run: &Run<'_>, options: &Joins, stage: &Stage, quiet: Crowd<'_>) -> Figures {
    let Some(url) = &stage.url else {
        return Figures { refused: vec!["there is no entrance to flood".to_owned()], ..Figures::default() };
    };
    run.say(format!("the same beside {} wrong tokens a second", options.flood));
    let (crowd, attempts) = (Crowd::new(stage, true), Attempts::default());
    crowd.next.store(quiet.next.load(Ordering::Relaxed), Ordering::Relaxed);
    let began = Instant::now();
    let mut figures = attempts.flood(url, options, || {
        crowd.join_while(options.parallel, || run.measure(stage, &Expectation::default(), |_| {}))
    });
    let per_second = attempts.count() as f64 / began.elapsed().as_secs_f64();
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    figures.flood = Some(Flooded {
        per_second,
        limited: read(&attempts.limited),
        refused: read(&attempts.refused),
        failed: read(&attempts.failed),
        let_in: read(&attempts.let_in),
        quiet_p95_ms: quiet.p95_ms(),
        flooded_p95_ms: crowd.p95_ms(),
    });
    figures.memory = None;
    crowd.put_into(&mut figures);
    quiet.put_failure_into(&mut figures);
    figures
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

    /// From the beginning to the first packet: 95 of a hundred are shorter.
    fn p95_ms(&self) -> f64 {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.media_us.value_at_quantile(0.95) as f64 / 1e3
    }

    /// Puts its times into figures, and its failure if there was one.
    fn put_into(self, figures: &mut Figures) {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        figures.join_ms = Spread::of(&times.media_us);
        figures.picture_ms = Spread::of(&times.picture_us);
        figures.connect_ms = Spread::of(&times.connect_us);
        drop(times);
        self.put_failure_into(figures);
    }

    fn put_failure_into(self, figures: &mut Figures) {
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        figures.refused.extend(failure.map(|why| format!("a join failed: {why}")));
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
