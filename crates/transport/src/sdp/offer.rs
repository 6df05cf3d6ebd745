//! The offer of a client, understood.

use std::collections::HashMap;
use std::io::Cursor;

use roundtable_wire::{Extension, ExtensionMap, Kind};
use rtc_sdp::description::common::Attribute;
use rtc_sdp::{MediaDescription, SessionDescription};

use super::attribute::{has, is_token, number, single, values};
use super::codec::{OfferCodec, codecs};
use super::direction::Direction;
use super::error::{Place, SdpError};
use super::extension::{Mappings, mappings};
use super::scan;
use super::simulcast::{Layers, layers};
use super::source::{Sources, sources};
use crate::certificate::{Fingerprint, FingerprintError};
use crate::path::IceCredentials;

/// Bytes of a mid: what a one-byte header extension can carry (RFC 8285 §4.2).
pub const MAX_MID_BYTES: usize = 16;
/// Lengths of ICE credentials (RFC 8839 §5.4).
const UFRAG_BYTES: std::ops::RangeInclusive<usize> = 4..=256;
const PWD_BYTES: std::ops::RangeInclusive<usize> = 22..=256;
/// The port of an association whose offer names none, as in every browser.
const DEFAULT_SCTP_PORT: u16 = 5000;
/// The largest message of an offer that names none (RFC 8841 §6.1).
const DEFAULT_MAX_MESSAGE_SIZE: u32 = 64 * 1024;
/// The profiles of RTP over DTLS-SRTP an answerer must know (RFC 8829 §5.1.2).
const RTP_PROTOCOLS: [&str; 6] =
    ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"];
const SCTP_PROTOCOLS: [&str; 2] = ["UDP/DTLS/SCTP", "TCP/DTLS/SCTP"];
const SCTP_FORMAT: &str = "webrtc-datachannel";

/// What an m-line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels.
    Application,
    /// Text, fax or something else WebRTC has no use for; always rejected.
    Other,
}

/// The SCTP association a client offers (RFC 8841).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SctpParameters {
    /// The client's SCTP port.
    pub port: u16,
    /// The largest message the client takes; `u32::MAX` if any.
    pub max_message_size: u32,
}

/// One m-line of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferMedia {
    /// Its name; empty only on a rejected line.
    pub mid: String,
    /// What it is about.
    pub kind: MediaKind,
    /// Who sends, as the offer says: `SendOnly` is a publication, `RecvOnly` a slot.
    pub direction: Direction,
    /// The client has closed it: port 0 without `a=bundle-only`.
    pub rejected: bool,
    /// The codecs we know, in order of preference.
    pub codecs: Vec<OfferCodec>,
    /// The header extensions we know that make sense in the line's direction.
    pub extensions: ExtensionMap,
    /// The layers the client sends, in its order; empty without simulcast.
    pub rids: Vec<String>,
    /// The SSRCs the client announces; with rids mostly none.
    pub ssrcs: Vec<u32>,
    /// Which SSRC repairs which: (media, RTX).
    pub fid: Vec<(u32, u32)>,
    /// The data channels' association; only on the one line that offers it.
    pub sctp: Option<SctpParameters>,
    /// Packets with one- and with two-byte header extensions may alternate (RFC 8285 §6).
    pub extmap_allow_mixed: bool,
    pub(super) mappings: Mappings,
    pub(super) simulcast: bool,
    pub(super) reduced_size_rtcp: bool,
    /// The m-line's words, for the answer: `video`, `UDP/TLS/RTP/SAVPF` and the first format.
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) format: String,
}

impl OfferMedia {
    /// Whether the line may be answered with anything but a rejection: not closed, and with a protocol of WebRTC.
    pub fn is_acceptable(&self) -> bool {
        match self.kind {
            MediaKind::Audio | MediaKind::Video => !self.rejected && RTP_PROTOCOLS.contains(&self.protocol.as_str()),
            MediaKind::Application => !self.rejected && self.sctp.is_some(),
            MediaKind::Other => false,
        }
    }
}

/// An offer that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The client's number for the session, from `o=`.
    pub session_id: u64,
    /// The client's count of its offers, from `o=`.
    pub session_version: u64,
    /// The client's ICE credentials.
    pub ice: IceCredentials,
    /// The digest of the client's certificate.
    pub fingerprint: Fingerprint,
    /// The m-lines, in order.
    pub media: Vec<OfferMedia>,
    /// One- and two-byte header extensions may be mixed throughout.
    pub extmap_allow_mixed: bool,
    /// Indices of the acceptable m-lines in the order of the BUNDLE group; never empty. The first carries the transport.
    pub bundle: Vec<usize>,
}

