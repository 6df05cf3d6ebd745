//! The routes over real loopback sockets, before a shard that only pretends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roundtable_protocol::{Event, EventBody, LeaveReason, MemberId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::auth::{ApiKey, KeySources};
use crate::hub::fake_shard::{FakeShard, event};
use crate::hub::{HubConfig, IceServers};

mod api;
mod conversation;
mod events;
mod faults;
mod fuzz;
mod guards;
mod idempotency;
mod page;
mod poll;
mod rules;
mod server_events;
mod slow;
mod talk;
mod webhooks;

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
struct Site {
    shard: FakeShard,
    hub: Hub,
    address: SocketAddr,
}

/// A plain HTTP answer whose body is read piece by piece.
struct Answer {
    status: u16,
    head: String,
    body: TcpStream,
    buffer: String,
}

impl Site {
    async fn start() -> Self {
        Self::with(HubConfig::default(), HttpConfig::default()).await
    }

    async fn with(hub: HubConfig, http: HttpConfig) -> Self {
        Self::mounted(hub, http, |router| router).await
    }

    async fn mounted(hub: HubConfig, http: HttpConfig, mount: impl FnOnce(Router) -> Router) -> Self {
        let shard = FakeShard::start();
        let ice: IceServers = Arc::new(|_| vec![]);
        let hub = Hub::new(hub, vec![shard.inbox.clone()], ice, None, None);
        let router = mount(router(HttpState::new(hub.clone(), http)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shard, hub, address }
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "").await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        let length = body.len();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        self.request("PUT", path, &headers).await
    }

    /// Speaks HTTP/1.0, so that a body is what comes until the end, without chunks.
    async fn request(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut body = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n{headers}\r\n", self.address);
        body.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Answer { status: 0, head: String::new(), body, buffer: String::new() };
        answer.head = answer.until("\r\n\r\n").await.expect("a head");
        answer.status = answer.head.split(' ').nth(1).unwrap().parse().unwrap();
        answer
    }

    fn append(&self, room: &str, body: EventBody) -> u64 {
        self.shard.journal(room).append(event(body))
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    /// What comes up to a mark; `None` if the end comes first.
    async fn until(&mut self, mark: &str) -> Option<String> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(at) = self.buffer.find(mark) {
                    let rest = self.buffer.split_off(at + mark.len());
                    let mut piece = std::mem::replace(&mut self.buffer, rest);
                    piece.truncate(at);
                    return Some(piece);
                }
                if !self.read_more().await {
                    return None;
                }
            }
        })
        .await
        .expect("an answer in time")
    }

    async fn text(mut self) -> String {
        tokio::time::timeout(PATIENCE, async { while self.read_more().await {} }).await.expect("an end in time");
        self.buffer
    }

    async fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Asserts that it is a problem with this status and code, and gives the details.
    async fn problem(self, status: u16, code: &str) -> String {
        self.problem_under("", status, code).await
    }

    /// The same of a server that is nested under a prefix.
    async fn problem_under(self, prefix: &str, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.header("content-type")), (status, Some("application/problem+json")));
        assert_eq!(self.header("retry-after").is_some(), status == 503);
        let request = self.header("x-request-id").expect("an id").to_owned();
        let body = self.json().await;
        assert_eq!((body["status"].as_u64(), body["code"].as_str()), (Some(status.into()), Some(code)), "{body}");
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()));
        assert_eq!(body["type"], format!("{prefix}/errors/{code}"));
        assert_eq!(body["instance"], format!("urn:roundtable:request:{request}"));
        body["detail"].as_str().unwrap().to_owned()
    }

    async fn read_more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let length = self.body.read(&mut bytes).await.unwrap_or(0);
        self.buffer.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        length > 0
    }
}

/// Signs invitations, and leaves the API open.
fn open_authority() -> Authority {
    let api_key = Some(ApiKey { id: "k".into(), secret: "a secret of 32 bytes, or a bit more".into() });
    Authority::new(KeySources { api_key, ..KeySources::default() }, true, true).unwrap()
}

fn speaking(member: &MemberId, speaking: bool) -> EventBody {
    EventBody::Speaking { member: member.clone(), speaking }
}

fn member(id: &str) -> MemberId {
    MemberId::new(id).unwrap()
}
