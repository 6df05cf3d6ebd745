//! Tells the kernel which shard each remote address belongs to, so that little comes to the wrong one.
//!
//! One shard does it for all: it learns every proven path, its own and what the others tell. Paths that the usual choice
//! among the sockets gets wrong become exceptions in the program that chooses (`roundtable_udp::steering`). Until a new
//! path is in it, where there is no room, and where the kernel takes no program, datagrams are handed over by `lane`.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use roundtable_transport::path::Path;
use roundtable_udp::{Socket, steering};

use super::lane::Route;

/// Exceptions of one program; further paths wait for room. Each time that the kernel refuses, it is half as many, and in
/// the end it is told nothing any more.
const MAX_EXCEPTIONS: usize = 2048;
/// The program is renewed this often at most.
const MIN_PERIOD: Duration = Duration::from_millis(20);
/// So many times as long as it took to renew it passes until the next time: the kernel compiles it, which takes some
/// 0.2 µs an exception.
const REST: u32 = 100;

/// What the kernel is to know, and when it is told.
#[derive(Debug)]
pub(super) struct Steering {
    rule: steering::Steering,
    /// Proven paths whose datagrams would come to another shard, and their own one. Bounded by the peers.
    wrong: BTreeMap<Path, u8>,
    capacity: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The kernel knows all. It may be told anew at `open_at`.
    Told { open_at: Option<Instant> },
    /// There is something to tell, at `at`.
    Changed { at: Option<Instant> },
    /// The kernel takes no program.
    Refused,
}

impl Steering {
    /// By a rule of whose seed nobody outside knows.
    pub(super) fn new(rule: steering::Steering) -> Self {
        Self { rule, wrong: BTreeMap::new(), capacity: MAX_EXCEPTIONS, state: State::Changed { at: None } }
    }

    /// Notes what shard `owner` says of a path.
    pub(super) fn handle_route(&mut self, owner: u8, route: &Route) {
        let changed = match *route {
            Route::Add(path) if self.rule.usual(path.remote) == owner => self.wrong.remove(&path).is_some(),
            Route::Add(path) => self.wrong.insert(path, owner) != Some(owner),
            Route::Remove(path) if self.wrong.get(&path) == Some(&owner) => self.wrong.remove(&path).is_some(),
            // A third one's by now, or nobody's exception.
            Route::Remove(_) => false,
            // The kernel does not look into datagrams.
            Route::Ufrag(..) => false,
        };
        if let State::Told { open_at } = self.state
            && changed
        {
            self.state = State::Changed { at: open_at };
        }
    }

    /// When to call [`Steering::handle_timeout`] next.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Changed { at } => Some(at.unwrap_or(now)),
            State::Told { .. } | State::Refused => None,
        }
    }

    /// Tells the kernel through `sockets`, one of each family, if it is time.
    pub(super) fn handle_timeout(&mut self, now: Instant, sockets: &[Socket]) {
        let is_due = matches!(self.state, State::Changed { at } if at.is_none_or(|at| at <= now));
        if is_due {
            let told = self.tell(sockets);
            self.settle(now, now.elapsed(), told);
        }
    }

    /// How many paths are exceptions.
    pub(super) fn exceptions(&self) -> usize {
        match self.state {
            State::Refused => 0,
            State::Told { .. } | State::Changed { .. } => self.wrong.len().min(self.capacity),
        }
    }

    fn tell(&self, sockets: &[Socket]) -> io::Result<()> {
        let exceptions = self.wrong.iter().map(|(path, shard)| (path.remote, *shard)).take(self.capacity);
        sockets.iter().try_for_each(|socket| {
            let ipv6 = socket.local_addr()?.is_ipv6();
            socket.steer(&self.rule.program(ipv6, exceptions.clone()))
        })
    }

    fn settle(&mut self, now: Instant, took: Duration, told: io::Result<()>) {
        let open_at = Some(now + MIN_PERIOD.max(took * REST));
        self.state = match told {
            Ok(()) => State::Told { open_at },
            Err(error) => {
                self.capacity /= 2;
                tracing::debug!(%error, exceptions = self.capacity, "the kernel is told of fewer paths at most");
                match self.capacity {
                    0 => State::Refused,
                    _ => State::Changed { at: open_at },
                }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;

    fn path(port: u16) -> Path {
        Path { remote: ([192, 0, 2, 1], port).into(), local: None }
    }

    fn steering() -> Steering {
        Steering::new(steering::Steering::new(5, NonZeroU8::new(2).unwrap()))
    }

    /// Ports whose usual shard is the first one.
    fn firsts() -> impl Iterator<Item = u16> {
        let rule = steering().rule;
        (1..).filter(move |&port| rule.usual(path(port).remote) == 0)
    }

    #[test]
    fn only_what_would_come_to_the_wrong_shard_is_told_and_forgotten_when_it_goes() {
        let start = Instant::now();
        let mut steering = steering();
        assert_eq!(steering.poll_timeout(start), Some(start), "the rule itself is to be told");
        steering.settle(start, Duration::ZERO, Ok(()));
        let port = firsts().next().unwrap();
        steering.handle_route(0, &Route::Add(path(port)));
        assert_eq!((steering.exceptions(), steering.poll_timeout(start)), (0, None));
        steering.handle_route(1, &Route::Add(path(port)));
        assert_eq!((steering.exceptions(), steering.poll_timeout(start)), (1, Some(start + MIN_PERIOD)));
        steering.settle(start + MIN_PERIOD, Duration::from_millis(1), Ok(()));

        steering.handle_route(1, &Route::Add(path(port)));
        steering.handle_route(0, &Route::Remove(path(port)));
        assert_eq!(steering.poll_timeout(start), None, "nothing changed");
        steering.handle_route(1, &Route::Remove(path(port)));
        assert_eq!(steering.exceptions(), 0);
        let rested = start + MIN_PERIOD + Duration::from_millis(100);
        assert_eq!(steering.poll_timeout(start), Some(rested), "a hundred times as long as it took");
    }

    #[test]
    fn who_passes_on_to_the_usual_shard_is_no_exception_any_more() {
        let mut steering = steering();
        let port = firsts().next().unwrap();
        steering.handle_route(1, &Route::Add(path(port)));
        steering.handle_route(0, &Route::Add(path(port)));
        steering.handle_route(1, &Route::Remove(path(port)));
        assert_eq!(steering.exceptions(), 0);
    }

    #[test]
    fn a_kernel_that_refuses_is_told_less_and_in_the_end_nothing() {
        let now = Instant::now();
        let refusal = || Err(io::ErrorKind::OutOfMemory.into());
        let mut steering = steering();
        firsts().take(3000).for_each(|port| steering.handle_route(1, &Route::Add(path(port))));
        assert_eq!(steering.exceptions(), MAX_EXCEPTIONS);
        steering.settle(now, Duration::ZERO, refusal());
        assert_eq!(steering.exceptions(), MAX_EXCEPTIONS / 2);
        assert!(steering.poll_timeout(now).is_some(), "it is tried again");
        let further = (0..100).take_while(|_| {
            steering.settle(now, Duration::ZERO, refusal());
            steering.poll_timeout(now).is_some()
        });
        assert!(further.count() < 12);
        assert_eq!((steering.state, steering.exceptions()), (State::Refused, 0));
        steering.handle_route(1, &Route::Add(path(1)));
        assert_eq!(steering.poll_timeout(now), None);
    }
}
