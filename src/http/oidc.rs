//! Logging in at an identity provider: there, back, and the exchange of what one came back with.

use std::time::Instant;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use roundtable_protocol::RoomId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::HttpState;
use super::api::{Fresh, fresh};
use super::login::{LoggedIn, token};
use super::prefix::prefix;
use super::problem::Problem;
use crate::login::{LOGIN_WITHIN, LoginError, Oidc, Returned, new_browser};

/// The cookie by which a browser is known that logs in.
const BROWSER: &str = "roundtable-browser";
/// Longest word that is taken for one, in bytes.
const MAX_BROWSER_BYTES: usize = 64;

/// Where somebody wants to log in.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    room: String,
}

/// `GET /login/oidc`: sends the browser to the provider.
pub(super) async fn begin(
    State(state): State<HttpState>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    headers: HeaderMap,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let oidc = oidc(&state)?;
    let Query(Wish { room }) = wish.map_err(|rejection| Problem::query(rejection.body_text()))?;
    let room = RoomId::new(room).map_err(|invalid| Problem::bad_room_id(invalid.to_string()))?;
    let home = prefix(original.path(), uri.path());
    let browser = browser(&headers).map_or_else(new_browser, |known| Ok(known.to_owned()))?;
    let mut response = match oidc.begin(Instant::now(), &browser, room.clone()).await {
        Ok(location) => go(&location)?,
        Err(error) => go(&page(home, Some(&room), Err(&error)))?,
    };
    let cookie = cookie(oidc, home, &browser);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// What the provider sends a browser back with.
#[derive(Debug, Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    state: String,
    code: Option<String>,
    iss: Option<String>,
}

/// `GET /login/oidc/callback`: sends the browser on to the room's page, with a ticket or with why there is none.
pub(super) async fn finish(
    State(state): State<HttpState>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    headers: HeaderMap,
    back: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Problem> {
    let oidc = oidc(&state)?;
    let Query(Back { state: word, code, iss }) = back.map_err(|rejection| Problem::query(rejection.body_text()))?;
    let returned = Returned { state: &word, code: code.as_deref(), issuer: iss.as_deref() };
    let (room, ticket) = oidc.finish(Instant::now(), browser(&headers), returned).await;
    let home = prefix(original.path(), uri.path());
    go(&page(home, room.as_ref(), ticket.as_deref()))
}

/// A ticket that one came back with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginTicket {
    /// What stood behind `#login=`.
    ticket: String,
}

/// `POST /api/v1/login/oidc`: needs no token, for it gives one to the browser that has logged in.
pub(super) async fn redeem(
    State(state): State<HttpState>,
    headers: HeaderMap,
    ticket: Result<Json<LoginTicket>, JsonRejection>,
) -> Result<Fresh<LoggedIn>, Problem> {
    let Json(LoginTicket { ticket }) =
        ticket.map_err(|rejection| Problem::body(rejection.status(), rejection.body_text()))?;
    let (person, room) = oidc(&state)?.redeem(Instant::now(), browser(&headers), &ticket)?;
    token(&state, &person, room).map(fresh)
}

fn oidc(state: &HttpState) -> Result<&Oidc, Problem> {
    state.logins.oidc().ok_or_else(Problem::no_login)
}

/// The page of a room, or the front page. What stands behind `#` no server is sent and no log holds.
fn page(home: &str, room: Option<&RoomId>, ticket: Result<&str, &LoginError>) -> String {
    let room = room.map(|room| format!("r/{room}")).unwrap_or_default();
    match ticket {
        Ok(ticket) => format!("{home}/{room}#login={ticket}"),
        Err(error) => format!("{home}/{room}#login-error={}", error.code()),
    }
}

fn go(location: &str) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(location).map_err(|_| Problem::from(LoginError::Provider))?;
    let no_store = HeaderValue::from_static("no-store");
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::CACHE_CONTROL, no_store)]).into_response())
}

/// Out of reach of scripts and of other sites' requests, but for the provider's way back.
fn cookie(oidc: &Oidc, home: &str, browser: &str) -> String {
    let secure = if oidc.config().redirect_url.is_tls() { "; Secure" } else { "" };
    let life = LOGIN_WITHIN.as_secs();
    format!("{BROWSER}={browser}; Path={home}/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}")
}

/// The word of a browser that logs in.
fn browser(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, word) = cookies.find(|(name, _)| *name == BROWSER)?;
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    Some(word).filter(|word| (1..=MAX_BROWSER_BYTES).contains(&word.len()) && is_word(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_browser_is_found_among_its_cookies() {
        for (cookies, expected) in [
            (&["roundtable-browser=aB-_9"][..], Some("aB-_9")),
            (&["x=1; roundtable-browser=a; y=2"], Some("a")),
            (&["x=1", "roundtable-browser=a"], Some("a")),
            (&["roundtable-browser="], None),
            (&["roundtable-browser=a b"], None),
            (&["other-roundtable-browser=a"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(header::COOKIE, cookie.parse().unwrap());
            }
            assert_eq!(browser(&headers), expected, "{cookies:?}");
        }
    }

    #[test]
    fn one_comes_back_to_the_room_under_any_prefix() {
        let room = RoomId::new("a~b").unwrap();
        assert_eq!(page("/meet", Some(&room), Ok("k3J")), "/meet/r/a~b#login=k3J");
        assert_eq!(page("", None, Err(&LoginError::Stale)), "/#login-error=login/stale");
    }
}
