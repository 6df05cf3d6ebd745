//! Calling people: calls are made, answered and ended, and each person has a stream of what rings.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use roundtable_protocol::RoomId;
use roundtable_protocol::call::{Call, CallAnswer, CallEvent};
use roundtable_protocol::limit::DEFAULT_CALL_S;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::{Operator, StreamOperator};
use super::moderation::body;
use super::problem::Problem;
use super::sse::{HEADERS, HEARTBEAT};
use crate::hub::Hub;
use crate::hub::calls::{CallError, CallWish, is_identity};
use crate::hub::ringing::Reach;

/// `POST /api/v1/calls`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewCall {
    /// Who calls: an identity.
    from: Option<String>,
    /// Who is called: an identity.
    to: String,
    /// Where they are to meet.
    room: RoomId,
    /// How long it rings, in seconds: 1 to 120, otherwise 30.
    timeout_s: Option<u32>,
}

/// What is done about a call, and by whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CallDecision")]
pub(super) struct Answer {
    /// What is done.
    answer: CallAnswer,
    /// The identity of the side that does it; without it the operator does, for either.
    by: Option<String>,
}

pub(super) async fn start(
    State(state): State<HttpState>,
    operator: Operator,
    call: Result<Json<NewCall>, JsonRejection>,
) -> Result<Response, Problem> {
    operator.of_all()?;
    let NewCall { from, to, room, timeout_s } = body(call)?;
    let call = state.hub.call(CallWish { from, to, room, timeout_s: timeout_s.unwrap_or(DEFAULT_CALL_S) })?;
    Ok((StatusCode::CREATED, fresh(call)).into_response())
}

pub(super) async fn show(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
) -> Result<Fresh<Call>, Problem> {
    operator.of_all()?;
    let call = state.hub.find_call(&word_in_path(path)?);
    Ok(fresh(call.ok_or(CallError::Unknown)?))
}

/// Accepts, declines or cancels a call.
pub(super) async fn answer(
    State(state): State<HttpState>,
    operator: Operator,
    path: Result<Path<String>, PathRejection>,
    answer: Result<Json<Answer>, JsonRejection>,
) -> Result<Fresh<Call>, Problem> {
    let answer = body(answer);
    match answer.as_ref().ok().and_then(|answer| answer.by.as_deref()) {
        Some(identity) => operator.of_person(identity)?,
        None => operator.of_all()?,
    }
    let Answer { answer, by } = answer?;
    Ok(fresh(state.hub.answer_call(&word_in_path(path)?, by.as_deref(), answer)?))
}

/// What rings for one person and what becomes of it, as server-sent events.
pub(super) async fn events(
    State(state): State<HttpState>,
    StreamOperator(operator): StreamOperator,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let identity = word_in_path(path)?;
    operator.of_person(&identity)?;
    if !is_identity(&identity) {
        return Err(CallError::Bad("this is nobody's identity".into()).into());
    }
    if state.hub.is_stopping() {
        return Err(Problem::stopping());
    }
    let full = || Problem::overloaded("as many read events as may");
    let seat = Arc::clone(&state.sse_seats).try_acquire_owned().map_err(|_| full())?;
    let reach = state.hub.reach(&identity).ok_or_else(full)?;
    let heartbeat = state.config.sse_heartbeat;
    let reader = Reader { hub: state.hub, reach, heartbeat, is_new: true, _seat: seat };
    let pieces = stream::unfold(reader, |mut reader| async move {
        let piece = reader.next_piece().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    Ok((HEADERS, Body::from_stream(pieces)).into_response())
}

struct Reader {
    hub: Hub,
    reach: Reach,
    heartbeat: Duration,
    is_new: bool,
    _seat: OwnedSemaphorePermit,
}

impl Reader {
    /// The next piece; `None` when the reader was too slow or the server stops.
    async fn next_piece(&mut self) -> Option<String> {
        // The head is on its way with the first piece only.
        if std::mem::take(&mut self.is_new) {
            return Some(": listening\n\n".to_owned());
        }
        tokio::select! {
            event = self.reach.recv() => event.as_deref().and_then(written),
            () = tokio::time::sleep(self.heartbeat) => Some(HEARTBEAT.to_owned()),
            () = self.hub.stopped() => None,
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Self::coded(error.code(), error.to_string())
    }
}

fn written(event: &CallEvent) -> Option<String> {
    // None of our types has a map with keys that are no strings, the one thing that fails.
    let data = serde_json::to_string(event).ok()?;
    Some(format!("id: {}\nevent: {}\ndata: {data}\n\n", event.seq, event.state.name()))
}

fn word_in_path(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(word)| word).map_err(|_| CallError::Unknown.into())
}
