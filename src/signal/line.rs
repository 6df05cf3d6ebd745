//! What a conversation runs over: a WebSocket, or requests where there is none.

use std::error::Error as _;

use axum::Error as AxumError;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use tungstenite::Error as SocketError;

use super::packing::Packed;
use super::relay::{Posted, Relay};
use super::session::Broken;

/// The server's end of it.
pub(super) enum Line {
    /// Frames in both directions.
    Socket(Box<WebSocket>),
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
                Some(Ok(Message::Close(frame))) => Received::Closing(frame.map(|frame| frame.code)),
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

    /// Sends a frame; binary ones only where [`Line::has_frames`]. Waits while the client does not read.
    pub(super) async fn send(&mut self, frame: Packed) -> Result<(), Lost> {
        match (self, frame) {
            (Self::Socket(socket), Packed::Text(text)) => socket.send(Message::Text(text)).await.map_err(|_| Lost),
            (Self::Socket(socket), Packed::Binary(bytes)) => {
                socket.send(Message::Binary(bytes)).await.map_err(|_| Lost)
            }
            (Self::Relay(relay), Packed::Text(text)) => {
                relay.send(text).await;
                Ok(())
            }
            // What cannot be passed on must not be missing in silence.
            (Self::Relay(_), Packed::Binary(_)) => Err(Lost),
        }
    }

    /// Asks for a sign of life, where the line has a way to.
    pub(super) async fn ping(&mut self) -> Result<(), Lost> {
        match self {
            Self::Socket(socket) => socket.send(Message::Ping(Bytes::new())).await.map_err(|_| Lost),
            Self::Relay(_) => Ok(()),
        }
    }

    /// Closes the line; what was sent before still arrives.
    pub(super) async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Lost> {
        match self {
            Self::Socket(socket) => {
                let frame = CloseFrame { code, reason: reason.into() };
                socket.send(Message::Close(Some(frame))).await.map_err(|_| Lost)
            }
            Self::Relay(relay) => {
                relay.close(code, reason);
                Ok(())
            }
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

/// What an error of the socket means.
fn broken(error: &AxumError) -> Broken {
    match error.source().and_then(|source| source.downcast_ref::<SocketError>()) {
        Some(SocketError::Capacity(_)) => Broken::TooLarge,
        Some(SocketError::Utf8(_)) => Broken::NotUtf8,
        Some(SocketError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => Broken::Gone,
        Some(SocketError::Protocol(_)) => Broken::Protocol,
        _ => Broken::Gone,
    }
}
