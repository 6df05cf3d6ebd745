//! One client's conversation as a pure machine: frames and time in, actions out.
//!
//! A client says hello, is let in, says what it wants, and goes. Whatever it gets wrong is answered
//! with a coded `error`; the conversation ends only for what makes no sense to go on with: a refused
//! hello, a flood, more garbage than a bug explains, silence, or reading too slowly.

mod action;
mod client;
mod ending;
mod hello;
mod request;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use roundtable_protocol::chat::ChatPage;
use roundtable_protocol::error::close;
use roundtable_protocol::limit::{
    CHAT_PAGES_BURST, CHAT_PAGES_PER_SECOND, CLIENT_MESSAGES_BURST, CLIENT_MESSAGES_PER_SECOND, STATS_BURST,
    STATS_PER_SECOND, VIEWS_BURST, VIEWS_PER_SECOND,
};
use roundtable_protocol::message::{Packing, Resumed, Welcome};
use roundtable_protocol::{ErrorCode, LeaveReason, ServerMessage};

pub use self::action::{Action, Broken, Frame, TimeoutReason, Timers};
use self::ending::close_code;
use super::fault::Fault;
use crate::rate::Rate;
use crate::shard::inbox::ToMember;

/// Messages that are none of this protocol which a client may send in its life; one more ends it.
pub const MAX_GARBAGE: u32 = 10;
/// Most wishes in one `subscribe`.
pub const MAX_SUBSCRIBE_CHANGES: usize = 512;
/// Close code of RFC 6455 §7.4.1 for a text frame that is not UTF-8; the standard leaves no choice.
pub const CLOSE_NOT_UTF8: u16 = 1007;
/// Close code of RFC 6455 §7.4.1 for frames that break the WebSocket protocol itself.
pub const CLOSE_PROTOCOL: u16 = 1002;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    ExpectingHello { until: Instant },
    Joining,
    InRoom,
    Ending,
}

/// One client's conversation.
#[derive(Debug)]
pub struct Session {
    timers: Timers,
    phase: Phase,
    rate: Rate,
    views: Rate,
    questions: Rate,
    pages: Rate,
    garbage: u32,
    heard_at: Instant,
    ping_at: Instant,
    /// In what ways messages can be packed on this line.
    ways: &'static [Packing],
    /// Which of them are used.
    accepted: Vec<Packing>,
    actions: VecDeque<Action>,
}

impl Session {
    /// A conversation that begins now.
    #[must_use]
    pub fn new(now: Instant, timers: Timers) -> Self {
        Self {
            timers,
            phase: Phase::ExpectingHello { until: now + timers.hello },
            rate: Rate::new(now, CLIENT_MESSAGES_PER_SECOND, CLIENT_MESSAGES_BURST),
            views: Rate::new(now, VIEWS_PER_SECOND, VIEWS_BURST),
            questions: Rate::new(now, STATS_PER_SECOND, STATS_BURST),
            pages: Rate::new(now, CHAT_PAGES_PER_SECOND, CHAT_PAGES_BURST),
            garbage: 0,
            heard_at: now,
            ping_at: now + timers.ping,
            ways: &[],
            accepted: Vec::new(),
            actions: VecDeque::new(),
        }
    }

    /// The same, over a line of frames, in which messages can be packed.
    #[must_use]
    pub fn over_frames(self) -> Self {
        Self { ways: &[Packing::Batch, Packing::Deflate], ..self }
    }

    /// The same with pings at whole [`BEAT`]s since `origin`: one wake-up serves all conversations whose pings are due.
    #[must_use]
    pub fn on_beat(self, origin: Instant) -> Self {
        if self.timers.ping < BEAT {
            return self;
        }
        let behind = self.ping_at.saturating_duration_since(origin).as_nanos() % BEAT.as_nanos();
        let ping_at = self.ping_at - Duration::from_nanos(u64::try_from(behind).unwrap_or(0));
        Self { ping_at, ..self }
    }

    /// The hub let the client in.
    pub fn handle_welcome(&mut self, now: Instant, welcome: Welcome) {
        if self.phase == Phase::Joining {
            self.phase = Phase::InRoom;
            self.heard_at = now;
            self.send(ServerMessage::Welcome(Box::new(welcome)));
        }
    }

    /// The hub has the client's place still.
    pub fn handle_resumed(&mut self, now: Instant, resumed: Resumed) {
        if self.phase == Phase::Joining {
            self.phase = Phase::InRoom;
            self.heard_at = now;
            self.send(ServerMessage::Resumed(Box::new(resumed)));
        }
    }

    /// The client must wait until somebody lets it in. It hears nothing else until then.
    pub fn handle_waiting(&mut self) {
        if self.phase == Phase::Joining {
            self.send(ServerMessage::Waiting { accepted: self.accepted.clone() });
        }
    }

