//! A process that is killed at any moment (`kill -9`) loses nothing of what its store has acknowledged, and leaves
//! nothing on the disk of what it has deleted.
//!
//! The process is this test again, as a child that writes until it is killed and prints what was acknowledged.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use roundtable::protocol::event::{ChatMessage, LeaveReason};
use roundtable::protocol::{Event, EventBody, MemberId, MessageId, RoomId};
use roundtable::store::{Append, Refused, Retention, Store, StoreConfig, StoreError, Then, forget};

use crate::common::scratch::Folder;

/// What a child does: a directory and one of the words below.
const DIRECTORY: &str = "ROUNDTABLE_STORE_CRASH_DIRECTORY";
const TASK: &str = "ROUNDTABLE_STORE_CRASH_TASK";
const ROUNDS: u64 = 10;
/// Milliseconds since 1970 UTC; what is as old as that is pruned only when a test says so.
const NOW: u64 = 1_790_000_000_000;

/// Not a test by itself: what the children run.
#[test]
fn child() {
    let (Ok(directory), Ok(task)) = (std::env::var(DIRECTORY), std::env::var(TASK)) else { return };
    let store = Store::open(config(Path::new(&directory))).unwrap();
    match &*task {
        "write" => write(&store),
        "delete" => delete(&store),
        other => panic!("{other}"),
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_without_gaps_or_duplicates() {
    let place = Folder::new("store-write");
    let mut last = 0;
    for round in 0..ROUNDS {
        let acknowledged = run(place.path(), "write", round);
        let newest = acknowledged.last().copied().unwrap_or(last);
        assert!(acknowledged.windows(2).all(|pair| pair[0] + 1 == pair[1]), "acknowledged in order");
        assert!(acknowledged.first().is_none_or(|first| *first > last), "a number was given twice");

        let store = Store::open(config(place.path())).unwrap();
        let stored = all_seqs(&store);
        assert!(stored.iter().copied().eq(1..=stored.len() as u64), "round {round}: gaps or duplicates");
        assert!(stored.len() as u64 >= newest, "round {round}: {newest} acknowledged, {} there", stored.len());
        assert_eq!(store.last_seq(&room("here"), 1).unwrap(), stored.len() as u64);
        assert_eq!(
            chat_seqs(&store),
            (1..=stored.len() as u64).filter(|seq| seq.is_multiple_of(7)).collect::<Vec<_>>()
        );
        assert_eq!(store.open_rooms().unwrap().len(), 1);
        last = stored.len() as u64;
    }
    assert!(last > 100 * ROUNDS, "only {last} events were written");
}

#[test]
fn what_was_deleted_or_edited_is_in_no_file_after_kill_9() {
    let place = Folder::new("store-delete");
    let mut gone = BTreeSet::new();
    for round in 0..ROUNDS {
        gone.extend(run(place.path(), "delete", round));
        let found = marks(place.path());
        let left: Vec<_> = gone.intersection(&found).collect();
        assert!(left.is_empty(), "round {round}: acknowledged as gone, but in the files: {left:?}");

        // What was on the way when the process ended is either still there for everybody, or nowhere.
        let store = Store::open(config(place.path())).unwrap();
        let live: BTreeSet<u64> =
            ["here", "there"].into_iter().flat_map(|name| live_marks(&store, &room(name))).collect();
        store.close();
        let found = marks(place.path());
        assert_eq!(found, live, "round {round}");
        assert!(gone.is_disjoint(&live));
    }
    assert!(gone.len() > 30, "only {} were deleted or edited", gone.len());
}

#[test]
fn another_process_is_kept_out_until_the_first_has_ended() {
    let place = Folder::new("store-lock");
    let (mut child, lines) = start(place.path(), "write");
    lines.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(Store::open(config(place.path())).unwrap_err().code(), "store/locked");
    child.kill().unwrap();
    child.wait().unwrap();
    Store::open(config(place.path())).unwrap();
}

/// Appends as fast as the queue takes it.
fn write(store: &Store) {
    store.open_room(&room("here"), (1, None), NOW, forget()).unwrap();
    for seq in store.last_seq(&room("here"), 1).unwrap() + 1.. {
        let event = if seq.is_multiple_of(7) { chat(seq, format!("text {seq}")) } else { left(seq) };
        let append = Append { room: room("here"), epoch: 1, events: vec![Arc::new(event)] };
        while store.append(append.clone(), acknowledge(seq)) == Err(Refused::Full) {
            std::thread::yield_now();
        }
    }
}

/// Two of three messages are deleted or edited soon after they were written.
fn delete(store: &Store) {
    let place_of = |seq: u64| room(if seq.is_multiple_of(5) { "here" } else { "there" });
    let last = ["here", "there"].map(|name| store.last_seq(&room(name), 1).unwrap()).into_iter().max().unwrap_or(0);
    for seq in last + 1.. {
        let padding = "z".repeat(usize::try_from(seq * 37 % 900).unwrap());
        let event = Arc::new(chat(seq, format!("<text {seq:06}>{padding}")));
        let append = Append { room: place_of(seq), epoch: 1, events: vec![event] };
        while store.append(append.clone(), forget()) == Err(Refused::Full) {
            std::thread::yield_now();
        }
        let before = seq.saturating_sub(20);
        match before % 3 {
            1 => store.delete_chat(&place_of(before), &id(before), acknowledge(before)).unwrap(),
            2 => store.edit_chat(&place_of(before), &id(before), "other".to_owned(), NOW, acknowledge(before)).unwrap(),
            _ => {}
        }
        if seq.is_multiple_of(10) {
            store.flush().unwrap();
        }
    }
}

/// Prints the number when the write was done.
fn acknowledge(number: u64) -> Then {
    Box::new(move |told: Result<(), StoreError>| match told {
        Ok(()) => {
            // Not by the macro, whose text the test harness would keep.
            let mut out = std::io::stdout().lock();
            writeln!(out, "done {number}").unwrap();
        }
        // What an earlier round deleted already.
        Err(StoreError::NoMessage) => {}
        Err(error) => panic!("{error}"),
    })
}

/// Runs a child for a while that differs by round, kills it, and returns the numbers that it printed.
fn run(directory: &Path, task: &str, round: u64) -> Vec<u64> {
    let (mut child, lines) = start(directory, task);
    let mut done = vec![lines.recv_timeout(Duration::from_secs(60)).unwrap()];
    // Real time, since the child lives in it: what it is at when it is killed is to differ.
    std::thread::sleep(Duration::from_millis(37 + 53 * (round * 7 % ROUNDS)));
    child.kill().unwrap();
    child.wait().unwrap();
    done.extend(lines.iter());
    done
}

fn start(directory: &Path, task: &str) -> (Child, Receiver<u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_crash::child", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(TASK, task)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // The test harness prints its own lines, the first of which has no end when ours begin. A line that was cut off
        // by the end has no newline and was not acknowledged as a whole.
        let mut output = output;
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|length| length > 0) {
            let number = line.strip_suffix('\n').and_then(|line| line.rsplit_once("done "));
            if let Some(number) = number.and_then(|(_, number)| number.parse().ok()) {
                let _ = sender.send(number);
            }
            line.clear();
        }
    });
    (child, receiver)
}

