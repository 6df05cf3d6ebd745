//! How a room is set up, beyond the life of one conversation in it.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use ts_rs::TS;

use crate::limit::{MAX_EMPTY_TIMEOUT_S, MAX_ROOM_METADATA_BYTES};
use crate::role::Role;

/// The settings of a room. What is absent is as the server has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct RoomSettings {
    /// Rises with every change of any room of this server, so that no two settings of a room have the same; 0 for a
    /// room that was never set up. Over HTTP the `ETag`.
    #[ts(type = "number")]
    pub version: u64,
    /// Whether newcomers are refused with `room/locked`, unless they moderate.
    #[serde(default)]
    pub locked: bool,
    /// Whether whoever does not moderate waits until a moderator lets them in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<bool>,
    /// People the room holds at most, within what the server allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_members: Option<u32>,
    /// Text of the application's own, at most 4 KiB. Everybody in the room reads it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[ts(optional, as = "Option<_>")]
    pub metadata: String,
    /// Seconds for which the room stays open when the last one has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_timeout_s: Option<u32>,
    /// What somebody may do who comes without a word about it from a token or the server's hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_role: Option<Role>,
    /// Before this nobody enters, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub not_before: Option<u64>,
    /// From then on nobody enters, in milliseconds since 1970 UTC. Who is in stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub expires_at: Option<u64>,
}

/// Changes of a room's settings. What is absent stays; null takes a setting away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct SettingsChange {
    /// See [`RoomSettings::locked`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// See [`RoomSettings::lobby`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[ts(type = "boolean | null")]
    pub lobby: Option<Option<bool>>,
    /// See [`RoomSettings::max_members`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[ts(type = "number | null")]
    pub max_members: Option<Option<u32>>,
    /// See [`RoomSettings::metadata`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// See [`RoomSettings::empty_timeout_s`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[ts(type = "number | null")]
    pub empty_timeout_s: Option<Option<u32>>,
    /// See [`RoomSettings::default_role`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[ts(type = "Role | null")]
    pub default_role: Option<Option<Role>>,
    /// See [`RoomSettings::not_before`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[ts(type = "number | null")]
    pub not_before: Option<Option<u64>>,
    /// See [`RoomSettings::expires_at`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[ts(type = "number | null")]
    pub expires_at: Option<Option<u64>>,
}

/// Settings that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSettings {
    /// More text than the room keeps.
    #[error("the metadata is longer than {MAX_ROOM_METADATA_BYTES} bytes")]
    Metadata,
    /// A room for nobody.
    #[error("a room holds at least 1")]
    MaxMembers,
    /// An empty room would stay too long.
    #[error("an empty room stays open for at most {MAX_EMPTY_TIMEOUT_S} s")]
    EmptyTimeout,
    /// It ends before it begins.
    #[error("the room expires before it opens")]
    Times,
}

impl RoomSettings {
    /// Lays changes over these settings; the version stays.
    ///
    /// # Errors
    /// [`BadSettings`] says what of the outcome makes no sense.
    pub fn with(&self, change: &SettingsChange) -> Result<Self, BadSettings> {
        let settings = Self {
            version: self.version,
            locked: change.locked.unwrap_or(self.locked),
            lobby: change.lobby.unwrap_or(self.lobby),
            max_members: change.max_members.unwrap_or(self.max_members),
            metadata: change.metadata.clone().unwrap_or_else(|| self.metadata.clone()),
            empty_timeout_s: change.empty_timeout_s.unwrap_or(self.empty_timeout_s),
            default_role: change.default_role.unwrap_or(self.default_role),
            not_before: change.not_before.unwrap_or(self.not_before),
            expires_at: change.expires_at.unwrap_or(self.expires_at),
        };
        settings.check()?;
        Ok(settings)
    }

    /// Checks that the settings make sense.
    ///
    /// # Errors
    /// [`BadSettings`] says what does not.
    pub fn check(&self) -> Result<(), BadSettings> {
        if self.metadata.len() > MAX_ROOM_METADATA_BYTES {
            return Err(BadSettings::Metadata);
        }
        if self.max_members == Some(0) {
            return Err(BadSettings::MaxMembers);
        }
        if self.empty_timeout_s.is_some_and(|seconds| seconds > MAX_EMPTY_TIMEOUT_S) {
            return Err(BadSettings::EmptyTimeout);
        }
        match (self.not_before, self.expires_at) {
            (Some(from), Some(until)) if until <= from => Err(BadSettings::Times),
            _ => Ok(()),
        }
    }
}

/// Tells a field that is null from one that is absent.
fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str) -> SettingsChange {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_absent_stays_and_null_takes_away() {
        let settings = RoomSettings { version: 7, ..RoomSettings::default() };
        let set = settings.with(&change(r#"{"locked":true,"maxMembers":5,"defaultRole":"listener"}"#)).unwrap();
        assert_eq!((set.version, set.locked, set.max_members), (7, true, Some(5)));
        let less = set.with(&change(r#"{"maxMembers":null}"#)).unwrap();
        assert_eq!((less.locked, less.max_members, less.default_role), (true, None, Some(Role::Listener)));
        assert!(serde_json::from_str::<SettingsChange>(r#"{"lockd":true}"#).is_err(), "a slip is told");
        assert!(serde_json::from_str::<SettingsChange>(r#"{"version":9}"#).is_err(), "the server counts");
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let with = |json: &str| RoomSettings::default().with(&change(json)).unwrap_err();
        let long = format!(r#"{{"metadata":"{}"}}"#, "x".repeat(MAX_ROOM_METADATA_BYTES + 1));
        assert_eq!(with(&long), BadSettings::Metadata);
        assert_eq!(with(r#"{"maxMembers":0}"#), BadSettings::MaxMembers);
        assert_eq!(with(r#"{"emptyTimeoutS":999999999}"#), BadSettings::EmptyTimeout);
        assert_eq!(with(r#"{"notBefore":2,"expiresAt":2}"#), BadSettings::Times);
    }

    #[test]
    fn settings_of_a_room_that_has_none_are_short() {
        assert_eq!(serde_json::to_string(&RoomSettings::default()).unwrap(), r#"{"version":0,"locked":false}"#);
    }
}
