//! Calling people: one asks another into a room, and hears what becomes of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::id::RoomId;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Call {
    /// Which; cannot be guessed.
    pub id: String,
    /// The identity of who calls; absent when the server's operator does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The identity of who is called.
    pub to: String,
    /// Where they are to meet.
    pub room: RoomId,
    /// When it began, in milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at: u64,
    /// For how many seconds it rings at most.
    pub timeout_s: u32,
}

/// How far a call has come. Each comes once to each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum CallState {
    /// It rings.
    Ringing,
    /// Who is called accepted: both go to the room.
    Accepted,
    /// Who is called declined.
    Declined,
    /// Who calls gave up.
    Cancelled,
    /// Nobody answered in time: for who was called, a missed call.
    TimedOut,
}

impl CallState {
    /// The word on the wire, which is the name of the server-sent event too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timedOut",
        }
    }
}

/// What is done about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum CallAnswer {
    /// Who is called comes.
    Accept,
    /// Who is called does not.
    Decline,
    /// Who calls gives up.
    Cancel,
}

/// Something became of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct CallEvent {
    /// Position among the call events of this server, from 1.
    #[ts(type = "number")]
    pub seq: u64,
    /// When, in milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at: u64,
    /// What.
    pub state: CallState,
    /// Of which call.
    pub call: Call,
}
