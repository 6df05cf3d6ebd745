use roundtable_protocol::event::{ChatMessage, LeaveReason, MemberInfo, RoomCloseReason};
use roundtable_protocol::{MemberId, MessageId};

use super::*;

fn journal() -> Arc<Journal> {
    Journal::new(RoomId::new("r").unwrap(), 7, None)
}

fn ann() -> MemberId {
    MemberId::new("ann").unwrap()
}

fn event(body: EventBody) -> Event {
    Event { seq: 0, at: 1, body }
}

fn speaking(speaking: bool) -> Event {
    event(EventBody::Speaking { member: ann(), speaking })
}

fn chat(text: String) -> Event {
    let id = MessageId::new("m").unwrap();
    event(EventBody::Chat {
        message: ChatMessage { id, seq: 0, at: 1, member: ann(), name: "Ann".into(), text, nonce: None },
    })
}

fn seqs(read: &Read) -> Option<Vec<u64>> {
    match read {
        Read::Events(events) => Some(events.iter().map(|event| event.seq).collect()),
        Read::Reset(_) => None,
    }
}

#[test]
fn events_are_numbered_from_one_and_read_behind_any_of_them() {
    let journal = journal();
    assert_eq!(seqs(&journal.read_after(0, 10)), Some(vec![]), "nothing has happened yet");
    for expected in 1..=5 {
        assert_eq!(journal.append(speaking(true)), expected);
    }
    // (after, at most, what comes; None = reset)
    let table: &[(u64, usize, Option<&[u64]>)] = &[
        (0, 10, Some(&[1, 2, 3, 4, 5])),
        (0, 2, Some(&[1, 2])),
        (3, 10, Some(&[4, 5])),
        (3, 0, Some(&[])),
        (5, 10, Some(&[])),
        (6, 10, None),
        (u64::MAX, 10, None),
    ];
    for (after, at_most, expected) in table {
        assert_eq!(seqs(&journal.read_after(*after, *at_most)).as_deref(), *expected, "after {after}, {at_most}");
    }
}

#[test]
fn a_chat_message_carries_the_number_of_its_event() {
    let journal = journal();
    journal.append(speaking(true));
    journal.append(chat("hello".into()));
    let Read::Events(events) = journal.read_after(1, 1) else { panic!("in the ring") };
    assert!(matches!(&events[0].body, EventBody::Chat { message } if message.seq == 2));
}

#[test]
fn the_ring_keeps_as_many_events_as_it_may_and_no_more() {
    let journal = journal();
    let all = MAX_EVENTS as u64 + 10;
    for n in 0..all {
        journal.append(speaking(n % 2 == 0));
    }
    let read = journal.read_after(10, usize::MAX);
    assert_eq!(seqs(&read), Some((11..=all).collect::<Vec<_>>()), "the first ten are gone, nothing else");
    let Read::Reset(state) = journal.read_after(9, usize::MAX) else { panic!("event 10 is gone: a gap") };
    assert_eq!((state.seq, state.epoch), (all, 7));
}

#[test]
fn the_ring_is_bounded_by_text_too_and_keeps_the_newest_whatever_it_weighs() {
    let table = [(16 * 1024 - 3, 256), (1024 * 1024 - 3, 4), (MAX_TEXT_BYTES - 3, 1), (MAX_TEXT_BYTES, 1)];
    for (bytes, kept) in table {
        let journal = journal();
        for _ in 0..kept + 2 {
            journal.append(chat("x".repeat(bytes)));
        }
        let last = kept as u64 + 2;
        assert_eq!(seqs(&journal.read_after(2, usize::MAX)).map(|s| s.len()), Some(kept), "{bytes} bytes each");
        assert_eq!(seqs(&journal.read_after(1, usize::MAX)), None, "{bytes} bytes each");
        assert_eq!(journal.last_seq(), last);
    }
}

