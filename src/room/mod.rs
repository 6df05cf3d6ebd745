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
pub mod record;
pub mod slot;
pub mod speaker;
pub mod topic;
mod writing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Instant;

use roundtable_protocol::chat::ChatEntry;
use roundtable_protocol::event::{Event, EventBody, LeaveReason, MemberInfo, RoomCloseReason, TrackInfo, TrackSource};
use roundtable_protocol::grant::{MemberLimits, Sources};
use roundtable_protocol::limit::{MAX_SEATS, MAX_TRACKS_PER_MEMBER};
use roundtable_protocol::message::{PublishRequest, SubscribeChange, ViewChange};
use roundtable_protocol::settings::RoomSettings;
use roundtable_protocol::{ErrorCode, Grants, MemberId, TrackId};

use roundtable_media::allocate::Class;

use absence::Absence;
use audience::{Audience, People};
use chat::ChatLog;
pub use effect::Effect;
use ids::Ids;
use last_n::Candidate;
use member::{Member, Newcomer};
use record::MemberRecord;
use slot::{Group, Seating};
use speaker::{Speakers, class_of};

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

/// Why a member was not allowed to publish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The member carries no grant for publishing.
    #[error("this member may not publish")]
    Forbidden,
    /// The member may publish, and nothing from this source.
    #[error("this member may not publish from {0:?}")]
    Source(TrackSource),
    /// The member publishes as much as it may.
    #[error("a member publishes at most {MAX_TRACKS_PER_MEMBER} tracks")]
    TooManyTracks,
}

impl PublishError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Forbidden | Self::Source(_) => ErrorCode::PublishForbidden,
            Self::TooManyTracks => ErrorCode::TooManyTracks,
        }
    }
}

/// What a member may publish besides what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many further tracks.
    pub tracks: usize,
    /// From which sources; from all of them if `None`.
    pub sources: Option<Sources>,
}

/// Why a member was not allowed to publish data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this member may not publish data to {topic:?}")]
pub struct DataForbidden {
    /// Where it wanted to.
    pub topic: String,
}

