//! Patterns of rooms: an id in which `*` stands for any part of one.

use roundtable_protocol::RoomId;
use serde::{Deserialize, Deserializer};

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 64;
/// Most patterns of one list.
pub const MAX_PATTERNS: usize = 100;

/// A list of patterns. Its default lets every room through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPatterns(Vec<String>);

/// Why a list is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPattern {
    /// A pattern that fits no room.
    #[error("{0:?} is no pattern of rooms: 1 to 64 of A–Z a–z 0–9 - _ . ~, and * for any part")]
    Malformed(String),
    /// There are too many.
    #[error("there are more than {MAX_PATTERNS} patterns of rooms")]
    TooMany,
}

impl Default for RoomPatterns {
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl RoomPatterns {
    /// Checks patterns.
    ///
    /// # Errors
    /// [`BadPattern`] names the one that is none.
    pub fn new(patterns: Vec<String>) -> Result<Self, BadPattern> {
        if patterns.len() > MAX_PATTERNS {
            return Err(BadPattern::TooMany);
        }
        let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-_.~*".contains(&b);
        let is_pattern = |text: &str| (1..=MAX_PATTERN_BYTES).contains(&text.len()) && text.bytes().all(is_part);
        match patterns.iter().find(|pattern| !is_pattern(pattern)) {
            Some(bad) => Err(BadPattern::Malformed(bad.clone())),
            None => Ok(Self(patterns)),
        }
    }

    /// Whether one of them fits the room.
    #[must_use]
    pub fn allow(&self, room: &RoomId) -> bool {
        self.0.iter().any(|pattern| fits(pattern, room.as_str()))
    }
}

impl<'de> Deserialize<'de> for RoomPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The parts between the stars stand in the id one after the other, the first at its beginning and the last at its end.
fn fits(pattern: &str, id: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == id };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(inside) = id.strip_prefix(first).and_then(|id| id.strip_suffix(last)) else { return false };
    let after = middle.split('*').try_fold(inside, |left, part| left.find(part).map(|at| &left[at + part.len()..]));
    after.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part() {
        // (patterns, room, allowed)
        let table: &[(&[&str], &str, bool)] = &[
            (&["daily"], "daily", true),
            (&["daily"], "daily2", false),
            (&["*"], "anything", true),
            (&["team-*"], "team-a", true),
            (&["team-*"], "team-", true),
            (&["team-*"], "a-team-a", false),
            (&["*-team"], "a-team", true),
            (&["*-team"], "a-team-b", false),
            (&["a*b*c"], "a.x.b.y.c", true),
            (&["a*b*c"], "abc", true),
            (&["a*b*c"], "acb", false),
            (&["a*b*c*d"], "a.b.c.d", true),
            (&["a*b*c*d"], "a.c.b.d", false),
            (&["a*a"], "a", false),
            (&["**"], "x", true),
            (&["x", "y-*"], "y-1", true),
            (&[], "daily", false),
        ];
        for (patterns, room, expected) in table {
            let patterns = RoomPatterns::new(patterns.iter().map(|text| (*text).to_owned()).collect()).unwrap();
            assert_eq!(patterns.allow(&RoomId::new(*room).unwrap()), *expected, "{patterns:?} {room}");
        }
        assert!(RoomPatterns::default().allow(&RoomId::new("r").unwrap()));
    }

    #[test]
    fn what_fits_no_room_is_no_pattern() {
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(RoomPatterns::new(vec![bad.to_owned()]), Err(BadPattern::Malformed(bad.to_owned())));
        }
        assert_eq!(RoomPatterns::new(vec!["x".to_owned(); 101]), Err(BadPattern::TooMany));
    }
}
