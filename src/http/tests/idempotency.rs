//! `Idempotency-Key`, request ids and the pages about errors.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use tower::ServiceExt as _;

use super::*;
use crate::http::openapi::routes;

/// A router with a route that counts how often it was done, under the layers that all routes have.
fn counting(count: &Arc<AtomicUsize>) -> Router {
    async fn act(State(count): State<Arc<AtomicUsize>>, body: Bytes) -> (StatusCode, String) {
        let nth = count.fetch_add(1, Ordering::Relaxed) + 1;
        match body.as_ref() {
            b"slow" => tokio::time::sleep(Duration::from_millis(200)).await,
            b"fail" => return (StatusCode::INTERNAL_SERVER_ERROR, nth.to_string()),
            b"large" => return (StatusCode::OK, "x".repeat(20_000)),
            _ => {}
        }
        (StatusCode::CREATED, nth.to_string())
    }
    let hub = Hub::new(HubConfig::default(), vec![FakeShard::start().inbox], Arc::new(|_| vec![]), None, None);
    let state = HttpState::new(hub, HttpConfig::default());
    let route = axum::routing::post(act).get(act).with_state(Arc::clone(count));
    let routes = Router::new().route_service("/act", route.clone()).route_service("/other", route);
    routes.layer(from_fn_with_state(state, crate::http::idempotency::once)).layer(from_fn(request_id::identify))
}

async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> (u16, String) {
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(axum::body::Body::from(body)).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let replayed = if response.headers().contains_key("idempotency-replayed") { "again " } else { "" };
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, format!("{replayed}{}", String::from_utf8_lossy(&body)))
}

fn code((status, body): (u16, String)) -> (u16, String) {
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_sent_again_with_its_key_is_answered_as_it_was() {
    let router = counting(&Arc::default());
    let key = [("idempotency-key", "k1")];
    let post = async |path, headers: &[(&str, &str)], body| ask(&router, "POST", path, headers, body).await;
    assert_eq!(post("/act", &key, "a").await, (201, "1".into()));
    assert_eq!(post("/act", &key, "a").await, (201, "again 1".into()));
    assert_eq!(code(post("/act", &key, "b").await), (422, "http/idempotency".into()));
    assert_eq!(code(post("/act?x=1", &key, "a").await), (422, "http/idempotency".into()));
    assert_eq!(post("/other", &key, "a").await, (201, "2".into()), "another path");
    let other = [("idempotency-key", "k1"), ("authorization", "Bearer x")];
    assert_eq!(post("/act", &other, "a").await, (201, "3".into()), "somebody else");
    assert_eq!(post("/act", &[], "a").await, (201, "4".into()), "without a key");
    assert_eq!(ask(&router, "GET", "/act", &key, "a").await, (201, "5".into()), "no POST");
    for (body, status) in [("fail", 500), ("large", 200)] {
        let key = [("idempotency-key", body)];
        for _ in 0..2 {
            let (got, text) = post("/act", &key, body).await;
            assert!(got == status && !text.starts_with("again"), "{body}: {got} {text}");
        }
    }
    for bad in ["", "a b", &"x".repeat(256)] {
        assert_eq!(code(post("/act", &[("idempotency-key", bad)], "a").await), (400, "http/idempotency".into()));
    }
}

#[tokio::test]
async fn every_post_minds_its_key_but_conversations_that_are_numbered() {
    let hub = Hub::new(HubConfig::default(), vec![FakeShard::start().inbox], Arc::new(|_| vec![]), None, None);
    let router = router(HttpState::new(hub, HttpConfig::default()).with_authority(Arc::new(open_authority())));
    let headers = [("idempotency-key", "k1"), ("content-type", "application/json")];
    for route in routes().filter(|route| route.method == "post") {
        let path = route.path.replace("{room}", "daily").replace(['{', '}'], "");
        let path = if path == "/signal" { "/signal?room=daily".to_owned() } else { path };
        let first = ask(&router, "POST", &path, &headers, "{}").await;
        let second = ask(&router, "POST", &path, &headers, "{}").await;
        let again = (first.0, format!("again {}", first.1));
        assert_eq!(second == again, route.takes_key(), "{path}: {first:?} {second:?}");
    }
}

#[tokio::test]
async fn two_at_once_are_done_once() {
    let count = Arc::default();
    let router = counting(&count);
    let key = [("idempotency-key", "k1")];
    let both = tokio::join!(ask(&router, "POST", "/act", &key, "slow"), ask(&router, "POST", "/act", &key, "slow"));
    assert_eq!((both.0, code(both.1)), ((201, "1".into()), (409, "http/in-progress".into())));
    assert_eq!(ask(&router, "POST", "/act", &key, "slow").await, (201, "again 1".into()));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_has_an_id_that_the_client_may_choose() {
    let site = Site::start().await;
    let answer = site.request("GET", "/api/v1/nothing", "X-Request-Id: mine-1.2\r\n").await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1.2"));
    answer.problem(404, "http/not-found").await;
    let odd = site.request("GET", "/livez", "X-Request-Id: \"evil\"\r\n").await;
    assert_eq!(odd.header("x-request-id").map(str::len), Some(16));
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_page() {
    let site = Site::start().await;
    let problem = site.get("/api/v1/rooms/nobody").await.json().await;
    let page = site.get(problem["type"].as_str().unwrap()).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/markdown; charset=utf-8")));
    assert!(page.text().await.starts_with("# `room/unknown`\n"));
    for path in ["/errors/room/nothing", "/errors/..%2f/CONFIG", "/errors/room/..%2froom%2funknown", "/errors/room"] {
        site.get(path).await.problem(404, "http/not-found").await;
    }
    let document = site.get("/openapi.json").await.json().await;
    assert_eq!(document["openapi"], "3.1.0");
}
