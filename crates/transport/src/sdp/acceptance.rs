//! Which codecs and header extensions of an m-line we take from a publisher or give to a subscriber.

use roundtable_wire::{Codec, Extension, ExtensionMap};

use super::codec::OfferCodec;
use super::extension::ONE_BYTE_MAX_ID;
use super::offer::OfferMedia;

/// The extensions a publisher may send.
const RECEIVABLE: &[Extension] = &[
    Extension::Mid,
    Extension::RtpStreamId,
    Extension::RepairedRtpStreamId,
    Extension::TransportSequence,
    Extension::AbsSendTime,
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::AbsCaptureTime,
    Extension::DependencyDescriptor,
    Extension::VideoLayersAllocation,
    Extension::VideoContentType,
];

/// The extensions a slot may carry: what changes hands at every switch of its owner.
const SENDABLE: &[Extension] = &[
    Extension::Mid,
    Extension::TransportSequence,
    Extension::AbsSendTime,
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::AbsCaptureTime,
    Extension::DependencyDescriptor,
    Extension::VideoContentType,
];

/// What we accept from a publisher on this line; nothing if the line cannot be accepted.
///
/// Where both ends know transport-wide congestion control, REMB and abs-send-time are left out, as two estimators would
/// fight. Redundant audio comes first, as browsers send what the answer names first: what is lost on the way to us then
/// costs no round trip.
pub fn receivable(media: &OfferMedia) -> (Vec<OfferCodec>, ExtensionMap) {
    let (mut codecs, extensions) = negotiate(media, media.mappings.sent, RECEIVABLE, u8::MAX);
    codecs.sort_by_key(|codec| codec.codec != Codec::Red);
    (codecs, extensions)
}

/// What we may send to a subscriber on this line; nothing if the line cannot be accepted.
///
/// Ids of the two-byte form are used only with `a=extmap-allow-mixed`, since most packets need the one-byte form alone.
pub fn sendable(media: &OfferMedia) -> (Vec<OfferCodec>, ExtensionMap) {
    let highest_id = if media.extmap_allow_mixed { u8::MAX } else { ONE_BYTE_MAX_ID };
    negotiate(media, media.mappings.received, SENDABLE, highest_id)
}

fn negotiate(
    media: &OfferMedia,
    offered: ExtensionMap,
    wanted: &[Extension],
    highest_id: u8,
) -> (Vec<OfferCodec>, ExtensionMap) {
    if !media.is_acceptable() {
        return Default::default();
    }
    let mut codecs: Vec<OfferCodec> = media.codecs.iter().filter(|codec| is_forwarded(codec.codec)).cloned().collect();
    let usable = |extension: Extension| offered.id(extension).filter(|&id| id <= highest_id);
    let transport_cc = usable(Extension::TransportSequence).is_some() && codecs.iter().any(|codec| codec.transport_cc);
    for codec in &mut codecs {
        codec.transport_cc &= transport_cc;
        codec.remb &= !transport_cc;
    }
    let mut extensions = ExtensionMap::default();
    for &extension in wanted {
        let useless = match extension {
            Extension::TransportSequence => !transport_cc,
            Extension::AbsSendTime => transport_cc,
            _ => false,
        };
        if let (Some(id), false) = (usable(extension), useless) {
            extensions.set(extension, id);
        }
    }
    (codecs, extensions)
}

/// VP9 profiles 1 and 3 (4:4:4) have no decoder in most browsers.
fn is_forwarded(codec: Codec) -> bool {
    !matches!(codec, Codec::Vp9 { profile: 1 | 3.. })
}
