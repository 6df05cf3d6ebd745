//! Spends the target on the tracks of one subscriber, so that the picture is worth most.
//!
//! Every track has *rungs*: what can be forwarded of it, each with a cost. Those larger than the viewport needs are not
//! useful. The budget is the target less audio, retransmissions and some air. In the order of the classes every visible
//! track gets its lowest rung; then, again and again, the step is taken that brings most for its cost. A rung that no
//! longer fits is left at once; a higher one is taken only with room to spare, and later the more often it went wrong.

mod step;

#[cfg(test)]
mod tests;

use std::collections::BinaryHeap;
use std::time::Duration;

use crate::audio::red::FRAME_COST;
use crate::bwe::{Bitrate, Demand};
use crate::moment::Moment;

/// The share of the target that is spent.
const SPENT: f64 = 0.95;
/// What an open audio slot costs, …
pub(crate) const AUDIO: Bitrate = Bitrate::kbps(40);
/// … this many times as much with redundancy (RFC 2198), of mostly one frame.
const RED_FACTOR: f64 = 1.0 + FRAME_COST;
/// A higher rung needs so many times its total …
const UP_MARGIN: f64 = 1.10;
/// … unless a probe has shown it to fit.
/// What was paused for want of room needs this much, as its keyframe has to fit too.
const RESUME_MARGIN: f64 = 1.25;
/// A layer is believed in once it has been received for this long.
pub(crate) const LAYER_ALIVE: Duration = Duration::from_millis(500);
/// Between two moves of one track to other spatial layers, unless it must go down.
const SPATIAL_SPACING: Duration = Duration::from_secs(1);
/// After a step down a track waits for this long …
const HOLD_START: Duration = Duration::from_secs(2);
/// … to go up by so much, and for as much longer or shorter as the step is larger or smaller. So all who share a path get
/// back the same number of bits a second, as flows that increase additively do, and who has little is there before who
/// has much (S4). …
const HOLD_STEP: Bitrate = Bitrate::kbps(400);
/// … The smallest step waits for this long. …
const HOLD_LEAST: Duration = Duration::from_millis(1500);
/// … The wait is twice as long each time it had to go down so soon after going up, …
const HOLD_RELAPSE: Duration = Duration::from_secs(10);
/// … up to this, which is also the longest that any step waits, …
const HOLD_MAX: Duration = Duration::from_secs(30);
/// … or this if it was paused: the lowest rung costs little, and no picture is worse than one that comes and goes, …
const HOLD_PAUSED_MAX: Duration = Duration::from_secs(8);
/// … but only the first span once the target is so many times what was too much, …
const HOLD_VOID: f64 = 2.0;
/// … and again the first span after so long without a step down.
const HOLD_CALM: Duration = Duration::from_secs(60);
/// Before a track goes down to a smaller picture it does with fewer pictures for this long, if those fit: the smaller one
/// begins with a keyframe, and the target is often back by then (our own).
const PATIENCE: Duration = Duration::from_secs(5);
/// The source on stage may cost this much more than fits, …
const OVERSEND: f64 = 0.20;
/// … but no more than this, on its lowest rung.
const OVERSEND_MAX: Bitrate = Bitrate::kbps(150);
/// A target that changed by these shares is worth another look at once; …
const TRIGGER_DOWN: f64 = 0.05;
const TRIGGER_UP: f64 = 0.10;
/// … without, a look is taken this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// A layer this much lower than the viewport will do.
const HEIGHT_ENOUGH: f64 = 0.85;
/// So will so much fewer pictures: what is measured varies, and a quarter of thirty is not quite eight.
const FPS_ENOUGH: f32 = 0.9;
/// Rungs have as many pictures if they differ by less: temporal layers have half as many as the next.
const FPS_ALIKE: f32 = 1.25;

/// What can be forwarded of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rung {
    /// Spatial layer or encoding, the lowest first.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// What it costs, with all it depends on.
    pub cost: Bitrate,
    /// Lines of its picture.
    pub height: u16,
    /// Pictures a second.
    pub fps: f32,
    /// Since when it is being received without a break; `None` if it is not.
    pub alive: Option<Moment>,
}

/// What the subscriber says of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// Whether it is on the screen.
    pub visible: bool,
    /// Lines of the viewport, in pixels of the device.
    pub height: u16,
    /// More pictures a second are not wanted.
    pub max_fps: u8,
    /// Whether it is held on stage.
    pub pinned: bool,
    /// Orders tracks of one class, and weighs their steps: 128 is neither more nor less.
    pub priority: u8,
    /// Lines that policy allows, whatever is asked for.
    pub max_height: u16,
}

impl Default for Hints {
    fn default() -> Self {
        Self { visible: true, height: 720, max_fps: 60, pinned: false, priority: 128, max_height: u16::MAX }
    }
}

/// What a track is to the room, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A screen. What is pinned counts the same.
    Screen,
    /// Who speaks.
    Dominant,
    /// Who spoke lately.
    Recent,
    /// All others.
    Other,
}

