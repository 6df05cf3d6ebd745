//! What members publish: how much, from where, and what becomes of a track.

use roundtable_protocol::event::{EventBody, TrackInfo, TrackSource};
use roundtable_protocol::grant::Sources;
use roundtable_protocol::limit::MAX_TRACKS_PER_MEMBER;
use roundtable_protocol::message::PublishRequest;
use roundtable_protocol::{ErrorCode, MemberId, TrackId};

use super::effect::Effect;
use super::{Now, Room};

/// Why a member was not allowed to publish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The member carries no grant for publishing.
    #[error("this member may not publish")]
    Forbidden,
    /// The member may publish, and nothing from this source.
    #[error("this member may not publish from {0:?}")]
    Source(TrackSource),
    /// The member publishes as much as it may.
    #[error("a member publishes at most {MAX_TRACKS_PER_MEMBER} tracks")]
    TooManyTracks,
}

impl PublishError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Forbidden | Self::Source(_) => ErrorCode::PublishForbidden,
            Self::TooManyTracks => ErrorCode::TooManyTracks,
        }
    }
}

/// What a member may publish besides what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many further tracks.
    pub tracks: usize,
    /// From which sources; from all of them if `None`.
    pub sources: Option<Sources>,
}

/// No such track, or not the member's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no track {0} of this member")]
pub struct UnknownTrack(pub TrackId);

impl Room {
    /// What a member may publish besides what it does.
    ///
    /// # Errors
    /// [`PublishError::Forbidden`] if it may not publish at all.
    pub fn publish_allowance(&self, id: &MemberId) -> Result<Allowance, PublishError> {
        let member = self.members.get(id).filter(|m| m.grants.publish && !m.grants.hidden);
        let member = member.ok_or(PublishError::Forbidden)?;
        let carrying = |track: &&TrackInfo| track.member == *id && !self.absence.is_suspended(&track.id);
        let tracks = MAX_TRACKS_PER_MEMBER.saturating_sub(self.tracks.iter().filter(carrying).count());
        Ok(Allowance { tracks, sources: member.grants.sources })
    }

    /// Checks whether a member may publish further tracks from these sources.
    ///
    /// # Errors
    /// [`PublishError`] says why not.
    pub fn check_publish(&self, id: &MemberId, more: &[TrackSource]) -> Result<(), PublishError> {
        check_allowance(&self.publish_allowance(id), more)
    }

    /// Makes an id for each track that is about to be published, so that the plane knows it before anybody hears of it. A
    /// track that goes on after its peer connection was lost keeps its own.
    pub fn reserve_tracks(&mut self, id: &MemberId, requests: &[PublishRequest]) -> Vec<TrackId> {
        let mut reserved: Vec<TrackId> = Vec::with_capacity(requests.len());
        for request in requests {
            let is_it = |info: &&TrackInfo| {
                Some(&info.id) == request.track.as_ref() && info.member == *id && info.source == request.source
            };
            let waiting = self.tracks.iter().find(is_it).map(|info| info.id.clone());
            let waiting = waiting.filter(|track| self.absence.is_suspended(track) && !reserved.contains(track));
            reserved.push(waiting.unwrap_or_else(|| self.ids.track()));
        }
        reserved
    }

    /// Publishes a track; the caller has asked [`Room::check_publish`] and [`Room::reserve_tracks`].
    pub fn publish(&mut self, now: Now, mut track: TrackInfo) {
        if self.is_held(&track.member, track.source) {
            let own = std::mem::replace(&mut track.muted, true);
            self.mutes_under_hold.insert(track.id.clone(), own);
        }
        let muted = track.muted;
        let id = track.id.clone();
        if self.absence.release(&id) {
            return self.go_on(now, track);
        }
        self.tracks.push(track.clone());
        self.note_changed(&track.member);
        self.note_publisher(now, &track.member);
        self.rank(&track);
        self.emit(now, EventBody::Published { track });
        if muted {
            self.effects.push_back(Effect::Pause { track: id, paused: true });
        }
        self.refit();
    }

    /// Ends an own publication.
    ///
    /// # Errors
    /// [`UnknownTrack`] if it is not the member's.
    pub fn unpublish(&mut self, now: Now, id: &MemberId, track: &TrackId) -> Result<(), UnknownTrack> {
        let voice = self.own_track(id, track)?.source == TrackSource::Microphone;
        self.forget_track(track);
        self.note_changed(id);
        self.emit(now, EventBody::Unpublished { track: track.clone(), member: id.clone() });
        if voice {
            self.set_speaking(now, id, false);
        }
        self.note_act(now, id);
        self.refit();
        Ok(())
    }

