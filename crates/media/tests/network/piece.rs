//! What every simulated media packet carries at its end, behind all the codec has: what it is really a piece of.
//!
//! The plane never looks there, so whatever numbers it writes in front, the judge knows the frame, its references, its
//! layer and when it was captured.

/// One packet's worth of a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) track: u16,
    /// Which RTP stream of the track.
    pub(crate) stream: u8,
    /// Simulcast encoding or spatial layer.
    pub(crate) layer: u8,
    pub(crate) temporal: u8,
    pub(crate) is_key: bool,
    /// Unique within the track; 0 is none.
    pub(crate) frame: u32,
    /// The frames it needs.
    pub(crate) refs: [u32; 2],
    /// Counts pictures (or sounds); spatial layers of one picture share it.
    pub(crate) picture: u32,
    pub(crate) captured_us: u64,
    pub(crate) part: u16,
    pub(crate) parts: u16,
    /// The publisher's sequence number, extended.
    pub(crate) sequence: u32,
}

const MAGIC: u32 = 0x5254_7bee;

impl Piece {
    pub(crate) const LEN: usize = 48;

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&self.track.to_be_bytes());
        out.extend_from_slice(&[self.stream, self.layer, self.temporal, u8::from(self.is_key)]);
        for word in [self.frame, self.refs[0], self.refs[1], self.picture, self.sequence] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&self.captured_us.to_be_bytes());
        out.extend_from_slice(&self.part.to_be_bytes());
        out.extend_from_slice(&self.parts.to_be_bytes());
        let sum = sum(&out[start..]);
        out.extend_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    /// Reads it from the end of a payload; `None` if there is none, or it was damaged.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = payload.last_chunk()?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        if word(0) != MAGIC || half(42) != sum(&bytes[..42]) {
            return None;
        }
        Some(Self {
            track: half(4),
            stream: bytes[6],
            layer: bytes[7],
            temporal: bytes[8],
            is_key: bytes[9] != 0,
            frame: word(10),
            refs: [word(14), word(18)],
            picture: word(22),
            sequence: word(26),
            captured_us: u64::from(word(30)) << 32 | u64::from(word(34)),
            part: half(38),
            parts: half(40),
        })
    }

    /// Names the frame among those of all tracks.
    pub(crate) fn key(&self) -> u64 {
        u64::from(self.track) << 32 | u64::from(self.frame)
    }

    /// Names the frames it needs among those of all tracks.
    pub(crate) fn ref_keys(&self) -> impl Iterator<Item = u64> + use<> {
        let track = u64::from(self.track) << 32;
        self.refs.into_iter().filter(|&frame| frame != 0).map(move |frame| track | u64::from(frame))
    }
}

fn sum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(1, |sum: u16, &byte| sum.rotate_left(3).wrapping_add(u16::from(byte)))
}

#[test]
fn a_piece_reads_as_written_and_not_when_damaged() {
    let piece = Piece {
        track: 3,
        stream: 1,
        layer: 2,
        temporal: 1,
        is_key: true,
        frame: 77,
        refs: [70, 0],
        picture: 9,
        captured_us: 1 << 40,
        part: 2,
        parts: 5,
        sequence: 70_000,
    };
    let mut bytes = vec![1, 2, 3];
    piece.write(&mut bytes);
    assert_eq!(bytes.len(), 3 + Piece::LEN);
    assert_eq!(Piece::read(&bytes), Some(piece));
    bytes[20] ^= 1;
    assert_eq!(Piece::read(&bytes), None);
}
