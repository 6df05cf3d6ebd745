//! One client's conversation as a pure machine: frames and time in, actions out.
//!
//! A client says hello, is let in, says what it wants, and goes. Whatever it gets wrong is answered
//! with a coded `error`; the conversation ends only for what makes no sense to go on with: a refused
//! hello, a flood, more garbage than a bug explains, silence, or reading too slowly.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use roundtable_protocol::call::CallAnswer;
use roundtable_protocol::chat::{ChatPage, ChatPlace};
use roundtable_protocol::error::close;
use roundtable_protocol::limit::{
    CHAT_HISTORY, CHAT_PAGES_BURST, CHAT_PAGES_PER_SECOND, CLIENT_MESSAGES_BURST, CLIENT_MESSAGES_PER_SECOND,
    DEFAULT_CALL_S, MAX_CHAT_PAGE, MAX_CLIENT_MESSAGE_BYTES, MAX_DATA_PAYLOAD_BYTES, MAX_DOC_SNAPSHOT_BYTES,
    MAX_MID_BYTES, MAX_SDP_BYTES, MAX_TOPIC_PATTERNS, MAX_TRACKS_PER_MEMBER, MAX_VIEW_CHANGES, STATS_BURST,
    STATS_PER_SECOND, VIEWS_BURST, VIEWS_PER_SECOND,
};
use roundtable_protocol::message::{PublishRequest, Resumed, ViewChange, Welcome};
use roundtable_protocol::moderation::ModerationAction;
use roundtable_protocol::{ClientMessage, ErrorCode, LeaveReason, MessageId, ServerMessage};
use roundtable_transport::sdp::{Offer, SdpError};

use super::fault::{Fault, JoinWish};
use super::hello;
use crate::rate::Rate;
use crate::room::chat::Change;
use crate::shard::inbox::{Request, ToMember};

/// Messages that are none of this protocol which a client may send in its life; one more ends it.
pub const MAX_GARBAGE: u32 = 10;
/// Most wishes in one `subscribe`.
pub const MAX_SUBSCRIBE_CHANGES: usize = 512;
/// Close code of RFC 6455 §7.4.1 for a text frame that is not UTF-8; the standard leaves no choice.
pub const CLOSE_NOT_UTF8: u16 = 1007;
/// Close code of RFC 6455 §7.4.1 for frames that break the WebSocket protocol itself.
pub const CLOSE_PROTOCOL: u16 = 1002;

