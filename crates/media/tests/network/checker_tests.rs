//! The checker finds every fault that is planted in what the plane really sent, and none where there is none.

use std::collections::HashSet;

use roundtable_wire::dependency::{Descriptor, set_frame_number};
use roundtable_wire::{Kind, RtpHeader, RtpPacket};

use crate::checker::{Checker, Fault};
use crate::figures::SECOND;
use crate::link::LinkConfig;
use crate::negotiated::OUT_DEPENDENCY;
use crate::piece::Piece;
use crate::publisher::Media;
use crate::world::World;

pub(crate) type Dump = Vec<(u64, Vec<u8>, u32)>;

const SSRC: u32 = 1000;
const VP8: Media = Media::Vp8 { dependency: true };
const VP9: Media = Media::Vp9 { dependency: true };

/// Three seconds of what left for one slot; some of it twice, as the path loses packets.
pub(crate) fn dump(media: Media) -> Dump {
    let mut world = World::new(3);
    let publisher = world.publish(media, LinkConfig::new(20e6, 20));
    let link = world.link(LinkConfig { loss: 0.02, ..LinkConfig::new(20e6, 20) });
    world.dump = Some(Vec::new());
    world.run_until(SECOND / 2);
    let subscriber = world.subscribe(link);
    world.watch(subscriber, publisher, 720);
    world.run_until(4 * SECOND);
    assert_eq!(world.faults(), []);
    world.dump.take().expect("kept")
}

/// The faults of a dump, as if everything had reached the plane.
fn faults(media: Media, dump: &Dump) -> HashSet<Fault> {
    let has_dependency = !matches!(media, Media::Vp8 { dependency: false } | Media::Vp9 { dependency: false });
    let mut checker = Checker::new(Kind::Video, SSRC, has_dependency);
    let streams = (0..3).flat_map(|stream| (0x1_0000..0x2_2000).map(move |at| ((1, stream, at), 0)));
    let reached = streams.collect();
    for (at, bytes, roc) in dump {
        checker.handle(*at, bytes, *roc, &reached);
    }
    checker.finish(&reached).into_iter().map(|(fault, _)| fault).collect()
}

/// Plants a fault in the media packets numbered from 0; the place must have been found.
fn plant(media: Media, expected: Fault, change: impl Fn(&mut Dump)) {
    let mut dump = dump(media);
    assert_eq!(faults(media, &dump), HashSet::new(), "{expected:?}: nothing is wrong before");
    change(&mut dump);
    let found = faults(media, &dump);
    assert!(found.contains(&expected), "{expected:?} is not among {found:?}");
}

fn parse(bytes: &[u8]) -> RtpPacket<'_> {
    RtpPacket::parse(bytes).expect("RTP")
}

pub(crate) fn is_media(bytes: &[u8]) -> bool {
    parse(bytes).ssrc == SSRC
}

/// The place of the `nth` media packet for whose piece `holds`.
fn find(dump: &Dump, nth: usize, holds: impl Fn(&Piece) -> bool) -> usize {
    let places = dump.iter().enumerate().filter(|(_, (_, bytes, _))| {
        is_media(bytes) && Piece::read(parse(bytes).payload).is_some_and(|piece| holds(&piece))
    });
    places.map(|(at, _)| at).nth(nth).expect("such a packet")
}

fn find_rtx(dump: &Dump, nth: usize) -> usize {
    let places = dump.iter().enumerate().filter(|(_, (_, bytes, _))| !is_media(bytes));
    places.map(|(at, _)| at).nth(nth).expect("a retransmission")
}

/// Changes all media packets behind a place.
fn change_from(dump: &mut Dump, from: usize, change: impl Fn(&mut [u8])) {
    dump[from..].iter_mut().filter(|(_, bytes, _)| is_media(bytes)).for_each(|(_, bytes, _)| change(bytes));
}

fn add_sequence(bytes: &mut [u8], step: i16) {
    let sequence = u16::from_be_bytes([bytes[2], bytes[3]]).wrapping_add_signed(step);
    bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
}

fn add_timestamp(bytes: &mut [u8], ticks: i32) {
    let timestamp = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]).wrapping_add_signed(ticks);
    bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
}

fn payload_at(bytes: &[u8]) -> usize {
    parse(bytes).header_len
}

