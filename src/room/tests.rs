use std::time::Duration;

use roundtable_media::allocate::Class;
use roundtable_protocol::event::{LeaveReason, MemberInfo, RoomCloseReason, TrackSource};
use roundtable_protocol::limit::MAX_TRACKS_PER_MEMBER;
use roundtable_protocol::message::{PublishRequest, SubscribeChange};
use roundtable_protocol::{ErrorCode, Grants};

use super::chat::ChatError;
use super::*;
use crate::room::slot::Assignment;

mod audience;
mod writing;

fn now() -> Now {
    Now { instant: Instant::now(), unix_ms: 1_000 }
}

struct Fixture {
    room: Room,
    now: Now,
}

impl Fixture {
    fn new() -> Self {
        Self { room: Room::new(7), now: now() }
    }

    fn join(&mut self, name: &str) -> MemberId {
        self.room.join(self.now, name, Grants::ALL, 48).id
    }

    fn seats(&mut self, member: &MemberId, from: usize, to: usize) {
        let pairs = (from..to).map(|k| (Some(format!("a{k}")), Some(format!("v{k}"))));
        self.room.add_seats(member, pairs.collect::<Vec<_>>());
    }

    fn publish(&mut self, member: &MemberId, source: TrackSource) -> TrackId {
        self.room.check_publish(member, &[source]).unwrap();
        self.publish_as(member, source, None, false)
    }

    /// Publishes a track that goes on with an earlier one, if the room agrees.
    fn publish_as(&mut self, member: &MemberId, source: TrackSource, track: Option<&TrackId>, muted: bool) -> TrackId {
        let request = PublishRequest { mid: "0".into(), source, muted, track: track.cloned() };
        let id = self.room.reserve_tracks(member, &[request]).remove(0);
        let track = TrackInfo { id: id.clone(), member: member.clone(), source, muted, codec: "VP8".into(), layers: 1 };
        self.room.publish(self.now, track);
        id
    }

    /// The events since the last look, by name.
    fn events(&mut self) -> Vec<&'static str> {
        let named = |effect| if let Effect::Event(event) = effect { Some(event.body.name()) } else { None };
        self.effects().into_iter().filter_map(named).collect()
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.room.poll_effect()).collect()
    }
}

#[test]
fn events_are_numbered_without_gaps() {
    let mut f = Fixture::new();
    let ann = f.join("Ann");
    let mic = f.publish(&ann, TrackSource::Microphone);
    f.room.mute(f.now, &ann, &mic, true).unwrap();
    f.room.mute(f.now, &ann, &mic, true).unwrap();
    f.room.chat(f.now, &ann, 1, "hi".into()).unwrap();
    f.room.close(f.now, RoomCloseReason::Empty);
    let events: Vec<(u64, &str)> = Vec::from_iter(f.effects())
        .into_iter()
        .filter_map(|e| match e {
            Effect::Event(event) => Some((event.seq, event.body.name())),
            _ => None,
        })
        .collect();
    let expected = [(1, "joined"), (2, "published"), (3, "muted"), (4, "chat"), (5, "left"), (6, "roomClosed")];
    assert_eq!(events, expected);
}

#[test]
fn everybody_else_hears_what_one_publishes() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    f.seats(&ann, 0, 2);
    f.seats(&bob, 0, 2);
    f.effects();
    let mic = f.publish(&ann, TrackSource::Microphone);
    let assigned: Vec<_> = f.effects().into_iter().filter(|e| matches!(e, Effect::Assign { .. })).collect();
    assert_eq!(
        assigned,
        [Effect::Assign {
            member: bob.clone(),
            assignment: Assignment { mid: "a0".into(), generation: 1, track: Some(mic.clone()) }
        }],
        "Bob hears Ann, Ann does not hear herself"
    );
    f.room.subscribe(&bob, vec![SubscribeChange { track: mic.clone(), wanted: false }]);
    assert_eq!(f.room.slot(&bob, "a0"), Some((2, None)));
    f.room.subscribe(&bob, vec![SubscribeChange { track: mic.clone(), wanted: true }]);
    assert_eq!(f.room.slot(&bob, "a0"), Some((3, Some(&mic))));
    f.room.unpublish(f.now, &ann, &mic).unwrap();
    assert_eq!(f.room.slot(&bob, "a0"), Some((4, None)));
    assert_eq!(f.room.unpublish(f.now, &bob, &mic), Err(UnknownTrack(mic)));
}

