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
