//! Tells from the audio level of packets (RFC 6464) whether somebody speaks.

use std::time::Duration;

use crate::moment::Moment;

/// Levels are in −dBov: smaller is louder. Speech starts with this level or a louder one ...
const START_LEVEL: u8 = 50;
/// ... kept up for this long, about three packets, so that a click is no speech ...
const START_AFTER: Duration = Duration::from_millis(40);
/// ... with no break longer than this.
const BREAK: Duration = Duration::from_millis(100);
/// Who speaks goes on speaking at this level or a louder one.
const STAY_LEVEL: u8 = 60;
/// Speech ends this long after the last packet of that level: pauses between words are shorter.
const HOLD: Duration = Duration::from_millis(800);

/// Follows one audio track.
#[derive(Debug, Default)]
pub(crate) struct SpeakingDetector {
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Silent,
    /// Loud since `since`, last at `last`; too short a time to call it speech.
    Starting { since: Moment, last: Moment },
    /// Loud enough at `last`.
    Speaking { last: Moment },
}

impl SpeakingDetector {
    /// Takes the level of one packet, in −dBov. Returns what has changed.
    pub(crate) fn handle_level(&mut self, now: Moment, level: u8) -> Option<bool> {
        match self.state {
            State::Silent if level <= START_LEVEL => self.state = State::Starting { since: now, last: now },
            State::Silent => {}
            State::Starting { since, last } if level <= START_LEVEL && now <= last + BREAK => {
                if now >= since + START_AFTER {
                    self.state = State::Speaking { last: now };
                    return Some(true);
                }
                self.state = State::Starting { since, last: now };
            }
            State::Starting { last, .. } if level > START_LEVEL && now <= last + BREAK => {}
            State::Starting { .. } if level <= START_LEVEL => self.state = State::Starting { since: now, last: now },
            State::Starting { .. } => self.state = State::Silent,
            State::Speaking { .. } if level <= STAY_LEVEL => self.state = State::Speaking { last: now },
            State::Speaking { .. } => return self.handle_timeout(now),
        }
        None
    }

    /// Ends speech whose packets have stopped or are silent. Returns what has changed.
    pub(crate) fn handle_timeout(&mut self, now: Moment) -> Option<bool> {
        match self.state {
            State::Speaking { last } if now >= last + HOLD => self.stop(),
            State::Silent | State::Starting { .. } | State::Speaking { .. } => None,
        }
    }

    /// Ends speech at once: the track is muted or gone. Returns what has changed.
    pub(crate) fn stop(&mut self) -> Option<bool> {
        let was = std::mem::take(&mut self.state);
        matches!(was, State::Speaking { .. }).then_some(false)
    }

    /// When speech ends if no packet prolongs it.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Speaking { last } => Some(last + HOLD),
            State::Silent | State::Starting { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds one level every 20 ms; returns (ms, speaking) of every change.
    fn check(levels: &[(usize, u8)], expected: &[(u64, bool)]) {
        let start = Moment::ORIGIN;
        let mut detector = SpeakingDetector::default();
        let mut changes = Vec::new();
        let all = levels.iter().flat_map(|&(count, level)| std::iter::repeat_n(level, count));
        for (n, level) in all.enumerate() {
            let ms = 20 * n as u64;
            let change = detector.handle_level(start + Duration::from_millis(ms), level);
            changes.extend(change.map(|speaking| (ms, speaking)));
        }
        assert_eq!(changes, expected, "of {levels:?}");
    }

    #[test]
    fn speech_starts_soon_and_outlasts_pauses() {
        check(&[(10, 127), (3, 30)], &[(240, true)]);
        check(&[(10, 127), (2, 30), (20, 127)], &[]);
        check(&[(3, 30), (30, 127), (3, 30), (100, 127)], &[(40, true), (700 + 800, false)]);
        check(&[(3, 30), (100, 58)], &[(40, true)]);
        check(&[(200, 58)], &[]);
    }

    #[test]
    fn a_click_each_second_is_no_speech() {
        let clicks: Vec<_> = (0..20).flat_map(|_| [(1, 10), (49, 127)]).collect();
        check(&clicks, &[]);
    }

    #[test]
    fn speech_ends_when_packets_stop_and_at_once_when_muted() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut detector = SpeakingDetector::default();
        for ms in [0, 20, 40] {
            detector.handle_level(at(ms), 20);
        }
        assert_eq!(detector.poll_timeout(), Some(at(840)));
        assert_eq!((detector.handle_timeout(at(839)), detector.handle_timeout(at(840))), (None, Some(false)));
        assert_eq!((detector.poll_timeout(), detector.stop()), (None, None));
    }
}
