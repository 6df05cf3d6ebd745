//! Who is in which room of a scenario, what they send, and who is to receive what.

use crate::connect::JoinSpec;
use crate::figures::Expectation;
use crate::options::{Audio, FanOut, Meetings};
use crate::publish::{Sizes, TrackSpec, VideoShape};

/// Microphones of a room that are all forwarded; of more only the loudest are.
const MOST_OPEN_MICROPHONES: u32 = 8;
/// So many then, unless the server is told otherwise.
const LOUDEST: u32 = 3;

/// A run's clients.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    /// In the order in which they join.
    pub(crate) specs: Vec<JoinSpec>,
    pub(crate) expected: Expectation,
}

impl Rooms {
    /// Adds a member and returns its number. Whoever has seats is expected to receive.
    pub(crate) fn add(&mut self, room: u32, seats: u16, tracks: Vec<TrackSpec>) -> u32 {
        let number = self.specs.len() as u32 + 1; // Options bound the members far below that.
        if seats > 0 {
            self.expected.receivers.push(number);
        }
        self.specs.push(JoinSpec { room, number, seats, voice_slots: 0, tracks, loss: 0.0, is_heard: true });
        number
    }
}

/// A picture of one encoding.
pub(crate) fn camera(source: u32, kbit: u32, sizes: Sizes) -> TrackSpec {
    let shape = VideoShape { bitrate_bps: kbit.saturating_mul(1_000), width: 1_280, height: 720, sizes };
    TrackSpec::Video { encodings: vec![(String::new(), source, shape)] }
}

/// One publisher of VP8 and many who watch. The publisher joins last, as in a broadcast that is waited for.
pub(crate) fn fan_out(options: &FanOut) -> Rooms {
    let sizes = if options.equal { Sizes::Equal } else { Sizes::Chromium };
    let mut rooms = Rooms::default();
    for _ in 0..options.subscribers {
        rooms.add(0, 1, vec![]);
    }
    rooms.add(0, 0, vec![camera(1, options.kbit, sizes)]);
    rooms.expected.sources.push(1);
    rooms
}

/// One publisher of Opus and many who listen.
pub(crate) fn audio(options: &Audio) -> Rooms {
    let mut rooms = Rooms::default();
    for _ in 0..options.subscribers {
        rooms.add(0, 1, vec![]);
    }
    rooms.add(0, 0, vec![TrackSpec::Audio { source: 1 }]);
    rooms.expected.sources.push(1);
    rooms
}

/// Rooms in which everybody publishes sound and a picture and receives all others.
pub(crate) fn meetings(options: &Meetings) -> Rooms {
    let mut rooms = Rooms::default();
    let seats = options.members as u16 - 1; // The options allow 2 to 49.
    for (place, member) in (0..options.rooms * options.members).zip(0..) {
        let (sound, picture) = (2 * member + 1, 2 * member + 2);
        let tracks = vec![TrackSpec::Audio { source: sound }, camera(picture, options.kbit, Sizes::Chromium)];
        rooms.add(place / options.members, seats, tracks);
        rooms.expected.sources.push(picture);
        if options.members <= MOST_OPEN_MICROPHONES {
            rooms.expected.sources.push(sound);
        } else if let Some(spec) = rooms.specs.last_mut() {
            spec.is_heard = place % options.members < LOUDEST;
        }
    }
    rooms
}
