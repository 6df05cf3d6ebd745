//! What those may do to others who moderate a room, and what comes of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::grant::Grants;
use crate::id::{MemberId, RoomId, TrackId};
use crate::role::GrantsChange;
use crate::settings::SettingsChange;
use crate::source::TrackSource;

/// What a moderator does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(optional_fields)]
#[non_exhaustive]
pub enum ModerationAction {
    /// Changes what a member may do, at once. Tracks that it may not publish any more end.
    SetPermissions {
        /// Whose.
        member: MemberId,
        /// What changes.
        changes: GrantsChange,
    },
    /// Mutes a track of anybody, or lifts that.
    Mute {
        /// Which.
        track: TrackId,
        /// Whether it is to be silent. False lifts what a moderator muted; whoever muted themselves stays muted.
        muted: bool,
        /// Whether the owner cannot unmute it, nor get around that by publishing again. Otherwise it is a request.
        #[serde(default = "yes")]
        hold: bool,
    },
    /// The same for everybody who does not moderate.
    MuteAll {
        /// Tracks of this source.
        source: TrackSource,
        /// As with `mute`.
        muted: bool,
        /// As with `mute`.
        #[serde(default = "yes")]
        hold: bool,
    },
    /// Puts a member out; it may come again.
    Kick {
        /// Whom.
        member: MemberId,
        /// A sentence for them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Puts a member out and refuses it from then on.
    Ban {
        /// Whom.
        member: MemberId,
        /// For so many seconds; without it until it is lifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
        /// A sentence for them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Lifts a ban.
    Unban {
        /// Which.
        ban: String,
    },
    /// Asks for the bans of the room.
    ListBans {},
    /// Locks the room for newcomers, or opens it again.
    Lock {
        /// The new state.
        locked: bool,
    },
    /// Changes the settings of the room.
    SetSettings {
        /// What changes.
        changes: SettingsChange,
        /// The version that the changes are meant for; `room/changed` if it is another one by now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number")]
        version: Option<u64>,
    },
    /// Ends the room.
    Close {
        /// A sentence for everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Sends a member on to another room.
    Move {
        /// Whom.
        member: MemberId,
        /// Where to.
        room: RoomId,
    },
    /// Tells one member something, or everybody.
    Message {
        /// Whom; absent means everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<MemberId>,
        /// The text, at most 16 KiB.
        text: String,
    },
    /// Asks who waits in the lobby.
    ListKnocks {},
    /// Lets somebody in who waits.
    Admit {
        /// Whose knock.
        knock: String,
    },
    /// Lets everybody in who waits.
    AdmitAll {},
    /// Refuses somebody who waits.
    Deny {
        /// Whose knock.
        knock: String,
        /// A sentence for them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

fn yes() -> bool {
    true
}

/// What came of a moderator's action, beside that it was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct ModerationOutcome {
    /// What the member may do now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
    /// The ban that was made, or all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bans: Option<Vec<Ban>>,
    /// Everybody who waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knocks: Option<Vec<Knock>>,
    /// How many it concerned: tracks muted, people let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Somebody who is not let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Ban {
    /// Which.
    pub id: String,
    /// The name they had when they were banned.
    pub name: String,
    /// By what they are recognised.
    pub by: BanKey,
    /// When it was made, in milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at: u64,
    /// When it ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub until: Option<u64>,
}

/// By what somebody is recognised who was banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum BanKey {
    /// Their proven identity.
    Identity,
    /// Their address.
    Address,
    /// Their name, which anybody can change: better than nothing.
    Name,
}

/// Somebody who waits to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct Knock {
    /// Which.
    pub id: String,
    /// The name they give.
    pub name: String,
    /// Since when they wait, in milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at: u64,
}

/// How a knock ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum KnockEnd {
    /// They were let in.
    Admitted,
    /// They were refused.
    Denied,
    /// They went away.
    Withdrawn,
    /// Nobody answered in time.
    TimedOut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_holds_unless_it_says_otherwise() {
        let action: ModerationAction = serde_json::from_str(r#"{"type":"mute","track":"t1","muted":true}"#).unwrap();
        assert!(matches!(action, ModerationAction::Mute { hold: true, .. }));
    }
}
