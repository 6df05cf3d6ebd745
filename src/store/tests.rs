use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use roundtable_protocol::chat::Reaction;
use roundtable_protocol::event::{ChatMessage, LeaveReason};
use roundtable_protocol::{EventBody, MemberId};

use super::*;

const MINUTE: u64 = 60_000;

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("roundtable-store-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn config(&self) -> StoreConfig {
        StoreConfig::new(&self.0)
    }

    fn open(&self) -> Store {
        Store::open(self.config()).unwrap()
    }

    fn database(&self) -> PathBuf {
        self.0.join("roundtable.db")
    }

    /// Everything in the directory's files, one after the other.
    fn bytes(&self) -> Vec<u8> {
        fs::read_dir(&self.0).unwrap().flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    fn holds(&self, text: &str) -> bool {
        holds(&self.bytes(), text)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

fn id(number: u64) -> MessageId {
    MessageId::new(format!("c{number:016x}")).unwrap()
}

fn left(seq: u64, at: u64) -> Event {
    let member = MemberId::new(format!("m{seq}")).unwrap();
    Event { seq, at, body: EventBody::Left { member, reason: LeaveReason::Left } }
}

fn chat(seq: u64, at: u64, text: &str) -> Event {
    let (member, name) = (MemberId::new("ann").unwrap(), "Ann".to_owned());
    let message = ChatMessage { id: id(seq), seq, at, member, name, text: text.to_owned(), nonce: None };
    Event { seq, at, body: EventBody::Chat { message } }
}

fn append(room: &RoomId, events: impl IntoIterator<Item = Event>) -> Append {
    Append { room: room.clone(), epoch: 1, events: events.into_iter().map(Arc::new).collect() }
}

/// Keeps events and waits for it.
fn keep(store: &Store, room: &RoomId, events: impl IntoIterator<Item = Event>) {
    let (then, told) = waiter();
    store.append(append(room, events), then).unwrap();
    assert_eq!(told.recv().unwrap(), Ok(()));
}

/// A callback, and where what it is told arrives.
fn waiter() -> (Then, Receiver<Result<(), StoreError>>) {
    let (sender, receiver) = channel();
    (Box::new(move |told| sender.send(told).unwrap()), receiver)
}

/// Asks for something and waits for the outcome.
fn wait(ask: impl FnOnce(Then) -> Result<(), Refused>) -> Result<(), StoreError> {
    let (then, told) = waiter();
    ask(then).unwrap();
    told.recv().unwrap()
}

fn texts(page: &[StoredChat]) -> Vec<&str> {
    page.iter().map(|stored| &*stored.message.text).collect()
}

fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

#[test]
fn events_come_back_as_they_were_page_by_page_also_after_a_restart() {
    let place = Place::new();
    let (here, there, now) = (room("here"), room("there"), unix_millis());
    let events: Vec<Event> = (1..=10_u64)
        .map(|seq| if seq.is_multiple_of(3) { chat(seq, now, "Grüße \"\u{0}\"") } else { left(seq, now) })
        .collect();
    {
        let store = place.open();
        keep(&store, &here, events.clone());
        keep(&store, &there, [left(1, now)]);
    }
    let store = place.open();
    assert_eq!(store.events_after(&here, 1, 0, 100).unwrap(), events);
    assert_eq!(seqs(&store.events_after(&here, 1, 4, 3).unwrap()), [5, 6, 7]);
    assert_eq!(store.events_after(&here, 1, 10, 100).unwrap(), [], "nothing behind the last");
    assert_eq!(store.events_after(&here, 2, 0, 100).unwrap(), [], "another life of the room");
    assert_eq!((store.last_seq(&here, 1).unwrap(), store.last_seq(&here, 2).unwrap()), (10, 0));
    assert_eq!(store.last_seq(&there, 1).unwrap(), 1);
}

#[test]
fn a_number_that_is_there_already_is_left_out() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    keep(&store, &here, [chat(1, now, "first"), left(2, now)]);
    keep(&store, &here, [chat(1, now, "again"), left(2, now), left(3, now)]);
    assert_eq!(seqs(&store.events_after(&here, 1, 0, 9).unwrap()), [1, 2, 3]);
    assert_eq!(texts(&store.chat_before(&here, None, 9).unwrap()), ["first"]);
}

#[test]
fn events_are_given_up_to_the_first_hole() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    keep(&store, &here, [1, 2, 5, 6].map(|seq| left(seq, now)));
    assert_eq!(seqs(&store.events_after(&here, 1, 0, 9).unwrap()), [1, 2]);
    assert_eq!(
        seqs(&store.events_after(&here, 1, 2, 9).unwrap()),
        [5, 6],
        "not 3: the reader sees that it missed some"
    );
}

