//! Packets for one receiver, back to back as the kernel takes them.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use roundtable_udp::Message;

/// Packets sealed back to back, in runs of equal length of which the last may be shorter.
#[derive(Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    end: usize,
    each: u16,
    /// Whether a shorter packet ended it.
    is_over: bool,
}

impl Arena {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
    }

    /// Appends a packet of these parts.
    pub(super) fn push(&mut self, header: &[u8], payload: &[u8], tag: &[u8]) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(header);
        self.bytes.extend_from_slice(payload);
        self.bytes.extend_from_slice(tag);
        let end = self.bytes.len();
        let len = (end - start) as u16; // A datagram's length.
        match self.runs.last_mut() {
            Some(run) if !run.is_over && len <= run.each => {
                run.end = end;
                run.is_over = len < run.each;
            }
            _ => self.runs.push(Run { end, each: len, is_over: false }),
        }
        self.bytes.get_mut(start..).unwrap_or_default()
    }

    /// A message for each run, or for each packet.
    pub(super) fn messages(&self, to: SocketAddr, segmented: bool) -> impl Iterator<Item = Message<'_>> {
        let starts = [0].into_iter().chain(self.runs.iter().map(|run| run.end));
        starts.zip(&self.runs).flat_map(move |(start, run)| {
            let run_bytes = self.bytes.get(start..run.end).unwrap_or_default();
            let each = if segmented { run_bytes.len() } else { usize::from(run.each) };
            run_bytes.chunks(each.max(1)).map(move |contents| Message {
                destination: to,
                local: None,
                contents,
                segment_size: NonZeroU16::new(run.each).filter(|_| segmented),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_packets_share_a_run_that_a_shorter_one_ends() {
        let to = "127.0.0.1:9".parse().unwrap();
        let mut arena = Arena::default();
        for len in [100, 100, 60, 60, 90] {
            assert_eq!(arena.push(&[1; 12], &vec![2; len - 28], &[0; 16]).len(), len);
        }
        let lengths = |segmented| -> Vec<(usize, usize)> {
            arena.messages(to, segmented).map(|message| (message.contents.len(), message.datagrams())).collect()
        };
        assert_eq!(lengths(true), [(260, 3), (60, 1), (90, 1)]);
        assert_eq!(lengths(false), [(100, 1), (100, 1), (60, 1), (60, 1), (90, 1)]);
        arena.clear();
        assert!(arena.is_empty() && arena.messages(to, true).next().is_none());
    }
}
