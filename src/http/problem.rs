//! The one shape of an error over HTTP: `application/problem+json` of RFC 9457 with a stable code.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use roundtable_protocol::name::BadName;
use roundtable_protocol::{ErrorCode, MemberId, RoomId};
use schemars::JsonSchema;
use serde::Serialize;

use super::request_id;
use crate::auth::{InviteError, TokenError};
use crate::hub::HubError;
use crate::login::LoginError;

/// Seconds after which a refused client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");
/// The same for who came too often: rates are counted by the second.
const RETRY_SOON: HeaderValue = HeaderValue::from_static("1");

/// What a request without a token is asked for, and what is said of one whose token opens nothing or not this
/// (RFC 6750 §3).
const WANTS_TOKEN: HeaderValue = HeaderValue::from_static("Bearer realm=\"roundtable\"");
const BAD_TOKEN: HeaderValue = HeaderValue::from_static("Bearer realm=\"roundtable\", error=\"invalid_token\"");
const WEAK_TOKEN: HeaderValue = HeaderValue::from_static("Bearer realm=\"roundtable\", error=\"insufficient_scope\"");

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    /// An [`ErrorCode`], or a word below `http/` for what only HTTP has.
    code: &'static str,
    detail: String,
    /// Seconds to wait, if that is another figure than its status has.
    retry_after_s: Option<u64>,
}

/// An error (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Details {
    /// Where the code is explained, on this server.
    r#type: String,
    /// The words of the status.
    title: String,
    /// The status.
    status: u16,
    /// The stable word that programs switch on.
    code: String,
    /// A sentence for people.
    detail: String,
    /// The id of the request, as in the answer's `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

