//! Our answer to an offer, as text that Chromium and Firefox take and that never changes for a line once given.

use std::fmt::{self, Display, Write};

use roundtable_wire::{Codec, ExtensionMap, Kind};

use super::codec::OfferCodec;
use super::direction::Direction;
use super::offer::{MediaKind, Offer, OfferMedia};
use crate::candidate::Candidate;
use crate::certificate::Fingerprint;
use crate::path::IceCredentials;

/// The largest data channel message we take, as the answer says.
pub const MAX_MESSAGE_SIZE: u32 = 65_536;
/// The SCTP port of ours; inside DTLS it means nothing, and every browser uses this one.
const SCTP_PORT: u16 = 5000;
/// JSEP has session ids fit a signed number of 64 bits (RFC 8829 §5.2.1).
const SESSION_ID_MASK: u64 = u64::MAX >> 1;

/// What an answer says once.
#[derive(Debug, Clone, Copy)]
pub struct AnswerSession<'a> {
    /// Our ICE credentials.
    pub ice: &'a IceCredentials,
    /// The digest of our certificate.
    pub fingerprint: &'a Fingerprint,
    /// Where we listen, all of it: there is no trickling from our side.
    pub candidates: &'a [Candidate],
    /// Our number for the session, the same for the life of the connection; the top bit is cleared.
    pub session_id: u64,
    /// Counts our answers.
    pub version: u64,
}

/// What becomes of one m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerMedia {
    /// The client publishes and we receive.
    Receive(ReceiveLine),
    /// The line is a slot and we send.
    Send(SendLine),
    /// The data channels are taken.
    DataChannel,
    /// The line stays in the bundle and carries nothing.
    Inactive(InactiveLine),
    /// The line is refused: port 0.
    Rejected,
}

/// A line on which the client publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveLine {
    /// The codecs we take, in order of preference; with none the line is refused.
    pub codecs: Vec<OfferCodec>,
    /// The header extensions we read.
    pub extensions: ExtensionMap,
    /// The layers we take, in the client's order.
    pub rids: Vec<String>,
}

/// A line on which we send: a slot, with everything it will ever be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendLine {
    /// The codecs we may send; with none the line is refused.
    pub codecs: Vec<OfferCodec>,
    /// The header extensions we write.
    pub extensions: ExtensionMap,
    /// The SSRC of the media.
    pub ssrc: u32,
    /// The SSRC of retransmissions; left out where no codec has any.
    pub rtx_ssrc: Option<u32>,
    /// Our CNAME; equal on lines to be played in sync.
    pub cname: String,
    /// The media stream; equal on lines to be played in sync.
    pub msid_stream: String,
    /// The track.
    pub msid_track: String,
}

/// A line that rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InactiveLine {
    /// The codecs to keep; with none the line is refused.
    pub codecs: Vec<OfferCodec>,
    /// The header extensions to keep.
    pub extensions: ExtensionMap,
}

impl AnswerMedia {
    /// Whether `offered` stays in the bundle with this answer.
    fn accepts(&self, offered: &OfferMedia) -> bool {
        let is_rtp = offered.kind != MediaKind::Application;
        let fits = match self {
            Self::Receive(line) => is_rtp && !line.codecs.is_empty(),
            Self::Send(line) => is_rtp && !line.codecs.is_empty(),
            Self::Inactive(line) => is_rtp && !line.codecs.is_empty(),
            Self::DataChannel => !is_rtp,
            Self::Rejected => false,
        };
        fits && offered.is_acceptable()
    }
}

/// Writes answers.
#[derive(Debug)]
pub struct Answer;

