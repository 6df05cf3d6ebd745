//! What is sent: one slot of a subscriber, whose numbers continue for life whoever owns it.

pub(crate) mod audio;
pub(crate) mod clock;
pub(crate) mod extmap;
pub(crate) mod moving;
pub(crate) mod rewrite;
pub(crate) mod rtx;
pub(crate) mod select;

use std::time::Duration;

use roundtable_wire::{Codec, Kind, NtpTime, RtpHeader};

use crate::allocate::{Cause, Hints};
use crate::carried::Carried;
use crate::config::{SlotConfig, TrackCodec};
use crate::descriptor::{Ids, MAX_LEN as MAX_DESCRIPTOR_LEN, red_primary};
use crate::event::Egress;
use crate::frame::{FrameInfo, FrameReader};
use crate::grid::on_grid;
use crate::inbound::Track;
use crate::key::{HotStart, PeerKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::audio::SlotAudio;
use crate::outbound::clock::SlotClock;
use crate::outbound::extmap::{Elements, Mid, SlotIds};
use crate::outbound::rewrite::{Epoch, Found, Numbering, Owner, Place, Shift, Top};
use crate::outbound::rtx::Retransmitter;
use crate::outbound::select::{Choice, Need, Selector, spatial};
use crate::packet::Prepared;

/// Packets of a slot that carry its mid: the first ones, and the first ones after each switch.
const MID_PACKETS: u16 = 200;
/// Room for header, extensions and rewritten payload descriptor.
pub(crate) const HEAD_LEN: usize = 400;
/// Such a room, which may hold anything: to make it anew for each packet costs as much as to find the packet's place.
pub(crate) type Head = [u8; HEAD_LEN];
/// Bytes of the original sequence number in front of a retransmitted payload (RFC 4588 4).
const OSN_LEN: usize = 2;
/// A keyframe may have been overtaken by this many packets, which then follow from the ring.
const MAX_CATCH_UP: u64 = 512;
/// Frames that tell of a change of what is forwarded.
const ACTIVE_FRAMES: u8 = 8;
/// For so long a slot that has begun to show anything is one of somebody who joins.
const JOINING: Duration = Duration::from_secs(5);
/// Keyframe requests that a subscriber may make for a slot in one period.
const MAX_WISHES: u8 = 3;
const WISH_PERIOD: Duration = Duration::from_secs(10);

/// One receiving m-line of a subscriber.
///
/// In this order, so that what a packet needs lies together: a subscriber's slot is met once for each packet, and by then
/// has mostly left the cache.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    pub(crate) peer: PeerKey,
    /// The SSRC of its configuration, …
    ssrc: u32,
    /// Who owns what the subscriber gets now.
    pub(crate) live: Option<Epoch>,
    /// Who is to take over with the next packet that can be decoded alone; never the track in `live`.
    pub(crate) wanted: Option<TrackKey>,
    numbering: Numbering,
    pub(crate) clock: SlotClock,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    /// The decode targets that were told to be fed, and how many frames are still to tell of it.
    active: u32,
    active_left: u8,
    /// … and the kind.
    pub(crate) kind: Kind,
    /// Whether [`PlaneEvent::SlotLive`](crate::PlaneEvent::SlotLive) was told of this generation.
    pub(crate) is_announced: bool,
    ids: SlotIds,
    /// The mid if packets can carry it.
    mid: Option<Mid>,
    mid_left: u16,
    rtx_mid_left: u16,
    /// Packets numbered below this are of no use: they are of an encoding that was left for another one.
    stale_before: u64,
    pub(crate) selector: Selector,
    /// How much redundancy the subscriber needs, and whether the plane itself fills the slot.
    pub(crate) audio: SlotAudio,
    // From here on what a packet does not need.
    pub(crate) config: SlotConfig,
    pub(crate) generation: u32,
    /// What the subscriber says of the picture.
    pub(crate) hints: Hints,
    /// Why the allocator chose last what it chose.
    pub(crate) cause: Cause,
    /// What the subscriber last said of its loss, in 1/256.
    pub(crate) fraction_lost: u8,
    wishes: u8,
    /// The subscriber takes no dependency descriptors and asked for keyframes in vain: it gets nothing that takes one to
    /// be put together.
    is_plain: bool,
    /// The track the subscriber was found unable to decode, so that it is told once.
    pub(crate) undecodable: Option<TrackKey>,
    pub(crate) rtx: Retransmitter,
    pub(crate) reports: ReportSchedule,
    wishes_since: Option<Moment>,
    /// When the owner or encoding began.
    began: Option<Moment>,
    /// When it began to show its first owner.
    joined: Option<Moment>,
}

