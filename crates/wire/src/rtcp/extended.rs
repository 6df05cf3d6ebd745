//! Extended reports (RFC 3611) by which a receiver that sends nothing measures the round trip.

use crate::error::ParseError;
use crate::reader::Reader;
use crate::rtcp::Packet;
use crate::time::NtpTime;

pub(super) const RECEIVER_REFERENCE_TIME: u8 = 4;
pub(super) const DELAY_SINCE_LAST: u8 = 5;
/// Bytes of a DLRR sub-block.
const DLRR_LEN: usize = 12;

/// A block of an extended report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum XrBlock<'a> {
    /// RRTR: the time at which the receiver sent it (RFC 3611 4.4).
    ReceiverReferenceTime(NtpTime),
    /// DLRR: the answers to RRTRs (RFC 3611 4.5).
    DelaySinceLast(DlrrBlocks<'a>),
    /// A block we do not read.
    Unknown {
        /// The block type.
        block_type: u8,
    },
}

/// The answer to one receiver's RRTR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dlrr {
    /// The receiver that sent the RRTR.
    pub ssrc: u32,
    /// LRR: its compact NTP time.
    pub last_receiver_report: u32,
    /// DLRR: the time since it came, in 1/65536 s.
    pub delay_since_last: u32,
}

/// The answers of one DLRR block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DlrrBlocks<'a>(Reader<'a>);

impl Iterator for DlrrBlocks<'_> {
    type Item = Dlrr;

    fn next(&mut self) -> Option<Dlrr> {
        Some(Dlrr {
            ssrc: self.0.u32().ok()?,
            last_receiver_report: self.0.u32().ok()?,
            delay_since_last: self.0.u32().ok()?,
        })
    }
}

/// The blocks of one extended report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XrBlocks<'a>(Reader<'a>);

impl<'a> Iterator for XrBlocks<'a> {
    type Item = XrBlock<'a>;

    fn next(&mut self) -> Option<XrBlock<'a>> {
        block(&mut self.0).ok()
    }
}

pub(super) fn extended_report(body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut reader = Reader(body);
    let ssrc = reader.u32()?;
    let blocks = XrBlocks(reader);
    while !reader.0.is_empty() {
        block(&mut reader)?;
    }
    Ok(Packet::ExtendedReport { ssrc, blocks })
}

fn block<'a>(reader: &mut Reader<'a>) -> Result<XrBlock<'a>, ParseError> {
    let [block_type, _type_specific] = reader.array()?;
    let words = reader.u16()?;
    let contents = reader.take(usize::from(words) * 4)?;
    match block_type {
        RECEIVER_REFERENCE_TIME => match <[u8; 8]>::try_from(contents) {
            Ok(ntp) => Ok(XrBlock::ReceiverReferenceTime(NtpTime(u64::from_be_bytes(ntp)))),
            Err(_) => Err(ParseError::Forbidden),
        },
        DELAY_SINCE_LAST if contents.len().is_multiple_of(DLRR_LEN) => {
            Ok(XrBlock::DelaySinceLast(DlrrBlocks(Reader(contents))))
        }
        DELAY_SINCE_LAST => Err(ParseError::Forbidden),
        _ => Ok(XrBlock::Unknown { block_type }),
    }
}
