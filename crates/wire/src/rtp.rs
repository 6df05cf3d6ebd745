//! The RTP fixed header, its extension block and its padding (RFC 3550 5.1).

use crate::error::ParseError;
use crate::ext::{ExtensionWriter, Extensions};
use crate::reader::Reader;

/// Bytes of the header without contributing sources and extensions.
pub const FIXED_HEADER_LEN: usize = 12;

const VERSION_2: u8 = 2 << 6;
const PADDING_BIT: u8 = 1 << 5;
const EXTENSION_BIT: u8 = 1 << 4;
const MARKER_BIT: u8 = 1 << 7;

/// One parsed RTP packet, borrowed from its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// The marker bit: end of a frame for video, start of a talk spurt for audio.
    pub marker: bool,
    /// The payload type, 0–127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp in units of the codec's clock.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
    /// The contributing sources as they stand in the packet, four bytes each; see [`RtpPacket::csrcs`].
    pub csrc_bytes: &'a [u8],
    /// The "defined by profile" word of the header extension, 0 if there is none.
    pub extension_profile: u16,
    /// The bytes of the header extension after its first four.
    pub extension_bytes: &'a [u8],
    /// Bytes from the start of the packet to the payload, extensions included.
    pub header_len: usize,
    /// Bytes of padding at the end, the count byte included.
    pub padding_len: usize,
    /// What lies between header and padding; empty in a padding-only packet.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Reads a packet that fills `bytes` exactly.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader(bytes);
        let [first, second] = reader.array()?;
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let sequence = reader.u16()?;
        let timestamp = reader.u32()?;
        let ssrc = reader.u32()?;
        let csrc_bytes = reader.take(usize::from(first & 0x0f) * 4)?;
        let (extension_profile, extension_bytes) = if first & EXTENSION_BIT != 0 {
            let profile = reader.u16()?;
            let words = usize::from(reader.u16()?);
            (profile, reader.take(words * 4)?)
        } else {
            (0, &[][..])
        };
        let rest = reader.0;
        let padding_len = if first & PADDING_BIT != 0 { padding_len(rest)? } else { 0 };
        Ok(Self {
            marker: second & MARKER_BIT != 0,
            payload_type: second & !MARKER_BIT,
            sequence,
            timestamp,
            ssrc,
            csrc_bytes,
            extension_profile,
            extension_bytes,
            header_len: bytes.len() - rest.len(),
            padding_len,
            payload: rest.get(..rest.len() - padding_len).unwrap_or_default(),
        })
    }

    /// The elements of the header extension, none if its profile is unknown.
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions::new(self.extension_profile, self.extension_bytes)
    }

    /// The bytes of the first extension element numbered `id`.
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find_map(|(found, data)| (found == id).then_some(data))
    }

    /// The contributing sources, at most 15.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.csrc_bytes.as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// Bytes from the start of a packet to its payload, extensions included. Unlike [`RtpPacket::parse`] it does not look
/// at the padding, which cannot be read while the payload is encrypted (RFC 3711 3.1).
pub fn header_len(packet: &[u8]) -> Result<usize, ParseError> {
    let mut reader = Reader(packet);
    let [first] = reader.array()?;
    if first >> 6 != 2 {
        return Err(ParseError::Version);
    }
    reader.take(FIXED_HEADER_LEN - 1 + usize::from(first & 0x0f) * 4)?;
    if first & EXTENSION_BIT != 0 {
        let _profile = reader.u16()?;
        let words = usize::from(reader.u16()?);
        reader.take(words * 4)?;
    }
    Ok(packet.len() - reader.0.len())
}

/// Reads the padding count from the last byte of `rest` (what follows the header).
pub(crate) fn padding_len(rest: &[u8]) -> Result<usize, ParseError> {
    match rest.last().map(|&count| usize::from(count)) {
        Some(count) if count != 0 && count <= rest.len() => Ok(count),
        _ => Err(ParseError::Padding),
    }
}

/// What we write in front of a payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RtpHeader {
    /// The marker bit.
    pub marker: bool,
    /// The payload type; its top bit is ignored.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp in units of the codec's clock.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
    /// One contributing source, if any.
    pub csrc: Option<u32>,
}

