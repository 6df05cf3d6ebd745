//! What arrives: by its publisher's mark, and by the slot it came on.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rtc::rtp;
use tokio::sync::mpsc;

use crate::lock;
use crate::synthetic::{Stamp, now_us};

/// Packets back from the newest one for which a copy is recognised.
const WINDOW: u32 = 1024;

/// What came with one publisher's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Packets.
    pub packets: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// When the last one came.
    pub last: Instant,
    /// The longest time without one between the first and the last.
    pub longest_gap: Duration,
    /// The slot the last one came on, by SSRC.
    pub ssrc: u32,
    /// The contributing source that it named.
    pub csrc: Option<u32>,
}

/// One packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// What it says about itself.
    pub stamp: Stamp,
    /// When it came, in microseconds since 1970 UTC.
    pub at_us: u64,
    /// The slot it came on.
    pub ssrc: u32,
}

/// Numbering of one slot, as a receiver sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotNumbers {
    /// The highest sequence number.
    pub last: Option<u16>,
    /// Numbers below it that never came.
    pub missing: u64,
}

/// Which of the last [`WINDOW`] numbers have been seen.
#[derive(Debug, Default)]
struct Seen {
    newest: Option<u32>,
    bits: [u64; WINDOW as usize / 64],
}

impl Seen {
    /// Notes a number; says whether it is new. Those behind the window count as new.
    fn insert(&mut self, number: u32) -> bool {
        let Some(newest) = self.newest else {
            self.newest = Some(number);
            self.set(number, true);
            return true;
        };
        if number > newest {
            (newest + 1..=number).take(WINDOW as usize).for_each(|n| self.set(n, false));
            self.newest = Some(number);
        } else if newest - number >= WINDOW {
            return true;
        }
        let known = self.get(number);
        self.set(number, true);
        !known
    }

    fn get(&self, number: u32) -> bool {
        let at = number % WINDOW;
        self.bits[at as usize / 64] & (1 << (at % 64)) != 0
    }

    fn set(&mut self, number: u32, value: bool) {
        let at = number % WINDOW;
        let bit = 1 << (at % 64);
        if value { self.bits[at as usize / 64] |= bit } else { self.bits[at as usize / 64] &= !bit }
    }
}

/// Everything counted at one client.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    marks: Mutex<HashMap<u64, (Received, Seen)>>,
    slots: Mutex<HashMap<u32, SlotNumbers>>,
    observers: Mutex<Vec<mpsc::Sender<Arrival>>>,
}

impl Counters {
    pub(crate) fn count(&self, packet: &rtp::Packet) {
        let ssrc = packet.header.ssrc;
        self.count_slot(ssrc, packet.header.sequence_number);
        let Some(stamp) = Stamp::read(&packet.payload) else { return };
        self.count_mark(stamp, (ssrc, packet.header.csrc.first().copied()), packet.payload.len());
        let arrival = Arrival { stamp, at_us: now_us(), ssrc };
        // A full observer misses some, one that has gone is forgotten.
        lock(&self.observers)
            .retain(|observer| !matches!(observer.try_send(arrival), Err(mpsc::error::TrySendError::Closed(_))));
    }

    fn count_slot(&self, ssrc: u32, sequence: u16) {
        let mut slots = lock(&self.slots);
        let numbers = slots.entry(ssrc).or_default();
        let step = numbers.last.map_or(1, |last| sequence.wrapping_sub(last));
        if (1..0x8000).contains(&step) {
            numbers.missing += u64::from(step - 1);
            numbers.last = Some(sequence);
        } else if step != 0 {
            numbers.missing = numbers.missing.saturating_sub(1);
        }
    }

    fn count_mark(&self, stamp: Stamp, (ssrc, csrc): (u32, Option<u32>), bytes: usize) {
        let now = Instant::now();
        let mut marks = lock(&self.marks);
        let (received, seen) = marks.entry(stamp.mark).or_insert_with(|| {
            let received =
                Received { packets: 0, duplicates: 0, bytes: 0, last: now, longest_gap: Duration::ZERO, ssrc, csrc };
            (received, Seen::default())
        });
        received.packets += 1;
        received.duplicates += u64::from(!seen.insert(stamp.number));
        received.bytes += bytes as u64;
        received.longest_gap = received.longest_gap.max(now - received.last);
        received.last = now;
        (received.ssrc, received.csrc) = (ssrc, csrc);
    }

    pub(crate) fn received(&self) -> HashMap<u64, Received> {
        lock(&self.marks).iter().map(|(mark, (received, _))| (*mark, received.clone())).collect()
    }

    pub(crate) fn slot_numbers(&self) -> HashMap<u32, SlotNumbers> {
        lock(&self.slots).clone()
    }

    pub(crate) fn observe(&self, capacity: usize) -> mpsc::Receiver<Arrival> {
        let (sender, receiver) = mpsc::channel(capacity);
        lock(&self.observers).push(sender);
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_recognised_within_the_window() {
        let mut seen = Seen::default();
        assert!(seen.insert(5));
        assert!(!seen.insert(5));
        assert!(seen.insert(4), "late, but not seen");
        assert!(seen.insert(900));
        assert!(!seen.insert(4));
        assert!(seen.insert(5 + WINDOW), "its place was taken by 5 before");
        assert!(!seen.insert(900));
        assert!(seen.insert(100_000));
        assert!(seen.insert(99_999));
        assert!(!seen.insert(99_999));
    }
}
