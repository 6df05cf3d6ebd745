//! What the hub knows beyond the life of an open room, in the store: how rooms are set up, and who is banned from which.
//!
//! One record for each room and each of both. A change that the store does not take is in force all the same and counted by
//! the store; it is lost when the process ends.

use std::collections::BTreeMap;

use roundtable_protocol::RoomId;
use roundtable_protocol::settings::RoomSettings;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Hub;
use super::bans::BanRecord;
use super::moderation::Kept;
use super::settings::SettingsRecord;
use crate::store::{Store, StoreError, forget};

/// How a room is set up.
const SETTINGS: &str = "settings";
/// Who is banned from it.
const BANS: &str = "bans";

/// The record of a room's settings.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SettingsOf {
    /// The highest version that any room was given so far: none is given twice, whatever is deleted.
    last_version: u64,
    /// Its settings.
    settings: RoomSettings,
    /// The key that set it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Hub {
    /// Puts down how a room is set up now.
    pub(super) fn keep_settings(&self, room: &RoomId) {
        let Some(store) = &self.0.store else { return };
        match self.0.settings.find(room) {
            Some(settings) => {
                let last_version = self.0.settings.last_version();
                let key = self.0.settings.key_of(room);
                put(store, SETTINGS, room, &SettingsOf { last_version, settings, key });
            }
            None => drop(store.delete_record(SETTINGS, room.as_str(), forget())),
        }
    }

    /// Puts down who is banned from a room now.
    pub(super) fn keep_bans(&self, room: &RoomId) {
        let Some(store) = &self.0.store else { return };
        let bans = self.0.bans.of(room);
        if bans.is_empty() {
            let _ = store.delete_record(BANS, room.as_str(), forget());
        } else {
            put(store, BANS, room, &bans);
        }
    }

    /// Waits until what was put down so far is on the disk, so that whoever is answered then can rely on it. A disk that
    /// is slow delays nobody for ever.
    pub async fn until_kept(&self) {
        let Some(store) = &self.0.store else { return };
        let (sender, done) = oneshot::channel();
        let then = Box::new(move |_| {
            // Whoever asked may have gone.
            let _ = sender.send(());
        });
        if store.tell_when_done(then).is_ok() {
            let _ = tokio::time::timeout(self.0.config.reply_timeout, done).await;
        }
    }

    /// Reads what was put down.
    pub(super) fn restore_kept(&self, store: &Store) -> Result<(), StoreError> {
        let mut settings = SettingsRecord::default();
        for (room, kept) in read::<SettingsOf>(store, SETTINGS)? {
            settings.last_version = settings.last_version.max(kept.last_version);
            settings.keys.extend(kept.key.map(|key| (room.clone(), key)));
            settings.rooms.insert(room, kept.settings);
        }
        let bans: BTreeMap<RoomId, Vec<BanRecord>> = read(store, BANS)?;
        self.restore(Kept { settings, bans });
        Ok(())
    }
}

fn put(store: &Store, kind: &str, room: &RoomId, value: &impl Serialize) {
    // None of our types has a map with keys that are no strings, the one thing that fails.
    if let Ok(json) = serde_json::to_string(value) {
        let _ = store.put_record(kind, room.as_str(), json, None, forget());
    }
}

/// The records of a kind. What cannot be read is left out, and stays where it is.
fn read<T: DeserializeOwned>(store: &Store, kind: &str) -> Result<BTreeMap<RoomId, T>, StoreError> {
    let records = store.records(kind)?.into_iter().filter_map(|record| {
        let value = serde_json::from_str(&record.value);
        let value = value.inspect_err(|error| tracing::warn!(kind, room = record.key, %error, "a record is left out"));
        Some((RoomId::new(record.key).ok()?, value.ok()?))
    });
    Ok(records.collect())
}
