//! Turns the keyframe wishes of many subscribers into few requests to one publisher.

use std::time::Duration;

use crate::moment::Moment;

/// Requests in a row that go unanswered before they are repeated slowly.
const QUICK_REQUESTS: u8 = 4;
/// How often a request nobody answers is repeated after that.
const SLOW_REPEAT: Duration = Duration::from_secs(1);
/// A longer round trip is not waited for.
const MAX_RTT: Duration = Duration::from_secs(1);

/// Keyframes for a crowd of joiners are so far apart, which are three in ten seconds: meanwhile each can begin with the
/// last one.
const JOIN_SPACING: Duration = Duration::from_millis(3400);
/// So many who come within so long are a crowd: fewer need not wait for each other.
const CROWD: usize = 3;
const CROWD_SPAN: Duration = JOIN_SPACING;

/// How long who cannot decode may be kept waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// One of a crowd that has just joined sees something, and could have a better picture.
    Crowd,
    /// Somebody joins, or could have a better picture.
    Patient,
    /// Somebody's picture stands still.
    Urgent,
}

/// Decides when one layer of one published track is asked for a keyframe.
///
/// The first wish is passed on at once, later urgent ones at most every `spacing`, patient ones at most every
/// `patience`, those of a crowd no closer than [`JOIN_SPACING`], and whoever is patient waits with it, so that keyframes
/// do not eat up what the layer may cost. A request is repeated until a keyframe comes, after two round trips at the
/// earliest, and that keyframe fulfils every wish made before it.
#[derive(Debug)]
pub(crate) struct KeyframeGate {
    spacing: Duration,
    patience: Duration,
    rtt: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nobody waits. `served` is when the request for the last keyframe left, or when that came unasked.
    Idle { served: Option<Moment> },
    /// Somebody waits. The next request leaves at `ask_at`; `asked` have gone unanswered, the last one at `served`.
    Waiting { ask_at: Moment, is_urgent: bool, asked: u8, served: Option<Moment> },
}

/// Notices when many come to a track at once.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    /// The last ones, the youngest first.
    last: [Option<Moment>; CROWD],
}

impl Joins {
    /// Notes that somebody comes.
    pub(crate) fn handle_join(&mut self, now: Moment) {
        self.last.rotate_right(1);
        if let Some(youngest) = self.last.first_mut() {
            *youngest = Some(now);
        }
    }

    /// Whether a crowd has come, and may go on to.
    pub(crate) fn is_crowd(&self, now: Moment) -> bool {
        let oldest = self.last.last().copied().flatten();
        oldest.is_some_and(|oldest| now.saturating_duration_since(oldest) < CROWD_SPAN)
    }
}

impl KeyframeGate {
    pub(crate) const fn new(spacing: Duration) -> Self {
        Self { spacing, patience: spacing, rtt: Duration::ZERO, state: State::Idle { served: None } }
    }

