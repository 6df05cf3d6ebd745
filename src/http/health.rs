//! Whether the process lives, and whether it takes calls.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};

use super::HttpState;
use super::problem::Problem;

const NO_STORE: [(HeaderName, HeaderValue); 1] = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// What a healthy answer looks like.
type Healthy = ([(HeaderName, HeaderValue); 1], &'static str);

/// The process answers.
pub(super) async fn live() -> Healthy {
    (NO_STORE, "live\n")
}

/// The server takes new calls: it is not about to end, and its shard answers.
pub(super) async fn ready(State(state): State<HttpState>) -> Result<Healthy, Problem> {
    if state.hub.is_stopping() || state.hub.is_draining() {
        return Err(Problem::stopping());
    }
    state.hub.stats().await?;
    Ok((NO_STORE, "ready\n"))
}