impl HotStart for Slot {
    const HOT_BYTES: usize = std::mem::offset_of!(Slot, config);
}

/// When the next sender reports are due.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReportSchedule {
    pub(crate) at: Option<Moment>,
    /// Reports since the last switch.
    sent: u8,
}

/// What a slot does with a packet.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It is not for this slot, or not yet.
    Skip,
    /// It would be for this slot, but too much waits already and nothing needs it.
    LeaveOut,
    /// It belongs to the owner, and is put there.
    Forward(Place),
    /// It is the first of a new owner, layer or codec.
    Begin(Owner),
    /// The subscriber has no such codec.
    Undecodable,
}

/// What of a packet is the slot's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlet<'e> {
    pub(crate) epoch: &'e Epoch,
    pub(crate) place: Place,
    /// An orientation to tell if the packet tells none.
    pub(crate) orientation: Option<u8>,
}

/// The moment a packet leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    pub(crate) ntp: NtpTime,
    /// The peer's next transport-wide number, if the packet takes one.
    pub(crate) transport_sequence: Option<u16>,
}

impl Slot {
    /// A slot born at `micros` of the plane's clock; `random` decides where its numbers start.
    pub(crate) fn new(peer: PeerKey, config: SlotConfig, micros: i64, random: [u64; 2]) -> Self {
        let [numbers, ids] = random;
        let rate = if config.kind == Kind::Video { 90_000 } else { 48_000 };
        let ids = Ids { picture: (ids & 0x7fff) as u16, tl0: (ids >> 16) as u8, key: 0, frame: (ids >> 32) as u16 };
        let transport_cc = config.codecs.iter().any(|codec| codec.transport_cc);
        Self {
            peer,
            ssrc: config.ssrc,
            kind: config.kind,
            ids: SlotIds::new(&config.extensions, transport_cc),
            live: None,
            wanted: None,
            hints: Hints::default(),
            cause: Cause::Kept,
            generation: 0,
            is_announced: true,
            undecodable: None,
            audio: SlotAudio::new(&config.codecs),
            // In the lower half, so that the first packets may be reordered without a doubt about the rollover.
            numbering: Numbering::new(1 + (numbers & 0x3fff), ids),
            selector: Selector::default(),
            stale_before: 0,
            active: u32::MAX,
            active_left: 0,
            clock: SlotClock::new(micros, rate, (numbers >> 32) as u32),
            rtx: Retransmitter::new(1 + (numbers >> 16 & 0x3fff)),
            mid: Mid::new(&config.mid),
            mid_left: MID_PACKETS,
            rtx_mid_left: MID_PACKETS,
            packets: 0,
            octets: 0,
            reports: ReportSchedule::default(),
            wishes: 0,
            wishes_since: None,
            is_plain: false,
            began: None,
            joined: None,
            fraction_lost: 0,
            config,
        }
    }

    /// Has what a packet needs beside the slot itself brought near; for that the slot is looked at.
    pub(crate) fn prefetch(&self) {
        self.numbering.prefetch();
    }

    /// Whether a packet is of an encoding of the owner that is not shown, and none to begin with: of those that
    /// [`Slot::decide`] skips nearly all are.
    pub(crate) fn passes_over(&self, key: TrackKey, packet: &Prepared<'_>) -> bool {
        let is_other = |epoch: &Epoch| epoch.track == key && epoch.layer != packet.layer && epoch.codec == packet.codec;
        !packet.frame.starts_keyframe && self.live.as_ref().is_some_and(is_other)
    }

