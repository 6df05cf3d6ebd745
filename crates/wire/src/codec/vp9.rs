//! The VP9 payload descriptor (RFC 9628 4.2), read, written, and renumbered in place.

use crate::codec::vp8::PictureId;
use crate::error::ParseError;
use crate::reader::Reader;

const HAS_PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const START: u8 = 0x08;
const END: u8 = 0x04;
const HAS_STRUCTURE: u8 = 0x02;
const NOT_A_REFERENCE: u8 = 0x01;
const LONG_PICTURE_ID: u8 = 0x80;
const SWITCHING_UP: u8 = 0x10;
const INTER_LAYER: u8 = 0x01;
const MORE_DIFFS: u8 = 0x01;
const HAS_SIZES: u8 = 0x10;
const HAS_PICTURES: u8 = 0x08;

/// The most pictures one may name as needed: three.
pub const MAX_REFERENCES: usize = 3;
/// The most spatial layers: their count has three bits.
pub const MAX_SPATIAL_LAYERS: usize = 8;
/// The most bytes of a descriptor without a scalability structure.
pub const MAX_LEN: usize = 1 + 2 + 2 + MAX_REFERENCES;

/// The layer a frame belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layer {
    /// TID: the temporal layer, 0–7.
    pub temporal_id: u8,
    /// U: later frames of this spatial layer need no earlier ones of this temporal layer, so one can switch up to it.
    pub switching_up: bool,
    /// SID: the spatial layer, 0–7.
    pub spatial_id: u8,
    /// D: the frame needs that of the spatial layer below in the same picture.
    pub inter_layer: bool,
    /// TL0PICIDX: a running count of pictures of the base temporal layer; not in flexible mode.
    pub tl0_pic_idx: Option<u8>,
}

/// P_DIFF: how many pictures back lie those a frame needs, 1–127 each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct References {
    diffs: [u8; MAX_REFERENCES],
    len: u8,
}

impl References {
    /// Those of `diffs`; `None` if there are more than three or one is not 0–127.
    #[must_use]
    pub fn new(diffs: &[u8]) -> Option<Self> {
        let mut all = Self::default();
        diffs.iter().all(|&diff| diff < 0x80 && all.push(diff)).then_some(all)
    }

    /// The differences in the order of the descriptor.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.diffs.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn push(&mut self, diff: u8) -> bool {
        let Some(place) = self.diffs.get_mut(usize::from(self.len)) else { return false };
        *place = diff;
        self.len += 1;
        true
    }

    /// Up to three bytes, each saying whether one more follows (RFC 9628 4.2); it does not behind the third.
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let mut all = Self::default();
        loop {
            let byte = reader.u8()?;
            if !all.push(byte >> 1) {
                return Err(ParseError::Forbidden);
            }
            if byte & MORE_DIFFS == 0 {
                return Ok(all);
            }
        }
    }
}

/// The descriptor in front of every piece of a VP9 frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptor<'a> {
    /// I: the number of the picture.
    pub picture_id: Option<PictureId>,
    /// P: the frame needs earlier pictures.
    pub inter_predicted: bool,
    /// F: frames name the pictures they need; otherwise the scalability structure does.
    pub flexible: bool,
    /// B: the packet starts a frame of a layer.
    pub start: bool,
    /// E: the packet ends a frame of a layer.
    pub end: bool,
    /// Z: no higher spatial layer of the picture needs this one.
    pub not_a_reference: bool,
    /// L: the layer.
    pub layer: Option<Layer>,
    /// The pictures needed, told in flexible mode by frames that need some.
    pub references: References,
    /// V: the layers of the stream.
    pub structure: Option<ScalabilityStructure<'a>>,
    /// Bytes the descriptor took when it was read; not looked at when writing.
    pub len: usize,
}