/// What only HTTP has, and what it means. Every other code is an [`ErrorCode`].
pub(super) const HTTP_CODES: &[(&str, &str)] = &[
    ("http/body", "The body of the request is not what this resource takes: no JSON, another shape, or too large."),
    ("http/query", "A parameter of the query is not one that this resource understands."),
    ("http/not-found", "There is nothing at this path."),
    ("http/method", "The resource does not have this method; the `allow` header names those that it has."),
    ("http/origin", "Pages of this origin may not use this server."),
    ("http/upgrade", "The request for a WebSocket is none."),
    (
        "http/idempotency",
        "The `Idempotency-Key` is not usable for this request: malformed, or used for another one before.",
    ),
    ("http/if-match", "`If-Match` holds neither one entity tag of the resource nor `*`."),
    (
        "http/exchange",
        "There is no such conversation over requests, what is asked for is not kept any more, or another request has taken \
         the place of this one.",
    ),
    ("http/in-progress", "A request with the same `Idempotency-Key` is being answered at this moment."),
];

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_s: None }
    }

    pub(super) fn bad_room_id(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadRoomId.as_str(), detail)
    }

    pub(super) fn room_unknown(room: &RoomId) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::RoomUnknown.as_str(), format!("there is no room {room:?} now"))
    }

    pub(super) fn member_unknown(room: &RoomId, member: &MemberId) -> Self {
        let detail = format!("there is no member {member:?} in a room {room:?} now");
        Self::new(StatusCode::NOT_FOUND, ErrorCode::MemberUnknown.as_str(), detail)
    }

    pub(super) fn bad_limit(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::BadLimit.as_str(), detail)
    }

    /// What a stable word means over HTTP.
    pub(super) fn coded(code: ErrorCode, detail: impl Into<String>) -> Self {
        let status = match code {
            ErrorCode::ModerationForbidden | ErrorCode::CallForbidden => StatusCode::FORBIDDEN,
            ErrorCode::RoomUnknown
            | ErrorCode::MemberUnknown
            | ErrorCode::TrackUnknown
            | ErrorCode::BanUnknown
            | ErrorCode::KnockUnknown
            | ErrorCode::CallUnknown => StatusCode::NOT_FOUND,
            ErrorCode::RoomExists | ErrorCode::TooManyBans => StatusCode::CONFLICT,
            ErrorCode::RoomChanged | ErrorCode::MemberChanged => StatusCode::PRECONDITION_FAILED,
            ErrorCode::TooManyCalls | ErrorCode::KeyQuota => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::BadSettings
            | ErrorCode::BadModeration
            | ErrorCode::BadCall
            | ErrorCode::BadName
            | ErrorCode::MemberTooLarge
            | ErrorCode::BadAttribute => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, code.as_str(), detail)
    }

    pub(super) fn precondition(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "http/if-match", detail)
    }

    pub(super) fn body(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "http/body", detail)
    }

    pub(super) fn query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "http/query", detail)
    }

    pub(super) fn letter_unknown() -> Self {
        let detail = "there is no such dead letter: it was sent again, or is not kept any more";
        Self::new(StatusCode::NOT_FOUND, "http/not-found", detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "http/not-found", "there is nothing here")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "http/method", "this resource does not have this method")
    }

    pub(super) fn origin() -> Self {
        let detail = "pages of this origin may not use this; the server can allow them";
        Self::new(StatusCode::FORBIDDEN, "http/origin", detail)
    }

    pub(super) fn bad_key() -> Self {
        let detail = "an idempotency key is 1 to 255 visible ASCII characters without spaces";
        Self::new(StatusCode::BAD_REQUEST, "http/idempotency", detail)
    }

    pub(super) fn other_request() -> Self {
        let detail = "this idempotency key was used for another request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "http/idempotency", detail)
    }

    pub(super) fn in_progress() -> Self {
        let detail = "a request with this idempotency key is being answered";
        Self::new(StatusCode::CONFLICT, "http/in-progress", detail)
    }

    pub(super) fn no_upgrade(status: StatusCode, detail: String) -> Self {
        Self::new(status, "http/upgrade", detail)
    }

    pub(super) fn too_often() -> Self {
        let detail = "too many entries from this address; come again a little later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::EntryRate.as_str(), detail)
    }

    pub(super) fn exchange_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "http/exchange", "there is no such conversation, or it has ended")
    }

    pub(super) fn exchange_gone() -> Self {
        let detail = "that is not kept any more, or another request has taken the place of this one";
        Self::new(StatusCode::GONE, "http/exchange", detail)
    }

    pub(super) fn conflict(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code.as_str(), detail)
    }

    pub(super) fn ticket_invalid() -> Self {
        let detail = "the ticket is unknown, used or too old";
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::TicketInvalid.as_str(), detail)
    }

    pub(super) fn no_signing_key() -> Self {
        let detail = "this server has no key to sign tokens with, so that it cannot invite";
        Self::new(StatusCode::CONFLICT, ErrorCode::NoSigningKey.as_str(), detail)
    }

    pub(super) fn no_login() -> Self {
        Self::new(StatusCode::NOT_FOUND, "http/not-found", "one cannot log in like this here")
    }

    pub(super) fn login_room(room: &RoomId) -> Self {
        let detail = format!("you may log in, but not for the room {room:?}");
        Self::new(StatusCode::FORBIDDEN, ErrorCode::LoginRoom.as_str(), detail)
    }

    pub(super) fn bad_name(bad: BadName) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::BadName.as_str(), bad.to_string())
    }

    pub(super) fn overloaded(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Overloaded.as_str(), detail)
    }

    pub(super) fn stopping() -> Self {
        HubError::Stopping.into()
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error.to_string())
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let status = match error {
            TokenError::Missing | TokenError::Invalid(_) | TokenError::Expired => StatusCode::UNAUTHORIZED,
            TokenError::Room | TokenError::Grant(_) => StatusCode::FORBIDDEN,
        };
        Self::new(status, error.code().as_str(), error.to_string())
    }
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        let status = match error {
            InviteError::Unknown => StatusCode::NOT_FOUND,
            InviteError::Expired | InviteError::Used | InviteError::Revoked => StatusCode::GONE,
            InviteError::Bad => StatusCode::UNPROCESSABLE_ENTITY,
            InviteError::TooMany => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code().as_str(), error.to_string())
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let (status, wait) = match &error {
            LoginError::Refused | LoginError::Stale => (StatusCode::FORBIDDEN, None),
            LoginError::Provider => (StatusCode::BAD_GATEWAY, None),
            LoginError::TooMany(wait) => (StatusCode::TOO_MANY_REQUESTS, Some(wait.as_secs_f64().ceil() as u64)),
            LoginError::Busy => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        Self { retry_after_s: wait, ..Self::new(status, error.code().as_str(), error.to_string()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Details {
            r#type: format!("{}/errors/{}", request_id::current_prefix(), self.code),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
            instance: request_id::current().map(|id| format!("urn:roundtable:request:{id}")),
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let challenge = match self.status {
            StatusCode::UNAUTHORIZED if self.code == ErrorCode::TokenMissing.as_str() => Some(WANTS_TOKEN),
            StatusCode::UNAUTHORIZED => Some(BAD_TOKEN),
            StatusCode::FORBIDDEN if self.code.starts_with("token/") => Some(WEAK_TOKEN),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        match self.status {
            _ if self.retry_after_s.is_some() => {
                drop(self.retry_after_s.map(|seconds| headers.insert(header::RETRY_AFTER, seconds.into())));
            }
            StatusCode::SERVICE_UNAVAILABLE => drop(headers.insert(header::RETRY_AFTER, RETRY_AFTER)),
            // A place gets free when a room ends.
            StatusCode::TOO_MANY_REQUESTS if self.code == ErrorCode::KeyQuota.as_str() => {
                drop(headers.insert(header::RETRY_AFTER, RETRY_AFTER));
            }
            StatusCode::TOO_MANY_REQUESTS => drop(headers.insert(header::RETRY_AFTER, RETRY_SOON)),
            _ => {}
        }
        response
    }
}

/// Reads the room's id out of the path.
pub(super) fn room_in_path(path: Result<Path<String>, PathRejection>) -> Result<RoomId, Problem> {
    let Path(text) = path.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    RoomId::new(text).map_err(|invalid| Problem::bad_room_id(invalid.to_string()))
}

/// Reads the room's and the member's id out of the path.
pub(super) fn member_in_path(
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(RoomId, MemberId), Problem> {
    let Path((room, member)) = path.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    let room = RoomId::new(room).map_err(|invalid| Problem::bad_room_id(invalid.to_string()))?;
    // What is no id names nobody.
    let unknown = |_| Problem::new(StatusCode::NOT_FOUND, ErrorCode::MemberUnknown.as_str(), "this is no member's id");
    Ok((room, MemberId::new(member).map_err(unknown)?))
}
