//! The DTLS 1.2 server of one peer (RFC 6347, RFC 5764): a guard in front of `rtc-dtls`, which no other module names.
//!
//! Datagrams come only from proven paths. Before both sides have finished, [`handshake`] bounds what the engine sees;
//! afterwards plaintext is dropped unread. SRTP keys and application data exist only behind a certificate whose
//! fingerprint the session description promised.

mod engine;
mod handshake;
mod hello;
mod reassembly;
mod record;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub(crate) use self::engine::ServerCertificate;
use self::engine::{Engine, EngineError, EngineEvent};
use self::handshake::{Handshake, Outcome};
use self::record::{ALERT, APPLICATION_DATA, HANDSHAKE, Record, records};
use crate::certificate::Fingerprint;
use crate::queue;
use crate::reason::{CloseReason, DropReason};
use crate::srtp::{Keying, Profile};

/// One DTLS session.
pub(crate) struct Dtls {
    expected: Fingerprint,
    phase: Phase,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
}

enum Phase {
    Handshaking { handshake: Box<Handshake>, until: Instant },
    Established(Established),
    Closed,
}

/// A session with keys.
struct Established {
    engine: Box<Engine>,
    /// Records opened and sealed so far.
    opened: u64,
    sealed: u64,
    repeats: Repeats,
}

/// What a session has to tell.
#[derive(Debug)]
pub(crate) enum DtlsEvent {
    /// The handshake is over; with the keying of what the client and the server send.
    Connected { profile: Profile, client: Keying, server: Keying },
    /// Application data, that is, an SCTP packet.
    Data(Bytes),
    /// The session is over.
    Closed(CloseReason),
}

impl Dtls {
    /// Waits for the client's hello until the deadline.
    pub(crate) fn new(now: Instant, certificate: &ServerCertificate, expected: Fingerprint) -> Self {
        let handshake = Box::new(Handshake::new(certificate.clone(), expected));
        Self {
            expected,
            phase: Phase::Handshaking { handshake, until: now + HANDSHAKE_TIMEOUT },
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes one datagram from a proven path.
    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DropReason> {
        match &mut self.phase {
            Phase::Handshaking { handshake, .. } => {
                let outcome = handshake.handle_datagram(now, datagram, &mut self.transmits);
                self.handle_outcome(outcome)
            }
            Phase::Established(established) => {
                let (mut passed, mut events, mut result) = (false, Vec::new(), Ok(()));
                for record in records(datagram) {
                    if result.is_ok() && established.admits(now, &record) {
                        passed = true;
                        result = established.engine.read(now, record.whole).map(|read| events.extend(read));
                    }
                }
                self.deliver(events, result);
                if passed { Ok(()) } else { Err(DropReason::DtlsGuard) }
            }
            Phase::Closed => Err(DropReason::Closed),
        }
    }

    /// Lets go of what only the handshake needed, once the peer has shown that it has the keys: then it has our last
    /// flight, and will not ask for it again.
    pub(crate) fn settle(&mut self, certificate: &ServerCertificate) {
        let Phase::Established(established) = &mut self.phase else { return };
        if !established.engine.has_settled() {
            // If it fails, everything is kept.
            let _ = established.engine.settle(certificate);
        }
    }

    #[cfg(test)]
    pub(crate) fn has_settled(&self) -> bool {
        matches!(&self.phase, Phase::Established(established) if established.engine.has_settled())
    }

    #[cfg(test)]
    pub(crate) fn is_written(&self) -> bool {
        matches!(&self.phase, Phase::Established(established) if established.engine.is_written())
    }

    /// Encrypts application data and queues it; it is dropped before the handshake is over and when the queue is full.
    pub(crate) fn send(&mut self, now: Instant, data: &[u8]) {
        let Phase::Established(established) = &mut self.phase else { return };
        if self.transmits.len() >= MAX_TRANSMITS {
            return;
        }
        established.sealed += 1;
        let result = established.engine.write(now, data);
        self.deliver(Vec::new(), result);
    }

    /// Repeats our flight or gives up, whichever is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Handshaking { handshake, until } = &mut self.phase {
            if *until <= now {
                let reason = handshake.diagnosis();
                self.fail(reason);
            } else {
                handshake.handle_timeout(now, &mut self.transmits);
            }
        }
    }

    /// Ends the session with a `close_notify` if there is one to end.
    pub(crate) fn close(&mut self, now: Instant) {
        if let Phase::Established(Established { mut engine, .. }) = std::mem::replace(&mut self.phase, Phase::Closed) {
            engine.close(now);
            self.transmits.extend(engine.take_transmits());
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        queue::take(&mut self.transmits)
    }

    pub(crate) fn poll_event(&mut self) -> Option<DtlsEvent> {
        queue::take(&mut self.events)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Handshaking { handshake, until } => {
                Some(handshake.poll_timeout().map_or(*until, |due| due.min(*until)))
            }
            Phase::Established(_) | Phase::Closed => None,
        }
    }

