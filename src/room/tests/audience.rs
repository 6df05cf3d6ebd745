//! Rooms of many people: who is listed, who is counted, and when that is told.

use std::collections::BTreeSet;
use std::time::Duration;

use roundtable_protocol::limit::{LIST_AGAIN_BELOW, LIST_UP_TO, MAX_LISTED_RECENT};
use roundtable_protocol::{RoomId, RoomState};

use super::*;
use crate::room::audience::TELL_EVERY;

/// A room with one who reads its events.
struct Hall {
    f: Fixture,
    people: Vec<MemberId>,
    /// What the events tell.
    state: RoomState,
    /// Who entered or left without an event.
    counted: BTreeSet<MemberId>,
    events: Vec<Event>,
}

impl Hall {
    fn with(people: usize) -> Self {
        let state = RoomState::new(RoomId::new("hall").unwrap(), 1);
        let mut hall =
            Self { f: Fixture::new(), people: Vec::new(), state, counted: BTreeSet::new(), events: Vec::new() };
        for _ in 0..people {
            hall.join();
        }
        hall.events.clear();
        hall
    }

    fn join(&mut self) -> MemberId {
        let member = self.f.join(&format!("person {}", self.people.len()));
        self.people.push(member.clone());
        self.read();
        member
    }

    fn leave(&mut self, at: usize) {
        let member = self.people.remove(at);
        self.f.room.leave(self.f.now, &member, LeaveReason::Left);
        self.read();
    }

    fn publish(&mut self, member: &MemberId) -> TrackId {
        let track = self.f.publish(member, TrackSource::Microphone);
        self.read();
        track
    }

    fn unpublish(&mut self, member: &MemberId, track: &TrackId) {
        self.f.room.unpublish(self.f.now, member, track).unwrap();
        self.read();
    }

    fn write(&mut self, member: &MemberId) {
        // Who writes too fast is refused, and has done nothing.
        let _ = self.f.room.chat(self.f.now, member, 1, "hello".into());
        self.read();
    }

    /// Lets time pass; what falls due meanwhile is done in time.
    fn pass(&mut self, time: Duration) {
        let until = self.f.now.instant + time;
        while let Some(due) = self.f.room.poll_timeout().filter(|due| *due <= until) {
            self.f.now.instant = self.f.now.instant.max(due);
            self.f.room.handle_timeout(self.f.now);
            self.read();
        }
        self.f.now.instant = until;
    }

    fn read(&mut self) {
        for effect in self.f.effects() {
            match effect {
                Effect::Event(event) => {
                    assert_eq!(event.seq, self.state.seq + 1, "numbered without gaps");
                    self.note_moved(&event);
                    self.state.apply(&event);
                    self.events.push(event);
                }
                Effect::Enter { member } => assert!(self.counted.insert(member.id), "nobody enters twice"),
                Effect::Exit { member } => assert!(self.counted.remove(&member), "who was counted can go"),
                _ => {}
            }
        }
    }

    fn note_moved(&mut self, event: &Event) {
        if let EventBody::Audience { listed, counted, .. } = &event.body {
            let new = counted.iter().all(|id| self.state.member(id).is_some() && self.counted.insert(id.clone()));
            assert!(new, "who is counted from now on was listed");
            let old = listed.iter().all(|m| self.state.member(&m.id).is_none() && self.counted.remove(&m.id));
            assert!(old, "who is listed from now on was counted");
        }
    }

    fn told(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.events).iter().map(|event| event.body.name()).collect()
    }

    fn is_listed(&self, member: &MemberId) -> bool {
        self.state.member(member).is_some()
    }

    /// What must hold at any moment.
    fn check(&self) {
        let listed = self.state.members.iter().map(|member| &member.id);
        let all: BTreeSet<&MemberId> = listed.chain(&self.counted).collect();
        assert_eq!(all.len(), self.state.members.len() + self.counted.len(), "nobody is both");
        assert_eq!(all, self.people.iter().collect(), "and everybody is one of them");
        for track in &self.state.tracks {
            assert!(self.is_listed(&track.member), "who publishes is listed");
        }
        assert!(self.people.len() <= LIST_UP_TO || !self.counted.is_empty() || self.all_publish());
    }

    fn all_publish(&self) -> bool {
        self.people.iter().all(|id| self.state.tracks.iter().any(|track| track.member == *id))
    }
}

