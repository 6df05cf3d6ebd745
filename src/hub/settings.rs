//! How each room is set up, whether it is open or not.
//!
//! Versions are counted over all rooms, so that a room which was deleted and made again never has one that it had before.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use roundtable_protocol::settings::{BadSettings, RoomSettings, SettingsChange};
use roundtable_protocol::{ErrorCode, RoomId};
use serde::{Deserialize, Serialize};

use super::HubError;

/// Rooms that may be set up; a further one is refused with `room/too-many`.
pub const MAX_SET_UP: usize = 10_000;

/// The settings of all rooms that were ever set up.
#[derive(Debug, Default)]
pub(super) struct SettingsTable(Mutex<SettingsRecord>);

/// All settings, to be kept somewhere and restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsRecord {
    /// The highest version given out so far.
    pub last_version: u64,
    /// Each room's.
    pub rooms: BTreeMap<RoomId, RoomSettings>,
    /// The keys that set rooms up, of those that were.
    #[serde(default)]
    pub keys: BTreeMap<RoomId, String>,
}

/// For which version a change is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever there is.
    Anything,
    /// This one; 0 for a room that is not set up.
    Version(u64),
    /// Any, but the room must be set up.
    SetUp,
    /// The room must not be set up.
    Nothing,
}

/// Why settings were not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// They make no sense.
    #[error(transparent)]
    Bad(#[from] BadSettings),
    /// Somebody else changed them meanwhile.
    #[error("the settings are of version {0} now")]
    Changed(u64),
    /// There is such a room already.
    #[error("there is such a room already")]
    Exists,
    /// As many rooms are set up as may be.
    #[error("{MAX_SET_UP} rooms are set up already")]
    TooMany,
    /// The key has as many rooms as it may.
    #[error("the key has {0} rooms and gets no further one")]
    KeyQuota(usize),
    /// The room's shard could not be told.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl SettingsError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Bad(_) => ErrorCode::BadSettings,
            Self::Changed(_) => ErrorCode::RoomChanged,
            Self::Exists => ErrorCode::RoomExists,
            Self::TooMany => ErrorCode::TooManyRooms,
            Self::KeyQuota(_) => ErrorCode::KeyQuota,
            Self::Hub(error) => error.code(),
        }
    }
}

impl SettingsTable {
    /// The settings of a room, if it is set up.
    pub(super) fn find(&self, room: &RoomId) -> Option<RoomSettings> {
        self.lock().rooms.get(room).cloned()
    }

    /// Changes the settings of a room: what it has, or with `afresh` what a room has that was never set up. `permit` is asked
    /// before a room is set up, with those that are set up already, and says whose it is. `tell` passes settings on, one version
    /// after the other; if either fails nothing has changed.
    pub(super) fn change(
        &self,
        room: &RoomId,
        expect: Expect,
        (afresh, change): (bool, &SettingsChange),
        permit: impl FnOnce(&SettingsRecord) -> Result<Option<String>, SettingsError>,
        tell: impl FnOnce(&RoomSettings) -> Result<(), HubError>,
    ) -> Result<RoomSettings, SettingsError> {
        let mut table = self.lock();
        let known = table.rooms.get(room);
        expect.check(known)?;
        if known.is_none() && table.rooms.len() >= MAX_SET_UP {
            return Err(SettingsError::TooMany);
        }
        let key = if known.is_none() { permit(&table)? } else { None };
        let none = RoomSettings::default();
        let base = known.filter(|_| !afresh).unwrap_or(&none);
        let settings = RoomSettings { version: table.last_version + 1, ..base.with(change)? };
        tell(&settings)?;
        table.last_version = settings.version;
        table.rooms.insert(room.clone(), settings.clone());
        table.keys.extend(key.map(|key| (room.clone(), key)));
        Ok(settings)
    }

    /// Forgets the settings of a room; returns whether it was set up.
    pub(super) fn remove(&self, room: &RoomId, expect: Expect) -> Result<bool, SettingsError> {
        let mut table = self.lock();
        expect.check(table.rooms.get(room))?;
        table.keys.remove(room);
        Ok(table.rooms.remove(room).is_some())
    }

    /// The key that set a room up.
    pub(super) fn key_of(&self, room: &RoomId) -> Option<String> {
        self.lock().keys.get(room).cloned()
    }

    /// Does something while nobody sets a room up.
    pub(super) fn hold<T>(&self, deed: impl FnOnce(&SettingsRecord) -> T) -> T {
        deed(&self.lock())
    }

    /// The highest version given out so far.
    pub(super) fn last_version(&self) -> u64 {
        self.lock().last_version
    }

    /// Everything, to be kept.
    pub(super) fn record(&self) -> SettingsRecord {
        self.lock().clone()
    }

