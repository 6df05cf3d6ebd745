//! What a session takes, and what it wants done.

use std::time::Duration;

use bytes::Bytes;
use roundtable_protocol::call::CallAnswer;
use roundtable_protocol::chat::ChatPlace;
#[cfg(doc)]
use roundtable_protocol::limit::MAX_CLIENT_MESSAGE_BYTES;
use roundtable_protocol::moderation::ModerationAction;
use roundtable_protocol::{LeaveReason, ServerMessage};

use super::super::fault::JoinWish;
#[cfg(doc)]
use super::Session;
use crate::shard::inbox::Request;

/// The deadlines of a conversation.
#[derive(Debug, Clone, Copy)]
pub struct Timers {
    /// Until hello must have come.
    pub hello: Duration,
    /// Silence after which the client is given up.
    pub silence: Duration,
    /// Between the server's own WebSocket pings.
    pub ping: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { hello: Duration::from_secs(10), silence: Duration::from_secs(30), ping: Duration::from_secs(10) }
    }
}

/// What came over the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text frame.
    Text(&'a str),
    /// A binary frame: a compressed message, where that was agreed upon.
    Binary(&'a [u8]),
    /// A ping or pong: a sign of life.
    Control,
}

/// Why the socket can be read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A message larger than [`MAX_CLIENT_MESSAGE_BYTES`].
    TooLarge,
    /// A text frame that is not UTF-8.
    NotUtf8,
    /// Frames that are no WebSocket.
    Protocol,
    /// The client closed it: it does not mean to come back.
    Closed,
    /// It is lost.
    Gone,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Action {
    /// Ask the hub for entry; answered by [`Session::handle_welcome`] or [`Session::handle_refused`].
    Join(JoinWish),
    /// Pass on to the shard. If it takes nothing, [`Session::handle_overload`] is told this id.
    Request {
        /// What the member says.
        request: Request,
        /// The number the client gave it.
        id: Option<u32>,
    },
    /// Moderate; answered by [`Session::handle_answer`] or [`Session::handle_refusal`] with this id.
    Moderate {
        /// The number the client gave it.
        id: u32,
        /// What.
        action: ModerationAction,
    },
    /// Call somebody; answered likewise.
    Call {
        /// The number the client gave it.
        id: u32,
        /// Who is called.
        to: String,
        /// For how many seconds it rings.
        timeout_s: u32,
    },
    /// Answer a call, or end one; answered likewise.
    AnswerCall {
        /// The number the client gave it.
        id: u32,
        /// Which call.
        call: String,
        /// What is done about it.
        answer: CallAnswer,
    },
    /// Read chat of before; answered by [`Session::handle_chat_page`].
    ChatPage {
        /// The number the client gave it.
        id: u32,
        /// Before which place; `None` is the end.
        before: Option<ChatPlace>,
        /// Most messages.
        limit: usize,
    },
    /// Take the member out of the room.
    Leave(LeaveReason),
    /// Send to the client.
    Send(ServerMessage),
    /// Send to the client; the JSON of a message, which others get as well.
    SendWritten(Bytes),
    /// The same, for which the client does not wait.
    SendInPassing(Bytes),
    /// Send a WebSocket ping.
    Ping,
    /// Close the socket; nothing follows.
    Close {
        /// The close code.
        code: u16,
        /// The stable word, empty in good order.
        reason: &'static str,
    },
}

/// Which deadline comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutReason {
    /// Hello has not come.
    Hello,
    /// Nothing has come.
    Silence,
    /// A ping is due.
    Ping,
}
