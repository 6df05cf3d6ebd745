//! Who gets which packet: everybody else in the room, with a header that is theirs.

use std::collections::HashMap;
use std::net::SocketAddr;

use clap::ValueEnum;
use roundtable_udp::{Message, ReceiveBatch, SendReport, Socket};
use roundtable_wire::Unwrapper16;
use roundtable_wire::rtp::header_len;

use super::arena::Arena;
use super::line::{Line, keys};
use crate::sdp::OPUS;
use crate::srtp::{Cipher, TAG_LEN};

/// How the loop sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sending {
    /// One message for each run of equal packets to a receiver (UDP GSO)
    Segmented,
    /// One message a packet, as many as fit in one `sendmmsg`
    Plain,
}

impl Sending {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Segmented => "segmented",
            Self::Plain => "plain",
        }
    }
}

/// The members and what waits for them.
#[derive(Default)]
pub(super) struct Forwarder {
    members: Vec<Member>,
    by_address: HashMap<SocketAddr, usize>,
    /// Of each room those who receive.
    rooms: HashMap<u32, Vec<usize>>,
    /// Members for whom something waits.
    waiting: Vec<usize>,
}

struct Member {
    line: Line,
    cipher: Cipher,
    /// Its streams: SSRC, and the number of packets by their 16 bits.
    streams: Vec<(u32, Unwrapper16)>,
    arena: Arena,
}

impl Forwarder {
    /// Takes in a member. One whose keys the library refuses is left out, and nothing will come to it.
    pub(super) fn enter(&mut self, line: Line) {
        let Some(cipher) = Cipher::new(&keys(line.number)) else { return };
        let at = self.members.len();
        self.by_address.insert(line.address, at);
        if line.receives {
            self.rooms.entry(line.room).or_default().push(at);
        }
        self.members.push(Member { line, cipher, streams: Vec::new(), arena: Arena::default() });
    }

    /// Opens what came and puts a copy into the arena of each receiver.
    pub(super) fn handle_batch(&mut self, batch: &mut ReceiveBatch) {
        for datagram in batch.datagrams() {
            // Who is not known, and what is not authentic, gets nowhere.
            let _ = self.handle_datagram(datagram.source, datagram.contents);
        }
    }

    fn handle_datagram(&mut self, source: SocketAddr, packet: &mut [u8]) -> Option<()> {
        let from = *self.by_address.get(&source)?;
        let member = self.members.get_mut(from)?;
        let head = header_len(packet).ok()?;
        let &[_, kind, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = packet.first_chunk()?;
        let (sequence, timestamp) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([t0, t1, t2, t3]));
        let ssrc = u32::from_be_bytes([i0, i1, i2, i3]);
        let index = member.index(ssrc, sequence);
        let opened = member.cipher.open_rtp(packet, head, ssrc, index).ok()?;
        if kind & 0x7f == OPUS && !member.line.is_heard {
            return None;
        }
        let (header, rest) = packet.split_at_checked(head)?;
        let payload = rest.get(..opened)?;
        for &to in self.rooms.get(&member.line.room)?.iter().filter(|to| **to != from) {
            let Some(member) = self.members.get_mut(to) else { continue };
            if member.arena.is_empty() {
                self.waiting.push(to);
            }
            member.push(header, payload, ssrc, timestamp, index);
        }
        Some(())
    }

    /// Sends all that waits.
    pub(super) fn flush(&mut self, socket: &Socket, sending: Sending) -> SendReport {
        let members = self.waiting.iter().filter_map(|at| self.members.get(*at));
        let messages: Vec<Message<'_>> = members
            .flat_map(|member| member.arena.messages(member.line.address, sending == Sending::Segmented))
            .collect();
        let report = socket.send(&messages);
        for at in self.waiting.drain(..) {
            if let Some(member) = self.members.get_mut(at) {
                member.arena.clear();
            }
        }
        report
    }
}

impl Member {
    /// The packet index of RFC 3711 §3.3.1; an unwrapped number begins at 2¹⁶.
    fn index(&mut self, ssrc: u32, sequence: u16) -> u64 {
        let at = self.streams.iter().position(|(known, _)| *known == ssrc).unwrap_or_else(|| {
            self.streams.push((ssrc, Unwrapper16::new()));
            self.streams.len() - 1
        });
        let unwrapped = self.streams.get_mut(at).map_or(0, |(_, unwrapper)| unwrapper.unwrap(sequence));
        unwrapped.saturating_sub(1 << 16)
    }

    fn push(&mut self, header: &[u8], payload: &[u8], ssrc: u32, timestamp: u32, index: u64) {
        let (ssrc, timestamp) = (ssrc.wrapping_add(self.line.number), timestamp.wrapping_add(self.line.number));
        let packet = self.arena.push(header, payload, &[0; TAG_LEN]);
        let fields = [&(index as u16).to_be_bytes()[..], &timestamp.to_be_bytes(), &ssrc.to_be_bytes()];
        let mut at = 2;
        for field in fields {
            // Every header has twelve bytes.
            packet[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        // Sealing fails on lengths only.
        let _ = self.cipher.seal_rtp(packet, header.len(), ssrc, index);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use roundtable_udp::Options;
    use roundtable_wire::RtpHeader;

    use super::*;

    fn packet(number: u32, sequence: u16, payload_type: u8) -> Vec<u8> {
        let header = RtpHeader { payload_type, sequence, ssrc: 99, timestamp: 5, ..RtpHeader::default() };
        let mut packet = vec![0x55; 200];
        let head = header.write(&mut packet, |_| {});
        Cipher::new(&keys(number)).unwrap().seal_rtp(&mut packet, head, 99, sequence.into()).unwrap();
        packet
    }

    #[test]
    fn everybody_else_in_the_room_gets_a_packet_of_their_own() {
        let sockets: Vec<UdpSocket> = (0..4).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let address = |at: usize| sockets[at].local_addr().unwrap();
        let mut forwarder = Forwarder::default();
        for (at, room, receives) in [(0, 0, true), (1, 0, true), (2, 0, false), (3, 1, true)] {
            let is_heard = at != 1;
            forwarder.enter(Line { number: at as u32, room, receives, is_heard, address: address(at) });
        }
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::default()).unwrap();
        for sending in [Sending::Segmented, Sending::Plain] {
            for sequence in [7, 8] {
                forwarder.handle_datagram(address(0), &mut packet(0, sequence, 96)).unwrap();
            }
            assert_eq!(forwarder.flush(&socket, sending).datagrams, 2, "to the other one of the room that receives");
            for sequence in [7, 8] {
                let mut bytes = [0; 300];
                sockets[1].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let len = sockets[1].recv(&mut bytes).unwrap();
                let ssrc = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
                assert_eq!((ssrc, bytes[3]), (100, sequence as u8));
                let opened = Cipher::new(&keys(1)).unwrap().open_rtp(&mut bytes[..len], 12, ssrc, sequence).unwrap();
                assert_eq!(bytes[12..12 + opened], [0x55; 172]);
            }
        }
        assert_eq!(forwarder.handle_datagram(address(1), &mut packet(1, 1, OPUS)), None, "it is not heard");
        assert_eq!(forwarder.handle_datagram(address(1), &mut packet(0, 1, 96)), None, "the keys of another");
        assert_eq!(forwarder.flush(&socket, Sending::Plain).calls, 0);
    }
}
