//! Which encodings of a track anybody wants, and what its publisher was told of that.

use std::time::Duration;

use crate::config::MAX_LAYERS;
use crate::moment::Moment;

/// An encoding that nobody wants for this long may stop; one that is wanted again may start at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compares wishes with what was told. Bit i stands for the encoding i.
#[derive(Debug)]
pub(crate) struct LayerDemand {
    told: u8,
    unwanted_since: [Option<Moment>; MAX_LAYERS],
    layers: usize,
}

impl LayerDemand {
    /// Of a publisher that has been told nothing, and so sends everything.
    pub(crate) fn new(layers: usize) -> Self {
        let layers = layers.min(MAX_LAYERS);
        Self { told: ((1_u16 << layers) - 1) as u8, unwanted_since: [None; MAX_LAYERS], layers }
    }

    /// Takes what is wanted now; returns what the publisher is to be told, if that is something new.
    pub(crate) fn update(&mut self, now: Moment, wanted: u8) -> Option<u8> {
        let mut tell = self.told;
        for (layer, since) in self.unwanted_since.iter_mut().take(self.layers).enumerate() {
            let bit = 1 << layer;
            if wanted & bit != 0 {
                (*since, tell) = (None, tell | bit);
            } else if now.saturating_duration_since(*since.get_or_insert(now)) >= PATIENCE {
                tell &= !bit;
            }
        }
        (std::mem::replace(&mut self.told, tell) != tell).then_some(tell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_stops_after_a_while_and_comes_back_at_once() {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut demand = LayerDemand::new(3);
        assert_eq!(demand.update(at(0), 0b010), None);
        assert_eq!(demand.update(at(4_999), 0b010), None);
        assert_eq!(demand.update(at(5_000), 0b010), Some(0b010));
        assert_eq!(demand.update(at(5_001), 0b100), Some(0b110), "the old one may go on until it is missed by nobody");
        assert_eq!(demand.update(at(10_000), 0b100), None);
        assert_eq!(demand.update(at(10_001), 0b100), Some(0b100));
        assert_eq!(demand.update(at(10_002), 0b111), Some(0b111));
    }

    #[test]
    fn a_short_look_away_changes_nothing() {
        let start = Moment::ORIGIN;
        let mut demand = LayerDemand::new(1);
        for second in 0..60 {
            let wanted = u8::from(second % 4 == 0);
            assert_eq!(demand.update(start + Duration::from_secs(second), wanted), None);
        }
    }
}
