//! The door to the rooms: finds or opens a room's journal, lets people in, and is the only one
//! who talks to the shards.

mod authorize;
pub mod bans;
pub mod calls;
mod chat;
#[cfg(test)]
pub(crate) mod fake_shard;
mod keeping;
pub mod lobby;
mod membership;
pub mod moderation;
mod placing;
mod presence;
mod restoring;
pub mod ringing;
mod rooms;
mod secret;
pub mod settings;
mod tickets;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roundtable_protocol::event::RoomCloseReason;
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::limit::{MAX_IDENTITY_BYTES, MAX_METADATA_BYTES, MAX_SEATS};
use roundtable_protocol::message::IceServer;
use roundtable_protocol::stats::RoomStats;
use roundtable_protocol::{ErrorCode, Grants, MemberId, RoomId};
use tokio::sync::{oneshot, watch};

pub use self::authorize::{Authorised, Authorising, Authorize, Denied};
use self::bans::Bans;
use self::lobby::Lobbies;
pub use self::membership::Membership;
use self::membership::Reply;
pub use self::moderation::Kept;
pub use self::presence::Presence;
use self::ringing::Ringing;
use self::rooms::{Claim, Keepers, Rooms};
use self::settings::SettingsTable;
use self::tickets::Tickets;
use crate::journal::ledger::Ledger;
use crate::journal::{Journal, Keeper};
use crate::room::Now;
use crate::room::member::Newcomer;
use crate::shard::deed::Origin;
use crate::shard::inbox::{
    Command, Inbox, Join, JoinRefused, Joined, Outbox, Restore, Resume, ResumeSecret, Returned, SendError,
};
use crate::shard::stats::ShardStats;
use crate::store::{Store, StoreError};

/// Tells the STUN and TURN servers of a member, with credentials made for it.
pub type IceServers = Arc<dyn Fn(&MemberId) -> Vec<IceServer> + Send + Sync>;

/// Joins that are tried again because the room ended just before; each try opens a fresh one.
const JOIN_TRIES: u32 = 3;
/// Pause between tries to hand a full shard a command that must arrive.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Bounds of the hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Rooms open at once; one more is refused with `room/too-many`.
    pub max_rooms: usize,
    /// People in one room; one more is refused with `room/full`.
    pub max_members_per_room: usize,
    /// Seats one member may have; a client that asks for more gets these.
    pub max_seats: u16,
    /// Talkers heard in a room of many microphones, and voice slots of one member.
    pub voice_slots: u16,
    /// What each member may receive and publish, where its grants say nothing.
    pub limits: MemberLimits,
    /// Whether rooms whose settings say nothing of it have a lobby.
    pub lobby: bool,
    /// Signalling sockets at once, in a room or not yet; one more is refused before it is opened.
    pub max_sessions: usize,
    /// How long the journal of a closed room stays readable for those who come back late.
    pub keep_closed: Duration,
    /// For how long the place of a member is kept whose socket is lost; zero for not at all.
    pub resume_within: Duration,
    /// How long the authorisation hook may take.
    pub authorise_timeout: Duration,
    /// How long the shard may take to answer.
    pub reply_timeout: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            max_rooms: 500,
            max_members_per_room: 2_000,
            max_seats: MAX_SEATS,
            voice_slots: 3,
            limits: MemberLimits::NONE,
            lobby: false,
            max_sessions: 5_000,
            keep_closed: Duration::from_secs(60),
            resume_within: Duration::from_secs(60),
            authorise_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_secs(5),
        }
    }
}

/// Knows every room and lets people in. Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    config: HubConfig,
    /// The shards by their numbers; never empty.
    inboxes: Vec<Inbox>,
    ice: IceServers,
    authorise: Option<Arc<dyn Authorize>>,
    store: Option<Store>,
    rooms: Arc<Rooms>,
    settings: SettingsTable,
    bans: Bans,
    lobbies: Lobbies,
    tickets: Tickets,
    ringing: Arc<Ringing>,
    sessions: watch::Sender<usize>,
    /// When the server ends at the latest, once that is known.
    draining: watch::Sender<Option<Instant>>,
    stopping: watch::Sender<bool>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// A wish to enter a room.
#[derive(Debug)]
pub struct JoinRequest {
    /// The name others see; already checked.
    pub name: String,
    /// A token for the authorisation hook.
    pub token: Option<String>,
    /// The address it comes from, unless that may be a proxy's.
    pub address: Option<IpAddr>,
    /// Most seats the client wants.
    pub max_seats: u16,
    /// Where the member's session listens.
    pub outbox: Outbox,
}

