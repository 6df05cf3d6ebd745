//! How a client gets into a room, step by step and waiting: signalling, one ICE check that nominates, DTLS.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use roundtable_udp::ReceiveBatch;
use roundtable_wire::{PacketKind, classify};

use crate::address::{Address, Addresses};
use crate::client::{Client, Control, Joined, Timers};
use crate::clock::Clock;
use crate::dtls::{DtlsError, Handshake, Identity};
use crate::publish::{Publisher, TrackSpec};
use crate::receive::{Loss, Receiver};
use crate::sdp::{Answer, Offer};
use crate::signal::{Conversation, SignalError, Url};
use crate::srtp::{Cipher, SrtpKeys};
use crate::stun::Checks;

/// Why somebody did not get in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    #[error(transparent)]
    Signal(#[from] SignalError),
    #[error(transparent)]
    Dtls(#[from] DtlsError),
    /// A socket or the random source.
    #[error("a socket failed: {0}")]
    Io(#[from] io::Error),
    /// The answer names no address of the family that signalling goes over.
    #[error("the answer names no address to send media to")]
    NoCandidate,
    /// Nothing came in time.
    #[error("no answer to {0} in ten seconds")]
    Timeout(&'static str),
}

/// Who is to join what.
#[derive(Debug, Clone)]
pub(crate) struct JoinSpec {
    /// The number of the room in this run, and of the client: seeds and names come from it.
    pub(crate) room: u32,
    pub(crate) number: u32,
    /// Pairs of slots, and voice slots.
    pub(crate) seats: u16,
    pub(crate) voice_slots: u16,
    pub(crate) tracks: Vec<TrackSpec>,
    /// The part of received RTP packets that the client loses on purpose, 0 to 1.
    pub(crate) loss: f64,
    /// Whether its sound is among what a room forwards, for a loop that does not listen: a server finds out itself.
    pub(crate) is_heard: bool,
}

/// What all joins of a run have in common.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) url: Url,
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
    /// Where the timers of all clients begin.
    pub(crate) base: Instant,
    /// Begins the names of the run's rooms, so that runs on one server do not meet.
    pub(crate) prefix: String,
}

/// A client, and what came for it already.
pub(crate) struct Entered {
    pub(crate) client: Client,
    /// Datagrams that came together with the end of its handshake.
    pub(crate) early: Vec<Vec<u8>>,
    /// Where it shook hands: datagrams wait there, too.
    pub(crate) apart: Option<Address>,
}

impl Door {
    /// Joins at one of these addresses, waiting up to ten seconds for each step.
    pub(crate) fn join(
        &self,
        spec: &JoinSpec,
        addresses: &Addresses,
        notify: Option<Sender<Joined>>,
    ) -> Result<Entered, JoinError> {
        let began_ns = self.clock.now_ns();
        let JoinSpec { room, number, .. } = *spec;
        let room_name = format!("{}-{room}", self.prefix);
        let (mut conversation, _) = Conversation::open(&self.url, &room_name, &format!("bench {number}"), spec.seats)?;
        let mut random = [0; RANDOM_LEN];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (ufrag, pwd) = (hex(&random[..4]), hex(&random[4..16])); // Constant parts of a longer array.
        let mut publisher = Publisher::new(Instant::now(), &spec.tracks, number);
        let offer = Offer {
            ufrag: &ufrag,
            pwd: &pwd,
            fingerprint: &self.identity.fingerprint,
            sends: &publisher.lines(),
            seats: spec.seats,
            voice_slots: spec.voice_slots,
        };
        let (answer, tracks) = conversation.offer(offer.write(), publisher.requests())?;
        publisher.handle_answer(tracks);
        let answer = Answer::read(&answer);
        let server = answer.destination(self.url.address()).ok_or(JoinError::NoCandidate)?;
        let address = addresses.next(server)?;
        let mut line = Line::open(address.apart()?, server)?;
        let random = random.last_chunk().copied().unwrap_or([0; 20]);
        let mut checks = Checks::new(&ufrag, &answer.ufrag, &answer.pwd, random);
        line.check(&mut checks)?;
        let (keys, early) = line.shake_hands(&self.identity, &answer.fingerprint)?;
        let now = Instant::now();
        publisher.start(now, number);
        conversation.set_nonblocking()?;
        let cipher = |keys| Cipher::new(keys).ok_or(DtlsError::NoKeys);
        let loss = Loss::new(spec.loss, u64::from(number) << 17 | 1);
        let joined =
            Joined { began_ns, connected_ns: self.clock.now_ns(), first_media_ns: None, first_picture_ns: None };
        let client = Client {
            room,
            number,
            joined,
            ended: None,
            notify,
            control: Some(Control { conversation, checks, timers: Timers::start(self.base, now, number) }),
            address,
            server,
            sealer: cipher(&keys.sending)?,
            opener: cipher(&keys.receiving)?,
            publisher,
            receiver: Receiver::new(number | FEEDBACK_BIT, answer.fid, answer.transport_sequence, loss),
            tracks: Vec::new(),
            bad: 0,
        };
        Ok(Entered { client, early, apart: Some(line.address) })
    }
}

/// An address and the way to wait for what comes to it.
pub(crate) struct Line {
    pub(crate) address: Address,
    server: SocketAddr,
    poll: Poll,
    events: Events,
    pub(crate) batch: ReceiveBatch,
}

impl Line {
    pub(crate) fn open(address: Address, server: SocketAddr) -> Result<Self, JoinError> {
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&address.descriptor()), Token(0), Interest::READABLE)?;
        let batch = ReceiveBatch::new(BATCH, ReceiveBatch::FULL_BYTES);
        Ok(Self { address, server, poll, events: Events::with_capacity(1), batch })
    }

    /// Sends a check that nominates until it is answered.
    pub(crate) fn check(&mut self, checks: &mut Checks) -> Result<(), JoinError> {
        let (mut request, began) = (Vec::new(), Instant::now());
        while began.elapsed() < PATIENCE {
            checks.write(&mut request);
            self.send(&request);
            let again = Instant::now() + CHECK_AGAIN;
            while self.wait(again)? {
                if self.batch.datagrams().any(|datagram| checks.is_success(datagram.contents)) {
                    return Ok(());
                }
            }
        }
        Err(JoinError::Timeout("a connectivity check"))
    }

    /// The keys, and what else came with the last datagrams of the handshake.
    fn shake_hands(&mut self, identity: &Identity, expected: &str) -> Result<(SrtpKeys, Vec<Vec<u8>>), JoinError> {
        self.shake_hands_by(&mut Handshake::start(Instant::now(), identity, expected)?)
    }

    /// The same with a handshake that is to be kept, for what goes over DTLS afterwards.
    pub(crate) fn shake_hands_by(&mut self, handshake: &mut Handshake) -> Result<(SrtpKeys, Vec<Vec<u8>>), JoinError> {
        let (mut keys, began) = (None, Instant::now());
        while began.elapsed() < PATIENCE {
            handshake.take_transmits().iter().for_each(|datagram| self.send(datagram));
            let due = handshake.poll_timeout().unwrap_or(began + PATIENCE).min(began + PATIENCE);
            if !self.wait(due)? {
                handshake.handle_timeout(Instant::now())?;
                continue;
            }
            let mut early = Vec::new();
            for datagram in self.batch.datagrams() {
                match classify(datagram.contents) {
                    PacketKind::Dtls if keys.is_none() => keys = handshake.read(Instant::now(), datagram.contents)?,
                    PacketKind::Rtp | PacketKind::Rtcp => early.push(datagram.contents.to_vec()),
                    _ => {}
                }
            }
            if let Some(keys) = keys.take() {
                handshake.take_transmits().iter().for_each(|datagram| self.send(datagram));
                return Ok((keys, early));
            }
        }
        Err(JoinError::Timeout("the DTLS handshake"))
    }

    /// Waits for datagrams until `due`; whether some came.
    pub(crate) fn wait(&mut self, due: Instant) -> io::Result<bool> {
        loop {
            match self.address.socket().receive(&mut self.batch) {
                Ok(0) => continue,
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    pub(crate) fn send(&self, contents: &[u8]) {
        self.address.send(self.server, contents);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How long each step may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// An unanswered check is repeated after that.
const CHECK_AGAIN: Duration = Duration::from_millis(100);
/// ufrag, password, tie breaker and transaction.
pub(crate) const RANDOM_LEN: usize = 36;
/// Feedback is signed with the client's number and this bit, which no stream of the server is likely to have taken.
const FEEDBACK_BIT: u32 = 1 << 31;
/// Messages of one receive call while joining.
const BATCH: usize = 4;
