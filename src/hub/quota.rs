//! How many rooms a key may have: those that are open, and those that it has set up, each counted once.
//!
//! A room is one of the key that set it up, and otherwise of the key of whoever opens it. Rooms of guests are nobody's.

use roundtable_protocol::RoomId;

use super::Hub;
use super::entry::JoinError;
use super::rooms::{Claim, NotOpened, Opener};
use super::settings::{SettingsError, SettingsRecord};

impl Hub {
    /// Finds a room or opens it, for somebody who owes the entry to `key`.
    pub(super) fn claim(&self, room: &RoomId, key: Option<&str>) -> Result<Claim, JoinError> {
        let busy = self.0.inboxes.iter().map(|inbox| inbox.load().lasting());
        let quota = self.quota(key);
        // Rooms are set up and opened one after the other, so that not two take one place.
        self.0.settings.hold(|set_up| {
            let opener = match set_up.keys.get(room) {
                // It has its place already.
                Some(owner) => Opener { key: Some(owner), quota: None, set_up },
                None => Opener { key, quota, set_up },
            };
            self.0.rooms.claim(room, opener, busy).map_err(|refused| match refused {
                NotOpened::TooMany => JoinError::TooManyRooms(self.0.config.max_rooms),
                NotOpened::KeyQuota => JoinError::KeyQuota(quota.unwrap_or_default()),
            })
        })
    }

    /// Whose room it is that `key`, which may have so many, sets up. One that is open keeps its owner.
    pub(super) fn permit_set_up(
        &self,
        set_up: &SettingsRecord,
        room: &RoomId,
        (key, quota): (Option<&str>, Option<usize>),
    ) -> Result<Option<String>, SettingsError> {
        if let Some(owner) = self.0.rooms.key_of(room) {
            return Ok(Some(owner.to_string()));
        }
        match (key, quota) {
            (Some(key), Some(quota)) if self.0.rooms.count_of_key(key, set_up) >= quota => {
                Err(SettingsError::KeyQuota(quota))
            }
            _ => Ok(key.map(str::to_owned)),
        }
    }

    /// Rooms that a key may have; `None` for as many as the server carries.
    pub(super) fn quota(&self, key: Option<&str>) -> Option<usize> {
        let own = self.0.authorise.as_ref().and_then(|hook| hook.max_rooms(key?));
        own.map(|own| usize::try_from(own).unwrap_or(usize::MAX)).or(self.0.config.max_rooms_per_key)
    }
}
