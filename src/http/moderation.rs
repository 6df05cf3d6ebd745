//! The operator's side of moderation: permissions, actions, bans, and who waits to be let in.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use roundtable_protocol::moderation::{Ban, Knock, ModerationAction, ModerationOutcome};
use roundtable_protocol::role::GrantsChange;
use roundtable_protocol::{Grants, MemberId, RoomId};
use serde::Serialize;

use super::HttpState;
use super::api::{Fresh, fresh};
use super::origin;
use super::problem::{Problem, member_in_path, room_in_path};

/// `GET /api/v1/rooms/{room}/bans`.
#[derive(Debug, Serialize)]
pub(super) struct BanList {
    /// Oldest first.
    bans: Vec<Ban>,
}

/// `GET /api/v1/rooms/{room}/knocks`.
#[derive(Debug, Serialize)]
pub(super) struct KnockList {
    /// In the order in which they knocked.
    knocks: Vec<Knock>,
}

/// Whether the request is the operator's: the one place that says so, at the head of each handler that changes
/// something or tells what is not everybody's. A browser's page must be of an allowed origin.
pub(super) fn admin_only(state: &HttpState, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    if origin::is_allowed(headers, uri, &state.config.allowed_origins) { Ok(()) } else { Err(Problem::origin()) }
}

/// Gives a member other permissions, as a whole.
pub(super) async fn put_permissions(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
    grants: Result<Json<Grants>, JsonRejection>,
) -> Result<Fresh<Grants>, Problem> {
    admin_only(&state, &headers, &uri)?;
    let Grants { publish, subscribe, chat, admin, limits } = body(grants)?;
    let changes = GrantsChange {
        role: None,
        publish: Some(publish),
        subscribe: Some(subscribe),
        chat: Some(chat),
        admin: Some(admin),
        limits: Some(limits),
    };
    set_permissions(&state, member_in_path(path)?, changes).await
}

/// Changes some permissions of a member.
pub(super) async fn patch_permissions(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
    changes: Result<Json<GrantsChange>, JsonRejection>,
) -> Result<Fresh<Grants>, Problem> {
    admin_only(&state, &headers, &uri)?;
    set_permissions(&state, member_in_path(path)?, body(changes)?).await
}

/// Does anything that a moderator can do.
pub(super) async fn moderate(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
    action: Result<Json<ModerationAction>, JsonRejection>,
) -> Result<Fresh<ModerationOutcome>, Problem> {
    admin_only(&state, &headers, &uri)?;
    let room = room_in_path(path)?;
    Ok(fresh(act(&state, &room, body(action)?).await?))
}

pub(super) async fn bans(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<BanList>, Problem> {
    admin_only(&state, &headers, &uri)?;
    Ok(fresh(BanList { bans: state.hub.bans(&room_in_path(path)?) }))
}

/// Lifts a ban.
pub(super) async fn unban(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    admin_only(&state, &headers, &uri)?;
    let Path((room, ban)) = path.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    let room = room_in_path(Ok(Path(room)))?;
    act(&state, &room, ModerationAction::Unban { ban }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn knocks(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<KnockList>, Problem> {
    admin_only(&state, &headers, &uri)?;
    Ok(fresh(KnockList { knocks: state.hub.knocks(&room_in_path(path)?) }))
}

async fn set_permissions(
    state: &HttpState,
    (room, member): (RoomId, MemberId),
    changes: GrantsChange,
) -> Result<Fresh<Grants>, Problem> {
    if let Some(limits) = &changes.limits {
        limits.check().map_err(|bad| Problem::bad_limit(bad.to_string()))?;
    }
    let outcome = act(state, &room, ModerationAction::SetPermissions { member: member.clone(), changes }).await?;
    outcome.grants.map(fresh).ok_or_else(|| Problem::member_unknown(&room, &member))
}

async fn act(state: &HttpState, room: &RoomId, action: ModerationAction) -> Result<ModerationOutcome, Problem> {
    let outcome = state.hub.moderate(room, None, action).await;
    outcome.map_err(|error| Problem::coded(error.code(), error.to_string()))
}

/// The body of a request.
pub(super) fn body<T>(given: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    let Json(body) = given.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    Ok(body)
}
