//! Logging in at an identity provider: a small one that runs here, and browsers of a few lines.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use roundtable::config::{OidcConfig, ProviderUrl, RoomPatterns, Secret};
use roundtable::protocol::Role;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::eventually;
use crate::common::http::{self, Answer};
use crate::common::server::Running;
use crate::common::socket::RawSocket;
use crate::common::token::{TestKey, now};

const KEY: TestKey = TestKey { id: "first", secret: "the first secret, of 32 bytes or more" };
const CLIENT: &str = "roundtable";
const SECRET: &str = "a secret: & more";
/// Nothing listens there: the browsers of these tests know where the server is.
const CALLBACK: &str = "http://localhost:1/login/oidc/callback";

/// What a provider does wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    Nothing,
    Nonce,
    Issuer,
    Audience,
    Expired,
    OtherKey,
    NoSignature,
    NoAnswer,
    TooLong,
}

/// What it knows of a code.
struct Code {
    nonce: String,
    challenge: String,
}

/// An identity provider, in the state it is in.
struct Desk {
    issuer: String,
    fault: Fault,
    key_id: String,
    key: EcdsaKeyPair,
    codes: HashMap<String, Code>,
    given: usize,
}

#[derive(Clone)]
struct Provider {
    at: SocketAddr,
    desk: Arc<Mutex<Desk>>,
}

fn fresh_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap()
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let desk = Desk {
            issuer: format!("http://{at}/realm"),
            fault: Fault::Nothing,
            key_id: "one".into(),
            key: fresh_key(),
            codes: HashMap::new(),
            given: 0,
        };
        let provider = Self { at, desk: Arc::new(Mutex::new(desk)) };
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(configuration))
            .route("/liar/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn issuer(&self) -> String {
        format!("http://{}/realm", self.at)
    }

    fn is_wrong_in(&self, fault: Fault) {
        self.desk.lock().unwrap().fault = fault;
    }

    fn changes_its_key(&self) {
        let mut desk = self.desk.lock().unwrap();
        (desk.key_id, desk.key) = ("two".into(), fresh_key());
    }
}

async fn configuration(State(provider): State<Provider>) -> Json<Value> {
    let at = provider.at;
    Json(json!({
        "issuer": provider.issuer(),
        "authorization_endpoint": format!("http://{at}/authorize?tenant=x"),
        "token_endpoint": format!("http://{at}/token"),
        "jwks_uri": format!("http://{at}/keys"),
    }))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let desk = provider.desk.lock().unwrap();
    let point = desk.key.public_key().as_ref().to_vec();
    let (x, y) = point[1..].split_at(32);
    Json(json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": desk.key_id, "use": "sig", "x": text(x), "y": text(y)}]}))
}

/// Everybody who comes is Ann, and may.
async fn authorize(State(provider): State<Provider>, Query(asked): Query<HashMap<String, String>>) -> Response {
    let fixed = [
        ("tenant", "x"),
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile"),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in fixed {
        assert_eq!(asked.get(name).map(String::as_str), Some(value), "{name}");
    }
    let mut desk = provider.desk.lock().unwrap();
    desk.given += 1;
    let code = format!("code {}", desk.given);
    let found = Code { nonce: asked["nonce"].clone(), challenge: asked["code_challenge"].clone() };
    desk.codes.insert(code.clone(), found);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([("code", &code), ("state", &asked["state"]), ("iss", &desk.issuer)]);
    (StatusCode::SEE_OTHER, [(header::LOCATION, format!("{CALLBACK}?{}", query.finish()))]).into_response()
}

async fn token(State(provider): State<Provider>, headers: HeaderMap, form: String) -> Response {
    let form: HashMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:a+secret%3A+%26+more")));
    let mut desk = provider.desk.lock().unwrap();
    let code = desk.codes.remove(&form["code"]).filter(|code| {
        code.challenge == text(Sha256::digest(&form["code_verifier"]))
            && form["redirect_uri"] == CALLBACK
            && form["grant_type"] == "authorization_code"
            && headers.get(header::AUTHORIZATION).is_some_and(|value| *value == *basic)
    });
    let Some(code) = code.filter(|_| desk.fault != Fault::NoAnswer) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    };
    let padding = if desk.fault == Fault::TooLong { "x".repeat(300 * 1024) } else { String::new() };
    Json(json!({"access_token": padding, "token_type": "Bearer", "id_token": id_token(&desk, &code.nonce)}))
        .into_response()
}

fn id_token(desk: &Desk, nonce: &str) -> String {
    let now = now();
    let mut claims = json!({
        "iss": desk.issuer, "aud": CLIENT, "sub": "u-1", "nonce": nonce, "iat": now, "exp": now + 60,
        "name": "Ann Example", "realm_access": {"roles": ["staff", "host"]},
    });
    match desk.fault {
        Fault::Nonce => claims["nonce"] = json!("another"),
        Fault::Issuer => claims["iss"] = json!("https://other.example"),
        Fault::Audience => claims["aud"] = json!("another"),
        Fault::Expired => claims["exp"] = json!(now - 120),
        _ => {}
    }
    let algorithm = if desk.fault == Fault::NoSignature { "none" } else { "ES256" };
    let header = json!({"alg": algorithm, "kid": desk.key_id});
    let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let other = fresh_key();
    let key = if desk.fault == Fault::OtherKey { &other } else { &desk.key };
    match desk.fault {
        Fault::NoSignature => format!("{message}."),
        _ => format!("{message}.{}", text(key.sign(&SystemRandom::new(), message.as_bytes()).unwrap())),
    }
}

