//! On which shard a member of a room is connected. Pure.
//!
//! A room is the cheapest where all of it is on one shard: each further one gets every packet once more. So members are
//! connected where their room lives until that shard is busy, then to others that have some of the room already, and
//! only when those are busy too to another one.

use std::time::{Duration, Instant};

/// What a member is taken to make its shard busy until that shows, in thousandths of a core.
const YOUNG_COST: u32 = 1;
/// The load that shards tell is of the last half second; a member shows in it after this long.
const YOUNG: Duration = Duration::from_secs(1);

/// How many members were connected to each shard lately.
#[derive(Debug)]
pub struct Spread {
    above: u32,
    since: Instant,
    young: Vec<u32>,
}

impl Spread {
    /// Rooms spread when the shards they are on are busy `above` so many thousandths of a core.
    #[must_use]
    pub fn new(now: Instant, above: u32) -> Self {
        Self { above, since: now, young: Vec::new() }
    }

    /// Chooses for a member of a room that lives on `home` and has stages on `branches`; `busy` is the load of each
    /// shard in thousandths.
    pub fn place(&mut self, now: Instant, home: u8, branches: &[u8], busy: impl Iterator<Item = u32>) -> u8 {
        if now.saturating_duration_since(self.since) >= YOUNG {
            (self.since, self.young) = (now, Vec::new());
        }
        let costs: Vec<u32> = busy
            .enumerate()
            .map(|(shard, busy)| busy + YOUNG_COST * self.young.get(shard).copied().unwrap_or(0))
            .collect();
        let cost = |shard: u8| costs.get(usize::from(shard)).copied().unwrap_or(u32::MAX);
        let is_idle = |shard: &&u8| cost(**shard) < self.above;
        let chosen = if cost(home) <= self.above {
            home
        } else if let Some(&branch) = branches.iter().filter(is_idle).min_by_key(|shard| cost(**shard)) {
            branch
        } else {
            let all = (0..=u8::MAX).take(costs.len());
            all.min_by_key(|&shard| (cost(shard), shard != home)).unwrap_or(home)
        };
        let at = usize::from(chosen);
        if self.young.len() <= at {
            self.young.resize(at + 1, 0);
        }
        // In bounds: just grown.
        self.young[at] += 1;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_stays_where_it_lives_until_that_is_busy() {
        let now = Instant::now();
        for (busy, branches, expected) in [
            (vec![0], vec![], 0),
            (vec![400, 0, 0], vec![], 0),
            (vec![401, 300, 200], vec![], 2),
            (vec![900, 300, 200], vec![1], 1),
            (vec![900, 500, 200], vec![1], 2),
            (vec![900, 950, 990], vec![1], 0),
            (vec![300, 0, 0], vec![1, 2], 0),
        ] {
            let mut spread = Spread::new(now, 400);
            assert_eq!(spread.place(now, 0, &branches, busy.iter().copied()), expected, "{busy:?} {branches:?}");
        }
    }

    #[test]
    fn a_crowd_that_comes_at_once_is_spread_though_nothing_shows_yet() {
        let now = Instant::now();
        let mut spread = Spread::new(now, 100);
        let mut placed = [0_u32; 3];
        let mut branches = Vec::new();
        for _ in 0..600 {
            let shard = spread.place(now, 1, &branches, [0, 0, 0].into_iter());
            placed[usize::from(shard)] += 1;
            if shard != 1 && !branches.contains(&shard) {
                branches.push(shard);
            }
        }
        assert!(placed.iter().all(|&count| (150..=250).contains(&count)), "{placed:?}");
        let later = now + YOUNG;
        assert_eq!(spread.place(later, 1, &branches, [0, 0, 0].into_iter()), 1, "what shows by then is what counts");
    }
}