#[test]
fn callbacks_come_in_order_and_when_readers_can_see_what_was_written() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    let (sender, receiver) = channel();
    for seq in 1..=500 {
        let (sender, reader, here) = (sender.clone(), store.clone(), here.clone());
        let then = move |told| sender.send((seq, told, reader.last_seq(&here, 1).unwrap())).unwrap();
        store.append(append(&room("here"), [left(seq, now)]), Box::new(then)).unwrap();
    }
    drop(sender);
    let told: Vec<_> = receiver.iter().collect();
    assert_eq!(told.iter().map(|(seq, ..)| *seq).collect::<Vec<_>>(), (1..=500).collect::<Vec<_>>());
    assert!(told.iter().all(|(seq, told, seen)| told.is_ok() && seen >= seq), "told before it could be read");
    let stats = store.stats();
    assert_eq!(stats.events, 500);
    assert!(stats.commits < 500, "what waits is committed together, but there were {} commits", stats.commits);
}

#[test]
fn a_callback_that_panics_ends_nothing_but_itself() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    store.append(append(&here, [left(1, now)]), Box::new(|_| panic!("on purpose"))).unwrap();
    keep(&store, &here, [left(2, now)]);
    assert_eq!(store.last_seq(&here, 1).unwrap(), 2);
}

/// Keeps the store's thread in a callback until the sender goes.
fn hold_up(store: &Store) -> std::sync::mpsc::Sender<()> {
    let (go, held) = channel::<()>();
    let (reached, there) = channel();
    let then = move |_| {
        reached.send(()).unwrap();
        let _ = held.recv();
    };
    store.delete_record("none", "none", Box::new(then)).unwrap();
    there.recv().unwrap();
    go
}

#[test]
fn a_full_queue_refuses_at_once_by_number_and_by_bytes() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    let go = hold_up(&store);
    let ask = |events: Vec<Event>| store.append(append(&here, events), forget());
    let begin = Instant::now();
    for batch in 0..16 {
        ask((1..=1000).map(|seq| left(batch * 1000 + seq, now)).collect()).unwrap();
    }
    assert_eq!(ask((1..=1000).map(|seq| left(seq, now)).collect()), Err(Refused::Full), "{MAX_QUEUED} events at most");
    assert!(begin.elapsed() < Duration::from_secs(2), "whoever is refused does not wait");
    drop(go);
    store.flush().unwrap();
    assert_eq!(store.last_seq(&here, 1).unwrap(), 16_000, "what was taken is written");

    let go = hold_up(&store);
    let large = "x".repeat(1024 * 1024);
    let put = |key: u64| store.put_record("large", &key.to_string(), large.clone(), None, forget());
    let taken = (0..100).take_while(|key| put(*key).is_ok()).count();
    assert_eq!(taken, MAX_QUEUED_BYTES / (1024 * 1024) - 1, "the names and the rest weigh something too");
    drop(go);
    store.flush().unwrap();
    assert_eq!(store.records("large").unwrap().len(), taken);
    assert_eq!((store.stats().refused, store.stats().waiting), (2, 0));
}

#[test]
fn one_write_larger_than_the_queue_is_taken_when_it_is_alone() {
    let place = Place::new();
    let store = place.open();
    wait(|then| store.put_record("large", "one", "x".repeat(MAX_QUEUED_BYTES + 1), None, then)).unwrap();
    assert_eq!(store.record("large", "one").unwrap().unwrap().value.len(), MAX_QUEUED_BYTES + 1);
}

#[test]
fn chat_is_read_from_the_end_page_by_page_over_the_lives_of_a_room() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    keep(&store, &here, (1..=5).map(|seq| chat(seq, now, &format!("old {seq}"))));
    let second = Append { epoch: 2, ..append(&here, (1..=3).map(|seq| chat(seq, now, &format!("new {seq}")))) };
    wait(|then| store.append(second, then)).unwrap();

    let page = store.chat_before(&here, None, 4).unwrap();
    assert_eq!(texts(&page), ["old 5", "new 1", "new 2", "new 3"]);
    let page = store.chat_before(&here, Some((page[0].epoch, page[0].message.seq)), 3).unwrap();
    assert_eq!(texts(&page), ["old 2", "old 3", "old 4"]);
    let page = store.chat_before(&here, Some((page[0].epoch, page[0].message.seq)), 3).unwrap();
    assert_eq!(texts(&page), ["old 1"]);
    assert_eq!(store.chat_before(&here, Some((1, 1)), 3).unwrap(), []);
    assert_eq!(store.chat_before(&room("there"), None, 3).unwrap(), []);
}

