//! The data channels of a client: `sctp-proto` as the side that begins, and the opening of channels (RFC 8832).
//!
//! The only module here that names that crate.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationEvent, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, StreamEvent, TransportConfig,
};

/// What a channel brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brought<'a> {
    /// The server agreed to the channel of this stream.
    Open(u16),
    /// A message.
    Message(&'a [u8]),
}

/// An association and its channels.
pub(crate) struct Channels {
    endpoint: Endpoint,
    association: Association,
    readable: Vec<u16>,
    buffer: Vec<u8>,
    connected: bool,
    lost: bool,
}

impl Channels {
    /// Begins: the first packet waits in [`take_packets`](Self::take_packets).
    pub(crate) fn start() -> Option<Self> {
        let mut config = EndpointConfig::new();
        config.max_payload_size(FRAGMENT_BYTES);
        let mut endpoint = Endpoint::new(Arc::new(config), None);
        let mut client = ClientConfig::new();
        client.transport = Arc::new(TransportConfig::default().with_max_receive_buffer_size(WINDOW_BYTES));
        let (_, association) = endpoint.connect(client, PEER).ok()?;
        let (readable, buffer) = (Vec::new(), Vec::new());
        Some(Self { endpoint, association, readable, buffer, connected: false, lost: false })
    }

    /// Whether channels can be opened.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether it is over.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Asks for an ordered, reliable channel; whether that could be said.
    pub(crate) fn open(&mut self, id: u16, label: &str) -> bool {
        let mut open = vec![MESSAGE_OPEN, 0, 1, 0, 0, 0, 0, 0];
        open.extend_from_slice(&(label.len() as u16).to_be_bytes());
        open.extend_from_slice(&[0, 0]);
        open.extend_from_slice(label.as_bytes());
        let stream = self.association.open_stream(id, PayloadProtocolIdentifier::Binary);
        stream.and_then(|mut stream| stream.write_with_ppi(&open, PayloadProtocolIdentifier::Dcep)).is_ok()
    }

    /// Sends a message; whether it was taken.
    pub(crate) fn send(&mut self, id: u16, is_text: bool, data: &[u8]) -> bool {
        let protocol = if is_text { PayloadProtocolIdentifier::String } else { PayloadProtocolIdentifier::Binary };
        self.association.stream(id).and_then(|mut stream| stream.write_with_ppi(data, protocol)).is_ok()
    }

    /// Takes a packet, as DTLS opened it, and gives what it brings to `take`.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: Bytes, take: &mut dyn FnMut(Brought<'_>)) {
        if let Some((_, DatagramEvent::AssociationEvent(event))) = self.endpoint.handle(now, PEER, None, None, packet) {
            self.handle_event(event);
        }
        self.settle(take);
    }

    /// Does what is due, such as an acknowledgement that waited.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.association.poll_timeout()
    }

    /// Gives what is to be sealed and sent to `send`.
    pub(crate) fn take_packets(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        while let Some(transmit) = self.association.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.payload {
                packets.iter().for_each(|packet| send(packet));
            }
        }
    }

    fn handle_event(&mut self, event: AssociationEvent) {
        self.association.handle_event(event);
    }

    fn settle(&mut self, take: &mut dyn FnMut(Brought<'_>)) {
        while let Some(event) = self.association.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => self.lost = true,
                Event::Stream(StreamEvent::Readable { id }) => self.readable.push(id),
                _ => {}
            }
        }
        while let Some(id) = self.readable.pop() {
            while let Ok(Some(message)) = self.association.stream(id).and_then(|mut stream| stream.read()) {
                self.buffer.resize(message.len(), 0);
                // The buffer is as long as the message.
                let _ = message.read(&mut self.buffer);
                match message.ppi {
                    PayloadProtocolIdentifier::Dcep => take(Brought::Open(id)),
                    _ => take(Brought::Message(&self.buffer)),
                }
            }
        }
    }
}

/// `DATA_CHANNEL_OPEN` (RFC 8832 §5.1); what follows it above says ordered, reliable, and priority 256.
const MESSAGE_OPEN: u8 = 3;
/// The engine wants an address; DTLS has none.
const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5_000));
/// What a browser takes in before somebody reads.
const WINDOW_BYTES: u32 = 1024 * 1024;
const FRAGMENT_BYTES: u32 = 1_024;
