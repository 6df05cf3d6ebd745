//! The composition root: builds the parts of the server in order and stops them in reverse.

mod events;
mod tls;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto;
use roundtable_protocol::call::CallEvent;
use roundtable_protocol::limit::MAX_VOICE_SLOTS;
use roundtable_protocol::{MemberId, RoomId, RoomState};
use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;

pub use self::events::{Events, Update};
pub use self::tls::TlsError;
use crate::auth::{Authority, Invite, Invites};
use crate::config::{AuthConfig, Config, IceConfig, KeyError, MediaConfig, UsersError};
use crate::http::{EntryLimit, HttpConfig, HttpState, router};
use crate::hub::{Authorize, Hub, HubConfig, IceServers, Kept};
use crate::login::Logins;
use crate::shard::inbox::Command;
use crate::shard::tape::Tape;
use crate::shard::{ShardConfig, ShardHandle, spawn};
use crate::store::{OpenError, Retention, Store, StoreConfig, StoreError};
use crate::webhook::{WebhookTasks, Webhooks};

/// How long a stop may take: after that sockets are closed on whoever is left.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take to send the head of a request; after that its connection is closed.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take for the TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Requests at once on one connection of HTTP/2; further ones wait at the client.
const MAX_STREAMS: u32 = 100;
/// The head of a request over HTTP/2, in bytes; a larger one is refused.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// How often a connection of HTTP/2 is asked whether it still lives …
const PING_EVERY: Duration = Duration::from_secs(30);
/// … and how long it may take to say so.
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// How long the shard's thread may take to end once it was told to.
const THREAD_WITHIN: Duration = Duration::from_secs(1);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The HTTP address could not be bound.
    #[error("cannot listen on {address} for HTTP: {source}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The media sockets could not be bound, or their thread not started.
    #[error("cannot receive media on UDP {addresses:?}: {source}")]
    Media {
        /// The addresses.
        addresses: Vec<SocketAddr>,
        /// Why.
        source: io::Error,
    },
    /// The file for the recording could not be opened.
    #[error("cannot record to {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Other hosts could reach the rooms, and nothing says who may.
    #[error("{0}")]
    Unguarded(String),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The users cannot be used.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The certificate cannot be served with.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// What is in the data directory cannot be read.
    #[error("the rooms of before cannot be read: {0}")]
    Restore(#[from] StoreError),
}

/// Gathers what a [`Server`] or a [`Conference`] is made of.
pub struct Builder {
    config: Config,
    authorizer: Option<Arc<dyn Authorize>>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Builder {
    /// Lets `hook` decide who may enter which room, and what they may do there. Without it that is for the tokens of
    /// the keys in [`Config::auth`], and without keys everybody may everything.
    #[must_use]
    pub fn with_authorizer(mut self, hook: impl Authorize) -> Self {
        self.authorizer = Some(Arc::new(hook));
        self
    }

    /// Starts the rooms without a listener of their own: mount [`Conference::router`] in your application.
    /// Of the settings, [`Config::http`]'s listener and certificate have no use then. Webhooks want a Tokio runtime to
    /// be entered.
    ///
    /// # Errors
    /// [`StartError::Media`] when the UDP port cannot be had.
    pub fn embed(self) -> Result<Conference, StartError> {
        Conference::start(self)
    }

    /// Starts the rooms and binds the HTTP listener; [`Server::run`] serves it.
    ///
    /// # Errors
    /// [`StartError`] says which part could not be had.
    pub async fn bind(self) -> Result<Server, StartError> {
        let http = self.config.http.clone();
        if self.authorizer.is_none()
            && let Some(refusal) = self.config.auth.refusal(http.listen)
        {
            return Err(StartError::Unguarded(refusal));
        }
        let tls = http.tls.as_ref().map(tls::load).transpose()?;
        let refused = |source| StartError::Http { address: http.listen, source };
        let listener = tokio::net::TcpListener::bind(http.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let listener = listener.into_std().map_err(refused)?;
        let conference = Conference::start(self)?;
        Ok(Server { conference, listener, address, tls: tls.map(RustlsConfig::from_config) })
    }
}

/// The whole server: rooms, and the HTTP listener through which people reach them.
#[derive(Debug)]
pub struct Server {
    conference: Conference,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<RustlsConfig>,
}

impl Server {
    /// Begins with the settings; [`Builder::bind`] or [`Builder::embed`] ends it.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder { config, authorizer: None }
    }

    /// Starts the rooms and binds the HTTP listener. Without keys in [`Config::auth`] it is open to everybody who reaches
    /// it, and so listens on loopback only unless that says otherwise.
    ///
    /// # Errors
    /// [`StartError`] says which part could not be had.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        Self::builder(config).bind().await
    }

