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
use roundtable_protocol::limit::MAX_VOICE_SLOTS;
use roundtable_protocol::{MemberId, RoomId, RoomState};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use self::events::{Events, Update};
pub use self::tls::TlsError;
use crate::config::{Config, IceConfig, MediaConfig};
use crate::http::{HttpConfig, HttpState, router};
use crate::hub::{Authorize, Hub, HubConfig, IceServers};
use crate::shard::inbox::Command;
use crate::shard::tape::Tape;
use crate::shard::{ShardConfig, ShardHandle, spawn};
use crate::store::{OpenError, Retention, Store, StoreConfig, StoreError};

/// How long a stop may take: after that sockets are closed on whoever is left.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take to send the head of a request; after that its connection is closed.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take for the TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
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
    /// Lets `hook` decide who may enter which room, and what they may do there. Without it everybody may everything.
    #[must_use]
    pub fn with_authorizer(mut self, hook: impl Authorize) -> Self {
        self.authorizer = Some(Arc::new(hook));
        self
    }

    /// Starts the rooms without a listener of their own: mount [`Conference::router`] in your application.
    /// Of the settings, [`Config::http`]'s listener and certificate have no use then.
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

    /// Starts the rooms and binds the HTTP listener, open to everybody who reaches it.
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

    /// Closes a room: its members are told `room/closed`, its journal ends with `roomClosed`. A room
    /// that is not open stays so. Returns whether the wish could be handed on.
    pub fn close_room(&self, room: &RoomId) -> bool {
        self.hub.close_room(room)
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
}

impl Conference {
    fn start(builder: Builder) -> Result<Self, StartError> {
        let Builder { config, authorizer } = builder;
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
        let hub = Hub::new(hub_config(&config), inboxes, ice_servers(config.ice), authorizer, store.clone());
        let restored = hub.restore()?;
        if restored > 0 {
            tracing::info!(rooms = restored, "rooms of before the restart wait for their members");
        }
        let http = HttpConfig { allowed_origins: config.http.allowed_origins, ..HttpConfig::default() };
        let state = HttpState::new(hub.clone(), http);
        let mut udp: Vec<SocketAddr> = shards.iter().flat_map(ShardHandle::udp_addrs).collect();
        udp.sort_unstable();
        udp.dedup();
        Ok(Self { handle: Handle { hub }, state, udp, shards, store })
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

fn shard_config(config: &Config) -> ShardConfig {
    let MediaConfig { udp_port, udp_listen, public_ips, ipv6, shards, sharing, spread_above } = &config.media;
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
        spread_above: u32::from(*spread_above) * 10,
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
    StoreConfig { chat, ..StoreConfig::new(directory) }
}

fn hub_config(config: &Config) -> HubConfig {
    let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    HubConfig {
        max_rooms: count(config.limits.rooms),
        max_members_per_room: count(config.limits.members),
        max_seats: config.limits.seats,
        voice_slots: config.limits.voice_slots.clamp(1, MAX_VOICE_SLOTS),
        limits: config.limits.member,
        resume_within: config.rooms.resume_within,
        ..HubConfig::default()
    }
}

fn ice_servers(ice: IceConfig) -> IceServers {
    Arc::new(move |member: &MemberId| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ice.servers(now, member)
    })
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
            server.serve(router.into_make_service()).await
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
