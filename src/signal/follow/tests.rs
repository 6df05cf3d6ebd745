//! Ten thousand viewers without sockets: room, journal and what each session reads of it. Costs are counted, not timed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use roundtable_protocol::event::{LeaveReason, TrackInfo, TrackSource};
use roundtable_protocol::limit::MAX_LISTED_RECENT;
use roundtable_protocol::message::PublishRequest;
use roundtable_protocol::{Grants, MemberId, RoomId, ServerMessage};

use super::*;
use crate::room::{Effect, Now, Room};

/// Between two looks at what there is to read.
const STEP: Duration = Duration::from_millis(100);
const PUBLISHERS: usize = 10;

/// A member and what its session sent it.
struct Viewer {
    id: MemberId,
    follower: Follower,
    state: RoomState,
}

/// What sessions sent.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    messages: usize,
    bytes: usize,
}

struct Crowd {
    room: Room,
    journal: Arc<Journal>,
    now: Now,
    viewers: Vec<Viewer>,
    /// The length of each event as a message.
    lengths: HashMap<u64, usize>,
    events: Sent,
    /// States for those who came.
    largest_state: usize,
    joins: usize,
    delivered: usize,
}

impl Crowd {
    fn new() -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_795_428_000_000 };
        let journal = Journal::new(RoomId::new("keynote").unwrap(), 1_795_428_000_000, None);
        let mut crowd = Self {
            room: Room::new(7),
            journal,
            now,
            viewers: Vec::new(),
            lengths: HashMap::new(),
            events: Sent::default(),
            largest_state: 0,
            joins: 0,
            delivered: 0,
        };
        for _ in 0..PUBLISHERS {
            crowd.join();
            let (member, source) = (crowd.viewers.last().unwrap().id.clone(), TrackSource::Camera);
            let request = PublishRequest { mid: "0".into(), source, muted: false, track: None };
            let id = crowd.room.reserve_tracks(&member, &[request]).remove(0);
            let track = TrackInfo { id, member, source, muted: false, codec: "VP8".into(), layers: 3 };
            crowd.room.publish(crowd.now, track);
            crowd.apply();
        }
        crowd
    }

    /// Does what a shard does, and in that order.
    fn apply(&mut self) {
        while let Some(effect) = self.room.poll_effect() {
            match effect {
                Effect::Event(event) => drop(self.journal.append(event)),
                Effect::Enter { member } => self.journal.enter(&member),
                Effect::Exit { member } => self.journal.exit(&member),
                Effect::Deliver { .. } => self.delivered += 1,
                _ => {}
            }
        }
    }

    fn join(&mut self) {
        self.joins += 1;
        let id = self.room.join(self.now, format!("Viewer number {}", self.joins), Grants::ALL, 8).id;
        self.apply();
        let (follower, state) = Follower::begin(Arc::clone(&self.journal));
        self.largest_state = self.largest_state.max(serde_json::to_string(&state).unwrap().len());
        self.viewers.push(Viewer { id, follower, state });
    }

    fn leave(&mut self, at: usize) {
        let viewer = self.viewers.swap_remove(at);
        self.room.leave(self.now, &viewer.id, LeaveReason::Left);
        self.apply();
    }

    /// Lets a step of time pass; then every session reads.
    fn step(&mut self) {
        self.now.instant += STEP;
        self.now.unix_ms += 100;
        if self.room.poll_timeout().is_some_and(|due| due <= self.now.instant) {
            self.room.handle_timeout(self.now);
            self.apply();
        }
        for viewer in &mut self.viewers {
            loop {
                match viewer.follower.next().now_or_never().expect("the ring answers at once") {
                    Next::UpToDate => break,
                    Next::Lost => panic!("a session that reads falls behind"),
                    Next::Events(events) => {
                        for event in events {
                            let length = self.lengths.entry(event.seq).or_insert_with(|| {
                                let message = ServerMessage::Event { event: (*event).clone() };
                                serde_json::to_string(&message).unwrap().len()
                            });
                            self.events.messages += 1;
                            self.events.bytes += *length;
                            viewer.state.apply(&event);
                        }
                    }
                }
            }
        }
    }

    /// So many come, evenly within the time.
    fn fill(&mut self, people: usize, within: Duration) {
        let steps = (within.as_millis() / STEP.as_millis()) as usize;
        for step in 0..steps {
            (people * step / steps..people * (step + 1) / steps).for_each(|_| self.join());
            self.step();
        }
    }

    fn rest(&mut self, time: Duration) {
        (0..time.as_millis() / STEP.as_millis()).for_each(|_| self.step());
    }

    /// What was sent since it was last asked.
    fn sent(&mut self) -> Sent {
        std::mem::take(&mut self.events)
    }

    fn assert_all_know(&self) {
        for viewer in &self.viewers {
            assert_eq!(viewer.state.population(), self.viewers.len(), "everybody knows how many there are");
            assert_eq!(viewer.state.tracks.len(), PUBLISHERS);
            assert!(viewer.state.tracks.iter().all(|track| viewer.state.member(&track.member).is_some()));
        }
        let state = self.journal.state();
        assert!(self.viewers.iter().all(|viewer| viewer.state.members.len() == state.members.len()));
        assert_eq!(self.journal.population(), self.viewers.len());
    }
}

