//! Retransmission payloads (RFC 4588 4): the original sequence number, then the original payload.

/// Bytes of the original sequence number.
pub const OSN_LEN: usize = 2;

/// Splits the payload of a retransmission into the original sequence number and the original payload; `None` if it is
/// too short, as that of a packet that is padding only.
#[must_use]
pub fn split(payload: &[u8]) -> Option<(u16, &[u8])> {
    payload.split_first_chunk().map(|(osn, original)| (u16::from_be_bytes(*osn), original))
}

/// What stands in front of the original payload.
#[must_use]
pub const fn osn(sequence: u16) -> [u8; OSN_LEN] {
    sequence.to_be_bytes()
}

/// Writes the payload of a retransmission to the start of `out` and returns its length; 0 if there is no room.
pub fn write(sequence: u16, original: &[u8], out: &mut [u8]) -> usize {
    let len = OSN_LEN + original.len();
    let Some((head, payload)) = out.get_mut(..len).and_then(|out| out.split_first_chunk_mut()) else { return 0 };
    *head = osn(sequence);
    payload.copy_from_slice(original);
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_comes_back() {
        let mut out = [0; 8];
        let len = write(0x1234, b"data", &mut out);
        assert_eq!(&out[..len], b"\x12\x34data");
        assert_eq!(split(&out[..len]), Some((0x1234, &b"data"[..])));
        assert_eq!(split(&osn(7)), Some((7, &[][..])));
    }

    #[test]
    fn what_is_too_short_is_none() {
        assert_eq!(split(&[1]), None);
        assert_eq!(write(1, b"data", &mut [0; 5]), 0);
    }
}