impl Offer {
    /// Reads an offer. The cost is bounded by [`MAX_SDP_BYTES`](super::MAX_SDP_BYTES) whatever the text.
    ///
    /// # Errors
    /// `sdp/too-large` beyond a bound of this module, `sdp/malformed` for what breaks a rule, `sdp/unsupported` for an
    /// offer without BUNDLE of all its lines, rtcp-mux, a SHA-256 fingerprint or a DTLS role for us, and for plan B.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        scan::check(text)?;
        let description = split(text)?;
        let session = &description.attributes;
        if has(session, "ice-lite") {
            return Err(SdpError::unsupported(Place::Session, "is ICE-lite as we are, so nobody would send checks"));
        }
        let extmap_allow_mixed = has(session, "extmap-allow-mixed");
        let mut media = Vec::with_capacity(description.media_descriptions.len());
        let mut has_data = false;
        for (index, section) in description.media_descriptions.iter().enumerate() {
            let mut line = parse_media(session, section, Place::Media(index))?;
            line.extmap_allow_mixed |= extmap_allow_mixed;
            // RFC 8829 §5.2.1 has one association at most.
            if line.sctp.is_some() && std::mem::replace(&mut has_data, true) {
                line.sctp = None;
            }
            media.push(line);
        }
        let bundle = bundle(session, &media)?;
        check_mid_extension(&media)?;
        let &tagged = bundle.first().ok_or(SdpError::unsupported(Place::Session, "has no m-line we could accept"))?;
        let section = &description.media_descriptions[tagged].attributes; // `bundle` holds indices of m-lines.
        let transport = Transport { session, section, place: Place::Media(tagged) };
        transport.check_setup()?;
        Ok(Self {
            session_id: description.origin.session_id,
            session_version: description.origin.session_version,
            ice: transport.ice()?,
            fingerprint: transport.fingerprint()?,
            media,
            extmap_allow_mixed,
            bundle,
        })
    }
}

/// Splits the text into sections and attributes.
fn split(text: &str) -> Result<SessionDescription, SdpError> {
    let mut cursor = Cursor::new(text.as_bytes());
    SessionDescription::unmarshal(&mut cursor).map_err(|_| {
        // The parser stops behind the line it cannot read; its own message would repeat the client's text.
        let position = usize::try_from(cursor.position()).unwrap_or(usize::MAX).min(text.len());
        let before = text.as_bytes().iter().take(position.saturating_sub(1));
        let line = before.filter(|&&byte| byte == b'\n').count() + 1;
        SdpError::malformed(Place::Line(line), "breaks the grammar of RFC 8866, or the offer ends too early there")
    })
}

fn parse_media(session: &[Attribute], section: &MediaDescription, place: Place) -> Result<OfferMedia, SdpError> {
    let attributes = &section.attributes;
    let name = &section.media_name;
    let kind = match name.media.as_str() {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        "application" => MediaKind::Application,
        _ => MediaKind::Other,
    };
    let rejected = name.port.value == 0 && !has(attributes, "bundle-only");
    let mut line = OfferMedia {
        mid: mid(attributes, rejected, place)?,
        kind,
        direction: direction(session, attributes, place)?,
        rejected,
        codecs: Vec::new(),
        extensions: ExtensionMap::default(),
        rids: Vec::new(),
        ssrcs: Vec::new(),
        fid: Vec::new(),
        sctp: None,
        extmap_allow_mixed: has(attributes, "extmap-allow-mixed"),
        mappings: Mappings::default(),
        simulcast: false,
        reduced_size_rtcp: has(attributes, "rtcp-rsize"),
        name: name.media.clone(),
        protocol: name.protos.join("/"),
        format: name.formats.first().cloned().unwrap_or_default(),
    };
    if kind == MediaKind::Application && !rejected {
        line.sctp = sctp(section, &line.protocol, place)?;
    }
    match kind {
        MediaKind::Audio if line.is_acceptable() => parse_rtp(&mut line, session, section, Kind::Audio, place)?,
        MediaKind::Video if line.is_acceptable() => parse_rtp(&mut line, session, section, Kind::Video, place)?,
        _ => {}
    }
    Ok(line)
}