/// One track a subscriber could see.
#[derive(Debug, Clone, Copy)]
pub struct Track<'a> {
    /// Names it from call to call.
    pub key: u32,
    /// In the order of their cost.
    pub rungs: &'a [Rung],
    /// What the subscriber says of it.
    pub hints: Hints,
    /// What it is to the room.
    pub class: Class,
    /// When its publisher spoke last, as a number that grows: among equals the later comes first.
    pub spoke: u64,
}

/// What there is to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The target of the estimator.
    pub target: Bitrate,
    /// Whether it rests on feedback; before, every track gets its lowest rung.
    pub proven: bool,
    /// What a probe has just shown the path to carry.
    pub probed: Option<Bitrate>,
    /// Audio that is open.
    pub audio_slots: u16,
    /// Whether it is redundant.
    pub red: bool,
    /// What retransmissions cost of late.
    pub retransmissions: Bitrate,
    /// Whether the pacer's queues are too long: every track must go down a step.
    pub congested: bool,
    /// Whether nothing waits, here or on the path, and no probe is in flight: no larger picture is begun before, as its
    /// keyframe would have to wait.
    pub settled: bool,
}

/// Why a track has the rung it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nothing changed.
    Kept,
    /// More fits.
    Room,
    /// Less fits.
    Squeezed,
    /// Other rungs became useful, or none is.
    Wish,
    /// The layer was no longer received.
    Gone,
}

/// What a track gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The track.
    pub key: u32,
    /// The index of its rung; `None` pauses it.
    pub rung: Option<usize>,
    /// Why.
    pub cause: Cause,
}

/// Decides for one subscriber. Remembers what it chose, and what went wrong.
#[derive(Debug, Default)]
pub struct Allocator {
    /// In the order of the keys.
    memory: Vec<(u32, Memory)>,
    looked: Option<(Moment, Budget)>,
    /// What the last choice costs.
    used: Bitrate,
    /// Kept for their room only.
    work: Vec<step::Candidate>,
    worth: Vec<f64>,
    steps: BinaryHeap<step::Step>,
    keys: Vec<u32>,
}

/// What is remembered of a track.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    /// (spatial, temporal) of the last choice.
    chosen: Option<(u8, u8)>,
    /// When it last went up, and down, and to another spatial layer.
    up: Option<Moment>,
    down: Option<Moment>,
    spatial: Option<Moment>,
    /// Since when it does with fewer pictures than it had.
    thinned: Option<Moment>,
    hold: Duration,
    /// What all tracks cost when this one had to go down.
    failed: Bitrate,
    class: Option<Class>,
    /// The largest spatial layer that was of use, and the pictures a second that were wanted.
    useful: Option<(u8, u8)>,
}

impl Allocator {
    /// An allocator that has chosen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether [`Allocator::allocate`] is worth calling though nothing but the budget changed.
    #[must_use]
    pub fn is_due(&self, now: Moment, budget: &Budget) -> bool {
        self.looked.is_none_or(|(at, before)| {
            now.saturating_duration_since(at) >= INTERVAL
                || budget.target < before.target.scale(1.0 - TRIGGER_DOWN)
                || budget.target > before.target.scale(1.0 + TRIGGER_UP)
                || (budget.proven, budget.congested) != (before.proven, before.congested)
                || budget.probed.is_some() && budget.probed != before.probed
                || budget.settled && !before.settled
        })
    }

