//! What is received: one published track with its layers, from SSRC to numbered packets.

mod audience;
pub(crate) mod bind;
pub(crate) mod clock;
mod compact;
pub(crate) mod demand;
pub(crate) mod keyframe;
pub(crate) mod ladder;
pub(crate) mod loss;
pub(crate) mod relay;
mod size;
pub(crate) mod stats;
mod window;

use std::time::Duration;

use roundtable_wire::layers_allocation::LayersAllocation;
use roundtable_wire::{Codec, Extension, Kind, RtpPacket};

use crate::allocate::{Class, LAYER_ALIVE, Rung};
use crate::audio::TrackAudio;
use crate::bwe::Bitrate;
use crate::carried::CopiedIds;
use crate::config::{MAX_LAYERS, TrackCodec, TrackConfig};
use crate::frame::{FrameInfo, FrameReader, Piece};
use crate::inbound::audience::Audience;
use crate::inbound::bind::{Name, Place};
use crate::inbound::clock::Captures;
use crate::inbound::compact::Compactor;
use crate::inbound::demand::LayerDemand;
use crate::inbound::keyframe::{Joins, KeyframeGate};
use crate::inbound::ladder::{Ladder, Step};
use crate::inbound::loss::{NackList, Repair};
use crate::inbound::relay::Relay;
use crate::inbound::size::vp8_size;
use crate::inbound::window::{Arrival, Window};
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::packet::{Note, PictureCounter, Prepared};
use crate::ring::Ring;
use crate::speaking::SpeakingDetector;

/// Least time between two keyframe requests to one layer.
const KEYFRAME_SPACING: Duration = Duration::from_millis(400);
/// Of what a layer costs, keyframes that nobody needs urgently take at most this share, …
const KEYFRAME_SHARE: f64 = 0.12;
/// … but they are never kept waiting for longer.
const MAX_KEYFRAME_PATIENCE: Duration = Duration::from_secs(4);
/// Packets with parameter sets in front of an H.264 keyframe.
const PARAMETER_SETS: u64 = 3;
/// A layer without packets for this long is not asked for keyframes: it was switched off.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// A layer without packets for this long has stopped.
pub(crate) const STOPPED_AFTER: Duration = Duration::from_secs(1);

/// One published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) key: TrackKey,
    pub(crate) peer: PeerKey,
    pub(crate) config: TrackConfig,
    copied: CopiedIds,
    /// One for each rid, or one; never empty.
    pub(crate) layers: Vec<Layer>,
    ladder: Ladder,
    /// What can be forwarded as of the last look, …
    offer: Offer,
    /// … and what of it can be put together without dependency descriptors by everybody.
    plain: Offer,
    offered: [usize; 3],
    pub(crate) demand: LayerDemand,
    /// Slots that show the track or are to show it.
    pub(crate) subscribers: Vec<SlotKey>,
    /// Other planes that show it.
    pub(crate) relays: Vec<Relay>,
    /// Counts frames, so that the same subscriber is not always served last.
    pub(crate) rotation: usize,
    /// When a packet was last forwarded.
    pub(crate) forwarded: Option<Moment>,
    pub(crate) is_paused: bool,
    /// How far the publisher's clock is ahead of ours, in 2^-32 s, if its packets tell of their capture.
    pub(crate) ahead: Option<i64>,
    /// When its publisher was last asked for a keyframe.
    pub(crate) asked: Option<Moment>,
    /// Who has come to it lately.
    pub(crate) joins: Joins,
    /// What it is to the room, and when its publisher spoke last.
    pub(crate) class: Class,
    pub(crate) spoke: u64,
    pub(crate) speaking: SpeakingDetector,
    pub(crate) audio: TrackAudio,
    /// What the publisher sends, once packets have told.
    pub(crate) codec: Option<Codec>,
}

/// What can be forwarded, in the order of its cost.
#[derive(Debug, Default)]
pub(crate) struct Offer {
    pub(crate) steps: Vec<Step>,
    /// What the allocator needs to know of `steps`, one for each.
    pub(crate) rungs: Vec<Rung>,
}

