//! What can be forwarded of a track and what each choice costs, for the allocator.
//!
//! Costs are rates on the wire as the estimator counts them: of every packet that is forwarded its RTP header, header
//! extensions, payload, SRTP tag, UDP and IP. What a publisher says of its layers is the payload's rate alone, so the
//! rest is added to it.

mod layer;
mod meter;
#[cfg(test)]
mod tests;

use roundtable_wire::LayersAllocation;

use self::layer::Layer;
use crate::allocate::Rung;
use crate::bwe::Bitrate;
use crate::config::MAX_LAYERS;
use crate::frame::{FrameInfo, Target};
use crate::moment::Moment;

/// Spatial layers of one encoding that are told apart; higher ones count as the highest.
const MAX_SPATIAL: usize = 8;
/// Encodings and their spatial layers.
const MAX_PLACES: usize = MAX_LAYERS * MAX_SPATIAL;
/// Of two without known sizes the larger is the one with so many times the bit rate, …
const BETTER: f64 = 1.25;
/// … by default these from the lowest on, …
const USUAL: [Bitrate; 3] = [Bitrate::kbps(150), Bitrate::kbps(500), Bitrate::kbps(1500)];
/// … of which the lowest two of several temporal layers have these shares.
const USUAL_TEMPORAL: [f64; 2] = [0.5, 0.75];
/// Lines of the largest picture if none is known; each lower one has half of them.
const USUAL_HEIGHT: u16 = 720;
const USUAL_FPS: f32 = 30.0;
/// One more temporal layer costs at least this share more.
const TEMPORAL_SHARE: f64 = 1.02;

/// One thing that can be forwarded: an encoding and a decode target of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) layer: u8,
    pub(crate) target: u8,
    /// The spatial layer of the target; that of the rung is its place among all encodings.
    pub(crate) spatial: u8,
    pub(crate) rung: Rung,
}

/// What one track offers.
#[derive(Debug)]
pub(crate) struct Ladder {
    layers: Vec<Layer>,
    /// Encodings and their spatial layers from the lowest to the highest; no more than [`MAX_PLACES`].
    order: Vec<Place>,
}

/// A spatial layer of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    layer: u8,
    spatial: u8,
}

impl Ladder {
    /// A ladder of so many encodings, at most [`MAX_LAYERS`], of which nothing is known.
    pub(crate) fn new(layers: usize) -> Self {
        let layers: Vec<_> = (0..layers.min(MAX_LAYERS)).map(|_| Layer::new()).collect();
        let mut ladder = Self { layers, order: Vec::with_capacity(MAX_PLACES) };
        ladder.sort();
        ladder
    }

