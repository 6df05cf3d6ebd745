//! Groups packets that left together, and compares how far groups lie apart when they leave and when they arrive.

use crate::moment::Moment;

/// Packets that leave within this many microseconds of the first of a group belong to it.
const GROUP_SPAN: i64 = 5_000;
/// Packets that arrive this close behind each other and catch up were held back together: a burst, …
const BURST_GAP: i64 = 5_000;
/// … which spans no longer than this.
const BURST_SPAN: i64 = 100_000;
/// After so many groups in a row that arrived before their predecessor everything is forgotten.
const MAX_REORDERED: u8 = 3;
/// The receiver's clock may run away from ours by this much between two groups, else everything is forgotten.
const MAX_CLOCK_JUMP: i64 = 3_000_000;

/// Two groups next to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Delta {
    /// Between their departures, in milliseconds.
    pub(super) send_ms: f64,
    /// Between their arrivals, in milliseconds.
    pub(super) arrival_ms: f64,
    /// By how much the first packet of the later one caught up with that of the earlier one, in milliseconds: how long a
    /// group takes to arrive is its size's doing, and no jitter.
    pub(super) caught_up_ms: f64,
    /// When the later one was complete, in milliseconds of the receiver's clock.
    pub(super) at_ms: f64,
    /// Its arrival minus its departure: an unknown constant, plus the delay of the path.
    pub(super) delay_ms: f64,
    /// How long its last packet was expected to queue, in milliseconds.
    pub(super) expected_ms: f64,
}

/// Makes groups of packets that come in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct InterArrival {
    current: Option<Group>,
    previous: Option<Group>,
    reordered: u8,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: i64,
    last_sent: i64,
    first_arrival: i64,
    last_arrival: i64,
    expected_ms: u16,
    /// When we learnt of its last packet.
    at: Moment,
}

impl InterArrival {
    /// Adds a packet; returns the distance of the last two complete groups when it opens a new one.
    pub(super) fn handle_packet(&mut self, now: Moment, sent: i64, arrival: i64, expected_ms: u16) -> Option<Delta> {
        let fresh = || Group {
            first_sent: sent,
            last_sent: sent,
            first_arrival: arrival,
            last_arrival: arrival,
            expected_ms,
            at: now,
        };
        let Some(current) = &mut self.current else {
            self.current = Some(fresh());
            return None;
        };
        if sent < current.first_sent {
            return None; // Belongs to a group that is over.
        }
        if !current.starts_anew(sent, arrival) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrival = current.last_arrival.max(arrival);
            current.expected_ms = current.expected_ms.max(expected_ms);
            current.at = now;
            return None;
        }
        let complete = *current;
        let previous = self.previous.replace(complete);
        self.current = Some(fresh());
        self.compare(&previous?, &complete)
    }

    fn compare(&mut self, previous: &Group, group: &Group) -> Option<Delta> {
        let arrival = group.last_arrival.saturating_sub(previous.last_arrival);
        let known = group.at.micros_since(previous.at).cast_signed();
        if arrival.saturating_sub(known) >= MAX_CLOCK_JUMP {
            *self = Self::default();
            return None;
        }
        if arrival < 0 {
            self.reordered += 1;
            if self.reordered >= MAX_REORDERED {
                *self = Self::default();
            }
            return None;
        }
        self.reordered = 0;
        let millis = |micros: i64| micros as f64 / 1e3;
        Some(Delta {
            send_ms: millis(group.last_sent - previous.last_sent),
            arrival_ms: millis(arrival),
            caught_up_ms: millis(
                (group.first_sent - previous.first_sent)
                    .saturating_sub(group.first_arrival.saturating_sub(previous.first_arrival)),
            ),
            at_ms: millis(group.last_arrival),
            delay_ms: millis(group.last_arrival.saturating_sub(group.last_sent)),
            expected_ms: f64::from(group.expected_ms),
        })
    }
}

impl Group {
    fn starts_anew(&self, sent: i64, arrival: i64) -> bool {
        sent - self.first_sent > GROUP_SPAN && !self.has_burst(sent, arrival)
    }

    fn has_burst(&self, sent: i64, arrival: i64) -> bool {
        let send_gap = sent - self.last_sent;
        let arrival_gap = arrival.saturating_sub(self.last_arrival);
        send_gap == 0
            || (arrival_gap < send_gap
                && (0..=BURST_GAP).contains(&arrival_gap) // Below, the receiver's clock went back.
                && arrival.saturating_sub(self.first_arrival) < BURST_SPAN)
    }
}