fn parse_rtp(
    line: &mut OfferMedia,
    session: &[Attribute],
    section: &MediaDescription,
    kind: Kind,
    place: Place,
) -> Result<(), SdpError> {
    if !has(&section.attributes, "rtcp-mux") {
        return Err(SdpError::unsupported(place, "lacks a=rtcp-mux, and RTCP has no port of its own here"));
    }
    line.codecs = codecs(section, kind, place)?;
    line.mappings = mappings(session, &section.attributes, place)?;
    line.extensions = line.mappings.on(line.direction);
    if line.direction.sends() {
        Layers { rids: line.rids, simulcast: line.simulcast } = layers(section, place)?;
        Sources { ssrcs: line.ssrcs, fid: line.fid } = sources(section, place)?;
    }
    Ok(())
}

fn mid(attributes: &[Attribute], rejected: bool, place: Place) -> Result<String, SdpError> {
    match single(attributes, "mid", place, "has more than one a=mid")? {
        Some(mid) if is_token(mid, MAX_MID_BYTES) => Ok(mid.to_owned()),
        Some(_) => Err(SdpError::malformed(place, "has an a=mid that is no token of 1 to 16 characters")),
        None if rejected => Ok(String::new()),
        None => Err(SdpError::malformed(place, "has no a=mid")),
    }
}

fn direction(session: &[Attribute], section: &[Attribute], place: Place) -> Result<Direction, SdpError> {
    let mut directions = section.iter().filter_map(|attribute| Direction::parse(&attribute.key));
    match (directions.next(), directions.next()) {
        (_, Some(_)) => Err(SdpError::malformed(place, "has more than one direction")),
        (Some(direction), None) => Ok(direction),
        (None, None) => {
            let inherited = session.iter().find_map(|attribute| Direction::parse(&attribute.key));
            Ok(inherited.unwrap_or(Direction::SendRecv))
        }
    }
}

/// Reads `a=sctp-port` and `a=max-message-size`; None for other uses of `m=application` and for a closed association.
fn sctp(section: &MediaDescription, protocol: &str, place: Place) -> Result<Option<SctpParameters>, SdpError> {
    if !SCTP_PROTOCOLS.contains(&protocol) || section.media_name.formats != [SCTP_FORMAT] {
        return Ok(None);
    }
    let port = match single(&section.attributes, "sctp-port", place, "has more than one a=sctp-port")? {
        Some(port) => number(port).ok_or(SdpError::malformed(place, "has an a=sctp-port that is no port"))?,
        None => DEFAULT_SCTP_PORT,
    };
    let size = single(&section.attributes, "max-message-size", place, "has more than one a=max-message-size")?;
    let max_message_size = match size.map(number::<u64>) {
        None => DEFAULT_MAX_MESSAGE_SIZE,
        Some(Some(0)) => u32::MAX,
        Some(Some(size)) => u32::try_from(size).unwrap_or(u32::MAX),
        Some(None) => return Err(SdpError::malformed(place, "has an a=max-message-size that is no number")),
    };
    Ok((port != 0).then_some(SctpParameters { port, max_message_size }))
}

/// Finds the one BUNDLE group all acceptable m-lines are in (RFC 9143), as indices.
fn bundle(session: &[Attribute], media: &[OfferMedia]) -> Result<Vec<usize>, SdpError> {
    let mut by_mid = HashMap::with_capacity(media.len());
    for (index, line) in media.iter().enumerate().filter(|(_, line)| !line.mid.is_empty()) {
        if by_mid.insert(line.mid.as_str(), index).is_some() {
            return Err(SdpError::malformed(Place::Media(index), "has the mid of another m-line"));
        }
    }
    let mut group_of: Vec<Option<usize>> = vec![None; media.len()];
    let mut order = Vec::new();
    for (group, value) in values(session, "group").enumerate() {
        let mut words = value.split_ascii_whitespace();
        if words.next() != Some("BUNDLE") {
            continue;
        }
        for mid in words {
            let Some(&index) = by_mid.get(mid) else {
                return Err(SdpError::malformed(Place::Session, "has a mid in a=group:BUNDLE that no m-line has"));
            };
            // `by_mid` holds indices of m-lines.
            if group_of[index].replace(group).is_some() {
                return Err(SdpError::malformed(Place::Media(index), "is in a=group:BUNDLE twice"));
            }
            if media[index].is_acceptable() {
                order.push(index);
            }
        }
    }
    let first = order.first().and_then(|&index| group_of[index]);
    for (index, _) in media.iter().enumerate().filter(|(_, line)| line.is_acceptable()) {
        if group_of[index].is_none() || group_of[index] != first {
            return Err(SdpError::unsupported(Place::Media(index), "is not in one a=group:BUNDLE with all the others"));
        }
    }
    Ok(order)
}

