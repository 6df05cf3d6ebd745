//! What moderators change in a room: what others may do, who is muted, how the room is set up.
//!
//! A mute that *holds* is of a member's source, not of one track: what the member publishes of that source later begins
//! muted as well. What the owner itself last said of a held track is kept, and is what counts when the hold is lifted:
//! a moderator never switches anybody's microphone on who switched it off.

use std::time::{Duration, Instant};

use roundtable_protocol::event::{EventBody, MemberInfo, TrackInfo, TrackSource};
use roundtable_protocol::role::Role;
use roundtable_protocol::settings::RoomSettings;
use roundtable_protocol::{ErrorCode, Grants, MemberId, TrackId};

use super::{Effect, Now, Room, UnknownTrack};

/// Why an owner could not mute or unmute a track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MuteError {
    /// It is not theirs.
    #[error(transparent)]
    Unknown(#[from] UnknownTrack),
    /// A moderator muted it.
    #[error("a moderator muted this; only a moderator can lift that")]
    Held,
}

impl MuteError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode::TrackUnknown,
            Self::Held => ErrorCode::MutedByHost,
        }
    }
}

/// How a moderator mutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostMute {
    /// Silent until a moderator lifts it.
    Hold,
    /// Silent until the owner unmutes.
    Request,
    /// As the owner wants it.
    Lift,
}

impl HostMute {
    /// What the two flags of the wire mean.
    #[must_use]
    pub fn new(muted: bool, hold: bool) -> Self {
        match (muted, hold) {
            (true, true) => Self::Hold,
            (true, false) => Self::Request,
            (false, _) => Self::Lift,
        }
    }
}

impl Room {
    /// Whether a member may moderate.
    #[must_use]
    pub fn may_moderate(&self, id: &MemberId) -> bool {
        self.members.get(id).is_some_and(|member| member.grants.admin)
    }

    /// Everybody who may moderate, in no order.
    pub fn moderators(&self) -> impl Iterator<Item = &MemberId> {
        self.members.iter().filter(|(_, member)| member.grants.admin).map(|(id, _)| id)
    }

    /// What a member may do.
    #[must_use]
    pub fn grants(&self, id: &MemberId) -> Option<Grants> {
        self.members.get(id).map(|member| member.grants.clone())
    }

    /// What a member may do, and what others see of it.
    #[must_use]
    pub fn person(&self, id: &MemberId) -> Option<(Grants, &MemberInfo)> {
        self.members.get(id).map(|member| (member.grants.clone(), &member.info))
    }

    /// Changes what a member may do, at once: tracks that it may not publish any more end, slots of one who may not
    /// receive any more fall idle. Returns whether there is such a member.
    pub fn set_grants(&mut self, now: Now, id: &MemberId, grants: Grants) -> bool {
        let Some(member) = self.members.get_mut(id) else { return false };
        let before = std::mem::replace(&mut member.grants, grants.clone());
        if before == grants {
            return true;
        }
        let forbidden = |track: &&TrackInfo| track.member == *id && !grants.may_publish(track.source);
        for track in self.tracks.iter().filter(forbidden).map(|track| track.id.clone()).collect::<Vec<_>>() {
            self.effects.push_back(Effect::FreeLine { member: id.clone(), track: track.clone() });
            // It is the member's own: it was found so above.
            let _ = self.unpublish(now, id, &track);
        }
        if before.limits != grants.limits {
            self.effects.push_back(Effect::Limit { member: id.clone() });
        }
        if before.subscribe != grants.subscribe {
            self.effects.push_back(Effect::Hear { member: id.clone(), hears: grants.subscribe });
        }
        self.refit_member(id);
        let role = Role::nearest(&grants);
        self.effects.push_back(Effect::Grants { member: id.clone(), grants });
        self.note_changed(id);
        if role != Role::nearest(&before) {
            self.emit(now, EventBody::PermissionsChanged { member: id.clone(), role });
        }
        true
    }

