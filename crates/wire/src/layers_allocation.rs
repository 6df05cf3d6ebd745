//! Video layers allocation, an RTP header extension that tells which layers a publisher sends and at what rates
//! (`video-layers-allocation00` of libwebrtc).

use crate::error::ParseError;
use crate::reader::Reader;

/// The most RTP streams of a source: their count has two bits.
pub const MAX_STREAMS: usize = 4;
/// The most spatial layers of a stream.
pub const MAX_SPATIAL_LAYERS: usize = 4;
/// The most temporal layers of a spatial layer.
pub const MAX_TEMPORAL_LAYERS: usize = 4;
/// The most layers of an allocation.
pub const MAX_LAYERS: usize = MAX_STREAMS * MAX_SPATIAL_LAYERS;
/// The most bytes an allocation can take when written: header, masks, counts, rates of five bytes, sizes. What is
/// longer than 255 bytes fits no header extension.
pub const MAX_LEN: usize = 1 + 2 + MAX_LAYERS / 4 + MAX_LAYERS * (5 * MAX_TEMPORAL_LAYERS + SIZE_LEN);

/// Bytes of the size of a layer.
const SIZE_LEN: usize = 5;
const MAX_SIDE: u32 = 1 << 16;

/// The size and frame rate of a spatial layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerSize {
    /// Pixels in a line, 1–65536.
    pub width: u32,
    /// Lines, 1–65536.
    pub height: u32,
    /// The most frames per second.
    pub max_frame_rate: u8,
}

/// A spatial layer that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpatialLayer {
    /// The RTP stream it is sent on, 0–3, in the order of the rids in the offer.
    pub stream: u8,
    /// The spatial layer within the stream, 0–3.
    pub spatial_id: u8,
    targets_kbps: [u32; MAX_TEMPORAL_LAYERS],
    temporal_count: u8,
    /// Its size, if the allocation tells sizes.
    pub size: Option<LayerSize>,
}

impl SpatialLayer {
    /// A layer whose temporal layers have these target rates; `None` if there is none or more than four of them.
    #[must_use]
    pub fn new(stream: u8, spatial_id: u8, targets_kbps: &[u32], size: Option<LayerSize>) -> Option<Self> {
        if targets_kbps.is_empty() {
            return None;
        }
        let mut targets = [0; MAX_TEMPORAL_LAYERS];
        targets.get_mut(..targets_kbps.len())?.copy_from_slice(targets_kbps);
        let temporal_count = targets_kbps.len() as u8; // At most four.
        Some(Self { stream, spatial_id, targets_kbps: targets, temporal_count, size })
    }

    /// The rate that each temporal layer takes together with all below it, in kbit/s. With spatial layers that need
    /// those below, theirs is included too.
    #[must_use]
    pub fn targets_kbps(&self) -> &[u32] {
        self.targets_kbps.get(..usize::from(self.temporal_count)).unwrap_or_default()
    }
}

/// What a publisher sends of one source, as told on one of its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayersAllocation {
    stream: u8,
    stream_count: u8,
    layers: [SpatialLayer; MAX_LAYERS],
    layer_count: u8,
}

const NO_LAYER: SpatialLayer =
    SpatialLayer { stream: 0, spatial_id: 0, targets_kbps: [0; MAX_TEMPORAL_LAYERS], temporal_count: 0, size: None };

impl LayersAllocation {
    /// Nothing is sent.
    pub const EMPTY: Self = Self { stream: 0, stream_count: 1, layers: [NO_LAYER; MAX_LAYERS], layer_count: 0 };

