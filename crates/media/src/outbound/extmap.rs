//! Header extensions of a slot: which are written, with whose ids, and what is in them.

use roundtable_wire::dependency::{self, Layout};
use roundtable_wire::ext::{abs_capture_time, abs_send_time, short_abs_capture_time};
use roundtable_wire::{Extension, ExtensionMap, ExtensionWriter, NtpTime};

use crate::carried::{CAPTURE, CaptureTime, Carried, CopiedIds, DEPENDENCY, MAX_COPIED_LEN, ORIENTATION};

/// A longer mid would need two-byte extensions, which not everybody takes: it is then sent on no packet.
const MAX_MID_LEN: usize = 16;

/// A mid as packets carry it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mid {
    bytes: [u8; MAX_MID_LEN],
    len: u8,
}

impl Mid {
    /// `None` for one that cannot be carried.
    pub(crate) fn new(mid: &str) -> Option<Self> {
        let mut bytes = [0; MAX_MID_LEN];
        bytes.get_mut(..mid.len())?.copy_from_slice(mid.as_bytes());
        (!mid.is_empty()).then_some(Self { bytes, len: mid.len() as u8 })
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The ids a slot writes with; 0 for what was not negotiated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotIds {
    mid: u8,
    transport_sequence: u8,
    abs_send_time: u8,
    copied: CopiedIds,
}

/// What the elements of one packet to a slot are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elements<'a> {
    /// The slot's mid while it is sent.
    pub(crate) mid: Option<Mid>,
    /// The transport-wide number, if the packet takes one.
    pub(crate) transport_sequence: Option<u16>,
    pub(crate) now: NtpTime,
    pub(crate) carried: &'a Carried<'a>,
    /// The slot's frame number, where the publisher's stands.
    pub(crate) frame: u16,
    /// Where that stands, and which decode targets are still fed if that is to be told.
    pub(crate) layout: Option<Layout>,
    pub(crate) active: Option<u32>,
    /// An orientation to tell if the packet tells none.
    pub(crate) orientation: Option<u8>,
}

impl SlotIds {
    /// The ids of `map`, without transport-wide numbers if the peer does not give feedback on them.
    pub(crate) fn new(map: &ExtensionMap, transport_cc: bool) -> Self {
        let id = |extension| map.id(extension).unwrap_or(0);
        Self {
            mid: id(Extension::Mid),
            transport_sequence: if transport_cc { id(Extension::TransportSequence) } else { 0 },
            abs_send_time: id(Extension::AbsSendTime),
            copied: CopiedIds::new(map),
        }
    }

    /// Whether packets take transport-wide numbers.
    pub(crate) const fn counts(&self) -> bool {
        self.transport_sequence != 0
    }

    /// Whether packets take dependency descriptors.
    pub(crate) const fn takes_descriptors(&self) -> bool {
        self.copied.0[DEPENDENCY] != 0
    }

    /// Writes the elements that were negotiated; the writer leaves out those with id 0.
    #[inline]
    pub(crate) fn write(&self, writer: &mut ExtensionWriter<'_>, elements: &Elements<'_>) {
        if !self.write_usual(writer, elements) {
            self.write_each(writer, elements);
        }
    }

    /// Writes in one piece what nearly all packets of pictures carry: transport-wide number, time, and three bytes of dependency
    /// descriptor or nothing else. Returns false if there is something else to write, or one was not negotiated.
    #[inline]
    fn write_usual(&self, writer: &mut ExtensionWriter<'_>, elements: &Elements<'_>) -> bool {
        let Elements { mid: None, transport_sequence: Some(number), active: None, orientation: None, .. } = *elements
        else {
            return false;
        };
        let head = ExtensionWriter::one_byte_head;
        let (Some(of_number), Some(of_time)) = (head(self.transport_sequence, 2), head(self.abs_send_time, 3)) else {
            return false;
        };
        let ([n0, n1], [t0, t1, t2]) = (number.to_be_bytes(), abs_send_time(elements.now));
        if elements.carried.is_empty() {
            return writer.push_formed(2, [of_number, n0, n1, of_time, t0, t1, t2]);
        }
        let (Some(first), Some(of_frame)) = (elements.carried.only_frame(), head(self.copied.0[DEPENDENCY], 3)) else {
            return false;
        };
        let [f0, f1] = elements.frame.to_be_bytes();
        writer.push_formed(3, [of_number, n0, n1, of_time, t0, t1, t2, of_frame, first, f0, f1])
    }

