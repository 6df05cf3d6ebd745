//! What is to be known of members after a restart of the server: put down when it changes, and found again.

use roundtable_protocol::chat::ChatEntry;
use roundtable_protocol::event::{EventBody, MemberInfo, TrackInfo};
use roundtable_protocol::limit::MAX_SEATS;
use roundtable_protocol::{Grants, MemberId, TrackId};
use serde::{Deserialize, Serialize};

use super::audience::People;
use super::effect::Effect;
use super::member::Member;
use super::{FIRST_SEATS, Now, Room};

/// A member as it is put down, and as it is found again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// Their place in the order of joining.
    pub number: u64,
    /// As others see them.
    pub info: MemberInfo,
    /// What they may do.
    pub grants: Grants,
    /// Most seats they want.
    pub max_seats: u16,
    /// Tracks of others that they do not want.
    pub unwanted: Vec<TrackId>,
    /// What they publish.
    pub tracks: Vec<TrackInfo>,
}

impl Room {
    /// Has it told from now on of whom something is to be put down; see [`Room::poll_changed`].
    pub fn keep_records(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// A room as it was when the server ended, after event `seq`: everybody is there, and everything of them waits for
    /// them. `written` is what was written last in this life of it, which is that of `epoch`, in order.
    #[must_use]
    pub fn restore(
        now: Now,
        seed: u64,
        (epoch, seq): (u64, u64),
        mut records: Vec<MemberRecord>,
        written: Vec<ChatEntry>,
    ) -> Self {
        let mut room = Self { seq, ..Self::new(seed) };
        room.set_epoch(epoch);
        records.sort_by_key(|record| record.number);
        for record in records {
            let MemberRecord { number, info, grants, max_seats, unwanted, tracks } = record;
            let mut member = Member::new(now.instant, info, number, grants, max_seats.min(MAX_SEATS), FIRST_SEATS);
            unwanted.into_iter().for_each(|track| member.set_wanted(track, false));
            member.tracks = tracks.len();
            tracks.iter().for_each(|track| room.absence.suspend(track.id.clone()));
            room.tracks.extend(tracks);
            room.joins = room.joins.max(number);
            let place = if member.grants.hidden { &mut room.hidden } else { &mut room.order };
            place.insert(number, member.info.id.clone());
            room.members.insert(member.info.id.clone(), member);
        }
        for entry in written {
            if let Some(member) = room.members.get_mut(&entry.message.member) {
                match entry.edited_at {
                    None => member.written.note(&entry.message),
                    Some(_) => member.written.note_edited(&entry.message),
                }
            }
            room.chat.push_entry(entry);
        }
        let (members, viewers) =
            room.audience.restore(now.instant, People { order: &room.order, members: &room.members });
        let tracks = room.tracks.clone();
        room.emit(now, EventBody::Restarted { members, viewers, tracks });
        let unlisted = |member: &&Member| !member.grants.hidden && !room.audience.lists(member.number);
        let entered: Vec<MemberInfo> =
            room.members.values().filter(unlisted).map(|member| member.info.clone()).collect();
        room.effects.extend(entered.into_iter().map(|member| Effect::Enter { member }));
        room
    }

    /// Somebody of whom something is to be put down, or forgotten if they are not here any more.
    pub fn poll_changed(&mut self) -> Option<MemberId> {
        self.changed.as_mut()?.pop_first()
    }

    /// What is to be put down of a member.
    #[must_use]
    pub fn record(&self, id: &MemberId) -> Option<MemberRecord> {
        let member = self.members.get(id)?;
        Some(MemberRecord {
            number: member.number,
            info: member.info.clone(),
            grants: member.grants.clone(),
            max_seats: member.max_seats,
            unwanted: member.unwanted(),
            tracks: self.tracks.iter().filter(|track| track.member == *id).cloned().collect(),
        })
    }

    pub(super) fn note_changed(&mut self, id: &MemberId) {
        if let Some(changed) = &mut self.changed {
            changed.insert(id.clone());
        }
    }
}
