//! One round: the lowest rung for each track, then the best steps.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{
    Budget, Class, FPS_ALIKE, FPS_ENOUGH, HEIGHT_ENOUGH, LAYER_ALIVE, Memory, OVERSEND, OVERSEND_MAX, RESUME_MARGIN,
    Rung, SPENT, Track, UP_MARGIN,
};
use crate::bwe::{Bitrate, Demand};
use crate::moment::Moment;

/// Below this many pictures a second a larger picture is worth less than a smoother one.
const SLOW_FPS: f64 = 10.0;
/// Of a camera, motion counts by this power …
const CAMERA_MOTION: f64 = 0.5;
/// … and of a screen by this: it must be read.
const SCREEN_MOTION: f64 = 0.2;

/// So much less is a picture worth that is smaller than the one there is: less than half a size, as it would be a size
/// for good.
const DESCENT: f64 = 0.6;

/// Of a target that is a guess so much is spent, on the lowest spatial layer only.
const GUESSED: f64 = 0.3;

/// A track during a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its place among the tracks.
    pub(super) track: usize,
    /// Where what its rungs are worth begins, see [`weigh`].
    worth: usize,
    /// The rung it gets.
    pub(super) chosen: Option<usize>,
    /// The rung it had, if that still is received.
    before: Option<usize>,
    /// Its spatial layer.
    before_spatial: Option<u8>,
    had: bool,
    /// Whether it never had to go down.
    fresh: bool,
    /// Whether it is to be seen at all.
    pub(super) wanted: bool,
    /// Whether the wish of the subscriber, not the budget, ended the rung it had.
    pub(super) wished: bool,
    /// Whether its layer is no longer received.
    pub(super) gone: bool,
    /// Rungs of this spatial layer and below, and with no more pictures than this, are useful.
    top: Option<u8>,
    fps: f32,
    class: Class,
    weight: f64,
    priority: u8,
    spoke: u64,
    /// By how much it may go up, after it had to go down.
    rise: Bitrate,
    /// Whether it may have more pictures whatever they cost, and larger ones at all.
    rise_temporal: bool,
    rise_spatial: bool,
    now: Moment,
}

/// The budget of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    video: Bitrate,
    /// What a track has it may keep up to here, …
    keeping: Bitrate,
    /// Video may cost this much in all if a track goes up, …
    rising: Bitrate,
    /// … or if one comes back that was paused.
    resuming: Bitrate,
    congested: bool,
    /// Whether the target is known to be carried: before, nothing but the lowest spatial layer is sent.
    proven: bool,
}

impl Candidate {
    pub(super) fn new(
        now: Moment,
        budget: &Budget,
        (index, worth): (usize, usize),
        track: &Track<'_>,
        memory: &Memory,
    ) -> Self {
        let class = if track.hints.pinned { Class::Screen } else { track.class };
        let top = useful_layer(track);
        let fps = useful_fps(track);
        let wanted = track.hints.visible && top.is_some();
        let place = memory
            .chosen
            .and_then(|layers| track.rungs.iter().position(|rung| (rung.spatial, rung.temporal) == layers));
        let alive = place.filter(|&place| track.rungs.get(place).is_some_and(|rung| rung.alive.is_some()));
        let serves = |rung: &Rung| top.is_some_and(|top| rung.spatial <= top) && rung.fps <= fps;
        let before = alive.filter(|&place| wanted && track.rungs.get(place).is_some_and(serves));
        let useful = top.map(|top| (top, track.hints.max_fps));
        let (rise, rise_temporal, rise_spatial) = memory.may_rise(now, class, useful, budget.target);
        let base = match class {
            Class::Screen => 8.0,
            Class::Dominant => 4.0,
            Class::Recent => 2.0,
            Class::Other => 1.0,
        };
        Self {
            track: index,
            worth,
            chosen: None,
            before,
            before_spatial: before.and_then(|before| track.rungs.get(before)).map(|rung| rung.spatial),
            had: memory.chosen.is_some(),
            fresh: memory.down.is_none(),
            wanted,
            wished: alive.is_some() && before.is_none(),
            gone: memory.chosen.is_some() && alive.is_none(),
            top,
            fps,
            class,
            weight: base * f64::from(track.hints.priority.max(1)) / 128.0,
            priority: track.hints.priority,
            spoke: track.spoke,
            rise,
            rise_temporal,
            rise_spatial: rise_spatial && budget.settled,
            now,
        }
    }

