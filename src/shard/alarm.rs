//! When a shard has something to do without being asked: what must be done in time, and what waits for a turn that comes anyway.

use std::time::{Duration, Instant};

use super::timer::Wheel;

/// How long what can wait does so, before the shard wakes up for nothing else: longer than a picture lasts at 30 a second,
/// so that where somebody publishes it never does.
pub(super) const PATIENCE: Duration = Duration::from_millis(40);

/// Who is to be asked what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// A peer connection.
    Endpoint(usize),
    /// A room.
    Room(usize),
    /// A room, of whose work what can wait is due.
    RoomLater(usize),
    /// A peer connection that is kept for nobody any more.
    Parked(u64),
}

/// The alarms of a shard. To wake up costs a shard more than most of what it does then, so that what nobody misses
/// for a moment is done in the first turn after it is due (decision 30).
#[derive(Debug)]
pub(super) struct Alarms {
    strict: Wheel<Alarm>,
    lenient: Wheel<Alarm>,
}

impl Alarms {
    /// No alarms.
    pub(super) fn new(now: Instant) -> Self {
        Self { strict: Wheel::new(now), lenient: Wheel::new(now) }
    }

    /// Sets an alarm.
    pub(super) fn schedule(&mut self, at: Instant, alarm: Alarm) {
        self.strict.schedule(at, alarm);
    }

    /// Sets an alarm that goes off in the first turn after `at`, and is worth a turn of its own only some time later.
    pub(super) fn schedule_leniently(&mut self, at: Instant, alarm: Alarm) {
        self.lenient.schedule(at, alarm);
    }

    /// When a turn is to be made, if there is none before.
    pub(super) fn next(&self) -> Option<Instant> {
        let lenient = self.lenient.next().map(|at| at + PATIENCE);
        self.strict.next().into_iter().chain(lenient).min()
    }

    /// Takes out everything due at `now`, what cannot wait first.
    pub(super) fn advance(&mut self, now: Instant, due: &mut Vec<Alarm>) {
        self.strict.advance(now, due);
        self.lenient.advance(now, due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_wait_does_not_wake_the_shard_before_its_patience_ends() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut alarms = Alarms::new(start);
        alarms.schedule_leniently(at(100), Alarm::RoomLater(1));
        assert_eq!(alarms.next(), Some(at(140)));
        alarms.schedule(at(150), Alarm::Room(2));
        alarms.schedule(at(120), Alarm::Room(3));
        assert_eq!(alarms.next(), Some(at(120)));
        let mut due = Vec::new();
        alarms.advance(at(99), &mut due);
        assert_eq!(due, []);
        alarms.advance(at(120), &mut due);
        assert_eq!(due, [Alarm::Room(3), Alarm::RoomLater(1)], "with the turn that is made anyway");
        assert_eq!(alarms.next(), Some(at(150)));
    }
}
