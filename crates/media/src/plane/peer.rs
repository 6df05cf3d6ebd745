//! What the plane knows of one peer.

use std::time::Duration;

use roundtable_wire::NtpTime;

use crate::config::PeerLimits;
use crate::feedback::ArrivalLog;
use crate::inbound::bind::{Name, Place, Sources};
use crate::inbound::clock::PublisherClock;
use crate::key::{HotStart, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::rtx::Budget;
use crate::plane::publishing::Inflow;
use crate::plane::sending::Sending;

/// RTCP packets a peer may send in a second, and more for each slot: idle ones get a receiver report each second.
const RTCP_PER_SECOND: u32 = 100;
const RTCP_PER_SLOT: u32 = 2;
/// Round-trip time of a peer that has reported none.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Receivers of one peer whose reference times wait for their answers; those of more are not answered.
const MAX_REFERENCES: usize = 8;

/// One peer: a publisher, a subscriber or both.
///
/// In this order, so that what a packet to it needs lies together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Peer {
    /// Whether packets may leave for it.
    pub(crate) is_ready: bool,
    /// Whether it only stands for a publisher that is with another plane: then nothing ever leaves for it.
    pub(crate) is_relayed: bool,
    pub(crate) budget: Budget,
    /// The path to it.
    pub(crate) sending: Sending,
    // From here on what a packet to it does not need.
    /// What policy allows it.
    pub(crate) limits: PeerLimits,
    pub(crate) tracks: Vec<TrackKey>,
    pub(crate) slots: Vec<SlotKey>,
    /// The slots by the SSRC of their media.
    pub(crate) slot_ssrcs: Vec<(u32, SlotKey)>,
    /// Tracks it does not want to hear on its voice slots.
    pub(crate) unheard: Vec<TrackKey>,
    pub(crate) sources: Sources,
    pub(crate) arrivals: ArrivalLog,
    /// The media SSRC it was last heard on: feedback names it.
    pub(crate) live_ssrc: Option<u32>,
    pub(crate) clock: PublisherClock,
    /// What comes from it.
    pub(crate) inflow: Inflow,
    pub(crate) rtt: Duration,
    /// The reference times of its receivers that are to be answered.
    pub(crate) references: Vec<Reference>,
    rtcp_since: Moment,
    rtcp_count: u32,
    /// The id of transport-wide numbers on what it publishes.
    pub(crate) transport_sequence_id: Option<u8>,
    /// FIR commands sent.
    pub(crate) fir_sequence: u8,
}

impl HotStart for Peer {
    const HOT_BYTES: usize = std::mem::offset_of!(Peer, sending) + Sending::HOT_BYTES;
}

/// A reference time report (RFC 3611 4.4) as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference {
    /// The receiver.
    pub(crate) ssrc: u32,
    /// Its time, compact.
    pub(crate) ntp: u32,
    /// When the report came.
    pub(crate) at: Moment,
}

impl Peer {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            is_ready: false,
            is_relayed: false,
            limits: PeerLimits::default(),
            tracks: Vec::new(),
            slots: Vec::new(),
            slot_ssrcs: Vec::new(),
            unheard: Vec::new(),
            sources: Sources::default(),
            transport_sequence_id: None,
            arrivals: ArrivalLog::new(),
            live_ssrc: None,
            clock: PublisherClock::default(),
            sending: Sending::new(now),
            inflow: Inflow::default(),
            budget: Budget::new(now),
            rtt: INITIAL_RTT,
            references: Vec::new(),
            fir_sequence: 0,
            rtcp_since: now,
            rtcp_count: 0,
        }
    }

    /// What of it goes on in another plane, without tracks and slots. `name` tells what is negotiated of a place.
    pub(crate) fn moved(self, now: Moment, name: impl Fn(Place) -> Option<Name>) -> Self {
        Self {
            sources: self.sources.moved(name),
            transport_sequence_id: self.transport_sequence_id,
            arrivals: self.arrivals,
            sending: self.sending.moved(now),
            budget: self.budget,
            rtt: self.rtt,
            fir_sequence: self.fir_sequence,
            rtcp_since: self.rtcp_since,
            rtcp_count: self.rtcp_count,
            ..Self::new(now)
        }
    }

    /// Goes on in a plane whose clock shows `shift` microseconds more than that of the old one.
    pub(crate) fn resume(&mut self, now: Moment, shift: i64) {
        self.arrivals.go_on(shift);
        self.sending.resume(now, self.limits.receive.max_bitrate);
    }

    /// Counts an RTCP packet; returns whether it is to be read.
    pub(crate) fn allow_rtcp(&mut self, now: Moment) -> bool {
        if now >= self.rtcp_since + Duration::from_secs(1) {
            (self.rtcp_since, self.rtcp_count) = (now, 0);
        }
        self.rtcp_count = self.rtcp_count.saturating_add(1);
        self.rtcp_count <= RTCP_PER_SECOND + RTCP_PER_SLOT * self.slots.len() as u32
    }

    /// Takes a sample of the round-trip time; one eighth of it counts (RFC 6298 2).
    pub(crate) fn handle_rtt(&mut self, now: Moment, sample: Duration) {
        let is_first = self.rtt == INITIAL_RTT;
        self.rtt = if is_first { sample } else { (self.rtt * 7 + sample) / 8 };
        self.sending.handle_rtt(now, self.rtt);
    }

    /// Remembers a receiver's reference time, to be answered; a later one replaces it.
    pub(crate) fn handle_reference_time(&mut self, now: Moment, ssrc: u32, ntp: NtpTime) {
        self.references.retain(|reference| reference.ssrc != ssrc);
        if self.references.len() < MAX_REFERENCES {
            self.references.push(Reference { ssrc, ntp: ntp.compact(), at: now });
        }
    }

    /// The slot whose media has `ssrc`.
    pub(crate) fn slot_of(&self, ssrc: u32) -> Option<SlotKey> {
        self.slot_ssrcs.iter().find(|(known, _)| *known == ssrc).map(|&(_, slot)| slot)
    }
}