#[test]
fn up_to_two_hundred_everybody_is_listed() {
    let mut hall = Hall::with(0);
    (0..LIST_UP_TO).for_each(|_| drop(hall.join()));
    assert_eq!(hall.told(), vec!["joined"; LIST_UP_TO]);
    (0..LIST_UP_TO).for_each(|_| hall.leave(0));
    assert_eq!(hall.told(), vec!["left"; LIST_UP_TO]);
    assert_eq!(hall.f.room.poll_timeout(), None, "nothing is ever due");
}

#[test]
fn with_one_more_only_those_are_listed_who_publish_or_did_something() {
    let mut hall = Hall::with(LIST_UP_TO);
    let (speaker, writer, former) = (hall.people[7].clone(), hall.people[9].clone(), hall.people[11].clone());
    hall.publish(&speaker);
    hall.write(&writer);
    let track = hall.publish(&former);
    hall.unpublish(&former, &track);
    hall.told();
    let last = hall.join();
    let told = hall.events.clone();
    let [Event { body: EventBody::Audience { viewers, listed, counted }, .. }] = &told[..] else {
        panic!("one event instead of `joined`: {told:?}")
    };
    assert_eq!((*viewers, listed.len(), counted.len()), (198, 0, 197), "who came last was never listed");
    let names: Vec<&MemberId> = hall.state.members.iter().map(|member| &member.id).collect();
    assert_eq!(names, [&speaker, &writer, &former]);
    assert_eq!(hall.state.population(), LIST_UP_TO + 1);
    assert!(hall.counted.contains(&last));
    hall.check();
}

#[test]
fn a_crowd_that_comes_together_is_told_together() {
    let mut hall = Hall::with(LIST_UP_TO + 1);
    (0..500).for_each(|_| drop(hall.join()));
    assert_eq!(hall.told(), Vec::<&str>::new());
    hall.pass(TELL_EVERY);
    assert_eq!(hall.told(), ["audience"]);
    assert_eq!(hall.state.population(), LIST_UP_TO + 501);
    hall.pass(TELL_EVERY);
    assert_eq!(hall.told(), Vec::<&str>::new(), "nothing new is not told");
    hall.join();
    assert_eq!(hall.told(), ["audience"], "after a pause the next is told at once");
    hall.leave(400);
    hall.join();
    hall.pass(TELL_EVERY);
    assert_eq!(hall.told(), Vec::<&str>::new(), "one came, one went: the same number");
}

#[test]
fn the_more_there_are_the_longer_changes_are_gathered() {
    let mut hall = Hall::with(6_000);
    hall.pass(Duration::from_secs(10));
    hall.join();
    hall.join();
    hall.told();
    hall.pass(Duration::from_millis(2_900));
    assert_eq!(hall.told(), Vec::<&str>::new());
    hall.pass(Duration::from_millis(200));
    assert_eq!(hall.told(), ["audience"]);
}

#[test]
fn who_publishes_is_listed_before_the_track_and_stays_for_a_while_afterwards() {
    let mut hall = Hall::with(LIST_UP_TO + 100);
    let speaker = hall.people[3].clone();
    let track = hall.publish(&speaker);
    assert_eq!(hall.told(), ["audience", "published"]);
    assert_eq!(hall.state.population(), LIST_UP_TO + 100);
    let second = hall.publish(&speaker);
    hall.unpublish(&speaker, &track);
    hall.unpublish(&speaker, &second);
    hall.pass(TELL_EVERY);
    assert_eq!(hall.told(), ["published", "unpublished", "unpublished"]);
    assert!(hall.is_listed(&speaker), "who was on stage does not vanish from the list at once");

    let writers: Vec<_> = hall.people[10..10 + MAX_LISTED_RECENT].to_vec();
    writers.iter().for_each(|writer| hall.write(writer));
    hall.pass(TELL_EVERY);
    let told = hall.told().iter().filter(|name| **name == "audience").count();
    assert_eq!(told, 2, "the first at once, all others together");
    assert!(!hall.is_listed(&speaker) && writers.iter().all(|writer| hall.is_listed(writer)));
    hall.check();
    let at = hall.people.iter().position(|id| *id == writers[0]).unwrap();
    hall.leave(at);
    assert_eq!(hall.told(), ["left"], "the going of who is listed is told by name");
}

#[test]
fn everybody_is_listed_again_when_there_are_clearly_fewer() {
    let mut hall = Hall::with(LIST_UP_TO + 1);
    while hall.people.len() >= LIST_AGAIN_BELOW {
        hall.leave(0);
        hall.pass(TELL_EVERY);
    }
    let last = hall.events.last().unwrap().clone();
    let EventBody::Audience { viewers: 0, listed, counted } = last.body else { panic!("{last:?}") };
    assert_eq!((listed.len(), counted.len()), (LIST_AGAIN_BELOW - 1, 0));
    assert_eq!(hall.state.members.len(), LIST_AGAIN_BELOW - 1);
    hall.told();
    hall.join();
    hall.leave(5);
    assert_eq!(hall.told(), ["joined", "left"]);
    hall.check();
}

