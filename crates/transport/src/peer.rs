//! One peer's whole transport: ICE-lite, DTLS, SRTP and data channels behind one sans-I/O state machine.
//!
//! The loop is always the same: [`Peer::handle_datagram`] or [`Peer::handle_timeout`] goes in, then
//! [`Peer::poll_transmit`], [`Peer::poll_event`] and [`Peer::poll_timeout`] are drained. Media does not pass through a
//! queue: an opened packet stays in the caller's buffer, and outgoing media is sealed in the caller's buffer with
//! [`Peer::sealer`].

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use roundtable_prefetch::prefetch;
use roundtable_wire::packet_kind::{PacketKind, classify};

use crate::certificate::Fingerprint;
use crate::channel::{ChannelEvent, Channels, Limits as ChannelLimits};
use crate::dtls::{Dtls, DtlsEvent};
use crate::ice_lite::{IceEvent, IceLite};
use crate::identity::Identity;
use crate::path::{IceCredentials, Path};
use crate::queue;
use crate::srtp::{Keying, Profile, SrtpOpener, SrtpSealer};

pub use crate::channel::{MessageKind, SendError};
pub use crate::reason::{CloseReason, DropReason};

/// What a peer is made of.
#[derive(Debug)]
pub struct PeerConfig {
    /// Our certificate, shared by all peers of the process.
    pub identity: Arc<Identity>,
    /// The user fragment and password our answer carries.
    pub local: IceCredentials,
    /// What the peer's offer says of its transport.
    pub remote: RemoteParameters,
}

/// The peer's side of the transport, as its session description promises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteParameters {
    /// The peer's user fragment and password.
    pub ice: IceCredentials,
    /// The SHA-256 fingerprint of the peer's certificate.
    pub fingerprint: Fingerprint,
}

/// What a later offer meant for ICE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The credentials are the ones we know; ours stay as they are.
    Same,
    /// The peer restarted ICE; the fresh credentials are ours from now on and belong into the answer.
    Restarted,
}

/// A later offer promised another certificate, which needs a new peer (RFC 8842 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the fingerprint changed within a session")]
pub struct FingerprintChanged;

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to, and from which of our addresses.
    pub path: Path,
    /// The datagram.
    pub contents: Vec<u8>,
}

/// Why a peer wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutReason {
    /// The first check, the nomination or the peer's consent is due.
    Ice,
    /// A handshake flight is to be repeated, or the handshake's time is over.
    Dtls,
    /// SCTP wants to retransmit, acknowledge or give up.
    Channels,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// STUN or DTLS, taken care of; `poll_transmit` and `poll_event` may have something.
    Control,
    /// An RTP packet, now plain in the first `len` bytes of the buffer.
    Rtp {
        /// The length of the plain packet.
        len: usize,
    },
    /// A compound RTCP packet, now plain in the first `len` bytes of the buffer.
    Rtcp {
        /// The length of the plain packet.
        len: usize,
    },
    /// Nothing we act on.
    Dropped(DropReason),
}

/// What happened to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// An authenticated check came this way: datagrams of this path may be routed to this peer by their addresses.
    PathProven(Path),
    /// The path fell silent or was crowded out: datagrams of this path belong to nobody any more.
    PathLost(Path),
    /// What we send goes this way from now on: the peer nominated the path or, before it nominates any, sends DTLS over it.
    PathSelected(Path),
    /// The DTLS handshake is over and media may flow.
    Connected {
        /// How media is protected.
        profile: Profile,
    },
    /// The peer has shown that it has the keys too, or had time enough to get them: media that it must not miss, such
    /// as a keyframe, may be sent. Browsers drop media that outruns the end of their handshake.
    KeysConfirmed,
    /// The peer opened a data channel.
    ChannelOpened {
        /// The stream of the channel.
        id: u16,
        /// Its label, at most as long as the channel limits allow.
        label: String,
        /// Whether messages arrive in order.
        ordered: bool,
        /// Whether messages are repeated until they arrive.
        reliable: bool,
    },
    /// A whole message came over a data channel.
    Message {
        /// The stream of the channel.
        channel: u16,
        /// Text or binary.
        kind: MessageKind,
        /// The message.
        data: Bytes,
    },
    /// A message longer than a channel carries came whole, and was thrown away.
    Oversized {
        /// The stream of the channel.
        channel: u16,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A data channel that was full has room again.
    ChannelWritable {
        /// The stream of the channel.
        id: u16,
    },
    /// A data channel is gone.
    ChannelClosed {
        /// The stream of the channel.
        id: u16,
    },
    /// The peer is over; the last event it reports.
    Closed(CloseReason),
}

