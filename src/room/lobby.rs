//! Who waits to be let into a room: bounded, in order, each with a deadline. Pure: time is told.

use std::time::{Duration, Instant};

use roundtable_protocol::ErrorCode;
use roundtable_protocol::limit::MAX_KNOCKS;
use roundtable_protocol::moderation::{Knock, KnockEnd};

use super::Now;

/// For how long somebody waits at most.
pub const WAITING_TIME: Duration = Duration::from_secs(600);

/// Why a knock was not heard, or could not be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LobbyError {
    /// As many wait as may.
    #[error("{MAX_KNOCKS} wait in the lobby already")]
    Full,
    /// Nobody waits with this knock.
    #[error("nobody waits with this knock; it may have ended")]
    Unknown,
}

impl LobbyError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Full => ErrorCode::LobbyFull,
            Self::Unknown => ErrorCode::KnockUnknown,
        }
    }
}

/// Those who wait before one room, in the order of their knocks. `T` is how each is reached.
#[derive(Debug)]
pub struct Lobby<T> {
    waiting: Vec<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    knock: Knock,
    until: Instant,
    reach: T,
}

/// Somebody who does not wait any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended<T> {
    /// Who.
    pub knock: Knock,
    /// How it ended.
    pub end: KnockEnd,
    /// How they are reached.
    pub reach: T,
}

impl<T> Default for Lobby<T> {
    fn default() -> Self {
        Self { waiting: Vec::new() }
    }
}

impl<T> Lobby<T> {
    /// Somebody knocks, with an id that the caller has drawn.
    ///
    /// # Errors
    /// [`LobbyError::Full`] at [`MAX_KNOCKS`].
    pub fn knock(&mut self, now: Now, id: String, name: String, reach: T) -> Result<Knock, LobbyError> {
        if self.waiting.len() >= MAX_KNOCKS {
            return Err(LobbyError::Full);
        }
        let knock = Knock { id, name, at: now.unix_ms };
        self.waiting.push(Waiting { knock: knock.clone(), until: now.instant + WAITING_TIME, reach });
        Ok(knock)
    }

    /// Ends one knock.
    ///
    /// # Errors
    /// [`LobbyError::Unknown`] if it has ended already.
    pub fn end(&mut self, id: &str, end: KnockEnd) -> Result<Ended<T>, LobbyError> {
        let at = self.waiting.iter().position(|waiting| waiting.knock.id == id).ok_or(LobbyError::Unknown)?;
        let Waiting { knock, reach, .. } = self.waiting.remove(at);
        Ok(Ended { knock, end, reach })
    }

    /// Ends all knocks, in their order.
    pub fn end_all(&mut self, end: KnockEnd) -> Vec<Ended<T>> {
        let all = std::mem::take(&mut self.waiting).into_iter();
        all.map(|Waiting { knock, reach, .. }| Ended { knock, end, reach }).collect()
    }

    /// Whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Ended<T>> {
        let (over, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.until <= now);
        self.waiting = waiting;
        let end = KnockEnd::TimedOut;
        Vec::into_iter(over).map(|Waiting { knock, reach, .. }| Ended { knock, end, reach }).collect()
    }

    /// Everybody who waits, in the order of their knocks.
    #[must_use]
    pub fn knocks(&self) -> Vec<Knock> {
        self.waiting.iter().map(|waiting| waiting.knock.clone()).collect()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Now {
        Now { instant: start + Duration::from_secs(seconds), unix_ms: 1_000 * seconds }
    }

    #[test]
    fn a_knock_ends_once_and_the_others_go_on_waiting() {
        let start = Instant::now(); // An origin to add to; no test waits for real time.
        let mut lobby = Lobby::default();
        for id in ["a", "b", "c"] {
            lobby.knock(at(start, 1), id.into(), format!("name of {id}"), ()).unwrap();
        }
        assert_eq!(lobby.end("b", KnockEnd::Denied).map(|ended| ended.knock.name), Ok("name of b".into()));
        assert_eq!(lobby.end("b", KnockEnd::Admitted).map(|_| ()), Err(LobbyError::Unknown));
        assert_eq!(lobby.knocks().iter().map(|knock| knock.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(lobby.end_all(KnockEnd::Admitted).len(), 2);
        assert!(lobby.is_empty());
    }

    #[test]
    fn one_more_than_may_wait_is_refused() {
        let start = Instant::now();
        let mut lobby = Lobby::default();
        for n in 0..MAX_KNOCKS {
            lobby.knock(at(start, 0), n.to_string(), "n".into(), ()).unwrap();
        }
        assert_eq!(lobby.knock(at(start, 0), "x".into(), "n".into(), ()), Err(LobbyError::Full));
        lobby.end("7", KnockEnd::Withdrawn).unwrap();
        assert!(lobby.knock(at(start, 0), "x".into(), "n".into(), ()).is_ok(), "a place is free again");
    }

    #[test]
    fn whoever_waits_too_long_is_sent_away() {
        let start = Instant::now();
        let mut lobby = Lobby::default();
        lobby.knock(at(start, 0), "early".into(), "n".into(), ()).unwrap();
        lobby.knock(at(start, 5), "late".into(), "n".into(), ()).unwrap();
        assert!(lobby.handle_timeout(at(start, 599).instant).is_empty());
        let over = lobby.handle_timeout(at(start, 600).instant);
        assert_eq!(
            over.iter().map(|ended| (ended.knock.id.as_str(), ended.end)).collect::<Vec<_>>(),
            [("early", KnockEnd::TimedOut)]
        );
        assert_eq!(lobby.knocks().len(), 1);
    }
}
