//! Who leads the conversation, after Volfin and Cohen, "Dominant Speaker Identification for Multipoint
//! Videoconferencing" (2012), with the constants that Jitsi and mediasoup use.
//!
//! The loudness of a speaker is looked at over three spans: a frame of 20 ms, a tenth of a second, and a second. Each
//! span gives a score for speech against silence. Who beats the dominant speaker in all three becomes dominant, so a
//! cough fails in the long span and a pause between words does not cost the place.

use std::time::Duration;

use crate::key::TrackKey;
use crate::moment::Moment;

/// Steps of loudness, frames in a medium span, medium spans in a long one.
const N1: u32 = 13;
const N2: u32 = 5;
const N3: u32 = 10;
/// By how much the logarithm of the scores must exceed the dominant speaker's, span by span.
const C1: f64 = 3.0;
const C2: f64 = 2.0;
const C3: f64 = 0.0;
/// The rates of the scores for silence.
const LAMBDA_IMMEDIATE: f64 = 0.78;
const LAMBDA_MEDIUM: f64 = 24.0;
const LAMBDA_LONG: f64 = 47.0;
/// A frame louder than this many steps counts in the medium span, a medium span with more than this many in the long.
const MEDIUM_THRESHOLD: u8 = 7;
const LONG_THRESHOLD: u8 = 4;
const MIN_SCORE: f64 = 1e-10;
/// Decisions are taken this often ...
const TICK: Duration = Duration::from_millis(300);
/// ... and this often while somebody else is loud and the dominant speaker is not: the change is told half a second
/// after it at the latest possible frame, whatever the phase of the tick.
const CONTESTED_TICK: Duration = Duration::from_millis(60);
/// A speaker without packets for this long is silent.
const IDLE_AFTER: Duration = Duration::from_millis(40);
/// A speaker without packets for this long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
const FRAME_MS: u128 = 20;
/// Frames in the longest packet of Opus.
const LONGEST_PACKET: usize = 6;
const FRAMES: usize = (N2 * N3) as usize;
const SPANS: usize = N3 as usize;
/// Loudness in one step: 127 over 13, rounded up.
const STEP: u8 = 10;
/// Frames after which the noise floor may rise: 15 s.
const FLOOR_WINDOW: u16 = 750;
/// Where it starts, −87 dBov: the first sound of somebody may be a word already.
const FIRST_FLOOR: u8 = 40;

/// The loudness of one speaker over the last second.
#[derive(Debug)]
pub(crate) struct Speaker {
    /// A circle; 0 is silence, 127 the loudest.
    levels: [u8; FRAMES],
    next: usize,
    floor: Floor,
    last: Option<Moment>,
    scores: [f64; 3],
    /// Steps of the newest frame.
    immediate: u8,
}

/// The quietest sound of a speaker: noise that is always there is no speech.
#[derive(Debug)]
struct Floor {
    level: u8,
    next: u8,
    seen: u16,
}

/// Who is dominant.
#[derive(Debug, Default)]
pub(crate) struct Dominance {
    current: Option<TrackKey>,
    is_contested: bool,
}

impl Default for Speaker {
    fn default() -> Self {
        Self {
            levels: [0; FRAMES],
            next: 0,
            floor: Floor { level: FIRST_FLOOR, next: 0, seen: 0 },
            last: None,
            scores: [MIN_SCORE; 3],
            immediate: 0,
        }
    }
}

impl Speaker {
    /// Takes the level of a packet, in −dBov.
    pub(crate) fn handle_level(&mut self, now: Moment, level: u8) {
        let loudness = 127 - level.min(127);
        self.fill(now, loudness);
        self.floor.handle(loudness);
    }

    /// Whether anything was heard lately enough to matter.
    pub(crate) fn is_known(&self, now: Moment) -> bool {
        self.is_heard(now, FORGOTTEN_AFTER)
    }

    /// Whether a packet came within `span`.
    pub(crate) fn is_heard(&self, now: Moment, span: Duration) -> bool {
        self.last.is_some_and(|last| now < last + span)
    }

    /// Fills the frames since the last packet: with this one's loudness if it is as long as that, else with silence.
    fn fill(&mut self, now: Moment, loudness: u8) {
        let elapsed = self.last.map_or(0, |last| now.saturating_duration_since(last).as_millis());
        let frames = (elapsed / FRAME_MS).clamp(1, FRAMES as u128) as usize;
        let before = if frames <= LONGEST_PACKET { loudness } else { 0 };
        for frame in 1..=frames {
            // Kept below the length in the next line.
            self.levels[self.next] = if frame == frames { loudness } else { before };
            self.next = (self.next + 1) % FRAMES;
        }
        self.last = Some(now);
    }

