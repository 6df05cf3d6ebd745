//! Where a track goes beside its own plane.

use crate::event::{Egress, Relayed};
use crate::inbound::Track;

/// Where packets of a track go beside its own plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relay {
    /// The caller's number for the way there.
    pub(crate) to: u32,
    /// The encodings it wants, bit by bit.
    pub(crate) layers: u8,
}

impl Track {
    /// Hands something of a layer to the planes that want it.
    pub(crate) fn relay(&self, layer: u8, item: Relayed<'_>, out: &mut impl Egress) {
        for relay in self.relays.iter().filter(|relay| relay.layers >> layer & 1 == 1) {
            out.relay(relay.to, layer, item);
        }
    }

    /// The encodings that other planes want.
    pub(crate) fn relayed_layers(&self) -> u8 {
        self.relays.iter().fold(0, |layers, relay| layers | relay.layers)
    }
}
