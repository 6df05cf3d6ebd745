//! How one owner's numbers become the slot's: an epoch lasts from one switch to the next.

use std::collections::VecDeque;

use roundtable_wire::{Codec, newer16};

use crate::descriptor::Ids;
use crate::key::TrackKey;

/// Epochs of which packets can still be asked for. The oldest is forgotten first.
const MAX_EPOCHS: usize = 16;
/// Packets a slot can find again by its own numbers.
pub(crate) const HISTORY: u64 = 600;

const PICTURE_MASK: u16 = 0x7fff;
const KEY_MASK: u8 = 0x1f;

/// What an owner's numbers differ from the slot's by. All arithmetic wraps in the width of the field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    pub(crate) track: TrackKey,
    pub(crate) layer: u8,
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
    pub(crate) rtx_payload_type: Option<u8>,
    /// Redundant audio is taken apart for a subscriber who does not take it.
    pub(crate) strips_red: bool,
    /// The owner's index of its first packet in this slot; older ones are dropped.
    pub(crate) first: u64,
    /// The slot's index of that packet.
    first_out: u64,
    timestamp: u32,
    ids: Ids,
}

/// Who takes over a slot, and how it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) track: TrackKey,
    pub(crate) layer: u8,
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
    pub(crate) rtx_payload_type: Option<u8>,
    pub(crate) strips_red: bool,
}

impl Epoch {
    /// The slot's index of the owner's packet `index`, which is `first` or newer.
    pub(crate) const fn index_out(&self, index: u64) -> u64 {
        self.first_out + (index - self.first)
    }

    /// The slot's timestamp for an owner's one.
    pub(crate) const fn timestamp_out(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp)
    }

    /// The slot's ids for an owner's ones.
    pub(crate) fn ids_out(&self, ids: Ids) -> Ids {
        Ids {
            picture: ids.picture.wrapping_add(self.ids.picture) & PICTURE_MASK,
            tl0: ids.tl0.wrapping_add(self.ids.tl0),
            key: ids.key.wrapping_add(self.ids.key) & KEY_MASK,
            frame: ids.frame.wrapping_add(self.ids.frame),
        }
    }
}

/// The numbers a slot has given out, and by which epochs.
#[derive(Debug)]
pub(crate) struct Numbering {
    /// The index the next owner's first packet gets; grows with every packet sent.
    next: u64,
    /// The last ids given out; the next owner continues by one.
    last: Ids,
    epochs: VecDeque<Epoch>,
}

impl Numbering {
    /// Numbers that start with `first`, whose upper bits are the rollover counter.
    pub(crate) fn new(first: u64, last: Ids) -> Self {
        Self { next: first, last, epochs: VecDeque::with_capacity(MAX_EPOCHS) }
    }

    /// Starts an epoch with the owner's packet `index`, to which `timestamp_out` is given.
    pub(crate) fn begin(&mut self, owner: Owner, index: u64, timestamp: u32, timestamp_out: u32, ids: Ids) -> Epoch {
        let last = self.last;
        let ids = Ids {
            picture: last.picture.wrapping_add(1).wrapping_sub(ids.picture) & PICTURE_MASK,
            tl0: last.tl0.wrapping_add(1).wrapping_sub(ids.tl0),
            key: last.key.wrapping_add(1).wrapping_sub(ids.key) & KEY_MASK,
            frame: last.frame.wrapping_add(1).wrapping_sub(ids.frame),
        };
        let Owner { track, layer, codec, payload_type, rtx_payload_type, strips_red } = owner;
        let timestamp = timestamp_out.wrapping_sub(timestamp);
        let (first, first_out) = (index, self.next);
        let epoch =
            Epoch { track, layer, codec, payload_type, rtx_payload_type, strips_red, first, first_out, timestamp, ids };
        if self.epochs.len() == MAX_EPOCHS {
            self.epochs.pop_front();
        }
        self.epochs.push_back(epoch);
        epoch
    }

