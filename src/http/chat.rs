//! `GET /api/v1/rooms/{room}/chat`: what was written, page by page; and how much of it is kept.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use roundtable_protocol::ErrorCode;
use roundtable_protocol::chat::{ChatPage, ChatPlace};
use roundtable_protocol::limit::{CHAT_HISTORY, MAX_CHAT_PAGE};
use serde::{Deserialize, Serialize};

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::{Access, Operator};
use super::problem::{Problem, room_in_path};
use crate::store::Retention;

/// Which page.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    /// The `before` of the page that follows; the last page without.
    before: Option<ChatPlace>,
    limit: Option<usize>,
}

/// How much chat of a room is kept. A figure of 0 keeps nothing beyond the life of the room.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChatRetention {
    /// Messages.
    max_count: u64,
    /// Seconds.
    max_age_s: u64,
}

pub(super) async fn page(
    State(state): State<HttpState>,
    access: Access,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Wish>, QueryRejection>,
) -> Result<Fresh<ChatPage>, Problem> {
    let room = room_in_path(path)?;
    access.require_read(&room)?;
    let Query(wish) = query.map_err(|rejection| Problem::query(rejection.body_text()))?;
    let limit = wish.limit.unwrap_or(CHAT_HISTORY);
    if !(1..=MAX_CHAT_PAGE).contains(&limit) {
        return Err(Problem::query(format!("limit is {limit}; a page has 1 to {MAX_CHAT_PAGE} messages")));
    }
    let page = state.hub.chat_page(&room, wish.before, limit).await?;
    page.map(fresh).ok_or_else(|| Problem::room_unknown(&room))
}

/// Says how much is kept; `null` is as much as of other rooms. Answers with what it was told.
pub(super) async fn set_retention(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
    retention: Result<Json<Option<ChatRetention>>, JsonRejection>,
) -> Result<Fresh<Option<ChatRetention>>, Problem> {
    let room = room_in_path(path)?;
    operator.of_room(&room)?;
    let Json(retention) = retention.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    let chat = retention
        .map(|ChatRetention { max_count, max_age_s }| Retention { max_count, max_age: Duration::from_secs(max_age_s) });
    if !state.hub.set_chat_retention(&room, chat).await? {
        return Err(Problem::conflict(ErrorCode::ChatNotKept, "this server has no data directory and keeps no chat"));
    }
    Ok(fresh(retention))
}
