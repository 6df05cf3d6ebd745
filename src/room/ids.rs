//! The ids that a room gives.

use roundtable_protocol::{MemberId, MessageId, TrackId};

/// Makes ids that do not repeat within a server's life.
#[derive(Debug)]
pub struct Ids {
    state: u64,
}

impl Ids {
    /// Begins; `seed` makes them unguessable enough not to collide. They are no secrets.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): a bijection of a counter, so no value repeats within 2⁶⁴.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A member's.
    pub fn member(&mut self) -> MemberId {
        // INVARIANT: a letter and hexadecimal digits are an id.
        MemberId::new(format!("m{:016x}", self.next())).expect("a letter and digits")
    }

    /// A track's.
    pub fn track(&mut self) -> TrackId {
        // INVARIANT: as above.
        TrackId::new(format!("t{:016x}", self.next())).expect("a letter and digits")
    }

    /// A message's.
    pub fn message(&mut self) -> MessageId {
        // INVARIANT: as above.
        MessageId::new(format!("c{:016x}", self.next())).expect("a letter and digits")
    }
}
