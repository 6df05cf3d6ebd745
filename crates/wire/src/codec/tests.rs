//! Tables for compatibility of codecs and for the starts of keyframes.

use super::*;

const VP9: Codec = Codec::Vp9 { profile: 0 };
const H264: Codec = h264([0x42, 0xe0, 0x1f], 1);

const fn h264(profile_level_id: [u8; 3], packetization_mode: u8) -> Codec {
    Codec::H264 { profile_level_id, packetization_mode }
}

#[test]
fn names_clocks_and_kinds_are_those_of_browsers() {
    let table = [
        (Codec::Vp8, "VP8", 90_000, Kind::Video),
        (VP9, "VP9", 90_000, Kind::Video),
        (H264, "H264", 90_000, Kind::Video),
        (Codec::Av1, "AV1", 90_000, Kind::Video),
        (Codec::Opus, "opus", 48_000, Kind::Audio),
        (Codec::Red, "red", 48_000, Kind::Audio),
    ];
    for (codec, name, clock_rate, kind) in table {
        assert_eq!((codec.name(), codec.clock_rate(), codec.kind()), (name, clock_rate, kind));
        assert!(codec.is_compatible(codec));
    }
}

#[test]
fn profiles_must_be_equal_and_levels_need_not() {
    let check = |a: Codec, b: Codec, expected| {
        assert_eq!(a.is_compatible(b), expected, "{a:?} with {b:?}");
        assert_eq!(b.is_compatible(a), expected, "{b:?} with {a:?}");
    };
    check(Codec::Vp8, VP9, false);
    check(VP9, Codec::Vp9 { profile: 2 }, false);
    check(H264, h264([0x42, 0xe0, 0x34], 1), true);
    check(H264, h264([0x42, 0xe0, 0x1f], 0), false);
    check(H264, h264([0x42, 0x00, 0x1f], 1), false); // Constrained baseline and baseline.
    check(H264, h264([0x42, 0xc0, 0x1f], 1), true); // The same profile in other bits.
    check(H264, h264([0x4d, 0x80, 0x1f], 1), true);
    check(H264, h264([0x58, 0xc0, 0x1f], 1), true);
    check(H264, h264([0x4d, 0x00, 0x1f], 1), false);
    check(h264([0x4d, 0x00, 0x1f], 1), h264([0x4d, 0x40, 0x1f], 1), true);
    check(h264([0x64, 0x00, 0x1f], 1), h264([0x64, 0x00, 0x28], 1), true);
    check(h264([0x64, 0x00, 0x1f], 1), h264([0x64, 0x0c, 0x1f], 1), false);
    check(h264([0xf4, 0x00, 0x1f], 1), h264([0xf4, 0x00, 0x28], 1), true); // High 4:4:4, outside the table.
    check(h264([0xf4, 0x00, 0x1f], 1), h264([0xf4, 0x10, 0x1f], 1), false);
}

#[track_caller]
fn keyframe(codec: Codec, payload: &[u8], expected: bool) {
    assert_eq!(starts_keyframe(codec, payload), expected, "{payload:02x?}");
}

#[test]
fn vp8_keyframes_start_partition_zero_with_the_inverse_key_bit_clear() {
    keyframe(Codec::Vp8, &[0x10, 0x10], true);
    keyframe(Codec::Vp8, &[0x10, 0x11], false); // Interframe.
    keyframe(Codec::Vp8, &[0x00, 0x10], false); // Not the start.
    keyframe(Codec::Vp8, &[0x11, 0x10], false); // The start of partition 1.
    keyframe(Codec::Vp8, &[0x90, 0xf0, 0x80, 0x01, 0x07, 0x20, 0x50], true); // Behind a full descriptor.
    keyframe(Codec::Vp8, &[0x10], false);
}

#[test]
fn vp9_keyframes_start_the_lowest_layer_of_an_intra_picture() {
    keyframe(VP9, &[0x08], true); // B only.
    keyframe(VP9, &[0x48], false); // Inter-predicted.
    keyframe(VP9, &[0x04], false); // The end, not the start.
    keyframe(VP9, &[0xa8, 0x81, 0x02, 0x00, 0x00], true); // 15-bit id, layer 0.
    keyframe(VP9, &[0xa8, 0x81, 0x02, 0x02, 0x00], false); // 15-bit id, layer 1.
    keyframe(VP9, &[0xa8, 0x01, 0x01, 0x00], true); // 7-bit id, layer 0 (with D).
    keyframe(VP9, &[0x28, 0x02], false); // No id, layer 1.
    keyframe(VP9, &[0xa8, 0x81, 0x02], false); // Cut before the layers.
}

#[test]
fn h264_keyframes_carry_an_idr_or_an_sps() {
    keyframe(H264, &[0x65, 0x88], true); // IDR.
    keyframe(H264, &[0x67, 0x42], true); // SPS.
    keyframe(H264, &[0x41, 0x9a], false); // Slice of another picture.
    keyframe(H264, &[0x68, 0xce], false); // PPS alone.
    keyframe(H264, &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68], true); // STAP-A with an SPS first,
    keyframe(H264, &[0x78, 0, 1, 0x09, 0, 2, 0x65, 0x88], true); // with an IDR last,
    keyframe(H264, &[0x78, 0, 1, 0x09, 0, 9, 0x65, 0x88], false); // with a unit that is cut,
    keyframe(H264, &[0x78, 0, 0, 0, 1, 0x41], false); // with an empty unit.
    keyframe(H264, &[0x7c, 0x85, 0x88], true); // FU-A, first fragment of an IDR,
    keyframe(H264, &[0x7c, 0x05, 0x88], false); // a later fragment,
    keyframe(H264, &[0x7c, 0x81, 0x9a], false); // first fragment of another picture.
    keyframe(H264, &[0x7c], false);
}

#[test]
fn av1_keyframes_have_the_n_bit() {
    keyframe(Codec::Av1, &[0x18, 0x0a], true);
    keyframe(Codec::Av1, &[0x10, 0x32], false);
    keyframe(Codec::Av1, &[0x98, 0x0a], false); // N contradicts Z.
    keyframe(Codec::Av1, &[0x18], false); // An aggregation header alone.
}

#[test]
fn audio_can_start_anywhere_and_an_empty_payload_is_no_keyframe() {
    keyframe(Codec::Opus, &[], true);
    keyframe(Codec::Red, &[0x6f], true);
    for codec in [Codec::Vp8, VP9, H264, Codec::Av1] {
        keyframe(codec, &[], false);
    }
}
