//! The codecs of one m-line.

use roundtable_wire::{Codec, Kind};
use rtc_sdp::MediaDescription;

use super::attribute::{number, parameter, values};
use super::error::{Place, SdpError};

/// `profile-level-id` of an offer without one: baseline at level 1 (RFC 6184 §8.1).
const H264_DEFAULT_PROFILE: [u8; 3] = [0x42, 0x00, 0x0a];
/// Payload types are seven bits.
const PAYLOAD_TYPES: usize = 128;
/// With these and the marker bit a packet would look like RTCP (RFC 5761 §4), so they are passed over.
const RTCP_CONFLICT: std::ops::RangeInclusive<u8> = 64..=95;

/// A codec of an offer with all that belongs to its payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferCodec {
    /// The number that marks its packets.
    pub payload_type: u8,
    /// What it is.
    pub codec: Codec,
    /// The payload type of its retransmissions (RFC 4588), if it has one.
    pub rtx_payload_type: Option<u8>,
    /// The parameters as offered; printable ASCII, perhaps empty.
    pub fmtp: String,
    /// For RED the payload type it wraps (RFC 2198).
    pub red_primary: Option<u8>,
    /// Lost packets may be asked for (RFC 4585 generic NACK).
    pub nack: bool,
    /// Keyframes may be asked for (RFC 4585 PLI).
    pub pli: bool,
    /// Keyframes may be commanded (RFC 5104 FIR).
    pub fir: bool,
    /// Transport-wide congestion control.
    pub transport_cc: bool,
    /// Receiver-estimated bit rate (draft-alvestrand-rmcat-remb).
    pub remb: bool,
}

/// What the attributes say about one payload type.
#[derive(Debug, Default, Clone)]
struct Format<'a> {
    listed: bool,
    rtpmap: Option<&'a str>,
    fmtp: String,
    feedback: Feedback,
}

/// Which feedback messages are welcome.
#[derive(Debug, Default, Clone, Copy)]
struct Feedback {
    nack: bool,
    pli: bool,
    fir: bool,
    transport_cc: bool,
    remb: bool,
}

impl Feedback {
    fn add(&mut self, kind: &str) {
        let mut words = kind.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("nack"), None) => self.nack = true,
            (Some("nack"), Some("pli")) => self.pli = true,
            (Some("ccm"), Some("fir")) => self.fir = true,
            (Some("transport-cc"), None) => self.transport_cc = true,
            (Some("goog-remb"), None) => self.remb = true,
            _ => {}
        }
    }
}

/// Reads the codecs of one m-line in its order of preference; unknown ones and those with parameters we cannot serve are
/// left out.
pub(super) fn codecs(media: &MediaDescription, kind: Kind, place: Place) -> Result<Vec<OfferCodec>, SdpError> {
    let (order, formats) = formats(media, place)?;
    let mut codecs: Vec<OfferCodec> = Vec::new();
    for &payload_type in &order {
        let format = &formats[usize::from(payload_type)]; // `order` holds indices of `formats`.
        let Some(codec) = format.codec().filter(|codec| codec.kind() == kind) else { continue };
        let Feedback { nack, pli, fir, transport_cc, remb } = format.feedback;
        let red_primary = if codec == Codec::Red { red_primary(&format.fmtp) } else { None };
        let fmtp = format.fmtp.clone();
        codecs.push(OfferCodec {
            payload_type,
            codec,
            rtx_payload_type: None,
            fmtp,
            red_primary,
            nack,
            pli,
            fir,
            transport_cc,
            remb,
        });
    }
    drop_red_without_opus(&mut codecs);
    for payload_type in order {
        let format = &formats[usize::from(payload_type)]; // As above.
        let Some(repaired) = format.repairs() else { continue };
        if let Some(codec) = codecs.iter_mut().find(|codec| codec.payload_type == repaired) {
            codec.rtx_payload_type.get_or_insert(payload_type);
        }
    }
    Ok(codecs)
}

