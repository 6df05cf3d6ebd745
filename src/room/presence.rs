//! Who comes, goes, is away and comes back, and who of them is listed.

use std::time::Instant;

use roundtable_protocol::event::{EventBody, LeaveReason, MemberInfo, RoomCloseReason};
use roundtable_protocol::limit::MAX_SEATS;
use roundtable_protocol::{Grants, MemberId, TrackId};

use super::audience::People;
use super::effect::Effect;
use super::member::{Member, Newcomer};
use super::slot::Seating;
use super::{FIRST_SEATS, Now, Room};

impl Room {
    /// Lets somebody in. The caller has checked name, grants and how many there are.
    pub fn join(&mut self, now: Now, newcomer: impl Into<Newcomer>, grants: Grants, max_seats: u16) -> MemberInfo {
        let Newcomer { name, identity, metadata, attributes } = newcomer.into();
        let info = MemberInfo { identity, metadata, attributes, ..MemberInfo::guest(self.ids.member(), name) };
        self.empty_since = None;
        self.joins += 1;
        let number = self.joins;
        let hidden = grants.hidden;
        let member = Member::new(now.instant, info.clone(), number, grants, max_seats.min(MAX_SEATS), FIRST_SEATS);
        self.members.insert(info.id.clone(), member);
        if hidden {
            self.hidden.insert(number, info.id.clone());
            if self.seq == 0 {
                // Others find the room by its journal, which is to have begun.
                let body = EventBody::Audience { viewers: 0, listed: Vec::new(), counted: Vec::new() };
                self.emit(now, body);
            }
            return info;
        }
        self.order.insert(number, info.id.clone());
        self.note_changed(&info.id);
        if self.audience.handle_join(self.order.len()) {
            self.emit(now, EventBody::Joined { member: info.clone() });
        } else {
            self.effects.push_back(Effect::Enter { member: info.clone() });
            self.handle_audience_change(now);
        }
        info
    }

    /// Takes somebody out, with their tracks. Unknown members change nothing.
    pub fn leave(&mut self, now: Now, id: &MemberId, reason: LeaveReason) {
        let Some(member) = self.members.remove(id) else { return };
        if self.hidden.remove(&member.number).is_some() {
            return;
        }
        self.order.remove(&member.number);
        self.end_typing(id, false);
        self.absence.end(id);
        self.note_changed(id);
        let was_listed = self.audience.handle_leave(member.number, id);
        self.speaking.retain(|m| m != id);
        if member.tracks > 0 {
            let gone: Vec<TrackId> = self.tracks.iter().filter(|t| t.member == *id).map(|t| t.id.clone()).collect();
            gone.iter().for_each(|track| self.forget_track(track));
        }
        self.speakers.remove(id);
        if self.members.is_empty() {
            self.empty_since = Some(now.instant);
        }
        if was_listed {
            self.emit(now, EventBody::Left { member: id.clone(), reason });
        } else {
            self.effects.push_back(Effect::Exit { member: id.clone() });
        }
        if self.closed {
            return;
        }
        self.handle_audience_change(now);
        if member.tracks > 0 {
            self.refit();
        }
    }

    /// A member has lost its socket. Its place is kept until then, and everything of it goes on.
    pub fn handle_away(&mut self, id: &MemberId, until: Instant) {
        self.end_typing(id, true);
        if let Some(member) = self.members.get(id) {
            self.absence.begin(id, member.number, until);
        }
    }

    /// A member has come back over another socket. It is asked again for what it may not have heard of.
    pub fn handle_back(&mut self, id: &MemberId) -> Option<&Member> {
        self.absence.end(id);
        let member = self.members.get_mut(id)?;
        let have = u16::try_from(member.seating.len()).unwrap_or(u16::MAX);
        if have > 0 && member.asked_seats > have {
            self.effects.push_back(Effect::Grow { member: id.clone(), seats: member.asked_seats });
        }
        self.members.get(id)
    }

    /// A member has lost its peer connection: it has no slots, and its tracks carry nothing until it has another one.
    pub fn handle_media_lost(&mut self, now: Now, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.seating = Seating::default();
        member.asked_seats = FIRST_SEATS.min(member.max_seats);
        for track in self.own_tracks(id) {
            self.idle_everywhere(&track);
            self.effects.push_back(Effect::Drop { track: track.clone() });
            self.absence.suspend(track);
        }
        self.set_speaking(now, id, false);
        self.refit();
    }

    /// Ends the tracks of a member that it did not go on with when it had a peer connection again.
    pub fn end_suspended(&mut self, now: Now, id: &MemberId) {
        for track in
            self.own_tracks(id).into_iter().filter(|track| self.absence.is_suspended(track)).collect::<Vec<_>>()
        {
            // Its own track by construction.
            let _ = self.unpublish(now, id, &track);
        }
    }

    /// Ends the room: everybody is out. A second call changes nothing.
    pub fn close(&mut self, now: Now, reason: RoomCloseReason) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let leave = match reason {
            RoomCloseReason::ServerStopping => LeaveReason::ServerStopping,
            _ => LeaveReason::RoomClosed,
        };
        let (order, hidden) = (std::mem::take(&mut self.order), std::mem::take(&mut self.hidden));
        for id in order.into_values() {
            self.leave(now, &id, leave);
        }
        hidden.into_values().for_each(|id| drop(self.members.remove(&id)));
        self.emit(now, EventBody::RoomClosed { reason });
    }

    /// Somebody publishes a track (more): they are listed before anybody hears of it.
    pub(super) fn note_publisher(&mut self, now: Now, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.tracks += 1;
        if !self.audience.handle_publish(member.number, id) {
            self.tell_audience(now, Some(id));
        }
    }

    /// Somebody did something: unless they publish, they are among those who did so lately.
    pub(super) fn note_act(&mut self, now: Now, id: &MemberId) {
        if self.members.get(id).is_some_and(|member| member.tracks == 0) {
            self.audience.handle_act(id);
            self.handle_audience_change(now);
        }
    }

    pub(super) fn handle_audience_change(&mut self, now: Now) {
        if self.audience.handle_change(now.instant, self.order.len()) {
            self.tell_audience(now, None);
        }
    }

    pub(super) fn tell_audience(&mut self, now: Now, publisher: Option<&MemberId>) {
        let people = People { order: &self.order, members: &self.members };
        if let Some(body) = self.audience.tell(now.instant, people, publisher) {
            self.emit(now, body);
        }
    }
}
