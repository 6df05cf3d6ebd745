//! Events as readers outside of a room get them: the answers of a long poll, the entries of the stream of all rooms,
//! and what a webhook is sent. The [`Event`] inside is the same everywhere, and so is its number.

use std::sync::LazyLock;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use crate::event::{Event, EventBody};
use crate::id::RoomId;
use crate::state::RoomState;

/// What a long poll of one room answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct EventPage {
    /// The room's id.
    pub room: RoomId,
    /// Which life of the room this is.
    #[ts(type = "number")]
    pub epoch: u64,
    /// The room as it is now, when what the reader lacks is not kept any more or it named no event: start again from this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<RoomState>,
    /// The events behind the one that was named, in order and without a gap; empty when nothing came in time.
    pub events: Vec<Event>,
    /// `EPOCH-SEQ` of the last event the reader has now: the `after` of its next poll.
    pub next: String,
    /// Whether the room is over and the reader has everything: no further poll makes sense.
    pub closed: bool,
}

/// One entry of the stream of all rooms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct ServerEvent {
    /// Position in the server's own sequence, from 1. A reader that filters sees gaps.
    #[ts(type = "number")]
    pub number: u64,
    /// In which room it happened.
    pub room: RoomId,
    /// In which life of the room.
    #[ts(type = "number")]
    pub epoch: u64,
    /// What happened; `seq` is the number in the room's own stream.
    pub event: Event,
}

/// All rooms as they stand, for readers of the stream of all rooms who begin or lack too much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct ServerState {
    /// Which start of the server this is, in milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub boot: u64,
    /// Entries with greater numbers follow. One whose `seq` is not above its room's here is in this state already.
    #[ts(type = "number")]
    pub number: u64,
    /// The open rooms, ordered by id.
    pub rooms: Vec<RoomState>,
    /// Whether these are all rooms asked for; otherwise the rest is to be had one by one.
    pub complete: bool,
}

/// What a long poll of all rooms answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct ServerEventPage {
    /// Which start of the server this is.
    #[ts(type = "number")]
    pub boot: u64,
    /// All rooms as they are now, when the entry that was named is too old, of another start, or none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ServerState>,
    /// The entries behind the one that was named, in order; empty when nothing came in time.
    pub events: Vec<ServerEvent>,
    /// `BOOT-NUMBER` of the last entry that was looked at: the `after` of the next poll.
    pub next: String,
}

/// The body of a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct WebhookBody {
    /// The type of the event.
    pub r#type: String,
    /// When it happened, in RFC 3339 with milliseconds.
    pub timestamp: String,
    /// What happened.
    pub data: WebhookData,
}

/// What happened, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct WebhookData {
    /// In which room.
    pub room: RoomId,
    /// In which life of the room.
    #[ts(type = "number")]
    pub epoch: u64,
    /// What.
    pub event: Event,
}

/// The words that an event's `type` can be.
#[must_use]
pub fn event_names() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| names_of(&schema_for!(EventBody).to_value()));
    &NAMES
}

/// The schema knows every variant, so that the list is never behind the type.
fn names_of(schema: &Value) -> Vec<String> {
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    variants.filter_map(|variant| variant["properties"]["type"]["const"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RoomCloseReason;

    #[test]
    fn every_event_has_its_name_in_the_list() {
        let names = event_names();
        for name in ["joined", "left", "audience", "published", "unpublished", "muted", "speaking", "chat"] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
        let last = EventBody::RoomClosed { reason: RoomCloseReason::Empty };
        assert!(names.iter().any(|known| known == last.name()));
        assert!(!names.iter().any(|known| known == "reset"), "what is no event");
    }
}