#[test]
fn a_deleted_message_leaves_its_number_and_an_edited_one_its_new_text() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    keep(&store, &here, (1..=3).map(|seq| chat(seq, now, &format!("text {seq}"))));
    wait(|then| store.edit_chat(&here, &id(1), "better".to_owned(), now + 5, then)).unwrap();
    wait(|then| store.delete_chat(&here, &id(2), then)).unwrap();

    let page = store.chat_before(&here, None, 9).unwrap();
    assert_eq!(texts(&page), ["better", "", "text 3"]);
    assert_eq!(page.iter().map(|stored| stored.deleted).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(page.iter().map(|stored| stored.edited_at).collect::<Vec<_>>(), [Some(now + 5), None, None]);
    let (gone, about) = (&page[1].message, store.chat_message(&here, &id(2)).unwrap().unwrap());
    assert_eq!((&gone.id, gone.seq, gone.at, &*gone.name), (&id(2), 2, now, ""));
    assert_eq!(about, page[1]);

    let events = store.events_after(&here, 1, 0, 9).unwrap();
    assert_eq!(seqs(&events), [1, 2, 3], "no hole");
    let said = |event: &Event| match &event.body {
        EventBody::Chat { message } => message.text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(events.iter().map(said).collect::<Vec<_>>(), ["better", "", "text 3"]);

    for gone in [id(2), id(9)] {
        assert_eq!(wait(|then| store.delete_chat(&here, &gone, then)), Err(StoreError::NoMessage));
        let edit = wait(|then| store.edit_chat(&here, &gone, "x".to_owned(), now, then));
        assert_eq!(edit, Err(StoreError::NoMessage));
    }
    assert_eq!(store.chat_message(&here, &id(9)).unwrap(), None);
}

#[test]
fn events_do_to_the_chat_what_they_say_and_hold_no_words_themselves() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    let by = |name: &str| MemberId::new(name).unwrap();
    let event = |seq, body| Event { seq, at: now + seq, body };
    let edited = |seq, text: &str| {
        event(seq, EventBody::ChatEdited { message: id(1), member: by("ann"), text: text.to_owned() })
    };
    let deleted = |seq, message| event(seq, EventBody::ChatDeleted { message: id(message), member: by("ann") });
    let reaction = |seq, message, name: &str, on| {
        event(seq, EventBody::Reaction { message: id(message), member: by(name), reaction: "+1".to_owned(), on })
    };
    keep(&store, &here, [chat(1, now, "the-first-words"), chat(2, now, "other-words"), edited(3, "second-words")]);
    assert!(!place.holds("the-first-words"));
    keep(&store, &here, [reaction(4, 1, "bob", true), reaction(5, 1, "cid", true), reaction(6, 1, "bob", false)]);
    keep(&store, &here, [reaction(7, 2, "bob", true), edited(8, "third-words"), deleted(9, 2)]);
    for gone in ["second-words", "other-words"] {
        assert!(!place.holds(gone), "{gone}");
    }
    let reaction = Reaction { reaction: "+1".to_owned(), members: vec![by("cid")] };
    let page = store.chat_before(&here, None, 9).unwrap();
    assert_eq!((texts(&page), page[0].edited_at), (vec!["third-words", ""], Some(now + 8)));
    assert_eq!((&page[0].reactions, &page[1].reactions), (&vec![reaction], &vec![]));
    let said = |store: &Store| {
        let events = store.events_after(&here, 1, 0, 99).unwrap();
        let text = |event: Event| match event.body {
            EventBody::ChatEdited { text, .. } => Some(text),
            _ => None,
        };
        events.into_iter().filter_map(text).collect::<Vec<_>>()
    };
    assert_eq!(said(&store), ["third-words", "third-words"], "the present text, whoever reads of the past");
    keep(&store, &here, [deleted(10, 1)]);
    assert_eq!(said(&store), ["", ""]);
    assert!(!place.holds("third-words"));
    keep(&store, &here, [deleted(11, 1), deleted(12, 99)]);
    assert_eq!(store.last_seq(&here, 1).unwrap(), 12, "what speaks of what is not there is kept all the same");
}