#[test]
fn the_state_is_the_fold_of_all_events_even_those_that_fell_out() {
    let journal = journal();
    journal.append(event(EventBody::Joined { member: MemberInfo::guest(ann(), "Ann".into()) }));
    let held = journal.shared_state();
    for _ in 0..MAX_EVENTS {
        journal.append(speaking(true));
    }
    assert_eq!(journal.state().members.len(), 1);
    assert_eq!(journal.state().speaking, [ann()]);
    assert_eq!(held.seq, 1, "what a reader holds does not change under it");
}

#[test]
fn a_closed_journal_takes_nothing_more() {
    let journal = journal();
    journal.append(event(EventBody::Joined { member: MemberInfo::guest(ann(), "Ann".into()) }));
    journal.append(event(EventBody::Left { member: ann(), reason: LeaveReason::Left }));
    assert!(!journal.is_closed());
    assert_eq!(journal.append(event(EventBody::RoomClosed { reason: RoomCloseReason::Empty })), 3);
    assert!(journal.is_closed());
    assert_eq!(journal.append(speaking(true)), 3);
    assert_eq!(seqs(&journal.read_after(0, 10)), Some(vec![1, 2, 3]), "late readers still see how it ended");
}

#[test]
fn watchers_learn_of_each_change() {
    let journal = journal();
    let mut watch = journal.watch();
    assert!(!watch.has_changed().unwrap());
    journal.append(speaking(true));
    journal.append(speaking(false));
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow_and_update(), 2);
    assert!(!watch.has_changed().unwrap());
}

#[test]
fn who_gets_chat_by_another_way_is_not_woken_by_it_but_keeps_up_with_the_ring() {
    let journal = journal();
    let mut changes = journal.watch_but_chat();
    for _ in 1..WAKE_EVERY {
        journal.append(chat("hello".into()));
    }
    assert!(!changes.has_changed().unwrap(), "there was nothing but chat");
    journal.append(chat("hello".into()));
    assert_eq!(*changes.borrow_and_update(), WAKE_EVERY, "long before the ring has turned round");
    const { assert!(WAKE_EVERY * 4 < MAX_EVENTS as u64) };
    journal.append(chat("hello".into()));
    assert!(!changes.has_changed().unwrap());
    journal.append(speaking(true));
    assert_eq!(*changes.borrow_and_update(), WAKE_EVERY + 2);
}

#[test]
fn everybody_is_in_the_roster_whether_an_event_told_of_them_or_not() {
    let journal = journal();
    let info = |id: &str| MemberInfo::guest(MemberId::new(id).unwrap(), id.to_owned());
    let ids = |journal: &Journal| {
        journal.people_after(0, 10).members.iter().map(|member| member.id.to_string()).collect::<Vec<_>>()
    };
    journal.append(event(EventBody::Joined { member: info("ann") }));
    let watch = journal.watch();
    journal.enter(&info("bob"));
    journal.enter(&info("cid"));
    assert!(!watch.has_changed().unwrap(), "nobody is woken for those who are counted");
    let listed = vec![info("cid")];
    journal.append(event(EventBody::Audience { viewers: 1, listed, counted: vec![] }));
    assert_eq!((ids(&journal), journal.population()), (vec!["ann".into(), "bob".into(), "cid".into()], 3));
    assert_eq!((journal.state().members.len(), journal.state().population()), (2, 3));
    journal.exit(&info("bob").id);
    journal.append(event(EventBody::Left { member: info("cid").id, reason: LeaveReason::Left }));
    assert_eq!(ids(&journal), ["ann"]);
    journal.append(event(EventBody::RoomClosed { reason: RoomCloseReason::Empty }));
    journal.enter(&info("dee"));
    assert_eq!(journal.population(), 0, "a room that is over holds nobody");
}

#[test]
fn names_of_those_who_are_listed_weigh_like_text() {
    let journal = journal();
    let member = |n: usize| MemberInfo::guest(MemberId::new(format!("m{n}")).unwrap(), "x".repeat(1024));
    for _ in 0..2 * MAX_TEXT_BYTES / (200 * 1024) {
        journal.append(event(EventBody::Audience {
            viewers: 0,
            listed: (0..200).map(member).collect(),
            counted: vec![],
        }));
    }
    assert_eq!(seqs(&journal.read_after(1, usize::MAX)), None, "a ring of such events is bounded by their text");
    assert!(seqs(&journal.read_after(journal.last_seq() - 10, usize::MAX)).is_some());
}

