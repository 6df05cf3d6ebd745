//! One slot's clock for life: where each owner's timestamps are put.

/// The least step of the timestamp from one owner to the next, as a part of a second. No longer than it has to be: a
/// whole frame would put the slot ahead of the arrival of its packets by half a frame with each owner.
const VIDEO_STEPS: u32 = 1000;
const AUDIO_STEPS: u32 = 100;
/// An owner's timestamps that leap further than this against the arrival of its packets are put in place anew.
const LEAP_MICROS: i64 = 1_000_000;
/// Where the extended timestamps start, so that none is ever negative.
const ORIGIN: u64 = 1 << 32;

/// All frames of the past together, and what the newest of them may be moved by, take this part of a second at most: less
/// than a frame lasts.
pub(crate) const REPLAY_STEPS: u32 = 100;

/// Where an owner that begins in the past is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Past {
    /// The timestamp of its first frame, were it shown when it was captured.
    pub(crate) timestamp: u32,
    /// What its newest frame is moved by.
    pub(crate) moved: u32,
    /// How far apart its frames are.
    pub(crate) step: u32,
}

/// Counts RTP ticks from the birth of a slot, through every owner and every pause.
///
/// `timestamp = T0 + rate × (capture time − birth)`: each owner gets a fixed distance to that at its first packet, at
/// least one step above the last timestamp sent and never ahead of what its arrival would give.
#[derive(Debug)]
pub(crate) struct SlotClock {
    rate: u32,
    step: u64,
    /// T0, extended.
    origin: u64,
    birth: i64,
    /// The highest timestamp sent, extended, and when the packet with it came.
    last: Option<(u64, i64)>,
}

impl SlotClock {
    /// A clock born at `now` (microseconds of the plane's clock) at any timestamp.
    pub(crate) fn new(now: i64, rate: u32, timestamp: u32) -> Self {
        let steps = if rate == 90_000 { VIDEO_STEPS } else { AUDIO_STEPS };
        let step = u64::from(rate / steps);
        Self { rate, step, origin: ORIGIN + u64::from(timestamp), birth: now, last: None }
    }

    /// The same by another clock of a plane, which shows `shift` microseconds more at any time.
    pub(crate) fn moved(self, shift: i64) -> Self {
        let last = self.last.map(|(last, at)| (last, at + shift));
        Self { birth: self.birth + shift, last, ..self }
    }

    /// The timestamp for an owner's first packet, which came at `now` and was captured at `capture` if that is known.
    pub(crate) fn begin(&self, now: i64, capture: Option<i64>) -> u32 {
        let wanted = self.at(capture.map_or(now, |capture| capture.min(now)));
        let least = self.last.map_or(0, |(last, _)| last + self.step);
        wanted.max(least) as u32
    }

    /// The timestamps for an owner who begins in the past with a frame that was captured at `capture`: the one that
    /// belongs to that, and how far that of the newest frame is moved, which lies `span` behind the first one.
    ///
    /// There are `frames` of the past, at most a step of `step` apart, and none may go back behind what was sent; `None` if
    /// the newest one had to be moved further than a frame lasts.
    pub(crate) fn begin_in_the_past(&self, now: i64, capture: i64, span: u32, frames: u64, step: u64) -> Option<Past> {
        let first = self.at(capture.min(now));
        let newest = first + u64::from(span);
        let last = self.last.map_or(0, |(last, _)| last);
        // Clocks of two encodings are a few milliseconds apart, which must not cost a keyframe.
        let room = (newest + u64::from(self.rate / REPLAY_STEPS)).checked_sub(last)?;
        let step = step.min(room / frames.max(1));
        let moved = (last + frames * step).saturating_sub(newest);
        (step > 0).then_some(Past { timestamp: first as u32, moved: moved as u32, step: step as u32 })
    }

    /// Whether the owner's next timestamp has leapt: it cannot be from the clock of the one before.
    pub(crate) fn is_leap(&self, now: i64, timestamp: u32) -> bool {
        let Some((last, at)) = self.last else { return false };
        let ticks = i64::from(timestamp.wrapping_sub(last as u32).cast_signed());
        let micros = ticks * 1_000_000 / i64::from(self.rate);
        // Packets that waited together somewhere arrive closer than they were captured, hence no sharp comparison.
        micros - (now - at) > LEAP_MICROS || micros < -LEAP_MICROS
    }