#[test]
fn chat_that_is_kept_for_the_life_of_its_room_goes_when_that_is_over() {
    let place = Place::new();
    let (here, now) = (room("here"), unix_millis());
    for nothing in [(0, MINUTE), (9, 0)] {
        let chat_kept = Retention { max_count: nothing.0, max_age: Duration::from_millis(nothing.1) };
        let store = Store::open(StoreConfig { chat: chat_kept, ..place.config() }).unwrap();
        wait(|then| store.open_room(&here, (1, None), now, then)).unwrap();
        keep(&store, &here, (1..=20).map(|seq| chat(seq, now, "for-now")));
        wait(|then| store.prune(now + 5 * MINUTE, then)).unwrap();
        assert_eq!(store.chat_before(&here, None, 99).unwrap().len(), 20, "the room is open");
        wait(|then| store.close_room(&here, 1, then)).unwrap();
        wait(|then| store.prune(now + 5 * MINUTE, then)).unwrap();
        assert_eq!(store.chat_before(&here, None, 99).unwrap(), []);
        assert!(!place.holds("for-now"));
        store.close();
        fs::remove_dir_all(&place.0).unwrap();
    }
}

#[test]
fn a_store_of_the_version_before_gets_what_it_lacks() {
    let place = Place::new();
    let (here, now) = (room("here"), unix_millis());
    let store = place.open();
    keep(&store, &here, [chat(1, now, "hello")]);
    store.close();
    let change = |sql: &str| rusqlite::Connection::open(place.database()).unwrap().execute_batch(sql).unwrap();
    change("DROP TABLE reactions; ALTER TABLE rooms DROP COLUMN key; PRAGMA user_version = 1");
    let store = place.open();
    let (message, member, reaction) = (id(1), MemberId::new("bob").unwrap(), "+1".to_owned());
    keep(&store, &here, [Event { seq: 2, at: now, body: EventBody::Reaction { message, member, reaction, on: true } }]);
    assert_eq!(store.chat_before(&here, None, 9).unwrap()[0].reactions.len(), 1);
}

#[test]
fn what_was_deleted_or_edited_is_in_no_file_however_the_pages_were_filled() {
    let place = Place::new();
    let (store, now) = (place.open(), unix_millis());
    let mark = |message: u64| format!("<text {message:05}>");
    // In many rooms at once and of all sizes: with rows that are not at the end and move, copies stay behind.
    let rooms: Vec<RoomId> = (0..20).map(|number| room(&format!("room{number}"))).collect();
    let place_of = |message: u64| &rooms[usize::try_from(message * 7 % 20).unwrap()];
    let long = |message: u64| "y".repeat(usize::try_from(message * 37 % 5000 / (1 + message % 40)).unwrap());
    for message in 1..=3000 {
        let event = chat(message, now, &format!("{}{}", mark(message), long(message)));
        store.append(append(place_of(message), [event]), forget()).unwrap();
    }
    store.flush().unwrap();
    assert!(holds(&place.bytes(), &mark(2999)), "the test can find what is there");

    for message in 1..=3000_u64 {
        match message % 4 {
            0 => store.delete_chat(place_of(message), &id(message), forget()).unwrap(),
            1 => {
                let text = format!("changed {}", long(message * 3));
                store.edit_chat(place_of(message), &id(message), text, now, forget()).unwrap();
            }
            _ => {}
        }
        if message.is_multiple_of(3) {
            let event = chat(message + 3000, now, &format!("{}{}", mark(message + 3000), long(message + 1)));
            store.append(append(place_of(message), [event]), forget()).unwrap();
        }
    }
    let last = wait(|then| store.delete_chat(&rooms[0], &id(3003 + 17), then));
    assert!(matches!(last, Ok(()) | Err(StoreError::NoMessage)));
    store.flush().unwrap();
    let found = found_marks(&place.bytes());
    let kept = |message: u64| store.chat_message(place_of(message), &id(message)).unwrap();
    let is_live = |mark: &String| {
        let message: u64 = mark.parse().unwrap();
        let message = if message > 3000 { (message - 3000, message) } else { (message, message) };
        let stored = store.chat_message(place_of(message.0), &id(message.1)).unwrap().unwrap();
        stored.message.text.contains(&format!("<text {mark}>"))
    };
    let stale: Vec<_> = found.iter().filter(|mark| !is_live(mark)).collect();
    assert!(stale.is_empty(), "deleted or edited, but still in the files: {stale:?}");
    assert!(found.len() > 1500, "those that were let be are there, {} of them", found.len());
    assert!(kept(4).unwrap().deleted && kept(5).unwrap().message.text.starts_with("changed"));
}

