//! A WebSocket (RFC 6455), of which little memory is held for as long as a conversation lasts.
//!
//! tungstenite does the framing, and keeps the room of the longest frame it ever wrote. Long ones, as the room's state
//! that everybody is welcomed with, are therefore written past it, from bytes of their own. It also keeps the room of the
//! longest frame that it read, to read the next one into: unless it has hardly more than a frame, and somebody has that one
//! still.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::future::poll_fn;
use futures_util::{Sink as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use roundtable_protocol::limit::MAX_CLIENT_MESSAGE_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes that the kernel is asked for at once.
const READ_BYTES: usize = 2048;
/// Bytes that tungstenite takes at once: the longest header. With the header of a frame it has so little of the payload that
/// behind it there is no room for the next header, and it needs a new buffer for that.
const TAKEN_BYTES: usize = 14;
/// Longer messages are written past tungstenite.
const LONG_BYTES: usize = 64;

/// The server's end of a WebSocket.
pub(super) struct Socket {
    stream: WebSocketStream<Ahead<TokioIo<Upgraded>>>,
    /// What is left of a long frame. Before it has gone, nothing else may be written.
    rest: Bytes,
    /// The payload that was read last, until the next frame is waited for: while it lies there, tungstenite cannot take its
    /// room again, and begins with that of a header.
    read_last: Bytes,
    /// Whether one side has said that it closes, after which no message may follow.
    closing: bool,
}

impl Socket {
    /// Takes over a connection whose upgrade was answered. Frames and messages are bounded by
    /// [`MAX_CLIENT_MESSAGE_BYTES`].
    pub(super) async fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(TAKEN_BYTES)
            .max_frame_size(Some(MAX_CLIENT_MESSAGE_BYTES))
            .max_message_size(Some(MAX_CLIENT_MESSAGE_BYTES));
        let connection = Ahead { connection: TokioIo::new(upgraded), ahead: Bytes::new() };
        let stream = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
        Self { stream, rest: Bytes::new(), read_last: Bytes::new(), closing: false }
    }

    /// Waits for the next message; `None` is the end. Nothing is lost if the future is dropped.
    pub(super) async fn recv(&mut self) -> Option<Result<Message, Error>> {
        let message = poll_fn(|cx| self.poll_next(cx)).await;
        self.closing |= matches!(message, Some(Ok(Message::Close(_))));
        message
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let next = self.stream.poll_next_unpin(cx);
        self.read_last = match &next {
            Poll::Ready(Some(Ok(Message::Text(text)))) => Bytes::from(text.clone()),
            Poll::Ready(Some(Ok(Message::Binary(bytes)))) => bytes.clone(),
            _ => Bytes::new(),
        };
        next
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

/// A connection of which more is read at once than is asked for, and kept only until it is asked for.
struct Ahead<C> {
    connection: C,
    ahead: Bytes,
}

impl<C: AsyncRead + Unpin> AsyncRead for Ahead<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.connection).poll_read(cx, &mut read))?;
            let (now, later) = read.filled().split_at(into.remaining().min(read.filled().len()));
            into.put_slice(now);
            self.ahead = Bytes::copy_from_slice(later);
        } else {
            let len = into.remaining().min(self.ahead.len());
            into.put_slice(&self.ahead[..len]); // In bounds: so long at most.
            self.ahead.advance(len);
        }
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Ahead<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_read_ahead_comes_in_its_order_and_leaves_no_room_behind() {
        let (mut client, connection) = tokio::io::duplex(100_000);
        let mut connection = Ahead { connection, ahead: Bytes::new() };
        let sent: Vec<u8> = (0..5 * READ_BYTES).map(|n| n as u8).collect();
        client.write_all(&sent).await.unwrap();
        let (mut read, mut kept) = (Vec::new(), 0);
        while read.len() < sent.len() {
            let mut taken = [0; TAKEN_BYTES];
            let len = connection.read(&mut taken).await.unwrap();
            read.extend_from_slice(&taken[..len]);
            kept = kept.max(connection.ahead.len());
        }
        assert_eq!(read, sent);
        assert_eq!((kept, connection.ahead.len()), (READ_BYTES - TAKEN_BYTES, 0));
        drop(client);
        assert_eq!(connection.read(&mut [0; TAKEN_BYTES]).await.unwrap(), 0, "the end comes through");
    }
}
