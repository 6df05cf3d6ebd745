//! Keeps the memory that received datagrams are written to and hands them out.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::SystemTime;

use crate::MESSAGES_PER_CALL;
#[cfg(target_os = "linux")]
use crate::{address::Address, control::Control};

/// The memory of one [`receive`](crate::Socket::receive), used again and again.
#[derive(Debug)]
pub struct ReceiveBatch {
    /// One buffer after the other, each `bytes_each` long, `stride` apart.
    pub(crate) bytes: Box<[u8]>,
    pub(crate) bytes_each: usize,
    pub(crate) stride: usize,
    /// What the last call wrote to each buffer. Its capacity is the number of buffers.
    pub(crate) arrivals: Vec<Arrival>,
    /// Where the kernel writes what it says of each buffer's contents.
    #[cfg(target_os = "linux")]
    pub(crate) beside: Box<[Beside]>,
    pub(crate) discarded: u64,
}

/// What one buffer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) source: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    /// Zero for what is to be passed over.
    pub(crate) len: usize,
    /// Length of each datagram where the kernel coalesced several.
    pub(crate) segment_size: Option<NonZeroU16>,
    pub(crate) arrived: Option<SystemTime>,
}

/// One datagram that came in.
#[derive(Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// The address of this machine that it was sent to, where the platform tells.
    pub local: Option<IpAddr>,
    /// When the kernel got it, on a socket that [tells](crate::Socket::tell_arrivals).
    pub arrived: Option<SystemTime>,
    /// Its bytes, never empty, to be decrypted in place.
    pub contents: &'a mut [u8],
}

/// What the kernel says of one message. It is kept with the batch: to clear it for each call would cost more than to write it.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside {
    pub(crate) address: Address,
    pub(crate) control: Control,
}

#[cfg(target_os = "linux")]
impl Beside {
    const EMPTY: Self = Self { address: Address::EMPTY, control: Control::EMPTY };
}

impl ReceiveBatch {
    /// Bytes per message that hold whatever UDP GRO coalesces. Memory that nobody writes to costs nothing.
    pub const FULL_BYTES: usize = 65_535;

    /// Makes room for `messages` messages (1 to [`MESSAGES_PER_CALL`]) of `bytes_each` bytes.
    ///
    /// With offload, a message can be as large as [`FULL_BYTES`](Self::FULL_BYTES). What does not fit is
    /// discarded and counted.
    #[must_use]
    pub fn new(messages: usize, bytes_each: usize) -> Self {
        let messages = messages.clamp(1, MESSAGES_PER_CALL);
        let bytes_each = bytes_each.max(1);
        let stride = bytes_each.next_multiple_of(LINE) + APART;
        Self {
            bytes: vec![0; messages * stride].into_boxed_slice(),
            bytes_each,
            stride,
            arrivals: Vec::with_capacity(messages),
            #[cfg(target_os = "linux")]
            beside: vec![Beside::EMPTY; messages].into_boxed_slice(),
            discarded: 0,
        }
    }

    /// Returns the datagrams of the last call, coalesced ones one by one, in order of arrival.
    ///
    /// Empty datagrams are left out.
    pub fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        let (bytes_each, buffers) = (self.bytes_each, self.bytes.chunks_exact_mut(self.stride));
        buffers.zip(&self.arrivals).flat_map(move |(buffer, arrival)| {
            let Arrival { source, local, arrived, .. } = *arrival;
            // In bounds: buffers are at least as far from each other as they are long.
            split(&mut buffer[..bytes_each], *arrival).map(move |contents| Datagram {
                source,
                local,
                arrived,
                contents,
            })
        })
    }

    /// Returns what the last call wrote to each buffer, coalesced datagrams together: the source, the local address and the
    /// bytes. For whoever wants to know what comes before it is given out.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (SocketAddr, Option<IpAddr>, &[u8])> {
        self.bytes.chunks_exact(self.stride).zip(&self.arrivals).map(|(buffer, arrival)| {
            // In bounds: as long as the buffer at most, which is no longer than the way to the next.
            (arrival.source, arrival.local, &buffer[..arrival.len.min(self.bytes_each)])
        })
    }

    /// Whether the last call filled every buffer, so that more may be waiting.
    ///
    /// After a call that did not, the socket was empty, and an edge-triggered poll tells of the next arrival.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.arrivals.len() == self.buffers()
    }

    /// Messages discarded since the start, because they did not fit a buffer or came without their sizes.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// The number of buffers.
    pub(crate) fn buffers(&self) -> usize {
        self.bytes.len() / self.stride
    }

    /// The number of datagrams that `datagrams` gives out.
    pub(crate) fn count(&self) -> usize {
        let datagrams = |arrival: &Arrival| match arrival.segment_size {
            Some(size) => arrival.len.div_ceil(usize::from(size.get())),
            None => usize::from(arrival.len > 0),
        };
        self.arrivals.iter().map(datagrams).sum()
    }
}

/// Bytes of a line of the processor's cache.
const LINE: usize = 64;
/// Between two buffers, so that they do not begin in the same few places of a cache, where short datagrams would push each
/// other out: a number of lines that has no divisor in common with how many places there are.
const APART: usize = 17 * LINE;

/// Cuts what arrived in `buffer` into its datagrams.
fn split(buffer: &mut [u8], arrival: Arrival) -> std::slice::ChunksMut<'_, u8> {
    let len = arrival.len.min(buffer.len());
    let each = arrival.segment_size.map_or(len.max(1), |size| usize::from(size.get()));
    // `len` was just bounded by the buffer's length.
    buffer[..len].chunks_mut(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(len: usize, segment: u16) -> Arrival {
        let source = SocketAddr::from(([127, 0, 0, 1], 1));
        Arrival { source, local: None, len, segment_size: NonZeroU16::new(segment), arrived: None }
    }

    fn lengths(batch: &mut ReceiveBatch) -> Vec<usize> {
        batch.datagrams().map(|datagram| datagram.contents.len()).collect()
    }

    #[test]
    fn coalesced_datagrams_come_out_one_by_one() {
        let mut batch = ReceiveBatch::new(4, 100);
        batch.bytes.chunks_exact_mut(batch.stride).zip(1..3).for_each(|(buffer, filling)| buffer.fill(filling));
        batch.arrivals = vec![arrival(100, 40), arrival(30, 0), arrival(0, 0), arrival(10, 10)];
        assert_eq!(lengths(&mut batch), [40, 40, 20, 30, 10], "the empty one is left out");
        assert_eq!(batch.count(), 5);
        let whole: Vec<usize> = batch.messages().map(|(_, _, bytes)| bytes.len()).collect();
        assert_eq!(whole, [100, 30, 0, 10], "what is looked at beforehand is whole");
        assert!(batch.is_full());
        let first: Vec<u8> = batch.datagrams().map(|datagram| datagram.contents[0]).collect();
        assert_eq!(first, [1, 1, 1, 2, 0]);
    }

    #[test]
    fn a_length_beyond_the_buffer_is_cut() {
        let mut batch = ReceiveBatch::new(1, 10);
        batch.arrivals = vec![arrival(50, 4)];
        assert_eq!(lengths(&mut batch), [4, 4, 2]);
    }

    #[test]
    fn sizes_are_kept_within_what_one_call_takes() {
        assert_eq!(ReceiveBatch::new(0, 0).buffers(), 1);
        assert_eq!(ReceiveBatch::new(1000, 8).buffers(), MESSAGES_PER_CALL);
    }
}
