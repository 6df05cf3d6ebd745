//! The fold of a room's events: who is here and what they publish.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::event::{Event, EventBody, MemberInfo, TrackInfo};
use crate::id::{MemberId, RoomId, TrackId};
use crate::settings::RoomSettings;

/// A room as it stands after the event numbered `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct RoomState {
    /// The room's id.
    pub room: RoomId,
    /// Which life of the room this is: when it opened, in milliseconds since 1970 UTC. Sequence
    /// numbers of another epoch mean nothing here.
    #[ts(type = "number")]
    pub epoch: u64,
    /// The last event that this state includes; 0 before the first.
    #[ts(type = "number")]
    pub seq: u64,
    /// Everybody who is listed, in order of joining or of being listed: all people of a room of up to 200, and of a
    /// larger one those who publish or did something lately.
    pub members: Vec<MemberInfo>,
    /// How many are in the room besides, as last told: they are counted, not listed.
    #[serde(default)]
    pub viewers: u32,
    /// Every published track, in order of publishing.
    pub tracks: Vec<TrackInfo>,
    /// Who speaks now.
    pub speaking: Vec<MemberId>,
    /// Who leads the conversation; null before anybody has spoken.
    #[serde(default)]
    pub dominant_speaker: Option<MemberId>,
    /// How the room is set up, if anybody ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub settings: Option<Box<RoomSettings>>,
    /// Whether the room is over.
    pub closed: bool,
}

impl RoomState {
    /// An empty room before its first event.
    #[must_use]
    pub fn new(room: RoomId, epoch: u64) -> Self {
        Self {
            room,
            epoch,
            seq: 0,
            members: Vec::new(),
            viewers: 0,
            tracks: Vec::new(),
            speaking: Vec::new(),
            dominant_speaker: None,
            settings: None,
            closed: false,
        }
    }

    /// Folds one event in. Events at or below `seq` are already in it and change nothing.
    pub fn apply(&mut self, event: &Event) {
        if event.seq <= self.seq {
            return;
        }
        self.seq = event.seq;
        match &event.body {
            EventBody::Joined { member } => {
                self.members.retain(|m| m.id != member.id);
                self.members.push(member.clone());
            }
            EventBody::Left { member, .. } => {
                self.members.retain(|m| m.id != *member);
                self.tracks.retain(|t| t.member != *member);
                self.speaking.retain(|m| m != member);
                self.dominant_speaker = self.dominant_speaker.take().filter(|m| m != member);
            }
            EventBody::Audience { viewers, listed, counted } => {
                self.viewers = *viewers;
                let moved: HashSet<&MemberId> = listed.iter().map(|m| &m.id).chain(counted).collect();
                self.members.retain(|m| !moved.contains(&m.id));
                self.members.extend_from_slice(listed);
            }
            EventBody::Published { track } => {
                self.tracks.retain(|t| t.id != track.id);
                self.tracks.push(track.clone());
            }
            EventBody::Unpublished { track, .. } => self.tracks.retain(|t| t.id != *track),
            EventBody::Muted { track, muted, .. } => {
                if let Some(t) = self.tracks.iter_mut().find(|t| t.id == *track) {
                    t.muted = *muted;
                }
            }
            EventBody::Speaking { member, speaking } => {
                self.speaking.retain(|m| m != member);
                if *speaking {
                    self.speaking.push(member.clone());
                }
            }
            EventBody::DominantSpeaker { member } => self.dominant_speaker.clone_from(member),
            EventBody::MemberUpdated { member, .. } => {
                if let Some(known) = self.members.iter_mut().find(|known| known.id == *member) {
                    known.follow(&event.body);
                }
            }
            EventBody::RoomUpdated { settings } => self.settings = Some(settings.clone()),
            EventBody::PermissionsChanged { .. }
            | EventBody::Chat { .. }
            | EventBody::ChatEdited { .. }
            | EventBody::ChatDeleted { .. }
            | EventBody::Reaction { .. } => {}
            EventBody::Restarted { members, viewers, tracks } => {
                self.members.clone_from(members);
                self.viewers = *viewers;
                self.tracks.clone_from(tracks);
                self.speaking.clear();
                self.dominant_speaker = None;
            }
            EventBody::RoomClosed { .. } => {
                self.members.clear();
                self.viewers = 0;
                self.tracks.clear();
                self.speaking.clear();
                self.dominant_speaker = None;
                self.closed = true;
            }
        }
    }