#[test]
fn more_seats_are_asked_for_once_in_powers_of_two_and_never_beyond_the_clients_limit() {
    let mut f = Fixture::new();
    let viewer = f.room.join(f.now, "V", Grants::ALL, 20).id;
    f.seats(&viewer, 0, 8);
    let mut asked = Vec::new();
    for n in 0..24 {
        let p = f.room.join(f.now, format!("P{n}"), Grants::ALL, 0).id;
        f.publish(&p, TrackSource::Camera);
        for effect in f.effects() {
            if let Effect::Grow { member, seats } = effect {
                assert_eq!(member, viewer);
                asked.push((n + 1, seats));
            }
        }
    }
    assert_eq!(asked, [(9, 16), (17, 20)]);
}

#[test]
fn eight_people_coming_and_going_ask_for_nothing() {
    let mut f = Fixture::new();
    let viewer = f.join("V");
    f.seats(&viewer, 0, 8);
    let mut here: VecDeque<MemberId> = VecDeque::new();
    for n in 0..100 {
        if here.len() == 8 {
            let first = here.pop_front().unwrap();
            f.room.leave(f.now, &first, LeaveReason::Left);
        }
        let p = f.room.join(f.now, format!("P{n}"), Grants::ALL, 0).id;
        f.publish(&p, TrackSource::Microphone);
        f.publish(&p, TrackSource::Camera);
        here.push_back(p);
        assert!(f.effects().iter().all(|e| !matches!(e, Effect::Grow { .. })));
    }
}

#[test]
fn who_takes_the_seat_of_one_who_left_finds_it_idle() {
    let mut f = Fixture::new();
    let (viewer, ann, bob) = (f.join("V"), f.join("Ann"), f.join("Bob"));
    f.seats(&viewer, 0, 1);
    let (first, second) = (f.publish(&ann, TrackSource::Camera), f.publish(&bob, TrackSource::Camera));
    // A muted picture never becomes live, so nothing but the word that the seat is idle takes the old one off it.
    f.room.mute(f.now, &bob, &second, true).unwrap();
    assert_eq!(f.room.slot(&viewer, "v0"), Some((1, Some(&first))));
    f.effects();
    f.room.leave(f.now, &ann, LeaveReason::Left);
    let changes = f.effects().into_iter().filter_map(|effect| match effect {
        Effect::Assign { assignment, .. } => Some((assignment.generation, assignment.track)),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), [(2, None), (3, Some(second))]);
}

#[test]
fn chat_is_delivered_once_for_everybody_and_with_the_writers_number() {
    let mut f = Fixture::new();
    let (ann, _bob) = (f.join("Ann"), f.join("Bob"));
    f.effects();
    f.room.chat(f.now, &ann, 42, "hello".into()).unwrap();
    let delivered: Vec<_> = f
        .effects()
        .into_iter()
        .filter_map(|e| match e {
            Effect::Deliver { message } => Some((message.seq, message.name, message.nonce)),
            _ => None,
        })
        .collect();
    assert_eq!(delivered, [(3, "Ann".to_owned(), Some(42))], "one effect, however many there are");
}

#[test]
fn refusals_have_their_words() {
    let mut f = Fixture::new();
    let mute = f.room.join(f.now, "M", Grants { publish: false, chat: false, ..Grants::ALL }, 8).id;
    assert_eq!(f.room.check_publish(&mute, &[TrackSource::Camera]).unwrap_err().code(), ErrorCode::PublishForbidden);
    assert_eq!(f.room.check_publish(&mute, &[]), Ok(()));
    assert_eq!(f.room.chat(f.now, &mute, 0, "x".into()), Err(ChatError::Forbidden));
    let ann = f.join("Ann");
    assert_eq!(f.room.check_publish(&ann, &[TrackSource::Camera; 9]).unwrap_err().code(), ErrorCode::TooManyTracks);
    assert_eq!(f.room.chat(f.now, &ann, 0, " ".into()), Err(ChatError::Empty));
    assert_eq!(f.room.chat(f.now, &ann, 0, "x".repeat(16 * 1024 + 1)), Err(ChatError::TooLong));
    assert_eq!(f.room.chat(f.now, &ann, 0, "x".repeat(16 * 1024)), Ok(()));
    let flood = (0..100).filter(|_| f.room.chat(f.now, &ann, 0, "x".into()) == Err(ChatError::Rate)).count();
    assert_eq!(flood, 71);
}

