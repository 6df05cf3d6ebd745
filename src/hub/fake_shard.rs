//! A shard without media, for tests: it keeps rooms and journals and answers what it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use roundtable_protocol::event::{ChatMessage, MemberInfo, RoomCloseReason};
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::settings::RoomSettings;
use roundtable_protocol::stats::{MemberStats, RoomStats};
use roundtable_protocol::{
    ErrorCode, Event, EventBody, Grants, LeaveReason, MemberId, MessageId, RoomId, ServerMessage,
};

use crate::journal::Journal;
use crate::room::showing::UpdateError;
use crate::shard::deed::{Audience, Deed, DeedRefused, Done, Origin, Person};
use crate::shard::inbox::{Command, Inbox, Join, JoinRefused, Joined, Outbox, Request, ResumeSecret, ToMember};
use crate::shard::stats::ShardStats;

/// The test's end of the shard.
pub(crate) struct FakeShard {
    pub(crate) inbox: Inbox,
    /// Refusals for the joins to come, in order.
    pub(crate) refusals: Arc<Mutex<VecDeque<JoinRefused>>>,
    rooms: Arc<Mutex<Rooms>>,
    left: Receiver<(String, LeaveReason)>,
}

type Rooms = BTreeMap<RoomId, Room>;

struct Room {
    journal: Arc<Journal>,
    members: BTreeMap<MemberId, (String, Outbox)>,
    limits: BTreeMap<MemberId, MemberLimits>,
    grants: BTreeMap<MemberId, (Grants, Origin)>,
}

impl FakeShard {
    pub(crate) fn start() -> Self {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let (inbox, commands) = Inbox::new(waker);
        let (rooms, refusals) = (Arc::<Mutex<Rooms>>::default(), Arc::<Mutex<VecDeque<_>>>::default());
        let (left_sender, left) = channel();
        let shard =
            Thread { rooms: Arc::clone(&rooms), refusals: Arc::clone(&refusals), left: left_sender, members: 0 };
        std::thread::spawn(move || {
            let _poll = poll;
            shard.run(&commands);
        });
        Self { inbox, refusals, rooms, left }
    }

