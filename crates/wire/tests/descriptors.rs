//! Dependency descriptors and layers allocations as Chromium 156 sends them, from captures of six calls.
//!
//! A line of the vectors is the name of a call, or a packet: stream, sequence number, marker, descriptor, layers
//! allocation or `-`. Of each stream the first packets are kept, and all with more than the common fields.

use std::collections::{BTreeMap, HashSet};

use roundtable_wire::dependency::{Descriptor, Dti, MAX_LEN, Resolution, Structure, StructureHistory};
use roundtable_wire::{LayersAllocation, Unwrapper16, layers_allocation};

const VECTORS: &str = include_str!("data/chromium_descriptors.txt");

struct Packet {
    stream: u8,
    sequence: u16,
    marker: bool,
    descriptor: Vec<u8>,
    allocation: Option<Vec<u8>>,
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn calls() -> BTreeMap<&'static str, Vec<Packet>> {
    let mut calls: BTreeMap<_, Vec<Packet>> = BTreeMap::new();
    let mut name = "";
    for line in VECTORS.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        match fields[..] {
            [call] => name = call,
            [stream, sequence, marker, descriptor, allocation] => calls.entry(name).or_default().push(Packet {
                stream: stream.parse().unwrap(),
                sequence: sequence.parse().unwrap(),
                marker: marker == "1",
                descriptor: hex(descriptor),
                allocation: (allocation != "-").then(|| hex(allocation)),
            }),
            _ => panic!("{line}"),
        }
    }
    calls
}

/// The last structure of every stream of a call, after all its descriptors were read.
fn structures(call: &str) -> Vec<Structure> {
    let mut streams: BTreeMap<u8, StructureHistory> = BTreeMap::new();
    for packet in &calls()[call] {
        let history = streams.entry(packet.stream).or_default();
        history.handle(1 << 16 | u64::from(packet.sequence), &packet.descriptor).unwrap();
    }
    streams.values().map(|history| Structure::clone(history.current().unwrap())).collect()
}

#[test]
fn every_descriptor_is_read_and_written_bit_for_bit() {
    for (call, packets) in calls() {
        let mut streams: BTreeMap<u8, (Unwrapper16, StructureHistory)> = BTreeMap::new();
        for packet in &packets {
            let data = &packet.descriptor[..];
            let (unwrapper, history) = streams.entry(packet.stream).or_default();
            let received = history.handle(unwrapper.unwrap(packet.sequence), data);
            let received = received.unwrap_or_else(|error| panic!("{call} {}: {error}", packet.sequence));
            let (descriptor, layout) = Descriptor::read(data, Some(received.structure)).unwrap();
            let mut out = [0; MAX_LEN];
            let len = descriptor.write(Some(received.structure), &mut out);
            assert_eq!(&out[..len], data, "{call} {}", packet.sequence);

            let mut expected = descriptor.clone();
            expected.mandatory.frame_number = 0xbeef;
            expected.active_decode_targets = Some(1);
            let len = layout.rewrite(data, 0xbeef, Some(1), &mut out);
            let mut written = [0; MAX_LEN];
            let written_len = expected.write(Some(received.structure), &mut written);
            assert_eq!(out[..len], written[..written_len], "{call} {}", packet.sequence);
        }
    }
}

#[test]
fn frames_need_what_was_sent_and_end_where_the_picture_does() {
    for (call, packets) in calls() {
        let mut histories: BTreeMap<u8, StructureHistory> = BTreeMap::new();
        let mut sent: BTreeMap<u8, HashSet<u16>> = BTreeMap::new();
        let mut previous: BTreeMap<u8, u16> = BTreeMap::new();
        for packet in &packets {
            let history = histories.entry(packet.stream).or_default();
            let before = previous.insert(packet.stream, packet.sequence);
            let frame = history.handle(1 << 16 | u64::from(packet.sequence), &packet.descriptor).unwrap().frame;
            if before.is_some_and(|before| before.wrapping_add(1) != packet.sequence) {
                sent.remove(&packet.stream); // The vectors leave packets out.
                continue;
            }
            assert!(!packet.marker || frame.is_end, "{call} {}: a picture ends with a frame", packet.sequence);
            if frame.is_independent() {
                assert_eq!((frame.spatial_id, frame.temporal_id), (0, 0), "{call}: a keyframe is of the lowest layer");
            }
            let Some(sent) = sent.get_mut(&packet.stream) else {
                sent.insert(packet.stream, HashSet::from([frame.number]));
                continue;
            };
            let first = *sent.iter().min().unwrap();
            for &diff in frame.frame_diffs.as_slice() {
                let needed = frame.number.wrapping_sub(diff);
                assert!(sent.contains(&needed) || needed < first, "{call} {}: needs {needed}", packet.sequence);
            }
            sent.insert(frame.number);
        }
    }
}

