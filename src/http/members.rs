//! `/api/v1/rooms/{room}/members`: everybody in a room, page by page, and what is seen of each.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use roundtable_protocol::RoomId;
use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::limit::MAX_ROSTER_PAGE;
use roundtable_protocol::member::MemberChange;
use roundtable_protocol::roster::RosterPage;
use serde::Deserialize;

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::{Access, Operator};
use super::moderation::body;
use super::problem::{Problem, member_in_path, room_in_path};
use super::settings::{Tagged, expected, of_version};
use crate::hub::settings::Expect;
use crate::journal::Journal;

/// People on a page whose size nobody chose.
const DEFAULT_PAGE: usize = 100;

/// Which page.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    /// The `next` of the page before; 0 for the first.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

pub(super) async fn members(
    State(state): State<HttpState>,
    access: Access,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Wish>, QueryRejection>,
) -> Result<Fresh<RosterPage>, Problem> {
    let room = room_in_path(path)?;
    access.require_read(&room)?;
    let Query(wish) = query.map_err(|rejection| Problem::query(rejection.body_text()))?;
    let limit = wish.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_ROSTER_PAGE).contains(&limit) {
        return Err(Problem::query(format!("limit is {limit}; a page has 1 to {MAX_ROSTER_PAGE} people")));
    }
    Ok(fresh(page(&*open(&state, &room)?, wish.after, limit)))
}

/// One member, with the version of what others see of it as `ETag`.
pub(super) async fn show(
    State(state): State<HttpState>,
    access: Access,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Tagged<MemberInfo>, Problem> {
    let (room, member) = member_in_path(path)?;
    access.require_read(&room)?;
    let info = open(&state, &room)?.person(&member).ok_or_else(|| Problem::member_unknown(&room, &member))?;
    Ok(of_version(info.version, MemberInfo::clone(&info)))
}

/// Changes what others see of a member: what the body leaves out stays, null takes away.
pub(super) async fn change(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    change: Result<Json<MemberChange>, JsonRejection>,
) -> Result<Tagged<MemberInfo>, Problem> {
    let (room, member) = member_in_path(path)?;
    operator.of_room(&room)?;
    let expect = match expected(&headers)? {
        Expect::Version(version) => Some(version),
        // Whoever is not here is not found anyhow.
        Expect::Anything | Expect::SetUp | Expect::Nothing => None,
    };
    let updated = state.hub.update_member(&room, &member, expect, body(change)?).await;
    let info = updated.map_err(|error| Problem::coded(error.code(), error.to_string()))?;
    Ok(of_version(info.version, info))
}

/// The journal of a room that is open.
fn open(state: &HttpState, room: &RoomId) -> Result<Arc<Journal>, Problem> {
    let journal = state.hub.room(room).filter(|journal| !journal.is_closed());
    journal.ok_or_else(|| Problem::room_unknown(room))
}

fn page(journal: &Journal, after: u64, limit: usize) -> RosterPage {
    let page = journal.people_after(after, limit);
    RosterPage {
        room: journal.room().clone(),
        epoch: journal.epoch(),
        total: u32::try_from(page.total).unwrap_or(u32::MAX),
        members: page.members.iter().map(|member| (**member).clone()).collect(),
        next: page.next,
    }
}
