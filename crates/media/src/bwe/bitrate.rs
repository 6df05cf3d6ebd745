//! A rate in bits per second.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Bits per second, counted on the wire: IP, UDP and SRTP included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bitrate(u64);

impl Bitrate {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `bps` bits per second.
    #[must_use]
    pub const fn bps(bps: u64) -> Self {
        Self(bps)
    }

    /// `kbps` times 1000 bits per second; saturates.
    #[must_use]
    pub const fn kbps(kbps: u64) -> Self {
        Self(kbps.saturating_mul(1000))
    }

    /// The nearest whole rate: zero for what is negative or no number, nine exabits a second for what is more.
    #[must_use]
    pub const fn from_f64(bps: f64) -> Self {
        // The cast saturates, and makes zero of NaN. By way of a signed number it takes half as many instructions; from where
        // that ends, at nine exabits, rates are all the same.
        let bps = bps as i64;
        Self(if bps > 0 { bps.cast_unsigned() } else { 0 })
    }

    /// Bits per second.
    #[must_use]
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// Bits per second, for arithmetic.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        let bps = self.0.cast_signed();
        // As above: the conversion of a signed number is one instruction.
        (if bps >= 0 { bps } else { i64::MAX }) as f64
    }

    /// This rate times `factor`.
    #[must_use]
    pub fn scale(self, factor: f64) -> Self {
        Self::from_f64(self.as_f64() * factor)
    }

    /// How many bytes this rate carries within `span`.
    #[must_use]
    pub fn bytes_in(self, span: Duration) -> f64 {
        self.bytes_in_seconds(span.as_secs_f64())
    }

    /// The same for a span in seconds.
    #[must_use]
    pub const fn bytes_in_seconds(self, seconds: f64) -> f64 {
        self.as_f64() / 8.0 * seconds
    }

    /// How long this rate takes for `bytes`, at most an hour.
    #[must_use]
    pub fn time_for(self, bytes: f64) -> Duration {
        if bytes <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((bytes * 8.0 / self.as_f64().max(1.0)).min(3600.0))
    }
}

/// The lesser of two, neither of which is "not a number": to look for that, as `f64::min` does, takes five times as long.
pub(crate) fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The greater of two, as above.
pub(crate) fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

impl Add for Bitrate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Bitrate {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Bitrate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} kbit/s", self.as_f64() / 1000.0)
    }
}
