//! The bytes of a trace: numbers of one to ten bytes, text, lists, and packets whose zeros are counted.

use std::borrow::Cow;

/// Bytes of a text, at most; a longer one makes no trace.
const MAX_TEXT: u64 = 1024;
/// Entries of a list, at most.
const MAX_LIST: u64 = 1024;
/// Bytes of a packet, at most: UDP carries no more.
const MAX_PACKET: u64 = 65_535;
/// So many zeros in a row are counted rather than written.
const MIN_ZEROS: usize = 3;

/// Why a trace cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {problem}")]
pub struct TraceError {
    /// Bytes from the start of the trace.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It does not begin as traces do.
    #[error("this is no trace of a plane")]
    NoTrace,
    /// It was made by another version of the format.
    #[error("the trace has version {0} of the format, which this program does not know")]
    Version(u8),
    /// It ends within a call: whoever wrote it was cut off.
    #[error("the trace ends within a call")]
    Truncated,
    /// There is no such call.
    #[error("no call has the number {0}")]
    UnknownCall(u64),
    /// A value is none that could have been recorded.
    #[error("{0} is out of its range")]
    Range(&'static str),
}

/// Writes numbers, seven bits a byte, the lowest first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes bytes of which many are zero.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    let mut rest = bytes;
    while !rest.is_empty() {
        let literal = literal_len(rest);
        let (told, tail) = rest.split_at(literal);
        let zeros = tail.iter().take_while(|&&byte| byte == 0).count();
        put_number(out, literal as u64);
        out.extend_from_slice(told);
        put_number(out, zeros as u64);
        rest = &tail[zeros..]; // Counted in `tail`.
    }
}

/// How far it is to the next zeros worth counting.
fn literal_len(bytes: &[u8]) -> usize {
    let mut zeros = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        if zeros == MIN_ZEROS {
            return at + 1 - MIN_ZEROS;
        }
    }
    bytes.len() - zeros
}

/// Reads what was written, from the start of a trace on.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) const fn offset(&self) -> usize {
        self.at
    }

    pub(super) const fn error(&self, problem: Problem) -> TraceError {
        TraceError { offset: self.at, problem }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], TraceError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (taken, _) = rest.split_at_checked(count).ok_or(self.error(Problem::Truncated))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, TraceError> {
        let taken = self.take(1)?;
        Ok(taken.first().copied().unwrap_or_default()) // There is one.
    }

    pub(super) fn number(&mut self) -> Result<u64, TraceError> {
        let start = self.at;
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(TraceError { offset: start, problem: Problem::Range("a number") })
    }

    /// A number that is at most `max`.
    pub(super) fn number_to(&mut self, max: u64, what: &'static str) -> Result<u64, TraceError> {
        let start = self.at;
        let number = self.number()?;
        if number > max {
            return Err(TraceError { offset: start, problem: Problem::Range(what) });
        }
        Ok(number)
    }

    /// The length of a list.
    pub(super) fn count(&mut self) -> Result<usize, TraceError> {
        Ok(self.number_to(MAX_LIST, "the length of a list")? as usize)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, TraceError> {
        let len = self.number_to(MAX_TEXT, "the length of a text")? as usize;
        let start = self.at;
        let range = TraceError { offset: start, problem: Problem::Range("a text") };
        std::str::from_utf8(self.take(len)?).map_err(|_| range)
    }

    /// Bytes of which many are zero.
    pub(super) fn bytes(&mut self) -> Result<Cow<'a, [u8]>, TraceError> {
        let len = self.number_to(MAX_PACKET, "the length of a packet")? as usize;
        let mut restored = Vec::new();
        while restored.len() < len {
            let left = len - restored.len();
            let literal = self.number_to(left as u64, "a part of a packet")? as usize;
            let told = self.take(literal)?;
            let zeros = self.number_to((left - literal) as u64, "a part of a packet")? as usize;
            if literal == len {
                return Ok(Cow::Borrowed(told));
            }
            if literal + zeros == 0 {
                return Err(self.error(Problem::Range("a part of a packet")));
            }
            restored.extend_from_slice(told);
            restored.resize(restored.len() + zeros, 0);
        }
        Ok(Cow::Owned(restored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, packet in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..200)) {
            let mut out = Vec::new();
            put_number(&mut out, number);
            put_bytes(&mut out, &packet);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.number(), Ok(number));
            let read = reader.bytes().unwrap().into_owned();
            prop_assert_eq!(read, packet);
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn nothing_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Reader::new(&bytes).number();
            let _ = Reader::new(&bytes).bytes();
            let _ = Reader::new(&bytes).text();
        }
    }

    #[test]
    fn zeros_cost_next_to_nothing() {
        let mut out = Vec::new();
        put_bytes(&mut out, &[&[1, 2, 0, 3][..], &[0; 1200], &[4]].concat());
        assert_eq!(out.len(), 2 + (1 + 4 + 2) + (1 + 1 + 1));
    }
}