impl Answer {
    /// Writes the answer to `offer`: `media` says what becomes of each of its m-lines, in their order.
    ///
    /// A line beyond the end of `media` is refused, and so is one that cannot be what `media` makes of it: RTP on the
    /// data channels' line, a line without codecs, one that [is not acceptable](OfferMedia::is_acceptable). The same
    /// arguments give the same text. Strings are stripped of everything but printable ASCII.
    #[expect(clippy::new_ret_no_self, reason = "an answer is nothing but its text")]
    pub fn new(offer: &Offer, session: AnswerSession<'_>, media: &[AnswerMedia]) -> String {
        let mut writer = Writer { offer, session, text: String::new() };
        let decided: Vec<Option<&AnswerMedia>> = offer
            .media
            .iter()
            .enumerate()
            .map(|(index, offered)| media.get(index).filter(|answer| answer.accepts(offered)))
            .collect();
        // `bundle` holds indices of m-lines.
        let live: Vec<usize> = offer.bundle.iter().copied().filter(|&index| decided[index].is_some()).collect();
        writer.session(&live);
        for (index, (offered, answer)) in offer.media.iter().zip(decided).enumerate() {
            match answer {
                Some(answer) => writer.media(offered, answer, live.first() == Some(&index)),
                None => writer.rejected(offered),
            }
        }
        writer.text
    }
}

struct Writer<'a> {
    offer: &'a Offer,
    session: AnswerSession<'a>,
    text: String,
}