    /// The hub did not let the client in.
    pub fn handle_refused(&mut self, code: ErrorCode, message: String) {
        self.handle_refused_until(code, message, None);
    }

    /// The same, with when trying again can be of use, in milliseconds.
    pub fn handle_refused_until(&mut self, code: ErrorCode, message: String, retry_after_ms: Option<u64>) {
        let close = match code {
            ErrorCode::Stopping => return self.handle_stopping(),
            ErrorCode::Internal => close::INTERNAL,
            _ => close::REFUSED,
        };
        if self.phase != Phase::Ending {
            self.end(LeaveReason::Removed);
            self.send(ServerMessage::Error { id: None, code, message, fatal: true, retry_after_ms });
            self.close(close, code.as_str());
        }
    }

    /// Something beside the room answers the client, or has news for it.
    pub fn handle_answer(&mut self, message: ServerMessage) {
        if self.phase == Phase::InRoom {
            self.send(message);
        }
    }

    /// The request with this id was refused.
    pub fn handle_refusal(&mut self, id: u32, code: ErrorCode, message: String) {
        if self.phase == Phase::InRoom {
            self.complain(Some(id), Fault { code, message }, false);
        }
    }

    /// Chat of before was read, or why it was not.
    pub fn handle_chat_page(&mut self, id: u32, page: Result<ChatPage, (ErrorCode, String)>) {
        if self.phase != Phase::InRoom {
            return;
        }
        match page {
            Ok(ChatPage { messages, before }) => self.send(ServerMessage::ChatPage { id, messages, before }),
            Err((code, message)) => self.complain(Some(id), Fault { code, message }, false),
        }
    }

    /// The shard took nothing of the request with this id.
    pub fn handle_overload(&mut self, id: Option<u32>) {
        let message = "the server is overloaded; try again".into();
        self.complain(id, Fault { code: ErrorCode::Overloaded, message }, false);
    }

    /// The shard has something for this member.
    pub fn handle_from_shard(&mut self, message: ToMember) {
        if self.phase != Phase::InRoom {
            return;
        }
        match message {
            ToMember::Message(message) => self.send(message),
            ToMember::Written(json) => self.actions.push_back(Action::SendWritten(json)),
            ToMember::InPassing(json) => self.actions.push_back(Action::SendInPassing(json)),
            ToMember::Answer { id, sdp, tracks } => self.send(ServerMessage::Answer { id, sdp, tracks }),
            ToMember::Close { code, message, reconnect_after_ms } => {
                self.goodbye(Some(code), message, reconnect_after_ms);
                self.close(close_code(code), code.as_str());
            }
        }
    }

    /// The server ends within so long.
    pub fn handle_draining(&mut self, within: Duration) {
        if self.phase == Phase::InRoom {
            let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            self.send(ServerMessage::Draining { within_ms });
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let overdue = match self.phase {
            Phase::Ending => return,
            Phase::ExpectingHello { until } if until <= now => Some("no hello came in time"),
            Phase::ExpectingHello { .. } | Phase::Joining | Phase::InRoom => {
                (self.heard_at + self.timers.silence <= now).then_some("nothing came for too long")
            }
        };
        if let Some(message) = overdue {
            self.part(LeaveReason::Disconnected, ErrorCode::Silent, message.into(), close::SILENT);
        } else if self.ping_at <= now {
            // From when it was due: all that are due together stay so.
            let next = self.ping_at + self.timers.ping;
            self.ping_at = if next <= now { now + self.timers.ping } else { next };
            self.actions.push_back(Action::Ping);
        }
    }

    /// Takes the next thing to do.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if self.actions.is_empty() {
            // Room for four of them is half a kilobyte, and between messages nobody needs it.
            self.actions = VecDeque::new();
        }
        action
    }

    /// When [`Session::handle_timeout`] is due, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimeoutReason)> {
        let hello = match self.phase {
            Phase::ExpectingHello { until } => Some((until, TimeoutReason::Hello)),
            Phase::Joining | Phase::InRoom => None,
            Phase::Ending => return None,
        };
        let silence = (self.heard_at + self.timers.silence, TimeoutReason::Silence);
        let ping = (self.ping_at, TimeoutReason::Ping);
        [Some(silence), Some(ping), hello].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// In what ways messages are packed, from the answer to hello on.
    #[must_use]
    pub fn accepted(&self) -> &[Packing] {
        &self.accepted
    }

    /// Whether the conversation is over, but for the actions still to be taken.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.phase == Phase::Ending
    }

    fn complain(&mut self, id: Option<u32>, fault: Fault, fatal: bool) {
        self.send(ServerMessage::Error { id, code: fault.code, message: fault.message, fatal, retry_after_ms: None });
    }

    fn send(&mut self, message: ServerMessage) {
        self.actions.push_back(Action::Send(message));
    }
}

/// Between the moments at which pings are due, unless they are asked for more often.
const BEAT: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
