//! The answer to a request for a WebSocket (RFC 6455 §4.2).

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::problem::Problem;

/// Answers the request, and gives what becomes the connection once the answer is out.
///
/// # Errors
/// `http/upgrade` when the request is none for a WebSocket, or comes over a connection that cannot become one.
pub(super) fn upgrade(mut parts: Parts) -> Result<(Response, OnUpgrade), Problem> {
    let on_upgrade = parts.extensions.remove::<OnUpgrade>();
    let request = Request::from_parts(parts, ());
    let response = create_response_with_body(&request, Body::empty)
        .map_err(|error| Problem::no_upgrade(StatusCode::BAD_REQUEST, error.to_string()))?;
    let on_upgrade = on_upgrade.ok_or_else(|| {
        let detail = "this connection cannot become a WebSocket; HTTP/1.1 can".to_owned();
        Problem::no_upgrade(StatusCode::UPGRADE_REQUIRED, detail)
    })?;
    Ok((response, on_upgrade))
}
