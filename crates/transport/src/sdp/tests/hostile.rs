//! Offers that break rules or bounds: each is refused with its word and the place of the trouble, and cheaply.

use std::time::{Duration, Instant};

use super::*;

/// What one hostile offer may cost, with a wide margin for a slow and busy machine; the aim is a few milliseconds.
const BUDGET: Duration = Duration::from_millis(250);

fn refused(text: &str) -> (&'static str, String) {
    let started = Instant::now();
    let error = Offer::parse(text).expect_err("the offer is bad");
    let cost = started.elapsed();
    assert!(cost < BUDGET, "{cost:?} for {error}");
    let sentence = error.to_string();
    assert!(sentence.len() < 160 && sentence.is_ascii(), "nothing of the client's text is in {sentence:?}");
    (error.code(), sentence)
}

/// Replaces a piece of a recorded offer and expects a refusal.
fn check(name: &str, piece: &str, replacement: &str, code: &str, sentence: &str) {
    let offer = recorded(name);
    assert!(offer.contains(piece), "{name} has {piece:?}");
    let (found, said) = refused(&offer.replace(piece, replacement));
    assert_eq!((found, said.as_str()), (code, sentence), "{name} with {replacement:?}");
}

#[test]
fn broken_rules_are_named() {
    let fingerprint = "a=fingerprint:sha-256 5E:24:EF:11:34:C3:34:65:0F:6F:76:BF:5B:F4:D1:F4:61:01:C3:C3:FA:53:6A:CF:D6:50:3B:85:53:BD:3B:36";
    let sha1 = "a=fingerprint:sha-1 5E:24:EF:11:34:C3:34:65:0F:6F:76:BF:5B:F4:D1:F4:61:01:C3:C3";
    let group = "a=group:BUNDLE 0";
    let ufrag = "a=ice-ufrag:q+rd";
    let pwd = "a=ice-pwd:X/b6pN1kZE2IyaKs2mj5Dn6/";
    let second = "a=fingerprint:sha-256 00:24:EF:11:34:C3:34:65:0F:6F:76:BF:5B:F4:D1:F4:61:01:C3:C3:FA:53:6A:CF:D6:50:3B:85:53:BD:3B:36";
    let table: &[(&str, &str, &str, &str)] = &[
        ("v=0", "v=1", "sdp/malformed", "line 1 breaks the grammar of RFC 8866, or the offer ends too early there"),
        ("t=0 0\r\n", "", "sdp/malformed", "line 4 breaks the grammar of RFC 8866, or the offer ends too early there"),
        ("s=-", "s=\0", "sdp/malformed", "line 3 holds a control character"),
        ("s=-", "s=a\rb", "sdp/malformed", "line 3 holds a control character"),
        ("s=-", "S=-", "sdp/malformed", "line 3 does not begin with a letter and an equals sign"),
        ("s=-", "-", "sdp/malformed", "line 3 does not begin with a letter and an equals sign"),
        ("s=-", "s=-\r\n", "sdp/malformed", "line 5 comes after an empty line"),
        (
            "m=audio 9",
            "m=audio 70000",
            "sdp/malformed",
            "line 8 breaks the grammar of RFC 8866, or the offer ends too early there",
        ),
        ("m=audio", "m=aud\u{a0}io", "sdp/malformed", "line 8 holds characters an m-line cannot have"),
        ("SAVPF 63 111", "SAVPF 63 x", "sdp/malformed", "m-line 0 lists a payload type that is no number"),
        ("SAVPF 63 111", "SAVPF 63 128", "sdp/malformed", "m-line 0 lists a payload type above 127"),
        ("a=mid:0\r\n", "", "sdp/malformed", "m-line 0 has no a=mid"),
        ("a=mid:0\r\n", "a=mid:0\r\na=mid:1\r\n", "sdp/malformed", "m-line 0 has more than one a=mid"),
        (
            "a=mid:0\r\n",
            "a=mid:a b\r\n",
            "sdp/malformed",
            "m-line 0 has an a=mid that is no token of 1 to 16 characters",
        ),
        ("a=mid:0\r\n", "a=mid:9\r\n", "sdp/malformed", "the session has a mid in a=group:BUNDLE that no m-line has"),
        (group, "a=group:BUNDLE 0 0", "sdp/malformed", "m-line 0 is in a=group:BUNDLE twice"),
        (group, "a=group:LS 0", "sdp/unsupported", "m-line 0 is not in one a=group:BUNDLE with all the others"),
        ("a=rtcp-mux\r\n", "", "sdp/unsupported", "m-line 0 lacks a=rtcp-mux, and RTCP has no port of its own here"),
        ("a=sendonly", "a=sendonly\r\na=recvonly", "sdp/malformed", "m-line 0 has more than one direction"),
        (
            "a=setup:actpass",
            "a=setup:passive",
            "sdp/unsupported",
            "m-line 0 wants us to be the DTLS client; a=setup must be actpass or active",
        ),
        ("a=setup:actpass", "a=setup:any", "sdp/malformed", "m-line 0 has an a=setup that is no role"),
        ("a=setup:actpass\r\n", "", "sdp/malformed", "m-line 0 has no a=setup"),
        (
            "a=extmap-allow-mixed",
            "a=ice-lite",
            "sdp/unsupported",
            "the session is ICE-lite as we are, so nobody would send checks",
        ),
        (ufrag, "a=ice-ufrag:q", "sdp/malformed", "m-line 0 has ICE credentials that break RFC 8839"),
        (pwd, "a=ice-pwd:short", "sdp/malformed", "m-line 0 has ICE credentials that break RFC 8839"),
        (
            pwd,
            "a=ice-pwd:\"quotes\"-are-not-ice-chars",
            "sdp/malformed",
            "m-line 0 has ICE credentials that break RFC 8839",
        ),
        (ufrag, "a=x", "sdp/malformed", "m-line 0 has no a=ice-ufrag and a=ice-pwd"),
        (fingerprint, "a=x", "sdp/malformed", "m-line 0 has no a=fingerprint"),
        (fingerprint, sha1, "sdp/unsupported", "m-line 0 has no sha-256 fingerprint"),
        (fingerprint, "a=fingerprint:sha-256 00:11", "sdp/malformed", "m-line 0 has a malformed a=fingerprint"),
        (
            "a=setup:actpass",
            &format!("a=setup:actpass\r\n{second}"),
            "sdp/unsupported",
            "m-line 0 has two sha-256 fingerprints",
        ),
        ("a=rtpmap:63 ", "a=rtpmap:111 ", "sdp/malformed", "m-line 0 has two a=rtpmap for one payload type"),
        (
            "a=ssrc:80186225 cname",
            "a=ssrc:8018622500 cname",
            "sdp/malformed",
            "m-line 0 has an SSRC that is no number of 32 bits",
        ),
        ("m=audio 9 UDP", "m=audio 0 UDP", "sdp/unsupported", "the session has no m-line we could accept"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "sdp/unsupported", "the session has no m-line we could accept"),
    ];
    for (piece, replacement, code, sentence) in table {
        check("chromium-red", piece, replacement, code, sentence);
    }
}

