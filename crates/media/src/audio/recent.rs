//! The last packets of one audio track: what the onset of speech and redundant audio are made of.

use roundtable_wire::Codec;
use roundtable_wire::red::Blocks;

/// Packets that are kept: 60 ms of sound, as browsers send it.
pub(crate) const KEPT: usize = 3;
/// A longer packet is not kept.
const MAX_PACKET: usize = 1500;

/// The last packets, in buffers that are used again.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    packets: [Stored; KEPT],
    next: usize,
}

/// One packet.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    /// The whole packet; empty where there is none.
    pub(crate) bytes: Vec<u8>,
    /// The audio frame of the packet itself.
    pub(crate) primary: Vec<u8>,
}

impl Recent {
    /// Keeps a packet in place of the oldest.
    pub(crate) fn push(&mut self, index: u64, timestamp: u32, bytes: &[u8], primary: &[u8]) {
        // Kept below the length in the next line.
        let place = &mut self.packets[self.next];
        self.next = (self.next + 1) % KEPT;
        place.bytes.clear();
        place.primary.clear();
        if bytes.len() <= MAX_PACKET {
            (place.index, place.timestamp) = (index, timestamp);
            place.bytes.extend_from_slice(bytes);
            place.primary.extend_from_slice(primary);
        }
    }

    /// The packet with that index, if it is kept.
    pub(crate) fn get(&self, index: u64) -> Option<&Stored> {
        self.packets.iter().find(|packet| packet.index == index && !packet.bytes.is_empty())
    }

    /// How many packets right before `index`, with `timestamp`, follow each other with no more than `step` ticks between.
    pub(crate) fn onset(&self, index: u64, timestamp: u32, step: u32) -> u64 {
        let (mut count, mut later) = (0, timestamp);
        while let Some(stored) = index.checked_sub(count + 1).and_then(|before| self.get(before))
            && (1..=step).contains(&later.wrapping_sub(stored.timestamp))
        {
            (count, later) = (count + 1, stored.timestamp);
        }
        count
    }
}

/// The audio frame a packet was sent for, without what it repeats; `None` if redundant audio is malformed.
pub(crate) fn primary(codec: Codec, payload: &[u8]) -> Option<&[u8]> {
    match codec {
        Codec::Red => Blocks::parse(payload).ok().map(|blocks| blocks.primary().data),
        Codec::Opus | Codec::Vp8 | Codec::Vp9 { .. } | Codec::H264 { .. } | Codec::Av1 => Some(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_are_kept_and_counted_while_they_follow_each_other() {
        let mut recent = Recent::default();
        for index in 10..15u64 {
            recent.push(index, 960 * index as u32, &[index as u8; 20], &[index as u8]);
        }
        assert_eq!(recent.get(11).map(|packet| packet.timestamp), None);
        assert_eq!(recent.get(12).map(|packet| &packet.primary[..]), Some(&[12][..]));
        assert_eq!(recent.onset(15, 960 * 15, 960), 3);
        assert_eq!(recent.onset(15, 960 * 20, 960), 0, "a pause");
        assert_eq!(recent.onset(16, 960 * 16, 960), 0, "one is missing");
        recent.push(15, 960 * 15, &[0; MAX_PACKET + 1], &[]);
        assert_eq!(recent.onset(16, 960 * 16, 960), 0, "too long to be kept");
    }

    #[test]
    fn the_frame_of_the_packet_itself_is_taken_out() {
        assert_eq!(primary(Codec::Red, &[0x80 | 111, 0, 0, 2, 111, 8, 9, 1, 2]), Some(&[1, 2][..]));
        assert_eq!(primary(Codec::Red, &[0x80 | 111, 0, 0]), None);
        assert_eq!(primary(Codec::Opus, &[1, 2]), Some(&[1, 2][..]));
    }
}
