//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! A message says of a run of transport-wide sequence numbers which arrived and when: first two-byte chunks that hold
//! one symbol for each number, then one delta for each that arrived.

mod build;
mod parse;

#[cfg(test)]
mod tests;

pub use build::{MAX_MESSAGE_LEN, Message, next_message};
pub use parse::{Feedback, Statuses};

/// Microseconds of one unit of a delta.
pub const DELTA_MICROS: u64 = 250;
/// Microseconds of one unit of the reference time.
pub const REFERENCE_MICROS: u64 = 64_000;
/// The reference time has 24 bits: after this many microseconds (12.4 days) it comes round.
pub const REFERENCE_PERIOD_MICROS: u64 = REFERENCE_MICROS << 24;
/// The most numbers one message may speak of: a sender that remembers 4096 packets learns nothing from more.
/// Messages that speak of more are refused, and none is written.
pub const MAX_STATUS_COUNT: u16 = 4096;

/// Numbers in a vector chunk of one-bit and of two-bit symbols, and the longest run.
const ONE_BIT_SYMBOLS: usize = 14;
const TWO_BIT_SYMBOLS: usize = 7;
const MAX_RUN: usize = 0x1fff;

const VECTOR_BIT: u16 = 0x8000;
const TWO_BIT_BIT: u16 = 0x4000;

/// What a two-bit symbol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Lost,
    /// Arrived; the delta is one byte without a sign.
    Small,
    /// Arrived; the delta is two bytes with a sign.
    Large,
}

impl Symbol {
    const fn bits(self) -> u16 {
        match self {
            Self::Lost => 0,
            Self::Small => 1,
            Self::Large => 2,
        }
    }

    /// `None` for the reserved one.
    const fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            0 => Some(Self::Lost),
            1 => Some(Self::Small),
            2 => Some(Self::Large),
            _ => None,
        }
    }

    const fn delta_len(self) -> usize {
        match self {
            Self::Lost => 0,
            Self::Small => 1,
            Self::Large => 2,
        }
    }
}