    /// Decides about a packet of a track.
    #[inline(always)]
    pub(crate) fn decide(&mut self, micros: i64, key: TrackKey, track: &Track, packet: &Prepared<'_>) -> Decision {
        match &self.live {
            Some(epoch) if epoch.track == key => {
                if epoch.layer == packet.layer && epoch.codec == packet.codec {
                    let epoch = *epoch;
                    return self.go_on(micros, &epoch, track, packet);
                }
            }
            Some(_) | None => {
                if self.wanted != Some(key) {
                    return Decision::Skip;
                }
            }
        }
        self.take_over(track, packet)
    }

    /// The owner's next packet.
    #[inline]
    fn go_on(&mut self, micros: i64, epoch: &Epoch, track: &Track, packet: &Prepared<'_>) -> Decision {
        let may_leap = packet.is_newest && !self.selector.is_behind();
        if may_leap && self.clock.is_leap(micros, epoch.timestamp_out(packet.timestamp)) {
            let Epoch { track, layer, codec, payload_type, rtx_payload_type, strips_red, .. } = *epoch;
            return Decision::Begin(Owner { track, layer, codec, payload_type, rtx_payload_type, strips_red });
        }
        self.follow(epoch, track, packet)
    }

    /// A packet of the owner whose timestamp is in place, as that of the first one of an epoch always is: what it is
    /// compared with belongs to the owner before.
    #[inline]
    pub(crate) fn follow(&mut self, epoch: &Epoch, track: &Track, packet: &Prepared<'_>) -> Decision {
        if !packet.is_newest {
            // Its number was kept free if it was lost, and closed if its frame was left out.
            return self.numbering.place(epoch, packet.index).map_or(Decision::Skip, Decision::Forward);
        }
        if self.kind == Kind::Video {
            match self.choose(track, packet) {
                Choice::Forward => {}
                Choice::LeaveOut => {
                    self.leave_out(packet);
                    return Decision::Skip;
                }
                Choice::Shed => {
                    self.leave_out(packet);
                    return Decision::LeaveOut;
                }
                Choice::Stop => {
                    self.numbering.end(packet.index);
                    self.detach();
                    return Decision::Skip;
                }
            }
        }
        self.numbering.place(epoch, packet.index).map_or(Decision::Skip, Decision::Forward)
    }

    /// Asks the selector about the newest packet.
    #[inline]
    fn choose(&mut self, track: &Track, packet: &Prepared<'_>) -> Choice {
        let Some(layer) = track.layers.get(usize::from(packet.layer)) else { return Choice::LeaveOut };
        let before = self.selector.current();
        let is_leaving = self.wanted.is_some();
        let choice = self.selector.choose(packet.layer, is_leaving, &layer.reader, &packet.frame, packet.timestamp);
        if let Some(target) = self.selector.target().filter(|_| self.selector.current() != before) {
            self.handle_target(&layer.reader, target, packet);
        }
        choice
    }

    /// From this packet on, `target` is what is forwarded.
    fn handle_target(&mut self, reader: &FrameReader, target: u8, packet: &Prepared<'_>) {
        let top = Top { target, spatial: spatial(reader, target), active: reader.covered(target) };
        self.numbering.set_top(packet.index, top);
    }

    /// Stays on `target` until the selector catches up: what is forwarded from this packet on is of the past.
    pub(crate) fn fall_behind(&mut self, reader: &FrameReader, target: u8, packet: &Prepared<'_>) {
        self.selector.fall_behind(reader, target);
        self.handle_target(reader, target, packet);
    }

    /// The decode targets that are still fed, where a packet is to tell of it: with the structure, and for a while
    /// after a change (RTP Payload Format For AV1 1.0, A.4).
    fn active_targets(&mut self, packet: &Prepared<'_>, place: &Place) -> Option<u32> {
        if self.active != place.top.active {
            (self.active, self.active_left) = (place.top.active, ACTIVE_FRAMES);
        }
        let is_told = packet.frame.starts && (packet.frame.starts_keyframe || self.active_left > 0);
        if !is_told || packet.layout.is_none() {
            return None;
        }
        self.active_left = self.active_left.saturating_sub(1);
        Some(self.active)
    }

