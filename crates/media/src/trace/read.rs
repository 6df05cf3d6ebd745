//! Reads a trace, call by call.

use std::time::Duration;

use super::bytes::{Problem, Reader, TraceError};
use super::{Call, GAP, MAGIC, VERSION};

/// The longest a trace can be, so that a broken one does not lead the clock astray.
const MAX_SPAN: Duration = Duration::from_secs(31 * 24 * 3600);
/// Peers, tracks or slots a trace can add: far more than rooms have, far fewer than keys have places.
const MAX_ADDED: u32 = 500_000;

/// The calls of a trace, and what its plane began with.
#[derive(Debug)]
pub(crate) struct Calls<'a> {
    /// The wall clock at the start.
    pub(crate) unix_micros: u64,
    pub(crate) seed: u64,
    /// When the last call was made, since the start.
    pub(crate) span: Duration,
    input: Reader<'a>,
    added: u32,
}

/// What comes next in a trace.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Call(Call<'a>),
    /// Recording ended here, though the plane went on.
    Gap,
    End,
}

impl<'a> Calls<'a> {
    /// Reads the start of a trace.
    pub(crate) fn new(trace: &'a [u8]) -> Result<Self, TraceError> {
        let mut input = Reader::new(trace);
        let none = input.error(Problem::NoTrace);
        if input.take(MAGIC.len()) != Ok(MAGIC) {
            return Err(none);
        }
        let known = input.clone();
        let version = input.byte()?;
        if version != VERSION {
            return Err(known.error(Problem::Version(version)));
        }
        let (unix_micros, seed) = (input.number()?, input.number()?);
        Ok(Self { unix_micros, seed, span: Duration::ZERO, input, added: 0 })
    }

    /// Reads on.
    pub(crate) fn next(&mut self) -> Result<Next<'a>, TraceError> {
        if self.input.is_at_end() {
            return Ok(Next::End);
        }
        let at = self.input.offset();
        let number = self.input.number()?;
        self.span = self.read_time()?;
        if number == GAP {
            return Ok(Next::Gap);
        }
        let unknown = TraceError { offset: at, problem: Problem::UnknownCall(number) };
        let call = Call::take(number, &mut self.input)?.ok_or(unknown)?;
        self.added += u32::from(matches!(call, Call::AddPeer {} | Call::AddTrack { .. } | Call::AddSlot { .. }));
        if self.added > MAX_ADDED {
            return Err(TraceError { offset: at, problem: Problem::Range("the number of peers, tracks and slots") });
        }
        Ok(Next::Call(call))
    }

    /// The time of a call, from the time of the one before.
    fn read_time(&mut self) -> Result<Duration, TraceError> {
        let range = self.input.error(Problem::Range("the time of a call"));
        let span = self.span.checked_add(Duration::from_nanos(self.input.number()?));
        span.filter(|&span| span <= MAX_SPAN).ok_or(range)
    }
}
