//! One rule each: the edges of what is understood.

use super::*;

/// An offer with one video line that has `lines` besides the obligatory ones.
fn video(formats: &str, lines: &[&str]) -> String {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:active\r\na=fingerprint:sha-256 {}\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtcp-mux\r\n",
        ["0A"; 32].join(":")
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

fn codecs(formats: &str, lines: &[&str]) -> Vec<Codec> {
    let offer = Offer::parse(&video(formats, lines)).unwrap();
    offer.media[0].codecs.iter().map(|codec| codec.codec).collect()
}

fn rids(lines: &[&str]) -> Result<Vec<String>, SdpError> {
    Offer::parse(&video("96", lines)).map(|offer| offer.media[0].rids.clone())
}

fn extensions(lines: &[&str]) -> Result<Vec<(Extension, u8)>, SdpError> {
    Offer::parse(&video("96", lines)).map(|offer| offer.media[0].extensions.iter().collect())
}

#[test]
fn h264_has_the_defaults_of_rfc_6184() {
    let h264 = |profile_level_id, packetization_mode| vec![Codec::H264 { profile_level_id, packetization_mode }];
    let map = "a=rtpmap:96 H264/90000";
    assert_eq!(codecs("96", &[map]), h264([0x42, 0x00, 0x0a], 0));
    assert_eq!(codecs("96", &[map, "a=fmtp:96 packetization-mode=1"]), h264([0x42, 0x00, 0x0a], 1));
    assert_eq!(
        codecs("96", &[map, "a=fmtp:96 Profile-Level-Id=640C1F; packetization-mode=1"]),
        h264([0x64, 0x0c, 0x1f], 1)
    );
    for useless in ["packetization-mode=2", "packetization-mode=x", "profile-level-id=42e01", "profile-level-id=+2e01f"]
    {
        assert_eq!(codecs("96", &[map, &format!("a=fmtp:96 {useless}")]), [], "{useless}");
    }
}

#[test]
fn codecs_come_in_the_order_of_the_m_line_and_by_any_case() {
    let lines = ["a=rtpmap:96 vp8/90000", "a=rtpmap:97 Vp9/90000", "a=rtpmap:98 av1/90000", "a=rtpmap:99 VP8/8000"];
    assert_eq!(codecs("98 97 99 96 97", &lines), [Codec::Av1, Codec::Vp9 { profile: 0 }, Codec::Vp8]);
    assert_eq!(codecs("96", &lines), [Codec::Vp8], "an rtpmap the m-line does not list counts for nothing");
    assert_eq!(codecs("96 97", &["a=rtpmap:96 opus/48000/2"]), [], "no audio on a video line, no codec without rtpmap");
    assert_eq!(codecs("72", &["a=rtpmap:72 VP8/90000"]), [], "its packets would look like RTCP");
    let injected = codecs("96", &["a=rtpmap:96 VP8/90000", "a=fmtp:96 max-fs=1\u{2028}2"]);
    assert_eq!(injected, [], "parameters are repeated in the answer, so they must be plain");
}

#[test]
fn feedback_may_be_given_for_all_payload_types_at_once() {
    let lines = ["a=rtpmap:96 VP8/90000", "a=rtcp-fb:* nack", "a=rtcp-fb:* nack pli", "a=rtcp-fb:96 ack rpsi"];
    let offer = Offer::parse(&video("96", &lines)).unwrap();
    let codec = &offer.media[0].codecs[0];
    assert!(codec.nack && codec.pli && !codec.fir && !codec.transport_cc && !codec.remb);
}

#[test]
fn a_line_without_a_common_codec_is_refused_with_port_0() {
    let offer = Offer::parse(&video("96 97", &["a=rtpmap:96 H265/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]))
        .unwrap();
    assert!(answer(&offer).contains("m=video 0 UDP/TLS/RTP/SAVPF 96\r\n"));
}

#[test]
fn simulcast_lists_know_alternatives_and_pauses() {
    let layers = ["a=rid:l send", "a=rid:m send max-width=640", "a=rid:h send"];
    let with = |simulcast: &str| rids(&[layers[0], layers[1], layers[2], simulcast]);
    assert_eq!(with("a=simulcast:send l;m;h").unwrap(), ["l", "m", "h"]);
    assert_eq!(with("a=simulcast:send h;~m,l").unwrap(), ["h", "m"], "the first alternative, paused or not");
    assert_eq!(with("a=simulcast:recv x;y send ~l;h").unwrap(), ["l", "h"]);
    assert_eq!(with("a=simulcast:send l;q;h").unwrap(), ["l", "h"], "q was never described");
    assert_eq!(with("a=simulcast:send q,h").unwrap(), ["h"]);
    assert_eq!(rids(&["a=rid:solo send"]).unwrap(), ["solo"]);
    assert!(rids(&["a=rid:r recv", "a=simulcast:recv r"]).unwrap().is_empty());
    for broken in ["send l;l", "send l;;h", "send", "send l send h", "l;h", "send l recv r send h", "send rid=l;h"] {
        let error = with(&format!("a=simulcast:{broken}")).unwrap_err();
        assert_eq!(error.code(), "sdp/malformed", "{broken}");
        assert!(error.to_string().starts_with("m-line 0 "), "{error}");
    }
    for broken in ["a=rid:l", "a=rid:l both", "a=rid:l/h send", "a=rid:seventeen-letters send", "a=rid:é send"] {
        assert_eq!(rids(&[broken]).unwrap_err().code(), "sdp/malformed", "{broken}");
    }
    assert_eq!(rids(&["a=rid:l send", "a=rid:l send"]).unwrap_err().code(), "sdp/malformed");
}

#[test]
fn the_layers_of_an_answer_mirror_those_of_the_offer() {
    let layers = ["a=rtpmap:96 VP8/90000", "a=rid:l send", "a=rid:h send", "a=simulcast:send ~l;h"];
    let text = answer(&Offer::parse(&video("96", &layers)).unwrap());
    assert!(text.contains("a=recvonly\r\na=rid:l recv\r\na=rid:h recv\r\na=simulcast:recv l;h\r\n"), "{text}");
    let text = answer(&Offer::parse(&video("96", &layers[..2])).unwrap());
    assert!(text.contains("a=rid:l recv\r\n") && !text.contains("a=simulcast"), "none offered, none answered");
}

#[test]
fn extensions_have_ids_of_one_and_two_bytes() {
    let mid = "urn:ietf:params:rtp-hdrext:sdes:mid";
    let level = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    let one = |id: &str| extensions(&[&format!("a=extmap:{id} {mid}")]);
    assert_eq!(one("14").unwrap(), [(Extension::Mid, 14)]);
    assert_eq!(one("255").unwrap(), [(Extension::Mid, 255)]);
    assert_eq!(one("15").unwrap(), [], "reserved");
    assert_eq!(one("4096").unwrap(), [], "asks us to choose; we choose to do without");
    assert_eq!(one("7/sendonly").unwrap(), [(Extension::Mid, 7)]);
    assert_eq!(one("7/inactive").unwrap(), []);
    for broken in ["0", "-1", "+1", "x", "70000", "1/both", ""] {
        assert_eq!(one(broken).unwrap_err().code(), "sdp/malformed", "{broken}");
    }
    let twice = extensions(&[&format!("a=extmap:1 {mid}"), &format!("a=extmap:1 {level}")]);
    assert_eq!(twice.unwrap_err().to_string(), "m-line 0 gives one id to two header extensions");
    let by_direction = [format!("a=extmap:1/recvonly {level}"), format!("a=extmap:2/sendonly {level}")];
    let found = extensions(&[&by_direction[0], &by_direction[1]]).unwrap();
    assert_eq!(found, [(Extension::AudioLevel, 2)], "what the client sends is what has to be read");
}

#[test]
fn two_byte_ids_are_sent_only_where_forms_may_be_mixed() {
    let lines = [
        "a=recvonly",
        "a=rtpmap:96 VP8/90000",
        "a=extmap:20 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap-allow-mixed",
    ];
    let id = |lines: &[&str]| {
        let offer = Offer::parse(&video("96", lines)).unwrap();
        sendable(&offer.media[0]).1.id(Extension::Mid)
    };
    assert_eq!(id(&lines), Some(20));
    assert_eq!(id(&lines[..3]), None);
}

#[test]
fn session_attributes_hold_where_a_line_is_silent() {
    let text = video("96", &["a=rtpmap:96 VP8/90000"]);
    let session = "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendonly\r\nm=video";
    let offer = Offer::parse(&text.replace("m=video", session)).unwrap();
    assert_eq!(offer.media[0].extensions.id(Extension::Mid), Some(3));
    assert_eq!(offer.media[0].direction, Direction::SendOnly);
    assert_eq!(offer.ice.ufrag, "abcd");
    assert_eq!(Offer::parse(&text).unwrap().media[0].direction, Direction::SendRecv, "as RFC 8866 §6.7 has it");
}

#[test]
fn the_first_line_of_the_bundle_carries_the_transport() {
    let text = recorded("webrtc-rs").replace("BUNDLE 0 1 2", "BUNDLE 1 0 2");
    let (head, tail) = text.split_at(text.find("m=video").unwrap());
    let text = format!("{head}{}", tail.replacen("cSxNRoGRCbIhIsyd", "second", 1));
    let offer = Offer::parse(&text).unwrap();
    assert_eq!(offer.bundle, [1, 0, 2]);
    assert_eq!(offer.ice.ufrag, "second");
    let answer = answer(&offer);
    assert!(answer.contains("a=group:BUNDLE 1 0 2\r\n"));
    let sections = sections(&answer);
    assert!(!sections[0].contains("a=candidate") && sections[1].contains("a=candidate"));
}

#[test]
fn lines_that_were_closed_stay_closed() {
    let text = recorded("webrtc-rs").replace("m=video 9", "m=video 0").replace("BUNDLE 0 1 2", "BUNDLE 0 2");
    let offer = Offer::parse(&text).unwrap();
    assert!(offer.media[1].rejected && !offer.media[1].is_acceptable());
    assert!(receivable(&offer.media[1]).0.is_empty());
    let answer = answer(&offer);
    assert!(answer.contains("m=video 0 UDP/TLS/RTP/SAVPF 96\r\n") && answer.contains("a=group:BUNDLE 0 2\r\n"));
}

#[test]
fn data_channels_have_defaults_and_limits() {
    let text = recorded("webrtc-rs");
    let sctp = |text: &str| Offer::parse(text).unwrap().media[2].sctp;
    let bare = text.replace("a=sctp-port:5000\r\na=max-message-size:65536\r\n", "");
    assert_eq!(sctp(&bare), Some(SctpParameters { port: 5000, max_message_size: 65_536 }));
    let unlimited = text.replace("a=max-message-size:65536", "a=max-message-size:0");
    assert_eq!(sctp(&unlimited).unwrap().max_message_size, u32::MAX);
    assert_eq!(sctp(&text.replace("a=sctp-port:5000", "a=sctp-port:0")), None, "a closed association (RFC 8841 §5.1)");
    assert_eq!(sctp(&text.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000")), None, "before RFC 8841");
    let answer = answer(&Offer::parse(&text).unwrap());
    assert!(
        answer.ends_with("a=setup:passive\r\n") && answer.contains("a=sctp-port:5000\r\na=max-message-size:65536\r\n")
    );
}