    /// Leaves out the newest packet of the owner, so that the next one takes its number.
    pub(crate) fn leave_out(&mut self, packet: &Prepared<'_>) {
        // VP8 counts pictures without a gap; of the others each picture keeps its number.
        let picture = (packet.codec == Codec::Vp8).then_some(packet.ids.picture);
        let frame = packet.frame.is_known.then_some(packet.frame.number);
        self.numbering.leave_out(packet.index, frame, picture);
    }

    /// The packet of one who is to take over.
    pub(crate) fn take_over(&self, track: &Track, packet: &Prepared<'_>) -> Decision {
        let Some(codec) = self.decodes(packet.codec) else { return Decision::Undecodable };
        let newest = track.layers.get(usize::from(packet.layer)).and_then(|layer| layer.newest);
        let can_start = match self.kind {
            // What came before the newest packet is not sent, so starting with an older one would leave a hole.
            Kind::Audio => packet.is_newest,
            Kind::Video => {
                self.selector.goal().is_some_and(|goal| goal.layer == packet.layer)
                    && packet.frame.starts_keyframe
                    && newest.unwrap_or(packet.index).saturating_sub(packet.index) <= MAX_CATCH_UP
            }
        };
        if !can_start || packet.payload.is_empty() {
            return Decision::Skip;
        }
        Decision::Begin(Owner {
            track: track.key,
            layer: packet.layer,
            codec: packet.codec,
            payload_type: codec.payload_type,
            rtx_payload_type: codec.rtx_payload_type,
            strips_red: packet.codec == Codec::Red && codec.codec != Codec::Red,
        })
    }

    /// Hands the slot to `owner`, whose first packet is `packet`, captured at `capture` if that is known.
    pub(crate) fn begin(
        &mut self,
        now: Moment,
        micros: i64,
        owner: Owner,
        track: &Track,
        packet: &Prepared<'_>,
        capture: Option<i64>,
    ) -> Epoch {
        let timestamp = self.clock.begin(micros, capture);
        self.begin_at(now, timestamp, owner, track, packet)
    }

    /// Hands the slot to `owner`, whose first packet is `packet` and has `timestamp` in the slot.
    pub(crate) fn begin_at(
        &mut self,
        now: Moment,
        timestamp: u32,
        owner: Owner,
        track: &Track,
        packet: &Prepared<'_>,
    ) -> Epoch {
        if self.live.is_some_and(|epoch| epoch.track == owner.track && epoch.layer != owner.layer) {
            // What still waits of another encoding of the same pictures would only keep the new one waiting.
            self.stale_before = self.next_index();
        }
        let epoch = self.numbering.begin(owner, packet.index, packet.timestamp, timestamp, packet.ids);
        self.live = Some(epoch);
        self.undecodable = None;
        // The old owner may change its layer while another one is still waited for.
        self.wanted = self.wanted.filter(|&wanted| wanted != owner.track);
        if let Some(layer) = track.layers.get(usize::from(owner.layer))
            && self.kind == Kind::Video
        {
            self.selector.begin(owner.layer, &layer.reader);
            self.handle_target(&layer.reader, self.selector.target().unwrap_or(0), packet);
        }
        (self.mid_left, self.rtx_mid_left, self.began) = (MID_PACKETS, MID_PACKETS, Some(now));
        self.joined.get_or_insert(now);
        self.reports = ReportSchedule { at: Some(now), sent: 0 };
        epoch
    }

    /// From the owner's packet `index` on, timestamps up to that of the packet's picture are moved.
    pub(crate) fn set_shift(&mut self, index: u64, shift: Shift) {
        self.numbering.set_shift(index, shift);
    }

    /// Gives the packet in `place` its number: those after it follow. Called once for each, in their order, before
    /// it is sent or queued.
    #[inline]
    pub(crate) fn commit(&mut self, micros: i64, epoch: &Epoch, place: Place, packet: &Prepared<'_>) {
        self.numbering.handle_sent(place.index, epoch.ids_out(packet.ids, place), packet.codec);
        self.clock.handle_sent(micros, epoch.timestamp_at(packet.timestamp, place));
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
    }