impl<'a> Descriptor<'a> {
    /// Reads the descriptor at the start of an RTP payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader(payload);
        let first = reader.u8()?;
        let has = |bit: u8| first & bit != 0;
        let (inter_predicted, flexible) = (has(INTER_PREDICTED), has(FLEXIBLE));
        let picture_id = if has(HAS_PICTURE_ID) { Some(PictureId::read(&mut reader)?) } else { None };
        let layer = if has(HAS_LAYERS) { Some(read_layer(&mut reader, flexible)?) } else { None };
        let references =
            if flexible && inter_predicted { References::read(&mut reader)? } else { References::default() };
        let structure = if has(HAS_STRUCTURE) { Some(ScalabilityStructure::read(&mut reader)?) } else { None };
        Ok(Self {
            picture_id,
            inter_predicted,
            flexible,
            start: has(START),
            end: has(END),
            not_a_reference: has(NOT_A_REFERENCE),
            layer,
            references,
            structure,
            len: payload.len() - reader.0.len(),
        })
    }

    /// Whether the packet is the first of a picture that needs no earlier one: the start of the lowest spatial layer.
    #[must_use]
    pub fn starts_keyframe(&self) -> bool {
        !self.inter_predicted && self.start && self.layer.is_none_or(|layer| layer.spatial_id == 0)
    }

    /// Writes the descriptor to the start of `out` and returns its length; 0 if it does not fit. Ids take 15 bits.
    /// References are written where the format has them only, a count for the base layer likewise.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let has_references = self.flexible && self.inter_predicted && !self.references.as_slice().is_empty();
        let first = flag(self.picture_id.is_some(), HAS_PICTURE_ID)
            | flag(self.inter_predicted, INTER_PREDICTED)
            | flag(self.layer.is_some(), HAS_LAYERS)
            | flag(self.flexible, FLEXIBLE)
            | flag(self.start, START)
            | flag(self.end, END)
            | flag(self.structure.is_some(), HAS_STRUCTURE)
            | flag(self.not_a_reference, NOT_A_REFERENCE);
        let mut head = [0; MAX_LEN];
        let [high, low] = self.picture_id.map_or(0, PictureId::value).to_be_bytes();
        let layer = self.layer.unwrap_or_default();
        let layer_byte = layer.temporal_id << 5
            | flag(layer.switching_up, SWITCHING_UP)
            | (layer.spatial_id & 7) << 1
            | flag(layer.inter_layer, INTER_LAYER);
        let fields = [
            (true, first),
            (self.picture_id.is_some(), high | LONG_PICTURE_ID),
            (self.picture_id.is_some(), low),
            (self.layer.is_some(), layer_byte),
            (self.layer.is_some() && !self.flexible, layer.tl0_pic_idx.unwrap_or(0)),
        ];
        let last = self.references.as_slice().len();
        let diffs = (1..).zip(self.references.as_slice());
        let diffs = diffs.map(|(count, diff)| (has_references, diff << 1 | flag(count < last, MORE_DIFFS)));
        let written = fields.into_iter().chain(diffs).filter_map(|(is_present, byte)| is_present.then_some(byte));
        let mut head_len = 0;
        for (place, byte) in head.iter_mut().zip(written) {
            (*place, head_len) = (byte, head_len + 1);
        }
        let structure = self.structure.map_or(&[][..], |structure| structure.bytes);
        let (Some(head), Some(out)) = (head.get(..head_len), out.get_mut(..head_len + structure.len())) else {
            return 0;
        };
        let (head_out, structure_out) = out.split_at_mut(head_len);
        head_out.copy_from_slice(head);
        structure_out.copy_from_slice(structure);
        head_len + structure.len()
    }
}

/// Whether an RTP payload, descriptor included, is the first of a keyframe.
#[must_use]
pub fn is_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_ok_and(|descriptor| descriptor.starts_keyframe())
}

/// Changes the number of the picture and, where there is one, the count of the base layer in the bytes of an RTP
/// payload. A short number stays short and takes the low seven bits. Returns whether the payload has what was changed:
/// a number, and room for it; if not, nothing is.
pub fn renumber(payload: &mut [u8], picture_id: u16, tl0_pic_idx: Option<u8>) -> bool {
    let Ok(Descriptor { picture_id: current, layer, .. }) = Descriptor::parse(payload) else { return false };
    let [high, low] = picture_id.to_be_bytes();
    let id_len = match (current, payload.get_mut(1..3)) {
        (Some(PictureId::Long(_)), Some([first, second])) => {
            (*first, *second) = (high | LONG_PICTURE_ID, low);
            2
        }
        (Some(PictureId::Short(_)), _) => {
            if let Some(byte) = payload.get_mut(1) {
                *byte = low & !LONG_PICTURE_ID;
            }
            1
        }
        _ => return false,
    };
    let has_tl0 = layer.is_some_and(|layer| layer.tl0_pic_idx.is_some());
    // Behind the first byte, the id and the layer.
    if let (Some(tl0), Some(place)) = (tl0_pic_idx.filter(|_| has_tl0), payload.get_mut(id_len + 2)) {
        *place = tl0;
    }
    true
}

