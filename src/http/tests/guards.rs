//! Which token opens which route: for every route of the table, as the table tells it.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::auth::{ApiKey, Claims, KeySources};
use crate::http::openapi::{Needs, Route, routes};

/// Who could come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bearer {
    /// Moderates another room.
    Elsewhere,
    /// Is a member of the room, and the person that paths name.
    Member,
    /// Moderates the room.
    Host,
    Lister,
    Creator,
    /// Runs the server.
    Operator,
}

const BEARERS: [Bearer; 6] =
    [Bearer::Elsewhere, Bearer::Member, Bearer::Host, Bearer::Lister, Bearer::Creator, Bearer::Operator];

impl Bearer {
    fn token(self, authority: &Authority) -> String {
        let exp = auth::now().as_secs() + 60;
        let claims = match self {
            Self::Elsewhere => {
                json!({"sub": "eve", "video": {"room": "weekly", "roomJoin": true, "roomAdmin": true}})
            }
            Self::Member => json!({"sub": "ann", "video": {"room": "daily", "roomJoin": true}}),
            Self::Host => json!({"sub": "hal", "video": {"room": "daily", "roomJoin": true, "roomAdmin": true}}),
            Self::Lister => json!({"video": {"roomList": true}}),
            Self::Creator => json!({"video": {"roomCreate": true}}),
            Self::Operator => json!({"video": {"roomAdmin": true}}),
        };
        let claims: Claims = serde_json::from_value(claims).unwrap();
        authority.mint(&Claims { exp: Some(exp), ..claims }).unwrap()
    }

    fn may(self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing | Needs::Conversation | Needs::Token => true,
            Needs::List => matches!(self, Self::Lister | Self::Operator),
            Needs::Create => matches!(self, Self::Creator | Self::Operator),
            Needs::Read => matches!(self, Self::Member | Self::Host | Self::Operator),
            Needs::Moderate => matches!(self, Self::Host | Self::Operator),
            Needs::Person => matches!(self, Self::Member | Self::Operator),
            Needs::All => self == Self::Operator,
        }
    }
}

/// A server with a key, or without.
struct Guarded {
    router: Router,
    authority: Arc<Authority>,
}

impl Guarded {
    fn new(has_keys: bool) -> Self {
        let api_key = Some(ApiKey { id: "k".into(), secret: "a secret of 32 bytes, or a bit more".into() });
        let authority = Authority::new(KeySources { api_key, ..KeySources::default() }, false, false);
        let authority = Arc::new(authority.unwrap());
        let hub = Hub::new(HubConfig::default(), vec![FakeShard::start().inbox], Arc::new(|_| vec![]), None, None);
        let state = HttpState::new(hub, HttpConfig::default());
        let state = if has_keys { state.with_authority(Arc::clone(&authority)) } else { state };
        Self { router: router(state), authority }
    }

    /// The status, and the code of a problem.
    async fn ask(&self, route: &Route, query: &str, token: Option<&str>) -> (u16, String) {
        let path = route.path.replace("{room}", "daily").replace("{identity}", "ann");
        let path: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let (status, body) = self.send(route.method, &format!("{}{query}", path.join("/")), token, "{}").await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: &'static str) -> (u16, Value) {
        let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(path);
        request = request.header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = self.router.clone().oneshot(request.body(Body::from(body)).unwrap());
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time").unwrap();
        let status = answer.status();
        // Good answers may be streams without an end.
        let is_read = !status.is_success() || method != "get";
        let body = if is_read { to_bytes(answer.into_body(), usize::MAX).await.unwrap() } else { Default::default() };
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn ticket(&self, token: &str) -> String {
        let (status, body) = self.send("post", "/api/v1/tickets", Some(token), "").await;
        assert_eq!(status, 200, "{body}");
        format!("?ticket={}", body["ticket"].as_str().unwrap())
    }
}

fn is_let_in(status: u16) -> bool {
    ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].iter().any(|refusal| status == refusal.as_u16())
}

#[tokio::test]
async fn every_route_is_open_to_those_whom_the_table_names_and_to_nobody_else() {
    let server = Guarded::new(true);
    for route in routes() {
        let Route { method, path, needs, .. } = route;
        let (status, code) = server.ask(route, "", None).await;
        if needs.wants_token() {
            assert_eq!((status, code.as_str()), (401, "token/missing"), "{method} {path} without a token");
        } else {
            assert!(is_let_in(status), "{method} {path} without a token: {status} {code}");
        }
        for bearer in BEARERS {
            let (status, code) = server.ask(route, "", Some(&bearer.token(&server.authority))).await;
            let told = format!("{method} {path}, which needs {needs:?}, with a token of {bearer:?}: {status} {code}");
            match bearer.may(*needs) {
                true => assert!(is_let_in(status), "{told}"),
                false => assert!(status == 403 && ["token/room", "token/grant"].contains(&code.as_str()), "{told}"),
            }
        }
    }
}

#[tokio::test]
async fn a_ticket_opens_streams_for_what_its_token_allows_and_nothing_else() {
    let server = Guarded::new(true);
    let operator = Bearer::Operator.token(&server.authority);
    for route in routes().filter(|route| route.needs.wants_token()) {
        let Route { method, path, .. } = route;
        let (status, code) = server.ask(route, &server.ticket(&operator).await, None).await;
        if !route.takes_ticket() {
            assert_eq!((status, code.as_str()), (401, "token/missing"), "{method} {path} is no stream");
            continue;
        }
        assert!(is_let_in(status), "{method} {path}: {status} {code}");
        let (status, code) = server.ask(route, "?ticket=none", None).await;
        assert_eq!((status, code.as_str()), (401, "ticket/invalid"), "{method} {path}");
        let elsewhere = server.ticket(&Bearer::Elsewhere.token(&server.authority)).await;
        assert_eq!(server.ask(route, &elsewhere, None).await.0, 403, "{method} {path}");
    }
    assert_eq!(routes().filter(|route| route.takes_ticket()).count(), 3, "a room's, a person's, and all");
}

#[tokio::test]
async fn without_keys_every_route_is_open() {
    let server = Guarded::new(false);
    for route in routes() {
        let (status, code) = server.ask(route, "", None).await;
        assert!(is_let_in(status), "{} {}: {status} {code}", route.method, route.path);
    }
}

#[tokio::test]
async fn who_moderates_one_room_sends_nobody_into_another() {
    let server = Guarded::new(true);
    let path = "/api/v1/rooms/daily/moderate";
    let there = r#"{"type":"move","member":"m1","room":"weekly"}"#;
    let (status, body) = server.send("post", path, Some(&Bearer::Host.token(&server.authority)), there).await;
    assert_eq!((status, &body["code"]), (403, &json!("token/room")));
    let (status, body) = server.send("post", path, Some(&Bearer::Operator.token(&server.authority)), there).await;
    assert_eq!((status, &body["code"]), (404, &json!("room/unknown")), "asked, and there is no such room");
}