/// One encoding of a track.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The SSRC of the media, once it is known.
    pub(crate) ssrc: Option<u32>,
    /// The codec of the newest packet.
    codec: Option<Codec>,
    window: Window,
    compactor: Compactor,
    pub(crate) nacks: NackList,
    pub(crate) gate: KeyframeGate,
    /// Video only: audio is not sent again.
    pub(crate) ring: Ring<Note>,
    pub(crate) reader: FrameReader,
    /// The version of the reader's targets that the ladder knows.
    targets_version: u32,
    /// The number of the newest packet that was not consumed.
    pub(crate) newest: Option<u64>,
    pub(crate) captures: Captures,
    pub(crate) orientation: Option<u8>,
    /// Whom its packets are for.
    pub(crate) audience: Audience,
    pub(crate) last_arrival: Option<Moment>,
    pictures: PictureCounter,
    gop: Option<Gop>,
    /// The publisher was told to stop it: if it did, it starts again with a keyframe that need not be asked for.
    slept: bool,
}

/// What has come since the last keyframe: who begins with that needs nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gop {
    /// The number of the keyframe's first packet, and its frame.
    pub(crate) first: u64,
    frame: u64,
    pub(crate) at: Moment,
    /// Bytes since, and those of the keyframe.
    pub(crate) bytes: usize,
    pub(crate) key_bytes: usize,
}