/// Gathers rtpmap, fmtp and rtcp-fb by payload type, and the usable payload types in order of preference.
fn formats(media: &MediaDescription, place: Place) -> Result<(Vec<u8>, Vec<Format<'_>>), SdpError> {
    let mut formats = vec![Format::default(); PAYLOAD_TYPES];
    let mut order = Vec::new();
    for format in &media.media_name.formats {
        let payload_type: u8 =
            number(format).ok_or(SdpError::malformed(place, "lists a payload type that is no number"))?;
        let Some(entry) = formats.get_mut(usize::from(payload_type)) else {
            return Err(SdpError::malformed(place, "lists a payload type above 127"));
        };
        if !std::mem::replace(&mut entry.listed, true) && !RTCP_CONFLICT.contains(&payload_type) {
            order.push(payload_type);
        }
    }
    for value in values(&media.attributes, "rtpmap") {
        let Some((format, rtpmap)) = entry(&mut formats, value) else { continue };
        if format.rtpmap.replace(rtpmap).is_some() {
            return Err(SdpError::malformed(place, "has two a=rtpmap for one payload type"));
        }
    }
    for value in values(&media.attributes, "fmtp") {
        let Some((format, fmtp)) = entry(&mut formats, value) else { continue };
        if !format.fmtp.is_empty() {
            format.fmtp.push(';');
        }
        format.fmtp.push_str(fmtp);
    }
    for value in values(&media.attributes, "rtcp-fb") {
        if let Some(kind) = value.strip_prefix("* ") {
            formats.iter_mut().for_each(|format| format.feedback.add(kind));
        } else if let Some((format, kind)) = entry(&mut formats, value) {
            format.feedback.add(kind);
        }
    }
    Ok((order, formats))
}

/// Splits `<payload type> <rest>`; None for what the m-line does not list, which RFC 8866 has us ignore.
fn entry<'t, 'a>(formats: &'t mut [Format<'a>], value: &'a str) -> Option<(&'t mut Format<'a>, &'a str)> {
    let (payload_type, rest) = value.split_once(' ')?;
    let format = formats.get_mut(number::<usize>(payload_type)?)?;
    format.listed.then_some((format, rest.trim()))
}

impl Format<'_> {
    /// The codec, if it is one we can forward.
    fn codec(&self) -> Option<Codec> {
        if !self.fmtp.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return None; // It would be repeated in the answer.
        }
        let mut parts = self.rtpmap?.split('/');
        let name = parts.next()?.to_ascii_lowercase();
        let clock_rate: u32 = number(parts.next()?)?;
        let channels = parts.next();
        let codec = match (name.as_str(), clock_rate, channels) {
            ("vp8", 90_000, None) => Codec::Vp8,
            ("vp9", 90_000, None) => Codec::Vp9 { profile: self.small_parameter("profile-id", 3)? },
            ("h264", 90_000, None) => Codec::H264 {
                profile_level_id: self.profile_level_id()?,
                packetization_mode: self.small_parameter("packetization-mode", 1)?,
            },
            // The other profiles (4:4:4 and studio) have no decoder to go to.
            ("av1", 90_000, None) => self.small_parameter("profile", 0).map(|_| Codec::Av1)?,
            ("opus", 48_000, Some("2")) => Codec::Opus,
            ("red", 48_000, Some("2")) => Codec::Red,
            _ => return None,
        };
        Some(codec)
    }

    /// A parameter that is 0 unless given; None if it is above `most`.
    fn small_parameter(&self, name: &str, most: u8) -> Option<u8> {
        parameter(&self.fmtp, name).map_or(Some(0), number).filter(|&value| value <= most)
    }

    fn profile_level_id(&self) -> Option<[u8; 3]> {
        let Some(digits) = parameter(&self.fmtp, "profile-level-id") else { return Some(H264_DEFAULT_PROFILE) };
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let [_, bytes @ ..] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(bytes)
    }

    /// The payload type whose losses this one repairs, if it is RTX.
    fn repairs(&self) -> Option<u8> {
        let name = self.rtpmap?.split('/').next()?;
        if name.eq_ignore_ascii_case("rtx") { number(parameter(&self.fmtp, "apt")?) } else { None }
    }
}

/// The payload type in `111/111`: every generation must have the same one.
fn red_primary(fmtp: &str) -> Option<u8> {
    let mut blocks = fmtp.split('/').map(|block| number(block.trim()));
    let primary = blocks.next()??;
    blocks.all(|block| block == Some(primary)).then_some(primary)
}

/// RED is of use only around a codec of the same line.
fn drop_red_without_opus(codecs: &mut Vec<OfferCodec>) {
    let opus: Vec<u8> =
        codecs.iter().filter(|codec| codec.codec == Codec::Opus).map(|codec| codec.payload_type).collect();
    codecs
        .retain(|codec| codec.codec != Codec::Red || codec.red_primary.is_some_and(|primary| opus.contains(&primary)));
}