impl Writer<'_> {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(line);
        self.text.push_str("\r\n");
    }

    fn session(&mut self, live: &[usize]) {
        let offer = self.offer;
        self.line(format_args!("v=0"));
        let (id, version) = (self.session.session_id & SESSION_ID_MASK, self.session.version);
        self.line(format_args!("o=- {id} {version} IN IP4 127.0.0.1"));
        self.line(format_args!("s=-"));
        self.line(format_args!("t=0 0"));
        self.line(format_args!("a=ice-lite"));
        if !live.is_empty() {
            let mids: Vec<&str> = live.iter().map(|&index| offer.media[index].mid.as_str()).collect();
            self.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
        }
        if offer.extmap_allow_mixed {
            self.line(format_args!("a=extmap-allow-mixed"));
        }
        self.line(format_args!("a=msid-semantic: WMS *"));
    }

    /// Refuses a line. The `c=` has to be there, or Firefox does not read the answer (RFC 8866 §5.7).
    fn rejected(&mut self, offered: &OfferMedia) {
        let OfferMedia { name, protocol, format, mid, .. } = offered;
        self.line(format_args!("m={name} 0 {protocol} {format}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        if !mid.is_empty() {
            self.line(format_args!("a=mid:{mid}"));
        }
        if matches!(offered.kind, MediaKind::Audio | MediaKind::Video) {
            self.line(format_args!("a=inactive"));
        }
    }

    fn media(&mut self, offered: &OfferMedia, answer: &AnswerMedia, is_first: bool) {
        match answer {
            AnswerMedia::Receive(line) => {
                let direction = if offered.direction.sends() { Direction::RecvOnly } else { Direction::Inactive };
                self.rtp(offered, &line.codecs, line.extensions, direction);
                self.layers(offered, &line.rids);
            }
            AnswerMedia::Send(line) => {
                let direction = if offered.direction.receives() { Direction::SendOnly } else { Direction::Inactive };
                self.rtp(offered, &line.codecs, line.extensions, direction);
                self.source(line);
            }
            AnswerMedia::Inactive(line) => self.rtp(offered, &line.codecs, line.extensions, Direction::Inactive),
            AnswerMedia::DataChannel | AnswerMedia::Rejected => self.data_channel(offered),
        }
        self.transport(is_first);
    }

    fn data_channel(&mut self, offered: &OfferMedia) {
        let OfferMedia { protocol, format, mid, .. } = offered;
        self.line(format_args!("m=application 9 {protocol} {format}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=mid:{mid}"));
        self.line(format_args!("a=sctp-port:{SCTP_PORT}"));
        self.line(format_args!("a=max-message-size:{MAX_MESSAGE_SIZE}"));
    }

    fn rtp(&mut self, offered: &OfferMedia, codecs: &[OfferCodec], extensions: ExtensionMap, direction: Direction) {
        let OfferMedia { name, protocol, mid, .. } = offered;
        let mut formats = String::new();
        let primary = codecs.iter().map(|codec| codec.payload_type);
        for payload_type in primary.chain(codecs.iter().filter_map(|codec| codec.rtx_payload_type)) {
            let _ = write!(formats, " {payload_type}"); // As in `line`.
        }
        self.line(format_args!("m={name} 9 {protocol}{formats}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=mid:{mid}"));
        self.line(format_args!("a=rtcp-mux"));
        if offered.reduced_size_rtcp {
            self.line(format_args!("a=rtcp-rsize"));
        }
        if offered.extmap_allow_mixed && !self.offer.extmap_allow_mixed {
            self.line(format_args!("a=extmap-allow-mixed")); // Answered where it was offered (RFC 8285 §6).
        }
        for codec in codecs {
            self.codec(codec);
        }
        let mut extensions: Vec<_> = extensions.iter().collect();
        extensions.sort_by_key(|&(_, id)| id);
        for (extension, id) in extensions {
            self.line(format_args!("a=extmap:{id} {}", extension.uri()));
        }
        self.line(format_args!("a={}", direction.as_str()));
    }

    fn codec(&mut self, codec: &OfferCodec) {
        let payload_type = codec.payload_type;
        self.line(format_args!("a=rtpmap:{payload_type} {}", Rtpmap(codec.codec)));
        if !codec.fmtp.is_empty() {
            self.line(format_args!("a=fmtp:{payload_type} {}", Printable(&codec.fmtp)));
        }
        let feedback = [
            (codec.remb, "goog-remb"),
            (codec.transport_cc, "transport-cc"),
            (codec.nack, "nack"),
            (codec.pli, "nack pli"),
            (codec.fir, "ccm fir"),
        ];
        for (_, kind) in feedback.into_iter().filter(|(is_on, _)| *is_on) {
            self.line(format_args!("a=rtcp-fb:{payload_type} {kind}"));
        }
        if let Some(rtx) = codec.rtx_payload_type {
            self.line(format_args!("a=rtpmap:{rtx} rtx/{}", codec.codec.clock_rate()));
            self.line(format_args!("a=fmtp:{rtx} apt={payload_type}"));
        }
    }

    fn layers(&mut self, offered: &OfferMedia, rids: &[String]) {
        for rid in rids {
            self.line(format_args!("a=rid:{} recv", Printable(rid)));
        }
        if offered.simulcast && !rids.is_empty() {
            self.line(format_args!("a=simulcast:recv {}", Printable(&rids.join(";"))));
        }
    }

    fn source(&mut self, line: &SendLine) {
        let (ssrc, cname) = (line.ssrc, Printable(&line.cname));
        let rtx_ssrc = line.rtx_ssrc.filter(|_| line.codecs.iter().any(|codec| codec.rtx_payload_type.is_some()));
        self.line(format_args!("a=msid:{} {}", Printable(&line.msid_stream), Printable(&line.msid_track)));
        if let Some(rtx_ssrc) = rtx_ssrc {
            self.line(format_args!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
        }
        self.line(format_args!("a=ssrc:{ssrc} cname:{cname}"));
        if let Some(rtx_ssrc) = rtx_ssrc {
            self.line(format_args!("a=ssrc:{rtx_ssrc} cname:{cname}"));
        }
    }

    /// The same on every line; the candidates count for the whole bundle and stand on its first (RFC 9143 §7.3).
    fn transport(&mut self, is_first: bool) {
        let AnswerSession { ice, fingerprint, candidates, .. } = self.session;
        self.line(format_args!("a=ice-ufrag:{}", Printable(&ice.ufrag)));
        self.line(format_args!("a=ice-pwd:{}", Printable(&ice.pwd)));
        self.line(format_args!("a=fingerprint:{fingerprint}"));
        self.line(format_args!("a=setup:passive"));
        if is_first {
            for candidate in candidates {
                self.line(format_args!("a=candidate:{candidate}"));
            }
            self.line(format_args!("a=end-of-candidates"));
        }
    }
}

/// `<name>/<clock rate>[/<channels>]`; audio is always stereo for the signalling (RFC 7587 §7).
struct Rtpmap(Codec);

impl Display for Rtpmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.name(), self.0.clock_rate())?;
        match self.0.kind() {
            Kind::Audio => f.write_str("/2"),
            Kind::Video => Ok(()),
        }
    }
}

/// Text of others inside a line of ours: whatever could end the line is left out.
struct Printable<'a>(&'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().filter(|char| char.is_ascii_graphic() || *char == ' ').try_for_each(|char| f.write_char(char))
    }
}
