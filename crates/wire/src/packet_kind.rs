//! Tells the protocols that share one UDP port apart (RFC 7983, RFC 9443, RFC 5761).

/// What a datagram claims to be by its first two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// First byte 0–3.
    Stun,
    /// First byte 20–63.
    Dtls,
    /// First byte 128–191, second not 192–223.
    Rtp,
    /// First byte 128–191, second 192–223 (RFC 5761 4).
    Rtcp,
    /// Anything else, ZRTP, TURN channels and QUIC among it; also a datagram of fewer than two bytes.
    Other,
}

/// Classifies a datagram; only its first two bytes are read.
#[must_use]
pub const fn classify(datagram: &[u8]) -> PacketKind {
    match datagram {
        [0..=3, _, ..] => PacketKind::Stun,
        [20..=63, _, ..] => PacketKind::Dtls,
        [128..=191, 192..=223, ..] => PacketKind::Rtcp,
        [128..=191, _, ..] => PacketKind::Rtp,
        _ => PacketKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides_as_in_rfc_9443() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => PacketKind::Stun,
                20..=63 => PacketKind::Dtls,
                128..=191 => PacketKind::Rtp,
                _ => PacketKind::Other,
            };
            assert_eq!(classify(&[first, 0, 0, 0]), expected, "first byte {first}");
        }
    }

    #[test]
    fn the_second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255u8 {
            let expected = if (192..=223).contains(&second) { PacketKind::Rtcp } else { PacketKind::Rtp };
            assert_eq!(classify(&[0x80, second]), expected, "second byte {second}");
        }
    }

    #[test]
    fn less_than_two_bytes_are_nothing() {
        assert_eq!(classify(&[]), PacketKind::Other);
        assert_eq!(classify(&[0x80]), PacketKind::Other);
    }
}
