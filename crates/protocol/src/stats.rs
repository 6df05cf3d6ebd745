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

impl MemberStats {
    /// Of a member that is not connected.
    #[must_use]
    pub fn new(member: MemberId, at: u64, limits: MemberLimits) -> Self {
        Self { member, at, limits, path: None, slots: Vec::new(), tracks: Vec::new() }
    }
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
#[ts(optional_fields)]
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
    /// What was chosen for it; absent for sound, and while the picture is paused or the slot idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<LayerFigures>,
    /// What is being sent; another one than chosen until a frame comes with which that can begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<LayerFigures>,
    /// Why that was chosen: `kept`, `room` (more fits), `squeezed` (less fits), `wish` (the member's view or a limit) or
    /// `gone` (the publisher stopped sending it).
    pub cause: ChoiceCause,
}

/// An encoding, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct LayerFigures {
    /// The encoding, counted in the order of the publisher's offer.
    pub encoding: u8,
    /// The highest spatial layer within it.
    pub spatial: u8,
    /// The highest temporal layer.
    pub temporal: u8,
}

/// Why a slot gets what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum ChoiceCause {
    /// Nothing changed.
    Kept,
    /// More fits.
    Room,
    /// Less fits.
    Squeezed,
    /// The member's view, or a limit, made other layers useful.
    Wish,
    /// The publisher no longer sends it.
    Gone,
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
