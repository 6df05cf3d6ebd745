//! Redundant audio data (RFC 2198): earlier blocks, then the block of the packet itself.

use crate::error::ParseError;
use crate::reader::Reader;

/// The most blocks of a payload, the primary one included. What has more is refused, and none is written: each earlier
/// block repeats what a packet before carried, and more than a few are of no use.
pub const MAX_BLOCKS: usize = 8;
/// The farthest an earlier block lies back, in units of the timestamp: 14 bits.
pub const MAX_OFFSET: u16 = (1 << 14) - 1;
/// The longest earlier block: ten bits.
pub const MAX_REDUNDANT_LEN: usize = (1 << 10) - 1;

const FOLLOWED: u8 = 0x80;
/// Bytes of the header of an earlier block, and of the primary one.
const REDUNDANT_HEADER_LEN: usize = 4;
const PRIMARY_HEADER_LEN: usize = 1;

/// One block of a payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is encoded with, 0–127.
    pub payload_type: u8,
    /// How far it lies before the timestamp of the packet; 0 for the primary block.
    pub timestamp_offset: u16,
    /// Its bytes, perhaps none.
    pub data: &'a [u8],
}

/// The blocks of a payload, checked when it was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'a> {
    blocks: [Block<'a>; MAX_BLOCKS],
    /// 1–8.
    len: u8,
}

impl<'a> Blocks<'a> {
    /// Reads an RTP payload. Refused are more than [`MAX_BLOCKS`] blocks, and payloads shorter than their headers say.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader(payload);
        let mut blocks = [Block::default(); MAX_BLOCKS];
        let mut lengths = [0; MAX_BLOCKS];
        let mut len = 0;
        for (block, length) in blocks.iter_mut().zip(&mut lengths) {
            let first = reader.u8()?;
            len += 1;
            block.payload_type = first & !FOLLOWED;
            if first & FOLLOWED == 0 {
                return Self::with_data(blocks, lengths, len, reader.0);
            }
            let bits = reader.u24()?;
            block.timestamp_offset = (bits >> 10) as u16;
            *length = bits as usize & MAX_REDUNDANT_LEN;
        }
        Err(ParseError::Forbidden)
    }

    fn with_data(
        mut blocks: [Block<'a>; MAX_BLOCKS],
        lengths: [usize; MAX_BLOCKS],
        len: u8,
        data: &'a [u8],
    ) -> Result<Self, ParseError> {
        let mut reader = Reader(data);
        let redundant = usize::from(len) - 1; // The primary block was counted.
        for (block, length) in blocks.iter_mut().zip(lengths).take(redundant) {
            block.data = reader.take(length)?;
        }
        if let Some(primary) = blocks.get_mut(redundant) {
            primary.data = reader.0;
        }
        Ok(Self { blocks, len })
    }

    /// The block the packet was sent for.
    #[must_use]
    pub fn primary(&self) -> Block<'a> {
        self.as_slice().last().copied().unwrap_or_default()
    }

    /// The blocks of earlier packets, the oldest first where the sender keeps the order of the RFC.
    #[must_use]
    pub fn redundant(&self) -> &[Block<'a>] {
        self.as_slice().split_last().map_or(&[], |(_, redundant)| redundant)
    }

    fn as_slice(&self) -> &[Block<'a>] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Writes a payload to the start of `out`: `redundant` blocks, then the `primary` one. Returns its length.
///
/// It is 0 if there is no room, if there are more than [`MAX_BLOCKS`] blocks, or if an earlier block lies too far back
/// or is too long for its header.
pub fn write(redundant: &[Block<'_>], primary: Block<'_>, out: &mut [u8]) -> usize {
    let fits = |block: &Block<'_>| block.timestamp_offset <= MAX_OFFSET && block.data.len() <= MAX_REDUNDANT_LEN;
    if redundant.len() >= MAX_BLOCKS || !redundant.iter().all(fits) {
        return 0;
    }
    let data_len = redundant.iter().fold(primary.data.len(), |len, block| len + block.data.len());
    let header_len = REDUNDANT_HEADER_LEN * redundant.len() + PRIMARY_HEADER_LEN;
    let Some(out) = out.get_mut(..header_len + data_len) else { return 0 };
    let (headers, mut rest) = out.split_at_mut(header_len);
    let (headers, last) = headers.as_chunks_mut::<REDUNDANT_HEADER_LEN>();
    for (header, block) in headers.iter_mut().zip(redundant) {
        let bits = u32::from(block.timestamp_offset) << 10 | block.data.len() as u32;
        *header = (u32::from(block.payload_type | FOLLOWED) << 24 | bits).to_be_bytes();
    }
    last.fill(primary.payload_type & !FOLLOWED);
    for block in redundant.iter().chain([&primary]) {
        // The sum of all lengths was taken above.
        let (place, behind) = rest.split_at_mut(block.data.len());
        place.copy_from_slice(block.data);
        rest = behind;
    }
    header_len + data_len
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: Block<'_> = Block { payload_type: 111, timestamp_offset: 0, data: b"now" };
    const EARLIER: Block<'_> = Block { payload_type: 111, timestamp_offset: 960, data: b"then" };

    #[test]
    fn blocks_are_read_where_rfc_2198_puts_them() {
        let bytes = b"\xef\x0f\x00\x04\x6fthennow";
        let blocks = Blocks::parse(bytes).unwrap();
        assert_eq!((blocks.redundant(), blocks.primary()), (&[EARLIER][..], PRIMARY));
        let mut out = [0; 12];
        assert_eq!(write(&[EARLIER], PRIMARY, &mut out), 12);
        assert_eq!(&out, bytes);
        assert_eq!(write(&[EARLIER], PRIMARY, &mut out[..11]), 0, "no room");
    }

    #[test]
    fn a_primary_block_may_stand_alone_or_be_empty() {
        assert_eq!(Blocks::parse(b"\x6fnow").map(|blocks| blocks.primary()), Ok(PRIMARY));
        let empty = Blocks::parse(&[0x6f]).unwrap();
        assert_eq!((empty.primary().data, empty.redundant().len()), (&[][..], 0));
    }

    #[test]
    fn what_is_cut_or_too_much_is_refused() {
        let bytes = b"\xef\x0f\x00\x04\x6fthen";
        for cut in 0..bytes.len() {
            assert_eq!(Blocks::parse(&bytes[..cut]), Err(ParseError::Truncated), "cut to {cut}");
        }
        let headers = |count: usize| [&b"\xef\x0f\x00\x00".repeat(count)[..], &[0x6f]].concat();
        assert!(Blocks::parse(&headers(MAX_BLOCKS - 1)).is_ok());
        assert_eq!(Blocks::parse(&headers(MAX_BLOCKS)), Err(ParseError::Forbidden));
    }

    #[test]
    fn what_has_no_header_is_not_written() {
        let mut out = [0; 2048];
        let long = [0; MAX_REDUNDANT_LEN + 1];
        assert_eq!(write(&[EARLIER; MAX_BLOCKS], PRIMARY, &mut out), 0);
        assert_eq!(write(&[Block { timestamp_offset: MAX_OFFSET + 1, ..EARLIER }], PRIMARY, &mut out), 0);
        assert_eq!(write(&[Block { data: &long, ..EARLIER }], PRIMARY, &mut out), 0);
        assert_eq!(write(&[EARLIER], Block { data: &long, ..PRIMARY }, &mut out), 5 + 4 + long.len());
    }
}
