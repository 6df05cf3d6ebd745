//! Which of many microphones are forwarded: the loudest few, with the dominant speaker always among them.

use std::time::Duration;

use crate::key::TrackKey;
use crate::moment::Moment;

/// How many are forwarded unless told otherwise, and the most that can be.
const DEFAULT_MOST: usize = 3;
const LEAST_MOST: usize = 1;
const MOST_MOST: usize = 6;
/// Levels are in dB above the quietest, −127 dBov. Who is to enter is this loud ...
const ENTER: f32 = 127.0 - 50.0;
/// ... over 60 ms of sound: three packets of 20 ms, from the first to the last of which 40 ms go by ...
const LOUD_FOR: Duration = Duration::from_millis(40);
/// ... without a break longer than this within a word ...
const BREAK: Duration = Duration::from_millis(100);
/// ... and this much louder than the weakest if there is no room.
const MARGIN: f32 = 3.0;
/// Who has entered stays this long at least.
const HOLD: Duration = Duration::from_millis(1500);
/// How much of a rise the average follows at once, and how fast it falls: an average over power with a time constant of
/// 145 ms falls by 30 dB in a second.
const RISE: f32 = 0.75;
const FALL_PER_SECOND: f32 = 30.0;

/// How loud one microphone is on average.
#[derive(Debug, Default)]
pub(crate) struct Loudness {
    average: f32,
    last: Option<Moment>,
    /// When it became loud, and when it last was.
    loud: Option<(Moment, Moment)>,
}

impl Loudness {
    /// Takes the level of a packet, in −dBov.
    pub(crate) fn handle_level(&mut self, now: Moment, level: u8) {
        let loudness = 127.0 - f32::from(level.min(127));
        let fallen = self.at(now);
        self.average = if loudness > fallen { fallen + (loudness - fallen) * RISE } else { fallen.max(loudness) };
        self.last = Some(now);
        if loudness >= ENTER && self.average >= ENTER {
            let since = self.loud.filter(|&(_, last)| now <= last + BREAK).map_or(now, |(since, _)| since);
            self.loud = Some((since, now));
        }
    }

    /// The average at `now`, which falls while nothing comes.
    pub(crate) fn at(&self, now: Moment) -> f32 {
        let elapsed = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        (self.average - FALL_PER_SECOND * elapsed.as_secs_f32()).max(0.0)
    }

    /// Whether the packet that came at `now` makes it loud for long enough to be forwarded.
    pub(crate) fn may_enter(&self, now: Moment) -> bool {
        self.loud.is_some_and(|(since, last)| last == now && now >= since + LOUD_FOR)
    }
}

/// The talkers who are forwarded.
#[derive(Debug)]
pub(crate) struct Loudest {
    most: usize,
    /// At most `most`, with the time each entered.
    talkers: Vec<(TrackKey, Moment)>,
}

/// Who has entered, and who had to leave for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) entered: TrackKey,
    pub(crate) left: Option<TrackKey>,
}

impl Default for Loudest {
    fn default() -> Self {
        Self { most: DEFAULT_MOST, talkers: Vec::with_capacity(MOST_MOST) }
    }
}

impl Loudest {
    /// Sets how many are forwarded, 1–6. Whoever is too many leaves; the latest leave first.
    pub(crate) fn set_most(&mut self, most: usize) -> Vec<TrackKey> {
        self.most = most.clamp(LEAST_MOST, MOST_MOST);
        let keep = self.most.min(self.talkers.len());
        self.talkers.drain(keep..).map(|(track, _)| track).collect()
    }

    /// Looks whether a track of this loudness enters. `loudness` tells that of the talkers.
    pub(crate) fn consider(
        &mut self,
        now: Moment,
        track: TrackKey,
        candidate: &Loudness,
        dominant: Option<TrackKey>,
        loudness: impl Fn(TrackKey) -> f32,
    ) -> Option<Change> {
        if self.contains(track) || !candidate.may_enter(now) {
            return None;
        }
        if self.talkers.len() < self.most {
            self.talkers.push((track, now));
            return Some(Change { entered: track, left: None });
        }
        let may_leave = |&(talker, since): &(TrackKey, Moment)| Some(talker) != dominant && now >= since + HOLD;
        let weakest = self.weakest(&loudness, may_leave)?;
        let (left, _) = *self.talkers.get(weakest)?;
        (candidate.at(now) >= loudness(left) + MARGIN).then(|| self.replace(now, weakest, track))
    }

    /// Lets the dominant speaker in, whoever is there.
    pub(crate) fn admit(
        &mut self,
        now: Moment,
        dominant: TrackKey,
        loudness: impl Fn(TrackKey) -> f32,
    ) -> Option<Change> {
        if self.contains(dominant) {
            return None;
        }
        if self.talkers.len() < self.most {
            self.talkers.push((dominant, now));
            return Some(Change { entered: dominant, left: None });
        }
        let weakest = self.weakest(&loudness, |_| true)?;
        Some(self.replace(now, weakest, dominant))
    }

    /// Takes out a track that is gone or muted. Returns whether it was in.
    pub(crate) fn remove(&mut self, track: TrackKey) -> bool {
        let before = self.talkers.len();
        self.talkers.retain(|&(talker, _)| talker != track);
        self.talkers.len() != before
    }

