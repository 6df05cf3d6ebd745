//! The controlled, lite side of ICE (RFC 8445 §2.7): it answers checks and follows nominations, and never checks
//! anything itself.
//!
//! A path counts from the moment an authenticated check came over it. Consent (RFC 7675) is read from the same checks:
//! a full agent repeats them every few seconds for as long as it wants to be sent anything.

mod message;
mod paths;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::message::Check;
use self::paths::Paths;
use crate::path::{IceCredentials, Path};
use crate::queue;
use crate::reason::DropReason;

/// The state of ICE with one peer.
#[derive(Debug)]
pub(crate) struct IceLite {
    current: Generation,
    /// The credentials from before a restart, which serve until the peer nominates a path with the current ones.
    previous: Option<Generation>,
    paths: Paths,
    selected: Option<Path>,
    phase: Phase,
    events: VecDeque<IceEvent>,
}

/// The credentials of both sides between two restarts.
#[derive(Debug, Clone)]
struct Generation {
    local: IceCredentials,
    remote: IceCredentials,
}

/// How far ICE has come.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// No check came yet; the time for it is over at `until`.
    Waiting { until: Instant },
    /// Checks came, none nominated a path yet; the time for it is over at `until`.
    Proven { until: Instant },
    /// A path was nominated at least once; from here on only consent counts.
    Nominated,
    /// Given up.
    Failed,
}

/// What ICE found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IceEvent {
    Proven(Path),
    Lost(Path),
    Selected(Path),
    /// Nobody came, or nobody nominated, in time.
    TimedOut,
    /// Everybody fell silent.
    ConsentExpired,
}

impl IceLite {
    pub(crate) fn new(now: Instant, local: IceCredentials, remote: IceCredentials) -> Self {
        Self {
            current: Generation { local, remote },
            previous: None,
            paths: Paths::new(CONSENT_TIMEOUT),
            selected: None,
            phase: Phase::Waiting { until: now + FIRST_CHECK_TIMEOUT },
            events: VecDeque::new(),
        }
    }

    /// Takes the credentials of a later offer; returns whether they restart ICE.
    pub(crate) fn set_remote(&mut self, remote: &IceCredentials, fresh: IceCredentials) -> bool {
        if *remote == self.current.remote {
            return false;
        }
        let old = std::mem::replace(&mut self.current, Generation { local: fresh, remote: remote.clone() });
        // Of two restarts in a row the generation that carries media is the older one.
        self.previous.get_or_insert(old);
        true
    }

    /// Takes one STUN message and returns the answer to send back over the same path.
    pub(crate) fn handle_message(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Result<Vec<u8>, DropReason> {
        let mut request = message::Request::parse(datagram)?;
        let (generation, is_current) = match &self.previous {
            _ if request.is_for(&self.current.local.ufrag, &self.current.remote.ufrag) => (&self.current, true),
            Some(old) if request.is_for(&old.local.ufrag, &old.remote.ufrag) => (old, false),
            _ => return Err(DropReason::StunUsername),
        };
        let key = generation.local.pwd.clone();
        let answer = match request.authenticate(&key)? {
            Ok(check) => {
                self.handle_check(now, path, check, is_current);
                message::success(&request, path.remote, &key)
            }
            Err(rejection) => {
                self.paths.refresh(now, path);
                message::error(&request, &rejection, &key)
            }
        };
        answer.ok_or(DropReason::StunMalformed)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting { until } | Phase::Proven { until } if until <= now => {
                self.phase = Phase::Failed;
                self.events.push_back(IceEvent::TimedOut);
            }
            Phase::Failed => {}
            Phase::Waiting { .. } | Phase::Proven { .. } | Phase::Nominated => self.expire_paths(now),
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<IceEvent> {
        queue::take(&mut self.events)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match self.phase {
            Phase::Waiting { until } | Phase::Proven { until } => Some(until),
            Phase::Nominated => None,
            Phase::Failed => return None,
        };
        deadline.into_iter().chain(self.paths.next_expiry()).min()
    }

    pub(crate) fn is_proven(&self, path: Path) -> bool {
        // The one in use is one of them, and what comes by it need not wait for the list.
        self.selected == Some(path) || self.paths.contains(path)
    }

    pub(crate) fn selected(&self) -> Option<Path> {
        self.selected
    }

    pub(crate) fn local(&self) -> &IceCredentials {
        &self.current.local
    }

    /// Acts on an authenticated check.
    fn handle_check(&mut self, now: Instant, path: Path, check: Check, is_current: bool) {
        if !self.paths.refresh(now, path) {
            if let Some(crowded_out) = self.paths.insert(now, path, self.selected) {
                self.events.push_back(IceEvent::Lost(crowded_out));
            }
            self.events.push_back(IceEvent::Proven(path));
        }
        if let Phase::Waiting { .. } = self.phase {
            self.phase = Phase::Proven { until: now + NOMINATION_TIMEOUT };
        }
        if check.nominates {
            self.nominate(path, is_current);
        }
    }

    /// Follows the peer's choice at once and every time: a lite agent has no opinion of its own (RFC 8445 §8.1.1).
    fn nominate(&mut self, path: Path, is_current: bool) {
        self.phase = Phase::Nominated;
        if is_current {
            self.previous = None;
        }
        if self.selected.replace(path) != Some(path) {
            self.events.push_back(IceEvent::Selected(path));
        }
    }

    fn expire_paths(&mut self, now: Instant) {
        let before = self.paths.len();
        while let Some(path) = self.paths.pop_expired(now) {
            if self.selected == Some(path) {
                self.selected = None;
            }
            self.events.push_back(IceEvent::Lost(path));
        }
        if before > 0 && self.paths.len() == 0 {
            self.phase = Phase::Failed;
            self.events.push_back(IceEvent::ConsentExpired);
        }
    }
}

/// How long the first valid check may take.
pub(crate) const FIRST_CHECK_TIMEOUT: Duration = Duration::from_secs(15);
/// How long after it the first nomination may take.
pub(crate) const NOMINATION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a path may be silent (RFC 7675 §5.1).
pub(crate) const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);
