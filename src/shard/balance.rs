//! Which rooms of a busy shard go to another one. Pure.
//!
//! Rooms are placed when they open, and grow and shrink after that. Now and then each shard compares how busy it is with
//! the others; one that does more than its share gives away rooms that make up the difference. All shards see the same
//! figures, so each fills only its own part of what another one lacks.

use std::time::{Duration, Instant};

/// The shards are compared this often: what was moved shows in their loads by then.
const PERIOD: Duration = Duration::from_secs(2);
/// A room that has come to a shard stays there for this long, so that none goes to and fro.
const REST: Duration = Duration::from_secs(10);
/// Rooms that go at once, at most.
const MAX_AT_ONCE: usize = 16;

/// When the shards are compared.
#[derive(Debug)]
pub struct Balance {
    gather_below: u32,
    above: u32,
    next: Instant,
}

/// A room on the shard that is too busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The shard's key of it.
    pub room: usize,
    /// Packets in and out since the shards were compared last.
    pub packets: u64,
    /// Whether it may go.
    pub may_go: bool,
}

impl Balance {
    /// Rooms go when a shard is busier than the mean by more than `above` thousandths of a core, unless it is busy for less
    /// than `gather_below`: then they are better together, however little the others do.
    #[must_use]
    pub fn new(now: Instant, gather_below: u32, above: u32) -> Self {
        Self { gather_below, above, next: now + PERIOD }
    }

    /// When to compare next.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Whether it is time to compare.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next <= now;
        if is_due {
            self.next = now + PERIOD;
        }
        is_due
    }

    /// Whether a room that came here at `since` has been here long enough to go.
    #[must_use]
    pub fn has_rested(now: Instant, since: Option<Instant>) -> bool {
        since.is_none_or(|since| now.saturating_duration_since(since) >= REST)
    }

    /// Which rooms of shard `own` go, and to which shards; `busy` is the load of each in thousandths.
    #[must_use]
    pub fn choose(&self, own: u8, busy: &[u32], mut rooms: Vec<Candidate>) -> Vec<(usize, u8)> {
        let Some(&load) = busy.get(usize::from(own)) else { return Vec::new() };
        let mean = busy.iter().map(|&busy| u64::from(busy)).sum::<u64>() / busy.len() as u64;
        let over = |busy: u32| u64::from(busy).saturating_sub(mean);
        let (excess, of_all) = (over(load), busy.iter().map(|&busy| over(busy)).sum::<u64>());
        let packets: u64 = rooms.iter().map(|room| room.packets).sum();
        if excess <= u64::from(self.above) || load < self.gather_below || packets == 0 {
            return Vec::new();
        }
        // What each of the others lacks is filled by all that have too much, each in proportion.
        let mut lacks: Vec<(u64, u8)> = busy
            .iter()
            .zip(0..=u8::MAX)
            .map(|(&busy, shard)| (mean.saturating_sub(u64::from(busy)) * excess / of_all, shard))
            .collect();
        rooms.retain(|room| room.may_go && room.packets > 0);
        rooms.sort_by_key(|room| (std::cmp::Reverse(room.packets), room.room));
        let mut moves = Vec::new();
        for Candidate { room, packets: own_packets, .. } in rooms {
            let cost = u64::from(load) * own_packets / packets;
            let Some(most) = lacks.iter_mut().max_by_key(|(lack, shard)| (*lack, std::cmp::Reverse(*shard))) else {
                break;
            };
            if moves.len() == MAX_AT_ONCE || most.0 == 0 {
                break;
            }
            if cost <= most.0 {
                most.0 -= cost;
                moves.push((room, most.1));
            }
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(packets: &[u64]) -> Vec<Candidate> {
        packets.iter().enumerate().map(|(room, &packets)| Candidate { room, packets, may_go: true }).collect()
    }

    #[test]
    fn what_is_too_much_goes_to_where_it_is_lacking_and_nothing_else() {
        let balance = Balance::new(Instant::now(), 200, 30);
        for (busy, packets, expected) in [
            // As busy as each other, or nearly.
            (vec![500, 500], vec![10; 10], vec![]),
            (vec![530, 470], vec![10; 10], vec![]),
            (vec![470, 530], vec![10; 10], vec![]),
            // Too little to do for two.
            (vec![199, 0], vec![10; 10], vec![]),
            // Two of ten rooms are what is too much.
            (vec![500, 300], vec![10; 10], vec![(0, 1), (1, 1)]),
            // One room is never moved, nor any that would only take the load along.
            (vec![800, 0], vec![10], vec![]),
            (vec![600, 200], vec![10, 10], vec![]),
            (vec![600, 200], vec![20, 10, 1, 0], vec![(1, 1)]),
            // To the one that lacks the most, as long as it does.
            (vec![600, 300, 0], vec![10; 6], vec![(0, 2), (1, 2), (2, 2)]),
            (vec![600, 0, 0], vec![10; 6], vec![(0, 1), (1, 2), (2, 1), (3, 2)]),
        ] {
            assert_eq!(balance.choose(0, &busy, rooms(&packets)), expected, "{busy:?} {packets:?}");
        }
        let stays = rooms(&[10; 10]).into_iter().map(|room| Candidate { may_go: room.room == 7, ..room });
        assert_eq!(balance.choose(0, &[500, 300], stays.collect()), [(7, 1)]);
        assert_eq!(balance.choose(2, &[500, 300], rooms(&[10; 10])), [], "there is no such shard");
    }

    #[test]
    fn two_that_have_too_much_do_not_both_fill_the_same_gap() {
        let balance = Balance::new(Instant::now(), 0, 30);
        let busy = [400, 400, 100];
        let moved: usize = [0, 1].map(|own| balance.choose(own, &busy, rooms(&[10; 20])).len()).into_iter().sum();
        // Of 20 thousandths each; 200 are lacking.
        assert_eq!(moved, 10);
    }

    #[test]
    fn a_room_that_has_come_rests() {
        let now = Instant::now();
        assert!(Balance::has_rested(now, None) && !Balance::has_rested(now, Some(now)));
        assert!(Balance::has_rested(now + REST, Some(now)));
        let mut balance = Balance::new(now, 0, 0);
        assert!(!balance.is_due(now) && balance.is_due(now + PERIOD) && !balance.is_due(now + PERIOD));
        assert_eq!(balance.poll_timeout(), now + PERIOD + PERIOD);
    }
}
