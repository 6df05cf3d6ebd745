//! What is done to what was written, what is said to a few, and who is writing.

use roundtable_protocol::limit::{CHAT_MEMORY, MAX_REACTIONS};

use roundtable_protocol::MessageId;

use super::*;
use crate::room::chat::{Change, ChatError};

fn write(f: &mut Fixture, member: &MemberId, nonce: u32, text: &str) -> MessageId {
    f.now.instant += Duration::from_secs(1);
    f.room.chat(f.now, member, nonce, text.into()).unwrap();
    let effects = f.effects();
    let written = effects.iter().find_map(|effect| match effect {
        Effect::Deliver { message } => Some(message.id.clone()),
        _ => None,
    });
    written.unwrap()
}

fn change(f: &mut Fixture, member: &MemberId, message: &MessageId, change: Change) -> Result<(), ChatError> {
    f.room.change_chat(f.now, member, message, change, None)
}

fn react(reaction: &str) -> Change {
    Change::React { reaction: reaction.into(), on: true }
}

#[test]
fn writers_change_what_they_wrote_and_nobody_elses() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    let message = write(&mut f, &ann, 1, "hello");
    assert_eq!(change(&mut f, &bob, &message, Change::Edit("mine".into())), Err(ChatError::NotOwn));
    assert_eq!(change(&mut f, &bob, &message, Change::Delete), Err(ChatError::NotOwn));
    assert_eq!(change(&mut f, &ann, &message, Change::Edit("x".repeat(16 * 1024 + 1))), Err(ChatError::TooLong));
    assert_eq!(f.events(), [] as [&str; 0]);
    assert_eq!(change(&mut f, &ann, &message, Change::Edit("hello all".into())), Ok(()));
    assert_eq!(f.events(), ["chatEdited"]);
    let history = f.room.chat_history(u64::MAX, 1_000).concat();
    assert_eq!((history[0].message.text.as_str(), history[0].edited_at), ("hello all", Some(1_000)));
    assert_eq!(change(&mut f, &ann, &message, Change::Delete), Ok(()));
    assert_eq!(f.events(), ["chatDeleted"]);
    let history = f.room.chat_history(u64::MAX, 1_000).concat();
    assert!(history[0].deleted && history[0].message.text.is_empty() && history[0].message.name.is_empty());
    for late in [Change::Edit("again".into()), Change::Delete, react("x")] {
        assert_eq!(change(&mut f, &ann, &message, late), Err(ChatError::Unknown));
    }
    let unknown = MessageId::new("c0").unwrap();
    assert_eq!(change(&mut f, &ann, &unknown, Change::Delete), Err(ChatError::Unknown));
}

#[test]
fn a_reaction_is_told_once_and_there_are_only_so_many() {
    let mut f = Fixture::new();
    let ann = f.join("Ann");
    let message = write(&mut f, &ann, 1, "hello");
    let off = Change::React { reaction: "x".into(), on: false };
    for (change_to, events) in [(react("x"), 1), (react("x"), 0), (off.clone(), 1), (off, 0)] {
        assert_eq!(change(&mut f, &ann, &message, change_to), Ok(()));
        assert_eq!(f.events().len(), events);
    }
    for bad in ["", "\u{7}", "0123456789012345678901234567890123"] {
        assert_eq!(change(&mut f, &ann, &message, react(bad)), Err(ChatError::BadReaction));
    }
    let full = (0..=MAX_REACTIONS).map(|n| {
        let member = f.join(&n.to_string());
        change(&mut f, &member, &message, react("x"))
    });
    assert!(full.last().unwrap().is_err_and(|error| error.code() == ErrorCode::ChatReactionsFull));
}

#[test]
fn changes_count_as_writing_and_need_the_same_grant() {
    let mut f = Fixture::new();
    let ann = f.join("Ann");
    let mute = f.room.join(f.now, "M", Grants { chat: false, ..Grants::ALL }, 8).id;
    let message = write(&mut f, &ann, 1, "hello");
    assert_eq!(change(&mut f, &mute, &message, react("x")), Err(ChatError::Forbidden));
    assert_eq!(f.room.whisper(f.now, &mute, 1, "x".into(), vec![ann.clone()]), Err(ChatError::Forbidden));
    let rate = |f: &mut Fixture| change(f, &ann, &message, react("x")) == Err(ChatError::Rate);
    assert!((0..40).any(|_| rate(&mut f)), "not without end");
}