    /// Brings the scores up to date.
    fn evaluate(&mut self, now: Moment) {
        let immediates = self.immediates(now);
        let mediums = immediates.as_chunks::<{ N2 as usize }>().0;
        let mut medium = [0; SPANS];
        for (count, frames) in medium.iter_mut().zip(mediums) {
            *count = frames.iter().filter(|&&steps| steps > MEDIUM_THRESHOLD).count() as u8;
        }
        let long = medium.iter().filter(|&&count| count > LONG_THRESHOLD).count() as u8;
        let [first, ..] = immediates;
        let [newest, ..] = medium;
        self.immediate = first;
        self.scores =
            [score(first, N1, LAMBDA_IMMEDIATE), score(newest, N2, LAMBDA_MEDIUM), score(long, N3, LAMBDA_LONG)];
    }

    /// The frames in steps above the floor, the newest first; frames that are due and did not come are silent.
    fn immediates(&self, now: Moment) -> [u8; FRAMES] {
        let since = self.last.map_or(0, |last| now.saturating_duration_since(last).as_millis());
        let missing = if since >= IDLE_AFTER.as_millis() { (since / FRAME_MS) as usize } else { 0 };
        let floor = self.floor.level.saturating_add(STEP);
        let mut steps = [0; FRAMES];
        for (back, step) in steps.iter_mut().skip(missing).enumerate() {
            // Both are below the length, so the difference to it is not negative.
            let level = self.levels[(self.next + FRAMES - 1 - back) % FRAMES];
            *step = if level < floor { 0 } else { level / STEP };
        }
        steps
    }
}

impl Floor {
    fn handle(&mut self, loudness: u8) {
        if loudness == 0 {
            return;
        }
        if self.level > loudness {
            *self = Self { level: loudness, next: 0, seen: 0 };
            return;
        }
        self.next = if self.next == 0 { loudness } else { self.next.min(loudness) };
        self.seen += 1;
        if self.seen >= FLOOR_WINDOW {
            let mean = (f64::from(self.level) * f64::from(self.next)).sqrt();
            *self = Self { level: mean as u8, next: 0, seen: 0 };
        }
    }
}

impl Dominance {
    /// Who is dominant, if anybody has spoken.
    pub(crate) const fn current(&self) -> Option<TrackKey> {
        self.current
    }

    /// Forgets a track that is gone or muted. Returns whether it was dominant.
    pub(crate) fn remove(&mut self, track: TrackKey) -> bool {
        let was = self.current == Some(track);
        self.current = self.current.filter(|&current| current != track);
        was
    }

    /// Decides among the speakers. Returns whether another one is dominant now.
    pub(crate) fn handle_tick(&mut self, now: Moment, speakers: &mut [(TrackKey, &mut Speaker)]) -> bool {
        for (_, speaker) in speakers.iter_mut() {
            speaker.evaluate(now);
        }
        let incumbent = speakers.iter().find(|(key, speaker)| Some(*key) == self.current && speaker.is_known(now));
        let before = self.current;
        self.current = incumbent.map(|&(key, _)| key);
        let least = incumbent.map_or([MIN_SCORE; 3], |(_, speaker)| speaker.scores);
        let is_quiet = incumbent.is_none_or(|(_, speaker)| speaker.immediate <= MEDIUM_THRESHOLD);
        let mut best = C2;
        self.is_contested = false;
        for (key, speaker) in speakers.iter().filter(|(key, _)| Some(*key) != before) {
            self.is_contested |= is_quiet && speaker.immediate > MEDIUM_THRESHOLD;
            let [c1, c2, c3] = relative(speaker.scores, least);
            if c1 > C1 && c2 > best && c3 > C3 {
                best = c2;
                self.current = Some(*key);
            }
        }
        self.current != before
    }

    /// How long until the next decision.
    pub(crate) const fn next_tick(&self) -> Duration {
        if self.is_contested { CONTESTED_TICK } else { TICK }
    }
}

fn relative(scores: [f64; 3], to: [f64; 3]) -> [f64; 3] {
    let mut ratios = [0.0; 3];
    for ((ratio, score), to) in ratios.iter_mut().zip(scores).zip(to) {
        *ratio = (score / to).ln();
    }
    ratios
}

/// How much likelier `active` of `all` is speech than silence: a binomial against an exponential distribution.
fn score(active: u8, all: u32, lambda: f64) -> f64 {
    let active = u32::from(active).min(all);
    let chances = f64::from(all) * 0.5f64.ln();
    (ln_binomial(all, active) + chances - lambda.ln() + lambda * f64::from(active)).max(MIN_SCORE)
}

