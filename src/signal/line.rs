//! What a conversation runs over: a WebSocket, or requests where there is none.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use super::packing::Packed;
use super::relay::{Posted, Relay};
use super::session::Broken;
use super::socket::Socket;

/// The server's end of it.
pub(super) enum Line {
    /// Frames in both directions.
    Socket(Box<Socket>),
    /// Requests that bring messages, and others that fetch them.
    Relay(Relay),
}

/// What came.
#[derive(Debug)]
pub(super) enum Received {
    /// A message.
    Text(Utf8Bytes),
    /// A compressed one, or what is none.
    Binary(Bytes),
    /// A sign of life.
    Control,
    /// The client closes with this code; nothing but the end follows.
    Closing(Option<u16>),
    /// It can be read no further.
    Broken(Broken),
    /// The end.
    End,
}

/// What is written.
pub(super) enum Words {
    /// A frame; binary ones only where [`Line::has_frames`].
    Frame(Packed),
    /// A question for a sign of life, where the line has a way to ask.
    Ping,
    /// The end, with its code. What was sent before still arrives.
    Close(u16, &'static str),
}

/// The line is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

impl Line {
    /// Waits for what comes next. Nothing is lost if the future is dropped.
    pub(super) async fn recv(&mut self) -> Received {
        match self {
            Self::Socket(socket) => match socket.recv().await {
                Some(Ok(Message::Text(text))) => Received::Text(text),
                Some(Ok(Message::Binary(packed))) => Received::Binary(packed),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Control,
                Some(Ok(Message::Close(frame))) => Received::Closing(frame.map(|frame| frame.code.into())),
                // Never read, by tungstenite's word.
                Some(Ok(Message::Frame(_))) => Received::Control,
                Some(Err(error)) => Received::Broken(broken(&error)),
                None => Received::End,
            },
            Self::Relay(relay) => match relay.recv().await {
                Some(Posted::Message(text)) => Received::Text(text.into()),
                Some(Posted::Alive) => Received::Control,
                Some(Posted::Closed) => Received::Closing(Some(1000)),
                None => Received::End,
            },
        }
    }

    /// Whether it has frames, so that they can be packed.
    pub(super) fn has_frames(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    /// Sends. Waits while the client does not read.
    pub(super) async fn send(&mut self, words: Words) -> Result<(), Lost> {
        match self {
            Self::Socket(socket) => socket.send(message(words)).await.map_err(|_| Lost),
            Self::Relay(relay) => match words {
                // In a box, as few conversations have no socket.
                Words::Frame(Packed::Text(text)) => {
                    Box::pin(relay.send(text)).await;
                    Ok(())
                }
                // What cannot be passed on must not be missing in silence.
                Words::Frame(Packed::Binary(_)) => Err(Lost),
                Words::Ping => Ok(()),
                Words::Close(code, reason) => {
                    relay.close(code, reason);
                    Ok(())
                }
            },
        }
    }

    /// Reads away what still comes, until the client has closed as well.
    pub(super) async fn drain(&mut self) {
        // Closing with unread data makes TCP reset the connection, and the client might never see the close frame.
        if let Self::Socket(socket) = self {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    }
}

fn message(words: Words) -> Message {
    match words {
        Words::Frame(Packed::Text(text)) => Message::Text(text),
        Words::Frame(Packed::Binary(bytes)) => Message::Binary(bytes),
        Words::Ping => Message::Ping(Bytes::new()),
        Words::Close(code, reason) => {
            Message::Close(Some(CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) }))
        }
    }
}

/// What an error of the socket means.
fn broken(error: &SocketError) -> Broken {
    match error {
        SocketError::Capacity(_) => Broken::TooLarge,
        SocketError::Utf8(_) => Broken::NotUtf8,
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Broken::Gone,
        SocketError::Protocol(_) => Broken::Protocol,
        _ => Broken::Gone,
    }
}