#[test]
fn av1_l3t3_has_nine_decode_targets_and_a_chain_for_each_spatial_layer() {
    let [structure] = &structures("av1_L3T3")[..] else { panic!("one stream") };
    assert_eq!((structure.decode_target_count(), structure.chain_count()), (9, 3));
    let layers: Vec<_> = (0..9).map(|target| structure.layer_of(target)).collect();
    assert_eq!(layers, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
    let chains: Vec<_> = (0..10).map(|target| structure.chain_of(target)).collect();
    let [low, middle, high] = [Some(0), Some(1), Some(2)];
    assert_eq!(chains, [low, low, low, middle, middle, middle, high, high, high, None]);
    let sizes = (0..3).filter_map(|layer| structure.resolution(layer)).map(|size| (size.width, size.height));
    assert_eq!(sizes.collect::<Vec<_>>(), [(320, 180), (640, 360), (1280, 720)]);
    assert_eq!(structure.all_decode_targets(), 0x1ff);
}

#[test]
fn simulcast_streams_have_one_spatial_layer_each() {
    // Chromium sends no chains with VP8: whether a frame can be decoded is told by the frames it needs only.
    for (call, targets, chains) in [("vp8_sim3", 3, 0), ("h264_sim3", 1, 1)] {
        let structures = structures(call);
        assert_eq!(structures.len(), 3);
        for structure in structures {
            assert_eq!((structure.decode_target_count(), structure.chain_count()), (targets, chains), "{call}");
            assert_eq!(structure.spatial_layer_count(), 1, "{call}");
            assert_eq!(structure.layer_of(targets - 1), (0, targets - 1), "{call}");
        }
    }
}

#[test]
fn a_key_mode_needs_the_layer_below_at_keyframes_only() {
    let crossings = |call: &str| {
        let mut history = StructureHistory::new();
        let mut seen = [false; 4];
        for packet in &calls()[call] {
            let sequence = 1 << 16 | u64::from(packet.sequence);
            let frame = history.handle(sequence, &packet.descriptor).unwrap().frame;
            // What frames of the middle layer mean to the first target of the highest one.
            if frame.spatial_id == 1 && frame.temporal_id == 0 {
                seen[usize::from(frame.dtis.target(6).bits())] = true;
            }
        }
        [Dti::NotPresent, Dti::Switch, Dti::Required].map(|dti| seen[usize::from(dti.bits())])
    };
    assert_eq!(crossings("vp9_L3T3_KEY"), [true, true, false]);
    assert_eq!(crossings("av1_L3T3"), [false, true, true]);
}

#[test]
fn a_layer_that_comes_later_is_told_by_the_bitmask() {
    let mut history = StructureHistory::new();
    let mut masks = Vec::new();
    for packet in &calls()["av1_L3T3"] {
        let sequence = 1 << 16 | u64::from(packet.sequence);
        masks.push(history.handle(sequence, &packet.descriptor).unwrap().active_decode_targets);
    }
    masks.dedup();
    assert_eq!(masks, [0x3f, 0x1ff], "two spatial layers at the keyframe, the third without another one");
}

#[test]
fn every_allocation_is_read_and_written_bit_for_bit() {
    let mut count = 0;
    for (call, packets) in calls() {
        for bytes in packets.iter().filter_map(|packet| packet.allocation.as_ref()) {
            let allocation = LayersAllocation::parse(bytes).unwrap();
            let mut out = [0; layers_allocation::MAX_LEN];
            let len = allocation.write(&mut out);
            assert_eq!(&out[..len], bytes, "{call}");
            count += 1;
        }
    }
    assert!(count >= 18, "{count}");
}

#[test]
fn an_allocation_tells_the_rates_and_sizes_of_all_streams() {
    let allocation =
        LayersAllocation::parse(&hex("a1a83c5a9601c801ac02f403ac038205ae08013f00b314027f01671404ff02cf14")).unwrap();
    assert_eq!((allocation.stream(), allocation.stream_count()), (2, 3));
    let rates: Vec<_> = allocation.layers().iter().map(|layer| (layer.stream, layer.targets_kbps())).collect();
    assert_eq!(rates, [(0, &[60, 90, 150][..]), (1, &[200, 300, 500]), (2, &[428, 642, 1070])]);
    let sizes = allocation.layers().iter().filter_map(|layer| layer.size);
    let sizes: Vec<_> = sizes.map(|size| (size.width, size.height, size.max_frame_rate)).collect();
    assert_eq!(sizes, [(320, 180, 20), (640, 360, 20), (1280, 720, 20)]);
}

#[test]
fn a_descriptor_without_its_structure_is_refused() {
    let (key, later) = (
        hex("c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926\
                             e082b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca87753013f00b3027f0167\
                             04ff02cf1f80"),
        hex("c60002"),
    );
    let mut history = StructureHistory::new();
    use roundtable_wire::dependency::DescriptorError::{NoStructure, UnknownTemplate};
    assert_eq!(history.handle(10, &later).map(|_| ()), Err(NoStructure));
    let frame = history.handle(11, &key).unwrap().frame;
    assert_eq!((frame.number, frame.is_start, frame.is_end), (1, true, true));
    assert_eq!(frame.resolution, Some(Resolution { width: 320, height: 180 }));
    assert_eq!(history.handle(12, &later).unwrap().frame.number, 2);
    assert_eq!(history.handle(9, &later).map(|_| ()), Err(NoStructure), "from before the keyframe");
    assert_eq!(history.handle(13, &[0xff, 0, 3]).map(|_| ()), Err(UnknownTemplate));
}
