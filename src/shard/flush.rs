//! What waits is sealed and handed to the sockets, some peers at a time.

use super::arena::{Kind, Outgoing};
use super::core::Core;

/// What became of messages handed to the socket.
#[derive(Debug, Default, Clone, Copy)]
pub struct SendOutcome {
    /// Datagrams taken by the kernel.
    pub datagrams: u64,
    /// Datagrams not taken.
    pub dropped: u64,
    /// System calls made.
    pub calls: u64,
}

/// Where what is sealed goes.
pub trait Sink {
    /// Sends all; nothing is gathered on the way to the kernel's own list of it.
    fn send<'a>(&mut self, outgoing: impl Iterator<Item = Outgoing<'a>> + Clone) -> SendOutcome;
}

/// So many peers before their turn their keys are brought near.
const KEYS_AHEAD: usize = 4;

impl Core {
    /// Seals everything that waits, some peers at a time, hands it to `sink` and forgets it.
    pub fn flush(&mut self, sink: &mut impl Sink) {
        let mut at = 0;
        while let Some(&key) = self.dirty.get(at) {
            if let Some(ahead) = self.dirty.get(at + KEYS_AHEAD).and_then(|&key| self.endpoints.get(key)) {
                ahead.transport.prefetch_sealer();
            }
            self.seal(key);
            if self.arena.is_full() {
                self.send_sealed(sink);
            }
            at += 1;
        }
        self.dirty.clear();
        self.waiting.clear();
        self.send_sealed(sink);
    }

    /// Seals what waits for one peer.
    fn seal(&mut self, key: usize) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        self.current = Some(endpoint.room);
        let queue = std::mem::take(&mut endpoint.queue);
        endpoint.dirty = false;
        let Some(path) = endpoint.path else { return };
        let (arena, transport) = (&mut self.arena, &mut endpoint.transport);
        arena.next_peer();
        for (kind, head, tail, padding) in self.waiting.packets(queue) {
            match kind {
                Kind::Rtp { header_len, roc } => {
                    let Some(sealer) = transport.sealer() else { return };
                    let (plain, overhead) = (head.len() + tail.len() + usize::from(padding), sealer.overhead());
                    let seal = |packet: &mut [u8]| sealer.seal_rtp(packet, header_len, plain, roc);
                    arena.push(path, (head, tail, padding), overhead, seal);
                }
                Kind::Rtcp => {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(head);
                    if transport.seal_rtcp(&mut self.scratch) {
                        arena.push(path, (&self.scratch, &[], 0), 0, |packet| Some(packet.len()));
                    }
                }
            }
        }
    }

    /// Hands to `sink` what is sealed, and what transports have to say by themselves.
    fn send_sealed(&mut self, sink: &mut impl Sink) {
        if !self.control.is_empty() || !self.arena.is_empty() {
            let control = self.control.iter().map(|t| Outgoing { path: t.path, contents: &t.contents, segment: None });
            let outcome = sink.send(control.chain(self.arena.messages()));
            self.counters.datagrams_out += outcome.datagrams;
            self.counters.send_drops += outcome.dropped;
            self.counters.send_calls += outcome.calls;
        }
        self.control.clear();
        self.arena.clear();
    }
}