    pub(crate) fn contains(&self, track: TrackKey) -> bool {
        self.talkers.iter().any(|&(talker, _)| talker == track)
    }

    /// Those who are in, in the order of entering.
    pub(crate) fn talkers(&self) -> impl Iterator<Item = TrackKey> {
        self.talkers.iter().map(|&(track, _)| track)
    }

    fn weakest(
        &self,
        loudness: impl Fn(TrackKey) -> f32,
        may_leave: impl Fn(&(TrackKey, Moment)) -> bool,
    ) -> Option<usize> {
        let candidates = self.talkers.iter().enumerate().filter(|(_, talker)| may_leave(talker));
        let rated = candidates.map(|(at, &(talker, _))| (at, loudness(talker)));
        rated.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
    }

    /// `at` is an index of the talkers. The new one goes to the end, as the latest to enter.
    fn replace(&mut self, now: Moment, at: usize, entered: TrackKey) -> Change {
        let (left, _) = self.talkers.remove(at);
        self.talkers.push((entered, now));
        Change { entered, left: Some(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Arena;

    struct World {
        start: Moment,
        keys: Vec<TrackKey>,
        loudness: Vec<Loudness>,
        loudest: Loudest,
        dominant: Option<TrackKey>,
    }

    impl World {
        fn new(count: usize) -> Self {
            let mut arena = Arena::<TrackKey, ()>::new();
            let keys: Vec<_> = (0..count).map(|_| arena.insert(())).collect();
            let loudness = keys.iter().map(|_| Loudness::default()).collect();
            Self { start: Moment::ORIGIN, keys, loudness, loudest: Loudest::default(), dominant: None }
        }

        /// Plays levels from `from` to `to` ms, every 20 ms; returns (ms, entered, left).
        fn play(&mut self, from: u64, to: u64, levels: &[u8]) -> Vec<(u64, usize, Option<usize>)> {
            let mut changes = Vec::new();
            for ms in (from..to).step_by(20) {
                let now = self.start + Duration::from_millis(ms);
                for (who, &level) in levels.iter().enumerate() {
                    self.loudness[who].handle_level(now, level);
                    let rate = |key: TrackKey| self.loudness[key.index()].at(now);
                    let change = self.loudest.consider(now, self.keys[who], &self.loudness[who], self.dominant, rate);
                    changes.extend(change.map(|c| (ms, c.entered.index(), c.left.map(TrackKey::index))));
                }
            }
            changes
        }
    }

    #[test]
    fn who_is_loud_for_three_packets_enters_and_a_click_does_not() {
        let mut world = World::new(2);
        assert_eq!(world.play(0, 1000, &[127, 60]), [], "too quiet");
        assert_eq!(world.play(1000, 1040, &[20, 127]), []);
        assert_eq!(world.play(1040, 3000, &[127, 127]), [], "a click");
        assert_eq!(world.play(3000, 3100, &[30, 127]), [(3040, 0, None)]);
    }

    #[test]
    fn a_fourth_enters_only_when_louder_by_3_db_and_after_the_hold() {
        let mut world = World::new(4);
        assert_eq!(world.play(0, 1000, &[30, 35, 40, 127]).len(), 3);
        assert_eq!(world.play(1000, 1500, &[30, 35, 40, 30]), [], "the weakest may stay a second and a half");
        assert_eq!(world.play(1500, 1600, &[30, 35, 40, 30]), [(1560, 3, Some(2))]);
        assert_eq!(world.play(1600, 8000, &[30, 35, 33, 30]), [], "2 dB are too few");
        assert_eq!(world.play(8000, 8200, &[30, 35, 30, 30]), [(8000, 2, Some(1))]);
    }

    #[test]
    fn equals_do_not_take_turns_and_a_pause_costs_no_place() {
        let mut world = World::new(6);
        let entered = world.play(0, 20_000, &[30, 30, 30, 30, 31, 29]);
        assert_eq!(entered.len(), 3, "{entered:?}");
        assert_eq!(world.play(20_000, 20_500, &[127, 30, 30, 45, 127, 127]), [], "half a second between words");
    }

    #[test]
    fn the_dominant_speaker_is_let_in_at_once_and_not_put_out() {
        let mut world = World::new(5);
        world.play(0, 100, &[30, 35, 40, 127, 127]);
        let (now, dominant) = (world.start + Duration::from_millis(100), world.keys[3]);
        let rate = |key: TrackKey| world.loudness[key.index()].at(now);
        let change = world.loudest.admit(now, dominant, rate);
        assert_eq!(change, Some(Change { entered: dominant, left: Some(world.keys[2]) }));
        world.dominant = Some(dominant);
        let later = world.play(4000, 9000, &[30, 35, 127, 127, 20]);
        assert_eq!(later, [(4040, 4, Some(1))], "the weakest of the others");
        assert!(world.loudest.contains(dominant));
    }

    #[test]
    fn the_number_is_bounded_and_who_is_too_many_leaves() {
        let mut world = World::new(6);
        assert_eq!(world.loudest.set_most(99), []);
        assert_eq!(world.play(0, 1000, &[30; 6]).len(), 6);
        assert_eq!(world.loudest.set_most(0), world.keys[1..]);
        assert_eq!(world.loudest.talkers().collect::<Vec<_>>(), world.keys[..1]);
        assert!(world.loudest.remove(world.keys[0]) && !world.loudest.remove(world.keys[0]));
    }
}
