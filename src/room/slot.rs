//! Which track stands on which of a member's receiving m-lines.
//!
//! A receiving client has *seats* (an audio and a video slot under one msid). Whoever is seen sits in a
//! seat with their sound, because browsers keep lips in sync only within a stream
//! (`docs/ARCHITECTURE.md`, invariant 5). Somebody seated stays seated: nothing moves that need not.
//! Audio-only *voice slots* are none of the room's business: the plane fills them with whoever speaks
//! and has no seat.

use roundtable_protocol::event::TrackSource;
use roundtable_protocol::{MemberId, TrackId};

/// What belongs together on one seat: a person with their voice, or a shared screen with its sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Whose.
    pub member: MemberId,
    /// Whether it is the shared screen.
    pub screen: bool,
    /// The sound, if any is published and wanted.
    pub audio: Option<TrackId>,
    /// The picture, if any is published and wanted.
    pub video: Option<TrackId>,
}

impl Group {
    fn is(&self, key: &Owner) -> bool {
        self.member == key.member && self.screen == key.screen
    }

    /// Whether a source belongs to the screen half of its member.
    #[must_use]
    pub fn is_screen(source: TrackSource) -> bool {
        match source {
            TrackSource::Screen | TrackSource::ScreenAudio => true,
            TrackSource::Camera | TrackSource::Microphone => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    member: MemberId,
    screen: bool,
}

/// One receiving m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    mid: String,
    generation: u32,
    track: Option<TrackId>,
}

impl Slot {
    fn new(mid: String) -> Self {
        Self { mid, generation: 0, track: None }
    }

    /// Says what changed, if anything did.
    fn put(&mut self, track: Option<&TrackId>) -> Option<Assignment> {
        if self.track.as_ref() == track {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        self.track = track.cloned();
        Some(Assignment { mid: self.mid.clone(), generation: self.generation, track: self.track.clone() })
    }
}

/// Slots that are filled together.
#[derive(Debug)]
struct Seat {
    owner: Option<Owner>,
    /// Missing where the client offered a picture alone.
    audio: Option<Slot>,
    video: Slot,
}

/// A slot gets another track, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The m-line.
    pub mid: String,
    /// Rises with each change of the slot.
    pub generation: u32,
    /// What it carries from now on.
    pub track: Option<TrackId>,
}

/// All receiving slots of one member.
#[derive(Debug, Default)]
pub struct Seating {
    seats: Vec<Seat>,
}

impl Seating {
    /// Adds a seat.
    pub fn add(&mut self, audio: Option<String>, video: String) {
        self.seats.reserve_exact(1); // Few are added after the first.
        self.seats.push(Seat { owner: None, audio: audio.map(Slot::new), video: Slot::new(video) });
    }

    /// Fits the groups onto the slots and returns what changed, and how many seats would hold everybody.
    pub fn fit(&mut self, groups: &[Group]) -> (Vec<Assignment>, usize) {
        self.release(groups);
        let mut unseated = 0;
        for group in groups {
            unseated += usize::from(!self.place(group));
        }
        let mut changes = Vec::new();
        // Idle first: a track that moves must not stand in two slots at any time.
        for pass in [false, true] {
            for seat in &mut self.seats {
                let group = seat.owner.as_ref().and_then(|o| groups.iter().find(|g| g.is(o)));
                let audio = group.and_then(|g| g.audio.as_ref());
                let video = group.and_then(|g| g.video.as_ref());
                if let Some(slot) = &mut seat.audio
                    && audio.is_some() == pass
                {
                    changes.extend(slot.put(audio));
                }
                if video.is_some() == pass {
                    changes.extend(seat.video.put(video));
                }
            }
        }
        let idle = self.seats.iter().filter(|s| s.owner.is_none()).count();
        (changes, (self.seats.len() + unseated).saturating_sub(idle))
    }

    /// Idles the slot of a track that is gone. Who takes the seat next may be muted, and is told of only when seen.
    pub fn idle(&mut self, track: &TrackId) -> Option<Assignment> {
        let mut slots = self.seats.iter_mut().flat_map(|s| s.audio.iter_mut().chain([&mut s.video]));
        slots.find(|slot| slot.track.as_ref() == Some(track))?.put(None)
    }

    /// How many seats there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// The generation and track of a slot.
    #[must_use]
    pub fn slot(&self, mid: &str) -> Option<(u32, Option<&TrackId>)> {
        self.seats
            .iter()
            .flat_map(|s| s.audio.iter().chain([&s.video]))
            .find(|slot| slot.mid == mid)
            .map(|slot| (slot.generation, slot.track.as_ref()))
    }

