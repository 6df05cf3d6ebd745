//! Frames of the calls that were captured from Chromium 156, by descriptor and by payload. Payloads on the wire are
//! encrypted, so those here are made from what the descriptors say.

use proptest::collection::vec;
use proptest::prelude::*;
use roundtable_wire::dependency::StructureHistory;
use roundtable_wire::vp8;

use super::*;

const VECTORS: &str = include_str!("../../../wire/tests/data/chromium_descriptors.txt");
const VP9: Codec = Codec::Vp9 { profile: 0 };
const H264: Codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f], packetization_mode: 1 };

struct Packet {
    stream: u8,
    index: u64,
    picture: u32,
    marker: bool,
    descriptor: Vec<u8>,
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The packets of one stream of a call.
fn packets(call: &str, stream: u8) -> Vec<Packet> {
    let mut found = Vec::new();
    let (mut name, mut picture) = ("", 1);
    for line in VECTORS.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        match fields[..] {
            [call] => name = call,
            [of, sequence, marker, descriptor, _] if name == call && of == stream.to_string() => {
                let index = 1 << 16 | sequence.parse::<u64>().unwrap();
                let marker = marker == "1";
                found.push(Packet { stream, index, picture, marker, descriptor: hex(descriptor) });
                picture += u32::from(marker);
            }
            _ => {}
        }
    }
    assert!(found.len() > 20, "{call} {stream}: {}", found.len());
    found
}

fn piece<'a>(codec: Codec, packet: &'a Packet, payload: &'a [u8]) -> Piece<'a> {
    Piece {
        codec,
        dependency: Some(&packet.descriptor),
        index: packet.index,
        timestamp: packet.picture * 3000,
        marker: packet.marker,
        payload,
        is_newest: true,
    }
}

fn layers(reader: &FrameReader) -> Vec<(u8, u8)> {
    reader.targets().iter().map(|target| (target.spatial, target.temporal)).collect()
}

const GRID: [(u8, u8); 9] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)];

/// Reads a call by its descriptors, with payloads nobody could read, and checks what holds for all.
fn read_call(codec: Codec, call: &str, stream: u8) -> (FrameReader, Vec<FrameInfo>) {
    let (mut reader, mut history) = (FrameReader::new(), StructureHistory::new());
    let infos: Vec<_> = packets(call, stream)
        .iter()
        .map(|packet| {
            assert_eq!(packet.stream, stream);
            let (info, layout) = reader.read(&piece(codec, packet, &[0xff]));
            assert!(info.is_known, "{call} {}", packet.index);
            let received = history.handle(packet.index, &packet.descriptor).unwrap();
            let frame = received.frame;
            assert_eq!(layout, Some(received.layout), "{call} {}", packet.index);
            assert_eq!((info.spatial, info.temporal), (frame.spatial_id, frame.temporal_id));
            assert_eq!((info.starts, info.ends, info.present), (frame.is_start, frame.is_end, frame.dtis.present()));
            assert_eq!((info.number as u16, reader.active()), (frame.number, received.active_decode_targets));
            info
        })
        .collect();
    assert!(infos.is_sorted_by_key(|info| info.number), "{call}: numbers rise");
    for info in &infos {
        assert!(info.present != 0 && info.switch & !info.present == 0 && info.discardable & !info.present == 0);
        for (target, &Target { spatial, temporal, .. }) in (0..).zip(reader.targets()) {
            let is_above = spatial < info.spatial || temporal < info.temporal;
            assert!(!is_above || !has(info.present, target), "{call}: a frame of no higher layer than its targets");
            let all = (0..).zip(reader.targets()).filter(|(to, _)| reader.covers(target, *to));
            for (to, _) in all {
                assert!(!has(info.present, to) || has(info.present, target), "{call}: {target} covers {to}");
            }
        }
    }
    assert!(infos[0].starts_keyframe && infos[0].held == u32::MAX, "{call} starts with a keyframe");
    assert_eq!(infos[0].switch, low_bits(reader.targets().len()), "{call}: all may start there");
    (reader, infos)
}

