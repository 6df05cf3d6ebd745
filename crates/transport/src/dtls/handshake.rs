//! The guard in front of the handshake: what reaches the engine, how much of it, and how often it is answered.
//!
//! The engine sees each handshake message once, whole and in order; ChangeCipherSpec and protected records only once
//! keys exist to judge them by. Before the cookie came back a session costs a few ephemeral keys and no signature.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::engine::{Engine, EngineError, EngineEvent, ServerCertificate};
use super::hello::ClientHello;
use super::reassembly::{Message, Reassembly};
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, Fragment, HANDSHAKE, Record, fragments, handshake_type, records,
    write_message, write_plain,
};
use crate::certificate::Fingerprint;
use crate::reason::CloseReason;

/// A handshake that has not finished.
pub(super) struct Handshake {
    certificate: ServerCertificate,
    expected: Fingerprint,
    stage: Stage,
    reassembly: Reassembly,
    /// Whether the peer said that it encrypts from now on.
    change_seen: bool,
    /// Protected records that came before the keys to open them, the oldest dropped first.
    held: VecDeque<Vec<u8>>,
    flight: Flight,
    budget: Budget,
    /// The alert the peer sent in the clear, for the diagnosis alone.
    alert: Option<u8>,
    /// Why a hello could not be used.
    failure: Option<String>,
    /// How many engines were started, one for each different first hello.
    engines: u32,
    /// The record number of what is fed in the clear; ours, as the peer's may repeat or be forged.
    next_record: u32,
}

enum Stage {
    /// Every first hello that came was asked for a cookie, each by an engine of its own: before one comes back nobody
    /// can tell the peer's hello from a forged one.
    Greeting(Vec<Greeted>),
    /// The cookie came back, our certificate is out; the peer's message `next_seq` is next.
    Verified { engine: Box<Engine>, next_seq: u16, change_fed: bool },
}

/// A first hello and the engine that asked it for its cookie.
struct Greeted {
    engine: Box<Engine>,
    hello: ClientHello,
    cookie: Vec<u8>,
    request: Vec<Vec<u8>>,
}

/// What a datagram did.
pub(super) enum Outcome {
    /// Nothing of it passed.
    Ignored,
    /// It was taken in.
    Progress,
    /// Both sides have finished; the events are what came with it.
    Complete(Box<Engine>, Vec<EngineEvent>),
    /// The session is over.
    Failed(CloseReason),
}

impl Handshake {
    pub(super) fn new(certificate: ServerCertificate, expected: Fingerprint) -> Self {
        Self {
            certificate,
            expected,
            stage: Stage::Greeting(Vec::new()),
            reassembly: Reassembly::default(),
            change_seen: false,
            held: VecDeque::new(),
            flight: Flight::default(),
            budget: Budget::default(),
            alert: None,
            failure: None,
            engines: 0,
            next_record: 0,
        }
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &[u8], out: &mut VecDeque<Vec<u8>>) -> Outcome {
        let mut passed = false;
        for record in records(datagram) {
            passed |= self.admit(&record);
        }
        if !passed {
            return Outcome::Ignored;
        }
        if !self.budget.take_in(datagram.len()) {
            return Outcome::Failed(CloseReason::DtlsFailed("too much handshake input".to_owned()));
        }
        match self.stage {
            Stage::Greeting(_) => self.take_hellos(now, out),
            Stage::Verified { .. } => self.take_rest(now, out),
        }
    }

    /// Repeats our flight when it is due.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) {
        if self.flight.due.is_some_and(|due| due <= now) {
            self.flight.interval = (self.flight.interval * 2).min(MAX_REPEAT_INTERVAL);
            self.flight.due = Some(now + self.flight.interval);
            // The very same records: a receiver's replay window lets through those it misses.
            self.budget.send(&self.flight.datagrams, out);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.flight.due
    }

    /// Why the handshake did not finish in time.
    pub(super) fn diagnosis(&self) -> CloseReason {
        match (&self.failure, self.alert) {
            (Some(failure), _) => CloseReason::DtlsFailed(failure.clone()),
            (None, Some(alert)) => CloseReason::DtlsFailed(format!("the peer sent alert {alert}")),
            (None, None) => CloseReason::DtlsTimeout,
        }
    }

