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

use super::Received;
use super::alarm::PATIENCE;

/// In any turn that is made so long after the last look there is another one, …
const SOONEST: Duration = Duration::from_millis(10);
/// … and while media flows a turn is made for it so long after, or after the last media if that came later: the next media is
/// near then, and brings the look with it.
const LATEST: Duration = PATIENCE;
/// Media flows no more when so long none has been forwarded.
const OVER: Duration = Duration::from_secs(1);

/// The sockets for feedback of a shard, if it has any.
#[derive(Debug)]
pub(super) struct Aside {
    ears: Vec<Ear>,
    /// How much media had been forwarded, and when that last was new.
    forwarded: u64,
    changed: Instant,
}

/// A socket for feedback.
#[derive(Debug)]
struct Ear {
    socket: Socket,
    /// Whether it wakes the shard as others do: there is no media, so that there may be no other turn for long, or nothing
    /// comes, as where all clients are of the other family.
    is_watched: bool,
    /// Whether something may wait in it.
    is_ready: bool,
    looked: Instant,
    /// When something last was in it, or it last could not be watched.
    heard: Instant,
}

impl Aside {
    /// Sockets that nobody looks at yet.
    pub(super) fn new(now: Instant, sockets: Vec<Socket>) -> Self {
        let ear = |socket| Ear { socket, is_watched: false, is_ready: false, looked: now, heard: now };
        Self { ears: sockets.into_iter().map(ear).collect(), forwarded: 0, changed: now }
    }

    /// How many sockets there are.
    pub(super) fn len(&self) -> usize {
        self.ears.len()
    }

    /// The sockets.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.ears.iter().map(|ear| &ear.socket)
    }

    /// Whether a turn is to be made at once.
    pub(super) fn has_more(&self) -> bool {
        self.ears.iter().any(|ear| ear.is_ready)
    }

    /// When a turn is to be made, if there is none before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.ears.iter().filter(|ear| !ear.is_watched).map(|ear| ear.looked.max(self.changed) + LATEST).min()
    }

    /// The socket at that place has woken the shard.
    pub(super) fn handle_ready(&mut self, at: usize) {
        if let Some(ear) = self.ears.get_mut(at) {
            ear.is_ready = true;
        }
    }

    /// Whether the socket at that place is to be looked at in this turn.
    pub(super) fn is_due(&self, at: usize, now: Instant) -> bool {
        let is_due = |ear: &Ear| ear.is_ready || (!ear.is_watched && now >= ear.looked + SOONEST);
        self.ears.get(at).is_some_and(is_due)
    }

    /// The socket at that place has been looked at; `received` says what was in it.
    pub(super) fn handle_looked(&mut self, at: usize, now: Instant, received: Received) {
        if let Some(ear) = self.ears.get_mut(at) {
            (ear.looked, ear.is_ready) = (now, received == Received::More);
            if received != Received::Nothing {
                ear.heard = now;
            }
        }
    }

    /// After a turn: has sockets watched once no media flows any more or nothing comes to them, and no longer when both are so
    /// again. `forwarded` counts packets, and the sockets are called by numbers from `first` on.
    pub(super) fn handle_turn(&mut self, now: Instant, forwarded: u64, registry: &Registry, first: usize) {
        if self.forwarded != forwarded {
            (self.forwarded, self.changed) = (forwarded, now);
        }
        let flows = now < self.changed + OVER;
        for (ear, number) in self.ears.iter_mut().zip(first..) {
            ear.watch(!flows || now >= ear.heard + OVER, now, registry, number);
        }
    }
}

