//! What somebody may do in a room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::source::TrackSource;

/// Permissions of one member, decided when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Grants {
    /// May publish audio and video.
    pub publish: bool,
    /// From which sources it may publish; absent means from all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Sources>,
    /// May receive what others publish.
    pub subscribe: bool,
    /// May write chat messages.
    pub chat: bool,
    /// May publish data.
    #[serde(default = "allowed")]
    pub data: bool,
    /// The topics it may publish data to, as patterns of [`topic_matches`]; absent means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// May moderate: change what others may, mute them, put them out, let in who waits, set up the room.
    #[serde(default)]
    pub admin: bool,
    /// Is not shown to others. Whoever is hidden publishes nothing.
    #[serde(default)]
    pub hidden: bool,
    /// Is a program that records, and may be shown as that.
    #[serde(default)]
    pub recorder: bool,
    /// May change what others see of it.
    #[serde(default)]
    pub update_own_metadata: bool,
    /// How much and how good; nothing more is sent or taken, whatever is asked for.
    #[serde(default)]
    pub limits: MemberLimits,
}

/// A set of sources, on the wire a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(from = "Vec<TrackSource>", into = "Vec<TrackSource>")]
#[schemars(with = "Vec<TrackSource>")]
#[ts(type = "Array<TrackSource>")]
pub struct Sources(u8);

impl Sources {
    /// No source.
    pub const NONE: Self = Self(0);

    /// This set and one source more.
    #[must_use]
    pub fn with(self, source: TrackSource) -> Self {
        Self(self.0 | bit(source))
    }

    /// Whether the source is one of them.
    #[must_use]
    pub fn contains(self, source: TrackSource) -> bool {
        self.0 & bit(source) != 0
    }
}

fn bit(source: TrackSource) -> u8 {
    match source {
        TrackSource::Microphone => 1,
        TrackSource::Camera => 2,
        TrackSource::Screen => 4,
        TrackSource::ScreenAudio => 8,
    }
}

impl FromIterator<TrackSource> for Sources {
    fn from_iter<I: IntoIterator<Item = TrackSource>>(sources: I) -> Self {
        sources.into_iter().fold(Self::NONE, Self::with)
    }
}

impl From<Vec<TrackSource>> for Sources {
    fn from(sources: Vec<TrackSource>) -> Self {
        sources.into_iter().collect()
    }
}

impl From<Sources> for Vec<TrackSource> {
    fn from(sources: Sources) -> Self {
        TrackSource::ALL.into_iter().filter(|source| sources.contains(*source)).collect()
    }
}

/// How much one member may receive and publish. What is absent is as the server's settings have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct MemberLimits {
    /// Towards the member.
    #[serde(default)]
    pub receive: QualityLimits,
    /// From the member.
    #[serde(default)]
    pub publish: QualityLimits,
    /// Most pictures of others sent to the member at once; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_n: Option<u16>,
}

/// Bounds of what flows in one direction. What is absent is not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct QualityLimits {
    /// All media together, in bits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitrate_bps: Option<u32>,
    /// Rows of a picture held upright, the smaller of its sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u16>,
    /// Pictures a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<u8>,
}

/// A limit that would let nothing usable through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLimit {
    /// Too few bits for a voice.
    #[error("a bit rate below {MIN_BITRATE_BPS} bit/s carries no voice")]
    Bitrate,
    /// No rows, or no pictures.
    #[error("rows and pictures a second begin at 1")]
    Zero,
}

/// The lowest bit rate that a limit may set: one voice and its headers.
pub const MIN_BITRATE_BPS: u32 = 50_000;

impl Grants {
    /// Everything a guest of an open room may do.
    pub const ALL: Self = Self {
        publish: true,
        sources: None,
        subscribe: true,
        chat: true,
        data: true,
        topics: None,
        admin: false,
        hidden: false,
        recorder: false,
        update_own_metadata: false,
        limits: MemberLimits::NONE,
    };

    /// Whether a track of this source may be published.
    #[must_use]
    pub fn may_publish(&self, source: TrackSource) -> bool {
        self.publish && !self.hidden && self.sources.is_none_or(|sources| sources.contains(source))
    }

    /// Whether data may be published to this topic.
    #[must_use]
    pub fn may_publish_data(&self, topic: &str) -> bool {
        self.data
            && !self.hidden
            && self.topics.as_ref().is_none_or(|topics| topics.iter().any(|pattern| topic_matches(pattern, topic)))
    }

    /// Whether chat messages may be written.
    #[must_use]
    pub fn may_chat(&self) -> bool {
        self.chat && !self.hidden
    }
}