    /// An allocation told on stream number `stream` of `stream_count`.
    ///
    /// `None` if it cannot be written: streams and layers must ascend and lie within their bounds, at least one layer
    /// must be there, and all or none must have a size, whose sides are 1–65536.
    #[must_use]
    pub fn new(stream: u8, stream_count: u8, layers: &[SpatialLayer]) -> Option<Self> {
        let in_bounds = |layer: &SpatialLayer| {
            let sides = layer.size.iter().flat_map(|size| [size.width, size.height]);
            layer.stream < stream_count
                && usize::from(layer.spatial_id) < MAX_SPATIAL_LAYERS
                && sides.into_iter().all(|side| (1..=MAX_SIDE).contains(&side))
        };
        let place = |layer: &SpatialLayer| (layer.stream, layer.spatial_id);
        let has_sizes = layers.first()?.size.is_some();
        let is_valid = usize::from(stream) < MAX_STREAMS
            && (1..=MAX_STREAMS).contains(&usize::from(stream_count))
            && layers.is_sorted_by(|a, b| place(a) < place(b))
            && layers.iter().all(|layer| in_bounds(layer) && layer.size.is_some() == has_sizes);
        if !is_valid {
            return None;
        }
        let mut all = Self { stream, stream_count, ..Self::EMPTY };
        layers.iter().all(|&layer| all.push(layer)).then_some(all)
    }

    /// The stream the allocation was told on.
    #[must_use]
    pub const fn stream(&self) -> u8 {
        self.stream
    }

    /// How many streams the source is sent on, those that are paused too.
    #[must_use]
    pub const fn stream_count(&self) -> u8 {
        self.stream_count
    }

    /// The layers that are sent, ascending by stream and spatial layer; none if the source is paused.
    #[must_use]
    pub fn layers(&self) -> &[SpatialLayer] {
        self.layers.get(..usize::from(self.layer_count)).unwrap_or_default()
    }

    /// Reads the element of [`crate::Extension::VideoLayersAllocation`].
    pub fn parse(data: &[u8]) -> Result<Self, ParseError> {
        if data == [0] {
            return Ok(Self::EMPTY);
        }
        let mut reader = Reader(data);
        let head = reader.u8()?;
        let mut all = Self { stream: head >> 6, stream_count: (head >> 4 & 3) + 1, ..Self::EMPTY };
        let masks = read_masks(head & 0x0f, all.stream_count, &mut reader)?;
        all.read_layers(masks, &mut reader)?;
        for layer in all.layers_mut() {
            for target in layer.targets_kbps.iter_mut().take(usize::from(layer.temporal_count)) {
                *target = read_leb128(&mut reader)?;
            }
        }
        if reader.0.is_empty() {
            return Ok(all);
        }
        for layer in all.layers_mut() {
            let (width, height) = (u32::from(reader.u16()?) + 1, u32::from(reader.u16()?) + 1);
            layer.size = Some(LayerSize { width, height, max_frame_rate: reader.u8()? });
        }
        if reader.0.is_empty() { Ok(all) } else { Err(ParseError::Forbidden) }
    }

