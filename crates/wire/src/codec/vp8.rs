//! The VP8 payload descriptor (RFC 7741 4.2), read and written.

use crate::error::ParseError;
use crate::reader::Reader;

const EXTENDED: u8 = 0x80;
const NON_REFERENCE: u8 = 0x20;
const START: u8 = 0x10;
const PARTITION: u8 = 0x07;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0_PIC_IDX: u8 = 0x40;
const HAS_TID: u8 = 0x20;
const HAS_KEY_IDX: u8 = 0x10;
const LONG_PICTURE_ID: u8 = 0x80;
const LAYER_SYNC: u8 = 0x20;

/// The most bytes a descriptor takes.
pub const MAX_LEN: usize = 6;

/// The number of a picture in the form it was read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureId {
    /// 7 bits.
    Short(u8),
    /// 15 bits; the top bit is ignored.
    Long(u16),
}

impl PictureId {
    /// The number.
    #[must_use]
    pub const fn value(self) -> u16 {
        match self {
            Self::Short(id) => (id & 0x7f) as u16,
            Self::Long(id) => id & 0x7fff,
        }
    }

    /// The same number in 15 bits, as it is written.
    #[must_use]
    pub const fn to_long(self) -> Self {
        Self::Long(self.value())
    }

    /// Reads one or two bytes, as the top bit of the first says; VP9 has the same form.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let high = reader.u8()?;
        if high & LONG_PICTURE_ID == 0 {
            return Ok(Self::Short(high));
        }
        Ok(Self::Long(u16::from_be_bytes([high & !LONG_PICTURE_ID, reader.u8()?])))
    }
}

/// The descriptor in front of every piece of a VP8 frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// N: no other frame needs this one.
    pub non_reference: bool,
    /// S: the packet starts a partition.
    pub start: bool,
    /// PID: which partition, 0–7.
    pub partition: u8,
    /// I: the number of the picture.
    pub picture_id: Option<PictureId>,
    /// L: a running count of frames of the base temporal layer.
    pub tl0_pic_idx: Option<u8>,
    /// T: the temporal layer, 0–3.
    pub tid: Option<u8>,
    /// Y: the frame depends on the base layer only; means something only beside `tid`.
    pub y: bool,
    /// K: a running count of keyframes, 5 bits.
    pub key_idx: Option<u8>,
    /// Bytes the descriptor took when it was read; not looked at when writing.
    pub len: usize,
}

impl Descriptor {
    /// Reads the descriptor at the start of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader(payload);
        let first = reader.u8()?;
        let present = if first & EXTENDED != 0 { reader.u8()? } else { 0 };
        let picture_id = if present & HAS_PICTURE_ID != 0 { Some(PictureId::read(&mut reader)?) } else { None };
        let tl0_pic_idx = if present & HAS_TL0_PIC_IDX != 0 { Some(reader.u8()?) } else { None };
        let layer = if present & (HAS_TID | HAS_KEY_IDX) != 0 { reader.u8()? } else { 0 };
        let has_tid = present & HAS_TID != 0;
        Ok(Self {
            non_reference: first & NON_REFERENCE != 0,
            start: first & START != 0,
            partition: first & PARTITION,
            picture_id,
            tl0_pic_idx,
            tid: has_tid.then_some(layer >> 6),
            y: has_tid && layer & LAYER_SYNC != 0,
            key_idx: (present & HAS_KEY_IDX != 0).then_some(layer & 0x1f),
            len: payload.len() - reader.0.len(),
        })
    }

    /// Writes the descriptor to the start of `out` and returns its length; 0 if it does not fit. Ids take 15 bits.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let len = self.written_len();
        let Some(out) = out.get_mut(..len) else { return 0 };
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let present = flag(self.picture_id.is_some(), HAS_PICTURE_ID)
            | flag(self.tl0_pic_idx.is_some(), HAS_TL0_PIC_IDX)
            | flag(self.tid.is_some(), HAS_TID)
            | flag(self.key_idx.is_some(), HAS_KEY_IDX);
        let first = flag(present != 0, EXTENDED)
            | flag(self.non_reference, NON_REFERENCE)
            | flag(self.start, START)
            | self.partition & PARTITION;
        let [high, low] = self.picture_id.map_or(0, PictureId::value).to_be_bytes();
        let layer = self.tid.map_or(0, |tid| tid << 6 | flag(self.y, LAYER_SYNC)) | self.key_idx.unwrap_or(0) & 0x1f;

        let fields = [
            (true, first),
            (present != 0, present),
            (self.picture_id.is_some(), high | LONG_PICTURE_ID),
            (self.picture_id.is_some(), low),
            (self.tl0_pic_idx.is_some(), self.tl0_pic_idx.unwrap_or(0)),
            (present & (HAS_TID | HAS_KEY_IDX) != 0, layer),
        ];
        let mut at = 0;
        for (is_present, byte) in fields {
            // There are as many places as fields that are present.
            if let Some(place) = out.get_mut(at).filter(|_| is_present) {
                *place = byte;
                at += 1;
            }
        }
        len
    }

    /// Bytes that [`Descriptor::write`] needs, at most [`MAX_LEN`].
    #[must_use]
    pub const fn written_len(&self) -> usize {
        let id = if self.picture_id.is_some() { 2 } else { 0 };
        let tl0 = self.tl0_pic_idx.is_some() as usize;
        let layer = (self.tid.is_some() || self.key_idx.is_some()) as usize;
        let optional = id + tl0 + layer;
        1 + (optional != 0) as usize + optional
    }
}