    /// The m-line on which a track stands.
    #[must_use]
    pub fn find(&self, track: &TrackId) -> Option<&str> {
        let slots = self.seats.iter().flat_map(|s| s.audio.iter().chain([&s.video]));
        slots.filter(|slot| slot.track.as_ref() == Some(track)).map(|slot| slot.mid.as_str()).next()
    }

    /// Frees the seats of those who are gone.
    fn release(&mut self, groups: &[Group]) {
        for seat in &mut self.seats {
            seat.owner = seat.owner.take().filter(|owner| groups.iter().any(|g| g.is(owner)));
        }
    }

    /// Gives the group a place unless it has one; says whether it has one now.
    fn place(&mut self, group: &Group) -> bool {
        if self.seats.iter().any(|s| s.owner.as_ref().is_some_and(|o| group.is(o))) {
            return true;
        }
        let seen = group.video.is_some();
        // Who is only heard has no use for a seat without sound.
        let fits = |s: &&mut Seat| s.owner.is_none() && (seen || s.audio.is_some());
        let Some(seat) = self.seats.iter_mut().find(fits) else { return false };
        seat.owner = Some(Owner { member: group.member.clone(), screen: group.screen });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(member: &str, audio: bool, video: bool) -> Group {
        Group {
            member: MemberId::new(member).unwrap(),
            screen: false,
            audio: audio.then(|| TrackId::new(format!("{member}-a")).unwrap()),
            video: video.then(|| TrackId::new(format!("{member}-v")).unwrap()),
        }
    }

    fn seating(seats: usize) -> Seating {
        let mut seating = Seating::default();
        (0..seats).for_each(|k| seating.add(Some(format!("a{k}")), format!("v{k}")));
        seating
    }

    fn shows(seating: &Seating, mid: &str) -> Option<String> {
        seating.slot(mid).and_then(|(_, t)| t.map(ToString::to_string))
    }

    #[test]
    fn sound_and_picture_of_one_person_sit_on_one_seat() {
        let mut seating = seating(2);
        let (changes, needed) = seating.fit(&[group("ann", true, true), group("bob", true, true)]);
        assert_eq!((changes.len(), needed), (4, 2));
        assert_eq!(shows(&seating, "a0").as_deref(), Some("ann-a"));
        assert_eq!(shows(&seating, "v0").as_deref(), Some("ann-v"));
        assert_eq!(shows(&seating, "v1").as_deref(), Some("bob-v"));
    }

    #[test]
    fn nobody_moves_when_another_leaves_and_the_next_takes_the_free_seat() {
        let mut seating = seating(3);
        let all = [group("ann", true, true), group("bob", true, true), group("cid", true, true)];
        seating.fit(&all);
        let (changes, _) = seating.fit(&all[1..]);
        assert!(changes.iter().all(|c| c.track.is_none() && c.generation == 2), "{changes:?}");
        assert_eq!(changes.len(), 2);
        let (changes, _) = seating.fit(&[all[1].clone(), all[2].clone(), group("dee", true, true)]);
        let mids: Vec<_> = changes.iter().map(|c| (c.mid.as_str(), c.generation)).collect();
        assert_eq!(mids, [("a0", 3), ("v0", 3)]);
    }

    #[test]
    fn too_few_seats_say_how_many_would_do() {
        let mut seating = seating(2);
        let five: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|m| group(m, true, true)).collect();
        assert_eq!(seating.fit(&five).1, 5);
        assert_eq!(seating.fit(&five[..2]).1, 2);
        assert_eq!(Seating::default().fit(&[]).1, 0);
    }

    #[test]
    fn who_is_only_heard_sits_where_there_is_sound_and_stays_when_seen() {
        let mut seating = Seating::default();
        seating.add(None, "silent".into());
        seating.add(Some("a1".into()), "v1".into());
        seating.fit(&[group("ann", true, false)]);
        assert_eq!(shows(&seating, "a1").as_deref(), Some("ann-a"));
        let (changes, _) = seating.fit(&[group("ann", true, true)]);
        assert_eq!(changes.iter().map(|c| c.mid.as_str()).collect::<Vec<_>>(), ["v1"]);
        assert_eq!(shows(&seating, "v1").as_deref(), Some("ann-v"));
    }

    #[test]
    fn a_screen_has_a_seat_of_its_own() {
        let mut seating = seating(2);
        let screen = Group { screen: true, ..group("ann", false, true) };
        seating.fit(&[group("ann", true, false), screen]);
        assert_eq!(shows(&seating, "a0").as_deref(), Some("ann-a"));
        assert_eq!(shows(&seating, "v1").as_deref(), Some("ann-v"));
    }
}
