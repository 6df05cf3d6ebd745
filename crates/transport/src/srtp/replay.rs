//! The packet index of RFC 3711 §3.3.1 and the replay list of §3.3.2.

/// The highest index seen and which of those shortly below it came; the window is 64 × `WORDS` wide.
#[derive(Debug, Clone)]
pub(super) struct ReplayWindow<const WORDS: usize> {
    highest: Option<u64>,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    const WIDTH: u64 = 64 * WORDS as u64;

    pub(super) fn new() -> Self {
        Self { highest: None, seen: [0; WORDS] }
    }

    /// Extends a sequence number to the likeliest 48-bit index; `None` if that would be below zero.
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(u64::from(sequence)) };
        let (last, rollovers) = (highest & 0xffff, highest >> 16);
        let wide = u64::from(sequence);
        let rollovers = if last < 0x8000 && wide > last + 0x8000 {
            rollovers.checked_sub(1)?
        } else if last >= 0x8000 && wide < last - 0x8000 {
            rollovers + 1
        } else {
            rollovers
        };
        Some(rollovers << 16 | wide)
    }

    /// Whether a packet of this index is new; it is not when too old to tell.
    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.highest {
            Some(highest) if index <= highest => highest - index < Self::WIDTH && self.word(index) & bit(index) == 0,
            _ => true,
        }
    }

    /// Notes a packet whose tag was right.
    pub(super) fn accept(&mut self, index: u64) {
        let first_to_clear = match self.highest {
            Some(highest) if index <= highest => None,
            Some(highest) if index - highest < Self::WIDTH => Some(highest + 1),
            _ => {
                self.seen = [0; WORDS];
                None
            }
        };
        if let Some(first) = first_to_clear {
            (first..index).for_each(|between| *self.word_mut(between) &= !bit(between));
        }
        *self.word_mut(index) |= bit(index);
        self.highest = self.highest.max(Some(index));
    }

    fn word(&self, index: u64) -> u64 {
        self.seen[(index / 64 % WORDS as u64) as usize] // The remainder is below `WORDS`.
    }

    fn word_mut(&mut self, index: u64) -> &mut u64 {
        &mut self.seen[(index / 64 % WORDS as u64) as usize] // As above.
    }
}

fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_follows_the_sequence_number_across_rollovers() {
        let mut window = ReplayWindow::<16>::new();
        assert_eq!(window.estimate(65_530), Some(65_530), "the first packet has rollover counter zero");
        window.accept(65_530);
        assert_eq!(window.estimate(2), Some(65_538));
        window.accept(65_538);
        assert_eq!(window.estimate(65_535), Some(65_535), "a late one from before the rollover");
        assert_eq!(window.estimate(32_770), Some(65_536 + 32_770), "RFC 3711 keeps the counter at 2^15 apart");
        assert_eq!(window.estimate(32_771), Some(32_771));

        let mut young = ReplayWindow::<16>::new();
        young.accept(3);
        assert_eq!(young.estimate(65_000), None, "before the first rollover nothing is older");
    }

    #[test]
    fn each_index_within_the_window_is_new_once() {
        let mut window = ReplayWindow::<4>::new();
        for index in [1_000, 1_001, 1_255, 1_256, 1_300, 1_100, 5_000] {
            assert!(window.is_new(index), "{index}");
            window.accept(index);
            assert!(!window.is_new(index), "{index} again");
        }
        assert!(window.is_new(4_745), "255 behind");
        assert!(!window.is_new(4_744), "256 behind");
        assert!(!window.is_new(1_300), "long past");
    }

    proptest::proptest! {
        #[test]
        fn the_window_agrees_with_a_set(steps in proptest::collection::vec(0u64..700, 1..400)) {
            let mut window = ReplayWindow::<4>::new();
            let mut set = std::collections::HashSet::new();
            let mut base = 0;
            for step in steps {
                let index = base + step;
                let highest = set.iter().max().copied();
                let expected = !set.contains(&index) && highest.is_none_or(|highest: u64| index + 256 > highest);
                proptest::prop_assert_eq!(window.is_new(index), expected);
                if expected {
                    window.accept(index);
                    set.insert(index);
                }
                base += step % 5;
            }
        }
    }
}
