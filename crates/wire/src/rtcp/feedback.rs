//! Feedback to one stream: NACK and PLI (RFC 4585), FIR (RFC 5104), REMB.

use crate::error::ParseError;
use crate::reader::Reader;
use crate::rtcp::Packet;
use crate::rtcp::report::Ssrcs;

/// The unique identifier of REMB among application-layer feedback.
pub(super) const REMB: [u8; 4] = *b"REMB";
/// Bits of the mantissa of REMB.
pub(super) const REMB_MANTISSA_BITS: u32 = 18;

/// The sequence numbers a NACK names, in its order; repeated if the NACK repeats them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostSequences<'a> {
    entries: Reader<'a>,
    /// The number the lowest bit of `mask` stands for.
    next: u16,
    /// 17 bits: PID and the 16 of BLP that are still to be told.
    mask: u32,
}

impl Iterator for LostSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask == 0 {
            self.next = self.entries.u16().ok()?;
            self.mask = u32::from(self.entries.u16().ok()?) << 1 | 1;
        }
        let skipped = self.mask.trailing_zeros();
        let lost = self.next.wrapping_add(skipped as u16);
        self.next = lost.wrapping_add(1);
        // At most 16 bits lie below the lowest one set.
        self.mask >>= skipped + 1;
        Some(lost)
    }
}

/// One request of a FIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream that is to send a keyframe.
    pub ssrc: u32,
    /// Counts commands; a repeated number repeats the command and does not ask again.
    pub sequence: u8,
}

/// The requests of a FIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirEntries<'a>(Reader<'a>);

impl Iterator for FirEntries<'_> {
    type Item = FirEntry;

    fn next(&mut self) -> Option<FirEntry> {
        let ssrc = self.0.u32().ok()?;
        let [sequence, _, _, _] = self.0.array().ok()?;
        Some(FirEntry { ssrc, sequence })
    }
}

pub(super) fn nack(body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut entries = Reader(body);
    let (sender_ssrc, media_ssrc) = (entries.u32()?, entries.u32()?);
    non_empty(&entries, 4)?;
    Ok(Packet::Nack { sender_ssrc, media_ssrc, lost: LostSequences { entries, next: 0, mask: 0 } })
}

pub(super) fn picture_loss(body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut reader = Reader(body);
    Ok(Packet::PictureLoss { sender_ssrc: reader.u32()?, media_ssrc: reader.u32()? })
}

pub(super) fn full_intra(body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut entries = Reader(body);
    // The media source is unused: the entries name the streams.
    let (sender_ssrc, _) = (entries.u32()?, entries.u32()?);
    non_empty(&entries, 8)?;
    Ok(Packet::FullIntra { sender_ssrc, entries: FirEntries(entries) })
}

/// Whether application-layer feedback carries the identifier of REMB.
pub(super) fn is_remb(body: &[u8]) -> bool {
    body.get(8..12).is_some_and(|identifier| identifier == REMB)
}

pub(super) fn remb(body: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut reader = Reader(body);
    let sender_ssrc = reader.u32()?;
    let (_media_ssrc, _identifier) = (reader.u32()?, reader.u32()?);
    let count = reader.u8()?;
    let rate = reader.u24()?;
    let mantissa = u64::from(rate & ((1 << REMB_MANTISSA_BITS) - 1));
    let exponent = rate >> REMB_MANTISSA_BITS;
    let bitrate_bps = mantissa << exponent;
    if bitrate_bps >> exponent != mantissa {
        return Err(ParseError::Forbidden);
    }
    let ssrcs = Ssrcs(Reader(reader.take(usize::from(count) * 4)?));
    Ok(Packet::Remb { sender_ssrc, bitrate_bps, ssrcs })
}

/// Feedback without control information, or with a piece of it, is malformed (RFC 4585 6.1).
fn non_empty(entries: &Reader<'_>, entry_len: usize) -> Result<(), ParseError> {
    let is_whole = !entries.0.is_empty() && entries.0.len().is_multiple_of(entry_len);
    if is_whole { Ok(()) } else { Err(ParseError::Truncated) }
}