#[test]
fn ten_thousand_viewers_come_stay_and_go_for_a_few_messages_each() {
    let mut crowd = Crowd::new();
    crowd.fill(200, Duration::from_secs(10));
    crowd.sent();
    crowd.largest_state = 0;

    crowd.fill(10_000 - 200 - PUBLISHERS, Duration::from_secs(20));
    crowd.rest(Duration::from_secs(6));
    let (fill, joins) = (crowd.sent(), 9_790);
    eprintln!("10,000 came: {fill:?}, largest state {} B, {} events", crowd.largest_state, crowd.journal.last_seq());
    crowd.assert_all_know();
    // By `joined` events it would have been 9,790 × 5,105 on average: 50 million.
    assert!(fill.messages < 10 * joins, "a join costs all others together a few messages: {fill:?}");
    assert!(fill.bytes < fill.messages * 1_000, "{fill:?}");
    assert!(crowd.largest_state < 4 * 1024, "who joins gets {} bytes", crowd.largest_state);

    let _ = crowd.sent();
    for second in 0..60 {
        for _ in 0..10 {
            (0..10).for_each(|_| crowd.join());
            (0..10).for_each(|n| crowd.leave(PUBLISHERS + 37 * (second + n)));
            crowd.step();
        }
    }
    crowd.rest(Duration::from_secs(6));
    let churn = crowd.sent();
    eprintln!("a minute of 100 joins and 100 leaves a second: {churn:?}");
    crowd.assert_all_know();
    let per_viewer_second = churn.messages as f64 / (10_000.0 * 66.0);
    assert!(per_viewer_second < 0.25, "each viewer hears every five seconds: {per_viewer_second}");
    assert!(churn.bytes / churn.messages < 120, "a count is short: {churn:?}");

    while crowd.viewers.len() > 100 {
        (0..100.min(crowd.viewers.len() - 100)).for_each(|_| crowd.leave(crowd.viewers.len() - 1));
        crowd.step();
    }
    crowd.rest(Duration::from_secs(2));
    let end = crowd.sent();
    eprintln!("9,900 went: {end:?}");
    crowd.assert_all_know();
    assert_eq!(crowd.journal.state().viewers, 0, "who remains is listed again");
    assert!(end.messages < 10 * 9_900, "{end:?}");
}

#[test]
fn what_a_join_costs_does_not_depend_on_how_many_are_there() {
    let cost = |people: usize| {
        let mut crowd = Crowd::new();
        crowd.fill(people, Duration::from_secs(2));
        crowd.rest(Duration::from_secs(10));
        crowd.sent();
        crowd.largest_state = 0;
        let before = crowd.journal.last_seq();
        crowd.fill(500, Duration::from_secs(10));
        crowd.rest(Duration::from_secs(5));
        let sent = crowd.sent();
        let events = crowd.journal.last_seq() - before;
        eprintln!("500 join {people}: {events} events, {sent:?}, state {} B", crowd.largest_state);
        (sent.messages / people, sent.bytes / people, crowd.largest_state)
    };
    let (few, many) = (cost(1_000), cost(8_000));
    assert!(many.0 <= few.0 && few.0 <= 16, "messages to each who was there: {few:?}, {many:?}");
    assert!(many.1 <= few.1 && few.1 <= 2_000, "bytes to each who was there: {few:?}, {many:?}");
    assert!(many.2 < few.2 + 64, "bytes of the state of who comes: {few:?}, {many:?}");
}

#[test]
fn a_crowd_that_writes_is_listed_a_few_at_a_time() {
    let mut crowd = Crowd::new();
    crowd.fill(2_000, Duration::from_secs(5));
    crowd.rest(Duration::from_secs(3));
    crowd.sent();
    let before = crowd.journal.last_seq();
    for at in 0..1_000 {
        let id = crowd.viewers[PUBLISHERS + at].id.clone();
        crowd.room.chat(crowd.now, &id, 1, "hello".into()).unwrap();
        crowd.apply();
        if at % 50 == 0 {
            crowd.step();
        }
    }
    crowd.rest(Duration::from_secs(2));
    let sent = crowd.sent();
    let told = crowd.journal.last_seq() - before - 1_000;
    eprintln!("1,000 wrote within two seconds: {told} events besides, {sent:?}");
    assert!(told <= 5, "{told} events tell who is listed");
    assert_eq!(crowd.delivered, 1_000, "one effect a message");
    assert_eq!(crowd.journal.state().members.len(), PUBLISHERS + MAX_LISTED_RECENT);
    crowd.assert_all_know();
}

#[tokio::test]
async fn who_is_back_is_woken_by_the_chat_they_missed_and_by_no_later_one() {
    let journal = Journal::new(RoomId::new("keynote").unwrap(), 7, None);
    let member = MemberId::new("ann").unwrap();
    let chat = || {
        let id = roundtable_protocol::MessageId::new("m").unwrap();
        let (name, text) = ("Ann".into(), "hello".into());
        let (member, at) = (member.clone(), 1);
        let message = roundtable_protocol::event::ChatMessage { id, seq: 0, at, member, name, text, nonce: None };
        journal.append(roundtable_protocol::Event { seq: 0, at, body: EventBody::Chat { message } })
    };
    chat();
    // The room had numbered two more events when they came back, which were shown only afterwards.
    let (mut follower, state) = Follower::resume(Arc::clone(&journal), 0, 3).await;
    assert!(state.is_none());
    for seq in 1..=3 {
        follower.changed().now_or_never().expect("there is some of it");
        let Next::Events(events) = follower.next().await else { panic!("it is in the ring") };
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [seq]);
        assert!(matches!(follower.next().await, Next::UpToDate));
        chat();
    }
    assert_eq!(follower.changed().now_or_never(), None, "later chat comes from the shard");
    let left = EventBody::Left { member: member.clone(), reason: LeaveReason::Left };
    journal.append(roundtable_protocol::Event { seq: 0, at: 1, body: left });
    follower.changed().now_or_never().expect("this is no chat");
    let Next::Events(events) = follower.next().await else { panic!("it is in the ring") };
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [5], "and the chat before it is left out");
}
