use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::limit::{MAX_CLIENT_MESSAGE_BYTES, MAX_SDP_BYTES, MAX_VIEW_CHANGES};
use roundtable_protocol::message::PublishedTrack;
use roundtable_protocol::{Grants, MemberId, PROTOCOL_VERSION, RoomId, RoomState, TrackId};

use super::*;
use crate::shard::inbox::Request;

mod offers;
mod packing;
mod timers;

const HELLO: &str = r#"{"type":"hello","version":1,"name":"Ann"}"#;

/// A session and its clock.
struct Talk {
    session: Session,
    now: Instant,
}

impl Talk {
    fn new() -> Self {
        let now = Instant::now(); // An origin to add to; no test waits for real time.
        Self { session: Session::new(now, Timers::default()), now }
    }

    fn in_room() -> Self {
        let mut talk = Self::new();
        assert!(matches!(talk.say(HELLO)[..], [Action::Join(_)]));
        talk.session.handle_welcome(talk.now, welcome());
        assert!(matches!(talk.actions()[..], [Action::Send(ServerMessage::Welcome(_))]));
        talk
    }

    fn say(&mut self, text: &str) -> Vec<Action> {
        self.frame(Frame::Text(text))
    }

    fn frame(&mut self, frame: Frame<'_>) -> Vec<Action> {
        self.session.handle_frame(self.now, frame);
        self.actions()
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.session.handle_timeout(self.now);
        self.actions()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.session.poll_action()).collect()
    }
}

fn welcome() -> Welcome {
    let room = RoomId::new("r").unwrap();
    Welcome {
        version: PROTOCOL_VERSION,
        room: room.clone(),
        member: MemberInfo::guest(MemberId::new("ann").unwrap(), "Ann".into()),
        grants: Grants::ALL,
        state: RoomState::new(room, 1),
        ice_servers: vec![],
        seats: 4,
        voice_slots: 3,
        silence_timeout_s: 30,
        resume: None,
        accepted: vec![],
        media: false,
    }
}

/// The id, code and fatality of an error that is all that is said.
fn only_error(actions: &[Action]) -> (Option<u32>, ErrorCode, bool) {
    match actions {
        [Action::Send(ServerMessage::Error { id, code, fatal, .. })] => (*id, *code, *fatal),
        _ => panic!("{actions:?}"),
    }
}

/// The code of a fatal error and of the close frame behind it, outside of a room.
fn refusal(actions: &[Action]) -> (ErrorCode, u16) {
    match actions {
        [Action::Send(ServerMessage::Error { code, fatal: true, .. }), Action::Close { code: close, reason }] => {
            assert_eq!(*reason, code.as_str());
            (*code, *close)
        }
        _ => panic!("{actions:?}"),
    }
}

/// The same in a room, with why the member leaves.
fn expulsion(actions: &[Action]) -> (LeaveReason, ErrorCode, u16) {
    let [Action::Leave(reason), rest @ ..] = actions else { panic!("{actions:?}") };
    let (code, close) = refusal(rest);
    (*reason, code, close)
}

/// What a goodbye and the close frame behind it say.
fn farewell(actions: &[Action]) -> (Option<ErrorCode>, u16) {
    match actions {
        [Action::Send(ServerMessage::Goodbye { code, .. }), Action::Close { code: close, .. }] => (*code, *close),
        _ => panic!("{actions:?}"),
    }
}

