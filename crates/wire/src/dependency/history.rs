//! The structures of one stream, so that each packet is read beside the right one.

use std::sync::Arc;

use crate::dependency::{Descriptor, DescriptorError, Frame, Layout, Structure};

/// Keeps the last two structures of an RTP stream and the decode targets that are active.
///
/// A structure holds from the packet that carries it up to the packet that carries the next one. Two are kept, because
/// packets from before a keyframe may come after its first; those from before both are refused as
/// [`DescriptorError::NoStructure`]. A structure that comes again is the same one, whatever it allocated before.
#[derive(Debug, Clone, Default)]
pub struct StructureHistory {
    newest: Option<Known>,
    older: Option<Known>,
}

/// A structure and from which packet on it holds.
#[derive(Debug, Clone)]
struct Known {
    structure: Arc<Structure>,
    since: u64,
    active: u32,
    /// The packet that said which decode targets are active.
    active_since: u64,
}

/// What a packet's descriptor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// The frame the packet is a piece of.
    pub frame: Frame,
    /// Where the bytes of the descriptor can be changed.
    pub layout: Layout,
    /// The structure it was read beside.
    pub structure: &'a Arc<Structure>,
    /// Whether the packet itself carries the structure.
    pub carries_structure: bool,
    /// The decode targets the stream feeds, as the latest packet of the structure said.
    pub active_decode_targets: u32,
}

impl StructureHistory {
    /// A history of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { newest: None, older: None }
    }

    /// Reads the descriptor of the packet with this sequence number, extended by an unwrapper of the stream.
    pub fn handle(&mut self, sequence: u64, data: &[u8]) -> Result<Received<'_>, DescriptorError> {
        let current = self.at(sequence).map(|known| &*known.structure);
        let (mut descriptor, layout) = Descriptor::read(data, current)?;
        let frame = descriptor.resolve(current)?;
        let carries_structure = descriptor.structure.is_some();
        if let Some(structure) = descriptor.structure.take() {
            self.remember(sequence, structure);
        }
        // A structure older than both that are kept is not: its packet stands alone and is of no use any more.
        let known = self.at_mut(sequence).ok_or(DescriptorError::NoStructure)?;
        if let Some(mask) = descriptor.active_decode_targets.filter(|_| sequence >= known.active_since) {
            (known.active, known.active_since) = (mask, sequence);
        }
        let active_decode_targets = known.active;
        Ok(Received { frame, layout, structure: &known.structure, carries_structure, active_decode_targets })
    }

    /// The structure that came last in the order of the stream.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<Structure>> {
        self.newest.as_ref().map(|known| &known.structure)
    }

    /// The decode targets the stream feeds now, the first one in the lowest bit; 0 before the first structure.
    #[must_use]
    pub fn active_decode_targets(&self) -> u32 {
        self.newest.as_ref().map_or(0, |known| known.active)
    }

    fn remember(&mut self, sequence: u64, structure: Structure) {
        if self.older.as_ref().is_some_and(|older| sequence < older.since) {
            return;
        }
        let active = structure.all_decode_targets();
        // Chromium repeats the structure on every keyframe: what comes late from before one is still read beside it.
        if let Some(newest) = self.newest.as_mut().filter(|newest| *newest.structure == structure) {
            if sequence > newest.active_since {
                (newest.active, newest.active_since) = (active, sequence);
            }
            newest.since = newest.since.min(sequence);
            return;
        }
        let known = Known { structure: Arc::new(structure), since: sequence, active, active_since: sequence };
        match &mut self.newest {
            Some(newest) if sequence == newest.since => *newest = known,
            Some(newest) if sequence < newest.since => self.older = Some(known),
            newest => self.older = newest.replace(known),
        }
    }

    fn at(&self, sequence: u64) -> Option<&Known> {
        [&self.newest, &self.older].into_iter().flatten().find(|known| known.since <= sequence)
    }

    fn at_mut(&mut self, sequence: u64) -> Option<&mut Known> {
        [&mut self.newest, &mut self.older].into_iter().flatten().find(|known| known.since <= sequence)
    }
}
