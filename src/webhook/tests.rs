//! Receivers over real loopback sockets, and what they get.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_server::tls_rustls::RustlsConfig;
use roundtable_protocol::event::ChatMessage;
use roundtable_protocol::feed::WebhookBody;
use roundtable_protocol::{Event, EventBody, MemberId, MessageId, RoomId};
use serde_json::Value;

use super::*;
use crate::journal::Journal;
use crate::trust::tls_that_trusts;

const PATIENCE: Duration = Duration::from_secs(10);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver that notes what it gets.
#[derive(Debug, Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// What it answers next, in order; 204 when there is nothing left.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// Every request, whatever the answer.
    asked: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    retry_after: Option<&'static str>,
    after: Duration,
}

fn status(status: u16) -> Answer {
    Answer { status, retry_after: None, after: Duration::ZERO }
}

impl Receiver {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
    }

    fn router(&self) -> Router {
        Router::new().fallback(take).with_state(self.clone())
    }

    async fn listen(&self, address: SocketAddr) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn start(&self) -> SocketAddr {
        self.listen(([127, 0, 0, 1], 0).into()).await
    }

    /// The numbers of the events that it accepted.
    fn seqs(&self) -> Vec<u64> {
        self.bodies().iter().map(|body| body.data.event.seq).collect()
    }

    fn bodies(&self) -> Vec<WebhookBody> {
        self.got.lock().unwrap().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    receiver.asked.fetch_add(1, Ordering::Relaxed);
    let answer = receiver.answers.lock().unwrap().pop_front().unwrap_or(status(204));
    tokio::time::sleep(answer.after).await;
    if (200..300).contains(&answer.status) {
        receiver.got.lock().unwrap().push((headers, body));
    }
    let mut response = StatusCode::from_u16(answer.status).unwrap().into_response();
    if let Some(after) = answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, after.parse().unwrap());
    }
    response
}

/// A room, its ledger and the receivers.
struct Site {
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
    webhooks: Webhooks,
    _tasks: WebhookTasks,
}

fn config(urls: &[String]) -> WebhookConfig {
    let patience = Patience { first: Duration::from_millis(10), cap: Duration::from_millis(50), ..Patience::default() };
    let urls = urls.iter().map(|url| WebhookUrl::parse(url, false).unwrap()).collect();
    let secrets = vec![SigningSecret::parse(SECRET).unwrap()];
    WebhookConfig { urls, secrets, patience, ..WebhookConfig::default() }
}

fn local(address: SocketAddr) -> String {
    format!("http://{address}/hooks")
}

impl Site {
    fn start(config: WebhookConfig) -> Self {
        Self::trusting(config, tls_of_this_host())
    }

    fn trusting(config: WebhookConfig, tls: ClientConfig) -> Self {
        let ledger = Arc::new(Ledger::new(1));
        let journal = Journal::with_ledger(RoomId::new("daily").unwrap(), 7, None, Arc::clone(&ledger));
        let webhooks = Webhooks::new(config);
        let tasks = webhooks.start_with(&ledger, tls);
        Self { journal, ledger, webhooks, _tasks: tasks }
    }

    fn say(&self, text: &str) {
        let member = MemberId::new("ann").unwrap();
        let id = MessageId::new("m").unwrap();
        let message =
            ChatMessage { id, seq: 0, at: 1_000, member, name: "Ann".into(), text: text.to_owned(), nonce: None };
        self.journal.append(Event { seq: 0, at: 1_000, body: EventBody::Chat { message } });
    }

    fn endpoint(&self, index: usize) -> Value {
        serde_json::to_value(self.webhooks.list()).unwrap()["endpoints"][index].clone()
    }

