//! Changes the inputs of a corpus: fuzzing where there is no fuzzer, and always the same from one seed.

/// No input grows beyond this.
const MAX_LEN: usize = 4096;
/// An input is changed in at most so many places.
const MAX_CHANGES: u64 = 4;
/// The longest piece that is inserted, left out or copied.
const MAX_PIECE: usize = 32;
/// The farthest a number is moved.
const MAX_STEP: u64 = 16;
/// Bytes at which parsers decide.
const TELLING: [u8; 8] = [0, 1, 0x0f, 0x10, 0x7f, 0x80, 0xfe, 0xff];

/// Makes one input after the other.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Equal seeds make equal inputs.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Fills `out` with one input of `corpus` that is changed in one to four places.
    pub fn mutate(&mut self, corpus: &[Vec<u8>], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.pick(corpus));
        for _ in 0..=self.below(MAX_CHANGES) {
            self.change(corpus, out);
        }
        out.truncate(MAX_LEN);
    }

    fn change(&mut self, corpus: &[Vec<u8>], out: &mut Vec<u8>) {
        let at = self.index(out.len());
        let end = out.len().min(at + 1 + self.index(MAX_PIECE));
        match self.below(9) {
            0 => self.set(out, at, |byte, random| byte ^ 1 << (random % 8)),
            1 => self.set(out, at, |_, random| random as u8),
            2 => self.set(out, at, |_, random| TELLING.get(random as usize % TELLING.len()).copied().unwrap_or(0)),
            3 => drop(out.drain(at..end)),
            4 => {
                let random = self.next();
                out.splice(at..at, random.to_be_bytes());
            }
            5 => {
                let piece = out.get(at..end).unwrap_or_default().to_vec();
                let to = self.index(out.len());
                out.splice(to..to, piece);
            }
            6 => out.truncate(at),
            7 => {
                let other = self.pick(corpus);
                let from = self.index(other.len());
                out.truncate(at);
                out.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => self.step(out, at),
        }
    }

    fn set(&mut self, out: &mut [u8], at: usize, value: impl FnOnce(u8, u64) -> u8) {
        let random = self.next();
        if let Some(byte) = out.get_mut(at) {
            *byte = value(*byte, random);
        }
    }

    /// Moves a number of 16 bits: a length, a count, a sequence number.
    fn step(&mut self, out: &mut [u8], at: usize) {
        let step = (self.below(2 * MAX_STEP + 1) as u16).wrapping_sub(MAX_STEP as u16);
        if let Some(place) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = u16::from_be_bytes(*place).wrapping_add(step).to_be_bytes();
        }
    }

    fn pick<'c>(&mut self, corpus: &'c [Vec<u8>]) -> &'c [u8] {
        let index = self.index(corpus.len());
        corpus.get(index).map_or(&[], Vec::as_slice)
    }

    /// A number below `len`; 0 if that is 0.
    fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: u64, corpus: &[Vec<u8>], count: usize) -> Vec<Vec<u8>> {
        let mut mutator = Mutator::new(seed);
        let mut out = Vec::new();
        (0..count)
            .map(|_| {
                mutator.mutate(corpus, &mut out);
                out.clone()
            })
            .collect()
    }

    #[test]
    fn a_seed_makes_the_same_inputs_again_and_another_seed_others() {
        let corpus = [b"one input".to_vec(), b"and another one".to_vec()];
        assert_eq!(inputs(1, &corpus, 100), inputs(1, &corpus, 100));
        assert_ne!(inputs(1, &corpus, 100), inputs(2, &corpus, 100));
    }

    #[test]
    fn inputs_grow_shrink_and_differ_from_those_they_are_made_of() {
        let corpus = [b"0123456789".to_vec()];
        let made = inputs(3, &corpus, 1000);
        assert!(made.iter().any(|input| input.len() > 10) && made.iter().any(|input| input.len() < 10));
        assert!(made.iter().filter(|&input| *input == corpus[0]).count() < 50);
        assert!(made.iter().all(|input| input.len() <= MAX_LEN));
    }

    #[test]
    fn empty_corpora_and_inputs_make_inputs_as_well() {
        assert!(inputs(4, &[], 100).iter().any(|input| !input.is_empty()));
        assert!(inputs(4, &[vec![]], 100).iter().any(|input| !input.is_empty()));
    }
}
