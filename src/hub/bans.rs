//! Who is not let into which room any more.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use roundtable_protocol::limit::MAX_BANS;
use roundtable_protocol::moderation::{Ban, BanKey};
use roundtable_protocol::{ErrorCode, RoomId};
use serde::{Deserialize, Serialize};

use crate::shard::deed::Origin;

/// Bans of all rooms together; a further one is refused with `ban/too-many`.
pub const MAX_ALL_BANS: usize = 100_000;

/// All bans.
#[derive(Debug, Default)]
pub(super) struct Bans(Mutex<BTreeMap<RoomId, Vec<BanRecord>>>);

/// A ban with that by which its subject is recognised, to be kept somewhere and restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRecord {
    /// What moderators see.
    pub ban: Ban,
    /// Whom it concerns.
    pub subject: Subject,
}

/// Whom a ban concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// Whoever proves this identity.
    Identity(String),
    /// Whoever comes from this address.
    Address(IpAddr),
    /// Whoever uses this name, in whatever case.
    Name(String),
}

/// Why there is no such ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BanError {
    /// The room has as many as it may, or all rooms together.
    #[error("there are as many bans as may be: {MAX_BANS} of a room")]
    TooMany,
    /// It is not there, or not any more.
    #[error("there is no such ban; it may have ended")]
    Unknown,
}

impl BanError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::TooMany => ErrorCode::TooManyBans,
            Self::Unknown => ErrorCode::BanUnknown,
        }
    }
}

impl Subject {
    /// The strongest of what is known of somebody.
    pub(super) fn of(name: &str, origin: &Origin) -> Self {
        match origin {
            Origin { identity: Some(identity), .. } => Self::Identity(identity.clone()),
            Origin { address: Some(address), .. } => Self::Address(*address),
            Origin { identity: None, address: None } => Self::Name(name.to_lowercase()),
        }
    }

    fn is(&self, name: &str, origin: &Origin) -> bool {
        match self {
            Self::Identity(identity) => origin.identity.as_ref() == Some(identity),
            Self::Address(address) => origin.address == Some(*address),
            Self::Name(banned) => name.to_lowercase() == *banned,
        }
    }

    fn key(&self) -> BanKey {
        match self {
            Self::Identity(_) => BanKey::Identity,
            Self::Address(_) => BanKey::Address,
            Self::Name(_) => BanKey::Name,
        }
    }
}

impl Bans {
    /// Bans somebody from a room; one ban replaces an earlier one of the same person. `id` was drawn by the caller.
    pub(super) fn add(
        &self,
        unix_ms: u64,
        room: &RoomId,
        id: String,
        (name, origin): (&str, &Origin),
        until: Option<u64>,
    ) -> Result<Ban, BanError> {
        let mut table = self.lock();
        forget_over(&mut table, unix_ms);
        let all: usize = table.values().map(Vec::len).sum();
        let of_room = table.entry(room.clone()).or_default();
        let subject = Subject::of(name, origin);
        of_room.retain(|record| record.subject != subject);
        if of_room.len() >= MAX_BANS || all >= MAX_ALL_BANS {
            return Err(BanError::TooMany);
        }
        let ban = Ban { id, name: name.to_owned(), by: subject.key(), at: unix_ms, until };
        of_room.push(BanRecord { ban: ban.clone(), subject });
        Ok(ban)
    }

    /// The ban that keeps somebody out of a room now.
    pub(super) fn find(&self, unix_ms: u64, room: &RoomId, name: &str, origin: &Origin) -> Option<Ban> {
        let table = self.lock();
        let mut records = table.get(room)?.iter().filter(|record| !is_over(record, unix_ms));
        records.find(|record| record.subject.is(name, origin)).map(|record| record.ban.clone())
    }

    /// Lifts a ban.
    pub(super) fn lift(&self, unix_ms: u64, room: &RoomId, id: &str) -> Result<(), BanError> {
        let mut table = self.lock();
        forget_over(&mut table, unix_ms);
        let of_room = table.get_mut(room).ok_or(BanError::Unknown)?;
        let at = of_room.iter().position(|record| record.ban.id == id).ok_or(BanError::Unknown)?;
        of_room.remove(at);
        Ok(())
    }

    /// The bans of a room, oldest first.
    pub(super) fn list(&self, unix_ms: u64, room: &RoomId) -> Vec<Ban> {
        let table = self.lock();
        let records = table.get(room).into_iter().flatten().filter(|record| !is_over(record, unix_ms));
        records.map(|record| record.ban.clone()).collect()
    }

