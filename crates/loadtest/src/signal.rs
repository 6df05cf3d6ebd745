//! The conversation of a client with the server over its WebSocket: blocking while it joins, never afterwards.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::Duration;

use roundtable_protocol::message::{PublishRequest, Welcome};
use roundtable_protocol::{ClientMessage, PROTOCOL_VERSION, ServerMessage};
use tungstenite::{Message, WebSocket};

/// Why signalling cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignalError {
    /// Only `ws://host[:port]/path` will do.
    #[error("{0} is no address of the form ws://host:port/ws")]
    Url(String),
    /// The connection.
    #[error("no connection to the server: {0}")]
    Io(#[from] io::Error),
    /// The WebSocket.
    #[error("the WebSocket failed: {0}")]
    Socket(String),
    /// The server refused, and says why.
    #[error("the server refused: {0}")]
    Refused(String),
    /// A message that cannot be read.
    #[error("the server said something that is no message of the protocol: {0}")]
    Protocol(#[from] serde_json::Error),
}

/// Where the server listens.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    /// `host:port`
    pub(crate) authority: String,
    /// From the slash on.
    pub(crate) path: String,
    address: SocketAddr,
}

impl Url {
    /// Reads `ws://host[:port]/path` and looks the host up.
    pub(crate) fn parse(text: &str) -> Result<Self, SignalError> {
        let refused = || SignalError::Url(text.to_owned());
        let rest = text.strip_prefix("ws://").ok_or_else(refused)?;
        let (host, path) = rest.find('/').map_or((rest, "/ws"), |at| rest.split_at(at));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        let address = authority.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(refused)?;
        Ok(Self { authority, path: path.to_owned(), address })
    }

    /// A connection to it, on which reads and writes wait so long at most.
    pub(crate) fn connect(&self, patience: Duration) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(stream)
    }

    /// The address of the signalling.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// One client's conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    socket: WebSocket<TcpStream>,
}

/// What a client in a room is told and has to act on.
#[derive(Debug)]
pub(crate) enum News {
    /// One of the messages below.
    Message(Box<ServerMessage>),
    /// The conversation is over, and why.
    Ended(String),
}

impl Conversation {
    /// Connects and says hello.
    pub(crate) fn open(url: &Url, room: &str, name: &str, max_seats: u16) -> Result<(Self, Box<Welcome>), SignalError> {
        let stream = url.connect(PATIENCE)?;
        let target = format!("ws://{}{}?room={room}", url.authority, url.path);
        let (socket, _) =
            tungstenite::client(target, stream).map_err(|error| SignalError::Socket(error.to_string()))?;
        let mut conversation = Self { socket };
        conversation.send(&ClientMessage::Hello {
            version: PROTOCOL_VERSION,
            name: name.to_owned(),
            token: None,
            max_seats: Some(max_seats),
            resume: None,
            accept: Vec::new(),
            media: false,
        })?;
        loop {
            match conversation.receive()? {
                ServerMessage::Welcome(welcome) => return Ok((conversation, welcome)),
                other => refuse(other)?,
            }
        }
    }

    /// Offers and waits for the answer: its SDP, and the tracks by m-line.
    pub(crate) fn offer(
        &mut self,
        sdp: String,
        tracks: Vec<PublishRequest>,
    ) -> Result<(String, Vec<roundtable_protocol::message::PublishedTrack>), SignalError> {
        self.send(&ClientMessage::Offer { id: OFFER_ID, sdp, fresh: false, tracks })?;
        loop {
            match self.receive()? {
                ServerMessage::Answer { sdp, tracks, .. } => return Ok((sdp, tracks)),
                other => refuse(other)?,
            }
        }
    }

    /// From now on no call waits.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.get_ref().set_nonblocking(true)
    }

    /// Sends a message; while nothing waits, what the kernel does not take stays in the buffer.
    pub(crate) fn send(&mut self, message: &ClientMessage) -> Result<(), SignalError> {
        let text = serde_json::to_string(message)?;
        match self.socket.send(Message::text(text)) {
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(SignalError::Socket(error.to_string())),
            Ok(()) => Ok(()),
        }
    }

    /// Takes what has come, one message a call; `None` when there is no more. Answers pings by the way.
    ///
    /// Most messages tell of others in the room. They are not even parsed: in large rooms they are legion.
    pub(crate) fn poll(&mut self) -> Option<News> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) if is_of_interest(&text) => match serde_json::from_str(&text) {
                    Ok(message) => return Some(News::Message(Box::new(message))),
                    Err(error) => return Some(News::Ended(error.to_string())),
                },
                Ok(Message::Close(_)) => return Some(News::Ended("the server closed the WebSocket".to_owned())),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(News::Ended(error.to_string())),
            }
        }
    }

    /// Goes, without waiting for the goodbye.
    pub(crate) fn leave(&mut self) {
        // The server takes the end of the connection for the same thing.
        let _ = self.send(&ClientMessage::Leave {});
    }

    /// The descriptor, to wait for messages.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.get_ref().as_raw_fd()
    }

    fn receive(&mut self) -> Result<ServerMessage, SignalError> {
        loop {
            match self.socket.read().map_err(|error| SignalError::Socket(error.to_string()))? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(_) => return Err(SignalError::Refused("it closed the WebSocket".to_owned())),
                _ => {}
            }
        }
    }
}

/// Passes over what does not end the conversation.
fn refuse(message: ServerMessage) -> Result<(), SignalError> {
    match message {
        ServerMessage::Error { code, message, .. } => Err(SignalError::Refused(format!("{code:?}: {message}"))),
        ServerMessage::Goodbye { message, .. } => Err(SignalError::Refused(message)),
        _ => Ok(()),
    }
}

/// The type is the first field of every message.
fn is_of_interest(text: &str) -> bool {
    let head = text.split(',').next().unwrap_or_default();
    ["\"slots\"", "\"layers\"", "\"goodbye\"", "\"error\""].iter().any(|name| head.contains(name))
}

/// How long a joining client waits for the server.
const PATIENCE: Duration = Duration::from_secs(10);
/// The one offer of a client.
const OFFER_ID: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = Url::parse("ws://127.0.0.1:7880/conference/ws").unwrap();
        assert_eq!((url.path.as_str(), url.address.port()), ("/conference/ws", 7880));
        assert_eq!(Url::parse("ws://127.0.0.1").unwrap().authority, "127.0.0.1:80");
        for wrong in ["http://127.0.0.1/ws", "127.0.0.1:80", "ws://", "ws://no such host/"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_others_do_is_not_parsed() {
        let goodbye = ServerMessage::Goodbye { code: None, message: "bye".to_owned(), reconnect_after_ms: None };
        let slots = ServerMessage::Slots { changes: vec![] };
        for (message, expected) in [(goodbye, true), (slots, true), (ServerMessage::Pong { nonce: 1 }, false)] {
            assert_eq!(is_of_interest(&serde_json::to_string(&message).unwrap()), expected, "{message:?}");
        }
    }
}
