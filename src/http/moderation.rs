//! The operator's side of moderation: permissions, actions, bans, and who waits to be let in.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use roundtable_protocol::moderation::{Ban, Knock, ModerationAction, ModerationOutcome};
use roundtable_protocol::role::GrantsChange;
use roundtable_protocol::{Grants, MemberId, RoomId};
use schemars::JsonSchema;
use serde::Serialize;

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::Operator;
use super::problem::{Problem, member_in_path, room_in_path};

/// `GET /api/v1/rooms/{room}/bans`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BanList {
    /// Oldest first.
    bans: Vec<Ban>,
}

/// `GET /api/v1/rooms/{room}/knocks`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KnockList {
    /// In the order in which they knocked.
    knocks: Vec<Knock>,
}

/// Gives a member other permissions, as a whole.
pub(super) async fn put_permissions(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<(String, String)>, PathRejection>,
    grants: Result<Json<Grants>, JsonRejection>,
) -> Result<Fresh<Grants>, Problem> {
    let (room, member) = member_in_path(path)?;
    operator.of_room(&room)?;
    let Grants { publish, subscribe, chat, data, admin, update_own_metadata, limits, .. } = body(grants)?;
    let changes = GrantsChange {
        role: None,
        publish: Some(publish),
        subscribe: Some(subscribe),
        chat: Some(chat),
        data: Some(data),
        admin: Some(admin),
        update_own_metadata: Some(update_own_metadata),
        limits: Some(limits),
    };
    set_permissions(&state, &room, &member, changes).await
}

/// Changes some permissions of a member.
pub(super) async fn patch_permissions(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<(String, String)>, PathRejection>,
    changes: Result<Json<GrantsChange>, JsonRejection>,
) -> Result<Fresh<Grants>, Problem> {
    let (room, member) = member_in_path(path)?;
    operator.of_room(&room)?;
    set_permissions(&state, &room, &member, body(changes)?).await
}

/// Does anything that a moderator can do.
pub(super) async fn moderate(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
    action: Result<Json<ModerationAction>, JsonRejection>,
) -> Result<Fresh<ModerationOutcome>, Problem> {
    let room = room_in_path(path)?;
    operator.of_room(&room)?;
    let action = body(action)?;
    if let ModerationAction::Move { room: target, .. } = &action {
        // Who is sent there keeps their permissions and passes its lock.
        operator.of_room(target)?;
    }
    Ok(fresh(act(&state, &room, action).await?))
}

pub(super) async fn bans(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<BanList>, Problem> {
    let room = room_in_path(path)?;
    operator.of_room(&room)?;
    Ok(fresh(BanList { bans: state.hub.bans(&room) }))
}

/// Lifts a ban.
pub(super) async fn unban(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((room, ban)) = path.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    let room = room_in_path(Ok(Path(room)))?;
    operator.of_room(&room)?;
    act(&state, &room, ModerationAction::Unban { ban }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn knocks(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<KnockList>, Problem> {
    let room = room_in_path(path)?;
    operator.of_room(&room)?;
    Ok(fresh(KnockList { knocks: state.hub.knocks(&room) }))
}

async fn set_permissions(
    state: &HttpState,
    room: &RoomId,
    member: &MemberId,
    changes: GrantsChange,
) -> Result<Fresh<Grants>, Problem> {
    if let Some(limits) = &changes.limits {
        limits.check().map_err(|bad| Problem::bad_limit(bad.to_string()))?;
    }
    let outcome = act(state, room, ModerationAction::SetPermissions { member: member.clone(), changes }).await?;
    outcome.grants.map(fresh).ok_or_else(|| Problem::member_unknown(room, member))
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