    /// Takes a packet of an encoding; `bytes` is the whole RTP packet without its SRTP tag.
    pub(crate) fn handle_packet(&mut self, now: Moment, layer: u8, frame: &FrameInfo, bytes: usize) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
            layer.handle_packet(now, frame, bytes);
        }
    }

    /// Takes the decode targets by which the frames to come are numbered.
    pub(crate) fn handle_targets(&mut self, layer: u8, targets: &[Target]) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
            layer.handle_targets(targets);
        }
        self.sort();
    }

    /// Takes the size of an encoding that does not tell it with its targets.
    pub(crate) fn handle_size(&mut self, layer: u8, width: u16, height: u16) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
            layer.handle_size(width, height);
        }
        self.sort();
    }

    /// Takes what the publisher says of its layers in a packet of encoding `layer`. Its streams are taken for our
    /// encodings if it gives this one the same number; otherwise only what it says of this one counts.
    pub(crate) fn handle_allocation(&mut self, now: Moment, allocation: &LayersAllocation, layer: u8) {
        let is_ours = allocation.stream() == layer;
        for (at, state) in (0..).zip(&mut self.layers) {
            if is_ours || at == layer {
                let stream = if is_ours { at } else { allocation.stream() };
                state.handle_allocation(now, allocation.layers().iter().filter(|said| said.stream == stream));
            }
        }
        self.sort();
    }

    /// Closes a period of measuring, every 250 ms.
    pub(crate) fn handle_tick(&mut self, now: Moment) {
        self.layers.iter_mut().for_each(|layer| layer.handle_tick(now));
        self.sort();
    }

    /// Tells whether the publisher was asked not to send an encoding: it counts as alive, as it comes when it is
    /// wanted. When it is wanted again, its packets are waited for a while.
    pub(crate) fn set_sleeping(&mut self, now: Moment, layer: u8, sleeping: bool) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
            layer.set_sleeping(now, sleeping);
        }
    }

    /// Whether an encoding is received, or would be if it were wanted.
    #[cfg(test)]
    pub(crate) fn is_live(&self, now: Moment, layer: u8) -> bool {
        self.layers.get(usize::from(layer)).is_some_and(|layer| layer.alive(now).is_some())
    }

    /// All that can be forwarded in the order of its cost, into `steps`.
    pub(crate) fn steps(&self, now: Moment, steps: &mut Vec<Step>) {
        steps.clear();
        let count = self.order.len();
        for (rank, place) in self.order.iter().enumerate() {
            let Some(layer) = self.layers.get(usize::from(place.layer)) else { continue };
            let top = layer.top(place.spatial);
            let halvings = (count - rank - 1).min(3);
            let height = layer.size(place.spatial).map_or(USUAL_HEIGHT >> halvings, |(_, height)| height);
            let mut floor = Bitrate::ZERO;
            for temporal in 0..=top {
                let Some(target) = layer.offered(place.spatial, temporal) else { continue };
                let usual = usual_cost(rank, count, temporal, top);
                let cost = layer.cost(now, target).unwrap_or(usual).max(floor);
                floor = cost.scale(TEMPORAL_SHARE) + Bitrate::bps(1);
                let usual_fps = layer.max_fps(place.spatial).unwrap_or(USUAL_FPS) / f32::from(1u8 << (top - temporal));
                let rung = Rung {
                    spatial: rank as u8, // No more than MAX_PLACES.
                    temporal,
                    cost,
                    height,
                    fps: layer.fps(target).unwrap_or(usual_fps),
                    alive: layer.spatial_alive(now, place.spatial),
                };
                steps.push(Step { layer: place.layer, target, spatial: place.spatial, rung });
            }
        }
        steps.sort_unstable_by_key(|step| (step.rung.cost, step.rung.spatial, step.rung.temporal));
    }

    /// What comes of an encoding in all, on the wire.
    pub(crate) fn bitrate(&self, layer: u8) -> Bitrate {
        self.layers.get(usize::from(layer)).map_or(Bitrate::ZERO, Layer::bitrate)
    }

    /// Brings the places in order: by size where all sizes are known, else by bit rate with some slack, so that two
    /// that are much alike do not change places. What was in order stays in order.
    fn sort(&mut self) {
        let Self { layers, order } = self;
        let count = |place: &Place| layers.get(usize::from(place.layer)).map_or(0, Layer::spatial_count);
        order.retain(|place| place.spatial < count(place));
        for (at, layer) in (0u8..).zip(layers.iter()) {
            for spatial in 0..layer.spatial_count() {
                let place = Place { layer: at, spatial };
                if !order.contains(&place) {
                    order.push(place);
                }
            }
        }
        let pixels = |place: &Place| {
            let size = layers.get(usize::from(place.layer)).and_then(|layer| layer.size(place.spatial));
            size.map(|(width, height)| u32::from(width) * u32::from(height))
        };
        let by_size = order.iter().all(|place| pixels(place).is_some());
        let rate = |place: &Place| {
            let known = layers.get(usize::from(place.layer)).and_then(|layer| layer.usual_cost(place.spatial));
            let rank = usize::from(place.layer) + usize::from(place.spatial);
            known.or_else(|| USUAL.get(rank).copied()).unwrap_or(Bitrate::ZERO).as_f64()
        };
        let is_larger = |a: &Place, b: &Place| match (by_size, pixels(a), pixels(b)) {
            (true, a, b) if a != b => a > b,
            _ if a.layer == b.layer => a.spatial > b.spatial,
            _ => rate(a) > BETTER * rate(b),
        };
        // A few places that are nearly always in order.
        for end in (1..order.len()).rev() {
            for at in 0..end {
                if let Some([a, b]) = order.get_mut(at..at + 2)
                    && is_larger(a, b)
                {
                    std::mem::swap(a, b);
                }
            }
        }
    }
}

/// What a rung costs of which nothing was said or measured.
fn usual_cost(rank: usize, count: usize, temporal: u8, top: u8) -> Bitrate {
    // One of one is like the middle of three, and of two the lower ones.
    let place = if count == 1 { 1 } else { rank };
    let whole = USUAL.get(place.min(USUAL.len() - 1)).copied().unwrap_or(Bitrate::ZERO);
    let share = if temporal < top { USUAL_TEMPORAL.get(usize::from(temporal)) } else { None };
    whole.scale(share.copied().unwrap_or(1.0))
}