fn read_layer(reader: &mut Reader<'_>, flexible: bool) -> Result<Layer, ParseError> {
    let byte = reader.u8()?;
    Ok(Layer {
        temporal_id: byte >> 5,
        switching_up: byte & SWITCHING_UP != 0,
        spatial_id: byte >> 1 & 7,
        inter_layer: byte & INTER_LAYER != 0,
        tl0_pic_idx: if flexible { None } else { Some(reader.u8()?) },
    })
}

/// SS: the layers of the stream and the pattern of its pictures (RFC 9628 4.2.1), checked when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalabilityStructure<'a> {
    bytes: &'a [u8],
}

impl<'a> ScalabilityStructure<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let start = reader.0;
        let first = reader.u8()?;
        if first & HAS_SIZES != 0 {
            reader.take(4 * (usize::from(first >> 5) + 1))?;
        }
        if first & HAS_PICTURES != 0 {
            let count = reader.u8()?;
            for _ in 0..count {
                Picture::read(reader)?;
            }
        }
        let bytes = start.get(..start.len() - reader.0.len()).ok_or(ParseError::Truncated)?;
        Ok(Self { bytes })
    }

    /// How many spatial layers the stream has, 1–8.
    #[must_use]
    pub fn spatial_layer_count(&self) -> u8 {
        (self.head() >> 5) + 1
    }

    /// Width and height of each spatial layer, the lowest first; none if they are not told.
    pub fn sizes(&self) -> impl Iterator<Item = (u16, u16)> + use<'a> {
        let has_sizes = self.head() & HAS_SIZES != 0;
        let count = if has_sizes { usize::from(self.spatial_layer_count()) } else { 0 };
        let mut reader = Reader(self.bytes.get(1..).unwrap_or_default());
        (0..count).map_while(move |_| Some((reader.u16().ok()?, reader.u16().ok()?)))
    }

    /// The pictures of the pattern, at most 255; none if it is not told.
    pub fn pictures(&self) -> impl Iterator<Item = Picture> + use<'a> {
        let sizes_len = if self.head() & HAS_SIZES != 0 { 4 * usize::from(self.spatial_layer_count()) } else { 0 };
        let mut reader = Reader(self.bytes.get(1 + sizes_len..).unwrap_or_default());
        let count = if self.head() & HAS_PICTURES != 0 { reader.u8().unwrap_or(0) } else { 0 };
        (0..count).map_while(move |_| Picture::read(&mut reader).ok())
    }

    fn head(&self) -> u8 {
        self.bytes.first().copied().unwrap_or(0)
    }
}

/// A picture of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// The temporal layer.
    pub temporal_id: u8,
    /// Whether one can switch up to its layer there.
    pub switching_up: bool,
    /// The pictures it needs.
    pub references: References,
}

impl Picture {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let byte = reader.u8()?;
        let mut references = References::default();
        for &diff in reader.take(usize::from(byte >> 2 & 3))? {
            // At most three: all find room.
            references.push(diff);
        }
        Ok(Self { temporal_id: byte >> 5, switching_up: byte & SWITCHING_UP != 0, references })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: Layer =
        Layer { temporal_id: 2, switching_up: true, spatial_id: 1, inter_layer: true, tl0_pic_idx: Some(200) };

