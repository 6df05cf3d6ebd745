//! The publisher's clock as its sender reports show it, seen from ours.

use roundtable_wire::NtpTime;

use crate::carried::CaptureTime;

/// The offset is the smallest seen within one to two of these, so that it follows drifting clocks.
const TURN_MICROS: i64 = 30_000_000;
/// An offset this much above the smallest means that the publisher's clock was set back.
const SET_BACK_MICROS: i64 = 2_000_000;
/// A report older than this tells nothing about capture times: the 32-bit timestamp could have come round.
const REPORT_LIFE_MICROS: i64 = 3_600_000_000;
/// What packets say of their capture counts for this long; senders repeat it more often, as receivers extrapolate no
/// further.
const STATED_LIFE_MICROS: i64 = 5_000_000;

/// How far one publisher's wall clock is behind our plane's clock, shared by all its tracks.
///
/// Each sender report is a sample of arrival − NTP, which is the offset plus the network's delay: the smallest is
/// the best. Sharing it keeps sound and picture of a publisher together, whatever the delay of single reports.
#[derive(Debug, Default)]
pub(crate) struct PublisherClock {
    previous: Option<i64>,
    current: Option<i64>,
    turned_at: i64,
}

impl PublisherClock {
    /// Takes a sender report that came at `now`, in microseconds of the plane's clock.
    pub(crate) fn handle_report(&mut self, now: i64, ntp: NtpTime) {
        let sample = now - micros_of(ntp);
        if self.offset().is_some_and(|offset| sample > offset + SET_BACK_MICROS) {
            *self = Self { previous: None, current: None, turned_at: now };
        }
        if now - self.turned_at >= TURN_MICROS {
            (self.previous, self.current, self.turned_at) = (self.current, None, now);
        }
        self.current = Some(self.current.map_or(sample, |current| current.min(sample)));
    }

    /// How far the publisher's wall clock is ahead of ours, which showed `start` when the plane's clock began, in 2^-32 s.
    pub(crate) fn ahead(&self, start: NtpTime) -> Option<i64> {
        let behind = i128::from(self.offset()?) + i128::from(micros_of(start));
        // NTP times wrap; so does their difference.
        Some((-(behind << 32) / 1_000_000) as i64)
    }

    /// Microseconds to add to the publisher's clock to have ours.
    pub(crate) fn offset(&self) -> Option<i64> {
        match (self.previous, self.current) {
            (Some(previous), Some(current)) => Some(previous.min(current)),
            (previous, current) => current.or(previous),
        }
    }
}

/// What one stream says of when it is captured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Captures {
    reported: Option<CaptureReport>,
    stated: Option<CaptureReport>,
}

impl Captures {
    /// Takes a sender report.
    pub(crate) const fn handle_report(&mut self, report: CaptureReport) {
        self.reported = Some(report);
    }

    /// Takes what a packet says that came at `now` (microseconds of the plane's clock).
    pub(crate) fn handle_stated(&mut self, now: i64, capture: CaptureTime, rtp: u32) {
        self.stated = Some(CaptureReport::new(now, capture.by_sender(), rtp));
    }

    /// What counts at `now`: what packets say, which knows of delays before the sender, else the sender report.
    pub(crate) fn at(&self, now: i64) -> Option<CaptureReport> {
        let is_recent = |stated: &CaptureReport| now - stated.at < STATED_LIFE_MICROS;
        self.stated.filter(is_recent).or(self.reported)
    }

    /// What the packet with `timestamp` would say of its capture, by what others said.
    pub(crate) fn stated_for(&self, timestamp: u32, rate: u32) -> Option<CaptureTime> {
        let stated = self.stated?;
        let micros = stated.ntp_micros + ticks_to_micros(timestamp.wrapping_sub(stated.rtp), rate);
        Some(CaptureTime { captured: ntp_of(micros), ahead: Some(0) })
    }
}

/// The last sender report of one stream: the same instant in NTP and RTP time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CaptureReport {
    ntp_micros: i64,
    rtp: u32,
    at: i64,
}

impl CaptureReport {
    /// A report that came at `now`, in microseconds of the plane's clock.
    pub(crate) fn new(now: i64, ntp: NtpTime, rtp: u32) -> Self {
        Self { ntp_micros: micros_of(ntp), rtp, at: now }
    }

    /// When what carries `timestamp` was captured, in the plane's clock; `None` if the report is too old to tell.
    pub(crate) fn capture_time(&self, now: i64, offset: i64, timestamp: u32, rate: u32) -> Option<i64> {
        let micros = ticks_to_micros(timestamp.wrapping_sub(self.rtp), rate);
        self.is_fresh(now).then(|| self.ntp_micros + offset + micros)
    }

