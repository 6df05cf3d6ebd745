//! WebSocket frames by hand (RFC 6455 §5): a reader of a thousand sockets that looks only for a mark has no use for more.

use std::ops::Range;

/// A frame that came whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    /// Where its payload is.
    pub(crate) payload: Range<usize>,
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The first frame of a server's bytes, which are not masked; `None` while it is not whole. The server never splits a message.
pub(crate) fn first(bytes: &[u8]) -> Option<Frame> {
    let &[head, short] = bytes.first_chunk()?;
    let (at, len) = match short & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        len => (2, u64::from(len)),
    };
    let until = at + usize::try_from(len).ok()?;
    (bytes.len() >= until).then_some(Frame { opcode: head & 0x0f, payload: at..until })
}

/// A client's frame. Its mask is zero, which every server has to take and which costs nobody anything.
pub(crate) fn write(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        for len in [0_usize, 125, 126, 0xffff, 0x1_0000] {
            let mut bytes = write(TEXT, &vec![7; len]);
            // The same without a mask, as a server writes it.
            let head = bytes.len() - len - 4;
            bytes[1] &= 0x7f;
            bytes.drain(head..head + 4);
            assert_eq!(first(&bytes), Some(Frame { opcode: TEXT, payload: head..head + len }), "{len}");
            for cut in [0, 1, head - 1, bytes.len() - 1] {
                assert_eq!(first(&bytes[..cut]), None, "{cut} of {len}");
            }
        }
    }
}
