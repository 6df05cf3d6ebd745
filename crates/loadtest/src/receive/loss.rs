//! Loss on the way to a client, made by the client itself.

/// Drops packets at random, the same ones for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    /// Of 2³² packets that many are dropped.
    of_2_32: u64,
    state: u64,
}

impl Loss {
    /// Drops the given part of the packets, 0 to 1.
    pub(crate) fn new(part: f64, seed: u64) -> Self {
        Self { of_2_32: (part.clamp(0.0, 1.0) * 4_294_967_296.0) as u64, state: seed | 1 }
    }

    /// Whether the next packet is dropped.
    pub(crate) fn drops(&mut self) -> bool {
        if self.of_2_32 == 0 {
            return false;
        }
        // xorshift64* (Vigna 2016): chance for a test, not for keys.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32 < self.of_2_32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_asked_for_is_dropped() {
        for part in [0.0, 0.05, 0.5, 1.0] {
            let mut loss = Loss::new(part, 99);
            let dropped = (0..100_000).filter(|_| loss.drops()).count();
            assert!((dropped as f64 / 100_000.0 - part).abs() < 0.01, "{part}: {dropped}");
        }
    }
}