    /// Sends a packet of the owner, or only its number if it is not to be forwarded, with `head` for room. Returns its
    /// length.
    pub(crate) fn send(
        &mut self,
        outlet: &Outlet<'_>,
        packet: &Prepared<'_>,
        departure: Departure,
        head: &mut Head,
        out: &mut impl Egress,
    ) -> usize {
        let Outlet { epoch, place, orientation } = outlet;
        let is_whole = place.takes(packet) && !self.is_stale(place.index);
        let blank; // Made only where it is needed: a packet is large to copy.
        let packet = if is_whole {
            packet
        } else {
            blank = packet.blank();
            &blank
        };
        let ids = epoch.ids_out(packet.ids, *place);
        // Audio starts a talk spurt with its first packet (RFC 3551 4.1); a switch is one.
        let starts_spurt = self.kind == Kind::Audio && packet.index == epoch.first;
        let header = RtpHeader {
            marker: starts_spurt || place.ends_picture(packet),
            payload_type: epoch.payload_type,
            sequence: place.index as u16,
            timestamp: epoch.timestamp_at(packet.timestamp, *place),
            ssrc: self.ssrc,
            csrc: self.contributor(epoch),
        };
        let mid = self.media_mid();
        let active = self.active_targets(packet, place);
        let (carried, frame, layout, orientation) = (&packet.carried, ids.frame, packet.layout, *orientation);
        let Departure { ntp: now, transport_sequence } = departure;
        let elements = Elements { mid, transport_sequence, now, carried, frame, layout, active, orientation };

        let header_len = self.write_header(head, &header, &elements);
        let (head_len, tail) = write_payload(head, header_len, packet, ids, epoch.strips_red);
        // Both lengths come from what was written to `head`.
        out.rtp(self.peer, &head[..head_len], header_len, tail, (place.index >> 16) as u32);
        head_len + tail.len()
    }

    /// Sends a packet again (RFC 4588). Returns its length.
    pub(crate) fn send_again(
        &mut self,
        (ssrc, payload_type): (u32, u8),
        found: &Found,
        packet: &Prepared<'_>,
        departure: Departure,
        out: &mut impl Egress,
    ) -> usize {
        let Found { place, epoch, .. } = found;
        let packet = &if place.takes(packet) { *packet } else { packet.blank() };
        let ids = epoch.ids_out(packet.ids, *place);
        let rtx_index = self.rtx.take_index();
        let header = RtpHeader {
            marker: place.ends_picture(packet),
            payload_type,
            sequence: rtx_index as u16,
            timestamp: epoch.timestamp_at(packet.timestamp, *place),
            ssrc,
            csrc: None,
        };
        let mid = self.rtx_mid();
        // What came before it may be lost, too.
        let active = packet.frame.starts.then_some(place.top.active);
        let (carried, frame, layout) = (&packet.carried, ids.frame, packet.layout);
        let Departure { ntp: now, transport_sequence } = departure;
        let elements = Elements { mid, transport_sequence, now, carried, frame, layout, active, orientation: None };
        let mut head = [0; HEAD_LEN];
        let header_len = self.write_header(&mut head, &header, &elements);
        // The head has room for everything an extension block can hold here and the number.
        head[header_len..header_len + OSN_LEN].copy_from_slice(&(place.index as u16).to_be_bytes());
        let (head_len, tail) = write_payload(&mut head, header_len + OSN_LEN, packet, ids, epoch.strips_red);
        out.rtp(self.peer, &head[..head_len], header_len, tail, (rtx_index >> 16) as u32);
        head_len + tail.len()
    }