/// The numbers of all marks in the files.
fn found_marks(bytes: &[u8]) -> std::collections::BTreeSet<String> {
    let begins = bytes.windows(6).enumerate().filter(|(_, part)| part == b"<text ").map(|(at, _)| at + 6);
    begins.map(|at| String::from_utf8_lossy(&bytes[at..at + 5]).into_owned()).collect()
}

#[test]
fn readers_that_never_pause_do_not_keep_a_deleted_text_on_the_disk() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    keep(&store, &here, (1..=200).map(|seq| chat(seq, now, &format!("<text {seq:05}>"))));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(store.events_after(&here, 1, 0, 500).unwrap().len(), 200);
                }
            });
        }
        for seq in 1..=20 {
            wait(|then| store.delete_chat(&here, &id(seq), then)).unwrap();
            assert!(!place.holds(&format!("<text {seq:05}>")));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.stats().failures, 0);
}

#[test]
fn the_oldest_go_by_age_and_by_count_and_their_words_with_them() {
    let place = Place::new();
    let now = unix_millis();
    let retention = |max_count, minutes: u64| Retention { max_count, max_age: Duration::from_secs(minutes * 60) };
    let config = StoreConfig { events: retention(2500, 60), chat: retention(50, 60), ..place.config() };
    let store = Store::open(config).unwrap();
    let (here, own) = (room("here"), room("own"));
    let event = |seq: u64| {
        // One second apart, the last is now; every tenth is a message.
        let at = now - (4000 - seq) * 1000;
        if seq.is_multiple_of(10) { chat(seq, at, &format!("<text {seq:05}>")) } else { left(seq, at) }
    };
    for room in [&here, &own] {
        keep(&store, room, (1..=4000).map(event));
    }
    let chat = Some(retention(10_000, 10));
    wait(|then| store.set_retention(&own, RoomRetention { events: Some(retention(10, 60)), chat }, then)).unwrap();
    wait(|then| store.prune(now, then)).unwrap();

    let first = |room: &RoomId| store.events_after(room, 1, 0, 1).unwrap()[0].seq;
    assert_eq!((first(&here), first(&own)), (1501, 3991), "by count");
    let messages = |room: &RoomId| store.chat_before(room, None, 10_000).unwrap().len();
    assert_eq!(messages(&here), 50, "by count");
    assert_eq!(messages(&own), 61, "ten minutes, one every ten seconds, and the one that is as old as that");
    assert_eq!(found_marks(&place.bytes()).len(), 61, "nothing is left of the text of those that went");
    let past = store.events_after(&here, 1, 1509, 1).unwrap();
    let EventBody::Chat { message } = &past[0].body else { panic!("{past:?}") };
    assert_eq!((message.seq, &*message.text), (1510, ""), "the event is kept for longer than its message");

    wait(|then| store.prune(now + 30 * MINUTE, then)).unwrap();
    assert_eq!(first(&here), 4000 - 30 * 60, "by age");
    assert_eq!(messages(&own), 0);
    wait(|then| store.set_retention(&own, RoomRetention::default(), then)).unwrap();
    wait(|then| store.prune(now + 61 * MINUTE, then)).unwrap();
    assert_eq!(store.events_after(&here, 1, 0, 1).unwrap(), []);
    assert_eq!(store.last_seq(&here, 1).unwrap(), 4000, "its number is remembered while the room is open");
    assert!(found_marks(&place.bytes()).is_empty());

    wait(|then| store.close_room(&here, 1, then)).unwrap();
    wait(|then| store.prune(now + 62 * MINUTE, then)).unwrap();
    assert_eq!(store.last_seq(&here, 1).unwrap(), 0, "nothing is left of a room that is over");
}

#[test]
fn places_of_messages_that_went_are_used_again() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    let mut size = 0;
    for round in 0..4 {
        keep(&store, &here, (1..=2000).map(|seq| chat(round * 2000 + seq, now, &"z".repeat(300))));
        wait(|then| store.prune(now + 25 * 60 * MINUTE, then)).unwrap();
        let after = fs::metadata(place.database()).unwrap().len();
        assert!(round == 0 || after < size + size / 10, "grew from {size} to {after} bytes");
        size = after;
    }
}

