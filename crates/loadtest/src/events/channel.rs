//! A peer connection that carries data channels and no media: ICE, DTLS, SCTP.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use roundtable_protocol::{CHAT_CHANNEL_LABEL, ClientMessage, DATA_CHANNEL_LABEL, ServerMessage};
use roundtable_udp::ReceiveBatch;
use roundtable_wire::{PacketKind, classify};

use super::sctp::{Brought, Channels};
use super::wire::Wire;
use crate::address::Address;
use crate::connect::{JoinError, Line, PATIENCE, RANDOM_LEN, hex};
use crate::dtls::{DtlsError, Handshake, Identity};
use crate::sdp::Answer;
use crate::signal::{SignalError, Url};
use crate::stun::Checks;

/// One peer connection.
pub(crate) struct Connection {
    address: Address,
    server: std::net::SocketAddr,
    checks: Checks,
    check_due: Instant,
    handshake: Handshake,
    channels: Channels,
    stun: Vec<u8>,
}

impl Connection {
    /// Offers over `wire`, connects, and opens the channels for chat and data, waiting up to ten seconds for each step.
    pub(crate) fn open(url: &Url, wire: &mut Wire, identity: &Identity) -> Result<Self, JoinError> {
        let mut random = [0; RANDOM_LEN];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (ufrag, pwd) = (hex(&random[..4]), hex(&random[4..16])); // Constant parts of a longer array.
        let sdp = offer(&ufrag, &pwd, &identity.fingerprint);
        let offer = ClientMessage::Offer { id: 1, sdp, fresh: false, tracks: Vec::new() };
        let answer = wire.ask(&offer, |message| match message {
            ServerMessage::Answer { sdp, .. } => Some(sdp),
            _ => None,
        })?;
        let answer = Answer::read(&answer);
        let server = answer.destination(url.address()).ok_or(JoinError::NoCandidate)?;
        let mut line = Line::open(Address::alone(server)?, server)?;
        let mut checks =
            Checks::new(&ufrag, &answer.ufrag, &answer.pwd, random.last_chunk().copied().unwrap_or([0; 20]));
        line.check(&mut checks)?;
        let mut handshake = Handshake::start(Instant::now(), identity, &answer.fingerprint)?;
        line.shake_hands_by(&mut handshake)?;
        let mut channels = Channels::start().ok_or(JoinError::Timeout("the beginning of SCTP"))?;
        open_channels(&mut line, &mut handshake, &mut channels)?;
        let Line { address, .. } = line;
        let check_due = Instant::now() + CHECK_INTERVAL;
        Ok(Self { address, server, checks, check_due, handshake, channels, stun: Vec::new() })
    }

    /// The descriptor to wait on.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.address.descriptor()
    }

    /// Takes what has come and gives each message to `take`.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) fn handle_readable(
        &mut self,
        batch: &mut ReceiveBatch,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), DtlsError> {
        while self.address.socket().receive(batch).is_ok() {
            let now = Instant::now();
            for datagram in batch.datagrams() {
                if classify(datagram.contents) != PacketKind::Dtls {
                    continue; // Answers to checks.
                }
                for packet in self.handshake.read_data(now, datagram.contents)? {
                    self.channels.handle_packet(now, packet, &mut |brought| {
                        if let Brought::Message(message) = brought {
                            take(message);
                        }
                    });
                }
            }
            if !batch.is_full() {
                break;
            }
        }
        self.flush(Instant::now());
        if self.channels.is_lost() { Err(DtlsError::Failed("the SCTP association is over".to_owned())) } else { Ok(()) }
    }

    /// Renews consent and sends what SCTP owes.
    pub(crate) fn handle_time(&mut self, now: Instant) {
        if self.check_due <= now {
            self.check_due = now + CHECK_INTERVAL;
            let mut stun = std::mem::take(&mut self.stun);
            self.checks.write(&mut stun);
            self.send(&stun);
            self.stun = stun;
        }
        if self.channels.poll_timeout().is_some_and(|due| due <= now) {
            self.channels.handle_timeout(now);
            self.flush(now);
        }
    }

    /// Writes chat, or a frame of data; whether the channel took it.
    pub(crate) fn send_message(&mut self, is_chat: bool, message: &[u8]) -> bool {
        let taken = self.channels.send(if is_chat { CHAT_ID } else { DATA_ID }, is_chat, message);
        self.flush(Instant::now());
        taken
    }

    fn flush(&mut self, now: Instant) {
        let Self { channels, handshake, .. } = self;
        // A session that cannot seal any more does not receive either, which ends the client.
        channels.take_packets(now, |packet| handshake.write_data(now, packet).unwrap_or_default());
        for datagram in self.handshake.take_transmits() {
            self.send(&datagram);
        }
    }

    fn send(&self, contents: &[u8]) {
        self.address.send(self.server, contents);
    }
}

/// Waits until the server has agreed to both channels.
fn open_channels(line: &mut Line, handshake: &mut Handshake, channels: &mut Channels) -> Result<(), JoinError> {
    let (began, mut asked, mut agreed) = (Instant::now(), false, Vec::new());
    while began.elapsed() < PATIENCE {
        let now = Instant::now();
        if channels.is_connected() && !asked {
            asked = true;
            let opened = channels.open(CHAT_ID, CHAT_CHANNEL_LABEL) && channels.open(DATA_ID, DATA_CHANNEL_LABEL);
            if !opened {
                return Err(SignalError::Refused("no data channel".to_owned()).into());
            }
        }
        channels.take_packets(now, |packet| handshake.write_data(now, packet).unwrap_or_default());
        handshake.take_transmits().iter().for_each(|datagram| line.send(datagram));
        if agreed.len() == 2 {
            return Ok(());
        }
        let due = channels.poll_timeout().unwrap_or(began + PATIENCE).min(began + PATIENCE);
        if !line.wait(due)? {
            channels.handle_timeout(Instant::now());
            continue;
        }
        let mut packets = Vec::new();
        for datagram in line.batch.datagrams().filter(|datagram| classify(datagram.contents) == PacketKind::Dtls) {
            packets.extend(handshake.read_data(now, datagram.contents)?);
        }
        for packet in packets {
            channels.handle_packet(Instant::now(), packet, &mut |brought| {
                if let Brought::Open(id) = brought {
                    agreed.push(id);
                }
            });
        }
    }
    Err(JoinError::Timeout("the opening of data channels"))
}

/// An offer of data channels alone.
fn offer(ufrag: &str, pwd: &str, fingerprint: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
         c=IN IP4 0.0.0.0\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
    )
}

/// Streams of who is the DTLS client are even (RFC 8832 §6).
const CHAT_ID: u16 = 0;
const DATA_ID: u16 = 2;
/// How often consent is renewed (RFC 7675 §5.1).
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
