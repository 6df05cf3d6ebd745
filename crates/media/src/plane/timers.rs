//! When the plane's regular work is due: a table with one place for each kind.

use crate::moment::Moment;
use crate::plane::earlier;

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

    /// Whether nobody notices if it is done a little later, with a packet that comes anyway.
    const fn can_wait(self) -> bool {
        match self {
            Self::Layers | Self::Feedback | Self::ReceiverReports | Self::SenderReports => true,
            Self::Speaking | Self::Dominance => true,
            Self::Sending | Self::Nack | Self::Keyframe => false,
        }
    }
}

/// The deadlines, with the earliest of those that can wait and of those that cannot at hand.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Moment>; Timer::ALL.len()],
    strict: Option<Moment>,
    lenient: Option<Moment>,
}

impl Timers {
    /// Sees to it that the work is done at `at` or before.
    pub(crate) fn schedule(&mut self, timer: Timer, at: Option<Moment>) {
        let Some(at) = at else { return };
        // As many places as timers.
        let place = &mut self.at[timer as usize];
        if place.is_none_or(|planned| at < planned) {
            *place = Some(at);
            let earliest = if timer.can_wait() { &mut self.lenient } else { &mut self.strict };
            *earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
        }
    }

    /// Whether the work is due; if so, it is no longer planned.
    pub(crate) fn take_due(&mut self, timer: Timer, now: Moment) -> bool {
        // As many places as timers.
        let place = &mut self.at[timer as usize];
        let is_due = place.is_some_and(|at| at <= now);
        if is_due {
            *place = None;
            let of_its_kind = |other: &Timer| other.can_wait() == timer.can_wait();
            let earliest =
                Timer::ALL.iter().filter(|other| of_its_kind(other)).filter_map(|&other| self.at[other as usize]).min();
            if timer.can_wait() { self.lenient = earliest } else { self.strict = earliest }
        }
        is_due
    }

    /// The earliest of all.
    pub(crate) fn next(&self) -> Option<Moment> {
        earlier(self.strict, self.lenient)
    }

    /// The earliest that cannot wait.
    pub(crate) const fn strict(&self) -> Option<Moment> {
        self.strict
    }

    /// The earliest that can.
    pub(crate) const fn lenient(&self) -> Option<Moment> {
        self.lenient
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

    #[test]
    fn what_can_wait_is_told_from_what_cannot() {
        let at = |ms| Some(Moment::ORIGIN + Duration::from_millis(ms));
        let mut timers = Timers::default();
        timers.schedule(Timer::Layers, at(10));
        timers.schedule(Timer::Feedback, at(15));
        timers.schedule(Timer::Sending, at(20));
        assert_eq!((timers.lenient(), timers.strict(), timers.next()), (at(10), at(20), at(10)));
        assert!(timers.take_due(Timer::Layers, Moment::ORIGIN + Duration::from_millis(12)));
        assert_eq!((timers.lenient(), timers.strict()), (at(15), at(20)));
        assert!(timers.take_due(Timer::Sending, Moment::ORIGIN + Duration::from_millis(20)));
        assert_eq!((timers.lenient(), timers.strict(), timers.next()), (at(15), None, at(15)));
    }
}