fn ln_binomial(of: u32, chosen: u32) -> f64 {
    (1..=chosen).map(|k| (f64::from(of - chosen + k) / f64::from(k)).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Arena;

    const FRAME: u64 = 20;

    /// Runs a script of (from ms, to ms, level) for each speaker, everything else at 127; returns (ms, speaker).
    fn run(scripts: &[&[(u64, u64, u8)]], phase: u64, end: u64) -> Vec<(u64, usize)> {
        let start = Moment::ORIGIN;
        let at = |ms| start + Duration::from_millis(ms);
        let mut keys = Arena::<TrackKey, ()>::new();
        let mut speakers: Vec<_> = scripts.iter().map(|_| (keys.insert(()), Speaker::default())).collect();
        let (mut dominance, mut changes, mut tick) = (Dominance::default(), Vec::new(), at(phase));
        for ms in 0..end {
            if ms % FRAME == 0 {
                for ((_, speaker), script) in speakers.iter_mut().zip(scripts) {
                    let part = script.iter().find(|(from, to, _)| (*from..*to).contains(&ms));
                    speaker.handle_level(at(ms), part.map_or(127, |&(_, _, level)| level));
                }
            }
            if at(ms) >= tick {
                let mut all: Vec<_> = speakers.iter_mut().map(|(key, speaker)| (*key, speaker)).collect();
                if dominance.handle_tick(at(ms), &mut all) {
                    changes.push((ms, keys.iter().position(|(key, ())| Some(key) == dominance.current()).unwrap()));
                }
                tick = at(ms) + dominance.next_tick();
            }
        }
        changes
    }

    #[test]
    fn a_change_of_speaker_is_told_within_600_ms_whatever_the_phase_of_the_tick() {
        for phase in 0..300 {
            let changes = run(&[&[(1000, 5000, 30)], &[(5000, 9000, 25)], &[(9000, 12_000, 35)]], phase, 13_000);
            let who: Vec<_> = changes.iter().map(|&(_, who)| who).collect();
            assert_eq!(who, [0, 1, 2], "at phase {phase}: {changes:?}");
            for ((ms, _), begun) in changes.iter().zip([1000, 5000, 9000]) {
                assert!((begun..=begun + 600).contains(ms), "phase {phase}: {changes:?}");
            }
        }
    }

    #[test]
    fn coughs_assent_and_pauses_change_nothing() {
        let talk: Vec<_> = (0..10).map(|n| (n * 2000, n * 2000 + 1600, 30)).collect();
        let assent: Vec<_> = (0..10).map(|n| (n * 2000 + 1600, n * 2000 + 1900, 35)).collect();
        let coughs: Vec<_> = (0..40).map(|n| (n * 500 + 50, n * 500 + 130, 5)).collect();
        for phase in [0, 100, 200] {
            let changes = run(&[&talk, &assent, &coughs], phase, 20_000);
            assert_eq!(changes.len(), 1, "{changes:?}");
            assert_eq!(changes[0].1, 0);
        }
    }

    #[test]
    fn noise_is_no_speech_and_two_at_once_do_not_take_turns() {
        assert_eq!(run(&[&[(0, 70_000, 45)], &[(50_000, 52_000, 30)]], 0, 70_000).last().map(|&(_, who)| who), Some(1));
        let both = run(&[&[(0, 20_000, 30)], &[(1000, 20_000, 29)]], 0, 20_000);
        assert_eq!(both.len(), 1, "{both:?}");
    }

    #[test]
    fn nobody_is_dominant_before_anybody_spoke_nor_after_being_removed() {
        let mut keys = Arena::<TrackKey, ()>::new();
        let (key, mut speaker, mut dominance) = (keys.insert(()), Speaker::default(), Dominance::default());
        let now = Moment::ORIGIN;
        speaker.handle_level(now, 127);
        assert!(!dominance.handle_tick(now, &mut [(key, &mut speaker)]));
        for n in 0..10 {
            speaker.handle_level(now + Duration::from_millis(20 * n), 20);
        }
        assert!(dominance.handle_tick(now + Duration::from_millis(190), &mut [(key, &mut speaker)]));
        assert_eq!((dominance.current(), dominance.remove(key), dominance.current()), (Some(key), true, None));
    }

    #[test]
    fn who_was_not_heard_for_an_hour_is_forgotten() {
        let mut keys = Arena::<TrackKey, ()>::new();
        let (key, mut speaker, mut dominance) = (keys.insert(()), Speaker::default(), Dominance::default());
        let now = Moment::ORIGIN;
        for n in 0..10 {
            speaker.handle_level(now + Duration::from_millis(20 * n), 20);
        }
        dominance.handle_tick(now + Duration::from_millis(190), &mut [(key, &mut speaker)]);
        assert!(!dominance.handle_tick(now + FORGOTTEN_AFTER, &mut [(key, &mut speaker)]), "59 minutes and more");
        assert!(dominance.handle_tick(now + FORGOTTEN_AFTER + TICK, &mut [(key, &mut speaker)]));
        assert_eq!(dominance.current(), None);
    }
}
