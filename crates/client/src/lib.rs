//! A Rust client for Roundtable rooms: for bots, agents and tests.
//!
//! It stands on the `webrtc` crate and shares nothing with the server but the protocol's types, so a
//! test with it is a test against an independent stack. It publishes a synthetic stream (packets of a
//! valid shape, no encoder) that carries its publisher's mark, and counts whose packets arrive on which
//! slot: what is received is judged by the packets, not by what signalling says.
//!
//! ```no_run
//! # async fn example() -> Result<(), roundtable_client::ClientError> {
//! use roundtable_client::{Client, Options};
//! use roundtable_protocol::event::TrackSource;
//!
//! let client = Client::join(Options::new("ws://127.0.0.1:7880/ws", "daily", "Bot")).await?;
//! client.publish(&[TrackSource::Microphone, TrackSource::Camera]).await?;
//! client.chat("hello").await?;
//! client.leave().await;
//! # Ok(())
//! # }
//! ```

mod comeback;
mod counters;
mod data;
mod media;
mod options;
mod sender;
mod signal;
pub mod synthetic;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roundtable_protocol::data::DataHeader;
use roundtable_protocol::event::{ChatMessage, TrackSource};
use roundtable_protocol::message::{PublishedTrack, SlotChange, SubscribeChange, Welcome};
use roundtable_protocol::{ClientMessage, ErrorCode, MemberId, RoomState, ServerMessage, TrackId};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use comeback::Heard;
pub use comeback::Return;
pub use counters::{Arrival, Received, SlotNumbers};
use data::Arrivals;
pub use data::DataArrival;
use media::{ChatMessages, Media};
pub use options::{Options, Rewrite};
use signal::Signal;

/// How long an answer of the server may take.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Until then the server has taken out a member whose socket closed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);
/// Messages a slow observer may fall behind before it misses some.
const OBSERVER_CAPACITY: usize = 4096;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The WebSocket could not be opened or broke.
    #[error("the signalling connection failed: {0}")]
    Socket(String),
    /// The server refused.
    #[error("{code}: {message}")]
    Refused {
        /// The stable word.
        code: ErrorCode,
        /// A sentence for people.
        message: String,
    },
    /// The server did not answer in time.
    #[error("no answer within {ANSWER_TIME:?}")]
    Timeout,
    /// The peer connection failed.
    #[error("the peer connection failed: {0}")]
    Media(#[from] webrtc::error::Error),
    /// The server ended it.
    #[error("the server closed: {0}")]
    Closed(String),
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

/// A chat message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatLine {
    /// The message.
    pub message: ChatMessage,
    /// The number of [`Client::chat`], for what was written here: the acknowledgement.
    pub nonce: Option<u32>,
    /// Whether it came over the chat channel rather than the WebSocket.
    pub over_channel: bool,
}

/// What tests and bots look at; changed by the client's tasks.
#[derive(Debug)]
struct Shared {
    state: Mutex<RoomState>,
    slots: Mutex<HashMap<String, SlotChange>>,
    chat: Mutex<Vec<ChatLine>>,
    history: Mutex<Vec<ChatMessage>>,
    heard: Mutex<Heard>,
    data: Mutex<Vec<DataArrival>>,
    errors: Mutex<Vec<ErrorCode>>,
    tracks: Mutex<HashMap<String, TrackId>>,
    nonce: AtomicU32,
    offers: AtomicU32,
    growths: AtomicU32,
    /// Whether the first offer of another peer connection is under way: what is said of a lost one is of the one before.
    fresh: AtomicBool,
    /// Rises with every message, so that waiting is a loop over a condition.
    changed: watch::Sender<u64>,
    messages: broadcast::Sender<ServerMessage>,
    ended: watch::Sender<Option<String>>,
}

