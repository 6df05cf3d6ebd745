//! What is asked for, given and refused at the door: the words of an entry.

use std::net::IpAddr;

use roundtable_protocol::message::IceServer;
use roundtable_protocol::{ErrorCode, Grants, MemberId};

use super::asking::HubError;
use super::authorize::Denied;
use super::membership::Membership;
use crate::room::member::Newcomer;
use crate::shard::deed::{KeptConnection, Origin};
use crate::shard::inbox::{Joined, Outbox, ResumeSecret, Returned};

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
    /// Whether the client still has the peer connection it had in the room that it was moved from.
    pub media: bool,
    /// Where the member's session listens.
    pub outbox: Outbox,
}

/// Leave to enter a room, given by [`Hub::check`].
#[derive(Debug, Clone)]
pub struct Pass {
    pub(super) newcomer: Newcomer,
    pub(super) grants: Grants,
    pub(super) origin: Origin,
    pub(super) waits: bool,
    /// The peer connection to go on with, if the client wants that.
    pub(super) connection: Option<KeptConnection>,
    /// Whose room it is if this opens it.
    pub(super) key: Option<String>,
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
    /// The key has as many rooms as it may.
    #[error("the key of your token has {0} rooms and gets no further one")]
    KeyQuota(usize),
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

impl JoinError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Denied(denied) => denied.code,
            Self::AuthoriseTimeout => ErrorCode::Overloaded,
            Self::TooManyRooms(_) => ErrorCode::TooManyRooms,
            Self::KeyQuota(_) => ErrorCode::KeyQuota,
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
