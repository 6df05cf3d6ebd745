//! Somebody who floods the entrance with connections whose tokens are wrong.
//!
//! The addresses that the flood comes from are named in X-Forwarded-For, as by a proxy that the server trusts, since a
//! server does not limit the addresses of its own machine. Each attempt is a TCP connection of its own.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roundtable_protocol::{ClientMessage, PROTOCOL_VERSION, ServerMessage};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::{HeaderValue, StatusCode};
use tungstenite::{HandshakeError, Message, WebSocket};

use crate::options::Joins;
use crate::signal::Url;

/// How many attempts are under way at most; a server that answers slowly is flooded more slowly.
const FLOODERS: u32 = 16;
/// How long an attempt waits for the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first of the addresses, which are of the network for benchmarks (RFC 2544).
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// What became of the attempts.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    next: AtomicU32,
    pub(super) limited: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) let_in: AtomicU64,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Limited,
    Refused,
    LetIn,
}

impl Attempts {
    /// Floods while `during` runs.
    pub(super) fn flood<T>(&self, url: &Url, options: &Joins, during: impl FnOnce() -> T) -> T {
        let (is_over, began) = (AtomicBool::new(false), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..FLOODERS {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let number = self.next.fetch_add(1, Ordering::Relaxed);
                        let due = began + Duration::from_secs_f64(f64::from(number) / f64::from(options.flood));
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        let count = match attempt(url, number % options.flood_addresses) {
                            Ok(End::Limited) => &self.limited,
                            Ok(End::Refused) => &self.refused,
                            Ok(End::LetIn) => &self.let_in,
                            Err(_) => &self.failed,
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let done = during();
            is_over.store(true, Ordering::Relaxed);
            done
        })
    }

    /// All of them.
    pub(super) fn count(&self) -> u64 {
        [&self.limited, &self.refused, &self.failed, &self.let_in]
            .map(|count| count.load(Ordering::Relaxed))
            .iter()
            .sum()
    }
}

/// Knocks once, from the address of this number.
fn attempt(url: &Url, address: u32) -> io::Result<End> {
    let stream = url.connect(PATIENCE)?;
    let target = format!("ws://{}{}?room=flood", url.authority, url.path);
    let mut request = target.into_client_request().map_err(io::Error::other)?;
    let address = Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + address).to_string();
    let address = HeaderValue::from_str(&address).map_err(io::Error::other)?;
    request.headers_mut().insert("x-forwarded-for", address);
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => say_hello(socket),
        Err(HandshakeError::Failure(tungstenite::Error::Http(response)))
            if response.status() == StatusCode::TOO_MANY_REQUESTS =>
        {
            Ok(End::Limited)
        }
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

fn say_hello(mut socket: WebSocket<TcpStream>) -> io::Result<End> {
    let (name, token) = ("flood".to_owned(), Some(WRONG_TOKEN.to_owned()));
    let (max_seats, resume, accept) = (None, None, Vec::new());
    let hello =
        ClientMessage::Hello { version: PROTOCOL_VERSION, name, token, max_seats, resume, accept, media: false };
    socket.send(Message::text(serde_json::to_string(&hello)?)).map_err(io::Error::other)?;
    loop {
        match socket.read().map_err(io::Error::other)? {
            Message::Text(text) => match serde_json::from_str(&text)? {
                ServerMessage::Welcome(_) => return Ok(End::LetIn),
                ServerMessage::Error { .. } | ServerMessage::Goodbye { .. } => return Ok(End::Refused),
                _ => {}
            },
            Message::Close(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
    }
}

/// Well-formed and of the key of a server that was started with `--dev`, but for its signature. A server without keys looks
/// at no token.
const WRONG_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImRldmtleSJ9.\
    eyJpc3MiOiJkZXZrZXkiLCJleHAiOjQxMDI0NDQ4MDAsInN1YiI6ImZsb29kIiwidmlkZW8iOnsicm9vbSI6ImZsb29kIiwicm9vbUpvaW4iOnRydWV9fQ.\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