    /// Serves until `shutdown` resolves. Then every client is told that the server stops, and what
    /// is under way has [`STOP_WITHIN`] to end.
    ///
    /// # Errors
    /// When the listener fails. The rooms are stopped in that case too.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { conference, listener, tls, .. } = self;
        let handle = axum_server::Handle::new();
        let mut serving = tokio::spawn(serve(listener, tls, conference.router(), handle.clone()));
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = shutdown => None,
        };
        let deadline = Instant::now() + STOP_WITHIN;
        handle.graceful_shutdown(Some(STOP_WITHIN));
        conference.stop_by(deadline).await;
        let ended = match ended {
            Some(ended) => ended,
            None => serving.await,
        };
        ended.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }

    /// Where HTTP is served, with the real port if the settings left it open.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Where media is received.
    #[must_use]
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.conference.udp_addrs()
    }

    /// All routes, to serve them in a second place as well.
    pub fn router(&self) -> Router {
        self.conference.router()
    }

    /// A view of the rooms that lives on while the server runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.conference.handle()
    }

    /// The open rooms and who is in them.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomState> {
        self.conference.rooms()
    }

    /// What happens in a room from now on; `None` if there is no such room.
    #[must_use]
    pub fn events(&self, room: &RoomId) -> Option<Events> {
        self.conference.events(room)
    }
}

/// A view of the rooms of a server or a conference. Cheap to clone, and of no weight: a server that
/// stops does not wait for it.
#[derive(Debug, Clone)]
pub struct Handle {
    hub: Hub,
    authority: Option<Arc<Authority>>,
    invites: Arc<Invites>,
    logins: Arc<Logins>,
}

impl Handle {
    /// The open rooms and who is in them.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomState> {
        self.hub.rooms().iter().map(|journal| journal.state()).collect()
    }

    /// What happens in a room from now on; `None` if there is no such room.
    #[must_use]
    pub fn events(&self, room: &RoomId) -> Option<Events> {
        self.hub.room(room).map(Events::new)
    }

    /// Takes no new rooms from now on and tells everybody that the server ends within so long; waits until all have gone,
    /// or for that long. Those who come back to a room that is open are let in.
    pub async fn drain(&self, within: Duration) {
        self.hub.drain(within).await;
    }

    /// How rooms are set up and who is banned from which, to be kept where it outlives this process.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.hub.kept()
    }

    /// Puts back what was kept. Rooms that were set up since stay as they are.
    pub fn restore(&self, kept: Kept) {
        self.hub.restore(kept);
    }

    /// What becomes of all calls from now on. Who falls 4,096 events behind misses some, and is told how many.
    #[must_use]
    pub fn calls(&self) -> broadcast::Receiver<CallEvent> {
        self.hub.call_events()
    }

    /// Closes a room: its members are told `room/closed`, its journal ends with `roomClosed`. A room
    /// that is not open stays so. Returns whether the wish could be handed on.
    pub fn close_room(&self, room: &RoomId) -> bool {
        self.hub.close_room(room)
    }

    /// Reads the files of keys again, and returns how many keys there are; `None` if the server has none. Tokens of a key
    /// that is gone open nothing from then on; whoever is in a room stays there.
    ///
    /// # Errors
    /// [`KeyError`]: the keys stay as they were.
    pub fn reload_keys(&self) -> Result<Option<usize>, KeyError> {
        self.authority.as_ref().map(|authority| authority.reload()).transpose()
    }

    /// Reads the file of users again, and returns how many there are; `None` if the server has none. Who has logged in
    /// before keeps the token until it ends, and whoever is in a room stays there.
    ///
    /// # Errors
    /// [`UsersError`]: the users stay as they were.
    pub fn reload_users(&self) -> Result<Option<usize>, UsersError> {
        self.logins.reload()
    }

    /// All invitations that are kept, to keep them longer than the server runs.
    #[must_use]
    pub fn invites(&self) -> Vec<Invite> {
        self.invites.snapshot()
    }

    /// Puts invitations back that were kept; the surplus over what a server keeps is left out.
    pub fn restore_invites(&self, kept: impl IntoIterator<Item = Invite>) {
        self.invites.restore(kept);
    }
}

