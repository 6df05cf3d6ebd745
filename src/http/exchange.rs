//! Signalling without a WebSocket: `POST /signal` begins a conversation, further requests bring what the client says, and a
//! stream of server-sent events, or one request after the other, fetches what is said to it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{Extensions, HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
use roundtable_protocol::limit::MAX_CLIENT_MESSAGE_BYTES;
use roundtable_protocol::{ErrorCode, RoomId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::HttpState;
use super::auth::bearer;
use super::origin;
use super::problem::Problem;
use super::socket::address_in;
use super::sse;
use crate::signal::relay::{Fetched, PostError, RelayHandle};
use crate::signal::ws::{self, Arrival};

/// Largest body that brings messages, in bytes: one of the largest, and a little besides.
pub(super) const MAX_POST_BYTES: usize = MAX_CLIENT_MESSAGE_BYTES + 4 * 1024;
/// Most messages in one body.
const MAX_MESSAGES: usize = 64;
/// Longest wait of one request.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long what was said last can be fetched after the end of a conversation.
const KEPT_AFTER_END: Duration = Duration::from_secs(30);
/// Between looks whether a conversation has ended.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Conversations over requests, by the secret that names each. The hub bounds how many there are.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Mutex<HashMap<String, RelayHandle>>);

impl Exchanges {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, RelayHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The conversation that a path names.
    fn find(&self, path: Result<Path<String>, PathRejection>) -> Result<RelayHandle, Problem> {
        let Path(session) = path.map_err(|_| Problem::exchange_unknown())?;
        self.lock().get(&session).cloned().ok_or_else(Problem::exchange_unknown)
    }
}

/// The query of the first request.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    room: String,
}

/// The answer to it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SignalSession")]
pub(super) struct Begun {
    /// Names the conversation in the requests that follow. Who has it is the client.
    session: String,
}

pub(super) async fn begin(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    query: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = query.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    let room = RoomId::new(wish.room).map_err(|invalid| Problem::bad_room_id(invalid.to_string()))?;
    let token = bearer(&headers)?.map(str::to_owned);
    let address = address_in(&state, &extensions, &headers);
    check_origin(&state, &uri, &headers)?;
    let Some(presence) = state.hub.enter() else {
        let full = Problem::overloaded("as many are connected as may be");
        return Err(if state.hub.is_stopping() { Problem::stopping() } else { full });
    };
    let session = name()?;
    let handle = ws::begin(state.hub.clone(), presence, Arrival { room, token, address }, state.config.socket);
    state.exchanges.lock().insert(session.clone(), handle.clone());
    tokio::spawn(forget(Arc::clone(&state.exchanges), session.clone(), handle));
    let headers = [(header::CACHE_CONTROL, "no-store".to_owned()), (header::LOCATION, format!("signal/{session}"))];
    Ok((StatusCode::CREATED, headers, Json(Begun { session })).into_response())
}

/// The query of requests that bring messages.
#[derive(Debug, Deserialize)]
pub(super) struct Numbered {
    /// The number of the first message in the body.
    first: u64,
}

pub(super) async fn post(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Numbered>, QueryRejection>,
    body: Result<Json<Vec<Value>>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    check_origin(&state, &uri, &headers)?;
    let Query(Numbered { first }) = query.map_err(|rejection| Problem::query(rejection.body_text()))?;
    let Json(messages) = body.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    if first == 0 || messages.len() > MAX_MESSAGES {
        let detail = format!("the first message is number 1, and a body has at most {MAX_MESSAGES}");
        return Err(Problem::query(detail));
    }
    let handle = state.exchanges.find(path)?;
    let messages = messages.iter().map(Value::to_string).collect();
    match handle.post(first, messages).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error @ PostError::Gap { .. }) => Err(Problem::conflict(ErrorCode::OutOfOrder, error.to_string())),
        Err(PostError::Over) => Err(Problem::exchange_unknown()),
    }
}

/// The query of requests that fetch.
#[derive(Debug, Deserialize)]
pub(super) struct Fetch {
    /// The number of the last message that the client has.
    #[serde(default)]
    after: u64,
    /// How long to wait if there is none, in seconds.
    wait: Option<u64>,
}

