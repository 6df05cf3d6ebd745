//! How rooms are set up: made, changed without losing what another writer changed, and deleted.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use roundtable_protocol::RoomId;
use roundtable_protocol::settings::{RoomSettings, SettingsChange};
use schemars::JsonSchema;
use serde::Deserialize;

use super::HttpState;
use super::auth::Operator;
use super::moderation::body;
use super::problem::{Problem, room_in_path};
use super::request_id;
use crate::hub::settings::{Expect, SettingsError};

/// Something with its version as `ETag`.
pub(super) type Tagged<T> = ([(HeaderName, HeaderValue); 2], Json<T>);

/// `POST /api/v1/rooms`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRoom {
    /// Its id.
    room: RoomId,
    /// What is other than the server has it.
    #[serde(default)]
    settings: SettingsChange,
}

pub(super) async fn show(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
) -> Result<Tagged<RoomSettings>, Problem> {
    let room = room_in_path(path)?;
    operator.of_room(&room)?;
    Ok(tagged(state.hub.settings(&room)))
}

/// Replaces the settings: what the body leaves out is as the server has it.
pub(super) async fn replace(state: State<HttpState>, writing: Writing) -> Result<Tagged<RoomSettings>, Problem> {
    write(&state, &writing, true).await
}

/// Changes some settings: what the body leaves out stays, null takes away.
pub(super) async fn change(state: State<HttpState>, writing: Writing) -> Result<Tagged<RoomSettings>, Problem> {
    write(&state, &writing, false).await
}

/// Sets a room up that is not set up and not open.
pub(super) async fn create(
    State(state): State<HttpState>,
    operator: Operator,
    new: Result<Json<NewRoom>, JsonRejection>,
) -> Result<Response, Problem> {
    operator.of_rooms()?;
    let NewRoom { room, settings } = body(new)?;
    if state.hub.has_room(&room) {
        return Err(SettingsError::Exists.into());
    }
    let settings = state.hub.change_settings(&room, operator.key(), Expect::Nothing, (true, &settings))?;
    state.hub.until_kept().await;
    // An id is a path segment as it stands.
    let place = HeaderValue::try_from(format!("{}/api/v1/rooms/{room}/settings", request_id::current_prefix()));
    let mut response = (StatusCode::CREATED, tagged(settings)).into_response();
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

/// Forgets how a room is set up and who is banned from it, and ends it.
pub(super) async fn delete(
    State(state): State<HttpState>,
    operator: Operator,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let (room, expect) = (room_in_path(path)?, expected(&headers)?);
    operator.of_room(&room)?;
    let was_there = state.hub.delete_room(&room, expect)?;
    state.hub.until_kept().await;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::room_unknown(&room)) }
}

/// What a `PUT` and a `PATCH` of settings bring, read and allowed.
pub(super) struct Writing {
    operator: Operator,
    room: RoomId,
    expect: Expect,
    change: SettingsChange,
}

impl FromRequest<HttpState> for Writing {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Problem> {
        let (mut parts, entity) = request.into_parts();
        let operator = Operator::from_request_parts(&mut parts, state).await?;
        let room = room_in_path(Path::from_request_parts(&mut parts, state).await)?;
        let expect = expected(&parts.headers)?;
        operator.of_room(&room)?;
        let change = body(Json::from_request(Request::from_parts(parts, entity), state).await)?;
        Ok(Self { operator, room, expect, change })
    }
}

async fn write(state: &HttpState, writing: &Writing, afresh: bool) -> Result<Tagged<RoomSettings>, Problem> {
    let Writing { operator, room, expect, change } = writing;
    let settings = state.hub.change_settings(room, operator.key(), *expect, (afresh, change))?;
    state.hub.until_kept().await;
    Ok(tagged(settings))
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        Self::coded(error.code(), error.to_string())
    }
}

fn tagged(settings: RoomSettings) -> Tagged<RoomSettings> {
    of_version(settings.version, settings)
}

/// An answer with its version as `ETag`.
pub(super) fn of_version<T>(version: u64, body: T) -> Tagged<T> {
    let tag = HeaderValue::try_from(format!("\"{version}\""));
    // INVARIANT: a number in quotes is a header's value.
    let tag = tag.unwrap_or(HeaderValue::from_static("\"\""));
    ([(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}

/// Which version the writer has seen (RFC 9110 §13.1.1): one entity tag, or `*`.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expect, Problem> {
    let Some(given) = headers.get(header::IF_MATCH) else { return Ok(Expect::Anything) };
    let given = given.to_str().unwrap_or("").trim();
    if given == "*" {
        return Ok(Expect::SetUp);
    }
    // A weak tag never matches here.
    let version = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::parse);
    match version {
        Some(Ok(version)) => Ok(Expect::Version(version)),
        Some(Err(_)) | None => Err(Problem::precondition("If-Match holds one ETag of this resource, or *")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_names_one_version() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(value));
            expected(&headers)
        };
        assert_eq!(of("\"7\""), Ok(Expect::Version(7)));
        assert_eq!(of("*"), Ok(Expect::SetUp));
        assert_eq!(expected(&HeaderMap::new()), Ok(Expect::Anything));
        for wrong in ["7", "\"x\"", "W/\"7\"", "", "\"7\", \"8\"", "\"-1\""] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