    /// How much memory the guard holds for what the peer sent.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.reassembly.kept_bytes() + self.held.iter().map(Vec::len).sum::<usize>()
    }

    /// Keeps of a record what may be of use at this stage (D2) and returns whether it kept anything.
    fn admit(&mut self, record: &Record<'_>) -> bool {
        let verified = matches!(self.stage, Stage::Verified { .. });
        match (record.epoch, record.content_type) {
            (0, HANDSHAKE) => {
                let wanted = fragments(record.body).filter(|fragment| self.stage.wants(fragment));
                wanted.map(|fragment| self.reassembly.push(&fragment)).count() > 0
            }
            (0, CHANGE_CIPHER_SPEC) if verified && record.body == [1] => {
                self.change_seen = true;
                true
            }
            (0, ALERT) => {
                self.alert = record.body.get(1).copied().or(self.alert);
                false
            }
            (1, HANDSHAKE | ALERT | APPLICATION_DATA) if verified && record.whole.len() <= MAX_HELD_LEN => {
                if self.held.len() == MAX_HELD {
                    self.held.pop_front();
                }
                self.held.push_back(record.whole.to_vec());
                true
            }
            _ => false,
        }
    }

    fn take_hellos(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) -> Outcome {
        if let Some(first) = self.reassembly.take(0)
            && let Err(failure) = self.take_first_hello(now, &first, out)
        {
            // It may have been forged: note why it was of no use, and let the next one have a new engine (D6).
            self.failure = Some(failure);
        }
        match self.reassembly.take(1) {
            Some(second) => self.take_second_hello(now, &second, out),
            None => Outcome::Progress,
        }
    }

    fn take_first_hello(&mut self, now: Instant, message: &Message, out: &mut VecDeque<Vec<u8>>) -> Result<(), String> {
        let Stage::Greeting(greeted) = &self.stage else { return Ok(()) };
        let Some(hello) = ClientHello::parse(&message.body) else { return Ok(()) };
        if let Some(known) = greeted.iter().find(|known| known.hello.random == hello.random) {
            self.budget.send(&known.request, out);
            return Ok(());
        }
        if self.engines == MAX_ENGINES {
            return Ok(());
        }
        let profile = hello.profile.ok_or("the peer offers no SRTP profile we have")?;
        self.engines += 1;
        let describe = |error: EngineError| error.to_string();
        let mut engine = Box::new(Engine::new(&self.certificate, self.expected, profile).map_err(describe)?);
        let fed = self.feed(now, &mut engine, message);
        let request = engine.take_transmits();
        self.budget.send(&request, out);
        fed.map_err(describe)?;
        let cookie = request.first().and_then(|sent| read_cookie(sent)).ok_or("the engine asked for no cookie")?;
        if let Stage::Greeting(greeted) = &mut self.stage {
            greeted.push(Greeted { engine, hello, cookie, request });
        }
        Ok(())
    }

    fn take_second_hello(&mut self, now: Instant, message: &Message, out: &mut VecDeque<Vec<u8>>) -> Outcome {
        let Stage::Greeting(greeted) = &mut self.stage else { return Outcome::Progress };
        let Some(second) = ClientHello::parse(&message.body) else { return Outcome::Progress };
        let confirmed = greeted.iter().position(|known| known.hello.is_confirmed_by(&second, &known.cookie));
        let Some(Greeted { mut engine, .. }) = confirmed.map(|at| greeted.swap_remove(at)) else {
            return Outcome::Progress;
        };
        self.reassembly.clear();
        let fed = self.feed(now, &mut engine, message);
        let datagrams = engine.take_transmits();
        self.budget.send(&datagrams, out);
        if let Err(error) = fed {
            return Outcome::Failed(self.explain(&engine, &error));
        }
        self.flight = Flight { datagrams, due: Some(now + FIRST_REPEAT_INTERVAL), interval: FIRST_REPEAT_INTERVAL };
        self.stage = Stage::Verified { engine, next_seq: message.message_seq + 1, change_fed: false };
        Outcome::Progress
    }

    /// Feeds everything whose turn has come: messages in order, then ChangeCipherSpec, then what it protects.
    fn take_rest(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) -> Outcome {
        let taken = std::mem::replace(&mut self.stage, Stage::Greeting(Vec::new()));
        let Stage::Verified { mut engine, mut next_seq, mut change_fed } = taken else {
            self.stage = taken;
            return Outcome::Progress;
        };
        let mut events = Vec::new();
        let fed = self.feed_rest(now, &mut engine, &mut next_seq, &mut change_fed, &mut events);
        self.budget.send(&engine.take_transmits(), out);
        if let Err(error) = fed {
            return Outcome::Failed(self.explain(&engine, &error));
        }
        if events.iter().any(|event| matches!(event, EngineEvent::Complete)) {
            return Outcome::Complete(engine, events);
        }
        self.stage = Stage::Verified { engine, next_seq, change_fed };
        Outcome::Progress
    }

    fn feed_rest(
        &mut self,
        now: Instant,
        engine: &mut Engine,
        next_seq: &mut u16,
        change_fed: &mut bool,
        events: &mut Vec<EngineEvent>,
    ) -> Result<(), EngineError> {
        while let Some(message) = self.reassembly.take(*next_seq) {
            *next_seq += 1;
            events.extend(self.feed(now, engine, &message)?);
        }
        if self.change_seen && !*change_fed && engine.has_keys() {
            *change_fed = true;
            let record = write_plain(CHANGE_CIPHER_SPEC, self.number(), &[1]);
            events.extend(engine.read(now, &record)?);
        }
        while *change_fed && let Some(record) = self.held.pop_front() {
            events.extend(engine.read(now, &record)?);
        }
        Ok(())
    }

    fn feed(&mut self, now: Instant, engine: &mut Engine, message: &Message) -> Result<Vec<EngineEvent>, EngineError> {
        let whole = write_message(message.message_type, message.message_seq, &message.body);
        let record = write_plain(HANDSHAKE, self.number(), &whole);
        engine.read(now, &record)
    }

    fn number(&mut self) -> u32 {
        self.next_record += 1; // Bounded by the input budget.
        self.next_record - 1
    }

    /// Says why the engine gave up on a peer that had returned its cookie.
    fn explain(&self, engine: &Engine, error: &EngineError) -> CloseReason {
        match engine.peer_fingerprint() {
            Some(shown) if shown != self.expected => CloseReason::DtlsFingerprint,
            None if engine.has_keys() => CloseReason::DtlsNoCertificate,
            _ => CloseReason::DtlsFailed(error.to_string()),
        }
    }
}

