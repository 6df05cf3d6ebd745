//! Turns the keyframe wishes of many subscribers into few requests to one publisher.

use std::time::{Duration, Instant};

/// Requests in a row that go unanswered before they are repeated slowly.
const QUICK_REQUESTS: u8 = 4;
/// How often a request nobody answers is repeated after that.
const SLOW_REPEAT: Duration = Duration::from_secs(1);

/// Decides when one layer of one published track is asked for a keyframe.
///
/// The first wish is passed on at once, later ones at most every `spacing`. A request is repeated
/// until a keyframe comes, and that keyframe fulfils every wish made before it.
#[derive(Debug)]
pub(crate) struct KeyframeGate {
    spacing: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nobody waits. The next request may leave at `open_at`, or at any time if there is none.
    Idle { open_at: Option<Instant> },
    /// Somebody waits. The next request leaves at `ask_at`; `asked` have gone unanswered.
    Waiting { ask_at: Instant, asked: u8 },
}

impl KeyframeGate {
    pub(crate) const fn new(spacing: Duration) -> Self {
        Self { spacing, state: State::Idle { open_at: None } }
    }

    /// Records that a subscriber cannot decode without a keyframe.
    pub(crate) fn handle_wish(&mut self, now: Instant) {
        if let State::Idle { open_at } = self.state {
            let ask_at = open_at.map_or(now, |open_at| open_at.max(now));
            self.state = State::Waiting { ask_at, asked: 0 };
        }
    }

    /// Records that the publisher delivered a keyframe.
    pub(crate) fn handle_keyframe(&mut self) {
        if let State::Waiting { ask_at, asked } = self.state {
            // Unasked, the keyframe was a gift and the gate stays as it was.
            let open_at = (asked > 0).then(|| ask_at - (self.repeat(asked) - self.spacing));
            self.state = State::Idle { open_at };
        }
    }

    /// Returns whether a request is to be sent upstream now.
    #[must_use]
    pub(crate) fn poll_request(&mut self, now: Instant) -> bool {
        match self.state {
            State::Waiting { ask_at, asked } if ask_at <= now => {
                let asked = asked.saturating_add(1);
                self.state = State::Waiting { ask_at: now + self.repeat(asked), asked };
                true
            }
            State::Waiting { .. } | State::Idle { .. } => false,
        }
    }

    /// Returns when `poll_request` is worth asking again.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { ask_at, .. } => Some(ask_at),
            State::Idle { .. } => None,
        }
    }

    /// The pause after the request number `asked`, never below `spacing`.
    fn repeat(&self, asked: u8) -> Duration {
        if asked < QUICK_REQUESTS { self.spacing } else { self.spacing.max(SLOW_REPEAT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_joiners_costs_the_publisher_one_request_per_spacing() {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let at = |ms| start + Duration::from_millis(ms);
        let mut gate = KeyframeGate::new(Duration::from_millis(500));

        let mut requests = 0;
        for joiner in 0..200 {
            gate.handle_wish(at(joiner));
            requests += usize::from(gate.poll_request(at(joiner)));
        }
        assert_eq!(requests, 1, "the first goes out at once, the other 199 wait");
        assert_eq!(gate.poll_timeout(), Some(at(500)), "unanswered, it is repeated");

        gate.handle_keyframe();
        assert_eq!(gate.poll_timeout(), None, "one keyframe serves them all");

        gate.handle_wish(at(210));
        assert!(!gate.poll_request(at(499)));
        assert!(gate.poll_request(at(500)), "who came too late for it waits for the spacing");
    }

    #[test]
    fn a_publisher_that_never_answers_is_asked_ever_more_slowly() {
        let start = Instant::now();
        let mut gate = KeyframeGate::new(Duration::from_millis(400));
        gate.handle_wish(start);
        let mut asked = Vec::new();
        while let Some(at) = gate.poll_timeout().filter(|&at| at < start + Duration::from_secs(5)) {
            assert!(gate.poll_request(at));
            asked.push((at - start).as_millis());
        }
        assert_eq!(asked, [0, 400, 800, 1200, 2200, 3200, 4200]);
    }

    #[test]
    fn an_unasked_keyframe_leaves_the_gate_open() {
        let start = Instant::now();
        let mut gate = KeyframeGate::new(Duration::from_millis(400));
        gate.handle_wish(start);
        gate.handle_keyframe();
        gate.handle_wish(start);
        assert!(gate.poll_request(start), "nothing was asked yet");
    }
}
