//! Data channels: SCTP over DTLS (RFC 8831) and the protocol that opens them (RFC 8832), without a clock or a socket.
//!
//! [`Channels`] is the accepting side: the browser starts the association and opens channels in-band. It is fed plain
//! SCTP packets as DTLS opened them ([`Channels::input`]) and hands out plain SCTP packets to be sealed
//! ([`Channels::poll_transmit`]). After every call, take from `poll_transmit` and `poll_event` until both are empty
//! and ask `poll_timeout` anew.
//!
//! The engine is `sctp-proto`, which no other module names. In front of it stands a guard that bounds what a hostile
//! peer can make it do; `dcep` reads what opens a channel.
//!
//! # Bounds, and what happens at them
//! | bound | then |
//! |---|---|
//! | 16 channels ([`Limits`]), labels of 256 bytes | the stream is reset, which the browser sees as a closed channel |
//! | messages of 64 KiB ([`MAX_MESSAGE_BYTES`]) | ours: [`SendError::TooLarge`]; the peer's: thrown away, [`ChannelEvent::Oversized`] |
//! | messages of the peer of 384 KiB | the association ends: nothing can be thrown away before it is whole |
//! | 256 KiB to send per channel ([`Limits`]) | [`SendError::Full`], then [`ChannelEvent::Writable`] at half of it |
//! | 64 events or 128 KiB of messages not taken | reading stops, the window closes, the peer waits |
//! | 30 s without progress of a reliable channel ([`Limits`]) | the association ends: [`EndReason::Stalled`] |
//! | packets, chunks, resets and heartbeats per second | packets are dropped, and repeated by the peer's SCTP |
//!
//! # Two things that sctp-proto does for itself
//! It draws the verification tag, the first TSN and the cookie from `rand`'s thread-local generator and takes no seed:
//! the one source of randomness here that is not passed in. And it logs through `log` under the target `sctp_proto`,
//! a warning per bad packet, which a peer can cause at will: whoever installs a logger that hears `log` is to switch
//! that target off.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationError, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier,
    ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

mod budget;
pub mod dcep;
mod event;
mod guard;
mod packet;

pub use event::{ChannelEvent, EndReason, Limits, MessageKind, SendError};

use dcep::Reliability;
use guard::{Contents, Guard, Offence, Verdict};

/// The data channels of one peer.
#[derive(Debug)]
pub struct Channels {
    limits: Limits,
    /// The time of the last call, for calls that are not told it.
    now: Instant,
    state: State,
    guard: Guard,
    channels: Vec<Channel>,
    /// Streams that may have something to read, each once, in turn.
    readable: VecDeque<u16>,
    events: VecDeque<ChannelEvent>,
    /// Bytes of the messages in `events`.
    event_bytes: usize,
    outgoing: VecDeque<Bytes>,
    /// Streams that the peer reset, and whose reset by us it has not answered.
    unanswered_resets: usize,
    dropped: u64,
}

/// How far the association is.
#[derive(Debug)]
enum State {
    /// The peer has not begun.
    Waiting(Box<Endpoint>),
    /// The peer has begun; whether the handshake is over, the association knows.
    Live(Box<(Endpoint, Association)>),
    /// The association ended and does not come back.
    Over,
}

/// One open channel.
#[derive(Debug)]
struct Channel {
    id: u16,
    reliable: bool,
    /// Whether a message was refused, so that somebody waits for `Writable`.
    refused: bool,
    /// What waited to be sent when last looked at, and since when it has not become less.
    waiting: usize,
    since: Instant,
}

/// Bytes of a message in either direction, to be advertised as `max-message-size` (RFC 8841 §6).
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The SCTP port of both sides, to be advertised as `sctp-port` (RFC 8841 §5).
pub const PORT: u16 = 5000;

impl Channels {
    /// Waits for the peer to start an association.
    #[must_use]
    pub fn new(now: Instant, limits: Limits) -> Self {
        let limits = Limits { send_buffer: limits.send_buffer.max(2 * MAX_MESSAGE_BYTES), ..limits };
        Self {
            limits,
            now,
            state: State::Waiting(Box::new(endpoint())),
            guard: Guard::new(now),
            channels: Vec::new(),
            readable: VecDeque::new(),
            events: VecDeque::new(),
            event_bytes: 0,
            outgoing: VecDeque::new(),
            unanswered_resets: 0,
            dropped: 0,
        }
    }

