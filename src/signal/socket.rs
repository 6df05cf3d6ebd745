//! A WebSocket (RFC 6455), of which little memory is held for as long as a conversation lasts.
//!
//! tungstenite does the framing, and keeps the room of the longest frame it ever wrote. Long ones, as the room's state
//! that everybody is welcomed with, are therefore written past it, from bytes of their own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::future::poll_fn;
use futures_util::{Sink as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use roundtable_protocol::limit::MAX_CLIENT_MESSAGE_BYTES;
use tokio::io::AsyncWrite as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes read at once. Each socket has a buffer of this size for good, and it is zeroed before every look at the socket; an
/// offer takes some twenty turns.
const READ_BYTES: usize = 1024;
/// Longer messages are written past tungstenite.
const LONG_BYTES: usize = 512;

/// The server's end of a WebSocket.
pub(super) struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    /// What is left of a long frame. Before it has gone, nothing else may be written.
    rest: Bytes,
    /// Whether one side has said that it closes, after which no message may follow.
    closing: bool,
}

impl Socket {
    /// Takes over a connection whose upgrade was answered. Frames and messages are bounded by
    /// [`MAX_CLIENT_MESSAGE_BYTES`].
    pub(super) async fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_frame_size(Some(MAX_CLIENT_MESSAGE_BYTES))
            .max_message_size(Some(MAX_CLIENT_MESSAGE_BYTES));
        let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        Self { stream, rest: Bytes::new(), closing: false }
    }

    /// Waits for the next message; `None` is the end. Nothing is lost if the future is dropped.
    pub(super) async fn recv(&mut self) -> Option<Result<Message, Error>> {
        let message = self.stream.next().await;
        self.closing |= matches!(message, Some(Ok(Message::Close(_))));
        message
    }

    /// Sends a message, and waits until the kernel has it. If the future is dropped, what is left of the message goes before
    /// the next one.
    ///
    /// # Errors
    /// When the connection is lost or closing.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.flush().await?;
        if self.closing {
            return Err(Error::ConnectionClosed);
        }
        self.closing = matches!(message, Message::Close(_));
        match long(&message) {
            Some((kind, payload)) => self.rest = frame(kind, payload)?,
            None => Pin::new(&mut self.stream).start_send(message)?,
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.rest.is_empty() {
            return Pin::new(&mut self.stream).poll_flush(cx);
        }
        // What tungstenite has of its own, as answers to pings, was flushed before there was a rest, and nobody reads
        // while somebody writes. So the frame stays whole.
        let mut connection = Pin::new(self.stream.get_mut());
        while !self.rest.is_empty() {
            match ready!(connection.as_mut().poll_write(cx, &self.rest))? {
                0 => return Poll::Ready(Err(Error::Io(io::ErrorKind::WriteZero.into()))),
                written => self.rest.advance(written),
            }
        }
        self.rest = Bytes::new();
        connection.poll_flush(cx).map_err(Error::Io)
    }
}

/// What is to be written past tungstenite.
fn long(message: &Message) -> Option<(Data, &[u8])> {
    let (kind, payload) = match message {
        Message::Text(text) => (Data::Text, text.as_bytes()),
        Message::Binary(bytes) => (Data::Binary, bytes.as_ref()),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return None,
    };
    (payload.len() > LONG_BYTES).then_some((kind, payload))
}

/// A message in a frame; those of a server are not masked (RFC 6455 §5.1).
fn frame(kind: Data, payload: &[u8]) -> Result<Bytes, Error> {
    let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
    let len = payload.len() as u64;
    let mut bytes = Vec::with_capacity(header.len(len) + payload.len());
    header.format(len, &mut bytes)?;
    bytes.extend_from_slice(payload);
    Ok(bytes.into())
}
