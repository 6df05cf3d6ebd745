//! How one owner's numbers become the slot's.
//!
//! An *epoch* lasts from one switch to the next. Within it a *span* is a run of the owner's packets that leave with
//! consecutive numbers. What the slot leaves out on purpose ends a span, so that the gap closes; what was lost on the
//! way to us stays inside of one, so that its number is free when it comes late.

use std::collections::VecDeque;

use roundtable_prefetch::prefetch;
use roundtable_wire::{Codec, newer16};

use crate::descriptor::Ids;
use crate::key::TrackKey;
use crate::packet::Prepared;

/// Epochs of which packets can still be asked for. The oldest is forgotten first.
const MAX_EPOCHS: usize = 16;
/// Spans of which packets can still be asked for, or come late. The oldest is forgotten first: at 30 frames a second
/// of which every other one is left out they reach back four seconds.
const MAX_SPANS: usize = 64;
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
    /// Counts the epochs of the slot.
    number: u32,
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

/// A run of packets without one left out.
#[derive(Debug, Clone, Copy)]
struct Span {
    epoch: u32,
    /// The owner's indexes `first..end`; the newest span is open, its end is `u64::MAX`.
    first: u64,
    end: u64,
    /// The slot's index of `first`.
    first_out: u64,
    /// Pictures that were left out in this epoch before.
    pictures: u16,
    /// What is forwarded.
    top: Top,
    /// What timestamps are moved by beside the epoch's own distance.
    shift: Shift,
}

/// What timestamps of the past are moved by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shift {
    pub(crate) ticks: u32,
    /// The owner's timestamp of the last picture that is moved: the next one may begin with a packet that comes late.
    pub(crate) until: u32,
}

impl Shift {
    const fn of(self, timestamp: u32) -> u32 {
        if self.until.wrapping_sub(timestamp).cast_signed() >= 0 { self.ticks } else { 0 }
    }
}

/// What is forwarded of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Top {
    /// The decode target.
    pub(crate) target: u8,
    /// The spatial layer of it.
    pub(crate) spatial: u8,
    /// The decode targets that are fed with it.
    pub(crate) active: u32,
}

impl Top {
    /// Everything: of audio there is no less.
    const ALL: Self = Self { target: u8::MAX, spatial: u8::MAX, active: u32::MAX };
}

/// The number a packet gets in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The slot's index: the sequence number with its rollovers.
    pub(crate) index: u64,
    /// By how much picture ids fall back behind those of the owner.
    pub(crate) pictures: u16,
    /// What is forwarded there.
    pub(crate) top: Top,
    /// What its timestamp is moved by beside the epoch's own distance.
    pub(crate) shift: Shift,
}

/// A packet that was found by the number it has in a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) epoch: Epoch,
    /// The owner's index.
    pub(crate) index: u64,
}

impl Span {
    /// Where the owner's packet `index` is put, which lies in the span.
    const fn place(&self, index: u64) -> Place {
        let Self { pictures, top, shift, .. } = *self;
        Place { index: self.first_out + (index - self.first), pictures, top, shift }
    }
}

impl Place {
    /// Whether a packet is the last of its picture that is forwarded: what the marker bit says (RFC 9628 4.1).
    pub(crate) const fn ends_picture(&self, packet: &Prepared<'_>) -> bool {
        packet.marker || packet.frame.ends && packet.frame.spatial == self.top.spatial
    }

    /// Whether a packet belongs to what is forwarded. One that came late need not: its number was kept free before it
    /// was known what it is.
    pub(crate) const fn takes(&self, packet: &Prepared<'_>) -> bool {
        !packet.frame.is_known
            || self.top.target as u32 >= u32::BITS
            || packet.frame.present >> self.top.target & 1 == 1
    }
}

