use super::*;

const AUDIO: &str = "UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-mux\r\n";
const VIDEO: &str = "UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\n\
                     a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-mux\r\n";
const DATA: &str = "UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n";
const G722: &str = "UDP/TLS/RTP/SAVPF 9\r\na=rtpmap:9 G722/8000\r\na=rtcp-mux\r\n";

/// An offer with these lines: what, mid, direction.
fn offer(lines: &[(&str, &str, &str)]) -> Offer {
    let mids: Vec<&str> = lines.iter().filter(|l| l.2 != "stopped").map(|l| l.1).collect();
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\na=fingerprint:sha-256 {}\r\n",
        mids.join(" "),
        ["AB"; 32].join(":"),
    );
    for (what, mid, direction) in lines {
        let (name, rest) = match *what {
            "audio" => ("audio", AUDIO),
            "video" => ("video", VIDEO),
            "data" => ("application", DATA),
            "g722" => ("audio", G722),
            other => panic!("{other}"),
        };
        let port = if *direction == "stopped" { 0 } else { 9 };
        sdp += &format!("m={name} {port} {rest}c=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n");
        if *what != "data" && port != 0 {
            sdp += &format!("a={direction}\r\n");
        }
    }
    Offer::parse(&sdp).unwrap_or_else(|e| panic!("{e} in\n{sdp}"))
}

fn publish(mid: &str, source: TrackSource) -> PublishRequest {
    PublishRequest { mid: mid.into(), source, muted: false, track: None }
}

fn fresh() -> Negotiation {
    Negotiation::new(1, 1000, "cname".into())
}

const CAMERA: (&str, &str, &str) = ("video", "0", "sendonly");
const MICROPHONE: (&str, &str, &str) = ("audio", "1", "sendonly");
const CHAT: (&str, &str, &str) = ("data", "2", "");
const SEAT: [(&str, &str, &str); 2] = [("audio", "3", "recvonly"), ("video", "4", "recvonly")];

#[test]
fn microphones_are_asked_to_be_silent_in_silence_and_the_sound_of_screens_is_not() {
    let screen = ("audio", "2", "sendonly");
    let requests = [publish("1", TrackSource::Microphone), publish("2", TrackSource::ScreenAudio)];
    let plan = fresh().plan(&offer(&[CAMERA, MICROPHONE, screen]), &requests).unwrap();
    let fmtp = plan.publish.iter().map(|track| track.line.codecs[0].fmtp.as_str());
    assert_eq!(fmtp.collect::<Vec<_>>(), ["usedtx=1", ""]);
}

fn slot_lines(plan: &Plan) -> Vec<SendLine> {
    let lines = plan.answer.iter();
    lines.filter_map(|a| if let AnswerMedia::Send(line) = a { Some(line.clone()) } else { None }).collect()
}

