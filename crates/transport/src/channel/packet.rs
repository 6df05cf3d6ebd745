//! Reads SCTP packets just far enough to judge them, and writes the one packet that ends an association.

/// The common header (RFC 9260 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) verification_tag: u32,
}

/// One chunk (RFC 9260 §3.2), its padding left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub(super) kind: u8,
    pub(super) value: &'a [u8],
}

/// The packet, a chunk or a parameter does not fit into what holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Chunk types that are looked into (RFC 9260 §3.2, RFC 3758 §3.2, RFC 6525 §3.1).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const INIT: u8 = 1;
    pub(in super::super) const INIT_ACK: u8 = 2;
    pub(in super::super) const SACK: u8 = 3;
    pub(in super::super) const HEARTBEAT: u8 = 4;
    pub(in super::super) const ABORT: u8 = 6;
    pub(in super::super) const ERROR: u8 = 9;
    pub(in super::super) const SHUTDOWN_COMPLETE: u8 = 14;
    pub(in super::super) const RE_CONFIG: u8 = 130;
    pub(in super::super) const FORWARD_TSN: u8 = 192;
    pub(in super::super) const I_FORWARD_TSN: u8 = 194;
}

impl Header {
    /// Reads the header of `packet`; its checksum is sctp-proto's to check.
    pub(super) fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let packet = packet.get(..HEADER_BYTES).ok_or(Malformed)?;
        Ok(Self {
            source_port: be16(packet, 0)?,
            destination_port: be16(packet, 2)?,
            verification_tag: be32(packet, 4)?,
        })
    }
}

/// The chunks of `packet` in order; what cannot be read ends them.
pub(super) fn chunks(packet: &[u8]) -> impl Iterator<Item = Result<Chunk<'_>, Malformed>> {
    let mut rest = packet.get(HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [kind, _flags, l0, l1, ..] = *rest else {
            return (!std::mem::take(&mut rest).is_empty()).then_some(Err(Malformed));
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let value = rest.get(CHUNK_HEADER_BYTES..len);
        // sctp-proto insists on the padding of the last chunk too; so does the RFC.
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        match value {
            Some(value) => Some(Ok(Chunk { kind, value })),
            None => {
                rest = &[];
                Some(Err(Malformed))
            }
        }
    })
}

/// The parameters of a RE-CONFIG chunk: type and value (RFC 6525 §3.1).
pub(super) fn parameters(mut rest: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let len = be16(rest, 2).map_or(0, usize::from);
        let parameter = be16(rest, 0).ok().zip(rest.get(PARAMETER_HEADER_BYTES..len)).ok_or(Malformed);
        rest = if parameter.is_ok() { rest.get(len.next_multiple_of(4)..).unwrap_or_default() } else { &[] };
        Some(parameter)
    })
}

pub(super) fn be16(bytes: &[u8], offset: usize) -> Result<u16, Malformed> {
    let bytes = bytes.get(offset..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

pub(super) fn be32(bytes: &[u8], offset: usize) -> Result<u32, Malformed> {
    let bytes = bytes.get(offset..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u32::from_be_bytes(*bytes))
}

/// An ABORT for the peer that chose `verification_tag`, with no cause told (RFC 9260 §3.3.7).
pub(super) fn abort(header: Header) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER_BYTES + CHUNK_HEADER_BYTES);
    packet.extend_from_slice(&header.source_port.to_be_bytes());
    packet.extend_from_slice(&header.destination_port.to_be_bytes());
    packet.extend_from_slice(&header.verification_tag.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&[kind::ABORT, 0, 0, 4]);
    seal(&mut packet);
    packet
}

