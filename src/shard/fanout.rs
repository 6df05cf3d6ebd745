//! Where the media plane's packets go: they wait for the flush, which seals and sends them.

use roundtable_media::Egress;
use roundtable_media::{PeerKey, Relayed};
use slab::Slab;

use super::arena::{Kind, Waiting};
use super::endpoint::Endpoint;
use super::lane::Lanes;
use super::stage::Outlet;

/// What the fan-out counts.
#[derive(Debug, Default, Clone, Copy)]
pub struct FanoutCounters {
    /// RTP packets on their way.
    pub rtp: u64,
    /// RTP packets given up: no keys, or too much waiting.
    pub dropped: u64,
    /// Packets handed to stages of the room on other shards.
    pub relayed: u64,
    /// Packets not handed on, as too much waited.
    pub not_relayed: u64,
}

/// The way from one room's plane to what waits for its members, borrowed for one call of the plane.
#[derive(Debug)]
pub struct Fanout<'a> {
    /// All endpoints of the shard.
    pub endpoints: &'a mut Slab<Box<Endpoint>>,
    /// Which endpoint a peer of the room's plane is.
    pub peers: &'a [Option<usize>],
    /// The ways to stages on other shards, by the plane's numbers.
    pub outlets: &'a [Outlet],
    /// What they go through.
    pub lanes: &'a mut Lanes,
    /// What waits to be sent.
    pub waiting: &'a mut Waiting,
    /// Endpoints with something to send.
    pub dirty: &'a mut Vec<usize>,
    /// What happened.
    pub counters: &'a mut FanoutCounters,
    /// While one packet goes out to all: where the last tail lay, and its length.
    pub tail: Option<(usize, usize)>,
    /// Whether one does.
    pub is_steady: bool,
}

impl Fanout<'_> {
    /// Puts a packet to what waits for a peer; `None` for a peer that is not there.
    fn push(&mut self, peer: PeerKey, kind: Kind, head: &[u8], tail: &[u8]) -> Option<bool> {
        let key = (*self.peers.get(peer.index())?)?;
        let endpoint = self.endpoints.get_mut(key)?;
        if !endpoint.transport.is_connected() {
            return Some(false);
        }
        let place = self.is_steady.then(|| (tail.as_ptr().addr(), tail.len()));
        let queue = &mut endpoint.queue;
        let pushed = match place {
            Some(_) if place == self.tail => self.waiting.push_with_last(queue, kind, head),
            _ => self.waiting.push(queue, kind, head, tail),
        };
        self.tail = place.filter(|_| pushed);
        if pushed && !endpoint.dirty {
            endpoint.dirty = true;
            self.dirty.push(key);
        }
        Some(pushed)
    }
}

impl Egress for Fanout<'_> {
    fn rtp(&mut self, peer: PeerKey, head: &[u8], header_len: usize, tail: &[u8], roc: u32) {
        if let Some(pushed) = self.push(peer, Kind::Rtp { header_len, roc }, head, tail) {
            self.counters.rtp += u64::from(pushed);
            self.counters.dropped += u64::from(!pushed);
        }
    }

    fn rtcp(&mut self, peer: PeerKey, compound: &[u8]) {
        self.push(peer, Kind::Rtcp, compound, &[]);
    }

    fn begin_fan_out(&mut self) {
        (self.is_steady, self.tail) = (true, None);
    }

    fn end_fan_out(&mut self) {
        self.is_steady = false;
    }

    fn expect(&self, peer: PeerKey) {
        let key = self.peers.get(peer.index()).copied().flatten();
        if let Some(endpoint) = key.and_then(|key| self.endpoints.get(key)) {
            endpoint.prefetch();
        }
    }

    fn relay(&mut self, to: u32, layer: u8, item: Relayed<'_>) {
        let Some(outlet) = self.outlets.get(to as usize) else { return };
        let handed = self.lanes.relay(outlet.shard, outlet.destination, layer, item);
        self.counters.relayed += u64::from(handed);
        self.counters.not_relayed += u64::from(!handed);
    }
}