/// One peer's transport.
///
/// After each call of a `handle_…` method, [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event)
/// are to be drained.
#[derive(Debug)]
pub struct Peer {
    identity: Arc<Identity>,
    fingerprint: Fingerprint,
    ice: IceLite,
    session: Session,
    /// Where DTLS came from last; it is answered there until a path is nominated.
    heard: Option<Path>,
    /// The time of the last call, for what is sealed while transmits are drained.
    now: Instant,
    answers: VecDeque<Transmit>,
    events: VecDeque<PeerEvent>,
}

/// How far the peer has come behind ICE.
#[derive(Debug)]
enum Session {
    /// Nothing was nominated and no DTLS came.
    Waiting,
    /// DTLS is shaking hands.
    Handshaking(Box<Dtls>),
    /// Keys exist.
    Connected(Box<Connected>),
    /// Over; the last words of DTLS may still wait to be sent.
    Closed(Option<Box<Dtls>>),
}

/// What exists once the peer's certificate was found right.
#[derive(Debug)]
struct Connected {
    dtls: Box<Dtls>,
    sealer: SrtpSealer,
    opener: SrtpOpener,
    /// From the first record with data: who only watches has none.
    channels: Option<Box<Channels>>,
    keys: Keys,
}

/// What is known of whether the peer has the keys too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// A sign of it is awaited until then.
    Awaited(Instant),
    /// It had time enough to get them.
    Assumed,
    /// It has used them.
    Shown,
}