impl Epoch {
    /// The slot's timestamp for an owner's one.
    pub(crate) const fn timestamp_out(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp)
    }

    /// The slot's timestamp for an owner's one, for a packet in `place`.
    pub(crate) const fn timestamp_at(&self, timestamp: u32, place: Place) -> u32 {
        self.timestamp_out(timestamp).wrapping_add(place.shift.of(timestamp))
    }

    /// The slot's ids for an owner's ones, for a packet in `place`.
    pub(crate) fn ids_out(&self, ids: Ids, place: Place) -> Ids {
        Ids {
            picture: ids.picture.wrapping_add(self.ids.picture).wrapping_sub(place.pictures) & PICTURE_MASK,
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
    spans: VecDeque<Span>,
    count: u32,
    /// The picture and the frame left out last.
    left_out: Option<u16>,
    left_frame: Option<u64>,
}

impl Numbering {
    /// Numbers that start with `first`, whose upper bits are the rollover counter.
    pub(crate) const fn new(first: u64, last: Ids) -> Self {
        Self {
            next: first,
            last,
            epochs: VecDeque::new(),
            spans: VecDeque::new(),
            count: 0,
            left_out: None,
            left_frame: None,
        }
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
        self.count = self.count.wrapping_add(1);
        (self.left_out, self.left_frame) = (None, None);
        let (first, number) = (index, self.count);
        let epoch =
            Epoch { track, layer, codec, payload_type, rtx_payload_type, strips_red, first, number, timestamp, ids };
        keep(&mut self.epochs, epoch, MAX_EPOCHS);
        if let Some(span) = self.spans.back_mut().filter(|span| span.end == u64::MAX) {
            // The numbers from here on are the new owner's.
            span.end = span.first + (self.next.saturating_sub(span.first_out));
        }
        let span = Span {
            epoch: number,
            first: index,
            end: u64::MAX,
            first_out: self.next,
            pictures: 0,
            top: Top::ALL,
            shift: Shift::default(),
        };
        self.open(span);
        epoch
    }

    /// From the owner's packet `index` on, `top` is what is forwarded.
    pub(crate) fn set_top(&mut self, index: u64, top: Top) {
        self.change(index, |span| Span { top, ..span });
    }

    /// From the owner's packet `index` on, timestamps are moved by `shift`.
    pub(crate) fn set_shift(&mut self, index: u64, shift: Shift) {
        self.change(index, |span| Span { shift, ..span });
    }

    /// Changes what holds from the owner's packet `index` on, without a gap.
    fn change(&mut self, index: u64, change: impl Fn(Span) -> Span) {
        let Some(span) = self.spans.back_mut().filter(|span| span.first <= index) else { return };
        let changed = change(*span);
        if (changed.top, changed.shift) == (span.top, span.shift) {
            return;
        }
        if span.first == index {
            *span = changed;
            return;
        }
        let next = Span { first: index, end: span.end, first_out: span.first_out + (index - span.first), ..changed };
        span.end = index;
        self.open(next);
    }

    /// Has what the next packet's number comes from brought near.
    pub(crate) fn prefetch(&self) {
        if let Some(span) = self.spans.back() {
            prefetch(span);
        }
    }

    /// The number of the owner's packet `index`; `None` if its place was closed.
    #[inline]
    pub(crate) fn place(&self, epoch: &Epoch, index: u64) -> Option<Place> {
        // Nearly all are of the newest one.
        if let Some(span) = self.spans.back().filter(|span| span.epoch == epoch.number && span.first <= index) {
            return (index < span.end).then(|| span.place(index));
        }
        let spans = self.spans.iter().rev().take_while(|span| span.epoch == epoch.number);
        let span = { spans }.find(|span| span.first <= index).filter(|span| index < span.end)?;
        Some(span.place(index))
    }

    /// Leaves out the owner's packet `index`, which is newer than all before it, with the frame and the picture it
    /// belongs to. What was lost between two packets of one frame that is left out is left out with it.
    ///
    /// `picture` is its id where ids have to follow each other without a gap.
    pub(crate) fn leave_out(&mut self, index: u64, frame: Option<u64>, picture: Option<u16>) {
        let is_another = picture.is_some() && std::mem::replace(&mut self.left_out, picture) != picture;
        let goes_on = frame.is_some() && std::mem::replace(&mut self.left_frame, frame) == frame;
        let Some(span) = self.spans.back_mut().filter(|span| span.first <= index) else { return };
        let pictures = span.pictures.wrapping_add(u16::from(is_another)) & PICTURE_MASK;
        if span.first == index || goes_on && self.next <= span.first_out {
            (span.first, span.pictures) = (index + 1, pictures);
            return;
        }
        span.end = index;
        let first_out = span.first_out + (index - span.first);
        let next = Span { first: index + 1, end: u64::MAX, first_out, pictures, ..*span };
        self.open(next);
    }

    /// Ends the epoch before the owner's packet `index`: what comes from then on has no number.
    pub(crate) fn end(&mut self, index: u64) {
        if let Some(span) = self.spans.back_mut() {
            span.end = index.max(span.first);
        }
    }

    /// Records that a packet leaves with the slot's `index`, and with `ids` if its codec has such.
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

    /// Finds a packet by its sequence number in the slot.
    pub(crate) fn find(&self, sequence: u16) -> Option<Found> {
        let newest = self.next.checked_sub(1)?;
        let back = u64::from((newest as u16).wrapping_sub(sequence));
        self.find_index(newest.checked_sub(back)?)
    }

    /// Finds a packet by its index in the slot.
    pub(crate) fn find_index(&self, index: u64) -> Option<Found> {
        if index >= self.next || self.next - index > HISTORY {
            return None;
        }
        let span = self.spans.iter().rev().find(|span| span.first_out <= index)?;
        let theirs = span.first + (index - span.first_out);
        let epoch = self.epochs.iter().rev().find(|epoch| epoch.number == span.epoch)?;
        (theirs < span.end).then_some(Found { place: span.place(theirs), epoch: *epoch, index: theirs })
    }

    /// The index of the next packet.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The ids given out last.
    pub(crate) const fn last(&self) -> Ids {
        self.last
    }

    fn open(&mut self, span: Span) {
        // Of a run that never had a packet nothing can be asked for.
        if self.spans.back().is_some_and(|last| last.first >= last.end) {
            self.spans.pop_back();
        }
        keep(&mut self.spans, span, MAX_SPANS);
    }
}

/// Appends to a queue of at most `most`, whose oldest gives way.
fn keep<T>(queue: &mut VecDeque<T>, value: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(value);
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

    fn send(numbering: &mut Numbering, epoch: &Epoch, index: u64, ids: Ids) -> Place {
        let place = numbering.place(epoch, index).unwrap();
        numbering.handle_sent(place.index, epoch.ids_out(ids, place), Codec::Vp8);
        place
    }

    #[test]
    fn every_number_continues_by_one_at_a_switch() {
        let mut numbering = Numbering::new(65_530, ids(0x7ffe, 254, 30, 65_534));
        let first = numbering.begin(owner(), 1000, 5, 50, ids(3, 4, 5, 6));
        let place = numbering.place(&first, 1000).unwrap();
        assert_eq!((place.index, first.timestamp_out(5)), (65_530, 50));
        assert_eq!(first.ids_out(ids(3, 4, 5, 6), place), ids(0x7fff, 255, 31, 65_535));
        assert_eq!(first.ids_out(ids(4, 5, 6, 7), place), ids(0, 0, 0, 0), "each wraps in its own width");
        send(&mut numbering, &first, 1010, ids(4, 5, 6, 7));
        send(&mut numbering, &first, 1009, ids(3, 4, 5, 6));

        let second = numbering.begin(owner(), 7, 0, 0, ids(100, 100, 20, 100));
        let place = numbering.place(&second, 7).unwrap();
        assert_eq!(place.index, 65_541, "behind the highest, not behind the last");
        assert_eq!(second.ids_out(ids(100, 100, 20, 100), place), ids(1, 1, 1, 1));
    }

    #[test]
    fn a_packet_is_found_by_the_slots_number_across_a_switch() {
        let mut numbering = Numbering::new(65_530, Ids::default());
        let first = numbering.begin(owner(), 1000, 0, 0, Ids::default());
        for index in 1000..1010 {
            send(&mut numbering, &first, index, Ids::default());
        }
        let second = numbering.begin(owner(), 70, 0, 0, Ids::default());
        send(&mut numbering, &second, 70, Ids::default());

        let found = |sequence| numbering.find(sequence).map(|found| (found.place.index, found.index));
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
        send(&mut numbering, &epoch, 1000, Ids::default());
        assert!(numbering.find(501).is_some());
        assert!(numbering.find(500).is_none());
    }

    #[test]
    fn what_is_left_out_closes_the_gap_and_what_was_lost_keeps_it() {
        let mut numbering = Numbering::new(100, ids(9, 0, 0, 0));
        let epoch = numbering.begin(owner(), 10, 0, 0, ids(50, 0, 0, 0));
        assert_eq!(send(&mut numbering, &epoch, 10, ids(50, 0, 0, 0)).index, 100);
        numbering.leave_out(11, Some(1), Some(51));
        numbering.leave_out(12, Some(2), Some(51));
        // 13 is lost for now.
        let place = send(&mut numbering, &epoch, 14, ids(53, 0, 0, 0));
        assert_eq!(place.index, 102, "one number is kept for 13");
        assert_eq!(epoch.ids_out(ids(53, 0, 0, 0), place).picture, 12, "one picture was left out, 52 may still come");
        numbering.leave_out(15, Some(4), Some(54));
        let place = send(&mut numbering, &epoch, 16, ids(55, 0, 0, 0));
        assert_eq!((place.index, epoch.ids_out(ids(55, 0, 0, 0), place).picture), (103, 13));

        let late = |index| numbering.place(&epoch, index).map(|place| place.index);
        assert_eq!((late(13), late(12), late(15), late(9)), (Some(101), None, None, None));
        let found = |sequence| numbering.find(sequence).map(|found| found.index);
        assert_eq!((found(100), found(101), found(102), found(103)), (Some(10), Some(13), Some(14), Some(16)));
    }

    #[test]
    fn what_was_lost_inside_of_a_frame_that_is_left_out_keeps_no_number() {
        let mut numbering = Numbering::new(100, Ids::default());
        let epoch = numbering.begin(owner(), 10, 0, 0, Ids::default());
        send(&mut numbering, &epoch, 10, Ids::default());
        for index in [11, 13, 16] {
            numbering.leave_out(index, Some(7), None);
        }
        assert_eq!(send(&mut numbering, &epoch, 17, Ids::default()).index, 101);
        assert_eq!([12, 14, 15].map(|index| numbering.place(&epoch, index)), [None; 3]);
        numbering.leave_out(19, Some(7), None);
        assert_eq!(send(&mut numbering, &epoch, 20, Ids::default()).index, 103, "18 may be of another frame");
    }

    #[test]
    fn numbers_of_an_ended_epoch_are_not_given_out_twice() {
        let mut numbering = Numbering::new(0, Ids::default());
        let first = numbering.begin(owner(), 10, 0, 0, Ids::default());
        send(&mut numbering, &first, 10, Ids::default());
        numbering.end(11);
        assert_eq!(numbering.place(&first, 11), None);
        let second = numbering.begin(owner(), 11, 0, 0, Ids::default());
        send(&mut numbering, &second, 11, Ids::default());
        assert_eq!(numbering.place(&first, 12), None);
        assert_eq!(numbering.find(1).map(|found| found.epoch.number), Some(second.number));
        assert_eq!(numbering.find(0).map(|found| found.epoch.number), Some(first.number));
    }

    #[test]
    fn the_picture_ends_with_the_highest_layer_that_is_forwarded_from_where_that_changed() {
        let mut numbering = Numbering::new(0, Ids::default());
        let epoch = numbering.begin(owner(), 10, 0, 0, Ids::default());
        numbering.set_top(10, Top { target: 8, spatial: 2, active: 0x1ff });
        send(&mut numbering, &epoch, 10, Ids::default());
        numbering.set_top(11, Top { target: 1, spatial: 0, active: 0b11 });
        send(&mut numbering, &epoch, 11, Ids::default());
        let top = |index| numbering.place(&epoch, index).unwrap();
        assert_eq!((top(10).top.spatial, top(11).top.spatial), (2, 0));
        assert_eq!((top(10).index, top(11).index), (0, 1), "no number is lost by it");
    }

    #[test]
    fn memory_is_bounded_however_often_something_is_left_out() {
        let mut numbering = Numbering::new(0, Ids::default());
        let epoch = numbering.begin(owner(), 0, 0, 0, Ids::default());
        for index in 0..10_000 {
            if index % 2 == 0 {
                send(&mut numbering, &epoch, index, Ids::default());
            } else {
                numbering.leave_out(index, Some(index), None);
            }
        }
        assert_eq!(numbering.spans.len(), MAX_SPANS);
        assert_eq!(numbering.find(4_999).map(|found| found.index), Some(9_998));
        assert_eq!(numbering.find(4_900).map(|found| found.index), None, "too far back to know what it was");
    }
}
