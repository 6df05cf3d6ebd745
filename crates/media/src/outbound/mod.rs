//! What is sent: one slot of a subscriber, whose numbers continue for life whoever owns it.

pub(crate) mod audio;
pub(crate) mod clock;
pub(crate) mod extmap;
pub(crate) mod rewrite;
pub(crate) mod rtx;

use std::time::{Duration, Instant};

use roundtable_wire::{Codec, Kind, NtpTime, RtpHeader};

use crate::allocate::Hints;
use crate::audio::SlotAudio;
use crate::config::{SlotConfig, TrackCodec};
use crate::descriptor::{Ids, MAX_LEN as MAX_DESCRIPTOR_LEN, red_primary};
use crate::event::Egress;
use crate::key::{PeerKey, TrackKey};
use crate::outbound::clock::SlotClock;
use crate::outbound::extmap::{Elements, SlotIds};
use crate::outbound::rewrite::{Epoch, Numbering, Owner};
use crate::outbound::rtx::Retransmitter;
use crate::packet::Prepared;

/// Packets of a slot that carry its mid: the first ones, and the first ones after each switch.
const MID_PACKETS: u16 = 200;
/// A longer mid would need two-byte extensions, which not everybody takes: it is then sent on no packet.
const MAX_MID_LEN: usize = 16;
/// Room for header, extensions and rewritten payload descriptor.
const HEAD_LEN: usize = 320;
/// Bytes of the original sequence number in front of a retransmitted payload (RFC 4588 4).
const OSN_LEN: usize = 2;
/// A keyframe may have been overtaken by this many packets, which then follow from the ring.
const MAX_CATCH_UP: u64 = 512;
/// Keyframe requests that a subscriber may make for a slot in one period.
const MAX_WISHES: u8 = 3;
const WISH_PERIOD: Duration = Duration::from_secs(10);

/// One receiving m-line of a subscriber.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) peer: PeerKey,
    pub(crate) config: SlotConfig,
    ids: SlotIds,
    /// Who owns what the subscriber gets now.
    pub(crate) live: Option<Epoch>,
    /// Who is to take over with the next packet that can be decoded alone; never the track in `live`.
    pub(crate) wanted: Option<TrackKey>,
    /// What the subscriber says of the picture.
    pub(crate) hints: Hints,
    pub(crate) generation: u32,
    /// Whether [`PlaneEvent::SlotLive`](crate::PlaneEvent::SlotLive) was told of this generation.
    pub(crate) is_announced: bool,
    /// The track the subscriber was found unable to decode, so that it is told once.
    pub(crate) undecodable: Option<TrackKey>,
    /// How much redundancy the subscriber needs, and whether the plane itself fills the slot.
    pub(crate) audio: SlotAudio,
    numbering: Numbering,
    pub(crate) clock: SlotClock,
    pub(crate) rtx: Retransmitter,
    mid_left: u16,
    rtx_mid_left: u16,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    pub(crate) reports: ReportSchedule,
    wishes: u8,
    wishes_since: Option<Instant>,
    /// What the subscriber last said of its loss, in 1/256.
    pub(crate) fraction_lost: u8,
}

/// When the next sender reports are due.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReportSchedule {
    pub(crate) at: Option<Instant>,
    /// Reports since the last switch.
    sent: u8,
}

/// What a slot does with a packet.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It is not for this slot, or not yet.
    Skip,
    /// It belongs to the owner.
    Forward(Epoch),
    /// It is the first of a new owner, layer or codec.
    Begin(Owner),
    /// The subscriber has no such codec.
    Undecodable,
}