    /// Writes the allocation to the start of `out` and returns its length, at most [`MAX_LEN`]; 0 if there is no room.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let mut scratch = [0; MAX_LEN];
        let mut writer = ByteWriter { out: &mut scratch, len: 0 };
        if self.layers().is_empty() {
            writer.push(0);
        } else {
            self.write_masks(&mut writer);
            for some in self.layers().chunks(4) {
                let counts = some.iter().zip([6, 4, 2, 0]);
                writer.push(counts.fold(0, |byte, (layer, shift)| byte | (layer.temporal_count - 1) << shift));
            }
            self.layers().iter().flat_map(SpatialLayer::targets_kbps).for_each(|&target| writer.push_leb128(target));
            for size in self.layers().iter().filter_map(|layer| layer.size) {
                // Sides are 1–65536.
                let [_, _, w0, w1] = (size.width - 1).to_be_bytes();
                let [_, _, h0, h1] = (size.height - 1).to_be_bytes();
                [w0, w1, h0, h1, size.max_frame_rate].into_iter().for_each(|byte| writer.push(byte));
            }
        }
        let len = writer.len;
        match (out.get_mut(..len), scratch.get(..len)) {
            (Some(out), Some(written)) => {
                out.copy_from_slice(written);
                len
            }
            _ => 0,
        }
    }

    /// Appends a layer; false if there is no room.
    fn push(&mut self, layer: SpatialLayer) -> bool {
        let Some(place) = self.layers.get_mut(usize::from(self.layer_count)) else { return false };
        *place = layer;
        self.layer_count += 1;
        true
    }

    fn layers_mut(&mut self) -> &mut [SpatialLayer] {
        self.layers.get_mut(..usize::from(self.layer_count)).unwrap_or_default()
    }

    /// Two bits for each layer, four layers to the byte: how many temporal layers it has.
    fn read_layers(&mut self, masks: [u8; MAX_STREAMS], reader: &mut Reader<'_>) -> Result<(), ParseError> {
        let mut counts = 0;
        let places = (0u8..).zip(masks).flat_map(|(stream, mask)| {
            (0..MAX_SPATIAL_LAYERS as u8).filter(move |&id| mask & 1 << id != 0).map(move |id| (stream, id))
        });
        for (index, (stream, spatial_id)) in places.enumerate() {
            if index % 4 == 0 {
                counts = reader.u8()?;
            }
            let temporal_count = (counts >> 6) + 1;
            counts <<= 2;
            // At most sixteen places: all find room.
            self.push(SpatialLayer { stream, spatial_id, temporal_count, ..NO_LAYER });
        }
        Ok(())
    }

    fn masks(&self) -> [u8; MAX_STREAMS] {
        let mut masks = [0; MAX_STREAMS];
        for layer in self.layers() {
            if let Some(mask) = masks.get_mut(usize::from(layer.stream)) {
                *mask |= 1 << layer.spatial_id;
            }
        }
        masks
    }

    fn write_masks(&self, writer: &mut ByteWriter<'_>) {
        let masks = self.masks();
        let [first, second, third, fourth] = masks;
        let head = self.stream << 6 | (self.stream_count - 1) << 4;
        if masks.iter().take(usize::from(self.stream_count)).all(|&mask| mask == first) {
            writer.push(head | first);
            return;
        }
        writer.push(head);
        writer.push(first << 4 | second);
        if self.stream_count > 2 {
            writer.push(third << 4 | fourth);
        }
    }
}

/// The spatial layers of each stream. One mask for all stands in the head; if that is zero each has its own.
fn read_masks(shared: u8, stream_count: u8, reader: &mut Reader<'_>) -> Result<[u8; MAX_STREAMS], ParseError> {
    let mut masks = [shared; MAX_STREAMS];
    if shared == 0 {
        let first = reader.u8()?;
        let second = if stream_count > 2 { reader.u8()? } else { 0 };
        masks = [first >> 4, first & 0x0f, second >> 4, second & 0x0f];
    }
    masks.iter_mut().skip(usize::from(stream_count)).for_each(|mask| *mask = 0);
    if masks == [0; MAX_STREAMS] { Err(ParseError::Forbidden) } else { Ok(masks) }
}

/// A number in groups of seven bits, the lowest first (AV1 specification 4.10.5), of 32 bits at most.
fn read_leb128(reader: &mut Reader<'_>) -> Result<u32, ParseError> {
    let mut value = 0u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = reader.u8()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| ParseError::Forbidden);
        }
    }
    Err(ParseError::Forbidden)
}

/// Bytes put behind one another; the scratch it is used on has room for the largest allocation.
struct ByteWriter<'b> {
    out: &'b mut [u8],
    len: usize,
}

