//! On which shard a new room is opened.

use std::cmp::Reverse;

/// What is known of a shard when a room is to be placed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The share of the last half second in which it was busy, in thousandths.
    pub(super) busy: u32,
    /// Its open rooms.
    pub(super) rooms: u32,
    /// Those of them that were opened too lately to show in how busy it is.
    pub(super) young: u32,
}

/// What a room that has just been opened is taken to make its shard busy, in thousandths.
const YOUNG_COST: u32 = 20;

impl Standing {
    fn cost(self) -> (u32, u32) {
        (self.busy.saturating_add(YOUNG_COST * self.young), self.rooms)
    }
}

/// The busiest of those that would be busy for less than `gather_below` thousandths with one room more, of equals the first:
/// rooms on one shard share its wake-ups, which cost more than all else while there is little to do. If there is none,
/// the shard that is the least busy; of equals the one with fewer rooms, then the first.
pub(super) fn place(gather_below: u32, standings: &[Standing]) -> usize {
    let costs = standings.iter().enumerate().map(|(shard, standing)| (standing.cost(), shard));
    let calm = costs.clone().filter(|((busy, _), _)| busy.saturating_add(YOUNG_COST) < gather_below);
    let busiest = calm.max_by_key(|((busy, _), shard)| (*busy, Reverse(*shard)));
    busiest.or_else(|| costs.min()).map_or(0, |(_, shard)| shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(busy: u32, rooms: u32, young: u32) -> Standing {
        Standing { busy, rooms, young }
    }

    #[test]
    fn a_room_goes_where_there_is_least_to_do() {
        for (standings, expected) in [
            (vec![], 0),
            (vec![at(0, 0, 0); 3], 0),
            (vec![at(500, 1, 0), at(100, 9, 0)], 1),
            (vec![at(100, 9, 0), at(100, 8, 0)], 1),
            (vec![at(100, 5, 0), at(90, 5, 2)], 0),
            // It has no rooms of its own, but a part of one that another shard is the home of.
            (vec![at(100, 5, 0), at(900, 0, 0)], 0),
        ] {
            assert_eq!(place(0, &standings), expected, "{standings:?}");
        }
    }

    #[test]
    fn rooms_are_opened_where_others_are_until_that_is_busy() {
        for (standings, expected) in [
            (vec![at(0, 0, 0); 3], 0),
            (vec![at(0, 0, 0), at(1, 1, 0)], 1),
            (vec![at(50, 3, 0), at(150, 9, 0), at(0, 0, 0)], 1),
            (vec![at(50, 3, 0), at(100, 9, 4), at(0, 0, 0)], 0),
            (vec![at(300, 3, 0), at(180, 9, 0), at(0, 0, 0)], 2),
            (vec![at(300, 3, 0), at(180, 9, 0)], 1),
        ] {
            assert_eq!(place(200, &standings), expected, "{standings:?}");
        }
        let mut standings = vec![at(0, 0, 0); 2];
        for _ in 0..30 {
            let shard = place(200, &standings);
            standings[shard].young += 1;
            standings[shard].rooms += 1;
        }
        assert_eq!(
            [standings[0].rooms, standings[1].rooms],
            [15, 15],
            "nine on the first, then on the second, then in turn"
        );
    }

    #[test]
    fn many_rooms_at_once_are_spread_though_nothing_shows_yet() {
        let mut standings = vec![at(300, 10, 0), at(0, 0, 0)];
        let mut opened = [0; 2];
        for _ in 0..35 {
            let shard = place(0, &standings);
            opened[shard] += 1;
            standings[shard].young += 1;
            standings[shard].rooms += 1;
        }
        assert_eq!(opened, [10, 25]);
    }
}
