//! One direction of a path: a queue before a bottleneck, then delay, jitter, loss, reordering and duplicates.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::rng::Rng;

#[derive(Debug, Clone, Copy)]
pub struct LinkConfig {
    pub bps: f64,
    pub queue_ms: f64,
    pub delay_ms: f64,
    /// Standard deviation; packets keep their order.
    pub jitter_ms: f64,
    pub loss: f64,
    /// Gilbert: the chances to enter and to leave the state in which everything is lost.
    pub gilbert: Option<(f64, f64)>,
    /// The chance of a packet to come 30 ms late, past others.
    pub reorder: f64,
    pub duplicate: f64,
}

impl LinkConfig {
    pub fn new(bps: f64, delay_ms: f64) -> Self {
        Self { bps, queue_ms: 300.0, delay_ms, jitter_ms: 0.0, loss: 0.0, gilbert: None, reorder: 0.0, duplicate: 0.0 }
    }
}

#[derive(Debug)]
pub struct Link<P> {
    pub config: LinkConfig,
    /// Everything is lost while this is set.
    pub outage: bool,
    rng: Rng,
    bad: bool,
    clock: f64,
    queue: VecDeque<(P, f64)>,
    queued_bits: f64,
    arrivals: BinaryHeap<Reverse<(u64, u64)>>,
    packets: std::collections::HashMap<u64, P>,
    next: u64,
    last_arrival: f64,
}

impl<P: Clone> Link<P> {
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            outage: false,
            rng: Rng::new(seed),
            bad: false,
            clock: 0.0,
            queue: VecDeque::new(),
            queued_bits: 0.0,
            arrivals: BinaryHeap::new(),
            packets: std::collections::HashMap::new(),
            next: 0,
            last_arrival: 0.0,
        }
    }

    pub fn set_rate(&mut self, now_us: u64, bps: f64) {
        self.advance(now_us);
        self.config.bps = bps;
    }

    pub fn queue_ms(&self) -> f64 {
        self.queued_bits / self.config.bps * 1e3
    }

    pub fn send(&mut self, now_us: u64, packet: P, bytes: u16) {
        self.advance(now_us);
        if self.queue_ms() > self.config.queue_ms {
            return;
        }
        let bits = f64::from(bytes) * 8.0;
        self.queued_bits += bits;
        self.queue.push_back((packet, bits));
    }

    pub fn poll(&mut self, now_us: u64) -> Option<(u64, P)> {
        self.advance(now_us);
        let Reverse((at, id)) = *self.arrivals.peek()?;
        if at > now_us {
            return None;
        }
        self.arrivals.pop();
        Some((at, self.packets.remove(&id)?))
    }

    fn advance(&mut self, now_us: u64) {
        let now = now_us as f64;
        while let Some((_, bits)) = self.queue.front_mut() {
            let needs = *bits / self.config.bps * 1e6;
            if self.clock + needs > now {
                let served = (now - self.clock).max(0.0) * self.config.bps / 1e6;
                *bits -= served;
                self.queued_bits -= served;
                break;
            }
            self.clock += needs;
            self.queued_bits = (self.queued_bits - *bits).max(0.0);
            if let Some((packet, _)) = self.queue.pop_front() {
                self.depart(packet);
            }
        }
        if self.queue.is_empty() {
            self.queued_bits = 0.0;
        }
        self.clock = now.max(self.clock);
    }

    fn depart(&mut self, packet: P) {
        if let Some((enter, leave)) = self.config.gilbert {
            let flip = if self.bad { leave } else { enter };
            self.bad ^= self.rng.chance(flip);
        }
        if self.outage || self.bad || self.rng.chance(self.config.loss) {
            return;
        }
        let jitter = if self.config.jitter_ms > 0.0 { self.rng.normal() * self.config.jitter_ms } else { 0.0 };
        // Jitter is around the delay, but nothing is faster than light.
        let mut at = self.clock + (self.config.delay_ms + jitter).max(0.0) * 1e3;
        if self.rng.chance(self.config.reorder) {
            at += 30e3;
        } else {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        if self.rng.chance(self.config.duplicate) {
            self.deliver(at + 100.0, packet.clone());
        }
        self.deliver(at, packet);
    }

    fn deliver(&mut self, at: f64, packet: P) {
        self.packets.insert(self.next, packet);
        self.arrivals.push(Reverse((at as u64, self.next)));
        self.next += 1;
    }
}
