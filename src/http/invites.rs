//! Invitations and tickets: what stands for a token where a token cannot.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{StatusCode, Uri};
use roundtable_protocol::RoomId;
use roundtable_protocol::name::check_name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::{Access, Operator, now};
use super::problem::{Problem, room_in_path};
use crate::auth::{CODE_BYTES, Claims, Invite, InviteWish, MEMBER_TOKEN_S, TICKET_LIFE, VideoGrant};

/// Random bytes of the identity of somebody who was invited.
const IDENTITY_BYTES: usize = 8;

/// A ticket for an event stream.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ticket {
    /// For `?ticket=`.
    ticket: String,
    /// In seconds.
    expires_in: u64,
}

/// `POST /api/v1/tickets`.
pub(super) async fn ticket(State(state): State<HttpState>, access: Access) -> Result<Fresh<Ticket>, Problem> {
    let ticket = state.tickets.issue(now(), random()?, access.into_pass());
    let ticket = ticket.ok_or_else(|| Problem::overloaded("there are as many tickets as may be"))?;
    Ok(fresh(Ticket { ticket, expires_in: TICKET_LIFE.as_secs() }))
}

/// An invitation and the link to send.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InviteLink")]
pub(super) struct Link {
    #[serde(flatten)]
    invite: Invite,
    /// The page that follows it, from the root of this host.
    url: String,
}

/// All invitations to a room that can be followed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InviteList")]
pub(super) struct Links {
    /// Ordered by when they end.
    invites: Vec<Link>,
}

/// `POST /api/v1/rooms/{room}/invites`.
pub(super) async fn create(
    State(state): State<HttpState>,
    operator: Operator,
    OriginalUri(uri): OriginalUri,
    path: Result<Path<String>, PathRejection>,
    wish: Result<Json<InviteWish>, JsonRejection>,
) -> Result<(StatusCode, Fresh<Link>), Problem> {
    let room = room_in_path(path)?;
    operator.of_room(&room)?;
    if !state.authority.as_ref().is_some_and(|authority| authority.can_sign()) {
        return Err(Problem::no_signing_key());
    }
    let Json(wish) = wish.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    let invite = state.invites.create(now(), random()?, room, wish)?;
    Ok((StatusCode::CREATED, fresh(link(invite, &uri))))
}

/// `GET /api/v1/rooms/{room}/invites`.
pub(super) async fn list(
    State(state): State<HttpState>,
    operator: Operator,
    OriginalUri(uri): OriginalUri,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<Links>, Problem> {
    let room = room_in_path(path)?;
    operator.of_room(&room)?;
    let invites = state.invites.of(now(), &room).into_iter().map(|invite| link(invite, &uri)).collect();
    Ok(fresh(Links { invites }))
}

/// `DELETE /api/v1/rooms/{room}/invites/{code}`.
pub(super) async fn revoke(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((room, code)) = path.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    let room = RoomId::new(room).map_err(|invalid| Problem::bad_room_id(invalid.to_string()))?;
    operator.of_room(&room)?;
    state.invites.revoke(&room, &code)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who follows an invitation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Guest {
    /// The name others see; without it that of the invitation.
    name: Option<String>,
}

/// What an invitation is exchanged for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "InviteToken")]
pub(super) struct Exchanged {
    /// Where it leads.
    room: RoomId,
    /// For the hello.
    token: String,
    /// The name in it.
    name: String,
    /// In seconds since 1970 UTC.
    expires_at: u64,
}

/// `POST /api/v1/invites/{code}`: needs no token, for the code is one.
pub(super) async fn follow(
    State(state): State<HttpState>,
    path: Result<Path<String>, PathRejection>,
    guest: Result<Json<Guest>, JsonRejection>,
) -> Result<Fresh<Exchanged>, Problem> {
    let Path(code) = path.map_err(|_| Problem::not_found())?;
    let Json(Guest { name: given }) =
        guest.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    let authority = state.authority.as_ref().filter(|authority| authority.can_sign());
    let authority = authority.ok_or_else(Problem::no_signing_key)?;
    let given = given.map(|name| check_name(&name).map(str::to_owned)).transpose().map_err(Problem::bad_name)?;
    let identity = random::<IDENTITY_BYTES>()?;
    let now = now();
    let invite = state.invites.follow(now, &code)?;
    let name = given.or(invite.name).unwrap_or_else(|| "Guest".to_owned());
    let expires_at = now.as_secs() + MEMBER_TOKEN_S;
    let claims = Claims {
        sub: Some(format!("guest-{:016x}", u64::from_be_bytes(identity))),
        name: Some(name.clone()),
        exp: Some(expires_at),
        role: Some(invite.role),
        video: Some(VideoGrant { room: Some(invite.room.to_string()), room_join: Some(true), ..VideoGrant::default() }),
        ..Claims::default()
    };
    // A key that went since the look above.
    let token = authority.mint(&claims).ok_or_else(Problem::no_signing_key)?;
    Ok(fresh(Exchanged { room: invite.room, token, name, expires_at }))
}

/// The page is beside the API, wherever that is mounted.
fn link(invite: Invite, uri: &Uri) -> Link {
    let prefix = uri.path().split_once("/api/v1/").map_or("", |(prefix, _)| prefix);
    Link { url: format!("{prefix}/r/{}?invite={}", invite.room, invite.code), invite }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Problem> {
    const { assert!(N <= CODE_BYTES) }
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Problem::overloaded("there is no randomness now"))?;
    Ok(bytes)
}