fn written(id: &str, text: &str) -> Event {
    let mut event = chat(text.to_owned());
    if let EventBody::Chat { message } = &mut event.body {
        message.id = MessageId::new(id).unwrap();
    }
    event
}

fn edited(id: &str, text: &str) -> Event {
    let message = MessageId::new(id).unwrap();
    event(EventBody::ChatEdited { message, member: ann(), text: text.to_owned() })
}

#[test]
fn what_a_message_said_before_is_taken_out_of_the_past() {
    let journal = journal();
    let deleted = |id: &str| event(EventBody::ChatDeleted { message: MessageId::new(id).unwrap(), member: ann() });
    for event in [written("a", "old"), written("b", "other"), edited("a", "new"), edited("a", "newest"), deleted("b")] {
        journal.append(event);
    }
    let said = || {
        let Read::Events(events) = journal.read_after(0, 10) else { panic!("it is all there") };
        let text = |event: &Arc<Told>| match &event.body {
            EventBody::Chat { message } => message.text.clone(),
            EventBody::ChatEdited { text, .. } => text.clone(),
            _ => "-".to_owned(),
        };
        events.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(said(), ["newest", "", "newest", "newest", "-"]);
    journal.append(deleted("a"));
    assert_eq!(said(), ["", "", "", "", "-", "-"]);
    assert_eq!(journal.lock().text_bytes, 0, "and counts no more");
}

#[tokio::test]
async fn what_the_ring_has_not_got_any_more_comes_from_the_store() {
    let directory = std::env::temp_dir().join(format!("roundtable-journal-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let store = crate::store::Store::open(crate::store::StoreConfig::new(&directory)).unwrap();
    let keeper = Keeper::new(store.clone(), Arc::new(|| {}));
    let journal = Journal::new(RoomId::new("r").unwrap(), 7, Some(keeper));
    journal.append(written("a", "old"));
    let last = MAX_EVENTS as u64 + 500;
    for n in 2..last {
        journal.append(speaking(n.is_multiple_of(2)));
    }
    journal.append(edited("a", "new"));
    journal.shown(last).await;

    assert!(matches!(journal.read_after(0, 10), Read::Reset(_)), "the ring is too short");
    let Read::Events(events) = journal.read(0, 10).await else { panic!("the store has it") };
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    let EventBody::Chat { message } = &events[0].body else { panic!("{events:?}") };
    assert_eq!(message.text, "new");
    let mut seq = 0;
    while let Read::Events(events) = journal.read(seq, 64).await {
        let Some(last) = events.last() else { break };
        assert_eq!(events[0].seq, seq + 1);
        seq = last.seq;
    }
    assert_eq!(seq, last, "across the border to the ring without a gap");
    assert!(matches!(journal.read(last + 1, 10).await, Read::Reset(_)), "never given out");
    store.close();
    assert!(matches!(journal.read(0, 10).await, Read::Reset(_)), "not to be had any more");
    let _ = std::fs::remove_dir_all(&directory);
}

#[test]
fn the_text_of_an_event_is_written_once_for_all_readers_and_kept_of_the_newest_only() {
    let journal = journal();
    let newest = |journal: &Journal| match journal.read_after(journal.last_seq() - 1, 1) {
        Read::Events(events) => Arc::clone(&events[0]),
        Read::Reset(_) => panic!("it was written just now"),
    };
    let mut first = None;
    for number in 0..=MAX_WRITTEN {
        journal.append(speaking(true));
        let (one, other) = (newest(&journal).message(), newest(&journal).message());
        assert_eq!(one.as_ptr(), other.as_ptr(), "two readers share the bytes of event {number}");
        first.get_or_insert(one);
    }
    let Read::Events(events) = journal.read_after(0, MAX_EVENTS) else { panic!("all of them are kept") };
    let written = events.iter().filter(|event| event.is_written()).count();
    assert_eq!(written, MAX_WRITTEN, "that of the oldest was dropped");
    assert_eq!(Some(events[0].message()), first, "and is the same when it is written again");
}