/// When to come back after being closed for a passing reason, in milliseconds.
const RECONNECT_AFTER_MS: u64 = 1_000;

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
    /// A binary frame, which this protocol does not have.
    Binary,
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
    /// Send to the client; the JSON of a message.
    SendWritten(Bytes),
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
            actions: VecDeque::new(),
        }
    }

    /// Takes one frame.
    pub fn handle_frame(&mut self, now: Instant, frame: Frame<'_>) {
        if self.phase == Phase::Ending {
            return;
        }
        self.heard_at = now;
        if !self.rate.take(now) {
            let message =
                format!("more than {CLIENT_MESSAGES_PER_SECOND} messages a second, burst {CLIENT_MESSAGES_BURST}");
            return self.expel(Fault { code: ErrorCode::MessageRate, message }, close::FLOOD);
        }
        match frame {
            Frame::Text(text) => self.handle_text(now, text),
            Frame::Binary => self.handle_garbage(ErrorCode::BadMessage, "binary frames mean nothing here".into()),
            Frame::Control => {}
        }
    }

    /// The socket can be read no further.
    pub fn handle_broken(&mut self, broken: Broken) {
        let (code, close, message) = match broken {
            Broken::Closed => return self.end(LeaveReason::Left),
            Broken::Gone => return self.end(LeaveReason::Disconnected),
            Broken::TooLarge => {
                let message = format!("a message may have {MAX_CLIENT_MESSAGE_BYTES} bytes");
                (ErrorCode::BadMessage, close::TOO_LARGE, message)
            }
            Broken::NotUtf8 => (ErrorCode::BadJson, CLOSE_NOT_UTF8, "the text is not UTF-8".into()),
            Broken::Protocol => (ErrorCode::BadMessage, CLOSE_PROTOCOL, "the frames are no WebSocket".into()),
        };
        self.expel(Fault { code, message }, close);
    }

    /// The client does not read: what was to be sent to it is dropped.
    pub fn handle_slow_reader(&mut self) {
        if self.phase != Phase::Ending {
            self.part(LeaveReason::Disconnected, ErrorCode::SlowReader, "you read too slowly".into(), close::SLOW);
        }
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
            self.send(ServerMessage::Waiting {});
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
            ToMember::Answer { id, sdp, tracks } => self.send(ServerMessage::Answer { id, sdp, tracks }),
            ToMember::Close { code, message, reconnect_after_ms } => {
                self.goodbye(Some(code), message, reconnect_after_ms);
                self.close(close_code(code), code.as_str());
            }
        }
    }

    /// The shard let go of the member without a word: because its outbox ran over, or because the shard failed.
    pub fn handle_shard_gone(&mut self, outbox_ran_over: bool) {
        if outbox_ran_over {
            self.handle_slow_reader();
        } else if self.phase != Phase::Ending {
            let message = "the room has failed; come back to a fresh one".into();
            self.part(LeaveReason::Disconnected, ErrorCode::Internal, message, close::INTERNAL);
        }
    }

    /// The server ends within so long.
    pub fn handle_draining(&mut self, within: Duration) {
        if self.phase == Phase::InRoom {
            let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            self.send(ServerMessage::Draining { within_ms });
        }
    }

    /// The server is stopping. Whoever is in a room is told by the shard instead.
    pub fn handle_stopping(&mut self) {
        match self.phase {
            Phase::ExpectingHello { .. } | Phase::Joining => {
                let message = "the server is stopping".into();
                self.part(LeaveReason::ServerStopping, ErrorCode::Stopping, message, close::GOING_AWAY);
            }
            Phase::InRoom | Phase::Ending => {}
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
            self.ping_at = now + self.timers.ping;
            self.actions.push_back(Action::Ping);
        }
    }

    /// Takes the next thing to do.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
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

    /// Whether the conversation is over, but for the actions still to be taken.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.phase == Phase::Ending
    }

    fn handle_text(&mut self, now: Instant, text: &str) {
        match serde_json::from_str(text) {
            // Serde would also take a list of the fields, which is no message of this protocol.
            Ok(_) if !text.trim_start().starts_with('{') => {
                self.handle_garbage(ErrorCode::BadMessage, "a message is a JSON object".into());
            }
            Ok(message) => self.handle_message(now, message),
            Err(error) if error.is_data() => self.handle_unreadable(text, &error),
            Err(error) => self.handle_garbage(ErrorCode::BadJson, format!("no JSON: {error}")),
        }
    }

    fn handle_unreadable(&mut self, text: &str, error: &serde_json::Error) {
        let expecting_hello = matches!(self.phase, Phase::ExpectingHello { .. });
        match hello::foreign_version(text).filter(|_| expecting_hello) {
            Some(fault) => self.expel(fault, close::REFUSED),
            None => self.handle_garbage(ErrorCode::BadMessage, error.to_string()),
        }
    }

    fn handle_garbage(&mut self, code: ErrorCode, message: String) {
        self.garbage += 1;
        if self.garbage > MAX_GARBAGE {
            self.expel(Fault { code, message }, close::GARBAGE);
        } else {
            self.complain(None, Fault { code, message }, false);
        }
    }

    fn handle_message(&mut self, now: Instant, message: ClientMessage) {
        match message {
            ClientMessage::Ping { nonce } => self.send(ServerMessage::Pong { nonce }),
            ClientMessage::Leave {} => self.leave(),
            ClientMessage::Hello { version, name, token, max_seats, resume } => match self.phase {
                Phase::ExpectingHello { .. } => {
                    self.handle_hello(hello::check(version, &name, token, max_seats, resume));
                }
                Phase::Joining | Phase::InRoom => self.out_of_order(None, "hello was said already"),
                Phase::Ending => {}
            },
            request => match self.phase {
                Phase::InRoom => self.handle_request(now, request),
                Phase::ExpectingHello { .. } => self.out_of_order(request_id(&request), "say hello first"),
                Phase::Joining => self.out_of_order(request_id(&request), "wait for the welcome"),
                Phase::Ending => {}
            },
        }
    }

    fn handle_hello(&mut self, checked: Result<JoinWish, Fault>) {
        match checked {
            Ok(wish) => {
                self.phase = Phase::Joining;
                self.actions.push_back(Action::Join(wish));
            }
            // A name can be mended over the same socket.
            Err(fault) if fault.code == ErrorCode::BadName => self.complain(None, fault, false),
            Err(fault) => self.expel(fault, close::REFUSED),
        }
    }

    fn handle_request(&mut self, now: Instant, message: ClientMessage) {
        let id = request_id(&message);
        let message = match message {
            ClientMessage::Moderate { id, action } => return self.actions.push_back(Action::Moderate { id, action }),
            ClientMessage::Call { id, to, timeout_s } => {
                let timeout_s = timeout_s.unwrap_or(DEFAULT_CALL_S);
                return self.actions.push_back(Action::Call { id, to, timeout_s });
            }
            ClientMessage::AnswerCall { id, call, answer } => {
                return self.actions.push_back(Action::AnswerCall { id, call, answer });
            }
            message => message,
        };
        match self.check_rate(now, &message).and_then(|()| read_action(message)) {
            Ok(action) => self.actions.push_back(action),
            Err(fault) if fault.code == ErrorCode::BadMessage => self.handle_garbage(fault.code, fault.message),
            Err(fault) => self.complain(id, fault, false),
        }
    }

    /// What costs the shard more than to pass it on has a rate of its own.
    fn check_rate(&mut self, now: Instant, message: &ClientMessage) -> Result<(), Fault> {
        let (rate, per_second, code) = match message {
            ClientMessage::View { .. } => (&mut self.views, VIEWS_PER_SECOND, ErrorCode::ViewRate),
            ClientMessage::GetStats { .. } => (&mut self.questions, STATS_PER_SECOND, ErrorCode::StatsRate),
            ClientMessage::GetChat { .. } => (&mut self.pages, CHAT_PAGES_PER_SECOND, ErrorCode::ChatPageRate),
            _ => return Ok(()),
        };
        if rate.take(now) {
            return Ok(());
        }
        Err(Fault { code, message: format!("more than {per_second} of these a second; this one was dropped") })
    }

    fn out_of_order(&mut self, id: Option<u32>, message: &str) {
        self.complain(id, Fault { code: ErrorCode::OutOfOrder, message: message.into() }, false);
    }

    fn leave(&mut self) {
        self.end(LeaveReason::Left);
        self.goodbye(None, "you left".into(), None);
        self.close(close::NORMAL, "");
    }

    /// Ends the conversation for what the client did wrong.
    fn expel(&mut self, fault: Fault, close: u16) {
        if self.phase == Phase::Ending {
            return;
        }
        let reason = fault.code.as_str();
        self.end(LeaveReason::Removed);
        self.complain(None, fault, true);
        self.close(close, reason);
    }

    /// Ends the conversation for what nobody can help.
    fn part(&mut self, reason: LeaveReason, code: ErrorCode, message: String, close: u16) {
        self.end(reason);
        self.goodbye(Some(code), message, Some(RECONNECT_AFTER_MS));
        self.close(close, code.as_str());
    }

    /// Takes the member out of the room, first of all; what was to be said before that stays unsaid.
    fn end(&mut self, reason: LeaveReason) {
        let in_room = match std::mem::replace(&mut self.phase, Phase::Ending) {
            Phase::InRoom => true,
            Phase::ExpectingHello { .. } | Phase::Joining | Phase::Ending => false,
        };
        self.actions.clear();
        if in_room {
            self.actions.push_back(Action::Leave(reason));
        }
    }

    fn goodbye(&mut self, code: Option<ErrorCode>, message: String, reconnect_after_ms: Option<u64>) {
        self.send(ServerMessage::Goodbye { code, message, reconnect_after_ms });
    }

    fn complain(&mut self, id: Option<u32>, fault: Fault, fatal: bool) {
        self.send(ServerMessage::Error { id, code: fault.code, message: fault.message, fatal, retry_after_ms: None });
    }

    fn send(&mut self, message: ServerMessage) {
        self.actions.push_back(Action::Send(message));
    }

    fn close(&mut self, code: u16, reason: &'static str) {
        self.phase = Phase::Ending;
        self.actions.push_back(Action::Close { code, reason });
    }
}

