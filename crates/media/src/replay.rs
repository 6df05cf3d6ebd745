//! Tells a new plane what an old one was told, and hears what it decides.

use std::time::Duration;

use crate::counters::Counters;
use crate::decision::{Decided, Decision};
use crate::event::Egress;
use crate::moment::Moment;
use crate::plane::{Plane, Watch};
use crate::trace::{Call, Calls, Next, TraceError};

/// What a trace holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The wall clock at its start.
    pub unix_micros: u64,
    /// How long it is.
    pub span: Duration,
    /// The calls in it.
    pub calls: u64,
    /// Whether recording ended before the plane did.
    pub is_cut: bool,
    /// What the plane counted.
    pub counters: Counters,
}

/// Replays a trace: what the plane sends goes to `out`, what it decides to `decided`, in their order. `origin` stands
/// for the start of the plane, and can be any moment.
///
/// # Errors
/// [`TraceError`] says where the trace cannot be read further. What came before has been replayed.
pub fn replay(
    trace: &[u8],
    origin: Moment,
    out: &mut impl Egress,
    decided: &mut impl FnMut(&Decided),
) -> Result<Summary, TraceError> {
    let mut tape = Calls::new(trace)?;
    let mut plane = Plane::new(origin, tape.unix_micros, tape.seed);
    let mut watch = Watch::default();
    plane.keep_log();
    let mut calls = 0;
    let is_cut = loop {
        match tape.next()? {
            Next::Call(call) => call.apply(&mut plane, origin + tape.span, out),
            Next::Gap => {
                decided(&Decided { at: tape.span, peer: None, slot: None, decision: Decision::Gap });
                break true;
            }
            Next::End => break false,
        }
        calls += 1;
        plane.watch(tape.span, &mut watch, decided);
    };
    let Calls { unix_micros, span, .. } = tape;
    Ok(Summary { unix_micros, span, calls, is_cut, counters: *plane.counters() })
}

impl Call<'_> {
    /// Tells a plane the same again.
    pub(crate) fn apply(self, plane: &mut Plane, now: Moment, out: &mut impl Egress) {
        match self {
            Self::AddPeer {} => _ = plane.add_peer(now),
            Self::RemovePeer { peer } => plane.remove_peer(now, peer),
            Self::SetPeerReady { peer, ready } => plane.set_peer_ready(now, peer, ready),
            Self::HandlePathChange { peer } => plane.handle_path_change(now, peer),
            Self::AddTrack { peer, config } => _ = plane.add_track(now, peer, config),
            Self::RemoveTrack { track } => plane.remove_track(now, track),
            Self::SetTrackPaused { track, paused } => plane.set_track_paused(now, track, paused),
            Self::AddSlot { peer, config } => _ = plane.add_slot(now, peer, config),
            // Whoever assigned it heard that it cannot be decoded; nothing follows from that here.
            Self::Assign { slot, track, generation } => _ = plane.assign(now, slot, track, generation),
            Self::SetHints { slot, hints } => plane.set_hints(now, slot, hints),
            Self::SetLimits { peer, limits } => plane.set_limits(now, peer, limits),
            Self::SetTrackClass { track, class, spoke } => plane.set_track_class(now, track, class, spoke),
            Self::HandleRtp { from, packet } => plane.handle_rtp(now, from, &packet, out),
            Self::HandleRtcp { from, compound } => plane.handle_rtcp(now, from, &compound, out),
            Self::HandleTimeout {} => plane.handle_timeout(now, out),
            Self::SetMaxTalkers { most } => plane.set_max_talkers(now, usize::try_from(most).unwrap_or(usize::MAX)),
            Self::SetVoiceSlot { slot } => plane.set_voice_slot(now, slot),
            Self::EndVoiceSlot { slot } => plane.end_voice_slot(now, slot),
            Self::SetAudible { peer, track, audible } => plane.set_audible(now, peer, track, audible),
        }
    }
}