impl Ear {
    fn watch(&mut self, is_watched: bool, now: Instant, registry: &Registry, number: usize) {
        if is_watched == self.is_watched {
            return;
        }
        let descriptor = self.socket.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        let watched = match is_watched {
            true => registry.register(&mut source, Token(number), Interest::READABLE), // What waits is told of at once.
            false => registry.deregister(&mut source),
        };
        match watched {
            Ok(()) => self.is_watched = is_watched,
            // It is looked at as long as nothing else works, and the system is asked again: while media flows, a second later.
            Err(error) => {
                (self.is_watched, self.heard) = (false, now);
                tracing::warn!(%error, "a socket for feedback cannot be waited for");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use mio::{Events, Poll};
    use roundtable_udp::{Message, Options};

    use super::*;

    const NUMBER: usize = 7;

    #[test]
    fn feedback_waits_for_a_turn_while_media_flows_and_wakes_the_shard_when_it_does_not() {
        let mut hall = Hall::new(1);
        hall.turn(0, 10);

        assert!(!hall.wakes(0));
        assert_eq!(hall.aside.poll_timeout(), Some(hall.at(40)));
        assert_eq!((hall.is_due(0, 9), hall.is_due(0, 10)), (false, true));
        hall.looked(0, 10, Received::More);
        assert!(hall.is_due(0, 10) && hall.aside.has_more());
        hall.looked(0, 11, Received::All);
        assert_eq!((hall.is_due(0, 20), hall.aside.poll_timeout()), (false, Some(hall.at(51))));

        hall.turn(500, 11);
        hall.looked(0, 1_499, Received::All);
        hall.turn(1_499, 11);
        assert!(hall.aside.poll_timeout().is_some() && !hall.wakes(0), "half a second ago is not long");
        hall.turn(1_500, 11);
        assert_eq!(hall.aside.poll_timeout(), None);
        assert!(!hall.is_due(0, 9_000) && hall.wakes(0), "what waited before wakes it as well");
        hall.aside.handle_ready(0);
        assert!(hall.is_due(0, 9_000));
        hall.looked(0, 9_000, Received::All);

        hall.turn(9_001, 12);
        assert!(!hall.wakes(0));
        assert_eq!(hall.aside.poll_timeout(), Some(hall.at(9_041)));
        hall.turn(9_009, 13);
        assert_eq!((hall.is_due(0, 9_009), hall.aside.poll_timeout()), (false, Some(hall.at(9_049))));
    }

    #[test]
    fn a_socket_in_which_nothing_is_found_is_not_asked_until_something_comes() {
        let mut hall = Hall::new(2);
        for (ms, forwarded) in [(500, 10), (999, 11)] {
            hall.looked(0, ms, Received::All);
            hall.looked(1, ms, Received::Nothing);
            hall.turn(ms, forwarded);
            assert!(hall.is_due(0, ms + 10) && hall.is_due(1, ms + 10));
        }
        hall.turn(1_000, 12);
        assert!(hall.is_due(0, 1_010) && !hall.is_due(1, 1_010));
        assert!(!hall.wakes(0) && hall.wakes(1));
        hall.aside.handle_ready(1);
        assert!(hall.is_due(1, 1_010));
        hall.looked(1, 1_010, Received::All);
        hall.turn(1_010, 13);
        assert!(!hall.wakes(1) && hall.is_due(1, 1_020));
    }

    #[test]
    fn a_shard_without_such_sockets_never_looks() {
        let mut hall = Hall::new(0);
        hall.turn(0, 1);
        assert_eq!((hall.aside.poll_timeout(), hall.is_due(0, 1_000)), (None, false));
        hall.aside.handle_ready(0);
        assert!(!hall.aside.has_more());
    }

    /// Sockets for feedback, somebody who sends to them, and a poll that tells of what comes.
    struct Hall {
        start: Instant,
        poll: Poll,
        events: Events,
        client: Socket,
        addresses: Vec<SocketAddr>,
        aside: Aside,
    }

    impl Hall {
        fn new(sockets: usize) -> Self {
            let socket = || Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::default()).unwrap();
            let own: Vec<Socket> = (0..sockets).map(|_| socket()).collect();
            let addresses = own.iter().map(|socket| socket.local_addr().unwrap()).collect();
            let (start, poll, events) = (Instant::now(), Poll::new().unwrap(), Events::with_capacity(4));
            Self { start, poll, events, client: socket(), addresses, aside: Aside::new(start, own) }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn turn(&mut self, ms: u64, forwarded: u64) {
            self.aside.handle_turn(self.at(ms), forwarded, self.poll.registry(), NUMBER);
        }

        fn looked(&mut self, at: usize, ms: u64, received: Received) {
            self.aside.handle_looked(at, self.at(ms), received);
        }

        fn is_due(&self, at: usize, ms: u64) -> bool {
            self.aside.is_due(at, self.at(ms))
        }

        /// Whether something that is sent to that socket makes the poll tell of it.
        fn wakes(&mut self, at: usize) -> bool {
            let message =
                Message { destination: self.addresses[at], local: None, contents: b"feedback", segment_size: None };
            let _ = self.client.send(&[message]);
            self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
            self.events.iter().any(|event| event.token() == Token(NUMBER + at))
        }
    }
}