impl ByteWriter<'_> {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.out.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn push_leb128(&mut self, mut value: u32) {
        while value > 0x7f {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32, max_frame_rate: u8) -> Option<LayerSize> {
        Some(LayerSize { width, height, max_frame_rate })
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<LayersAllocation>) {
        let expected = expected.unwrap();
        assert_eq!(LayersAllocation::parse(bytes), Ok(expected));
        let mut out = [0xee; MAX_LEN];
        let len = expected.write(&mut out);
        assert_eq!(&out[..len], bytes);
        assert_eq!(expected.write(&mut out[..len - 1]), 0, "no room");
        for cut in 1..len {
            let cut_short = LayersAllocation::parse(&bytes[..cut]);
            assert!(cut_short != Ok(expected), "cut to {cut}");
        }
    }

    #[test]
    fn streams_with_the_same_layers_share_a_mask() {
        let layer = |stream, targets: &[u32]| SpatialLayer::new(stream, 0, targets, None).unwrap();
        let all = LayersAllocation::new(1, 2, &[layer(0, &[100, 150]), layer(1, &[300])]);
        check(&[0x51, 0x40, 100, 0x96, 1, 0xac, 2], all);
    }

    #[test]
    fn streams_that_differ_have_a_mask_each() {
        let layers = [
            SpatialLayer::new(0, 0, &[1], size(320, 180, 30)).unwrap(),
            SpatialLayer::new(2, 1, &[1, 2, 3, 4], size(65_536, 1, 255)).unwrap(),
        ];
        let sizes = [0x01, 0x3f, 0, 0xb3, 30, 0xff, 0xff, 0, 0, 255];
        check(&[&[0x20, 0x10, 0x20, 0x30, 1, 1, 2, 3, 4][..], &sizes].concat(), LayersAllocation::new(0, 3, &layers));
        let paused = SpatialLayer::new(1, 0, &[7], None).unwrap();
        check(&[0x10, 0x01, 0, 7], LayersAllocation::new(0, 2, &[paused]));
    }

    #[test]
    fn nothing_is_a_zero() {
        check(&[0], Some(LayersAllocation::EMPTY));
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let check = |bytes: &[u8], error| assert_eq!(LayersAllocation::parse(bytes), Err(error), "{bytes:02x?}");
        check(&[], ParseError::Truncated);
        check(&[0, 0, 0], ParseError::Forbidden); // No layer, in the long form.
        check(&[0x01, 0], ParseError::Truncated);
        check(&[0x01, 0, 5, 0, 1], ParseError::Truncated); // Within a size.
        check(&[0x01, 0, 5, 0, 1, 0, 1, 30, 0], ParseError::Forbidden); // Behind the sizes.
        check(&[0x01, 0, 0xff, 0xff, 0xff, 0xff, 0x10], ParseError::Forbidden); // 33 bits.
        check(&[0x01, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0], ParseError::Forbidden); // Six bytes.
    }

    #[test]
    fn what_cannot_be_written_is_not_made() {
        let layer = |stream, id, size| SpatialLayer::new(stream, id, &[1], size).unwrap();
        assert_eq!(SpatialLayer::new(0, 0, &[], None), None);
        assert_eq!(SpatialLayer::new(0, 0, &[1; 5], None), None);
        assert_eq!(LayersAllocation::new(0, 1, &[]), None);
        assert_eq!(LayersAllocation::new(4, 4, &[layer(0, 0, None)]), None);
        assert_eq!(LayersAllocation::new(0, 5, &[layer(4, 0, None)]), None);
        assert_eq!(LayersAllocation::new(0, 1, &[layer(1, 0, None)]), None);
        assert_eq!(LayersAllocation::new(0, 1, &[layer(0, 4, None)]), None);
        assert_eq!(LayersAllocation::new(0, 1, &[layer(0, 1, None), layer(0, 0, None)]), None, "the order");
        assert_eq!(LayersAllocation::new(0, 1, &[layer(0, 0, None), layer(0, 1, size(1, 1, 1))]), None);
        assert_eq!(LayersAllocation::new(0, 1, &[layer(0, 0, size(0, 1, 1))]), None);
    }
}
