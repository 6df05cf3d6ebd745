//! What a member may ask of the shard.

use serde_json::{Value, json};

use super::*;

const SDP: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n";

fn offer(sdp: &str, tracks: &[Value]) -> String {
    json!({ "type": "offer", "id": 7, "sdp": sdp, "tracks": tracks }).to_string()
}

fn microphone(mid: &str) -> Value {
    json!({ "mid": mid, "source": "microphone" })
}

#[test]
fn an_offer_reaches_the_shard_read() {
    for tracks in [vec![], vec![microphone("0")], (0..8).map(|mid| microphone(&mid.to_string())).collect()] {
        let actions = Talk::in_room().say(&offer(SDP, &tracks));
        let [Action::Request { request: Request::Offer { id: 7, offer, fresh: false, tracks: read }, id: Some(7) }] =
            &actions[..]
        else {
            panic!("{actions:?}")
        };
        assert_eq!((offer.media.len(), read.len()), (1, tracks.len()));
    }
}

#[test]
fn a_bad_offer_is_answered_with_its_id_and_its_word() {
    let comment = |bytes: usize| format!("{SDP}{}", "a=x\r\n".repeat((bytes - SDP.len()) / 5 + 1));
    let table: &[(String, ErrorCode)] = &[
        (offer("", &[]), ErrorCode::BadSdp),
        (offer("no SDP", &[]), ErrorCode::BadSdp),
        (offer(&SDP[..SDP.len() / 2], &[]), ErrorCode::BadSdp),
        (offer(&comment(MAX_SDP_BYTES), &[]), ErrorCode::SdpTooLarge),
        (offer(&SDP.replace("a=rtcp-mux\r\n", ""), &[]), ErrorCode::SdpUnsupported),
        (offer(SDP, &[microphone("")]), ErrorCode::BadTrack),
        (offer(SDP, &[microphone(&"1".repeat(17))]), ErrorCode::BadTrack),
        (offer(SDP, &[microphone("0"), microphone("1"), microphone("0")]), ErrorCode::BadTrack),
        (offer(SDP, &vec![microphone("0"); 9]), ErrorCode::TooManyTracks),
    ];
    let mut talk = Talk::in_room();
    for (text, code) in table {
        let actions = talk.say(text);
        assert_eq!(only_error(&actions), (Some(7), *code, false), "{}", &text[..text.len().min(200)]);
    }
    assert!(matches!(talk.say(&offer(SDP, &[]))[..], [Action::Request { .. }]), "the connection lives on");
}

#[test]
fn the_rest_reaches_the_shard_as_it_is() {
    let changes =
        |count| json!({ "type": "subscribe", "changes": vec![json!({ "track": "t", "wanted": false }); count] });
    let mut talk = Talk::in_room();
    let mut ask = |message: Value| match talk.say(&message.to_string()).pop() {
        Some(Action::Request { request, id }) => (request, id),
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        ask(json!({ "type": "mute", "track": "t", "muted": true })),
        (Request::Mute { track, muted: true }, None) if track.as_str() == "t"
    ));
    assert!(matches!(
        ask(json!({ "type": "chat", "nonce": 4, "text": "hi" })),
        (Request::Chat { nonce: 4, text }, Some(4)) if text == "hi"
    ));
    assert!(matches!(
        ask(json!({ "type": "unpublish", "tracks": vec!["t"; 8] })),
        (Request::Unpublish(tracks), None) if tracks.len() == 8
    ));
    assert!(matches!(ask(changes(MAX_SUBSCRIBE_CHANGES)), (Request::Subscribe(c), None) if c.len() == 512));
}

#[test]
fn lists_are_bounded() {
    let track = json!({ "track": "t", "wanted": false });
    for message in [
        json!({ "type": "unpublish", "tracks": vec!["t"; 9] }),
        json!({ "type": "subscribe", "changes": vec![track; MAX_SUBSCRIBE_CHANGES + 1] }),
    ] {
        let actions = Talk::in_room().say(&message.to_string());
        assert_eq!(only_error(&actions), (None, ErrorCode::BadMessage, false));
    }
}

#[test]
fn an_overloaded_shard_is_said_to_be_one() {
    let mut talk = Talk::in_room();
    talk.session.handle_overload(Some(4));
    assert_eq!(only_error(&talk.actions()), (Some(4), ErrorCode::Overloaded, false));
}