/// The number the client gave a message, which errors about it repeat.
fn request_id(message: &ClientMessage) -> Option<u32> {
    match message {
        ClientMessage::Offer { id, .. }
        | ClientMessage::GetStats { id }
        | ClientMessage::GetDoc { id, .. }
        | ClientMessage::PutDoc { id, .. }
        | ClientMessage::Moderate { id, .. }
        | ClientMessage::Call { id, .. }
        | ClientMessage::AnswerCall { id, .. }
        | ClientMessage::GetChat { id, .. }
        | ClientMessage::EditChat { id, .. }
        | ClientMessage::DeleteChat { id, .. } => Some(*id),
        ClientMessage::React { id, .. } => *id,
        ClientMessage::Data { header, .. } => header.id,
        ClientMessage::Chat { nonce, .. } => Some(*nonce),
        _ => None,
    }
}

/// Reads what is to be done.
fn read_action(message: ClientMessage) -> Result<Action, Fault> {
    if let ClientMessage::GetChat { id, before, limit } = message {
        let limit = limit.map_or(CHAT_HISTORY, usize::from);
        if !(1..=MAX_CHAT_PAGE).contains(&limit) {
            let message = format!("limit is {limit}; a page has 1 to {MAX_CHAT_PAGE} messages");
            return Err(Fault { code: ErrorCode::BadMessage, message });
        }
        return Ok(Action::ChatPage { id, before, limit });
    }
    let id = request_id(&message);
    read_request(message).map(|request| Action::Request { request, id })
}

