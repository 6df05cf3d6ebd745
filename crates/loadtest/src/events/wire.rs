//! A TCP connection to the server: a WebSocket or an event stream. Blocking while it is opened, never afterwards.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, RawFd};

use roundtable_protocol::message::Welcome;
use roundtable_protocol::{ClientMessage, PROTOCOL_VERSION, ServerMessage};
use socket2::{Domain, Socket, Type};

use super::frames::{self, CLOSE, PING, PONG, TEXT};
use crate::connect::PATIENCE;
use crate::signal::{SignalError, Url};

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    protocol: Protocol,
    /// The beginning of a message that is not whole.
    kept: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    WebSocket,
    EventStream,
}

impl Wire {
    /// Opens a WebSocket and joins the room.
    pub(crate) fn join(url: &Url, room: &str, name: &str, narrow: bool) -> Result<(Self, Box<Welcome>), SignalError> {
        let mut wire = Self::connect(url, Protocol::WebSocket, narrow)?;
        let head = format!(
            "GET {}?room={room} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cm91bmR0YWJsZSBiZW5jaA==\r\n\r\n",
            url.path, url.authority,
        );
        wire.request(&head, " 101 ")?;
        wire.send(&ClientMessage::Hello {
            version: PROTOCOL_VERSION,
            name: name.to_owned(),
            token: None,
            max_seats: Some(0),
            resume: None,
            accept: Vec::new(),
            media: false,
        })?;
        let welcome = wire.wait_for(|message| match message {
            ServerMessage::Welcome(welcome) => Some(welcome),
            _ => None,
        })?;
        Ok((wire, welcome))
    }

    /// Opens the event stream of a room.
    pub(crate) fn follow(url: &Url, room: &str, narrow: bool) -> Result<Self, SignalError> {
        let mut wire = Self::connect(url, Protocol::EventStream, narrow)?;
        // With HTTP/1.0 the answer is the stream and nothing else: no chunks.
        let head = format!(
            "GET /api/v1/rooms/{room}/events HTTP/1.0\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
            url.authority,
        );
        wire.request(&head, " 200 ")?;
        Ok(wire)
    }

    /// Sends a message and waits for what `wanted` makes of an answer.
    pub(crate) fn ask<T>(
        &mut self,
        message: &ClientMessage,
        wanted: impl Fn(ServerMessage) -> Option<T>,
    ) -> Result<T, SignalError> {
        self.send(message)?;
        self.wait_for(wanted)
    }

    /// Sends a message. What the kernel does not take at once ends the connection: the server reads faster than this.
    pub(crate) fn send(&mut self, message: &ClientMessage) -> Result<(), SignalError> {
        let text = serde_json::to_vec(message)?;
        Ok(self.stream.write_all(&frames::write(TEXT, &text))?)
    }

    /// From now on no call waits.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// The descriptor to wait on.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Takes what has come, gives each message to `take`, and answers pings.
    ///
    /// # Errors
    /// The connection is over.
    pub(crate) fn handle_readable(&mut self, scratch: &mut [u8], take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        loop {
            let len = match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.handle(scratch.get(..len).unwrap_or_default(), take)?;
            // A stream that gave less than was asked for is empty; what comes later is told anew (epoll(7)).
            if len < scratch.len() {
                return Ok(());
            }
        }
    }

    /// What was left when the connection was opened.
    pub(crate) fn handle_kept(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.handle(&[], take)
    }

    fn handle(&mut self, came: &[u8], take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        if self.kept.is_empty() {
            let used = self.messages(came, take)?;
            self.kept.extend_from_slice(came.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.kept);
        all.extend_from_slice(came);
        let used = self.messages(&all, take)?;
        all.drain(..used);
        self.kept = all;
        Ok(())
    }

    /// Hands out the whole messages; how many bytes they have.
    fn messages(&mut self, bytes: &[u8], take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..) {
            match self.protocol {
                Protocol::EventStream => {
                    let Some(end) = rest.windows(2).position(|two| two == b"\n\n") else { break };
                    take(rest.get(..end).unwrap_or_default());
                    used += end + 2;
                }
                Protocol::WebSocket => {
                    let Some(frame) = frames::first(rest) else { break };
                    let end = frame.payload.end;
                    let payload = rest.get(frame.payload).unwrap_or_default();
                    match frame.opcode {
                        PING => self.stream.write_all(&frames::write(PONG, payload))?,
                        CLOSE => return Err(io::ErrorKind::ConnectionReset.into()),
                        _ => take(payload),
                    }
                    used += end;
                }
            }
        }
        Ok(used)
    }

    /// `narrow` makes it one whose reader soon stands in the way when it does not read: the kernel keeps little for it.
    fn connect(url: &Url, protocol: Protocol, narrow: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(url.address()), Type::STREAM, None)?;
        if narrow {
            socket.set_recv_buffer_size(NARROW_BYTES)?;
            socket.set_tcp_mss(NARROW_SEGMENT)?;
        }
        socket.connect_timeout(&url.address().into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, protocol, kept: Vec::new() })
    }

    /// Sends the head of a request and reads that of the answer.
    fn request(&mut self, head: &str, expected: &str) -> Result<(), SignalError> {
        self.stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        loop {
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                self.kept = answer.split_off(end + 4);
                break;
            }
            self.read_more(&mut answer)?;
        }
        let answer = String::from_utf8_lossy(&answer);
        let first = answer.lines().next().unwrap_or_default();
        if first.contains(expected) { Ok(()) } else { Err(SignalError::Refused(first.to_owned())) }
    }

    fn wait_for<T>(&mut self, wanted: impl Fn(ServerMessage) -> Option<T>) -> Result<T, SignalError> {
        loop {
            while let Some(frame) = frames::first(&self.kept) {
                let end = frame.payload.end;
                let message = match frame.opcode {
                    TEXT => Some(serde_json::from_slice(self.kept.get(frame.payload).unwrap_or_default())?),
                    CLOSE => return Err(SignalError::Refused("it closed the WebSocket".to_owned())),
                    _ => None,
                };
                self.kept.drain(..end);
                match message {
                    Some(ServerMessage::Error { message, .. } | ServerMessage::Goodbye { message, .. }) => {
                        return Err(SignalError::Refused(message));
                    }
                    Some(message) => {
                        if let Some(found) = wanted(message) {
                            return Ok(found);
                        }
                    }
                    None => {}
                }
            }
            let mut kept = std::mem::take(&mut self.kept);
            self.read_more(&mut kept)?;
            self.kept = kept;
        }
    }

    fn read_more(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let mut piece = [0; 4_096];
        let len = self.stream.read(&mut piece)?;
        into.extend_from_slice(piece.get(..len).unwrap_or_default());
        if len == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// What the kernel keeps for a reader that is to stall, and the longest segment on the way to it. The sender's buffer grows
/// with that: with loopback's own 64 KiB it would swallow a minute of messages.
const NARROW_BYTES: usize = 4_096;
const NARROW_SEGMENT: u32 = 536;