/// Whether an RTP payload, descriptor included, is the first of a keyframe: the start of partition 0 with the
/// inverse-key bit of the frame header clear (RFC 7741 4.3).
#[must_use]
pub fn is_keyframe(payload: &[u8]) -> bool {
    let Ok(descriptor) = Descriptor::parse(payload) else { return false };
    let frame = payload.get(descriptor.len);
    descriptor.start && descriptor.partition == 0 && frame.is_some_and(|header| header & 0x01 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_where_rfc_7741_puts_them() {
        let full = Descriptor {
            non_reference: true,
            start: true,
            partition: 5,
            picture_id: Some(PictureId::Long(0x1234)),
            tl0_pic_idx: Some(200),
            tid: Some(2),
            y: true,
            key_idx: Some(17),
            len: 6,
        };
        let plain = Descriptor { start: true, len: 1, ..Descriptor::default() };
        let table = [
            (&[0xb5, 0xf0, 0x92, 0x34, 200, 0xb1][..], full),
            (&[0x10], plain),
            (&[0x90, 0x80, 0x11], Descriptor { picture_id: Some(PictureId::Short(17)), len: 3, ..plain }),
            (&[0x90, 0x40, 9], Descriptor { tl0_pic_idx: Some(9), len: 3, ..plain }),
            (&[0x90, 0x20, 0x40], Descriptor { tid: Some(1), len: 3, ..plain }),
            (&[0x90, 0x10, 0xff], Descriptor { key_idx: Some(31), len: 3, ..plain }), // TID and Y mean nothing here.
            (&[0x90, 0x00], Descriptor { len: 2, ..plain }),
        ];
        for (bytes, expected) in table {
            assert_eq!(Descriptor::parse(bytes), Ok(expected), "{bytes:02x?}");
            for cut in 0..bytes.len() {
                assert_eq!(Descriptor::parse(&bytes[..cut]), Err(ParseError::Truncated), "{bytes:02x?} cut to {cut}");
            }
        }
    }

    #[test]
    fn short_ids_are_written_long() {
        let mut out = [0xee; 8];
        let short = Descriptor::parse(&[0x90, 0x80, 0x11]).unwrap();
        assert_eq!(short.write(&mut out), 4);
        assert_eq!(out[..5], [0x90, 0x80, 0x80, 0x11, 0xee]);
        assert_eq!(Descriptor::parse(&out).unwrap().picture_id, Some(PictureId::Long(17)));
    }

    #[test]
    fn values_too_large_for_their_field_are_cut_to_it() {
        let wide = Descriptor {
            partition: 0xff,
            picture_id: Some(PictureId::Long(0xffff)),
            tid: Some(7),
            key_idx: Some(0xff),
            ..Descriptor::default()
        };
        let mut out = [0; MAX_LEN];
        let len = wide.write(&mut out);
        let read = Descriptor::parse(&out[..len]).unwrap();
        assert_eq!((read.partition, read.picture_id), (7, Some(PictureId::Long(0x7fff))));
        assert_eq!((read.tid, read.y, read.key_idx), (Some(3), false, Some(31)));
    }

    #[test]
    fn a_descriptor_without_room_is_not_written() {
        let descriptor = Descriptor { tid: Some(1), ..Descriptor::default() };
        let mut out = [0xee; 2];
        assert_eq!(descriptor.write(&mut out), 0);
        assert_eq!(out, [0xee; 2]);
    }
}