impl RtpHeader {
    /// Writes the header and whatever `extensions` pushes to the start of `out`; returns the length.
    ///
    /// Elements for which `out` has no room are left out. If not even the fixed part fits, nothing is written and
    /// the length is 0. The padding bit is clear: who appends padding calls [`set_padding`].
    pub fn write(&self, out: &mut [u8], extensions: impl FnOnce(&mut ExtensionWriter<'_>)) -> usize {
        let fixed_len = FIXED_HEADER_LEN + if self.csrc.is_some() { 4 } else { 0 };
        let Some((fixed, rest)) = out.split_at_mut_checked(fixed_len) else { return 0 };
        let mut writer = ExtensionWriter::new(rest);
        extensions(&mut writer);
        let extension_len = writer.finish();

        let extension_bit = if extension_len > 0 { EXTENSION_BIT } else { 0 };
        let marker_bit = if self.marker { MARKER_BIT } else { 0 };
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.to_be_bytes();
        let first = VERSION_2 | extension_bit | u8::from(self.csrc.is_some());
        let second = marker_bit | self.payload_type & !MARKER_BIT;
        let (head, csrc) = fixed.split_at_mut(FIXED_HEADER_LEN);
        head.copy_from_slice(&[first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]);
        if let Some(source) = self.csrc {
            csrc.copy_from_slice(&source.to_be_bytes());
        }
        fixed_len + extension_len
    }
}

/// Turns the last `padding_len` bytes of a written packet into padding; `padding_len` 0 changes nothing.
pub fn set_padding(packet: &mut [u8], padding_len: u8) {
    let Some(start) = packet.len().checked_sub(usize::from(padding_len)) else { return };
    if padding_len == 0 || start < FIXED_HEADER_LEN {
        return;
    }
    if let Some(padding) = packet.get_mut(start..) {
        padding.fill(0);
    }
    if let Some(count) = packet.last_mut() {
        *count = padding_len;
    }
    if let Some(first) = packet.first_mut() {
        *first |= PADDING_BIT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marker, payload type 111, sequence 0x0102, timestamp 0x03040506, SSRC 0x0708090a.
    const PLAIN: [u8; 12] = [0x80, 0x80 | 111, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = [&PLAIN[..], rest].concat();
        bytes[0] |= first;
        bytes
    }

    #[test]
    fn the_fixed_header_is_read() {
        let bytes = packet(0, b"opus");
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence), (111, 0x0102));
        assert_eq!((packet.timestamp, packet.ssrc), (0x0304_0506, 0x0708_090a));
        assert_eq!((packet.header_len, packet.padding_len, packet.payload), (12, 0, &b"opus"[..]));
        assert_eq!(packet.csrcs().len() + packet.extensions().count(), 0);
    }

    #[test]
    fn sources_extension_and_padding_are_taken_off() {
        let rest = [&[0, 0, 0, 1, 0, 0, 0, 2][..], &[0xbe, 0xde, 0, 1, 0x41, 7, 8, 0], b"data", &[0, 0, 3]].concat();
        let bytes = packet(PADDING_BIT | EXTENSION_BIT | 2, &rest);
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(packet.extension(4), Some(&[7, 8][..]));
        assert_eq!(packet.extension(5), None);
        assert_eq!((packet.header_len, packet.padding_len, packet.payload), (28, 3, &b"data"[..]));
    }

    #[test]
    fn a_packet_may_be_padding_only() {
        let bytes = packet(PADDING_BIT, &[0, 0, 0, 4]);
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!((packet.payload, packet.padding_len), (&[][..], 4));
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let check = |bytes: &[u8], error| assert_eq!(RtpPacket::parse(bytes), Err(error), "{bytes:02x?}");
        check(&[], ParseError::Truncated);
        check(&PLAIN[..11], ParseError::Truncated);
        check(&[0x40; 12], ParseError::Version);
        check(&packet(1, &[0; 3]), ParseError::Truncated);
        check(&packet(EXTENSION_BIT, &[0xbe, 0xde, 0]), ParseError::Truncated);
        check(&packet(EXTENSION_BIT, &[0xbe, 0xde, 0, 2, 0, 0, 0, 0]), ParseError::Truncated);
        check(&packet(PADDING_BIT, &[]), ParseError::Padding);
        check(&packet(PADDING_BIT, &[1, 0]), ParseError::Padding);
        check(&packet(PADDING_BIT, &[1, 3]), ParseError::Padding);
        assert_eq!(header_len(&packet(PADDING_BIT | 1, &[1, 2, 3, 4, 99])), Ok(16), "an encrypted count is not read");
        assert_eq!(header_len(&packet(EXTENSION_BIT, &[0, 0, 0, 1, 9, 9, 9])), Err(ParseError::Truncated));
    }

    #[test]
    fn a_written_header_reads_the_same() {
        let header = RtpHeader {
            marker: true,
            payload_type: 96,
            sequence: 65_535,
            timestamp: u32::MAX,
            ssrc: 0xdead_beef,
            csrc: Some(77),
        };
        let mut out = [0; 64];
        let len = header.write(&mut out, |extensions| {
            extensions.push(4, &[0, 1]);
            extensions.push(9, b"0");
        });
        let packet = RtpPacket::parse(&out[..len]).unwrap();
        assert_eq!(packet.header_len, len);
        assert_eq!((packet.marker, packet.payload_type, packet.sequence), (true, 96, 65_535));
        assert_eq!((packet.timestamp, packet.ssrc), (u32::MAX, 0xdead_beef));
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [77]);
        assert_eq!(packet.extensions().collect::<Vec<_>>(), [(4, &[0, 1][..]), (9, b"0")]);
    }

    #[test]
    fn a_header_without_elements_has_no_extension() {
        let mut out = [0xff; 16];
        let header = RtpHeader { payload_type: 255, ..RtpHeader::default() };
        assert_eq!(header.write(&mut out, |_| {}), 12);
        assert_eq!(out[..2], [0x80, 0x7f], "the marker is not part of the payload type");
        assert_eq!(header.write(&mut out[..11], |_| {}), 0, "no room");
    }

    #[test]
    fn padding_is_read_as_set() {
        let mut bytes = packet(0, &[0xff; 8]);
        set_padding(&mut bytes, 5);
        let parsed = RtpPacket::parse(&bytes).unwrap();
        assert_eq!((parsed.payload.len(), parsed.padding_len), (3, 5));
        let mut short = PLAIN;
        set_padding(&mut short, 1);
        assert_eq!(short, PLAIN, "the header is no padding");
    }
}
