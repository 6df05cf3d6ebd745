//! What happens when nothing happens.

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The goodbye of a silent client.
fn silent(actions: &[Action]) -> bool {
    matches!(
        actions,
        [
            Action::Send(ServerMessage::Goodbye { code: Some(ErrorCode::Silent), .. }),
            Action::Close { code: close::SILENT, .. }
        ]
    )
}

#[test]
fn the_first_deadline_is_named() {
    let mut talk = Talk::new();
    let start = talk.now;
    let due = |talk: &Talk| talk.session.poll_timeout().map(|(at, reason)| (at - start, reason));
    // Hello and ping are due at once; whichever is named, both are done then.
    assert_eq!(due(&talk).map(|(at, _)| at), Some(secs(10)));
    talk.say(HELLO);
    talk.session.handle_welcome(talk.now, welcome());
    assert_eq!(due(&talk), Some((secs(10), TimeoutReason::Ping)));
    talk.actions();
    for _ in 0..2 {
        assert!(matches!(talk.wait(secs(10))[..], [Action::Ping]));
    }
    assert_eq!(due(&talk).map(|(at, _)| at), Some(secs(30)), "silence since the beginning");
    talk.frame(Frame::Control);
    assert_eq!(due(&talk), Some((secs(30), TimeoutReason::Ping)));
    talk.session.handle_broken(Broken::Gone);
    assert_eq!(due(&talk), None);
}

#[test]
fn those_who_come_at_nearly_one_time_are_pinged_at_once() {
    let origin = Instant::now();
    let pinged = |after_ms, ping| {
        let now = origin + Duration::from_millis(after_ms);
        let mut session = Session::new(now, Timers { ping, ..Timers::default() }).on_beat(origin);
        let first = session.poll_timeout().expect("it waits").0;
        session.handle_timeout(first + Duration::from_millis(3));
        let second = session.poll_timeout().expect("it waits").0;
        assert_eq!(second, first + ping, "a timer that was late does not move them");
        first - origin
    };
    assert_eq!([0, 1, 120, 249].map(|after_ms| pinged(after_ms, secs(5))), [secs(5); 4]);
    assert_eq!(pinged(250, secs(5)), Duration::from_millis(5_250));
    let often = Duration::from_millis(50);
    assert_eq!(pinged(7, often), Duration::from_millis(57), "who pings more often than that is not slowed");
}

#[test]
fn a_hello_has_ten_seconds_and_chatter_does_not_stretch_them() {
    let mut talk = Talk::new();
    for _ in 0..9 {
        talk.now += secs(1);
        talk.say(r#"{"type":"ping","nonce":1}"#);
    }
    assert!(talk.wait(Duration::from_millis(999)).is_empty());
    assert!(silent(&talk.wait(Duration::from_millis(1))));
}

#[test]
fn a_client_that_only_answers_pings_stays() {
    let mut talk = Talk::in_room();
    for _ in 0..100 {
        assert!(matches!(talk.wait(secs(10))[..], [Action::Ping]));
        assert!(talk.frame(Frame::Control).is_empty());
    }
}

#[test]
fn thirty_seconds_of_silence_end_it() {
    let mut talk = Talk::in_room();
    for _ in 0..2 {
        assert!(matches!(talk.wait(secs(10))[..], [Action::Ping]));
    }
    assert!(talk.wait(Duration::from_millis(9_999)).is_empty());
    let actions = talk.wait(Duration::from_millis(1));
    let [Action::Leave(LeaveReason::Disconnected), rest @ ..] = &actions[..] else { panic!("{actions:?}") };
    assert!(silent(rest));
    assert!(talk.wait(secs(100)).is_empty());
}

#[test]
fn a_join_that_takes_long_is_not_the_clients_silence() {
    let mut talk = Talk::new();
    talk.say(HELLO);
    talk.now += secs(29);
    talk.session.handle_welcome(talk.now, welcome());
    talk.actions();
    assert!(matches!(talk.wait(secs(2))[..], [Action::Ping]));
}