/// Writes the header anew with another descriptor, or none.
fn with_descriptor(bytes: &[u8], change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let packet = parse(bytes);
    let header = RtpHeader {
        marker: packet.marker,
        payload_type: packet.payload_type,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        ssrc: packet.ssrc,
        csrc: None,
    };
    let mut head = [0; 512];
    let len = header.write(&mut head, |writer| {
        for (id, data) in packet.extensions() {
            let data = if id == OUT_DEPENDENCY { change(data) } else { Some(data.to_vec()) };
            data.iter().for_each(|data| assert!(writer.push(id, data)));
        }
    });
    [&head[..len], packet.payload].concat()
}

#[test]
fn faults_of_numbers_and_times_are_found() {
    let middle = |piece: &Piece| piece.part == 1 && piece.parts > 2;
    plant(VP8, Fault::Hole, |dump| {
        let at = find(dump, 20, middle);
        change_from(dump, at, |bytes| add_sequence(bytes, 1));
    });
    plant(VP8, Fault::RepeatedSequence, |dump| {
        let again = dump[find(dump, 20, middle)].clone();
        dump.push(again);
    });
    plant(VP8, Fault::Interleaved, |dump| {
        let at = find(dump, 20, middle);
        add_sequence(&mut dump[at].1, 1);
        add_sequence(&mut dump[at + 1].1, -1);
    });
    plant(VP8, Fault::ForeignSsrc, |dump| {
        let at = find(dump, 20, middle);
        dump[at].1[10] ^= 1;
    });
    plant(VP8, Fault::PayloadType, |dump| {
        let at = find(dump, 20, middle);
        dump[at].1[1] = 33;
    });
    plant(VP8, Fault::ForeignPayload, |dump| {
        let at = find(dump, 20, middle);
        *dump[at].1.iter_mut().nth_back(10).expect("a long packet") ^= 1;
    });
    plant(VP8, Fault::TimestampBack, |dump| {
        let at = find(dump, 30, |piece| piece.part == 0);
        change_from(dump, at, |bytes| add_timestamp(bytes, -90_000));
    });
    plant(VP8, Fault::TimestampInFrame, |dump| {
        let at = find(dump, 20, middle);
        change_from(dump, at, |bytes| add_timestamp(bytes, 90));
    });
    plant(VP8, Fault::TimestampLead, |dump| {
        let at = find(dump, 30, |piece| piece.part == 0);
        change_from(dump, at, |bytes| add_timestamp(bytes, 4 * 90_000));
    });
}

#[test]
fn faults_of_markers_are_found() {
    for media in [VP8, VP9, Media::Av1, Media::H264 { temporal: 3 }] {
        plant(media, Fault::Marker, |dump| {
            let at = find(dump, 10, |piece| piece.part + 1 < piece.parts);
            dump[at].1[1] |= 0x80;
        });
        plant(media, Fault::Marker, |dump| {
            let at = find(dump, 10, |piece| piece.part + 1 == piece.parts && piece.layer == 2);
            dump[at].1[1] &= 0x7f;
        });
    }
    plant(VP9, Fault::Marker, |dump| {
        let at = find(dump, 0, |piece| piece.part + 1 == piece.parts && piece.layer == 1);
        dump[at].1[1] |= 0x80;
    });
}

#[test]
fn faults_of_picture_ids_are_found() {
    let start = |piece: &Piece| piece.part == 0;
    plant(VP8, Fault::PictureId, |dump| {
        let at = find(dump, 30, start);
        // Behind the two bytes of flags come two of the id, then the count of the base layer.
        change_from(dump, at, |bytes| bytes[payload_at(bytes) + 3] ^= 1);
    });
    plant(VP8, Fault::Tl0, |dump| {
        let at = find(dump, 30, start);
        change_from(dump, at, |bytes| {
            let place = &mut bytes[payload_at(bytes) + 4];
            *place = place.wrapping_add(1);
        });
    });
    plant(Media::Vp9 { dependency: false }, Fault::PictureId, |dump| {
        let at = find(dump, 30, start);
        change_from(dump, at, |bytes| bytes[payload_at(bytes) + 2] ^= 1);
    });
    plant(Media::Vp9 { dependency: false }, Fault::Tl0, |dump| {
        let at = find(dump, 12, |piece| piece.part == 0 && piece.temporal == 0);
        change_from(dump, at, |bytes| {
            let place = &mut bytes[payload_at(bytes) + 4];
            *place = place.wrapping_add(1);
        });
    });
    plant(VP9, Fault::Vp9Reference, |dump| {
        // The numbers of pictures go on, but not by as much as what pictures say they need.
        let at = find(dump, 8, |piece| piece.part == 0 && piece.layer == 2 && piece.temporal == 1);
        change_from(dump, at, |bytes| {
            let place = payload_at(bytes) + 1;
            let id = u16::from_be_bytes([bytes[place], bytes[place + 1]]).wrapping_add(1) | 0x8000;
            bytes[place..place + 2].copy_from_slice(&id.to_be_bytes());
        });
    });
}

