//! What others see of a member besides what it publishes: its name, metadata and attributes, and changes of them.
//!
//! Each change that changes something raises the member's version, so that of two writers who have seen the same none
//! loses what the other one wrote.

use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::limit::{MEMBER_UPDATES_BURST, MEMBER_UPDATES_PER_SECOND};
use roundtable_protocol::member::{BadMember, MemberChange};
use roundtable_protocol::{ErrorCode, MemberId};

use super::{Effect, Now, Room};

/// Why what others see of a member was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// There is no such member.
    #[error("there is no such member in this room now")]
    NoMember,
    /// It lacks the grant.
    #[error("you may not change what others see of you")]
    Forbidden,
    /// It did so too often.
    #[error(
        "more than {MEMBER_UPDATES_PER_SECOND} of these a second, burst {MEMBER_UPDATES_BURST}; this one was dropped"
    )]
    Rate,
    /// Somebody else changed it meanwhile.
    #[error("what others see of the member is of version {0} now")]
    Changed(u64),
    /// It is nothing that can be shown.
    #[error(transparent)]
    Bad(#[from] BadMember),
}

impl UpdateError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NoMember => ErrorCode::MemberUnknown,
            Self::Forbidden => ErrorCode::MemberForbidden,
            Self::Rate => ErrorCode::MemberRate,
            Self::Changed(_) => ErrorCode::MemberChanged,
            Self::Bad(bad) => bad.code(),
        }
    }
}

impl Room {
    /// A member changes what others see of it, if that is of the version `expect`; `number` is its own for the request. It
    /// is told the outcome.
    ///
    /// # Errors
    /// [`UpdateError`]; nothing has changed then.
    pub fn update_own(
        &mut self,
        now: Now,
        id: &MemberId,
        number: Option<u32>,
        expect: Option<u64>,
        change: &MemberChange,
    ) -> Result<(), UpdateError> {
        let member = self.members.get_mut(id).ok_or(UpdateError::NoMember)?;
        if !member.grants.update_own_metadata {
            return Err(UpdateError::Forbidden);
        }
        if !member.update_rate.take(now.instant) {
            return Err(UpdateError::Rate);
        }
        let (member, _) = self.show(now, id, expect, change)?;
        self.effects.push_back(Effect::Updated { id: number, member });
        Ok(())
    }

    /// Changes what others see of a member, if that is of the version `expect`; the member is told of it.
    ///
    /// # Errors
    /// [`UpdateError`]; nothing has changed then.
    pub fn update(
        &mut self,
        now: Now,
        id: &MemberId,
        expect: Option<u64>,
        change: &MemberChange,
    ) -> Result<MemberInfo, UpdateError> {
        let (info, has_changed) = self.show(now, id, expect, change)?;
        if has_changed {
            self.effects.push_back(Effect::Updated { id: None, member: info.clone() });
        }
        Ok(info)
    }

