//! Does what moderators want of a room that lives here, and what the server announces in it.

use std::time::Instant;

use roundtable_protocol::event::RoomCloseReason;
use roundtable_protocol::settings::RoomSettings;
use roundtable_protocol::{MemberId, RoomId, ServerMessage};

use super::core::{Core, clocks};
use super::deed::{Audience, Deed, DeedRefused, Done, Person, PutOut};
use super::inbox::ToMember;

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
            Deed::Ask => Ok(Done::Plain),
            Deed::Find(member) => {
                let (grants, info) = home.room.person(&member).ok_or(DeedRefused::NoMember)?;
                let presence = home.members.get(&member).ok_or(DeedRefused::NoMember)?;
                let (info, origin, shard) = (info.clone(), presence.origin.clone(), presence.shard);
                Ok(Done::Person(Box::new(Person { info, grants, origin, shard })))
            }
            Deed::Update(member, expect, change) => {
                Ok(Done::Member(Box::new(home.room.update(clocks, &member, expect, &change)?)))
            }
            Deed::Permit(member, change) => {
                let grants = change.over(&home.room.grants(&member).ok_or(DeedRefused::NoMember)?);
                home.room.set_grants(clocks, &member, grants.clone());
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
                Ok(Done::Plain)
            }
            Deed::Tell(audience, message) => {
                if matches!(&audience, Audience::One(member) if !home.members.contains_key(member)) {
                    return Err(DeedRefused::NoMember);
                }
                home.announce(&audience, &message);
                Ok(Done::Plain)
            }
        }
    }

    fn put_out(&mut self, now: Instant, key: usize, out: PutOut) -> Result<Done, DeedRefused> {
        let PutOut { member, before, code, message, reason, keep } = out;
        let home = self.home(key).filter(|home| home.members.contains_key(&member)).ok_or(DeedRefused::NoMember)?;
        if let Some(before) = before {
            home.say(&member, before);
        }
        home.tell(&member, ToMember::Close { code, message, reconnect_after_ms: None });
        self.remove_member_keeping(now, key, &member, reason, keep);
        Ok(Done::Plain)
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
