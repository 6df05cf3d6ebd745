//! What others see of those who are in a room, and changes of it by the server's operator.

use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::member::MemberChange;
use roundtable_protocol::{MemberId, RoomId};

use super::moderation::ModerationError;
use super::{Hub, HubError};
use crate::shard::deed::{Deed, Done};

impl Hub {
    /// Changes what others see of a member, if that is of the version `expect`. Whoever looks afterwards sees it.
    ///
    /// # Errors
    /// [`ModerationError`]; nothing was changed then.
    pub async fn update_member(
        &self,
        room: &RoomId,
        member: &MemberId,
        expect: Option<u64>,
        change: MemberChange,
    ) -> Result<MemberInfo, ModerationError> {
        let deed = Deed::Update(member.clone(), expect, Box::new(change));
        let Done::Member(info) = self.deed(room, None, deed).await? else { return Err(HubError::Failed.into()) };
        if let Some(journal) = self.room(room) {
            // A disk that is slow delays the answer, but not for ever.
            let shown = journal.shown(journal.last_numbered());
            let _ = tokio::time::timeout(self.0.config.reply_timeout, shown).await;
        }
        Ok(*info)
    }
}
