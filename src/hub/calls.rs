//! Calls that ring: who calls whom into which room, and how it ends. Pure: time is told, events are polled.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use roundtable_protocol::call::{Call, CallAnswer, CallEvent, CallState};
use roundtable_protocol::limit::{MAX_CALL_S, MAX_CALLS, MAX_CALLS_OF_ONE, MAX_NAME_CHARS};
use roundtable_protocol::{ErrorCode, RoomId};

use crate::room::Now;

/// Why a call was not made, answered or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It is not well-formed.
    #[error("{0}")]
    Bad(String),
    /// As many ring as may, in all or of this caller.
    #[error("too many calls ring: {MAX_CALLS_OF_ONE} of one caller, {MAX_CALLS} in all")]
    TooMany,
    /// There is none, or it has ended.
    #[error("there is no such call; it may have ended")]
    Unknown,
    /// It is for somebody else to do that.
    #[error("only who is called answers a call, and only who calls cancels it")]
    Forbidden,
}

impl CallError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Bad(_) => ErrorCode::BadCall,
            Self::TooMany => ErrorCode::TooManyCalls,
            Self::Unknown => ErrorCode::CallUnknown,
            Self::Forbidden => ErrorCode::CallForbidden,
        }
    }
}

/// A wish to call somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallWish {
    /// Who calls; `None` for the server's operator.
    pub from: Option<String>,
    /// Who is called.
    pub to: String,
    /// Where they are to meet.
    pub room: RoomId,
    /// For how many seconds it rings at most.
    pub timeout_s: u32,
}

/// All calls that ring.
#[derive(Debug, Default)]
pub struct Calls {
    ringing: BTreeMap<String, Ringing>,
    seq: u64,
    events: VecDeque<CallEvent>,
}

#[derive(Debug)]
struct Ringing {
    call: Call,
    until: Instant,
}

impl Calls {
    /// Begins a call, with an id that the caller has drawn.
    ///
    /// # Errors
    /// [`CallError::Bad`] and [`CallError::TooMany`].
    pub fn start(&mut self, now: Now, id: String, wish: CallWish) -> Result<Call, CallError> {
        check(&wish)?;
        let of_one = self.ringing.values().filter(|ringing| ringing.call.from == wish.from).count();
        // The operator answers for itself.
        let is_too_many = wish.from.is_some() && of_one >= MAX_CALLS_OF_ONE;
        if is_too_many || self.ringing.len() >= MAX_CALLS {
            return Err(CallError::TooMany);
        }
        let CallWish { from, to, room, timeout_s } = wish;
        let call = Call { id: id.clone(), from, to, room, at: now.unix_ms, timeout_s };
        let until = now.instant + Duration::from_secs(timeout_s.into());
        self.ringing.insert(id, Ringing { call: call.clone(), until });
        self.note(now, CallState::Ringing, call.clone());
        Ok(call)
    }

    /// Answers or cancels a call. `by` is who wants it; `None` for the server's operator, who may do either.
    ///
    /// # Errors
    /// [`CallError::Unknown`] for one that has ended, so that of two answers only the first counts, and
    /// [`CallError::Forbidden`].
    pub fn answer(&mut self, now: Now, id: &str, by: Option<&str>, answer: CallAnswer) -> Result<Call, CallError> {
        let call = &self.ringing.get(id).ok_or(CallError::Unknown)?.call;
        let (side, state) = match answer {
            CallAnswer::Accept => (Some(&call.to), CallState::Accepted),
            CallAnswer::Decline => (Some(&call.to), CallState::Declined),
            CallAnswer::Cancel => (call.from.as_ref(), CallState::Cancelled),
        };
        if by.is_some_and(|by| side.is_none_or(|side| side != by)) {
            return Err(CallError::Forbidden);
        }
        let Ringing { call, .. } = self.ringing.remove(id).ok_or(CallError::Unknown)?;
        self.note(now, state, call.clone());
        Ok(call)
    }

    /// Ends those that rang long enough.
    pub fn handle_timeout(&mut self, now: Now) {
        let over = self.ringing.iter().filter(|(_, ringing)| ringing.until <= now.instant);
        for id in over.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            if let Some(Ringing { call, .. }) = self.ringing.remove(&id) {
                self.note(now, CallState::TimedOut, call);
            }
        }
    }

    /// When to call [`Calls::handle_timeout`] next, if ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ringing.values().map(|ringing| ringing.until).min()
    }

    /// What became of a call, each once, in order.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop_front()
    }

    /// A call that rings.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Call> {
        self.ringing.get(id).map(|ringing| &ringing.call)
    }

    /// Calls that ring for somebody or from them, as they would have been told of: for one who listens from now on.
    #[must_use]
    pub fn of(&self, identity: &str) -> Vec<CallEvent> {
        let concerns = |call: &Call| call.to == identity || call.from.as_deref() == Some(identity);
        let calls = self.ringing.values().map(|ringing| &ringing.call).filter(|call| concerns(call));
        calls.map(|call| event(self.seq, call.at, CallState::Ringing, call.clone())).collect()
    }

    fn note(&mut self, now: Now, state: CallState, call: Call) {
        self.seq += 1;
        self.events.push_back(event(self.seq, now.unix_ms, state, call));
    }
}

/// Whether a word can be somebody's identity.
#[must_use]
pub fn is_identity(word: &str) -> bool {
    !word.trim().is_empty() && word.chars().count() <= 2 * MAX_NAME_CHARS && !word.chars().any(char::is_control)
}

