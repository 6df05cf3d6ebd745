//! The list of packets that are missing from one layer, and when the publisher is asked for them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::moment::Moment;

/// Packets that may be missing at a time. One more, and the list is dropped for a keyframe.
pub(crate) const MAX_MISSING: usize = 300;
/// How often one packet is asked for.
const MAX_REQUESTS: u8 = 10;
/// How long a packet is worth asking for.
const MAX_AGE: Duration = Duration::from_secs(1);
/// A gap is first given this long to close by itself (reordering) ...
const PATIENCE: Duration = Duration::from_millis(10);
/// ... or until this many newer packets have come.
const NEWER_PACKETS: u8 = 2;
/// Bounds of the time between two requests for one packet, which follows the round-trip time.
const MIN_REPEAT: Duration = Duration::from_millis(20);
const MAX_REPEAT: Duration = Duration::from_millis(200);

/// Decides which packets of one layer are asked for again, by their unwrapped sequence numbers.
#[derive(Debug, Default)]
pub(crate) struct NackList {
    /// Ascending by index.
    missing: VecDeque<Missing>,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    index: u64,
    since: Moment,
    /// Newer packets seen, up to [`NEWER_PACKETS`].
    newer: u8,
    ask_at: Moment,
    requests: u8,
}

/// Whether what is missing can still be repaired by asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Repair {
    Possible,
    /// Something was given up: only a keyframe helps.
    Hopeless,
}

impl NackList {
    /// Records that `index` came and is the newest, with `gap` packets missing right before it.
    pub(crate) fn handle_newest(&mut self, now: Moment, index: u64, gap: u64) -> Repair {
        for missing in &mut self.missing {
            if missing.newer < NEWER_PACKETS {
                missing.newer += 1;
                if missing.newer == NEWER_PACKETS && missing.requests == 0 {
                    missing.ask_at = missing.ask_at.min(now);
                }
            }
        }
        if self.missing.len() as u64 + gap > MAX_MISSING as u64 {
            self.missing.clear();
            return Repair::Hopeless;
        }
        for index in index.saturating_sub(gap)..index {
            self.missing.push_back(Missing { index, since: now, newer: 1, ask_at: now + PATIENCE, requests: 0 });
        }
        Repair::Possible
    }

    /// Records that a missing packet came after all, late or as a retransmission.
    pub(crate) fn handle_late(&mut self, index: u64) {
        if let Ok(at) = self.missing.binary_search_by_key(&index, |missing| missing.index) {
            self.missing.remove(at);
        }
    }

    /// Records that a keyframe starts at `index`: nothing before it is needed to decode what follows.
    pub(crate) fn handle_keyframe(&mut self, index: u64) {
        while self.missing.front().is_some_and(|missing| missing.index < index) {
            self.missing.pop_front();
        }
    }

    /// Appends the sequence numbers to ask for now, ascending, and gives up on those asked for often or long enough.
    pub(crate) fn poll_requests(&mut self, now: Moment, rtt: Duration, requests: &mut Vec<u16>) -> Repair {
        let before = self.missing.len();
        self.missing.retain(|missing| {
            let is_due = missing.ask_at <= now;
            !(is_due && (missing.requests >= MAX_REQUESTS || now >= missing.since + MAX_AGE))
        });
        let repeat = rtt.clamp(MIN_REPEAT, MAX_REPEAT);
        for missing in self.missing.iter_mut().filter(|missing| missing.ask_at <= now) {
            missing.requests += 1;
            missing.ask_at = now + repeat;
            requests.push(missing.index as u16);
        }
        if self.missing.len() < before { Repair::Hopeless } else { Repair::Possible }
    }

    /// Returns when `poll_requests` is worth asking again.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.missing.iter().map(|missing| missing.ask_at).min()
    }

    /// Forgets everything: the stream starts anew.
    pub(crate) fn clear(&mut self) {
        self.missing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    fn ask(list: &mut NackList, now: Moment) -> (Vec<u16>, Repair) {
        let mut requests = Vec::new();
        let repair = list.poll_requests(now, RTT, &mut requests);
        (requests, repair)
    }

    #[test]
    fn a_gap_waits_ten_milliseconds_or_two_newer_packets() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut list = NackList::default();

        assert_eq!(list.handle_newest(at(0), 103, 2), Repair::Possible);
        assert_eq!(ask(&mut list, at(9)).0, []);
        assert_eq!(list.poll_timeout(), Some(at(10)));
        assert_eq!(ask(&mut list, at(10)).0, [101, 102]);

        assert_eq!(list.handle_newest(at(11), 105, 1), Repair::Possible);
        assert_eq!(ask(&mut list, at(11)).0, []);
        assert_eq!(list.handle_newest(at(12), 106, 0), Repair::Possible);
        assert_eq!(ask(&mut list, at(12)).0, [104], "105 itself and 106 are two newer ones");
    }

    #[test]
    fn requests_repeat_by_the_round_trip_until_the_packet_comes() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut list = NackList::default();
        assert_eq!(list.handle_newest(at(0), 7, 1), Repair::Possible);
        assert_eq!(ask(&mut list, at(10)).0, [6]);
        assert_eq!(ask(&mut list, at(59)).0, []);
        assert_eq!(ask(&mut list, at(60)).0, [6]);
        list.handle_late(6);
        assert_eq!((ask(&mut list, at(500)).0, list.poll_timeout()), (vec![], None));
    }

    #[test]
    fn ten_requests_or_a_second_are_enough() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut list = NackList::default();
        assert_eq!(list.handle_newest(at(0), 7, 1), Repair::Possible);
        let mut asked = 0;
        let mut gave_up_at = None;
        for ms in 0..2000 {
            let (requests, repair) = ask(&mut list, at(ms));
            asked += requests.len();
            if repair == Repair::Hopeless {
                gave_up_at = Some(ms);
            }
        }
        assert_eq!((asked, gave_up_at), (10, Some(510)));

        assert_eq!(list.handle_newest(at(3000), 9, 1), Repair::Possible);
        assert_eq!(ask(&mut list, at(4000)), (vec![], Repair::Hopeless), "asked for too late to help");
    }

    #[test]
    fn too_much_loss_drops_the_list_for_a_keyframe() {
        let now = Moment::ORIGIN;
        let mut list = NackList::default();
        assert_eq!(list.handle_newest(now, 1_000, 200), Repair::Possible);
        assert_eq!(list.handle_newest(now, 1_102, 101), Repair::Hopeless);
        assert_eq!(list.poll_timeout(), None);
    }

    #[test]
    fn a_keyframe_makes_older_gaps_worthless() {
        let now = Moment::ORIGIN;
        let mut list = NackList::default();
        assert_eq!(list.handle_newest(now, 10, 2), Repair::Possible);
        assert_eq!(list.handle_newest(now, 20, 2), Repair::Possible);
        list.handle_keyframe(15);
        assert_eq!(ask(&mut list, now + Duration::from_secs(1) / 2).0, [18, 19]);
    }
}
