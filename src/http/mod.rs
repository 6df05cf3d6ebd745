//! Everything over HTTP: the signalling socket, the API, room events, health and the page.

mod api;
mod assets;
mod auth;
mod calls;
mod chat;
mod errors;
mod exchange;
mod health;
mod idempotency;
mod invites;
mod limit;
mod login;
mod members;
mod moderation;
mod oidc;
mod openapi;
mod origin;
mod poll;
mod prefix;
mod problem;
mod request_id;
mod resume;
mod server_events;
mod settings;
mod socket;
mod sse;
#[cfg(test)]
mod tests;
mod upgrade;
mod webhooks;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::exchange::Exchanges;
use self::idempotency::Answers;
use self::limit::Entries;
pub use self::limit::EntryLimit;
use self::problem::Problem;
use crate::auth::{Authority, Invites, Tickets};
use crate::hub::Hub;
use crate::login::Logins;
use crate::signal::ws::SocketConfig;
use crate::webhook::{WebhookConfig, Webhooks};

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
    /// Event streams and waiting polls at once; one more is refused with 503.
    pub max_sse_readers: usize,
    /// How patient signalling sockets are.
    pub socket: SocketConfig,
    /// How often one address may open a signalling socket or follow an invitation.
    pub entries: EntryLimit,
    /// Proxies whose word counts for the address of a client.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            sse_heartbeat: Duration::from_secs(15),
            max_sse_readers: 1_000,
            socket: SocketConfig::default(),
            entries: EntryLimit { per_second: 10, burst: 40 },
            trusted_proxies: Vec::new(),
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
    entries: Arc<Entries>,
    /// What tokens are judged by; without it the API is open to everybody.
    authority: Option<Arc<Authority>>,
    tickets: Arc<Tickets>,
    invites: Arc<Invites>,
    logins: Arc<Logins>,
    webhooks: Webhooks,
    answers: Arc<Answers>,
}

impl HttpState {
    /// The state of a router for this hub.
    #[must_use]
    pub fn new(hub: Hub, config: HttpConfig) -> Self {
        let sse_seats = Arc::new(Semaphore::new(config.max_sse_readers.min(Semaphore::MAX_PERMITS)));
        let (tickets, invites) = (Arc::default(), Arc::default());
        let exchanges = Arc::default();
        let entries = Arc::new(Entries::new(config.entries, config.trusted_proxies.clone()));
        let webhooks = Webhooks::new(WebhookConfig::default());
        Self {
            hub,
            config: Arc::new(config),
            sse_seats,
            exchanges,
            entries,
            authority: None,
            tickets,
            invites,
            logins: Arc::default(),
            webhooks,
            answers: Arc::default(),
        }
    }

    /// The invitations of this server.
    #[must_use]
    pub fn invites(&self) -> &Arc<Invites> {
        &self.invites
    }

    /// Lets only those use the API who bring a token.
    #[must_use]
    pub fn with_authority(self, authority: Arc<Authority>) -> Self {
        Self { authority: Some(authority), ..self }
    }

    /// Lets people log in, in these ways.
    #[must_use]
    pub fn with_logins(self, logins: Arc<Logins>) -> Self {
        Self { logins, ..self }
    }

    /// Shows these receivers of webhooks, and lets them be told again what they missed.
    #[must_use]
    pub fn with_webhooks(self, webhooks: Webhooks) -> Self {
        Self { webhooks, ..self }
    }

    /// A place for one more reader of events, streaming or waiting.
    fn reader_seat(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let seat = Arc::clone(&self.sse_seats).try_acquire_owned();
        seat.map_err(|_| Problem::overloaded("as many read events as may"))
    }

    fn sse_readers(&self) -> usize {
        self.config.max_sse_readers.saturating_sub(self.sse_seats.available_permits())
    }
}

