//! A Rust client for Roundtable rooms: for bots, agents and tests.
//!
//! It stands on the `webrtc` crate and shares nothing with the server but the protocol's types, so a
//! test with it is a test against an independent stack. It publishes a synthetic stream (packets made
//! in advance, no encoder) that carries its publisher's mark, and counts whose packets arrive on which
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

pub mod media;
pub mod signal;
pub mod synthetic;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roundtable_protocol::event::{ChatMessage, TrackSource};
use roundtable_protocol::message::{SlotChange, SubscribeChange, Welcome};
use roundtable_protocol::{ClientMessage, ErrorCode, MemberId, RoomState, ServerMessage, TrackId};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use media::{Media, Received};
use signal::Signal;
use synthetic::VideoShape;

/// How long an answer of the server may take.
const ANSWER_TIME: Duration = Duration::from_secs(15);
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
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

/// How to join.
#[derive(Debug, Clone)]
pub struct Options {
    /// The WebSocket endpoint, without the query.
    pub url: String,
    /// The room.
    pub room: String,
    /// The name others see.
    pub name: String,
    /// A token for the server's hook.
    pub token: Option<String>,
    /// Seats to begin with; grown when the server asks.
    pub seats: u16,
    /// Most seats to have.
    pub max_seats: u16,
    /// What the synthetic camera sends.
    pub video: VideoShape,
}

impl Options {
    /// A client with four seats and a small camera.
    #[must_use]
    pub fn new(url: impl Into<String>, room: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            room: room.into(),
            name: name.into(),
            token: None,
            seats: 4,
            max_seats: 48,
            video: VideoShape::SMALL,
        }
    }
}

/// What tests and bots look at; changed by the client's tasks.
#[derive(Debug)]
struct Shared {
    state: Mutex<RoomState>,
    slots: Mutex<HashMap<String, SlotChange>>,
    chat: Mutex<Vec<ChatMessage>>,
    tracks: Mutex<HashMap<String, TrackId>>,
    nonce: AtomicU32,
    offers: AtomicU32,
    /// Rises with every message, so that waiting is a loop over a condition.
    changed: watch::Sender<u64>,
    messages: broadcast::Sender<ServerMessage>,
    ended: watch::Sender<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One member of a room.
#[derive(Debug)]
pub struct Client {
    welcome: Welcome,
    shared: Arc<Shared>,
    media: Arc<Media>,
    signal: mpsc::Sender<ClientMessage>,
    /// One offer at a time.
    negotiating: Arc<tokio::sync::Mutex<()>>,
    task: JoinHandle<()>,
}

impl Client {
    /// Joins a room and connects its media: seats and the chat channel, no own tracks yet.
    ///
    /// # Errors
    /// [`ClientError`] when the server refuses, does not answer, or the media cannot connect.
    pub async fn join(options: Options) -> Result<Self, ClientError> {
        let (signal, welcome) = Signal::connect(&options).await?;
        let shared = Arc::new(Shared {
            state: Mutex::new(welcome.state.clone()),
            slots: Mutex::default(),
            chat: Mutex::default(),
            tracks: Mutex::default(),
            nonce: AtomicU32::new(1),
            offers: AtomicU32::new(0),
            changed: watch::channel(0).0,
            messages: broadcast::channel(OBSERVER_CAPACITY).0,
            ended: watch::channel(None).0,
        });
        let (chat, incoming) = mpsc::channel(256);
        let media = Arc::new(Media::new(welcome.member.id.clone(), options.video, chat).await?);
        let (outgoing, to_send) = mpsc::channel(256);
        let negotiating = Arc::new(tokio::sync::Mutex::new(()));
        let driver = Driver {
            shared: shared.clone(),
            media: media.clone(),
            outgoing: outgoing.clone(),
            negotiating: negotiating.clone(),
        };
        let task = tokio::spawn(driver.run(signal, to_send, incoming));
        let client = Self { welcome, shared, media, signal: outgoing, negotiating, task };
        client.media.add_seats(options.seats.min(options.max_seats)).await?;
        client.negotiate().await?;
        client.media.connected().await?;
        Ok(client)
    }

    /// Publishes synthetic tracks. Sources already published are left alone.
    ///
    /// # Errors
    /// [`ClientError`] when the server refuses the offer.
    pub async fn publish(&self, sources: &[TrackSource]) -> Result<(), ClientError> {
        let guard = self.negotiating.lock().await;
        for source in sources {
            self.media.add_track(*source).await?;
        }
        offer(&self.shared, &self.media, &self.signal).await?;
        drop(guard);
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
        let message = ClientMessage::Chat { nonce, text: text.to_owned() };
        if !self.media.send_chat(&message).await {
            self.send(message).await?;
        }
        Ok(nonce)
    }