#[test]
fn rooms_that_nobody_closed_are_there_after_a_restart_with_what_belongs_to_them() {
    let place = Place::new();
    let (here, there, now) = (room("here"), room("there"), unix_millis());
    let session = |token: u8, room: &RoomId| {
        let member = MemberId::new(format!("m{token}")).unwrap();
        Session { token_hash: [token; 32], room: room.clone(), member, json: format!("{{\"token\":{token}}}") }
    };
    {
        let store = place.open();
        for room in [&here, &there] {
            store.open_room(room, (1, Some("k".to_owned())), now, forget()).unwrap();
            store.put_room_snapshot(room, 1, "{\"members\":[]}".to_owned(), forget()).unwrap();
            store.put_room_snapshot(room, 1, "{\"members\":[1]}".to_owned(), forget()).unwrap();
        }
        for token in 1..=3 {
            store.put_session(session(token, &here), forget()).unwrap();
        }
        store.put_session(session(4, &there), forget()).unwrap();
        store.remove_session([2; 32], forget()).unwrap();
        store.append(append(&here, [left(1, now), left(2, now)]), forget()).unwrap();
        store.close_room(&there, 1, forget()).unwrap();
    }
    let store = place.open();
    let open = OpenRoom { room: here.clone(), epoch: 1, opened_at: now, last_seq: 2, key: Some("k".to_owned()) };
    assert_eq!(store.open_rooms().unwrap(), [open]);
    assert_eq!(store.room_snapshot(&here, 1).unwrap().as_deref(), Some("{\"members\":[1]}"));
    assert_eq!(store.room_snapshot(&there, 1).unwrap(), None);
    assert_eq!(store.sessions(&here).unwrap(), [session(1, &here), session(3, &here)]);
    assert_eq!(store.sessions(&there).unwrap(), []);

    // The next life begins before the last one is closed.
    wait(|then| store.open_room(&here, (2, None), now, then)).unwrap();
    wait(|then| store.close_room(&here, 1, then)).unwrap();
    assert_eq!(store.sessions(&here).unwrap().len(), 2, "they belong to the new life");
    assert_eq!(store.open_rooms().unwrap().iter().map(|open| open.epoch).collect::<Vec<_>>(), [2]);
}

#[test]
fn of_two_that_change_a_record_at_once_one_is_told() {
    let place = Place::new();
    let store = place.open();
    let first = store.put_record_if("settings", "here", 0, "1".to_owned(), None).unwrap();
    let taken = store.put_record_if("settings", "here", 0, "2".to_owned(), None);
    assert_eq!(taken, Err(PutError::Conflict { current: Some(first) }));
    let second = store.put_record_if("settings", "here", first, "3".to_owned(), None).unwrap();
    assert!(second > first);
    let record = Record { key: "here".to_owned(), version: second, expires: None, value: "3".to_owned() };
    assert_eq!(store.records("settings").unwrap(), [record]);

    wait(|then| store.delete_record("settings", "here", then)).unwrap();
    let gone = store.put_record_if("settings", "here", second, "4".to_owned(), None);
    assert_eq!(gone, Err(PutError::Conflict { current: None }));
    let again = store.put_record_if("settings", "here", 0, "5".to_owned(), None).unwrap();
    assert!(again > second, "a version is never given twice");
    wait(|then| store.put_record("settings", "here", "6".to_owned(), None, then)).unwrap();
    assert!(store.record("settings", "here").unwrap().unwrap().version > again);
}

#[test]
fn of_a_thousand_racing_changes_none_is_lost_and_versions_only_grow() {
    let place = Place::new();
    let store = place.open();
    store.put_record_if("settings", "here", 0, "0".to_owned(), None).unwrap();
    let add_one = |store: &Store| loop {
        let record = store.record("settings", "here").unwrap().unwrap();
        let next = record.value.parse::<u64>().unwrap() + 1;
        match store.put_record_if("settings", "here", record.version, next.to_string(), None) {
            Ok(version) => return (version, next),
            Err(PutError::Conflict { current }) => assert!(current.unwrap() > record.version),
            Err(error) => panic!("{error}"),
        }
    };
    let mut changes: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let racers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..125).map(|_| add_one(&store)).collect::<Vec<_>>())).collect();
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    });
    changes.sort_unstable();
    assert!(changes.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 + 1 == pair[1].1), "{changes:?}");
    assert_eq!(store.record("settings", "here").unwrap().unwrap().value, "1000");
}