/// All routes, for the root or to be nested under any prefix. With [`Router::nest_service`] the page is
/// at `/prefix` and `/prefix/`, with [`Router::nest`] at the first only.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .merge(api_routes(&state))
        .layer(from_fn_with_state(state.clone(), idempotency::once))
        // Its requests are numbered, so that they can be sent again as they are.
        .merge(conversation_routes(&state))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::ready))
        .route("/openapi.json", get(openapi::document))
        .route("/errors/{area}/{word}", get(errors::page))
        .route("/", get(assets::page))
        .route("/r/{room}", get(assets::page))
        .fallback(assets::file)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(request_id::identify))
        .layer(map_response(secure))
        .with_state(state)
}

/// How clients enter and talk.
fn conversation_routes(state: &HttpState) -> Router<HttpState> {
    let larger = DefaultBodyLimit::max(exchange::MAX_POST_BYTES);
    let entries = Router::new()
        .route("/ws", get(socket::open))
        .route("/signal", post(exchange::begin))
        .route_layer(from_fn_with_state(state.clone(), limit::check));
    entries
        .route("/signal/{session}", post(exchange::post).delete(exchange::leave).layer(larger))
        .route("/signal/{session}/messages", get(exchange::poll))
        .route("/signal/{session}/events", get(exchange::stream))
}

fn api_routes(state: &HttpState) -> Router<HttpState> {
    let limited = from_fn_with_state(state.clone(), limit::check);
    Router::new()
        .route("/api/v1/invites/{code}", post(invites::follow).layer(limited.clone()))
        .route("/login/oidc", get(oidc::begin).layer(limited))
        .route("/login/oidc/callback", get(oidc::finish))
        .route("/api/v1/login/oidc", post(oidc::redeem))
        .route("/api/v1/login", get(login::ways).post(login::log_in))
        .route("/api/v1/events", get(server_events::events))
        .route("/api/v1/rooms", get(api::rooms).post(settings::create))
        .route("/api/v1/rooms/{room}", get(api::room).delete(settings::delete))
        .merge(moderation_routes())
        .route("/api/v1/rooms/{room}/events", get(sse::events))
        .route("/api/v1/rooms/{room}/chat", get(chat::page))
        .route("/api/v1/rooms/{room}/chat/retention", put(chat::set_retention))
        .route("/api/v1/rooms/{room}/members", get(members::members))
        .route("/api/v1/rooms/{room}/members/{member}", get(members::show).patch(members::change))
        .route("/api/v1/rooms/{room}/stats", get(api::room_stats))
        .route("/api/v1/rooms/{room}/members/{member}/limits", put(api::set_limits))
        .route("/api/v1/rooms/{room}/invites", get(invites::list).post(invites::create))
        .route("/api/v1/rooms/{room}/invites/{code}", delete(invites::revoke))
        .route("/api/v1/tickets", post(invites::ticket))
        .route("/api/v1/stats", get(api::stats))
        .route("/api/v1/webhooks", get(webhooks::list))
        .route("/api/v1/webhooks/dead-letters", get(webhooks::dead_letters))
        .route("/api/v1/webhooks/dead-letters/{id}/retry", post(webhooks::retry))
}

/// What operators do to rooms and members, and calls.
fn moderation_routes() -> Router<HttpState> {
    Router::new()
        .route("/api/v1/rooms/{room}/settings", get(settings::show).put(settings::replace).patch(settings::change))
        .route(
            "/api/v1/rooms/{room}/members/{member}/permissions",
            put(moderation::put_permissions).patch(moderation::patch_permissions),
        )
        .route("/api/v1/rooms/{room}/moderate", post(moderation::moderate))
        .route("/api/v1/rooms/{room}/bans", get(moderation::bans))
        .route("/api/v1/rooms/{room}/bans/{ban}", delete(moderation::unban))
        .route("/api/v1/rooms/{room}/knocks", get(moderation::knocks))
        .route("/api/v1/calls", post(calls::start))
        .route("/api/v1/calls/{call}", get(calls::show))
        .route("/api/v1/calls/{call}/answer", post(calls::answer))
        .route("/api/v1/users/{identity}/events", get(calls::events))
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