/// No such track, or not the member's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no track {0} of this member")]
pub struct UnknownTrack(pub TrackId);

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

    fn note_changed(&mut self, id: &MemberId) {
        if let Some(changed) = &mut self.changed {
            changed.insert(id.clone());
        }
    }

    /// Lets somebody in. The caller has checked name, grants and how many there are.
    pub fn join(&mut self, now: Now, newcomer: impl Into<Newcomer>, grants: Grants, max_seats: u16) -> MemberInfo {
        let Newcomer { name, identity, metadata } = newcomer.into();
        let info = MemberInfo { id: self.ids.member(), name, identity, metadata };
        self.empty_since = None;
        self.joins += 1;
        let number = self.joins;
        let hidden = grants.hidden;
        let member = Member::new(now.instant, info.clone(), number, grants, max_seats.min(MAX_SEATS), FIRST_SEATS);
        self.members.insert(info.id.clone(), member);
        if hidden {
            self.hidden.insert(number, info.id.clone());
            if self.seq == 0 {
                // Others find the room by its journal, which is to have begun.
                let body = EventBody::Audience { viewers: 0, listed: Vec::new(), counted: Vec::new() };
                self.emit(now, body);
            }
            return info;
        }
        self.order.insert(number, info.id.clone());
        self.note_changed(&info.id);
        if self.audience.handle_join(self.order.len()) {
            self.emit(now, EventBody::Joined { member: info.clone() });
        } else {
            self.effects.push_back(Effect::Enter { member: info.clone() });
            self.handle_audience_change(now);
        }
        info
    }

    /// Takes somebody out, with their tracks. Unknown members change nothing.
    pub fn leave(&mut self, now: Now, id: &MemberId, reason: LeaveReason) {
        let Some(member) = self.members.remove(id) else { return };
        if self.hidden.remove(&member.number).is_some() {
            return;
        }
        self.order.remove(&member.number);
        self.end_typing(id, false);
        self.absence.end(id);
        self.note_changed(id);
        let was_listed = self.audience.handle_leave(member.number, id);
        self.speaking.retain(|m| m != id);
        if member.tracks > 0 {
            let gone: Vec<TrackId> = self.tracks.iter().filter(|t| t.member == *id).map(|t| t.id.clone()).collect();
            gone.iter().for_each(|track| self.forget_track(track));
        }
        self.speakers.remove(id);
        if self.members.is_empty() {
            self.empty_since = Some(now.instant);
        }
        if was_listed {
            self.emit(now, EventBody::Left { member: id.clone(), reason });
        } else {
            self.effects.push_back(Effect::Exit { member: id.clone() });
        }
        if self.closed {
            return;
        }
        self.handle_audience_change(now);
        if member.tracks > 0 {
            self.refit();
        }
    }

    /// A member has lost its socket. Its place is kept until then, and everything of it goes on.
    pub fn handle_away(&mut self, id: &MemberId, until: Instant) {
        self.end_typing(id, true);
        if let Some(member) = self.members.get(id) {
            self.absence.begin(id, member.number, until);
        }
    }

    /// A member has come back over another socket. It is asked again for what it may not have heard of.
    pub fn handle_back(&mut self, id: &MemberId) -> Option<&Member> {
        self.absence.end(id);
        let member = self.members.get_mut(id)?;
        let have = u16::try_from(member.seating.len()).unwrap_or(u16::MAX);
        if have > 0 && member.asked_seats > have {
            self.effects.push_back(Effect::Grow { member: id.clone(), seats: member.asked_seats });
        }
        self.members.get(id)
    }

    /// A member has lost its peer connection: it has no slots, and its tracks carry nothing until it has another one.
    pub fn handle_media_lost(&mut self, now: Now, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.seating = Seating::default();
        member.asked_seats = FIRST_SEATS.min(member.max_seats);
        for track in self.own_tracks(id) {
            self.idle_everywhere(&track);
            self.effects.push_back(Effect::Drop { track: track.clone() });
            self.absence.suspend(track);
        }
        self.set_speaking(now, id, false);
        self.refit();
    }

    /// Ends the tracks of a member that it did not go on with when it had a peer connection again.
    pub fn end_suspended(&mut self, now: Now, id: &MemberId) {
        for track in
            self.own_tracks(id).into_iter().filter(|track| self.absence.is_suspended(track)).collect::<Vec<_>>()
        {
            // Its own track by construction.
            let _ = self.unpublish(now, id, &track);
        }
    }

    /// Ends the room: everybody is out. A second call changes nothing.
    pub fn close(&mut self, now: Now, reason: RoomCloseReason) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let leave = match reason {
            RoomCloseReason::ServerStopping => LeaveReason::ServerStopping,
            _ => LeaveReason::RoomClosed,
        };
        let (order, hidden) = (std::mem::take(&mut self.order), std::mem::take(&mut self.hidden));
        for id in order.into_values() {
            self.leave(now, &id, leave);
        }
        hidden.into_values().for_each(|id| drop(self.members.remove(&id)));
        self.emit(now, EventBody::RoomClosed { reason });
    }

    /// Adds receiving slots of a member, pair by pair. Audio alone is a voice slot, which the plane fills: it is no seat.
    pub fn add_seats(&mut self, id: &MemberId, seats: impl IntoIterator<Item = (Option<String>, Option<String>)>) {
        if let Some(member) = self.members.get_mut(id) {
            let seats = seats.into_iter().filter_map(|(audio, video)| Some((audio, video?)));
            seats.for_each(|(audio, video)| member.seating.add(audio, video));
        }
        self.refit_member(id);
    }

    /// What a member may publish besides what it does.
    ///
    /// # Errors
    /// [`PublishError::Forbidden`] if it may not publish at all.
    pub fn publish_allowance(&self, id: &MemberId) -> Result<Allowance, PublishError> {
        let member = self.members.get(id).filter(|m| m.grants.publish && !m.grants.hidden);
        let member = member.ok_or(PublishError::Forbidden)?;
        let carrying = |track: &&TrackInfo| track.member == *id && !self.absence.is_suspended(&track.id);
        let tracks = MAX_TRACKS_PER_MEMBER.saturating_sub(self.tracks.iter().filter(carrying).count());
        Ok(Allowance { tracks, sources: member.grants.sources })
    }

    /// Checks whether a member may publish further tracks from these sources.
    ///
    /// # Errors
    /// [`PublishError`] says why not.
    pub fn check_publish(&self, id: &MemberId, more: &[TrackSource]) -> Result<(), PublishError> {
        check_allowance(&self.publish_allowance(id), more)
    }

    /// Checks whether a member may publish data to a topic, for whatever carries data.
    ///
    /// # Errors
    /// [`DataForbidden`] if not.
    pub fn check_data(&self, id: &MemberId, topic: &str) -> Result<(), DataForbidden> {
        let may = self.members.get(id).is_some_and(|member| member.grants.may_publish_data(topic));
        if may { Ok(()) } else { Err(DataForbidden { topic: topic.to_owned() }) }
    }

    /// Makes an id for each track that is about to be published, so that the plane knows it before anybody hears of it. A
    /// track that goes on after its peer connection was lost keeps its own.
    pub fn reserve_tracks(&mut self, id: &MemberId, requests: &[PublishRequest]) -> Vec<TrackId> {
        let mut reserved: Vec<TrackId> = Vec::with_capacity(requests.len());
        for request in requests {
            let is_it = |info: &&TrackInfo| {
                Some(&info.id) == request.track.as_ref() && info.member == *id && info.source == request.source
            };
            let waiting = self.tracks.iter().find(is_it).map(|info| info.id.clone());
            let waiting = waiting.filter(|track| self.absence.is_suspended(track) && !reserved.contains(track));
            reserved.push(waiting.unwrap_or_else(|| self.ids.track()));
        }
        reserved
    }

    /// Publishes a track; the caller has asked [`Room::check_publish`] and [`Room::reserve_tracks`].
    pub fn publish(&mut self, now: Now, mut track: TrackInfo) {
        if self.is_held(&track.member, track.source) {
            let own = std::mem::replace(&mut track.muted, true);
            self.mutes_under_hold.insert(track.id.clone(), own);
        }
        let muted = track.muted;
        let id = track.id.clone();
        if self.absence.release(&id) {
            return self.go_on(now, track);
        }
        self.tracks.push(track.clone());
        self.note_changed(&track.member);
        self.note_publisher(now, &track.member);
        self.rank(&track);
        self.emit(now, EventBody::Published { track });
        if muted {
            self.effects.push_back(Effect::Pause { track: id, paused: true });
        }
        self.refit();
    }

    /// Ends an own publication.
    ///
    /// # Errors
    /// [`UnknownTrack`] if it is not the member's.
    pub fn unpublish(&mut self, now: Now, id: &MemberId, track: &TrackId) -> Result<(), UnknownTrack> {
        let voice = self.own_track(id, track)?.source == TrackSource::Microphone;
        self.forget_track(track);
        self.note_changed(id);
        self.emit(now, EventBody::Unpublished { track: track.clone(), member: id.clone() });
        if voice {
            self.set_speaking(now, id, false);
        }
        self.note_act(now, id);
        self.refit();
        Ok(())
    }

    /// Mutes a track that breaks a rule for its owner, who is told why by `code`. Returns the owner; `None` if there was nothing to mute.
    pub fn mute_for(&mut self, now: Now, track: &TrackId, code: ErrorCode) -> Option<MemberId> {
        let owner = self.track(track).filter(|info| !info.muted)?.member.clone();
        // Its own track by construction.
        self.set_muted(now, &owner, track, true, Some(code)).ok()?;
        Some(owner)
    }

    /// Changes what a member wants to receive. Wishes about tracks that are not there are ignored:
    /// the track may have gone while the wish travelled.
    pub fn subscribe(&mut self, id: &MemberId, changes: Vec<SubscribeChange>) {
        let Some(member) = self.members.get_mut(id) else { return };
        for change in changes {
            let Some(track) = self.tracks.iter().find(|t| t.id == change.track) else { continue };
            if track.source == TrackSource::Microphone {
                let SubscribeChange { track, wanted: audible } = change.clone();
                self.effects.push_back(Effect::Audible { member: id.clone(), track, audible });
            }
            member.set_wanted(change.track, change.wanted);
        }
        self.note_changed(id);
        self.refit_member(id);
    }

    /// Notes how a member looks at tracks. As with [`Room::subscribe`], tracks that are not there are ignored.
    pub fn view(&mut self, id: &MemberId, changes: Vec<ViewChange>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let mut changed = false;
        for view in changes {
            let track = view.track.clone();
            if !self.tracks.iter().any(|t| t.id == track) || !member.set_view(view) {
                continue;
            }
            changed = true;
            if let Some(mid) = member.seating.find(&track) {
                self.effects.push_back(Effect::Look { member: id.clone(), mid: mid.to_owned(), track });
            }
        }
        if changed && member.grants.limits.last_n.is_some() {
            self.refit_member(id);
        }
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

    /// Records that a microphone became loud or quiet.
    pub fn handle_speaking(&mut self, now: Now, track: &TrackId, speaking: bool) {
        let voice = self.tracks.iter().find(|t| t.id == *track && t.source == TrackSource::Microphone && !t.muted);
        if let Some(member) = voice.map(|t| t.member.clone()) {
            self.set_speaking(now, &member, speaking);
        }
    }

    /// Records that another microphone leads the conversation, or none.
    pub fn handle_dominant(&mut self, now: Now, track: Option<&TrackId>) {
        let voice =
            self.tracks.iter().find(|t| Some(&t.id) == track && t.source == TrackSource::Microphone && !t.muted);
        let member = voice.map(|t| t.member.clone());
        if self.speakers.dominant() == member.as_ref() {
            return;
        }
        let changed = self.speakers.set_dominant(member.as_ref());
        self.emit(now, EventBody::DominantSpeaker { member });
        let of = |track: &&TrackInfo| changed.iter().any(|standing| standing.member == track.member);
        for track in self.tracks.iter().filter(of).cloned().collect::<Vec<_>>() {
            self.rank(&track);
        }
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

    /// What a track counts as, and when its owner spoke: the later the higher.
    #[must_use]
    pub fn rank_of(&self, track: &TrackInfo) -> (Class, u64) {
        let standing = self.speakers.standing(track.member.clone());
        (class_of(track.source, standing.class), standing.spoke)
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

    /// Somebody publishes a track (more): they are listed before anybody hears of it.
    fn note_publisher(&mut self, now: Now, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.tracks += 1;
        if !self.audience.handle_publish(member.number, id) {
            self.tell_audience(now, Some(id));
        }
    }

    /// Somebody did something: unless they publish, they are among those who did so lately.
    fn note_act(&mut self, now: Now, id: &MemberId) {
        if self.members.get(id).is_some_and(|member| member.tracks == 0) {
            self.audience.handle_act(id);
            self.handle_audience_change(now);
        }
    }

    fn handle_audience_change(&mut self, now: Now) {
        if self.audience.handle_change(now.instant, self.order.len()) {
            self.tell_audience(now, None);
        }
    }

    fn tell_audience(&mut self, now: Now, publisher: Option<&MemberId>) {
        let people = People { order: &self.order, members: &self.members };
        if let Some(body) = self.audience.tell(now.instant, people, publisher) {
            self.emit(now, body);
        }
    }

    fn own_track(&mut self, id: &MemberId, track: &TrackId) -> Result<&mut TrackInfo, UnknownTrack> {
        self.tracks.iter_mut().find(|t| t.id == *track && t.member == *id).ok_or_else(|| UnknownTrack(track.clone()))
    }

    fn set_muted(
        &mut self,
        now: Now,
        id: &MemberId,
        track: &TrackId,
        muted: bool,
        code: Option<ErrorCode>,
    ) -> Result<(), UnknownTrack> {
        let info = self.own_track(id, track)?;
        if info.muted == muted {
            return Ok(());
        }
        info.muted = muted;
        let voice = info.source == TrackSource::Microphone;
        self.note_changed(id);
        self.effects.push_back(Effect::Pause { track: track.clone(), paused: muted });
        self.emit(now, EventBody::Muted { track: track.clone(), member: id.clone(), muted, code });
        if muted && voice {
            self.set_speaking(now, id, false);
        }
        // A muted picture takes nobody's place.
        self.refit_chosen();
        Ok(())
    }

    /// Says what a track counts as.
    fn rank(&mut self, track: &TrackInfo) {
        let (class, spoke) = self.rank_of(track);
        self.effects.push_back(Effect::Rank { track: track.id.clone(), class, spoke });
    }

    /// A track that waited for its owner carries something again. Whoever knows it is told of what is different.
    fn go_on(&mut self, now: Now, track: TrackInfo) {
        let Some(known) = self.tracks.iter_mut().find(|known| known.id == track.id) else { return };
        let before = std::mem::replace(known, track.clone());
        self.note_changed(&track.member);
        self.rank(&track);
        if (TrackInfo { muted: track.muted, ..before.clone() }) != track {
            self.emit(now, EventBody::Published { track: track.clone() });
        } else if before.muted != track.muted {
            let TrackInfo { id, member, muted, .. } = track.clone();
            self.emit(now, EventBody::Muted { track: id, member, muted, code: None });
        }
        if track.muted {
            self.effects.push_back(Effect::Pause { track: track.id, paused: true });
        }
        self.refit();
    }

    fn own_tracks(&self, id: &MemberId) -> Vec<TrackId> {
        self.tracks.iter().filter(|track| track.member == *id).map(|track| track.id.clone()).collect()
    }

    fn idle_everywhere(&mut self, track: &TrackId) {
        for id in self.order.values() {
            let idled = self.members.get_mut(id).and_then(|member| member.seating.idle(track));
            self.effects.extend(idled.map(|assignment| Effect::Assign { member: id.clone(), assignment }));
        }
    }

    fn forget_track(&mut self, track: &TrackId) {
        self.absence.release(track);
        self.mutes_under_hold.remove(track);
        if let Some(at) = self.tracks.iter().position(|t| t.id == *track) {
            let TrackInfo { member, .. } = self.tracks.remove(at);
            // Who leaves is no member any more.
            if let Some(owner) = self.members.get_mut(&member) {
                owner.tracks -= 1;
            }
        }
        for id in self.order.values().chain(self.hidden.values()) {
            let Some(member) = self.members.get_mut(id) else { continue };
            member.forget(track);
            let idled = member.seating.idle(track);
            self.effects.extend(idled.map(|assignment| Effect::Assign { member: id.clone(), assignment }));
        }
        self.effects.push_back(Effect::Drop { track: track.clone() });
    }

    fn set_speaking(&mut self, now: Now, id: &MemberId, speaking: bool) {
        if self.speaking.contains(id) == speaking {
            return;
        }
        self.speaking.retain(|m| m != id);
        if speaking {
            self.speaking.push(id.clone());
        }
        self.emit(now, EventBody::Speaking { member: id.clone(), speaking });
        if speaking && let Some(member) = self.members.get_mut(id) {
            self.spoken += 1;
            member.spoke = self.spoken;
            self.refit_chosen();
        }
    }

    /// Fits the slots of those who do not get everybody's picture.
    fn refit_chosen(&mut self) {
        let chosen = |id: &&MemberId| self.members.get(*id).is_some_and(|m| m.grants.limits.last_n.is_some());
        for id in self.order.values().chain(self.hidden.values()).filter(chosen).cloned().collect::<Vec<_>>() {
            self.refit_member(&id);
        }
    }

    /// Fits everybody's slots to what is published now.
    fn refit(&mut self) {
        for id in self.order.values().chain(self.hidden.values()).cloned().collect::<Vec<_>>() {
            self.refit_member(&id);
        }
    }

    /// Takes the pictures away that are too many for a member, and those that are muted. The sound stays.
    fn leave_last_n(&self, groups: &mut Vec<Group>, member: &Member, n: usize) {
        let muted: HashSet<&TrackId> = self.tracks.iter().filter(|t| t.muted).map(|t| &t.id).collect();
        let candidates: Vec<Candidate<'_>> = groups
            .iter()
            .filter_map(|group| {
                let track = group.video.as_ref().filter(|track| !muted.contains(track))?;
                let view = member.view(track);
                Some(Candidate {
                    track,
                    held: group.screen || view.is_some_and(|view| view.pinned),
                    visible: view.is_none_or(|view| view.visible),
                    spoke: self.members.get(&group.member).map_or(0, |owner| owner.spoke),
                })
            })
            .collect();
        let chosen = last_n::choose(&candidates, n);
        for group in groups.iter_mut() {
            group.video = group.video.take().filter(|track| chosen.contains(track));
        }
        groups.retain(|group| group.audio.is_some() || group.video.is_some());
        // Who is seen finds a seat before those who are only heard.
        groups.sort_by_key(|group| group.video.is_none());
    }

    fn refit_member(&mut self, id: &MemberId) {
        let Some(member) = self.members.get(id) else { return };
        let carrying = self.tracks.iter().filter(|track| !self.absence.is_suspended(&track.id));
        let mut groups = groups(carrying, member);
        if let Some(n) = member.grants.limits.last_n {
            self.leave_last_n(&mut groups, member, usize::from(n));
        }
        let Some(member) = self.members.get_mut(id) else { return };
        let (changes, needed) = member.seating.fit(&groups);
        for assignment in changes {
            self.effects.push_back(Effect::Assign { member: id.clone(), assignment });
        }
        let wish = u16::try_from(needed.next_power_of_two()).unwrap_or(MAX_SEATS).min(member.max_seats);
        let have = u16::try_from(member.seating.len()).unwrap_or(u16::MAX);
        if needed > usize::from(have) && wish > have.max(member.asked_seats) {
            member.asked_seats = wish;
            self.effects.push_back(Effect::Grow { member: id.clone(), seats: wish });
        }
    }
}

/// Checks whether further tracks from these sources are within what a member may publish.
///
/// # Errors
/// [`PublishError`] says why not.
pub fn check_allowance(allowance: &Result<Allowance, PublishError>, more: &[TrackSource]) -> Result<(), PublishError> {
    if more.is_empty() {
        return Ok(());
    }
    let Allowance { tracks, sources } = allowance.clone()?;
    let refused = more.iter().find(|source| sources.is_some_and(|sources| !sources.contains(**source)));
    match refused {
        Some(source) => Err(PublishError::Source(*source)),
        None if more.len() > tracks => Err(PublishError::TooManyTracks),
        None => Ok(()),
    }
}

/// What `member` wants to receive, person by person in the order of publishing.
fn groups<'a>(tracks: impl Iterator<Item = &'a TrackInfo>, member: &Member) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for track in tracks.filter(|t| t.member != member.info.id && member.wants(&t.id)) {
        let screen = Group::is_screen(track.source);
        let at = groups.iter().position(|g| g.member == track.member && g.screen == screen);
        let mut group = at.map_or_else(
            || Group { member: track.member.clone(), screen, audio: None, video: None },
            |at| groups.remove(at),
        );
        let half = match track.source {
            TrackSource::Microphone | TrackSource::ScreenAudio => &mut group.audio,
            TrackSource::Camera | TrackSource::Screen => &mut group.video,
        };
        // A second camera of one person has no place on the seat: the first stands.
        half.get_or_insert_with(|| track.id.clone());
        groups.insert(at.unwrap_or(groups.len()), group);
    }
    groups
}