impl Shared {
    fn new(welcome: &Welcome) -> Self {
        Self {
            state: Mutex::new(welcome.state.clone()),
            slots: Mutex::default(),
            chat: Mutex::default(),
            history: Mutex::default(),
            heard: Mutex::new(Heard::new(welcome.state.seq)),
            data: Mutex::default(),
            errors: Mutex::default(),
            tracks: Mutex::default(),
            nonce: AtomicU32::new(1),
            offers: AtomicU32::new(0),
            growths: AtomicU32::new(0),
            fresh: AtomicBool::new(false),
            changed: watch::channel(0).0,
            messages: broadcast::channel(OBSERVER_CAPACITY).0,
            ended: watch::channel(None).0,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One member of a room.
#[derive(Debug)]
pub struct Client {
    options: Options,
    welcome: Welcome,
    shared: Arc<Shared>,
    media: Arc<Media>,
    signal: mpsc::Sender<ClientMessage>,
    negotiator: Negotiator,
    task: JoinHandle<()>,
}

impl Client {
    /// Joins a room and connects its media: seats and the chat channel, no own tracks yet.
    ///
    /// # Errors
    /// [`ClientError`] when the server refuses, does not answer, or the media cannot connect.
    pub async fn join(options: Options) -> Result<Self, ClientError> {
        let (signal, welcome) = Signal::connect(&options).await?;
        let shared = Arc::new(Shared::new(&welcome));
        let media = Arc::new(Media::new(welcome.member.id.clone(), &options).await?);
        let client = Self::run(options, welcome, shared, media, signal, false);
        let entered = client.enter(&[], false);
        let entered = tokio::select! {
            entered = entered => entered,
            why = client.closed() => Err(ClientError::Closed(why)),
        };
        if entered.is_err() {
            client.media.close().await;
        }
        entered.map(|()| client)
    }

    /// Begins to listen. If `renewing`, a peer connection that is lost before the first answer is that of before.
    fn run(
        options: Options,
        welcome: Welcome,
        shared: Arc<Shared>,
        media: Arc<Media>,
        signal: Signal,
        renewing: bool,
    ) -> Self {
        let (outgoing, to_send) = mpsc::channel(256);
        let negotiator = Negotiator {
            shared: shared.clone(),
            media: media.clone(),
            signal: outgoing.clone(),
            turn: Arc::default(),
            rewrite_offer: options.rewrite_offer.clone(),
            rewrite_answer: options.rewrite_answer.clone(),
        };
        let driver = Driver { shared: shared.clone(), negotiator: negotiator.clone(), renewing };
        let task = tokio::spawn(driver.run(signal, to_send, media.chat_messages(), media.data().arrivals()));
        Self { options, welcome, shared, media, signal: outgoing, negotiator, task }
    }

    /// Makes the first offer of a peer connection, with tracks of before where it is not the first connection, and waits
    /// until that stands.
    async fn enter(&self, before: &[(TrackSource, TrackId)], fresh: bool) -> Result<(), ClientError> {
        let seats = self.options.seats.unwrap_or(self.welcome.seats).min(self.options.max_seats);
        let voice_slots = if self.options.voice_slots { self.welcome.voice_slots } else { 0 };
        self.negotiator.enter(seats, voice_slots, before, fresh).await?;
        self.media.connected().await
    }

    /// Publishes synthetic tracks. Sources already published are left alone.
    ///
    /// # Errors
    /// [`ClientError`] when the server refuses the offer.
    pub async fn publish(&self, sources: &[TrackSource]) -> Result<(), ClientError> {
        let turn = self.negotiator.turn.lock().await;
        for source in sources {
            self.media.add_track(*source).await?;
        }
        self.negotiator.offer().await?;
        drop(turn);
        self.media.start_sending();
        Ok(())
    }

    /// Ends the publication of own tracks; their m-lines go on being there.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn unpublish(&self, sources: &[TrackSource]) -> Result<(), ClientError> {
        let mut tracks = Vec::new();
        for source in sources {
            if let Some(mid) = self.media.stop_track(*source).await {
                tracks.extend(lock(&self.shared.tracks).remove(&mid));
            }
        }
        self.send(ClientMessage::Unpublish { tracks }).await
    }

    /// Mutes or unmutes an own track; packets go on flowing, and must reach nobody.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn mute(&self, source: TrackSource, muted: bool) -> Result<(), ClientError> {
        let mid = self.media.mid_of(source).await;
        let track = mid.and_then(|mid| lock(&self.shared.tracks).get(&mid).cloned());
        match track {
            Some(track) => self.send(ClientMessage::Mute { track, muted }).await,
            None => Ok(()),
        }
    }

    /// Says which tracks are wanted.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn subscribe(&self, changes: Vec<SubscribeChange>) -> Result<(), ClientError> {
        self.send(ClientMessage::Subscribe { changes }).await
    }

