//! A slot that goes on in another plane: its numbers do, whoever owned it and whatever was known of them do not.

use crate::config::SlotConfig;
use crate::descriptor::Ids;
use crate::key::PeerKey;
use crate::outbound::Slot;
use crate::outbound::clock::SlotClock;
use crate::outbound::rewrite::Numbering;
use crate::outbound::rtx::Retransmitter;

/// What of a slot goes on in another plane. Nothing in it names anything of the old one.
#[derive(Debug)]
pub(crate) struct Stream {
    config: SlotConfig,
    /// The index of the next packet, and of the next retransmission.
    next: u64,
    next_rtx: u64,
    /// The last ids given out.
    ids: Ids,
    clock: SlotClock,
    packets: u32,
    octets: u32,
    is_plain: bool,
    fraction_lost: u8,
}

impl Slot {
    /// Keeps what goes on. `waits` says whether the packet with an index has not left yet, and now never will.
    pub(crate) fn into_stream(self, waits: impl Fn(u64) -> bool) -> Stream {
        let mut next = self.next_index();
        // A number that never left is free, unless its packet was sent again before it was sent.
        while next.checked_sub(1).is_some_and(|last| waits(last) && !self.rtx.has_sent(last)) {
            next -= 1;
        }
        Stream {
            next,
            next_rtx: self.rtx.next(),
            ids: self.numbering.last(),
            config: self.config,
            clock: self.clock,
            packets: self.packets,
            octets: self.octets,
            is_plain: self.is_plain,
            fraction_lost: self.fraction_lost,
        }
    }

    /// A slot of `peer` that continues `stream`, by a clock that shows `shift` microseconds more than that of the old plane.
    pub(crate) fn resume(peer: PeerKey, stream: Stream, shift: i64) -> Self {
        let Stream { config, next, next_rtx, ids, clock, packets, octets, is_plain, fraction_lost } = stream;
        Self {
            numbering: Numbering::new(next, ids),
            rtx: Retransmitter::new(next_rtx),
            clock: clock.moved(shift),
            packets,
            octets,
            is_plain,
            fraction_lost,
            ..Self::new(peer, config, 0, [0; 2])
        }
    }
}

impl Stream {
    /// What was negotiated of the slot.
    pub(crate) const fn config(&self) -> &SlotConfig {
        &self.config
    }
}