    /// The timestamp of what is captured at `now`; `None` if the report is too old to tell.
    pub(crate) fn timestamp_at(&self, now: i64, offset: i64, rate: u32) -> Option<u32> {
        let elapsed = now - (self.ntp_micros + offset);
        let ticks = i128::from(elapsed) * i128::from(rate) / 1_000_000;
        // Timestamps wrap; so does this.
        self.is_fresh(now).then(|| self.rtp.wrapping_add(ticks as u32))
    }

    const fn is_fresh(&self, now: i64) -> bool {
        now - self.at < REPORT_LIFE_MICROS
    }
}

/// Microseconds since 1900, below 2^52.
const fn micros_of(ntp: NtpTime) -> i64 {
    let seconds = (ntp.0 >> 32) * 1_000_000;
    (seconds + (((ntp.0 & 0xffff_ffff) * 1_000_000) >> 32)) as i64
}

/// The time that is `micros` after 1900.
fn ntp_of(micros: i64) -> NtpTime {
    // NTP times wrap; so does this.
    NtpTime(((i128::from(micros) << 32) / 1_000_000) as u64)
}

/// Microseconds of a distance of timestamps, which may be negative.
fn ticks_to_micros(ticks: u32, rate: u32) -> i64 {
    i64::from(ticks.cast_signed()) * 1_000_000 / i64::from(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An NTP time of the publisher, `micros` after one far from ours.
    fn ntp(micros: u64) -> NtpTime {
        NtpTime::from_unix_micros(1_000_000_000_000_000 + micros)
    }

    #[test]
    fn the_quickest_report_tells_the_offset_and_old_ones_are_forgotten() {
        let mut clock = PublisherClock::default();
        assert_eq!(clock.offset(), None);
        clock.handle_report(1_030_000, ntp(1_000_000));
        let late = clock.offset().unwrap();
        clock.handle_report(2_010_000, ntp(2_000_000));
        let best = clock.offset().unwrap();
        assert_eq!(late - best, 20_000);
        clock.handle_report(3_500_000, ntp(3_000_000));
        assert_eq!(clock.offset(), Some(best));
        for second in (33..100).step_by(5) {
            clock.handle_report(second * 1_000_000 + 40_000, ntp(second as u64 * 1_000_000));
        }
        assert_eq!(clock.offset(), Some(best + 30_000), "a drift is followed");
    }

    #[test]
    fn a_clock_set_back_is_believed_at_once() {
        let mut clock = PublisherClock::default();
        clock.handle_report(10_000_000, ntp(10_000_000));
        let before = clock.offset().unwrap();
        clock.handle_report(11_000_000, ntp(1_000_000));
        assert_eq!(clock.offset().map(|after| after - before), Some(10_000_000));
    }

    #[test]
    fn capture_times_and_timestamps_are_inverse() {
        let mut clock = PublisherClock::default();
        clock.handle_report(5_000_000, ntp(77_000_000));
        let offset = clock.offset().unwrap();
        let report = CaptureReport::new(5_000_000, ntp(77_000_000), u32::MAX - 10);
        let later = (u32::MAX - 10).wrapping_add(90_000);
        assert_eq!(report.capture_time(6_000_000, offset, later, 90_000), Some(6_000_000));
        assert_eq!(report.timestamp_at(6_000_000, offset, 90_000), Some(later));
        assert_eq!(report.capture_time(2 * REPORT_LIFE_MICROS, offset, later, 90_000), None);
    }

    #[test]
    fn what_packets_say_counts_before_the_report_while_it_is_fresh() {
        let mut captures = Captures::default();
        captures.handle_report(CaptureReport::new(0, ntp(0), 0));
        let stated = CaptureTime { captured: ntp(7_000_000), ahead: Some(7 << 32) };
        captures.handle_stated(1_000_000, stated, 45_000);
        let half = captures.at(2_000_000).unwrap();
        assert_eq!((half.ntp_micros - micros_of(ntp(0)), half.rtp), (0, 45_000), "by the sender's clock");
        assert_eq!(captures.at(1_000_000 + STATED_LIFE_MICROS).unwrap().rtp, 0);
        let next = captures.stated_for(90_000, 90_000).unwrap();
        assert_eq!((next.captured.to_unix_micros(), next.ahead), (ntp(500_000).to_unix_micros(), Some(0)));
    }

    #[test]
    fn a_clock_that_is_ahead_of_ours_is_told_so() {
        let mut clock = PublisherClock::default();
        assert_eq!(clock.ahead(ntp(0)), None);
        clock.handle_report(3_000_000, ntp(8_500_000));
        assert_eq!(clock.ahead(ntp(0)), Some((11 << 32) / 2), "ours shows three seconds more than at its start");
        let stated = CaptureTime { captured: ntp(1), ahead: Some(-1 << 32) };
        assert_eq!(stated.forwarded(Some(2 << 32)).ahead, Some(1 << 32));
        assert_eq!(stated.forwarded(None).ahead, None);
    }
}