/// What a packet turned out to be.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are media, and a box would be an allocation a packet")]
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
    pub(crate) fn new(key: TrackKey, peer: PeerKey, mut config: TrackConfig) -> Self {
        config.rids.truncate(MAX_LAYERS);
        let layers: Vec<Layer> = (0..config.rids.len().max(1)).map(|_| Layer::new()).collect();
        Self {
            key,
            peer,
            copied: CopiedIds::new(&config.extensions),
            config,
            ladder: Ladder::new(layers.len()),
            offer: Offer::default(),
            plain: Offer::default(),
            offered: [0; 3],
            demand: LayerDemand::new(layers.len()),
            layers,
            subscribers: Vec::new(),
            relays: Vec::new(),
            rotation: 0,
            forwarded: None,
            is_paused: false,
            ahead: None,
            asked: None,
            joins: Joins::default(),
            class: Class::Other,
            spoke: 0,
            speaking: SpeakingDetector::default(),
            audio: TrackAudio::default(),
            codec: None,
        }
    }

    /// Whom packets are for has to be found out anew: a subscriber came, left or began something else.
    pub(crate) fn forget_audiences(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.audience.forget());
    }

    /// Takes a packet of a layer. `bytes` is the packet; `is_repair` says that it came as a retransmission.
    pub(crate) fn receive<'a>(
        &mut self,
        now: Moment,
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
        if packet.payload.is_empty() && is_newest {
            layer_state.compactor.consume(index);
            return (Received::Padding, effects);
        }
        // A late packet without payload is forwarded: its number has been left out for it already.
        let Some(number) = layer_state.compactor.number(index) else { return (Received::Duplicate, effects) };
        let mut prepared = Prepared::new(packet, entry.codec, &self.copied);
        (prepared.layer, prepared.index, prepared.is_newest) = (layer, number, is_newest);
        if keeps {
            layer_state.read_frame(&mut prepared);
            // What is described by a structure that was lost stays unknown until the next keyframe brings another.
            effects.needs_keyframe |= is_newest && prepared.carried.dependency().is_some() && !prepared.frame.is_known;
        }
        layer_state.note(now, index, &mut prepared);
        if keeps {
            layer_state.count_gop(now, &prepared, bytes.len());
            layer_state.ring.push(now, number, bytes, prepared.note());
            self.observe(now, packet, &prepared, bytes.len());
        }
        (Received::Media(prepared), effects)
    }

    /// Learns from a video packet what there is to forward, and what it costs.
    fn observe(&mut self, now: Moment, packet: &RtpPacket<'_>, prepared: &Prepared<'_>, len: usize) {
        let at = prepared.layer;
        let Some(layer) = self.layers.get_mut(usize::from(at)) else { return };
        if prepared.is_newest {
            layer.codec = Some(prepared.codec);
        }
        if layer.targets_version != layer.reader.version() {
            layer.targets_version = layer.reader.version();
            layer.handle_targets(prepared.index);
            self.ladder.handle_targets(at, layer.reader.targets());
        }
        self.ladder.handle_packet(now, at, &prepared.frame, len);
        if !prepared.frame.starts {
            return;
        }
        if prepared.frame.starts_keyframe
            && prepared.codec == Codec::Vp8
            && let Some((width, height)) = prepared.payload.get(prepared.descriptor.len()..).and_then(vp8_size)
        {
            self.ladder.handle_size(at, width, height);
        }
        let element = self.config.extensions.id(Extension::VideoLayersAllocation).and_then(|id| packet.extension(id));
        if let Some(allocation) = element.and_then(|data| LayersAllocation::parse(data).ok()) {
            self.ladder.handle_allocation(now, &allocation, at);
        }
    }

    /// Measures again, and looks what there is to forward. Returns whether something appeared or disappeared.
    pub(crate) fn handle_tick(&mut self, now: Moment) -> bool {
        self.ladder.handle_tick(now);
        for (layer, at) in self.layers.iter_mut().zip(0..) {
            layer.pace_keyframes(self.ladder.bitrate(at));
        }
        self.look(now)
    }

    /// Looks what there is to forward. Returns whether something appeared, proved to last, or disappeared.
    pub(crate) fn look(&mut self, now: Moment) -> bool {
        self.ladder.steps(now, &mut self.offer.steps);
        self.offer.handle_steps();
        self.plain.steps.clear();
        self.plain.steps.extend(self.offer.steps.iter().filter(|step| is_plain(&self.layers, step)));
        self.plain.handle_steps();
        let after = self.offer.extent(now);
        std::mem::replace(&mut self.offered, after) != after
    }

    /// What can be forwarded to a subscriber who can put all layers of AV1 together, or only the lowest.
    pub(crate) const fn offer(&self, takes_layers: bool) -> &Offer {
        if takes_layers { &self.offer } else { &self.plain }
    }

    /// Compares what is wanted of the track with what its publisher was told; returns what it is to be told now.
    pub(crate) fn handle_wanted(&mut self, now: Moment, wanted: u8) -> Option<u8> {
        let told = self.demand.update(now, wanted)?;
        for (layer, at) in self.layers.iter_mut().zip(0_u8..) {
            let sleeps = told >> at & 1 == 0;
            layer.slept |= sleeps;
            self.ladder.set_sleeping(now, at, sleeps);
        }
        Some(told)
    }

    /// Some encodings, and all with smaller pictures than the largest of them.
    pub(crate) fn with_smaller(&self, layers: u8) -> u8 {
        let largest =
            self.offer.steps.iter().filter(|step| layers >> step.layer & 1 == 1).map(|step| step.rung.spatial).max();
        let smaller = self.offer.steps.iter().filter(|step| Some(step.rung.spatial) < largest);
        smaller.fold(layers, |layers, step| layers | 1 << step.layer)
    }

    /// What an encoding costs, all of it.
    pub(crate) fn bitrate(&self, layer: u8) -> Bitrate {
        self.ladder.bitrate(layer)
    }

    /// What all its encodings cost together.
    pub(crate) fn total_bitrate(&self) -> Bitrate {
        (0..self.layers.len() as u8).map(|layer| self.bitrate(layer)).sum()
    }

    /// What a packet of a layer says of its frame, while the ring has it.
    pub(crate) fn frame(&self, layer: u8, number: u64) -> Option<FrameInfo> {
        let (_, note) = self.layers.get(usize::from(layer))?.ring.get(number)?;
        Some(note.frame)
    }

    /// Reads a packet of a layer from its ring again.
    pub(crate) fn stored(&self, layer: u8, number: u64) -> Option<Prepared<'_>> {
        let (bytes, Note { ids, frame, layout }) = self.layers.get(usize::from(layer))?.ring.get(number)?;
        let packet = RtpPacket::parse(bytes).ok()?;
        let codec = codec_of(&self.config.codecs, packet.payload_type)?.codec;
        let prepared = Prepared::new(&packet, codec, &self.copied);
        let mut prepared = Prepared { layer, index: number, ids, frame, layout, ..prepared };
        self.tell_capture(&mut prepared, frame.starts_keyframe);
        Some(prepared)
    }

    /// Reads a packet of a layer, which was kept as `bytes`, as if it were the newest.
    pub(crate) fn reread<'a>(&self, layer: u8, number: u64, bytes: &'a [u8]) -> Option<Prepared<'a>> {
        let packet = RtpPacket::parse(bytes).ok()?;
        let codec = codec_of(&self.config.codecs, packet.payload_type)?.codec;
        let prepared = Prepared::new(&packet, codec, &self.copied);
        let mut prepared = Prepared { layer, index: number, is_newest: true, ..prepared };
        self.tell_capture(&mut prepared, false);
        Some(prepared)
    }

    /// Puts what a packet says of its capture as we say it; one with which somebody may begin says it whenever any has.
    pub(crate) fn tell_capture(&self, prepared: &mut Prepared<'_>, begins: bool) {
        let layer = self.layers.get(usize::from(prepared.layer)).filter(|_| begins);
        let (timestamp, rate) = (prepared.timestamp, prepared.codec.clock_rate());
        let stated = prepared.carried.capture;
        let stated = stated.or_else(|| layer.and_then(|layer| layer.captures.stated_for(timestamp, rate)));
        prepared.carried.capture = stated.map(|capture| capture.forwarded(self.ahead));
    }

    /// Whether it carries a voice whose level is told; a shared screen's sound is none.
    pub(crate) fn is_microphone(&self) -> bool {
        let tells_level = self.config.extensions.id(roundtable_wire::Extension::AudioLevel).is_some();
        self.config.kind == Kind::Audio && self.class != Class::Screen && tells_level
    }

    /// The name of one of its encodings.
    pub(crate) fn name_of(&self, layer: u8) -> Name {
        Name { mid: self.config.mid.clone(), rid: self.config.rids.get(usize::from(layer)).cloned() }
    }

    /// The place of an SSRC that carried the encoding `name` in another plane; `None` if that is no more, or others were
    /// declared.
    pub(crate) fn place_of(&self, ssrc: u32, name: &Name, is_repair: bool) -> Option<Place> {
        let TrackConfig { rids, ssrcs, fid, .. } = &self.config;
        let place = |layer| Place { track: self.key, layer, is_repair };
        let Some(rid) = &name.rid else {
            let is_declared =
                ssrcs.contains(&ssrc) || fid.iter().any(|&(media, repair)| [media, repair].contains(&ssrc));
            return (rids.is_empty() && (ssrcs.is_empty() || is_declared)).then(|| place(0));
        };
        // There are no more than MAX_LAYERS rids.
        rids.iter().position(|known| known == rid).map(|layer| place(layer as u8))
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

/// Whether a step can be put together without dependency descriptors. Payloads of AV1 do not say where one spatial layer
/// of a picture ends and the next one begins: Firefox manages, but Chromium takes the highest of them for the whole
/// picture, so that it never sees a keyframe and asks for one for ever.
fn is_plain(layers: &[Layer], step: &Step) -> bool {
    let codec = layers.get(usize::from(step.layer)).and_then(|layer| layer.codec);
    step.spatial == 0 || codec != Some(Codec::Av1)
}

impl Offer {
    fn handle_steps(&mut self) {
        self.rungs.clear();
        self.rungs.extend(self.steps.iter().map(|step| step.rung));
    }

    /// How many rungs there are, live ones, and such as have lasted.
    fn extent(&self, now: Moment) -> [usize; 3] {
        let alive = || self.rungs.iter().filter_map(|rung| rung.alive);
        let lasting = alive().filter(|&since| now.saturating_duration_since(since) >= LAYER_ALIVE);
        [self.rungs.len(), alive().count(), lasting.count()]
    }
}

impl Layer {
    fn new() -> Self {
        Self {
            ssrc: None,
            codec: None,
            window: Window::default(),
            compactor: Compactor::default(),
            nacks: NackList::default(),
            gate: KeyframeGate::new(KEYFRAME_SPACING),
            ring: Ring::new(),
            reader: FrameReader::new(),
            targets_version: 0,
            newest: None,
            captures: Captures::default(),
            orientation: None,
            audience: Audience::default(),
            last_arrival: None,
            pictures: PictureCounter::default(),
            gop: None,
            slept: false,
        }
    }

    /// What has come since the last keyframe.
    pub(crate) const fn gop(&self) -> Option<Gop> {
        self.gop
    }

    /// Nobody is to begin with what has come so far.
    pub(crate) const fn forget_gop(&mut self) {
        self.gop = None;
    }

    /// Decode targets are numbered anew from packet `index` on: what is remembered of packets before is of no use, except
    /// for the lowest target, whose number is always the same.
    fn handle_targets(&mut self, index: u64) {
        let is_grid = self.reader.targets().iter().any(|target| target.spatial > 0);
        self.gop = self.gop.filter(|gop| !is_grid || gop.first >= index);
    }

    /// Counts what has come since the last keyframe.
    fn count_gop(&mut self, now: Moment, prepared: &Prepared<'_>, len: usize) {
        if prepared.frame.starts_keyframe && self.gop.is_none_or(|gop| gop.first < prepared.index) {
            let (first, frame) = (prepared.index, prepared.frame.number);
            self.gop = Some(Gop { first, frame, at: now, bytes: 0, key_bytes: 0 });
        }
        if let Some(gop) = &mut self.gop {
            gop.bytes += len;
            gop.key_bytes += if gop.frame == prepared.frame.number { len } else { 0 };
        }
    }

    /// Sets how far apart keyframes of the layer are to be, at `bitrate`.
    fn pace_keyframes(&mut self, bitrate: Bitrate) {
        let Some(gop) = self.gop.filter(|_| bitrate > Bitrate::ZERO) else { return };
        let span = bitrate.scale(KEYFRAME_SHARE).time_for(gop.key_bytes as f64);
        self.gate.set_patience(span.min(MAX_KEYFRAME_PATIENCE));
    }

    /// Starts anew with another SSRC; nothing of the old stream is asked for or sent again.
    pub(crate) fn restart(&mut self, ssrc: u32) {
        let mut ring = std::mem::replace(&mut self.ring, Ring::new());
        ring.clear();
        *self = Self { ssrc: Some(ssrc), ring, ..Self::new() };
    }

    /// Whether packets have come lately.
    pub(crate) fn is_live(&self, now: Moment) -> bool {
        self.last_arrival.is_some_and(|last| now < last + STOPPED_AFTER)
    }

    /// Whether the packet with that sequence number has not come and still could.
    pub(crate) fn misses(&self, sequence: u16) -> bool {
        self.window.is_missing(sequence)
    }

    /// When the layer is to be asked for a keyframe, unless it was switched off.
    pub(crate) fn keyframe_timeout(&self) -> Option<Moment> {
        let until = self.last_arrival? + if self.slept { STOPPED_AFTER } else { ASKED_WITHIN };
        self.gate.poll_timeout().filter(|&at| at < until)
    }

    /// Unwraps the sequence number and keeps the list of missing packets; `None` for a duplicate.
    fn number(
        &mut self,
        now: Moment,
        packet: &RtpPacket<'_>,
        asks: bool,
        is_repair: bool,
        effects: &mut Effects,
    ) -> Option<(u64, bool)> {
        let (index, arrival) = self.window.handle(packet.sequence);
        effects.index = index;
        effects.woke = !self.is_live(now);
        self.slept &= !effects.woke;
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
    fn note(&mut self, now: Moment, index: u64, prepared: &mut Prepared<'_>) {
        if let Some(id) = prepared.descriptor.picture_id() {
            prepared.ids.picture = self.pictures.extend(id);
        }
        self.orientation = prepared.carried.orientation().or(self.orientation);
        if prepared.is_newest {
            self.newest = Some(prepared.index);
        }
        if prepared.frame.starts_keyframe {
            // A parameter set of the same H.264 frame may be missing right before its first slice.
            let slack = if matches!(prepared.codec, Codec::H264 { .. }) { PARAMETER_SETS } else { 0 };
            self.nacks.handle_keyframe(index.saturating_sub(slack));
        }
        self.last_arrival = Some(now);
    }

    /// Reads what a packet says of its frame.
    fn read_frame(&mut self, prepared: &mut Prepared<'_>) {
        let Prepared { codec, index, timestamp, marker, payload, is_newest, .. } = *prepared;
        let dependency = prepared.carried.dependency();
        let piece = Piece { codec, dependency, index, timestamp, marker, payload, is_newest };
        (prepared.frame, prepared.layout) = self.reader.read(&piece);
    }
}

/// The codec behind a media payload type.
pub(crate) fn codec_of(codecs: &[TrackCodec], payload_type: u8) -> Option<&TrackCodec> {
    codecs.iter().find(|codec| codec.payload_type == payload_type)
}