fn event(seq: u64, at: u64, state: CallState, call: Call) -> CallEvent {
    CallEvent { seq, at, state, call }
}

fn check(wish: &CallWish) -> Result<(), CallError> {
    let bad = |message: String| Err(CallError::Bad(message));
    if !is_identity(&wish.to) || wish.from.as_ref().is_some_and(|from| !is_identity(from)) {
        return bad(format!("an identity has 1 to {} characters, none of control", 2 * MAX_NAME_CHARS));
    }
    if wish.from.as_ref() == Some(&wish.to) {
        return bad("nobody calls themselves".into());
    }
    if !(1..=MAX_CALL_S).contains(&wish.timeout_s) {
        return bad(format!("a call rings for 1 to {MAX_CALL_S} seconds"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Now {
        Now { instant: start + Duration::from_secs(seconds), unix_ms: 1_000 * seconds }
    }

    fn wish(from: &str, to: &str) -> CallWish {
        let room = RoomId::new("r").unwrap();
        CallWish { from: Some(from.into()), to: to.into(), room, timeout_s: 30 }
    }

    fn states(calls: &mut Calls) -> Vec<CallState> {
        std::iter::from_fn(|| calls.poll_event()).map(|event| event.state).collect()
    }

    #[test]
    fn each_end_is_told_once_and_the_first_one_counts() {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let (ann, bob) = (Some("ann"), Some("bob"));
        let ends = [
            (bob, CallAnswer::Accept, CallState::Accepted),
            (bob, CallAnswer::Decline, CallState::Declined),
            (ann, CallAnswer::Cancel, CallState::Cancelled),
            (None, CallAnswer::Accept, CallState::Accepted),
        ];
        for (by, answer, end) in ends {
            let mut calls = Calls::default();
            calls.start(at(start, 0), "1".into(), wish("ann", "bob")).unwrap();
            assert_eq!(calls.answer(at(start, 1), "1", by, answer).map(|call| call.to), Ok("bob".into()));
            for again in [CallAnswer::Accept, CallAnswer::Decline, CallAnswer::Cancel] {
                assert_eq!(calls.answer(at(start, 2), "1", None, again), Err(CallError::Unknown));
            }
            calls.handle_timeout(at(start, 100));
            assert_eq!(states(&mut calls), [CallState::Ringing, end]);
            assert_eq!(calls.poll_timeout(), None);
        }
    }

    #[test]
    fn nobody_answers_for_another() {
        let start = Instant::now();
        let mut calls = Calls::default();
        calls.start(at(start, 0), "1".into(), wish("ann", "bob")).unwrap();
        let mut by = |by, answer| calls.answer(at(start, 1), "1", Some(by), answer).unwrap_err();
        assert_eq!(by("ann", CallAnswer::Accept), CallError::Forbidden);
        assert_eq!(by("bob", CallAnswer::Cancel), CallError::Forbidden);
        assert_eq!(by("cid", CallAnswer::Decline), CallError::Forbidden);
        let operators = CallWish { from: None, ..wish("", "bob") };
        calls.start(at(start, 1), "2".into(), operators).unwrap();
        assert_eq!(calls.answer(at(start, 1), "2", Some("ann"), CallAnswer::Cancel), Err(CallError::Forbidden));
    }

    #[test]
    fn what_nobody_answers_is_missed_at_its_time() {
        let start = Instant::now();
        let mut calls = Calls::default();
        calls.start(at(start, 0), "1".into(), wish("ann", "bob")).unwrap();
        calls.start(at(start, 0), "2".into(), CallWish { timeout_s: 5, ..wish("ann", "cid") }).unwrap();
        assert_eq!(calls.poll_timeout(), Some(at(start, 5).instant));
        calls.handle_timeout(at(start, 4));
        calls.handle_timeout(at(start, 5));
        assert_eq!(states(&mut calls), [CallState::Ringing, CallState::Ringing, CallState::TimedOut]);
        assert_eq!(calls.of("ann").len(), 1, "who listens from now on hears of the one that still rings");
        assert_eq!((calls.of("bob").len(), calls.of("cid").len()), (1, 0));
    }

    #[test]
    fn calls_are_bounded_of_one_caller_and_in_all() {
        let start = Instant::now();
        let mut calls = Calls::default();
        let mut ring = |n: usize, from: &str| calls.start(at(start, 0), n.to_string(), wish(from, "bob"));
        for n in 0..MAX_CALLS_OF_ONE {
            ring(n, "ann").unwrap();
        }
        assert_eq!(ring(900_000, "ann"), Err(CallError::TooMany));
        for n in MAX_CALLS_OF_ONE..MAX_CALLS {
            ring(n, &format!("caller {n}")).unwrap();
        }
        assert_eq!(ring(900_001, "another"), Err(CallError::TooMany));
    }

    #[test]
    fn calls_that_make_no_sense_are_refused() {
        let start = Instant::now();
        let mut calls = Calls::default();
        let long = "x".repeat(200);
        let wishes = [
            wish("ann", "ann"),
            wish("ann", ""),
            wish("", "bob"),
            wish("ann", &long),
            wish("ann", "b\nb"),
            CallWish { timeout_s: 0, ..wish("ann", "bob") },
            CallWish { timeout_s: 121, ..wish("ann", "bob") },
        ];
        for wish in wishes {
            let refused = calls.start(at(start, 0), "1".into(), wish.clone());
            assert!(matches!(refused, Err(CallError::Bad(_))), "{wish:?}");
        }
        assert_eq!(states(&mut calls), []);
    }
}
