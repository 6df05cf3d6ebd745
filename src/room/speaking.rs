//! Who speaks, who leads, and what that makes of their tracks.

use roundtable_media::allocate::Class;
use roundtable_protocol::event::{EventBody, TrackInfo, TrackSource};
use roundtable_protocol::{MemberId, TrackId};

use super::effect::Effect;
use super::speaker::class_of;
use super::{Now, Room};

impl Room {
    /// Records that a microphone became loud or quiet.
    pub fn handle_speaking(&mut self, now: Now, track: &TrackId, speaking: bool) {
        let voice = self.tracks.iter().find(|t| t.id == *track && t.source == TrackSource::Microphone && !t.muted);
        if let Some(member) = voice.map(|t| t.member.clone()) {
            self.set_speaking(now, &member, speaking);
        }
    }

    /// Records that another microphone leads the conversation, or none.
    pub fn handle_dominant(&mut self, now: Now, track: Option<&TrackId>) {
        let voice =
            self.tracks.iter().find(|t| Some(&t.id) == track && t.source == TrackSource::Microphone && !t.muted);
        let member = voice.map(|t| t.member.clone());
        if self.speakers.dominant() == member.as_ref() {
            return;
        }
        let changed = self.speakers.set_dominant(member.as_ref());
        self.emit(now, EventBody::DominantSpeaker { member });
        let of = |track: &&TrackInfo| changed.iter().any(|standing| standing.member == track.member);
        for track in self.tracks.iter().filter(of).cloned().collect::<Vec<_>>() {
            self.rank(&track);
        }
    }

    /// What a track counts as, and when its owner spoke: the later the higher.
    #[must_use]
    pub fn rank_of(&self, track: &TrackInfo) -> (Class, u64) {
        let standing = self.speakers.standing(track.member.clone());
        (class_of(track.source, standing.class), standing.spoke)
    }

    /// Says what a track counts as.
    pub(super) fn rank(&mut self, track: &TrackInfo) {
        let (class, spoke) = self.rank_of(track);
        self.effects.push_back(Effect::Rank { track: track.id.clone(), class, spoke });
    }

    pub(super) fn set_speaking(&mut self, now: Now, id: &MemberId, speaking: bool) {
        if self.speaking.contains(id) == speaking {
            return;
        }
        self.speaking.retain(|m| m != id);
        if speaking {
            self.speaking.push(id.clone());
        }
        self.emit(now, EventBody::Speaking { member: id.clone(), speaking });
        if speaking && let Some(member) = self.members.get_mut(id) {
            self.spoken += 1;
            member.spoke = self.spoken;
            self.refit_chosen();
        }
    }
}