#[test]
fn a_hello_becomes_a_join() {
    let long = "x".repeat(64);
    let long_hello = format!(r#"{{"type":"hello","version":1,"name":"{long}"}}"#);
    // (text, name, token, seats)
    let table: &[(&str, &str, Option<&str>, u16)] = &[
        (HELLO, "Ann", None, 48),
        (r#"{"type":"hello","version":1,"name":"  Ann Õ 🙂 ","token":"t","maxSeats":4}"#, "Ann Õ 🙂", Some("t"), 4),
        (r#"{"type":"hello","version":1,"name":"a","maxSeats":0,"later":true}"#, "a", None, 0),
        (r#"{"type":"hello","version":1,"name":"a","maxSeats":65535}"#, "a", None, 48),
        (&long_hello, &long, None, 48),
    ];
    for (text, name, token, max_seats) in table {
        let actions = Talk::new().say(text);
        let [Action::Join(wish)] = &actions[..] else { panic!("{text}: {actions:?}") };
        assert_eq!((wish.name.as_str(), wish.token.as_deref(), wish.max_seats), (*name, *token, *max_seats));
    }
}

#[test]
fn a_bad_name_can_be_mended() {
    let long = "ü".repeat(65);
    for name in ["", "   ", "a\\nb", "a\\u0000", "x\\u0085y", "\\u007f", "a\\u202eb", "a\\u2028b", &long] {
        let mut talk = Talk::new();
        let actions = talk.say(&format!(r#"{{"type":"hello","version":1,"name":"{name}"}}"#));
        assert_eq!(only_error(&actions), (None, ErrorCode::BadName, false), "{name:?}");
        assert!(matches!(talk.say(HELLO)[..], [Action::Join(_)]), "{name:?}");
    }
}

#[test]
fn another_version_is_refused_even_if_its_hello_looks_different() {
    for text in [
        r#"{"type":"hello","version":2,"name":"Ann"}"#,
        r#"{"type":"hello","version":0,"name":""}"#,
        r#"{"type":"hello","version":7,"who":{"displayName":"Ann"}}"#,
        r#"{"type":"hello","version":99999999999,"name":"Ann"}"#,
    ] {
        assert_eq!(refusal(&Talk::new().say(text)), (ErrorCode::Version, close::REFUSED), "{text}");
    }
    let actions = Talk::new().say(r#"{"type":"hello","version":1,"who":"Ann"}"#);
    assert_eq!(only_error(&actions), (None, ErrorCode::BadMessage, false), "our version, but no name");
}

#[test]
fn a_token_has_a_length() {
    let hello = |length| format!(r#"{{"type":"hello","version":1,"name":"a","token":"{}"}}"#, "t".repeat(length));
    assert!(matches!(Talk::new().say(&hello(4096))[..], [Action::Join(_)]));
    assert_eq!(refusal(&Talk::new().say(&hello(4097))), (ErrorCode::TokenInvalid, close::REFUSED));
}

#[test]
fn what_the_hub_says_no_to_ends_with_its_word() {
    // (from the hub, on the wire)
    let table = [
        (ErrorCode::Forbidden, close::REFUSED),
        (ErrorCode::RoomFull, close::REFUSED),
        (ErrorCode::TooManyRooms, close::REFUSED),
        (ErrorCode::Overloaded, close::REFUSED),
        (ErrorCode::Internal, close::INTERNAL),
    ];
    for (code, close) in table {
        let mut talk = Talk::new();
        talk.say(HELLO);
        talk.session.handle_refused(code, "no".into());
        assert_eq!(refusal(&talk.actions()), (code, close));
        assert!(talk.session.is_ending());
    }
    let mut talk = Talk::new();
    talk.say(HELLO);
    talk.session.handle_refused(ErrorCode::Stopping, "stopping".into());
    assert_eq!(farewell(&talk.actions()), (Some(ErrorCode::Stopping), close::GOING_AWAY));
}

#[test]
fn order_matters_but_kills_nobody() {
    let chat = r#"{"type":"chat","nonce":9,"text":"hi"}"#;
    let offer = r#"{"type":"offer","id":7,"sdp":""}"#;
    let table = [(chat, Some(9)), (offer, Some(7)), (r#"{"type":"unpublish","tracks":[]}"#, None)];
    for (text, id) in table {
        let mut early = Talk::new();
        assert_eq!(only_error(&early.say(text)), (id, ErrorCode::OutOfOrder, false), "before hello: {text}");
        assert!(matches!(early.say(HELLO)[..], [Action::Join(_)]));
        assert_eq!(only_error(&early.say(text)), (id, ErrorCode::OutOfOrder, false), "before welcome: {text}");
    }
    let mut talk = Talk::in_room();
    for _ in 0..2 * MAX_GARBAGE {
        assert_eq!(only_error(&talk.say(HELLO)), (None, ErrorCode::OutOfOrder, false));
    }
    assert!(matches!(talk.say(chat)[..], [Action::Request { .. }]), "it is no garbage, so the connection lives on");
}

#[test]
fn garbage_gets_a_word_each_time() {
    let table: &[(Frame<'_>, ErrorCode)] = &[
        (Frame::Text(""), ErrorCode::BadJson),
        (Frame::Text("{"), ErrorCode::BadJson),
        (Frame::Text("hello"), ErrorCode::BadJson),
        (Frame::Text("{\"type\":\"ping\",\"nonce\":1}{}"), ErrorCode::BadJson),
        (Frame::Text("{\"type\":\"ping\",\"nonce\":1,}"), ErrorCode::BadJson),
        (Frame::Text("null"), ErrorCode::BadMessage),
        (Frame::Text("[]"), ErrorCode::BadMessage),
        (Frame::Text(r#"["ping", 1]"#), ErrorCode::BadMessage),
        (Frame::Text(r#"[{"type":"ping","nonce":1}]"#), ErrorCode::BadMessage),
        (Frame::Text("{}"), ErrorCode::BadMessage),
        (Frame::Text(r#"{"type":"dance"}"#), ErrorCode::BadMessage),
        (Frame::Text(r#"{"type":"ping"}"#), ErrorCode::BadMessage),
        (Frame::Text(r#"{"type":"ping","nonce":-1}"#), ErrorCode::BadMessage),
        (Frame::Text(r#"{"type":"ping","nonce":4294967296}"#), ErrorCode::BadMessage),
        (Frame::Text(r#"{"type":"mute","track":"a/b","muted":true}"#), ErrorCode::BadMessage),
        (Frame::Binary(b"?"), ErrorCode::BadMessage),
    ];
    for (frame, code) in table {
        for mut talk in [Talk::new(), Talk::in_room()] {
            assert_eq!(only_error(&talk.frame(*frame)), (None, *code, false), "{frame:?}");
            let pong = talk.say(r#"{"type":"ping","nonce":5}"#);
            assert!(matches!(pong[..], [Action::Send(ServerMessage::Pong { nonce: 5 })]), "it lives on");
        }
    }
    let deep = format!(r#"{{"type":"ping","nonce":{}"#, "[".repeat(100_000));
    assert_eq!(only_error(&Talk::in_room().say(&deep)), (None, ErrorCode::BadJson, false));
}

#[test]
fn more_garbage_than_a_bug_explains_ends_it() {
    let mut talk = Talk::in_room();
    for _ in 0..MAX_GARBAGE {
        assert_eq!(only_error(&talk.say("x")), (None, ErrorCode::BadJson, false));
        talk.now += Duration::from_secs(1);
        assert_eq!(talk.say(r#"{"type":"ping","nonce":1}"#).len(), 1, "good messages do not make up for it");
    }
    assert_eq!(
        expulsion(&talk.frame(Frame::Binary(b"?"))),
        (LeaveReason::Removed, ErrorCode::BadMessage, close::GARBAGE)
    );
    assert!(talk.say(HELLO).is_empty(), "nothing is heard any more");
}

#[test]
fn a_flood_ends_it_whatever_it_is_made_of() {
    for frame in [Frame::Text(r#"{"type":"ping","nonce":1}"#), Frame::Control] {
        let mut talk = Talk::in_room();
        // One token of the burst went with the hello.
        for _ in 1..CLIENT_MESSAGES_BURST {
            assert!(talk.frame(frame).iter().all(|action| matches!(action, Action::Send(ServerMessage::Pong { .. }))));
        }
        let flooded = (LeaveReason::Removed, ErrorCode::MessageRate, close::FLOOD);
        assert_eq!(expulsion(&talk.frame(frame)), flooded, "{frame:?}");
    }
    let mut steady = Talk::in_room();
    for _ in 0..1_000 {
        steady.now += Duration::from_millis(20);
        assert_eq!(steady.say(r#"{"type":"ping","nonce":1}"#).len(), 1);
    }
}

#[test]
fn leaving_is_answered() {
    let leave = r#"{"type":"leave"}"#;
    assert_eq!(farewell(&Talk::new().say(leave)), (None, close::NORMAL));
    let actions = Talk::in_room().say(leave);
    let [Action::Leave(LeaveReason::Left), rest @ ..] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(farewell(rest), (None, close::NORMAL));
}

#[test]
fn a_socket_that_breaks_takes_the_member_along() {
    // (what broke, why the member leaves, what is said and the close code)
    let table = [
        (Broken::TooLarge, (ErrorCode::BadMessage, close::TOO_LARGE)),
        (Broken::NotUtf8, (ErrorCode::BadJson, CLOSE_NOT_UTF8)),
        (Broken::Protocol, (ErrorCode::BadMessage, CLOSE_PROTOCOL)),
    ];
    for (broken, (code, close)) in table {
        let mut talk = Talk::in_room();
        talk.session.handle_broken(broken);
        assert_eq!(expulsion(&talk.actions()), (LeaveReason::Removed, code, close));
        let mut stranger = Talk::new();
        stranger.session.handle_broken(broken);
        assert_eq!(refusal(&stranger.actions()), (code, close));
    }
    let mut talk = Talk::in_room();
    talk.session.handle_broken(Broken::Gone);
    assert!(matches!(talk.actions()[..], [Action::Leave(LeaveReason::Disconnected)]), "nobody is there to be told");
    assert!(talk.session.is_ending());
}

#[test]
fn a_slow_reader_is_told_first_that_it_is_out() {
    let mut talk = Talk::in_room();
    talk.session.handle_from_shard(ToMember::Message(ServerMessage::Pong { nonce: 1 }));
    talk.session.handle_slow_reader();
    talk.session.handle_slow_reader();
    let actions = talk.actions();
    let [Action::Leave(LeaveReason::Disconnected), rest @ ..] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(farewell(rest), (Some(ErrorCode::SlowReader), close::SLOW), "what waited is dropped");
}

#[test]
fn the_shard_speaks_through_the_session() {
    let mut talk = Talk::in_room();
    talk.session.handle_from_shard(ToMember::Message(ServerMessage::GrowSeats { seats: 8 }));
    let tracks = vec![PublishedTrack { mid: "0".into(), track: TrackId::new("t").unwrap() }];
    talk.session.handle_from_shard(ToMember::Answer { id: 3, sdp: "v=0".into(), tracks: tracks.clone() });
    let answer = ServerMessage::Answer { id: 3, sdp: "v=0".into(), tracks };
    let sent = talk.actions().into_iter().map(|action| match action {
        Action::Send(message) => message,
        other => panic!("{other:?}"),
    });
    assert_eq!(sent.collect::<Vec<_>>(), [ServerMessage::GrowSeats { seats: 8 }, answer]);
}

#[test]
fn who_is_put_out_is_told_why_and_closed_fittingly() {
    let table = [
        (ErrorCode::IceTimeout, close::MEDIA_FAILED),
        (ErrorCode::IceConsent, close::MEDIA_FAILED),
        (ErrorCode::DtlsTimeout, close::MEDIA_FAILED),
        (ErrorCode::DtlsFingerprint, close::MEDIA_FAILED),
        (ErrorCode::DtlsNoCertificate, close::MEDIA_FAILED),
        (ErrorCode::DtlsFailed, close::MEDIA_FAILED),
        (ErrorCode::Stopping, close::GOING_AWAY),
        (ErrorCode::RoomClosed, close::NORMAL),
        (ErrorCode::SlowReader, close::SLOW),
        (ErrorCode::Internal, close::INTERNAL),
    ];
    for (code, close) in table {
        let mut talk = Talk::in_room();
        talk.session.handle_from_shard(ToMember::Close { code, message: "m".into(), reconnect_after_ms: Some(5) });
        let actions = talk.actions();
        assert!(matches!(
            &actions[0],
            Action::Send(ServerMessage::Goodbye { reconnect_after_ms: Some(5), message, .. }) if message == "m"
        ));
        assert_eq!(farewell(&actions), (Some(code), close), "the shard knows already: no leave");
    }
}

#[test]
fn a_shard_that_falls_silent_is_not_waited_for() {
    let mut talk = Talk::in_room();
    talk.session.handle_shard_gone(true);
    assert!(matches!(talk.actions()[..], [Action::Leave(_), _, Action::Close { code: close::SLOW, .. }]));
    let mut talk = Talk::in_room();
    talk.session.handle_shard_gone(false);
    assert!(matches!(talk.actions()[..], [Action::Leave(_), _, Action::Close { code: close::INTERNAL, .. }]));
}

#[test]
fn a_stopping_server_sends_away_who_is_not_in_a_room_yet() {
    let mut stranger = Talk::new();
    stranger.session.handle_stopping();
    assert_eq!(farewell(&stranger.actions()), (Some(ErrorCode::Stopping), close::GOING_AWAY));
    let mut member = Talk::in_room();
    member.session.handle_stopping();
    assert!(member.actions().is_empty(), "the shard tells the members, after the last events");
}

#[test]
fn views_are_passed_on_at_a_rate_of_their_own() {
    let mut talk = Talk::in_room();
    let view = r#"{"type":"view","changes":[{"track":"t","visible":true,"width":320,"height":180,"maxFps":15}]}"#;
    let mut passed = 0;
    for _ in 0..=VIEWS_BURST {
        match &talk.say(view)[..] {
            [Action::Request { request: Request::View(changes), id: None }] => {
                assert_eq!((changes[0].width, changes[0].max_fps, changes[0].pinned), (Some(320), Some(15), false));
                passed += 1;
            }
            refused => assert_eq!(only_error(refused), (None, ErrorCode::ViewRate, false)),
        }
    }
    assert_eq!(passed, VIEWS_BURST);
    talk.now += Duration::from_millis(100);
    assert!(matches!(talk.say(view)[..], [Action::Request { .. }]), "ten a second go on");
}

#[test]
fn a_view_without_pictures_or_of_too_many_tracks_is_no_message() {
    let mut talk = Talk::in_room();
    let still = r#"{"type":"view","changes":[{"track":"t","visible":true,"maxFps":0}]}"#;
    assert_eq!(only_error(&talk.say(still)), (None, ErrorCode::BadMessage, false));
    let one = r#"{"track":"t","visible":true}"#;
    let many = |n: usize| format!(r#"{{"type":"view","changes":[{}]}}"#, vec![one; n].join(","));
    assert!(matches!(talk.say(&many(MAX_VIEW_CHANGES))[..], [Action::Request { .. }]));
    assert_eq!(only_error(&talk.say(&many(MAX_VIEW_CHANGES + 1))), (None, ErrorCode::BadMessage, false));
}

#[test]
fn a_question_for_figures_keeps_its_number_and_has_a_rate() {
    let mut talk = Talk::in_room();
    for id in 0..STATS_BURST {
        let asked = talk.say(&format!(r#"{{"type":"getStats","id":{id}}}"#));
        assert!(
            matches!(asked[..], [Action::Request { request: Request::Stats(n), id: Some(m) }] if n == id && m == id)
        );
    }
    assert_eq!(only_error(&talk.say(r#"{"type":"getStats","id":77}"#)), (Some(77), ErrorCode::StatsRate, false));
}

#[test]
fn an_update_keeps_its_number_and_says_what_stays() {
    let mut talk = Talk::in_room();
    let text = r#"{"type":"updateMember","id":4,"metadata":null,"attributes":{"a":"1","b":null},"version":3}"#;
    let actions = talk.say(text);
    let [Action::Request { request: Request::UpdateMember { id, expect, change }, id: Some(4) }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((*id, *expect), (Some(4), Some(3)));
    assert_eq!((&change.name, change.metadata.as_deref()), (&None, Some("")));
    assert_eq!(change.attributes.len(), 2);
    let bare = talk.say(r#"{"type":"updateMember","name":"Bea"}"#);
    assert!(matches!(bare[..], [Action::Request { request: Request::UpdateMember { .. }, id: None }]), "{bare:?}");
    let wrong = talk.say(r#"{"type":"updateMember","attributes":{"a":1}}"#);
    assert_eq!(only_error(&wrong), (None, ErrorCode::BadMessage, false));
}
