//! One direction of a link: a queue, a wire, and bad luck.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::{Gilbert, Profile, Random};

#[cfg(test)]
mod tests;

/// Packets that may be in a link at once, whatever its queue and delay; those beyond are dropped.
const MAX_PACKETS: usize = 16_384;

/// Why a packet does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// It would have waited too long, or there are too many.
    Queue,
    /// It was lost on the way.
    Lost,
    /// It is larger than the link carries.
    TooLarge,
}

/// One direction of a link, carrying packets of type `T`.
///
/// A packet waits in a first-in first-out queue for its turn on the wire, takes as long as its size and the rate
/// say, and then travels. Its luck is drawn when it comes, as many numbers for each packet whatever the profile:
/// the same packets and the same seed always meet the same fate.
#[derive(Debug)]
pub struct Link<T> {
    profile: Profile,
    random: Random,
    gilbert: Gilbert,
    waiting: VecDeque<Waiting<T>>,
    waiting_bytes: usize,
    /// When the first of `waiting` has left; there is one exactly while somebody waits.
    first_leaves: Option<Instant>,
    flying: BinaryHeap<Reverse<Flight<T>>>,
    /// The latest arrival of those that keep the order.
    last_arrival: Option<Instant>,
    launched: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    packet: T,
    /// With headers.
    bytes: usize,
    luck: Luck,
}

/// What was drawn for one packet that was not lost.
#[derive(Debug, Clone, Copy)]
struct Luck {
    /// In standard deviations.
    jitter: f64,
    is_late: bool,
    is_doubled: bool,
}

#[derive(Debug)]
struct Flight<T> {
    arrives: Instant,
    /// Keeps those that arrive at one time in the order they left.
    number: u64,
    packet: T,
}

