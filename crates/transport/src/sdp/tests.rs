//! The offers of real clients, what is understood of them and what they are answered.

mod fuzz;
mod hostile;
mod rules;

use roundtable_wire::{Codec, Extension};

use super::*;
use crate::candidate::Candidate;
use crate::certificate::{Fingerprint, FingerprintHash};
use crate::path::IceCredentials;

/// An offer with its answer as it has to be, byte for byte but for the line ends.
macro_rules! recorded {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../tests/data/sdp/", $name, ".sdp")),
            include_str!(concat!("../../tests/data/sdp/", $name, ".answer.sdp")),
        )
    };
}

/// Captured from Chromium 156 and Firefox 153 ESR; the last one is written after the webrtc crate 0.21.
const RECORDED: [(&str, &str, &str); 9] = [
    recorded!("chromium-simulcast"),
    recorded!("chromium-seat"),
    recorded!("chromium-red"),
    recorded!("chromium-vp9-svc"),
    recorded!("chromium-av1-svc"),
    recorded!("chromium-h264-simulcast"),
    recorded!("chromium-field-trials"),
    recorded!("firefox"),
    recorded!("webrtc-rs"),
];

/// A recorded offer as it comes over the wire.
fn recorded(name: &str) -> String {
    let (_, offer, _) = RECORDED.iter().find(|(known, ..)| *known == name).unwrap();
    offer.replace('\n', "\r\n")
}

fn parse(name: &str) -> Offer {
    Offer::parse(&recorded(name)).unwrap()
}

/// Answers as the server does: publications are received, slots get what is theirs by mid.
fn decide(offer: &Offer) -> Vec<AnswerMedia> {
    let decide = |media: &OfferMedia| match (media.kind, media.direction) {
        (MediaKind::Application, _) => AnswerMedia::DataChannel,
        (MediaKind::Audio | MediaKind::Video, Direction::SendOnly | Direction::SendRecv) => {
            let (codecs, extensions) = receivable(media);
            AnswerMedia::Receive(ReceiveLine { codecs, extensions, rids: media.rids.clone() })
        }
        (MediaKind::Audio | MediaKind::Video, Direction::RecvOnly) => {
            let (codecs, extensions) = sendable(media);
            let number = media.mid.bytes().map(u32::from).sum::<u32>() * 10;
            AnswerMedia::Send(SendLine {
                codecs,
                extensions,
                ssrc: number,
                rtx_ssrc: (media.kind == MediaKind::Video).then_some(number + 1),
                cname: "seat0".into(),
                msid_stream: "seat0".into(),
                msid_track: format!("{}0", if media.kind == MediaKind::Video { "video" } else { "audio" }),
            })
        }
        (MediaKind::Audio | MediaKind::Video, Direction::Inactive) => {
            let (codecs, extensions) = receivable(media);
            AnswerMedia::Inactive(InactiveLine { codecs, extensions })
        }
        (MediaKind::Other, _) => AnswerMedia::Rejected,
    };
    offer.media.iter().map(decide).collect()
}

fn answer_with(offer: &Offer, media: &[AnswerMedia]) -> String {
    let ice = IceCredentials { ufrag: "ourUfrag".into(), pwd: "ourPasswordOf24Character".into() };
    let fingerprint =
        Fingerprint { algorithm: FingerprintHash::Sha256, bytes: std::array::from_fn(|index| index as u8) };
    let candidates = [
        Candidate::host("192.0.2.1:7882".parse().unwrap(), 2),
        Candidate::host("[2001:db8::1]:7882".parse().unwrap(), 1),
    ];
    let session =
        AnswerSession { ice: &ice, fingerprint: &fingerprint, candidates: &candidates, session_id: 7, version: 1 };
    Answer::new(offer, session, media)
}

fn answer(offer: &Offer) -> String {
    answer_with(offer, &decide(offer))
}