#[test]
fn lines_that_contradict_each_other_are_named() {
    let table = [
        ("a=mid:1\r\n", "a=mid:0\r\n", "sdp/malformed", "m-line 1 has the mid of another m-line"),
        (
            "BUNDLE 0 1 2 3 4",
            "BUNDLE 0 1 3 4",
            "sdp/unsupported",
            "m-line 2 is not in one a=group:BUNDLE with all the others",
        ),
        (
            "BUNDLE 0 1 2 3 4",
            "BUNDLE 0 1 2\r\na=group:BUNDLE 3 4",
            "sdp/unsupported",
            "m-line 3 is not in one a=group:BUNDLE with all the others",
        ),
        ("a=extmap:4 http:", "a=extmap:1 http:", "", ""),
        (
            "m=video 0 UDP/TLS/RTP/SAVPF 120 124 121 125 99 100 123 122 119\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=sendonly\r\na=extmap:3 ",
            "m=video 0 UDP/TLS/RTP/SAVPF 120 124 121 125 99 100 123 122 119\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=sendonly\r\na=extmap:11 ",
            "sdp/unsupported",
            "m-line 1 has another id for the MID extension",
        ),
    ];
    for (piece, replacement, code, sentence) in table {
        if code.is_empty() {
            let text = recorded("firefox").replace(piece, replacement);
            assert!(Offer::parse(&text).is_ok(), "ids of others than MID may differ from line to line");
        } else {
            check("firefox", piece, replacement, code, sentence);
        }
    }
    let clash = "a=extmap:9/sendonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    let text = recorded("firefox").replace("a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid", "a=x").replace(
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid",
    );
    assert!(text.contains(clash));
    assert_eq!(
        refused(&text),
        ("sdp/malformed", "m-line 1 gives the id of the MID extension to another header extension".into())
    );
}

