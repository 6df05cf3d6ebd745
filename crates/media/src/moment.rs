//! Moments as one number each.

use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Sub};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A moment of the monotonic clock, in nanoseconds, for the whole of the process.
///
/// A subscriber's slot, peer and estimator hold some forty of them. An [`Instant`] takes 16 bytes, the distance of two of them
/// some 40 instructions; this takes 8 (an `Option` of it, too) and a few. Both ways of conversion are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

/// The instant of [`Moment::ORIGIN`].
static ORIGIN: OnceLock<Instant> = OnceLock::new();

impl Moment {
    /// The first instant that was ever made a moment, whichever that is: no clock is read here. There are 146 years before it
    /// and 438 after; beyond them moments saturate.
    pub const ORIGIN: Self = Self(NonZeroU64::MIN.saturating_add(1 << 62));

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    #[inline]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// The same in seconds.
    #[must_use]
    #[inline]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        let nanos = self.0.get().saturating_sub(earlier.0.get());
        // Below a second there is nothing to be taken apart; both ways give the same.
        if nanos < 1_000_000_000 { nanos as f64 / 1e9 } else { Duration::from_nanos(nanos).as_secs_f64() }
    }

    /// The same in whole microseconds; an `i64` holds all that there can be.
    #[must_use]
    #[inline]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get()) / 1_000
    }

    /// The instant that this is; `None` before any was made a moment, and where the platform has none.
    #[must_use]
    pub fn instant(self) -> Option<Instant> {
        let origin = *ORIGIN.get()?;
        match self.0.get().checked_sub(Self::ORIGIN.0.get()) {
            Some(after) => origin.checked_add(Duration::from_nanos(after)),
            None => origin.checked_sub(Self::ORIGIN.saturating_duration_since(self)),
        }
    }
}

/// Saturates.
#[inline]
const fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64)
}

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        let origin = *ORIGIN.get_or_init(|| instant);
        match instant.checked_duration_since(origin) {
            Some(after) => Self::ORIGIN + after,
            None => Self::ORIGIN - origin.saturating_duration_since(instant),
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for Moment {
    #[inline]
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    #[inline]
    fn sub(self, span: Duration) -> Self {
        Self(NonZeroU64::new(self.0.get().saturating_sub(nanos(span))).unwrap_or(NonZeroU64::MIN))
    }
}

impl Sub for Moment {
    type Output = Duration;

    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_become_moments_and_moments_instants_again() {
        let now = Instant::now();
        let spans = [0, 1, 999_999_999, 1_000_000_000, 3_600_000_000_001].map(Duration::from_nanos);
        let before = spans.iter().filter_map(|span| now.checked_sub(*span));
        for instant in spans.iter().map(|span| now + *span).chain(before) {
            let moment = Moment::from(instant);
            assert_eq!(moment.instant(), Some(instant));
            assert_eq!(moment.saturating_duration_since(now.into()), instant.saturating_duration_since(now));
            assert_eq!(Moment::from(now).cmp(&moment), now.cmp(&instant));
        }
    }

    #[test]
    fn moments_have_ends() {
        let span = Duration::from_secs(3);
        let (first, last) = (Moment::ORIGIN - Duration::MAX, Moment::ORIGIN + Duration::MAX);
        assert_eq!((first - span, last + span), (first, last));
        assert_eq!((first.saturating_duration_since(last), first + span - first), (Duration::ZERO, span));
        assert_eq!((Moment::ORIGIN + span).micros_since(Moment::ORIGIN), 3_000_000);
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