#[test]
fn faults_of_dependency_descriptors_are_found() {
    for media in [VP8, VP9, Media::Av1, Media::H264 { temporal: 3 }] {
        let start = |piece: &Piece| piece.part == 0 && !piece.is_key;
        plant(media, Fault::NoDescriptor, |dump| {
            let at = find(dump, 10, start);
            dump[at].1 = with_descriptor(&dump[at].1, |_| None);
        });
        plant(media, Fault::NoStructure, |dump| {
            let at = find(dump, 0, |piece| piece.is_key && piece.part == 0);
            let again = find(dump, 0, |piece| piece.is_key && piece.part + 1 == piece.parts);
            // The last packet of the keyframe gets the structure in place of the first one.
            let first = parse(&dump[at].1).extension(OUT_DEPENDENCY).expect("a descriptor").to_vec();
            dump[at].1 = with_descriptor(&dump[at].1, |data| Some(data[..3].to_vec()));
            dump.insert(0, dump[again].clone());
            dump[0].1 = with_descriptor(&dump[0].1, |_| Some(first.clone()));
            add_sequence(&mut dump[0].1, -200);
        });
        plant(media, Fault::FrameReference, |dump| {
            let at = find(dump, 20, start);
            change_from(dump, at, |bytes| {
                let data = parse(bytes).extension(OUT_DEPENDENCY).expect("a descriptor");
                let number = u16::from_be_bytes([data[1], data[2]]).wrapping_add(1);
                let (place, len) = (data.as_ptr() as usize - bytes.as_ptr() as usize, data.len());
                set_frame_number(&mut bytes[place..place + len], number);
            });
        });
        plant(media, Fault::FrameNumber, |dump| {
            let at = find(dump, 20, |piece| piece.part == 1);
            dump[at].1 = with_descriptor(&dump[at].1, |data| {
                let mut changed = data.to_vec();
                set_frame_number(&mut changed, 7);
                Some(changed)
            });
        });
        plant(media, Fault::InactiveTarget, |dump| {
            let key = find(dump, 0, |piece| piece.is_key && piece.part == 0);
            let data = parse(&dump[key].1).extension(OUT_DEPENDENCY).expect("a descriptor").to_vec();
            let structure = Descriptor::parse(&data, None).expect("valid").structure.expect("a structure");
            let at = find(dump, 5, |piece| piece.temporal > 0 && piece.part == 0);
            dump[at].1 = with_descriptor(&dump[at].1, |data| {
                let (_, layout) = Descriptor::read(data, Some(&structure)).expect("valid");
                let mut out = [0; 64];
                let number = u16::from_be_bytes([data[1], data[2]]);
                let len = layout.rewrite(data, number, Some(1), &mut out);
                Some(out[..len].to_vec())
            });
        });
    }
}

#[test]
fn a_frame_others_need_must_not_be_left_out() {
    for media in [VP8, VP9, Media::Av1, Media::H264 { temporal: 1 }] {
        plant(media, Fault::NotForwarded, |dump| {
            let at = find(dump, 10, |piece| piece.part == 0 && piece.temporal == 0);
            let frame = Piece::read(&dump[at].1).expect("a piece").frame;
            let is_of = |bytes: &[u8]| is_media(bytes) && Piece::read(bytes).is_some_and(|piece| piece.frame == frame);
            let count = dump.iter().filter(|(_, bytes, _)| is_of(bytes)).count();
            dump.retain(|(_, bytes, _)| !is_of(bytes));
            change_from(dump, at, |bytes| add_sequence(bytes, -(count as i16)));
        });
    }
}

#[test]
fn faults_of_retransmissions_are_found() {
    plant(VP8, Fault::RtxNeverSent, |dump| {
        let at = find_rtx(dump, 3);
        let place = payload_at(&dump[at].1);
        dump[at].1[place] ^= 0x40;
    });
    plant(VP8, Fault::RtxDiffers, |dump| {
        let at = find_rtx(dump, 3);
        let place = payload_at(&dump[at].1) + 1;
        dump[at].1[place] ^= 1;
    });
    plant(VP8, Fault::RtxSequence, |dump| {
        let at = find_rtx(dump, 3);
        let again = dump[at].clone();
        dump.insert(at, again);
    });
}