#[test]
fn plan_b_is_refused_as_such() {
    let track = "a=ssrc:80186225 msid:- ed0109ea-849f-493a-a0d5-da7f8b7b4ef4";
    let second = format!("{track}\r\na=ssrc:80186226 msid:- 00000000-849f-493a-a0d5-da7f8b7b4ef4");
    check(
        "chromium-red",
        track,
        &second,
        "sdp/unsupported",
        "m-line 0 carries several tracks (plan B); unified plan is needed",
    );
}

#[test]
fn an_ssrc_repairs_one_other() {
    let group = "a=ssrc-group:FID 2307317549 2955880509";
    for second in ["FID 2307317549 5", "FID 5 2955880509", "FID 6 6"] {
        let replacement = format!("{group}\r\na=ssrc-group:{second}");
        check("chromium-vp9-svc", group, &replacement, "sdp/malformed", "m-line 0 has an SSRC in two FID groups");
    }
}

/// Makes one line of a flood from its number.
type Line<'a> = &'a dyn Fn(usize) -> String;

/// Inserts `count` lines after the first m-line's mid.
fn flooded(count: usize, line: impl Fn(usize) -> String) -> String {
    let lines: String = (0..count).map(|index| line(index) + "\r\n").collect();
    recorded("chromium-red").replace("a=mid:0\r\n", &format!("a=mid:0\r\n{lines}"))
}

#[test]
fn bounds_hold_exactly() {
    let candidate = |index| format!("a=candidate:{index} 1 udp 1 192.0.2.1 {index} typ host");
    let extension = |index: usize| format!("a=extmap:{} urn:example:{index}", index + 100);
    let rid = |index| format!("a=rid:r{index} send");
    let ssrc = |index: usize| format!("a=ssrc:{index} cname:c");
    let rtpmap = |index: usize| format!("a=rtpmap:{index} X/90000");
    let fingerprint = |_: usize| "a=fingerprint:sha-1 00".to_owned();
    // One SSRC, four extensions, two rtpmaps and a fingerprint are there already.
    let table: [(usize, Line<'_>, &str); 6] = [
        (64, &candidate, "m-line 0 has more than 64 candidates"),
        (60, &extension, "m-line 0 has more than 64 header extensions"),
        (3, &rid, "m-line 0 has more than 3 rids"),
        (15, &ssrc, "m-line 0 has more than 16 SSRCs"),
        (62, &rtpmap, "m-line 0 has more than 64 codecs"),
        (3, &fingerprint, "m-line 0 has more than 4 fingerprints"),
    ];
    for (most, line, sentence) in table {
        assert!(Offer::parse(&flooded(most, line)).is_ok(), "at the bound of: {sentence}");
        assert_eq!(refused(&flooded(most + 1, line)), ("sdp/too-large", sentence.into()));
    }
    let long = |bytes: usize| flooded(1, |_| format!("a={}", "x".repeat(bytes - 2)));
    assert!(Offer::parse(&long(MAX_LINE_BYTES)).is_ok());
    assert_eq!(refused(&long(MAX_LINE_BYTES + 1)), ("sdp/too-large", "line 17 has more than 4096 bytes".into()));

    let formats = |count: usize| format!("SAVPF 63 111{}\r\n", " 96".repeat(count - 2));
    let offer = recorded("chromium-red");
    assert!(Offer::parse(&offer.replace("SAVPF 63 111\r\n", &formats(64))).is_ok());
    let too_many = offer.replace("SAVPF 63 111\r\n", &formats(65));
    assert_eq!(refused(&too_many), ("sdp/too-large", "m-line 0 has more than 64 codecs".into()));
}

/// An offer with `count` seats of as few bytes as can be.
fn seats(count: usize) -> String {
    let offer = recorded("chromium-red");
    let mids: String = (0..count).map(|index| format!(" s{index}")).collect();
    let seat = |index| {
        format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:s{index}\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"
        )
    };
    offer.replace("BUNDLE 0", &format!("BUNDLE 0{mids}")) + &(0..count).map(seat).collect::<String>()
}

