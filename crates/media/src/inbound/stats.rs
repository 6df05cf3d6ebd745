//! What a receiver counts about one SSRC (RFC 3550 6.4.1 and appendix A.3, A.8).

use std::time::Duration;

use roundtable_wire::NtpTime;

use crate::moment::Moment;

/// Loss, jitter and the last sender report of one inbound SSRC.
#[derive(Debug, Default)]
pub(crate) struct ReceiveStats {
    base: Option<u64>,
    highest: u64,
    /// What is added to the indexes it is told, modulo 2^64.
    shift: u64,
    received: u64,
    /// `expected` and `received` when the last report was made.
    reported: (u64, u64),
    /// In ticks, times 16.
    jitter: u32,
    /// Arrival in ticks minus timestamp of the last packet.
    transit: Option<u32>,
    sender_report: Option<(u32, Moment)>,
}

/// The figures of a report block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) fraction_lost: u8,
    pub(crate) cumulative_lost: i32,
    pub(crate) highest: u32,
    pub(crate) jitter: u32,
    pub(crate) last_report: u32,
    pub(crate) since_last_report: Duration,
}

impl ReceiveStats {
    /// Counts a packet that came by itself, not as a repair.
    pub(crate) fn handle_packet(&mut self, index: u64, timestamp: u32, arrival_ticks: u32) {
        let transit = arrival_ticks.wrapping_sub(timestamp);
        match self.transit.replace(transit) {
            Some(last) => {
                let difference = (transit.wrapping_sub(last) as i32).unsigned_abs();
                // A leap of the publisher's timestamps is no jitter; ten seconds at 90 kHz.
                if difference < 900_000 {
                    self.jitter = self.jitter.saturating_add(difference) - ((self.jitter + 8) >> 4);
                }
            }
            None => self.go_on_at(index),
        }
        let index = index.wrapping_add(self.shift);
        self.base = Some(self.base.map_or(index, |base| base.min(index)));
        self.received += 1;
        self.highest = self.highest.max(index);
    }

    /// The same for whoever counts the SSRC's packets by another clock and other indexes. Those up to the next one that
    /// comes are not lost: nobody listened.
    pub(crate) fn moved(self) -> Self {
        Self { transit: None, ..self }
    }

    /// Goes on with the first packet after a move.
    fn go_on_at(&mut self, index: u64) {
        let Some(base) = self.base else { return };
        let distance = (index as u16).wrapping_sub(self.highest as u16).cast_signed();
        let at = self.highest.saturating_add_signed(i64::from(distance));
        self.shift = at.wrapping_sub(index);
        self.base = Some(base + at.saturating_sub(self.highest + 1));
    }

    /// Remembers the time in a sender report, to be returned in ours.
    pub(crate) fn handle_sender_report(&mut self, now: Moment, ntp: NtpTime) {
        self.sender_report = Some((ntp.compact(), now));
    }

    /// The figures for a report block; `None` before the first packet. The next fraction counts from here.
    pub(crate) fn report(&mut self, now: Moment) -> Option<Figures> {
        let expected = self.expected()?;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let expected_since = expected.saturating_sub(expected_before);
        let received_since = self.received - received_before;
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction_lost = (lost_since << 8).checked_div(expected_since).unwrap_or(0).min(255) as u8;
        let (last_report, since_last_report) = match self.sender_report {
            Some((compact, at)) => (compact, now.saturating_duration_since(at)),
            None => (0, Duration::ZERO),
        };
        Some(Figures {
            fraction_lost,
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: self.highest as u32,
            jitter: self.jitter >> 4,
            last_report,
            since_last_report,
        })
    }

    /// Packets expected and not received, negative if duplicates outweigh them.
    pub(crate) fn lost(&self) -> i64 {
        self.expected().unwrap_or(0) as i64 - self.received as i64
    }

    /// Packets received by themselves.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    fn expected(&self) -> Option<u64> {
        self.base.map(|base| self.highest - base + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_count_from_report_to_report() {
        let now = Moment::ORIGIN;
        let mut stats = ReceiveStats::default();
        assert_eq!(stats.report(now), None);
        for index in (65_536..65_546).filter(|index| index % 2 == 0) {
            stats.handle_packet(index, 0, 0);
        }
        let first = stats.report(now).unwrap();
        assert_eq!((first.fraction_lost, first.cumulative_lost, first.highest), ((4 * 256_u32 / 9) as u8, 4, 65_544));
        for index in 65_545..65_555 {
            stats.handle_packet(index, 0, 0);
        }
        let second = stats.report(now).unwrap();
        assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 4));
    }

    #[test]
    fn jitter_follows_the_recurrence_of_rfc_3550() {
        let mut stats = ReceiveStats::default();
        for n in 0..200u32 {
            // Every other packet is 160 ticks late.
            stats.handle_packet(u64::from(n) + 70_000, n * 960, n * 960 + if n % 2 == 0 { 160 } else { 0 });
        }
        let jitter = stats.report(Moment::ORIGIN).unwrap().jitter;
        assert!((150..=160).contains(&jitter), "converges to the difference of 160, was {jitter}");
    }

    #[test]
    fn the_last_sender_report_is_echoed_with_its_age() {
        let now = Moment::ORIGIN;
        let mut stats = ReceiveStats::default();
        stats.handle_packet(70_000, 0, 0);
        stats.handle_sender_report(now, NtpTime(0x1122_3344_5566_7788));
        let report = stats.report(now + Duration::from_millis(250)).unwrap();
        assert_eq!((report.last_report, report.since_last_report), (0x3344_5566, Duration::from_millis(250)));
    }
}
