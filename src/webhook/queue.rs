//! What waits for one receiver, and when the next is tried (pure).
//!
//! Strictly one after the other: the next event is not sent before the one in front of it has arrived or was given up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delivery::Delivery;

/// Events that wait for one receiver; beyond that the oldest are given up.
pub const MAX_QUEUED: usize = 10_000;
/// The same in bytes of their bodies.
pub const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// Longest that a receiver's `Retry-After` is kept to.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// When what failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Pause after the first failure; each further one in a row doubles it.
    pub first: Duration,
    /// Longest pause.
    pub cap: Duration,
    /// How long an event may wait before a failure means that it is given up.
    pub give_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let hour = Duration::from_secs(60 * 60);
        Self { first: Duration::from_secs(1), cap: hour, give_up: 24 * hour }
    }
}

/// The queue of one receiver.
#[derive(Debug)]
pub(super) struct Queue {
    patience: Patience,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    state: State,
    /// In a row.
    failures: u32,
}

#[derive(Debug, Clone)]
struct Waiting {
    delivery: Arc<Delivery>,
    since: Instant,
}

#[derive(Debug)]
enum State {
    /// The next event may be sent.
    Ready,
    /// This event is on its way.
    Sending(Waiting),
    /// The receiver failed and is left alone until then.
    Pausing { until: Instant },
    /// The receiver wants nothing any more.
    Disabled,
}

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Arrived,
    /// It does not, and said perhaps when to come back.
    Failed {
        /// The wish of the receiver.
        retry_after: Option<Duration>,
    },
    /// It wants nothing any more.
    Gone,
}

/// The word for how a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing to do.
    Idle,
    /// Something is on its way.
    Sending,
    /// The receiver failed, and the next try comes at this time.
    Pausing(Instant),
    /// Switched off by the receiver.
    Disabled,
}

