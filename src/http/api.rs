//! The JSON API: which rooms there are, what is in one, and the server's figures.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use roundtable_protocol::{RoomId, RoomState};
use serde::Serialize;

use super::HttpState;
use super::problem::{Problem, room_in_path};
use crate::journal::Journal;
use crate::shard::stats::ShardStats;

/// An answer that is true now only.
type Fresh<T> = ([(HeaderName, HeaderValue); 1], Json<T>);

/// `GET /api/v1/rooms`.
#[derive(Debug, Serialize)]
pub(super) struct RoomList {
    /// All open rooms, ordered by id.
    rooms: Vec<RoomSummary>,
}

/// One room of the list.
#[derive(Debug, Serialize)]
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
    /// The media side.
    shard: ShardStats,
}

pub(super) async fn rooms(State(state): State<HttpState>) -> Fresh<RoomList> {
    fresh(RoomList { rooms: state.hub.rooms().iter().map(|journal| summary(journal)).collect() })
}

pub(super) async fn room(
    State(state): State<HttpState>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<RoomState>, Problem> {
    let room = room_in_path(path)?;
    let state = state.hub.room(&room).map(|journal| journal.state()).filter(|state| !state.closed);
    state.map(fresh).ok_or_else(|| Problem::room_unknown(&room))
}

pub(super) async fn stats(State(state): State<HttpState>) -> Result<Fresh<Stats>, Problem> {
    let shard = state.hub.stats().await?;
    Ok(fresh(Stats {
        rooms: state.hub.rooms().len(),
        sessions: state.hub.sessions(),
        event_readers: state.sse_readers(),
        shard,
    }))
}

fn summary(journal: &Journal) -> RoomSummary {
    let state = journal.shared_state();
    RoomSummary {
        room: state.room.clone(),
        epoch: state.epoch,
        seq: state.seq,
        members: state.members.len(),
        tracks: state.tracks.len(),
    }
}

fn fresh<T>(body: T) -> Fresh<T> {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}