/// The m-lines of an answer, each from `m=` on.
fn sections(answer: &str) -> Vec<String> {
    answer.split("m=").skip(1).filter(|section| section.contains(' ')).map(|section| format!("m={section}")).collect()
}

fn codec_names(codecs: &[OfferCodec]) -> Vec<(u8, &'static str, Option<u8>)> {
    codecs.iter().map(|codec| (codec.payload_type, codec.codec.name(), codec.rtx_payload_type)).collect()
}

#[test]
fn recorded_offers_get_their_recorded_answers() {
    for (name, offer, expected) in RECORDED {
        let lines_of_windows =
            Offer::parse(&offer.replace('\n', "\r\n")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = answer(&lines_of_windows);
        assert_eq!(text.replace("\r\n", "\n"), expected, "{name}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{name}: every line ends with CRLF");
        assert_eq!(
            Offer::parse(offer).as_ref(),
            Ok(&lines_of_windows),
            "{name}: plain LF is read as well (RFC 8866 §5)"
        );
    }
}

#[test]
fn a_simulcast_publication_of_chromium_is_understood() {
    let offer = parse("chromium-simulcast");
    assert_eq!((offer.session_id, offer.session_version), (4_568_629_175_635_793_962, 2));
    assert_eq!(offer.ice.ufrag, "Mv+X");
    assert_eq!(offer.ice.pwd, "08FlNLHOD68ktvHvUcSm3XHX");
    assert!(offer.fingerprint.to_string().starts_with("sha-256 76:45:8E:F9:"));
    assert!(offer.extmap_allow_mixed);
    assert_eq!(offer.bundle, [0, 1]);

    let video = &offer.media[0];
    assert_eq!((video.kind, video.direction, video.mid.as_str()), (MediaKind::Video, Direction::SendOnly, "0"));
    assert_eq!(video.rids, ["q", "h", "f"]);
    assert!(video.ssrcs.is_empty() && video.fid.is_empty(), "Chromium announces no SSRC beside rids");
    assert_eq!(video.codecs.len(), 10, "VP8, six times H264, AV1, two VP9; neither RED nor FEC nor bare RTX");
    assert_eq!(video.codecs[0].codec, Codec::Vp8);
    assert_eq!(video.codecs[0].rtx_payload_type, Some(97));
    let h264 = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f], packetization_mode: 1 };
    assert_eq!(video.codecs[3].codec, h264);
    assert_eq!(video.codecs[9].codec, Codec::Vp9 { profile: 2 });
    assert!(video.codecs.iter().all(|codec| codec.nack && codec.pli && codec.fir && codec.transport_cc && codec.remb));
    assert_eq!(video.extensions.id(Extension::RepairedRtpStreamId), Some(11));
    assert_eq!(video.extensions.id(Extension::VideoLayersAllocation), Some(14));

    let data = &offer.media[1];
    assert_eq!(data.kind, MediaKind::Application);
    assert_eq!(data.sctp, Some(SctpParameters { port: 5000, max_message_size: 262_144 }));
}

#[test]
fn what_is_accepted_of_a_publication_has_one_bandwidth_estimator() {
    let offer = parse("chromium-simulcast");
    let (codecs, extensions) = receivable(&offer.media[0]);
    assert!(codecs.iter().all(|codec| codec.transport_cc && !codec.remb));
    assert_eq!(extensions.id(Extension::TransportSequence), Some(4));
    assert_eq!(extensions.id(Extension::AbsSendTime), None);
    assert_eq!(extensions.id(Extension::VideoTiming), None, "of no use to a server");

    let without = recorded("chromium-simulcast").replace("draft-holmer-rmcat-transport-wide-cc-extensions-01", "other");
    let (codecs, extensions) = receivable(&Offer::parse(&without).unwrap().media[0]);
    assert!(codecs.iter().all(|codec| !codec.transport_cc && codec.remb), "REMB takes over");
    assert_eq!(extensions.id(Extension::AbsSendTime), Some(2));
}