    /// Mutes or unmutes an own track. What a moderator muted stays silent, but a wish to be muted is noted.
    ///
    /// # Errors
    /// [`MuteError`] if it is not the member's, or is not its to unmute.
    pub fn mute(&mut self, now: Now, id: &MemberId, track: &TrackId, muted: bool) -> Result<(), MuteError> {
        let source = self.own_track(id, track)?.source;
        if !self.is_held(id, source) {
            return Ok(self.set_muted(now, id, track, muted, None)?);
        }
        if !muted {
            return Err(MuteError::Held);
        }
        self.mutes_under_hold.insert(track.clone(), true);
        Ok(())
    }

    /// Mutes a track for its owner, or lifts that.
    ///
    /// # Errors
    /// [`UnknownTrack`] if nobody publishes it.
    pub fn host_mute(&mut self, now: Now, track: &TrackId, how: HostMute) -> Result<(), UnknownTrack> {
        let info = self.track(track).ok_or_else(|| UnknownTrack(track.clone()))?;
        let (owner, source) = (info.member.clone(), info.source);
        self.host_mute_source(now, &owner, source, how);
        Ok(())
    }

    /// The same for all tracks of a source whose owners do not moderate. Returns how many tracks there are of them.
    pub fn host_mute_all(&mut self, now: Now, source: TrackSource, how: HostMute) -> usize {
        let of_source = self.tracks.iter().filter(|track| track.source == source && !self.may_moderate(&track.member));
        let mut owners: Vec<MemberId> = of_source.map(|track| track.member.clone()).collect();
        let count = owners.len();
        owners.sort();
        owners.dedup();
        owners.iter().for_each(|owner| self.host_mute_source(now, owner, source, how));
        count
    }

    /// Gives the room other settings, unless it has later ones already.
    pub fn set_settings(&mut self, now: Now, settings: RoomSettings) {
        if self.settings.as_ref().is_some_and(|known| known.version >= settings.version) {
            return;
        }
        self.settings = Some(settings.clone());
        self.emit(now, EventBody::RoomUpdated { settings: Box::new(settings) });
    }

    /// When the room is to end because nobody is in it; `None` while somebody is.
    #[must_use]
    pub fn ends_at(&self) -> Option<Instant> {
        let stays = self.settings.as_ref().and_then(|settings| settings.empty_timeout_s).unwrap_or(0);
        self.empty_since.map(|since| since + Duration::from_secs(stays.into()))
    }

    /// Whether a moderator muted a source of a member so that it cannot unmute it.
    #[must_use]
    pub fn is_held(&self, id: &MemberId, source: TrackSource) -> bool {
        self.members.get(id).is_some_and(|member| member.held.contains(&source))
    }