    fn dead(&self) -> Value {
        serde_json::to_value(self.webhooks.dead_letters()).unwrap()["deadLetters"].clone()
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

#[tokio::test]
async fn each_event_arrives_once_in_order_and_signed() {
    let receiver = Receiver::default();
    let site = Site::start(config(&[local(receiver.start().await)]));
    (0..300).for_each(|n| site.say(&format!("hello {n}")));
    site.webhooks.drain(&site.ledger, PATIENCE).await;
    assert!(receiver.seqs().into_iter().eq(1..=300));

    let (headers, body) = receiver.got.lock().unwrap()[1].clone();
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let timestamp: u64 = text("webhook-timestamp").parse().unwrap();
    assert!(timestamp.abs_diff(unix_ms() / 1_000) < 60);
    assert_eq!((text("webhook-id").as_str(), text("content-type").as_str()), ("7-2-daily", "application/json"));
    let secrets = [SigningSecret::parse(SECRET).unwrap()];
    assert_eq!(text("webhook-signature"), sign::signatures(&secrets, "7-2-daily", timestamp, &body));
    let body = &receiver.bodies()[1];
    assert_eq!((body.r#type.as_str(), body.timestamp.as_str()), ("chat", "1970-01-01T00:00:01.000Z"));
    assert_eq!((body.data.room.as_str(), body.data.epoch, body.data.event.seq), ("daily", 7, 2));
    let endpoint = site.endpoint(0);
    assert_eq!(
        (&endpoint["state"], &endpoint["delivered"], &endpoint["queued"]),
        (&"idle".into(), &300.into(), &0.into())
    );
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_every_number_once_and_in_order() {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = holder.local_addr().unwrap();
    drop(holder); // Nobody listens there now.
    let site = Site::start(config(&[local(address)]));
    for n in 0..200 {
        site.say(&format!("hello {n}"));
        if n % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(30)).await; // Tries fail meanwhile.
        }
    }
    let endpoint = site.endpoint(0);
    assert!(endpoint["failedTries"].as_u64() > Some(3), "{endpoint}");
    assert!(endpoint["lastError"].as_str().is_some_and(|error| error.starts_with("no connection")), "{endpoint}");
    eventually("all wait", || site.endpoint(0)["queued"] == 200).await;

    // It comes back by and by: it stumbles before it stands.
    let stumbling = [500, 204, 503, 502, 204, 404].map(status);
    let receiver = Receiver::answering(stumbling);
    receiver.listen(address).await;
    eventually("everything arrives", || receiver.seqs().len() == 200).await;
    assert!(receiver.seqs().into_iter().eq(1..=200));
    assert_eq!(site.dead(), serde_json::json!([]));
}

#[tokio::test]
async fn who_answers_gone_is_switched_off_until_somebody_sends_a_letter_again() {
    let receiver = Receiver::answering([status(204), Answer { after: Duration::from_millis(50), ..status(410) }]);
    let site = Site::start(config(&[local(receiver.start().await)]));
    (0..3).for_each(|_| site.say("hello"));
    eventually("it is off", || site.endpoint(0)["state"] == "disabled").await;
    (0..3).for_each(|_| site.say("nobody hears"));
    site.webhooks.drain(&site.ledger, PATIENCE).await;
    let dead = site.dead();
    assert_eq!((dead[0]["webhookId"].as_str(), dead[1]["webhookId"].as_str()), (Some("7-2-daily"), Some("7-3-daily")));
    assert_eq!(dead.as_array().map(Vec::len), Some(2), "what came after is nothing it wants: {dead}");
    assert!(dead[0]["reason"].as_str().unwrap().contains("410"));
    assert_eq!(dead[0]["body"]["data"]["event"]["seq"], 2);
    assert_eq!(receiver.asked.load(Ordering::Relaxed), 2);

    assert!(!site.webhooks.retry(99) && site.webhooks.retry(2));
    site.say("hello again");
    eventually("both arrive", || receiver.seqs() == [1, 3, 7]).await;
    assert_eq!(site.dead().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_wish_of_a_receiver_and_a_redirect_that_is_not_followed() {
    let elsewhere = Receiver::default();
    let target = elsewhere.start().await;
    let receiver = Receiver::answering([
        Answer { retry_after: Some("1"), ..status(429) },
        status(307),
        Answer { after: Duration::from_secs(9), ..status(204) },
    ]);
    let mut config = config(&[local(receiver.start().await)]);
    config.timeout = Duration::from_millis(100);
    let site = Site::start(config);
    let began = Instant::now();
    site.say(&format!("http://{target}/"));
    eventually("the redirect is a failure", || receiver.asked.load(Ordering::Relaxed) == 2).await;
    assert!(began.elapsed() >= Duration::from_millis(900), "a second was asked for");
    eventually("the slow answer too", || site.endpoint(0)["lastError"] == "it did not answer in time").await;
    eventually("at last it arrives", || receiver.seqs() == [1]).await;
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0);
    assert_eq!(site.endpoint(0)["failedTries"], 3);
}

#[tokio::test]
async fn one_receiver_does_not_wait_for_another_and_gets_the_types_it_is_for() {
    let stuck = Receiver::answering(std::iter::repeat_n(Answer { after: PATIENCE, ..status(204) }, 9));
    let fine = Receiver::default();
    let mut config = config(&[local(stuck.start().await), local(fine.start().await)]);
    config.types = vec!["chat".to_owned()];
    let site = Site::start(config);
    for _ in 0..50 {
        let body = EventBody::Speaking { member: MemberId::new("ann").unwrap(), speaking: true };
        site.journal.append(Event { seq: 0, at: 1, body });
        site.say("hello");
    }
    eventually("the other one has everything", || fine.seqs().len() == 50).await;
    assert!(fine.seqs().into_iter().eq((1..=50).map(|n| 2 * n)), "with the numbers of the room");
    assert_eq!((&site.endpoint(0)["state"], &site.endpoint(0)["queued"]), (&"sending".into(), &50.into()));
}

#[tokio::test]
async fn what_was_tried_for_too_long_is_given_up() {
    let receiver = Receiver::answering(std::iter::repeat_n(status(500), 4));
    let mut config = config(&[local(receiver.start().await)]);
    config.patience.give_up = Duration::from_millis(1);
    let site = Site::start(config);
    site.say("hello");
    eventually("it is given up", || site.dead().as_array().is_some_and(|dead| dead.len() == 1)).await;
    assert_eq!(site.dead()[0]["reason"], "it answered 500");
    assert_eq!((&site.endpoint(0)["givenUp"], &site.endpoint(0)["queued"]), (&1.into(), &0.into()));
}

#[tokio::test]
async fn https_is_checked_against_whom_one_trusts() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    let receiver = Receiver::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(tls))).unwrap();
    tokio::spawn(server.serve(receiver.router().into_make_service()));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let urls = [format!("https://localhost:{port}/hooks"), format!("https://127.0.0.1:{port}/hooks")];
    let site = Site::trusting(config(&urls), tls_that_trusts(roots));
    site.say("hello");
    eventually("it arrives", || receiver.seqs() == [1]).await;
    eventually("the wrong name is refused", || site.endpoint(1)["failedTries"].as_u64() > Some(0)).await;
    let error = site.endpoint(1)["lastError"].as_str().unwrap().to_owned();
    assert!(error.starts_with("no TLS"), "{error}");
}

#[tokio::test]
async fn a_name_of_a_stranger_that_leads_to_this_machine_is_not_followed() {
    let receiver = Receiver::default();
    let port = receiver.start().await.port();
    let mut config = config(&[]);
    config.urls = vec![WebhookUrl::of_a_stranger(&format!("http://localhost:{port}/"))];
    let site = Site::start(config);
    site.say("hello");
    eventually("it fails", || site.endpoint(0)["lastError"] == "its name leads to no address that may be used").await;
    assert_eq!(receiver.asked.load(Ordering::Relaxed), 0);
}