/// Writes the checksum of `packet` into it (RFC 9260 §6.8: CRC32c over the packet with zero in its place).
pub(super) fn seal(packet: &mut [u8]) {
    if let Some(place) = packet.get_mut(CHECKSUM) {
        place.fill(0);
        let checksum = crc32c(packet);
        // Present, as it was just filled.
        packet[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// The CRC with the Castagnoli polynomial, bit by bit: only ABORT packets are sealed here.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

pub(super) const HEADER_BYTES: usize = 12;
const CHECKSUM: std::ops::Range<usize> = 8..12;
const CHUNK_HEADER_BYTES: usize = 4;
const PARAMETER_HEADER_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(chunks: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 9, 0, 0, 0, 0];
        packet.extend_from_slice(chunks);
        packet
    }

    #[test]
    fn chunks_are_walked_over_their_padding() {
        let packet = packet(&[0, 3, 0, 5, 7, 0, 0, 0, 11, 0, 0, 4]);
        let walked: Vec<_> = chunks(&packet).collect();
        assert_eq!(walked, [Ok(Chunk { kind: 0, value: &[7] }), Ok(Chunk { kind: 11, value: &[] })]);
        let header = Header { source_port: 5000, destination_port: 5000, verification_tag: 9 };
        assert_eq!(Header::parse(&packet), Ok(header));
        assert_eq!(Header::parse(&packet[..11]), Err(Malformed));
    }

    #[test]
    fn a_length_beyond_the_packet_or_below_the_header_ends_the_walk() {
        for bad in [&[0, 0, 0, 3][..], &[0, 0, 0, 0], &[0, 0, 0, 5], &[0, 0, 255, 255, 1], &[0, 0, 4], &[0]] {
            let packet = packet(&[&[11, 0, 0, 4], bad, &[11, 0, 0, 4]].concat()[..4 + bad.len()]);
            let walked: Vec<_> = chunks(&packet).collect();
            assert_eq!(walked, [Ok(Chunk { kind: 11, value: &[] }), Err(Malformed)], "{bad:?}");
        }
        assert_eq!(chunks(&[1, 2, 3]).count(), 0);
    }

    #[test]
    fn parameters_are_walked_likewise() {
        let value = [0, 16, 0, 5, 1, 0, 0, 0, 0, 13, 0, 4];
        assert_eq!(parameters(&value).collect::<Vec<_>>(), [Ok((16, &[1][..])), Ok((13, &[][..]))]);
        assert_eq!(parameters(&[0, 13, 0, 9, 1]).collect::<Vec<_>>(), [Err(Malformed)]);
        assert_eq!(parameters(&[0, 13, 0, 3]).collect::<Vec<_>>(), [Err(Malformed)]);
        assert_eq!(parameters(&[0]).collect::<Vec<_>>(), [Err(Malformed)]);
    }

    #[test]
    fn the_checksum_is_the_one_of_the_rfc() {
        // The vector of RFC 3720, appendix B.4: 32 bytes of zero.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        let header = Header { source_port: 1, destination_port: 2, verification_tag: 3 };
        let packet = abort(header);
        assert_eq!(packet[..8], [0, 1, 0, 2, 0, 0, 0, 3]);
        assert_ne!(packet[8..12], [0; 4]);
        assert_eq!(packet[12..], [6, 0, 0, 4]);
    }

    proptest! {
        #![proptest_config(super::super::tests::config(100_000))]

        #[test]
        fn any_bytes_can_be_walked(bytes in proptest::collection::vec(any::<u8>(), 0..64), small in any::<bool>()) {
            let mut bytes = bytes;
            if small {
                // Plausible lengths, so that the walk goes on.
                for byte in bytes.iter_mut().skip(14).step_by(4) {
                    *byte = 0;
                }
            }
            let mut seen = 0;
            for chunk in chunks(&bytes).flatten() {
                seen += chunk.value.len() + CHUNK_HEADER_BYTES;
                for parameter in parameters(chunk.value).flatten() {
                    prop_assert!(parameter.1.len() < chunk.value.len());
                }
            }
            prop_assert!(seen <= bytes.len());
        }
    }
}
