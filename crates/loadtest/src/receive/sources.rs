//! What came of each source, by the numbers in the stamps.

use crate::stamp::Stamp;
use crate::tally::Tally;

/// Sources one client can receive: whoever is in its room. A stamp of one more is not counted.
const MOST_SOURCES: usize = 4_096;
/// Switches whose time is kept; of later ones it is not.
const MOST_SWITCHES: usize = 4_096;

/// One source as a client receives it.
#[derive(Debug)]
struct Source {
    id: u32,
    tally: Tally,
    in_window: u32,
}

/// The sources of a client.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    sources: Vec<Source>,
    /// Where the last packet's stands: mostly the next packet's, too.
    last: usize,
    /// The source that is waited for, and since when.
    awaited: Option<(u32, u64)>,
    /// How long those waited for took, in ns.
    switches_ns: Vec<u64>,
}

impl Sources {
    /// Waits for a source. One that comes already is not waited for.
    pub(crate) fn handle_switch(&mut self, source: u32, now_ns: u64) {
        let current = self.sources.get(self.last).map(|source| source.id);
        self.awaited = (current != Some(source)).then_some((source, now_ns));
    }

    /// Notes a packet; whether it came for the first time.
    pub(crate) fn accept(&mut self, stamp: Stamp, in_window: bool, now_ns: u64) -> bool {
        if let Some((_, since)) = self.awaited.filter(|(source, _)| *source == stamp.source) {
            self.awaited = None;
            if self.switches_ns.len() < MOST_SWITCHES {
                self.switches_ns.push(now_ns.saturating_sub(since));
            }
        }
        let Some(source) = self.find(stamp.source) else { return false };
        let is_new = source.tally.accept(stamp.number.into());
        source.in_window += u32::from(is_new && in_window);
        is_new
    }

    /// How long the sources that were waited for took, in µs.
    pub(crate) fn switches_us(&self) -> impl Iterator<Item = u64> {
        self.switches_ns.iter().map(|ns| ns / 1_000)
    }

    /// Begins to count in a new window.
    pub(crate) fn handle_window(&mut self) {
        self.switches_ns.clear();
        self.sources.iter_mut().for_each(|source| source.in_window = 0);
    }

    /// Of each source the packets that were sent in the window and came.
    pub(crate) fn received(&self) -> impl Iterator<Item = (u32, u32)> {
        self.sources.iter().map(|source| (source.id, source.in_window))
    }

    fn find(&mut self, id: u32) -> Option<&mut Source> {
        if self.sources.get(self.last).is_none_or(|source| source.id != id) {
            self.last = match self.sources.iter().position(|source| source.id == id) {
                Some(at) => at,
                None if self.sources.len() < MOST_SOURCES => {
                    self.sources.push(Source { id, tally: Tally::new(), in_window: 0 });
                    self.sources.len() - 1
                }
                None => return None,
            };
        }
        self.sources.get_mut(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_counted_apart_and_copies_not_at_all() {
        let mut sources = Sources::default();
        let stamp = |source, number| Stamp { source, number, sent_ns: 0 };
        assert!(sources.accept(stamp(1, 0), false, 0), "before the window");
        for (source, number, expected) in [(1, 1, true), (2, 1, true), (1, 1, false), (1, 3, true), (2, 1, false)] {
            assert_eq!(sources.accept(stamp(source, number), true, 0), expected, "{source} {number}");
        }
        assert_eq!(sources.received().collect::<Vec<_>>(), [(1, 2), (2, 1)]);
        sources.handle_window();
        assert_eq!(sources.received().collect::<Vec<_>>(), [(1, 0), (2, 0)]);
    }
}
