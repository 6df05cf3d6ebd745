//! NTP time as RTCP carries it (RFC 3550 4), and its shortened forms.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
const UNIX_EPOCH_SECONDS: u64 = 2_208_988_800;

/// Seconds since 1900 as 32.32 fixed point. The seconds wrap in 2036; arithmetic wraps with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From microseconds since 1970.
    #[must_use]
    pub const fn from_unix_micros(micros: u64) -> Self {
        let seconds = (micros / 1_000_000).wrapping_add(UNIX_EPOCH_SECONDS) & 0xffff_ffff;
        Self(seconds << 32 | micros_to_fraction(micros % 1_000_000))
    }

    /// To microseconds since 1970, the inverse of [`NtpTime::from_unix_micros`] from 1970 to 2104.
    ///
    /// Seconds without the top bit belong to the era that starts in 2036 (RFC 4330 3); times before 1970 become 0.
    #[must_use]
    pub const fn to_unix_micros(self) -> u64 {
        let short = self.0 >> 32;
        let seconds = if short >> 31 == 0 { short + (1 << 32) } else { short };
        match seconds.checked_sub(UNIX_EPOCH_SECONDS) {
            Some(seconds) => seconds * 1_000_000 + fraction_to_micros(self.0 & 0xffff_ffff),
            None => 0,
        }
    }

    /// The middle 32 bits: the LSR, LRR and NTP-short form, in units of 1/65536 s.
    #[must_use]
    pub const fn compact(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The 24-bit 6.18 fixed-point form of the abs-send-time header extension.
    #[must_use]
    pub const fn abs_send_time(self) -> u32 {
        (self.0 >> 14) as u32 & 0x00ff_ffff
    }

    /// Microseconds from `earlier` to `self`, negative if it is later; right up to 68 years apart.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        let units = self.0.wrapping_sub(earlier.0) as i64;
        (units >> 32) * 1_000_000 + fraction_to_micros(units as u64 & 0xffff_ffff) as i64
    }
}

impl Add<Duration> for NtpTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.wrapping_add(span_units(span)))
    }
}

impl Sub<Duration> for NtpTime {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.wrapping_sub(span_units(span)))
    }
}

/// A span in units of 1/65536 s as DLSR and DLRR carry it; more than 18 hours become the largest value.
#[must_use]
pub fn compact_span(span: Duration) -> u32 {
    if span.as_secs() > 0xffff { u32::MAX } else { (span_units(span) >> 16) as u32 }
}

/// The span that `units` of 1/65536 s are.
#[must_use]
pub fn span_of_compact(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
}

/// Round-trip time from a report block (RFC 3550 6.4.1): `now` − `last_report` − `delay`, all compact.
///
/// `None` if the reporter has not seen a report yet (`last_report` 0). A negative result, which clock
/// granularity can cause, becomes zero.
#[must_use]
pub fn round_trip(now: NtpTime, last_report: u32, delay: u32) -> Option<Duration> {
    if last_report == 0 {
        return None;
    }
    let units = now.compact().wrapping_sub(last_report).wrapping_sub(delay);
    Some(if units as i32 <= 0 { Duration::ZERO } else { span_of_compact(units) })
}

fn span_units(span: Duration) -> u64 {
    let fraction = (u64::from(span.subsec_nanos()) << 32) / 1_000_000_000;
    (span.as_secs() << 32).wrapping_add(fraction)
}

const fn micros_to_fraction(micros: u64) -> u64 {
    // Below 10^6, so neither the shift nor the rounding reaches the next second.
    ((micros << 32) + 500_000) / 1_000_000
}

const fn fraction_to_micros(fraction: u64) -> u64 {
    (fraction * 1_000_000 + (1 << 31)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_comes_back_to_the_microsecond() {
        // The epoch, a leap day, the last and the first microsecond of the NTP eras, a time in the second era.
        for micros in [0, 1, 951_782_400_999_999, 2_085_978_495_999_999, 2_085_978_496_000_000, 4_000_000_000_123_457] {
            assert_eq!(NtpTime::from_unix_micros(micros).to_unix_micros(), micros);
        }
        for micros in (1_700_000_000_000_000..1_700_000_001_000_000).step_by(997) {
            assert_eq!(NtpTime::from_unix_micros(micros).to_unix_micros(), micros);
        }
    }

    #[test]
    fn the_epochs_are_where_rfc_868_puts_them() {
        assert_eq!(NtpTime::from_unix_micros(0), NtpTime(2_208_988_800 << 32));
        assert_eq!(NtpTime::from_unix_micros(500_000).0 & 0xffff_ffff, 1 << 31);
        assert_eq!(NtpTime::from_unix_micros(2_085_978_496_000_000), NtpTime(0), "2036-02-07 06:28:16");
        assert_eq!(NtpTime(0x8000_0000 << 32).to_unix_micros(), 0, "1968 is before 1970");
    }

    #[test]
    fn short_forms_are_the_middle_bits() {
        let time = NtpTime(0x1122_3344_5566_7788);
        assert_eq!(time.compact(), 0x3344_5566);
        assert_eq!(time.abs_send_time(), (0x1122_3344_5566_7788_u64 >> 14) as u32 & 0xff_ffff);
    }

    #[test]
    fn spans_add_and_subtract_across_the_era() {
        let late = NtpTime(0xffff_ffff_8000_0000);
        let next = late + Duration::from_millis(1500);
        assert_eq!(next, NtpTime(1 << 32));
        assert_eq!(next - Duration::from_millis(1500), late);
        assert_eq!(next.micros_since(late), 1_500_000);
        assert_eq!(late.micros_since(next), -1_500_000);
    }

    #[test]
    fn the_round_trip_is_that_of_rfc_3550_figure_2() {
        // A = b710:8000, LSR = b705:2000, DLSR = 5.250 s: a round trip of 6.125 s.
        let now = NtpTime(0xb710_8000 << 16);
        assert_eq!(round_trip(now, 0xb705_2000, 0x0005_4000), Some(Duration::from_millis(6125)));
        assert_eq!(round_trip(now, 0, 0x0005_4000), None, "no report was seen");
        assert_eq!(round_trip(now, 0xb710_8000, 1), Some(Duration::ZERO), "never negative");
    }

    #[test]
    fn compact_spans_saturate() {
        assert_eq!(compact_span(Duration::from_millis(5250)), 0x0005_4000);
        assert_eq!(span_of_compact(0x0005_4000), Duration::from_millis(5250));
        assert_eq!(compact_span(Duration::from_secs(65_535)), 0xffff_0000);
        assert_eq!(compact_span(Duration::from_secs(65_536)), u32::MAX);
        assert_eq!(compact_span(Duration::MAX), u32::MAX);
    }
}