/// Whether a topic is one of those that a pattern names. Both are words with slashes between; in a pattern `*` stands for
/// any one word, and `**` at its end for all that follows.
#[must_use]
pub fn topic_matches(pattern: &str, topic: &str) -> bool {
    let (mut patterns, mut words) = (pattern.split('/'), topic.split('/'));
    loop {
        match (patterns.next(), words.next()) {
            (Some("**"), Some(_)) => return patterns.next().is_none(),
            (Some("*"), Some(_)) => {}
            (Some(pattern), Some(word)) if pattern == word => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn allowed() -> bool {
    true
}

impl Default for Grants {
    fn default() -> Self {
        Self::ALL
    }
}

impl MemberLimits {
    /// No limits.
    pub const NONE: Self = Self { receive: QualityLimits::NONE, publish: QualityLimits::NONE, last_n: None };

    /// These limits, and where they say nothing, those of `default`.
    #[must_use]
    pub fn or(self, default: Self) -> Self {
        Self {
            receive: self.receive.or(default.receive),
            publish: self.publish.or(default.publish),
            last_n: self.last_n.or(default.last_n),
        }
    }

    /// Checks that each limit lets something usable through.
    ///
    /// # Errors
    /// [`BadLimit`] says which does not.
    pub fn check(&self) -> Result<(), BadLimit> {
        self.receive.check()?;
        self.publish.check()
    }
}

impl QualityLimits {
    /// No limits.
    pub const NONE: Self = Self { max_bitrate_bps: None, max_height: None, max_fps: None };

    fn or(self, default: Self) -> Self {
        Self {
            max_bitrate_bps: self.max_bitrate_bps.or(default.max_bitrate_bps),
            max_height: self.max_height.or(default.max_height),
            max_fps: self.max_fps.or(default.max_fps),
        }
    }

    fn check(&self) -> Result<(), BadLimit> {
        if self.max_bitrate_bps.is_some_and(|bps| bps < MIN_BITRATE_BPS) {
            return Err(BadLimit::Bitrate);
        }
        if self.max_height == Some(0) || self.max_fps == Some(0) { Err(BadLimit::Zero) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_is_given_stands_before_the_default_field_by_field() {
        let given = MemberLimits {
            receive: QualityLimits { max_bitrate_bps: Some(5_000_000), ..QualityLimits::NONE },
            ..MemberLimits::NONE
        };
        let default = MemberLimits {
            receive: QualityLimits { max_bitrate_bps: Some(1_000_000), max_height: Some(360), max_fps: None },
            publish: QualityLimits { max_fps: Some(15), ..QualityLimits::NONE },
            last_n: Some(4),
        };
        let limits = given.or(default);
        assert_eq!((limits.receive.max_bitrate_bps, limits.receive.max_height), (Some(5_000_000), Some(360)));
        assert_eq!((limits.publish.max_fps, limits.last_n), (Some(15), Some(4)));
        assert_eq!(given.or(MemberLimits::NONE), given);
    }

    #[test]
    fn a_limit_that_lets_nothing_through_is_a_mistake() {
        let of = |receive| MemberLimits { receive, ..MemberLimits::NONE }.check();
        assert_eq!(of(QualityLimits { max_bitrate_bps: Some(49_999), ..QualityLimits::NONE }), Err(BadLimit::Bitrate));
        assert_eq!(of(QualityLimits { max_bitrate_bps: Some(50_000), ..QualityLimits::NONE }), Ok(()));
        assert_eq!(of(QualityLimits { max_height: Some(0), ..QualityLimits::NONE }), Err(BadLimit::Zero));
        assert_eq!(of(QualityLimits { max_fps: Some(0), ..QualityLimits::NONE }), Err(BadLimit::Zero));
        let none = MemberLimits { last_n: Some(0), ..MemberLimits::NONE };
        assert_eq!(none.check(), Ok(()), "to see nobody is a sensible wish");
    }

    #[test]
    fn grants_of_before_limits_are_still_read() {
        let grants: Grants = serde_json::from_str(r#"{"publish":true,"subscribe":true,"chat":true}"#).unwrap();
        assert_eq!(grants, Grants::ALL);
    }

    #[test]
    fn sources_are_a_list_on_the_wire_and_absent_means_all() {
        let grants: Grants =
            serde_json::from_str(r#"{"publish":true,"subscribe":true,"chat":true,"sources":["camera","screen"]}"#)
                .unwrap();
        assert!(grants.may_publish(TrackSource::Camera) && grants.may_publish(TrackSource::Screen));
        assert!(!grants.may_publish(TrackSource::Microphone) && !grants.may_publish(TrackSource::ScreenAudio));
        assert_eq!(serde_json::to_value(grants.sources).unwrap(), serde_json::json!(["camera", "screen"]));
        assert!(TrackSource::ALL.into_iter().all(|source| Grants::ALL.may_publish(source)));
        let none = Grants { sources: Some(Sources::NONE), ..Grants::ALL };
        assert!(TrackSource::ALL.into_iter().all(|source| !none.may_publish(source)), "an empty list is none");
    }

    #[test]
    fn patterns_name_topics_word_by_word() {
        for (pattern, topic, matches) in [
            ("cursor", "cursor", true),
            ("cursor", "cursors", false),
            ("board/*", "board/1", true),
            ("board/*", "board", false),
            ("board/*", "board/1/2", false),
            ("board/*/ink", "board/7/ink", true),
            ("board/**", "board/1/2", true),
            ("board/**", "board", false),
            ("**", "anything/at/all", true),
            ("**/x", "a/x", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(topic_matches(pattern, topic), matches, "{pattern:?} and {topic:?}");
        }
        let grants = Grants { topics: Some(vec!["board/**".into()]), ..Grants::ALL };
        assert!(grants.may_publish_data("board/1") && !grants.may_publish_data("cursor"));
        assert!(Grants::ALL.may_publish_data("cursor"));
        assert!(!Grants { data: false, ..grants }.may_publish_data("board/1"));
    }

    #[test]
    fn whoever_is_hidden_is_not_heard_of() {
        let hidden = Grants { hidden: true, ..Grants::ALL };
        assert!(!hidden.may_publish(TrackSource::Camera) && !hidden.may_publish_data("x") && !hidden.may_chat());
    }
}
