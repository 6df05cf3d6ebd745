//! How busy a shard is, for whoever places rooms.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The share is told anew this often.
const PERIOD: Duration = Duration::from_millis(500);

/// One that has told nothing for this long waits all the time.
const ASLEEP: Duration = Duration::from_secs(2);

/// Of what a shard did to let members in, so much of its time is passed over, in thousandths: it is over when they are in, and what they
/// cost from then on shows by itself. What is more keeps the others of the shard waiting.
const PASSED_OVER: u32 = 500;

/// The share of the last half second in which a shard did not wait, in thousandths; read by other threads.
#[derive(Debug, Clone)]
pub struct Load {
    start: Instant,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    permille: AtomicU32,
    /// How much of that is passed over, as it was for letting members in.
    passing: AtomicU32,
    /// When, in milliseconds since the start.
    at_ms: AtomicU64,
    /// Whether it has nothing left of any room: what it was busy with is over, and it may not wake to say so.
    is_empty: AtomicBool,
}

impl Default for Load {
    fn default() -> Self {
        Self { start: Instant::now(), told: Arc::default() }
    }
}

impl Load {
    /// Thousandths.
    #[must_use]
    pub fn permille(&self) -> u32 {
        self.permille_at(Instant::now())
    }

    /// The same without what is over once those are in who come now, up to [`PASSED_OVER`]: where members and rooms are put
    /// is decided by that.
    #[must_use]
    pub fn lasting(&self) -> u32 {
        self.lasting_at(Instant::now())
    }

    fn lasting_at(&self, now: Instant) -> u32 {
        self.permille_at(now).saturating_sub(self.told.passing.load(Ordering::Relaxed))
    }

    fn permille_at(&self, now: Instant) -> u32 {
        let age = self.millis(now).saturating_sub(self.told.at_ms.load(Ordering::Relaxed));
        let is_over = u128::from(age) > ASLEEP.as_millis() || self.told.is_empty.load(Ordering::Relaxed);
        if is_over { 0 } else { self.told.permille.load(Ordering::Relaxed) }
    }

    fn tell(&self, now: Instant, permille: u32, passing: u32) {
        self.told.permille.store(permille, Ordering::Relaxed);
        self.told.passing.store(passing, Ordering::Relaxed);
        self.told.at_ms.store(self.millis(now), Ordering::Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Measures it in the shard's loop.
#[derive(Debug)]
pub(super) struct LoadMeter {
    told: Load,
    began: Instant,
    waiting: Option<Instant>,
    waited: Duration,
    /// What it did to let members in.
    admitting: Duration,
}

impl LoadMeter {
    pub(super) fn new(now: Instant, told: Load) -> Self {
        Self { told, began: now, waiting: None, waited: Duration::ZERO, admitting: Duration::ZERO }
    }

    /// The loop begins to wait.
    pub(super) fn handle_wait(&mut self, now: Instant) {
        self.waiting = Some(now);
    }

    /// It does no longer.
    pub(super) fn handle_wake(&mut self, now: Instant) {
        if let Some(waiting) = self.waiting.take() {
            self.waited += now.saturating_duration_since(waiting);
        }
        let span = now.saturating_duration_since(self.began);
        if span >= PERIOD {
            let permille = |time: Duration| (time.as_secs_f64() / span.as_secs_f64() * 1000.0) as u32;
            let passing = permille(self.admitting).min(PASSED_OVER);
            self.told.tell(now, permille(span.saturating_sub(self.waited)), passing);
            (self.began, self.waited, self.admitting) = (now, Duration::ZERO, Duration::ZERO);
        }
    }

    /// It has let members in for so long.
    pub(super) fn handle_admitting(&mut self, spent: Duration) {
        self.admitting += spent;
    }

    /// A turn of the loop has left it without anything of any room, or not so.
    pub(super) fn handle_turn(&self, is_empty: bool) {
        let told = &self.told.told.is_empty;
        // Others read this line: it is written only when there is something new.
        if told.load(Ordering::Relaxed) != is_empty {
            told.store(is_empty, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letting_members_in_counts_only_beyond_a_half() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let told = |waited_ms: u64, admitting_ms| {
            let load = Load::default();
            let mut meter = LoadMeter::new(start, load.clone());
            meter.handle_wait(at(500 - waited_ms));
            meter.handle_admitting(Duration::from_millis(admitting_ms));
            meter.handle_wake(at(500));
            (load.permille_at(at(500)), load.lasting_at(at(500)))
        };
        assert_eq!(told(100, 200), (800, 400));
        assert_eq!(told(0, 450), (1_000, 500), "a second half is what others have of it");
        assert_eq!(told(300, 200), (400, 0));
        assert_eq!(told(300, 300), (400, 0), "clocks are read at different times");
    }

    #[test]
    fn what_is_not_waiting_is_load() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let load = Load::default();
        let mut meter = LoadMeter::new(start, load.clone());
        for turn in 0..6 {
            meter.handle_wait(at(turn * 100 + 25));
            meter.handle_wake(at(turn * 100 + 100));
        }
        assert_eq!(load.permille_at(at(600)), 250);
        meter.handle_turn(true);
        assert_eq!(load.permille_at(at(600)), 0, "what it was busy with is over");
        meter.handle_turn(false);
        assert_eq!(load.permille_at(at(600)), 250);
        meter.handle_wait(at(600));
        meter.handle_wake(at(2000));
        assert!((1..100).contains(&load.permille_at(at(2000))), "{load:?}");
        assert_eq!(load.permille_at(at(4500)), 0, "it sleeps: nothing wakes it");
    }
}