    /// Everybody, listed or counted.
    #[must_use]
    pub fn population(&self) -> usize {
        self.members.len() + self.viewers as usize
    }

    /// A listed member by id.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&MemberInfo> {
        self.members.iter().find(|m| m.id == *id)
    }

    /// A track by id.
    #[must_use]
    pub fn track(&self, id: &TrackId) -> Option<&TrackInfo> {
        self.tracks.iter().find(|t| t.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{LeaveReason, TrackSource};

    fn event(seq: u64, body: EventBody) -> Event {
        Event { seq, at: 0, body }
    }

    #[test]
    fn who_leaves_takes_their_tracks_and_their_voice_along() {
        let ann = MemberId::new("ann").unwrap();
        let mic = TrackId::new("mic").unwrap();
        let mut state = RoomState::new(RoomId::new("r").unwrap(), 1);
        state.apply(&event(1, EventBody::Joined { member: MemberInfo::guest(ann.clone(), "Ann".into()) }));
        state.apply(&event(
            2,
            EventBody::Published {
                track: TrackInfo {
                    id: mic.clone(),
                    member: ann.clone(),
                    source: TrackSource::Microphone,
                    muted: false,
                    codec: "opus".into(),
                    layers: 1,
                },
            },
        ));
        state.apply(&event(3, EventBody::Muted { track: mic.clone(), member: ann.clone(), muted: true, code: None }));
        state.apply(&event(4, EventBody::Speaking { member: ann.clone(), speaking: true }));
        assert!(state.track(&mic).is_some_and(|t| t.muted));
        assert_eq!(state.speaking, std::slice::from_ref(&ann));

        let before = state.clone();
        state.apply(&event(1, EventBody::Left { member: ann.clone(), reason: LeaveReason::Left }));
        assert_eq!(state, before, "an event that is already in it changes nothing");

        state.apply(&event(5, EventBody::Left { member: ann, reason: LeaveReason::Left }));
        assert!(state.members.is_empty() && state.tracks.is_empty() && state.speaking.is_empty());
    }

    #[test]
    fn who_is_counted_leaves_the_list_and_who_is_listed_comes_behind_the_others() {
        let info = |id: &str| MemberInfo::guest(MemberId::new(id).unwrap(), id.to_owned());
        let ids = |state: &RoomState| state.members.iter().map(|m| m.id.to_string()).collect::<Vec<_>>();
        let mut state = RoomState::new(RoomId::new("r").unwrap(), 1);
        for (seq, id) in (1..).zip(["ann", "bob", "cid", "dee"]) {
            state.apply(&event(seq, EventBody::Joined { member: info(id) }));
        }
        let counted = vec![info("ann").id, info("cid").id];
        state.apply(&event(5, EventBody::Audience { viewers: 2, listed: vec![], counted }));
        assert_eq!((ids(&state), state.viewers, state.population()), (vec!["bob".into(), "dee".into()], 2, 4));
        let listed = vec![info("ann")];
        state.apply(&event(6, EventBody::Audience { viewers: 8, listed, counted: vec![info("bob").id] }));
        assert_eq!((ids(&state), state.population()), (vec!["dee".into(), "ann".into()], 10));
        let json = serde_json::to_string(&EventBody::Audience { viewers: 3, listed: vec![], counted: vec![] }).unwrap();
        assert_eq!(json, r#"{"type":"audience","viewers":3}"#, "a mere count is short");
    }

    #[test]
    fn the_dominant_speaker_is_part_of_the_state_until_they_leave() {
        let ann = MemberId::new("ann").unwrap();
        let mut state = RoomState::new(RoomId::new("r").unwrap(), 1);
        state.apply(&event(1, EventBody::DominantSpeaker { member: Some(ann.clone()) }));
        assert_eq!(state.dominant_speaker, Some(ann.clone()));
        state.apply(&event(2, EventBody::Left { member: ann, reason: LeaveReason::Left }));
        assert_eq!(state.dominant_speaker, None);
    }
}