fn config(directory: &Path) -> StoreConfig {
    let keep = Retention { max_count: u64::MAX, max_age: Duration::from_secs(u64::from(u32::MAX)) };
    StoreConfig { events: keep, chat: keep, ..StoreConfig::new(directory) }
}

fn all_seqs(store: &Store) -> Vec<u64> {
    let mut seqs = Vec::new();
    loop {
        let page = store.events_after(&room("here"), 1, seqs.last().copied().unwrap_or(0), 10_000).unwrap();
        if page.is_empty() {
            return seqs;
        }
        seqs.extend(page.iter().map(|event| event.seq));
    }
}

fn chat_seqs(store: &Store) -> Vec<u64> {
    store.chat_before(&room("here"), None, 1_000_000).unwrap().iter().map(|stored| stored.message.seq).collect()
}

/// The marks of the messages that are there for readers.
fn live_marks(store: &Store, room: &RoomId) -> Vec<u64> {
    let page = store.chat_before(room, None, 1_000_000).unwrap();
    let mark = |text: &str| text.strip_prefix("<text ")?.get(..6)?.parse().ok();
    page.iter().filter_map(|stored| mark(&stored.message.text)).collect()
}

/// The marks in all files, byte for byte.
fn marks(directory: &Path) -> BTreeSet<u64> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let found = files.flat_map(|bytes| {
        let begins: Vec<usize> =
            bytes.windows(6).enumerate().filter(|(_, part)| part == b"<text ").map(|(at, _)| at).collect();
        let number = |at: usize| std::str::from_utf8(bytes.get(at + 6..at + 12)?).ok()?.parse().ok();
        begins.into_iter().filter_map(number).collect::<Vec<u64>>()
    });
    found.collect()
}

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

fn id(seq: u64) -> MessageId {
    MessageId::new(format!("c{seq:016x}")).unwrap()
}

fn left(seq: u64) -> Event {
    let member = MemberId::new(format!("m{seq}")).unwrap();
    Event { seq, at: NOW, body: EventBody::Left { member, reason: LeaveReason::Left } }
}

fn chat(seq: u64, text: String) -> Event {
    let (member, name) = (MemberId::new("ann").unwrap(), "Ann".to_owned());
    let message = ChatMessage { id: id(seq), seq, at: NOW, member, name, text, nonce: None };
    Event { seq, at: NOW, body: EventBody::Chat { message } }
}
