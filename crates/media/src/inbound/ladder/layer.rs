//! One encoding of a track: what comes of each decode target, and what the publisher says of it.

use std::time::Duration;

use roundtable_wire::layers_allocation::{MAX_TEMPORAL_LAYERS, SpatialLayer};

use super::MAX_SPATIAL;
use super::meter::Meter;
use crate::bwe::Bitrate;
use crate::frame::{FrameInfo, Target};
use crate::inbound::STOPPED_AFTER;
use crate::moment::Moment;

/// Decode targets that are measured, as many as a structure can have.
const MAX_TARGETS: usize = 32;
/// What a publisher says is believed this long.
const SAID_AGE: Duration = Duration::from_secs(5);
/// Bytes of a packet beyond RTP: IPv4 (20), UDP (8), and an SRTP tag of 16 as with AES-GCM; 20 more with IPv6.
const OVERHEAD: usize = 20 + 8 + 16;
/// Bytes of a packet beyond its payload: those and an RTP header with its usual extensions, …
const FULL_OVERHEAD: f64 = OVERHEAD as f64 + 36.0;
/// … of which one comes on so many bytes of payload, and half of one on each frame, which is at least one.
const PAYLOAD: f64 = 1100.0;
/// A keyframe takes about this long to arrive, and the encoder spares as long to make up for it.
const KEYFRAME_WAKE: Duration = Duration::from_millis(500);
/// An encoding that was woken is waited for this long: the message, the encoder and the keyframe take their time.
const WAKING: Duration = Duration::from_secs(3);

/// What is known of one encoding.
#[derive(Debug)]
pub(super) struct Layer {
    targets: Vec<Measured>,
    spatial: [Spatial; MAX_SPATIAL],
    /// Temporal layers of which a frame came, as a mask.
    temporal_seen: u8,
    arrivals: Arrivals,
    sleep: Sleep,
    meter: Meter,
    said_at: Option<Moment>,
    keyframe_at: Option<Moment>,
    ticked: Option<Moment>,
    /// Whether targets lack the frames of lower spatial layers except in key pictures, …
    is_apart: bool,
    /// … and whether such a frame came, or one that is not lacking, since the last tick.
    saw_apart: bool,
    saw_joined: bool,
}

/// What comes of a decode target.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    target: Target,
    bytes: Meter,
    frames: Meter,
}

#[derive(Debug, Clone, Copy, Default)]
struct Spatial {
    arrivals: Arrivals,
    /// Size and most frames a second, as told apart from the targets.
    size: Option<(u16, u16)>,
    max_fps: Option<u8>,
    /// Payload rates of its temporal layers, each with those below, in kbit/s; 0 for none.
    said: [u32; MAX_TEMPORAL_LAYERS],
}

/// Since when packets have come without a break.
#[derive(Debug, Clone, Copy, Default)]
struct Arrivals(Option<(Moment, Moment)>);

/// Whether the publisher was asked not to send.
#[derive(Debug, Clone, Copy)]
enum Sleep {
    Awake,
    /// It counts as alive since then.
    Sleeping {
        since: Moment,
    },
    /// It was asked to send again and counts as alive up to `until` though nothing comes.
    Waking {
        since: Moment,
        until: Moment,
    },
}

impl Arrivals {
    fn handle(&mut self, now: Moment) {
        let since = self.since(now).unwrap_or(now);
        self.0 = Some((since, now));
    }

    fn since(&self, now: Moment) -> Option<Moment> {
        self.0.filter(|&(_, last)| now < last + STOPPED_AFTER).map(|(since, _)| since)
    }
}

impl Layer {
    pub(super) fn new() -> Self {
        Self {
            targets: vec![Measured::default()],
            spatial: [Spatial::default(); MAX_SPATIAL],
            temporal_seen: 0,
            arrivals: Arrivals::default(),
            sleep: Sleep::Awake,
            meter: Meter::default(),
            said_at: None,
            keyframe_at: None,
            ticked: None,
            is_apart: false,
            saw_apart: false,
            saw_joined: false,
        }
    }

    pub(super) fn handle_packet(&mut self, now: Moment, frame: &FrameInfo, bytes: usize) {
        let bytes = (bytes + OVERHEAD) as u64;
        // The first packet tells when measuring began.
        self.ticked.get_or_insert(now);
        self.arrivals.handle(now);
        self.meter.add(bytes);
        if !frame.is_known {
            return;
        }
        if frame.starts_keyframe {
            self.keyframe_at = Some(now);
        }
        if let Some(spatial) = self.spatial.get_mut(usize::from(frame.spatial)) {
            spatial.arrivals.handle(now);
        }
        self.temporal_seen |= 1u8.checked_shl(u32::from(frame.temporal)).unwrap_or(0);
        let (mut is_below, mut is_joined) = (false, false);
        for (at, measured) in self.targets.iter_mut().enumerate() {
            let is_present = frame.present >> at & 1 != 0; // At most 32 targets.
            if is_present {
                measured.bytes.add(bytes);
                measured.frames.add(u64::from(frame.starts && frame.spatial == measured.target.spatial));
            }
            let is_above = measured.target.spatial > frame.spatial && measured.target.temporal >= frame.temporal;
            (is_below, is_joined) = (is_below || is_above, is_joined || is_above && is_present);
        }
        self.saw_joined |= is_below && is_joined;
        self.saw_apart |= is_below && !is_joined;
    }