    /// Takes one SCTP packet from the peer.
    pub fn input(&mut self, now: Instant, packet: Bytes) {
        self.now = now;
        if matches!(self.state, State::Over) {
            self.dropped += 1;
            return;
        }
        match self.guard.judge(now, &packet) {
            Verdict::Pass(contents) => self.pass(now, packet, contents),
            Verdict::Drop => self.dropped += 1,
            Verdict::End(offence) => self.abort(match offence {
                Offence::Chunks => EndReason::Chunks,
                Offence::Stream => EndReason::Stream,
                Offence::Flood => EndReason::Flood,
            }),
        }
    }

    /// Sends one message. `Ok` means that it is held until the peer has it or, on a channel that is not reliable,
    /// until it is given up.
    ///
    /// # Errors
    /// See [`SendError`]; the message is then not sent.
    pub fn send(&mut self, id: u16, kind: MessageKind, data: impl AsRef<[u8]>, now: Instant) -> Result<(), SendError> {
        self.now = now;
        let data = data.as_ref();
        let State::Live(live) = &mut self.state else { return Err(SendError::Unknown) };
        let channel = self.channels.iter_mut().find(|channel| channel.id == id).ok_or(SendError::Unknown)?;
        let mut stream = live.1.stream(id).map_err(|_| SendError::Unknown)?;
        if data.len() > MAX_MESSAGE_BYTES {
            return Err(SendError::TooLarge);
        }
        let waiting = stream.buffered_amount().map_err(|_| SendError::Unknown)?;
        if waiting + data.len() > self.limits.send_buffer {
            channel.refused = true;
            return Err(SendError::Full);
        }
        // SCTP has no empty messages: a message of one zero byte with its own protocol id stands for one (RFC 8831 §6.6).
        let (data, protocol) = match (kind, data.is_empty()) {
            (MessageKind::Text, false) => (data, PayloadProtocolIdentifier::String),
            (MessageKind::Text, true) => (EMPTY, PayloadProtocolIdentifier::StringEmpty),
            (MessageKind::Binary, false) => (data, PayloadProtocolIdentifier::Binary),
            (MessageKind::Binary, true) => (EMPTY, PayloadProtocolIdentifier::BinaryEmpty),
        };
        stream.write_with_ppi(data, protocol).map_err(|_| SendError::Unknown)?;
        channel.grow(now, waiting + data.len());
        Ok(())
    }

    /// Closes a channel; what it holds is sent before the peer is told. [`ChannelEvent::Closed`] follows at once.
    pub fn reset(&mut self, id: u16) {
        if let State::Live(live) = &mut self.state
            && let Ok(mut stream) = live.1.stream(id)
        {
            // It fails only where the association is ending anyway.
            let _ = stream.close();
        }
        self.forget(id);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if let State::Live(live) = &mut self.state {
            live.1.handle_timeout(now);
            self.settle(Contents::default());
        }
        if self.stalls_at().is_some_and(|at| at <= now) {
            self.abort(EndReason::Stalled);
        }
    }

