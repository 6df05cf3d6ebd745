//! Everybody in a room, page by page, for those whom the state of a large room does not list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::event::MemberInfo;
use crate::id::RoomId;

/// Some of the people in a room, in order of joining, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct RosterPage {
    /// The room's id.
    pub room: RoomId,
    /// Which life of the room this is, as in its state.
    #[ts(type = "number")]
    pub epoch: u64,
    /// People in the room at this moment.
    pub total: u32,
    /// Those of this page.
    pub members: Vec<MemberInfo>,
    /// Where the next page begins: to be given as `after`. Null on the last page. People who come while one turns the
    /// pages are at the end; nobody who stays is left out or comes twice.
    #[ts(type = "number | null")]
    pub next: Option<u64>,
}