    /// Chooses a rung for each track, in their order, into `choices`; returns what they could use.
    pub fn allocate(
        &mut self,
        now: Moment,
        budget: &Budget,
        tracks: &[Track<'_>],
        choices: &mut Vec<Choice>,
    ) -> Demand {
        self.looked = Some((now, *budget));
        self.forget_missing(tracks);
        let overhead = budget.overhead();
        let (mut work, mut worth) = (std::mem::take(&mut self.work), std::mem::take(&mut self.worth));
        work.clear();
        worth.clear();
        work.reserve_exact(tracks.len());
        for (index, track) in tracks.iter().enumerate() {
            let place = (index, worth.len());
            let memory = self.memory(track.key);
            step::weigh(track, memory.stays_with(now), &mut worth);
            work.push(step::Candidate::new(now, budget, place, track, &memory));
        }
        work.sort_unstable_by_key(step::Candidate::order);
        let round = step::Round::new(budget, overhead);
        round.give_lowest(&mut work, tracks);
        round.take_steps(&mut work, tracks, &worth, &mut self.steps);
        let demand = step::demand(overhead, &work, tracks, &worth);
        let failed = std::mem::replace(&mut self.used, demand.used);
        choices.clear();
        choices.extend(tracks.iter().map(|track| Choice { key: track.key, rung: None, cause: Cause::Kept }));
        for candidate in &work {
            if let (Some(track), Some(choice)) = (tracks.get(candidate.track), choices.get_mut(candidate.track)) {
                choice.rung = candidate.chosen;
                choice.cause = self.remember(now, failed, track, candidate);
            }
        }
        (self.work, self.worth) = (work, worth);
        demand
    }

    fn memory(&self, key: u32) -> Memory {
        let found = self.memory.binary_search_by_key(&key, |entry| entry.0);
        found.ok().and_then(|index| self.memory.get(index)).map_or(Memory::default(), |entry| entry.1)
    }

    fn forget_missing(&mut self, tracks: &[Track<'_>]) {
        if self.memory.len() > tracks.len() {
            self.keys.clear();
            self.keys.extend(tracks.iter().map(|track| track.key));
            self.keys.sort_unstable();
            self.memory.retain(|entry| self.keys.binary_search(&entry.0).is_ok());
        }
    }

    /// Notes what a track got, and says why.
    fn remember(&mut self, now: Moment, failed: Bitrate, track: &Track<'_>, candidate: &step::Candidate) -> Cause {
        let index = match self.memory.binary_search_by_key(&track.key, |entry| entry.0) {
            Ok(index) => index,
            Err(index) => {
                self.memory.reserve_exact(1); // A hundred bytes for each, and there are few.
                self.memory.insert(index, (track.key, Memory { hold: HOLD_START, ..Memory::default() }));
                index
            }
        };
        let Some((_, memory)) = self.memory.get_mut(index) else { return Cause::Kept };
        memory.class = Some(track.class);
        memory.useful = candidate.useful(track);
        let rung = candidate.chosen.and_then(|index| track.rungs.get(index));
        let layers = rung.map(|rung| (rung.spatial, rung.temporal));
        let before = std::mem::replace(&mut memory.chosen, layers);
        if layers == before {
            return Cause::Kept;
        }
        if !candidate.wished && before.is_some_and(|before| layers.map(|layers| layers.0) != Some(before.0)) {
            memory.spatial = Some(now);
        }
        if candidate.rises() || layers.map(|layers| layers.0) != before.map(|before| before.0) {
            memory.thinned = None;
        } else {
            memory.thinned.get_or_insert(now);
        }
        if candidate.rises() {
            memory.up = Some(now);
            return if candidate.wished { Cause::Wish } else { Cause::Room };
        }
        if candidate.wished || !candidate.wanted {
            return Cause::Wish; // Nothing went wrong.
        }
        if candidate.gone {
            return Cause::Gone;
        }
        memory.failed = failed;
        memory.handle_down(now);
        Cause::Squeezed
    }
}

impl Memory {
    fn handle_down(&mut self, now: Moment) {
        let within = |then: Option<Moment>, span| then.is_some_and(|then| now.saturating_duration_since(then) < span);
        self.hold = if within(self.down, HOLD_START) {
            self.hold // One event takes several steps.
        } else if within(self.up, HOLD_RELAPSE) {
            (self.hold * 2).min(HOLD_MAX)
        } else if within(self.down, HOLD_CALM) {
            self.hold
        } else {
            HOLD_START
        };
        self.down = Some(now);
    }

    /// The spatial layer below which the track does not go if it can help it.
    fn stays_with(&self, now: Moment) -> Option<u8> {
        let patient = self.thinned.is_none_or(|since| now.saturating_duration_since(since) < PATIENCE);
        self.chosen.filter(|_| patient).map(|(spatial, _)| spatial)
    }

    /// By how much the track may move up, whether it may in its spatial layer whatever that costs, and whether to another one.
    fn may_rise(&self, now: Moment, class: Class, useful: Option<(u8, u8)>, target: Bitrate) -> (Bitrate, bool, bool) {
        let over = |then: Option<Moment>, span| then.is_none_or(|then| now.saturating_duration_since(then) >= span);
        // Who begins to speak does not wait for what went wrong before, nor who is to be larger or smoother.
        let grown = self.useful.zip(useful).is_some_and(|(before, now)| now.0 > before.0 || now.1 > before.1);
        let promoted = self.class.is_some_and(|before| class < before) || grown;
        let hold = if self.chosen.is_none() { self.hold.min(HOLD_PAUSED_MAX) } else { self.hold };
        // Nor does one whose path has become another.
        let hold = if target >= self.failed.scale(HOLD_VOID) { HOLD_START } else { hold };
        // What was paused comes back in one step, however large.
        let longest = if self.chosen.is_none() { hold } else { HOLD_MAX };
        let rise = match self.down.map(|down| now.saturating_duration_since(down)) {
            Some(passed) if !promoted && passed < HOLD_LEAST => Bitrate::ZERO,
            // A hold is at least as long as its start.
            Some(passed) if !promoted && passed < longest => {
                HOLD_STEP.scale(passed.as_secs_f64() / hold.max(HOLD_START).as_secs_f64())
            }
            Some(_) | None => Bitrate::bps(u64::MAX),
        };
        // More pictures of the same encoding cost nothing to try.
        let smoother = self.chosen.is_some() && over(self.down, HOLD_START);
        (rise, smoother, promoted || over(self.spatial, SPATIAL_SPACING))
    }
}

impl Budget {
    /// What is not for video.
    fn overhead(&self) -> Bitrate {
        let factor = if self.red { RED_FACTOR } else { 1.0 };
        AUDIO.scale(f64::from(self.audio_slots) * factor) + self.retransmissions
    }
}
