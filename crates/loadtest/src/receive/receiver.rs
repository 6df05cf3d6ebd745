//! Opens what comes, and writes the feedback on it.

use roundtable_wire::rtcp::{ReportBlock, Writer};
use roundtable_wire::rtp::header_len;
use roundtable_wire::{RtpPacket, ext, rtx};

use super::feedback::Feedback;
use super::inbound::Inbound;
use super::loss::Loss;
use super::sources::Sources;
use crate::measure::Measure;
use crate::sdp::{OPUS, TRANSPORT_SEQUENCE_ID, VP8_RTX};
use crate::srtp::Cipher;
use crate::stamp::Stamp;

/// Streams of one client at once: two for each seat and a few more. Packets of one more are dropped.
const MOST_STREAMS: usize = 256;

/// One of so many packets of a client is authenticated; of the others only what is needed is decrypted. A client that opens
/// all spends a fifth of its time with that.
const OPENED_EACH: u8 = 8;

/// What a packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Media, for the first time.
    Media {
        /// Sound rather than pictures.
        is_audio: bool,
    },
    /// A copy, padding, or nothing of ours.
    Other,
    /// Lost on purpose.
    Lost,
    /// Not authentic, or no packet.
    Bad,
}

/// The receiving half of a client.
#[derive(Debug)]
pub(crate) struct Receiver {
    own_ssrc: u32,
    streams: Vec<Inbound>,
    /// Which SSRC repairs which: (media, RTX).
    fid: Vec<(u32, u32)>,
    sources: Sources,
    feedback: Option<Feedback>,
    loss: Loss,
    blocks: Vec<ReportBlock>,
    lost: Vec<u16>,
    /// Counts RTP packets.
    arrived: u8,
}

impl Receiver {
    /// `own_ssrc` signs the feedback; without `transport_sequence` there is none on the whole transport.
    pub(crate) fn new(own_ssrc: u32, fid: Vec<(u32, u32)>, transport_sequence: bool, loss: Loss) -> Self {
        Self {
            own_ssrc,
            streams: Vec::new(),
            fid,
            sources: Sources::default(),
            feedback: transport_sequence.then(Feedback::default),
            loss,
            blocks: Vec::new(),
            lost: Vec::new(),
            arrived: 0,
        }
    }

