//! Who is in which room, and in which m-line of whom a track goes.

use std::collections::HashMap;

use str0m::media::{MediaKind, Mid};

/// A track: the place of its member, and its m-line there.
pub(crate) type Source = (usize, Mid);

/// Microphones of a room that are all forwarded; of more only the first.
const MOST_MICROPHONES: usize = 8;
const FIRST_MICROPHONES: usize = 3;

/// The tracks of a room and its idle m-lines.
#[derive(Default)]
pub(crate) struct Room {
    members: Vec<usize>,
    tracks: Vec<(Source, MediaKind)>,
    idle: Vec<(usize, Mid, MediaKind)>,
    /// Where each track goes.
    routes: HashMap<Source, Vec<(usize, Mid)>>,
}

impl Room {
    pub(crate) fn enter(&mut self, member: usize) {
        self.members.push(member);
    }

    /// Somebody publishes.
    pub(crate) fn handle_track(&mut self, source: Source, kind: MediaKind) {
        self.tracks.push((source, kind));
        for member in self.members.clone() {
            if member != source.0 {
                self.connect(source, kind, member);
            }
        }
    }

    /// Somebody can receive one more.
    pub(crate) fn handle_slot(&mut self, member: usize, mid: Mid, kind: MediaKind) {
        self.idle.push((member, mid, kind));
        let is_missing = |(source, _): &&(Source, MediaKind)| {
            source.0 != member && !self.routes.get(source).is_some_and(|to| to.iter().any(|(at, _)| *at == member))
        };
        let missing = self.tracks.iter().filter(|(_, of)| *of == kind).find(is_missing).map(|(source, _)| *source);
        if let Some(source) = missing {
            self.connect(source, kind, member);
        }
    }

    /// Where a packet of a track goes.
    pub(crate) fn routes(&self, source: Source) -> &[(usize, Mid)] {
        if self.is_heard(source) { self.routes.get(&source).map_or(&[], Vec::as_slice) } else { &[] }
    }

    /// Whose track an m-line carries.
    pub(crate) fn source(&self, member: usize, mid: Mid) -> Option<Source> {
        self.routes.iter().find(|(_, to)| to.contains(&(member, mid))).map(|(source, _)| *source)
    }

    fn connect(&mut self, source: Source, kind: MediaKind, member: usize) {
        let slot = self.idle.iter().position(|(at, _, of)| (*at, *of) == (member, kind));
        if let Some((_, mid, _)) = slot.map(|slot| self.idle.remove(slot)) {
            self.routes.entry(source).or_default().push((member, mid));
        }
    }

    fn is_heard(&self, source: Source) -> bool {
        let microphones = || self.tracks.iter().filter(|(_, kind)| *kind == MediaKind::Audio);
        match microphones().position(|(microphone, _)| *microphone == source) {
            Some(place) => place < FIRST_MICROPHONES || microphones().count() <= MOST_MICROPHONES,
            None => true,
        }
    }
}
