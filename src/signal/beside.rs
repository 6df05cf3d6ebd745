//! What a conversation has beside its place in a room: actions of a moderator under way, and calls.

use std::sync::Arc;

use roundtable_protocol::call::{Call, CallAnswer, CallEvent};
use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::moderation::{ModerationAction, ModerationOutcome};
use roundtable_protocol::{MemberId, RoomId};
use tokio::task::JoinSet;

use crate::hub::Hub;
use crate::hub::calls::{CallError, CallWish};
use crate::hub::moderation::ModerationError;
use crate::hub::ringing::Reach;

/// Actions of one moderator that may be under way; one more is refused with `moderation/rate`.
pub(super) const MAX_ACTIONS: usize = 8;

/// Who the client is in its room, and what it does besides being there.
#[derive(Debug)]
pub(super) struct Beside {
    hub: Hub,
    room: RoomId,
    member: MemberId,
    identity: String,
    actions: JoinSet<(u32, Result<ModerationOutcome, ModerationError>)>,
    reach: Option<Reach>,
}

/// Something that comes from beside the room.
#[derive(Debug)]
pub(super) enum News {
    /// An action is done, or refused.
    Moderated(u32, Result<ModerationOutcome, ModerationError>),
    /// Something became of a call.
    Call(Arc<CallEvent>),
}

impl Beside {
    pub(super) fn new(hub: Hub, room: RoomId, member: &MemberInfo) -> Self {
        let identity = hub.identity_of(member).to_owned();
        let reach = hub.reach(&identity);
        Self { hub, room, member: member.id.clone(), identity, actions: JoinSet::new(), reach }
    }

    /// Others see another name: where nobody has to prove anything, calls to that name are for this client.
    pub(super) fn handle_updated(&mut self, member: &MemberInfo) {
        let identity = self.hub.identity_of(member);
        if self.identity != identity {
            self.identity = identity.to_owned();
            self.reach = self.hub.reach(&self.identity);
        }
    }

    /// Begins an action; `false` if as many are under way as may.
    pub(super) fn moderate(&mut self, id: u32, action: ModerationAction) -> bool {
        if self.actions.len() >= MAX_ACTIONS {
            return false;
        }
        let (hub, room, member) = (self.hub.clone(), self.room.clone(), self.member.clone());
        self.actions.spawn(async move { (id, hub.moderate(&room, Some(&member), action).await) });
        true
    }

    pub(super) fn call(&self, to: String, timeout_s: u32) -> Result<Call, CallError> {
        let (from, room) = (Some(self.identity.clone()), self.room.clone());
        self.hub.call(CallWish { from, to, room, timeout_s })
    }

    pub(super) fn answer_call(&self, call: &str, answer: CallAnswer) -> Result<Call, CallError> {
        self.hub.answer_call(call, Some(&self.identity), answer)
    }

    /// Waits for news. Dropping the future loses nothing.
    pub(super) async fn news(&mut self) -> News {
        loop {
            let Self { actions, reach, .. } = self;
            tokio::select! {
                Some(done) = actions.join_next(), if !actions.is_empty() => match done {
                    Ok((id, outcome)) => return News::Moderated(id, outcome),
                    Err(error) => tracing::error!(%error, "an action of a moderator has failed"),
                },
                event = next_call(reach) => match event {
                    Some(event) => return News::Call(event),
                    // It listened too slowly; what still rings is told anew.
                    None => self.reach = self.hub.reach(&self.identity),
                },
            }
        }
    }
}

async fn next_call(reach: &mut Option<Reach>) -> Option<Arc<CallEvent>> {
    match reach {
        Some(reach) => reach.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::fake_shard::FakeShard;
    use crate::hub::{HubConfig, IceServers};

    #[tokio::test]
    async fn only_so_many_actions_are_under_way() {
        let shard = FakeShard::start();
        let ice: IceServers = Arc::new(|_| vec![]);
        let hub = Hub::new(HubConfig::default(), vec![shard.inbox.clone()], ice, None, None);
        let ann = MemberInfo::guest(MemberId::new("ann").unwrap(), "Ann".into());
        let mut beside = Beside::new(hub, RoomId::new("r").unwrap(), &ann);
        let mut begin = |id| beside.moderate(id, ModerationAction::ListBans {});
        // Nothing of it runs before the test waits for something.
        assert_eq!((0..20).filter(|id| begin(*id)).count(), MAX_ACTIONS);
        assert!(matches!(beside.news().await, News::Moderated(..)));
        assert!(beside.moderate(20, ModerationAction::ListBans {}), "one is done, and another may begin");
    }
}
