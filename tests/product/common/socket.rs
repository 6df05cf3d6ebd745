//! A signalling socket without a client behind it: says anything, also what no client would.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use flate2::read::DeflateDecoder;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::SOON;

/// What came over a raw socket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// A message.
    Said(Value),
    /// The close frame's code.
    Closed(u16),
    /// The end without a close frame.
    Broken,
}

/// A raw signalling socket.
#[derive(Debug)]
pub(crate) struct RawSocket {
    socket: WebSocketStream<TcpStream>,
    /// Messages of a frame that are still to be heard.
    waiting: VecDeque<Value>,
    /// The frames that came.
    pub(crate) frames: Frames,
}

/// Frames that came with messages, and the bytes in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    /// As text.
    pub(crate) text: usize,
    /// Compressed.
    pub(crate) binary: usize,
    /// In all, as they came.
    pub(crate) bytes: usize,
    /// The same with the heads of the frames.
    pub(crate) wire: usize,
}

impl Frames {
    /// Those that came after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            text: self.text - before.text,
            binary: self.binary - before.binary,
            bytes: self.bytes - before.bytes,
            wire: self.wire - before.wire,
        }
    }
}

/// Bytes before those of a frame from the server, which is not masked (RFC 6455, 5.2).
fn head_bytes(bytes: usize) -> usize {
    match bytes {
        ..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

impl RawSocket {
    /// Opens one.
    pub(crate) async fn open(address: SocketAddr, room: &str) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the server listens"), room).await
    }

    /// Opens one that takes in very little unless it is read.
    pub(crate) async fn open_narrow(address: SocketAddr, room: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer is allowed");
        Self::over(socket.connect(address).await.expect("the server listens"), room).await
    }

    async fn over(stream: TcpStream, room: &str) -> Self {
        let url = format!("ws://localhost/ws?room={room}");
        let (socket, _) = client_async(url, stream).await.expect("the server upgrades");
        Self { socket, waiting: VecDeque::new(), frames: Frames::default() }
    }

    /// Opens one, says hello and waits for the welcome, which it returns.
    pub(crate) async fn enter(address: SocketAddr, room: &str, name: &str) -> (Self, Value) {
        let mut socket = Self::open(address, room).await;
        let welcome = socket.hello(name).await;
        (socket, welcome)
    }

    /// Says hello and waits for the welcome.
    pub(crate) async fn hello(&mut self, name: &str) -> Value {
        self.say(&json!({"type": "hello", "version": 1, "name": name})).await;
        self.until("welcome").await
    }

    /// Says hello, and that messages may come packed; the answer is whatever comes first.
    pub(crate) async fn hello_packed(&mut self, name: &str) -> Value {
        self.say(&json!({"type": "hello", "version": 1, "name": name, "accept": ["later", "deflate", "batch"]})).await;
        match self.hear().await {
            Heard::Said(answer) => answer,
            end => panic!("{end:?} instead of an answer to hello"),
        }
    }

    /// Closes with a code, and waits for nothing.
    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = self.socket.close(Some(frame)).await;
    }

    /// Opens one, says hello with a token and waits for the welcome, which it returns.
    pub(crate) async fn enter_with(address: SocketAddr, room: &str, name: &str, token: &str) -> (Self, Value) {
        let mut socket = Self::open(address, room).await;
        socket.say(&json!({"type": "hello", "version": 1, "name": name, "token": token})).await;
        let welcome = socket.until("welcome").await;
        (socket, welcome)
    }

    /// Moderates, and waits for the answer.
    pub(crate) async fn moderate(&mut self, id: u32, action: Value) -> Value {
        self.say(&json!({"type": "moderate", "id": id, "action": action})).await;
        loop {
            match self.hear().await {
                Heard::Said(answer) if answer["id"] == id => return answer,
                Heard::Said(_) => {}
                end => panic!("{end:?} instead of an answer"),
            }
        }
    }

    /// Sends a message. A closed socket swallows it: what the server said tells more.
    pub(crate) async fn say(&mut self, message: &Value) {
        self.text(message.to_string()).await;
    }

    /// Sends a text frame.
    pub(crate) async fn text(&mut self, text: impl Into<String>) {
        let _ = self.socket.send(Message::text(text.into())).await;
    }

    /// Sends a binary frame.
    pub(crate) async fn binary(&mut self, bytes: Vec<u8>) {
        let _ = self.socket.send(Message::binary(bytes)).await;
    }

    /// Sends a text frame of any bytes.
    pub(crate) async fn text_frame(&mut self, bytes: Vec<u8>) {
        let frame = Frame::message(bytes, OpCode::Data(Data::Text), true);
        let _ = self.socket.send(Message::Frame(frame)).await;
    }

    /// The next thing that comes.
    pub(crate) async fn hear(&mut self) -> Heard {
        tokio::time::timeout(SOON, self.hear_patiently()).await.expect("the server says something")
    }

    /// What comes within `time`, if anything does.
    pub(crate) async fn hear_within(&mut self, time: Duration) -> Option<Heard> {
        tokio::time::timeout(time, self.hear_patiently()).await.ok()
    }

    async fn hear_patiently(&mut self) -> Heard {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Heard::Said(message);
            }
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    self.frames.text += 1;
                    self.take(text.as_bytes(), text.len());
                }
                Some(Ok(Message::Binary(packed))) => {
                    self.frames.binary += 1;
                    let mut text = Vec::new();
                    DeflateDecoder::new(&packed[..]).read_to_end(&mut text).expect("it is raw DEFLATE");
                    self.take(&text, packed.len());
                }
                Some(Ok(Message::Close(frame))) => {
                    return frame.map_or(Heard::Broken, |frame| Heard::Closed(frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Broken,
            }
        }
    }

    fn take(&mut self, text: &[u8], bytes: usize) {
        self.frames.bytes += bytes;
        self.frames.wire += bytes + head_bytes(bytes);
        match serde_json::from_slice(text).expect("the server speaks JSON") {
            Value::Array(messages) => {
                assert!(messages.len() > 1, "a lone message has no array around it");
                self.waiting.extend(messages);
            }
            message => self.waiting.push_back(message),
        }
    }

    /// Waits for a message of a type, and lets others pass.
    pub(crate) async fn until(&mut self, wanted: &str) -> Value {
        loop {
            match self.hear().await {
                Heard::Said(message) if message["type"] == wanted => return message,
                Heard::Said(_) => {}
                end => panic!("{end:?} instead of {wanted}"),
            }
        }
    }

    /// Reads until the end: the codes of the errors and of the goodbye, and the close code.
    pub(crate) async fn until_closed(&mut self) -> (Vec<String>, Option<u16>) {
        let mut codes = Vec::new();
        loop {
            match self.hear().await {
                Heard::Said(message) if message["type"] == "error" || message["type"] == "goodbye" => {
                    codes.push(message["code"].as_str().unwrap_or("").to_owned());
                }
                Heard::Said(_) => {}
                Heard::Closed(code) => return (codes, Some(code)),
                Heard::Broken => return (codes, None),
            }
        }
    }
}
