//! Runs one conversation over axum's WebSocket: socket, outbox, journal and timers on one side, the
//! [`Session`] on the other.
//!
//! The client gets the welcome first, with the room's state, and from there on every event exactly
//! once. Events that the shard appended before it sent a message reach the client before that
//! message, so that nothing is spoken of that the client does not know. Nobody waits for a slow
//! reader: a write that makes no progress ends the conversation, and so does falling out of the
//! journal's ring or letting the outbox run over.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::Error as AxumError;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use roundtable_protocol::call::{Call, CallEvent};
use roundtable_protocol::limit::MAX_CLIENT_MESSAGE_BYTES;
use roundtable_protocol::message::Welcome;
use roundtable_protocol::{ErrorCode, PROTOCOL_VERSION, RoomId, ServerMessage};
use tungstenite::Error as SocketError;

use super::beside::{Beside, News};
use super::fault::JoinWish;
use super::follow::{Follower, Next};
use super::session::{Action, Broken, Frame, Session, Timers};
use crate::hub::calls::CallError;
use crate::hub::lobby::{Verdict, Waiting};
use crate::hub::{Admission, Hub, JoinError, JoinRequest, Membership, Pass, Presence};
use crate::shard::inbox::{OUTBOX_CAPACITY, OutboxReceiver, SendError, ToMember, outbox};

/// Bytes read from a socket at once. Each socket has a buffer of this size for good; an offer takes a few turns.
const READ_BYTES: usize = 4 * 1024;

/// How patient a socket is.
#[derive(Debug, Clone, Copy)]
pub struct SocketConfig {
    /// The deadlines of the conversation.
    pub timers: Timers,
    /// How long one write may take; a client that reads more slowly is dropped.
    pub write_timeout: Duration,
    /// How long the last words and the client's answer to the close frame may take.
    pub close_grace: Duration,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self { timers: Timers::default(), write_timeout: Duration::from_secs(10), close_grace: Duration::from_secs(2) }
    }
}

/// Opens the socket and runs the conversation until it ends.
///
/// Frames and messages are bounded by [`MAX_CLIENT_MESSAGE_BYTES`]; there is no compression.
pub fn accept(
    upgrade: WebSocketUpgrade,
    hub: Hub,
    presence: Presence,
    (room, address): (RoomId, Option<IpAddr>),
    config: SocketConfig,
) -> Response {
    upgrade
        .read_buffer_size(READ_BYTES)
        .max_frame_size(MAX_CLIENT_MESSAGE_BYTES)
        .max_message_size(MAX_CLIENT_MESSAGE_BYTES)
        .on_upgrade(move |socket| Conversation::new(socket, hub, presence, (room, address), config).run())
}

struct Conversation {
    socket: WebSocket,
    session: Session,
    hub: Hub,
    room: RoomId,
    address: Option<IpAddr>,
    config: SocketConfig,
    /// Before it is let in where there is a lobby.
    lobby: Option<Box<InLobby>>,
    place: Option<Place>,
    beside: Option<Box<Beside>>,
    /// Until when the last words may take, once there is nothing else to say.
    last_words_until: Option<Instant>,
    /// Whether the socket still gives frames.
    readable: bool,
    _presence: Presence,
}

/// What a conversation has in a room.
struct Place {
    membership: Option<Membership>,
    outbox: OutboxReceiver,
    outbox_ran_over: bool,
    follower: Follower,
}

/// What a conversation has while it waits to be let in.
struct InLobby {
    waiting: Waiting,
    request: JoinRequest,
    pass: Pass,
    outbox: OutboxReceiver,
}

enum Wake {
    Frame(Option<Result<Message, AxumError>>),
    Shard(Option<ToMember>),
    Journal,
    Lobby(Verdict),
    News(News),
    Timer,
    Stopping,
}

impl Conversation {
    fn new(
        socket: WebSocket,
        hub: Hub,
        presence: Presence,
        (room, address): (RoomId, Option<IpAddr>),
        config: SocketConfig,
    ) -> Self {
        Self {
            socket,
            session: Session::new(Instant::now(), config.timers),
            hub,
            room,
            address,
            config,
            lobby: None,
            place: None,
            beside: None,
            last_words_until: None,
            readable: true,
            _presence: presence,
        }
    }

    async fn run(mut self) {
        while !self.session.is_ending() {
            let wake = self.wait().await;
            self.handle(wake).await;
            self.perform_all().await;
        }
        self.perform_all().await;
    }

    async fn wait(&mut self) -> Wake {
        let due = self.session.poll_timeout().map(|(at, _)| at);
        let Self { socket, place, lobby, beside, hub, .. } = self;
        let in_room = place.is_some();
        tokio::select! {
            // In this order a client cannot be taken for silent while its frames wait to be read;
            // it cannot hold up the rest either, because the session ends a flood.
            biased;
            frame = socket.recv() => Wake::Frame(frame),
            wake = in_place(place) => wake,
            verdict = in_lobby(lobby) => Wake::Lobby(verdict),
            news = from_beside(beside) => Wake::News(news),
            () = until(due) => Wake::Timer,
            () = hub.stopped(), if !in_room => Wake::Stopping,
        }
    }