/// Reads what the shard is to do, as far as that can be judged without knowing the room.
fn read_request(message: ClientMessage) -> Result<Request, Fault> {
    match message {
        ClientMessage::Offer { id, sdp, fresh, tracks } => read_offer(id, &sdp, fresh, tracks),
        ClientMessage::Unpublish { tracks } => {
            at_most(tracks.len(), MAX_TRACKS_PER_MEMBER, "tracks")?;
            Ok(Request::Unpublish(tracks))
        }
        ClientMessage::Mute { track, muted } => Ok(Request::Mute { track, muted }),
        ClientMessage::Subscribe { changes } => {
            at_most(changes.len(), MAX_SUBSCRIBE_CHANGES, "changes")?;
            Ok(Request::Subscribe(changes))
        }
        ClientMessage::View { changes } => {
            check_views(&changes)?;
            Ok(Request::View(changes))
        }
        ClientMessage::GetStats { id } => Ok(Request::Stats(id)),
        ClientMessage::Chat { nonce, text, to: None } => Ok(Request::Chat { nonce, text }),
        ClientMessage::Chat { nonce, text, to: Some(to) } => Ok(Request::Whisper { nonce, text, to }),
        ClientMessage::EditChat { id, message, text } => Ok(change(Some(id), message, Change::Edit(text))),
        ClientMessage::DeleteChat { id, message } => Ok(change(Some(id), message, Change::Delete)),
        ClientMessage::React { id, message, reaction, on } => Ok(change(id, message, Change::React { reaction, on })),
        ClientMessage::Typing { typing } => Ok(Request::Typing(typing)),
        ClientMessage::Data { header, payload, lossy } => {
            let payload = read_base64(&payload, MAX_DATA_PAYLOAD_BYTES)?;
            Ok(Request::Data { header, payload, lossy })
        }
        ClientMessage::Topics { unsubscribe, subscribe } => {
            at_most(unsubscribe.len().max(subscribe.len()), MAX_TOPIC_PATTERNS, "patterns")?;
            Ok(Request::Topics { unsubscribe, subscribe })
        }
        ClientMessage::GetDoc { id, doc, after } => Ok(Request::GetDoc { id, doc, after }),
        ClientMessage::PutDoc { id, doc, up_to, snapshot } => {
            let snapshot = read_base64(&snapshot, MAX_DOC_SNAPSHOT_BYTES)?;
            Ok(Request::PutDoc { id, doc, up_to, snapshot })
        }
        // Answered by the session itself or the hub; the shard has no word for them.
        ClientMessage::Hello { .. }
        | ClientMessage::GetChat { .. }
        | ClientMessage::Ping { .. }
        | ClientMessage::Leave {}
        | ClientMessage::Moderate { .. }
        | ClientMessage::Call { .. }
        | ClientMessage::AnswerCall { .. } => {
            Err(Fault { code: ErrorCode::OutOfOrder, message: "not to be asked of a room".into() })
        }
    }
}

