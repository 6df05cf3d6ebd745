//! One room: who is here, who publishes what, who hears whom. Pure: time is told, effects are polled.

pub mod absence;
pub mod audience;
pub mod chat;
pub mod document;
pub mod effect;
mod ids;
pub mod last_n;
pub mod lobby;
pub mod member;
pub mod moderation;
mod presence;
mod publishing;
pub mod record;
mod seating;
pub mod showing;
pub mod slot;
pub mod speaker;
mod speaking;
pub mod topic;
mod writing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use roundtable_protocol::event::{Event, EventBody, TrackInfo};
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::message::ViewChange;
use roundtable_protocol::settings::RoomSettings;
use roundtable_protocol::{MemberId, TrackId};

use absence::Absence;
use audience::Audience;
use chat::ChatLog;
pub use effect::Effect;
use ids::Ids;
use member::Member;
pub use publishing::{Allowance, PublishError, UnknownTrack, check_allowance};
use speaker::Speakers;

/// Seats a client begins with unless it wants fewer. Eight people then come and go without an offer.
pub const FIRST_SEATS: u16 = 8;

/// Two clocks at one moment: the one that never jumps and the one people read.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For intervals.
    pub instant: Instant,
    /// For people: milliseconds since 1970 UTC.
    pub unix_ms: u64,
}

/// Why a member was not allowed to publish data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this member may not publish data to {topic:?}")]
pub struct DataForbidden {
    /// Where it wanted to.
    pub topic: String,
}

/// A room and everything in it that is not a packet.
#[derive(Debug)]
pub struct Room {
    seq: u64,
    ids: Ids,
    /// How many have joined so far.
    joins: u64,
    /// Everybody by their number, which is the order of joining.
    order: BTreeMap<u64, MemberId>,
    /// Those who are not shown, by their number; they are in `members` and not in `order`.
    hidden: BTreeMap<u64, MemberId>,
    members: HashMap<MemberId, Member>,
    audience: Audience,
    tracks: Vec<TrackInfo>,
    speaking: Vec<MemberId>,
    /// How often somebody began to speak.
    spoken: u64,
    speakers: Speakers,
    chat: ChatLog,
    /// Whether what is written cannot be kept.
    chat_full: bool,
    /// Who is writing.
    typing: BTreeSet<MemberId>,
    absence: Absence,
    /// Of whom something changed that is to be put down; `None` if nothing is.
    changed: Option<BTreeSet<MemberId>>,
    effects: VecDeque<Effect>,
    /// What owners want of tracks that a moderator mutes.
    mutes_under_hold: HashMap<TrackId, bool>,
    settings: Option<RoomSettings>,
    /// Since when nobody is here; `None` before the first.
    empty_since: Option<Instant>,
    closed: bool,
}

impl Room {
    /// An empty room. `seed` makes its ids unguessable enough not to collide; they are no secrets.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seq: 0,
            ids: Ids::new(seed),
            joins: 0,
            order: BTreeMap::new(),
            hidden: BTreeMap::new(),
            members: HashMap::new(),
            audience: Audience::default(),
            tracks: Vec::new(),
            speaking: Vec::new(),
            spoken: 0,
            speakers: Speakers::default(),
            chat: ChatLog::default(),
            chat_full: false,
            typing: BTreeSet::new(),
            absence: Absence::default(),
            changed: None,
            effects: VecDeque::new(),
            mutes_under_hold: HashMap::new(),
            settings: None,
            empty_since: None,
            closed: false,
        }
    }

    /// Checks whether a member may publish data to a topic, for whatever carries data.
    ///
    /// # Errors
    /// [`DataForbidden`] if not.
    pub fn check_data(&self, id: &MemberId, topic: &str) -> Result<(), DataForbidden> {
        let may = self.members.get(id).is_some_and(|member| member.grants.may_publish_data(topic));
        if may { Ok(()) } else { Err(DataForbidden { topic: topic.to_owned() }) }
    }

    /// Changes what a member may receive and publish. Returns whether there is such a member.
    pub fn set_limits(&mut self, id: &MemberId, limits: MemberLimits) -> bool {
        let Some(member) = self.members.get_mut(id) else { return false };
        if std::mem::replace(&mut member.grants.limits, limits) != limits {
            self.effects.push_back(Effect::Limit { member: id.clone() });
            self.note_changed(id);
            self.refit_member(id);
        }
        true
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.audience.poll_timeout().is_some_and(|due| due <= now.instant) {
            self.tell_audience(now, None);
        }
        self.end_overdue_typing(now.instant);
        while let Some(member) = self.absence.take_overdue(now.instant) {
            self.effects.push_back(Effect::Expire { member });
        }
    }

    /// When to call [`Room::handle_timeout`] next, if ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.audience.poll_timeout(), self.absence.poll_timeout(), self.poll_typing()].into_iter().flatten().min()
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// People in the room.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether a member has lost its socket.
    #[must_use]
    pub fn is_away(&self, id: &MemberId) -> bool {
        self.absence.is_away(id)
    }

    /// A published track.
    #[must_use]
    pub fn track(&self, id: &TrackId) -> Option<&TrackInfo> {
        self.tracks.iter().find(|t| t.id == *id)
    }

    /// All published tracks, in the order in which they began.
    #[must_use]
    pub fn tracks(&self) -> &[TrackInfo] {
        &self.tracks
    }

    /// Whether a member may receive.
    #[must_use]
    pub fn may_subscribe(&self, id: &MemberId) -> bool {
        self.members.get(id).is_some_and(|m| m.grants.subscribe)
    }

    /// The generation and track of a member's slot.
    #[must_use]
    pub fn slot(&self, id: &MemberId, mid: &str) -> Option<(u32, Option<&TrackId>)> {
        self.members.get(id)?.seating.slot(mid)
    }

    /// What a member may receive and publish.
    #[must_use]
    pub fn limits(&self, id: &MemberId) -> MemberLimits {
        self.members.get(id).map_or(MemberLimits::NONE, |member| member.grants.limits)
    }

    /// How a member looks at a track, if it said so.
    #[must_use]
    pub fn view_of(&self, id: &MemberId, track: &TrackId) -> Option<&ViewChange> {
        self.members.get(id)?.view(track)
    }

    fn emit(&mut self, now: Now, body: EventBody) {
        self.seq += 1;
        self.effects.push_back(Effect::Event(Event { seq: self.seq, at: now.unix_ms, body }));
    }
}