#[test]
fn codecs_nobody_could_decode_are_not_taken() {
    let seat = &parse("chromium-seat").media[1];
    let profiles = |codecs: &[OfferCodec]| -> Vec<u8> {
        let profile = |codec: &OfferCodec| if let Codec::Vp9 { profile } = codec.codec { Some(profile) } else { None };
        codecs.iter().filter_map(profile).collect()
    };
    assert_eq!(profiles(&seat.codecs), [0, 2, 1, 3]);
    assert_eq!(profiles(&sendable(seat).0), [0, 2]);
    let av1 = seat.codecs.iter().filter(|codec| codec.codec == Codec::Av1).count();
    assert_eq!(av1, 1, "AV1 profile 1 is left out");
}

#[test]
fn red_stays_with_the_opus_it_wraps() {
    let offer = parse("chromium-red");
    let audio = &offer.media[0];
    assert_eq!(codec_names(&audio.codecs), [(63, "red", None), (111, "opus", None)]);
    assert_eq!(audio.codecs[0].red_primary, Some(111));
    assert_eq!(audio.codecs[1].fmtp, "minptime=10;useinbandfec=1");
    assert_eq!(audio.ssrcs, [80_186_225]);

    let lonely = recorded("chromium-red").replace("a=rtpmap:111 opus/48000/2\r\n", "");
    assert!(Offer::parse(&lonely).unwrap().media[0].codecs.is_empty(), "RED around nothing we know is nothing");
}

#[test]
fn retransmissions_are_found_by_fid_and_by_apt() {
    let offer = parse("chromium-vp9-svc");
    let video = &offer.media[0];
    assert_eq!(codec_names(&video.codecs), [(98, "VP9", Some(99))]);
    assert_eq!(video.ssrcs, [2_307_317_549, 2_955_880_509]);
    assert_eq!(video.fid, [(2_307_317_549, 2_955_880_509)]);
    assert!(video.rids.is_empty());
}

#[test]
fn firefox_with_its_quirks_is_understood() {
    let offer = parse("firefox");
    assert_eq!(offer.bundle, [0, 1, 2, 3, 4]);
    assert!(offer.media.iter().all(|media| !media.rejected), "port 0 with a=bundle-only is alive");
    assert!(offer.fingerprint.to_string().starts_with("sha-256 C0:73:"), "from the session");

    let audio = &offer.media[0];
    assert_eq!(codec_names(&audio.codecs), [(109, "opus", None)], "telephone-event and G.722 are passed over");
    let extensions = [(Extension::Mid, 3), (Extension::TransportSequence, 7), (Extension::AudioLevel, 1)];
    assert_eq!(audio.extensions.iter().collect::<Vec<_>>(), extensions, "levels of contributors are another extension");

    let video = &offer.media[1];
    assert_eq!(codec_names(&video.codecs), [(120, "VP8", Some(124)), (121, "VP9", Some(125)), (99, "AV1", Some(100))]);
    assert_eq!(video.rids, ["l", "h"]);
    assert_eq!((video.ssrcs.len(), video.fid.len()), (4, 2), "announced beside the rids");
    assert_eq!(video.extensions.id(Extension::RtpStreamId), Some(9), "sendonly is for the publisher");
    assert_eq!(video.extensions.id(Extension::PlayoutDelay), None, "recvonly is not");

    assert_eq!(offer.media[2].sctp.unwrap().max_message_size, 1_073_741_823);
    let seat = &offer.media[4];
    assert_eq!(seat.direction, Direction::RecvOnly);
    assert_eq!(seat.extensions.id(Extension::PlayoutDelay), Some(6), "recvonly is for the slot");
    assert_eq!(seat.extensions.id(Extension::DependencyDescriptor), None, "sendonly is not");
    assert!(seat.ssrcs.is_empty(), "those of receiver reports are no sources");
    assert!(!offer.extmap_allow_mixed && seat.extmap_allow_mixed, "said on every line");
}

