//! What is received: one published track with its layers, from SSRC to numbered packets.

pub(crate) mod bind;
pub(crate) mod clock;
mod compact;
pub(crate) mod keyframe;
pub(crate) mod loss;
pub(crate) mod select;
pub(crate) mod stats;
mod window;

use std::time::{Duration, Instant};

use roundtable_wire::{Codec, Kind, RtpPacket};

use crate::allocate::Class;
use crate::audio::TrackAudio;
use crate::config::{MAX_LAYERS, TrackCodec, TrackConfig};
use crate::descriptor::Ids;
use crate::inbound::clock::CaptureReport;
use crate::inbound::compact::Compactor;
use crate::inbound::keyframe::KeyframeGate;
use crate::inbound::loss::{NackList, Repair};
use crate::inbound::select::{Candidate, Meter, STOPPED_AFTER, best_layer, vp8_pixels};
use crate::inbound::window::{Arrival, Window};
use crate::key::{PeerKey, SlotKey};
use crate::outbound::extmap::CopiedIds;
use crate::packet::{PictureCounter, Prepared};
use crate::ring::Ring;
use crate::speaking::SpeakingDetector;

/// Least time between two keyframe requests to one layer.
const KEYFRAME_SPACING: Duration = Duration::from_millis(400);
/// Packets with parameter sets in front of an H.264 keyframe.
const PARAMETER_SETS: u64 = 3;
/// A layer without packets for this long is not asked for keyframes: it was switched off.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// One published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) peer: PeerKey,
    pub(crate) config: TrackConfig,
    copied: CopiedIds,
    /// One for each rid, or one; never empty.
    pub(crate) layers: Vec<Layer>,
    /// The layer subscribers get; always an index of `layers`.
    pub(crate) selected: usize,
    /// Slots that show the track or are to show it.
    pub(crate) subscribers: Vec<SlotKey>,
    /// Counts frames, so that the same subscriber is not always served last.
    pub(crate) rotation: usize,
    pub(crate) is_paused: bool,
    /// What it is to the room, and when its publisher spoke last.
    pub(crate) class: Class,
    pub(crate) spoke: u64,
    pub(crate) speaking: SpeakingDetector,
    pub(crate) audio: TrackAudio,
    /// What the publisher sends, once packets have told.
    pub(crate) codec: Option<Codec>,
}

/// One encoding of a track.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The SSRC of the media, once it is known.
    pub(crate) ssrc: Option<u32>,
    window: Window,
    compactor: Compactor,
    pub(crate) nacks: NackList,
    pub(crate) gate: KeyframeGate,
    /// Video only: audio is not sent again.
    pub(crate) ring: Ring<Ids>,
    /// The number of the newest packet that was not consumed.
    pub(crate) newest: Option<u64>,
    pub(crate) report: Option<CaptureReport>,
    pub(crate) orientation: Option<u8>,
    pub(crate) last_arrival: Option<Instant>,
    pub(crate) meter: Meter,
    pictures: PictureCounter,
    pixels: Option<u32>,
}

/// What a packet turned out to be.
#[derive(Debug)]
pub(crate) enum Received<'a> {
    /// It goes to the subscribers.
    Media(Prepared<'a>),
    /// It was padding and ends here.
    Padding,
    Duplicate,
    UnknownPayloadType,
}

/// What the plane has to see to after a packet.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Effects {
    /// The unwrapped sequence number, for the receiver's statistics.
    pub(crate) index: u64,
    /// Only a keyframe repairs what is lost.
    pub(crate) needs_keyframe: bool,
    /// The layer has no packets before, or had stopped.
    pub(crate) woke: bool,
    pub(crate) was_missing: bool,
}

impl Track {
    pub(crate) fn new(peer: PeerKey, mut config: TrackConfig) -> Self {
        config.rids.truncate(MAX_LAYERS);
        let layers = (0..config.rids.len().max(1)).map(|_| Layer::new()).collect();
        Self {
            peer,
            copied: CopiedIds::new(&config.extensions),
            config,
            layers,
            selected: 0,
            subscribers: Vec::new(),
            rotation: 0,
            is_paused: false,
            class: Class::Other,
            spoke: 0,
            speaking: SpeakingDetector::default(),
            audio: TrackAudio::default(),
            codec: None,
        }
    }

