//! A thousand events of a lively room, to one who reads them as they are and to one who reads them packed: the same events,
//! and how many bytes of frames they take.

use std::time::{Duration, Instant};

use roundtable::protocol::event::TrackSource::Microphone;
use roundtable_client::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::common::http::send;
use crate::common::join;
use crate::common::server::{Place, Running};
use crate::common::socket::{Frames, Heard, RawSocket};

const ROOM: &str = "lively";
/// Events that the script makes.
const EVENTS: usize = 1_000;
/// Members who speak, and mute and unmute themselves.
const SPEAKERS: usize = 5;
/// Groups of guests who come together; each goes when the next one is there.
const WAVES: usize = 10;
/// Guests in a group.
const GUESTS: usize = 10;
/// How often each guest writes.
const CHATS: usize = 4;
/// What guests write, in turn.
const TEXTS: [&str; 5] = [
    "Good morning, everybody!",
    "Can you hear me? The sound was gone for a moment.",
    "yes",
    "I have put the minutes of the last meeting into the folder; please read the third paragraph before Thursday.",
    "👍 fine with me",
];

/// A step of the script.
enum Step {
    Enter(usize),
    Write(usize, usize),
    /// Raises a hand, or takes it down.
    Show(usize, bool),
    Mute(usize, bool),
    Leave(usize),
}

/// The whole script, in its order: exactly [`EVENTS`] events.
fn script() -> Vec<Step> {
    let (mut steps, mut is_muted) = (Vec::new(), [false; SPEAKERS]);
    for wave in 0..WAVES {
        let group = wave * GUESTS..(wave + 1) * GUESTS;
        steps.extend(group.clone().map(Step::Enter));
        for turn in 0..CHATS {
            for guest in group.clone() {
                steps.push(Step::Write(guest, turn));
                if turn < 2 {
                    steps.push(Step::Show(guest, turn == 0));
                    let speaker = guest % SPEAKERS;
                    is_muted[speaker] = !is_muted[speaker];
                    steps.push(Step::Mute(speaker, is_muted[speaker]));
                }
            }
        }
        steps.extend(group.map(Step::Leave));
    }
    steps
}

/// Plays the script's people.
struct Stage {
    place: Place,
    speakers: Vec<Client>,
    guests: Vec<RawSocket>,
    /// Guests who were seen to be in.
    welcome: usize,
}

impl Stage {
    async fn new(place: Place) -> Self {
        let settings = json!({"defaultRole": "host"});
        let answer = send(place.http, "PUT", &format!("/api/v1/rooms/{ROOM}/settings"), "", Some(&settings)).await;
        assert_eq!(answer.status, 200, "guests may show what they like: {answer:?}");
        let mut speakers = Vec::new();
        for n in 0..SPEAKERS {
            let speaker = join(place.guest(ROOM, &format!("Speaker {n}"))).await;
            speaker.publish(&[Microphone]).await.expect("it may");
            speakers.push(speaker);
        }
        Self { place, speakers, guests: Vec::new(), welcome: 0 }
    }

    async fn play(&mut self, step: &Step) {
        match *step {
            Step::Enter(guest) => {
                let mut socket = RawSocket::open(self.place.http, ROOM).await;
                socket.say(&json!({"type": "hello", "version": 1, "name": format!("Guest {guest}")})).await;
                self.guests.push(socket);
            }
            Step::Write(guest, turn) => {
                let text = TEXTS[(guest + turn) % TEXTS.len()];
                self.guest(guest).await.say(&json!({"type": "chat", "nonce": turn, "text": text})).await;
            }
            Step::Show(guest, up) => {
                let hand = if up { "up" } else { "" };
                let change = json!({"type": "updateMember", "attributes": {"hand": hand}});
                self.guest(guest).await.say(&change).await;
            }
            Step::Mute(speaker, muted) => {
                self.speakers[speaker].mute(Microphone, muted).await.expect("it is there");
            }
            Step::Leave(guest) => self.guest(guest).await.say(&json!({"type": "leave"})).await,
        }
    }

    /// A guest, who is in by now.
    async fn guest(&mut self, guest: usize) -> &mut RawSocket {
        while self.welcome <= guest {
            self.guests[self.welcome].until("welcome").await;
            self.welcome += 1;
        }
        &mut self.guests[guest]
    }
}