/// What sending a packet needs besides the packet.
#[derive(Debug)]
pub(crate) struct Departure<'p> {
    pub(crate) micros: i64,
    pub(crate) ntp: NtpTime,
    /// The peer's next transport-wide number.
    pub(crate) transport_sequence: &'p mut u16,
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
            ids: SlotIds::new(&config.extensions, transport_cc),
            live: None,
            wanted: None,
            hints: Hints::default(),
            generation: 0,
            is_announced: true,
            undecodable: None,
            audio: SlotAudio::default(),
            // In the lower half, so that the first packets may be reordered without a doubt about the rollover.
            numbering: Numbering::new(1 + (numbers & 0x3fff), ids),
            clock: SlotClock::new(micros, rate, (numbers >> 32) as u32),
            rtx: Retransmitter::new(1 + (numbers >> 16 & 0x3fff)),
            mid_left: MID_PACKETS,
            rtx_mid_left: MID_PACKETS,
            packets: 0,
            octets: 0,
            reports: ReportSchedule::default(),
            wishes: 0,
            wishes_since: None,
            fraction_lost: 0,
            config,
        }
    }

    /// Decides about a packet of a track whose best layer is `selected` and whose newest packet on the packet's layer
    /// is `newest`.
    pub(crate) fn decide(
        &self,
        micros: i64,
        track: TrackKey,
        selected: usize,
        newest: u64,
        packet: &Prepared<'_>,
    ) -> Decision {
        match &self.live {
            Some(epoch) if epoch.track == track => {
                if epoch.layer == packet.layer && epoch.codec == packet.codec {
                    return self.go_on(micros, epoch, packet);
                }
                if usize::from(packet.layer) != selected && epoch.layer != packet.layer {
                    return Decision::Skip;
                }
            }
            Some(_) | None => {
                if self.wanted != Some(track) || usize::from(packet.layer) != selected {
                    return Decision::Skip;
                }
            }
        }
        self.take_over(track, newest, packet)
    }

    /// The owner's next packet.
    fn go_on(&self, micros: i64, epoch: &Epoch, packet: &Prepared<'_>) -> Decision {
        if packet.index < epoch.first {
            return Decision::Skip; // From before the switch: its number in the slot is another owner's.
        }
        if packet.is_newest && self.clock.is_leap(micros, epoch.timestamp_out(packet.timestamp)) {
            let Epoch { track, layer, codec, payload_type, rtx_payload_type, strips_red, .. } = *epoch;
            return Decision::Begin(Owner { track, layer, codec, payload_type, rtx_payload_type, strips_red });
        }
        Decision::Forward(*epoch)
    }

    /// The packet of one who is to take over.
    fn take_over(&self, track: TrackKey, newest: u64, packet: &Prepared<'_>) -> Decision {
        let Some(codec) = self.decodes(packet.codec) else { return Decision::Undecodable };
        let can_start = match self.config.kind {
            // What came before the newest packet is not sent, so starting with an older one would leave a hole.
            Kind::Audio => packet.is_newest,
            Kind::Video => packet.starts_keyframe && newest.saturating_sub(packet.index) <= MAX_CATCH_UP,
        };
        if !can_start || packet.payload.is_empty() {
            return Decision::Skip;
        }
        Decision::Begin(Owner {
            track,
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
        now: Instant,
        micros: i64,
        owner: Owner,
        packet: &Prepared<'_>,
        capture: Option<i64>,
    ) -> Epoch {
        let timestamp = self.clock.begin(micros, capture);
        let epoch = self.numbering.begin(owner, packet.index, packet.timestamp, timestamp, packet.ids);
        self.live = Some(epoch);
        self.undecodable = None;
        // The old owner may change its layer while another one is still waited for.
        self.wanted = self.wanted.filter(|&wanted| wanted != owner.track);
        (self.mid_left, self.rtx_mid_left) = (MID_PACKETS, MID_PACKETS);
        self.reports = ReportSchedule { at: Some(now), sent: 0 };
        epoch
    }

    /// Sends a packet of the owner. Returns its length.
    pub(crate) fn send(
        &mut self,
        epoch: &Epoch,
        packet: &Prepared<'_>,
        orientation: Option<u8>,
        departure: &mut Departure<'_>,
        out: &mut impl Egress,
    ) -> usize {
        let index = epoch.index_out(packet.index);
        let timestamp = epoch.timestamp_out(packet.timestamp);
        let ids = epoch.ids_out(packet.ids);
        // Audio starts a talk spurt with its first packet (RFC 3551 4.1); a switch is one.
        let starts_spurt = self.config.kind == Kind::Audio && packet.index == epoch.first;
        let header = RtpHeader {
            marker: packet.marker || starts_spurt,
            payload_type: epoch.payload_type,
            sequence: index as u16,
            timestamp,
            ssrc: self.config.ssrc,
            csrc: None,
        };
        let tells_mid = self.mid_left > 0;
        self.mid_left = self.mid_left.saturating_sub(1);

        let mut head = [0; HEAD_LEN];
        let header_len = self.write_header(&mut head, &header, packet, ids.frame, tells_mid, orientation, departure);
        let (head_len, tail) = write_payload(&mut head, header_len, packet, ids, epoch.strips_red);
        // Both lengths come from what was written to `head`.
        out.rtp(self.peer, &head[..head_len], header_len, tail, (index >> 16) as u32);

        self.numbering.handle_sent(index, ids, packet.codec);
        self.clock.handle_sent(departure.micros, timestamp);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((head_len - header_len + tail.len()) as u32);
        head_len + tail.len()
    }

    /// Sends a packet again (RFC 4588), which had the number `index` in this slot. Returns its length.
    pub(crate) fn send_again(
        &mut self,
        (ssrc, payload_type): (u32, u8),
        epoch: &Epoch,
        index: u64,
        packet: &Prepared<'_>,
        departure: &mut Departure<'_>,
        out: &mut impl Egress,
    ) -> usize {
        let ids = epoch.ids_out(packet.ids);
        let rtx_index = self.rtx.take_index();
        let header = RtpHeader {
            marker: packet.marker,
            payload_type,
            sequence: rtx_index as u16,
            timestamp: epoch.timestamp_out(packet.timestamp),
            ssrc,
            csrc: None,
        };
        // Firefox ignores retransmissions without a mid once it has seen media with one. They are few, so their first
        // ones are counted by themselves, and none comes without while the media has it.
        let tells_mid = self.mid_left > 0 || self.rtx_mid_left > 0;
        self.rtx_mid_left = self.rtx_mid_left.saturating_sub(1);

        let mut head = [0; HEAD_LEN];
        let header_len = self.write_header(&mut head, &header, packet, ids.frame, tells_mid, None, departure);
        // The head has room for everything an extension block can hold here and the number.
        head[header_len..header_len + OSN_LEN].copy_from_slice(&(index as u16).to_be_bytes());
        let (head_len, tail) = write_payload(&mut head, header_len + OSN_LEN, packet, ids, epoch.strips_red);
        out.rtp(self.peer, &head[..head_len], header_len, tail, (rtx_index >> 16) as u32);
        head_len + tail.len()
    }

    /// Finds a packet the subscriber asks for again by its sequence number.
    pub(crate) fn find(&self, sequence: u16) -> Option<(u64, Epoch, u64)> {
        self.numbering.find(sequence).map(|(index, epoch, theirs)| (index, *epoch, theirs))
    }

    /// The subscriber's payload types for a codec; those of Opus for redundant audio, which can be taken apart.
    pub(crate) fn decodes(&self, codec: Codec) -> Option<&TrackCodec> {
        let listed = |codec: Codec| self.config.codecs.iter().find(|ours| codec.is_compatible(ours.codec));
        listed(codec).or_else(|| if codec == Codec::Red { listed(Codec::Opus) } else { None })
    }

    /// Takes the owner's place away; it comes back like a new one, without being announced again.
    pub(crate) fn detach(&mut self) {
        if let Some(epoch) = self.live.take()
            && self.wanted.is_none()
        {
            self.wanted = Some(epoch.track);
        }
    }

    /// Whether a keyframe request of the subscriber is passed on.
    pub(crate) fn may_wish(&mut self, now: Instant) -> bool {
        if self.wishes_since.is_none_or(|since| now >= since + WISH_PERIOD) {
            (self.wishes, self.wishes_since) = (0, Some(now));
        }
        self.wishes = self.wishes.saturating_add(1);
        self.wishes <= MAX_WISHES
    }

    /// The tracks the slot is subscribed to.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = TrackKey> + use<> {
        self.live.map(|epoch| epoch.track).into_iter().chain(self.wanted)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one header, all of different types")]
    fn write_header(
        &self,
        head: &mut [u8; HEAD_LEN],
        header: &RtpHeader,
        packet: &Prepared<'_>,
        frame: u16,
        tells_mid: bool,
        orientation: Option<u8>,
        departure: &mut Departure<'_>,
    ) -> usize {
        let mid = Some(self.config.mid.as_str()).filter(|mid| tells_mid && (1..=MAX_MID_LEN).contains(&mid.len()));
        let transport_sequence = *departure.transport_sequence;
        if self.ids.counts() {
            *departure.transport_sequence = transport_sequence.wrapping_add(1);
        }
        let carried = &packet.carried;
        let elements = Elements { mid, transport_sequence, now: departure.ntp, carried, frame, orientation };
        let room = HEAD_LEN - OSN_LEN - MAX_DESCRIPTOR_LEN;
        // `room` is less than the length.
        header.write(&mut head[..room], |writer| self.ids.write(writer, &elements))
    }
}

impl ReportSchedule {
    /// The first reports after a switch follow each other quickly: browsers need two of each stream for lip sync.
    const QUICK_REPORTS: u8 = 3;
    const QUICK: Duration = Duration::from_millis(250);
    const STEADY: Duration = Duration::from_secs(1);

    /// Records that a report was sent at `now`.
    pub(crate) fn handle_sent(&mut self, now: Instant) {
        self.sent = self.sent.saturating_add(1);
        self.at = Some(now + if self.sent < Self::QUICK_REPORTS { Self::QUICK } else { Self::STEADY });
    }

    /// Tries again soon: the publisher's clock is not known yet.
    pub(crate) fn postpone(&mut self, now: Instant) {
        self.at = Some(now + Self::QUICK);
    }
}

/// Writes what of the payload changes behind the `at` bytes of `head`; returns their end and the rest of the payload.
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