    /// Sends a packet of nothing but `len` bytes of padding on the SSRC of retransmissions. Returns its length.
    pub(crate) fn send_padding(
        &mut self,
        (ssrc, payload_type): (u32, u8),
        len: u8,
        departure: Departure,
        out: &mut impl Egress,
    ) -> usize {
        let rtx_index = self.rtx.take_index();
        let header = RtpHeader {
            marker: false,
            payload_type,
            sequence: rtx_index as u16,
            timestamp: self.clock.last().unwrap_or_default(),
            ssrc,
            csrc: None,
        };
        let mid = self.rtx_mid();
        let (carried, Departure { ntp: now, transport_sequence }) = (&Carried::default(), departure);
        let elements =
            Elements { mid, transport_sequence, now, carried, frame: 0, layout: None, active: None, orientation: None };
        let mut head = [0; HEAD_LEN];
        let header_len = self.write_header(&mut head, &header, &elements);
        // The first byte of the header that was just written says that padding follows (RFC 3550 5.1).
        head[0] |= 0x20;
        let mut padding = [0; u8::MAX as usize];
        let len = len.max(1);
        // `len` is in 1..=255.
        padding[usize::from(len) - 1] = len;
        out.rtp(self.peer, &head[..header_len], header_len, &padding[..usize::from(len)], (rtx_index >> 16) as u32);
        header_len + usize::from(len)
    }

    /// Whether packets take transport-wide numbers.
    pub(crate) const fn counts(&self) -> bool {
        self.ids.counts()
    }

    /// Whether all layers of AV1 are of use: with descriptors, or as long as nothing speaks against it.
    pub(crate) const fn takes_layers(&self) -> bool {
        self.ids.takes_descriptors() || !self.is_plain
    }

    /// The mid for a packet of media, which is counted.
    fn media_mid(&mut self) -> Option<Mid> {
        let tells = self.mid_left > 0;
        self.mid_left = self.mid_left.saturating_sub(1);
        self.mid.filter(|_| tells)
    }

    /// The mid for a retransmission. Firefox ignores those without once it has seen media with one. They are few, so
    /// their first ones are counted by themselves, and none comes without while the media has it.
    fn rtx_mid(&mut self) -> Option<Mid> {
        let tells = self.mid_left > 0 || self.rtx_mid_left > 0;
        self.rtx_mid_left = self.rtx_mid_left.saturating_sub(1);
        self.mid.filter(|_| tells)
    }

    /// Leaves an encoding that no longer fits: what has been numbered of it need not be sent any more.
    pub(crate) fn abandon(&mut self) {
        self.stale_before = self.next_index();
        self.detach();
    }

    /// Packets numbered below this are of no use any more.
    pub(crate) const fn stale_before(&self) -> u64 {
        self.stale_before
    }

    /// Whether a packet is of no use any more: only its number is sent.
    pub(crate) const fn is_stale(&self, index: u64) -> bool {
        index < self.stale_before
    }

    /// What is left to need of a packet that was sent.
    pub(crate) fn needs(&self, found: &Found, frame: &FrameInfo) -> Need {
        let is_live = |epoch: &Epoch| epoch.track == found.epoch.track && epoch.layer == found.epoch.layer;
        let current = self.selector.current().filter(|_| self.live.as_ref().is_some_and(is_live));
        match current {
            _ if self.is_stale(found.place.index) => Need::Nothing,
            Some(current) => current.needs(frame),
            None => Need::Itself,
        }
    }

    /// Finds a packet the subscriber asks for again by its sequence number.
    pub(crate) fn find(&self, sequence: u16) -> Option<Found> {
        self.numbering.find(sequence)
    }

    /// Finds a packet by its index in the slot.
    pub(crate) fn find_index(&self, index: u64) -> Option<Found> {
        self.numbering.find_index(index)
    }

    /// The index of the slot's next packet.
    pub(crate) const fn next_index(&self) -> u64 {
        self.numbering.next()
    }

    /// The track that is shown, or is to be shown.
    pub(crate) fn subject(&self) -> Option<TrackKey> {
        self.wanted.or(self.live.map(|epoch| epoch.track))
    }

    /// The subscriber's payload types for a codec; those of Opus for redundant audio, which can be taken apart.
    pub(crate) fn decodes(&self, codec: Codec) -> Option<&TrackCodec> {
        let listed = |codec: Codec| self.config.codecs.iter().find(|ours| codec.is_compatible(ours.codec));
        listed(codec).or_else(|| if codec == Codec::Red { listed(Codec::Opus) } else { None })
    }