    /// Mutes a track that breaks a rule for its owner, who is told why by `code`. Returns the owner; `None` if there was nothing to mute.
    pub fn mute_for(&mut self, now: Now, track: &TrackId, code: ErrorCode) -> Option<MemberId> {
        let owner = self.track(track).filter(|info| !info.muted)?.member.clone();
        // Its own track by construction.
        self.set_muted(now, &owner, track, true, Some(code)).ok()?;
        Some(owner)
    }

    pub(super) fn own_track(&mut self, id: &MemberId, track: &TrackId) -> Result<&mut TrackInfo, UnknownTrack> {
        self.tracks.iter_mut().find(|t| t.id == *track && t.member == *id).ok_or_else(|| UnknownTrack(track.clone()))
    }

    pub(super) fn set_muted(
        &mut self,
        now: Now,
        id: &MemberId,
        track: &TrackId,
        muted: bool,
        code: Option<ErrorCode>,
    ) -> Result<(), UnknownTrack> {
        let info = self.own_track(id, track)?;
        if info.muted == muted {
            return Ok(());
        }
        info.muted = muted;
        let voice = info.source == TrackSource::Microphone;
        self.note_changed(id);
        self.effects.push_back(Effect::Pause { track: track.clone(), paused: muted });
        self.emit(now, EventBody::Muted { track: track.clone(), member: id.clone(), muted, code });
        if muted && voice {
            self.set_speaking(now, id, false);
        }
        // A muted picture takes nobody's place.
        self.refit_chosen();
        Ok(())
    }

    /// A track that waited for its owner carries something again. Whoever knows it is told of what is different.
    pub(super) fn go_on(&mut self, now: Now, track: TrackInfo) {
        let Some(known) = self.tracks.iter_mut().find(|known| known.id == track.id) else { return };
        let before = std::mem::replace(known, track.clone());
        self.note_changed(&track.member);
        self.rank(&track);
        if (TrackInfo { muted: track.muted, ..before.clone() }) != track {
            self.emit(now, EventBody::Published { track: track.clone() });
        } else if before.muted != track.muted {
            let TrackInfo { id, member, muted, .. } = track.clone();
            self.emit(now, EventBody::Muted { track: id, member, muted, code: None });
        }
        if track.muted {
            self.effects.push_back(Effect::Pause { track: track.id, paused: true });
        }
        self.refit();
    }

    pub(super) fn own_tracks(&self, id: &MemberId) -> Vec<TrackId> {
        self.tracks.iter().filter(|track| track.member == *id).map(|track| track.id.clone()).collect()
    }

    pub(super) fn forget_track(&mut self, track: &TrackId) {
        self.absence.release(track);
        self.mutes_under_hold.remove(track);
        if let Some(at) = self.tracks.iter().position(|t| t.id == *track) {
            let TrackInfo { member, .. } = self.tracks.remove(at);
            // Who leaves is no member any more.
            if let Some(owner) = self.members.get_mut(&member) {
                owner.tracks -= 1;
            }
        }
        for id in self.order.values().chain(self.hidden.values()) {
            let Some(member) = self.members.get_mut(id) else { continue };
            member.forget(track);
            let idled = member.seating.idle(track);
            self.effects.extend(idled.map(|assignment| Effect::Assign { member: id.clone(), assignment }));
        }
        self.effects.push_back(Effect::Drop { track: track.clone() });
    }
}

/// Checks whether further tracks from these sources are within what a member may publish.
///
/// # Errors
/// [`PublishError`] says why not.
pub fn check_allowance(allowance: &Result<Allowance, PublishError>, more: &[TrackSource]) -> Result<(), PublishError> {
    if more.is_empty() {
        return Ok(());
    }
    let Allowance { tracks, sources } = allowance.clone()?;
    let refused = more.iter().find(|source| sources.is_some_and(|sources| !sources.contains(**source)));
    match refused {
        Some(source) => Err(PublishError::Source(*source)),
        None if more.len() > tracks => Err(PublishError::TooManyTracks),
        None => Ok(()),
    }
}
