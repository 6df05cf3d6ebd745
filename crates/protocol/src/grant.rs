//! What somebody may do in a room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Permissions of one member, decided when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct Grants {
    /// May publish audio and video.
    pub publish: bool,
    /// May receive what others publish.
    pub subscribe: bool,
    /// May write chat messages.
    pub chat: bool,
    /// May moderate: change what others may, mute them, put them out, let in who waits, set up the room.
    #[serde(default)]
    pub admin: bool,
    /// How much and how good; nothing more is sent or taken, whatever is asked for.
    #[serde(default)]
    pub limits: MemberLimits,
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
    pub const ALL: Self = Self { publish: true, subscribe: true, chat: true, admin: false, limits: MemberLimits::NONE };
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
}
