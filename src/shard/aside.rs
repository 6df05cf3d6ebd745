//! Feedback waits aside: it comes to sockets of its own, which are looked at when there is something else to do.
//!
//! Who watches a picture tells what came of it ten to twenty times a second, each at a time of its own, and to wake up for
//! that costs more than to read it (decision 30). What asks for something comes the other way. Where media is forwarded there
//! soon is a turn anyway; where a queue stands, what waits in it makes one every few milliseconds, so that who is in want is
//! heard at once.

use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use roundtable_udp::Socket;

use super::alarm::PATIENCE;

/// In any turn that is made so long after the last look there is another one, …
const SOONEST: Duration = Duration::from_millis(10);
/// … and a turn is made for it so long after, while media flows.
const LATEST: Duration = PATIENCE;
/// Media flows no more when so long none has been forwarded.
const OVER: Duration = Duration::from_secs(1);

/// The sockets for feedback of a shard, if it has any.
#[derive(Debug)]
pub(super) struct Aside {
    sockets: Vec<Socket>,
    /// Whether they wake the shard as others do: there is no media, so that there may be no other turn for long.
    is_watched: bool,
    /// Whether more may wait than was taken.
    has_more: bool,
    looked: Instant,
    /// How much media had been forwarded, and when that last was new.
    forwarded: u64,
    changed: Instant,
}

impl Aside {
    /// Sockets that nobody looks at yet.
    pub(super) fn new(now: Instant, sockets: Vec<Socket>) -> Self {
        Self { sockets, is_watched: false, has_more: false, looked: now, forwarded: 0, changed: now }
    }

    /// The sockets.
    pub(super) fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// Whether a turn is to be made at once.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// When a turn is to be made, if there is none before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.is_watched && !self.sockets.is_empty()).then(|| self.looked + LATEST)
    }

    /// One of the sockets has woken the shard.
    pub(super) fn handle_ready(&mut self) {
        self.has_more = true;
    }

    /// Whether the sockets are to be looked at in this turn.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.has_more || (!self.is_watched && !self.sockets.is_empty() && now >= self.looked + SOONEST)
    }

    /// They have been looked at; `has_more` says whether something was left.
    pub(super) fn handle_looked(&mut self, now: Instant, has_more: bool) {
        (self.looked, self.has_more) = (now, has_more);
    }

    /// After a turn: has them watched once no media flows any more, and no longer when it does again. `forwarded` counts
    /// packets, and the sockets are called by numbers from `first` on.
    pub(super) fn handle_turn(&mut self, now: Instant, forwarded: u64, registry: &Registry, first: usize) {
        if self.forwarded != forwarded {
            (self.forwarded, self.changed) = (forwarded, now);
        }
        let flows = now < self.changed + OVER;
        if flows != self.is_watched || self.sockets.is_empty() {
            return;
        }
        let watched = self.sockets.iter().zip(first..).try_for_each(|(socket, number)| {
            let descriptor = socket.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            match flows {
                true => registry.deregister(&mut source),
                // What waits already is told of at once.
                false => registry.register(&mut source, Token(number), Interest::READABLE),
            }
        });
        // If the system refuses, what waits is read when media flows again; it is not asked at each turn.
        self.is_watched = !flows;
        if let Err(error) = watched {
            tracing::warn!(%error, "the sockets for feedback cannot be waited for");
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};
    use roundtable_udp::{Message, Options};

    use super::*;

    const NUMBER: usize = 7;

    #[test]
    fn feedback_waits_for_a_turn_while_media_flows_and_wakes_the_shard_when_it_does_not() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let address = "127.0.0.1:0".parse().unwrap();
        let socket = || Socket::bind(address, &Options::default()).unwrap();
        let (own, client) = (socket(), socket());
        let destination = own.local_addr().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut aside = Aside::new(start, vec![own]);
        aside.handle_turn(at(0), 10, poll.registry(), NUMBER);
        let mut events = Events::with_capacity(4);
        let mut wakes = |poll: &mut Poll| {
            let _ = client.send(&[Message { destination, local: None, contents: b"feedback", segment_size: None }]);
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            events.iter().any(|event| event.token() == Token(NUMBER))
        };

        assert!(!wakes(&mut poll));
        assert_eq!(aside.poll_timeout(), Some(at(40)));
        assert_eq!((aside.is_due(at(9)), aside.is_due(at(10))), (false, true));
        aside.handle_looked(at(10), true);
        assert!(aside.is_due(at(10)) && aside.has_more());
        aside.handle_looked(at(11), false);
        assert_eq!((aside.is_due(at(20)), aside.poll_timeout()), (false, Some(at(51))));

        aside.handle_turn(at(500), 11, poll.registry(), NUMBER);
        aside.handle_turn(at(1_499), 11, poll.registry(), NUMBER);
        assert!(aside.poll_timeout().is_some() && !wakes(&mut poll), "half a second ago is not long");
        aside.handle_turn(at(1_500), 11, poll.registry(), NUMBER);
        assert_eq!(aside.poll_timeout(), None);
        assert!(!aside.is_due(at(9_000)) && wakes(&mut poll), "what waited before wakes it as well");
        aside.handle_ready();
        assert!(aside.is_due(at(9_000)));
        aside.handle_looked(at(9_000), false);

        aside.handle_turn(at(9_001), 12, poll.registry(), NUMBER);
        assert!(!wakes(&mut poll));
        assert_eq!(aside.poll_timeout(), Some(at(9_040)));
    }

    #[test]
    fn a_shard_without_such_sockets_never_looks() {
        let (poll, start) = (Poll::new().unwrap(), Instant::now());
        let mut aside = Aside::new(start, vec![]);
        aside.handle_turn(start, 1, poll.registry(), NUMBER);
        assert_eq!((aside.poll_timeout(), aside.is_due(start + OVER)), (None, false));
    }
}
