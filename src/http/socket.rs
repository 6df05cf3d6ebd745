//! `GET /ws?room=…`: checks the room's id and the page's origin, then hands the socket to `signal`.

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use roundtable_protocol::RoomId;
use serde::Deserialize;

use super::HttpState;
use super::auth::bearer;
use super::origin;
use super::problem::Problem;
use crate::signal::ws;

/// The query of a socket.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    room: String,
    /// A token, for clients that cannot set headers and say none in their hello.
    access_token: Option<String>,
}

pub(super) async fn open(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    query: Result<Query<Wish>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = query.map_err(|rejection| Problem::bad_room_id(rejection.body_text()))?;
    let room = RoomId::new(wish.room).map_err(|invalid| Problem::bad_room_id(invalid.to_string()))?;
    let token = bearer(&headers)?.map(str::to_owned).or(wish.access_token);
    if !origin::is_allowed(&headers, &uri, &state.config.allowed_origins) {
        return Err(Problem::origin());
    }
    let upgrade = upgrade.map_err(|rejection| Problem::no_upgrade(rejection.status(), rejection.body_text()))?;
    let Some(presence) = state.hub.enter() else {
        let full = Problem::overloaded("as many are connected as may be");
        return Err(if state.hub.is_stopping() { Problem::stopping() } else { full });
    };
    Ok(ws::accept(upgrade, state.hub.clone(), presence, room, token, state.config.socket))
}