#[test]
fn a_muted_microphone_speaks_no_more() {
    let mut f = Fixture::new();
    let ann = f.join("Ann");
    let mic = f.publish(&ann, TrackSource::Microphone);
    f.room.handle_speaking(f.now, &mic, true);
    f.room.handle_speaking(f.now, &mic, true);
    f.effects();
    f.room.mute(f.now, &ann, &mic, true).unwrap();
    f.room.handle_speaking(f.now, &mic, true);
    let names: Vec<_> = f
        .effects()
        .iter()
        .filter_map(|e| match e {
            Effect::Event(event) => Some(event.body.name()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["muted", "speaking"]);
}

fn view(track: &TrackId) -> ViewChange {
    ViewChange {
        track: track.clone(),
        visible: true,
        width: None,
        height: None,
        max_fps: None,
        pinned: false,
        priority: None,
    }
}

#[test]
fn how_somebody_looks_is_told_for_the_slot_and_remembered_for_the_next() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    let camera = f.publish(&ann, TrackSource::Camera);
    f.effects();
    f.room.view(&bob, vec![ViewChange { height: Some(180), ..view(&camera) }]);
    assert!(f.effects().is_empty(), "Bob has no slot yet");
    f.seats(&bob, 0, 1);
    assert_eq!(f.room.view_of(&bob, &camera).and_then(|view| view.height), Some(180), "the slot finds it there");
    f.effects();
    let small = ViewChange { height: Some(90), ..view(&camera) };
    f.room.view(&bob, vec![small.clone(), view(&TrackId::new("gone").unwrap())]);
    f.room.view(&bob, vec![small]);
    let told = Effect::Look { member: bob.clone(), mid: "v0".into(), track: camera.clone() };
    assert_eq!(f.effects(), [told], "what is no news is not told, and of what is gone nothing");
    f.room.unpublish(f.now, &ann, &camera).unwrap();
    assert_eq!(f.room.view_of(&bob, &camera), None);
}

#[test]
fn a_member_remembers_a_bounded_number_of_views() {
    let mut member =
        Member::new(Instant::now(), MemberInfo::guest(MemberId::new("m").unwrap(), "M".into()), 1, Grants::ALL, 8, 8);
    let track = |n: usize| TrackId::new(format!("t{n}")).unwrap();
    let noted = (0..member::MAX_VIEWS + 10).filter(|n| member.set_view(view(&track(*n)))).count();
    assert_eq!(noted, member::MAX_VIEWS);
    assert!(member.set_view(ViewChange { visible: false, ..view(&track(0)) }), "a known one can still change");
}

/// Four people with camera and microphone, and a viewer who gets two pictures.
struct Audience {
    f: Fixture,
    viewer: MemberId,
    people: Vec<(MemberId, TrackId, TrackId)>,
}

impl Audience {
    fn new() -> Self {
        let mut f = Fixture::new();
        let limits = MemberLimits { last_n: Some(2), ..MemberLimits::NONE };
        let viewer = f.room.join(f.now, "V", Grants { limits, ..Grants::ALL }, 48).id;
        f.seats(&viewer, 0, 5);
        let people = ["A", "B", "C", "D"].map(|name| {
            let member = f.room.join(f.now, name, Grants::ALL, 0).id;
            let microphone = f.publish(&member, TrackSource::Microphone);
            let camera = f.publish(&member, TrackSource::Camera);
            (member, microphone, camera)
        });
        Self { f, viewer, people: people.into() }
    }

    /// Whose pictures the viewer gets, by m-line.
    fn seen(&self) -> Vec<(usize, usize)> {
        let slot = |k: usize| self.f.room.slot(&self.viewer, &format!("v{k}")).and_then(|(_, track)| track);
        let owner = |track: &TrackId| self.people.iter().position(|(_, _, camera)| camera == track);
        (0..5).filter_map(|k| Some((k, slot(k).and_then(owner)?))).collect()
    }

    fn speak(&mut self, who: usize) {
        let microphone = self.people[who].1.clone();
        self.f.room.handle_speaking(self.f.now, &microphone, true);
        self.f.room.handle_speaking(self.f.now, &microphone, false);
    }
}

#[test]
fn of_many_pictures_those_of_the_last_speakers_come_and_everybody_is_heard() {
    let mut a = Audience::new();
    assert_eq!(a.seen(), [(0, 0), (1, 1)], "nobody spoke: who published first");
    let heard =
        |a: &Audience| (0..5).filter(|k| a.f.room.slot(&a.viewer, &format!("a{k}")).unwrap().1.is_some()).count();
    assert_eq!(heard(&a), 4);
    a.f.effects();
    a.speak(3);
    assert_eq!(a.seen(), [(0, 0), (3, 3)], "D takes the place of B; A stays where it is");
    let assigned = a.f.effects().into_iter().filter(|effect| matches!(effect, Effect::Assign { .. })).count();
    assert_eq!(assigned, 2, "one slot falls idle, one is taken, nothing else moves");
    a.speak(0);
    assert_eq!(a.seen(), [(0, 0), (3, 3)]);
    a.speak(2);
    assert_eq!(a.seen(), [(0, 0), (2, 2)], "D was silent longest");
    assert_eq!(heard(&a), 4);
}

#[test]
fn what_is_pinned_or_a_screen_is_among_the_last_n_and_what_is_muted_is_not() {
    let mut a = Audience::new();
    let pinned = ViewChange { pinned: true, ..view(&a.people[3].2) };
    a.f.room.view(&a.viewer.clone(), vec![pinned]);
    assert_eq!(a.seen(), [(0, 0), (3, 3)]);
    let hidden = ViewChange { visible: false, ..view(&a.people[0].2) };
    a.f.room.view(&a.viewer.clone(), vec![hidden]);
    assert_eq!(a.seen(), [(1, 1), (3, 3)], "whom the viewer does not look at comes last");
    let (bob, _, camera) = a.people[1].clone();
    a.f.room.mute(a.f.now, &bob, &camera, true).unwrap();
    assert_eq!(a.seen(), [(2, 2), (3, 3)]);
    a.f.room.mute(a.f.now, &bob, &camera, false).unwrap();
    assert_eq!(a.seen(), [(1, 1), (3, 3)]);
    let screen = a.f.publish(&bob, TrackSource::Screen);
    assert_eq!(a.seen(), [(3, 3)], "the screen is the second picture");
    assert_eq!(a.f.room.slot(&a.viewer, "v4").and_then(|(_, track)| track), Some(&screen));
}

#[test]
fn changed_limits_count_at_once() {
    let mut a = Audience::new();
    let viewer = a.viewer.clone();
    a.f.effects();
    assert!(a.f.room.set_limits(&viewer, MemberLimits { last_n: Some(0), ..MemberLimits::NONE }));
    assert_eq!(a.f.effects().first(), Some(&Effect::Limit { member: viewer.clone() }));
    assert_eq!(a.seen(), []);
    assert!(a.f.room.set_limits(&viewer, MemberLimits::NONE));
    assert_eq!(a.seen().len(), 4);
    a.f.effects();
    assert!(a.f.room.set_limits(&viewer, MemberLimits::NONE));
    assert!(a.f.effects().is_empty(), "the same again is no news");
    assert!(!a.f.room.set_limits(&MemberId::new("nobody").unwrap(), MemberLimits::NONE));
}

#[test]
fn the_server_can_mute_a_track_and_says_why() {
    let mut f = Fixture::new();
    let ann = f.join("Ann");
    let camera = f.publish(&ann, TrackSource::Camera);
    f.effects();
    assert_eq!(f.room.mute_for(f.now, &camera, ErrorCode::OverLimit), Some(ann.clone()));
    let effects = f.effects();
    assert_eq!(effects[0], Effect::Pause { track: camera.clone(), paused: true });
    assert!(matches!(
        &effects[1],
        Effect::Event(Event { body: EventBody::Muted { muted: true, code: Some(ErrorCode::OverLimit), .. }, .. })
    ));
    assert_eq!(f.room.mute_for(f.now, &camera, ErrorCode::OverLimit), None, "once is enough");
    f.room.mute(f.now, &ann, &camera, false).unwrap();
    assert!(f.room.track(&camera).is_some_and(|track| !track.muted), "its owner may try again");
}

#[test]
fn the_dominant_speaker_is_told_and_their_camera_goes_first() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    let (ann_mic, ann_cam) = (f.publish(&ann, TrackSource::Microphone), f.publish(&ann, TrackSource::Camera));
    let (bob_mic, bob_screen) = (f.publish(&bob, TrackSource::Microphone), f.publish(&bob, TrackSource::Screen));
    f.effects();
    let told = |f: &mut Fixture, track: Option<&TrackId>| {
        f.room.handle_dominant(f.now, track);
        let (mut who, mut ranks) = (Vec::new(), Vec::new());
        for effect in f.effects() {
            match effect {
                Effect::Event(Event { body: EventBody::DominantSpeaker { member }, .. }) => who.push(member),
                Effect::Rank { track, class, .. } => ranks.push((track, class)),
                other => panic!("{other:?}"),
            }
        }
        (who, ranks)
    };
    let (who, ranks) = told(&mut f, Some(&ann_mic));
    assert_eq!(who, [Some(ann.clone())]);
    assert!(ranks.contains(&(ann_cam.clone(), Class::Dominant)));
    assert_eq!(told(&mut f, Some(&ann_mic)), (vec![], vec![]), "the same one is no news");
    let (who, ranks) = told(&mut f, Some(&bob_mic));
    assert_eq!(who, [Some(bob)]);
    assert!(ranks.contains(&(ann_cam, Class::Recent)) && ranks.contains(&(bob_screen, Class::Screen)));
    assert_eq!(told(&mut f, None).0, [None]);
}