impl<T: Clone> Link<T> {
    /// An empty link whose luck is the seed's.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            random: Random::new(seed),
            gilbert: Gilbert::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            first_leaves: None,
            flying: BinaryHeap::new(),
            last_arrival: None,
            launched: 0,
        }
    }

    /// Takes a packet whose datagram has `len` bytes.
    ///
    /// # Errors
    /// [`Drop`] when it will not arrive.
    pub fn handle_packet(&mut self, now: Instant, len: usize, packet: T) -> Result<(), Drop> {
        self.advance(now);
        let bytes = len + self.profile.overhead;
        let luck = self.draw();
        if self.profile.mtu.is_some_and(|mtu| bytes > mtu) {
            return Err(Drop::TooLarge);
        }
        let luck = luck.ok_or(Drop::Lost)?;
        if self.queue_delay(now) > self.profile.queue || self.packets() >= MAX_PACKETS {
            return Err(Drop::Queue);
        }
        if self.waiting.is_empty() {
            self.first_leaves = Some(now + self.time_on_wire(bytes));
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(Waiting { packet, bytes, luck });
        self.advance(now);
        Ok(())
    }

    /// Changes what the link is like. What waits goes on at the new rate; what then would wait too long is dropped
    /// from the queue's end. Returns how many were.
    pub fn set_profile(&mut self, now: Instant, profile: Profile) -> usize {
        self.advance(now);
        if let Some(leaves) = self.first_leaves {
            let left = leaves.saturating_duration_since(now);
            self.first_leaves = Some(now + scaled(left, self.profile.rate_bps, profile.rate_bps));
        }
        self.profile = profile;
        let mut dropped = 0;
        while self.waiting.len() > 1 && self.delay_of_last(now) > self.profile.queue {
            if let Some(last) = self.waiting.pop_back() {
                self.waiting_bytes -= last.bytes;
                dropped += 1;
            }
        }
        self.advance(now);
        dropped
    }

    /// The next packet that has arrived.
    #[must_use]
    pub fn poll_arrival(&mut self, now: Instant) -> Option<T> {
        self.advance(now);
        if self.flying.peek()?.0.arrives > now {
            return None;
        }
        self.flying.pop().map(|Reverse(flight)| flight.packet)
    }

    /// When [`poll_arrival`](Self::poll_arrival) is worth asking again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let arrival = self.flying.peek().map(|flight| flight.0.arrives);
        // The first that waits may yet arrive before all that fly; the link must see it leave.
        [arrival, self.first_leaves].into_iter().flatten().min()
    }

    /// What the link is like.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// How long a packet that came now would wait for its turn.
    #[must_use]
    pub fn queue_delay(&self, now: Instant) -> Duration {
        let Some(leaves) = self.first_leaves else { return Duration::ZERO };
        let first = self.waiting.front().map_or(0, |first| first.bytes);
        leaves.saturating_duration_since(now) + self.time_on_wire(self.waiting_bytes - first)
    }

    /// How long the last that waits has to wait for its turn.
    fn delay_of_last(&self, now: Instant) -> Duration {
        let last = self.waiting.back().map_or(0, |last| last.bytes);
        self.queue_delay(now).saturating_sub(self.time_on_wire(last))
    }

    fn packets(&self) -> usize {
        self.waiting.len() + self.flying.len()
    }

    /// Lets everybody leave whose turn is over.
    fn advance(&mut self, now: Instant) {
        while let Some(left) = self.first_leaves.filter(|leaves| *leaves <= now) {
            if let Some(first) = self.waiting.pop_front() {
                self.waiting_bytes -= first.bytes;
                self.launch(left, first);
            }
            self.first_leaves = self.waiting.front().map(|next| left + self.time_on_wire(next.bytes));
        }
    }

    /// Sends a packet on its way.
    fn launch(&mut self, left: Instant, Waiting { packet, luck, .. }: Waiting<T>) {
        let delay = self.profile.delay.as_secs_f64() + self.profile.jitter.as_secs_f64() * luck.jitter;
        let mut arrives = left + Duration::try_from_secs_f64(delay).unwrap_or_default();
        if luck.is_late {
            arrives += self.profile.late;
        } else {
            arrives = self.last_arrival.map_or(arrives, |last| last.max(arrives));
            self.last_arrival = Some(arrives);
        }
        if luck.is_doubled {
            self.fly(arrives, packet.clone());
        }
        self.fly(arrives, packet);
    }

    fn fly(&mut self, arrives: Instant, packet: T) {
        self.flying.push(Reverse(Flight { arrives, number: self.launched, packet }));
        self.launched += 1;
    }

    /// Draws what happens to a packet; `None` is lost.
    fn draw(&mut self) -> Option<Luck> {
        let is_lost = self.hits(self.profile.loss_permille);
        let burst_luck = self.random.unit();
        let is_burst = self.gilbert.loses(self.profile.burst_loss_permille / 1000.0, self.profile.burst, burst_luck);
        let luck = Luck {
            jitter: self.random.normal(),
            is_late: self.hits(self.profile.reorder_permille),
            is_doubled: self.hits(self.profile.duplicate_permille),
        };
        (!is_lost && !is_burst).then_some(luck)
    }

    fn hits(&mut self, permille: f64) -> bool {
        self.random.unit() * 1000.0 < permille
    }

    fn time_on_wire(&self, bytes: usize) -> Duration {
        match self.profile.rate_bps {
            Some(rate) => Duration::from_secs_f64(bytes as f64 * 8.0 / rate.max(1) as f64),
            None => Duration::ZERO,
        }
    }
}

/// What is left of a time on the wire once the rate is another.
fn scaled(left: Duration, old_bps: Option<u64>, new_bps: Option<u64>) -> Duration {
    match (old_bps, new_bps) {
        (Some(old), Some(new)) => {
            let seconds = left.as_secs_f64() * old as f64 / new.max(1) as f64;
            Duration::try_from_secs_f64(seconds).unwrap_or(left)
        }
        // An unlimited link keeps nobody waiting.
        (None, _) | (_, None) => Duration::ZERO,
    }
}

impl<T> Ord for Flight<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.arrives, self.number).cmp(&(other.arrives, other.number))
    }
}

impl<T> PartialOrd for Flight<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Flight<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Flight<T> {}