impl Stage {
    /// Whether a fragment can be part of what comes next; what came already is not wanted a second time.
    fn wants(&self, fragment: &Fragment<'_>) -> bool {
        use handshake_type::{CERTIFICATE, CERTIFICATE_VERIFY, CLIENT_HELLO, CLIENT_KEY_EXCHANGE};
        match self {
            Self::Greeting(_) => fragment.message_type == CLIENT_HELLO && fragment.message_seq <= 1,
            Self::Verified { next_seq, .. } => {
                let known = [CERTIFICATE, CLIENT_KEY_EXCHANGE, CERTIFICATE_VERIFY].contains(&fragment.message_type);
                known && fragment.message_seq >= *next_seq
            }
        }
    }
}

/// Our certificate and what goes with it, to be repeated while the peer does not answer.
///
/// The request for a cookie is not: it is repeated only when the hello is (RFC 6347 §4.2.1).
#[derive(Default)]
struct Flight {
    datagrams: Vec<Vec<u8>>,
    due: Option<Instant>,
    interval: Duration,
}

/// How much a handshake may take in and give out (D3, D5).
#[derive(Default)]
struct Budget {
    datagrams_in: usize,
    bytes_in: usize,
    bytes_out: usize,
}

impl Budget {
    /// Counts a datagram of which something passed; `false` once there were too many.
    fn take_in(&mut self, len: usize) -> bool {
        self.datagrams_in += 1;
        self.bytes_in += len;
        self.datagrams_in <= MAX_HANDSHAKE_DATAGRAMS && self.bytes_in <= MAX_HANDSHAKE_BYTES
    }

    /// Queues datagrams as far as the peer's input pays for them; the rest is dropped.
    fn send(&mut self, datagrams: &[Vec<u8>], out: &mut VecDeque<Vec<u8>>) {
        for datagram in datagrams {
            let total = self.bytes_out + datagram.len();
            if total <= AMPLIFICATION * self.bytes_in + OUTPUT_ALLOWANCE && out.len() < super::MAX_TRANSMITS {
                self.bytes_out = total;
                out.push_back(datagram.clone());
            }
        }
    }
}

/// Reads the cookie out of a HelloVerifyRequest of ours.
fn read_cookie(datagram: &[u8]) -> Option<Vec<u8>> {
    let record = records(datagram).next()?;
    let message = fragments(record.body).next()?;
    let (len, cookie) = message.data.get(2..)?.split_first()?;
    let asks = message.message_type == handshake_type::HELLO_VERIFY_REQUEST && usize::from(*len) == cookie.len();
    asks.then(|| cookie.to_vec())
}

/// The datagrams of one handshake that may have something of use in them; one more ends the session.
pub(super) const MAX_HANDSHAKE_DATAGRAMS: usize = 64;
/// The bytes of those datagrams; more ends the session.
pub(super) const MAX_HANDSHAKE_BYTES: usize = 64 * 1024;
/// How many times the peer's bytes we send before it has finished …
const AMPLIFICATION: usize = 3;
/// … beyond this allowance, which pays for repeating our flight to a peer that cannot hear us. The path is proven, so
/// nobody else is hit.
const OUTPUT_ALLOWANCE: usize = 8 * 1024;
/// How many different first hellos get an engine; later ones are ignored.
const MAX_ENGINES: u32 = 8;
/// How many protected records wait for their keys.
const MAX_HELD: usize = 8;
/// The longest such record; a Finished has 61 bytes, an early SCTP packet stays below the path MTU.
const MAX_HELD_LEN: usize = 1_500;
/// After what time our flight is repeated first; the time doubles …
const FIRST_REPEAT_INTERVAL: Duration = Duration::from_millis(300);
/// … up to this, which makes six repeats within the deadline.
const MAX_REPEAT_INTERVAL: Duration = Duration::from_millis(2_400);
