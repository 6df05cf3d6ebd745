//! How media does, in figures: for a client that asks about itself, and for the operator of a room.
//!
//! Counters only rise; who wants rates looks twice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::grant::MemberLimits;
use crate::id::{MemberId, RoomId, TrackId};

/// Everybody's media in one room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct RoomStats {
    /// The room's id.
    pub room: RoomId,
    /// Everybody, ordered by id.
    pub members: Vec<MemberStats>,
}

/// One member's media.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct MemberStats {
    /// Who.
    pub member: MemberId,
    /// When these figures were true, in milliseconds since 1970 UTC by the server's clock.
    #[ts(type = "number")]
    pub at: u64,
    /// What the member may receive and publish.
    pub limits: MemberLimits,
    /// The path towards the member; null before its first offer.
    pub path: Option<PathFigures>,
    /// What it is sent, slot by slot, ordered by m-line.
    pub slots: Vec<SlotFigures>,
    /// What it publishes.
    pub tracks: Vec<TrackFigures>,
}

/// What the path to one member carries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct PathFigures {
    /// What may be sent, by estimate and limit; 0 before there is an estimate.
    #[ts(type = "number")]
    pub target_bps: u64,
    /// What is chosen to be sent costs this much.
    #[ts(type = "number")]
    pub used_bps: u64,
    /// Everything that the member could make use of would cost this much.
    #[ts(type = "number")]
    pub desired_bps: u64,
    /// How long what waits in the server takes to leave, in milliseconds.
    #[ts(type = "number")]
    pub queue_ms: u64,
    /// The round-trip time, in milliseconds.
    #[ts(type = "number")]
    pub rtt_ms: u64,
}

/// What one receiving m-line is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct SlotFigures {
    /// The m-line.
    pub mid: String,
    /// The track it carries now.
    pub track: Option<TrackId>,
    /// The track that takes over once it can.
    pub next: Option<TrackId>,
    /// Packets sent, retransmissions aside; modulo 2³².
    pub packets: u32,
    /// Payload bytes of those; modulo 2³².
    pub bytes: u32,
    /// What the member last said of its loss, 0 to 1.
    pub fraction_lost: f32,
}

/// What is received of one published track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrackFigures {
    /// Which.
    pub track: TrackId,
    /// Each encoding, in the order of the offer.
    pub encodings: Vec<EncodingFigures>,
}

/// What is received of one encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct EncodingFigures {
    /// Which; empty where a track has one only and no rid.
    pub rid: String,
    /// Whether it is being received.
    pub live: bool,
    /// Payload bits a second.
    #[ts(type = "number")]
    pub bitrate_bps: u64,
    /// Packets received, retransmissions aside.
    #[ts(type = "number")]
    pub packets: u64,
    /// Packets lost on the way to the server, also those that came again; negative if duplicates outnumber them.
    #[ts(type = "number")]
    pub lost: i64,
}