    /// The more important first.
    pub(super) fn order(&self) -> (Class, Reverse<u8>, Reverse<u64>, usize) {
        (self.class, Reverse(self.priority), Reverse(self.spoke), self.track)
    }

    /// Whether the track gets more than it had.
    pub(super) fn rises(&self) -> bool {
        // Rungs are in the order of their cost.
        self.chosen.is_some() && (!self.had || self.before.is_some_and(|before| self.chosen > Some(before)))
    }

    /// The largest spatial layer that is of use to a viewer who wants so many pictures a second.
    pub(super) fn useful(&self, track: &Track<'_>) -> Option<(u8, u8)> {
        self.top.map(|top| (top, track.hints.max_fps))
    }

    fn is_useful(&self, rung: &Rung) -> bool {
        rung.alive.is_some() && self.top.is_some_and(|top| rung.spatial <= top) && rung.fps <= self.fps
    }

    /// Whether the track may go to `rung` now, leaving the budget aside.
    fn may_take(&self, track: &Track<'_>, index: usize, rung: &Rung) -> bool {
        let Some(before) = self.before else { return true };
        let is_larger = self.before_spatial.is_some_and(|before| rung.spatial > before);
        if index <= before && !is_larger {
            return true;
        }
        let alive = rung.alive.is_some_and(|since| self.now.saturating_duration_since(since) >= LAYER_ALIVE);
        let Some(before) = track.rungs.get(before) else { return false };
        let fits = rung.cost - before.cost <= self.rise;
        let may = if before.spatial == rung.spatial { fits || self.rise_temporal } else { fits && self.rise_spatial };
        alive && may
    }

    /// The lowest spatial layer that is of use.
    fn lowest(&self, track: &Track<'_>) -> Option<u8> {
        track.rungs.iter().filter(|rung| self.is_useful(rung)).map(|rung| rung.spatial).min()
    }

    /// What room a rung takes beyond its cost. Who goes down to a smaller picture waits for its keyframe, which is as large
    /// as its encoding, so all of that has to fit, unless there is none smaller.
    fn landing(&self, track: &Track<'_>, rung: &Rung) -> Bitrate {
        let goes_down = self.before_spatial.is_some_and(|before| rung.spatial < before);
        if !goes_down || Some(rung.spatial) <= self.lowest(track) {
            return Bitrate::ZERO;
        }
        let alike = track.rungs.iter().filter(|other| other.spatial == rung.spatial);
        alike.map(|other| other.cost).max().map_or(Bitrate::ZERO, |whole| whole - rung.cost)
    }

    /// The step that brings most for its cost, of those that `fits` allows.
    fn best_step(
        &self,
        track: &Track<'_>,
        worth: &[f64],
        fits: impl Fn(usize, &Rung, Bitrate) -> bool,
    ) -> Option<(usize, f64, Bitrate)> {
        let current = track.rungs.get(self.chosen?)?;
        let worth = worth.get(self.worth..)?;
        let from = *worth.get(self.chosen?)?;
        let mut best: Option<(usize, f64, Bitrate)> = None;
        for (index, (rung, worth)) in track.rungs.iter().zip(worth).enumerate() {
            let gain = worth - from;
            if !self.is_useful(rung) || gain <= 0.0 {
                continue;
            }
            let extra = rung.cost - current.cost;
            let value = self.weight * gain / extra.as_f64().max(1.0);
            if best.is_none_or(|best| value > best.1) && fits(index, rung, extra) {
                best = Some((index, value, extra));
            }
        }
        best
    }
}

