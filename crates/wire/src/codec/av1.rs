//! The aggregation header in front of every AV1 payload (AV1 RTP payload format 4.4).

use crate::error::ParseError;

const CONTINUES: u8 = 0x80;
const CONTINUED: u8 = 0x40;
const STARTS_SEQUENCE: u8 = 0x08;

/// The first byte of a payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AggregationHeader {
    /// Z: the first element goes on with a unit of the packet before.
    pub continues: bool,
    /// Y: the last element goes on in the next packet.
    pub continued: bool,
    /// W: how many elements there are, 1–3, and the last has no length; 0 if each has one.
    pub element_count: u8,
    /// N: the packet is the first of a coded video sequence.
    pub starts_sequence: bool,
}

impl AggregationHeader {
    /// Reads the header at the start of an RTP payload. N with Z is refused: nothing goes on into a new sequence.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let &first = payload.first().ok_or(ParseError::Truncated)?;
        let has = |bit: u8| first & bit != 0;
        if has(CONTINUES) && has(STARTS_SEQUENCE) {
            return Err(ParseError::Forbidden);
        }
        Ok(Self {
            continues: has(CONTINUES),
            continued: has(CONTINUED),
            element_count: first >> 4 & 3,
            starts_sequence: has(STARTS_SEQUENCE),
        })
    }

    /// The header's byte.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        flag(self.continues, CONTINUES)
            | flag(self.continued, CONTINUED)
            | (self.element_count & 3) << 4
            | flag(self.starts_sequence, STARTS_SEQUENCE)
    }
}

/// Whether an RTP payload is the first of a coded video sequence and has something behind the header.
#[must_use]
pub fn is_keyframe(payload: &[u8]) -> bool {
    payload.len() > 1 && AggregationHeader::parse(payload).is_ok_and(|header| header.starts_sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_reads_as_written_or_contradicts_itself() {
        for byte in 0..=255 {
            match AggregationHeader::parse(&[byte]) {
                Ok(header) => assert_eq!(header.to_byte(), byte & 0xf8, "the last three bits are reserved"),
                Err(error) => assert_eq!((error, byte & 0x88), (ParseError::Forbidden, 0x88)),
            }
        }
        assert_eq!(AggregationHeader::parse(&[]), Err(ParseError::Truncated));
    }

    #[test]
    fn fields_are_read_where_the_format_puts_them() {
        let header = AggregationHeader { continued: true, element_count: 2, ..AggregationHeader::default() };
        assert_eq!(AggregationHeader::parse(&[0x60, 1]), Ok(header));
        assert!(is_keyframe(&[0x18, 0x0a]) && !is_keyframe(&[0x10, 0x0a]));
    }
}
