//! A room of three hundred people over real sockets: viewers are counted, who publishes or writes is listed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roundtable::Config;
use roundtable::protocol::event::TrackSource::Microphone;
use roundtable::protocol::limit::LIST_UP_TO;
use roundtable::protocol::roster::RosterPage;
use roundtable::protocol::{MemberId, RoomState, ServerMessage};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::common::events::EventReader;
use crate::common::http::{get, json, send};
use crate::common::server::{Place, Running};
use crate::common::socket::{Heard, RawSocket};
use crate::common::{eventually, join};

const ROOM: &str = "keynote";
const VIEWERS: usize = 300;
/// Those who stay when the others go: more than are listed in a room that counts.
const STAY: usize = 100;
/// Viewers who enter at the same time.
const AT_ONCE: usize = 25;

/// What a viewer has heard.
#[derive(Debug)]
struct Known {
    state: RoomState,
    welcome_bytes: usize,
    events: usize,
    chat: Vec<(String, Option<u32>)>,
}

/// A member without media.
struct Viewer {
    id: MemberId,
    known: Arc<Mutex<Known>>,
    words: mpsc::UnboundedSender<Value>,
    task: JoinHandle<()>,
}

impl Viewer {
    async fn enter(place: Place, name: String) -> Self {
        let (mut socket, welcome) = RawSocket::enter(place.http, ROOM, &name).await;
        let welcome_bytes = welcome.to_string().len();
        let id = serde_json::from_value(welcome["member"]["id"].clone()).expect("an id");
        let state = serde_json::from_value(welcome["state"].clone()).expect("a state");
        let known = Arc::new(Mutex::new(Known { state, welcome_bytes, events: 0, chat: Vec::new() }));
        let (words, mut said) = mpsc::unbounded_channel::<Value>();
        let heard = Arc::clone(&known);
        let task = tokio::spawn(async move {
            loop {
                while let Ok(word) = said.try_recv() {
                    socket.say(&word).await;
                }
                match socket.hear_within(Duration::from_millis(200)).await {
                    Some(Heard::Said(message)) => note(&heard, message),
                    Some(Heard::Closed(_) | Heard::Broken) => return,
                    None => {}
                }
            }
        });
        Self { id, known, words, task }
    }

    fn say(&self, word: Value) {
        self.words.send(word).expect("the viewer is there");
    }

    fn know<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note(known: &Mutex<Known>, message: Value) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    match serde_json::from_value(message).expect("a message of the protocol") {
        ServerMessage::Event { event } => {
            known.events += 1;
            known.state.apply(&event);
        }
        ServerMessage::Chat { message, nonce } => known.chat.push((message.text, nonce)),
        _ => {}
    }
}

async fn fill(place: Place) -> Vec<Viewer> {
    let mut viewers = Vec::new();
    while viewers.len() < VIEWERS {
        let mut entering = JoinSet::new();
        for n in viewers.len()..viewers.len() + AT_ONCE {
            entering.spawn(Viewer::enter(place, format!("Viewer {n}")));
        }
        viewers.extend(entering.join_all().await);
    }
    viewers
}

