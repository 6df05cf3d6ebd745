//! The WebSocket: frames in, messages out.

use std::collections::VecDeque;
use std::io::Read as _;

use flate2::read::DeflateDecoder;
use futures_util::{SinkExt, StreamExt};
use roundtable_protocol::message::{Resume, Resumed, Welcome};
use roundtable_protocol::{ClientMessage, PROTOCOL_VERSION, ServerMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::options::Options;
use crate::{ANSWER_TIME, ClientError};

/// How the server lets a client in.
pub(crate) enum Entry {
    /// As somebody new.
    Welcome(Box<Welcome>),
    /// As who it was.
    Resumed(Box<Resumed>),
}

/// An open signalling connection.
#[derive(Debug)]
pub(crate) struct Signal {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Messages that came in one frame and are still to be handed out.
    received: VecDeque<ServerMessage>,
    goodbye: Option<String>,
}

impl Signal {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`ClientError`] when the socket fails or the server refuses.
    pub(crate) async fn connect(options: &Options) -> Result<(Self, Welcome), ClientError> {
        match Self::come_back(options, None, false).await? {
            (signal, Entry::Welcome(welcome)) => Ok((signal, *welcome)),
            (signal, Entry::Resumed(_)) => Err(ClientError::Socket(signal.close_reason())),
        }
    }

    /// Connects and says hello, as one who was there before, or with `media` as one who has the peer connection of another
    /// room.
    ///
    /// # Errors
    /// [`ClientError`] when the socket fails or the server refuses.
    pub(crate) async fn come_back(
        options: &Options,
        resume: Option<Resume>,
        media: bool,
    ) -> Result<(Self, Entry), ClientError> {
        let url = format!("{}?room={}", options.url, options.room);
        let (socket, _) = connect_async(url).await.map_err(|e| ClientError::Socket(e.to_string()))?;
        let mut signal = Self { socket, received: VecDeque::new(), goodbye: None };
        let hello = ClientMessage::Hello {
            version: PROTOCOL_VERSION,
            name: options.name.clone(),
            token: options.token.clone(),
            max_seats: Some(options.max_seats),
            resume,
            accept: options.accept.clone(),
            media,
        };
        signal.send(&hello).await?;
        let entry = tokio::time::timeout(ANSWER_TIME, signal.entry()).await.map_err(|_| ClientError::Timeout)??;
        Ok((signal, entry))
    }

    async fn entry(&mut self) -> Result<Entry, ClientError> {
        while let Some(message) = self.next().await? {
            match message {
                ServerMessage::Welcome(welcome) => return Ok(Entry::Welcome(welcome)),
                ServerMessage::Resumed(resumed) => return Ok(Entry::Resumed(resumed)),
                ServerMessage::Error { code, message, .. } => return Err(ClientError::Refused { code, message }),
                _ => {}
            }
        }
        Err(ClientError::Socket(self.close_reason()))
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub(crate) async fn send(&mut self, message: &ClientMessage) -> Result<(), ClientError> {
        let text = serde_json::to_string(message).map_err(|e| ClientError::Socket(e.to_string()))?;
        self.socket.send(Message::text(text)).await.map_err(|e| ClientError::Socket(e.to_string()))
    }

    /// The next message; `None` once the server has closed.
    ///
    /// # Errors
    /// [`ClientError::Socket`], also for what is no message of the protocol.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerMessage>, ClientError> {
        loop {
            if let Some(message) = self.received.pop_front() {
                if let ServerMessage::Goodbye { code, message, .. } = &message {
                    self.goodbye = Some(code.map_or(message.clone(), |c| c.to_string()));
                }
                return Ok(Some(message));
            }
            match self.socket.next().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Socket(error.to_string())),
                Some(Ok(Message::Text(text))) => self.received.extend(unpack(&text)?),
                Some(Ok(Message::Binary(packed))) => {
                    let mut text = String::new();
                    let read = DeflateDecoder::new(&packed[..]).read_to_string(&mut text);
                    read.map_err(|error| ClientError::Socket(format!("a binary frame: {error}")))?;
                    self.received.extend(unpack(&text)?);
                }
                Some(Ok(Message::Close(frame))) => {
                    let how =
                        frame.map_or_else(|| "closed".to_owned(), |f| format!("{} {}", u16::from(f.code), f.reason));
                    self.goodbye = Some(match self.goodbye.take() {
                        Some(why) => format!("{why}, {how}"),
                        None => how,
                    });
                    return Ok(None);
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Why the server closed.
    #[must_use]
    pub(crate) fn close_reason(&self) -> String {
        self.goodbye.clone().unwrap_or_else(|| "the connection broke".to_owned())
    }
}

/// Reads the message of a frame, or the array of messages.
fn unpack(text: &str) -> Result<Vec<ServerMessage>, ClientError> {
    let read = if text.starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::from_str(text).map(|message| vec![message])
    };
    read.map_err(|error| ClientError::Socket(format!("{error} in {text}")))
}