#[test]
fn simulcast_of_vp8_has_three_temporal_layers_each() {
    for stream in 0..3 {
        let (reader, infos) = read_call(Codec::Vp8, "vp8_sim3", stream);
        assert_eq!(layers(&reader), GRID[..3]);
        let temporal: Vec<_> = infos.iter().filter(|info| info.starts).map(|info| info.temporal).collect();
        let has_pattern = temporal.windows(9).any(|some| some == [0, 2, 1, 2, 0, 2, 1, 2, 0]);
        assert!(has_pattern, "stream {stream}: {temporal:?}");
        assert!(reader.covers(2, 0) && reader.covers(2, 1) && reader.covers(1, 0) && !reader.covers(1, 2));
        assert_eq!((reader.target_for(0, 7), reader.target_for(3, 1), reader.version()), (Some(2), Some(1), 1));
    }
}

#[test]
fn h264_has_the_layers_its_structure_tells() {
    let (reader, _) = read_call(H264, "h264_L1T3", 0);
    assert_eq!(reader.targets()[0].spatial, 0);
    assert_eq!(layers(&reader).iter().map(|layers| layers.0).max(), Some(0));
    assert_eq!(reader.active(), low_bits(reader.targets().len()));
}

#[test]
fn a_key_mode_target_covers_no_lower_spatial_layer() {
    let (reader, infos) = read_call(VP9, "vp9_L3T3_KEY", 0);
    assert_eq!(layers(&reader), GRID);
    assert_eq!(reader.targets()[8].size, Some((1280, 720)));
    assert!(reader.covers(8, 7) && reader.covers(8, 6) && !reader.covers(8, 5) && !reader.covers(5, 2));
    let ups = |from, to| infos.iter().filter(|info| info.lets_up(from, to) && info.held != u32::MAX).count();
    assert!(ups(6, 8) > 0 && ups(0, 2) > 0, "temporal layers can be gone up without a keyframe");
    let keys: Vec<_> = infos.iter().filter(|info| info.starts_keyframe).map(|info| info.number).collect();
    let is_key = |info: &FrameInfo| keys.iter().any(|key| (0..3).contains(&info.number.wrapping_sub(*key)));
    let mut spatial = infos.iter().filter(|info| info.lets_up(2, 5) || info.lets_up(2, 8)).peekable();
    assert!(spatial.peek().is_some() && spatial.all(is_key), "spatial ones within a key picture only");
}

#[test]
fn a_full_svc_target_covers_all_below_it() {
    let (reader, infos) = read_call(Codec::Av1, "av1_L3T3", 0);
    assert_eq!(layers(&reader), GRID);
    for from in 0..9u8 {
        for to in 0..9u8 {
            let (a, b) = (GRID[usize::from(from)], GRID[usize::from(to)]);
            assert_eq!(reader.covers(from, to), b.0 <= a.0 && b.1 <= a.1, "{a:?} {b:?}");
        }
    }
    let ups = |from, to| infos.iter().filter(|info| info.lets_up(from, to)).count();
    assert!(ups(6, 8) > 0 && ups(0, 2) > 0 && ups(3, 5) > 0);
    let needing = infos.iter().filter(|info| info.spatial == 2 && info.held & 1 << 5 == 0 && info.starts);
    assert!(needing.clone().count() > 5, "frames of the highest layer mostly need earlier ones of it");
    assert!(needing.into_iter().all(|info| !info.lets_up(5, 8)), "though their indication is to switch");
}

/// The payload descriptor of VP9 that says what `info` does.
fn vp9_payload(info: &FrameInfo, is_key: bool, is_full: bool) -> Vec<u8> {
    let inter_layer = info.spatial > 0 && (is_key || is_full);
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let first = 0x80 | 0x20 | flag(!is_key, 0x40) | flag(info.starts, 0x08) | flag(info.ends, 0x04);
    let layer = info.temporal << 5 | flag(info.temporal > 0, 0x10) | info.spatial << 1 | u8::from(inter_layer);
    vec![first, 0x80, 1, layer, 0, 0xaa]
}

