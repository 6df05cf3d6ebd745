//! One member: what it may do, what it wants, where it receives.

use std::collections::HashSet;
use std::time::Instant;

use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::limit::{CHAT_BURST, CHAT_PER_SECOND};
use roundtable_protocol::{Grants, TrackId};

use super::slot::Seating;
use crate::rate::Rate;

/// Wishes about tracks that one member may have pending; older unknown ones give way.
pub const MAX_UNWANTED: usize = 1024;

/// Somebody in the room.
#[derive(Debug)]
pub struct Member {
    /// As others see them.
    pub info: MemberInfo,
    /// What they may do.
    pub grants: Grants,
    /// Most seats they want.
    pub max_seats: u16,
    /// Seats they were last asked to have.
    pub asked_seats: u16,
    /// Where they receive.
    pub seating: Seating,
    /// How fast they write.
    pub chat_rate: Rate,
    unwanted: HashSet<TrackId>,
}

impl Member {
    /// Somebody who has just come.
    #[must_use]
    pub fn new(now: Instant, info: MemberInfo, grants: Grants, max_seats: u16, first_seats: u16) -> Self {
        Self {
            info,
            grants,
            max_seats,
            asked_seats: first_seats.min(max_seats),
            seating: Seating::default(),
            chat_rate: Rate::new(now, CHAT_PER_SECOND, CHAT_BURST),
            unwanted: HashSet::new(),
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

    /// Forgets wishes about a track that is gone.
    pub fn forget(&mut self, track: &TrackId) {
        self.unwanted.remove(track);
    }
}