    /// Opens a packet in place, counts it, and notes it for the feedback. Of a source that is known only the stamp is read,
    /// but for one packet of [`OPENED_EACH`], which is authenticated.
    pub(crate) fn handle_rtp(
        &mut self,
        now_ns: u64,
        packet: &mut [u8],
        cipher: &Cipher,
        measure: &mut Measure,
    ) -> Arrival {
        if self.loss.drops() {
            return Arrival::Lost;
        }
        let bytes = packet.len();
        let (Ok(header_len), Some(&[_, kind, s0, s1, _, _, _, _, i0, i1, i2, i3])) =
            (header_len(packet), packet.first_chunk())
        else {
            return Arrival::Bad;
        };
        let (sequence, ssrc) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([i0, i1, i2, i3]));
        let known = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        let index = match known {
            Some(at) => self.streams.get(at).map_or(0, |stream| stream.index(sequence)),
            None if self.streams.len() == MOST_STREAMS => return Arrival::Bad,
            None => u64::from(sequence),
        };
        self.arrived = self.arrived.wrapping_add(1);
        // What a retransmission repeats stands at the beginning of its payload.
        let is_peeked = known.is_some() && kind & 0x7f != VP8_RTX && !self.arrived.is_multiple_of(OPENED_EACH);
        let opened = match is_peeked {
            true => cipher.peek_rtp(packet, header_len, ssrc, index),
            false => cipher.open_rtp(packet, header_len, ssrc, index),
        };
        let Ok(opened) = opened else { return Arrival::Bad };
        let Some(packet) = packet.get(..header_len + opened).and_then(|plain| RtpPacket::parse(plain).ok()) else {
            return Arrival::Bad;
        };
        let at = known.unwrap_or_else(|| {
            self.streams.push(Inbound::new(ssrc));
            self.streams.len() - 1
        });
        if let Some(stream) = self.streams.get_mut(at) {
            stream.handle_packet(sequence, now_ns);
        }
        if let Some(feedback) = &mut self.feedback {
            let number = packet.extension(TRANSPORT_SEQUENCE_ID).and_then(ext::read_transport_sequence);
            number.into_iter().for_each(|number| feedback.handle_arrival(number, now_ns / 1_000));
        }
        let payload = self.repaired(&packet);
        let Some(stamp) = Stamp::read(payload) else { return Arrival::Other };
        let in_window = measure.window.contains(stamp.sent_ns);
        if !self.sources.accept(stamp, in_window, now_ns) {
            return Arrival::Other;
        }
        if in_window {
            measure.record(stamp.sent_ns, now_ns, bytes);
            measure.repaired += u64::from(packet.payload_type == VP8_RTX);
        }
        Arrival::Media { is_audio: packet.payload_type == OPUS }
    }

    /// The payload; that of a retransmission is the original one, which its stream is told of.
    fn repaired<'a>(&mut self, packet: &RtpPacket<'a>) -> &'a [u8] {
        if packet.payload_type != VP8_RTX {
            return packet.payload;
        }
        let Some((original, payload)) = rtx::split(packet.payload) else { return &[] };
        let media = self.fid.iter().find(|(_, rtx)| *rtx == packet.ssrc).map(|(media, _)| *media);
        let stream = self.streams.iter_mut().find(|stream| Some(stream.ssrc) == media);
        stream.into_iter().for_each(|stream| stream.handle_repair(original));
        payload
    }

    /// Appends feedback on the transport since the last one, and on what is missing.
    pub(crate) fn write_feedback(&mut self, now_ns: u64, writer: &mut Writer<'_>) {
        let Some(first) = self.streams.first().map(|stream| stream.ssrc) else { return };
        if let Some(feedback) = &mut self.feedback {
            feedback.write(self.own_ssrc, first, writer);
        }
        for stream in self.streams.iter_mut().filter(|stream| stream.has_holes()) {
            // What is lost of retransmissions is asked for by the numbers of the media.
            if self.fid.iter().any(|(_, rtx)| *rtx == stream.ssrc) {
                continue;
            }
            self.lost.clear();
            if stream.take_lost(now_ns, &mut self.lost) {
                writer.pli(self.own_ssrc, stream.ssrc);
            }
            if !self.lost.is_empty() {
                writer.nack(self.own_ssrc, stream.ssrc, &self.lost);
            }
        }
    }

    /// Appends a receiver report on all streams.
    pub(crate) fn write_report(&mut self, writer: &mut Writer<'_>) {
        self.blocks.clear();
        self.blocks.extend(self.streams.iter_mut().map(Inbound::report));
        writer.receiver_report(self.own_ssrc, &self.blocks).sdes_cname(self.own_ssrc, "bench");
    }

    /// Begins to wait for a source.
    pub(crate) fn handle_switch(&mut self, source: u32, now_ns: u64) {
        self.sources.handle_switch(source, now_ns);
    }

    /// How long the sources that were waited for took, in µs.
    pub(crate) fn switches_us(&self) -> impl Iterator<Item = u64> {
        self.sources.switches_us()
    }

    /// Begins to count in a new window.
    pub(crate) fn handle_window(&mut self) {
        self.sources.handle_window();
    }

    /// Of each source the packets that were sent in the window and came.
    pub(crate) fn received(&self) -> impl Iterator<Item = (u32, u32)> {
        self.sources.received()
    }

    /// RTP packets that should have come since the start, by their numbers, and those that did; retransmitting streams are
    /// left out.
    pub(crate) fn rtp_counts(&self) -> (u64, u64) {
        let streams = self.streams.iter().filter(|stream| !self.fid.iter().any(|(_, rtx)| *rtx == stream.ssrc));
        streams
            .fold((0, 0), |(expected, received), stream| (expected + stream.expected(), received + stream.received()))
    }
}

