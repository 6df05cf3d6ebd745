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
}

impl Grants {
    /// Everything a guest of an open room may do.
    pub const ALL: Self = Self { publish: true, subscribe: true, chat: true };
}

impl Default for Grants {
    fn default() -> Self {
        Self::ALL
    }
}
