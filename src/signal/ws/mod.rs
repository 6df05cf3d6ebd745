//! Runs one conversation over its line, mostly a WebSocket: line, outbox, journal and timers on one side, the
//! [`Session`] on the other.
//!
//! The client gets the welcome first, with the room's state, and from there on every event exactly
//! once. Events that the shard appended before it sent a message reach the client before that
//! message, so that nothing is spoken of that the client does not know. Nobody waits for a slow
//! reader: a write that makes no progress ends the conversation, and so does falling out of the
//! journal's ring or letting the outbox run over.

mod entering;
mod writing;

use std::future::Future as _;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use hyper::upgrade::OnUpgrade;
use roundtable_protocol::call::{Call, CallEvent};
use roundtable_protocol::chat::ChatPage;
use roundtable_protocol::{ErrorCode, Event, EventBody, RoomId, ServerMessage};
use tokio::sync::watch;
use tokio::time::Sleep;

use super::beside::{Beside, News};
use super::follow::{Follower, Next};
use super::line::{Line, Received, Words};
use super::packing::{Haste, Packer};
use super::relay::{RelayHandle, relay};
use super::session::{Action, Broken, Frame, Session, Timers};
use super::socket::Socket;
use crate::hub::calls::CallError;
use crate::hub::lobby::{Verdict, Waiting};
use crate::hub::{Hub, JoinRequest, Membership, Pass, Presence};
use crate::shard::inbox::{OUTBOX_CAPACITY, OutboxReceiver, Request, SendError, ToMember};

/// Messages of the shard that are passed on in a row before the socket is looked at.
const SHARD_IN_A_ROW: u8 = 16;

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

/// How somebody arrives, before any word of theirs.
#[derive(Debug)]
pub struct Arrival {
    /// The room they ask for.
    pub room: RoomId,
    /// A token that came with the request; one in the hello stands before it.
    pub token: Option<String>,
    /// The client's address, where it is one of its own.
    pub address: Option<IpAddr>,
}

/// Takes over the connection once the answer to its request is out, and runs the conversation until it ends.
///
/// The WebSocket itself compresses nothing: frames are packed by `signal::packing`, for who says so in its hello.
pub fn accept(on_upgrade: OnUpgrade, hub: Hub, presence: Presence, arrival: Arrival, config: SocketConfig) {
    // In a box: a task has room for what it begins with for as long as it runs.
    let begun = Box::new((hub, presence, arrival, config));
    tokio::spawn(async move {
        // A client that has gone in the meantime has nothing to be told.
        let Ok(upgraded) = on_upgrade.await else { return };
        let line = Line::Socket(Box::new(Socket::new(upgraded).await));
        let (hub, presence, arrival, config) = *begun;
        Conversation::new(line, hub, presence, arrival, config).run().await;
    });
}

/// Begins a conversation over requests, and runs it until it ends.
#[must_use]
pub fn begin(hub: Hub, presence: Presence, arrival: Arrival, config: SocketConfig) -> RelayHandle {
    let (relay, handle) = relay();
    tokio::spawn(Conversation::new(Line::Relay(relay), hub, presence, arrival, config).run());
    handle
}

struct Conversation {
    line: Line,
    session: Session,
    packer: Packer,
    hub: Hub,
    arrival: Arrival,
    config: SocketConfig,
    /// Before it is let in where there is a lobby.
    lobby: Option<Box<InLobby>>,
    place: Option<Place>,
    beside: Option<Box<Beside>>,
    /// Until when the last words may take, once there is nothing else to say.
    last_words_until: Option<Instant>,
    /// Whether the socket still gives frames.
    readable: bool,
    /// When the server ends, once that is known.
    draining: watch::Receiver<Option<Instant>>,
    /// Goes off when a timeout of the session or the packer is due, or before: then it is set anew. So it is seldom set.
    alarm: Pin<Box<Sleep>>,
    /// Messages of the shard since the socket was looked at last.
    shard_in_a_row: u8,
    /// Whether the client has closed it for good.
    closed_by_client: bool,
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
    Received(Received),
    Shard(Option<ToMember>),
    Journal,
    Lobby(Verdict),
    News(News),
    Timer,
    Draining,
    Stopping,
}

