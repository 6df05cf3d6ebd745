//! A publisher that sends three encodings of three temporal layers each, as Chromium does.

use std::collections::VecDeque;

use super::rng::Rng;

pub const LAYERS: [(f64, u16); 3] = [(148e3, 180), (355e3, 360), (1175e3, 720)];
/// The share of a layer's rate up to each temporal layer (libvpx), and the frames a second.
pub const TEMPORAL: [(f64, f32); 3] = [(0.4, 7.5), (0.6, 15.0), (1.0, 30.0)];
const PATTERN: [u8; 4] = [0, 2, 1, 2];
const FRAME_US: u64 = 33_333;
const PACKET: u16 = 1200;
/// A keyframe has so many times the bytes of a frame of the lowest temporal layer.
const KEYFRAME: f64 = 4.0;
/// From the request to the picture that is coded as a keyframe, and between two of them.
const KEYFRAME_DELAY_US: u64 = 40_000;
const KEYFRAME_SPACING_US: u64 = 500_000;
/// The publisher paces at this rate.
const PACE_BPS: f64 = 4.5e6;

#[derive(Debug, Clone, Copy)]
pub struct SourcePacket {
    pub frame: u64,
    pub spatial: u8,
    pub temporal: u8,
    pub key: bool,
    pub index: u16,
    pub count: u16,
    pub size: u16,
}

#[derive(Debug)]
pub struct Source {
    rng: Rng,
    next_frame_us: u64,
    frame: u64,
    phase: usize,
    wanted_us: Option<u64>,
    last_key_us: Option<u64>,
    pace_us: f64,
    ready: VecDeque<(u64, SourcePacket)>,
    pub keyframes: u32,
}

impl Source {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x50_0ce);
        let first = (rng.uniform() * FRAME_US as f64) as u64;
        Self {
            rng,
            next_frame_us: first,
            frame: 0,
            phase: 0,
            wanted_us: Some(0),
            last_key_us: None,
            pace_us: 0.0,
            ready: VecDeque::new(),
            keyframes: 0,
        }
    }

    pub fn request_keyframe(&mut self, now_us: u64) {
        if self.wanted_us.is_none() {
            let spaced = self.last_key_us.map_or(0, |last| last + KEYFRAME_SPACING_US);
            self.wanted_us = Some((now_us + KEYFRAME_DELAY_US).max(spaced));
        }
    }

    pub fn poll(&mut self, now_us: u64) -> Option<SourcePacket> {
        while self.next_frame_us <= now_us {
            self.encode(self.next_frame_us);
            self.next_frame_us += FRAME_US;
        }
        if self.ready.front()?.0 > now_us {
            return None;
        }
        self.ready.pop_front().map(|(_, packet)| packet)
    }

    fn encode(&mut self, at_us: u64) {
        let key = self.wanted_us.is_some_and(|wanted| wanted <= at_us);
        if key {
            (self.wanted_us, self.last_key_us, self.phase) = (None, Some(at_us), 0);
            self.keyframes += 1;
        }
        let temporal = PATTERN[self.phase % PATTERN.len()];
        self.phase += 1;
        self.pace_us = self.pace_us.max(at_us as f64);
        for (spatial, (rate, _)) in LAYERS.iter().enumerate() {
            let bits = match temporal {
                0 => rate * 0.4 / 7.5,
                1 => rate * 0.2 / 7.5,
                _ => rate * 0.4 / 15.0,
            };
            let noise = (self.rng.normal() * 0.15 - 0.011).exp();
            let bytes = bits / 8.0 * noise * if key { KEYFRAME } else { 1.0 };
            self.packetize(bytes, spatial as u8, temporal, key);
        }
        self.frame += 1;
    }

    fn packetize(&mut self, bytes: f64, spatial: u8, temporal: u8, key: bool) {
        let count = (bytes / f64::from(PACKET)).ceil().max(1.0);
        let size = (bytes / count).max(60.0) as u16;
        for index in 0..count as u16 {
            self.pace_us += f64::from(size) * 8e6 / PACE_BPS;
            let packet = SourcePacket { frame: self.frame, spatial, temporal, key, index, count: count as u16, size };
            self.ready.push_back((self.pace_us as u64, packet));
        }
    }
}