/// The rooms and their media, without an HTTP listener. Dropping it ends them; [`Conference::stop`]
/// does so in good order.
#[derive(Debug)]
pub struct Conference {
    handle: Handle,
    state: HttpState,
    udp: Vec<SocketAddr>,
    shards: Vec<ShardHandle>,
    store: Option<Store>,
    webhooks: Webhooks,
    /// They end with this.
    _webhook_tasks: WebhookTasks,
}

impl Conference {
    fn start(builder: Builder) -> Result<Self, StartError> {
        let Builder { config, authorizer } = builder;
        let authority = authority(&config.auth)?;
        let logins = Arc::new(Logins::new(config.auth.users_file.clone(), config.auth.oidc.clone())?);
        let tokens = authority.clone().map(|authority| authority as Arc<dyn Authorize>);
        let tape = config.record.clone().map(|record| {
            let path = record.path.clone();
            Tape::open(record).map_err(|source| StartError::Record { path, source })
        });
        let tape = tape.transpose()?;
        let store = config.rooms.data_dir.clone().map(|directory| Store::open(store_config(&config, directory)));
        let store = store.transpose()?;
        let shard_config = ShardConfig { store: store.clone(), ..shard_config(&config) };
        let shards = spawn(&shard_config, tape)
            .map_err(|source| StartError::Media { addresses: shard_config.udp.clone(), source })?;
        let inboxes = shards.iter().map(ShardHandle::inbox).collect();
        let hub = Hub::new(hub_config(&config), inboxes, ice_servers(config.ice), authorizer.or(tokens), store.clone());
        let restored = hub.restore_rooms()?;
        if restored > 0 {
            tracing::info!(rooms = restored, "rooms of before the restart wait for their members");
        }
        let per_second = config.limits.joins_per_ip;
        let http = HttpConfig {
            allowed_origins: config.http.allowed_origins,
            trusted_proxies: config.http.trusted_proxies,
            entries: EntryLimit { per_second, burst: per_second.saturating_mul(4) },
            ..HttpConfig::default()
        };
        let webhooks = Webhooks::new(config.webhooks);
        let webhook_tasks = webhooks.start(hub.ledger());
        let mut state =
            HttpState::new(hub.clone(), http).with_webhooks(webhooks.clone()).with_logins(Arc::clone(&logins));
        if let Some(authority) = &authority {
            state = state.with_authority(Arc::clone(authority));
        }
        let mut udp: Vec<SocketAddr> = shards.iter().flat_map(ShardHandle::udp_addrs).collect();
        udp.sort_unstable();
        udp.dedup();
        let invites = Arc::clone(state.invites());
        if let Some(store) = &store {
            invites.keep_in(store)?;
        }
        let handle = Handle { hub, authority, invites, logins };
        Ok(Self { handle, state, udp, shards, store, webhooks, _webhook_tasks: webhook_tasks })
    }

    /// The page, the WebSocket and the API: for the root of a host or nested under any prefix.
    pub fn router(&self) -> Router {
        router(self.state.clone())
    }

    /// Where media is received.
    #[must_use]
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.udp.clone()
    }

    /// A view of the rooms that lives on apart from this.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The open rooms and who is in them.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomState> {
        self.handle.rooms()
    }

    /// What happens in a room from now on; `None` if there is no such room.
    #[must_use]
    pub fn events(&self, room: &RoomId) -> Option<Events> {
        self.handle.events(room)
    }

    /// Tells every client that the server stops, ends all rooms, and waits for that at most [`STOP_WITHIN`].
    pub async fn stop(self) {
        self.stop_by(Instant::now() + STOP_WITHIN).await;
    }

    async fn stop_by(mut self, deadline: Instant) {
        let left = self.handle.hub.stop(deadline.saturating_duration_since(Instant::now())).await;
        if left > 0 {
            tracing::warn!(left, "sessions did not end in time and are cut off");
        }
        let ledger = self.handle.hub.ledger();
        self.webhooks.drain(ledger, deadline.saturating_duration_since(Instant::now())).await;
        let (shards, store) = (std::mem::take(&mut self.shards), self.store.take());
        // A thread of its own, because a runtime that shuts down waits for its blocking tasks.
        let (ended, end) = oneshot::channel();
        std::thread::spawn(move || {
            shards.into_iter().for_each(ShardHandle::join);
            store.iter().for_each(Store::close);
            // Nobody waits any more if it took too long.
            let _ = ended.send(());
        });
        if tokio::time::timeout(THREAD_WITHIN, end).await.is_err() {
            tracing::warn!("the media threads did not end in time");
        }
    }
}

