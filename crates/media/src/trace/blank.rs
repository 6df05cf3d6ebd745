//! Takes what people say and show out of a packet: of its payload only what forwarding reads stays, the rest is zeros.

use roundtable_wire::codec::{h264, vp8, vp9};
use roundtable_wire::{Codec, RtpPacket};

use crate::config::TrackCodec;

/// Of a packet that cannot be read so much is kept: what shows that, a header with all its contributors.
const UNREADABLE: usize = 76;
/// Bytes of the original sequence number in front of a retransmitted payload (RFC 4588 4).
const OSN_LEN: usize = 2;
/// The frame tag, start code and size at the start of a VP8 keyframe (RFC 6386 9.1).
const VP8_FRAME_HEADER: usize = 10;
/// The header of an H.264 unit, and with it the bit that tells the first slice of a picture.
const UNIT_HEADER: usize = 2;
/// The header of a fragment of one.
const FRAGMENT_HEADER: usize = 3;
/// What tells of AV1 whether a sequence begins.
const AV1_HEADER: usize = 1;
/// The configuration and length of an Opus frame (RFC 6716 3.1).
const OPUS_HEADER: usize = 1;
/// The header of a redundant block, and of the last one (RFC 2198).
const RED_HEADER: usize = 4;
const RED_MORE: u8 = 0x80;

/// A packet of the same length without its media. `codecs` are those its publisher negotiated, of whatever track: on
/// one connection a payload type means one thing (RFC 9143 9.1).
pub(crate) fn blank<'c>(packet: &[u8], codecs: impl Iterator<Item = &'c TrackCodec>) -> Vec<u8> {
    let mut blank = vec![0; packet.len()];
    let Ok(read) = RtpPacket::parse(packet) else {
        keep(&mut blank, packet, 0, UNREADABLE);
        keep_last(&mut blank, packet);
        return blank;
    };
    keep(&mut blank, packet, 0, read.header_len);
    if packet.first().is_some_and(|first| first & 0x20 != 0) {
        keep_last(&mut blank, packet); // How much padding there is.
    }
    let mut codecs = codecs.filter_map(|codec| {
        let is_repair = codec.rtx_payload_type == Some(read.payload_type);
        (is_repair || codec.payload_type == read.payload_type).then_some((codec.codec, is_repair))
    });
    let Some((codec, is_repair)) = codecs.next() else { return blank };
    let offset = if is_repair { OSN_LEN } else { 0 };
    keep(&mut blank, packet, read.header_len, offset);
    let (start, payload) = (read.header_len + offset, read.payload.get(offset..).unwrap_or_default());
    match codec {
        Codec::H264 { .. } => keep_units(&mut blank, packet, start, payload),
        _ => keep(&mut blank, packet, start, header_len(codec, payload).min(payload.len())),
    }
    blank
}

/// The bytes at the start of a payload that are looked at.
fn header_len(codec: Codec, payload: &[u8]) -> usize {
    match codec {
        Codec::Vp8 => vp8::Descriptor::parse(payload).map_or(1, |descriptor| match vp8::is_keyframe(payload) {
            true => descriptor.len + VP8_FRAME_HEADER,
            false => descriptor.len + 1,
        }),
        Codec::Vp9 { .. } => vp9::Descriptor::parse(payload).map_or(1, |descriptor| descriptor.len),
        Codec::H264 { .. } => UNIT_HEADER,
        Codec::Av1 => AV1_HEADER,
        Codec::Opus => OPUS_HEADER,
        Codec::Red => {
            let blocks =
                payload.chunks(RED_HEADER).take_while(|block| block.first().is_some_and(|b| b & RED_MORE != 0));
            blocks.count() * RED_HEADER + 1
        }
    }
}