    /// Takes a packet of a layer. `bytes` is the packet; `is_repair` says that it came as a retransmission.
    pub(crate) fn receive<'a>(
        &mut self,
        now: Instant,
        layer: u8,
        packet: &RtpPacket<'a>,
        bytes: &[u8],
        is_repair: bool,
    ) -> (Received<'a>, Effects) {
        let mut effects = Effects::default();
        let Some(entry) = codec_of(&self.config.codecs, packet.payload_type) else {
            return (Received::UnknownPayloadType, effects);
        };
        let keeps = self.config.kind == Kind::Video;
        let Some(layer_state) = self.layers.get_mut(usize::from(layer)) else {
            return (Received::UnknownPayloadType, effects);
        };
        let Some((index, is_newest)) = layer_state.number(now, packet, entry.nack && keeps, is_repair, &mut effects)
        else {
            return (Received::Duplicate, effects);
        };
        layer_state.meter.handle_bytes(packet.payload.len());
        if packet.payload.is_empty() && is_newest {
            layer_state.compactor.consume(index);
            return (Received::Padding, effects);
        }
        // A late packet without payload is forwarded: its number has been left out for it already.
        let Some(number) = layer_state.compactor.number(index) else { return (Received::Duplicate, effects) };
        let mut prepared = Prepared::new(packet, entry.codec, &self.copied);
        (prepared.layer, prepared.index, prepared.is_newest) = (layer, number, is_newest);
        layer_state.note(now, index, &mut prepared);
        if keeps {
            layer_state.ring.push(now, number, bytes, prepared.ids);
        }
        (Received::Media(prepared), effects)
    }

    /// Reads a packet of a layer from its ring again.
    pub(crate) fn stored(&self, layer: u8, number: u64) -> Option<Prepared<'_>> {
        let (bytes, ids) = self.layers.get(usize::from(layer))?.ring.get(number)?;
        let packet = RtpPacket::parse(bytes).ok()?;
        let codec = codec_of(&self.config.codecs, packet.payload_type)?.codec;
        Some(Prepared { layer, index: number, ids, ..Prepared::new(&packet, codec, &self.copied) })
    }

    /// Reads a packet of a layer, which was kept as `bytes`, as if it were the newest.
    pub(crate) fn reread<'a>(&self, layer: u8, number: u64, bytes: &'a [u8]) -> Option<Prepared<'a>> {
        let packet = RtpPacket::parse(bytes).ok()?;
        let codec = codec_of(&self.config.codecs, packet.payload_type)?.codec;
        Some(Prepared { layer, index: number, is_newest: true, ..Prepared::new(&packet, codec, &self.copied) })
    }

    /// Whether it carries a voice whose level is told; a shared screen's sound is none.
    pub(crate) fn is_microphone(&self) -> bool {
        let tells_level = self.config.extensions.id(roundtable_wire::Extension::AudioLevel).is_some();
        self.config.kind == Kind::Audio && self.class != Class::Screen && tells_level
    }

    /// Looks for the best layer that lives; returns whether it is another one than before.
    pub(crate) fn select(&mut self, now: Instant) -> bool {
        let mut candidates = [Candidate::default(); MAX_LAYERS];
        for (candidate, layer) in candidates.iter_mut().zip(&self.layers) {
            *candidate = layer.candidate(now);
        }
        let before = self.selected;
        // No more layers than candidates, as the rids were cut when the track was made.
        self.selected = best_layer(&candidates[..self.layers.len()], before);
        self.selected != before
    }

    /// The layer subscribers get.
    pub(crate) fn selected_layer(&mut self) -> &mut Layer {
        // `selected` is an index of `layers`, of which there is at least one.
        &mut self.layers[self.selected]
    }

    /// Whether `payload_type` is one of retransmissions.
    pub(crate) fn is_rtx(&self, payload_type: u8) -> bool {
        self.config.codecs.iter().any(|codec| codec.rtx_payload_type == Some(payload_type))
    }

    /// The payload type that retransmissions of type `rtx` repeat.
    pub(crate) fn repaired_payload_type(&self, rtx: u8) -> Option<u8> {
        self.config.codecs.iter().find(|codec| codec.rtx_payload_type == Some(rtx)).map(|codec| codec.payload_type)
    }

    /// Whether the publisher was told that it may be asked by PLI.
    pub(crate) fn takes_pli(&self) -> bool {
        self.config.codecs.iter().any(|codec| codec.pli)
    }
}