#[test]
fn the_payload_of_vp9_says_what_its_descriptor_does() {
    let packets = packets("vp9_L3T3_KEY", 0);
    let (described, infos) = read_call(VP9, "vp9_L3T3_KEY", 0);
    let mut reader = FrameReader::new();
    let (mut compared, mut is_key, mut numbers) = (0, false, Vec::new());
    for (packet, expected) in packets.iter().zip(&infos) {
        if expected.spatial == 0 && expected.starts {
            is_key = expected.starts_keyframe;
        }
        let payload = vp9_payload(expected, is_key, false);
        let (info, layout) = reader.read(&Piece { dependency: None, ..piece(VP9, packet, &payload) });
        assert!(info.is_known && layout.is_none());
        let said = |info: &FrameInfo| (info.spatial, info.temporal, info.starts, info.ends, info.starts_keyframe);
        assert_eq!(said(&info), said(expected), "{}", packet.index);
        numbers.push((info.number, expected.number));
        if reader.targets().len() == 9 && !is_key {
            assert_eq!(info.present, expected.present, "{} {expected:?}", packet.index);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
    let same = numbers.windows(2).all(|pair| (pair[0].0 == pair[1].0) == (pair[0].1 == pair[1].1));
    assert!(same, "numbers change with the frame");
    assert_eq!(layers(&reader), GRID);
    for from in 0..9 {
        for to in 0..9 {
            assert_eq!(reader.covers(from, to), described.covers(from, to), "{from} {to}");
        }
    }
}

#[test]
fn the_payload_of_vp8_says_what_its_descriptor_does() {
    for stream in 0..3 {
        let packets = packets("vp8_sim3", stream);
        let (_, infos) = read_call(Codec::Vp8, "vp8_sim3", stream);
        let mut reader = FrameReader::new();
        for (at, (packet, expected)) in packets.iter().zip(&infos).enumerate() {
            let mut payload = [0; 20];
            let is_key = at == 0 || expected.starts_keyframe;
            let descriptor = vp8::Descriptor {
                start: expected.starts,
                tid: Some(expected.temporal),
                y: expected.temporal > 0 && has(expected.held, 0),
                non_reference: expected.discardable == expected.present,
                ..vp8::Descriptor::default()
            };
            let len = descriptor.write(&mut payload);
            let frame = [u8::from(!is_key), 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00];
            payload[len..len + frame.len()].copy_from_slice(&frame);
            let (info, _) = reader.read(&Piece { dependency: None, ..piece(Codec::Vp8, packet, &payload) });
            let said = |info: &FrameInfo| (info.spatial, info.temporal, info.starts, info.ends, info.starts_keyframe);
            assert_eq!(said(&info), said(expected), "{}", packet.index);
            if reader.targets().len() == 3 {
                assert_eq!(info.present, expected.present);
                assert!(expected.discardable != expected.present || info.discardable == info.present);
                // Of a frame's up-switches only those to its own temporal layer are told.
                assert!(is_key || info.switch & !expected.switch == 0 || info.switch == 1 << info.temporal);
            }
        }
        assert_eq!(layers(&reader), GRID[..3]);
        assert_eq!(reader.targets()[2].size, Some((320, 180)));
    }
}

fn plain<'a>(codec: Codec, index: u64, timestamp: u32, payload: &'a [u8], is_newest: bool) -> Piece<'a> {
    Piece { codec, dependency: None, index, timestamp, marker: false, payload, is_newest }
}