/// Keeps the headers of H.264 units: of one, of a fragment, or of each in an aggregate with its length.
fn keep_units(blank: &mut [u8], packet: &[u8], start: usize, payload: &[u8]) {
    let first = payload.first().map_or(0, |header| header & 0x1f);
    let header = if first == h264::FU_A { FRAGMENT_HEADER } else { UNIT_HEADER };
    keep(blank, packet, start, header.min(payload.len()));
    if first != STAP_A {
        return;
    }
    let mut at = 1;
    while let Some((len, rest)) = payload.get(at..).and_then(<[u8]>::split_first_chunk::<2>) {
        let unit = usize::from(u16::from_be_bytes(*len));
        keep(blank, packet, start + at, 2 + UNIT_HEADER.min(unit).min(rest.len()));
        at += 2 + unit;
    }
}

fn keep(blank: &mut [u8], packet: &[u8], start: usize, len: usize) {
    let end = (start + len).min(packet.len());
    if let (Some(to), Some(from)) = (blank.get_mut(start..end), packet.get(start..end)) {
        to.copy_from_slice(from);
    }
}

fn keep_last(blank: &mut [u8], packet: &[u8]) {
    keep(blank, packet, packet.len().saturating_sub(1), 1);
}

/// An aggregate of H.264 units (RFC 6184 5.7.1).
const STAP_A: u8 = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use roundtable_wire::RtpHeader;

    const H264: Codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f], packetization_mode: 1 };

    fn blanked(codec: Codec, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let entry = TrackCodec {
            payload_type: 96,
            codec,
            rtx_payload_type: Some(97),
            nack: true,
            pli: true,
            transport_cc: true,
        };
        let header = RtpHeader { payload_type, sequence: 7, timestamp: 8, ssrc: 9, marker: true, csrc: None };
        let mut packet = vec![0; 100];
        let len = header.write(&mut packet, |_| {});
        packet.truncate(len);
        packet.extend_from_slice(payload);
        let blank = blank(&packet, [entry].iter());
        assert_eq!(blank[..len], packet[..len], "the header stays");
        assert_eq!(blank.len(), packet.len());
        blank[len..].to_vec()
    }

    #[test]
    fn nothing_of_what_is_said_or_shown_is_kept() {
        let check = |codec, payload_type, payload: &[u8], kept: &[u8]| {
            assert_eq!(blanked(codec, payload_type, payload), kept, "{codec:?} {payload:x?}");
        };
        check(Codec::Opus, 96, &[0x78, 1, 2, 3], &[0x78, 0, 0, 0]);
        check(Codec::Red, 96, &[0xef, 1, 2, 3, 0x6f, 9, 9, 9], &[0xef, 1, 2, 3, 0x6f, 0, 0, 0]);
        check(Codec::Vp8, 96, &[0x10, 1, 5, 6, 7], &[0x10, 1, 0, 0, 0]);
        check(
            Codec::Vp8,
            96,
            &[0x10, 0, 5, 6, 0x9d, 1, 0x2a, 1, 2, 3, 4, 8, 8],
            &[0x10, 0, 5, 6, 0x9d, 1, 0x2a, 1, 2, 3, 4, 0, 0],
        );
        check(Codec::Vp9 { profile: 0 }, 96, &[0x88, 0x81, 2, 9, 9], &[0x88, 0x81, 2, 0, 0]);
        check(Codec::Av1, 96, &[0x18, 7, 7], &[0x18, 0, 0]);
        check(H264, 96, &[0x65, 0x88, 7, 7], &[0x65, 0x88, 0, 0]);
        check(H264, 96, &[0x7c, 0x85, 0x88, 7], &[0x7c, 0x85, 0x88, 0]);
        check(
            H264,
            96,
            &[0x78, 0, 3, 0x67, 1, 2, 0, 4, 0x65, 0x88, 3, 4],
            &[0x78, 0, 3, 0x67, 1, 0, 0, 4, 0x65, 0x88, 0, 0],
        );
        check(Codec::Vp8, 97, &[0x12, 0x34, 0x10, 1, 5], &[0x12, 0x34, 0x10, 1, 0]);
        check(Codec::Vp8, 50, &[1, 2, 3], &[0, 0, 0]);
    }
}
