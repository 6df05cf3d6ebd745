//! The trailer of every media payload: who sent it, the how-manieth it is, and when it left.
//!
//! It stands at the end of the payload, where no header rewriting of a server reaches it. Sender and receiver live in one
//! process and count time from one origin, so a latency is a subtraction.

/// Bytes of a stamp.
pub(crate) const STAMP_LEN: usize = 20;
/// Tells a stamp from other bytes.
const MAGIC: [u8; 4] = *b"rtLT";

/// What a packet says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The encoding of a track it belongs to, unique in the run.
    pub(crate) source: u32,
    /// Counts the packets of the source from 0; a run is far too short for it to wrap.
    pub(crate) number: u32,
    /// When it left, in ns since the origin of the run.
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// Writes it over the last bytes of `payload`; without room for it nothing is written.
    pub(crate) fn write(self, payload: &mut [u8]) {
        let Some(trailer) = payload.last_chunk_mut::<STAMP_LEN>() else { return };
        trailer[..4].copy_from_slice(&MAGIC);
        trailer[4..8].copy_from_slice(&self.source.to_be_bytes());
        trailer[8..12].copy_from_slice(&self.number.to_be_bytes());
        trailer[12..].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads the last bytes of `payload`; `None` if no stamp stands there.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let trailer = payload.last_chunk::<STAMP_LEN>()?;
        let word = |at: usize| u32::from_be_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
        // The offsets are constants below the trailer's length.
        (trailer[..4] == MAGIC).then(|| Self {
            source: word(4),
            number: word(8),
            sent_ns: u64::from(word(12)) << 32 | u64::from(word(16)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { source: 7, number: u32::MAX, sent_ns: 0x0102_0304_0506_0708 };
        let mut payload = [9; 100];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[..80], [9; 80]);
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        assert_eq!(Stamp::read(&[0; 100]), None);
        assert_eq!(Stamp::read(&[0; 19]), None);
        let mut short = [3; 19];
        Stamp { source: 1, number: 2, sent_ns: 3 }.write(&mut short);
        assert_eq!(short, [3; 19]);
    }
}