/// Leave to enter a room, given by [`Hub::check`].
#[derive(Debug, Clone)]
pub struct Pass {
    newcomer: Newcomer,
    grants: Grants,
    origin: Origin,
    waits: bool,
}

impl Pass {
    /// The name that others will see.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.newcomer.name
    }

    /// Whether somebody who moderates must let them in first: see [`Hub::knock`].
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
    }
}

/// Somebody is in.
#[derive(Debug)]
pub struct Admission {
    /// Who they are, and the room's journal.
    pub joined: Joined,
    /// What they may do.
    pub grants: Grants,
    /// Their STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Their line to the shard; letting go of it takes them out of the room.
    pub membership: Membership,
}

/// A wish to go on as a member that has lost its socket.
#[derive(Debug)]
pub struct ResumeRequest {
    /// The life of the room that the client knows.
    pub epoch: u64,
    /// Who.
    pub member: MemberId,
    /// What proves it.
    pub secret: ResumeSecret,
    /// Where the new session listens.
    pub outbox: Outbox,
}

/// Somebody is back.
#[derive(Debug)]
pub struct Comeback {
    /// Who they are, and where they stand.
    pub returned: Returned,
    /// Their STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Their line to the shard.
    pub membership: Membership,
}

/// Why somebody is not in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The authorisation hook said no.
    #[error("{}", .0.message)]
    Denied(Denied),
    /// The authorisation hook did not answer in time.
    #[error("nobody could say in time whether you may enter")]
    AuthoriseTimeout,
    /// As many rooms are open as may be.
    #[error("the server carries {0} rooms and takes no further one")]
    TooManyRooms(usize),
    /// The room holds as many people as it may.
    #[error("the room is full: it holds {0} people")]
    RoomFull(usize),
    /// A moderator has banned this person.
    #[error("you are banned from this room")]
    Banned {
        /// When that ends by itself, in milliseconds from now.
        ends_in_ms: Option<u64>,
    },
    /// The room takes nobody new.
    #[error("the room is locked")]
    Locked,
    /// It opens later.
    #[error("the room is not open yet")]
    NotOpenYet {
        /// In so many milliseconds.
        opens_in_ms: u64,
    },
    /// Its time is over.
    #[error("the room's time is over")]
    Expired,
    /// As many wait to be let in as may.
    #[error("as many wait to be let in as may")]
    LobbyFull,
    /// The ticket is used, too old, or another's.
    #[error("this ticket does not let you in here, or not any more")]
    BadTicket,
    /// The room kept ending under the tries; coming back later helps.
    #[error("the room has just ended")]
    RoomClosed,
    /// The shard did not take it or did not answer.
    #[error(transparent)]
    Shard(#[from] HubError),
}

/// Why the shard gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// It has more to do than it can.
    #[error("the server is overloaded")]
    Overloaded,
    /// It is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// It failed.
    #[error("the server has failed")]
    Failed,
}

impl HubError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Overloaded => ErrorCode::Overloaded,
            Self::Stopping => ErrorCode::Stopping,
            Self::Failed => ErrorCode::Internal,
        }
    }
}

impl JoinError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Denied(denied) => denied.code,
            Self::AuthoriseTimeout => ErrorCode::Overloaded,
            Self::TooManyRooms(_) => ErrorCode::TooManyRooms,
            Self::RoomFull(_) => ErrorCode::RoomFull,
            Self::Banned { .. } => ErrorCode::Banned,
            Self::Locked => ErrorCode::RoomLocked,
            Self::NotOpenYet { .. } => ErrorCode::NotOpenYet,
            Self::Expired => ErrorCode::RoomExpired,
            Self::LobbyFull => ErrorCode::LobbyFull,
            Self::BadTicket => ErrorCode::Forbidden,
            Self::RoomClosed => ErrorCode::RoomClosed,
            Self::Shard(error) => error.code(),
        }
    }

    /// When trying again can be of use, in milliseconds, if that is known.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Banned { ends_in_ms } => *ends_in_ms,
            Self::NotOpenYet { opens_in_ms } => Some(*opens_in_ms),
            _ => None,
        }
    }
}