    /// Forgets all bans of a room.
    pub(super) fn remove(&self, room: &RoomId) {
        self.lock().remove(room);
    }

    /// Those of one room.
    pub(super) fn of(&self, room: &RoomId) -> Vec<BanRecord> {
        self.lock().get(room).cloned().unwrap_or_default()
    }

    /// Everything, to be kept.
    pub(super) fn record(&self) -> BTreeMap<RoomId, Vec<BanRecord>> {
        self.lock().clone()
    }

    /// Puts back what was kept, in the place of what is there.
    pub(super) fn restore(&self, record: BTreeMap<RoomId, Vec<BanRecord>>) {
        *self.lock() = record;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoomId, Vec<BanRecord>>> {
        // Every change is complete before anything that could panic runs.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over(record: &BanRecord, unix_ms: u64) -> bool {
    record.ban.until.is_some_and(|until| until <= unix_ms)
}

fn forget_over(table: &mut BTreeMap<RoomId, Vec<BanRecord>>, unix_ms: u64) {
    table.values_mut().for_each(|records| records.retain(|record| !is_over(record, unix_ms)));
    table.retain(|_, records| !records.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Origin = Origin { identity: None, address: None };

    fn room() -> RoomId {
        RoomId::new("r").unwrap()
    }

    fn from(address: [u8; 4]) -> Origin {
        Origin { identity: None, address: Some(address.into()) }
    }

    fn proven(identity: &str) -> Origin {
        Origin { identity: Some(identity.into()), address: Some([192, 0, 2, 1].into()) }
    }

    #[test]
    fn somebody_is_recognised_by_the_strongest_that_is_known() {
        let bans = Bans::default();
        bans.add(0, &room(), "a".into(), ("Ann", &proven("ann")), None).unwrap();
        bans.add(0, &room(), "b".into(), ("Bob", &from([192, 0, 2, 7])), None).unwrap();
        bans.add(0, &room(), "c".into(), ("Cid", &NOBODY), None).unwrap();
        let found = |name: &str, origin: &Origin| bans.find(1, &room(), name, origin).map(|ban| ban.id);
        assert_eq!(found("Other", &proven("ann")).as_deref(), Some("a"));
        assert_eq!(found("Ann", &proven("another")), None, "a name is not an identity");
        assert_eq!(found("Robert", &from([192, 0, 2, 7])).as_deref(), Some("b"));
        assert_eq!(found("Bob", &from([192, 0, 2, 8])), None);
        assert_eq!(found("CID", &NOBODY).as_deref(), Some("c"));
        assert_eq!(bans.find(1, &RoomId::new("s").unwrap(), "Cid", &NOBODY), None, "of this room");
        let keys: Vec<BanKey> = bans.list(1, &room()).iter().map(|ban| ban.by).collect();
        assert_eq!(keys, [BanKey::Identity, BanKey::Address, BanKey::Name]);
    }

    #[test]
    fn a_ban_ends_by_itself_or_is_lifted() {
        let bans = Bans::default();
        bans.add(1_000, &room(), "a".into(), ("Ann", &NOBODY), Some(2_000)).unwrap();
        assert!(bans.find(1_999, &room(), "Ann", &NOBODY).is_some());
        assert!(bans.find(2_000, &room(), "Ann", &NOBODY).is_none());
        assert_eq!(bans.lift(2_000, &room(), "a"), Err(BanError::Unknown));
        bans.add(2_000, &room(), "b".into(), ("Ann", &NOBODY), None).unwrap();
        bans.add(2_000, &room(), "c".into(), ("Ann", &NOBODY), None).unwrap();
        assert_eq!(bans.list(2_000, &room()).len(), 1, "one of each person");
        assert_eq!(bans.lift(3_000, &room(), "c"), Ok(()));
        assert!(bans.find(3_000, &room(), "Ann", &NOBODY).is_none());
    }

    #[test]
    fn bans_of_a_room_are_bounded_and_outlive_the_process() {
        let bans = Bans::default();
        for n in 0..MAX_BANS {
            bans.add(0, &room(), n.to_string(), (&n.to_string(), &NOBODY), Some(10)).unwrap();
        }
        assert_eq!(bans.add(0, &room(), "x".into(), ("x", &NOBODY), None), Err(BanError::TooMany));
        let json = serde_json::to_string(&bans.record()).unwrap();
        let later = Bans::default();
        later.restore(serde_json::from_str(&json).unwrap());
        assert_eq!(later.record(), bans.record());
        assert!(later.add(10, &room(), "x".into(), ("x", &NOBODY), None).is_ok(), "those before have ended");
    }
}
