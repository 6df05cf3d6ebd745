//! What the plane knows of the path to one subscriber: what it carries, what waits for it, what was chosen for it.

use std::time::Duration;

use roundtable_wire::twcc::Feedback;

use crate::allocate::{Allocator, Budget, Choice};
use crate::bwe::{
    Bitrate, Demand, Estimator, EstimatorConfig, NullEstimator, ProbeCluster, ProbeId, SendSideEstimator, SentPacket,
    Told,
};
use crate::grid::on_grid;
use crate::key::{HotStart, SlotKey};
use crate::moment::Moment;
use crate::pacer::Pacer;
use crate::plane::earlier;

/// Bytes of a packet on the wire beside the plane's own: the tag of SRTP, UDP and IPv4.
pub(crate) const OVERHEAD: usize = 16 + 8 + 20;
/// A queue that is long because a keyframe waits in it is no reason for another rung, which would begin with one, too.
const KEYFRAME_GRACE: Duration = Duration::from_secs(1);
/// With more than this in the pacer no larger picture is begun.
const SETTLED_QUEUE: Duration = Duration::from_millis(50);
/// A keyframe that was begun is on its way for about so long.
const KEYFRAME_QUIET: Duration = Duration::from_millis(600);
/// One that is awaited is not to meet a probe, but some never come.
const AWAITED_QUIET: Duration = Duration::from_secs(3);
/// Reports of loss tell of a queue that overflowed for so long after that.
const SQUEEZED_SPAN: Duration = Duration::from_secs(3);
/// A target that falls below this share of what it was has collapsed.
const COLLAPSED: f64 = 0.5;
/// Bytes on the wire of a packet that has a number and nothing else.
const BLANK: u16 = 80;
/// What a path without feedback is taken to carry.
const UNMEASURED: Bitrate = Bitrate::kbps(1_000_000);
/// One who negotiated transport-wide feedback is taken to never give any after so many reports of what it received, …
const REPORTS_WITHOUT: u8 = 3;
/// … if packets with transport-wide numbers have been sent for so long, …
const FEEDBACK_WAIT: Duration = Duration::from_secs(2);
/// … and so many of them: who only listens is sent a few for a probe and no more, and what it told of them may be lost.
const PACKETS_WITHOUT: u16 = 50;
/// What waits is looked at this often.
pub(crate) const PACE_INTERVAL: Duration = Duration::from_millis(5);
/// Probes are thought of this often while nothing is known of the path that pictures are to take, …
const UNPROVEN_INTERVAL: Duration = Duration::from_millis(20);
/// … and this often while a track could use more.
const DEFICIENT_INTERVAL: Duration = Duration::from_millis(100);
/// Without any other reason a look is taken this often.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// Looks that nobody waits for are taken at multiples of this, for many peers at once.
const GRID: Duration = Duration::from_millis(50);
/// Retransmissions count as a rate over about this long.
const REPEATED_SPAN: f64 = 2.0;

/// A packet that waits to leave: where it lies, and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paced {
    pub(crate) slot: SlotKey,
    /// Its index in the slot.
    pub(crate) index: u64,
    pub(crate) is_repeat: bool,
    /// Whether it is the first one of its owner, and tells what the owner's first packet has to.
    pub(crate) is_first: bool,
}

/// The path to one subscriber.
///
/// In this order, so that what a packet needs lies together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Sending {
    /// The next transport-wide number, on all slots.
    sequence: u16,
    /// Whether there is a picture that it could be sent.
    has_pictures: bool,
    path: Path,
    pub(crate) pacer: Pacer<Paced>,
    silent: Silent,
    // From here on what a packet does not need.
    pub(crate) allocator: Allocator,
    pub(crate) choices: Vec<Choice>,
    pub(crate) demand: Demand,
    repeated: RateMeter,
    /// The slot that gave the bytes for the last probe.
    pub(crate) filler_at: usize,
    /// How far back the last probe repeated packets.
    pub(crate) filler_back: u64,
    /// Slots that can begin with what has been kept since the last keyframe.
    pub(crate) joining: Vec<SlotKey>,
    /// When a slot last began with a keyframe.
    begun: Option<Moment>,
    /// Since when a slot waits for one.
    awaiting: Option<Moment>,
    /// When a picture last had to go down.
    squeezed: Option<Moment>,
    /// The target of a measured path when it was last looked at.
    paced: Option<Bitrate>,
    /// When to look after it.
    pub(crate) due: Option<Moment>,
}

impl HotStart for Sending {
    const HOT_BYTES: usize = std::mem::offset_of!(Sending, allocator);
}

