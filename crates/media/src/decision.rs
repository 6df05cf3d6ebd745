//! What a plane decides and why, for those who replay it: one value a decision, and one line to print.

use std::fmt;
use std::time::Duration;

use crate::allocate::{Cause, Rung};
use crate::bwe::{Bitrate, EstimatorState, LossState, ProbeCause, ProbeCluster, ProbeFinding, Reason, Trend, Usage};
use crate::key::{PeerKey, SlotKey, TrackKey};

/// Decisions of one call that are kept; more are left out.
const MAX_LOGGED: usize = 65_536;

/// An encoding, and what of it is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerChoice {
    /// The encoding, in the order of the rids.
    pub layer: u8,
    /// The highest spatial layer within it.
    pub spatial: u8,
    /// The highest temporal layer.
    pub temporal: u8,
}

impl LayerChoice {
    pub(crate) const fn of(layer: u8, rung: &Rung) -> Self {
        Self { layer, spatial: rung.spatial, temporal: rung.temporal }
    }
}

/// Why a keyframe is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WishCause {
    /// Somebody begins to watch.
    Join,
    /// Another encoding or spatial layer was chosen.
    Switch,
    /// The subscriber asked for it.
    Subscriber,
    /// So much was lost on the way to us that it is not asked for again.
    Loss,
    /// The publisher began the encoding anew under another SSRC.
    Restart,
    /// A picture was given up whose path collapsed.
    GivenUp,
}

/// Something a plane decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// The target of a subscriber moved, or something else bounds it.
    Estimate {
        /// The target that was told last.
        before: Bitrate,
        /// What it rests on now.
        state: EstimatorState,
    },
    /// A probe began.
    Probe {
        /// What is sent, and why.
        cluster: ProbeCluster,
    },
    /// A probe ended.
    Probed {
        /// What was sent.
        cluster: ProbeCluster,
        /// What it told.
        finding: ProbeFinding,
    },
    /// The allocator chose another rung of a track, or none.
    Choice {
        /// The track.
        track: TrackKey,
        /// What is to be forwarded, and what that costs; `None` pauses it.
        rung: Option<(LayerChoice, Bitrate)>,
        /// Why.
        cause: Cause,
        /// What could be spent.
        target: Bitrate,
    },
    /// A slot began with a track, or with another encoding of it.
    Begins {
        /// The track.
        track: TrackKey,
        /// The encoding.
        layer: u8,
        /// With a keyframe that had come before, rather than with one that came now.
        from_cache: bool,
    },
    /// A slot goes on with more or fewer layers of the same encoding.
    Follows {
        /// The track.
        track: TrackKey,
        /// What is forwarded now.
        choice: LayerChoice,
    },
    /// A slot shows nothing any more.
    Stops {
        /// What it showed.
        track: TrackKey,
    },
    /// Somebody cannot go on, or not as well, without a keyframe.
    Wish {
        /// The track.
        track: TrackKey,
        /// The encoding.
        layer: u8,
        /// Why.
        cause: WishCause,
    },
    /// A publisher is asked for a keyframe.
    Asks {
        /// The track.
        track: TrackKey,
        /// The encoding.
        layer: u8,
    },
    /// Packets to a subscriber were dropped, as too much waits.
    Dropped {
        /// How many.
        packets: u64,
        /// How long what still waits takes to leave.
        queue: Duration,
    },
    /// So much waits for a subscriber that it must take lower rungs; or no longer.
    Congested {
        /// Which of both.
        congested: bool,
        /// How long what waits takes to leave.
        queue: Duration,
    },
    /// Other encodings of a track are wanted.
    Wanted {
        /// The track.
        track: TrackKey,
        /// Bit i stands for the encoding i.
        layers: u8,
    },
    /// Recording ended here: the plane went on, and nobody knows how.
    Gap,
}

/// A decision, when it fell, and on whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decided {
    /// Since the start of the plane.
    pub at: Duration,
    /// The peer: the publisher of what is asked for, else the subscriber.
    pub peer: Option<PeerKey>,
    /// The slot of the subscriber.
    pub slot: Option<SlotKey>,
    /// What.
    pub decision: Decision,
}

/// A value of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Number(u64),
    /// To four places.
    Share(f64),
    Word(&'static str),
}

