//! What leaves: copied once behind the other packets of its receiver and sealed there, as the server does; and the
//! bare loop that does nothing but that.

use std::time::Instant;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use roundtable_wire::RtpPacket;

use crate::call::{Call, Heard};
use crate::times::Times;

/// A receiver's packets are sent, and its arena is empty again, at this many bytes.
const ARENA_BYTES: usize = 64 * 1024;
const TAG_LEN: usize = 16;

/// Keys and arenas by receiver.
pub(crate) struct Sealer {
    receivers: Vec<Receiver>,
}

struct Receiver {
    key: LessSafeKey,
    salt: [u8; 12],
    arena: Vec<u8>,
}

impl Sealer {
    /// Room for as many receivers, and the publisher in front of them.
    pub(crate) fn new(fan_out: usize) -> Self {
        Self { receivers: (0..=fan_out).map(|number| Receiver::new(number as u8)).collect() }
    }

    /// Copies and seals one packet.
    pub(crate) fn seal(&mut self, receiver: usize, head: &[u8], header_len: usize, tail: &[u8]) {
        // The plane numbers its peers without gaps.
        let Receiver { key, salt, arena } = &mut self.receivers[receiver];
        if arena.len() + head.len() + tail.len() + TAG_LEN > ARENA_BYTES {
            arena.clear();
        }
        let start = arena.len();
        arena.extend_from_slice(head);
        arena.extend_from_slice(tail);
        let (header, body) = arena[start..].split_at_mut(header_len);
        let tag = key.seal_in_place_separate_tag(nonce(salt, header), Aad::from(&header[..]), body).expect("short");
        arena.extend_from_slice(tag.as_ref());
    }
}

impl Receiver {
    fn new(number: u8) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, &[number; 16]).expect("16 bytes");
        Self { key: LessSafeKey::new(key), salt: [number; 12], arena: Vec::with_capacity(ARENA_BYTES) }
    }
}

/// RFC 7714 8.1, with a rollover counter of zero.
fn nonce(salt: &[u8; 12], header: &[u8]) -> Nonce {
    let mut nonce = *salt;
    for (place, byte) in nonce[2..6].iter_mut().zip(&header[8..12]) {
        *place ^= byte;
    }
    for (place, byte) in nonce[10..].iter_mut().zip(&header[2..4]) {
        *place ^= byte;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// The bare loop: no state but two counters a receiver. The header is copied and four of its fields are changed.
pub(crate) struct Bare {
    sealer: Sealer,
    fan_out: usize,
    sequences: Vec<(u16, u16)>,
}

impl Bare {
    pub(crate) fn new(fan_out: usize) -> Self {
        Self { sealer: Sealer::new(fan_out), fan_out, sequences: vec![(0, 0); fan_out] }
    }

    /// Nanoseconds per packet, for the packets of the largest encoding of a call.
    pub(crate) fn round(&mut self, call: &mut Call, heard: &mut Heard) -> f64 {
        let (mut forwarded, mut steps, mut times) = (0u64, 0, Times::default());
        while forwarded < super::ROUND_PACKETS {
            call.prepare(heard);
            let largest: Vec<_> = call.inputs().filter(|bytes| bytes[11] == 2).collect();
            let began = Instant::now();
            for bytes in &largest {
                self.forward(bytes);
            }
            times.push(began.elapsed());
            forwarded += (largest.len() * self.fan_out) as u64;
            steps += 1;
            call.run(heard, |_, _, _, _| {});
        }
        times.mean() * f64::from(steps) / forwarded as f64
    }

    fn forward(&mut self, bytes: &[u8]) {
        let packet = RtpPacket::parse(bytes).expect("RTP");
        let timestamp = packet.timestamp.wrapping_add(1234);
        for (receiver, (sequence, transport)) in self.sequences.iter_mut().enumerate() {
            let mut head = [0; 320];
            let head = &mut head[..packet.header_len];
            head.copy_from_slice(&bytes[..packet.header_len]);
            head[2..4].copy_from_slice(&sequence.to_be_bytes());
            head[4..8].copy_from_slice(&timestamp.to_be_bytes());
            head[8..12].copy_from_slice(&(1000 + receiver as u32).to_be_bytes());
            // The transport-wide number stands behind the send time, in both forms of extension.
            head[21..23].copy_from_slice(&transport.to_be_bytes());
            (*sequence, *transport) = (sequence.wrapping_add(1), transport.wrapping_add(1));
            self.sealer.seal(receiver + 1, head, packet.header_len, packet.payload);
        }
    }
}
