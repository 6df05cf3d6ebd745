//! Congestion control feedback (RFC 8888): arrivals by the sequence numbers of each stream.

use crate::error::ParseError;
use crate::reader::Reader;
use crate::rtcp::Packet;

/// The most reports of one stream in a packet (RFC 8888 3.1): what speaks of more is refused.
pub const MAX_REPORTS: u16 = 16_384;

const RECEIVED: u16 = 0x8000;
const OFFSET: u16 = 0x1fff;
/// An arrival too long before the report to be told, and one that came after it (RFC 8888 3.1).
const OFFSET_OVER: u16 = 0x1ffe;
const OFFSET_UNKNOWN: u16 = 0x1fff;

/// One packet of CCFB, checked when it was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CongestionFeedback<'a> {
    /// Who reports.
    pub sender_ssrc: u32,
    /// When: compact NTP time (the middle 32 bits) in the clock of who reports.
    pub report_timestamp: u32,
    streams: Reader<'a>,
}

impl<'a> CongestionFeedback<'a> {
    /// The streams it speaks of.
    #[must_use]
    pub const fn streams(&self) -> StreamReports<'a> {
        StreamReports(self.streams)
    }
}

/// The streams of a [`CongestionFeedback`].
#[derive(Debug, Clone)]
pub struct StreamReports<'a>(Reader<'a>);

impl<'a> Iterator for StreamReports<'a> {
    type Item = StreamReport<'a>;

    fn next(&mut self) -> Option<StreamReport<'a>> {
        stream(&mut self.0).ok()
    }
}

/// What arrived of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamReport<'a> {
    /// The stream.
    pub ssrc: u32,
    /// The sequence number of the first report.
    pub begin_sequence: u16,
    /// How many sequence numbers it speaks of.
    pub count: u16,
    reports: Reader<'a>,
}

impl<'a> StreamReport<'a> {
    /// The reports in the order of their sequence numbers; `None` for a packet that did not arrive.
    pub fn arrivals(&self) -> impl Iterator<Item = (u16, Option<Arrival>)> + use<'a> {
        let Self { begin_sequence, count, mut reports, .. } = *self;
        (0..count).map_while(move |index| {
            let arrival = Arrival::from_bits(reports.u16().ok()?);
            Some((begin_sequence.wrapping_add(index), arrival))
        })
    }
}

/// How a packet arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// ECN: the two bits of the IP header.
    pub ecn: u8,
    /// How long before the report, in 1/1024 s.
    pub offset: ArrivalOffset,
}

/// How long before the report a packet arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalOffset {
    /// This many 1/1024 s, at most 8189.
    Exactly(u16),
    /// More than 8189/1024 s.
    Over,
    /// It cannot be told: the packet arrived after the time of the report.
    Unknown,
}

impl Arrival {
    const fn from_bits(bits: u16) -> Option<Self> {
        if bits & RECEIVED == 0 {
            return None;
        }
        let offset = match bits & OFFSET {
            OFFSET_OVER => ArrivalOffset::Over,
            OFFSET_UNKNOWN => ArrivalOffset::Unknown,
            offset => ArrivalOffset::Exactly(offset),
        };
        Some(Self { ecn: (bits >> 13) as u8 & 3, offset })
    }
}

pub(super) fn congestion_feedback(body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut reader = Reader(body);
    let sender_ssrc = reader.u32()?;
    let streams_len = reader.0.len().checked_sub(4).ok_or(ParseError::Truncated)?;
    let streams = Reader(reader.take(streams_len)?);
    let report_timestamp = reader.u32()?;
    let mut unchecked = streams;
    while !unchecked.0.is_empty() {
        stream(&mut unchecked)?;
    }
    Ok(Packet::CongestionFeedback(CongestionFeedback { sender_ssrc, report_timestamp, streams }))
}

fn stream<'a>(reader: &mut Reader<'a>) -> Result<StreamReport<'a>, ParseError> {
    let ssrc = reader.u32()?;
    let (begin_sequence, count) = (reader.u16()?, reader.u16()?);
    if count > MAX_REPORTS {
        return Err(ParseError::Forbidden);
    }
    let reports = Reader(reader.take(2 * usize::from(count))?);
    if count % 2 == 1 {
        reader.take(2)?; // Up to a whole word.
    }
    Ok(StreamReport { ssrc, begin_sequence, count, reports })
}
