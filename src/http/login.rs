//! Logging in: which ways there are, and a token for a name and a password. The way by an identity provider is in `oidc`.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::{HeaderMap, StatusCode};
use roundtable_protocol::RoomId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HttpState;
use super::api::{Fresh, fresh};
use super::auth::now;
use super::limit::network;
use super::problem::Problem;
use crate::auth::{MAX_PASSWORD_BYTES, MAX_USER_NAME_BYTES, MEMBER_TOKEN_S, Person};

/// How one can log in at this server.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LoginWays {
    /// By a name and a password.
    password: bool,
    /// At an identity provider of this name (`GET /login/oidc?room=…`); null if there is none.
    oidc: Option<String>,
}

/// `GET /api/v1/login`.
pub(super) async fn ways(State(state): State<HttpState>) -> Fresh<LoginWays> {
    let oidc = state.logins.oidc().map(|oidc| oidc.config().name.clone());
    fresh(LoginWays { password: state.logins.local().is_some(), oidc })
}

/// Who wants to log in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// The name of a user.
    user: String,
    /// Their password.
    password: String,
    /// The room the token is for.
    room: RoomId,
}

/// What a login is exchanged for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedIn {
    /// The room the token is for.
    room: RoomId,
    /// For the hello.
    token: String,
    /// The name in it.
    name: String,
    /// In seconds since 1970 UTC.
    expires_at: u64,
}

/// Where a request comes from, if the server was told.
pub(super) type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// `POST /api/v1/login`: needs no token, for it gives one.
pub(super) async fn log_in(
    State(state): State<HttpState>,
    peer: Peer,
    headers: HeaderMap,
    credentials: Result<Json<Credentials>, JsonRejection>,
) -> Result<Fresh<LoggedIn>, Problem> {
    let Json(Credentials { user, password, room }) =
        credentials.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    if user.len() > MAX_USER_NAME_BYTES || password.len() > MAX_PASSWORD_BYTES {
        return Err(Problem::body(StatusCode::UNPROCESSABLE_ENTITY, "the name or the password is too long"));
    }
    let local = state.logins.local().ok_or_else(Problem::no_login)?;
    let address = peer.and_then(|Extension(ConnectInfo(peer))| limited(&state, peer.ip(), &headers));
    let person = local.log_in(Instant::now(), address, &user, password).await?;
    token(&state, &person, room).map(fresh)
}

/// A token for the room, of somebody who has logged in.
pub(super) fn token(state: &HttpState, person: &Person, room: RoomId) -> Result<LoggedIn, Problem> {
    let now = now();
    let claims = person.claims(now, &room).ok_or_else(|| Problem::login_room(&room))?;
    let token = state.authority.as_ref().and_then(|authority| authority.mint(&claims));
    let token = token.ok_or_else(Problem::no_signing_key)?;
    Ok(LoggedIn { room, token, name: person.name.clone(), expires_at: now.as_secs() + MEMBER_TOKEN_S })
}

/// The address to count by; none for this machine, where a proxy stands that was not named, or its owner.
fn limited(state: &HttpState, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    let address = state.entries.address(peer, headers);
    (!address.is_loopback()).then(|| network(address))
}