    /// Takes the owner's place away; it comes back like a new one, without being announced again.
    pub(crate) fn detach(&mut self) {
        self.selector.stop();
        if let Some(epoch) = self.live.take()
            && self.wanted.is_none()
        {
            self.wanted = Some(epoch.track);
        }
    }

    /// Whether a keyframe request of the subscriber is passed on.
    pub(crate) fn may_wish(&mut self, now: Moment) -> bool {
        if self.wishes_since.is_none_or(|since| now >= since + WISH_PERIOD) {
            (self.wishes, self.wishes_since) = (0, Some(now));
        }
        self.wishes = self.wishes.saturating_add(1);
        self.wishes <= MAX_WISHES
    }

    /// Whether the subscriber has just begun to see anything here.
    pub(crate) fn has_just_joined(&self, now: Moment) -> bool {
        self.joined.is_some_and(|joined| now < joined + JOINING)
    }

    /// Whether a subscriber without descriptors has just shown, by more keyframe requests than are passed on, that it
    /// cannot put spatial layers of AV1 together. What it is sent now is another thing, so it may ask anew.
    pub(crate) fn gives_up_layers(&mut self) -> bool {
        let is_layered = self.live.is_some_and(|epoch| epoch.codec == Codec::Av1)
            && self.selector.current().is_some_and(|current| current.spatial() > 0);
        let gives_up = is_layered && self.wishes > MAX_WISHES && self.takes_layers() && !self.ids.takes_descriptors();
        if gives_up {
            (self.is_plain, self.wishes) = (true, 1);
        }
        gives_up
    }

    /// Whether the keyframe it began with may still be under way, if what is sent takes `way` to be shown.
    pub(crate) fn has_just_begun(&self, now: Moment, way: Duration) -> bool {
        self.began.is_some_and(|began| now < began + way)
    }

    /// The tracks the slot is subscribed to.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = TrackKey> + use<> {
        self.live.map(|epoch| epoch.track).into_iter().chain(self.wanted)
    }

    #[inline]
    fn write_header(&self, head: &mut Head, header: &RtpHeader, elements: &Elements<'_>) -> usize {
        let room = HEAD_LEN - OSN_LEN - MAX_DESCRIPTOR_LEN;
        // `room` is less than the length.
        header.write(&mut head[..room], |writer| self.ids.write(writer, elements))
    }
}

impl ReportSchedule {
    /// The first reports after a switch follow each other quickly: browsers need two of each stream for lip sync.
    const QUICK_REPORTS: u8 = 3;
    const QUICK: Duration = Duration::from_millis(250);
    const STEADY: Duration = Duration::from_secs(1);
    /// Those of sound are then due at multiples of this after the plane's start: there are many who only listen. Those of
    /// pictures are not, as round trips are measured by them, and who shares a path is not to learn of it in one moment.
    const GRID: Duration = Duration::from_millis(100);

    /// Records that a report was sent at `now`.
    pub(crate) fn handle_sent(&mut self, kind: Kind, start: Moment, now: Moment) {
        self.sent = self.sent.saturating_add(1);
        self.at = Some(match (self.sent < Self::QUICK_REPORTS, kind) {
            (true, _) => now + Self::QUICK,
            (false, Kind::Audio) => on_grid(start, now + Self::STEADY, Self::GRID),
            (false, Kind::Video) => now + Self::STEADY,
        });
    }

    /// Tries again soon: the publisher's clock is not known yet.
    pub(crate) fn postpone(&mut self, now: Moment) {
        self.at = Some(now + Self::QUICK);
    }
}

/// Writes what of the payload changes behind the `at` bytes of `head`; returns their end and the rest of the payload.
#[inline]
fn write_payload<'a>(
    head: &mut [u8],
    at: usize,
    packet: &Prepared<'a>,
    ids: Ids,
    strips_red: bool,
) -> (usize, &'a [u8]) {
    if strips_red {
        return (at, red_primary(packet.payload).unwrap_or_default());
    }
    let len = packet.descriptor.write(ids, head.get_mut(at..).unwrap_or_default());
    // The descriptor was read from the start of this payload.
    (at + len, packet.payload.get(packet.descriptor.len()..).unwrap_or_default())
}
