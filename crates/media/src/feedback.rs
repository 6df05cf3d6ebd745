//! When the packets of one publishing peer arrived, for transport-wide congestion control feedback.

use std::time::Duration;

use roundtable_wire::Unwrapper16;

use crate::moment::Moment;

/// Transport-wide numbers that are remembered; what is older is reported no more.
const MEMORY: u64 = 1024;
/// Feedback leaves this long after the first packet it tells of ...
const INTERVAL: Duration = Duration::from_millis(50);
/// ... or after this long if it would tell of few.
const SPARSE_INTERVAL: Duration = Duration::from_millis(100);
const FEW_PACKETS: u32 = 20;

/// Arrival times by transport-wide sequence number, and when to report them.
#[derive(Debug)]
pub(crate) struct ArrivalLog {
    unwrapper: Unwrapper16,
    /// By number modulo [`MEMORY`]: the number and its arrival in microseconds. Empty until the first packet.
    arrivals: Vec<Option<(u64, u64)>>,
    /// The first number the next feedback tells of.
    begin: u64,
    /// The number behind the highest that has come.
    end: u64,
    pending: Option<Pending>,
    feedback_count: u8,
    /// How far the clock it tells times by is ahead of the one it is told them by, in microseconds.
    ahead: i64,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    since: Moment,
    packets: u32,
}

/// What one feedback tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) base_sequence: u16,
    pub(crate) feedback_count: u8,
}

impl ArrivalLog {
    pub(crate) const fn new() -> Self {
        let unwrapper = Unwrapper16::new();
        Self { unwrapper, arrivals: Vec::new(), begin: 0, end: 0, pending: None, feedback_count: 0, ahead: 0 }
    }

    /// Notes that the packet with transport-wide number `sequence` came; `micros` since any fixed instant.
    pub(crate) fn handle_packet(&mut self, now: Moment, sequence: u16, micros: u64) {
        if self.arrivals.is_empty() {
            self.arrivals.resize(MEMORY as usize, None);
        }
        let number = self.unwrapper.unwrap(sequence);
        if self.end == 0 || number >= self.end + MEMORY {
            // The first, or a leap that leaves nothing to compare with.
            (self.begin, self.end) = (number, number);
        }
        if number + MEMORY < self.end {
            return;
        }
        self.end = self.end.max(number + 1);
        // A late packet is told of together with all that came after it; what was told to have come stays so.
        self.begin = self.begin.min(number).max(self.end.saturating_sub(MEMORY));
        let place = &mut self.arrivals[(number % MEMORY) as usize];
        if place.is_some_and(|(noted, _)| noted == number) {
            return; // A duplicate changes nothing.
        }
        *place = Some((number, micros.saturating_add_signed(self.ahead)));
        let pending = self.pending.get_or_insert(Pending { since: now, packets: 0 });
        pending.packets += 1;
    }

    /// Goes on by another clock, which shows `shift` more than the one before, as if by the same. Packets that have come and
    /// were not told of yet are not told of any more, nor are those that are missing up to the next one: nobody listened.
    pub(crate) fn go_on(&mut self, shift: i64) {
        self.ahead = self.ahead.saturating_sub(shift);
        self.arrivals.clear();
        (self.begin, self.end, self.pending) = (0, 0, None);
    }

    /// Moves what is due into `arrivals`, from the base sequence on; `None` if nothing is due.
    pub(crate) fn poll_report(&mut self, now: Moment, arrivals: &mut Vec<Option<u64>>) -> Option<Report> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return None;
        }
        arrivals.clear();
        let found = |number: u64| {
            let place = self.arrivals.get((number % MEMORY) as usize).copied().flatten();
            place.filter(|&(noted, _)| noted == number).map(|(_, micros)| micros)
        };
        arrivals.extend((self.begin..self.end).map(found));
        let report = Report { base_sequence: self.begin as u16, feedback_count: self.feedback_count };
        self.begin = self.end;
        self.pending = None;
        Some(report)
    }

    /// Records how many messages the last report took.
    pub(crate) fn handle_sent(&mut self, messages: u8) {
        self.feedback_count = self.feedback_count.wrapping_add(messages);
    }

    /// When `poll_report` is worth asking.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.pending
            .map(|Pending { since, packets }| since + if packets < FEW_PACKETS { SPARSE_INTERVAL } else { INTERVAL })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_waits_for_its_interval_and_tells_of_gaps() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut log = ArrivalLog::new();
        let mut arrivals = Vec::new();
        for (ms, sequence) in [(0, 65_534), (5, 65_535), (9, 1)] {
            log.handle_packet(at(ms), sequence, ms * 1000);
        }
        assert_eq!(log.poll_report(at(99), &mut arrivals), None, "three packets are few");
        let report = log.poll_report(at(100), &mut arrivals).unwrap();
        assert_eq!(report, Report { base_sequence: 65_534, feedback_count: 0 });
        assert_eq!(arrivals, [Some(0), Some(5000), None, Some(9000)]);
        log.handle_sent(1);
        assert_eq!(log.poll_timeout(), None);

        // The missing one comes late: what came after it is told again as received.
        log.handle_packet(at(120), 0, 120_000);
        let report = log.poll_report(at(220), &mut arrivals).unwrap();
        assert_eq!(report, Report { base_sequence: 0, feedback_count: 1 });
        assert_eq!(arrivals, [Some(120_000), Some(9000)]);
    }

    #[test]
    fn many_packets_are_told_of_sooner() {
        let start = Moment::ORIGIN;
        let mut log = ArrivalLog::new();
        for n in 0..20 {
            log.handle_packet(start, n, 0);
        }
        assert_eq!(log.poll_timeout(), Some(start + INTERVAL));
    }

    #[test]
    fn a_leap_starts_anew_and_what_is_too_old_is_ignored() {
        let start = Moment::ORIGIN;
        let mut log = ArrivalLog::new();
        let mut arrivals = Vec::new();
        log.handle_packet(start, 100, 1);
        log.handle_packet(start, 5000, 2);
        log.handle_packet(start, 101, 3);
        let report = log.poll_report(start + INTERVAL * 2, &mut arrivals).unwrap();
        assert_eq!((report.base_sequence, arrivals), (5000, vec![Some(2)]));
    }
}
