//! Rooms that the end of the process before this one interrupted.

use std::sync::Arc;

use roundtable_protocol::RoomState;
use roundtable_protocol::chat::ChatEntry;
use roundtable_protocol::limit::CHAT_MEMORY;

use crate::journal::ledger::Ledger;
use crate::journal::{Journal, Keeper, MAX_EVENTS};
use crate::room::record::MemberRecord;
use crate::store::{OpenRoom, Session, Store, StoreError, StoredChat, forget};

/// A room as the store has it.
pub(super) struct Found {
    /// Its journal, with its last events; who is in the room is not in its state.
    pub(super) journal: Arc<Journal>,
    /// Its members, with the SHA-256 of each one's secret.
    pub(super) members: Vec<(MemberRecord, [u8; 32])>,
    /// What was written last, in order.
    pub(super) written: Vec<ChatEntry>,
}

/// The rooms that were open. One without members is closed.
///
/// # Errors
/// The store's.
pub(super) fn find(store: &Store) -> Result<Vec<(OpenRoom, Vec<Session>)>, StoreError> {
    let mut found = Vec::new();
    for open in store.open_rooms()? {
        let sessions = store.sessions(&open.room)?;
        if sessions.is_empty() {
            // A store that takes nothing will be asked again at the next start.
            let _ = store.close_room(&open.room, open.epoch, forget());
        } else {
            found.push((open, sessions));
        }
    }
    Ok(found)
}

/// Reads a room.
///
/// # Errors
/// The store's.
pub(super) fn read(
    store: &Store,
    open: &OpenRoom,
    sessions: Vec<Session>,
    (keeper, ledger): (Keeper, Arc<Ledger>),
) -> Result<Found, StoreError> {
    let first = open.last_seq.saturating_sub(MAX_EVENTS as u64);
    let events = store.events_after(&open.room, open.epoch, first, MAX_EVENTS)?;
    let written = store.chat_before(&open.room, Some((open.epoch, u64::MAX)), CHAT_MEMORY)?;
    let of_this_life = |stored: &StoredChat| stored.epoch == open.epoch;
    let written = written.into_iter().filter(of_this_life).map(ChatEntry::from).collect();
    let mut state = RoomState::new(open.room.clone(), open.epoch);
    state.seq = open.last_seq;
    let members = sessions.into_iter().filter_map(|session| {
        let record: Result<MemberRecord, _> = serde_json::from_str(&session.json);
        let record = record.inspect_err(|error| {
            tracing::warn!(room = %session.room, member = %session.member, %error, "a member is not found again");
        });
        let mut record = record.ok()?;
        // An event may have been kept, and shown, before what it says was put down.
        events.iter().for_each(|event| record.info.follow(&event.body));
        Some((record, session.token_hash))
    });
    let members = members.collect();
    // The ring holds the last numbers without a gap, or none.
    let is_whole = events.last().is_none_or(|last| last.seq == open.last_seq);
    let journal = Journal::again(state, if is_whole { events } else { Vec::new() }, Some(keeper), Some(ledger));
    Ok(Found { journal, members, written })
}

#[cfg(test)]
mod tests {
    use roundtable_protocol::event::MemberInfo;
    use roundtable_protocol::{Event, EventBody, Grants, MemberId, RoomId};

    use super::*;
    use crate::store::{Append, StoreConfig};

    #[test]
    fn an_update_that_was_kept_counts_even_if_the_member_was_not_put_down_since() {
        let directory = std::env::temp_dir().join(format!("roundtable-restoring-{}", std::process::id()));
        let store = Store::open(StoreConfig::new(&directory)).unwrap();
        let room = RoomId::new("r").unwrap();
        let ann = MemberInfo::guest(MemberId::new("ann").unwrap(), "Ann".into());
        let later = MemberInfo { name: "Dr Ann".into(), version: 1, ..ann.clone() };
        store.open_room(&room, (7, None), 1_000, forget()).unwrap();
        let bodies = [EventBody::Joined { member: ann.clone() }, later.updated()];
        let events = (1..).zip(bodies).map(|(seq, body)| Arc::new(Event { seq, at: 1_000, body })).collect();
        store.append(Append { room: room.clone(), epoch: 7, events }, forget()).unwrap();
        let (grants, unwanted, tracks) = (Grants::ALL, Vec::new(), Vec::new());
        let record = MemberRecord { number: 1, info: ann.clone(), grants, max_seats: 8, unwanted, tracks };
        let json = serde_json::to_string(&record).unwrap();
        store.put_session(Session { token_hash: [1; 32], room, member: ann.id, json }, forget()).unwrap();
        store.flush().unwrap();

        let (open, sessions) = find(&store).unwrap().remove(0);
        let keeper = Keeper::new(store.clone(), Arc::new(|| {}));
        let found = read(&store, &open, sessions, (keeper, Arc::new(Ledger::new(1)))).unwrap();
        let infos: Vec<&MemberInfo> = found.members.iter().map(|(record, _)| &record.info).collect();
        assert_eq!(infos, [&later]);
        drop((found, store));
        let _ = std::fs::remove_dir_all(&directory);
    }
}
