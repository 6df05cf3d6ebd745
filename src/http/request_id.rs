//! What every answer may need to know of its request: its id, which stands in the answer's `x-request-id` and in a problem as
//! its `instance`, and the prefix of the path under which it found us.

use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::prefix;

/// Longest id taken over from the client or a proxy.
const MAX_BYTES: usize = 64;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: Current;
}

/// The request that is being answered.
struct Current {
    id: String,
    prefix: String,
}

/// Gives the request an id, or takes over the one that it brings.
pub(super) async fn identify(request: Request, next: Next) -> Response {
    let id = given(request.headers()).unwrap_or_else(fresh);
    let header = HeaderValue::from_str(&id);
    let original = request.extensions().get::<OriginalUri>().map_or(request.uri(), |OriginalUri(original)| original);
    let prefix = prefix::prefix(original.path(), request.uri().path()).to_owned();
    let mut response = CURRENT.scope(Current { id, prefix }, next.run(request)).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// The id of the request that is being answered.
pub(super) fn current() -> Option<String> {
    CURRENT.try_with(|current| current.id.clone()).ok()
}

/// Under which path the routes were found by the request that is being answered; empty at the root.
pub(super) fn current_prefix() -> String {
    CURRENT.try_with(|current| current.prefix.clone()).unwrap_or_default()
}

fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_owned())
}

fn fresh() -> String {
    // Without random numbers all ids are alike, and everything else goes on.
    format!("{:016x}", getrandom::u64().unwrap_or_default())
}
