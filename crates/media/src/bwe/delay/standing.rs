//! Tells a queue from jitter: a queue holds every packet back, jitter only some (our own).
//!
//! The trendline alone takes jitter of 30 ms for overuse several times a minute. A subscriber of a server pays for
//! that with a switch of layers, so a climbing trend counts only while even the fastest of the last groups was late.

use std::collections::VecDeque;
use std::time::Duration;

use roundtable_prefetch::prefetch;

use super::inter_arrival::Delta;

/// The groups that must all have been late arrived within so many units of the jitter, …
const RECENT_JITTERS: f64 = 10.0;
/// … within these bounds in milliseconds: where nothing jitters, three frames in a row are no accident, …
const RECENT_MIN_MS: f64 = 60.0;
const RECENT_MAX_MS: f64 = 200.0;
/// … and are at least so many …
const RECENT_GROUPS: usize = 3;
/// … but no more than this many are kept.
const MAX_RECENT: usize = 64;
/// The least delay is remembered for one to two spans of this many milliseconds: the clocks may drift.
const BASE_MS: f64 = 10_000.0;
/// How late is late, in milliseconds and in units of the jitter: with three of them a σ of 30 ms took a rung from every
/// second subscriber within a minute (S7).
const LATE_MS: f64 = 10.0;
const LATE_JITTERS: f64 = 5.0;
/// However much jitter there is, this is late.
const LATE_MAX_MS: f64 = 150.0;
/// Groups this late are overuse even if the delay grows no more: a full queue does not grow.
const DEEP_MS: f64 = 150.0;
const JITTER_GAIN: f64 = 1.0 / 16.0;
/// A longer queue is taken to be this long: a minute.
const QUEUE_MAX_NANOS: f64 = 6e10;

/// All in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Group {
    at: f64,
    delay: f64,
    expected: f64,
}

/// The delay of the last groups against the least there was.
#[derive(Debug, Default)]
pub(super) struct StandingQueue {
    recent: VecDeque<Group>,
    least: Least,
    jitter: f64,
    /// Whether the least delay is not to be forgotten.
    held: bool,
    /// By how much even the fastest of the last groups was late, once there are enough of them.
    queue: Option<Queue>,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy)]
struct Queue {
    /// All of it.
    whole: f64,
    /// Without what we made ourselves.
    excess: f64,
}

/// The least delay of the last ten to twenty seconds, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Least {
    before: Option<f64>,
    /// That of the current span, and when it began.
    current: Option<(f64, f64)>,
}

/// What counts as late where there is so much jitter, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lateness {
    /// Later than this, …
    pub(super) ms: f64,
    /// … for so long.
    pub(super) span_ms: f64,
}

impl Least {
    /// Takes a delay as of `at` of the receiver's clock; nothing is forgotten while it is `held`.
    pub(super) fn handle(&mut self, at: f64, delay: f64, held: bool) {
        match &mut self.current {
            Some((began, least)) if held || (*began..*began + BASE_MS).contains(&at) => {
                // Not by `min`, which looks for what is no number, too.
                if delay < *least {
                    *least = delay;
                }
            }
            Some((_, least)) => {
                self.before = Some(*least);
                self.current = Some((at, delay));
            }
            None => self.current = Some((at, delay)),
        }
    }

    pub(super) fn get(&self) -> Option<f64> {
        let (_, least) = self.current?;
        Some(self.before.filter(|&before| before < least).unwrap_or(least))
    }
}

impl StandingQueue {
    /// Has the last groups brought near.
    pub(super) fn prefetch(&self) {
        let (first, second) = self.recent.as_slices();
        prefetch(first);
        prefetch(second);
    }

    pub(super) fn handle_group(&mut self, delta: &Delta) {
        // Jitter goes both ways, a growing queue only one: it must not raise the bar for itself.
        let caught_up = delta.caught_up_ms.clamp(0.0, LATE_MAX_MS);
        self.jitter += JITTER_GAIN * (2.0 * caught_up - self.jitter);
        self.recent.push_back(Group { at: delta.at_ms, delay: delta.delay_ms, expected: delta.expected_ms });
        let recent_ms = self.lateness().span_ms;
        while self.recent.len() > RECENT_GROUPS
            && (self.recent.len() > MAX_RECENT
                || self.recent.front().is_some_and(|front| front.at + recent_ms < delta.at_ms))
        {
            self.recent.pop_front();
        }
        self.least.handle(delta.at_ms, delta.delay_ms, self.held);
        self.queue = self.measure();
    }

    /// Whether all of the last groups were late.
    pub(super) fn is_confirmed(&self) -> bool {
        self.queue.is_some_and(|queue| queue.excess > self.lateness().ms)
    }

    /// Whether all of the last groups were late, even if we made them late ourselves.
    pub(super) fn is_queueing(&self) -> bool {
        self.queue.is_some_and(|queue| queue.whole > self.lateness().ms)
    }

    /// Whether all of the last groups were very late.
    pub(super) fn is_deep(&self) -> bool {
        self.queue.is_some_and(|queue| queue.excess > DEEP_MS)
    }

    pub(super) fn queue(&self) -> Duration {
        // What is below zero is none. By way of a signed number the cast takes half as many instructions.
        let nanos = |queue: Queue| (queue.whole * 1e6).min(QUEUE_MAX_NANOS) as i64;
        self.queue.map_or(Duration::ZERO, |queue| Duration::from_nanos(nanos(queue).max(0).cast_unsigned()))
    }

    /// Keeps the least delay for as long as `held`, however long it has not been seen.
    pub(super) const fn hold_base(&mut self, held: bool) {
        self.held = held;
    }

    /// Forgets the groups, and what was least.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// What counts as late on this path.
    pub(super) fn lateness(&self) -> Lateness {
        Lateness {
            ms: (self.jitter * LATE_JITTERS).clamp(LATE_MS, LATE_MAX_MS),
            span_ms: (self.jitter * RECENT_JITTERS).clamp(RECENT_MIN_MS, RECENT_MAX_MS),
        }
    }

    fn measure(&self) -> Option<Queue> {
        if self.recent.len() < RECENT_GROUPS {
            return None;
        }
        let fastest = self.recent.iter().fold((f64::INFINITY, f64::INFINITY), |(whole, excess), group| {
            (whole.min(group.delay), excess.min(group.delay - group.expected))
        });
        let least = self.least.get()?;
        Some(Queue { whole: fastest.0 - least, excess: fastest.1 - least })
    }
}
