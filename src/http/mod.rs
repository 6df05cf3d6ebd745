//! Everything over HTTP: the signalling socket, the API, room events, health and the page.

mod api;
mod assets;
mod chat;
mod exchange;
mod health;
mod members;
mod origin;
mod problem;
mod socket;
mod sse;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post, put};
use tokio::sync::Semaphore;

use self::exchange::Exchanges;
use self::problem::Problem;
use crate::hub::Hub;
use crate::signal::ws::SocketConfig;

/// Largest body of a request, in bytes: many times what the limits of a member take.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// What the browser may do with the page: nothing from elsewhere, no frames around it. The page has a
/// `<base>` of its own, so that it can live under any prefix.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; \
     media-src 'self' blob:; style-src 'self'; base-uri 'self'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(self), microphone=(self), display-capture=(self)"),
    ),
];

/// Choices of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Origins beside the page's own host whose pages may open the signalling socket, such as
    /// `https://app.example`. `*` lets every page.
    pub allowed_origins: Vec<String>,
    /// Silence after which an event stream gets a comment, so that proxies keep it open.
    pub sse_heartbeat: Duration,
    /// Event streams at once; one more is refused with 503.
    pub max_sse_readers: usize,
    /// How patient signalling sockets are.
    pub socket: SocketConfig,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            sse_heartbeat: Duration::from_secs(15),
            max_sse_readers: 1_000,
            socket: SocketConfig::default(),
        }
    }
}

/// What the routes share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpState {
    hub: Hub,
    config: Arc<HttpConfig>,
    sse_seats: Arc<Semaphore>,
    exchanges: Arc<Exchanges>,
}

impl HttpState {
    /// The state of a router for this hub.
    #[must_use]
    pub fn new(hub: Hub, config: HttpConfig) -> Self {
        let sse_seats = Arc::new(Semaphore::new(config.max_sse_readers.min(Semaphore::MAX_PERMITS)));
        Self { hub, config: Arc::new(config), sse_seats, exchanges: Arc::default() }
    }

    fn sse_readers(&self) -> usize {
        self.config.max_sse_readers.saturating_sub(self.sse_seats.available_permits())
    }
}

/// All routes, for the root or to be nested under any prefix. With [`Router::nest_service`] the page is
/// at `/prefix` and `/prefix/`, with [`Router::nest`] at the first only.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .route("/ws", get(socket::open))
        .route("/signal", post(exchange::begin))
        .route(
            "/signal/{session}",
            post(exchange::post).delete(exchange::leave).layer(DefaultBodyLimit::max(exchange::MAX_POST_BYTES)),
        )
        .route("/signal/{session}/messages", get(exchange::poll))
        .route("/signal/{session}/events", get(exchange::stream))
        .route("/api/v1/rooms", get(api::rooms))
        .route("/api/v1/rooms/{room}", get(api::room))
        .route("/api/v1/rooms/{room}/events", get(sse::events))
        .route("/api/v1/rooms/{room}/chat", get(chat::page))
        .route("/api/v1/rooms/{room}/chat/retention", put(chat::set_retention))
        .route("/api/v1/rooms/{room}/members", get(members::members))
        .route("/api/v1/rooms/{room}/stats", get(api::room_stats))
        .route("/api/v1/rooms/{room}/members/{member}/limits", put(api::set_limits))
        .route("/api/v1/stats", get(api::stats))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::ready))
        .route("/", get(assets::page))
        .route("/r/{room}", get(assets::page))
        .fallback(assets::file)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(map_response(secure))
        .with_state(state)
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

async fn secure(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
