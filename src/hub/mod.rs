//! The door to the rooms: finds or opens a room's journal, lets people in, and is the only one
//! who talks to the shards.

mod asking;
mod authorize;
pub mod bans;
pub mod calls;
mod chat;
mod entering;
mod entry;
#[cfg(test)]
pub(crate) mod fake_shard;
mod figures;
mod keeping;
pub mod lobby;
mod members;
mod membership;
pub mod moderation;
mod placing;
mod presence;
mod quota;
mod restoring;
pub mod ringing;
mod rooms;
mod secret;
pub mod settings;
mod stopping;
mod tickets;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roundtable_protocol::event::RoomCloseReason;
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::limit::MAX_SEATS;
use roundtable_protocol::message::IceServer;
use roundtable_protocol::{MemberId, RoomId};
use tokio::sync::watch;

pub use self::asking::HubError;
pub use self::authorize::{Authorised, Authorising, Authorize, Denied};
use self::bans::Bans;
pub use self::entry::{Admission, Comeback, JoinError, JoinRequest, Pass, ResumeRequest};
use self::lobby::Lobbies;
pub use self::membership::Membership;
pub use self::moderation::Kept;
pub use self::presence::Presence;
use self::ringing::Ringing;
use self::rooms::{Keepers, Rooms};
use self::settings::SettingsTable;
use self::tickets::Tickets;
use crate::journal::ledger::Ledger;
use crate::journal::{Journal, Keeper};
use crate::room::Now;
use crate::shard::inbox::{Command, Inbox, Restore};
use crate::store::{Store, StoreError};

/// Tells the STUN and TURN servers of a member, with credentials made for it.
pub type IceServers = Arc<dyn Fn(&MemberId) -> Vec<IceServer> + Send + Sync>;

/// Bounds of the hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Rooms open at once; one more is refused with `room/too-many`.
    pub max_rooms: usize,
    /// How busy a shard may be before rooms are opened on another one, in thousandths.
    pub gather_below: u32,
    /// Rooms of one key, open or set up; one more is refused with `room/key-quota`. `None` for as many as there may be. The
    /// hook may have another figure for a key.
    pub max_rooms_per_key: Option<usize>,
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
            gather_below: 200,
            max_rooms_per_key: None,
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
        let rooms =
            Arc::new(Rooms::new(config.max_rooms, config.gather_below, config.keep_closed, Keepers(keepers.collect())));
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
            let shard = self.0.rooms.place(self.0.inboxes.iter().map(|inbox| inbox.load().lasting()));
            let (Some(keeper), Some(inbox)) = (self.0.rooms.keeper(shard), self.0.inboxes.get(shard)) else { continue };
            let restoring::Found { journal, members, written } =
                restoring::read(store, &open, sessions, (keeper, Arc::clone(self.0.rooms.ledger())))?;
            let Some(claim) = self.0.rooms.adopt(&journal, open.key.as_deref().map(Arc::from), shard) else {
                tracing::warn!(room = %open.room, "a room is not opened again: there are as many as may be");
                continue;
            };
            let (voice_slots, resume_within) = (self.0.config.voice_slots, self.0.config.resume_within);
            let (room, opened_by) = (open.room, open.key);
            let restore = Restore { room, journal, opened_by, members, written, voice_slots, resume_within };
            restored += usize::from(self.send(inbox, Command::Restore(restore)).is_ok());
            claim.settle();
        }
        Ok(restored)
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
}

/// Both clocks.
fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests;
