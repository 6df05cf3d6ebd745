//! The offer of a bench client, and what it reads of the answer (RFC 8829, RFC 3264).
//!
//! Payload types and extension ids are ours to choose, so they are constants, and the answer is only asked whether the
//! server took them.

use std::fmt::Write as _;
use std::net::SocketAddr;

use roundtable_protocol::event::MediaKind;
use roundtable_wire::Extension;

/// The payload type of VP8.
pub(crate) const VP8: u8 = 96;
/// Its retransmissions (RFC 4588).
pub(crate) const VP8_RTX: u8 = 97;
/// The payload type of Opus.
pub(crate) const OPUS: u8 = 111;
/// The header extension ids, as Chromium numbers them.
pub(crate) const AUDIO_LEVEL_ID: u8 = 1;
pub(crate) const TRANSPORT_SEQUENCE_ID: u8 = 4;
pub(crate) const MID_ID: u8 = 9;
pub(crate) const STREAM_ID_ID: u8 = 10;

/// One sending m-line.
#[derive(Debug, Clone)]
pub(crate) struct SendLine {
    /// Sound or pictures.
    pub(crate) kind: MediaKind,
    /// The encodings of simulcast; empty for a single one.
    pub(crate) rids: Vec<String>,
    /// The SSRC of a single encoding.
    pub(crate) ssrc: u32,
}

/// What an offer says.
#[derive(Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) ufrag: &'a str,
    pub(crate) pwd: &'a str,
    pub(crate) fingerprint: &'a str,
    /// Own tracks; the first has mid 0.
    pub(crate) sends: &'a [SendLine],
    /// Pairs of a receiving audio and a receiving video line.
    pub(crate) seats: u16,
    /// Further receiving audio lines.
    pub(crate) voice_slots: u16,
}

impl Offer<'_> {
    /// Writes it.
    pub(crate) fn write(&self) -> String {
        let receives = (0..self.seats).flat_map(|_| [MediaKind::Audio, MediaKind::Video]);
        let voices = (0..self.voice_slots).map(|_| MediaKind::Audio);
        let receives: Vec<MediaKind> = receives.chain(voices).collect();
        let lines = self.sends.len() + receives.len();
        let mids: Vec<String> = (0..lines).map(|mid| mid.to_string()).collect();
        let mut text = String::from("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(arguments); // A string takes everything.
            text.push_str("\r\n");
        };
        line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
        line(format_args!("a=ice-ufrag:{}", self.ufrag));
        line(format_args!("a=ice-pwd:{}", self.pwd));
        line(format_args!("a=fingerprint:sha-256 {}", self.fingerprint));
        line(format_args!("a=setup:actpass"));
        for (mid, send) in self.sends.iter().enumerate() {
            media(&mut line, mid, send.kind, "sendonly");
            match &send.rids[..] {
                [] => line(format_args!("a=ssrc:{} cname:bench", send.ssrc)),
                rids => {
                    rids.iter().for_each(|rid| line(format_args!("a=rid:{rid} send")));
                    line(format_args!("a=simulcast:send {}", rids.join(";")));
                }
            }
        }
        for (mid, kind) in (self.sends.len()..).zip(receives) {
            media(&mut line, mid, kind, "recvonly");
        }
        text
    }
}

/// Writes an m-line with its codec and extensions. Retransmissions are asked for where they are received only: what a
/// publisher sends does not get lost on its way here, and it keeps nothing.
fn media(line: &mut impl FnMut(std::fmt::Arguments<'_>), mid: usize, kind: MediaKind, direction: &str) {
    let receives = direction == "recvonly";
    match kind {
        MediaKind::Audio => line(format_args!("m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}")),
        MediaKind::Video if receives => line(format_args!("m=video 9 UDP/TLS/RTP/SAVPF {VP8} {VP8_RTX}")),
        MediaKind::Video => line(format_args!("m=video 9 UDP/TLS/RTP/SAVPF {VP8}")),
    }
    line(format_args!("c=IN IP4 0.0.0.0"));
    line(format_args!("a=mid:{mid}"));
    line(format_args!("a={direction}"));
    line(format_args!("a=rtcp-mux"));
    line(format_args!("a=rtcp-rsize"));
    line(format_args!("a=extmap:{TRANSPORT_SEQUENCE_ID} {}", Extension::TransportSequence.uri()));
    line(format_args!("a=extmap:{MID_ID} {}", Extension::Mid.uri()));
    match kind {
        MediaKind::Audio => {
            line(format_args!("a=extmap:{AUDIO_LEVEL_ID} {}", Extension::AudioLevel.uri()));
            line(format_args!("a=rtpmap:{OPUS} opus/48000/2"));
            line(format_args!("a=rtcp-fb:{OPUS} transport-cc"));
            line(format_args!("a=fmtp:{OPUS} minptime=10;useinbandfec=1"));
        }
        MediaKind::Video => {
            line(format_args!("a=extmap:{STREAM_ID_ID} {}", Extension::RtpStreamId.uri()));
            line(format_args!("a=rtpmap:{VP8} VP8/90000"));
            for feedback in ["transport-cc", "ccm fir", "nack pli"] {
                line(format_args!("a=rtcp-fb:{VP8} {feedback}"));
            }
            if receives {
                line(format_args!("a=rtcp-fb:{VP8} nack"));
                line(format_args!("a=rtpmap:{VP8_RTX} rtx/90000"));
                line(format_args!("a=fmtp:{VP8_RTX} apt={VP8}"));
            }
        }
    }
}

/// What counts of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The server's ICE credentials.
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    /// SHA-256 of its certificate, as it stands there.
    pub(crate) fingerprint: String,
    /// Its UDP addresses.
    pub(crate) candidates: Vec<SocketAddr>,
    /// Whether it numbers packets over the whole transport and wants feedback on them.
    pub(crate) transport_sequence: bool,
    /// Which SSRC repairs which: (media, RTX).
    pub(crate) fid: Vec<(u32, u32)>,
}

