//! The part of a payload that a slot rewrites: the running numbers in VP8 and VP9 descriptors, and the envelope of
//! redundant audio.

use roundtable_wire::Codec;
use roundtable_wire::vp8::{self, PictureId};

/// The most bytes that are written in place of what was read.
pub(crate) const MAX_LEN: usize = vp8::MAX_LEN;

/// The running numbers a frame carries in its payload descriptor or dependency descriptor.
///
/// Those a packet does not carry are 0 and never looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The picture id, 15 bits.
    pub(crate) picture: u16,
    /// The index of the base layer's picture.
    pub(crate) tl0: u8,
    /// The keyframe index, 5 bits.
    pub(crate) key: u8,
    /// The frame number of the dependency descriptor.
    pub(crate) frame: u16,
}

/// A payload descriptor that carries running numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Descriptor {
    /// The codec has none, or it could not be read: the payload passes as it is.
    #[default]
    None,
    Vp8(vp8::Descriptor),
    Vp9(Vp9Numbers),
}

/// The start of a VP9 descriptor (RFC 9628 4.2), up to the last running number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vp9Numbers {
    first: u8,
    picture_id: Option<PictureId>,
    /// Temporal and spatial layer, and with it the index of the base layer's picture in non-flexible mode.
    layer: Option<(u8, Option<u8>)>,
    len: usize,
}

impl Descriptor {
    /// Reads the descriptor at the start of a payload.
    pub(crate) fn parse(codec: Codec, payload: &[u8]) -> Self {
        match codec {
            Codec::Vp8 => vp8::Descriptor::parse(payload).map_or(Self::None, Self::Vp8),
            Codec::Vp9 { .. } => Vp9Numbers::parse(payload).map_or(Self::None, Self::Vp9),
            Codec::H264 { .. } | Codec::Av1 | Codec::Opus | Codec::Red => Self::None,
        }
    }

    /// The bytes of the payload it stands for.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Vp8(descriptor) => descriptor.len,
            Self::Vp9(numbers) => numbers.len,
        }
    }

    pub(crate) const fn picture_id(&self) -> Option<PictureId> {
        match self {
            Self::None => None,
            Self::Vp8(descriptor) => descriptor.picture_id,
            Self::Vp9(numbers) => numbers.picture_id,
        }
    }

    /// Its numbers; 0 for those it does not carry.
    pub(crate) fn ids(&self) -> Ids {
        let picture = self.picture_id().map_or(0, PictureId::value);
        let (tl0, key) = match self {
            Self::None => (None, None),
            Self::Vp8(descriptor) => (descriptor.tl0_pic_idx, descriptor.key_idx),
            Self::Vp9(numbers) => (numbers.layer.and_then(|(_, tl0)| tl0), None),
        };
        Ids { picture, tl0: tl0.unwrap_or(0), key: key.unwrap_or(0), frame: 0 }
    }

    /// Writes it with other numbers, picture ids in 15 bits; returns the length. What it does not carry stays out.
    pub(crate) fn write(&self, ids: Ids, out: &mut [u8]) -> usize {
        match self {
            Self::None => 0,
            Self::Vp8(descriptor) => {
                let rewritten = vp8::Descriptor {
                    picture_id: descriptor.picture_id.map(|_| PictureId::Long(ids.picture)),
                    tl0_pic_idx: descriptor.tl0_pic_idx.map(|_| ids.tl0),
                    key_idx: descriptor.key_idx.map(|_| ids.key),
                    ..*descriptor
                };
                rewritten.write(out)
            }
            Self::Vp9(numbers) => numbers.write(ids, out),
        }
    }
}

impl Vp9Numbers {
    const HAS_PICTURE_ID: u8 = 0x80;
    const HAS_LAYER: u8 = 0x20;
    const FLEXIBLE: u8 = 0x10;
    const LONG: u8 = 0x80;

    fn parse(payload: &[u8]) -> Option<Self> {
        let mut rest = payload.iter().copied();
        let first = rest.next()?;
        let mut picture_id = None;
        if first & Self::HAS_PICTURE_ID != 0 {
            let high = rest.next()?;
            picture_id = Some(if high & Self::LONG != 0 {
                PictureId::Long(u16::from_be_bytes([high & !Self::LONG, rest.next()?]))
            } else {
                PictureId::Short(high)
            });
        }
        let mut layer = None;
        if first & Self::HAS_LAYER != 0 {
            let indices = rest.next()?;
            let tl0 = if first & Self::FLEXIBLE == 0 { Some(rest.next()?) } else { None };
            layer = Some((indices, tl0));
        }
        Some(Self { first, picture_id, layer, len: payload.len() - rest.len() })
    }

