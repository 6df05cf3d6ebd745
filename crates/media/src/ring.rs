//! The last packets of one layer, kept once for all who may ask for them again.
//!
//! Packets lie one behind the other in a circle of bytes that is allocated when the first one comes and doubles, up to
//! a bound, while it holds too short a time. So does the table that packets are found by, while it has fewer places than
//! packets have room. Nothing is allocated per packet, and the oldest bytes are overwritten.

use std::time::Duration;

use crate::moment::Moment;

/// Packets a ring can find, whatever room it has for their bytes.
pub(crate) const MAX_PACKETS: usize = 1024;
/// Places that the table starts with. It has a power of two of them.
const MIN_PACKETS: usize = 64;
/// Bytes a ring starts with, and the most it grows to: a second of 8 Mbit/s.
const MIN_BYTES: usize = 64 << 10;
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// A longer packet is not kept.
const MAX_PACKET: usize = 2048;
/// A ring that comes round faster than this grows, …
const WANTED_SPAN: Duration = Duration::from_millis(1200);
/// … and a small one already if it does faster than this: who joins begins with a small encoding, and with its past.
const SMALL_SPAN: Duration = Duration::from_millis(4200);
const SMALL_BYTES: usize = 256 << 10;

/// Packets by index, with a note `N` on each.
#[derive(Debug, Default)]
pub(crate) struct Ring<N> {
    bytes: Vec<u8>,
    entries: Vec<Entry<N>>,
    /// Bytes written since the start, skipped ends of laps included.
    written: u64,
    /// Positions below this have been overwritten, whatever `written` says.
    floor: u64,
    /// When the lap started, and what was written then; the first lap after growing can be a half one.
    lap_started: Option<(Moment, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry<N> {
    /// `u64::MAX` stands for none.
    index: u64,
    /// Where the packet starts, counted like `written`.
    position: u64,
    len: u16,
    note: N,
}

impl<N: Default> Entry<N> {
    fn none() -> Self {
        Self { index: u64::MAX, position: 0, len: 0, note: N::default() }
    }
}

impl<N: Copy + Default> Ring<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), entries: Vec::new(), written: 0, floor: 0, lap_started: None }
    }

    /// Keeps a packet; a packet with the same index is replaced.
    pub(crate) fn push(&mut self, now: Moment, index: u64, packet: &[u8], note: N) {
        if packet.len() > MAX_PACKET {
            return;
        }
        if self.bytes.is_empty() {
            self.bytes.resize(MIN_BYTES, 0);
            self.entries.resize(MIN_PACKETS, Entry::none());
            self.lap_started = Some((now, self.written));
        }
        let room = self.bytes.len() - self.offset(self.written);
        if room < packet.len() {
            self.written += room as u64;
            self.start_lap(now);
        }
        let start = self.offset(self.written);
        // A packet is shorter than a lap, and a new lap was started if it did not fit the old one.
        self.bytes[start..start + packet.len()].copy_from_slice(packet);
        let entry = Entry { index, position: self.written, len: packet.len() as u16, note };
        self.written += packet.len() as u64;
        self.make_place(index);
        let place = self.place(index);
        self.entries[place] = entry; // In bounds: places are counted round.
    }

    /// The packet with that index, if it is still there.
    pub(crate) fn get(&self, index: u64) -> Option<(&[u8], N)> {
        let entry = self.entries.get(self.place(index))?;
        if entry.index != index || entry.position < self.oldest() {
            return None;
        }
        let start = self.offset(entry.position);
        Some((self.bytes.get(start..start + usize::from(entry.len))?, entry.note))
    }

    /// Whether the packet with that index is still there after so many bytes more.
    pub(crate) fn outlasts(&self, index: u64, bytes: u64) -> bool {
        let entry = self.entries.get(self.place(index));
        let oldest = (self.written + bytes).saturating_sub(self.bytes.len() as u64);
        self.get(index).is_some() && entry.is_some_and(|entry| entry.position >= oldest)
    }

    /// Forgets all packets and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.floor = self.written;
    }

    /// Bytes allocated for packets.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Positions below this are overwritten or forgotten.
    fn oldest(&self) -> u64 {
        self.floor.max(self.written.saturating_sub(self.bytes.len() as u64))
    }

    fn place(&self, index: u64) -> usize {
        // A power of two, and none at all only before the first packet.
        (index & (self.entries.len() as u64).wrapping_sub(1)) as usize
    }

    /// Doubles the table while another packet that is still there has the place of `index`.
    fn make_place(&mut self, index: u64) {
        let oldest = self.oldest();
        let is_kept = |entry: &Entry<N>| entry.index != u64::MAX && entry.position >= oldest;
        while self.entries.len() < MAX_PACKETS {
            // In bounds: places are counted round.
            let there = &self.entries[self.place(index)];
            if there.index == index || !is_kept(there) {
                return;
            }
            let more = vec![Entry::none(); 2 * self.entries.len()];
            for entry in std::mem::replace(&mut self.entries, more).into_iter().filter(is_kept) {
                let place = self.place(entry.index);
                self.entries[place] = entry;
            }
        }
    }

    fn offset(&self, position: u64) -> usize {
        (position % self.bytes.len() as u64) as usize
    }

    /// Grows if the lap that ends was too short. `written` is a multiple of the length.
    fn start_lap(&mut self, now: Moment) {
        let Some((started, written)) = self.lap_started.replace((now, self.written)) else { return };
        let len = self.bytes.len();
        let elapsed = now.saturating_duration_since(started).as_micros();
        // What the whole length takes at this rate; a lap has at least one packet.
        let span = elapsed * len as u128 / u128::from(self.written - written).max(1);
        let wanted = if len < SMALL_BYTES { SMALL_SPAN } else { WANTED_SPAN };
        if span >= wanted.as_micros() || len >= MAX_BYTES {
            return;
        }
        // The lap that ends keeps its positions: they fall into the first or the second half of the new length.
        let moves_up = self.offset_in(self.written - len as u64, 2 * len) != 0;
        self.floor = self.floor.max(self.written - len as u64);
        self.bytes.resize(2 * len, 0);
        if moves_up {
            self.bytes.copy_within(..len, len);
        }
    }

    const fn offset_in(&self, position: u64, len: usize) -> usize {
        (position % len as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(index: u64, len: usize) -> Vec<u8> {
        vec![index as u8; len]
    }

    #[test]
    fn what_is_kept_comes_back_with_its_note() {
        let now = Moment::ORIGIN;
        let mut ring = Ring::new();
        ring.push(now, 7, b"seven", 70);
        ring.push(now, 9, b"nine", 90);
        assert_eq!(ring.get(7), Some((&b"seven"[..], 70)));
        assert_eq!(ring.get(9), Some((&b"nine"[..], 90)));
        assert_eq!(ring.get(8), None);
        ring.clear();
        assert_eq!(ring.get(9), None);
    }

    #[test]
    fn bytes_are_never_mixed_up_while_the_ring_grows_and_comes_round() {
        let start = Moment::ORIGIN;
        let mut ring = Ring::new();
        for index in 0..20_000u64 {
            let now = start + Duration::from_millis(index);
            ring.push(now, index, &packet(index, 200 + (index * 37 % 1000) as usize), index);
            for back in [0, 1, 10, 50, 200, 900] {
                if let Some((bytes, note)) = index.checked_sub(back).and_then(|index| ring.get(index)) {
                    assert_eq!(note, index - back);
                    assert!(bytes.iter().all(|&byte| byte == note as u8), "packet {note} at {index}");
                    assert_eq!(bytes.len(), 200 + (note * 37 % 1000) as usize);
                }
            }
            if index > 2_000 {
                assert!(ring.get(index - 500).is_some(), "half a second is kept at {index}");
            }
        }
        assert_eq!(ring.capacity(), MAX_BYTES, "about 5.6 Mbit/s need the largest");
    }

    #[test]
    fn a_slow_layer_keeps_a_small_ring_and_a_fast_one_stops_at_the_bound() {
        let start = Moment::ORIGIN;
        let mut slow = Ring::new();
        let mut fast = Ring::new();
        for index in 0..10_000u64 {
            slow.push(start + Duration::from_millis(80 * index), index, &packet(index, 1000), ());
            fast.push(start + Duration::from_micros(50 * index), index, &packet(index, 1000), ());
        }
        assert_eq!((slow.capacity(), fast.capacity()), (MIN_BYTES, MAX_BYTES));
        assert!(slow.get(9_999 - 60).is_some() && fast.get(9_999 - 1000).is_some());
        assert!(fast.get(9_999 - 1024).is_none(), "no more than {MAX_PACKETS} are found");
        assert!(slow.outlasts(9_999 - 30, 30_000) && !slow.outlasts(9_999 - 30, 40_000) && !slow.outlasts(10_000, 0));
    }

    #[test]
    fn the_table_grows_with_the_packets_that_there_is_room_for() {
        let grown = |len: usize| {
            let mut ring = Ring::new();
            for index in 0..3000u64 {
                // Slow enough for the smallest ring.
                ring.push(Moment::ORIGIN + Duration::from_secs(index), index, &packet(index, len), index);
                let oldest = index.saturating_sub((MIN_BYTES / len / 2).min(MAX_PACKETS - 1) as u64);
                assert!((oldest..=index).all(|kept| ring.get(kept).is_some_and(|(_, note)| note == kept)), "{index}");
            }
            ring.entries.len()
        };
        assert_eq!([1200, 500, 100, 30].map(grown), [64, 256, 1024, MAX_PACKETS]);
    }

    #[test]
    fn an_oversized_packet_is_left_out() {
        let mut ring = Ring::new();
        ring.push(Moment::ORIGIN, 1, &[0; MAX_PACKET + 1], ());
        assert_eq!(ring.get(1), None);
    }
}