    pub(super) fn handle_targets(&mut self, targets: &[Target]) {
        let before = std::mem::take(&mut self.targets);
        let measured = |target: &Target| {
            let is_same = |other: &&Measured| layers(&other.target) == layers(target);
            let known = before.iter().find(is_same).copied().unwrap_or_default();
            Measured { target: *target, ..known }
        };
        self.targets = targets.iter().take(MAX_TARGETS).map(measured).collect();
    }

    pub(super) fn handle_size(&mut self, width: u16, height: u16) {
        if let Some(spatial) = self.spatial.first_mut() {
            spatial.size = Some((width, height));
        }
    }

    pub(super) fn handle_allocation<'a>(&mut self, now: Moment, said: impl Iterator<Item = &'a SpatialLayer>) {
        self.said_at = Some(now);
        self.spatial.iter_mut().for_each(|spatial| spatial.said = [0; MAX_TEMPORAL_LAYERS]);
        for layer in said {
            let Some(spatial) = self.spatial.get_mut(usize::from(layer.spatial_id)) else { continue };
            for (place, &kbps) in spatial.said.iter_mut().zip(layer.targets_kbps()) {
                *place = kbps;
            }
            if let Some(size) = layer.size {
                let side = |side| u16::try_from(side).unwrap_or(u16::MAX);
                spatial.size = Some((side(size.width), side(size.height)));
                spatial.max_fps = Some(size.max_frame_rate);
            }
        }
    }

    pub(super) fn handle_tick(&mut self, now: Moment) {
        let Some(before) = self.ticked.replace(now) else { return };
        let period = now.saturating_duration_since(before);
        let in_wake = self.keyframe_at.is_some_and(|at| before < at + KEYFRAME_WAKE);
        if self.saw_joined || self.saw_apart {
            self.is_apart = self.saw_apart;
        }
        (self.saw_apart, self.saw_joined) = (false, false);
        let is_silent = self.arrivals.since(now).is_none();
        if is_silent {
            // What it costs when it comes again is what it has cost.
            self.meter = Meter::default();
        } else {
            self.meter.close(period, false);
        }
        for measured in &mut self.targets {
            let arrivals = self.spatial.get(usize::from(measured.target.spatial)).map(|spatial| spatial.arrivals);
            if arrivals.is_some_and(|arrivals| arrivals.since(now).is_some()) {
                measured.bytes.close(period, in_wake);
                measured.frames.close(period, false);
            } else {
                measured.bytes.skip();
                measured.frames.skip();
            }
        }
    }

    pub(super) fn set_sleeping(&mut self, now: Moment, sleeping: bool) {
        let since = self.alive(now).unwrap_or(now);
        self.sleep = match (self.sleep, sleeping) {
            (Sleep::Sleeping { .. }, true) => return,
            (Sleep::Awake | Sleep::Waking { .. }, true) => Sleep::Sleeping { since },
            (Sleep::Sleeping { since }, false) => Sleep::Waking { since, until: now + WAKING },
            (Sleep::Awake | Sleep::Waking { .. }, false) => return,
        };
    }

    /// Since when the encoding has been received, or could have been.
    pub(super) fn alive(&self, now: Moment) -> Option<Moment> {
        self.believed(now).or_else(|| self.arrivals.since(now))
    }

    /// The same for one of its spatial layers.
    pub(super) fn spatial_alive(&self, now: Moment, spatial: u8) -> Option<Moment> {
        let arrivals = self.spatial.get(usize::from(spatial)).map(|spatial| spatial.arrivals);
        self.believed(now).or_else(|| arrivals.and_then(|arrivals| arrivals.since(now)))
    }

    /// How many spatial layers there are, at least one.
    pub(super) fn spatial_count(&self) -> u8 {
        let highest = self.targets.iter().map(|measured| measured.target.spatial).max().unwrap_or(0);
        highest.min(MAX_SPATIAL as u8 - 1) + 1
    }

    /// The highest temporal layer of a spatial layer.
    pub(super) fn top(&self, spatial: u8) -> u8 {
        let all = self.targets.iter().filter(|measured| measured.target.spatial == spatial);
        all.map(|measured| measured.target.temporal).max().unwrap_or(0).min(7)
    }

    /// The decode target of these layers, unless it is the same as the next higher one: no frames were seen that
    /// make the difference.
    pub(super) fn offered(&self, spatial: u8, temporal: u8) -> Option<u8> {
        let is_top = temporal >= self.top(spatial);
        let is_less = self.temporal_seen.checked_shr(u32::from(temporal) + 1).unwrap_or(0) != 0;
        let place = self.targets.iter().position(|measured| layers(&measured.target) == (spatial, temporal));
        // At most 32 targets.
        place.filter(|_| is_top || is_less).map(|at| at as u8)
    }

    /// Width and height of a spatial layer, if they are known.
    pub(super) fn size(&self, spatial: u8) -> Option<(u16, u16)> {
        let told = self.targets.iter().filter(|measured| measured.target.spatial == spatial);
        let told = told.filter_map(|measured| measured.target.size).next();
        told.or_else(|| self.spatial.get(usize::from(spatial))?.size)
    }

    pub(super) fn max_fps(&self, spatial: u8) -> Option<f32> {
        let told = self.spatial.get(usize::from(spatial)).and_then(|spatial| spatial.max_fps);
        told.filter(|&fps| fps > 0).map(f32::from)
    }

    /// What a target costs: what is measured, and until enough is what the publisher says. Of easy pictures encoders make
    /// half of what they say they may, and they share it out among temporal layers otherwise than they say.
    pub(super) fn cost(&self, now: Moment, target: u8) -> Option<Bitrate> {
        let is_recent = |at| now < at + SAID_AGE;
        self.measured(target).or_else(|| self.said_at.filter(|&at| is_recent(at)).and_then(|_| self.said(target)))
    }

    /// What a spatial layer usually costs with all its temporal layers, however long ago that was said.
    pub(super) fn usual_cost(&self, spatial: u8) -> Option<Bitrate> {
        let target = self.offered(spatial, self.top(spatial))?;
        self.measured(target).or_else(|| self.said(target))
    }

    pub(super) fn fps(&self, target: u8) -> Option<f32> {
        let frames = self.targets.get(usize::from(target))?.frames.per_second()?;
        (frames > 0.0).then_some(frames as f32)
    }

    pub(super) fn bitrate(&self) -> Bitrate {
        Bitrate::from_f64(self.meter.per_second().unwrap_or(0.0) * 8.0)
    }

    fn measured(&self, target: u8) -> Option<Bitrate> {
        let bytes = self.targets.get(usize::from(target))?.bytes.per_second()?;
        (bytes > 0.0).then(|| Bitrate::from_f64(bytes * 8.0))
    }

    /// What the publisher says of a target, with what it leaves out.
    fn said(&self, target: u8) -> Option<Bitrate> {
        let Target { spatial, temporal, .. } = self.targets.get(usize::from(target))?.target;
        let kbps = self.said_kbps(spatial, temporal)?;
        // The lower spatial layers are included, even if they are not forwarded with this one.
        let below = spatial.checked_sub(1).filter(|_| self.is_apart);
        let below = below.and_then(|below| self.said_kbps(below, temporal)).unwrap_or(0);
        let payload = f64::from(kbps.saturating_sub(below)) * 1000.0;
        let distance = self.top(spatial).saturating_sub(temporal);
        let frames = f64::from(self.max_fps(spatial).unwrap_or(super::USUAL_FPS)) / f64::from(1u32 << distance);
        let pictures = if self.is_apart { 1.0 } else { f64::from(spatial) + 1.0 };
        let frames = frames * pictures;
        let packets = (frames / 2.0 + payload / 8.0 / PAYLOAD).max(frames);
        Some(Bitrate::from_f64(payload + packets * FULL_OVERHEAD * 8.0))
    }

    fn said_kbps(&self, spatial: u8, temporal: u8) -> Option<u32> {
        let said = &self.spatial.get(usize::from(spatial))?.said;
        // A publisher that names fewer temporal layers than its structure has means them all by the last.
        let named = said.get(..=usize::from(temporal).min(MAX_TEMPORAL_LAYERS - 1))?;
        named.iter().copied().rev().find(|&kbps| kbps > 0)
    }

    /// Since when it is believed to be alive though nothing need come.
    fn believed(&self, now: Moment) -> Option<Moment> {
        match self.sleep {
            Sleep::Sleeping { since } => Some(since),
            Sleep::Waking { since, until } if now < until => Some(since),
            Sleep::Waking { .. } | Sleep::Awake => None,
        }
    }
}

const fn layers(target: &Target) -> (u8, u8) {
    (target.spatial, target.temporal)
}
