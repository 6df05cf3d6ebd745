//! The last private messages to one member, which it may not have got.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roundtable_protocol::limit::{PRIVATE_WAITING, PRIVATE_WAITING_BYTES};

/// How long it may take until the loss of a socket is noticed: what was given within this time before may be lost.
const UNSURE: Duration = Duration::from_secs(60);

/// The last private messages to one member: at most [`PRIVATE_WAITING`] and [`PRIVATE_WAITING_BYTES`]; the oldest go.
#[derive(Debug, Default)]
pub struct Whispers {
    given: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// Since when the member is away.
    away_since: Option<Instant>,
}

impl Whispers {
    /// Notes one that is given to the member, or waits for it.
    pub fn note(&mut self, now: Instant, json: Bytes) {
        self.forget_before(self.away_since.unwrap_or(now));
        self.bytes += json.len();
        self.given.push_back((now, json));
        while self.given.len() > PRIVATE_WAITING || (self.bytes > PRIVATE_WAITING_BYTES && self.given.len() > 1) {
            self.forget_oldest();
        }
    }

    /// The member has lost its socket.
    pub fn handle_away(&mut self, now: Instant) {
        self.away_since.get_or_insert(now);
    }

    /// The member is back; what it may lack, in order.
    pub fn handle_back(&mut self, now: Instant) -> Vec<Bytes> {
        let lost_at = self.away_since.take().unwrap_or(now);
        self.forget_before(lost_at);
        self.given.iter().map(|(_, json)| json.clone()).collect()
    }

    /// What was given long before that has arrived.
    fn forget_before(&mut self, lost_at: Instant) {
        while self.given.front().is_some_and(|(at, _)| *at + UNSURE < lost_at) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, json)) = self.given.pop_front() {
            self.bytes = self.bytes.saturating_sub(json.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_gets_what_it_may_lack_and_not_what_it_had_long_before() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut whispers = Whispers::default();
        let texts =
            |got: Vec<Bytes>| got.iter().map(|json| String::from_utf8_lossy(json).into()).collect::<Vec<String>>();
        whispers.note(at(0), "long before".into());
        whispers.note(at(90), "perhaps lost".into());
        whispers.handle_away(at(120));
        whispers.note(at(300), "while away".into());
        assert_eq!(texts(whispers.handle_back(at(400))), ["perhaps lost", "while away"]);
        assert_eq!(texts(whispers.handle_back(at(1_000))), [] as [&str; 0], "it has had time to arrive");
    }

    #[test]
    fn no_more_is_kept_than_may() {
        let now = Instant::now();
        let mut whispers = Whispers::default();
        whispers.handle_away(now);
        (0..PRIVATE_WAITING + 5).for_each(|n| whispers.note(now, n.to_string().into()));
        let kept = whispers.handle_back(now);
        assert_eq!((kept.len(), kept[0].as_ref()), (PRIVATE_WAITING, &b"5"[..]));
        whispers.note(now, vec![b'x'; PRIVATE_WAITING_BYTES].into());
        assert_eq!(whispers.handle_back(now).len(), 1);
        assert_eq!(whispers.bytes, PRIVATE_WAITING_BYTES);
    }
}