impl Peer {
    /// Starts waiting for the peer's first check.
    pub fn new(now: Instant, config: PeerConfig) -> Self {
        Self {
            identity: config.identity,
            fingerprint: config.remote.fingerprint,
            ice: IceLite::new(now, config.local, config.remote.ice),
            session: Session::Waiting,
            heard: None,
            now,
            answers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes a later offer (RFC 8445 §9): the same credentials change nothing; new ones restart ICE, `fresh` become our
    /// credentials and the old pair carries media until the peer nominates a new one. A changed fingerprint is refused
    /// and changes nothing.
    pub fn set_remote(
        &mut self,
        now: Instant,
        remote: &RemoteParameters,
        fresh: IceCredentials,
    ) -> Result<Restart, FingerprintChanged> {
        self.now = now;
        if remote.fingerprint != self.fingerprint {
            return Err(FingerprintChanged);
        }
        Ok(if self.ice.set_remote(&remote.ice, fresh) { Restart::Restarted } else { Restart::Same })
    }

    /// Takes one datagram that came over `path`; media is decrypted in place.
    ///
    /// STUN counts after its MESSAGE-INTEGRITY, everything else only from a path that such a check has proven.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) -> Received {
        self.now = now;
        if self.is_closed() {
            return Received::Dropped(DropReason::Closed);
        }
        let received = match classify(datagram) {
            PacketKind::Other => Err(DropReason::NotMedia),
            PacketKind::Stun => self.handle_stun(now, path, datagram),
            PacketKind::Dtls | PacketKind::Rtp | PacketKind::Rtcp if !self.ice.is_proven(path) => {
                Err(DropReason::UnprovenPath)
            }
            PacketKind::Dtls => self.handle_dtls(now, path, datagram),
            PacketKind::Rtp => {
                self.opener().and_then(|opener| opener.open_rtp(datagram)).map(|len| Received::Rtp { len })
            }
            PacketKind::Rtcp => {
                self.opener().and_then(|opener| opener.open_rtcp(datagram)).map(|len| Received::Rtcp { len })
            }
        };
        if matches!(received, Ok(Received::Rtp { .. } | Received::Rtcp { .. })) {
            self.handle_keys_known(Keys::Shown);
        }
        received.unwrap_or_else(Received::Dropped)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.is_closed() {
            return;
        }
        self.ice.handle_timeout(now);
        self.handle_ice_events(now);
        match &mut self.session {
            Session::Waiting | Session::Closed(_) => {}
            Session::Handshaking(dtls) => dtls.handle_timeout(now),
            Session::Connected(connected) => {
                if let Some(channels) = &mut connected.channels {
                    channels.handle_timeout(now);
                }
                if matches!(connected.keys, Keys::Awaited(until) if until <= now) {
                    self.handle_keys_known(Keys::Assumed);
                }
            }
        }
        self.handle_session_events(now);
    }

    /// Seals a compound RTCP packet in place, appending to it; `false` before the keys exist, and the packet must not
    /// be sent then.
    pub fn seal_rtcp(&mut self, compound: &mut Vec<u8>) -> bool {
        self.sealer().is_some_and(|sealer| sealer.seal_rtcp(compound))
    }

    /// Sends one message over a data channel the peer opened.
    pub fn send_message(
        &mut self,
        now: Instant,
        channel: u16,
        kind: MessageKind,
        data: &[u8],
    ) -> Result<(), SendError> {
        self.now = now;
        let channels = self.channels().ok_or(SendError::Unknown)?;
        channels.send(channel, kind, data, now)
    }

    /// Ends the peer: nothing is taken in any more, and what `poll_transmit` still yields is a `close_notify` at best
    /// effort.
    ///
    /// No event tells of it, as the caller knows.
    pub fn close(&mut self, now: Instant) {
        self.now = now;
        let mut remains = self.take_dtls();
        if let Some(dtls) = &mut remains {
            dtls.close(now);
        }
        self.session = Session::Closed(remains);
        self.events.clear();
    }

    /// Takes the next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(answer) = queue::take(&mut self.answers) {
            return Some(answer);
        }
        let now = self.now;
        if let Session::Connected(connected) = &mut self.session {
            connected.seal_channels(now);
        }
        let path = self.path_out();
        let contents = self.dtls()?.poll_transmit()?;
        // Without consent nothing may be sent; there is nobody to tell either.
        Some(Transmit { path: path?, contents })
    }

    /// Takes the next event.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        loop {
            if let Some(event) = queue::take(&mut self.events) {
                return Some(event);
            }
            match self.channels()?.poll_event()? {
                ChannelEvent::Ended(reason) => self.end(CloseReason::Sctp(reason)),
                event => self.events.extend(translate(event)),
            }
        }
    }

    /// Has what leads to the keys brought near.
    pub fn prefetch(&self) {
        prefetch(&self.session);
    }

    /// Has the keys of outgoing RTP brought near; for that it is looked at where they are.
    pub fn prefetch_sealer(&self) {
        if let Session::Connected(connected) = &self.session {
            connected.sealer.prefetch();
        }
    }

    /// Has what opens a report brought near; for that it is looked at where it is.
    pub fn prefetch_report(&self) {
        if let Session::Connected(connected) = &self.session {
            connected.opener.prefetch_rtcp();
        }
    }

    /// The same for media.
    pub fn prefetch_media(&self) {
        if let Session::Connected(connected) = &self.session {
            connected.opener.prefetch_rtp();
        }
    }

    /// How outgoing RTP is sealed; `None` before [`PeerEvent::Connected`] and after the end.
    pub fn sealer(&mut self) -> Option<&mut SrtpSealer> {
        match &mut self.session {
            Session::Connected(connected) => Some(&mut connected.sealer),
            Session::Waiting | Session::Handshaking(_) | Session::Closed(_) => None,
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, TimeoutReason)> {
        let behind = match &self.session {
            Session::Waiting => None,
            Session::Handshaking(dtls) => dtls.poll_timeout().map(|at| (at, TimeoutReason::Dtls)),
            Session::Connected(connected) => {
                let channels = connected.channels.as_ref().and_then(|channels| channels.poll_timeout());
                let channels = channels.map(|at| (at, TimeoutReason::Channels));
                let keys = match connected.keys {
                    Keys::Awaited(until) => Some((until, TimeoutReason::Dtls)),
                    Keys::Assumed | Keys::Shown => None,
                };
                channels.into_iter().chain(keys).min_by_key(|(at, _)| *at)
            }
            Session::Closed(_) => return None,
        };
        let ice = self.ice.poll_timeout().map(|at| (at, TimeoutReason::Ice));
        ice.into_iter().chain(behind).min_by_key(|(at, _)| *at)
    }

    /// The path to send to: the one nominated last; before the first nomination the proven one that DTLS came over,
    /// because browsers may nominate only after the handshake. `None` before both and after the loss of consent.
    pub fn path(&self) -> Option<Path> {
        self.path_out().filter(|_| !self.is_closed())
    }

    /// Our current credentials, for the answer.
    pub fn local_credentials(&self) -> &IceCredentials {
        self.ice.local()
    }

    /// Whether SRTP keys exist.
    pub fn is_connected(&self) -> bool {
        matches!(self.session, Session::Connected(_))
    }

    /// Whether the peer is over, be it by itself or by [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        matches!(self.session, Session::Closed(_))
    }

    fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Result<Received, DropReason> {
        if self.events.len() >= MAX_EVENTS {
            return Err(DropReason::Backlog);
        }
        let contents = self.ice.handle_message(now, path, datagram)?;
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push_back(Transmit { path, contents });
        }
        self.handle_ice_events(now);
        Ok(Received::Control)
    }

    fn path_out(&self) -> Option<Path> {
        self.ice.selected().or(self.heard.filter(|path| self.ice.is_proven(*path)))
    }

    fn handle_dtls(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Result<Received, DropReason> {
        if self.heard.replace(path) != Some(path) && self.ice.selected().is_none() {
            self.events.push_back(PeerEvent::PathSelected(path));
        }
        self.start_dtls(now);
        let result = match &mut self.session {
            Session::Handshaking(dtls) => dtls.handle_datagram(now, datagram),
            Session::Connected(connected) => connected.dtls.handle_datagram(now, datagram),
            Session::Waiting | Session::Closed(_) => Err(DropReason::Closed),
        };
        self.handle_session_events(now);
        result.map(|()| Received::Control)
    }

    fn handle_ice_events(&mut self, now: Instant) {
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceEvent::Proven(path) => self.events.push_back(PeerEvent::PathProven(path)),
                IceEvent::Lost(path) => self.events.push_back(PeerEvent::PathLost(path)),
                IceEvent::Selected(path) => {
                    self.events.push_back(PeerEvent::PathSelected(path));
                    self.start_dtls(now);
                }
                IceEvent::TimedOut => self.end(CloseReason::IceTimeout),
                IceEvent::ConsentExpired => self.end(CloseReason::IceConsent),
            }
        }
    }

    /// Starts the handshake's clock: with the first nomination or the first DTLS datagram, whichever comes first.
    fn start_dtls(&mut self, now: Instant) {
        if let Session::Waiting = self.session {
            self.session =
                Session::Handshaking(Box::new(Dtls::new(now, self.identity.certificate(), self.fingerprint)));
        }
    }

    fn handle_session_events(&mut self, now: Instant) {
        while let Some(event) = self.dtls().and_then(|dtls| dtls.poll_event()) {
            match event {
                DtlsEvent::Connected { profile, client, server } => self.connect(now, profile, &client, &server),
                DtlsEvent::Data(packet) => {
                    self.handle_keys_known(Keys::Shown);
                    if let Session::Connected(connected) = &mut self.session {
                        let none = || Box::new(Channels::new(now, ChannelLimits::default()));
                        connected.channels.get_or_insert_with(none).input(now, packet);
                    }
                }
                DtlsEvent::Closed(reason) => self.end(reason),
            }
        }
        if let Session::Connected(connected) = &mut self.session {
            connected.seal_channels(now);
        }
    }

    fn connect(&mut self, now: Instant, profile: Profile, client: &Keying, server: &Keying) {
        let (Some(sealer), Some(opener)) = (SrtpSealer::new(server), SrtpOpener::new(client)) else {
            return self.end(CloseReason::DtlsFailed("no SRTP session keys could be derived".to_owned()));
        };
        let Some(dtls) = self.take_dtls() else { return };
        self.session = Session::Connected(Box::new(Connected {
            dtls,
            sealer,
            opener,
            channels: None,
            keys: Keys::Awaited(now + KEYS_TIME),
        }));
        self.events.push_back(PeerEvent::Connected { profile });
    }

    /// Notes a sign that the peer has the keys, or that the wait for one is over.
    fn handle_keys_known(&mut self, keys: Keys) {
        let Session::Connected(connected) = &mut self.session else { return };
        let before = std::mem::replace(&mut connected.keys, keys);
        if before == keys {
            return;
        }
        if let Keys::Awaited(_) = before {
            self.events.push_back(PeerEvent::KeysConfirmed);
        }
        if keys == Keys::Shown {
            connected.dtls.settle(self.identity.certificate());
        }
    }

    /// Ends the peer for a reason; what came before the end is told before it.
    fn end(&mut self, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        while let Some(event) = self.channels().and_then(Channels::poll_event) {
            self.events.extend(translate(event));
        }
        self.session = Session::Closed(self.take_dtls());
        self.events.push_back(PeerEvent::Closed(reason));
    }

    fn opener(&mut self) -> Result<&mut SrtpOpener, DropReason> {
        match &mut self.session {
            Session::Connected(connected) => Ok(&mut connected.opener),
            Session::Waiting | Session::Handshaking(_) | Session::Closed(_) => Err(DropReason::SrtpNotReady),
        }
    }

    fn channels(&mut self) -> Option<&mut Channels> {
        let Session::Connected(connected) = &mut self.session else { return None };
        connected.channels.as_deref_mut()
    }

    fn dtls(&mut self) -> Option<&mut Dtls> {
        match &mut self.session {
            Session::Waiting => None,
            Session::Handshaking(dtls) => Some(dtls),
            Session::Connected(connected) => Some(&mut connected.dtls),
            Session::Closed(dtls) => dtls.as_deref_mut(),
        }
    }

    fn take_dtls(&mut self) -> Option<Box<Dtls>> {
        match std::mem::replace(&mut self.session, Session::Closed(None)) {
            Session::Waiting => None,
            Session::Handshaking(dtls) => Some(dtls),
            Session::Connected(connected) => Some(connected.dtls),
            Session::Closed(dtls) => dtls,
        }
    }
}

