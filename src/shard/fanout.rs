//! Where the media plane's packets become datagrams: copied once into the receiver's arena and sealed there.

use roundtable_media::Egress;
use roundtable_media::{PeerKey, Relayed};
use slab::Slab;

use super::endpoint::Endpoint;
use super::lane::Lanes;
use super::stage::Outlet;

/// What the fan-out counts.
#[derive(Debug, Default, Clone, Copy)]
pub struct FanoutCounters {
    /// RTP packets sealed.
    pub rtp: u64,
    /// Packets not sealed: no keys, or too much waiting.
    pub dropped: u64,
    /// Packets handed to stages of the room on other shards.
    pub relayed: u64,
    /// Packets not handed on, as too much waited.
    pub not_relayed: u64,
}

/// The way from one room's plane to its members' arenas, borrowed for one call of the plane.
#[derive(Debug)]
pub struct Fanout<'a> {
    /// All endpoints of the shard.
    pub endpoints: &'a mut Slab<Endpoint>,
    /// Which endpoint a peer of the room's plane is.
    pub peers: &'a [Option<usize>],
    /// The ways to stages on other shards, by the plane's numbers.
    pub outlets: &'a [Outlet],
    /// What they go through.
    pub lanes: &'a mut Lanes,
    /// Endpoints with something to send.
    pub dirty: &'a mut Vec<usize>,
    /// Space for RTCP that is sealed.
    pub scratch: &'a mut Vec<u8>,
    /// What happened.
    pub counters: &'a mut FanoutCounters,
}

impl Fanout<'_> {
    fn endpoint(&mut self, peer: PeerKey) -> Option<(usize, &mut Endpoint)> {
        let key = (*self.peers.get(peer.index())?)?;
        Some((key, self.endpoints.get_mut(key)?))
    }

    fn finish(&mut self, key: usize, pushed: bool) {
        match self.endpoints.get_mut(key) {
            Some(endpoint) if pushed && !endpoint.dirty => {
                endpoint.dirty = true;
                self.dirty.push(key);
            }
            _ => {}
        }
    }
}

impl Egress for Fanout<'_> {
    fn rtp(&mut self, peer: PeerKey, head: &[u8], header_len: usize, tail: &[u8], roc: u32) {
        let Some((key, endpoint)) = self.endpoint(peer) else { return };
        let Endpoint { transport, arena, .. } = endpoint;
        let plain = head.len() + tail.len();
        let pushed = transport.sealer().is_some_and(|sealer| {
            arena.push(head, tail, sealer.overhead(), |packet| sealer.seal_rtp(packet, header_len, plain, roc))
        });
        self.counters.rtp += u64::from(pushed);
        self.counters.dropped += u64::from(!pushed);
        self.finish(key, pushed);
    }

    fn rtcp(&mut self, peer: PeerKey, compound: &[u8]) {
        self.scratch.clear();
        self.scratch.extend_from_slice(compound);
        let mut sealed = std::mem::take(self.scratch);
        if let Some((key, endpoint)) = self.endpoint(peer) {
            let Endpoint { transport, arena, .. } = endpoint;
            let pushed = transport.seal_rtcp(&mut sealed) && arena.push(&sealed, &[], 0, |packet| Some(packet.len()));
            self.finish(key, pushed);
        }
        *self.scratch = sealed;
    }

    fn relay(&mut self, to: u32, layer: u8, item: Relayed<'_>) {
        let Some(outlet) = self.outlets.get(to as usize) else { return };
        let handed = self.lanes.relay(outlet.shard, outlet.destination, layer, item);
        self.counters.relayed += u64::from(handed);
        self.counters.not_relayed += u64::from(!handed);
    }
}