    fn host_mute_source(&mut self, now: Now, owner: &MemberId, source: TrackSource, how: HostMute) {
        let Some(member) = self.members.get_mut(owner) else { return };
        let was_held = member.held.contains(&source);
        match how {
            HostMute::Hold if !was_held => member.held.push(source),
            HostMute::Lift => member.held.retain(|held| *held != source),
            HostMute::Hold | HostMute::Request => {}
        }
        let tracks = self.tracks.iter().filter(|track| track.member == *owner && track.source == source);
        for (track, muted) in tracks.map(|track| (track.id.clone(), track.muted)).collect::<Vec<_>>() {
            let (muted, code) = match how {
                HostMute::Hold => {
                    self.mutes_under_hold.entry(track.clone()).or_insert(muted);
                    (true, Some(ErrorCode::MutedByHost))
                }
                HostMute::Request if was_held => {
                    self.mutes_under_hold.insert(track.clone(), true);
                    continue;
                }
                HostMute::Request => (true, None),
                HostMute::Lift => (self.mutes_under_hold.remove(&track).unwrap_or(muted), None),
            };
            // Its owner's by construction.
            let _ = self.set_muted(now, owner, &track, muted, code);
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable_protocol::message::PublishRequest;

    use super::*;
    use roundtable_protocol::LeaveReason;

    const START: u64 = 1_795_428_000_000;

    fn now() -> Now {
        Now { instant: Instant::now(), unix_ms: START } // An origin; no test waits for real time.
    }

    fn publish(room: &mut Room, member: &MemberId, source: TrackSource, muted: bool) -> TrackId {
        let request = PublishRequest { mid: "0".into(), source, muted: false, track: None };
        let id = room.reserve_tracks(member, &[request]).remove(0);
        let codec = String::from("opus");
        let info = TrackInfo { id: id.clone(), member: member.clone(), source, muted, codec, layers: 1 };
        room.publish(now(), info);
        id
    }

    fn drain(room: &mut Room) -> Vec<Effect> {
        std::iter::from_fn(|| room.poll_effect()).collect()
    }

    fn is_muted(room: &Room, track: &TrackId) -> bool {
        room.track(track).is_some_and(|track| track.muted)
    }

    fn join(room: &mut Room, grants: Grants) -> MemberId {
        room.join(now(), "Somebody", grants, 8).id
    }

    #[test]
    fn who_may_not_publish_any_more_loses_its_tracks_at_once_and_is_told() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::ALL);
        let bob = join(&mut room, Grants::ALL);
        room.add_seats(&bob, [(Some("a".into()), Some("v".into()))]);
        let track = publish(&mut room, &ann, TrackSource::Camera, false);
        drain(&mut room);
        assert!(room.set_grants(now(), &ann, Grants::of(Role::Listener)));
        let effects = drain(&mut room);
        assert!(effects.contains(&Effect::FreeLine { member: ann.clone(), track: track.clone() }));
        assert!(effects.contains(&Effect::Drop { track: track.clone() }));
        assert!(effects.contains(&Effect::Grants { member: ann.clone(), grants: Grants::of(Role::Listener) }));
        let bodies: Vec<&EventBody> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Event(event) => Some(&event.body),
                _ => None,
            })
            .collect();
        let unpublished = EventBody::Unpublished { track, member: ann.clone() };
        let changed = EventBody::PermissionsChanged { member: ann.clone(), role: Role::Listener };
        assert_eq!(bodies, [&unpublished, &changed]);
        assert!(room.check_publish(&ann, &[TrackSource::Camera]).is_err());

        room.set_grants(now(), &ann, Grants::ALL);
        assert!(room.check_publish(&ann, &[TrackSource::Camera]).is_ok(), "and back");
        assert!(!room.set_grants(now(), &MemberId::new("nobody").unwrap(), Grants::ALL));
    }

    #[test]
    fn who_may_not_receive_any_more_has_idle_slots() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::ALL);
        let bob = join(&mut room, Grants::ALL);
        room.add_seats(&bob, [(Some("a".into()), Some("v".into()))]);
        publish(&mut room, &ann, TrackSource::Camera, false);
        assert!(room.slot(&bob, "v").is_some_and(|(_, track)| track.is_some()));
        drain(&mut room);
        room.set_grants(now(), &bob, Grants::of(Role::MessageOnly));
        assert!(room.slot(&bob, "v").is_some_and(|(_, track)| track.is_none()));
        assert!(drain(&mut room).contains(&Effect::Hear { member: bob.clone(), hears: false }));
        room.set_grants(now(), &bob, Grants::of(Role::Listener));
        assert!(room.slot(&bob, "v").is_some_and(|(_, track)| track.is_some()), "and again");
    }

    #[test]
    fn a_mute_that_holds_outlives_the_wish_of_its_owner_and_another_publication() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::ALL);
        let first = publish(&mut room, &ann, TrackSource::Microphone, false);
        room.host_mute(now(), &first, HostMute::Hold).unwrap();
        assert!(is_muted(&room, &first));
        assert_eq!(room.mute(now(), &ann, &first, false), Err(MuteError::Held));
        room.unpublish(now(), &ann, &first).unwrap();
        let second = publish(&mut room, &ann, TrackSource::Microphone, false);
        assert!(is_muted(&room, &second), "it begins silent");
        assert_eq!(room.mute(now(), &ann, &second, false), Err(MuteError::Held));
        let camera = publish(&mut room, &ann, TrackSource::Camera, false);
        assert!(!is_muted(&room, &camera), "another source is another matter");
        room.host_mute(now(), &second, HostMute::Lift).unwrap();
        assert!(!is_muted(&room, &second), "as its owner wanted it");
        room.mute(now(), &ann, &second, true).unwrap();
        room.mute(now(), &ann, &second, false).unwrap();
    }

    #[test]
    fn nobody_is_unmuted_who_muted_themselves() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::ALL);
        let muted_before = publish(&mut room, &ann, TrackSource::Microphone, true);
        let muted_meanwhile = publish(&mut room, &ann, TrackSource::Camera, false);
        for track in [&muted_before, &muted_meanwhile] {
            room.host_mute(now(), track, HostMute::Hold).unwrap();
        }
        room.mute(now(), &ann, &muted_meanwhile, true).unwrap();
        for track in [&muted_before, &muted_meanwhile] {
            room.host_mute(now(), track, HostMute::Lift).unwrap();
            assert!(is_muted(&room, track));
        }
    }

    #[test]
    fn a_request_can_be_undone_by_the_owner() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::ALL);
        let track = publish(&mut room, &ann, TrackSource::Microphone, false);
        room.host_mute(now(), &track, HostMute::Request).unwrap();
        assert!(is_muted(&room, &track));
        room.mute(now(), &ann, &track, false).unwrap();
        assert!(!is_muted(&room, &track));
        assert!(room.host_mute(now(), &TrackId::new("t0").unwrap(), HostMute::Hold).is_err());
    }

    #[test]
    fn muting_all_leaves_those_out_who_moderate() {
        let mut room = Room::new(1);
        let host = join(&mut room, Grants::of(Role::Host));
        let ann = join(&mut room, Grants::ALL);
        let own = publish(&mut room, &host, TrackSource::Microphone, false);
        let hers = publish(&mut room, &ann, TrackSource::Microphone, false);
        let camera = publish(&mut room, &ann, TrackSource::Camera, false);
        assert_eq!(room.host_mute_all(now(), TrackSource::Microphone, HostMute::Hold), 1);
        assert_eq!([&own, &hers, &camera].map(|track| is_muted(&room, track)), [false, true, false]);
        room.host_mute_all(now(), TrackSource::Microphone, HostMute::Lift);
        assert!(!is_muted(&room, &hers));
    }

    #[test]
    fn an_empty_room_ends_at_once_or_when_its_settings_say() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::ALL);
        assert_eq!(room.ends_at(), None);
        let at = now();
        room.leave(at, &ann, LeaveReason::Left);
        assert_eq!(room.ends_at(), Some(at.instant));
        let settings = RoomSettings { version: 1, empty_timeout_s: Some(60), ..RoomSettings::default() };
        room.set_settings(at, settings);
        assert_eq!(room.ends_at(), Some(at.instant + Duration::from_secs(60)));
        join(&mut room, Grants::ALL);
        assert_eq!(room.ends_at(), None);
    }

    #[test]
    fn settings_that_come_late_change_nothing() {
        let mut room = Room::new(1);
        let settings = |version| RoomSettings { version, ..RoomSettings::default() };
        let told = |room: &mut Room, version| {
            room.set_settings(now(), settings(version));
            drain(room).len()
        };
        let counts = [3, 2, 3, 4].map(|version| told(&mut room, version));
        assert_eq!(counts, [1, 0, 0, 1]);
    }
}
