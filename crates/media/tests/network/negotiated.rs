//! What both sides have agreed on: payload types and extension ids, different in each direction so that every mapping
//! shows.

use roundtable_media::{SlotConfig, TrackCodec};
use roundtable_wire::{Codec, Extension, ExtensionMap, Kind};

pub(crate) const VP9: Codec = Codec::Vp9 { profile: 0 };
pub(crate) const H264: Codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f], packetization_mode: 1 };

/// Publisher's payload types; those of retransmissions are one higher.
const IN_TYPES: [(Codec, u8); 6] =
    [(Codec::Vp8, 96), (VP9, 98), (H264, 102), (Codec::Av1, 45), (Codec::Opus, 111), (Codec::Red, 63)];
/// Subscriber's payload types.
const OUT_TYPES: [(Codec, u8); 6] =
    [(Codec::Vp8, 100), (VP9, 104), (H264, 106), (Codec::Av1, 108), (Codec::Opus, 120), (Codec::Red, 121)];

/// Extension ids of the publisher.
pub(crate) const IN_MID: u8 = 1;
pub(crate) const IN_RID: u8 = 2;
pub(crate) const IN_RRID: u8 = 3;
pub(crate) const IN_TWCC: u8 = 4;
pub(crate) const IN_LEVEL: u8 = 5;
pub(crate) const IN_DEPENDENCY: u8 = 13;
pub(crate) const IN_ALLOCATION: u8 = 14;
/// Extension ids of the subscriber.
pub(crate) const OUT_MID: u8 = 9;
pub(crate) const OUT_TWCC: u8 = 1;
pub(crate) const OUT_DEPENDENCY: u8 = 12;
const OUT_LEVEL: u8 = 2;

pub(crate) fn in_type(codec: Codec) -> u8 {
    IN_TYPES.iter().find(|(known, _)| *known == codec).expect("a codec of the table").1
}

/// What a subscriber's payload type stands for, and whether it is that of retransmissions.
pub(crate) fn out_codec(payload_type: u8) -> Option<(Codec, bool)> {
    OUT_TYPES.iter().find_map(|&(codec, number)| match payload_type.checked_sub(number) {
        Some(0) => Some((codec, false)),
        Some(1) if codec.kind() == Kind::Video => Some((codec, true)),
        _ => None,
    })
}

fn entry(codec: Codec, payload_type: u8) -> TrackCodec {
    let is_video = codec.kind() == Kind::Video;
    TrackCodec {
        payload_type,
        codec,
        rtx_payload_type: is_video.then_some(payload_type + 1),
        nack: is_video,
        pli: is_video,
        transport_cc: true,
    }
}

pub(crate) fn in_codecs(codecs: &[Codec]) -> Vec<TrackCodec> {
    codecs.iter().map(|&codec| entry(codec, in_type(codec))).collect()
}

fn out_codecs(kind: Kind) -> Vec<TrackCodec> {
    let of_kind = OUT_TYPES.iter().filter(|(codec, _)| codec.kind() == kind);
    of_kind.map(|&(codec, number)| entry(codec, number)).collect()
}

pub(crate) fn in_extensions() -> ExtensionMap {
    map(&[
        (Extension::Mid, IN_MID),
        (Extension::RtpStreamId, IN_RID),
        (Extension::RepairedRtpStreamId, IN_RRID),
        (Extension::TransportSequence, IN_TWCC),
        (Extension::AudioLevel, IN_LEVEL),
        (Extension::DependencyDescriptor, IN_DEPENDENCY),
        (Extension::VideoLayersAllocation, IN_ALLOCATION),
    ])
}

/// A slot of a subscriber who takes dependency descriptors, or does not.
pub(crate) fn slot_config(kind: Kind, ssrc: u32, takes_descriptors: bool) -> SlotConfig {
    let mut extensions =
        map(&[(Extension::Mid, OUT_MID), (Extension::TransportSequence, OUT_TWCC), (Extension::AudioLevel, OUT_LEVEL)]);
    if takes_descriptors {
        extensions.set(Extension::DependencyDescriptor, OUT_DEPENDENCY);
    }
    SlotConfig {
        kind,
        mid: format!("s{ssrc}"),
        ssrc,
        rtx_ssrc: (kind == Kind::Video).then_some(ssrc + 1),
        cname: format!("seat{ssrc}"),
        codecs: out_codecs(kind),
        extensions,
    }
}

fn map(ids: &[(Extension, u8)]) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for &(extension, id) in ids {
        map.set(extension, id);
    }
    map
}