impl Decided {
    /// Writes a line of JSON, without its end.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, "{{\"at\":{:.6}", self.at.as_secs_f64())?;
        self.fields(&mut |name, value| match value {
            Value::Word(word) => write!(out, ",\"{name}\":\"{word}\""),
            Value::Number(_) | Value::Share(_) => write!(out, ",\"{name}\":{value}"),
        })?;
        out.write_char('}')
    }

    /// Everything there is to tell, name by name.
    fn fields(&self, tell: &mut dyn FnMut(&'static str, Value) -> fmt::Result) -> fmt::Result {
        if let Some(peer) = self.peer {
            tell("peer", Value::Number(peer.value().into()))?;
        }
        if let Some(slot) = self.slot {
            tell("slot", Value::Number(slot.value().into()))?;
        }
        tell("what", Value::Word(self.decision.name()))?;
        self.decision.fields(tell)
    }
}

/// A line of text: seconds, then names and values.
impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.6}", self.at.as_secs_f64())?;
        self.fields(&mut |name, value| match (name, value) {
            ("what", value) => write!(f, " {value}"),
            (name, value) => write!(f, " {name}={value}"),
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Share(share) if share.is_finite() => write!(f, "{share:.4}"),
            Self::Share(_) => f.write_str("0"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl Decision {
    /// Its kind in one word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Estimate { .. } => "estimate",
            Self::Probe { .. } => "probe",
            Self::Probed { .. } => "probed",
            Self::Choice { .. } => "choice",
            Self::Begins { .. } => "begins",
            Self::Follows { .. } => "follows",
            Self::Stops { .. } => "stops",
            Self::Wish { .. } => "wish",
            Self::Asks { .. } => "asks",
            Self::Dropped { .. } => "dropped",
            Self::Congested { .. } => "congested",
            Self::Wanted { .. } => "wanted",
            Self::Gap => "gap",
        }
    }

    /// The track it is about.
    #[must_use]
    pub const fn track(&self) -> Option<TrackKey> {
        match *self {
            Self::Choice { track, .. }
            | Self::Begins { track, .. }
            | Self::Follows { track, .. }
            | Self::Stops { track }
            | Self::Wish { track, .. }
            | Self::Asks { track, .. }
            | Self::Wanted { track, .. } => Some(track),
            Self::Estimate { .. }
            | Self::Probe { .. }
            | Self::Probed { .. }
            | Self::Dropped { .. }
            | Self::Congested { .. }
            | Self::Gap => None,
        }
    }

    fn fields(&self, tell: &mut dyn FnMut(&'static str, Value) -> fmt::Result) -> fmt::Result {
        if let Some(track) = self.track() {
            tell("track", Value::Number(track.value().into()))?;
        }
        match *self {
            Self::Estimate { before, state } => tell_estimate(before, &state, tell),
            Self::Probe { cluster } => tell_probe(&cluster, tell),
            Self::Probed { cluster, finding } => {
                tell_probe(&cluster, tell)?;
                let (word, found) = match finding {
                    ProbeFinding::Carried(found) => ("carried", found),
                    ProbeFinding::Saturated(found) => ("saturated", found),
                    ProbeFinding::Void => return tell("finding", Value::Word("void")),
                };
                tell("finding", Value::Word(word))?;
                tell("found", rate(found))
            }
            Self::Choice { rung, cause, target, .. } => {
                match rung {
                    Some((choice, cost)) => {
                        tell_choice(choice, tell)?;
                        tell("cost", rate(cost))?;
                    }
                    None => tell("rung", Value::Word("none"))?,
                }
                tell("cause", Value::Word(cause_word(cause)))?;
                tell("target", rate(target))
            }
            Self::Begins { layer, from_cache, .. } => {
                tell("layer", Value::Number(layer.into()))?;
                tell("with", Value::Word(if from_cache { "cache" } else { "packet" }))
            }
            Self::Follows { choice, .. } => tell_choice(choice, tell),
            Self::Wish { layer, cause, .. } => {
                tell("layer", Value::Number(layer.into()))?;
                tell("cause", Value::Word(wish_word(cause)))
            }
            Self::Asks { layer, .. } => tell("layer", Value::Number(layer.into())),
            Self::Dropped { packets, queue } => {
                tell("packets", Value::Number(packets))?;
                tell("queue_ms", millis(queue))
            }
            Self::Congested { congested, queue } => {
                tell("congested", Value::Word(if congested { "yes" } else { "no" }))?;
                tell("queue_ms", millis(queue))
            }
            Self::Wanted { layers, .. } => tell("layers", Value::Number(layers.into())),
            Self::Stops { .. } | Self::Gap => Ok(()),
        }
    }
}

fn tell_estimate(
    before: Bitrate,
    state: &EstimatorState,
    tell: &mut dyn FnMut(&'static str, Value) -> fmt::Result,
) -> fmt::Result {
    tell("target", rate(state.target))?;
    tell("before", rate(before))?;
    tell("reason", Value::Word(reason_word(state.reason)))?;
    tell("delay", rate(state.delay))?;
    tell("loss", rate(state.loss))?;
    if let Some(acked) = state.acked {
        tell("acked", rate(acked))?;
    }
    tell("usage", Value::Word(usage_word(state.usage)))?;
    tell("trend", Value::Word(trend_word(state.trend)))?;
    tell("loss_state", Value::Word(loss_word(state.loss_state)))?;
    tell("lost", Value::Share(state.loss_share))?;
    tell("queue_ms", millis(state.queue))?;
    tell("rtt_ms", millis(state.rtt))
}

fn tell_probe(cluster: &ProbeCluster, tell: &mut dyn FnMut(&'static str, Value) -> fmt::Result) -> fmt::Result {
    tell("probe", Value::Number(cluster.id.number().into()))?;
    tell("cause", Value::Word(probe_word(cluster.cause)))?;
    tell("rate", rate(cluster.rate))
}

fn tell_choice(choice: LayerChoice, tell: &mut dyn FnMut(&'static str, Value) -> fmt::Result) -> fmt::Result {
    tell("layer", Value::Number(choice.layer.into()))?;
    tell("spatial", Value::Number(choice.spatial.into()))?;
    tell("temporal", Value::Number(choice.temporal.into()))
}

const fn rate(rate: Bitrate) -> Value {
    Value::Number(rate.as_bps())
}

fn millis(span: Duration) -> Value {
    Value::Number(span.as_millis() as u64) // What a path takes is far below the bound.
}

const fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Start => "start",
        Reason::Delay => "delay",
        Reason::Loss => "loss",
        Reason::Remb => "remb",
        Reason::Max => "max",
        Reason::Floor => "floor",
        Reason::Rtt => "rtt",
        Reason::Silence => "silence",
    }
}

const fn usage_word(usage: Usage) -> &'static str {
    match usage {
        Usage::Normal => "normal",
        Usage::Overuse => "overuse",
        Usage::Underuse => "underuse",
    }
}

const fn trend_word(trend: Trend) -> &'static str {
    match trend {
        Trend::Hold => "hold",
        Trend::Increase => "increase",
        Trend::Decrease => "decrease",
    }
}

const fn loss_word(state: LossState) -> &'static str {
    match state {
        LossState::DelayBased => "delay-based",
        LossState::Increasing => "increasing",
        LossState::Decreasing => "decreasing",
    }
}