/// What one who watches got.
struct Seen {
    /// The events in the order of their numbers, chat messages among them.
    events: Vec<Value>,
    /// The frames that brought them.
    frames: Frames,
}

/// The number of an event or a chat message.
fn seq(event: &Value) -> u64 {
    event["seq"].as_u64().expect("a number")
}

/// Reads until there are a thousand. Events come in their order and chat in its own; which of the two is ahead is open.
fn watch(mut socket: RawSocket) -> JoinHandle<Seen> {
    tokio::spawn(async move {
        let (mut events, mut chat, before) = (Vec::new(), Vec::new(), socket.frames);
        while events.len() + chat.len() < EVENTS {
            match socket.hear().await {
                Heard::Said(message) if message["type"] == "event" => events.push(message["event"].clone()),
                Heard::Said(message) if message["type"] == "chat" => chat.push(message["message"].clone()),
                other => panic!("{other:?} after {} events and {} messages", events.len(), chat.len()),
            }
        }
        assert!(events.is_sorted_by_key(seq) && chat.is_sorted_by_key(seq), "in order");
        events.append(&mut chat);
        events.sort_by_key(seq);
        Seen { events, frames: socket.frames.since(before) }
    })
}

/// Everything is quiet and said: what comes next is of the script.
async fn settle(socket: &mut RawSocket) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    socket.say(&json!({"type": "ping", "nonce": 1})).await;
    socket.until("pong").await;
}

/// Plays the script, a step in each `pace`; what the two saw, the plain one first.
async fn play(pace: Duration) -> [Seen; 2] {
    let running = Running::start().await;
    let mut stage = Stage::new(running.place).await;
    let (mut plain, _) = RawSocket::enter(running.place.http, ROOM, "Plain").await;
    let mut packs = RawSocket::open(running.place.http, ROOM).await;
    assert_eq!(packs.hello_packed("Packs").await["accepted"], json!(["batch", "deflate"]));
    for socket in [&mut plain, &mut packs] {
        settle(socket).await;
    }
    let seen = [watch(plain), watch(packs)];
    let began = Instant::now();
    let mut due = tokio::time::Instant::now();
    for step in script() {
        stage.play(&step).await;
        due += pace;
        tokio::time::sleep_until(due).await;
    }
    let [plain, packs] = seen.map(async |watcher| watcher.await.expect("it saw them all"));
    let (plain, packs) = tokio::join!(plain, packs);
    eprintln!(
        "{EVENTS} events in {:.1} s: plain {:?}, packed {:?}, {:.1} % of the bytes",
        began.elapsed().as_secs_f64(),
        plain.frames,
        packs.frames,
        100.0 * packs.frames.wire as f64 / plain.frames.wire as f64
    );
    running.stop().await;
    [plain, packs]
}

/// That both saw the script, whole and in order, and the same of it.
fn assert_same([plain, packs]: &[Seen; 2]) {
    for (expected, (one, other)) in (seq(&plain.events[0])..).zip(plain.events.iter().zip(&packs.events)) {
        assert_eq!(seq(one), expected, "without a gap");
        assert_eq!(one, other);
    }
    let of = |kind: &str| plain.events.iter().filter(|event| event["type"] == kind).count();
    let guests = WAVES * GUESTS;
    assert_eq!([of("joined"), of("left"), of("memberUpdated"), of("muted")], [guests, guests, 2 * guests, 2 * guests]);
    assert_eq!(plain.events.iter().filter(|event| event["text"].is_string()).count(), CHATS * guests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_as_fast_as_they_go_take_less_than_half_of_the_bytes_when_packed() {
    let seen = play(Duration::ZERO).await;
    assert_same(&seen);
    let [plain, packs] = seen.map(|seen| seen.frames);
    assert!(packs.wire * 2 < plain.wire, "{packs:?} instead of {plain:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes over a minute; says what packing gains when less happens at once"]
async fn at_slower_paces_packed_and_not_are_the_same_too() {
    for events_a_second in [20, 50, 100, 200, 500, 1_000] {
        eprint!("{events_a_second} a second: ");
        assert_same(&play(Duration::from_secs(1) / events_a_second).await);
    }
}