    /// Who left next, by name, and why.
    pub(crate) async fn next_left(&self) -> (String, LeaveReason) {
        for _ in 0..500 {
            if let Ok(left) = self.left.try_recv() {
                return left;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("nobody left within 5 s");
    }

    pub(crate) fn members(&self, room: &str) -> usize {
        let rooms = self.rooms.lock().unwrap();
        rooms.get(&RoomId::new(room).unwrap()).map_or(0, |room| room.members.len())
    }

    pub(crate) fn journal(&self, room: &str) -> Arc<Journal> {
        Arc::clone(&self.rooms.lock().unwrap()[&RoomId::new(room).unwrap()].journal)
    }

    pub(crate) fn outbox(&self, room: &str, name: &str) -> Outbox {
        let rooms = self.rooms.lock().unwrap();
        let members = &rooms[&RoomId::new(room).unwrap()].members;
        members.values().find(|(n, _)| n == name).unwrap().1.clone()
    }

    /// Lets go of somebody without a word, as a shard does whose outbox for them is full.
    pub(crate) fn forget(&self, room: &str, name: &str) {
        let mut rooms = self.rooms.lock().unwrap();
        rooms.get_mut(&RoomId::new(room).unwrap()).unwrap().members.retain(|_, (n, _)| n != name);
    }
}

pub(crate) fn event(body: EventBody) -> Event {
    Event { seq: 0, at: 1_000, body }
}

/// As a room does: later settings only.
fn tell_settings(room: &Room, settings: RoomSettings) {
    let known = room.journal.shared_state().settings.as_ref().map_or(0, |settings| settings.version);
    if settings.version > known {
        room.journal.append(event(EventBody::RoomUpdated { settings: Box::new(settings) }));
    }
}

struct Thread {
    rooms: Arc<Mutex<Rooms>>,
    refusals: Arc<Mutex<VecDeque<JoinRefused>>>,
    left: Sender<(String, LeaveReason)>,
    members: u32,
}

impl Thread {
    fn run(mut self, commands: &Receiver<Command>) {
        for command in commands {
            match command {
                Command::Join(join) => self.join(*join),
                Command::Member { room, member, request, .. } => self.request(&room, &member, request),
                // It keeps nobody's place.
                Command::Resume(resume) => drop(resume.reply.send(None)),
                // It remembers no chat.
                Command::ChatPage { reply, .. } => drop(reply.send(None)),
                Command::Restore(_) | Command::Fault(_) => {}
                Command::CloseRoom { room, reason } => self.close(&room, reason),
                Command::Stats(reply) => drop(reply.send(self.stats())),
                Command::Limit { room, member, limits, reply } => drop(reply.send(self.limit(&room, &member, limits))),
                Command::RoomStats { room, reply } => drop(reply.send(self.room_stats(&room))),
                Command::Moderate { room, by, deed, reply } => {
                    drop(reply.send(self.moderate(&room, by.as_ref(), deed)));
                }
                Command::Announce { room, audience, message } => self.announce(&room, &audience, &message),
                Command::Settings { room, settings } => self.settings(&room, settings),
                Command::Stop => return self.stop(),
            }
        }
    }

    fn stats(&self) -> ShardStats {
        ShardStats { rooms: self.rooms.lock().unwrap().len(), ..ShardStats::default() }
    }

    fn limit(&self, room: &RoomId, member: &MemberId, limits: MemberLimits) -> bool {
        let mut rooms = self.rooms.lock().unwrap();
        let Some(room) = rooms.get_mut(room).filter(|room| room.members.contains_key(member)) else { return false };
        room.limits.insert(member.clone(), limits);
        true
    }

    fn room_stats(&self, id: &RoomId) -> Option<RoomStats> {
        let rooms = self.rooms.lock().unwrap();
        let room = rooms.get(id)?;
        let members = room.members.keys().map(|member| MemberStats {
            member: member.clone(),
            at: 1_000,
            limits: room.limits.get(member).copied().unwrap_or_default(),
            path: None,
            slots: Vec::new(),
            tracks: Vec::new(),
        });
        Some(RoomStats { room: id.clone(), members: members.collect() })
    }

    fn join(&mut self, join: Join) {
        if let Some(refused) = self.refusals.lock().unwrap().pop_front() {
            drop(join.reply.send(Err(refused)));
            return;
        }
        let mut rooms = self.rooms.lock().unwrap();
        if !rooms.contains_key(&join.room) && join.journal.is_closed() {
            drop(join.reply.send(Err(JoinRefused::JournalClosed)));
            return;
        }
        let journal = Arc::clone(&join.journal);
        let room = rooms.entry(join.room.clone()).or_insert_with(|| Room {
            journal,
            members: BTreeMap::new(),
            limits: BTreeMap::new(),
            grants: BTreeMap::new(),
        });
        if let Some(settings) = join.settings {
            tell_settings(room, settings);
        }
        if room.members.len() >= join.max_members {
            drop(join.reply.send(Err(JoinRefused::RoomFull(join.max_members))));
            return;
        }
        self.members += 1;
        let member = MemberInfo::guest(MemberId::new(format!("m{}", self.members)).unwrap(), join.newcomer.name);
        room.journal.append(event(EventBody::Joined { member: member.clone() }));
        let journal = Arc::clone(&room.journal);
        room.members.insert(member.id.clone(), (member.name.clone(), join.outbox));
        room.limits.insert(member.id.clone(), join.grants.limits);
        room.grants.insert(member.id.clone(), (join.grants, join.origin));
        let id = member.id.clone();
        drop(rooms);
        if join
            .reply
            .send(Ok(Joined {
                member,
                seats: 4,
                voice_slots: 0,
                session: 0,
                secret: ResumeSecret([0; 16]),
                media: false,
                journal,
                seq: 0,
            }))
            .is_err()
        {
            self.leave(&join.room, &id, LeaveReason::Disconnected);
        }
    }

    fn moderate(&self, id: &RoomId, by: Option<&MemberId>, deed: Deed) -> Result<Done, DeedRefused> {
        let mut rooms = self.rooms.lock().unwrap();
        let room = rooms.get_mut(id).ok_or(DeedRefused::NoRoom)?;
        if by.is_some_and(|by| !room.grants.get(by).is_some_and(|(grants, _)| grants.admin)) {
            return Err(DeedRefused::Forbidden);
        }
        match deed {
            Deed::Ask => Ok(Done::Plain),
            Deed::Find(member) => {
                let (name, _) = room.members.get(&member).ok_or(DeedRefused::NoMember)?;
                let (grants, origin) = room.grants.get(&member).cloned().ok_or(DeedRefused::NoMember)?;
                let info = MemberInfo::guest(member, name.clone());
                Ok(Done::Person(Box::new(Person { info, grants, origin, shard: None })))
            }
            Deed::Update(member, _, change) => {
                let (name, _) = room.members.get_mut(&member).ok_or(DeedRefused::NoMember)?;
                let info = MemberInfo::guest(member, name.clone()).with(&change).map_err(UpdateError::from)?;
                name.clone_from(&info.name);
                let info = MemberInfo { version: room.journal.last_seq(), ..info };
                room.journal.append(event(info.updated()));
                Ok(Done::Member(Box::new(info)))
            }
            Deed::Permit(member, change) => {
                let (grants, _) = room.grants.get_mut(&member).ok_or(DeedRefused::NoMember)?;
                *grants = change.over(grants);
                Ok(Done::Grants(grants.clone()))
            }
            Deed::Mute(track, _) => {
                room.journal.shared_state().track(&track).map(|_| Done::Count(1)).ok_or(DeedRefused::NoTrack)
            }
            Deed::MuteAll(..) => Ok(Done::Count(0)),
            Deed::PutOut(out) => {
                let (_, outbox) = room.members.get(&out.member).ok_or(DeedRefused::NoMember)?;
                let before = out.before.map(ToMember::Message);
                let close = ToMember::Close { code: out.code, message: out.message, reconnect_after_ms: None };
                for message in before.into_iter().chain([close]) {
                    let _ = outbox.try_send(message);
                }
                drop(rooms);
                self.leave(id, &out.member, out.reason);
                Ok(Done::Plain)
            }
            Deed::Close(_) => {
                drop(rooms);
                self.close(id, RoomCloseReason::Closed);
                Ok(Done::Plain)
            }
            Deed::Tell(Audience::One(member), _) if !room.members.contains_key(&member) => Err(DeedRefused::NoMember),
            Deed::Tell(audience, message) => {
                drop(rooms);
                self.announce(id, &audience, &message);
                Ok(Done::Plain)
            }
        }
    }

    fn announce(&self, room: &RoomId, audience: &Audience, message: &ServerMessage) {
        let rooms = self.rooms.lock().unwrap();
        let Some(room) = rooms.get(room) else { return };
        for (member, (_, outbox)) in &room.members {
            let is_meant = match audience {
                Audience::All => true,
                Audience::Moderators => room.grants.get(member).is_some_and(|(grants, _)| grants.admin),
                Audience::One(one) => one == member,
            };
            if is_meant {
                let _ = outbox.try_send(ToMember::Message(message.clone()));
            }
        }
    }

    fn settings(&self, room: &RoomId, settings: RoomSettings) {
        if let Some(room) = self.rooms.lock().unwrap().get(room) {
            tell_settings(room, settings);
        }
    }

    fn request(&mut self, room: &RoomId, member: &MemberId, request: Request) {
        match request {
            Request::Leave(reason) => self.leave(room, member, reason),
            Request::Away => self.leave(room, member, LeaveReason::Disconnected),
            Request::Chat { nonce, text } => self.chat(room, member, nonce, text),
            _ => {}
        }
    }

    fn chat(&self, room: &RoomId, member: &MemberId, nonce: u32, text: String) {
        let rooms = self.rooms.lock().unwrap();
        let room = &rooms[room];
        let (name, _) = &room.members[member];
        let id = MessageId::new("c1").unwrap();
        let mut message =
            ChatMessage { id, seq: 0, at: 1_000, member: member.clone(), name: name.clone(), text, nonce: Some(nonce) };
        message.seq = room.journal.append(event(EventBody::Chat { message: message.clone() }));
        for (id, (_, outbox)) in &room.members {
            let nonce = (id == member).then_some(nonce);
            let chat = ServerMessage::Chat { message: message.clone(), nonce };
            let _ = outbox.try_send(ToMember::Message(chat));
        }
    }

    fn leave(&self, room: &RoomId, member: &MemberId, reason: LeaveReason) {
        let mut rooms = self.rooms.lock().unwrap();
        let Some(entry) = rooms.get_mut(room) else { return };
        let Some((name, _)) = entry.members.remove(member) else { return };
        entry.journal.append(event(EventBody::Left { member: member.clone(), reason }));
        let empty = entry.members.is_empty();
        drop(rooms);
        drop(self.left.send((name, reason)));
        if empty {
            self.close(room, RoomCloseReason::Empty);
        }
    }

    fn close(&self, room: &RoomId, reason: RoomCloseReason) {
        let Some(room) = self.rooms.lock().unwrap().remove(room) else { return };
        room.journal.append(event(EventBody::RoomClosed { reason }));
        let code = match reason {
            RoomCloseReason::ServerStopping => ErrorCode::Stopping,
            _ => ErrorCode::RoomClosed,
        };
        for (_, outbox) in room.members.values() {
            let close = ToMember::Close { code, message: "over".into(), reconnect_after_ms: Some(2_000) };
            let _ = outbox.try_send(close);
        }
    }

    fn stop(&self) {
        let rooms: Vec<RoomId> = self.rooms.lock().unwrap().keys().cloned().collect();
        for room in rooms {
            self.close(&room, RoomCloseReason::ServerStopping);
        }
    }
}
