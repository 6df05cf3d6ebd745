//! Probing: sending more for a moment, to learn whether the path would carry it.

mod control;
mod meter;
mod result;

#[cfg(test)]
mod tests;

use super::Bitrate;
use super::sent_log::ProbeId;

pub(crate) use self::control::{ProbeContext, ProbeControl};
pub(crate) use self::result::ProbeOutcome;

/// Why a probe is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeCause {
    /// Nothing is known of the path yet.
    Initial,
    /// A track could use its next rung.
    Rung,
    /// Little is sent, and more could be wanted at any moment.
    KeepWarm,
    /// The estimate fell far, and the path has been calm since.
    Recovery,
}

/// What a probe told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeFinding {
    /// The path carries this rate.
    Carried(Bitrate),
    /// The path carries no more than about this rate.
    Saturated(Bitrate),
    /// Nothing.
    Void,
}

impl From<ProbeOutcome> for ProbeFinding {
    fn from(outcome: ProbeOutcome) -> Self {
        match outcome {
            ProbeOutcome::Carried(bps) => Self::Carried(Bitrate::from_f64(bps)),
            ProbeOutcome::Saturated(bps) => Self::Saturated(Bitrate::from_f64(bps)),
            ProbeOutcome::Void => Self::Void,
        }
    }
}

/// A cluster of packets to be sent at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeCluster {
    /// To be told with each packet that is sent for it, see [`super::SentPacket::probe`].
    pub id: ProbeId,
    /// The rate at which to send.
    pub rate: Bitrate,
    /// The cluster is complete when so many packets …
    pub min_packets: u16,
    /// … and so many bytes were sent.
    pub min_bytes: u32,
    /// Why it is sent.
    pub cause: ProbeCause,
}

/// What the subscriber's tracks could use, as the allocator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// What is being used: the cost of all that was chosen, audio included.
    pub used: Bitrate,
    /// What it would take to have the cheapest useful next rung as well; `None` if no track is deficient.
    pub next: Option<Bitrate>,
    /// What it would take to have every useful rung.
    pub desired: Bitrate,
}
