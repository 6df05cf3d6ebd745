//! One media packet, read once and ready to be forwarded to many.

use roundtable_wire::dependency::Layout;
use roundtable_wire::vp8::PictureId;
use roundtable_wire::{Codec, RtpPacket};

use crate::carried::{Carried, CopiedIds};
use crate::descriptor::{Descriptor, Ids};
use crate::frame::FrameInfo;

/// Bytes of an RTP header with the usual extensions.
const HEADER_LEN: usize = 32;

/// A packet of one layer of one track, borrowed from the datagram or the ring it lies in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<'a> {
    pub(crate) layer: u8,
    /// Its place in the layer, counted without consumed packets.
    pub(crate) index: u64,
    /// Whether it is the newest of its layer.
    pub(crate) is_newest: bool,
    pub(crate) marker: bool,
    pub(crate) timestamp: u32,
    pub(crate) codec: Codec,
    /// What it says of its frame, if it is one of video.
    pub(crate) frame: FrameInfo,
    /// Where in its dependency descriptor lies what a slot changes.
    pub(crate) layout: Option<Layout>,
    pub(crate) payload: &'a [u8],
    pub(crate) descriptor: Descriptor,
    pub(crate) ids: Ids,
    pub(crate) carried: Carried<'a>,
}

/// What is remembered of a kept packet, so that it need not be read in its turn again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Note {
    pub(crate) ids: Ids,
    pub(crate) frame: FrameInfo,
    pub(crate) layout: Option<Layout>,
}

impl<'a> Prepared<'a> {
    /// What is to be remembered of it beside its bytes.
    pub(crate) const fn note(&self) -> Note {
        Note { ids: self.ids, frame: self.frame, layout: self.layout }
    }

    /// A packet of the same number that carries nothing: it closes the gap that receivers see.
    pub(crate) fn blank(&self) -> Self {
        let (marker, frame, layout) = (false, FrameInfo::default(), None);
        let (payload, descriptor, carried) = (&[][..], Descriptor::default(), Carried::default());
        Self { marker, frame, layout, payload, descriptor, carried, ..*self }
    }

    /// About how many bytes it has when it is sent: its header may differ by a few.
    pub(crate) const fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Reads what forwarding needs; `ids` are still those of the packet, and of the frame nothing is known.
    pub(crate) fn new(packet: &RtpPacket<'a>, codec: Codec, copied: &CopiedIds) -> Self {
        let carried = Carried::read(packet, copied);
        let descriptor = Descriptor::parse(codec, packet.payload);
        let ids = Ids { frame: carried.frame_number().unwrap_or(0), ..descriptor.ids() };
        Self {
            layer: 0,
            index: 0,
            is_newest: false,
            marker: packet.marker,
            timestamp: packet.timestamp,
            codec,
            frame: FrameInfo::default(),
            layout: None,
            payload: packet.payload,
            descriptor,
            ids,
            carried,
        }
    }
}

/// Extends the 7-bit picture ids some publishers count with to 15 bits.
#[derive(Debug, Default)]
pub(crate) struct PictureCounter {
    last: u16,
}

impl PictureCounter {
    pub(crate) fn extend(&mut self, id: PictureId) -> u16 {
        let PictureId::Short(short) = id else { return id.value() };
        let distance = (short.wrapping_sub(self.last as u8) << 1).cast_signed() >> 1;
        let extended = self.last.wrapping_add_signed(i16::from(distance)) & 0x7fff;
        if distance > 0 {
            self.last = extended;
        }
        extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_picture_ids_keep_counting_past_127() {
        let mut counter = PictureCounter::default();
        let ids: Vec<_> =
            [100, 127, 126, 0, 1, 60, 120, 10].map(|id| counter.extend(PictureId::Short(id))).into_iter().collect();
        let first = ids[0];
        let relative: Vec<_> = ids.iter().map(|id| id.wrapping_sub(first) & 0x7fff).collect();
        assert_eq!(relative, [0, 27, 26, 28, 29, 88, 148, 166]);
        assert_eq!(counter.extend(PictureId::Long(0x1234)), 0x1234);
    }
}