    fn write(&self, ids: Ids, out: &mut [u8]) -> usize {
        let [high, low] = ids.picture.to_be_bytes();
        let has_id = self.picture_id.is_some();
        let fields = [
            Some(self.first),
            has_id.then_some(high | Self::LONG),
            has_id.then_some(low),
            self.layer.map(|(indices, _)| indices),
            self.layer.and_then(|(_, tl0)| tl0).map(|_| ids.tl0),
        ];
        let mut len = 0;
        for (place, byte) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *place = byte;
            len += 1;
        }
        len
    }
}

/// The newest frame in a payload of redundant audio (RFC 2198), which comes last; `None` if it is malformed.
pub(crate) fn red_primary(payload: &[u8]) -> Option<&[u8]> {
    const MORE: u8 = 0x80;
    let (mut rest, mut redundant) = (payload, 0);
    // A redundant block has four bytes of header: type, offset of the timestamp, ten bits of length.
    while let [first, _, high, low, tail @ ..] = rest
        && first & MORE != 0
    {
        redundant += usize::from(u16::from_be_bytes([high & 0x03, *low]));
        rest = tail;
    }
    match rest {
        [first, blocks @ ..] if first & MORE == 0 => blocks.get(redundant..),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: Ids = Ids { picture: 0x1234, tl0: 9, key: 8, frame: 0 };
    const VP9: Codec = Codec::Vp9 { profile: 0 };

    fn check(codec: Codec, payload: &[u8], read: Ids, written: &[u8]) {
        let descriptor = Descriptor::parse(codec, payload);
        assert_eq!(descriptor.ids(), read, "read from {payload:x?}");
        let mut out = [0; MAX_LEN];
        let len = descriptor.write(IDS, &mut out);
        let rewritten = [&out[..len], &payload[descriptor.len()..]].concat();
        assert_eq!(rewritten, written, "written for {payload:x?}");
    }

    #[test]
    fn numbers_are_replaced_and_everything_else_stays() {
        let ids = |picture, tl0, key| Ids { picture, tl0, key, frame: 0 };
        // VP8: a short id grows, absent fields stay absent.
        check(Codec::Vp8, &[0x90, 0x80, 0x05, 0xaa], ids(5, 0, 0), &[0x90, 0x80, 0x92, 0x34, 0xaa]);
        check(
            Codec::Vp8,
            &[0x90, 0xf0, 0x81, 0x02, 7, 0x43, 0xaa],
            ids(0x102, 7, 3),
            &[0x90, 0xf0, 0x92, 0x34, 9, 0x48, 0xaa],
        );
        check(Codec::Vp8, &[0x10, 0xaa], Ids::default(), &[0x10, 0xaa]);
        // VP9: non-flexible with layers, flexible with layers, without layers, without id.
        check(VP9, &[0xa8, 0x81, 0x02, 0x01, 7, 0xaa], ids(0x102, 7, 0), &[0xa8, 0x92, 0x34, 0x01, 9, 0xaa]);
        check(VP9, &[0xb8, 0x05, 0x01, 0xaa], ids(5, 0, 0), &[0xb8, 0x92, 0x34, 0x01, 0xaa]);
        check(VP9, &[0x8c, 0x81, 0x02, 0xaa], ids(0x102, 0, 0), &[0x8c, 0x92, 0x34, 0xaa]);
        check(VP9, &[0x0c, 0xaa], Ids::default(), &[0x0c, 0xaa]);
        // What cannot be read, and what has no numbers, passes.
        check(VP9, &[0xa8, 0x81], Ids::default(), &[0xa8, 0x81]);
        check(Codec::Av1, &[0x18, 0xaa], Ids::default(), &[0x18, 0xaa]);
    }

    #[test]
    fn the_newest_frame_is_taken_out_of_redundant_audio() {
        assert_eq!(red_primary(&[111, 1, 2, 3]), Some(&[1, 2, 3][..]));
        assert_eq!(red_primary(&[0x80 | 111, 0, 0, 2, 111, 8, 9, 1, 2]), Some(&[1, 2][..]));
        assert_eq!(red_primary(&[0x80 | 111, 0, 0, 9, 111, 8, 9]), None);
        assert_eq!(red_primary(&[0x80 | 111, 0, 0]), None);
        assert_eq!(red_primary(&[]), None);
    }
}
