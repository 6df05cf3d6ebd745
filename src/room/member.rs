//! One member: what it may do, what it wants, where it receives.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use roundtable_protocol::event::{MemberInfo, TrackSource};
use roundtable_protocol::limit::{CHAT_BURST, CHAT_PER_SECOND, MEMBER_UPDATES_BURST, MEMBER_UPDATES_PER_SECOND};
use roundtable_protocol::message::ViewChange;
use roundtable_protocol::{Grants, TrackId};

use super::chat::Written;
use super::slot::Seating;
use crate::rate::Rate;

/// Wishes about tracks that one member may have pending; older unknown ones give way.
pub const MAX_UNWANTED: usize = 1024;
/// Tracks of which one member may have said how it looks at them; of further ones it is not noted.
pub const MAX_VIEWS: usize = 1024;

/// Who is about to enter, as others will see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Newcomer {
    /// The name others see.
    pub name: String,
    /// Who they are to whoever let them in.
    pub identity: Option<String>,
    /// What that one says of them.
    pub metadata: Option<String>,
    /// The same by key.
    pub attributes: BTreeMap<String, String>,
}

impl From<String> for Newcomer {
    /// Somebody of whom nothing is known but a name.
    fn from(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}

impl From<&str> for Newcomer {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

/// Somebody in the room.
#[derive(Debug)]
pub struct Member {
    /// As others see them.
    pub info: MemberInfo,
    /// Their place in the order of joining.
    pub number: u64,
    /// How many tracks they publish.
    pub tracks: usize,
    /// What they may do.
    pub grants: Grants,
    /// Most seats they want.
    pub max_seats: u16,
    /// Seats they were last asked to have.
    pub asked_seats: u16,
    /// Where they receive.
    pub seating: Seating,
    /// How fast they write, …
    pub chat_rate: Rate,
    /// … and what they wrote last.
    pub written: Written,
    /// How fast they change what others see of them.
    pub update_rate: Rate,
    /// Sources that a moderator has muted: at most one entry each.
    pub held: Vec<TrackSource>,
    /// When others were last told that they are writing, …
    pub typed_at: Option<Instant>,
    /// … and until when they are, if they are.
    pub typing_until: Option<Instant>,
    /// When they last began to speak, as a number that grows; 0 for never.
    pub spoke: u64,
    unwanted: HashSet<TrackId>,
    views: HashMap<TrackId, ViewChange>,
}

impl Member {
    /// Somebody who has just come.
    #[must_use]
    pub fn new(now: Instant, info: MemberInfo, number: u64, grants: Grants, max_seats: u16, first_seats: u16) -> Self {
        Self {
            info,
            number,
            tracks: 0,
            grants,
            max_seats,
            asked_seats: first_seats.min(max_seats),
            seating: Seating::default(),
            chat_rate: Rate::new(now, CHAT_PER_SECOND, CHAT_BURST),
            written: Written::default(),
            update_rate: Rate::new(now, MEMBER_UPDATES_PER_SECOND, MEMBER_UPDATES_BURST),
            held: Vec::new(),
            typed_at: None,
            typing_until: None,
            spoke: 0,
            unwanted: HashSet::new(),
            views: HashMap::new(),
        }
    }

    /// Whether they want to receive a track. All are wanted until they say otherwise.
    #[must_use]
    pub fn wants(&self, track: &TrackId) -> bool {
        self.grants.subscribe && !self.unwanted.contains(track)
    }

    /// Notes a wish. At [`MAX_UNWANTED`] further refusals are ignored: the track stays wanted.
    pub fn set_wanted(&mut self, track: TrackId, wanted: bool) {
        if wanted {
            self.unwanted.remove(&track);
        } else if self.unwanted.len() < MAX_UNWANTED {
            self.unwanted.insert(track);
        }
    }

    /// The tracks that they do not want.
    #[must_use]
    pub fn unwanted(&self) -> Vec<TrackId> {
        let mut unwanted: Vec<TrackId> = self.unwanted.iter().cloned().collect();
        unwanted.sort_unstable();
        unwanted
    }

    /// How they look at a track, if they said so.
    #[must_use]
    pub fn view(&self, track: &TrackId) -> Option<&ViewChange> {
        self.views.get(track)
    }

    /// Notes how they look at a track; says whether that is news. At [`MAX_VIEWS`] further tracks are not noted.
    pub fn set_view(&mut self, view: ViewChange) -> bool {
        let known = self.views.get(&view.track);
        if known == Some(&view) || (known.is_none() && self.views.len() >= MAX_VIEWS) {
            return false;
        }
        self.views.insert(view.track.clone(), view);
        true
    }

    /// Forgets wishes about a track that is gone.
    pub fn forget(&mut self, track: &TrackId) {
        self.unwanted.remove(track);
        self.views.remove(track);
    }
}
