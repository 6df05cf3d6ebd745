//! Which SSRC of a publisher belongs to which layer of which track.

use roundtable_wire::Unwrapper16;

use crate::inbound::stats::ReceiveStats;
use crate::key::TrackKey;

/// SSRCs one peer may have bound: two simulcast tracks with retransmissions, two audio tracks, and some to spare.
/// What comes beyond is dropped and counted.
pub(crate) const MAX_SOURCES: usize = 16;
/// Unknown SSRCs that are remembered; the one longest unseen gives way.
const MAX_STRANGERS: usize = 8;
/// Packets of an unknown SSRC that are searched for a mid. After that it is dropped unread.
pub(crate) const MAX_TRIES: u8 = 20;

/// The bound SSRCs of one peer.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    known: Vec<Source>,
    strangers: Vec<Stranger>,
    /// What was bound in another plane, at most [`MAX_SOURCES`]: browsers name an SSRC in its first packets only.
    remembered: Vec<Remembered>,
}

/// What one SSRC carries.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) ssrc: u32,
    pub(crate) place: Place,
    pub(crate) stats: ReceiveStats,
    /// Counts the retransmissions; the layer's window counts the media.
    pub(crate) unwrapper: Unwrapper16,
}

/// The part an SSRC plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) track: TrackKey,
    pub(crate) layer: u8,
    /// It carries retransmissions (RFC 4588), not the media itself.
    pub(crate) is_repair: bool,
}

#[derive(Debug)]
struct Stranger {
    ssrc: u32,
    tries: u8,
}

/// What an SSRC carried in another plane.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) ssrc: u32,
    pub(crate) name: Name,
    pub(crate) is_repair: bool,
    pub(crate) stats: ReceiveStats,
}

/// An encoding by what is negotiated of it.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) mid: String,
    /// `None` without simulcast.
    pub(crate) rid: Option<String>,
}

/// What became of a wish to bind an SSRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The place was free.
    Fresh,
    /// Another SSRC had the place: the publisher has started anew.
    Replaced,
    /// The peer has [`MAX_SOURCES`] already.
    Refused,
}

impl Sources {
    pub(crate) fn find_mut(&mut self, ssrc: u32) -> Option<&mut Source> {
        // A handful of words in a row: quicker than hashing.
        self.known.iter_mut().find(|source| source.ssrc == ssrc)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.known.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.known.iter_mut()
    }

    /// Gives `ssrc` a place; whoever had the place loses it.
    pub(crate) fn bind(&mut self, ssrc: u32, place: Place) -> Bound {
        let before = self.known.len();
        self.known.retain(|source| source.place != place && source.ssrc != ssrc);
        let bound = if self.known.len() < before { Bound::Replaced } else { Bound::Fresh };
        if self.known.len() >= MAX_SOURCES {
            return Bound::Refused;
        }
        self.strangers.retain(|stranger| stranger.ssrc != ssrc);
        self.remembered.retain(|remembered| remembered.ssrc != ssrc);
        self.known.push(Source { ssrc, place, stats: ReceiveStats::default(), unwrapper: Unwrapper16::new() });
        bound
    }

    /// What of it goes on in another plane: what each SSRC carries, by the name that `name` has for its place.
    pub(crate) fn moved(self, name: impl Fn(Place) -> Option<Name>) -> Self {
        let known = self.known.into_iter().filter_map(|Source { ssrc, place, stats, .. }| {
            Some(Remembered { ssrc, name: name(place)?, is_repair: place.is_repair, stats: stats.moved() })
        });
        let remembered = known.chain(self.remembered).take(MAX_SOURCES).collect();
        Self { remembered, ..Self::default() }
    }

    /// Takes out what is remembered of the m-line `mid`.
    pub(crate) fn recall(&mut self, mid: &str) -> Vec<Remembered> {
        self.remembered.extract_if(.., |remembered| remembered.name.mid == mid).collect()
    }

    /// Takes away the places of a track.
    pub(crate) fn unbind(&mut self, track: TrackKey) {
        self.known.retain(|source| source.place.track != track);
    }

    /// Whether a packet of an unknown SSRC is still worth searching; it is counted.
    pub(crate) fn try_stranger(&mut self, ssrc: u32) -> bool {
        if let Some(stranger) = self.strangers.iter_mut().find(|stranger| stranger.ssrc == ssrc) {
            let is_worth = stranger.tries < MAX_TRIES;
            stranger.tries = stranger.tries.saturating_add(1);
            return is_worth;
        }
        if self.strangers.len() == MAX_STRANGERS {
            self.strangers.remove(0);
        }
        self.strangers.push(Stranger { ssrc, tries: 1 });
        true
    }

    /// Forgets how often unknown SSRCs were searched: there is a new track they may belong to.
    pub(crate) fn forgive_strangers(&mut self) {
        self.strangers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Arena;

    fn place(layer: u8) -> Place {
        Place { track: Arena::<TrackKey, ()>::new().insert(()), layer, is_repair: false }
    }

    #[test]
    fn a_place_has_one_ssrc_and_an_ssrc_one_place() {
        let mut sources = Sources::default();
        assert_eq!(sources.bind(1, place(0)), Bound::Fresh);
        assert_eq!(sources.bind(2, place(0)), Bound::Replaced);
        assert_eq!(sources.bind(2, place(1)), Bound::Replaced);
        let bound: Vec<_> = sources.iter().map(|source| (source.ssrc, source.place.layer)).collect();
        assert_eq!(bound, [(2, 1)]);
    }

    #[test]
    fn bounds_hold() {
        let mut sources = Sources::default();
        for n in 0..MAX_SOURCES as u8 {
            assert_eq!(sources.bind(u32::from(n), place(n)), Bound::Fresh);
        }
        assert_eq!(sources.bind(99, place(99)), Bound::Refused);
        assert!(sources.find_mut(99).is_none());

        for mid in ["a", "b"] {
            sources = sources.moved(|_| Some(Name { mid: mid.to_owned(), rid: None }));
            for n in 0..MAX_SOURCES as u8 - 1 {
                sources.bind(100 + u32::from(n), place(n));
            }
        }
        sources = sources.moved(|_| Some(Name { mid: "c".to_owned(), rid: None }));
        let remembered = ["c", "b", "a"].map(|mid| sources.recall(mid).len());
        assert_eq!(remembered, [MAX_SOURCES - 1, 0, 1], "what was heard last is remembered first");

        let searched = (0..100).filter(|_| sources.try_stranger(7)).count();
        assert_eq!(searched, usize::from(MAX_TRIES));
        for ssrc in 0..100 {
            sources.try_stranger(ssrc);
        }
        assert_eq!(sources.strangers.len(), MAX_STRANGERS);
    }
}