impl Layer {
    fn new() -> Self {
        Self {
            ssrc: None,
            window: Window::default(),
            compactor: Compactor::default(),
            nacks: NackList::default(),
            gate: KeyframeGate::new(KEYFRAME_SPACING),
            ring: Ring::new(),
            newest: None,
            report: None,
            orientation: None,
            last_arrival: None,
            meter: Meter::default(),
            pictures: PictureCounter::default(),
            pixels: None,
        }
    }

    /// Starts anew with another SSRC; nothing of the old stream is asked for or sent again.
    pub(crate) fn restart(&mut self, ssrc: u32) {
        let mut ring = std::mem::replace(&mut self.ring, Ring::new());
        ring.clear();
        *self = Self { ssrc: Some(ssrc), ring, ..Self::new() };
    }

    /// Whether packets have come lately.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.last_arrival.is_some_and(|last| now < last + STOPPED_AFTER)
    }

    /// Whether the packet with that sequence number has not come and still could.
    pub(crate) fn misses(&self, sequence: u16) -> bool {
        self.window.is_missing(sequence)
    }

    /// When the layer is to be asked for a keyframe, unless it was switched off.
    pub(crate) fn keyframe_timeout(&self) -> Option<Instant> {
        let until = self.last_arrival? + ASKED_WITHIN;
        self.gate.poll_timeout().filter(|&at| at < until)
    }

    /// Unwraps the sequence number and keeps the list of missing packets; `None` for a duplicate.
    fn number(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        asks: bool,
        is_repair: bool,
        effects: &mut Effects,
    ) -> Option<(u64, bool)> {
        let (index, arrival) = self.window.handle(packet.sequence);
        effects.index = index;
        effects.woke = !self.is_live(now);
        let is_newest = match arrival {
            Arrival::Duplicate => return None,
            Arrival::Late => {
                self.nacks.handle_late(index);
                effects.was_missing = is_repair;
                false
            }
            Arrival::Newest { gap } if asks => {
                effects.needs_keyframe = self.nacks.handle_newest(now, index, gap) == Repair::Hopeless;
                true
            }
            Arrival::Newest { .. } => true,
        };
        self.last_arrival = Some(now);
        Some((index, is_newest))
    }

    /// Remembers what later packets and new owners need to know.
    fn note(&mut self, now: Instant, index: u64, prepared: &mut Prepared<'_>) {
        if let Some(id) = prepared.descriptor.picture_id() {
            prepared.ids.picture = self.pictures.extend(id);
        }
        self.orientation = prepared.carried.orientation().or(self.orientation);
        if prepared.is_newest {
            self.newest = Some(prepared.index);
        }
        if prepared.starts_keyframe && prepared.codec.kind() == Kind::Video {
            // A parameter set of the same H.264 frame may be missing right before its first slice.
            let slack = if matches!(prepared.codec, Codec::H264 { .. }) { PARAMETER_SETS } else { 0 };
            self.nacks.handle_keyframe(index.saturating_sub(slack));
            if prepared.codec == Codec::Vp8 {
                let frame = prepared.payload.get(prepared.descriptor.len()..);
                self.pixels = frame.and_then(vp8_pixels).or(self.pixels);
            }
        }
        self.last_arrival = Some(now);
    }

    fn candidate(&self, now: Instant) -> Candidate {
        Candidate { is_live: self.is_live(now), pixels: self.pixels, bitrate_bps: self.meter.bitrate_bps() }
    }
}

/// The codec behind a media payload type.
pub(crate) fn codec_of(codecs: &[TrackCodec], payload_type: u8) -> Option<&TrackCodec> {
    codecs.iter().find(|codec| codec.payload_type == payload_type)
}