/// The names of everybody, by turning pages.
async fn everybody(place: Place) -> BTreeSet<String> {
    let (mut names, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = json(place.http, &format!("/api/v1/rooms/{ROOM}/members?after={after}&limit=90")).await;
        let page: RosterPage = serde_json::from_value(page).expect("a page");
        assert!(page.members.len() <= 90);
        let new = page.members.into_iter().map(|member| member.name).all(|name| names.insert(name));
        assert!(new, "nobody stands on two pages");
        match page.next {
            Some(next) => after = next,
            None => return names,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_viewers_are_counted_and_who_does_something_is_listed() {
    let mut config = Config::default();
    config.limits.members = 400;
    let server = Running::start_with(config).await;
    let place = server.place;
    let speaker = join(place.guest(ROOM, "Speaker")).await;
    speaker.publish(&[Microphone]).await.expect("it may publish");
    let reader = EventReader::open(place.http, ROOM, None).await;

    let mut viewers = fill(place).await;
    let late = Viewer::enter(place, "Late".into()).await;
    viewers.push(late);
    let all = VIEWERS + 2;
    let late = &viewers[VIEWERS];
    let late_knows = late.know(|known| (known.state.clone(), known.welcome_bytes));
    assert_eq!(late_knows.0.members.len(), 1, "the speaker, and none of the viewers: {:?}", late_knows.0);
    assert_eq!((&late_knows.0.members[0].id, late_knows.0.tracks.len()), (speaker.member(), 1));
    assert!(late_knows.0.viewers as usize >= LIST_UP_TO, "{late_knows:?}");
    assert!(late_knows.1 < 2_048, "a welcome of {} bytes", late_knows.1);

    let converged = async || {
        let alike = |known: &Known| known.state.population() == all && known.state.members.len() == 1;
        viewers.iter().all(|viewer| viewer.know(alike)) && speaker.state().population() == all
    };
    let took = eventually("everybody knows how many there are", converged).await;
    let events: Vec<usize> = viewers[LIST_UP_TO + AT_ONCE..].iter().map(|v| v.know(|known| known.events)).collect();
    let most = events.iter().max().copied().unwrap_or(0);
    eprintln!("the number was known everywhere after {took:?}; who came late got {most} events at most");
    assert!(most <= 30, "who comes to a large room does not hear of each who comes after: {events:?}");

    let names = everybody(place).await;
    assert_eq!(names.len(), all);
    assert!(names.contains("Speaker") && names.contains("Viewer 299") && names.contains("Late"));
    let room = json(place.http, &format!("/api/v1/rooms/{ROOM}")).await;
    assert_eq!((room["members"].as_array().map(Vec::len), room["viewers"].as_u64()), (Some(1), Some(all as u64 - 1)));
    let rooms = json(place.http, "/api/v1/rooms").await;
    assert_eq!(rooms["rooms"][0]["members"], all);

    // Who is counted changes without an event, and is listed as it is then.
    let writer = &viewers[42];
    let path = format!("/api/v1/rooms/{ROOM}/members/{}", writer.id);
    let before = json(place.http, &path).await["name"].as_str().expect("a name").to_owned();
    let renamed = send(place.http, "PATCH", &path, "", Some(&json!({"name": "Row 42"}))).await;
    assert_eq!((renamed.status, renamed.header("etag")), (200, Some("\"1\"")));
    let names = everybody(place).await;
    assert!(names.contains("Row 42") && !names.contains(&before) && names.len() == all);
    writer.say(json!({"type": "chat", "nonce": 7, "text": "Hello from row 42"}));
    eventually("everybody has read it, and sees who wrote", async || {
        viewers.iter().all(|v| v.know(|known| known.chat.len() == 1 && known.state.member(&writer.id).is_some()))
    })
    .await;
    let name = late.know(|known| known.state.member(&writer.id).map(|member| member.name.clone()));
    assert_eq!(name.as_deref(), Some("Row 42"));
    assert!(!reader.notices().iter().any(|notice| notice.name == "memberUpdated"));
    for viewer in &viewers {
        let nonce = (viewer.id == writer.id).then_some(7);
        viewer.know(|known| assert_eq!(known.chat, [("Hello from row 42".to_owned(), nonce)]));
    }

    let gone: Vec<Viewer> = viewers.drain(STAY..).collect();
    gone.iter().for_each(|viewer| viewer.say(json!({"type": "leave"})));
    for viewer in gone {
        viewer.task.await.expect("it ends in good order");
    }
    eventually("those who remain are listed again", async || {
        let alike = |known: &Known| known.state.viewers == 0 && known.state.members.len() == STAY + 1;
        viewers.iter().all(|viewer| viewer.know(alike))
    })
    .await;
    assert_eq!(everybody(place).await.len(), STAY + 1);

    let last = json(place.http, &format!("/api/v1/rooms/{ROOM}")).await["seq"].as_u64().expect("a number");
    eventually("the event stream is up to date", async || reader.notices().last().is_some_and(|n| n.seq() == last))
        .await;
    let seqs: Vec<u64> = reader.notices().iter().map(|notice| notice.seq()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "the stream has no gap: {seqs:?}");
    let audiences = reader.notices().iter().filter(|notice| notice.name == "audience").count();
    assert!((3..=30).contains(&audiences), "{audiences}");
    server.stop().await;
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused_with_a_code() {
    let server = Running::start().await;
    let place = server.place;
    let (_socket, _) = RawSocket::enter(place.http, ROOM, "Ann").await;
    let members = format!("/api/v1/rooms/{ROOM}/members");
    let page = json(place.http, &members).await;
    assert_eq!((page["total"].as_u64(), page["members"][0]["name"].as_str()), (Some(1), Some("Ann")));
    assert!(page["next"].is_null());
    let table = [
        ("?limit=0", 400, "http/query"),
        ("?limit=501", 400, "http/query"),
        ("?limit=-1", 400, "http/query"),
        ("?after=x", 400, "http/query"),
        ("?after=18446744073709551616", 400, "http/query"),
    ];
    for (query, status, code) in table {
        let (got, body) = get(place.http, &format!("{members}{query}")).await;
        let body: Value = serde_json::from_str(&body).expect("a problem");
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{query}: {body}");
    }
    let none = json(place.http, &format!("{members}?after=18446744073709551615&limit=500")).await;
    assert_eq!((none["total"].as_u64(), none["members"].as_array().map(Vec::len)), (Some(1), Some(0)));
    let (status, body) = get(place.http, "/api/v1/rooms/nowhere/members").await;
    assert!(status == 404 && body.contains("room/unknown"), "{body}");
    server.stop().await;
}
