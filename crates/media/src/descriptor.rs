//! The part of a payload that a slot rewrites: the running numbers in VP8 and VP9 descriptors, and the envelope of
//! redundant audio.

use roundtable_wire::Codec;
use roundtable_wire::vp8::{self, PictureId};

/// So many bytes must there be room for where a descriptor is written, whatever it takes of them: it is written in one piece.
pub(crate) const MAX_LEN: usize = size_of::<u64>();
const _: () = assert!(vp8::MAX_LEN <= MAX_LEN);

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

/// The start of a payload that carries running numbers; nothing if the codec has none, or it could not be read: then the
/// payload passes as it is.
///
/// It is read once and written for each subscriber, so all is prepared for that but the numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Descriptor {
    len: usize,
    picture_id: Option<PictureId>,
    ids: Ids,
    form: Form,
}

/// What is written: picture ids in 15 bits, all else as it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Form {
    /// From the lowest byte on, zero where numbers go.
    bytes: u64,
    len: usize,
    /// Where numbers go; nothing for those it does not carry.
    picture: u64,
    tl0: u64,
    key: u64,
}

impl Descriptor {
    /// Reads the descriptor at the start of a payload.
    pub(crate) fn parse(codec: Codec, payload: &[u8]) -> Self {
        let read = match codec {
            Codec::Vp8 => vp8::Descriptor::parse(payload).ok().map(|read| Self::vp8(&read)),
            Codec::Vp9 { .. } => Self::vp9(payload),
            Codec::H264 { .. } | Codec::Av1 | Codec::Opus | Codec::Red => None,
        };
        read.unwrap_or_default()
    }

    fn vp8(read: &vp8::Descriptor) -> Self {
        let (picture_id, tl0, key) = (read.picture_id, read.tl0_pic_idx, read.key_idx);
        let blank = vp8::Descriptor {
            picture_id: picture_id.map(|_| PictureId::Long(0)),
            tl0_pic_idx: tl0.map(|_| 0),
            key_idx: key.map(|_| 0),
            ..*read
        };
        let mut bytes = [0; MAX_LEN];
        let len = blank.write(&mut bytes);
        // Behind the two bytes that say what there is (RFC 7741 4.2).
        let after_id = if picture_id.is_some() { 4 } else { 2 };
        let after_tl0 = after_id + usize::from(tl0.is_some());
        let form = Form {
            bytes: u64::from_le_bytes(bytes),
            len,
            picture: picture_id.map_or(0, |_| Form::PICTURE << (2 * 8)),
            tl0: tl0.map_or(0, |_| Form::TL0 << (after_id * 8)),
            key: key.map_or(0, |_| Form::KEY << (after_tl0 * 8)),
        };
        Self { len: read.len, picture_id, ids: Ids::of(picture_id, tl0, key), form }
    }

    /// Reads the start of a VP9 descriptor (RFC 9628 4.2), up to the last running number.
    fn vp9(payload: &[u8]) -> Option<Self> {
        const HAS_PICTURE_ID: u8 = 0x80;
        const HAS_LAYER: u8 = 0x20;
        const FLEXIBLE: u8 = 0x10;
        const LONG: u8 = 0x80;
        let mut rest = payload.iter().copied();
        let first = rest.next()?;
        let mut form = Form::default();
        form.push(first);
        let mut picture_id = None;
        if first & HAS_PICTURE_ID != 0 {
            let high = rest.next()?;
            picture_id = Some(if high & LONG != 0 {
                PictureId::Long(u16::from_be_bytes([high & !LONG, rest.next()?]))
            } else {
                PictureId::Short(high)
            });
            form.picture = Form::PICTURE << (form.len * 8);
            form.push(LONG);
            form.push(0);
        }
        let mut tl0 = None;
        if first & HAS_LAYER != 0 {
            form.push(rest.next()?);
            if first & FLEXIBLE == 0 {
                tl0 = Some(rest.next()?);
                form.tl0 = Form::TL0 << (form.len * 8);
                form.push(0);
            }
        }
        Some(Self { len: payload.len() - rest.len(), picture_id, ids: Ids::of(picture_id, tl0, None), form })
    }

    /// The bytes of the payload it stands for.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn picture_id(&self) -> Option<PictureId> {
        self.picture_id
    }

    /// Its numbers; 0 for those it does not carry.
    pub(crate) const fn ids(&self) -> Ids {
        self.ids
    }

    /// Writes it with other numbers to the start of `out`; returns the length. What it does not carry stays out. Nothing is
    /// written where there is less room than [`MAX_LEN`].
    pub(crate) fn write(&self, ids: Ids, out: &mut [u8]) -> usize {
        let Form { bytes, len, picture, tl0, key } = self.form;
        let Some(out) = out.first_chunk_mut() else { return 0 };
        let numbers = put(ids.picture.swap_bytes(), picture) | put(ids.tl0, tl0) | put(ids.key, key);
        *out = (bytes | numbers).to_le_bytes();
        len
    }
}

/// A number in its place, if it has one.
fn put(number: impl Into<u64>, place: u64) -> u64 {
    number.into().wrapping_shl(place.trailing_zeros()) & place
}

impl Form {
    /// The high byte comes first, and its top bit says that there is a low one.
    const PICTURE: u64 = 0xff7f;
    const TL0: u64 = 0xff;
    const KEY: u64 = 0x1f;

    /// Appends a byte; there are no more than [`MAX_LEN`].
    const fn push(&mut self, byte: u8) {
        self.bytes |= (byte as u64) << (self.len * 8);
        self.len += 1;
    }
}

impl Ids {
    fn of(picture: Option<PictureId>, tl0: Option<u8>, key: Option<u8>) -> Self {
        let picture = picture.map_or(0, PictureId::value);
        Self { picture, tl0: tl0.unwrap_or(0), key: key.unwrap_or(0), frame: 0 }
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