#[test]
fn a_record_that_has_expired_is_gone() {
    let place = Place::new();
    let (store, now) = (place.open(), unix_millis());
    for (key, expires) in [("past", now - 1), ("future", now + 10 * MINUTE)] {
        store.put_record("invite", key, "{}".to_owned(), Some(expires), forget()).unwrap();
    }
    store.flush().unwrap();
    let keys =
        |store: &Store| store.records("invite").unwrap().into_iter().map(|record| record.key).collect::<Vec<_>>();
    assert_eq!(keys(&store), ["future"]);
    assert_eq!(store.record("invite", "past").unwrap(), None);
    store.put_record_if("invite", "past", 0, "{}".to_owned(), None).unwrap();
    assert_eq!(keys(&store), ["future", "past"], "its key is free");
    wait(|then| store.prune(now + 11 * MINUTE, then)).unwrap();
    assert_eq!(keys(&store), ["past"]);
}

#[test]
fn a_store_that_is_full_gives_up_what_it_cannot_write_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let (here, now) = (room("here"), unix_millis());
    let store = Store::open(StoreConfig { max_bytes: 512 * 1024, ..place.config() }).unwrap();
    let (sender, receiver) = channel();
    let mut asked = 0;
    let first_failure = loop {
        asked += 1;
        let sender = sender.clone();
        let event = chat(asked, now, &"x".repeat(4000));
        store.append(append(&here, [event]), Box::new(move |told| sender.send((asked, told)).unwrap())).unwrap();
        let (number, told) = receiver.recv().unwrap();
        assert_eq!(number, asked);
        if let Err(error) = told {
            break error;
        }
    };
    assert_eq!(first_failure.code(), "store/no-room");
    assert!(asked > 20, "{asked} messages of 4,000 bytes");
    assert_eq!(store.last_seq(&here, 1).unwrap(), asked - 1, "what was acknowledged is there");
    let stats = store.stats();
    assert_eq!((stats.dropped, stats.events), (1, asked - 1));
    assert!(stats.failures > 1, "it was tried again");

    wait(|then| store.prune(now + 25 * 60 * MINUTE, then)).unwrap();
    keep(&store, &here, [chat(asked, now, &"x".repeat(4000))]);
}

#[test]
fn a_directory_has_one_user() {
    let place = Place::new();
    let store = place.open();
    let second = Store::open(place.config()).unwrap_err();
    assert_eq!(second.code(), "store/locked");
    assert!(second.to_string().contains("in use by another process"), "{second}");
    let clone = store.clone();
    drop(store);
    assert!(Store::open(place.config()).is_err(), "a clone is the same store");
    drop(clone);
    place.open();
}

#[test]
fn only_the_owner_may_read_the_files() {
    let place = Place::new();
    let store = place.open();
    keep(&store, &room("here"), [left(1, unix_millis())]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.0), 0o700);
    let files: Vec<_> = fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

#[test]
fn a_closed_store_refuses_and_leaves_nothing_in_a_log() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    store.append(append(&here, [left(1, now)]), forget()).unwrap();
    let clone = store.clone();
    store.close();
    assert_eq!(clone.append(append(&here, [left(2, now)]), forget()), Err(Refused::Closed));
    assert_eq!(clone.last_seq(&here, 1), Err(StoreError::Closed));
    assert_eq!(clone.flush(), Err(PutError::Refused(Refused::Closed)));
    let mut names: Vec<_> = fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "roundtable.db"]);
    assert_eq!(place.open().last_seq(&here, 1).unwrap(), 1, "what was taken before is there");
}