    /// Takes the next packet to seal and send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.outgoing.is_empty() {
            self.collect();
        }
        self.outgoing.pop_front()
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<ChannelEvent> {
        let event = self.events.pop_front()?;
        if let ChannelEvent::Message { data, .. } = &event {
            self.event_bytes -= data.len();
        }
        if !self.readable.is_empty() {
            self.settle(Contents::default());
        }
        Some(event)
    }

    /// Bytes of a channel that wait for being sent or acknowledged.
    pub fn buffered(&mut self, id: u16) -> usize {
        let State::Live(live) = &mut self.state else { return 0 };
        live.1.stream(id).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let State::Live(live) = &self.state else { return None };
        let engine = live.1.poll_timeout();
        engine.into_iter().chain(self.stalls_at()).min()
    }

    /// Packets that the guard dropped, that belong to no association, or that came after the end.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Gives a packet to the engine.
    fn pass(&mut self, now: Instant, packet: Bytes, contents: Contents) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Waiting(mut endpoint) => match endpoint.handle(now, PEER, None, None, packet) {
                Some((_, DatagramEvent::NewAssociation(association))) => {
                    if let Some(init) = contents.init {
                        self.guard.associated(init);
                    }
                    self.state = State::Live(Box::new((*endpoint, association)));
                }
                _ => {
                    self.dropped += 1;
                    self.state = State::Waiting(endpoint);
                }
            },
            State::Live(mut live) => {
                let (endpoint, association) = &mut *live;
                match endpoint.handle(now, PEER, None, None, packet) {
                    Some((_, DatagramEvent::AssociationEvent(event))) => association.handle_event(event),
                    // The guard lets no second INIT pass, so no second association comes of this.
                    _ => self.dropped += 1,
                }
                self.state = State::Live(live);
            }
            State::Over => {}
        }
        self.settle(contents);
    }

    /// Acts on everything the engine has to say, until it falls silent. `contents` is of the packet that came before.
    fn settle(&mut self, contents: Contents) {
        loop {
            while let State::Live(live) = &mut self.state
                && let Some(event) = live.1.poll()
            {
                self.engine_event(event, contents);
            }
            let State::Live(live) = &mut self.state else { return };
            // Streams announce themselves by their first DCEP message; the engine's own list is only emptied.
            while live.1.accept_stream().is_some() {}
            if !self.read_some() {
                break;
            }
        }
        self.finish_resets(contents.resets);
        if self.unanswered_resets > MAX_UNANSWERED_RESETS {
            self.abort(EndReason::Protocol);
        }
        self.note_progress();
    }

    fn engine_event(&mut self, event: Event, contents: Contents) {
        match event {
            Event::Connected => self.guard.established(),
            Event::HandshakeFailed { reason } | Event::AssociationLost { reason } => self.lost(&reason, contents),
            Event::Stream(StreamEvent::Readable { id }) => self.note_readable(id),
            Event::Stream(StreamEvent::Finished { id }) => {
                self.unanswered_resets += 1;
                self.forget(id);
            }
            Event::Stream(StreamEvent::ResetComplete { id } | StreamEvent::ResetFailed { id, .. }) => {
                self.unanswered_resets = self.unanswered_resets.saturating_sub(1);
                self.note_readable(id);
            }
            Event::Stream(StreamEvent::BufferedAmountLow { id }) => {
                let channel = self.channels.iter_mut().find(|channel| channel.id == id);
                if channel.is_some_and(|channel| std::mem::take(&mut channel.refused)) {
                    self.events.push_back(ChannelEvent::Writable { id });
                }
            }
            _ => {}
        }
    }

    fn note_readable(&mut self, id: u16) {
        if !self.readable.contains(&id) {
            self.readable.push_back(id);
        }
    }

    /// Reads one message if there is room for it; returns whether there may be more.
    fn read_some(&mut self) -> bool {
        if self.events.len() >= MAX_EVENTS || self.event_bytes >= MAX_EVENT_BYTES {
            return false;
        }
        let Some(id) = self.readable.pop_front() else { return false };
        // A peer may use a stream again before its answer to our reset arrives. Until then we could not even agree to
        // a new channel, so what it sends waits.
        if !self.is_resetting(id) && self.read_one(id) {
            self.readable.push_back(id);
        }
        true
    }

    /// Whether a stream is there to be read but not to be written, which is so while a reset is under way.
    fn is_resetting(&mut self, id: u16) -> bool {
        let State::Live(live) = &mut self.state else { return false };
        live.1.stream(id).is_ok_and(|stream| stream.is_readable() && !stream.is_writable())
    }

    /// Reads one message of a stream; returns whether there was one.
    fn read_one(&mut self, id: u16) -> bool {
        let State::Live(live) = &mut self.state else { return false };
        let Ok(Some(message)) = live.1.stream(id).and_then(|mut stream| stream.read()) else { return false };
        self.guard.delivered(message.chunks.len());
        if message.len() > MAX_MESSAGE_BYTES {
            if self.is_open(id) {
                self.events.push_back(ChannelEvent::Oversized { id, bytes: message.len() });
            }
            return true;
        }
        let mut data = vec![0; message.len()];
        // The buffer is as long as the message.
        let _ = message.read(&mut data);
        match message.ppi {
            PayloadProtocolIdentifier::Dcep => self.dcep(id, &data),
            PayloadProtocolIdentifier::String => self.message(id, MessageKind::Text, data),
            PayloadProtocolIdentifier::Binary => self.message(id, MessageKind::Binary, data),
            PayloadProtocolIdentifier::StringEmpty => self.message(id, MessageKind::Text, Vec::new()),
            PayloadProtocolIdentifier::BinaryEmpty => self.message(id, MessageKind::Binary, Vec::new()),
            // Among these are the fragments (52, 54) that RFC 8831 §6.6 gave up.
            PayloadProtocolIdentifier::Unknown => {}
        }
        true
    }

    /// Hands out a message, unless it is of a stream that nobody opened.
    fn message(&mut self, id: u16, kind: MessageKind, data: Vec<u8>) {
        if self.is_open(id) {
            self.event_bytes += data.len();
            self.events.push_back(ChannelEvent::Message { id, kind, data: data.into() });
        }
    }

    /// Takes a message that opens a channel; one that cannot be taken closes the stream (RFC 8832 §6).
    fn dcep(&mut self, id: u16, bytes: &[u8]) {
        match dcep::Message::parse(bytes) {
            Ok(dcep::Message::Open(open)) if !self.is_open(id) && self.channels.len() < self.limits.channels => {
                self.open(id, open);
            }
            // We open none, so nothing of ours can be acknowledged.
            Ok(dcep::Message::Ack) => {}
            Ok(dcep::Message::Open(_)) | Err(_) => self.reset(id),
        }
    }

    /// Opens a channel as the peer asked, and says so.
    fn open(&mut self, id: u16, open: dcep::Open) {
        let State::Live(live) = &mut self.state else { return };
        let Ok(mut stream) = live.1.stream(id) else { return };
        let mut ack = Vec::new();
        dcep::Message::Ack.write(&mut ack);
        let (reliability, value) = match open.reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::Retransmissions(most) => (ReliabilityType::Rexmit, most),
            Reliability::LifetimeMs(most) => (ReliabilityType::Timed, most),
        };
        // The answer goes first, as it is to be reliable and ordered on any channel (RFC 8832 §6).
        let opened = stream
            .write_with_ppi(&ack, PayloadProtocolIdentifier::Dcep)
            .and_then(|_| stream.set_reliability_params(!open.ordered, reliability, value))
            .and_then(|()| stream.set_buffered_amount_low_threshold(self.limits.send_buffer / 2));
        if opened.is_err() {
            // It was read, so it is not being reset; the association is ending.
            return;
        }
        let reliable = open.reliability == Reliability::Reliable;
        let mut channel = Channel { id, reliable, refused: false, waiting: 0, since: self.now };
        channel.grow(self.now, ack.len());
        self.channels.push(channel);
        self.events.push_back(ChannelEvent::Opened { id, label: open.label, ordered: open.ordered, reliable });
    }

    /// Lets go of streams that the peer has reset, one bit each.
    ///
    /// The engine keeps such a stream until all of it is read, and checks everything that follows against it, at a
    /// cost that grows with the square of what has come. So what is whole is read at once, whatever the bounds of the
    /// event queue (the receive window bounds it), and an unfinished rest is given up.
    fn finish_resets(&mut self, streams: u64) {
        for id in (0..guard::MAX_STREAMS).filter(|id| streams >> id & 1 == 1) {
            if !self.is_resetting(id) {
                continue;
            }
            while self.read_one(id) {}
            self.readable.retain(|readable| *readable != id);
            let State::Live(live) = &mut self.state else { return };
            if let Ok(mut stream) = live.1.stream(id) {
                // It fails only where the association is ending anyway.
                let _ = stream.stop();
            }
            self.forget(id);
        }
    }

    fn is_open(&self, id: u16) -> bool {
        self.channels.iter().any(|channel| channel.id == id)
    }

    /// Takes a channel off the list, if it is there, and says so.
    fn forget(&mut self, id: u16) {
        let before = self.channels.len();
        self.channels.retain(|channel| channel.id != id);
        if self.channels.len() < before {
            self.events.push_back(ChannelEvent::Closed { id });
        }
    }

    /// Looks whether channels have less to send than before.
    fn note_progress(&mut self) {
        let State::Live(live) = &mut self.state else { return };
        for channel in &mut self.channels {
            let waiting = live.1.stream(channel.id).and_then(|stream| stream.buffered_amount()).unwrap_or(0);
            if waiting < channel.waiting {
                channel.since = self.now;
            }
            channel.waiting = waiting;
        }
    }

    /// When the first reliable channel has made no progress for too long.
    fn stalls_at(&self) -> Option<Instant> {
        let stuck = self.channels.iter().filter(|channel| channel.reliable && channel.waiting > 0);
        stuck.map(|channel| channel.since + self.limits.stalled_after).min()
    }

    /// Takes what the engine wants to send.
    fn collect(&mut self) {
        let State::Live(live) = &mut self.state else { return };
        while let Some(transmit) = live.1.poll_transmit(self.now) {
            let Payload::RawEncode(packets) = transmit.payload else { continue };
            for packet in packets {
                self.guard.sent(&packet);
                self.outgoing.push_back(packet);
            }
        }
    }

    /// Ends the association at our wish and tells the peer.
    fn abort(&mut self, reason: EndReason) {
        let packet = self.guard.header_to_peer().map(packet::abort);
        self.outgoing.extend(packet.map(Bytes::from));
        self.end(reason);
    }

    /// Notes that the engine gave the association up, because of the peer or of what it sent.
    fn lost(&mut self, reason: &AssociationError, contents: Contents) {
        self.collect();
        match reason {
            // The engine sent its own ABORT.
            AssociationError::ReceiveBufferExhausted => self.end(EndReason::Unfinished),
            _ if contents.ends => self.end(EndReason::Peer),
            _ => self.abort(EndReason::Protocol),
        }
    }

    fn end(&mut self, reason: EndReason) {
        self.state = State::Over;
        self.channels.clear();
        self.readable.clear();
        self.events.push_back(ChannelEvent::Ended(reason));
    }
}

