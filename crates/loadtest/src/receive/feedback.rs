//! Transport-wide feedback: which numbers came when (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use roundtable_wire::rtcp::Writer;

/// Most numbers kept between two messages; what comes beyond them is not told.
const MOST_KEPT: u16 = 4_096;

/// Gathers arrivals for the next message.
#[derive(Debug, Default)]
pub(crate) struct Feedback {
    /// The number of the first arrival kept, once there was one.
    base: Option<u16>,
    /// Arrivals in µs since the run's origin.
    arrivals: Vec<Option<u64>>,
    count: u8,
}

impl Feedback {
    /// Notes that a number came.
    pub(crate) fn handle_arrival(&mut self, sequence: u16, now_us: u64) {
        let base = *self.base.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(base);
        // What is behind the base was told as lost; it is not worth another message.
        if ahead >= MOST_KEPT {
            if ahead < 1 << 15 {
                self.base = Some(sequence);
                self.arrivals.clear();
                self.arrivals.push(Some(now_us));
            }
            return;
        }
        let at = usize::from(ahead);
        if at >= self.arrivals.len() {
            self.arrivals.resize(at + 1, None);
        }
        if let Some(arrival) = self.arrivals.get_mut(at) {
            *arrival = Some(now_us);
        }
    }

    /// Appends what was gathered, if anything, and begins anew behind it.
    pub(crate) fn write(&mut self, sender_ssrc: u32, media_ssrc: u32, writer: &mut Writer<'_>) {
        let Some(base) = self.base.filter(|_| !self.arrivals.is_empty()) else { return };
        let written = writer.twcc(sender_ssrc, media_ssrc, self.count, base, &self.arrivals);
        self.count = self.count.wrapping_add(written);
        // At most `MOST_KEPT` are kept.
        self.base = Some(base.wrapping_add(self.arrivals.len() as u16));
        self.arrivals.clear();
    }
}

#[cfg(test)]
mod tests {
    use roundtable_wire::rtcp::{Packet, packets};

    use super::*;

    fn told(feedback: &mut Feedback) -> Vec<(u16, bool)> {
        let mut out = Vec::new();
        feedback.write(1, 2, &mut Writer::new(&mut out));
        let read = packets(&out).map(|packet| match packet {
            Ok(Packet::TransportFeedback(feedback)) => feedback.statuses().map(|(n, at)| (n, at.is_some())).collect(),
            other => panic!("{other:?}"),
        });
        read.collect::<Vec<Vec<_>>>().concat()
    }

    #[test]
    fn arrivals_and_gaps_are_told_once() {
        let mut feedback = Feedback::default();
        assert_eq!(told(&mut feedback), []);
        for sequence in [65_534, 0, 65_535] {
            feedback.handle_arrival(sequence, 5_000);
        }
        assert_eq!(told(&mut feedback), [(65_534, true), (65_535, true), (0, true)]);
        feedback.handle_arrival(2, 6_000);
        feedback.handle_arrival(65_000, 6_000);
        assert_eq!(told(&mut feedback), [(1, false), (2, true)], "the gap is told, what is too late is not");
        assert_eq!(told(&mut feedback), []);
    }

    #[test]
    fn a_leap_begins_anew() {
        let mut feedback = Feedback::default();
        feedback.handle_arrival(1, 64_000);
        feedback.handle_arrival(20_000, 64_000);
        assert_eq!(told(&mut feedback), [(20_000, true)]);
    }
}
