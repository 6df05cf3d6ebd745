//! Redundant audio (RFC 2198) towards one subscriber: how much of it, and the payloads.

use roundtable_wire::red::{Block, MAX_OFFSET, MAX_REDUNDANT_LEN, write};

use crate::audio::recent::Recent;
use crate::bwe::Bitrate;

/// Frames that are repeated at most.
pub(crate) const MAX_DISTANCE: usize = 2;
/// Shares of loss, in 1/256 as receivers report them: from 1 % on one frame is repeated, above 5 % two ...
const ONE_FROM: f32 = 2.56;
const TWO_ABOVE: f32 = 12.8;
/// ... until the loss has fallen below these.
const ONE_UNTIL: f32 = 1.28;
const TWO_UNTIL: f32 = 10.24;
/// What a report below the remembered loss counts: it takes about six good reports to forget a bad one.
const FORGET: f32 = 0.4;
/// More than this share is not remembered: a queue that overflowed once is no reason to repeat everything for a minute.
const MOST: f32 = 25.6;
/// A frame that is repeated costs this share of what a packet costs without.
pub(crate) const FRAME_COST: f64 = 0.7;
/// A payload longer than this would not fit a packet any more.
const MAX_PAYLOAD: usize = 1150;

/// How many earlier frames a subscriber gets along with each.
#[derive(Debug, Default)]
pub(crate) struct Redundancy {
    /// What of the reports is remembered: a rise at once, a fall slowly.
    loss: f32,
    distance: usize,
    /// How many frames less than the most the path has no room for.
    unaffordable: usize,
}

impl Redundancy {
    /// Takes the share of packets the subscriber says it lost, in 1/256.
    pub(crate) fn handle_report(&mut self, fraction_lost: u8) {
        let lost = f32::from(fraction_lost).min(MOST);
        self.loss = if lost > self.loss { lost } else { self.loss + (lost - self.loss) * FORGET };
        self.distance = match self.distance {
            _ if self.loss > TWO_ABOVE => 2,
            2 if self.loss >= TWO_UNTIL => 2,
            0 if self.loss >= ONE_FROM => 1,
            1 | 2 if self.loss >= ONE_UNTIL => 1,
            _ => 0,
        };
    }

    /// Sets what there is for this sound, and what it costs without redundancy, in bits per second: on a path for little
    /// more than sound, redundancy is what makes packets be lost.
    pub(crate) fn set_room(&mut self, room: Bitrate, cost: Bitrate) {
        let fits = |&frames: &usize| cost.scale(1.0 + FRAME_COST * frames as f64) <= room;
        let most = (1..=MAX_DISTANCE).take_while(fits).count();
        self.unaffordable = MAX_DISTANCE - most;
    }

    /// Whether there is loss against which redundancy helps, be there room for it or not.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.distance > 0
    }

    /// How many frames are repeated in a packet: the second only where somebody is heard.
    pub(crate) fn distance(&self, has_voice: bool) -> usize {
        let most = (MAX_DISTANCE - self.unaffordable).min(if has_voice { 2 } else { 1 });
        self.distance.min(most)
    }
}

/// The packet that a payload is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    pub(crate) primary: &'a [u8],
}