impl Channel {
    /// Notes that there is more to send.
    fn grow(&mut self, now: Instant, waiting: usize) {
        if self.waiting == 0 {
            self.since = now;
        }
        self.waiting = waiting;
    }
}

/// An endpoint that accepts one association with our bounds.
fn endpoint() -> Endpoint {
    let transport = TransportConfig::default()
        .with_max_receive_buffer_size(guard::RECEIVE_WINDOW_BYTES)
        .with_max_receive_message_size(MAX_DISCARDED_BYTES)
        .with_max_send_message_size(MAX_MESSAGE_BYTES as u32)
        .with_max_num_inbound_streams(guard::MAX_STREAMS)
        .with_max_num_outbound_streams(guard::MAX_STREAMS)
        .with_local_port(PORT)
        .with_remote_port(PORT)
        // The timeouts that browsers use among themselves; those of RFC 9260 are for hosts that are not talking.
        .with_rto_initial_ms(500)
        .with_rto_min_ms(400)
        .with_rto_max_ms(10_000);
    let mut config = EndpointConfig::new();
    config.max_payload_size(MAX_FRAGMENT_BYTES);
    let mut server = ServerConfig::new();
    server.transport = Arc::new(transport);
    Endpoint::new(Arc::new(config), Some(Arc::new(server)))
}

/// Where the engine believes the peer to be; DTLS has no addresses.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT));

/// Bytes of a message that is taken in only to be thrown away, three quarters of the window. The engine hands out whole
/// messages alone, and ends an association that sends a longer one.
const MAX_DISCARDED_BYTES: u32 = guard::RECEIVE_WINDOW_BYTES / 4 * 3;

/// What an empty message carries.
const EMPTY: &[u8] = &[0];

/// Events waiting to be taken until reading stops.
const MAX_EVENTS: usize = 64;

/// Bytes of messages waiting to be taken until reading stops; one more may come on top.
const MAX_EVENT_BYTES: usize = 128 * 1024;

/// Resets without the peer's answer. A sane peer has 64 at most, as it answers before it uses a stream again; the engine
/// remembers each.
const MAX_UNANSWERED_RESETS: usize = 64;

/// Bytes of user data per packet.
///
/// The engine forgets chunk headers when it bundles: a packet of many tiny messages grows to 20/17 of this. With what
/// SCTP, DTLS, UDP and IPv6 add, that stays below 1,350 bytes, and a packet of one message below 1,150.
const MAX_FRAGMENT_BYTES: u32 = 1_024;

#[cfg(test)]
mod tests;