    fn write_each(&self, writer: &mut ExtensionWriter<'_>, elements: &Elements<'_>) {
        if let Some(number) = elements.transport_sequence {
            writer.push_array(self.transport_sequence, number.to_be_bytes());
        }
        if let Some(mid) = &elements.mid {
            writer.push(self.mid, mid.as_bytes());
        }
        writer.push_array(self.abs_send_time, abs_send_time(elements.now));
        for (at, data) in elements.carried.elements() {
            // As many ids as elements.
            let id = self.copied.0[at];
            match at {
                DEPENDENCY => write_dependency(writer, id, data, elements),
                _ => _ = writer.push(id, data),
            }
        }
        if let Some(orientation) = elements.orientation.filter(|_| !elements.carried.has_orientation()) {
            writer.push(self.copied.0[ORIENTATION], &[orientation]);
        }
        if let Some(capture) = &elements.carried.capture {
            write_capture(writer, self.copied.0[CAPTURE], capture);
        }
    }
}

/// Writes when a packet was captured, with the offset of the capturer's clock if that is known.
fn write_capture(writer: &mut ExtensionWriter<'_>, id: u8, capture: &CaptureTime) {
    match capture.ahead {
        Some(ahead) => writer.push(id, &abs_capture_time(capture.captured, ahead)),
        None => writer.push(id, &short_abs_capture_time(capture.captured)),
    };
}

/// Copies a dependency descriptor with another frame number, and with the decode targets that are still fed.
fn write_dependency(writer: &mut ExtensionWriter<'_>, id: u8, data: &[u8], elements: &Elements<'_>) {
    if let Some(layout) = elements.layout
        && elements.active.is_some()
    {
        let mut copy = [0; MAX_COPIED_LEN];
        let len = layout.rewrite(data, elements.frame, elements.active, &mut copy);
        if len > 0 {
            writer.push(id, copy.get(..len).unwrap_or_default());
            return;
        }
    }
    writer.push_changed(id, data, |place| dependency::set_frame_number(place, elements.frame));
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundtable_wire::{RtpHeader, RtpPacket};

    fn map(ids: &[(Extension, u8)]) -> ExtensionMap {
        let mut map = ExtensionMap::default();
        for &(extension, id) in ids {
            map.set(extension, id);
        }
        map
    }

    #[test]
    fn elements_move_to_the_subscribers_ids_and_none_of_the_publishers_stays() {
        use Extension::{AudioLevel, DependencyDescriptor, Mid, RtpStreamId, TransportSequence, VideoOrientation};
        let theirs =
            map(&[(Mid, 1), (RtpStreamId, 2), (TransportSequence, 3), (AudioLevel, 4), (DependencyDescriptor, 5)]);
        let mut bytes = [0; 100];
        let len = RtpHeader::default().write(&mut bytes, |writer| {
            writer.push(1, b"0");
            writer.push(2, b"h");
            writer.push(3, &[9, 9]);
            writer.push(4, &[0x85]);
            writer.push(5, &[0xc0, 1, 2, 7]);
        });
        let packet = RtpPacket::parse(&bytes[..len]).unwrap();
        let carried = Carried::read(&packet, &CopiedIds::new(&theirs));
        assert_eq!((carried.frame_number(), carried.orientation()), (Some(0x0102), None));

        let ours = map(&[(Mid, 4), (TransportSequence, 2), (AudioLevel, 9), (VideoOrientation, 11)]);
        let check = |map: &ExtensionMap, expected: &[(u8, &[u8])]| {
            let ids = SlotIds::new(map, true);
            let now = NtpTime(0);
            let elements = Elements {
                mid: super::Mid::new("s1"),
                transport_sequence: Some(7),
                now,
                carried: &carried,
                frame: 5,
                layout: None,
                active: None,
                orientation: Some(3),
            };
            let mut out = [0; 100];
            let len = RtpHeader::default().write(&mut out, |writer| ids.write(writer, &elements));
            let written: Vec<_> = RtpPacket::parse(&out[..len]).unwrap().extensions().collect();
            assert_eq!(written, expected);
        };
        check(&ours, &[(2, &[0, 7]), (4, b"s1"), (9, &[0x85]), (11, &[3])]);
        check(&map(&[(DependencyDescriptor, 12)]), &[(12, &[0xc0, 0, 5, 7])]);
        check(&map(&[]), &[]);
    }

    #[test]
    fn the_usual_elements_are_written_in_one_piece_like_one_by_one() {
        use Extension::{AbsSendTime, DependencyDescriptor, TransportSequence};
        let write = |ids: &[(Extension, u8)], data: &[u8], orientation| {
            let mut bytes = [0; 100];
            let len = RtpHeader::default().write(&mut bytes, |writer| _ = !data.is_empty() && writer.push(5, data));
            let packet = RtpPacket::parse(&bytes[..len]).unwrap();
            let carried = Carried::read(&packet, &CopiedIds::new(&map(&[(DependencyDescriptor, 5)])));
            let (mid, transport_sequence, layout, active) = (None, Some(0x0102), None, None);
            let (now, carried, frame) = (NtpTime(0x0003_2100_0000_0000), &carried, 0x0708);
            let elements = Elements { mid, transport_sequence, now, carried, frame, layout, active, orientation };
            let ids = SlotIds::new(&map(ids), true);
            let (mut usual, mut each) = ([0; 100], [0; 100]);
            let mut is_usual = false;
            RtpHeader::default().write(&mut usual, |writer| {
                is_usual = ids.write_usual(writer, &elements);
                if !is_usual {
                    ids.write_each(writer, &elements);
                }
            });
            RtpHeader::default().write(&mut each, |writer| ids.write_each(writer, &elements));
            assert_eq!(usual, each);
            is_usual
        };
        let ids = [(TransportSequence, 4), (AbsSendTime, 2), (DependencyDescriptor, 13)];
        assert!(write(&ids, &[0xc0, 0, 1], None));
        assert!(!write(&ids, &[0xc0, 0, 1, 9], None) && !write(&ids, &[0xc0, 0, 1], Some(1)));
        assert!(!write(&ids[..2], &[0xc0, 0, 1], None), "who takes no descriptors gets none");
        assert!(write(&ids, &[], None) && write(&ids[..2], &[], None), "there is no descriptor");
        assert!(!write(&ids[..1], &[], None) && !write(&ids[1..], &[], None));
        let wide = [(TransportSequence, 15), (AbsSendTime, 2), (DependencyDescriptor, 13)];
        assert!(!write(&wide, &[0xc0, 0, 1], None));
    }

    #[test]
    fn an_orientation_that_tells_nothing_passes_and_no_other_is_put_beside_it() {
        let map = map(&[(Extension::VideoOrientation, 3)]);
        let mut bytes = [0; 100];
        let len = RtpHeader::default().write(&mut bytes, |writer| _ = writer.push(3, &[]));
        let packet = RtpPacket::parse(&bytes[..len]).unwrap();
        let carried = Carried::read(&packet, &CopiedIds::new(&map));
        let (mid, transport_sequence, layout, active) = (None, None, None, None);
        let (now, carried, frame, orientation) = (NtpTime(0), &carried, 0, Some(2));
        let elements = Elements { mid, transport_sequence, now, carried, frame, layout, active, orientation };
        let mut out = [0; 100];
        let len = RtpHeader::default().write(&mut out, |writer| SlotIds::new(&map, true).write(writer, &elements));
        let written: Vec<_> = RtpPacket::parse(&out[..len]).unwrap().extensions().collect();
        assert_eq!(written, [(3, &[][..])]);
    }
}
