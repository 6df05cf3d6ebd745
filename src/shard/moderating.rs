//! What moderators do to a room that lives here, and what the server announces in it.

use std::net::IpAddr;
use std::time::Instant;

use roundtable_protocol::event::{LeaveReason, RoomCloseReason, TrackSource};
use roundtable_protocol::role::GrantsChange;
use roundtable_protocol::settings::RoomSettings;
use roundtable_protocol::{ErrorCode, Grants, MemberId, RoomId, ServerMessage, TrackId};

use super::core::{Core, clocks};
use super::inbox::ToMember;
use crate::room::moderation::HostMute;

/// What is known of where a member comes from: by that it is recognised when it comes again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who it has proven to be.
    pub identity: Option<String>,
    /// Its address, unless that says nothing of it.
    pub address: Option<IpAddr>,
}

/// A member as a moderator's action needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name others see.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// Where it comes from.
    pub origin: Origin,
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
    /// It is done.
    Done,
    /// … to so many.
    Count(usize),
    /// What a member may do now.
    Grants(Grants),
    /// Who a member is.
    Person(Box<Person>),
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
        }
    }
}

impl Core {
    /// Does what a moderator wants: a member, which must be allowed to, or the server's operator.
    pub(super) fn moderate(
        &mut self,
        now: Instant,
        room: &RoomId,
        by: Option<&MemberId>,
        deed: Deed,
    ) -> Result<Done, DeedRefused> {
        let key = self.names.get(room).copied().ok_or(DeedRefused::NoRoom)?;
        let home = self.home(key).ok_or(DeedRefused::NoRoom)?;
        if by.is_some_and(|member| !home.room.may_moderate(member)) {
            return Err(DeedRefused::Forbidden);
        }
        let outcome = self.carry_out(now, key, deed);
        self.look_after(now, key);
        outcome
    }

    fn carry_out(&mut self, now: Instant, key: usize, deed: Deed) -> Result<Done, DeedRefused> {
        let clocks = clocks(now);
        let home = self.home(key).ok_or(DeedRefused::NoRoom)?;
        match deed {
            Deed::Ask => Ok(Done::Done),
            Deed::Find(member) => {
                let (grants, name) = home.room.person(&member).ok_or(DeedRefused::NoMember)?;
                let presence = home.members.get(&member).ok_or(DeedRefused::NoMember)?;
                Ok(Done::Person(Box::new(Person { name: name.to_owned(), grants, origin: presence.origin.clone() })))
            }
            Deed::Permit(member, change) => {
                let grants = change.over(&home.room.grants(&member).ok_or(DeedRefused::NoMember)?);
                home.room.set_grants(clocks, &member, grants);
                Ok(Done::Grants(grants))
            }
            Deed::Mute(track, how) => {
                home.room.host_mute(clocks, &track, how).map_err(|_| DeedRefused::NoTrack)?;
                Ok(Done::Count(1))
            }
            Deed::MuteAll(source, how) => Ok(Done::Count(home.room.host_mute_all(clocks, source, how))),
            Deed::PutOut(out) => self.put_out(now, key, *out),
            Deed::Close(message) => {
                self.close_room_saying(now, key, RoomCloseReason::Closed, message);
                Ok(Done::Done)
            }
            Deed::Tell(audience, message) => {
                if matches!(&audience, Audience::One(member) if !home.members.contains_key(member)) {
                    return Err(DeedRefused::NoMember);
                }
                home.announce(&audience, &message);
                Ok(Done::Done)
            }
        }
    }

    fn put_out(&mut self, now: Instant, key: usize, out: PutOut) -> Result<Done, DeedRefused> {
        let PutOut { member, before, code, message, reason } = out;
        let home = self.home(key).filter(|home| home.members.contains_key(&member)).ok_or(DeedRefused::NoMember)?;
        if let Some(before) = before {
            home.say(&member, before);
        }
        home.tell(&member, ToMember::Close { code, message, reconnect_after_ms: None });
        self.remove_member(now, key, &member, reason);
        Ok(Done::Done)
    }

    /// Tells those of a room something, if it is open.
    pub(super) fn announce(&mut self, now: Instant, room: &RoomId, audience: &Audience, message: &ServerMessage) {
        let Some(key) = self.names.get(room).copied() else { return };
        if let Some(home) = self.home(key) {
            home.announce(audience, message);
        }
        self.look_after(now, key);
    }

    /// Gives an open room other settings.
    pub(super) fn set_settings(&mut self, now: Instant, room: &RoomId, settings: RoomSettings) {
        let Some(key) = self.names.get(room).copied() else { return };
        if let Some(home) = self.home(key) {
            home.room.set_settings(clocks(now), settings);
        }
        self.look_after(now, key);
    }
}
