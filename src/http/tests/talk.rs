//! A client of the signalling socket.

use futures_util::{SinkExt, StreamExt};
use roundtable_protocol::message::Welcome;
use roundtable_protocol::{ErrorCode, ServerMessage};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;

pub(super) struct Talk {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Talk {
    pub(super) async fn open(site: &Site, room: &str) -> Self {
        Self::try_open(site, room).await.unwrap()
    }

    pub(super) async fn try_open(site: &Site, room: &str) -> Result<Self, Error> {
        let (socket, _) = connect_async(format!("ws://{}/ws?room={room}", site.address)).await?;
        Ok(Self { socket })
    }

    /// The status of a socket that is not opened.
    pub(super) async fn refused(site: &Site, room: &str) -> u16 {
        match Self::try_open(site, room).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was opened"),
        }
    }

    /// Opens and says hello.
    pub(super) async fn enter(site: &Site, room: &str, name: &str) -> (Self, Welcome) {
        let mut talk = Self::open(site, room).await;
        talk.hello(name).await;
        let welcome = talk.welcome().await;
        (talk, welcome)
    }

    pub(super) async fn hello(&mut self, name: &str) {
        self.say(json!({ "type": "hello", "version": 1, "name": name })).await;
    }

    pub(super) async fn welcome(&mut self) -> Welcome {
        match self.hear().await {
            ServerMessage::Welcome(welcome) => *welcome,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn say(&mut self, message: serde_json::Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub(super) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next message.
    pub(super) async fn hear(&mut self) -> ServerMessage {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The next event.
    pub(super) async fn event(&mut self) -> Event {
        match self.hear().await {
            ServerMessage::Event { event } => event,
            other => panic!("{other:?}"),
        }
    }

    /// The next error: its code and whether it is fatal.
    pub(super) async fn error(&mut self) -> (ErrorCode, bool) {
        match self.hear().await {
            ServerMessage::Error { code, fatal, .. } => (code, fatal),
            other => panic!("{other:?}"),
        }
    }

    /// Reads to the close frame, and answers its code and the code of the error or goodbye before it.
    pub(super) async fn end(&mut self) -> (u16, Option<ErrorCode>) {
        let mut why = None;
        loop {
            match self.next().await {
                Message::Close(frame) => return (frame.expect("a code").code.into(), why),
                Message::Text(text) => match serde_json::from_str(&text).unwrap() {
                    ServerMessage::Goodbye { code, .. } => why = code,
                    ServerMessage::Error { code, fatal: true, .. } => why = Some(code),
                    _ => {}
                },
                other => panic!("{other:?}"),
            }
        }
    }

    /// Whether the server still answers.
    pub(super) async fn is_alive(&mut self) -> bool {
        self.say(json!({ "type": "ping", "nonce": 42 })).await;
        self.hear().await == ServerMessage::Pong { nonce: 42 }
    }

    async fn next(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match next.expect("a frame").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }
}
