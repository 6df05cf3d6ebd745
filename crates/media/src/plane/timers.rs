//! When the plane's regular work is due: a table with one place for each kind.

use crate::moment::Moment;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Bit rates are measured and the best layers chosen.
    Layers,
    /// Paths to subscribers are probed, and what waits for them leaves.
    Sending,
    /// Publishers are asked for missing packets.
    Nack,
    /// Publishers are asked for keyframes.
    Keyframe,
    /// Publishers are told when their packets arrived.
    Feedback,
    /// Publishers are told of loss and jitter.
    ReceiverReports,
    /// Subscribers are told which timestamps belong together.
    SenderReports,
    /// Speech ends.
    Speaking,
    /// It is decided who leads the conversation.
    Dominance,
}

impl Timer {
    /// All of them, in an order in which what one asks of another is done in the same round.
    pub(crate) const ALL: [Self; 9] = [
        Self::Layers,
        Self::Sending,
        Self::Nack,
        Self::Keyframe,
        Self::Feedback,
        Self::ReceiverReports,
        Self::SenderReports,
        Self::Speaking,
        Self::Dominance,
    ];
}

/// The deadlines, with the earliest at hand.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Moment>; Timer::ALL.len()],
    next: Option<Moment>,
}

impl Timers {
    /// Sees to it that the work is done at `at` or before.
    pub(crate) fn schedule(&mut self, timer: Timer, at: Option<Moment>) {
        let Some(at) = at else { return };
        // As many places as timers.
        let place = &mut self.at[timer as usize];
        if place.is_none_or(|planned| at < planned) {
            *place = Some(at);
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }

    /// Whether the work is due; if so, it is no longer planned.
    pub(crate) fn take_due(&mut self, timer: Timer, now: Moment) -> bool {
        // As many places as timers.
        let place = &mut self.at[timer as usize];
        let is_due = place.is_some_and(|at| at <= now);
        if is_due {
            *place = None;
            self.next = self.at.iter().flatten().min().copied();
        }
        is_due
    }

    pub(crate) const fn next(&self) -> Option<Moment> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_deadline_is_at_hand() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.schedule(Timer::Nack, Some(at(20)));
        timers.schedule(Timer::Layers, Some(at(10)));
        timers.schedule(Timer::Nack, Some(at(30)));
        timers.schedule(Timer::Nack, None);
        assert_eq!(timers.next(), Some(at(10)));
        assert!(!timers.take_due(Timer::Nack, at(19)));
        assert!(timers.take_due(Timer::Layers, at(19)));
        assert_eq!(timers.next(), Some(at(20)));
        assert!(timers.take_due(Timer::Nack, at(20)));
        assert_eq!((timers.next(), timers.take_due(Timer::Nack, at(99))), (None, false));
    }
}