/// How the target is found. A path is measured once the subscriber has a slot with transport-wide numbers.
#[derive(Debug)]
enum Path {
    Unmeasured(NullEstimator),
    Measured(Box<SendSideEstimator>),
}

/// Whether the subscriber gives the feedback it negotiated.
#[derive(Debug, Clone, Copy)]
enum Silent {
    /// Nothing was sent yet that it could tell of.
    Unknown,
    /// It was sent so many numbered packets since `since`, and has told how it receives them so many times, but not by
    /// feedback.
    Waiting { since: Moment, packets: u16, reports: u8 },
    /// It does.
    No,
    /// It does not: its path is not measured.
    Yes,
}

impl Path {
    fn estimator(&self) -> &dyn Estimator {
        match self {
            Self::Unmeasured(estimator) => estimator,
            Self::Measured(estimator) => estimator.as_ref(),
        }
    }

    fn estimator_mut(&mut self) -> &mut dyn Estimator {
        match self {
            Self::Unmeasured(estimator) => estimator,
            Self::Measured(estimator) => estimator.as_mut(),
        }
    }
}

impl Sending {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            path: Path::Unmeasured(NullEstimator::new(UNMEASURED)),
            silent: Silent::Unknown,
            pacer: Pacer::new(now, UNMEASURED),
            allocator: Allocator::new(),
            choices: Vec::new(),
            demand: Demand::default(),
            has_pictures: false,
            repeated: RateMeter::default(),
            sequence: 0,
            filler_at: 0,
            filler_back: 0,
            joining: Vec::new(),
            begun: None,
            paced: None,
            squeezed: None,
            awaiting: None,
            due: None,
        }
    }

    /// What of it goes on in another plane: what was learnt of the path, and the numbers of its packets.
    pub(crate) fn moved(self, now: Moment) -> Self {
        let Self { path, repeated, sequence, .. } = self;
        let silent = match self.silent {
            Silent::Waiting { .. } => Silent::Unknown, // What it tells meanwhile is not heard.
            known @ (Silent::Unknown | Silent::No | Silent::Yes) => known,
        };
        Self { path, silent, repeated, sequence, ..Self::new(now) }
    }

    /// Goes on in another plane; `max` bounds what is sent from now on.
    pub(crate) fn resume(&mut self, now: Moment, max: Bitrate) {
        if let Path::Measured(estimator) = &mut self.path {
            estimator.handle_pause(now);
        }
        self.set_demand(Demand::default(), false);
        self.pacer = Pacer::new(now, UNMEASURED);
        self.set_max(now, max);
    }

    /// The packets that wait to be sent for the first time: the slot and the index of each.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (SlotKey, u64)> {
        self.pacer.waiting().filter(|item| !item.is_repeat).map(|item| (item.slot, item.index))
    }

    /// Measures the path from now on; `max` bounds what is sent on it.
    pub(crate) fn measure(&mut self, now: Moment, max: Bitrate) {
        if matches!(self.path, Path::Unmeasured(_)) && !matches!(self.silent, Silent::Yes) {
            let default = EstimatorConfig::default();
            let config = EstimatorConfig { max: default.max.min(max), ..default };
            self.path = Path::Measured(Box::new(SendSideEstimator::new(now, config)));
            self.set_pace(now);
        }
    }

    /// Sets what policy lets through.
    pub(crate) fn set_max(&mut self, now: Moment, max: Bitrate) {
        match &mut self.path {
            Path::Unmeasured(estimator) => *estimator = NullEstimator::new(max.min(UNMEASURED)),
            Path::Measured(estimator) => estimator.set_max(now, max.min(EstimatorConfig::default().max)),
        }
        self.set_pace(now);
    }

    /// Has the pacer follow the estimator.
    fn set_pace(&mut self, now: Moment) {
        let estimator = self.path.estimator();
        let target = estimator.target();
        self.pacer.set_target(now, target, estimator.pacing());
        let measured = matches!(self.path, Path::Measured(_)).then_some(target);
        let before = std::mem::replace(&mut self.paced, measured);
        if before.is_some_and(|before| target < before.scale(COLLAPSED)) {
            self.pacer.handle_collapse();
        }
    }

    /// Packets take another way from now on.
    pub(crate) fn handle_path_change(&mut self, now: Moment) {
        if let Path::Measured(estimator) = &mut self.path {
            estimator.handle_path_change(now);
        }
        self.set_pace(now);
    }

    /// A slot has begun an encoding with a keyframe; what waits of it below `stale_before` is of no use.
    pub(crate) fn handle_begun(&mut self, now: Moment, slot: SlotKey, stale_before: u64) {
        self.begun = Some(now);
        self.forget_queued(slot, stale_before);
    }

    /// What waits of `slot` below `index` is of no use: of new packets only the number is sent, and nothing again.
    pub(crate) fn forget_queued(&mut self, slot: SlotKey, index: u64) {
        self.pacer.revise(|item, size| match (item.slot == slot && item.index < index, item.is_repeat) {
            (false, _) => Some(size),
            (true, true) => None,
            (true, false) => Some(size.min(BLANK)),
        });
    }

    /// Whether sound takes transport-wide numbers.
    ///
    /// It is never held back, so what the path carries matters only for the pictures beside it, for a probe, and for
    /// redundancy. Who only listens, and loses nothing, need not tell of each packet.
    pub(crate) fn measures_sound(&self) -> bool {
        self.has_pictures || self.pacer.is_probing()
    }

    /// The transport-wide number for the next packet.
    pub(crate) const fn sequence(&self) -> u16 {
        self.sequence
    }

    /// Records a packet of `len` bytes as it leaves; `counts` says that it took a transport-wide number.
    pub(crate) fn handle_sent(&mut self, now: Moment, len: usize, counts: bool, probe: Option<ProbeId>, filler: bool) {
        if !counts {
            return;
        }
        let size = (len + OVERHEAD).min(usize::from(u16::MAX)) as u16;
        match &mut self.silent {
            Silent::Unknown => self.silent = Silent::Waiting { since: now, packets: 1, reports: 0 },
            Silent::Waiting { packets, .. } => *packets = packets.saturating_add(1),
            Silent::No | Silent::Yes => {}
        }
        if let Path::Measured(estimator) = &mut self.path {
            estimator.handle_sent(now, &SentPacket { sequence: self.sequence, size, probe, filler });
        }
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Records bytes that were sent again.
    pub(crate) const fn handle_repeated(&mut self, len: usize) {
        self.repeated.bytes += len as u64;
    }

    /// Takes a report on a slot. Who reports, but never with feedback, receives: its path is not measured any more, else
    /// it would be taken for one that carries nothing.
    pub(crate) fn handle_report(&mut self, now: Moment, max: Bitrate) {
        let Silent::Waiting { since, packets, reports } = &mut self.silent else { return };
        if *packets < PACKETS_WITHOUT {
            return;
        }
        *reports = reports.saturating_add(1);
        if *reports >= REPORTS_WITHOUT && now.saturating_duration_since(*since) >= FEEDBACK_WAIT {
            self.silent = Silent::Yes;
            self.path = Path::Unmeasured(NullEstimator::new(max.min(UNMEASURED)));
            self.set_pace(now);
        }
    }

    /// Takes a feedback message of the subscriber, with `told` for room; `max` bounds what is sent to it.
    pub(crate) fn handle_feedback(&mut self, now: Moment, max: Bitrate, feedback: &Feedback<'_>, told: &mut Told) {
        if let Silent::Yes = std::mem::replace(&mut self.silent, Silent::No) {
            self.measure(now, max);
        }
        if let Path::Measured(estimator) = &mut self.path {
            estimator.handle_feedback_in(now, feedback, told);
        }
        self.set_pace(now);
    }

    /// Takes a measured round trip.
    pub(crate) fn handle_rtt(&mut self, now: Moment, rtt: Duration) {
        self.path.estimator_mut().handle_rtt(now, rtt);
    }

    /// Takes what the subscriber asks for by REMB.
    pub(crate) fn handle_remb(&mut self, now: Moment, remb: Bitrate) {
        self.path.estimator_mut().handle_remb(now, Some(remb));
        self.set_pace(now);
    }

    /// Does what is due; returns a probe that begins now.
    pub(crate) fn handle_timeout(&mut self, now: Moment) -> Option<ProbeCluster> {
        let estimator = self.path.estimator_mut();
        let is_due = estimator.poll_timeout().is_some_and(|(at, _)| at <= now);
        if is_due {
            estimator.handle_timeout(now);
        }
        let cluster = self.poll_probe(now);
        if is_due {
            self.set_pace(now);
        }
        cluster
    }

    /// A probe that begins now.
    fn poll_probe(&mut self, now: Moment) -> Option<ProbeCluster> {
        let within = |since: Option<Moment>, span| since.is_some_and(|since| now < since + span);
        let begun = within(self.begun, KEYFRAME_QUIET) || within(self.awaiting, AWAITED_QUIET);
        let waits = self.pacer.queue() >= SETTLED_QUEUE;
        let cluster = self.path.estimator_mut().poll_probe(now, begun.then_some(waits));
        if let Some(cluster) = cluster {
            self.pacer.handle_probe(now, cluster);
        }
        cluster
    }

    /// When to look again, in a plane whose clock began at `start`.
    pub(crate) fn poll_timeout(&self, start: Moment, now: Moment) -> Option<Moment> {
        if !self.joining.is_empty() {
            return Some(now);
        }
        let pacer = self.pacer.poll_timeout().map(|at| at.max(now + PACE_INTERVAL));
        let Path::Measured(estimator) = &self.path else {
            let is_shown = self.demand.desired > Bitrate::ZERO;
            return earlier(pacer, is_shown.then_some(now + IDLE_INTERVAL));
        };
        let look = match (estimator.is_proven(), self.demand.next) {
            (false, _) if self.has_pictures => now + UNPROVEN_INTERVAL,
            // Who only listens may never prove it: the first probe's feedback was lost, and sound has no numbers.
            (false, _) => on_grid(start, now + DEFICIENT_INTERVAL, GRID),
            // Not on the grid: who shares a path is not to be probed at the same moments.
            (true, Some(_)) => now + DEFICIENT_INTERVAL,
            (true, None) => on_grid(start, now + IDLE_INTERVAL, GRID),
        };
        let estimator = estimator.poll_timeout().map(|(at, _)| at.max(now + PACE_INTERVAL));
        [pacer, estimator, Some(look)].into_iter().flatten().min()
    }

    /// Something waits: when to look again.
    pub(crate) fn wake(&mut self, now: Moment) -> Option<Moment> {
        let pacer = self.pacer.poll_timeout().map(|at| at.max(now + PACE_INTERVAL));
        self.due = self.due.into_iter().chain(pacer).min();
        self.due
    }

    /// What there is to spend on `audio_slots` and on pictures.
    pub(crate) fn budget(&mut self, now: Moment, audio_slots: u16, red: bool) -> Budget {
        let estimator = self.path.estimator();
        Budget {
            target: estimator.target(),
            proven: estimator.is_proven(),
            probed: estimator.probed(now),
            audio_slots,
            red,
            retransmissions: Bitrate::bps(self.repeated.measure(now)),
            settled: estimator.is_settled(now) && self.pacer.queue() <= SETTLED_QUEUE,
            congested: self.pacer.is_congested() && self.begun.is_none_or(|begun| now >= begun + KEYFRAME_GRACE),
        }
    }

    /// Takes what the tracks could use, and whether there are pictures among them.
    pub(crate) fn set_demand(&mut self, demand: Demand, has_pictures: bool) {
        self.demand = demand;
        self.has_pictures = has_pictures;
        self.pacer.set_used(demand.used);
        self.path.estimator_mut().set_demand(demand);
    }

    /// Whether a slot waits for a keyframe.
    pub(crate) fn set_awaiting(&mut self, now: Moment, awaits: bool) {
        self.awaiting = awaits.then(|| self.awaiting.unwrap_or(now));
    }

    /// A picture had to go down.
    pub(crate) const fn handle_squeeze(&mut self, now: Moment) {
        self.squeezed = Some(now);
    }

    /// Whether what is lost is the overflow of a queue, which is no longer filled: nothing is to be repeated for it.
    pub(crate) fn is_squeezed(&self, now: Moment) -> bool {
        self.squeezed.is_some_and(|squeezed| now < squeezed + SQUEEZED_SPAN)
    }

    /// What may be sent.
    pub(crate) fn target(&self) -> Bitrate {
        self.path.estimator().target()
    }

    /// How long a packet takes that has to wait for all that waits now, here and on the path.
    pub(crate) fn queue(&self) -> Duration {
        self.pacer.queue() + self.estimator().map_or(Duration::ZERO, SendSideEstimator::queue)
    }

    /// The estimator, if the path is measured.
    pub(crate) fn estimator(&self) -> Option<&SendSideEstimator> {
        match &self.path {
            Path::Unmeasured(_) => None,
            Path::Measured(estimator) => Some(estimator),
        }
    }
}

/// A rate that counts the last seconds most.
#[derive(Debug, Default)]
struct RateMeter {
    bytes: u64,
    since: Option<Moment>,
    bps: f64,
}

impl RateMeter {
    /// Counts what came since the last call; returns bits per second.
    fn measure(&mut self, now: Moment) -> u64 {
        let Some(since) = self.since else {
            self.since = Some(now);
            return 0;
        };
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if seconds >= 0.25 {
            let kept = (-seconds / REPEATED_SPAN).exp();
            self.bps = kept * self.bps + (1.0 - kept) * (self.bytes as f64 * 8.0 / seconds);
            (self.bytes, self.since) = (0, Some(now));
        }
        self.bps as u64
    }
}