const fn probe_word(cause: ProbeCause) -> &'static str {
    match cause {
        ProbeCause::Initial => "initial",
        ProbeCause::Rung => "rung",
        ProbeCause::KeepWarm => "keep-warm",
        ProbeCause::Recovery => "recovery",
    }
}

const fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Kept => "kept",
        Cause::Room => "room",
        Cause::Squeezed => "squeezed",
        Cause::Wish => "wish",
        Cause::Gone => "gone",
    }
}

const fn wish_word(cause: WishCause) -> &'static str {
    match cause {
        WishCause::Join => "join",
        WishCause::Switch => "switch",
        WishCause::Subscriber => "subscriber",
        WishCause::Loss => "loss",
        WishCause::Restart => "restart",
        WishCause::GivenUp => "given-up",
    }
}

/// Takes decisions where they fall, while somebody listens; otherwise it costs a comparison.
#[derive(Debug, Default)]
pub(crate) struct Log(Option<Vec<(Option<SlotKey>, Decision)>>);

impl Log {
    /// Listens from now on.
    pub(crate) fn start(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Notes a decision about a slot, or about none.
    #[inline]
    pub(crate) fn note(&mut self, slot: Option<SlotKey>, decision: impl FnOnce() -> Decision) {
        if let Some(log) = self.0.as_mut().filter(|log| log.len() < MAX_LOGGED) {
            log.push((slot, decision()));
        }
    }

    /// Takes what was noted.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Option<SlotKey>, Decision)> {
        self.0.iter_mut().flat_map(|log| log.drain(..))
    }
}