    /// What is seen from now on, and whether that is something new.
    fn show(
        &mut self,
        now: Now,
        id: &MemberId,
        expect: Option<u64>,
        change: &MemberChange,
    ) -> Result<(MemberInfo, bool), UpdateError> {
        let member = self.members.get_mut(id).ok_or(UpdateError::NoMember)?;
        let version = member.info.version;
        if expect.is_some_and(|expected| expected != version) {
            return Err(UpdateError::Changed(version));
        }
        let info = member.info.with(change)?;
        if info == member.info {
            return Ok((info, false));
        }
        let info = MemberInfo { version: version + 1, ..info };
        member.info = info.clone();
        let (number, is_hidden) = (member.number, member.grants.hidden);
        self.note_changed(id);
        if !is_hidden && self.audience.lists(number) {
            self.emit(now, info.updated());
        } else if !is_hidden {
            self.effects.push_back(Effect::Update { member: info.clone() });
        }
        Ok((info, true))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use roundtable_protocol::event::EventBody;
    use roundtable_protocol::{Grants, Role};

    use super::*;

    fn now() -> Now {
        Now { instant: Instant::now(), unix_ms: 1_000 } // An origin; no test waits for real time.
    }

    fn join(room: &mut Room, grants: Grants) -> MemberId {
        room.join(now(), "Ann", grants, 8).id
    }

    fn change(json: &str) -> MemberChange {
        serde_json::from_str(json).unwrap()
    }

    fn drain(room: &mut Room) -> Vec<Effect> {
        std::iter::from_fn(|| room.poll_effect()).collect()
    }

    #[test]
    fn who_may_changes_what_others_see_and_everybody_is_told_once() {
        let mut room = Room::new(1);
        room.keep_records();
        let ann = join(&mut room, Grants::of(Role::Host));
        room.chat(now(), &ann, 1, "before".into()).unwrap();
        room.poll_changed();
        drain(&mut room);
        let wish = change(r#"{"name":"Dr Ann","attributes":{"hand":"up"}}"#);
        room.update_own(now(), &ann, Some(7), None, &wish).unwrap();
        let info = room.person(&ann).unwrap().1.clone();
        assert_eq!((&*info.name, info.version), ("Dr Ann", 1));
        match &drain(&mut room)[..] {
            [Effect::Event(event), Effect::Updated { id: Some(7), member }] => {
                assert_eq!((&event.body, member), (&info.updated(), &info));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(room.poll_changed(), Some(ann.clone()), "it is put down");
        assert_eq!(room.record(&ann).unwrap().info, info);
        room.update_own(now(), &ann, None, Some(1), &wish).unwrap();
        assert!(matches!(&drain(&mut room)[..], [Effect::Updated { id: None, .. }]), "what is so already is no event");
        assert_eq!(room.poll_changed(), None);
        room.chat(now(), &ann, 2, "after".into()).unwrap();
        let names: Vec<String> =
            room.chat_history(u64::MAX, 1_000).concat().into_iter().map(|e| e.message.name).collect();
        assert_eq!(names, ["Ann", "Dr Ann"], "what was written keeps the name of then");
    }

    #[test]
    fn what_is_refused_changes_nothing_and_has_its_word() {
        let mut room = Room::new(1);
        let host = join(&mut room, Grants::of(Role::Host));
        let ann = join(&mut room, Grants::ALL);
        drain(&mut room);
        let wish = change(r#"{"name":"Dr Ann"}"#);
        let refused = |outcome: Result<(), UpdateError>| outcome.unwrap_err().code();
        assert_eq!(refused(room.update_own(now(), &ann, None, None, &wish)), ErrorCode::MemberForbidden);
        assert_eq!(refused(room.update_own(now(), &host, None, Some(1), &wish)), ErrorCode::MemberChanged);
        let nameless = change(r#"{"name":" "}"#);
        assert_eq!(refused(room.update_own(now(), &host, None, None, &nameless)), ErrorCode::BadName);
        let nobody = MemberId::new("nobody").unwrap();
        assert_eq!(refused(room.update_own(now(), &nobody, None, None, &wish)), ErrorCode::MemberUnknown);
        assert_eq!(room.update(now(), &ann, Some(3), &wish), Err(UpdateError::Changed(0)));
        assert_eq!(drain(&mut room), []);
        assert_eq!(room.update(now(), &ann, Some(0), &wish).map(|info| info.version), Ok(1), "the operator may");
        assert!(
            matches!(&drain(&mut room)[..], [Effect::Event(_), Effect::Updated { id: None, .. }]),
            "and she is told"
        );
        room.update(now(), &ann, None, &wish).unwrap();
        assert_eq!(drain(&mut room), []);
    }

    #[test]
    fn a_member_changes_it_no_faster_than_the_rate() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::of(Role::Host));
        let start = now();
        let mut tries = |at: Now, tries: u32| {
            let wish = |n: u32| change(&format!(r#"{{"attributes":{{"n":"{n}"}}}}"#));
            (0..tries).filter(|n| room.update_own(at, &ann, None, None, &wish(*n)) != Err(UpdateError::Rate)).count()
        };
        assert_eq!(tries(start, 50), MEMBER_UPDATES_BURST as usize);
        let later = Now { instant: start.instant + Duration::from_secs(3), ..start };
        assert_eq!(tries(later, 50), 3 * MEMBER_UPDATES_PER_SECOND as usize);
        room.update(start, &ann, None, &change(r#"{"name":"x"}"#)).expect("the operator has no such rate");
    }

    #[test]
    fn whoever_is_hidden_is_told_alone() {
        let mut room = Room::new(1);
        let ghost = join(&mut room, Grants { hidden: true, update_own_metadata: true, ..Grants::ALL });
        drain(&mut room);
        room.update_own(now(), &ghost, Some(1), None, &change(r#"{"name":"Boo"}"#)).unwrap();
        assert!(matches!(&drain(&mut room)[..], [Effect::Updated { .. }]));
    }

    #[test]
    fn a_state_follows_the_event() {
        let mut room = Room::new(1);
        let ann = join(&mut room, Grants::ALL);
        room.update(now(), &ann, None, &change(r#"{"name":"Dr Ann","metadata":"{}"}"#)).unwrap();
        let mut state = roundtable_protocol::RoomState::new(roundtable_protocol::RoomId::new("r").unwrap(), 1);
        for effect in drain(&mut room) {
            if let Effect::Event(event) = effect {
                assert!(matches!(event.body, EventBody::Joined { .. } | EventBody::MemberUpdated { .. }));
                state.apply(&event);
            }
        }
        assert_eq!(state.members, [room.person(&ann).unwrap().1.clone()]);
    }
}
