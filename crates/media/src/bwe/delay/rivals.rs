//! Tells a queue that somebody else keeps filled from one of our own (our own).
//!
//! While a queue stands, what arrives of a lone flow is what the path carries, however little it sends: the queue gives
//! it. Beside others it falls with what is sent, and the queue stays. TCP fills any queue until it overflows: who gives
//! way to that queue gives all away, so beside TCP the rate must follow losses, as TCP's does.

use std::time::Duration;

use super::super::acked::Recent;
use crate::moment::Moment;

/// A queue at least this long counts. What it gives of a lone flow is measured …
const QUEUE: Duration = Duration::from_millis(60);
/// … when it has stood for so long: before, what arrives is what the path carried until now.
const SETTLED: Duration = Duration::from_millis(250);
/// If whatever arrives while it stands is below this share of that …
const FALLEN: f64 = 0.5;
/// … for so long, the queue is somebody else's.
const FALLEN_SPAN: Duration = Duration::from_secs(1);
/// When they are found out, the rate is this share of that again.
const SHARE: f64 = 0.5;
/// It is over once the queue was shorter than this …
const SHORT: Duration = Duration::from_millis(40);
/// … for so long: TCP makes room after a loss, but not for long.
const SHORT_SPAN: Duration = Duration::from_millis(1500);
/// So long others are believed in, as a path that has become longer looks the same.
const BELIEVED: Duration = Duration::from_secs(60);

/// Whether the queue is somebody else's.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    state: State,
    /// Since when the queue has been short.
    short: Option<Moment>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// There is no queue.
    #[default]
    Clear,
    /// A queue comes again and again since then.
    Queued(Moment),
    /// It gave this rate; whatever came while it stood was far less since then.
    Measured(f64, Option<Moment>),
    /// Others fill the queue, since then.
    Beside(Moment),
}

impl Rivals {
    /// Takes the queue of now; returns the rate that should be taken again when others were found out.
    pub(super) fn handle_queue(
        &mut self,
        now: Moment,
        queue: Duration,
        recent: impl Fn() -> Option<Recent>,
    ) -> Option<f64> {
        let passed = |since: Moment| now.saturating_duration_since(since);
        self.short = if queue < SHORT { Some(*self.short.get_or_insert(now)) } else { None };
        if self.short.is_some_and(|since| passed(since) >= SHORT_SPAN) {
            self.state = State::Clear;
        }
        let recent = if queue >= QUEUE { recent().map(|recent| recent.bps) } else { None };
        match (self.state, recent) {
            (State::Clear, Some(_)) => self.state = State::Queued(now),
            (State::Queued(since), Some(bps)) if passed(since) >= SETTLED => self.state = State::Measured(bps, None),
            (State::Measured(gave, _), Some(bps)) if bps >= FALLEN * gave => self.state = State::Measured(gave, None),
            (State::Measured(gave, None), Some(_)) => self.state = State::Measured(gave, Some(now)),
            (State::Measured(gave, Some(since)), Some(_)) if passed(since) >= FALLEN_SPAN => {
                self.state = State::Beside(now);
                return Some(SHARE * gave);
            }
            (State::Beside(since), _) if passed(since) >= BELIEVED => self.state = State::Clear,
            (State::Clear | State::Queued(_) | State::Measured(..) | State::Beside(_), _) => {}
        }
        None
    }

    /// Whether others fill the queue.
    pub(super) const fn are_there(&self) -> bool {
        matches!(self.state, State::Beside(_))
    }
}