    /// Whether `timestamp` lies behind all that was sent.
    pub(crate) fn is_next(&self, timestamp: u32) -> bool {
        self.last.is_none_or(|(last, _)| timestamp.wrapping_sub(last as u32).cast_signed() > 0)
    }

    /// Records that a packet which came at `now` leaves with `timestamp`.
    pub(crate) fn handle_sent(&mut self, now: i64, timestamp: u32) {
        let near = self.last.map_or_else(|| self.at(now), |(last, _)| last);
        let distance = i64::from(timestamp.wrapping_sub(near as u32).cast_signed());
        let extended = near.saturating_add_signed(distance);
        if self.last.is_none_or(|(last, _)| extended > last) {
            self.last = Some((extended, now));
        }
    }

    /// The highest timestamp sent.
    pub(crate) fn last(&self) -> Option<u32> {
        self.last.map(|(last, _)| last as u32)
    }

    /// Ticks per second.
    pub(crate) const fn rate(&self) -> u32 {
        self.rate
    }

    fn at(&self, time: i64) -> u64 {
        let ticks = i128::from(time - self.birth) * i128::from(self.rate) / 1_000_000;
        self.origin.saturating_add_signed(ticks.clamp(-(ORIGIN as i128), i64::MAX as i128) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn an_owner_starts_at_its_capture_time() {
        let clock = SlotClock::new(0, 90_000, 1000);
        assert_eq!(clock.begin(10 * SECOND, Some(10 * SECOND - 100_000)), 1000 + 891_000);
        assert_eq!(clock.begin(10 * SECOND, None), 1000 + 900_000, "unknown, the arrival stands for it");
        assert_eq!(clock.begin(10 * SECOND, Some(14 * SECOND)), 1000 + 900_000, "never ahead of the arrival");
    }

    #[test]
    fn an_owner_starts_a_step_above_the_last_at_least() {
        for (rate, step) in [(90_000, 90), (48_000, 480)] {
            let mut clock = SlotClock::new(0, rate, u32::MAX - 5);
            let last = clock.begin(10 * SECOND, None);
            clock.handle_sent(10 * SECOND, last);
            let next = clock.begin(10 * SECOND + 100, Some(9 * SECOND));
            assert_eq!(next.wrapping_sub(last), step);
        }
    }

    #[test]
    fn the_clock_runs_on_while_the_slot_is_idle_even_past_the_wrap() {
        let mut clock = SlotClock::new(0, 90_000, 0);
        let first = clock.begin(SECOND, None);
        clock.handle_sent(SECOND, first);
        let day = 86_400 * SECOND;
        let expected = (90_000u64 * 86_401) as u32;
        assert_eq!(clock.begin(day + SECOND, None), expected);
    }

    #[test]
    fn an_owner_begins_in_the_past_if_its_newest_frame_need_not_be_moved_far() {
        let mut clock = SlotClock::new(0, 90_000, 0);
        let past = |clock: &SlotClock, span| clock.begin_in_the_past(2 * SECOND, SECOND, span, 5, 90);
        assert_eq!(past(&clock, 45_000), Some(Past { timestamp: 90_000, moved: 0, step: 90 }));
        clock.handle_sent(SECOND, 135_000);
        assert_eq!(past(&clock, 45_450), Some(Past { timestamp: 90_000, moved: 0, step: 90 }));
        assert_eq!(past(&clock, 45_000), Some(Past { timestamp: 90_000, moved: 450, step: 90 }));
        assert_eq!(past(&clock, 44_550), Some(Past { timestamp: 90_000, moved: 900, step: 90 }));
        assert_eq!(
            past(&clock, 44_549),
            Some(Past { timestamp: 90_000, moved: 896, step: 89 }),
            "closer to each other"
        );
        assert_eq!(past(&clock, 44_105), Some(Past { timestamp: 90_000, moved: 900, step: 1 }));
        assert_eq!(past(&clock, 44_104), None);
    }

    #[test]
    fn a_leap_is_told_from_a_pause() {
        let mut clock = SlotClock::new(0, 90_000, 0);
        clock.handle_sent(0, 90_000);
        assert!(!clock.is_leap(600 * SECOND, 90_000 + 600 * 90_000), "the owner was silent for ten minutes");
        assert!(clock.is_leap(40_000, 90_000 + 600 * 90_000));
        assert!(clock.is_leap(40_000, 90_000u32.wrapping_sub(600 * 90_000)));
        assert!(!clock.is_leap(40_000, 90_000 - 3000), "frames may be reordered");
    }
}