/// A message with its number.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SignalMessage")]
struct Said {
    /// Counts from 1.
    number: u64,
    /// A message of the protocol, as over the WebSocket.
    message: Value,
}

/// The answer to a request that fetches.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SignalPage")]
pub(super) struct Answer {
    /// What follows the number that the client named.
    messages: Vec<Said>,
    /// The conversation is over, and nothing follows: the close code that a WebSocket would have, and the stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<Close>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SignalClose")]
struct Close {
    /// As the close frame of a WebSocket has it.
    code: u16,
    /// A stable word; empty for a good end.
    reason: &'static str,
}

pub(super) async fn poll(
    State(state): State<HttpState>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Fetch>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Fetch { after, wait }) = query.map_err(|rejection| Problem::query(rejection.body_text()))?;
    let handle = state.exchanges.find(path)?;
    handle.note_alive();
    let wait = wait.map_or(MAX_WAIT, Duration::from_secs).min(MAX_WAIT);
    let answer = match handle.fetch(handle.begin(), after, wait).await {
        Fetched::Messages(messages) => {
            let said = |(number, text): (u64, Utf8Bytes)| {
                // It is JSON: the conversation wrote it.
                let message = serde_json::from_str(text.as_str()).unwrap_or(Value::Null);
                Said { number, message }
            };
            Answer { messages: messages.into_iter().map(said).collect(), closed: None }
        }
        Fetched::Closed(code, reason) => Answer { closed: Some(Close { code, reason }), ..Answer::default() },
        Fetched::Gone => return Err(Problem::exchange_gone()),
    };
    handle.note_alive();
    Ok(super::api::fresh(answer).into_response())
}

pub(super) async fn stream(
    State(state): State<HttpState>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Fetch>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Fetch { after, .. }) = query.map_err(|rejection| Problem::query(rejection.body_text()))?;
    let handle = state.exchanges.find(path)?;
    let last = headers.get(sse::LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    let after = last.unwrap_or(after);
    let reader = handle.begin();
    let heartbeat = state.config.sse_heartbeat;
    let first = handle.fetch(reader, after, Duration::ZERO).await;
    if first == Fetched::Gone {
        return Err(Problem::exchange_gone());
    }
    let pieces = stream::unfold((handle, after, Some(first)), move |(handle, mut after, first)| async move {
        let fetched = match first {
            Some(fetched) => fetched,
            None => handle.fetch(reader, after, heartbeat).await,
        };
        let mut piece = String::new();
        match fetched {
            Fetched::Messages(messages) if messages.is_empty() => piece.push_str(sse::HEARTBEAT),
            Fetched::Messages(messages) => {
                for (number, text) in messages {
                    // Writing to a string does not fail.
                    let _ = write!(piece, "id: {number}\ndata: {text}\n\n");
                    after = number;
                }
            }
            Fetched::Closed(code, reason) => {
                let _ = write!(piece, "event: closed\ndata: {{\"code\":{code},\"reason\":\"{reason}\"}}\n\n");
                // What follows the end is `Gone` by this number.
                after = u64::MAX;
            }
            Fetched::Gone => return None,
        }
        Some((Ok::<_, Infallible>(piece), (handle, after, None)))
    });
    Ok((sse::HEADERS, Body::from_stream(pieces)).into_response())
}

pub(super) async fn leave(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    check_origin(&state, &uri, &headers)?;
    state.exchanges.find(path)?.leave().await;
    Ok(StatusCode::NO_CONTENT)
}

fn check_origin(state: &HttpState, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if origin::is_allowed(headers, uri, &state.config.allowed_origins) { Ok(()) } else { Err(Problem::origin()) }
}

/// Forgets a conversation some time after its end.
async fn forget(exchanges: Arc<Exchanges>, session: String, handle: RelayHandle) {
    while !handle.is_over() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tokio::time::sleep(KEPT_AFTER_END).await;
    exchanges.lock().remove(&session);
}

fn name() -> Result<String, Problem> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| Problem::overloaded("the system gives no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