impl Connected {
    /// Moves SCTP packets into DTLS while there is room; the rest waits in SCTP.
    fn seal_channels(&mut self, now: Instant) {
        let Some(channels) = &mut self.channels else { return };
        while self.dtls.has_room()
            && let Some(packet) = channels.poll_transmit()
        {
            self.dtls.send(now, &packet);
        }
    }
}

fn translate(event: ChannelEvent) -> Option<PeerEvent> {
    match event {
        ChannelEvent::Opened { id, label, ordered, reliable } => {
            Some(PeerEvent::ChannelOpened { id, label, ordered, reliable })
        }
        ChannelEvent::Message { id, kind, data } => Some(PeerEvent::Message { channel: id, kind, data }),
        ChannelEvent::Oversized { id, bytes } => Some(PeerEvent::Oversized { channel: id, bytes }),
        ChannelEvent::Closed { id } => Some(PeerEvent::ChannelClosed { id }),
        ChannelEvent::Writable { id } => Some(PeerEvent::ChannelWritable { id }),
        ChannelEvent::Ended(_) => None,
    }
}

/// How many STUN answers wait to be sent; more are dropped, and the peer asks again.
const MAX_ANSWERS: usize = 64;
/// How many events may wait before checks are no longer looked at.
const MAX_EVENTS: usize = 256;

/// How long a peer that is silent after its handshake is waited for before it gets media all the same.
const KEYS_TIME: Duration = Duration::from_millis(200);