impl Answer {
    /// Reads an answer; what is missing stays empty.
    pub(crate) fn read(text: &str) -> Self {
        let mut answer = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.strip_prefix("a=").and_then(|attribute| attribute.split_once(':')) else {
                continue;
            };
            match name {
                "ice-ufrag" => value.clone_into(&mut answer.ufrag),
                "ice-pwd" => value.clone_into(&mut answer.pwd),
                "fingerprint" => {
                    answer.fingerprint = value.strip_prefix("sha-256 ").unwrap_or_default().to_owned();
                }
                "candidate" => {
                    answer.candidates.extend(candidate(value).filter(|new| !answer.candidates.contains(new)))
                }
                "extmap" => answer.transport_sequence |= value.ends_with(Extension::TransportSequence.uri()),
                "ssrc-group" => answer.fid.extend(fid(value)),
                _ => {}
            }
        }
        answer
    }

    /// Where media goes: the candidate of the address that signalling goes to, else the first of its family.
    pub(crate) fn destination(&self, signalling: SocketAddr) -> Option<SocketAddr> {
        let same = self.candidates.iter().find(|candidate| candidate.ip() == signalling.ip());
        let family = || self.candidates.iter().find(|candidate| candidate.is_ipv4() == signalling.is_ipv4());
        same.or_else(family).copied()
    }
}

/// The address of `foundation component UDP priority address port typ …` (RFC 8839 §5.1).
fn candidate(value: &str) -> Option<SocketAddr> {
    let mut words = value.split_ascii_whitespace().skip(2);
    let transport = words.next()?;
    let address = words.nth(1)?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    transport.eq_ignore_ascii_case("udp").then(|| SocketAddr::new(address, port))
}

/// The pair of `FID media rtx` (RFC 5576 §4.2).
fn fid(value: &str) -> Option<(u32, u32)> {
    let mut words = value.strip_prefix("FID ")?.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_names_its_lines_in_order() {
        let sends = [
            SendLine { kind: MediaKind::Audio, rids: vec![], ssrc: 77 },
            SendLine { kind: MediaKind::Video, rids: vec!["q".to_owned(), "h".to_owned()], ssrc: 0 },
        ];
        let offer = Offer { ufrag: "u", pwd: "p", fingerprint: "AA", sends: &sends, seats: 1, voice_slots: 1 };
        let text = offer.write();
        assert!(text.contains("a=group:BUNDLE 0 1 2 3 4\r\n"), "{text}");
        let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("m=")?.split(' ').next()).collect();
        assert_eq!(kinds, ["audio", "video", "audio", "video", "audio"]);
        assert!(text.contains("a=ssrc:77 cname:bench\r\n") && text.contains("a=simulcast:send q;h\r\n"));
    }

    #[test]
    fn an_answer_is_read_and_nonsense_is_passed_over() {
        let answer = Answer::read(
            "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\na=fingerprint:sha-256 AA:BB\r\n\
             a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host\r\na=candidate:1 1 tcp 1 192.0.2.1 9 typ host\r\n\
             a=candidate:2 1 UDP 2130706431 127.0.0.1 7882 typ host\r\na=candidate:x\r\na=ssrc-group:FID 5 6\r\n\
             a=ssrc-group:FID 5\r\na=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n",
        );
        let (outside, local) = ("192.0.2.1:7882".parse().unwrap(), "127.0.0.1:7882".parse().unwrap());
        let expected = Answer {
            ufrag: "abcd".to_owned(),
            pwd: "secret".to_owned(),
            fingerprint: "AA:BB".to_owned(),
            candidates: vec![outside, local],
            transport_sequence: true,
            fid: vec![(5, 6)],
        };
        assert_eq!(answer, expected);
        assert_eq!(answer.destination("127.0.0.1:80".parse().unwrap()), Some(local));
        assert_eq!(answer.destination("127.0.0.2:80".parse().unwrap()), Some(outside));
        assert_eq!(answer.destination("[::1]:80".parse().unwrap()), None);
    }
}
