//! What an audio slot does with packets: it needs no keyframe, but redundancy against loss, and timestamps that keep
//! their distance while packets are held back.

use roundtable_wire::Codec;

use crate::audio::recent::{Recent, primary};
use crate::audio::red::{Frame, Redundancy, build};
use crate::config::TrackCodec;
use crate::event::Egress;
use crate::key::TrackKey;
use crate::moment::Moment;
use crate::outbound::rewrite::{Epoch, Owner};
use crate::outbound::{Departure, HEAD_LEN, MID_PACKETS, Outlet, ReportSchedule, Slot};
use crate::packet::Prepared;

/// An owner whose packets were held back goes on with its timestamps unless they have drifted from their arrival by more
/// than this, in ticks: its clock has then stood still meanwhile.
const RESUME_SLACK: i32 = 12_000;
const RATE: i64 = 48_000;

/// What an audio slot keeps.
#[derive(Debug)]
pub(crate) struct SlotAudio {
    /// Whether the plane itself puts those on it who speak and have no seat.
    pub(crate) is_voice: bool,
    /// How the owner's numbers ran when its packets were last held back.
    pub(crate) resume: Option<Epoch>,
    pub(crate) redundancy: Redundancy,
    /// The payload type of redundant audio, if the subscriber takes it.
    red: Option<u8>,
}

impl SlotAudio {
    pub(super) fn new(codecs: &[TrackCodec]) -> Self {
        let red = codecs.iter().find(|entry| entry.codec == Codec::Red).map(|entry| entry.payload_type);
        Self { is_voice: false, resume: None, redundancy: Redundancy::default(), red }
    }
}

/// What an audio slot does with a packet.
#[derive(Debug)]
pub(crate) enum AudioDecision {
    /// It is not for this slot.
    Skip,
    /// It belongs to the owner.
    Forward(Epoch),
    /// It is the first of a new owner, or the first after a pause.
    Begin(Owner),
    /// The subscriber has no such codec.
    Undecodable,
}

impl Slot {
    /// Decides about an audio packet of a track.
    pub(crate) fn decide_audio(&self, micros: i64, track: TrackKey, packet: &Prepared<'_>) -> AudioDecision {
        let live = self.live.filter(|epoch| epoch.track == track);
        if live.is_none() && self.wanted != Some(track) {
            return AudioDecision::Skip;
        }
        if let Some(epoch) = live {
            let is_leap = packet.is_newest && self.clock.is_leap(micros, epoch.timestamp_out(packet.timestamp));
            if packet.index < epoch.first {
                return AudioDecision::Skip; // From before the switch: its number in the slot is another owner's.
            }
            if !is_leap {
                return AudioDecision::Forward(epoch);
            }
        }
        // Audio may be sent as Opus whatever it came in, so the owner's type is that of Opus if the subscriber has it.
        let entry = self.decodes(Codec::Opus).or_else(|| self.decodes(packet.codec));
        let Some(entry) = entry else { return AudioDecision::Undecodable };
        // What came before the newest packet is not sent, so starting with an older one would leave a hole.
        if !packet.is_newest || packet.payload.is_empty() {
            return AudioDecision::Skip;
        }
        AudioDecision::Begin(Owner {
            track,
            layer: packet.layer,
            codec: entry.codec,
            payload_type: entry.payload_type,
            rtx_payload_type: None,
            strips_red: false,
        })
    }

    /// Hands the slot to `owner`, whose first packet is `packet`, which came at `micros`.
    pub(crate) fn begin_audio(
        &mut self,
        now: Moment,
        micros: i64,
        owner: Owner,
        packet: &Prepared<'_>,
        capture: Option<i64>,
    ) -> Epoch {
        let resumed = self.audio.resume.take().filter(|epoch| epoch.track == owner.track);
        let fresh = self.clock.begin(micros, capture);
        let is_usable = |&timestamp: &u32| {
            let drift = timestamp.wrapping_sub(fresh).cast_signed();
            (-RESUME_SLACK..=RESUME_SLACK).contains(&drift) && self.clock.is_next(timestamp)
        };
        let resumed = resumed.map(|epoch| epoch.timestamp_out(packet.timestamp)).filter(is_usable);
        let timestamp = resumed.unwrap_or(fresh);
        let epoch = self.numbering.begin(owner, packet.index, packet.timestamp, timestamp, packet.ids);
        self.live = Some(epoch);
        self.undecodable = None;
        self.wanted = self.wanted.filter(|&wanted| wanted != owner.track);
        (self.mid_left, self.rtx_mid_left) = (MID_PACKETS, MID_PACKETS);
        self.reports = ReportSchedule { at: Some(now), sent: 0 };
        epoch
    }

    /// Sends an audio packet of the owner with as much redundancy as the subscriber needs. Returns its length, 0 if
    /// there is no audio in it.
    pub(crate) fn send_audio(
        &mut self,
        epoch: &Epoch,
        (packet, has_voice): (&Prepared<'_>, bool),
        recent: &Recent,
        scratch: &mut Vec<u8>,
        (micros, departure): (i64, Departure),
        out: &mut impl Egress,
    ) -> usize {
        let Some(place) = self.numbering.place(epoch, packet.index) else { return 0 };
        let payload = primary(packet.codec, packet.payload).unwrap_or_default();
        let red = self.audio.red;
        let distance = if red.is_some() { self.audio.redundancy.distance(has_voice) } else { 0 };
        let frame = Frame { index: packet.index, timestamp: packet.timestamp, primary: payload };
        let is_built = distance > 0 && build(recent, frame, (distance, epoch.first), epoch.payload_type, scratch);
        let mut epoch = *epoch;
        let packet = match red.filter(|_| is_built) {
            Some(payload_type) => {
                epoch.payload_type = payload_type;
                Prepared { payload: scratch, codec: Codec::Red, ..*packet }
            }
            None => Prepared { payload, codec: Codec::Opus, ..*packet },
        };
        self.commit(micros, &epoch, place, &packet);
        self.send(&Outlet { epoch: &epoch, place, orientation: None }, &packet, departure, &mut [0; HEAD_LEN], out)
    }

    /// Whom packets name as their source beside the slot itself: on voice slots the talker, who changes with every word.
    pub(super) fn contributor(&self, epoch: &Epoch) -> Option<u32> {
        self.audio.is_voice.then(|| epoch.track.csrc())
    }

    /// Closes the slot while its owner is held back, so that no number is left out; it is taken up again with the same
    /// distance of timestamps.
    pub(crate) fn hold(&mut self) {
        if let Some(epoch) = self.live {
            self.detach();
            self.audio.resume = Some(epoch);
        }
    }

    /// When a packet came that is `ticks` older than the one that came at `micros`.
    pub(crate) fn earlier(micros: i64, ticks: u32) -> i64 {
        micros - i64::from(ticks) * 1_000_000 / RATE
    }
}
