//! What waits to leave for one peer until the next flush, laid out as the kernel takes it.

/// Bytes that may wait for one peer; packets beyond are dropped and counted. A flush follows every
/// batch of received datagrams, so only a fan-out gone wild comes near.
const MAX_BYTES: usize = 512 * 1024;
/// Segments the kernel takes in one message (UDP_MAX_SEGMENTS of Linux is 64 on older kernels).
const MAX_SEGMENTS: usize = 64;
/// Bytes the kernel takes in one message: the length field of UDP less the headers.
const MAX_MESSAGE: usize = 65_000;
/// An arena that grew beyond this gives its memory back after the flush.
const KEEP_BYTES: usize = 32 * 1024;

/// A run of packets of one length, the last of which may be shorter: one message with a segment size.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    segment: usize,
    segments: usize,
    /// Whether a shorter packet ended it.
    ended: bool,
}

/// Sealed packets for one peer, grouped into runs that the kernel can split (GSO).
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
    runs: Vec<Run>,
}

impl Arena {
    /// Appends `head`, `tail` and `overhead` spare bytes, lets `seal` make a packet of them in place and
    /// keeps as many bytes as it says. Returns whether a packet was added: not so when `seal` refuses
    /// or [`MAX_BYTES`] wait already.
    pub fn push(
        &mut self,
        head: &[u8],
        tail: &[u8],
        overhead: usize,
        seal: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let start = self.bytes.len();
        if start + head.len() + tail.len() + overhead > MAX_BYTES {
            return false;
        }
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        self.bytes.resize(self.bytes.len() + overhead, 0);
        // In bounds: `start` was the length before more was appended.
        let sealed = seal(&mut self.bytes[start..]).unwrap_or(0);
        self.bytes.truncate(start + sealed);
        if sealed > 0 {
            self.note(start, sealed);
        }
        sealed > 0
    }

    fn note(&mut self, start: usize, length: usize) {
        if let Some(run) = self.runs.last_mut() {
            let fits = run.segments < MAX_SEGMENTS && start + length - run.start <= MAX_MESSAGE;
            if !run.ended && fits && length <= run.segment {
                run.segments += 1;
                run.ended = length < run.segment;
                return;
            }
        }
        self.runs.push(Run { start, segment: length, segments: 1, ended: false });
    }

    /// The messages to send: bytes, and the segment size when they are more than one datagram.
    pub fn messages(&self) -> impl Iterator<Item = (&[u8], Option<usize>)> {
        let ends = self.runs.iter().skip(1).map(|r| r.start).chain([self.bytes.len()]);
        self.runs.iter().zip(ends).map(|(run, end)| {
            // In bounds: runs lie one behind the other and the last ends with the bytes.
            (&self.bytes[run.start..end], (run.segments > 1).then_some(run.segment))
        })
    }

    /// Forgets what was sent.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(arena: &mut Arena, length: usize) {
        assert!(arena.push(&vec![1; length - 16], &[], 16, |p| Some(p.len())));
    }

    fn shape(arena: &Arena) -> Vec<(usize, Option<usize>)> {
        arena.messages().map(|(b, s)| (b.len(), s)).collect()
    }

    #[test]
    fn equal_lengths_share_a_message_and_a_shorter_one_ends_it() {
        let mut arena = Arena::default();
        [1200, 1200, 1200, 700, 700, 90, 1200].into_iter().for_each(|n| push(&mut arena, n));
        assert_eq!(shape(&arena), [(4300, Some(1200)), (790, Some(700)), (1200, None)]);
        arena.clear();
        assert!(shape(&arena).is_empty());
    }

    #[test]
    fn a_message_ends_at_what_the_kernel_takes() {
        let mut arena = Arena::default();
        (0..100).for_each(|_| push(&mut arena, 100));
        assert_eq!(shape(&arena), [(6400, Some(100)), (3600, Some(100))]);
        arena.clear();
        (0..60).for_each(|_| push(&mut arena, 1200));
        assert_eq!(shape(&arena), [(64_800, Some(1200)), (7_200, Some(1200))]);
    }

    #[test]
    fn a_refused_seal_leaves_nothing_behind_and_the_bound_holds() {
        let mut arena = Arena::default();
        assert!(!arena.push(&[1; 50], &[2; 50], 16, |_| None));
        assert!(shape(&arena).is_empty());
        let taken = (0..1000).filter(|_| arena.push(&[0; 1184], &[], 16, |p| Some(p.len()))).count();
        assert_eq!(taken, MAX_BYTES / 1200);
    }
}