#[test]
fn tracks_data_and_a_seat_get_their_lines() {
    let offer = offer(&[CAMERA, MICROPHONE, CHAT, SEAT[0], SEAT[1]]);
    let requests = [publish("0", TrackSource::Camera), publish("1", TrackSource::Microphone)];
    let plan = fresh().plan(&offer, &requests).unwrap();
    assert_eq!(plan.publish.iter().map(|t| t.mid.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    assert!(matches!(plan.answer[2], AnswerMedia::DataChannel));
    assert_eq!(plan.seats, [(Some("3".into()), Some("4".into()))]);
    let [audio, video] = &slot_lines(&plan)[..] else { panic!("two slots") };
    assert_eq!((audio.msid_stream.as_str(), video.msid_stream.as_str()), ("seat0", "seat0"));
    assert_eq!((audio.ssrc, audio.rtx_ssrc), (1000, None));
    assert_eq!((video.ssrc, video.rtx_ssrc), (1002, Some(1003)));
}

/// Rule 1 of slots: SSRC, FID, CNAME and msid never change; lines are only appended.
#[test]
fn rule_1_slots_keep_their_names_in_every_later_answer() {
    let mut negotiation = fresh();
    let lines = [CAMERA, MICROPHONE, CHAT, SEAT[0], SEAT[1]];
    let plan = negotiation.plan(&offer(&lines), &[]).unwrap();
    let before = slot_lines(&plan);
    negotiation.commit(&plan);
    let grown = [&lines[..], &[("audio", "5", "recvonly"), ("video", "6", "recvonly")]].concat();
    let plan = negotiation.plan(&offer(&grown), &[]).unwrap();
    let after = slot_lines(&plan);
    assert_eq!(after[..2], before[..]);
    assert_eq!(after[2].msid_stream, "seat1");
    assert_eq!((after[2].ssrc, after[3].ssrc), (1004, 1006));
    assert_eq!(plan.seats, [(Some("5".into()), Some("6".into()))], "only the new ones are new seats");
    assert_eq!(plan.slots.len(), 2);
}

#[test]
fn surplus_audio_lines_are_voices_of_their_own() {
    let lines = [SEAT[0], SEAT[1], ("audio", "5", "recvonly"), ("audio", "6", "recvonly")];
    let plan = fresh().plan(&offer(&lines), &[]).unwrap();
    let streams: Vec<_> = slot_lines(&plan).into_iter().map(|l| l.msid_stream).collect();
    assert_eq!(streams, ["seat0", "seat0", "voice0", "voice1"]);
}

#[test]
fn lines_that_move_change_or_vanish_are_refused_and_change_nothing() {
    let mut negotiation = fresh();
    let lines = [CAMERA, SEAT[0], SEAT[1]];
    let plan = negotiation.plan(&offer(&lines), &[]).unwrap();
    negotiation.commit(&plan);
    let refused = |lines: &[(&str, &str, &str)]| negotiation.plan(&offer(lines), &[]).unwrap_err();
    assert_eq!(refused(&lines[..2]), NegotiateError::Changed(2), "one less");
    assert_eq!(refused(&[CAMERA, SEAT[1], SEAT[0]]), NegotiateError::Changed(1), "swapped");
    assert_eq!(refused(&[CAMERA, ("audio", "9", "recvonly"), SEAT[1]]), NegotiateError::Changed(1), "renamed");
    assert_eq!(refused(&[CAMERA, ("audio", "3", "sendonly"), SEAT[1]]), NegotiateError::Changed(1), "turned round");
    assert_eq!(refused(&[CAMERA, ("audio", "3", "stopped"), SEAT[1]]), NegotiateError::Changed(1), "a slot removed");
    assert_eq!(refused(&[CAMERA, ("audio", "3", "stopped"), SEAT[1]]).code(), ErrorCode::SdpChanged);
    assert!(negotiation.plan(&offer(&lines), &[]).is_ok());
}

#[test]
fn a_track_must_name_a_line_that_can_carry_it() {
    let offer = offer(&[CAMERA, MICROPHONE, SEAT[0], SEAT[1], ("g722", "7", "sendonly")]);
    let refused = |requests: &[PublishRequest]| fresh().plan(&offer, requests).unwrap_err();
    let bad = |mid: &str, kind| NegotiateError::BadTrack(mid.into(), kind);
    assert_eq!(refused(&[publish("9", TrackSource::Camera)]), bad("9", MediaKind::Video));
    assert_eq!(refused(&[publish("1", TrackSource::Camera)]), bad("1", MediaKind::Video));
    assert_eq!(refused(&[publish("4", TrackSource::Camera)]), bad("4", MediaKind::Video));
    assert_eq!(
        refused(&[publish("0", TrackSource::Camera), publish("0", TrackSource::Screen)]),
        bad("0", MediaKind::Video)
    );
    assert_eq!(refused(&[publish("7", TrackSource::Microphone)]), NegotiateError::NoCodec("7".into()));
}

#[test]
fn a_known_track_goes_on_and_a_stopped_one_ends() {
    let mut negotiation = fresh();
    let requests = [publish("0", TrackSource::Camera)];
    let plan = negotiation.plan(&offer(&[CAMERA, CHAT]), &requests).unwrap();
    negotiation.commit(&plan);
    let again = negotiation.plan(&offer(&[CAMERA, CHAT]), &requests).unwrap();
    assert!(again.publish.is_empty() && again.unpublish.is_empty());
    let paused = negotiation.plan(&offer(&[("video", "0", "inactive"), CHAT]), &[]).unwrap();
    assert_eq!(paused.unpublish, ["0"]);
    assert!(matches!(paused.answer[0], AnswerMedia::Inactive(_)));
    negotiation.commit(&paused);
    let back = negotiation.plan(&offer(&[CAMERA, CHAT]), &requests).unwrap();
    assert_eq!(back.publish.len(), 1);
    negotiation.commit(&back);
    let stopped = negotiation.plan(&offer(&[("video", "0", "stopped"), CHAT]), &[]).unwrap();
    assert_eq!(stopped.unpublish, ["0"]);
    assert!(matches!(stopped.answer[0], AnswerMedia::Rejected));
    negotiation.commit(&stopped);
    let recycled =
        negotiation.plan(&offer(&[("audio", "8", "sendonly"), CHAT]), &[publish("8", TrackSource::Microphone)]);
    assert_eq!(recycled.unwrap().publish[0].mid, "8", "a stopped line may be used by another");
}

#[test]
fn the_cap_on_seats_holds() {
    let many = |n: usize| -> Vec<(String, String)> {
        (0..n).flat_map(|k| [("audio".into(), format!("a{k}")), ("video".into(), format!("v{k}"))]).collect()
    };
    let plan_of = |n| {
        let lines = many(n);
        let lines: Vec<_> = lines.iter().map(|(what, mid)| (what.as_str(), mid.as_str(), "recvonly")).collect();
        fresh().plan(&offer(&lines), &[]).map(|plan| plan.seats.len())
    };
    assert_eq!(plan_of(48), Ok(48));
    assert_eq!(plan_of(49), Err(NegotiateError::TooMany));
}

#[test]
fn all_seats_are_told_once_more_as_they_were_and_all_lines_can_carry_tracks_again() {
    let mut negotiation = fresh();
    let lines = [CAMERA, MICROPHONE, SEAT[0], SEAT[1], ("audio", "5", "recvonly"), ("video", "6", "recvonly")];
    let requests = [publish("0", TrackSource::Camera), publish("1", TrackSource::Microphone)];
    let mut told = Vec::new();
    let grown = [&lines[..], &[("audio", "7", "recvonly"), ("audio", "8", "recvonly"), ("video", "9", "recvonly")]];
    for lines in [&lines[..4], &lines, &grown.concat()] {
        let plan = negotiation.plan(&offer(lines), &requests).unwrap();
        told.extend(plan.seats.clone());
        negotiation.commit(&plan);
    }
    let seat = |audio: &str, video: Option<&str>| (Some(audio.to_owned()), video.map(str::to_owned));
    let expected = [seat("3", Some("4")), seat("5", Some("6")), seat("7", Some("9")), seat("8", None)];
    assert_eq!((&told[..], &negotiation.seats()[..]), (&expected[..], &expected[..]));

    let plan = negotiation.plan(&offer(&grown.concat()), &requests).unwrap();
    assert!(plan.publish.is_empty(), "they go on");
    negotiation.unpublish_all();
    let plan = negotiation.plan(&offer(&grown.concat()), &requests).unwrap();
    assert_eq!(plan.publish.iter().map(|track| track.mid.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    assert!(plan.unpublish.is_empty() && plan.slots.is_empty(), "nothing else changes");
}
