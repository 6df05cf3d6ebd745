//! Whose pictures a member gets when it may not get all: the last-N.
//!
//! What the member holds on stage and shared screens come first, then what it looks at, then who spoke last, then who
//! published first. Only the choice is made here; [`super::slot`] leaves everybody who stays where they are.

use std::cmp::Reverse;
use std::collections::HashSet;

use roundtable_protocol::TrackId;

/// A picture that could be sent.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which.
    pub track: &'a TrackId,
    /// Whether the member pinned it, or it is a screen.
    pub held: bool,
    /// Whether the member looks at it, as far as it said.
    pub visible: bool,
    /// When its owner last began to speak, as a number that grows; 0 for never.
    pub spoke: u64,
}

/// Chooses at most `n` of the candidates, which come in order of publishing.
#[must_use]
pub fn choose(candidates: &[Candidate<'_>], n: usize) -> HashSet<TrackId> {
    let mut order: Vec<&Candidate<'_>> = candidates.iter().collect();
    // The sort is stable: what is equal stays in order of publishing.
    order.sort_by_key(|candidate| Reverse((candidate.held, candidate.visible, candidate.spoke)));
    order.into_iter().take(n).map(|candidate| candidate.track.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(candidates: &[(&str, bool, bool, u64)], n: usize, expected: &[&str]) {
        let ids: Vec<TrackId> = candidates.iter().map(|(id, ..)| TrackId::new(*id).unwrap()).collect();
        let candidates: Vec<Candidate<'_>> = candidates
            .iter()
            .zip(&ids)
            .map(|((_, held, visible, spoke), track)| Candidate {
                track,
                held: *held,
                visible: *visible,
                spoke: *spoke,
            })
            .collect();
        let mut chosen: Vec<String> = choose(&candidates, n).iter().map(ToString::to_string).collect();
        chosen.sort();
        assert_eq!(chosen, expected, "{n} of {candidates:?}");
    }

    #[test]
    fn held_before_seen_before_heard_before_old() {
        let all = [
            ("a", false, true, 0),
            ("b", false, true, 0),
            ("c", false, true, 5),
            ("d", false, false, 9),
            ("e", true, false, 0),
        ];
        check(&all, 0, &[]);
        check(&all, 1, &["e"]);
        check(&all, 2, &["c", "e"]);
        check(&all, 3, &["a", "c", "e"]);
        check(&all, 4, &["a", "b", "c", "e"]);
        check(&all, 9, &["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_new_speaker_takes_the_place_of_who_was_silent_longest() {
        let spoke = |a, b, c| [("a", false, true, a), ("b", false, true, b), ("c", false, true, c)];
        check(&spoke(1, 2, 0), 2, &["a", "b"]);
        check(&spoke(1, 2, 3), 2, &["b", "c"]);
        check(&spoke(4, 2, 3), 2, &["a", "c"]);
    }
}