/// Reads bytes that are written as base64, at most so many.
fn read_base64(text: &str, most: usize) -> Result<Bytes, Fault> {
    // Four characters stand for three bytes, and up to two of them for none.
    if text.len() / 4 * 3 > most + 2 {
        let message = format!("about {} bytes, {most} are allowed", text.len() / 4 * 3);
        return Err(Fault { code: ErrorCode::DataTooLarge, message });
    }
    let bytes = STANDARD.decode(text);
    bytes.map(Bytes::from).map_err(|error| Fault { code: ErrorCode::BadData, message: error.to_string() })
}

fn change(id: Option<u32>, message: MessageId, change: Change) -> Request {
    Request::ChangeChat { id, message, change, known: None }
}

fn read_offer(id: u32, sdp: &str, fresh: bool, tracks: Vec<PublishRequest>) -> Result<Request, Fault> {
    if sdp.len() > MAX_SDP_BYTES {
        let message = format!("the SDP has {} bytes, {MAX_SDP_BYTES} are allowed", sdp.len());
        return Err(Fault { code: ErrorCode::SdpTooLarge, message });
    }
    check_tracks(&tracks)?;
    let offer = Offer::parse(sdp).map_err(|error| sdp_fault(&error))?;
    Ok(Request::Offer { id, offer: Box::new(offer), fresh, tracks })
}

fn check_tracks(tracks: &[PublishRequest]) -> Result<(), Fault> {
    if tracks.len() > MAX_TRACKS_PER_MEMBER {
        let message = format!("at most {MAX_TRACKS_PER_MEMBER} tracks can be published");
        return Err(Fault { code: ErrorCode::TooManyTracks, message });
    }
    let bad = |message: String| Err(Fault { code: ErrorCode::BadTrack, message });
    for (index, track) in tracks.iter().enumerate() {
        if track.mid.is_empty() || track.mid.len() > MAX_MID_BYTES {
            return bad(format!("a mid has 1 to {MAX_MID_BYTES} bytes"));
        }
        if tracks.iter().take(index).any(|earlier| earlier.mid == track.mid) {
            return bad(format!("the m-line {:?} is named twice", track.mid));
        }
    }
    Ok(())
}

fn check_views(changes: &[ViewChange]) -> Result<(), Fault> {
    at_most(changes.len(), MAX_VIEW_CHANGES, "changes")?;
    match changes.iter().find(|view| view.max_fps == Some(0)) {
        None => Ok(()),
        Some(view) => {
            let message = format!("maxFps of {} is 0; say that it is not visible", view.track);
            Err(Fault { code: ErrorCode::BadMessage, message })
        }
    }
}

fn sdp_fault(error: &SdpError) -> Fault {
    Fault { code: ErrorCode::from_word(error.code()).unwrap_or(ErrorCode::BadSdp), message: error.to_string() }
}

fn at_most(count: usize, most: usize, what: &str) -> Result<(), Fault> {
    if count <= most {
        return Ok(());
    }
    Err(Fault { code: ErrorCode::BadMessage, message: format!("{count} {what} in one message, {most} are allowed") })
}

/// The close code for a member that the shard put out.
fn close_code(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::IceTimeout
        | ErrorCode::IceConsent
        | ErrorCode::DtlsTimeout
        | ErrorCode::DtlsFingerprint
        | ErrorCode::DtlsNoCertificate
        | ErrorCode::DtlsFailed
        | ErrorCode::SctpAborted
        | ErrorCode::PeerClosed => close::MEDIA_FAILED,
        ErrorCode::Stopping => close::GOING_AWAY,
        ErrorCode::RoomClosed => close::NORMAL,
        ErrorCode::Kicked | ErrorCode::Banned | ErrorCode::Moved => close::PUT_OUT,
        ErrorCode::SlowReader => close::SLOW,
        ErrorCode::Replaced => close::REPLACED,
        ErrorCode::MessageRate => close::FLOOD,
        ErrorCode::Silent => close::SILENT,
        _ => close::INTERNAL,
    }
}

#[cfg(test)]
mod tests;