/// Packets are sorted to their m-lines by the MID extension, so its id has to be the same, and its alone, on all of them.
fn check_mid_extension(media: &[OfferMedia]) -> Result<(), SdpError> {
    let mut id = None;
    let lines = || media.iter().enumerate().filter(|(_, line)| line.is_acceptable());
    for (index, line) in lines() {
        for map in [line.mappings.sent, line.mappings.received] {
            match (map.id(Extension::Mid), id) {
                (Some(found), Some(known)) if found != known => {
                    return Err(SdpError::unsupported(Place::Media(index), "has another id for the MID extension"));
                }
                (Some(found), _) => id = Some(found),
                (None, _) => {}
            }
        }
    }
    let Some(id) = id else { return Ok(()) };
    for (index, line) in lines() {
        let other = |map: ExtensionMap| map.extension(id).is_some_and(|extension| extension != Extension::Mid);
        if other(line.mappings.sent) || other(line.mappings.received) {
            return Err(SdpError::malformed(
                Place::Media(index),
                "gives the id of the MID extension to another header extension",
            ));
        }
    }
    Ok(())
}

/// The attributes of ICE and DTLS, which count on the first m-line of the group or for the session.
struct Transport<'a> {
    session: &'a [Attribute],
    section: &'a [Attribute],
    place: Place,
}

impl<'a> Transport<'a> {
    fn value(&self, key: &'a str, repeated: &'static str) -> Result<Option<&'a str>, SdpError> {
        match single(self.section, key, self.place, repeated)? {
            Some(value) => Ok(Some(value)),
            None => single(self.session, key, Place::Session, repeated),
        }
    }

    fn ice(&self) -> Result<IceCredentials, SdpError> {
        let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        let fits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
            lengths.contains(&text.len()) && text.bytes().all(is_ice_char)
        };
        let ufrag = self.value("ice-ufrag", "has more than one a=ice-ufrag")?;
        let pwd = self.value("ice-pwd", "has more than one a=ice-pwd")?;
        let (Some(ufrag), Some(pwd)) = (ufrag, pwd) else {
            return Err(SdpError::malformed(self.place, "has no a=ice-ufrag and a=ice-pwd"));
        };
        if !fits(ufrag, UFRAG_BYTES) || !fits(pwd, PWD_BYTES) {
            return Err(SdpError::malformed(self.place, "has ICE credentials that break RFC 8839"));
        }
        Ok(IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
    }

    /// The client must be able to be the DTLS client: `actpass` or `active` (RFC 8842 §5.3).
    fn check_setup(&self) -> Result<(), SdpError> {
        match self.value("setup", "has more than one a=setup")? {
            Some("actpass" | "active") => Ok(()),
            Some("passive" | "holdconn") => Err(SdpError::unsupported(
                self.place,
                "wants us to be the DTLS client; a=setup must be actpass or active",
            )),
            Some(_) => Err(SdpError::malformed(self.place, "has an a=setup that is no role")),
            None => Err(SdpError::malformed(self.place, "has no a=setup")),
        }
    }

    /// The SHA-256 fingerprint; weaker ones may stand beside it (RFC 8122 §5).
    fn fingerprint(&self) -> Result<Fingerprint, SdpError> {
        let level = if has(self.section, "fingerprint") { self.section } else { self.session };
        let mut found: Option<Fingerprint> = None;
        let mut weak = false;
        for value in values(level, "fingerprint") {
            match value.parse::<Fingerprint>() {
                Ok(fingerprint) if found.is_some_and(|found| found != fingerprint) => {
                    return Err(SdpError::unsupported(self.place, "has two sha-256 fingerprints"));
                }
                Ok(fingerprint) => found = Some(fingerprint),
                Err(FingerprintError::Algorithm) => weak = true,
                Err(_) => return Err(SdpError::malformed(self.place, "has a malformed a=fingerprint")),
            }
        }
        match found {
            Some(fingerprint) => Ok(fingerprint),
            None if weak => Err(SdpError::unsupported(self.place, "has no sha-256 fingerprint")),
            None => Err(SdpError::malformed(self.place, "has no a=fingerprint")),
        }
    }
}
