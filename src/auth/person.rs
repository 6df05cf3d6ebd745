//! Somebody who has proved who they are, and the token they get for it.

use std::time::Duration;

use roundtable_protocol::{Role, RoomId};

use super::claims::{Claims, VideoGrant};
use super::room_pattern::RoomPatterns;

/// How long the token lives that a login or an invitation is exchanged for, in seconds.
pub const MEMBER_TOKEN_S: u64 = 60 * 60;

/// Somebody who has logged in, here or at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The identity of their tokens.
    pub identity: String,
    /// The name others see.
    pub name: String,
    /// What they are in rooms.
    pub role: Role,
    /// The rooms they may enter.
    pub rooms: RoomPatterns,
}

impl Person {
    /// The claims of a token for the room, from `now` since 1970 UTC on; `None` if it is not one of theirs.
    #[must_use]
    pub fn claims(&self, now: Duration, room: &RoomId) -> Option<Claims> {
        let video = VideoGrant { room: Some(room.to_string()), room_join: Some(true), ..VideoGrant::default() };
        self.rooms.allow(room).then(|| Claims {
            sub: Some(self.identity.clone()),
            name: Some(self.name.clone()),
            exp: Some(now.as_secs() + MEMBER_TOKEN_S),
            role: Some(self.role),
            video: Some(video),
            ..Claims::default()
        })
    }
}
