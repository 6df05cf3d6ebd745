//! What moderators do to a room, and what comes of it, as words between the hub and the room's home.

use std::net::IpAddr;
use std::time::Duration;

use roundtable_protocol::event::{LeaveReason, MemberInfo, TrackSource};
use roundtable_protocol::member::MemberChange;
use roundtable_protocol::role::GrantsChange;
use roundtable_protocol::{ErrorCode, Grants, MemberId, ServerMessage, TrackId};

use crate::room::moderation::HostMute;
use crate::room::showing::UpdateError;

/// What is known of where a member comes from: by that it is recognised when it comes again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who it has proven to be.
    pub identity: Option<String>,
    /// Its address, unless that says nothing of it.
    pub address: Option<IpAddr>,
}

/// For how long somebody who is moved has a place in the other room, and its peer connection is kept for that.
pub const MOVE_WITHIN: Duration = Duration::from_secs(30);

/// A peer connection without a member: that of somebody who is on the way to another room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptConnection {
    /// The shard that has it.
    pub shard: u8,
    /// By what it is found there. No secret: clients never see it.
    pub number: u64,
}

/// A member as a moderator's action needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// What others see.
    pub info: MemberInfo,
    /// What it may do.
    pub grants: Grants,
    /// Where it comes from.
    pub origin: Origin,
    /// The shard with its peer connection, if it has one.
    pub shard: Option<u8>,
}

/// What is done in a room.
#[derive(Debug)]
pub enum Deed {
    /// Nothing: whether it may be done is the question.
    Ask,
    /// Tells what is known of a member.
    Find(MemberId),
    /// Changes what a member may do.
    Permit(MemberId, GrantsChange),
    /// Changes what others see of a member, if that is of this version.
    Update(MemberId, Option<u64>, Box<MemberChange>),
    /// Mutes a track, or lifts that.
    Mute(TrackId, HostMute),
    /// The same for everybody who does not moderate.
    MuteAll(TrackSource, HostMute),
    /// Puts a member out.
    PutOut(Box<PutOut>),
    /// Ends the room, with a sentence for everybody.
    Close(Option<String>),
    /// Tells something.
    Tell(Audience, ServerMessage),
}

/// Somebody is to leave.
#[derive(Debug)]
pub struct PutOut {
    /// Who.
    pub member: MemberId,
    /// What they are told before.
    pub before: Option<ServerMessage>,
    /// The stable word.
    pub code: ErrorCode,
    /// A sentence for them.
    pub message: String,
    /// What the others are told.
    pub reason: LeaveReason,
    /// Its peer connection is kept under this number for the room it goes to.
    pub keep: Option<u64>,
}

/// Who is told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    All,
    /// Those who moderate.
    Moderators,
    /// One member.
    One(MemberId),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It is done, and there is nothing to say of it.
    Plain,
    /// It is done to so many.
    Count(usize),
    /// What a member may do now.
    Grants(Grants),
    /// Who a member is.
    Person(Box<Person>),
    /// What others see of a member now.
    Member(Box<MemberInfo>),
}

/// Why it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeedRefused {
    /// Who wants it may not moderate.
    #[error("only who moderates this room may do that")]
    Forbidden,
    /// The room is not open.
    #[error("there is no such room now")]
    NoRoom,
    /// There is no such member.
    #[error("there is no such member in this room now")]
    NoMember,
    /// There is no such track.
    #[error("there is no such track in this room now")]
    NoTrack,
    /// What others see of a member cannot be that.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

impl DeedRefused {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Forbidden => ErrorCode::ModerationForbidden,
            Self::NoRoom => ErrorCode::RoomUnknown,
            Self::NoMember => ErrorCode::MemberUnknown,
            Self::NoTrack => ErrorCode::TrackUnknown,
            Self::Update(error) => error.code(),
        }
    }
}
