//! `GET /api/v1/rooms/{room}/members`: everybody in a room, page by page.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use roundtable_protocol::limit::MAX_ROSTER_PAGE;
use roundtable_protocol::roster::RosterPage;
use serde::Deserialize;

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::Access;
use super::problem::{Problem, room_in_path};
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
    let journal = state.hub.room(&room).filter(|journal| !journal.is_closed());
    let journal = journal.ok_or_else(|| Problem::room_unknown(&room))?;
    Ok(fresh(page(&journal, wish.after, limit)))
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
