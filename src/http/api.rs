//! The JSON API: which rooms there are, what is in one, and the server's figures.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::stats::RoomStats;
use roundtable_protocol::{RoomId, RoomState};
use schemars::JsonSchema;
use serde::Serialize;

use super::HttpState;
use super::auth::{Access, Operator};
use super::problem::{Problem, member_in_path, room_in_path};
use crate::journal::Journal;
use crate::login::LoginFigures;
use crate::shard::stats::ShardStats;

/// An answer that is true now only.
pub(super) type Fresh<T> = ([(HeaderName, HeaderValue); 1], Json<T>);

/// `GET /api/v1/rooms`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RoomList {
    /// All open rooms, ordered by id.
    rooms: Vec<RoomSummary>,
}

/// One room of the list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RoomSummary {
    room: RoomId,
    /// When it opened, in milliseconds since 1970 UTC.
    epoch: u64,
    /// The number of its last event.
    seq: u64,
    /// How many are in it.
    members: usize,
    /// How many tracks they publish.
    tracks: usize,
}

/// `GET /api/v1/stats`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    /// Open rooms.
    rooms: usize,
    /// Signalling sockets.
    sessions: usize,
    /// Event streams.
    event_readers: usize,
    /// Passwords that were checked.
    logins: LoginFigures,
    /// The media side in all.
    shard: ShardStats,
    /// … and by its shards.
    shards: Vec<ShardStats>,
}

pub(super) async fn rooms(State(state): State<HttpState>, access: Access) -> Result<Fresh<RoomList>, Problem> {
    access.require_list()?;
    Ok(fresh(RoomList { rooms: state.hub.rooms().iter().map(|journal| summary(journal)).collect() }))
}

pub(super) async fn room(
    State(state): State<HttpState>,
    access: Access,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<RoomState>, Problem> {
    let room = room_in_path(path)?;
    access.require_read(&room)?;
    let state = state.hub.room(&room).map(|journal| journal.state()).filter(|state| !state.closed);
    state.map(fresh).ok_or_else(|| Problem::room_unknown(&room))
}

pub(super) async fn stats(State(state): State<HttpState>, access: Access) -> Result<Fresh<Stats>, Problem> {
    access.require_list()?;
    let shards = state.hub.stats().await?;
    let mut shard = ShardStats::default();
    shards.iter().for_each(|one| shard += one);
    Ok(fresh(Stats {
        rooms: state.hub.rooms().len(),
        sessions: state.hub.sessions(),
        event_readers: state.sse_readers(),
        logins: state.logins.figures(),
        shard,
        shards,
    }))
}

pub(super) async fn room_stats(
    State(state): State<HttpState>,
    access: Access,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<RoomStats>, Problem> {
    let room = room_in_path(path)?;
    access.require_read(&room)?;
    let stats = state.hub.room_stats(&room).await?;
    stats.map(fresh).ok_or_else(|| Problem::room_unknown(&room))
}

/// Changes what a member may; answers with what it may now.
pub(super) async fn set_limits(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<(String, String)>, PathRejection>,
    limits: Result<Json<MemberLimits>, JsonRejection>,
) -> Result<Fresh<MemberLimits>, Problem> {
    let (room, member) = member_in_path(path)?;
    operator.of_room(&room)?;
    let Json(limits) = limits.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    limits.check().map_err(|bad| Problem::bad_limit(bad.to_string()))?;
    let limits = state.hub.set_limits(&room, &member, limits).await?;
    limits.map(fresh).ok_or_else(|| Problem::member_unknown(&room, &member))
}

fn summary(journal: &Journal) -> RoomSummary {
    let members = journal.population();
    let state = journal.shared_state();
    RoomSummary { room: state.room.clone(), epoch: state.epoch, seq: state.seq, members, tracks: state.tracks.len() }
}

pub(super) fn fresh<T>(body: T) -> Fresh<T> {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}
