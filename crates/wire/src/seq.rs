//! Arithmetic of numbers that wrap: which is newer, and the same number without the wrap.

/// Whether `a` was counted after `b`. At a distance of exactly half the range neither is newer.
#[must_use]
pub const fn newer16(a: u16, b: u16) -> bool {
    a.wrapping_sub(b) as i16 > 0
}

/// Whether `a` was counted after `b`. At a distance of exactly half the range neither is newer.
#[must_use]
pub const fn newer32(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

/// Extends 16-bit numbers (RTP sequence numbers, transport-wide ones) to 64 bits.
///
/// The first value is placed at itself plus 2^16, so that those up to 2^15 before it stay positive.
/// Each value is taken to be the one nearest to the highest seen; a distance of exactly 2^15 counts as older.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unwrapper16 {
    highest: Option<u64>,
}

impl Unwrapper16 {
    /// An unwrapper that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// Extends `value` and remembers it if it is the highest so far.
    pub fn unwrap(&mut self, value: u16) -> u64 {
        let extended = self.peek(value);
        self.highest = self.highest.max(Some(extended));
        extended
    }

    /// Extends `value` without remembering it.
    #[must_use]
    pub const fn peek(&self, value: u16) -> u64 {
        match self.highest {
            // The highest is at least 2^16 and the distance at least -2^15: the sum stays positive.
            Some(highest) => highest.wrapping_add_signed(value.wrapping_sub(highest as u16) as i16 as i64),
            None => (1 << 16) + value as u64,
        }
    }

    /// The highest extended value so far.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Extends 32-bit numbers (RTP timestamps) to 64 bits.
///
/// The first value is placed at itself plus 2^32, so that those up to 2^31 before it stay positive.
/// Each value is taken to be the one nearest to the highest seen; a distance of exactly 2^31 counts as older.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unwrapper32 {
    highest: Option<u64>,
}

impl Unwrapper32 {
    /// An unwrapper that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// Extends `value` and remembers it if it is the highest so far.
    pub fn unwrap(&mut self, value: u32) -> u64 {
        let extended = self.peek(value);
        self.highest = self.highest.max(Some(extended));
        extended
    }

    /// Extends `value` without remembering it.
    #[must_use]
    pub const fn peek(&self, value: u32) -> u64 {
        match self.highest {
            // The highest is at least 2^32 and the distance at least -2^31: the sum stays positive.
            Some(highest) => highest.wrapping_add_signed(value.wrapping_sub(highest as u32) as i32 as i64),
            None => (1 << 32) + value as u64,
        }
    }

    /// The highest extended value so far.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_survives_the_wrap() {
        for (a, b, expected) in
            [(1, 0, true), (0, 1, false), (5, 5, false), (0, 65_535, true), (65_535, 0, false), (32_767, 0, true)]
        {
            assert_eq!(newer16(a, b), expected, "{a} after {b}");
        }
        assert!(!newer16(32_768, 0) && !newer16(0, 32_768), "half the range apart neither is");
        assert!(newer32(3, u32::MAX - 3) && !newer32(u32::MAX - 3, 3));
    }

    #[test]
    fn numbers_go_on_through_the_wrap_in_any_order() {
        let mut unwrapper = Unwrapper16::new();
        let base = 65_536 + 65_534;
        for (value, expected) in
            [(65_534, base), (0, base + 2), (65_535, base + 1), (1, base + 3), (65_533, base - 1), (2, base + 4)]
        {
            assert_eq!(unwrapper.peek(value), expected);
            assert_eq!(unwrapper.unwrap(value), expected);
        }
        assert_eq!(unwrapper.highest(), Some(base + 4));
    }

    #[test]
    fn numbers_before_the_first_stay_positive() {
        let mut sequences = Unwrapper16::new();
        assert_eq!(sequences.unwrap(0), 1 << 16);
        assert_eq!(sequences.unwrap(32_768), (1 << 16) - (1 << 15), "half the range counts as older");
        let mut timestamps = Unwrapper32::new();
        assert_eq!(timestamps.unwrap(0), 1 << 32);
        assert_eq!(timestamps.unwrap(1 << 31), (1 << 32) - (1 << 31));
    }

    #[test]
    fn late_numbers_do_not_move_the_reference() {
        let mut unwrapper = Unwrapper16::new();
        unwrapper.unwrap(100);
        assert_eq!(unwrapper.unwrap(100u16.wrapping_sub(30_000)), (1 << 16) + 100 - 30_000);
        assert_eq!(unwrapper.unwrap(100u16.wrapping_sub(40_000)), (1 << 16) + 100 + 25_536, "newer than the highest");
    }

    #[test]
    fn many_laps_add_up() {
        let mut sequences = Unwrapper16::new();
        let mut timestamps = Unwrapper32::new();
        for count in 0..1_000u64 {
            assert_eq!(sequences.unwrap((count * 30_000) as u16), (1 << 16) + count * 30_000);
            assert_eq!(timestamps.unwrap((count * 2_000_000_000) as u32), (1 << 32) + count * 2_000_000_000);
        }
    }
}