#[cfg(test)]
mod tests {
    use roundtable_wire::RtpHeader;

    use super::*;
    use crate::measure::Window;
    use crate::sdp::VP8;
    use crate::srtp::{DirectionKeys, TAG_LEN};

    fn cipher() -> Cipher {
        let (key, salt) = ([1; 16], [2; 12]);
        Cipher::new(&DirectionKeys { rtp_key: key, rtp_salt: salt, rtcp_key: key, rtcp_salt: salt }).unwrap()
    }

    fn packet(payload_type: u8, ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader { payload_type, sequence, ssrc, ..RtpHeader::default() };
        let mut out = vec![0; 200];
        let head_len = header.write(&mut out, |extensions| {
            extensions.push(TRANSPORT_SEQUENCE_ID, &sequence.to_be_bytes());
        });
        out[head_len..head_len + payload.len()].copy_from_slice(payload);
        out.truncate(head_len + payload.len() + TAG_LEN);
        cipher().seal_rtp(&mut out, head_len, ssrc, u64::from(sequence)).unwrap();
        out
    }

    fn stamped(number: u32) -> Vec<u8> {
        let mut payload = vec![0; 60];
        Stamp { source: 3, number, sent_ns: 1_000 }.write(&mut payload);
        payload
    }

    #[test]
    fn packets_are_counted_once_and_retransmissions_fill_holes() {
        let mut receiver = Receiver::new(1, vec![(10, 11)], true, Loss::new(0.0, 1));
        let mut measure = Measure::new(Window { from_ns: 0, until_ns: 2_000 });
        let mut feed = |payload_type, ssrc, sequence, payload: &[u8]| {
            let mut bytes = packet(payload_type, ssrc, sequence, payload);
            receiver.handle_rtp(5_000_000, &mut bytes, &cipher(), &mut measure)
        };
        let media = Arrival::Media { is_audio: false };
        assert_eq!(feed(VP8, 10, 1, &stamped(0)), media);
        assert_eq!(feed(VP8, 10, 1, &stamped(0)), Arrival::Other, "a copy");
        assert_eq!(feed(VP8, 10, 3, &stamped(2)), media);
        assert_eq!(feed(VP8_RTX, 11, 1, &[&[0, 2][..], &stamped(1)].concat()), media);
        assert_eq!(feed(VP8, 10, 4, b"no stamp"), Arrival::Other);
        assert_eq!(receiver.rtp_counts(), (4, 4));
        assert_eq!(receiver.received().collect::<Vec<_>>(), [(3, 3)]);
        assert_eq!((measure.delivered, measure.repaired, measure.latency_us.max()), (3, 1, 4_999));
        let mut out = Vec::new();
        receiver.write_feedback(0, &mut Writer::new(&mut out));
        assert_eq!(roundtable_wire::rtcp::packets(&out).count(), 1, "nothing is missing, so there is no NACK");
    }

    #[test]
    fn no_bytes_panic() {
        let mut receiver = Receiver::new(1, vec![], true, Loss::new(0.0, 1));
        let mut measure = Measure::new(Window::default());
        let good = packet(VP8, 10, 1, &stamped(0));
        for len in 0..good.len() {
            let arrival = receiver.handle_rtp(0, &mut good[..len].to_vec(), &cipher(), &mut measure);
            assert_eq!(arrival, Arrival::Bad, "cut to {len}");
        }
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x11;
            assert_eq!(receiver.handle_rtp(0, &mut changed, &cipher(), &mut measure), Arrival::Bad, "byte {at}");
        }
        assert_eq!(receiver.rtp_counts(), (0, 0), "nobody made a stream without the keys");
    }
}
