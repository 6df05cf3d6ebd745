//! Packets as Chromium 156 sends them: headers from a capture, followed by a made-up payload.

use roundtable_wire::ext::{self, Extensions};
use roundtable_wire::{PacketKind, RtpPacket, classify, stun};

/// Ids in the calls that were captured.
const TRANSPORT_SEQUENCE: u8 = 4;
const ABS_SEND_TIME: u8 = 2;
const MID: u8 = 9;
const STREAM_ID: u8 = 10;
const DEPENDENCY_DESCRIPTOR: u8 = 13;
const LAYERS_ALLOCATION: u8 = 14;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

struct Expected {
    payload_type: u8,
    sequence: u16,
    ssrc: u32,
    transport_sequence: u16,
    /// Id and length of every element.
    elements: &'static [(u8, usize)],
}

#[track_caller]
fn check(header: &str, padding: &[u8], expected: &Expected) -> Vec<(u8, Vec<u8>)> {
    let bytes = [&hex(header)[..], b"payload", padding].concat();
    assert_eq!(classify(&bytes), PacketKind::Rtp);
    let packet = RtpPacket::parse(&bytes).unwrap();
    assert_eq!(packet.payload_type, expected.payload_type);
    assert_eq!((packet.sequence, packet.ssrc), (expected.sequence, expected.ssrc));
    assert_eq!((packet.payload, packet.padding_len), (&b"payload"[..], padding.len()));
    let elements: Vec<_> = packet.extensions().map(|(id, data)| (id, data.to_vec())).collect();
    assert_eq!(elements.iter().map(|(id, data)| (*id, data.len())).collect::<Vec<_>>(), expected.elements);
    let sequence = packet.extension(TRANSPORT_SEQUENCE).and_then(ext::read_transport_sequence);
    assert_eq!(sequence, Some(expected.transport_sequence));
    assert!(packet.extension(ABS_SEND_TIME).and_then(ext::read_abs_send_time).is_some());
    elements
}

fn text(elements: &[(u8, Vec<u8>)], id: u8) -> Option<&str> {
    elements.iter().find(|element| element.0 == id).and_then(|(_, data)| ext::read_mid(data))
}

const VP8_KEYFRAME: &str = "90e035d02bf6ff0c7888c9d1100000140203666f47040200020901300a0171080406060610030100070d0100010005000600\
    08000000000d17c000018002044eaaaf2860414d34538a0940404fc02cc00e0b01803c5a9601013f00b33c000000";

#[test]
fn the_first_packet_of_a_simulcast_keyframe() {
    let expected = Expected {
        payload_type: 96,
        sequence: 13776,
        ssrc: 0x7888_c9d1,
        transport_sequence: 2,
        elements: &[
            (ABS_SEND_TIME, 3),
            (TRANSPORT_SEQUENCE, 2),
            (MID, 1),
            (STREAM_ID, 1),
            (8, 4),
            (3, 1),
            (7, 13),
            (DEPENDENCY_DESCRIPTOR, 23),
            (LAYERS_ALLOCATION, 11),
        ],
    };
    let elements = check(VP8_KEYFRAME, &[], &expected);
    assert_eq!(text(&elements, MID), Some("0"));
    assert_eq!(text(&elements, STREAM_ID), Some("q"));
}

const VP8_DELTA: &str = "90e035d12bf710a07888c9d1bede00042266a7f841000c9030a071d2c5000200";

#[test]
fn a_packet_between_keyframes() {
    let expected = Expected {
        payload_type: 96,
        sequence: 13777,
        ssrc: 0x7888_c9d1,
        transport_sequence: 12,
        elements: &[(ABS_SEND_TIME, 3), (TRANSPORT_SEQUENCE, 2), (MID, 1), (STREAM_ID, 1), (DEPENDENCY_DESCRIPTOR, 3)],
    };
    let elements = check(VP8_DELTA, &[], &expected);
    assert_eq!(text(&elements, MID), Some("0"));
    assert_eq!(text(&elements, STREAM_ID), Some("q"));
}

const VP8_PADDING: &str = "b0614acd0000000015b458a2bede0003903041000122666cfa000000";

#[test]
fn a_retransmission_that_is_padding() {
    let expected = Expected {
        payload_type: 97,
        sequence: 19149,
        ssrc: 0x15b4_58a2,
        transport_sequence: 1,
        elements: &[(MID, 1), (TRANSPORT_SEQUENCE, 2), (ABS_SEND_TIME, 3)],
    };
    let elements = check(VP8_PADDING, &[0, 0, 3], &expected);
    assert_eq!(text(&elements, MID), Some("0"));
}

const AV1_KEYFRAME: &str = "902d199ce865a416af341c4a100000270203c73ff104020003090130080406060610030100070d010002000d000d00120000\
    00000d61c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926\
    e082b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca87753013f00b3027f016704ff02cf1f\
    800e1303a02d3b54526b9801013f00b33c027f01673c";