#[test]
fn a_room_that_counts_ends_in_good_order() {
    let mut hall = Hall::with(LIST_UP_TO + 50);
    let speaker = hall.people[0].clone();
    hall.publish(&speaker);
    hall.told();
    hall.f.room.close(hall.f.now, RoomCloseReason::Closed);
    hall.read();
    assert_eq!(hall.told(), ["left", "roomClosed"]);
    assert!(hall.counted.is_empty() && hall.state.population() == 0);
    assert_eq!(hall.f.room.poll_timeout(), None, "nothing is due any more");
}

#[test]
fn who_speaks_no_more_because_the_microphone_is_gone_does_not_speak() {
    let mut hall = Hall::with(2);
    let speaker = hall.people[0].clone();
    let track = hall.publish(&speaker);
    hall.f.room.handle_speaking(hall.f.now, &track, true);
    hall.unpublish(&speaker, &track);
    assert_eq!(hall.told(), ["published", "speaking", "unpublished", "speaking"]);
    assert!(hall.state.speaking.is_empty());
}

#[test]
fn whatever_people_do_the_events_tell_who_is_listed_and_how_many_are_not() {
    for seed in 1..=4 {
        let mut dice = Ids::new(seed);
        let mut below = |n: usize| (dice.next() % n.max(1) as u64) as usize;
        let mut hall = Hall::with(LIST_AGAIN_BELOW);
        let mut tracks: Vec<(MemberId, TrackId)> = Vec::new();
        for step in 0..3_000 {
            // The room swells and empties again and again.
            let swells = (step / 400) % 2 == 0;
            let at = below(hall.people.len());
            match below(20) {
                0..9 if swells => drop(hall.join()),
                0..9 if !hall.people.is_empty() => {
                    tracks.retain(|(owner, _)| *owner != hall.people[at]);
                    hall.leave(at);
                }
                9..12 if !hall.people.is_empty() => {
                    let member = hall.people[at].clone();
                    hall.write(&member);
                }
                12..14 if tracks.len() < 30 && !hall.people.is_empty() => {
                    let member = hall.people[at].clone();
                    if tracks.iter().filter(|(owner, _)| *owner == member).count() < 8 {
                        let track = hall.publish(&member);
                        tracks.push((member, track));
                    }
                }
                14..16 if !tracks.is_empty() => {
                    let (owner, track) = tracks.swap_remove(below(tracks.len()));
                    hall.unpublish(&owner, &track);
                }
                16 => hall.pass(Duration::from_millis(below(1_500) as u64)),
                _ => {}
            }
            hall.check();
            if step % 50 == 0 {
                hall.pass(TELL_EVERY);
                assert_eq!(hall.state.population(), hall.people.len(), "seed {seed}, step {step}");
                let publishers: BTreeSet<_> = hall.state.tracks.iter().map(|track| &track.member).collect();
                let most = publishers.len() + MAX_LISTED_RECENT;
                assert!(hall.counted.is_empty() || hall.state.members.len() <= most, "seed {seed}, step {step}");
            }
        }
    }
}

#[test]
fn who_is_counted_changes_without_an_event_and_is_listed_as_it_is_then() {
    let mut hall = Hall::with(LIST_UP_TO + 1);
    let viewer = hall.people[3].clone();
    hall.pass(TELL_EVERY * 2);
    assert!(!hall.is_listed(&viewer));
    hall.told();
    let change = serde_json::from_str(r#"{"name":"Dr Viewer","attributes":{"seat":"42"}}"#).unwrap();
    let info = hall.f.room.update(hall.f.now, &viewer, None, &change).unwrap();
    let effects = hall.f.effects();
    assert_eq!(effects, [Effect::Update { member: info.clone() }, Effect::Updated { id: None, member: info.clone() }]);
    hall.pass(TELL_EVERY * 2);
    hall.write(&viewer);
    hall.pass(TELL_EVERY * 2);
    assert_eq!(hall.state.member(&viewer), Some(&info));
    hall.f.room.update(hall.f.now, &viewer, None, &serde_json::from_str(r#"{"name":"Prof"}"#).unwrap()).unwrap();
    hall.read();
    assert_eq!(hall.state.member(&viewer).map(|info| &*info.name), Some("Prof"), "who is listed makes an event");
}