#[test]
fn the_webrtc_crate_is_understood() {
    let offer = parse("webrtc-rs");
    assert_eq!(offer.ice.ufrag, "cSxNRoGRCbIhIsyd");
    let video = &offer.media[1];
    assert_eq!(video.direction, Direction::SendRecv);
    assert_eq!(codec_names(&video.codecs), [(96, "VP8", Some(97)), (102, "H264", Some(103)), (127, "H264", Some(108))]);
    assert_eq!(video.fid, [(2_718_281_828, 2_718_281_829)]);
}

#[test]
fn a_later_offer_changes_no_line_that_was_answered() {
    let first = recorded("firefox");
    let (head, seats) = first.split_at(first.find("m=audio 0").unwrap());
    let (seat_audio, seat_video) = seats.split_at(seats.find("m=video").unwrap());
    let more: String = [seat_audio.replace("a=mid:3", "a=mid:5"), seat_video.replace("a=mid:4", "a=mid:6")].concat();
    let grown = format!("{}{seats}{more}", head.replace("BUNDLE 0 1 2 3 4", "BUNDLE 0 1 2 3 4 5 6"));

    let before = sections(&answer(&Offer::parse(&first).unwrap()));
    let after = sections(&answer(&Offer::parse(&grown).unwrap()));
    assert_eq!((before.len(), after.len()), (5, 7));
    assert_eq!(after[..5], before[..], "same ICE, DTLS, SSRCs, msid: the browser sees no change");
    assert!(after[6].contains("a=mid:6\r\n") && after[6].contains("a=sendonly\r\n"));
}

#[test]
fn refused_lines_leave_the_bundle_and_the_transport_moves_on() {
    let offer = parse("firefox");
    let mut media = decide(&offer);
    media[0] = AnswerMedia::Rejected;
    let text = answer_with(&offer, &media);
    assert!(text.contains("\r\na=group:BUNDLE 1 2 3 4\r\n"));
    let sections = sections(&text);
    assert_eq!(sections[0], "m=audio 0 UDP/TLS/RTP/SAVPF 109\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=inactive\r\n");
    assert_eq!(
        sections.iter().map(|section| section.matches("a=candidate").count()).collect::<Vec<_>>(),
        [0, 2, 0, 0, 0]
    );

    let text = answer_with(&offer, &[]);
    assert!(!text.contains("BUNDLE") && !text.contains("a=ice-ufrag"), "nothing is left to connect");
    assert_eq!(text.matches(" 0 UDP/").count(), 5);
}

#[test]
fn an_answer_that_does_not_fit_its_line_is_a_refusal() {
    let offer = parse("firefox");
    let mut media = decide(&offer);
    media.swap(1, 2); // RTP for the data channels' line and the other way round.
    let sections = sections(&answer_with(&offer, &media));
    assert!(sections[1].starts_with("m=video 0 "));
    assert!(sections[2].starts_with("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"));

    // Directions that contradict the offer come to rest.
    let mut media = decide(&offer);
    media.swap(0, 3);
    let sections = self::sections(&answer_with(&offer, &media));
    assert!(sections[0].contains("a=inactive\r\n") && sections[3].contains("a=inactive\r\n"));
}

#[test]
fn names_cannot_add_lines_to_an_answer() {
    let offer = parse("chromium-seat");
    let mut media = decide(&offer);
    let clean = answer_with(&offer, &media);
    let AnswerMedia::Send(line) = &mut media[0] else { panic!("a slot") };
    line.cname = "seat0\r\na=candidate:1 1 udp 1 203.0.113.9 9 typ host".into();
    line.msid_stream = "é\u{2028}\0\n".into();
    assert_eq!(answer_with(&offer, &media).lines().count(), clean.lines().count());
}
