//! Losses that come in bursts.

/// The Gilbert model: a good state that loses nothing and a bad one that loses everything.
///
/// The chance to leave the bad state is one by the mean burst; the chance to enter it follows from the share
/// that is to be lost in the long run.
#[derive(Debug, Clone, Default)]
pub struct Gilbert {
    is_bad: bool,
}

impl Gilbert {
    /// Decides about one packet. `share` of 0 to 1 is lost in the long run, in bursts of `mean_burst` packets;
    /// `luck` is a number from 0 to below 1.
    #[must_use]
    pub fn loses(&mut self, share: f64, mean_burst: f64, luck: f64) -> bool {
        if share <= 0.0 {
            self.is_bad = false;
            return false;
        }
        if share >= 1.0 {
            self.is_bad = true;
            return true;
        }
        let leave = 1.0 / mean_burst.max(1.0);
        let enter = (share * leave / (1.0 - share)).min(1.0);
        self.is_bad = if self.is_bad { luck >= leave } else { luck < enter };
        self.is_bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    /// The share lost and the mean length of the bursts.
    fn observe(share: f64, mean_burst: f64) -> (f64, f64) {
        let (mut gilbert, mut random) = (Gilbert::default(), Random::new(3));
        let fates: Vec<bool> = (0..200_000).map(|_| gilbert.loses(share, mean_burst, random.unit())).collect();
        let lost = fates.iter().filter(|lost| **lost).count() as f64;
        let bursts = fates.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        (lost / fates.len() as f64, lost / bursts)
    }

    #[test]
    fn share_and_mean_burst_are_what_was_asked_for() {
        for (share, burst) in [(0.1, 5.0), (0.02, 10.0), (0.3, 2.0)] {
            let (seen_share, seen_burst) = observe(share, burst);
            assert!((seen_share / share - 1.0).abs() < 0.08, "share {seen_share} for {share}");
            assert!((seen_burst / burst - 1.0).abs() < 0.08, "burst {seen_burst} for {burst}");
        }
    }

    #[test]
    fn nothing_and_everything_can_be_lost() {
        let mut gilbert = Gilbert::default();
        assert!((0..100).all(|_| !gilbert.loses(0.0, 5.0, 0.0)));
        assert!((0..100).all(|_| gilbert.loses(1.0, 5.0, 0.1)));
        assert!(!gilbert.loses(0.0, 5.0, 0.0), "set to nothing, a burst ends at once");
    }
}
