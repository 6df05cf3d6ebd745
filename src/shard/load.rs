//! How busy a shard is, for whoever places rooms.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The share is told anew this often.
const PERIOD: Duration = Duration::from_millis(500);

/// The share of the last half second in which a shard did not wait, in thousandths; read by other threads.
#[derive(Debug, Clone, Default)]
pub struct Load(Arc<AtomicU32>);

impl Load {
    /// Thousandths.
    #[must_use]
    pub fn permille(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Measures it in the shard's loop.
#[derive(Debug)]
pub(super) struct LoadMeter {
    told: Load,
    began: Instant,
    waiting: Option<Instant>,
    waited: Duration,
}

impl LoadMeter {
    pub(super) fn new(now: Instant, told: Load) -> Self {
        Self { told, began: now, waiting: None, waited: Duration::ZERO }
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
            let idle = (self.waited.as_secs_f64() / span.as_secs_f64()).min(1.0);
            self.told.0.store(((1.0 - idle) * 1000.0) as u32, Ordering::Relaxed);
            (self.began, self.waited) = (now, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(load.permille(), 250);
        meter.handle_wait(at(600));
        meter.handle_wake(at(2000));
        assert!(load.permille() < 100, "{}", load.permille());
    }
}
