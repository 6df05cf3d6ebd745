//! What a client may say of how messages are packed, and how it packs its own.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use roundtable_protocol::message::Packing;

use super::*;

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn hello(accept: &str) -> String {
    format!(r#"{{"type":"hello","version":1,"name":"Ann","accept":{accept}}}"#)
}

/// A client over a line with frames that has said hello with these words.
fn joining(accept: &str) -> Talk {
    let mut talk = Talk::new();
    talk.session = talk.session.over_frames();
    assert!(matches!(talk.say(&hello(accept))[..], [Action::Join(_)]));
    talk
}

fn in_room() -> Talk {
    let mut talk = joining(r#"["deflate"]"#);
    talk.session.handle_welcome(talk.now, welcome());
    talk.actions();
    talk
}

#[test]
fn of_what_is_accepted_the_known_words_count() {
    use Packing::{Batch, Deflate};
    // (hello's list, what is used)
    let table: [(&str, &[Packing]); 5] = [
        ("[]", &[]),
        (r#"["batch"]"#, &[Batch]),
        (r#"["deflate","brotli","","deflate"]"#, &[Deflate]),
        (r#"["deflate","batch"]"#, &[Batch, Deflate]),
        (r#"["Batch","BATCH"]"#, &[]),
    ];
    for (words, used) in table {
        assert_eq!(joining(words).session.accepted(), used, "{words}");
    }
    let mut plain = Talk::new();
    plain.session = plain.session.over_frames();
    plain.say(HELLO);
    assert_eq!(plain.session.accepted(), []);
    let mut requests = Talk::new();
    requests.say(&hello(r#"["batch","deflate"]"#));
    assert_eq!(requests.session.accepted(), [], "requests have no frames");
}

#[test]
fn who_waits_in_a_lobby_is_told_as_well() {
    let mut talk = joining(r#"["batch"]"#);
    talk.session.handle_waiting();
    let actions = talk.actions();
    let [Action::Send(ServerMessage::Waiting { accepted })] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(accepted[..], [Packing::Batch]);
}

#[test]
fn a_refused_hello_settles_nothing() {
    let mut talk = Talk::new();
    talk.session = talk.session.over_frames();
    talk.say(r#"{"type":"hello","version":1,"name":"","accept":["deflate"]}"#);
    assert_eq!(only_error(&talk.frame(Frame::Binary(&packed(HELLO)))), (None, ErrorCode::BadMessage, false));
    talk.say(HELLO);
    assert_eq!(talk.session.accepted(), []);
}

#[test]
fn a_compressed_message_is_read_like_a_text() {
    let mut talk = in_room();
    let ping = r#"{"type":"ping","nonce":7}"#;
    assert!(matches!(talk.frame(Frame::Binary(&packed(ping)))[..], [Action::Send(ServerMessage::Pong { nonce: 7 })]));
    assert!(matches!(talk.say(ping)[..], [Action::Send(ServerMessage::Pong { nonce: 7 })]), "text goes on");
    let spaced = format!("{}{ping}", " ".repeat(MAX_CLIENT_MESSAGE_BYTES - ping.len()));
    assert_eq!(talk.frame(Frame::Binary(&packed(&spaced))).len(), 1, "as large as may be");
    for (what, text, code) in [
        ("no JSON", "{", ErrorCode::BadJson),
        ("unknown", r#"{"type":"dance"}"#, ErrorCode::BadMessage),
        ("a batch", r#"[{"type":"ping","nonce":7}]"#, ErrorCode::BadMessage),
    ] {
        assert_eq!(only_error(&talk.frame(Frame::Binary(&packed(text)))), (None, code, false), "{what}");
    }
    assert_eq!(only_error(&talk.frame(Frame::Binary(b"no deflate"))), (None, ErrorCode::BadMessage, false));
    assert_eq!(only_error(&talk.frame(Frame::Binary(&[]))), (None, ErrorCode::BadMessage, false));
}

#[test]
fn a_bomb_ends_it_like_a_text_that_is_too_large() {
    let bomb = packed(&" ".repeat(64 << 20));
    assert!(bomb.len() < MAX_CLIENT_MESSAGE_BYTES, "the frame is small enough");
    let actions = in_room().frame(Frame::Binary(&bomb));
    assert_eq!(expulsion(&actions), (LeaveReason::Removed, ErrorCode::BadMessage, close::TOO_LARGE));
    let barely = packed(&" ".repeat(MAX_CLIENT_MESSAGE_BYTES + 1));
    let actions = in_room().frame(Frame::Binary(&barely));
    assert_eq!(expulsion(&actions), (LeaveReason::Removed, ErrorCode::BadMessage, close::TOO_LARGE));
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&[b'"', 0xff, b'"']).unwrap();
    let actions = in_room().frame(Frame::Binary(&encoder.finish().unwrap()));
    assert_eq!(expulsion(&actions), (LeaveReason::Removed, ErrorCode::BadJson, CLOSE_NOT_UTF8));
}

#[test]
fn a_flood_is_not_even_unpacked() {
    let mut talk = in_room();
    let ping = packed(r#"{"type":"ping","nonce":7}"#);
    let bomb = packed(&" ".repeat(1 << 20));
    for _ in 0..CLIENT_MESSAGES_BURST - 1 {
        assert_eq!(talk.frame(Frame::Binary(&ping)).len(), 1);
    }
    let actions = talk.frame(Frame::Binary(&bomb));
    assert_eq!(expulsion(&actions), (LeaveReason::Removed, ErrorCode::MessageRate, close::FLOOD));
}