/// A server that knows a provider by this issuer.
async fn start(issuer: &str) -> Running {
    let mut config = KEY.config();
    config.auth.oidc = Some(OidcConfig {
        issuer: ProviderUrl::parse(issuer).unwrap(),
        client_id: CLIENT.into(),
        client_secret: Some(Secret::new(SECRET)),
        redirect_url: ProviderUrl::parse(CALLBACK).unwrap(),
        name: "Example".into(),
        role: Role::Listener,
        role_claim: Some("realm_access.roles".into()),
        rooms: RoomPatterns::new(vec!["daily".into(), "team-*".into()]).unwrap(),
    });
    Running::start_with(config).await
}

/// A browser: what it has for a cookie.
#[derive(Debug, Clone, Default)]
struct Browser(Option<String>);

impl Browser {
    async fn get(&mut self, at: SocketAddr, path: &str) -> Answer {
        let answer = http::send(at, "GET", path, &self.cookie(), None).await;
        if let Some(set) = answer.header("set-cookie") {
            self.0 = Some(set.split(';').next().unwrap().to_owned());
        }
        answer
    }

    fn cookie(&self) -> String {
        self.0.as_ref().map(|cookie| format!("Cookie: other=1; {cookie}\r\n")).unwrap_or_default()
    }

    /// Goes to the provider; returns what comes behind the callback's path.
    async fn visit(&mut self, server: SocketAddr, provider: &Provider, room: &str) -> String {
        let begun = self.get(server, &format!("/login/oidc?room={room}")).await;
        assert_eq!((begun.status, begun.header("cache-control")), (303, Some("no-store")), "{begun:?}");
        let there = begun.header("location").unwrap();
        let path = there.strip_prefix(&format!("http://{}", provider.at)).unwrap_or_else(|| panic!("{there}"));
        // Another host gets no cookie of this one.
        let back = http::send(provider.at, "GET", path, "", None).await;
        back.header("location").unwrap().strip_prefix(CALLBACK).unwrap().to_owned()
    }

    /// Comes back; returns where it is sent on to.
    async fn come_back(&mut self, server: SocketAddr, query: &str) -> String {
        let answer = self.get(server, &format!("/login/oidc/callback{query}")).await;
        assert_eq!((answer.status, answer.header("cache-control")), (303, Some("no-store")), "{answer:?}");
        answer.header("location").unwrap().to_owned()
    }

