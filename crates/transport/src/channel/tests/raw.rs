//! A peer that writes its packets by hand, so that it can write bad ones.

use super::*;
use crate::channel::packet::{Header, be32, chunks, kind, parameters, seal};

/// Speaks SCTP byte by byte.
pub(super) struct Raw {
    pub(super) now: Instant,
    pub(super) ours: Channels,
    /// The tag that our side wants to see.
    pub(super) tag: u32,
    /// The next TSN.
    pub(super) tsn: u32,
    /// What our side acknowledged last: the TSN, and its window.
    pub(super) acknowledged: u32,
    pub(super) window: u32,
    /// The last TSN of our side, which is acknowledged at once.
    pub(super) heard: u32,
    /// The sequence numbers of our side's requests to reset streams.
    pub(super) resets: Vec<u32>,
    /// Whether our side sent an ABORT.
    pub(super) is_aborted: bool,
    /// What our side sent last.
    pub(super) last: Bytes,
}

pub(super) const OUR_TAG: u32 = 77;
pub(super) const FIRST_TSN: u32 = u32::MAX - 5;

impl Raw {
    /// Makes an association.
    pub(super) fn new() -> Self {
        let now = Instant::now(); // An origin to add to; no test waits for real time.
        let ours = Channels::new(now, Limits::default());
        let mut raw = Self {
            now,
            ours,
            tag: 0,
            tsn: FIRST_TSN,
            acknowledged: 0,
            window: 0,
            heard: 0,
            resets: Vec::new(),
            is_aborted: false,
            last: Bytes::new(),
        };
        raw.send(&[init(OUR_TAG, FIRST_TSN)]);
        let answer: Vec<_> = chunks(&raw.last).flatten().collect();
        assert_eq!(answer[0].kind, kind::INIT_ACK);
        raw.tag = be32(answer[0].value, 0).unwrap();
        let (_, cookie) = parameters(&answer[0].value[16..]).flatten().find(|(kind, _)| *kind == STATE_COOKIE).unwrap();
        let echo = chunk(10, cookie);
        raw.send(&[echo]);
        raw
    }