    async fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Frame(frame) => self.handle_frame(frame),
            Wake::Shard(message) => {
                self.pass_on_events().await;
                self.handle_from_shard(message);
            }
            Wake::Journal => self.pass_on_events().await,
            Wake::Lobby(verdict) => Box::pin(self.leave_lobby(verdict)).await,
            Wake::News(news) => self.handle_news(news),
            Wake::Timer => self.session.handle_timeout(Instant::now()),
            Wake::Stopping => self.session.handle_stopping(),
        }
    }

    fn handle_frame(&mut self, frame: Option<Result<Message, AxumError>>) {
        let now = Instant::now();
        match frame {
            Some(Ok(Message::Text(text))) => self.session.handle_frame(now, Frame::Text(&text)),
            Some(Ok(Message::Binary(_))) => self.session.handle_frame(now, Frame::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => self.session.handle_frame(now, Frame::Control),
            // The next read sends the answer to it and finds the end.
            Some(Ok(Message::Close(_))) => {}
            Some(Err(error)) => {
                self.readable = false;
                self.session.handle_broken(broken(&error));
            }
            None => {
                self.readable = false;
                self.session.handle_broken(Broken::Gone);
            }
        }
    }

    fn handle_from_shard(&mut self, message: Option<ToMember>) {
        let Some(place) = &mut self.place else { return };
        match message {
            Some(message) => {
                place.outbox_ran_over |= place.outbox.waiting() + 1 >= OUTBOX_CAPACITY;
                if matches!(message, ToMember::Close { .. })
                    && let Some(membership) = place.membership.take()
                {
                    membership.forget();
                }
                self.session.handle_from_shard(message);
            }
            None => self.session.handle_shard_gone(place.outbox_ran_over),
        }
    }

    /// Sends what the journal has behind the last event the client got.
    async fn pass_on_events(&mut self) {
        while let (Some(place), false) = (&mut self.place, self.session.is_ending()) {
            let events = match place.follower.next() {
                Next::Events(events) => events,
                Next::UpToDate => return,
                Next::Lost => return self.session.handle_slow_reader(),
            };
            for event in events {
                if self.session.is_ending() {
                    return;
                }
                self.send(&ServerMessage::Event { event: (*event).clone() }).await;
            }
        }
    }

    async fn perform_all(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.perform(action).await;
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            // Once in a conversation: its state is not to make the room that the conversation takes for good.
            Action::Join(wish) => Box::pin(self.join(wish)).await,
            Action::Request { request, id } => {
                let membership = self.place.as_ref().and_then(|place| place.membership.as_ref());
                // If the shard has stopped, the end of the outbox says so.
                if membership.is_some_and(|membership| membership.request(request) == Err(SendError::Full)) {
                    self.session.handle_overload(id);
                }
            }
            Action::Moderate { id, action } => {
                if self.beside.as_mut().is_some_and(|beside| !beside.moderate(id, action)) {
                    let message = "too many of these are under way; this one was dropped".into();
                    self.session.handle_refusal(id, ErrorCode::ModerationRate, message);
                }
            }
            Action::Call { id, to, timeout_s } => {
                let called = self.beside.as_ref().map(|beside| beside.call(to, timeout_s));
                self.answer_call(id, called);
            }
            Action::AnswerCall { id, call, answer } => {
                let called = self.beside.as_ref().map(|beside| beside.answer_call(&call, answer));
                self.answer_call(id, called);
            }
            Action::Leave(reason) => {
                if let Some(membership) = self.place.as_mut().and_then(|place| place.membership.take()) {
                    membership.leave(reason);
                }
            }
            Action::Send(message) => self.send(&message).await,
            Action::SendWritten(json) => match Utf8Bytes::try_from(json) {
                Ok(text) => self.write(Message::Text(text)).await,
                Err(error) => tracing::error!(%error, "a message was written that is no text"),
            },
            Action::Ping => self.write(Message::Ping(Bytes::new())).await,
            Action::Close { code, reason } => Box::pin(self.close(code, reason)).await,
        }
    }

    async fn join(&mut self, wish: JoinWish) {
        let (sender, outbox) = outbox();
        let JoinWish { name, token, max_seats } = wish;
        let request = JoinRequest { name, token, address: self.address, max_seats, outbox: sender };
        match self.hub.check(&self.room, &request).await {
            Ok(pass) if pass.waits() => self.enter_lobby(request, pass, outbox),
            Ok(pass) => self.enter_with(request, pass, outbox).await,
            Err(error) => self.refuse(&error),
        }
    }

    fn enter_lobby(&mut self, request: JoinRequest, pass: Pass, outbox: OutboxReceiver) {
        match self.hub.knock(&self.room, &request.name) {
            Ok(waiting) => {
                self.lobby = Some(Box::new(InLobby { waiting, request, pass, outbox }));
                self.session.handle_waiting();
            }
            Err(error) => self.refuse(&error),
        }
    }

    async fn leave_lobby(&mut self, verdict: Verdict) {
        let Some(in_lobby) = self.lobby.take() else { return };
        let InLobby { request, pass, outbox, .. } = *in_lobby;
        match verdict {
            Verdict::Admitted => self.enter_with(request, pass, outbox).await,
            Verdict::Refused { code, message } => self.session.handle_refused(code, message),
        }
    }

    async fn enter_with(&mut self, request: JoinRequest, pass: Pass, outbox: OutboxReceiver) {
        match self.hub.enter_with(&self.room, request, pass).await {
            Ok(admission) => self.enter(admission, outbox),
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&mut self, error: &JoinError) {
        self.session.handle_refused_until(error.code(), error.to_string(), error.retry_after_ms());
    }

    fn handle_news(&mut self, news: News) {
        match news {
            News::Moderated(id, Ok(outcome)) => self.session.handle_answer(ServerMessage::Moderated { id, outcome }),
            News::Moderated(id, Err(error)) => self.session.handle_refusal(id, error.code(), error.to_string()),
            News::Call(event) => {
                self.session.handle_answer(ServerMessage::CallEvent { event: CallEvent::clone(&event) });
            }
        }
    }

    fn answer_call(&mut self, id: u32, called: Option<Result<Call, CallError>>) {
        match called {
            Some(Ok(call)) => self.session.handle_answer(ServerMessage::Called { id, call }),
            Some(Err(error)) => self.session.handle_refusal(id, error.code(), error.to_string()),
            None => {}
        }
    }

    fn enter(&mut self, admission: Admission, outbox: OutboxReceiver) {
        let Admission { joined, grants, ice_servers, membership } = admission;
        let (follower, state) = Follower::begin(joined.journal);
        self.place = Some(Place { membership: Some(membership), outbox, outbox_ran_over: false, follower });
        self.beside = Some(Box::new(Beside::new(self.hub.clone(), self.room.clone(), &joined.member)));
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            room: self.room.clone(),
            member: joined.member,
            grants,
            state,
            ice_servers,
            seats: joined.seats,
            voice_slots: joined.voice_slots,
            silence_timeout_s: u32::try_from(self.config.timers.silence.as_secs()).unwrap_or(u32::MAX),
        };
        self.session.handle_welcome(Instant::now(), welcome);
    }

    async fn send(&mut self, message: &ServerMessage) {
        match serde_json::to_string(message) {
            Ok(text) => self.write(Message::Text(text.into())).await,
            // None of our types has a map with keys that are no strings, the one thing that fails.
            Err(error) => tracing::error!(%error, "a message could not be written"),
        }
    }

    /// Writes one frame. While the conversation runs, a client that does not take it in time is
    /// slow; once it ends, all that is left to say shares one deadline.
    async fn write(&mut self, frame: Message) {
        let ending = self.session.is_ending();
        let at_most = if ending { self.last_words() } else { self.config.write_timeout };
        match tokio::time::timeout(at_most, self.socket.send(frame)).await {
            Ok(Ok(())) => {}
            _ if ending => {}
            Ok(Err(_)) => self.session.handle_broken(Broken::Gone),
            Err(_) => self.session.handle_slow_reader(),
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        self.write(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        let at_most = self.last_words();
        // Closing with unread data makes TCP reset the connection, and the client might never see
        // the close frame: so what still comes is read away, or waited for if it cannot be read.
        let _ = tokio::time::timeout(at_most, async {
            if self.readable {
                while let Some(Ok(_)) = self.socket.recv().await {}
            } else {
                std::future::pending::<()>().await;
            }
        })
        .await;
    }

    /// What is left of the time for last words.
    fn last_words(&mut self) -> Duration {
        let now = Instant::now();
        self.last_words_until.get_or_insert(now + self.config.close_grace).saturating_duration_since(now)
    }
}

/// Waits for the shard or the journal; forever without a place in a room.
async fn in_place(place: &mut Option<Place>) -> Wake {
    let Some(place) = place else { return std::future::pending().await };
    tokio::select! {
        biased;
        message = place.outbox.recv() => Wake::Shard(message),
        () = place.follower.changed() => Wake::Journal,
    }
}

/// Waits to be let in; forever where there is no lobby.
async fn in_lobby(lobby: &mut Option<Box<InLobby>>) -> Verdict {
    match lobby {
        Some(in_lobby) => in_lobby.waiting.verdict().await,
        None => std::future::pending().await,
    }
}

/// Waits for what comes from beside the room.
async fn from_beside(beside: &mut Option<Box<Beside>>) -> News {
    match beside {
        Some(beside) => beside.news().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
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