/// Writes a payload that repeats up to `distance` frames before `frame`, none older than the index `first`, with the
/// subscriber's payload type of Opus. Returns whether there was anything to repeat.
pub(crate) fn build(
    recent: &Recent,
    frame: Frame<'_>,
    (distance, first): (usize, u64),
    payload_type: u8,
    out: &mut Vec<u8>,
) -> bool {
    let mut blocks = [Block::default(); MAX_DISTANCE];
    let (mut count, mut len) = (0, frame.primary.len());
    for back in (1..=distance.min(MAX_DISTANCE) as u64).rev() {
        let index = frame.index.checked_sub(back).filter(|&index| index >= first);
        let Some(stored) = index.and_then(|index| recent.get(index)) else { continue };
        let offset = frame.timestamp.wrapping_sub(stored.timestamp);
        let is_writable = (1..=u32::from(MAX_OFFSET)).contains(&offset) && stored.primary.len() <= MAX_REDUNDANT_LEN;
        if stored.primary.is_empty() || !is_writable || len + stored.primary.len() > MAX_PAYLOAD {
            continue;
        }
        len += stored.primary.len();
        // One block for each step back, of which there are no more than places; the offset was compared with 14 bits.
        blocks[count] = Block { payload_type, timestamp_offset: offset as u16, data: &stored.primary };
        count += 1;
    }
    out.clear();
    out.resize(len + 4 * count + 1, 0);
    let primary = Block { payload_type, timestamp_offset: 0, data: frame.primary };
    // As many blocks as were counted.
    let written = write(&blocks[..count], primary, out);
    out.truncate(written);
    count > 0 && written > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundtable_wire::red::Blocks;

    fn check(reports: &[u8], expected: &[usize]) {
        let mut redundancy = Redundancy::default();
        let distances: Vec<_> = reports
            .iter()
            .map(|&report| {
                redundancy.handle_report(report);
                redundancy.distance(true)
            })
            .collect();
        assert_eq!(distances, expected, "of {reports:?}");
    }

    #[test]
    fn redundancy_comes_with_loss_at_once_and_goes_slowly() {
        check(&[0, 2, 3, 0, 0, 0, 0], &[0, 0, 1, 1, 0, 0, 0]);
        check(&[13, 255, 26, 0, 0, 0, 0, 0, 0, 0], &[2, 2, 2, 2, 1, 1, 1, 1, 0, 0]);
        check(&[8, 8, 8], &[1, 1, 1]);
    }

    #[test]
    fn a_report_around_a_bound_does_not_flap() {
        check(&[14, 12, 13, 11, 14, 11], &[2; 6]);
        check(&[3, 2, 3, 2, 3], &[1; 5]);
    }

    #[test]
    fn the_second_frame_is_repeated_only_where_somebody_is_heard() {
        let mut redundancy = Redundancy::default();
        redundancy.handle_report(60);
        assert_eq!((redundancy.distance(true), redundancy.distance(false)), (2, 1));
    }

    #[test]
    fn nothing_is_repeated_that_the_path_has_no_room_for() {
        let mut redundancy = Redundancy::default();
        redundancy.handle_report(60);
        for (kbps, expected) in [(40, 0), (67, 0), (68, 1), (95, 1), (96, 2), (5000, 2)] {
            redundancy.set_room(Bitrate::kbps(kbps), Bitrate::kbps(40));
            assert_eq!(redundancy.distance(true), expected, "{kbps} kbit/s");
        }
    }

    #[test]
    fn payloads_repeat_what_is_known_and_belongs_to_the_slot() {
        let mut recent = Recent::default();
        recent.push(7, 7000, b"packet", b"seven");
        recent.push(8, 7960, b"packet", b"eight");
        let frame = Frame { index: 9, timestamp: 8920, primary: b"nine" };
        let check = |distance, first, expected: &[(u16, &[u8])]| {
            let mut out = Vec::new();
            assert_eq!(build(&recent, frame, (distance, first), 120, &mut out), !expected.is_empty());
            let blocks = Blocks::parse(&out).unwrap();
            let all: Vec<_> = blocks.redundant().iter().map(|block| (block.timestamp_offset, block.data)).collect();
            assert_eq!(
                (all, blocks.primary().data, blocks.primary().payload_type),
                (expected.to_vec(), &b"nine"[..], 120)
            );
        };
        check(2, 0, &[(1920, b"seven"), (960, b"eight")]);
        check(1, 0, &[(960, b"eight")]);
        check(2, 8, &[(960, b"eight")]);
        check(2, 9, &[]);
        check(0, 0, &[]);
    }

    #[test]
    fn what_is_too_old_or_too_long_is_not_repeated() {
        let mut recent = Recent::default();
        recent.push(7, 0, b"packet", b"old");
        recent.push(8, 90_000, b"packet", &[0; MAX_REDUNDANT_LEN + 1]);
        let frame = Frame { index: 9, timestamp: 90_960, primary: b"nine" };
        assert!(!build(&recent, frame, (2, 0), 120, &mut Vec::new()));
    }
}
