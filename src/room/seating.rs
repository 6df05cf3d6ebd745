//! Who sits where: fits the slots of each member to what is published and wanted.

use std::collections::HashSet;

use roundtable_protocol::event::{TrackInfo, TrackSource};
use roundtable_protocol::limit::MAX_SEATS;
use roundtable_protocol::message::{SubscribeChange, ViewChange};
use roundtable_protocol::{MemberId, TrackId};

use super::Room;
use super::effect::Effect;
use super::last_n::{self, Candidate};
use super::member::Member;
use super::slot::Group;

impl Room {
    /// Adds receiving slots of a member, pair by pair. Audio alone is a voice slot, which the plane fills: it is no seat.
    pub fn add_seats(&mut self, id: &MemberId, seats: impl IntoIterator<Item = (Option<String>, Option<String>)>) {
        if let Some(member) = self.members.get_mut(id) {
            let seats = seats.into_iter().filter_map(|(audio, video)| Some((audio, video?)));
            seats.for_each(|(audio, video)| member.seating.add(audio, video));
        }
        self.refit_member(id);
    }

    /// Changes what a member wants to receive. Wishes about tracks that are not there are ignored:
    /// the track may have gone while the wish travelled.
    pub fn subscribe(&mut self, id: &MemberId, changes: Vec<SubscribeChange>) {
        let Some(member) = self.members.get_mut(id) else { return };
        for change in changes {
            let Some(track) = self.tracks.iter().find(|t| t.id == change.track) else { continue };
            if track.source == TrackSource::Microphone {
                let SubscribeChange { track, wanted: audible } = change.clone();
                self.effects.push_back(Effect::Audible { member: id.clone(), track, audible });
            }
            member.set_wanted(change.track, change.wanted);
        }
        self.note_changed(id);
        self.refit_member(id);
    }

    /// Notes how a member looks at tracks. As with [`Room::subscribe`], tracks that are not there are ignored.
    pub fn view(&mut self, id: &MemberId, changes: Vec<ViewChange>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let mut changed = false;
        for view in changes {
            let track = view.track.clone();
            if !self.tracks.iter().any(|t| t.id == track) || !member.set_view(view) {
                continue;
            }
            changed = true;
            if let Some(mid) = member.seating.find(&track) {
                self.effects.push_back(Effect::Look { member: id.clone(), mid: mid.to_owned(), track });
            }
        }
        if changed && member.grants.limits.last_n.is_some() {
            self.refit_member(id);
        }
    }

    pub(super) fn idle_everywhere(&mut self, track: &TrackId) {
        for id in self.order.values() {
            let idled = self.members.get_mut(id).and_then(|member| member.seating.idle(track));
            self.effects.extend(idled.map(|assignment| Effect::Assign { member: id.clone(), assignment }));
        }
    }

    /// Fits the slots of those who do not get everybody's picture.
    pub(super) fn refit_chosen(&mut self) {
        let chosen = |id: &&MemberId| self.members.get(*id).is_some_and(|m| m.grants.limits.last_n.is_some());
        for id in self.order.values().chain(self.hidden.values()).filter(chosen).cloned().collect::<Vec<_>>() {
            self.refit_member(&id);
        }
    }

    /// Fits everybody's slots to what is published now.
    pub(super) fn refit(&mut self) {
        for id in self.order.values().chain(self.hidden.values()).cloned().collect::<Vec<_>>() {
            self.refit_member(&id);
        }
    }

    /// Takes the pictures away that are too many for a member, and those that are muted. The sound stays.
    pub(super) fn leave_last_n(&self, groups: &mut Vec<Group>, member: &Member, n: usize) {
        let muted: HashSet<&TrackId> = self.tracks.iter().filter(|t| t.muted).map(|t| &t.id).collect();
        let candidates: Vec<Candidate<'_>> = groups
            .iter()
            .filter_map(|group| {
                let track = group.video.as_ref().filter(|track| !muted.contains(track))?;
                let view = member.view(track);
                Some(Candidate {
                    track,
                    held: group.screen || view.is_some_and(|view| view.pinned),
                    visible: view.is_none_or(|view| view.visible),
                    spoke: self.members.get(&group.member).map_or(0, |owner| owner.spoke),
                })
            })
            .collect();
        let chosen = last_n::choose(&candidates, n);
        for group in groups.iter_mut() {
            group.video = group.video.take().filter(|track| chosen.contains(track));
        }
        groups.retain(|group| group.audio.is_some() || group.video.is_some());
        // Who is seen finds a seat before those who are only heard.
        groups.sort_by_key(|group| group.video.is_none());
    }

    pub(super) fn refit_member(&mut self, id: &MemberId) {
        let Some(member) = self.members.get(id) else { return };
        let carrying = self.tracks.iter().filter(|track| !self.absence.is_suspended(&track.id));
        let mut groups = groups(carrying, member);
        if let Some(n) = member.grants.limits.last_n {
            self.leave_last_n(&mut groups, member, usize::from(n));
        }
        let Some(member) = self.members.get_mut(id) else { return };
        let (changes, needed) = member.seating.fit(&groups);
        for assignment in changes {
            self.effects.push_back(Effect::Assign { member: id.clone(), assignment });
        }
        let wish = u16::try_from(needed.next_power_of_two()).unwrap_or(MAX_SEATS).min(member.max_seats);
        let have = u16::try_from(member.seating.len()).unwrap_or(u16::MAX);
        if needed > usize::from(have) && wish > have.max(member.asked_seats) {
            member.asked_seats = wish;
            self.effects.push_back(Effect::Grow { member: id.clone(), seats: wish });
        }
    }
}

/// What `member` wants to receive, person by person in the order of publishing.
fn groups<'a>(tracks: impl Iterator<Item = &'a TrackInfo>, member: &Member) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for track in tracks.filter(|t| t.member != member.info.id && member.wants(&t.id)) {
        let screen = Group::is_screen(track.source);
        let at = groups.iter().position(|g| g.member == track.member && g.screen == screen);
        let mut group = at.map_or_else(
            || Group { member: track.member.clone(), screen, audio: None, video: None },
            |at| groups.remove(at),
        );
        let half = match track.source {
            TrackSource::Microphone | TrackSource::ScreenAudio => &mut group.audio,
            TrackSource::Camera | TrackSource::Screen => &mut group.video,
        };
        // A second camera of one person has no place on the seat: the first stands.
        half.get_or_insert_with(|| track.id.clone());
        groups.insert(at.unwrap_or(groups.len()), group);
    }
    groups
}