impl Hub {
    /// Makes the hub of some shards. `ice` is asked at each join; without `authorise` everybody may
    /// do everything. Rooms are kept in `store`, if there is one; [`Hub::restore`] opens those that are in it.
    #[must_use]
    pub fn new(
        config: HubConfig,
        inboxes: Vec<Inbox>,
        ice: IceServers,
        authorise: Option<Arc<dyn Authorize>>,
        store: Option<Store>,
    ) -> Self {
        let keepers = inboxes.iter().filter_map(|inbox| {
            let (store, inbox) = (store.clone()?, inbox.clone());
            Some(Keeper::new(store, Arc::new(move || inbox.wake())))
        });
        let rooms = Arc::new(Rooms::new(config.max_rooms, config.keep_closed, Keepers(keepers.collect())));
        let (sessions, stopping) = (watch::Sender::new(0), watch::Sender::new(false));
        let draining = watch::Sender::new(None);
        Self(Arc::new(Shared {
            config,
            inboxes,
            ice,
            authorise,
            store,
            rooms,
            settings: SettingsTable::default(),
            bans: Bans::default(),
            lobbies: Lobbies::default(),
            tickets: Tickets::default(),
            ringing: Arc::default(),
            sessions,
            draining,
            stopping,
        }))
    }

    /// Opens the rooms that the end of the process before this one interrupted. To be called in a runtime, and before
    /// anybody is let in. Returns how many.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn restore_rooms(&self) -> Result<usize, StoreError> {
        let Some(store) = &self.0.store else { return Ok(0) };
        self.restore_kept(store)?;
        let mut restored = 0;
        for (open, sessions) in restoring::find(store)? {
            let shard = self.0.rooms.place(self.0.inboxes.iter().map(|inbox| inbox.load().permille()));
            let (Some(keeper), Some(inbox)) = (self.0.rooms.keeper(shard), self.0.inboxes.get(shard)) else { continue };
            let restoring::Found { journal, members, written } =
                restoring::read(store, &open, sessions, (keeper, Arc::clone(self.0.rooms.ledger())))?;
            let Some(claim) = self.0.rooms.adopt(&journal, shard) else {
                tracing::warn!(room = %open.room, "a room is not opened again: there are as many as may be");
                continue;
            };
            let (voice_slots, resume_within) = (self.0.config.voice_slots, self.0.config.resume_within);
            let room = open.room;
            let restore = Restore { room, journal, members, written, voice_slots, resume_within };
            restored += usize::from(self.send(inbox, Command::Restore(restore)).is_ok());
            claim.settle();
        }
        Ok(restored)
    }

    /// Finds out whether somebody may enter a room, and whether they must wait to be let in.
    ///
    /// # Errors
    /// [`JoinError`] says why not.
    pub async fn check(&self, room: &RoomId, request: &JoinRequest) -> Result<Pass, JoinError> {
        let mut origin = Origin { identity: None, address: request.address };
        let ticket = request.token.as_deref().filter(|token| token.starts_with(tickets::PREFIX));
        let mut newcomer = Newcomer::from(request.name.clone());
        let grants = match ticket {
            None => {
                let Authorised { grants, identity, name, metadata, .. } = self.authorise(room, request).await?;
                origin.identity.clone_from(&identity);
                newcomer = Newcomer { name: name.unwrap_or(newcomer.name), identity, metadata };
                grants
            }
            Some(code) => {
                let ticket = self.0.tickets.redeem(Instant::now(), code, room, &request.name);
                let ticket = ticket.ok_or(JoinError::BadTicket)?;
                origin = ticket.origin;
                newcomer.identity.clone_from(&origin.identity);
                ticket.grants
            }
        };
        if let Some(fault) = too_long(&newcomer) {
            return Err(JoinError::Denied(fault));
        }
        let grants = Grants { limits: grants.limits.or(self.0.config.limits), ..grants };
        let at = now().unix_ms;
        if let Some(ban) = self.0.bans.find(at, room, &newcomer.name, &origin) {
            return Err(JoinError::Banned { ends_in_ms: ban.until.map(|until| until.saturating_sub(at)) });
        }
        let settings = self.settings(room);
        if let Some(opens_in_ms) = settings.not_before.and_then(|from| from.checked_sub(at)).filter(|ms| *ms > 0) {
            return Err(JoinError::NotOpenYet { opens_in_ms });
        }
        if settings.expires_at.is_some_and(|until| until <= at) {
            return Err(JoinError::Expired);
        }
        let is_expected = grants.admin || ticket.is_some();
        if settings.locked && !is_expected {
            return Err(JoinError::Locked);
        }
        let waits = settings.lobby.unwrap_or(self.0.config.lobby) && !is_expected;
        Ok(Pass { newcomer, grants, origin, waits })
    }

    /// Lets somebody into a room, opening it if need be, who has a pass and has waited if it says so.
    ///
    /// # Errors
    /// [`JoinError`] says why not.
    pub async fn enter_with(&self, room: &RoomId, request: JoinRequest, pass: Pass) -> Result<Admission, JoinError> {
        for _ in 0..JOIN_TRIES {
            match self.try_join(room, &request, &pass).await? {
                Ok(admission) => {
                    self.handle_entered(room, &admission);
                    return Ok(admission);
                }
                Err(JoinRefused::JournalClosed) => {}
                Err(JoinRefused::RoomFull(members)) => return Err(JoinError::RoomFull(members)),
                Err(JoinRefused::Stopping) => return Err(HubError::Stopping.into()),
            }
        }
        Err(JoinError::RoomClosed)
    }

    /// Lets a member that has lost its socket go on over another one. `None` if there is no such member (any more).
    ///
    /// # Errors
    /// [`HubError`] when its shard does not answer.
    pub async fn resume(&self, room: &RoomId, request: ResumeRequest) -> Result<Option<Comeback>, HubError> {
        let Some(inbox) = self.inbox_of(room) else { return Ok(None) };
        let ResumeRequest { epoch, member, secret, outbox } = request;
        let room = room.clone();
        let resume = |reply| Command::Resume(Resume { room: room.clone(), epoch, member, secret, outbox, reply });
        let returned = self.ask(inbox, resume).await?;
        Ok(returned.map(|returned| {
            let member = returned.member.id.clone();
            let ice_servers = (self.0.ice)(&member);
            let membership = Membership::new(inbox.clone(), room, member, returned.session);
            Comeback { returned, ice_servers, membership }
        }))
    }

    /// For how long the place of a member is kept whose socket is lost; zero for not at all.
    #[must_use]
    pub fn resume_within(&self) -> Duration {
        self.0.config.resume_within
    }

    /// Somebody is in: what they are to know besides.
    fn handle_entered(&self, room: &RoomId, admission: &Admission) {
        // The settings may have changed between the look at them and the opening of the room; it knows which are later.
        if let (Some(settings), Some(inbox)) = (self.0.settings.find(room), self.inbox_of(room)) {
            let told = self.send(inbox, Command::Settings { room: room.clone(), settings });
            if told.is_err() {
                tracing::warn!(%room, "the room could not be told how it is set up");
            }
        }
        if admission.grants.admin {
            self.tell_knocks(room, &admission.joined.member.id);
        }
    }

    /// Counts a new signalling socket, unless there are as many as may be or the server is stopping.
    #[must_use]
    pub fn enter(&self) -> Option<Presence> {
        if self.is_stopping() {
            return None;
        }
        Presence::new(&self.0.sessions, self.0.config.max_sessions)
    }

    /// The journals of all open rooms, ordered by id.
    #[must_use]
    pub fn rooms(&self) -> Vec<Arc<Journal>> {
        self.0.rooms.open()
    }

    /// The journal of a room that is open or was closed lately.
    #[must_use]
    pub fn room(&self, room: &RoomId) -> Option<Arc<Journal>> {
        self.0.rooms.find(room)
    }

    /// The events of all rooms in one sequence.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.0.rooms.ledger()
    }

    /// Ends a room; its members are told. Returns whether the shard took the wish.
    pub fn close_room(&self, room: &RoomId) -> bool {
        let Some(inbox) = self.inbox_of(room) else { return true };
        self.send(inbox, Command::CloseRoom { room: room.clone(), reason: RoomCloseReason::Closed }).is_ok()
    }

    /// Signalling sockets now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        *self.0.sessions.borrow()
    }

    /// The figures of each shard, in the order of their numbers.
    ///
    /// # Errors
    /// [`HubError`] when one does not answer in time, or at all.
    pub async fn stats(&self) -> Result<Vec<ShardStats>, HubError> {
        let all = self.ask_all(Command::Stats).await?;
        let told = self.0.inboxes.iter().zip(all);
        Ok(told.map(|(inbox, stats)| ShardStats { busy_permille: inbox.load().permille(), ..stats }).collect())
    }

    /// The figures of a room's members; `None` if it is not open.
    ///
    /// # Errors
    /// As [`Hub::stats`].
    pub async fn room_stats(&self, room: &RoomId) -> Result<Option<RoomStats>, HubError> {
        if self.inbox_of(room).is_none() {
            return Ok(None);
        }
        // A large room has members on several shards, each of which knows of its own.
        let parts = self.ask_all(|reply| Command::RoomStats { room: room.clone(), reply }).await?;
        let merged = parts.into_iter().flatten().reduce(|mut all, part| {
            all.members.extend(part.members);
            all
        });
        Ok(merged.map(|mut all| {
            all.members.sort_by(|a, b| a.member.cmp(&b.member));
            all
        }))
    }

    /// Changes what a member may receive and publish: where `limits` says nothing, to what everybody may. Returns what
    /// is in force now; `None` if there is no such member.
    ///
    /// # Errors
    /// As [`Hub::stats`].
    pub async fn set_limits(
        &self,
        room: &RoomId,
        member: &MemberId,
        limits: MemberLimits,
    ) -> Result<Option<MemberLimits>, HubError> {
        let limits = limits.or(self.0.config.limits);
        let Some(inbox) = self.inbox_of(room) else { return Ok(None) };
        let (room, member) = (room.clone(), member.clone());
        let is_there = self.ask(inbox, |reply| Command::Limit { room, member, limits, reply }).await?;
        Ok(is_there.then_some(limits))
    }

    /// Whether [`Hub::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Takes no new rooms from now on and tells everybody; waits until all sessions have gone, but no longer than `within`.
    pub async fn drain(&self, within: Duration) {
        self.0.draining.send_replace(Some(Instant::now() + within));
        let mut sessions = self.0.sessions.subscribe();
        let _ = tokio::time::timeout(within, sessions.wait_for(|count| *count == 0)).await;
    }

    /// Whether [`Hub::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.borrow().is_some()
    }

    /// Tells when the server ends at the latest, once that is known.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<Option<Instant>> {
        self.0.draining.subscribe()
    }

    /// Resolves once the hub is stopping.
    pub async fn stopped(&self) {
        let mut stopping = self.0.stopping.subscribe();
        // The sender lives as long as `self`, so this ends by the value only.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Refuses everybody new, ends all rooms, and waits until every session has said goodbye, but
    /// no longer than `within`. Returns the sessions that are still there.
    pub async fn stop(&self, within: Duration) -> usize {
        self.0.stopping.send_replace(true);
        let mut sessions = self.0.sessions.subscribe();
        let orderly = async {
            for inbox in &self.0.inboxes {
                while inbox.send(Command::Stop) == Err(SendError::Full) {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
            let _ = sessions.wait_for(|count| *count == 0).await;
        };
        let _ = tokio::time::timeout(within, orderly).await;
        self.sessions()
    }

    async fn authorise(&self, room: &RoomId, request: &JoinRequest) -> Result<Authorised, JoinError> {
        if self.is_stopping() {
            return Err(HubError::Stopping.into());
        }
        let Some(hook) = &self.0.authorise else {
            return Ok(self.settings(room).default_role.map_or(Grants::ALL, Grants::of).into());
        };
        let answer = hook.authorise(room, &request.name, request.token.as_deref());
        tokio::select! {
            answer = tokio::time::timeout(self.0.config.authorise_timeout, answer) => match answer {
                Ok(answer) => answer.map_err(JoinError::Denied),
                Err(_) => Err(JoinError::AuthoriseTimeout),
            },
            () = self.stopped() => Err(HubError::Stopping.into()),
        }
    }

    async fn try_join(
        &self,
        room: &RoomId,
        request: &JoinRequest,
        pass: &Pass,
    ) -> Result<Result<Admission, JoinRefused>, JoinError> {
        if self.is_draining() && self.0.rooms.shard_of(room).is_none() {
            return Err(HubError::Stopping.into());
        }
        let busy = self.0.inboxes.iter().map(|inbox| inbox.load().permille());
        let claim = self.0.rooms.claim(room, busy).ok_or(JoinError::TooManyRooms(self.0.config.max_rooms))?;
        let Some(inbox) = self.0.inboxes.get(claim.shard()) else { return Err(HubError::Failed.into()) };
        let (sender, receiver) = oneshot::channel();
        let settings = self.0.settings.find(room);
        let most = settings.as_ref().and_then(|settings| settings.max_members).unwrap_or(u32::MAX);
        let grants = pass.grants.clone();
        let join = Join {
            room: room.clone(),
            journal: Arc::clone(claim.journal()),
            newcomer: pass.newcomer.clone(),
            grants: grants.clone(),
            origin: pass.origin.clone(),
            settings,
            max_seats: request.max_seats.min(self.0.config.max_seats),
            max_members: self.0.config.max_members_per_room.min(usize::try_from(most).unwrap_or(usize::MAX)),
            voice_slots: self.0.config.voice_slots,
            resume_within: self.0.config.resume_within,
            outbox: request.outbox.clone(),
            reply: sender,
        };
        if let Err(error) = self.send(inbox, Command::Join(join)) {
            claim.settle();
            return Err(error.into());
        }
        let reply = Reply::new(receiver, inbox.clone(), room.clone());
        let answer = reply.wait(self.0.config.reply_timeout).await;
        if let Ok(Ok(joined)) = &answer {
            // A disk that is slow delays who comes, but nobody for ever.
            let _ = tokio::time::timeout(self.0.config.reply_timeout, joined.journal.shown(joined.seq)).await;
        }
        Ok(self.settle(claim, inbox, grants, answer)?)
    }

    /// Ends one try; the claim of a join without an answer stays, because the shard may yet open the room.
    fn settle(
        &self,
        claim: Claim,
        inbox: &Inbox,
        grants: Grants,
        answer: Result<Result<Joined, JoinRefused>, HubError>,
    ) -> Result<Result<Admission, JoinRefused>, HubError> {
        let joined = match answer {
            Ok(Ok(joined)) => joined,
            Ok(Err(refused)) => {
                claim.settle();
                return Ok(Err(refused));
            }
            Err(HubError::Failed | HubError::Stopping) => {
                claim.settle();
                return Err(self.gone());
            }
            Err(HubError::Overloaded) => return Err(HubError::Overloaded),
        };
        let room = claim.journal().room().clone();
        claim.settle();
        let ice_servers = (self.0.ice)(&joined.member.id);
        let membership = Membership::new(inbox.clone(), room, joined.member.id.clone(), joined.session);
        Ok(Ok(Admission { joined, grants, ice_servers, membership }))
    }

    /// The shard of an open room.
    fn inbox_of(&self, room: &RoomId) -> Option<&Inbox> {
        self.0.inboxes.get(self.0.rooms.shard_of(room)?)
    }

    /// Asks all shards at once and waits for their answers, in the order of their numbers.
    async fn ask_all<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Command) -> Result<Vec<T>, HubError> {
        let mut receivers = Vec::new();
        for inbox in &self.0.inboxes {
            let (sender, receiver) = oneshot::channel();
            self.send(inbox, question(sender))?;
            receivers.push(receiver);
        }
        let mut answers = Vec::new();
        for receiver in receivers {
            answers.push(self.answer(receiver).await?);
        }
        Ok(answers)
    }

    /// Asks a shard and waits for its answer.
    async fn ask<T>(&self, inbox: &Inbox, question: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, HubError> {
        let (sender, receiver) = oneshot::channel();
        self.send(inbox, question(sender))?;
        self.answer(receiver).await
    }

    async fn answer<T>(&self, receiver: oneshot::Receiver<T>) -> Result<T, HubError> {
        match tokio::time::timeout(self.0.config.reply_timeout, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(HubError::Overloaded),
        }
    }

    fn send(&self, inbox: &Inbox, command: Command) -> Result<(), HubError> {
        inbox.send(command).map_err(|error| match error {
            SendError::Full => HubError::Overloaded,
            SendError::Stopped => self.gone(),
        })
    }

    /// What it means that the shard is not there any more.
    fn gone(&self) -> HubError {
        if self.is_stopping() { HubError::Stopping } else { HubError::Failed }
    }
}

/// What the hook says of somebody goes to everybody, so that it is bounded.
fn too_long(newcomer: &Newcomer) -> Option<Denied> {
    let longer = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|text| text.len() > most);
    if longer(&newcomer.identity, MAX_IDENTITY_BYTES) {
        return Some(Denied::forbidden(format!("the identity is longer than {MAX_IDENTITY_BYTES} bytes")));
    }
    longer(&newcomer.metadata, MAX_METADATA_BYTES)
        .then(|| Denied::forbidden(format!("the metadata is longer than {MAX_METADATA_BYTES} bytes")))
}

/// Both clocks.
fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests;