    #[test]
    fn fields_are_read_where_rfc_9628_puts_them() {
        let full = Descriptor {
            picture_id: Some(PictureId::Long(0x1234)),
            inter_predicted: true,
            start: true,
            end: true,
            not_a_reference: true,
            layer: Some(LAYER),
            len: 5,
            ..Descriptor::default()
        };
        let references = References::new(&[1, 2, 127]).unwrap();
        let layer = Some(Layer { tl0_pic_idx: None, ..LAYER });
        let flexible = Descriptor { flexible: true, layer, references, len: 7, ..full };
        let plain = Descriptor { start: true, len: 1, ..Descriptor::default() };
        let table = [
            (&[0xed, 0x92, 0x34, 0x53, 200][..], full),
            (&[0xfd, 0x92, 0x34, 0x53, 0x03, 0x05, 0xfe], flexible),
            (&[0x08], plain),
            (&[0x88, 0x11], Descriptor { picture_id: Some(PictureId::Short(17)), len: 2, ..plain }),
            (&[0x18], Descriptor { flexible: true, ..plain }),
        ];
        for (bytes, expected) in table {
            assert_eq!(Descriptor::parse(bytes), Ok(expected), "{bytes:02x?}");
            for cut in 0..bytes.len() {
                assert_eq!(Descriptor::parse(&bytes[..cut]), Err(ParseError::Truncated), "{bytes:02x?} cut to {cut}");
            }
        }
        assert_eq!(Descriptor::parse(&[0x50, 3, 3, 3]), Err(ParseError::Truncated));
        assert_eq!(Descriptor::parse(&[0x50, 3, 3, 3, 2]), Err(ParseError::Forbidden), "a fourth reference");
    }

    #[test]
    fn the_structure_tells_sizes_and_pictures() {
        // Two layers with sizes, three pictures, of which the last needs two others.
        let bytes = [0x0a, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 3, 0x00, 0x54, 1, 0x28, 1, 2, 0x99];
        let descriptor = Descriptor::parse(&bytes).unwrap();
        assert_eq!(descriptor.len, bytes.len() - 1);
        let structure = descriptor.structure.unwrap();
        assert_eq!(structure.spatial_layer_count(), 2);
        assert_eq!(structure.sizes().collect::<Vec<_>>(), [(320, 180), (640, 360)]);
        let picture = |temporal_id, switching_up, diffs| Picture {
            temporal_id,
            switching_up,
            references: References::new(diffs).unwrap(),
        };
        let expected = [picture(0, false, &[]), picture(2, true, &[1]), picture(1, false, &[1, 2])];
        assert_eq!(structure.pictures().collect::<Vec<_>>(), expected);
        for cut in 1..bytes.len() - 1 {
            assert_eq!(Descriptor::parse(&bytes[..cut]), Err(ParseError::Truncated), "cut to {cut}");
        }
        let bare = Descriptor::parse(&[0x0a, 0x40]).unwrap().structure.unwrap();
        assert_eq!((bare.spatial_layer_count(), bare.sizes().count(), bare.pictures().count()), (3, 0, 0));
    }

    #[test]
    fn short_ids_are_written_long() {
        let mut out = [0xee; 8];
        let short = Descriptor::parse(&[0xa8, 0x11, 0x42, 9]).unwrap();
        assert_eq!(short.write(&mut out), 5);
        assert_eq!(out[..6], [0xa8, 0x80, 0x11, 0x42, 9, 0xee]);
        assert_eq!(short.write(&mut out[..4]), 0, "no room");
    }

    #[test]
    fn numbers_are_changed_in_place() {
        let check = |payload: &[u8], picture_id, tl0, expected: Option<&[u8]>| {
            let mut bytes = payload.to_vec();
            assert_eq!(renumber(&mut bytes, picture_id, tl0), expected.is_some(), "{payload:02x?}");
            assert_eq!(bytes, expected.unwrap_or(payload));
        };
        check(&[0xa8, 0x80, 0x11, 0x42, 9, 7], 0x7abc, Some(5), Some(&[0xa8, 0xfa, 0xbc, 0x42, 5, 7]));
        check(&[0xa8, 0x80, 0x11, 0x42, 9, 7], 0x7abc, None, Some(&[0xa8, 0xfa, 0xbc, 0x42, 9, 7]));
        check(&[0xa8, 0x11, 0x42, 9, 7], 0x7abc, Some(5), Some(&[0xa8, 0x3c, 0x42, 5, 7]));
        check(&[0xb8, 0x80, 0x11, 0x42, 9, 7], 1, Some(5), Some(&[0xb8, 0x80, 1, 0x42, 9, 7])); // Flexible.
        check(&[0x88, 0x80, 0x11, 0x42], 1, Some(5), Some(&[0x88, 0x80, 1, 0x42])); // No layers.
        check(&[0x28, 0x42, 9], 1, Some(5), None);
        check(&[0xa8, 0x80, 0x11], 1, Some(5), None);
    }
}
