//! Writes down what a plane is told, as it is told it.

use super::bytes::put_number;
use super::{Call, GAP, MAGIC, VERSION};
use crate::moment::Moment;

/// Bytes that may wait to be taken: about a second of a large room. When more come, recording ends.
const MAX_PENDING: usize = 4 << 20;
/// Room for the mark of a gap.
const GAP_LEN: usize = 16;

/// Records, or does nothing: off, it costs a comparison a call.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Option<Box<Tape>>);

#[derive(Debug)]
struct Tape {
    /// What was written and not taken.
    pending: Vec<u8>,
    last: Moment,
    max_bytes: u64,
    figures: Recording,
}

/// How far a recording has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recording {
    /// Bytes written, taken or not.
    pub bytes: u64,
    /// Bytes that wait to be taken.
    pub pending: usize,
    /// Calls recorded.
    pub calls: u64,
    /// Calls that came after it had ended because it was full, or was not taken in time.
    pub missed: u64,
}

impl Recording {
    /// Whether it has ended: what comes now would have no beginning.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.missed > 0
    }
}

impl Recorder {
    /// Begins with a plane that has just been made; at most `max_bytes` are written.
    pub(crate) fn start(&mut self, start: Moment, unix_micros: u64, seed: u64, max_bytes: u64) {
        let mut pending = MAGIC.to_vec();
        pending.push(VERSION);
        put_number(&mut pending, unix_micros);
        put_number(&mut pending, seed);
        let figures = Recording { bytes: pending.len() as u64, ..Recording::default() };
        self.0 = Some(Box::new(Tape { pending, last: start, max_bytes, figures }));
    }

    /// Ends, and forgets what was not taken.
    pub(crate) fn stop(&mut self) {
        self.0 = None;
    }

    /// Whether it records.
    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a call down.
    #[inline]
    pub(crate) fn note<'a>(&mut self, now: Moment, call: impl FnOnce() -> Call<'a>) {
        if let Some(tape) = &mut self.0 {
            tape.write(now, &call());
        }
    }

    /// Hands out what was written since the last time.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        if let Some(tape) = &mut self.0 {
            if out.is_empty() {
                std::mem::swap(out, &mut tape.pending);
            } else {
                out.append(&mut tape.pending);
            }
        }
    }

    pub(crate) fn figures(&self) -> Option<Recording> {
        self.0.as_ref().map(|tape| Recording { pending: tape.pending.len(), ..tape.figures })
    }
}

impl Tape {
    fn write(&mut self, now: Moment, call: &Call<'_>) {
        if self.figures.missed > 0 {
            self.figures.missed = self.figures.missed.saturating_add(1);
            return;
        }
        // 584 years fit.
        let nanos = now.saturating_duration_since(self.last).as_nanos() as u64;
        let before = self.pending.len();
        call.write(nanos, &mut self.pending);
        let len = (self.pending.len() - before) as u64;
        if self.pending.len() + GAP_LEN > MAX_PENDING || self.figures.bytes + len + GAP_LEN as u64 > self.max_bytes {
            self.pending.truncate(before);
            put_number(&mut self.pending, GAP);
            put_number(&mut self.pending, nanos);
            self.figures.bytes += (self.pending.len() - before) as u64;
            self.figures.missed = 1;
            return;
        }
        self.last = self.last.max(now);
        self.figures.bytes += len;
        self.figures.calls += 1;
    }
}