#[test]
fn full_svc_of_vp9_is_told_by_its_frames() {
    let mut reader = FrameReader::new();
    let mut read = |index: u64, timestamp, spatial, temporal, is_key: bool| {
        let info = FrameInfo { spatial, temporal, starts: true, ends: true, ..FrameInfo::default() };
        let payload = vp9_payload(&info, is_key, true);
        reader.read(&plain(VP9, index, timestamp, &payload, true)).0
    };
    assert!(read(10, 0, 0, 0, true).starts_keyframe);
    assert!(!read(11, 0, 1, 0, true).starts_keyframe);
    read(12, 3000, 0, 1, false);
    read(13, 3000, 1, 1, false);
    let low = read(14, 6000, 0, 0, false);
    let high = read(15, 6000, 1, 0, false);
    assert_eq!((low.present, high.present), (0b1111, 0b1100));
    assert!(low.lets_up(0, 1) && high.lets_up(2, 3), "all frames of T1 are points to switch up");
    assert!(!high.lets_up(1, 3) && !low.lets_up(1, 3), "the higher layer needs its earlier frames");
    let alone = read(16, 9000, 1, 0, true);
    assert_eq!(alone.held, 0, "the frame below was lost");
    read(17, 12_000, 0, 0, false);
    let restart = read(18, 12_000, 1, 0, true);
    assert!(restart.lets_up(0, 2), "a frame that needs the layer below only lets up to its layer");
    assert_eq!(layers(&reader), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert!(reader.covers(3, 0) && reader.covers(2, 0) && !reader.covers(2, 1));
}

#[test]
fn layers_announced_by_vp9_have_sizes_and_replace_those_seen() {
    let mut reader = FrameReader::new();
    let announcing = [0xaa, 0x80, 1, 0x00, 0, 0x30, 1, 64, 0, 180, 2, 128, 1, 104, 0xaa];
    assert!(reader.read(&plain(VP9, 10, 0, &announcing, true)).0.is_known);
    let sizes: Vec<_> = reader.targets().iter().map(|target| target.size).collect();
    assert_eq!(sizes, [Some((320, 180)), Some((640, 360))]);
    let version = reader.version();
    reader.read(&plain(VP9, 11, 3000, &[0xaa, 0x80, 1, 0x00, 0, 0x10, 1, 64, 0, 180, 0xaa], true));
    assert_eq!((layers(&reader), reader.version()), (vec![(0, 0)], version + 1));
    reader.read(&plain(VP9, 9, 0, &announcing, false));
    assert_eq!(layers(&reader), [(0, 0)], "what came before is over");
}

#[test]
fn late_packets_have_the_number_of_their_frame() {
    let mut reader = FrameReader::new();
    let mut read = |index, timestamp, payload: &[u8], is_newest| {
        reader.read(&plain(Codec::Vp8, index, timestamp, payload, is_newest)).0
    };
    let first = read(100, 0, &[0x10, 0x00], true);
    assert!(first.starts && first.starts_keyframe);
    let second = read(103, 3000, &[0x00, 0x01], true);
    let fourth = read(107, 9000, &[0x10, 0x01], true);
    let middle = read(102, 3000, &[0x10, 0x01], false);
    assert_eq!((middle.number, middle.starts), (second.number, true));
    let third = read(105, 6000, &[0x10, 0x01], false);
    assert_eq!(read(106, 6000, &[0x00, 0x01], false).number, third.number);
    assert!([first.number, second.number, third.number, fourth.number].is_sorted_by(|a, b| a < b));
}

#[test]
fn the_first_packet_of_an_h264_frame_is_found_by_what_was_before_it() {
    let mut reader = FrameReader::new();
    let mut read = |index, timestamp, payload: &[u8], is_newest| {
        let info = reader.read(&plain(H264, index, timestamp, payload, is_newest)).0;
        (info.starts, info.starts_keyframe, info.discardable)
    };
    let (slice, later, key) = ([0x61, 0x9a], [0x61, 0x10], [0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1]);
    assert_eq!(read(10, 0, &key, true), (true, true, 0));
    assert_eq!(read(11, 0, &[0x7c, 0x85, 0xb8], true), (false, false, 0), "the slice behind the parameter sets");
    assert_eq!(read(12, 3000, &later, true), (true, false, 0), "it follows at once");
    assert_eq!(read(14, 6000, &later, true), (false, false, 0), "something is missing");
    assert_eq!(read(13, 6000, &slice, false), (true, false, 0));
    assert_eq!(read(17, 9000, &slice, true), (true, false, 0), "the slice of the first macroblock");
    assert_eq!(read(18, 12_000, &[0x01, 0x9a], true), (true, false, 1), "nobody needs it");
}

#[test]
fn a_stream_may_begin_and_cease_to_carry_descriptors() {
    let packets = packets("vp8_sim3", 0);
    let mut reader = FrameReader::new();
    let start = packets[0].index - 2;
    let before = reader.read(&plain(Codec::Vp8, start, 0, &[0x10, 0x00], true)).0;
    assert_eq!(layers(&reader), [(0, 0)]);
    let unknown = reader.read(&piece(Codec::Vp8, &packets[1], &[0x10, 0x01])).0;
    assert!(!unknown.is_known && unknown.number == before.number, "the structure is not known");
    let first = reader.read(&piece(Codec::Vp8, &packets[0], &[0xff])).0;
    assert!(first.is_known && first.number > before.number);
    assert_eq!(layers(&reader), GRID[..3]);
    let last = reader.read(&piece(Codec::Vp8, &packets[1], &[0xff])).0;
    let index = packets[1].index;
    let single = reader.read(&plain(Codec::Vp8, index + 1, 90_000, &[0x10, 0x01], true)).0;
    assert!(!single.is_known && layers(&reader) == GRID[..3], "one packet without does not turn the stream");
    let turned = reader.read(&plain(Codec::Vp8, index + 2, 93_000, &[0x10, 0x00], true)).0;
    assert!(turned.is_known && turned.starts_keyframe && turned.number > last.number);
    assert_eq!(layers(&reader), [(0, 0)]);
    assert!(reader.read(&plain(Codec::Vp8, index + 3, 96_000, &[0x10, 0x01], true)).0.number > turned.number);
}

#[test]
fn who_counts_frames_anew_does_not_make_numbers_fall() {
    let packets = packets("vp8_sim3", 0);
    let mut reader = FrameReader::new();
    let before = packets.iter().map(|packet| reader.read(&piece(Codec::Vp8, packet, &[])).0.number).max().unwrap();
    let anew =
        Packet { index: packets.last().unwrap().index + 1, descriptor: packets[0].descriptor.clone(), ..packets[0] };
    let info = reader.read(&piece(Codec::Vp8, &anew, &[])).0;
    assert!(info.starts_keyframe && info.number == before + 1);
}

#[test]
fn a_late_packet_of_an_older_structure_is_read_beside_that_and_never_beside_the_newer() {
    let (old, new) = (packets("vp8_sim3", 0), packets("av1_L3T3", 0));
    let mut reader = FrameReader::new();
    let mut read = |packet: &Packet, index: u64, is_newest| {
        let (info, layout) = reader.read(&Piece { index, is_newest, ..piece(Codec::Av1, packet, &[0xff]) });
        (info, layout, reader.targets().len())
    };
    let short = old.iter().find(|packet| packet.descriptor.len() == 3).unwrap();
    read(&old[0], 100, true);
    assert!(read(short, 101, true).0.is_known);
    assert_eq!(read(&new[0], 110, true).2, 9);
    assert!(read(&new[1], 111, true).0.is_known, "a short one, so that its layout is known");
    let (late, layout, targets) = read(short, 105, false);
    assert!(!late.is_known && late.present == 0 && layout.is_some(), "its targets are others");
    assert_eq!(targets, 9);
    assert!(!read(short, 99, false).0.is_known);
    assert!(read(&new[1], 112, true).0.is_known);
}

fn arb_piece() -> impl Strategy<Value = (usize, Option<Vec<u8>>, u8, u8, Vec<u8>, bool, bool)> {
    let structures = [hex(KEYFRAMES[0]), hex(KEYFRAMES[1])];
    let mutated = (0..2usize, 0..100usize, any::<u8>(), 3..120usize).prop_map(move |(which, at, change, len)| {
        let mut bytes = structures[which].clone();
        let place = at % bytes.len();
        bytes[place] ^= change;
        bytes.truncate(len);
        bytes
    });
    let dependency = prop_oneof![vec(any::<u8>(), 0..40), mutated];
    let payload = vec(any::<u8>(), 0..24);
    (0..4usize, proptest::option::of(dependency), any::<u8>(), 0..6u8, payload, any::<bool>(), any::<bool>())
}

const KEYFRAMES: [&str; 2] = [
    "c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e082b04a0941b820ac\
     1282503157f974000ca864330e222222eca8655304224230eca87753013f00b3027f016704ff02cf1f80",
    "c000018002044eaaaf2860414d34538a0940404fc02cc0",
];

proptest! {
    #[test]
    fn whatever_comes_masks_stay_within_the_targets(pieces in vec(arb_piece(), 1..60)) {
        let mut reader = FrameReader::new();
        for (codec, dependency, index, timestamp, payload, marker, is_newest) in pieces {
            let piece = Piece {
                codec: [Codec::Vp8, VP9, H264, Codec::Av1][codec],
                dependency: dependency.as_deref(),
                index: u64::from(index),
                timestamp: u32::from(timestamp),
                marker,
                payload: &payload,
                is_newest,
            };
            let info = reader.read(&piece).0;
            let all = low_bits(reader.targets().len());
            prop_assert!(info.present & !all == 0 && info.switch & !info.present == 0);
            prop_assert!(info.discardable & !info.present == 0);
            prop_assert!(info.is_known || (info.present | info.held == 0 && !info.starts));
            prop_assert!(!info.is_known || !reader.targets().is_empty());
            prop_assert!((0..=255).all(|target| !reader.covers(target, 32) && !info.lets_up(target, 32)));
            prop_assert!(info.starts || !info.starts_keyframe);
        }
    }
}
