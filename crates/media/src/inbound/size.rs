//! The size of a picture where the codec's payload tells it in the open.

/// Width and height in a VP8 keyframe, whose first byte follows the descriptor (RFC 6386 9.1).
pub(crate) fn vp8_size(frame: &[u8]) -> Option<(u16, u16)> {
    match *frame {
        [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] => {
            let size = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
            Some((size(w0, w1), size(h0, h1)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_vp8_keyframe_is_read() {
        assert_eq!(vp8_size(&[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, 0]), Some((640, 480)));
        assert_eq!(vp8_size(&[0x10, 0, 0, 0x9d, 0x01]), None);
    }
}