#[test]
fn the_last_clone_may_go_in_a_callback() {
    let place = Place::new();
    let (store, here, now) = (place.open(), room("here"), unix_millis());
    let (sender, receiver) = channel();
    let last = store.clone();
    let go = hold_up(&store);
    let then = move |_| {
        assert!(matches!(last.flush(), Err(PutError::Store(_))), "a callback cannot wait for its own thread");
        drop(last);
        sender.send(()).unwrap();
    };
    store.append(append(&here, [left(1, now)]), Box::new(then)).unwrap();
    std::thread::spawn(move || drop(store)).join().unwrap();
    drop(go);
    receiver.recv().unwrap();
    // The thread lets go of the directory a moment later.
    let begin = Instant::now();
    let again = loop {
        match Store::open(place.config()) {
            Ok(store) => break store,
            Err(error) => assert!(begin.elapsed() < Duration::from_secs(10), "{error}"),
        }
        std::thread::yield_now();
    };
    assert_eq!(again.last_seq(&here, 1).unwrap(), 1);
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let place = Place::new();
    {
        let store = place.open();
        keep(&store, &room("here"), (1..=2000).map(|seq| left(seq, unix_millis())));
    }
    let whole = fs::read(place.database()).unwrap();
    let noise = |length: usize| (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect::<Vec<_>>();
    let mut torn = whole.clone();
    let pages = 4096 * 4..4096 * 20;
    torn[pages.clone()].copy_from_slice(&noise(pages.len()));
    let short = whole[..whole.len() / 2].to_vec();
    for damaged in [noise(whole.len()), torn, short] {
        fs::write(place.database(), &damaged).unwrap();
        let error = Store::open(place.config()).unwrap_err();
        assert_eq!(error.code(), "store/corrupt", "{error}");
        assert!(error.to_string().contains("roundtable.db"), "{error}");
        assert_eq!(fs::read(place.database()).unwrap(), damaged, "nothing was changed");
    }
    fs::write(place.database(), whole).unwrap();
    assert_eq!(place.open().last_seq(&room("here"), 1).unwrap(), 2000);
}

#[test]
fn a_newer_store_and_another_programs_database_are_refused() {
    let place = Place::new();
    drop(place.open());
    let change = |sql: &str| rusqlite::Connection::open(place.database()).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 4");
    let newer = Store::open(place.config()).unwrap_err();
    assert_eq!(newer.code(), "store/newer");
    assert!(newer.to_string().contains("has version 4, and this program knows versions up to 3"), "{newer}");
    change("PRAGMA user_version = 3");
    drop(place.open());

    fs::remove_file(place.database()).unwrap();
    change("CREATE TABLE something (else_entirely)");
    assert_eq!(Store::open(place.config()).unwrap_err().code(), "store/foreign");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::write(&place.0, "a file").unwrap();
    let error = Store::open(place.config()).unwrap_err();
    assert_eq!(error.code(), "store/directory");
    assert!(error.to_string().contains(&*place.0.to_string_lossy()), "{error}");
    fs::remove_file(&place.0).unwrap();
}

#[test]
fn bytes_of_chat_are_counted_by_room_and_by_key_also_after_a_restart() {
    let place = Place::new();
    let (here, there, now) = (room("here"), room("there"), unix_millis());
    let config =
        || StoreConfig { max_chat_bytes_of_room: 4 * 1024, max_chat_bytes_of_key: Some(6 * 1024), ..place.config() };
    let text = "x".repeat(1_500);
    let store = Store::open(config()).unwrap();
    for room in [&here, &there] {
        wait(|then| store.open_room(room, (1, Some("k".to_owned())), now, then)).unwrap();
    }
    keep(&store, &here, [chat(1, now, &text)]);
    assert_eq!((store.chat_bytes(&here), store.chat_bytes(&there)), (2_048, 0), "what its place takes");
    assert!(store.takes_chat(&here, Some("k")));
    keep(&store, &here, [chat(2, now, &text)]);
    assert!(!store.takes_chat(&here, Some("k")), "the room is full");
    assert!(store.takes_chat(&there, Some("k")), "another one is not");
    keep(&store, &there, [chat(1, now, &text)]);
    assert!(!store.takes_chat(&there, Some("k")), "the key is full");
    assert!(store.takes_chat(&there, None) && store.takes_chat(&there, Some("j")), "nobody else is");
    store.close();

    let store = Store::open(config()).unwrap();
    assert_eq!((store.chat_bytes(&here), store.chat_bytes(&there)), (4_096, 2_048), "as before");
    assert!(!store.takes_chat(&there, Some("k")));
    wait(|then| store.edit_chat(&here, &id(1), "short".to_owned(), now, then)).unwrap();
    wait(|then| store.delete_chat(&there, &id(1), then)).unwrap();
    assert_eq!((store.chat_bytes(&here), store.chat_bytes(&there)), (2_048 + 128, 0));
    assert!(store.takes_chat(&here, Some("k")) && store.takes_chat(&there, Some("k")));
    wait(|then| store.prune(now + 2 * 24 * 60 * MINUTE, then)).unwrap();
    assert_eq!(store.chat_bytes(&here), 0, "what is pruned is not kept");
}