    /// Writes, over the chat channel if it is open; returns the number that the acknowledgement carries.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn chat(&self, text: &str) -> Result<u32, ClientError> {
        let nonce = self.shared.nonce.fetch_add(1, Ordering::Relaxed);
        self.chat_again(nonce, text).await?;
        Ok(nonce)
    }

    /// Writes with a number of before: what was taken already is acknowledged, and not taken twice.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn chat_again(&self, nonce: u32, text: &str) -> Result<(), ClientError> {
        let message = ClientMessage::Chat { nonce, text: text.to_owned(), to: None };
        if !self.media.send_chat(&message).await {
            self.send(message).await?;
        }
        Ok(())
    }

    /// Publishes data over its channel.
    ///
    /// # Errors
    /// [`ClientError::Media`] where that is not open.
    pub async fn publish_data(&self, header: &DataHeader, payload: &[u8], lossy: bool) -> Result<(), ClientError> {
        self.media.data().publish(header, payload, lossy).await
    }

    /// Sends any bytes over a data channel, also wrong ones.
    ///
    /// # Errors
    /// [`ClientError::Media`] where that is not open.
    pub async fn send_frame(&self, frame: &[u8], lossy: bool) -> Result<(), ClientError> {
        self.media.data().send(frame, lossy).await
    }

    /// Whether both data channels are open.
    #[must_use]
    pub fn data_channels_are_open(&self) -> bool {
        self.media.data().are_open()
    }

    /// Reads nothing more of what comes over the data channels, or goes on reading.
    pub fn hold_data(&self, held: bool) {
        self.media.data().hold(held);
    }

    /// Data that came since this was last asked, by whichever way.
    #[must_use]
    pub fn take_data(&self) -> Vec<DataArrival> {
        std::mem::take(&mut lock(&self.shared.data))
    }

    /// Sends any message, also a wrong one.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn send(&self, message: ClientMessage) -> Result<(), ClientError> {
        self.signal.send(message).await.map_err(|_| ClientError::Ended)
    }

    /// Restarts ICE: new credentials on both sides, the same DTLS session and tracks.
    ///
    /// # Errors
    /// [`ClientError`] when the server refuses the offer.
    pub async fn restart_ice(&self) -> Result<(), ClientError> {
        let _turn = self.negotiator.turn.lock().await;
        self.media.restart_ice().await?;
        self.negotiator.offer().await
    }

    /// Who this is.
    #[must_use]
    pub fn member(&self) -> &MemberId {
        &self.welcome.member.id
    }

    /// The answer to hello.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The room as this client knows it.
    #[must_use]
    pub fn state(&self) -> RoomState {
        lock(&self.shared.state).clone()
    }

    /// What each slot carries, by m-line.
    #[must_use]
    pub fn slots(&self) -> HashMap<String, SlotChange> {
        lock(&self.shared.slots).clone()
    }

    /// The id of an own track, while it is published.
    pub async fn track(&self, source: TrackSource) -> Option<TrackId> {
        let mid = self.media.mid_of(source).await?;
        lock(&self.shared.tracks).get(&mid).cloned()
    }

    /// Chat in the order it came, without what was written before the join.
    #[must_use]
    pub fn chat_log(&self) -> Vec<ChatLine> {
        lock(&self.shared.chat).clone()
    }

    /// Chat from before the join.
    #[must_use]
    pub fn chat_history(&self) -> Vec<ChatMessage> {
        lock(&self.shared.history).clone()
    }

    /// Whether the chat channel is open; until then chat goes over the WebSocket.
    #[must_use]
    pub fn chat_channel_is_open(&self) -> bool {
        self.media.chat_is_open()
    }

    /// What the server refused so far.
    #[must_use]
    pub fn errors(&self) -> Vec<ErrorCode> {
        lock(&self.shared.errors).clone()
    }

    /// Packets received so far, by their publisher's mark.
    #[must_use]
    pub fn received(&self) -> HashMap<u64, Received> {
        self.media.counters().received()
    }

    /// How the slots' numbering ran so far, by SSRC.
    #[must_use]
    pub fn slot_numbers(&self) -> HashMap<u32, SlotNumbers> {
        self.media.counters().slot_numbers()
    }

    /// Every packet from now on; whoever falls behind by more than `capacity` misses some.
    #[must_use]
    pub fn arrivals(&self, capacity: usize) -> mpsc::Receiver<Arrival> {
        self.media.counters().observe(capacity)
    }

    /// Packets sent of an own source.
    #[must_use]
    pub fn sent(&self, source: TrackSource) -> u32 {
        self.media.sent(source)
    }

    /// What tells the peer connection from another: the certificate and the ICE user name of the server, as its last answer
    /// said; of neither before the first one.
    pub async fn path(&self) -> String {
        self.media.path().await
    }

    /// Offers made so far.
    #[must_use]
    pub fn offers(&self) -> u32 {
        self.shared.offers.load(Ordering::Relaxed)
    }

    /// How often the server asked for more seats.
    #[must_use]
    pub fn growths(&self) -> u32 {
        self.shared.growths.load(Ordering::Relaxed)
    }

    /// Every message of the server from now on.
    #[must_use]
    pub fn messages(&self) -> broadcast::Receiver<ServerMessage> {
        self.shared.messages.subscribe()
    }

    /// Why the client ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.shared.ended.borrow().clone()
    }

    /// Waits until `condition` holds, looking again after every message and a few times a second.
    /// Returns whether it came true within `time`.
    pub async fn wait_for(&self, time: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let mut changed = self.shared.changed.subscribe();
        let deadline = tokio::time::Instant::now() + time;
        loop {
            if condition(self) {
                return true;
            }
            let look_again = tokio::time::sleep(Duration::from_millis(50));
            tokio::select! {
                _ = changed.changed() => {}
                () = look_again => {}
                () = tokio::time::sleep_until(deadline) => return condition(self),
            }
        }
    }

    /// Leaves in good order.
    pub async fn leave(self) {
        let _ = self.signal.send(ClientMessage::Leave {}).await;
        let mut ended = self.shared.ended.subscribe();
        let _ = tokio::time::timeout(ANSWER_TIME, ended.wait_for(Option::is_some)).await;
        self.media.close().await;
        self.task.abort();
    }

    /// Vanishes without a word: the socket closes, the media falls silent.
    pub async fn vanish(mut self) {
        self.task.abort();
        // The socket is closed when the task is gone.
        let _ = (&mut self.task).await;
        self.media.silence();
        let media = self.media.clone();
        tokio::spawn(async move {
            // Closing says goodbye, which a peer that vanished does not: by then nobody listens any more.
            tokio::time::sleep(FORGOTTEN_AFTER).await;
            media.close().await;
        });
    }

    /// Resolves once the client has ended, with the reason.
    async fn closed(&self) -> String {
        let mut ended = self.shared.ended.subscribe();
        let why = ended.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes offers, one at a time.
#[derive(Debug, Clone)]
struct Negotiator {
    shared: Arc<Shared>,
    media: Arc<Media>,
    signal: mpsc::Sender<ClientMessage>,
    /// Held while an offer is under way.
    turn: Arc<tokio::sync::Mutex<()>>,
    rewrite_offer: Option<Rewrite>,
    rewrite_answer: Option<Rewrite>,
}

impl Negotiator {
    /// Makes the first offer, with `seats` seats and voice slots behind them.
    async fn enter(
        &self,
        seats: u16,
        voice_slots: u16,
        before: &[(TrackSource, TrackId)],
        fresh: bool,
    ) -> Result<(), ClientError> {
        let _turn = self.turn.lock().await;
        for (source, _) in before {
            self.media.add_track(*source).await?;
        }
        self.media.add_seats(seats).await?;
        self.media.add_voice_slots(voice_slots).await?;
        self.offer_first(before, fresh).await
    }

    /// Has `seats` seats in all.
    async fn grow(&self, seats: u16) -> Result<(), ClientError> {
        let _turn = self.turn.lock().await;
        self.media.add_seats(seats).await?;
        self.offer().await
    }

    /// Makes an offer and applies the answer. The caller holds the turn.
    async fn offer(&self) -> Result<(), ClientError> {
        self.offer_first(&[], false).await
    }

    /// The same, going on with tracks of an earlier peer connection.
    async fn offer_first(&self, before: &[(TrackSource, TrackId)], fresh: bool) -> Result<(), ClientError> {
        let mut answers = self.shared.messages.subscribe();
        let id = self.shared.offers.fetch_add(1, Ordering::Relaxed) + 1;
        let sdp = self.media.create_offer().await?;
        let mut tracks = self.media.tracks().await?;
        for request in &mut tracks {
            request.track = before.iter().find(|(source, _)| *source == request.source).map(|(_, track)| track.clone());
        }
        let sdp = Rewrite::apply_to(self.rewrite_offer.as_ref(), sdp);
        self.shared.fresh.store(fresh, Ordering::Relaxed);
        let offer = ClientMessage::Offer { id, sdp, fresh, tracks };
        self.signal.send(offer).await.map_err(|_| ClientError::Ended)?;
        let answer = answer_to(id, &mut answers);
        let (sdp, published) = tokio::time::timeout(ANSWER_TIME, answer).await.map_err(|_| ClientError::Timeout)??;
        self.shared.fresh.store(false, Ordering::Relaxed);
        *lock(&self.shared.tracks) = published.into_iter().map(|t| (t.mid, t.track)).collect();
        self.media.set_answer(Rewrite::apply_to(self.rewrite_answer.as_ref(), sdp)).await
    }
}

/// Waits for the answer to an offer.
async fn answer_to(
    id: u32,
    messages: &mut broadcast::Receiver<ServerMessage>,
) -> Result<(String, Vec<PublishedTrack>), ClientError> {
    loop {
        match messages.recv().await {
            Ok(ServerMessage::Answer { id: of, sdp, tracks }) if of == id => return Ok((sdp, tracks)),
            Ok(ServerMessage::Error { id: Some(of), code, message, .. }) if of == id => {
                return Err(ClientError::Refused { code, message });
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return Err(ClientError::Ended),
        }
    }
}

/// The task that listens to the server.
struct Driver {
    shared: Arc<Shared>,
    negotiator: Negotiator,
    /// Whether the first answer of another peer connection has not come yet.
    renewing: bool,
}

impl Driver {
    async fn run(
        mut self,
        mut signal: Signal,
        mut to_send: mpsc::Receiver<ClientMessage>,
        chat: ChatMessages,
        data: Arrivals,
    ) {
        let mut chat = chat.lock().await;
        let mut data = data.lock().await;
        let mut ping = tokio::time::interval(Duration::from_secs(10));
        let reason = loop {
            tokio::select! {
                message = signal.next() => match message {
                    // The client is of no use without media: whoever has it may come back.
                    Ok(Some(ServerMessage::MediaLost { code, message })) if !self.renewing => {
                        self.handle(ServerMessage::MediaLost { code, message: message.clone() }, false);
                        break format!("{code}: {message}");
                    }
                    Ok(Some(message)) => {
                        self.renewing &= !matches!(message, ServerMessage::Answer { .. });
                        self.handle(message, false);
                    }
                    Ok(None) => break signal.close_reason(),
                    Err(error) => break error.to_string(),
                },
                Some(message) = chat.recv() => self.handle(message, true),
                Some(arrival) = data.recv() => match arrival {
                    data::Arrival::Data(arrival) => self.note_data(arrival),
                    data::Arrival::Message(message) => self.handle(message, true),
                },
                Some(message) = to_send.recv() => {
                    if let Err(error) = signal.send(&message).await {
                        break error.to_string();
                    }
                }
                _ = ping.tick() => {
                    if let Err(error) = signal.send(&ClientMessage::Ping { nonce: 0 }).await {
                        break error.to_string();
                    }
                }
            }
        };
        self.shared.ended.send_replace(Some(reason));
        self.shared.changed.send_modify(|n| *n += 1);
    }

    fn handle(&self, message: ServerMessage, over_channel: bool) {
        match &message {
            ServerMessage::Event { event } => {
                lock(&self.shared.heard).note(event.seq);
                lock(&self.shared.state).apply(event);
            }
            ServerMessage::Slots { changes } => {
                let mut slots = lock(&self.shared.slots);
                for change in changes {
                    slots.insert(change.mid.clone(), change.clone());
                }
            }
            // What was missed may come once more over the channel.
            ServerMessage::Chat { message, nonce: None } if !lock(&self.shared.heard).note(message.seq) => return,
            ServerMessage::Chat { message, nonce } => {
                lock(&self.shared.heard).note(message.seq);
                let line = ChatLine { message: message.clone(), nonce: *nonce, over_channel };
                lock(&self.shared.chat).push(line);
            }
            ServerMessage::ChatHistory { messages, .. } => {
                lock(&self.shared.history).extend(messages.iter().map(|entry| entry.message.clone()));
            }
            ServerMessage::Error { code, .. } => lock(&self.shared.errors).push(*code),
            ServerMessage::GrowSeats { seats } => self.grow(*seats),
            ServerMessage::Data { stamp, payload, lossy } => {
                if let Ok(payload) = STANDARD.decode(payload) {
                    self.note_data(DataArrival { stamp: stamp.clone(), payload, lossy: *lossy });
                }
            }
            _ => {}
        }
        // Nobody may be observing.
        let _ = self.shared.messages.send(message);
        self.shared.changed.send_modify(|n| *n += 1);
    }

    fn note_data(&self, arrival: DataArrival) {
        lock(&self.shared.data).push(arrival);
        self.shared.changed.send_modify(|n| *n += 1);
    }

    fn grow(&self, seats: u16) {
        self.shared.growths.fetch_add(1, Ordering::Relaxed);
        let negotiator = self.negotiator.clone();
        tokio::spawn(async move {
            if let Err(error) = negotiator.grow(seats).await {
                tracing::warn!(%error, seats, "the seats could not be grown");
            }
        });
    }
}
