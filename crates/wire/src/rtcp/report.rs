//! Sender and receiver reports, source descriptions and goodbyes (RFC 3550 6.4–6.6).

use crate::error::ParseError;
use crate::reader::Reader;
use crate::rtcp::Packet;
use crate::time::NtpTime;

/// Bytes of a report block.
const BLOCK_LEN: usize = 24;
/// The SDES item that names the endpoint.
pub(super) const CNAME: u8 = 1;
/// The SDES item that ends a chunk.
const END: u8 = 0;

/// How one stream is received (RFC 3550 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Loss since the last report in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start; 24 bits with a sign, negative if duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// Cycles and highest sequence number received.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// LSR: the compact NTP time of the last sender report, 0 if there was none.
    pub last_sender_report: u32,
    /// DLSR: the time since it came, in 1/65536 s.
    pub delay_since_last: u32,
}

impl ReportBlock {
    /// The bounds of `cumulative_lost` on the wire; what lies outside is written as the bound.
    pub const CUMULATIVE_LOST_BOUNDS: (i32, i32) = (-0x80_0000, 0x7f_ffff);

    pub(super) fn to_bytes(self) -> [u8; BLOCK_LEN] {
        let (min, max) = Self::CUMULATIVE_LOST_BOUNDS;
        let lost = self.cumulative_lost.clamp(min, max).cast_unsigned() & 0x00ff_ffff;
        let words = [
            self.ssrc,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay_since_last,
        ];
        let mut bytes = [0; BLOCK_LEN];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let ssrc = reader.u32()?;
        let loss = reader.u32()?;
        Ok(Self {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // Shifted up and back to extend the sign of the 24 bits.
            cumulative_lost: (loss << 8).cast_signed() >> 8,
            highest_sequence: reader.u32()?,
            jitter: reader.u32()?,
            last_sender_report: reader.u32()?,
            delay_since_last: reader.u32()?,
        })
    }
}

/// The report blocks of one packet, at most 31.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportBlocks<'a>(Reader<'a>);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        ReportBlock::read(&mut self.0).ok()
    }
}

/// Synchronisation sources as they stand in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssrcs<'a>(pub(super) Reader<'a>);

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.u32().ok()
    }
}

/// What a source description says of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceChunk<'a> {
    /// The source.
    pub ssrc: u32,
    /// Its canonical name, if there is one and it is UTF-8.
    pub cname: Option<&'a str>,
}

/// The chunks of a source description, at most 31.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChunks<'a> {
    rest: Reader<'a>,
    left: u8,
}

impl<'a> SourceChunks<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut rest = Reader(body);
        for _ in 0..count {
            source_chunk(&mut rest)?;
        }
        Ok(Self { rest: Reader(body), left: count })
    }
}

impl<'a> Iterator for SourceChunks<'a> {
    type Item = SourceChunk<'a>;

    fn next(&mut self) -> Option<SourceChunk<'a>> {
        self.left = self.left.checked_sub(1)?;
        source_chunk(&mut self.rest).ok()
    }
}

/// Reads one chunk: a source, its items, and the END items that fill the last word.
fn source_chunk<'a>(reader: &mut Reader<'a>) -> Result<SourceChunk<'a>, ParseError> {
    let start_len = reader.0.len();
    let ssrc = reader.u32()?;
    let mut cname = None;
    loop {
        let item = reader.u8()?;
        if item == END {
            break;
        }
        let len = reader.u8()?;
        let text = reader.take(usize::from(len))?;
        if item == CNAME && cname.is_none() {
            cname = std::str::from_utf8(text).ok();
        }
    }
    let read_len = start_len - reader.0.len();
    reader.take(read_len.next_multiple_of(4) - read_len)?;
    Ok(SourceChunk { ssrc, cname })
}

pub(super) fn sender_report(count: u8, body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut reader = Reader(body);
    Ok(Packet::SenderReport {
        ssrc: reader.u32()?,
        ntp: NtpTime(reader.u64()?),
        rtp_timestamp: reader.u32()?,
        packet_count: reader.u32()?,
        octet_count: reader.u32()?,
        reports: report_blocks(count, &mut reader)?,
    })
}

pub(super) fn receiver_report(count: u8, body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut reader = Reader(body);
    Ok(Packet::ReceiverReport { ssrc: reader.u32()?, reports: report_blocks(count, &mut reader)? })
}

pub(super) fn goodbye(count: u8, body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut reader = Reader(body);
    let ssrcs = Ssrcs(Reader(reader.take(usize::from(count) * 4)?));
    let reason = if reader.0.is_empty() {
        None
    } else {
        let len = reader.u8()?;
        Some(reader.take(usize::from(len))?)
    };
    Ok(Packet::Goodbye { ssrcs, reason })
}

/// Takes the report blocks; profile-specific extensions may follow them.
fn report_blocks<'a>(count: u8, reader: &mut Reader<'a>) -> Result<ReportBlocks<'a>, ParseError> {
    reader.take(usize::from(count) * BLOCK_LEN).map(|blocks| ReportBlocks(Reader(blocks)))
}