impl Drop for Conference {
    fn drop(&mut self) {
        for shard in &self.shards {
            // A full or stopped inbox leaves nothing better to do here.
            let _ = shard.inbox().send(Command::Stop);
        }
    }
}

/// What tokens are judged by, if there are keys.
fn authority(config: &AuthConfig) -> Result<Option<Arc<Authority>>, KeyError> {
    let AuthConfig { keys, allow_guests, dev, .. } = config;
    if keys.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Authority::new(keys.clone(), *allow_guests, *dev)?)))
}

fn shard_config(config: &Config) -> ShardConfig {
    let MediaConfig { udp_port, udp_listen, public_ips, ipv6, shards, sharing, .. } = &config.media;
    let MediaConfig { gather_below, spread_above, rebalance_above, .. } = &config.media;
    let mut addresses = udp_listen.clone();
    if addresses.is_empty() {
        addresses.push(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if *ipv6 && host_has_ipv6() {
            addresses.push(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        }
    }
    let on_this_host = config.http.listen.ip().is_loopback() || addresses.iter().any(IpAddr::is_loopback);
    ShardConfig {
        udp: addresses.into_iter().map(|ip| SocketAddr::new(ip, *udp_port)).collect(),
        public_ips: public_ips.clone(),
        loopback: on_this_host,
        // The tape is the first shard's, and the room to record may be any.
        shards: if config.record.is_some() { 1 } else { shards.unwrap_or_else(cores) },
        sharing: *sharing,
        gather_below: u32::from(*gather_below) * 10,
        spread_above: u32::from(*spread_above) * 10,
        rebalance_above: u32::from(*rebalance_above) * 10,
        store: None,
    }
}

/// A shard for each core. Only Linux spreads the datagrams of one port over several sockets.
fn cores() -> u8 {
    let cores = if cfg!(target_os = "linux") { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    u8::try_from(cores).unwrap_or(u8::MAX)
}

/// Hosts and containers without IPv6 are common; a server that was not asked for it starts there all the same.
fn host_has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// Where the store lies and how much it keeps.
fn store_config(config: &Config, directory: PathBuf) -> StoreConfig {
    let chat = Retention { max_count: config.rooms.chat_keep, max_age: config.rooms.chat_retention };
    let mebibytes = |count: u32| u64::from(count) << 20;
    StoreConfig {
        chat,
        max_chat_bytes_of_room: mebibytes(config.limits.chat_per_room),
        max_chat_bytes_of_key: config.limits.chat_per_key.map(mebibytes),
        ..StoreConfig::new(directory)
    }
}

fn hub_config(config: &Config) -> HubConfig {
    let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    HubConfig {
        max_rooms: count(config.limits.rooms),
        gather_below: u32::from(config.media.gather_below) * 10,
        max_rooms_per_key: config.limits.rooms_per_key.map(count),
        max_members_per_room: count(config.limits.members),
        max_seats: config.limits.seats,
        voice_slots: config.limits.voice_slots.clamp(1, MAX_VOICE_SLOTS),
        limits: config.limits.member,
        resume_within: config.rooms.resume_within,
        lobby: config.limits.lobby,
        ..HubConfig::default()
    }
}

fn ice_servers(ice: IceConfig) -> IceServers {
    Arc::new(move |member: &MemberId| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ice.servers(now, member)
    })
}

/// What one connection of HTTP/2 may do. Browsers speak it over TLS only; in the clear it is there for who begins with it, since
/// the listener that knows HTTP/1.1 alone would know no WebSockets either.
fn limit_http2(builder: &mut auto::Builder<TokioExecutor>) {
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
}

async fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    handle: axum_server::Handle<SocketAddr>,
) -> io::Result<()> {
    // Signalling is many small messages, none of which is to wait for the answer to the one before (Nagle's algorithm).
    // The two kinds of server differ in type only.
    macro_rules! serve {
        ($server:expr) => {{
            let mut server = $server.handle(handle).first_request_timeout(HEAD_WITHIN);
            server.http_builder().http1().header_read_timeout(HEAD_WITHIN);
            limit_http2(server.http_builder());
            server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
        }};
    }
    match tls {
        None => serve!(axum_server::from_tcp(listener)?.acceptor(NoDelayAcceptor::new())),
        Some(tls) => serve!(
            axum_server::from_tcp_rustls(listener, tls)?
                .map(|acceptor| acceptor.handshake_timeout(HANDSHAKE_WITHIN).acceptor(NoDelayAcceptor::new()))
        ),
    }
}
