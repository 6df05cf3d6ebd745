//! Figures of shards and members, and what a member may receive and publish.

use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::stats::RoomStats;
use roundtable_protocol::{MemberId, RoomId};

use super::Hub;
use super::asking::HubError;
use crate::shard::inbox::Command;
use crate::shard::stats::ShardStats;

impl Hub {
    /// The figures of each shard, in the order of their numbers.
    ///
    /// # Errors
    /// [`HubError`] when one does not answer in time, or at all.
    pub async fn stats(&self) -> Result<Vec<ShardStats>, HubError> {
        let all = self.ask_all(Command::Stats).await?;
        let told = self.0.inboxes.iter().zip(all);
        Ok(told.map(|(inbox, stats)| ShardStats { busy_permille: inbox.load().permille(), ..stats }).collect())
    }

    /// The figures of a room's members; `None` if it is not open.
    ///
    /// # Errors
    /// As [`Hub::stats`].
    pub async fn room_stats(&self, room: &RoomId) -> Result<Option<RoomStats>, HubError> {
        if self.inbox_of(room).is_none() {
            return Ok(None);
        }
        // A large room has members on several shards, each of which knows of its own.
        let parts = self.ask_all(|reply| Command::RoomStats { room: room.clone(), reply }).await?;
        let merged = parts.into_iter().flatten().reduce(|mut all, part| {
            all.members.extend(part.members);
            all
        });
        Ok(merged.map(|mut all| {
            all.members.sort_by(|a, b| a.member.cmp(&b.member));
            all
        }))
    }

    /// Changes what a member may receive and publish: where `limits` says nothing, to what everybody may. Returns what
    /// is in force now; `None` if there is no such member.
    ///
    /// # Errors
    /// As [`Hub::stats`].
    pub async fn set_limits(
        &self,
        room: &RoomId,
        member: &MemberId,
        limits: MemberLimits,
    ) -> Result<Option<MemberLimits>, HubError> {
        let limits = limits.or(self.0.config.limits);
        let Some(inbox) = self.inbox_of(room) else { return Ok(None) };
        let (room, member) = (room.clone(), member.clone());
        let is_there = self.ask(inbox, |reply| Command::Limit { room, member, limits, reply }).await?;
        Ok(is_there.then_some(limits))
    }
}
