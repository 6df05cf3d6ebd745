//! Plain HTTP over TCP, as much of it as the tests need.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends a request and reads the whole answer: status and body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

/// Puts a JSON document somewhere.
pub(crate) async fn put(address: SocketAddr, path: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close");
    let length = body.len();
    let text = format!("{head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    request(address, &text).await
}

/// Posts a JSON document somewhere.
pub(crate) async fn post(address: SocketAddr, path: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close");
    let length = body.len();
    let text = format!("{head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    request(address, &text).await
}

/// Deletes something.
pub(crate) async fn delete(address: SocketAddr, path: &str) -> (u16, String) {
    request(address, &format!("DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

/// An answer with its head.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The lines of the head.
    pub(crate) head: String,
    /// The body as JSON; null if it is none.
    pub(crate) body: Value,
}

impl Answer {
    /// A line of the head by its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// Sends any request, with a JSON document if there is one, and further lines of the head.
pub(crate) async fn send(address: SocketAddr, method: &str, path: &str, head: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let fixed = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}");
    let text = format!("{fixed}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    let (head, body) = exchange(address, &text).await;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body: serde_json::from_str(&body).unwrap_or(Value::Null) }
}

async fn request(address: SocketAddr, request: &str) -> (u16, String) {
    let (head, body) = exchange(address, request).await;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, body)
}

async fn exchange(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the server answers");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// A JSON document that must be there.
pub(crate) async fn json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = get(address, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
}

/// What the server counts.
#[derive(Debug, Clone)]
pub(crate) struct Stats(pub Value);

impl Stats {
    /// Asks for it.
    pub(crate) async fn of(address: SocketAddr) -> Self {
        Self(json(address, "/api/v1/stats").await)
    }

    /// A figure of the media side.
    pub(crate) fn shard(&self, name: &str) -> u64 {
        self.0["shard"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    /// A figure of each shard.
    pub(crate) fn of_each(&self, name: &str) -> Vec<u64> {
        let shards = self.0["shards"].as_array().unwrap_or_else(|| panic!("no shards in {}", self.0));
        shards.iter().map(|s| s[name].as_u64().unwrap_or_else(|| panic!("no {name} in {s}"))).collect()
    }

    /// Datagrams and packets dropped for a reason; 0 if there were none.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.0["shard"]["dropped"][reason].as_u64().unwrap_or(0)
    }

    /// Signalling sockets.
    pub(crate) fn sessions(&self) -> u64 {
        self.0["sessions"].as_u64().unwrap_or_else(|| panic!("no sessions in {}", self.0))
    }
}
