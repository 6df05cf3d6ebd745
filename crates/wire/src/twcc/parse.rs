//! Reads a feedback message.

use crate::error::ParseError;
use crate::reader::Reader;
use crate::twcc::{
    DELTA_MICROS, MAX_RUN, MAX_STATUS_COUNT, ONE_BIT_SYMBOLS, REFERENCE_MICROS, Symbol, TWO_BIT_BIT, TWO_BIT_SYMBOLS,
    VECTOR_BIT,
};

/// One message, checked when it was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feedback<'a> {
    /// Who reports.
    pub sender_ssrc: u32,
    /// Some stream of the transport that is reported on.
    pub media_ssrc: u32,
    /// The number of the first status.
    pub base_sequence: u16,
    /// How many numbers the message speaks of, 1 to [`MAX_STATUS_COUNT`].
    pub status_count: u16,
    /// The time the first delta counts from, in units of 64 ms; 24 bits with a sign, and it wraps.
    pub reference_time: i32,
    /// Counts messages; it wraps.
    pub feedback_count: u8,
    chunks: Reader<'a>,
    deltas: Reader<'a>,
}

impl<'a> Feedback<'a> {
    /// Reads the body of an RTCP packet, without its padding.
    ///
    /// Refused are messages that speak of no number or of more than [`MAX_STATUS_COUNT`], that use the reserved
    /// symbol, or that lack chunks or deltas. Symbols beyond the last number are ignored.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader(body);
        let (sender_ssrc, media_ssrc) = (reader.u32()?, reader.u32()?);
        let (base_sequence, status_count) = (reader.u16()?, reader.u16()?);
        let reference = reader.u24()?;
        let feedback_count = reader.u8()?;
        if status_count == 0 || status_count > MAX_STATUS_COUNT {
            return Err(ParseError::Forbidden);
        }
        let (chunks, mut left, mut delta_len) = (reader, status_count, 0);
        while left > 0 {
            let (symbols, deltas) = measure(reader.u16()?, left).ok_or(ParseError::Forbidden)?;
            left -= symbols;
            delta_len += deltas;
        }
        let deltas = Reader(reader.take(delta_len)?);
        Ok(Self {
            sender_ssrc,
            media_ssrc,
            base_sequence,
            status_count,
            // Shifted up and back to extend the sign of the 24 bits.
            reference_time: (reference << 8).cast_signed() >> 8,
            feedback_count,
            chunks,
            deltas,
        })
    }

    /// The reference time in microseconds; it wraps every [`crate::twcc::REFERENCE_PERIOD_MICROS`].
    #[must_use]
    pub fn reference_micros(&self) -> i64 {
        i64::from(self.reference_time) * REFERENCE_MICROS as i64
    }

    /// The statuses in the order of their numbers.
    #[must_use]
    pub fn statuses(&self) -> Statuses<'a> {
        Statuses {
            symbols: Symbols::new(self.chunks, self.status_count),
            deltas: self.deltas,
            sequence: self.base_sequence,
            micros: 0,
        }
    }
}

/// The statuses of a message: the transport-wide number, and for one that arrived the microseconds from the
/// reference time to its arrival.
#[derive(Debug, Clone)]
pub struct Statuses<'a> {
    symbols: Symbols<'a>,
    deltas: Reader<'a>,
    sequence: u16,
    micros: i64,
}

impl Iterator for Statuses<'_> {
    type Item = (u16, Option<i64>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Chunks and deltas were checked by `Feedback::parse`: neither fails before the last status.
        let ticks = match self.symbols.take().ok()?? {
            Symbol::Lost => None,
            Symbol::Small => Some(i64::from(self.deltas.u8().ok()?)),
            Symbol::Large => Some(i64::from(self.deltas.u16().ok()?.cast_signed())),
        };
        let arrival = ticks.map(|ticks| {
            self.micros += ticks * DELTA_MICROS as i64;
            self.micros
        });
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Some((sequence, arrival))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.symbols.left);
        (left, Some(left))
    }
}

/// Takes one symbol after the other out of the chunks.
#[derive(Debug, Clone)]
struct Symbols<'a> {
    chunks: Reader<'a>,
    /// Symbols the message still owes.
    left: u16,
    chunk: Chunk,
}

/// What is left of the chunk that is being read. The next symbol stands in the highest bits of `bits`.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    bits: u16,
    /// How far those bits lie above the lowest, …
    down: u32,
    /// … and how far the symbol behind them lies below: not at all in a run, whose symbols are one.
    next: u32,
    left: u16,
}

impl<'a> Symbols<'a> {
    const fn new(chunks: Reader<'a>, left: u16) -> Self {
        Self { chunks, left, chunk: Chunk::EMPTY }
    }

    /// The next symbol; `None` after the last.
    #[inline]
    fn take(&mut self) -> Result<Option<Symbol>, ParseError> {
        if self.left == 0 {
            return Ok(None);
        }
        // Runs may be empty, hence the loop; each turn takes two bytes.
        let bits = loop {
            match self.chunk.take() {
                Some(bits) => break bits,
                None => self.chunk = Chunk::read(self.chunks.u16()?),
            }
        };
        self.left -= 1;
        Symbol::from_bits(bits).map(Some).ok_or(ParseError::Forbidden)
    }
}

impl Chunk {
    const EMPTY: Self = Self { bits: 0, down: 14, next: 0, left: 0 };

    const fn read(word: u16) -> Self {
        if word & VECTOR_BIT == 0 {
            Self { bits: word << 1, down: 14, next: 0, left: word & MAX_RUN as u16 }
        } else if word & TWO_BIT_BIT == 0 {
            Self { bits: word << 2, down: 15, next: 1, left: ONE_BIT_SYMBOLS as u16 }
        } else {
            Self { bits: word << 2, down: 14, next: 2, left: TWO_BIT_SYMBOLS as u16 }
        }
    }

    #[inline]
    fn take(&mut self) -> Option<u16> {
        self.left = self.left.checked_sub(1)?;
        let symbol = self.bits.wrapping_shr(self.down);
        self.bits = self.bits.wrapping_shl(self.next);
        Some(symbol)
    }
}

/// How many of `left` symbols a chunk holds, and how many bytes their deltas take; `None` if one is the reserved one.
fn measure(word: u16, left: u16) -> Option<(u16, usize)> {
    /// The lower bits of two-bit symbols.
    const LOWER: u16 = 0x5555;
    let Chunk { bits, next, left: held, .. } = Chunk::read(word);
    let symbols = held.min(left);
    let whole = usize::from(symbols);
    // Of a vector, what lies beyond the last number is shifted out; it holds one symbol at least, as one is left.
    let deltas = match next {
        0 if symbols == 0 => 0,
        0 => Symbol::from_bits(bits >> 14)?.delta_len() * whole,
        1 => (bits >> (16 - symbols)).count_ones() as usize,
        _ => {
            let bits = bits >> (16 - 2 * symbols);
            let (small, large) = (bits & LOWER, bits >> 1 & LOWER);
            if small & large != 0 {
                return None;
            }
            (small.count_ones() + 2 * large.count_ones()) as usize
        }
    };
    Some((symbols, deltas))
}