/// A step that a track could take; the greatest brings most for its cost.
#[derive(Debug)]
pub(super) struct Step {
    value: f64,
    place: usize,
    rung: usize,
    extra: Bitrate,
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        // Among equals the more important track goes first.
        self.value.total_cmp(&other.value).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Step {}

impl Round {
    pub(super) fn new(budget: &Budget, overhead: Bitrate) -> Self {
        let (video, keeping) = (budget.target.scale(SPENT) - overhead, budget.target - overhead);
        let shown = budget.target.scale(1.0 / UP_MARGIN).max(budget.probed.unwrap_or(Bitrate::ZERO).scale(SPENT));
        let resuming = budget.target.scale(1.0 / RESUME_MARGIN) - overhead;
        Self {
            video,
            keeping,
            rising: (shown - overhead).min(video),
            resuming,
            congested: budget.congested,
            proven: budget.proven,
        }
    }

    /// Gives the lowest rung to each track, in their order, as far as that fits.
    pub(super) fn give_lowest(&self, work: &mut [Candidate], tracks: &[Track<'_>]) {
        let mut used = Bitrate::ZERO;
        let mut first = true;
        for candidate in work.iter_mut().filter(|candidate| candidate.wanted) {
            let Some(track) = tracks.get(candidate.track) else { continue };
            let lowest = track.rungs.iter().enumerate().find(|(_, rung)| candidate.is_useful(rung));
            let Some((index, rung)) = lowest else { continue };
            let total = used + rung.cost;
            // Who comes back from a pause needs the same room to spare as who goes up.
            let limit = match (candidate.had, candidate.fresh && first) {
                (true, _) | (false, true) => self.video,
                (false, false) if candidate.fresh => self.rising,
                (false, false) => self.resuming,
            };
            let grace = if first && (candidate.had || candidate.fresh) {
                rung.cost.scale(OVERSEND).min(OVERSEND_MAX)
            } else {
                Bitrate::ZERO
            };
            let paused = !candidate.had && candidate.rise < rung.cost;
            if total <= limit + grace && !paused {
                candidate.chosen = Some(index);
                used = total;
            }
            first = false;
        }
    }

    /// Takes the best step until none fits.
    ///
    /// `steps` is kept by the caller for its room only.
    pub(super) fn take_steps(
        &self,
        work: &mut [Candidate],
        tracks: &[Track<'_>],
        worth: &[f64],
        steps: &mut BinaryHeap<Step>,
    ) {
        let mut used = total(work, tracks);
        steps.clear();
        steps.reserve_exact(work.len());
        steps.extend((0..work.len()).filter_map(|place| self.step(work, place, tracks, worth, used)));
        while let Some(Step { place, rung, extra, .. }) = steps.pop() {
            let Some(candidate) = work.get_mut(place) else { return };
            let Some(track) = tracks.get(candidate.track) else { continue };
            if self.fits(candidate, track, rung, used + extra) {
                candidate.chosen = Some(rung);
                used = used + extra;
            }
            // Taken, or no longer affordable: what is next for this track?
            steps.extend(self.step(work, place, tracks, worth, used));
        }
    }

    fn step(
        &self,
        work: &[Candidate],
        place: usize,
        tracks: &[Track<'_>],
        worth: &[f64],
        used: Bitrate,
    ) -> Option<Step> {
        let candidate = work.get(place)?;
        let track = tracks.get(candidate.track)?;
        let (rung, value, extra) = candidate.best_step(track, worth, |index, rung, extra| {
            candidate.may_take(track, index, rung) && self.fits(candidate, track, index, used + extra)
        })?;
        Some(Step { value, place, rung, extra })
    }

    fn fits(&self, candidate: &Candidate, track: &Track<'_>, index: usize, total: Bitrate) -> bool {
        let Some(rung) = track.rungs.get(index) else { return false };
        if !self.proven {
            return Some(rung.spatial) <= candidate.lowest(track) && total <= self.video.scale(GUESSED);
        }
        match candidate.before {
            Some(before) if index < before => total + candidate.landing(track, rung) <= self.video,
            // A track that must go down a step may not even keep what it has.
            Some(_) if self.congested => false,
            Some(before) if index == before => total <= self.keeping,
            _ => total <= self.rising,
        }
    }
}

/// What the tracks use and could use.
pub(super) fn demand(overhead: Bitrate, work: &[Candidate], tracks: &[Track<'_>], worth: &[f64]) -> Demand {
    let used = overhead + total(work, tracks);
    let mut next: Option<Bitrate> = None;
    let mut desired = overhead;
    for candidate in work.iter().filter(|candidate| candidate.wanted) {
        let Some(track) = tracks.get(candidate.track) else { continue };
        let cost = |index: usize| track.rungs.get(index).map_or(Bitrate::ZERO, |rung| rung.cost);
        let useful = || track.rungs.iter().filter(|rung| candidate.is_useful(rung));
        let weighed = track.rungs.iter().zip(worth.get(candidate.worth..).unwrap_or_default());
        let best = weighed.filter(|(rung, _)| candidate.is_useful(rung)).max_by(|a, b| a.1.total_cmp(b.1));
        desired = desired + best.map_or(Bitrate::ZERO, |(rung, _)| rung.cost);
        let step = match candidate.chosen {
            None => useful().next().map(|rung| rung.cost),
            Some(_) => candidate.best_step(track, worth, |_, _, _| true).map(|(index, _, _)| cost(index)),
        };
        let had = candidate.chosen.map_or(Bitrate::ZERO, cost);
        // What is paused needs more room than other steps, so the goal is as much higher.
        let margin = if candidate.chosen.is_none() { RESUME_MARGIN / UP_MARGIN } else { 1.0 };
        let Some(step) = step.map(|step| (used + (step - had)).scale(margin)) else { continue };
        next = Some(next.map_or(step, |next| next.min(step)));
    }
    Demand { used, next, desired }
}

fn total(work: &[Candidate], tracks: &[Track<'_>]) -> Bitrate {
    let chosen = work.iter().filter_map(|candidate| tracks.get(candidate.track)?.rungs.get(candidate.chosen?));
    chosen.map(|rung| rung.cost).sum()
}

/// Appends what each rung of a track is worth: this costs logarithms, and is asked for often.
///
/// A picture smaller than that of the spatial layer `stay` is worth less than it will be.
pub(super) fn weigh(track: &Track<'_>, stay: Option<u8>, worth: &mut Vec<f64>) {
    let descent = |rung: &Rung| if stay.is_some_and(|stay| rung.spatial < stay) { DESCENT } else { 0.0 };
    worth.extend(track.rungs.iter().map(|rung| utility(track.class, rung) - descent(rung)));
}

/// How much a rung is worth: the logarithm of its size and of its motion.
fn utility(class: Class, rung: &Rung) -> f64 {
    let fps = f64::from(rung.fps).max(0.1);
    let motion = if class == Class::Screen { SCREEN_MOTION } else { CAMERA_MOTION };
    let slow = if class == Class::Screen { 0.0 } else { (fps / SLOW_FPS).min(1.0).log2() };
    f64::from(rung.height.max(1)).log2() + motion * (fps / 30.0).log2() + slow
}

/// The smallest spatial layer that fills the viewport, else the largest that policy allows.
fn useful_layer(track: &Track<'_>) -> Option<u8> {
    let enough = f64::from(track.hints.height) * HEIGHT_ENOUGH;
    let allowed = || track.rungs.iter().filter(|rung| rung.alive.is_some() && rung.height <= track.hints.max_height);
    let filling = allowed().filter(|rung| f64::from(rung.height) >= enough).map(|rung| rung.spatial).min();
    filling.or_else(|| allowed().map(|rung| rung.spatial).max())
}

/// The most pictures a second that are of use: the least number that is as many as wanted, and what is much the same.
fn useful_fps(track: &Track<'_>) -> f32 {
    let wanted = f32::from(track.hints.max_fps) * FPS_ENOUGH;
    let enough = track.rungs.iter().map(|rung| rung.fps).filter(|&fps| fps >= wanted).reduce(f32::min);
    enough.map_or(f32::INFINITY, |fps| fps * FPS_ALIKE)
}