    /// An association with an open channel of id 0.
    pub(super) fn chatting() -> Self {
        let mut raw = Self::new();
        let open = raw.data(0, 0, 50, b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00chat");
        raw.send(&[open]);
        assert!(matches!(raw.events()[..], [ChannelEvent::Opened { id: 0, .. }]));
        raw
    }

    /// A packet of these chunks.
    pub(super) fn packet(&self, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = [0x13, 0x88, 0x13, 0x88].to_vec();
        packet.extend_from_slice(&self.tag.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        packet.extend(chunks.iter().flatten());
        seal(&mut packet);
        packet
    }

    /// Sends a packet of these chunks and looks at the answers.
    pub(super) fn send(&mut self, chunks: &[Vec<u8>]) {
        let packet = self.packet(chunks);
        self.send_packet(packet);
    }

    pub(super) fn send_packet(&mut self, packet: Vec<u8>) {
        self.ours.input(self.now, packet.into());
        let before = self.heard;
        self.listen();
        if self.heard != before {
            let acknowledgement = self.packet(&[sack(self.heard, &[])]);
            self.ours.input(self.now, acknowledgement.into());
        }
    }

    /// Lets so much time pass that all budgets are full again.
    pub(super) fn rest(&mut self) {
        self.now += Duration::from_secs(1);
        self.ours.handle_timeout(self.now);
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(packet) = self.ours.poll_transmit() {
            let header = Header::parse(&packet).unwrap();
            assert_eq!(header.verification_tag, OUR_TAG);
            for chunk in chunks(&packet).flatten() {
                if chunk.kind == kind::SACK {
                    self.acknowledged = be32(chunk.value, 0).unwrap();
                    self.window = be32(chunk.value, 4).unwrap();
                }
                if chunk.kind == kind::DATA {
                    self.heard = be32(chunk.value, 0).unwrap();
                }
                if chunk.kind == kind::RE_CONFIG && chunk.value[..2] == [0, 13] {
                    self.resets.push(be32(chunk.value, 4).unwrap());
                }
                self.is_aborted |= chunk.kind == kind::ABORT;
            }
            self.last = packet;
        }
    }

    pub(super) fn events(&mut self) -> Vec<ChannelEvent> {
        std::iter::from_fn(|| self.ours.poll_event()).collect()
    }

    /// A DATA chunk that is a whole message, with the next TSN.
    pub(super) fn data(&mut self, stream: u16, sequence: u16, protocol: u32, bytes: &[u8]) -> Vec<u8> {
        let tsn = self.tsn;
        self.tsn = tsn.wrapping_add(1);
        data(WHOLE, tsn, stream, sequence, protocol, bytes)
    }

    /// Whether the channel of id 0 still works; its next message has this sequence number.
    pub(super) fn is_alive(&mut self, sequence: u16) -> bool {
        self.rest();
        let hello = self.data(0, sequence, 51, b"alive");
        self.send(&[hello]);
        self.events().contains(&text(0, "alive"))
    }
}

/// The parameter of an INIT-ACK that is to be echoed.
const STATE_COOKIE: u16 = 7;

/// Flags of DATA.
pub(super) const WHOLE: u8 = 3;
pub(super) const FIRST: u8 = 2;
pub(super) const MIDDLE: u8 = 0;

pub(super) fn chunk_with(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len() + 4).unwrap();
    let mut chunk = vec![kind, flags];
    chunk.extend_from_slice(&len.to_be_bytes());
    chunk.extend_from_slice(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

pub(super) fn chunk(kind: u8, value: &[u8]) -> Vec<u8> {
    chunk_with(kind, 0, value)
}

pub(super) fn init(tag: u32, tsn: u32) -> Vec<u8> {
    let mut value = tag.to_be_bytes().to_vec();
    value.extend_from_slice(&(1u32 << 17).to_be_bytes());
    value.extend_from_slice(&[255; 4]);
    value.extend_from_slice(&tsn.to_be_bytes());
    // Supported extensions: FORWARD-TSN and RE-CONFIG; and FORWARD-TSN in the older form.
    value.extend_from_slice(&[0x80, 8, 0, 6, 192, 130, 0, 0, 0xc0, 0, 0, 4]);
    chunk(kind::INIT, &value)
}

pub(super) fn data(flags: u8, tsn: u32, stream: u16, sequence: u16, protocol: u32, bytes: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&stream.to_be_bytes());
    value.extend_from_slice(&sequence.to_be_bytes());
    value.extend_from_slice(&protocol.to_be_bytes());
    value.extend_from_slice(bytes);
    chunk_with(kind::DATA, flags, &value)
}

/// A request to reset streams.
pub(super) fn reset(sequence: u32, last_tsn: u32, streams: &[u16]) -> Vec<u8> {
    let len = u16::try_from(16 + 2 * streams.len()).unwrap();
    let mut value = vec![0, 13];
    value.extend_from_slice(&len.to_be_bytes());
    for word in [sequence, 0, last_tsn] {
        value.extend_from_slice(&word.to_be_bytes());
    }
    value.extend(streams.iter().flat_map(|stream| stream.to_be_bytes()));
    chunk(kind::RE_CONFIG, &value)
}

/// The answer to a request to reset streams: done.
pub(super) fn reset_done(sequence: u32) -> Vec<u8> {
    chunk(kind::RE_CONFIG, &[[0, 16, 0, 12], sequence.to_be_bytes(), [0, 0, 0, 1]].concat())
}

/// A SACK without gaps but those given.
pub(super) fn sack(tsn: u32, gaps: &[(u16, u16)]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&(1u32 << 17).to_be_bytes());
    value.extend_from_slice(&u16::try_from(gaps.len()).unwrap().to_be_bytes());
    value.extend_from_slice(&[0, 0]);
    for (start, end) in gaps {
        value.extend_from_slice(&start.to_be_bytes());
        value.extend_from_slice(&end.to_be_bytes());
    }
    chunk(kind::SACK, &value)
}

pub(super) fn forward_tsn(tsn: u32, entries: &[(u16, u16)]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    for (stream, sequence) in entries {
        value.extend_from_slice(&stream.to_be_bytes());
        value.extend_from_slice(&sequence.to_be_bytes());
    }
    chunk(kind::FORWARD_TSN, &value)
}