    /// Puts back what was kept. What is there already is newer and stays.
    pub(super) fn restore(&self, record: SettingsRecord) {
        let mut table = self.lock();
        let SettingsRecord { last_version, rooms, mut keys } = record;
        for (room, settings) in rooms.into_iter().filter(|(_, settings)| settings.check().is_ok()).take(MAX_SET_UP) {
            if let Entry::Vacant(place) = table.rooms.entry(room) {
                let key = keys.remove_entry(place.key());
                place.insert(settings);
                table.keys.extend(key);
            }
        }
        let highest = table.rooms.values().map(|settings| settings.version).max().unwrap_or(0);
        table.last_version = table.last_version.max(last_version).max(highest);
    }

    fn lock(&self) -> MutexGuard<'_, SettingsRecord> {
        // Every change is complete before anything that could panic runs.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SettingsRecord {
    /// The rooms that a key set up.
    pub(super) fn of_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a RoomId> {
        self.keys.iter().filter(move |(_, owner)| **owner == key).map(|(room, _)| room)
    }
}

impl Expect {
    fn check(self, known: Option<&RoomSettings>) -> Result<(), SettingsError> {
        let version = known.map_or(0, |settings| settings.version);
        match self {
            Self::Anything => Ok(()),
            Self::Version(expected) if expected == version => Ok(()),
            Self::Version(_) => Err(SettingsError::Changed(version)),
            Self::SetUp if known.is_some() => Ok(()),
            Self::SetUp => Err(SettingsError::Changed(0)),
            Self::Nothing if known.is_none() => Ok(()),
            Self::Nothing => Err(SettingsError::Exists),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(room: &str) -> RoomId {
        RoomId::new(room).unwrap()
    }

    fn metadata(text: &str) -> SettingsChange {
        SettingsChange { metadata: Some(text.into()), ..SettingsChange::default() }
    }

    fn set(table: &SettingsTable, room: &str, expect: Expect, text: &str) -> Result<u64, SettingsError> {
        let change = metadata(text);
        table.change(&id(room), expect, (false, &change), |_| Ok(None), |_| Ok(())).map(|settings| settings.version)
    }

    #[test]
    fn of_a_thousand_racing_changes_none_is_lost_and_versions_only_rise() {
        let table = SettingsTable::default();
        let told = Mutex::new(Vec::new());
        set(&table, "r", Expect::Nothing, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..125 {
                        loop {
                            let now = table.find(&id("r")).unwrap();
                            let next = (now.metadata.parse::<u32>().unwrap() + 1).to_string();
                            let tell = |settings: &RoomSettings| {
                                told.lock().unwrap().push(settings.version);
                                Ok(())
                            };
                            let expect = Expect::Version(now.version);
                            let change = (false, &metadata(&next));
                            match table.change(&id("r"), expect, change, |_| Ok(None), tell) {
                                Ok(_) => break,
                                Err(SettingsError::Changed(_)) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(table.find(&id("r")).unwrap().metadata, "1000");
        let told = told.into_inner().unwrap();
        assert!(told.len() == 1000 && told.is_sorted_by(|one, next| one < next), "each told, in order");
    }

    #[test]
    fn a_room_that_is_made_again_never_has_a_version_it_had() {
        let table = SettingsTable::default();
        let first = set(&table, "r", Expect::Nothing, "a").unwrap();
        assert_eq!(set(&table, "r", Expect::Nothing, "b"), Err(SettingsError::Exists));
        assert_eq!(table.remove(&id("r"), Expect::Version(9)), Err(SettingsError::Changed(first)));
        assert_eq!(table.remove(&id("r"), Expect::Anything), Ok(true));
        assert_eq!(table.remove(&id("r"), Expect::Anything), Ok(false));
        assert_eq!(set(&table, "r", Expect::SetUp, "c"), Err(SettingsError::Changed(0)));
        assert!(set(&table, "r", Expect::Version(0), "c").unwrap() > first);
    }

    #[test]
    fn what_could_not_be_told_has_not_happened() {
        let table = SettingsTable::default();
        let change = metadata("a");
        let tell = |_: &RoomSettings| Err(HubError::Overloaded);
        let untold = table.change(&id("r"), Expect::Anything, (false, &change), |_| Ok(None), tell);
        assert_eq!(untold, Err(SettingsError::Hub(HubError::Overloaded)));
        assert_eq!(table.find(&id("r")), None);
    }

    #[test]
    fn settings_outlive_the_process_that_keeps_them() {
        let table = SettingsTable::default();
        set(&table, "r", Expect::Anything, "a").unwrap();
        let last = set(&table, "s", Expect::Anything, "b").unwrap();
        let json = serde_json::to_string(&table.record()).unwrap();
        let later = SettingsTable::default();
        later.restore(serde_json::from_str(&json).unwrap());
        assert_eq!(later.record(), table.record());
        assert!(set(&later, "r", Expect::Anything, "c").unwrap() > last);
    }

    #[test]
    fn the_table_is_bounded() {
        let table = SettingsTable::default();
        for n in 0..MAX_SET_UP {
            set(&table, &format!("r{n}"), Expect::Anything, "").unwrap();
        }
        assert_eq!(set(&table, "more", Expect::Anything, ""), Err(SettingsError::TooMany));
        assert!(set(&table, "r7", Expect::Anything, "x").is_ok(), "those that are there can be changed");
    }
}