#[test]
fn the_first_packet_of_an_av1_svc_keyframe() {
    let expected = Expected {
        payload_type: 45,
        sequence: 6556,
        ssrc: 0xaf34_1c4a,
        transport_sequence: 3,
        elements: &[
            (ABS_SEND_TIME, 3),
            (TRANSPORT_SEQUENCE, 2),
            (MID, 1),
            (8, 4),
            (3, 1),
            (7, 13),
            (DEPENDENCY_DESCRIPTOR, 97),
            (LAYERS_ALLOCATION, 19),
        ],
    };
    let elements = check(AV1_KEYFRAME, &[], &expected);
    assert_eq!(text(&elements, MID), Some("0"));
}

const VP9_LAYER: &str = "90625bd0ee67c0b7d3b5b4f1bede000522967181410011903083060606103000d2400002";

#[test]
fn a_packet_of_a_vp9_layer() {
    let expected = Expected {
        payload_type: 98,
        sequence: 23504,
        ssrc: 0xd3b5_b4f1,
        transport_sequence: 17,
        elements: &[(ABS_SEND_TIME, 3), (TRANSPORT_SEQUENCE, 2), (MID, 1), (8, 4), (3, 1), (DEPENDENCY_DESCRIPTOR, 3)],
    };
    let elements = check(VP9_LAYER, &[], &expected);
    assert_eq!(text(&elements, MID), Some("0"));
}

const H264_KEYFRAME: &str = "90ec00bbed69b6312200bfcfbede000d22f7b8414100029030a071830606061030007c01000100030003000600000000d8c0\
    000180003a410100e801009601013f00b33c";

#[test]
fn an_h264_packet_with_a_long_descriptor_in_one_byte_form() {
    let expected = Expected {
        payload_type: 108,
        sequence: 187,
        ssrc: 0x2200_bfcf,
        transport_sequence: 2,
        elements: &[
            (ABS_SEND_TIME, 3),
            (TRANSPORT_SEQUENCE, 2),
            (MID, 1),
            (STREAM_ID, 1),
            (8, 4),
            (3, 1),
            (7, 13),
            (DEPENDENCY_DESCRIPTOR, 9),
            (LAYERS_ALLOCATION, 9),
        ],
    };
    let elements = check(H264_KEYFRAME, &[], &expected);
    assert_eq!(text(&elements, MID), Some("0"));
    assert_eq!(text(&elements, STREAM_ID), Some("q"));
}

const AUDIO: &str = "90bf33f0030711df72d351e4bede0003229b79814100019031c0ff00";

#[test]
fn an_audio_packet() {
    let expected = Expected {
        payload_type: 63,
        sequence: 13296,
        ssrc: 0x72d3_51e4,
        transport_sequence: 1,
        elements: &[(ABS_SEND_TIME, 3), (TRANSPORT_SEQUENCE, 2), (MID, 1), (12, 1)],
    };
    let elements = check(AUDIO, &[], &expected);
    assert_eq!(text(&elements, MID), Some("1"));
}

#[test]
fn a_packet_cut_within_its_header_is_refused() {
    let header = hex(VP8_KEYFRAME);
    for len in 0..header.len() {
        assert!(RtpPacket::parse(&header[..len]).is_err(), "cut to {len}");
    }
}

#[test]
fn elements_that_are_cut_do_not_hide_those_before_them() {
    let header = hex(VP8_KEYFRAME);
    let packet = RtpPacket::parse(&header).unwrap();
    let all: Vec<_> = packet.extensions().collect();
    for len in 0..packet.extension_bytes.len() {
        let some: Vec<_> = Extensions::new(packet.extension_profile, &packet.extension_bytes[..len]).collect();
        assert_eq!(some, all[..some.len()], "cut to {len}");
    }
}

#[test]
fn what_shares_the_port_is_told_apart() {
    let table = [
        ("80c800067888c9d1ba28c5f50022d97c", PacketKind::Rtcp),
        ("8fcd000500000001af044380f2d317db", PacketKind::Rtcp),
        ("afcd000600000001beef13a11d748acd", PacketKind::Rtcp),
        ("16feff000000000000000004a301000585000000", PacketKind::Dtls),
        ("0101002c2112a442", PacketKind::Stun),
    ];
    for (start, kind) in table {
        assert_eq!(classify(&hex(start)), kind, "{start}");
    }
}

#[test]
fn the_user_name_of_a_check_is_found() {
    let request = hex(
        "0001004c2112a4424559717352384d46566833780006000969547a4e3a59375330000000c05700040001003280290008aded88aa3d1a12bc\
         002400046e7f1eff00080014efd826a80a810b3ef81d28885dd92360e951025980280004783aa835",
    );
    assert_eq!(stun::username(&request), Some(("iTzN", "Y7S0")));
}