#[test]
fn voice_slots_are_no_seats_and_who_is_refused_there_is_told_to_the_plane() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    let mic = f.publish(&ann, TrackSource::Microphone);
    f.room.add_seats(&bob, [(Some("voice".to_owned()), None)]);
    f.effects();
    assert_eq!(f.room.slot(&bob, "voice"), None);
    f.room.subscribe(&bob, vec![SubscribeChange { track: mic.clone(), wanted: false }]);
    let effects = f.effects();
    assert_eq!(effects, [Effect::Audible { member: bob, track: mic, audible: false }]);
}

#[test]
fn what_is_written_again_is_acknowledged_and_not_taken_twice() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    f.room.chat(f.now, &ann, 1, "hello".into()).unwrap();
    f.effects();
    f.room.chat(f.now, &ann, 1, "hello".into()).unwrap();
    let effects = f.effects();
    let [Effect::Acknowledge { message }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((message.seq, message.nonce, message.text.as_str()), (3, Some(1), "hello"));
    // Another text, or another writer, is another message.
    f.room.chat(f.now, &ann, 1, "hello!".into()).unwrap();
    f.room.chat(f.now, &bob, 1, "hello".into()).unwrap();
    assert_eq!(f.events(), ["chat", "chat"]);
}

#[test]
fn a_track_whose_owner_lost_the_connection_waits_and_goes_on_under_its_id() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    f.seats(&bob, 0, 2);
    let camera = f.publish(&ann, TrackSource::Camera);
    let screen = f.publish(&ann, TrackSource::Screen);
    f.room.subscribe(&bob, vec![SubscribeChange { track: screen.clone(), wanted: false }]);
    f.effects();

    f.room.handle_media_lost(f.now, &ann);
    let effects = f.effects();
    let dropped = |track: &TrackId| effects.contains(&Effect::Drop { track: track.clone() });
    assert!(dropped(&camera) && dropped(&screen), "{effects:?}");
    let idled =
        |e: &Effect| matches!(e, Effect::Assign { member, assignment } if *member == bob && assignment.track.is_none());
    assert!(effects.iter().any(idled), "{effects:?}");
    assert!(!effects.iter().any(|e| matches!(e, Effect::Event(_))), "nobody is told: {effects:?}");
    let allowance = f.room.publish_allowance(&ann).map(|allowance| allowance.tracks);
    assert_eq!(allowance, Ok(MAX_TRACKS_PER_MEMBER), "what waits takes nobody's place");

    let id = f.publish_as(&bob, TrackSource::Camera, Some(&camera), false);
    assert_ne!(id, camera, "nobody else goes on with it");
    f.effects();
    assert_eq!(f.publish_as(&ann, TrackSource::Camera, Some(&camera), true), camera);
    let effects = f.effects();
    let assigned = |e: &Effect| matches!(e, Effect::Assign { member, assignment } if *member == bob && assignment.track.as_ref() == Some(&camera));
    assert!(effects.iter().any(assigned), "{effects:?}");
    let told: Vec<_> =
        effects.iter().filter_map(|e| if let Effect::Event(e) = e { Some(e.body.name()) } else { None }).collect();
    assert_eq!(told, ["muted"], "only what is different");

    // A screen that is not gone on with ends.
    f.room.end_suspended(f.now, &ann);
    assert_eq!(f.events(), ["unpublished"]);
    assert_ne!(f.publish_as(&ann, TrackSource::Screen, Some(&screen), false), screen);
    assert_ne!(f.publish_as(&ann, TrackSource::Camera, Some(&camera), false), camera, "it carries something already");
}