    async fn redeem(&self, server: SocketAddr, ticket: &str) -> Answer {
        http::send(server, "POST", "/api/v1/login/oidc", &self.cookie(), Some(&json!({"ticket": ticket}))).await
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or(""))
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_provider_vouches_for_gets_a_token_for_the_room() {
    let provider = Provider::start().await;
    let server = start(&provider.issuer()).await;
    let at = server.place.http;
    let ways = http::json(at, "/api/v1/login").await;
    assert_eq!(ways, json!({"password": false, "oidc": "Example"}));

    let mut browser = Browser::default();
    let begun = browser.get(at, "/login/oidc?room=daily").await;
    let cookie = begun.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/;", "Max-Age=600"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let back = browser.visit(at, &provider, "daily").await;
    let on = browser.come_back(at, &back).await;
    let ticket = on.strip_prefix("/r/daily#login=").unwrap_or_else(|| panic!("{on}"));
    assert!(!ticket.contains('.'), "no token");
    let login = browser.redeem(at, ticket).await;
    assert_eq!((login.status, &login.body["room"], &login.body["name"]), (200, &json!("daily"), &json!("Ann Example")));
    let token = login.body["token"].as_str().unwrap();
    let (_ann, welcome) = RawSocket::enter_with(at, "daily", "Somebody", token).await;
    assert_eq!((&welcome["member"]["identity"], &welcome["grants"]["admin"]), (&json!("oidc:u-1"), &json!(true)));

    assert_eq!(code(&browser.redeem(at, ticket).await), (403, "login/stale"), "a ticket is good once");
    assert_eq!(browser.come_back(at, &back).await, "/#login-error=login/stale", "and so is what one came back with");

    // Two tabs of one browser do not get into each other's way.
    let first = browser.visit(at, &provider, "daily").await;
    let second = browser.visit(at, &provider, "team-a").await;
    assert!(browser.come_back(at, &first).await.starts_with("/r/daily#login="));
    assert!(browser.come_back(at, &second).await.starts_with("/r/team-a#login="));

    // Whoever may not enter is told when the ticket is exchanged.
    let back = browser.visit(at, &provider, "weekly").await;
    let on = browser.come_back(at, &back).await;
    let ticket = on.strip_prefix("/r/weekly#login=").unwrap();
    assert_eq!(code(&browser.redeem(at, ticket).await), (403, "login/room"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_browser_brings_or_nobody_began_is_refused() {
    let provider = Provider::start().await;
    let server = start(&provider.issuer()).await;
    let at = server.place.http;
    let (mut ann, mut eve) = (Browser::default(), Browser::default());
    let stale = "/#login-error=login/stale";
    let back = ann.visit(at, &provider, "daily").await;
    let of_eve = eve.visit(at, &provider, "daily").await;
    assert_eq!(eve.come_back(at, &back).await, stale, "a state is for the browser that began");
    assert_eq!(ann.come_back(at, &back).await, stale, "and gone when another one shows it");
    assert_eq!(Browser::default().come_back(at, &of_eve).await, stale, "without a cookie");
    for query in ["", "?code=x", "?code=x&state=", "?code=x&state=invented"] {
        assert_eq!(ann.come_back(at, query).await, stale, "{query}");
    }
    let back = ann.visit(at, &provider, "daily").await;
    let on = ann.come_back(at, &back).await;
    let ticket = on.strip_prefix("/r/daily#login=").unwrap();
    assert_eq!(code(&eve.redeem(at, ticket).await), (403, "login/stale"), "a ticket is for its browser too");
    assert_eq!(code(&ann.redeem(at, ticket).await), (403, "login/stale"), "and gone when another one shows it");
    assert_eq!(code(&ann.get(at, "/login/oidc?room=a%20b").await), (400, "room/bad-id"));
    assert_eq!(code(&ann.get(at, "/login/oidc").await), (400, "http/query"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_says_has_to_hold() {
    let provider = Provider::start().await;
    let server = start(&provider.issuer()).await;
    let at = server.place.http;
    let mut browser = Browser::default();
    let refused = "/r/daily#login-error=login/provider";
    for fault in [
        Fault::Nonce,
        Fault::Issuer,
        Fault::Audience,
        Fault::Expired,
        Fault::OtherKey,
        Fault::NoSignature,
        Fault::NoAnswer,
        Fault::TooLong,
    ] {
        provider.is_wrong_in(fault);
        let back = browser.visit(at, &provider, "daily").await;
        assert_eq!(browser.come_back(at, &back).await, refused, "{fault:?}");
    }
    provider.is_wrong_in(Fault::Nothing);
    let back = browser.visit(at, &provider, "daily").await;
    let replayed = browser.visit(at, &provider, "daily").await;
    assert!(browser.come_back(at, &back).await.starts_with("/r/daily#login="));
    // The code of before, under a state of now: the provider knows it no more, and its verifier was another one.
    let pair = |query: &str, name: &str| {
        form_urlencoded::parse(&query.as_bytes()[1..]).find(|(found, _)| found == name).unwrap().1.into_owned()
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([("code", pair(&back, "code")), ("state", pair(&replayed, "state"))]);
    assert_eq!(browser.come_back(at, &format!("?{}", query.finish())).await, refused);
    // Somebody else's answer (RFC 9207), and a person who changed their mind.
    let back = browser.visit(at, &provider, "daily").await;
    let other = back.replace("realm", "elsewhere");
    assert_ne!(other, back);
    assert_eq!(browser.come_back(at, &other).await, refused);
    let back = browser.visit(at, &provider, "daily").await;
    let denied = format!("?error=access_denied&state={}", pair(&back, "state"));
    assert_eq!(browser.come_back(at, &denied).await, refused);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_may_change_its_keys_but_not_its_name() {
    let provider = Provider::start().await;
    let server = start(&provider.issuer()).await;
    let at = server.place.http;
    let mut browser = Browser::default();
    let back = browser.visit(at, &provider, "daily").await;
    assert!(browser.come_back(at, &back).await.starts_with("/r/daily#login="));
    provider.changes_its_key();
    eventually("it is asked again", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut browser = Browser::default();
        let back = browser.visit(at, &provider, "daily").await;
        browser.come_back(at, &back).await.starts_with("/r/daily#login=")
    })
    .await;
    server.stop().await;

    let server = start(&format!("http://{}/liar", provider.at)).await;
    let begun = Browser::default().get(server.place.http, "/login/oidc?room=daily").await;
    assert_eq!(begun.header("location"), Some("/r/daily#login-error=login/provider"), "it says it is another one");
    server.stop().await;
    let server = start("http://127.0.0.1:9").await;
    let begun = Browser::default().get(server.place.http, "/login/oidc?room=daily").await;
    assert_eq!(begun.header("location"), Some("/r/daily#login-error=login/provider"), "nothing listens there");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_provider_says_so() {
    let server = Running::start().await;
    for (method, path) in [("GET", "/login/oidc?room=daily"), ("GET", "/login/oidc/callback?code=x&state=y")] {
        let answer = http::send(server.place.http, method, path, "", None).await;
        assert_eq!(code(&answer), (404, "http/not-found"), "{path}");
    }
    let answer = Browser::default().redeem(server.place.http, "x").await;
    assert_eq!(code(&answer), (404, "http/not-found"));
    server.stop().await;
}
