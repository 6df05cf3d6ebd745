//! Mutated offers: nothing panics, and every answer can be read.

use std::io::Cursor;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use rtc_sdp::SessionDescription;

use super::*;

/// Cases of each property unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 100_000;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Attributes that mean something, some of them broken.
const LINES: [&str; 40] = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
    "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=text 9 RTP/AVP 98",
    "a=bundle-only",
    "a=mid:0",
    "a=mid:1",
    "a=mid:x",
    "a=group:BUNDLE 0 1",
    "a=group:BUNDLE",
    "a=rtcp-mux",
    "a=rtpmap:96 VP9/90000",
    "a=rtpmap:97 rtx/90000",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:128 VP8/90000",
    "a=fmtp:97 apt=97",
    "a=fmtp:96 profile-id=2;profile-level-id=zzzzzz;packetization-mode=1",
    "a=fmtp:63 111/111/",
    "a=rtcp-fb:* transport-cc",
    "a=rtcp-fb:96",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:255/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=extmap:4097/inactive urn:x",
    "a=rid:h send",
    "a=rid:~ recv",
    "a=simulcast:send h,q;~l recv h",
    "a=simulcast:send",
    "a=ssrc:1 msid:a b",
    "a=ssrc:4294967296",
    "a=ssrc-group:FID 1 2",
    "a=ssrc-group:FID",
    "a=sctp-port:0",
    "a=max-message-size:18446744073709551616",
    "a=setup:active",
    "a=inactive",
    "a=sendrecv",
    "a=fingerprint:sha-256 é0",
    "a=ice-ufrag:",
    "z=0 9223372036854775807d",
    "u=http://[::",
];

#[derive(Debug, Clone)]
enum Mutation {
    Truncate(Index),
    Insert(Index, &'static str),
    Delete(Index),
    Repeat(Index),
    Swap(Index, Index),
    Replace(Index, char),
    Splice(Index, String),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<Index>;
    prop_oneof![
        1 => place().prop_map(Mutation::Truncate),
        4 => (place(), select(&LINES[..])).prop_map(|(at, line)| Mutation::Insert(at, line)),
        2 => place().prop_map(Mutation::Delete),
        2 => place().prop_map(Mutation::Repeat),
        2 => (place(), place()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        4 => (place(), any::<char>()).prop_map(|(at, char)| Mutation::Replace(at, char)),
        2 => (place(), select(&b"0123456789/:;,~= \r\n"[..])).prop_map(|(at, byte)| Mutation::Replace(at, char::from(byte))),
        1 => (place(), any::<u64>()).prop_map(|(at, number)| Mutation::Splice(at, number.to_string())),
    ]
}

fn mutate(text: &mut String, mutation: &Mutation) {
    let char_at = |text: &str, at: &Index| {
        let offset = at.index(text.len() + 1);
        (0..=offset).rev().find(|&offset| text.is_char_boundary(offset)).unwrap_or(0)
    };
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    match mutation {
        Mutation::Truncate(at) => text.truncate(char_at(text, at)),
        Mutation::Replace(at, char) => {
            let offset = char_at(text, at);
            let length = text[offset..].chars().next().map_or(0, char::len_utf8);
            text.replace_range(offset..offset + length, char.encode_utf8(&mut [0; 4]));
        }
        Mutation::Splice(at, number) => text.insert_str(char_at(text, at), number),
        _ if lines.is_empty() => {}
        Mutation::Insert(at, line) => {
            let before: usize = lines[..at.index(lines.len() + 1)].iter().map(|line| line.len()).sum();
            text.insert_str(before, &format!("{line}\r\n"));
        }
        Mutation::Delete(at) => {
            lines.remove(at.index(lines.len()));
            *text = lines.concat();
        }
        Mutation::Repeat(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at]);
            *text = lines.concat();
        }
        Mutation::Swap(a, b) => {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
            *text = lines.concat();
        }
    }
}

/// What is mutated: small offers, as large ones only take longer.
const SEEDS: [&str; 5] = ["chromium-red", "chromium-field-trials", "chromium-vp9-svc", "webrtc-rs", "firefox"];

fn offer() -> impl Strategy<Value = String> {
    (select(&SEEDS[..]), proptest::collection::vec(mutation(), 1..4)).prop_map(|(name, mutations)| {
        let mut text = recorded(name);
        mutations.iter().for_each(|mutation| mutate(&mut text, mutation));
        text
    })
}

/// Reads an answer with the parser of others and holds it against its offer.
fn check_answer(offer: &Offer, text: &str) -> Result<(), TestCaseError> {
    let answer = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
        .map_err(|error| TestCaseError::fail(format!("{error} in {text}")))?;
    prop_assert_eq!(answer.marshal().lines().count(), text.lines().count());
    prop_assert!(
        text.is_ascii() && text.split_inclusive("\r\n").all(|line| line.len() > 2 && line.matches('\n').count() == 1)
    );
    prop_assert_eq!(answer.media_descriptions.len(), offer.media.len());
    let group = answer.attribute("group").map(|group| group.split(' ').skip(1).collect::<Vec<_>>()).unwrap_or_default();
    for (line, offered) in answer.media_descriptions.iter().zip(&offer.media) {
        let mid = line.attribute("mid").flatten().unwrap_or_default();
        prop_assert_eq!(mid, &offered.mid);
        prop_assert_eq!(line.media_name.port.value != 0, group.contains(&mid));
        prop_assert!(!line.media_name.formats.is_empty());
    }
    let live = answer.media_descriptions.iter().filter(|line| line.media_name.port.value != 0);
    let with_candidates = live.filter(|line| line.has_attribute("candidate")).count();
    prop_assert_eq!(with_candidates, usize::from(!group.is_empty()));
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mutated_offers_never_panic_and_their_answers_can_be_read(text in offer()) {
        match Offer::parse(&text) {
            Ok(offer) => check_answer(&offer, &answer(&offer))?,
            Err(error) => prop_assert!(error.to_string().is_ascii()),
        }
    }

    #[test]
    fn arbitrary_text_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(Offer::parse(&text).is_err());
        // The same behind a head that passes, so that the parser proper sees it.
        let text = format!("{}{text}", recorded("chromium-red"));
        if let Ok(offer) = Offer::parse(&text) {
            check_answer(&offer, &answer(&offer))?;
        }
    }
}