    /// Whether another record would still be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.transmits.len() < MAX_TRANSMITS
    }

    fn handle_outcome(&mut self, outcome: Outcome) -> Result<(), DropReason> {
        match outcome {
            Outcome::Ignored => Err(DropReason::DtlsGuard),
            Outcome::Progress => Ok(()),
            Outcome::Failed(reason) => {
                self.fail(reason);
                Err(DropReason::DtlsFailed)
            }
            Outcome::Complete(engine, events) => match self.establish(engine) {
                Ok(()) => {
                    self.deliver(events, Ok(()));
                    Ok(())
                }
                Err(reason) => {
                    self.fail(reason);
                    Err(DropReason::DtlsFailed)
                }
            },
        }
    }

    /// Checks the certificate once more, then takes the keys out (D7).
    fn establish(&mut self, engine: Box<Engine>) -> Result<(), CloseReason> {
        match engine.peer_fingerprint() {
            None => return Err(CloseReason::DtlsNoCertificate),
            Some(shown) if shown != self.expected => return Err(CloseReason::DtlsFingerprint),
            Some(_) => {}
        }
        let no_keys = || CloseReason::DtlsFailed("no SRTP keys could be exported".to_owned());
        let (client, server) = engine.export().ok_or_else(no_keys)?;
        self.events.push_back(DtlsEvent::Connected { profile: engine.profile(), client, server });
        self.phase = Phase::Established(Established { engine, opened: 0, sealed: 0, repeats: Repeats::default() });
        Ok(())
    }

    /// Passes on what the engine of an established session said, and ends the session after an error or the record
    /// limit.
    fn deliver(&mut self, events: Vec<EngineEvent>, result: Result<(), EngineError>) {
        let Phase::Established(established) = &mut self.phase else { return };
        self.transmits.extend(established.engine.take_transmits());
        let mut closed_by_peer = false;
        for event in events {
            match event {
                EngineEvent::Complete => {}
                EngineEvent::Data(data) => {
                    established.opened += 1;
                    self.events.push_back(DtlsEvent::Data(data));
                }
                EngineEvent::PeerClosed => closed_by_peer = true,
            }
        }
        let worn_out = established.opened.max(established.sealed) >= MAX_RECORDS;
        match result {
            _ if closed_by_peer => self.fail(CloseReason::Remote),
            Err(error) => self.fail(CloseReason::DtlsFailed(error.to_string())),
            Ok(()) if worn_out => self.fail(CloseReason::DtlsFailed("the keys are worn out".to_owned())),
            Ok(()) => {}
        }
    }

    fn fail(&mut self, reason: CloseReason) {
        self.phase = Phase::Closed;
        self.events.push_back(DtlsEvent::Closed(reason));
    }
}

impl Established {
    /// Lets protected records through: data, alerts, and now and then a handshake record, by which a peer that missed
    /// our last flight asks for it again (D3). Plaintext never passes.
    fn admits(&mut self, now: Instant, record: &Record<'_>) -> bool {
        match (record.epoch, record.content_type) {
            (1, APPLICATION_DATA | ALERT) => !self.engine.is_past(record.whole),
            (1, HANDSHAKE) if self.engine.has_settled() => false,
            (1, HANDSHAKE) => record.whole.len() <= MAX_REPEATED_FINISHED_LEN && self.repeats.take(now),
            _ => false,
        }
    }
}

/// How often a repeated last flight of the peer was looked at.
#[derive(Default)]
struct Repeats {
    minute: Option<Instant>,
    in_minute: u32,
    in_total: u32,
}

impl Repeats {
    fn take(&mut self, now: Instant) -> bool {
        if self.minute.is_none_or(|start| start + Duration::from_secs(60) <= now) {
            (self.minute, self.in_minute) = (Some(now), 0);
        }
        let allowed = self.in_minute < MAX_REPEATS_PER_MINUTE && self.in_total < MAX_REPEATS;
        self.in_minute += u32::from(allowed);
        self.in_total += u32::from(allowed);
        allowed
    }
}

/// Leaves the keys out.
impl std::fmt::Debug for Dtls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let phase = match &self.phase {
            Phase::Handshaking { .. } => "handshaking",
            Phase::Established(_) => "established",
            Phase::Closed => "closed",
        };
        f.debug_struct("Dtls").field("phase", &phase).finish_non_exhaustive()
    }
}

/// How long a handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many datagrams wait to be sent; more are dropped, and SCTP or the peer repeats them.
pub(crate) const MAX_TRANSMITS: usize = 64;
/// How many records one pair of keys protects in each direction: the engine draws AES-GCM nonces at random, and 2²⁴ of
/// them collide with odds of one in a hundred thousand.
const MAX_RECORDS: u64 = 1 << 24;
/// How many repeated last flights are looked at in a minute, and in all, as the engine keeps each of them.
const MAX_REPEATS_PER_MINUTE: u32 = 8;
const MAX_REPEATS: u32 = 64;
/// The longest record that can be a Finished.
const MAX_REPEATED_FINISHED_LEN: usize = 128;