impl Queue {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, waiting: VecDeque::new(), bytes: 0, state: State::Ready, failures: 0 }
    }

    /// Takes an event, and gives back what is given up for it: the oldest of too many, or itself when nothing is wanted.
    pub(super) fn push(&mut self, now: Instant, delivery: Arc<Delivery>) -> Vec<Arc<Delivery>> {
        if matches!(self.state, State::Disabled) {
            return vec![delivery];
        }
        self.bytes += delivery.body.len();
        self.waiting.push_back(Waiting { delivery, since: now });
        self.shrink()
    }

    /// What is to be sent now. Its outcome has to be told.
    pub(super) fn poll_send(&mut self, now: Instant) -> Option<Arc<Delivery>> {
        match self.state {
            State::Ready => {}
            State::Pausing { until } if until <= now => {}
            State::Pausing { .. } | State::Sending(_) | State::Disabled => return None,
        }
        let next = self.waiting.pop_front()?;
        self.bytes -= next.delivery.body.len();
        let delivery = Arc::clone(&next.delivery);
        self.state = State::Sending(next);
        Some(delivery)
    }

    /// When `poll_send` is worth asking again, if no event comes before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Pausing { until } if !self.waiting.is_empty() => Some(until),
            _ => None,
        }
    }

    /// Notes how the try went; gives back what is given up. `dice` is a random number that spreads the tries of many.
    pub(super) fn handle_outcome(&mut self, now: Instant, outcome: Outcome, dice: u32) -> Vec<Arc<Delivery>> {
        let State::Sending(sent) = std::mem::replace(&mut self.state, State::Ready) else { return Vec::new() };
        match outcome {
            Outcome::Arrived => {
                self.failures = 0;
                Vec::new()
            }
            Outcome::Failed { retry_after } => {
                let pause = self.pause(dice).max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER));
                self.state = State::Pausing { until: now + pause };
                self.failures = self.failures.saturating_add(1);
                self.put_back(sent);
                let mut given_up = self.shrink();
                given_up.extend(self.take_old(now));
                given_up
            }
            Outcome::Gone => {
                self.state = State::Disabled;
                self.put_back(sent);
                self.bytes = 0;
                self.waiting.drain(..).map(|waiting| waiting.delivery).collect()
            }
        }
    }

    /// Lets a receiver try again that was switched off or is left alone.
    pub(super) fn wake(&mut self) {
        if !matches!(self.state, State::Sending(_)) {
            self.state = State::Ready;
        }
    }

    /// Events that wait or are on their way.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(matches!(self.state, State::Sending(_)))
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        match self.state {
            State::Ready => Standing::Idle,
            State::Sending(_) => Standing::Sending,
            State::Pausing { until } => Standing::Pausing(until),
            State::Disabled => Standing::Disabled,
        }
    }

    fn put_back(&mut self, sent: Waiting) {
        self.bytes += sent.delivery.body.len();
        self.waiting.push_front(sent);
    }

    /// Gives up the oldest of too many.
    fn shrink(&mut self) -> Vec<Arc<Delivery>> {
        let mut given_up = Vec::new();
        while self.waiting.len() > MAX_QUEUED || (self.bytes > MAX_QUEUED_BYTES && self.waiting.len() > 1) {
            given_up.extend(self.pop_oldest());
        }
        given_up
    }

    /// Gives up what has waited too long. Only a failure does that: who is merely slow gets everything.
    fn take_old(&mut self, now: Instant) -> Vec<Arc<Delivery>> {
        let mut given_up = Vec::new();
        let too_old = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= self.patience.give_up;
        let count = self.waiting.iter().take_while(|waiting| too_old(waiting)).count();
        for _ in 0..count {
            given_up.extend(self.pop_oldest());
        }
        given_up
    }

    fn pop_oldest(&mut self) -> Option<Arc<Delivery>> {
        let oldest = self.waiting.pop_front()?;
        self.bytes -= oldest.delivery.body.len();
        Some(oldest.delivery)
    }

    /// Between half of the pause and all of it.
    fn pause(&self, dice: u32) -> Duration {
        let Patience { first, cap, .. } = self.patience;
        let whole = first.saturating_mul(1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX)).min(cap);
        whole.mul_f64(0.5 + f64::from(dice) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome::Failed { retry_after: None };

    fn delivery(n: usize) -> Arc<Delivery> {
        Arc::new(Delivery { id: n.to_string(), kind: "chat", body: vec![b'x'; 10].into() })
    }

    fn ids(deliveries: &[Arc<Delivery>]) -> Vec<&str> {
        deliveries.iter().map(|delivery| delivery.id.as_str()).collect()
    }

    fn queue(now: Instant, events: usize) -> Queue {
        let mut queue = Queue::new(Patience::default());
        (1..=events).for_each(|n| assert!(queue.push(now, delivery(n)).is_empty()));
        queue
    }

    #[test]
    fn one_is_on_its_way_at_a_time_and_the_same_again_until_it_arrives() {
        let now = Instant::now();
        let mut queue = queue(now, 2);
        assert_eq!(queue.poll_send(now).unwrap().id, "1");
        assert_eq!((queue.poll_send(now), queue.poll_timeout(), queue.len()), (None, None, 2));
        queue.handle_outcome(now, FAILED, u32::MAX);
        let again = now + Duration::from_secs(1);
        assert_eq!((queue.poll_timeout(), queue.poll_send(again - Duration::from_millis(1))), (Some(again), None));
        assert_eq!(queue.poll_send(again).unwrap().id, "1");
        queue.handle_outcome(again, Outcome::Arrived, 0);
        assert_eq!(queue.poll_send(again).unwrap().id, "2", "at once");
        queue.handle_outcome(again, Outcome::Arrived, 0);
        assert_eq!((queue.poll_send(again), queue.len(), queue.standing()), (None, 0, Standing::Idle));
    }

    #[test]
    fn pauses_double_up_to_the_cap_with_jitter_and_heed_the_receiver() {
        let now = Instant::now();
        let mut queue = queue(now, 1);
        for (seconds, dice) in [(1.0, u32::MAX), (1.0, 0), (4.0, u32::MAX), (4.0, 0)] {
            queue.poll_send(now).unwrap();
            queue.handle_outcome(now, FAILED, dice);
            assert_eq!(queue.poll_timeout(), Some(now + Duration::from_secs_f64(seconds)), "dice {dice}");
            queue.wake();
        }
        queue.failures = 40;
        queue.poll_send(now).unwrap();
        queue.handle_outcome(now, FAILED, u32::MAX);
        assert_eq!(queue.poll_timeout(), Some(now + Patience::default().cap));
        queue.wake();
        queue.poll_send(now).unwrap();
        let wish = Duration::from_secs(7_000);
        queue.handle_outcome(now, Outcome::Failed { retry_after: Some(wish) }, 0);
        assert_eq!(queue.poll_timeout(), Some(now + wish));
        queue.wake();
        queue.poll_send(now).unwrap();
        queue.handle_outcome(now, Outcome::Failed { retry_after: Some(Duration::MAX) }, 0);
        assert_eq!(queue.poll_timeout(), Some(now + MAX_RETRY_AFTER), "but not for ever");
    }

    #[test]
    fn beyond_its_bound_the_oldest_are_given_up_but_not_the_one_on_its_way() {
        let now = Instant::now();
        let mut queue = queue(now, MAX_QUEUED);
        assert_eq!(queue.poll_send(now).unwrap().id, "1");
        assert!(queue.push(now, delivery(MAX_QUEUED + 1)).is_empty());
        assert_eq!(ids(&queue.push(now, delivery(MAX_QUEUED + 2))), ["2"]);
        let given_up = queue.handle_outcome(now, FAILED, 0);
        assert_eq!((ids(&given_up), queue.len()), (vec!["1"], MAX_QUEUED), "back again it is the oldest");
        let heavy = |n: usize| Delivery { id: n.to_string(), kind: "chat", body: vec![0; MAX_QUEUED_BYTES / 2].into() };
        let mut queue = Queue::new(Patience::default());
        (1..=2).for_each(|n| assert!(queue.push(now, Arc::new(heavy(n))).is_empty()));
        assert_eq!(ids(&queue.push(now, Arc::new(heavy(3)))), ["1"]);
    }

    #[test]
    fn what_waited_too_long_is_given_up_with_a_failure() {
        let now = Instant::now();
        let mut queue = queue(now, 2);
        let later = now + Patience::default().give_up;
        queue.push(later - Duration::from_secs(1), delivery(3));
        assert_eq!(queue.poll_send(later).unwrap().id, "1");
        assert_eq!(ids(&queue.handle_outcome(later, FAILED, 0)), ["1", "2"]);
        assert_eq!((queue.len(), queue.standing()), (1, Standing::Pausing(later + Duration::from_millis(500))));
    }

    #[test]
    fn who_is_gone_gets_nothing_more_until_somebody_wakes_it() {
        let now = Instant::now();
        let mut queue = queue(now, 2);
        queue.poll_send(now).unwrap();
        assert_eq!(ids(&queue.handle_outcome(now, Outcome::Gone, 0)), ["1", "2"]);
        assert_eq!(ids(&queue.push(now, delivery(3))), ["3"]);
        assert_eq!((queue.poll_send(now), queue.standing(), queue.bytes), (None, Standing::Disabled, 0));
        queue.wake();
        assert!(queue.push(now, delivery(4)).is_empty());
        assert_eq!(queue.poll_send(now).unwrap().id, "4");
    }
}