    /// Sets how far apart keyframes are that nobody needs urgently.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience.max(self.spacing);
    }

    /// Sets how long the publisher's answer takes to come.
    pub(crate) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.min(MAX_RTT);
    }

    /// Records that a subscriber cannot decode without a keyframe.
    pub(crate) fn handle_wish(&mut self, now: Moment, urgency: Urgency) {
        let wait = match urgency {
            Urgency::Crowd => self.patience.max(JOIN_SPACING),
            Urgency::Patient => self.patience,
            Urgency::Urgent => self.spacing.max(self.rtt * 3 / 2),
        };
        let after = |served: Option<Moment>| served.map_or(now, |served| (served + wait).max(now));
        match &mut self.state {
            State::Idle { served } => {
                let served = *served;
                let is_urgent = urgency == Urgency::Urgent;
                self.state = State::Waiting { ask_at: after(served), is_urgent, asked: 0, served };
            }
            State::Waiting { ask_at, is_urgent: false, asked: 0, served } if urgency == Urgency::Crowd => {
                *ask_at = after(*served).max(*ask_at);
            }
            State::Waiting { ask_at, is_urgent, asked: 0, served } => {
                *is_urgent |= urgency == Urgency::Urgent;
                *ask_at = after(*served).min(*ask_at);
            }
            State::Waiting { .. } => {}
        }
    }

    /// Records that the publisher delivered a keyframe.
    pub(crate) fn handle_keyframe(&mut self, now: Moment) {
        let served = match self.state {
            // Unasked, the keyframe serves those who come right behind it all the same.
            State::Idle { .. } | State::Waiting { asked: 0, .. } => Some(now),
            State::Waiting { served, .. } => served,
        };
        self.state = State::Idle { served };
    }

    /// Returns whether a request is to be sent upstream now.
    #[must_use]
    pub(crate) fn poll_request(&mut self, now: Moment) -> bool {
        match self.state {
            State::Waiting { ask_at, is_urgent, asked, .. } if ask_at <= now => {
                let asked = asked.saturating_add(1);
                let ask_at = now + self.repeat(asked);
                self.state = State::Waiting { ask_at, is_urgent, asked, served: Some(now) };
                true
            }
            State::Waiting { .. } | State::Idle { .. } => false,
        }
    }

    /// Whether what is asked for has been asked for once.
    pub(crate) const fn is_first(&self) -> bool {
        matches!(self.state, State::Waiting { asked: 1, .. })
    }

    /// Returns when `poll_request` is worth asking again.
    pub(crate) const fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Waiting { ask_at, .. } => Some(ask_at),
            State::Idle { .. } => None,
        }
    }

    /// The pause after the request number `asked`, never below `spacing` and two round trips.
    fn repeat(&self, asked: u8) -> Duration {
        let pause = self.spacing.max(self.rtt * 2);
        if asked < QUICK_REQUESTS { pause } else { pause.max(SLOW_REPEAT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_joiners_costs_the_publisher_one_request_per_spacing() {
        let start = Moment::ORIGIN; // An origin to add to; no test waits for real time.
        let at = |ms| start + Duration::from_millis(ms);
        let mut gate = KeyframeGate::new(Duration::from_millis(500));

        let mut requests = 0;
        for joiner in 0..200 {
            gate.handle_wish(at(joiner), Urgency::Patient);
            requests += usize::from(gate.poll_request(at(joiner)));
        }
        assert_eq!(requests, 1, "the first goes out at once, the other 199 wait");
        assert_eq!(gate.poll_timeout(), Some(at(500)), "unanswered, it is repeated");

        gate.handle_keyframe(at(205));
        assert_eq!(gate.poll_timeout(), None, "one keyframe serves them all");

        gate.handle_wish(at(210), Urgency::Patient);
        assert!(!gate.poll_request(at(499)));
        assert!(gate.poll_request(at(500)), "who came too late for it waits for the spacing");
    }

    #[test]
    fn a_publisher_that_never_answers_is_asked_ever_more_slowly() {
        let start = Moment::ORIGIN;
        let mut gate = KeyframeGate::new(Duration::from_millis(400));
        gate.handle_wish(start, Urgency::Urgent);
        let mut asked = Vec::new();
        while let Some(at) = gate.poll_timeout().filter(|&at| at < start + Duration::from_secs(5)) {
            assert!(gate.poll_request(at));
            asked.push((at - start).as_millis());
        }
        assert_eq!(asked, [0, 400, 800, 1200, 2200, 3200, 4200]);
    }

    #[test]
    fn a_request_is_given_two_round_trips_and_an_answer_one_and_a_half() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut gate = KeyframeGate::new(Duration::from_millis(400));
        gate.set_rtt(Duration::from_millis(300));
        gate.handle_wish(at(0), Urgency::Urgent);
        assert!(gate.poll_request(at(0)));
        assert_eq!(gate.poll_timeout(), Some(at(600)));
        gate.handle_keyframe(at(320));
        gate.handle_wish(at(330), Urgency::Urgent);
        assert_eq!(gate.poll_timeout(), Some(at(450)));

        gate.set_rtt(Duration::from_secs(3600));
        assert!(gate.poll_request(at(450)));
        assert_eq!(gate.poll_timeout(), Some(at(2450)), "whatever a publisher says");
    }

    #[test]
    fn a_keyframe_nobody_asked_for_serves_who_comes_behind_it() {
        let start = Moment::ORIGIN;
        let mut gate = KeyframeGate::new(Duration::from_millis(400));
        gate.handle_wish(start, Urgency::Urgent);
        gate.handle_keyframe(start);
        assert_eq!(gate.poll_timeout(), None);
        gate.handle_wish(start, Urgency::Urgent);
        assert_eq!(gate.poll_timeout(), Some(start + Duration::from_millis(400)));
    }

    #[test]
    fn a_crowd_waits_longer_and_others_with_it_but_nobody_whose_picture_stands_still() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut joins = Joins::default();
        for (ms, is_crowd) in [(0, false), (1000, false), (3300, true), (5000, false), (6000, true)] {
            joins.handle_join(at(ms));
            assert_eq!(joins.is_crowd(at(ms)), is_crowd, "{ms}");
        }
        assert!(!joins.is_crowd(at(6700)), "it is over");

        let mut gate = KeyframeGate::new(Duration::from_millis(400));
        gate.set_patience(Duration::from_secs(1));
        gate.handle_keyframe(start);
        gate.handle_wish(at(100), Urgency::Patient);
        assert_eq!(gate.poll_timeout(), Some(at(1000)));
        gate.handle_wish(at(200), Urgency::Crowd);
        assert_eq!(gate.poll_timeout(), Some(at(3400)));
        gate.handle_wish(at(300), Urgency::Urgent);
        gate.handle_wish(at(350), Urgency::Crowd);
        assert_eq!(gate.poll_timeout(), Some(at(400)));
    }

    #[test]
    fn who_joins_waits_longer_than_whose_picture_stands_still() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut gate = KeyframeGate::new(Duration::from_millis(400));
        gate.set_patience(Duration::from_secs(3));
        gate.handle_keyframe(start);
        gate.handle_wish(at(100), Urgency::Patient);
        assert_eq!(gate.poll_timeout(), Some(at(3000)));
        gate.handle_wish(at(200), Urgency::Urgent);
        assert_eq!(gate.poll_timeout(), Some(at(400)));
        gate.handle_wish(at(300), Urgency::Patient);
        assert_eq!(gate.poll_timeout(), Some(at(400)), "the patient one does not hold it up");
    }
}