impl Conversation {
    /// In a box: a future would hold it twice, as what it was made with and as what it works on.
    fn new(line: Line, hub: Hub, presence: Presence, arrival: Arrival, config: SocketConfig) -> Box<Self> {
        let mut draining = hub.draining();
        // Whoever comes later is told as well.
        draining.mark_changed();
        let now = Instant::now();
        let session = Session::new(now, config.timers).on_beat(*ORIGIN);
        Box::new(Self {
            session: if line.has_frames() { session.over_frames() } else { session },
            line,
            packer: Packer::default(),
            hub,
            arrival,
            config,
            lobby: None,
            place: None,
            beside: None,
            last_words_until: None,
            readable: true,
            draining,
            alarm: Box::pin(tokio::time::sleep_until(now.into())),
            shard_in_a_row: 0,
            closed_by_client: false,
            _presence: presence,
        })
    }

    async fn run(mut self: Box<Self>) {
        while !self.session.is_ending() {
            self.take_in().await;
            self.perform_all().await;
            if !self.has_more_to_say() {
                self.flush().await;
            }
        }
        self.perform_all().await;
    }

    /// Waits for something, and acts on it.
    async fn take_in(&mut self) {
        let wake = self.wait().await;
        if let Wake::Shard(_) | Wake::Journal = wake {
            self.pass_on_events().await;
        }
        match wake {
            Wake::Lobby(verdict) => Box::pin(self.leave_lobby(verdict)).await,
            wake => self.handle(wake),
        }
    }

    /// Whether a frame is worth waiting for, because more for it lies in the outbox and is passed on next.
    fn has_more_to_say(&self) -> bool {
        let lies_there = self.place.as_ref().is_some_and(|place| place.outbox.waiting() > 0);
        lies_there && self.packer.batches() && self.shard_in_a_row < SHARD_IN_A_ROW
    }

    async fn wait(&mut self) -> Wake {
        self.set_alarm();
        match self.place {
            Some(_) => self.wait_in_room().await,
            // In a box: it is not to make the room that the conversation takes for good.
            None => Box::pin(self.wait_outside()).await,
        }
    }

    async fn wait_in_room(&mut self) -> Wake {
        let shard_first = self.shard_in_a_row < SHARD_IN_A_ROW;
        let Self { line, place, beside, draining, alarm, .. } = self;
        let wake = tokio::select! {
            // In this order a client cannot be taken for silent while its frames wait to be read;
            // it cannot hold up the rest either, because the session ends a flood.
            biased;
            wake = received_or_told(line, place, shard_first) => wake,
            news = from_beside(beside) => Wake::News(news),
            () = alarm => Wake::Timer,
            Ok(()) = draining.changed() => Wake::Draining,
        };
        self.shard_in_a_row = if shard_first && matches!(wake, Wake::Shard(_)) { self.shard_in_a_row + 1 } else { 0 };
        wake
    }

    async fn wait_outside(&mut self) -> Wake {
        let Self { line, lobby, hub, alarm, .. } = self;
        tokio::select! {
            biased;
            received = line.recv() => Wake::Received(received),
            verdict = in_lobby(lobby) => Wake::Lobby(verdict),
            () = alarm => Wake::Timer,
            () = hub.stopped() => Wake::Stopping,
        }
    }

    /// Sets the alarm if it would go off too late, or has gone off.
    fn set_alarm(&mut self) {
        let session = self.session.poll_timeout().map(|(due, _)| due);
        let Some(due) = session.into_iter().chain(self.packer.poll_timeout()).min() else { return };
        if self.alarm.is_elapsed() || self.alarm.deadline() > due.into() {
            self.alarm.as_mut().reset(due.into());
        }
    }

    fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Received(received) => self.handle_received(received),
            Wake::Shard(message) => self.handle_from_shard(message),
            // What wants to wait is done by who called this.
            Wake::Journal | Wake::Lobby(_) => {}
            Wake::News(news) => self.handle_news(news),
            Wake::Timer => self.session.handle_timeout(Instant::now()),
            Wake::Draining => {
                let deadline = *self.draining.borrow_and_update();
                if let Some(deadline) = deadline {
                    self.session.handle_draining(deadline.saturating_duration_since(Instant::now()));
                }
            }
            Wake::Stopping => self.session.handle_stopping(),
        }
    }

    fn handle_received(&mut self, received: Received) {
        let now = Instant::now();
        match received {
            Received::Text(text) => self.session.handle_frame(now, Frame::Text(&text)),
            Received::Binary(packed) => self.session.handle_frame(now, Frame::Binary(&packed)),
            Received::Control => self.session.handle_frame(now, Frame::Control),
            // The next read sends the answer to it and finds the end.
            Received::Closing(code) => self.closed_by_client = code.is_some_and(is_farewell),
            // Who has closed the socket may have let go of it without waiting for the answer.
            Received::End | Received::Broken(Broken::Gone) => {
                self.readable = false;
                self.session.handle_broken(if self.closed_by_client { Broken::Closed } else { Broken::Gone });
            }
            Received::Broken(broken) => {
                self.readable = false;
                self.session.handle_broken(broken);
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
                if let (ToMember::Message(ServerMessage::Updated { member, .. }), Some(beside)) =
                    (&message, &mut self.beside)
                {
                    beside.handle_updated(member);
                }
                self.session.handle_from_shard(message);
            }
            None => self.session.handle_shard_gone(place.outbox_ran_over),
        }
    }

    /// Sends what the journal has behind the last event the client got.
    async fn pass_on_events(&mut self) {
        while let (Some(place), false) = (&mut self.place, self.session.is_ending()) {
            let events = match place.follower.next().await {
                Next::Events(events) => events,
                Next::UpToDate => return,
                Next::Lost => return self.session.handle_slow_reader(),
            };
            for event in events {
                if self.session.is_ending() {
                    return;
                }
                match chat_in(&event) {
                    Some(chat) => self.pack(&chat),
                    None => self.pack_shared(event.message(), Haste::InPassing),
                }
                self.send_full().await;
            }
        }
    }

    async fn perform_all(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.perform(action).await;
            self.send_full().await;
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            // Once in a conversation: its state is not to make the room that the conversation takes for good.
            Action::Join(wish) => {
                self.packer.accept(self.session.accepted());
                Box::pin(self.join(wish)).await;
            }
            Action::ChatPage { id, before, limit } => {
                let page = Box::pin(self.hub.chat_page(&self.arrival.room, before, limit)).await;
                let page = page.map(|page| page.unwrap_or_else(|| ChatPage::cut(Vec::new(), limit)));
                self.session.handle_chat_page(id, page.map_err(|error| (error.code(), error.to_string())));
            }
            Action::Request { mut request, id } => {
                self.recall(&mut request).await;
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
            Action::Send(message) => self.pack(&message),
            Action::SendWritten(json) => self.pack_shared(json, Haste::Now),
            Action::SendInPassing(json) => self.pack_shared(json, Haste::InPassing),
            // These are seldom: in boxes, as what is done once.
            Action::Ping => Box::pin(self.write(Words::Ping)).await,
            Action::Close { code, reason } => {
                Box::pin(self.flush()).await;
                Box::pin(self.close(code, reason)).await;
            }
        }
    }

    /// Adds what the store has of a message that is to be changed: the shard reads no disk.
    async fn recall(&mut self, request: &mut Request) {
        if let Request::ChangeChat { message, known, .. } = request {
            *known = Box::pin(self.hub.recall(&self.arrival.room, message)).await.map(Box::new);
        }
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
}

/// Waits for the client, or for the shard and the journal. Who comes first is looked at first.
async fn received_or_told(line: &mut Line, place: &mut Option<Place>, shard_first: bool) -> Wake {
    let (mut received, mut told) = (pin!(line.recv()), pin!(in_place(place)));
    poll_fn(|cx| {
        if shard_first && let Poll::Ready(wake) = told.as_mut().poll(cx) {
            return Poll::Ready(wake);
        }
        if let Poll::Ready(received) = received.as_mut().poll(cx) {
            return Poll::Ready(Wake::Received(received));
        }
        if shard_first { Poll::Pending } else { told.as_mut().poll(cx) }
    })
    .await
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

/// Chat comes as a message of its own; `None` of every other event.
fn chat_in(event: &Event) -> Option<ServerMessage> {
    match &event.body {
        EventBody::Chat { message } => Some(ServerMessage::Chat { message: message.clone(), nonce: None }),
        _ => None,
    }
}

/// Whether a client that closes with this code has left. Browsers send 1001 for a page that is closed.
fn is_farewell(code: u16) -> bool {
    matches!(code, 1000 | 1001)
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

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Since when the server's pings are counted.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function of that kind returns.
    fn future<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_conversation_takes_little_more_than_what_it_waits_with() {
        let waiting = future(|conversation: &'static mut Conversation| conversation.wait());
        let running = future(|conversation: Box<Conversation>| conversation.run());
        assert!(running <= waiting + 192, "{running} bytes, of which it waits with {waiting}");
        assert!(size_of::<Conversation>() <= 848, "{} bytes", size_of::<Conversation>());
    }
}