#[test]
fn what_is_older_than_the_memory_is_changed_by_what_the_disk_knows() {
    let mut f = Fixture::new();
    let ann = f.join("Ann");
    let first = write(&mut f, &ann, 0, "the first");
    let known = f.room.chat_history(u64::MAX, 1_000).concat().remove(0);
    for nonce in 1..=CHAT_MEMORY {
        write(&mut f, &ann, nonce as u32, "more");
    }
    assert_eq!(change(&mut f, &ann, &first, Change::Delete), Err(ChatError::Unknown));
    let delete = |f: &mut Fixture| f.room.change_chat(f.now, &ann, &first, Change::Delete, Some(known.clone()));
    assert_eq!(delete(&mut f), Ok(()));
    assert_eq!(f.events(), ["chatDeleted"]);
    assert_eq!(delete(&mut f), Err(ChatError::Unknown), "what the disk says late does not bring it back");
    assert_eq!(f.room.chat_page(None, 10).messages.len(), 10);
}

#[test]
fn a_private_message_is_no_event_and_written_again_it_is_the_same() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    f.effects();
    let mut whisper = |nonce, text: &str, to: Vec<MemberId>| {
        let outcome = f.room.whisper(f.now, &ann, nonce, text.into(), to);
        (outcome, f.effects())
    };
    let (outcome, effects) = whisper(1, "hello", vec![bob.clone(), bob.clone()]);
    assert_eq!(outcome, Ok(()));
    let [Effect::Whisper { message, nonce: 1, again: false }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((&message.to, message.text.as_str()), (&vec![bob.clone()], "hello"), "each once");
    let (_, effects) = whisper(1, "hello", vec![bob.clone()]);
    let [Effect::Whisper { message: same, again: true, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(same, message);
    let (_, effects) = whisper(1, "hello", vec![ann.clone()]);
    assert!(matches!(&effects[..], [Effect::Whisper { again: false, .. }]), "to somebody else it is another one");
    assert_eq!(whisper(2, "x", vec![]).0, Err(ChatError::BadRecipients));
    assert_eq!(whisper(2, "x", vec![MemberId::new("nobody").unwrap()]).0, Err(ChatError::NoMember));
    assert_eq!(whisper(2, " ", vec![bob]).0, Err(ChatError::Empty));
}

#[test]
fn who_writes_is_told_once_until_it_ends_by_a_word_a_message_or_silence() {
    let mut f = Fixture::new();
    let (ann, bob) = (f.join("Ann"), f.join("Bob"));
    f.effects();
    let told = |f: &mut Fixture| {
        let typing = |effect| if let Effect::Typing { typing, .. } = effect { Some(typing) } else { None };
        f.effects().into_iter().filter_map(typing).collect::<Vec<bool>>()
    };
    let after = |f: &mut Fixture, ms: u64| f.now.instant += Duration::from_millis(ms);
    let say = |f: &mut Fixture, typing| f.room.typing(f.now.instant, &ann, typing);
    say(&mut f, true);
    after(&mut f, 3_000);
    say(&mut f, true);
    assert_eq!(told(&mut f), [true], "that it goes on is no news");
    after(&mut f, 5_999);
    f.room.handle_timeout(f.now);
    assert_eq!(told(&mut f), [] as [bool; 0]);
    after(&mut f, 1);
    assert_eq!(f.room.poll_timeout(), Some(f.now.instant));
    f.room.handle_timeout(f.now);
    assert_eq!((told(&mut f), f.room.poll_timeout()), (vec![false], None), "after six seconds of silence");

    for typing in [true, false, true, false, true, false] {
        say(&mut f, typing);
    }
    assert_eq!(told(&mut f), [true, false], "at most once a second");
    after(&mut f, 1_000);
    say(&mut f, true);
    f.room.chat(f.now, &ann, 1, "done".into()).unwrap();
    assert_eq!(told(&mut f), [true, false]);
    after(&mut f, 1_000);
    say(&mut f, true);
    f.room.leave(f.now, &ann, LeaveReason::Left);
    assert_eq!((told(&mut f), f.room.poll_timeout()), (vec![true], None), "who left needs no further word");
    f.room.typing(f.now.instant, &ann, true);
    f.room.typing(f.now.instant, &bob, false);
    assert_eq!(told(&mut f), [] as [bool; 0]);
}

#[test]
fn what_cannot_be_kept_is_refused_and_what_was_is_acknowledged_again() {
    let mut f = Fixture::new();
    let ann = f.join("Ann");
    f.room.chat(f.now, &ann, 1, "kept".into()).unwrap();
    f.room.set_chat_full(true);
    assert_eq!(f.room.chat(f.now, &ann, 2, "more".into()).map_err(ChatError::code), Err(ErrorCode::ChatFull));
    f.room.chat(f.now, &ann, 1, "kept".into()).expect("it was taken before");
    f.room.set_chat_full(false);
    f.room.chat(f.now, &ann, 2, "more".into()).unwrap();
}