    /// Records that the packet `index` leaves, by the slot's count, with `ids` if its codec has such.
    pub(crate) fn handle_sent(&mut self, index: u64, ids: Ids, codec: Codec) {
        self.next = self.next.max(index + 1);
        // Newer in the width of each field; of two frames the last one counts whatever order they come in.
        if newer16(ids.frame, self.last.frame) {
            self.last.frame = ids.frame;
        }
        if matches!(codec, Codec::Vp8 | Codec::Vp9 { .. }) {
            if newer16(ids.picture << 1, self.last.picture << 1) {
                self.last.picture = ids.picture;
            }
            if ids.tl0.wrapping_sub(self.last.tl0).cast_signed() > 0 {
                self.last.tl0 = ids.tl0;
            }
            if (ids.key.wrapping_sub(self.last.key) << 3).cast_signed() > 0 {
                self.last.key = ids.key;
            }
        }
    }

    /// Finds a packet by its sequence number in the slot: its index in the slot, its epoch and its owner's index.
    pub(crate) fn find(&self, sequence: u16) -> Option<(u64, &Epoch, u64)> {
        let newest = self.next.checked_sub(1)?;
        let back = u64::from((newest as u16).wrapping_sub(sequence));
        let index = newest.checked_sub(back).filter(|_| back < HISTORY)?;
        let epoch = self.epochs.iter().rev().find(|epoch| epoch.first_out <= index)?;
        Some((index, epoch, epoch.first + (index - epoch.first_out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Arena;

    fn owner() -> Owner {
        let track = Arena::<TrackKey, ()>::new().insert(());
        Owner { track, layer: 0, codec: Codec::Vp8, payload_type: 96, rtx_payload_type: Some(97), strips_red: false }
    }

    const fn ids(picture: u16, tl0: u8, key: u8, frame: u16) -> Ids {
        Ids { picture, tl0, key, frame }
    }

    #[test]
    fn every_number_continues_by_one_at_a_switch() {
        let mut numbering = Numbering::new(65_530, ids(0x7ffe, 254, 30, 65_534));
        let first = numbering.begin(owner(), 1000, 5, 50, ids(3, 4, 5, 6));
        assert_eq!((first.index_out(1000), first.timestamp_out(5)), (65_530, 50));
        assert_eq!(first.ids_out(ids(3, 4, 5, 6)), ids(0x7fff, 255, 31, 65_535));
        assert_eq!(first.ids_out(ids(4, 5, 6, 7)), ids(0, 0, 0, 0), "each wraps in its own width");
        numbering.handle_sent(first.index_out(1010), first.ids_out(ids(4, 5, 6, 7)), Codec::Vp8);
        numbering.handle_sent(first.index_out(1009), first.ids_out(ids(3, 4, 5, 6)), Codec::Vp8);

        let second = numbering.begin(owner(), 7, 0, 0, ids(100, 100, 20, 100));
        assert_eq!(second.index_out(7), 65_541, "behind the highest, not behind the last");
        assert_eq!(second.ids_out(ids(100, 100, 20, 100)), ids(1, 1, 1, 1));
    }

    #[test]
    fn a_packet_is_found_by_the_slots_number_across_a_switch() {
        let mut numbering = Numbering::new(65_530, Ids::default());
        let first = numbering.begin(owner(), 1000, 0, 0, Ids::default());
        for index in 1000..1010 {
            numbering.handle_sent(first.index_out(index), Ids::default(), Codec::Vp8);
        }
        let second = numbering.begin(owner(), 70, 0, 0, Ids::default());
        numbering.handle_sent(second.index_out(70), Ids::default(), Codec::Vp8);

        let found = |sequence| numbering.find(sequence).map(|(index, _, theirs)| (index, theirs));
        assert_eq!(found(65_535), Some((65_535, 1005)));
        assert_eq!(found(3), Some((65_539, 1009)));
        assert_eq!(found(4), Some((65_540, 70)));
        assert_eq!(found(5), None, "not sent yet");
        assert_eq!(found(65_529), None, "before the first");
    }

    #[test]
    fn history_ends_after_six_hundred_packets() {
        let mut numbering = Numbering::new(100, Ids::default());
        let epoch = numbering.begin(owner(), 0, 0, 0, Ids::default());
        numbering.handle_sent(epoch.index_out(1000), Ids::default(), Codec::Vp8);
        assert!(numbering.find(501).is_some());
        assert!(numbering.find(500).is_none());
    }
}
