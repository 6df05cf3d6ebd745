//! Tells a new plane what an old one was told, and hears what it decides.

use std::time::{Duration, Instant};

use super::bytes::{Problem, Reader, TraceError};
use super::{Call, GAP, MAGIC, VERSION};
use crate::counters::Counters;
use crate::decision::{Decided, Decision};
use crate::event::Egress;
use crate::plane::{Plane, Watch};

/// The longest a trace can be, so that a broken one does not lead the clock astray.
const MAX_SPAN: Duration = Duration::from_secs(31 * 24 * 3600);
/// Peers, tracks or slots a trace can add: far more than rooms have, far fewer than keys have places.
const MAX_ADDED: u32 = 500_000;

/// What a trace holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The wall clock at its start.
    pub unix_micros: u64,
    /// How long it is.
    pub span: Duration,
    /// The calls in it.
    pub calls: u64,
    /// Whether recording ended before the plane did.
    pub is_cut: bool,
    /// What the plane counted.
    pub counters: Counters,
}

/// Replays a trace: what the plane sends goes to `out`, what it decides to `decided`, in their order. `origin` stands
/// for the start of the plane, and can be any moment.
///
/// # Errors
/// [`TraceError`] says where the trace cannot be read further. What came before has been replayed.
pub fn replay(
    trace: &[u8],
    origin: Instant,
    out: &mut impl Egress,
    decided: &mut impl FnMut(&Decided),
) -> Result<Summary, TraceError> {
    let mut input = Reader::new(trace);
    let (unix_micros, seed) = read_start(&mut input)?;
    let mut plane = Plane::new(origin, unix_micros, seed);
    let mut watch = Watch::default();
    plane.keep_log();
    let (mut span, mut calls, mut added, mut is_cut) = (Duration::ZERO, 0, 0, false);
    while !input.is_at_end() {
        let at = input.offset();
        let number = input.number()?;
        span = read_time(&mut input, span)?;
        if number == GAP {
            is_cut = true;
            decided(&Decided { at: span, peer: None, slot: None, decision: Decision::Gap });
            break;
        }
        let unknown = TraceError { offset: at, problem: Problem::UnknownCall(number) };
        let call = Call::take(number, &mut input)?.ok_or(unknown)?;
        added += u32::from(matches!(call, Call::AddPeer {} | Call::AddTrack { .. } | Call::AddSlot { .. }));
        if added > MAX_ADDED {
            return Err(TraceError { offset: at, problem: Problem::Range("the number of peers, tracks and slots") });
        }
        call.apply(&mut plane, origin + span, out);
        calls += 1;
        plane.watch(span, &mut watch, decided);
    }
    Ok(Summary { unix_micros, span, calls, is_cut, counters: *plane.counters() })
}

fn read_start(input: &mut Reader<'_>) -> Result<(u64, u64), TraceError> {
    let none = input.error(Problem::NoTrace);
    if input.take(MAGIC.len()) != Ok(MAGIC) {
        return Err(none);
    }
    let known = input.clone();
    let version = input.byte()?;
    if version != VERSION {
        return Err(known.error(Problem::Version(version)));
    }
    Ok((input.number()?, input.number()?))
}

/// The time of a call, from the time of the one before.
fn read_time(input: &mut Reader<'_>, before: Duration) -> Result<Duration, TraceError> {
    let range = input.error(Problem::Range("the time of a call"));
    let span = before.checked_add(Duration::from_nanos(input.number()?));
    span.filter(|&span| span <= MAX_SPAN).ok_or(range)
}