#[test]
fn who_stays_away_for_too_long_is_to_be_taken_out() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    f.effects();
    let at = |s| Now { instant: f.now.instant + Duration::from_secs(s), ..f.now };
    let (one, two, three) = (at(59), at(60), at(200));
    f.room.handle_away(&ann, two.instant);
    f.room.handle_away(&bob, two.instant);
    assert_eq!(f.room.poll_timeout(), Some(two.instant));
    f.room.handle_back(&bob);
    f.room.handle_timeout(one);
    assert_eq!(f.effects(), []);
    f.room.handle_timeout(two);
    assert_eq!(f.effects(), [Effect::Expire { member: ann.clone() }]);
    f.room.leave(two, &ann, LeaveReason::Disconnected);
    f.room.handle_timeout(three);
    assert_eq!(f.events(), ["left"]);
}

#[test]
fn whoever_is_hidden_receives_and_is_told_of_to_nobody() {
    let mut f = Fixture::new();
    let ghost = f.room.join(f.now, "Ghost", Grants { hidden: true, ..Grants::ALL }, 8).id;
    f.seats(&ghost, 0, 2);
    assert!(matches!(
        &f.effects()[..],
        [Effect::Event(Event { seq: 1, body: EventBody::Audience { viewers: 0, .. }, .. })]
    ));
    let ann = f.join("Ann");
    let camera = f.publish(&ann, TrackSource::Camera);
    let effects = f.effects();
    let is_for_ghost = |effect: &&Effect| matches!(effect, Effect::Assign { member, .. } if *member == ghost);
    assert_eq!(effects.iter().filter(is_for_ghost).count(), 1, "it sees {camera}");
    let told = format!("{:?}", effects.iter().filter(|effect| matches!(effect, Effect::Event(_))).collect::<Vec<_>>());
    assert!(!told.contains(ghost.as_str()), "{told}");
    assert_eq!(f.room.chat(f.now, &ghost, 1, "boo".into()).map_err(ChatError::code), Err(ErrorCode::ChatForbidden));
    let refused = f.room.check_publish(&ghost, &[TrackSource::Camera]).map_err(|error| error.code());
    assert_eq!(refused, Err(ErrorCode::PublishForbidden));

    f.room.leave(f.now, &ghost, LeaveReason::Left);
    assert_eq!((f.effects().len(), f.room.len()), (0, 1), "nor of its going");
    let ghost = f.room.join(f.now, "Ghost", Grants { hidden: true, ..Grants::ALL }, 8).id;
    f.room.close(f.now, RoomCloseReason::Closed);
    assert_eq!(f.room.len(), 0, "{ghost} goes with the room");
}
