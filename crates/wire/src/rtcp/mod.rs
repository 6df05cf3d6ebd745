//! RTCP packets: the reports of RFC 3550, the feedback of RFC 4585, RFC 5104, RFC 8888 and REMB, the extended reports
//! of RFC 3611.

mod congestion;
mod extended;
mod feedback;
mod report;
mod writer;

#[cfg(test)]
mod tests;

pub use congestion::{Arrival, ArrivalOffset, CongestionFeedback, MAX_REPORTS, StreamReport, StreamReports};
pub use extended::{Dlrr, DlrrBlocks, XrBlock, XrBlocks};
pub use feedback::{FirEntries, FirEntry, LostSequences};
pub use report::{ReportBlock, ReportBlocks, SourceChunk, SourceChunks, Ssrcs};
pub use writer::{MAX_NACK_ENTRIES, MAX_REPORT_BLOCKS, SenderInfo, Writer};

use crate::error::ParseError;
use crate::reader::Reader;
use crate::rtp::padding_len;
use crate::time::NtpTime;
use crate::twcc::Feedback;

pub(crate) const SENDER_REPORT: u8 = 200;
pub(crate) const RECEIVER_REPORT: u8 = 201;
pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
pub(crate) const GOODBYE: u8 = 203;
pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;
pub(crate) const EXTENDED_REPORT: u8 = 207;

pub(crate) const FORMAT_NACK: u8 = 1;
pub(crate) const FORMAT_CONGESTION: u8 = 11;
pub(crate) const FORMAT_TWCC: u8 = 15;
pub(crate) const FORMAT_PLI: u8 = 1;
pub(crate) const FORMAT_FIR: u8 = 4;
pub(crate) const FORMAT_APPLICATION: u8 = 15;

/// One packet of a compound.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// SR (RFC 3550 6.4.1).
    SenderReport {
        /// Whose report it is.
        ssrc: u32,
        /// When it was sent.
        ntp: NtpTime,
        /// The same instant in the clock of the stream.
        rtp_timestamp: u32,
        /// Packets sent since the start.
        packet_count: u32,
        /// Payload bytes sent since the start.
        octet_count: u32,
        /// What the sender receives.
        reports: ReportBlocks<'a>,
    },
    /// RR (RFC 3550 6.4.2).
    ReceiverReport {
        /// Whose report it is.
        ssrc: u32,
        /// What it receives.
        reports: ReportBlocks<'a>,
    },
    /// SDES (RFC 3550 6.5).
    SourceDescription {
        /// One chunk for each source.
        chunks: SourceChunks<'a>,
    },
    /// BYE (RFC 3550 6.6).
    Goodbye {
        /// The sources that leave.
        ssrcs: Ssrcs<'a>,
        /// Why, as text.
        reason: Option<&'a [u8]>,
    },
    /// Generic NACK (RFC 4585 6.2.1).
    Nack {
        /// Who asks.
        sender_ssrc: u32,
        /// The stream that has holes.
        media_ssrc: u32,
        /// The holes.
        lost: LostSequences<'a>,
    },
    /// PLI (RFC 4585 6.3.1).
    PictureLoss {
        /// Who asks.
        sender_ssrc: u32,
        /// The stream that is to send a keyframe.
        media_ssrc: u32,
    },
    /// FIR (RFC 5104 4.3.1).
    FullIntra {
        /// Who asks.
        sender_ssrc: u32,
        /// The streams that are to send a keyframe.
        entries: FirEntries<'a>,
    },
    /// REMB (draft-alvestrand-rmcat-remb-03).
    Remb {
        /// Who estimates.
        sender_ssrc: u32,
        /// The estimate.
        bitrate_bps: u64,
        /// The streams it is the sum of.
        ssrcs: Ssrcs<'a>,
    },
    /// Transport-wide congestion control feedback.
    TransportFeedback(Feedback<'a>),
    /// CCFB (RFC 8888).
    CongestionFeedback(CongestionFeedback<'a>),
    /// XR (RFC 3611).
    ExtendedReport {
        /// Whose report it is.
        ssrc: u32,
        /// The blocks, those we do not know too.
        blocks: XrBlocks<'a>,
    },
    /// A packet we do not read.
    Unknown {
        /// The packet type, 192–223 when it came through [`crate::classify`].
        packet_type: u8,
        /// The five bits of count or format.
        count: u8,
        /// What follows the four bytes of the header, without padding.
        body: &'a [u8],
    },
}

/// Reads the packets of a compound, or of a reduced-size one (RFC 5506): no packet has to be there or come first.
///
/// A packet with a bad body is an error and the next one is read; after a bad header nothing more is.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Result<Packet<'_>, ParseError>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut reader = Reader(rest);
        let framed = frame(&mut reader);
        rest = if framed.is_ok() { reader.0 } else { &[] };
        Some(framed.and_then(|(count, packet_type, body)| parse(count, packet_type, body)))
    })
}

/// Takes one packet off: count or format, packet type, body without padding.
fn frame<'a>(reader: &mut Reader<'a>) -> Result<(u8, u8, &'a [u8]), ParseError> {
    let [first, packet_type] = reader.array()?;
    if first >> 6 != 2 {
        return Err(ParseError::Version);
    }
    let words = reader.u16()?;
    let body = reader.take(usize::from(words) * 4)?;
    let padding_len = if first & 0x20 != 0 { padding_len(body)? } else { 0 };
    let body = body.get(..body.len() - padding_len).ok_or(ParseError::Padding)?;
    Ok((first & 0x1f, packet_type, body))
}

fn parse(count: u8, packet_type: u8, body: &[u8]) -> Result<Packet<'_>, ParseError> {
    match (packet_type, count) {
        (SENDER_REPORT, _) => report::sender_report(count, body),
        (RECEIVER_REPORT, _) => report::receiver_report(count, body),
        (SOURCE_DESCRIPTION, _) => Ok(Packet::SourceDescription { chunks: SourceChunks::parse(count, body)? }),
        (GOODBYE, _) => report::goodbye(count, body),
        (TRANSPORT_FEEDBACK, FORMAT_NACK) => feedback::nack(body),
        (TRANSPORT_FEEDBACK, FORMAT_TWCC) => Feedback::parse(body).map(Packet::TransportFeedback),
        (TRANSPORT_FEEDBACK, FORMAT_CONGESTION) => congestion::congestion_feedback(body),
        (PAYLOAD_FEEDBACK, FORMAT_PLI) => feedback::picture_loss(body),
        (PAYLOAD_FEEDBACK, FORMAT_FIR) => feedback::full_intra(body),
        (PAYLOAD_FEEDBACK, FORMAT_APPLICATION) if feedback::is_remb(body) => feedback::remb(body),
        (EXTENDED_REPORT, _) => extended::extended_report(body),
        _ => Ok(Packet::Unknown { packet_type, count, body }),
    }
}