    /// Sends any message, also a wrong one.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn send(&self, message: ClientMessage) -> Result<(), ClientError> {
        self.signal.send(message).await.map_err(|_| ClientError::Ended)
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

    /// Chat in the order it came, without what was written before the join.
    #[must_use]
    pub fn chat_log(&self) -> Vec<ChatMessage> {
        lock(&self.shared.chat).clone()
    }

    /// Packets received so far, by their publisher's mark.
    #[must_use]
    pub fn received(&self) -> HashMap<u64, Received> {
        self.media.received()
    }

    /// Offers made so far.
    #[must_use]
    pub fn offers(&self) -> u32 {
        self.shared.offers.load(Ordering::Relaxed)
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
    pub async fn vanish(self) {
        self.task.abort();
        self.media.close().await;
    }

    async fn negotiate(&self) -> Result<(), ClientError> {
        let _guard = self.negotiating.lock().await;
        offer(&self.shared, &self.media, &self.signal).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes an offer and applies the answer. The caller holds the negotiation lock.
async fn offer(shared: &Shared, media: &Media, signal: &mpsc::Sender<ClientMessage>) -> Result<(), ClientError> {
    let mut answers = shared.messages.subscribe();
    let id = shared.offers.fetch_add(1, Ordering::Relaxed) + 1;
    let sdp = media.create_offer().await?;
    let tracks = media.tracks().await?;
    let offer = ClientMessage::Offer { id, sdp, tracks };
    signal.send(offer).await.map_err(|_| ClientError::Ended)?;
    let answer = async {
        loop {
            match answers.recv().await {
                Ok(ServerMessage::Answer { id: of, sdp, tracks }) if of == id => return Ok((sdp, tracks)),
                Ok(ServerMessage::Error { id: Some(of), code, message, .. }) if of == id => {
                    return Err(ClientError::Refused { code, message });
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(ClientError::Ended),
            }
        }
    };
    let (sdp, published) = tokio::time::timeout(ANSWER_TIME, answer).await.map_err(|_| ClientError::Timeout)??;
    *lock(&shared.tracks) = published.into_iter().map(|t| (t.mid, t.track)).collect();
    media.set_answer(sdp).await?;
    Ok(())
}

/// The task that listens to the server.
struct Driver {
    shared: Arc<Shared>,
    media: Arc<Media>,
    outgoing: mpsc::Sender<ClientMessage>,
    negotiating: Arc<tokio::sync::Mutex<()>>,
}

impl Driver {
    async fn run(
        self,
        mut signal: Signal,
        mut to_send: mpsc::Receiver<ClientMessage>,
        mut chat: mpsc::Receiver<ServerMessage>,
    ) {
        let mut ping = tokio::time::interval(Duration::from_secs(10));
        let reason = loop {
            tokio::select! {
                message = signal.next() => match message {
                    Ok(Some(message)) => self.handle(message),
                    Ok(None) => break signal.close_reason(),
                    Err(error) => break error.to_string(),
                },
                Some(message) = chat.recv() => self.handle(message),
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

    fn handle(&self, message: ServerMessage) {
        match &message {
            ServerMessage::Event { event } => lock(&self.shared.state).apply(event),
            ServerMessage::Slots { changes } => {
                let mut slots = lock(&self.shared.slots);
                for change in changes {
                    slots.insert(change.mid.clone(), change.clone());
                }
            }
            ServerMessage::Chat { message, .. } => lock(&self.shared.chat).push(message.clone()),
            ServerMessage::GrowSeats { seats } => self.grow(*seats),
            _ => {}
        }
        // Nobody may be observing.
        let _ = self.shared.messages.send(message);
        self.shared.changed.send_modify(|n| *n += 1);
    }

    fn grow(&self, seats: u16) {
        let (shared, media) = (self.shared.clone(), self.media.clone());
        let (outgoing, negotiating) = (self.outgoing.clone(), self.negotiating.clone());
        tokio::spawn(async move {
            let _guard = negotiating.lock().await;
            let grown = async {
                media.add_seats(seats).await?;
                offer(&shared, &media, &outgoing).await
            };
            if let Err(error) = grown.await {
                tracing::warn!(%error, seats, "the seats could not be grown");
            }
        });
    }
}