#[test]
fn many_lines_are_read_up_to_the_bound() {
    let offer = Offer::parse(&seats(255)).unwrap();
    assert_eq!((offer.media.len(), offer.bundle.len()), (256, 256));
    assert_eq!(refused(&seats(256)), ("sdp/too-large", "the session has more than 256 m-lines".into()));
    let bare = |count: usize| recorded("chromium-red") + &"m=audio 0 X 0\r\n".repeat(count);
    assert_eq!(refused(&bare(2_000)), ("sdp/too-large", "the session has more than 256 m-lines".into()));
    assert_eq!(
        refused(&flooded(4_990, |_| "a=x".into())),
        ("sdp/too-large", "the session has more than 5000 lines".into())
    );
}

#[test]
fn floods_are_refused_by_size_before_anything_is_read() {
    let candidates = flooded(10_000, |index| format!("a=candidate:{index} 1 udp 1 192.0.2.1 9 typ host"));
    assert_eq!(refused(&candidates), ("sdp/too-large", "the session has more than 65536 bytes".into()));
    let rids = flooded(10_000, |index| format!("a=rid:{index} send"));
    assert_eq!(refused(&rids).0, "sdp/too-large");
    let huge = "a".repeat(64 << 20);
    assert_eq!(refused(&huge).0, "sdp/too-large");
    let short_floods = [
        flooded(1_000, |index| format!("a=candidate:{index} 1 udp 1 192.0.2.1 9 typ host")),
        flooded(2_000, |index| format!("a=rid:{index} send")),
        flooded(1, |_| format!("a=simulcast:send {}", "a;".repeat(2_000))),
        flooded(1, |_| format!("a=simulcast:send {}", "a,".repeat(2_000))),
        flooded(1, |_| format!("a=ssrc-group:SIM{}", " 1".repeat(2_000))),
        flooded(20, |_| format!("a=group:BUNDLE{}", " 0".repeat(1_500))),
    ];
    for (index, flood) in short_floods.iter().enumerate() {
        if index < 4 {
            refused(flood);
        } else {
            let started = Instant::now();
            assert!(Offer::parse(flood).is_ok(), "of no meaning there: one SSRC, and a group inside an m-line");
            assert!(started.elapsed() < BUDGET);
        }
    }
}

#[test]
fn the_costliest_offers_that_pass_the_scan_stay_cheap() {
    let feedback = flooded(3_000, |_| "a=rtcp-fb:* nack".into());
    let parameters = flooded(2_500, |_| "a=fmtp:111 a=b;c=d".into());
    let groups = recorded("chromium-red")
        .replace("a=group:BUNDLE 0\r\n", &format!("a=group:BUNDLE 0\r\n{}", "a=group:X 0 0 0 0 0\r\n".repeat(2_500)));
    for text in [feedback, parameters, groups, seats(255)] {
        assert!(text.len() < MAX_SDP_BYTES);
        let started = Instant::now();
        let offer = Offer::parse(&text).unwrap();
        let length = answer(&offer).len();
        assert!(started.elapsed() < BUDGET, "{:?}", started.elapsed());
        assert!(length < 4 * MAX_SDP_BYTES, "an answer of {length} bytes");
    }
}

#[test]
fn no_line_can_be_hidden_in_another() {
    let name = "a=msid:- ed0109ea-849f-493a-a0d5-da7f8b7b4ef4\r\n";
    for end in ["\r", "\0", "\u{b}", "\u{c}"] {
        let text = recorded("chromium-red").replace(name, &format!("a=msid:- x{end}a=candidate:evil\r\n"));
        assert_eq!(refused(&text), ("sdp/malformed", "line 22 holds a control character".into()));
    }
    // What Unicode calls a line end is none of SDP; it stays in a value that is never repeated.
    let text = recorded("chromium-red").replace(name, "a=msid:- x\u{85}\u{2028}a=candidate:evil\r\n");
    assert!(!answer(&Offer::parse(&text).unwrap()).contains("evil"));
}

#[test]
fn what_is_no_sdp_at_all_is_refused() {
    for text in [
        "",
        "\r\n",
        "v=0",
        "v=0\r\n",
        "{\"type\":\"offer\"}",
        "\u{feff}v=0\r\n",
        "m=audio 9 RTP/AVP 0\r\n",
        "a=\r\n",
        "=",
        "é=1",
    ] {
        assert_eq!(refused(text).0, "sdp/malformed", "{text:?}");
    }
    let invalid = String::from_utf8_lossy(b"v=0\r\no=\xff\xfe 1 1 IN IP4 0.0.0.0\r\n").into_owned();
    assert_eq!(
        refused(&invalid).0,
        "sdp/malformed",
        "bytes that are no UTF-8 do not get here but as replacement characters"
    );
}
