//! Everybody in a room at this moment, listed or counted, in order of joining: what is read page by page.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use roundtable_protocol::MemberId;
use roundtable_protocol::event::{EventBody, MemberInfo};

/// The people of one room. It holds as many as the room does, which its shard bounds.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// The number of the next to enter.
    next: u64,
    people: BTreeMap<u64, Arc<MemberInfo>>,
    numbers: HashMap<MemberId, u64>,
}

/// Some of the people, in order of joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// People in the room.
    pub total: usize,
    /// Those of this page.
    pub members: Vec<Arc<MemberInfo>>,
    /// What the next page comes after; `None` on the last.
    pub next: Option<u64>,
}

impl Roster {
    /// Somebody is here. Who is here already stays in their place.
    pub(super) fn enter(&mut self, member: &MemberInfo) {
        if self.numbers.contains_key(&member.id) {
            return;
        }
        self.next += 1;
        self.numbers.insert(member.id.clone(), self.next);
        self.people.insert(self.next, Arc::new(member.clone()));
    }

    /// What is seen of somebody is this from now on.
    pub(super) fn update(&mut self, member: &MemberInfo) {
        if let Some(known) = self.place(&member.id) {
            *known = Arc::new(member.clone());
        }
    }

    /// The same, as an event tells it.
    pub(super) fn follow(&mut self, member: &MemberId, body: &EventBody) {
        if let Some(known) = self.place(member) {
            Arc::make_mut(known).follow(body);
        }
    }

    /// Somebody who is here.
    pub(super) fn find(&self, member: &MemberId) -> Option<&Arc<MemberInfo>> {
        self.people.get(self.numbers.get(member)?)
    }

    /// Somebody is gone.
    pub(super) fn exit(&mut self, member: &MemberId) {
        if let Some(number) = self.numbers.remove(member) {
            self.people.remove(&number);
        }
    }

    /// Everybody is gone.
    pub(super) fn clear(&mut self) {
        self.people.clear();
        self.numbers.clear();
    }

    fn place(&mut self, member: &MemberId) -> Option<&mut Arc<MemberInfo>> {
        self.people.get_mut(self.numbers.get(member)?)
    }

    /// How many are here.
    pub(super) fn len(&self) -> usize {
        self.people.len()
    }

    /// At most `at_most` people who entered after the one numbered `after`, which may be gone by now.
    pub(super) fn page(&self, after: u64, at_most: usize) -> Page {
        let mut later = self.people.range(after.saturating_add(1)..);
        let (mut members, mut last) = (Vec::with_capacity(at_most.min(self.people.len())), None);
        for (number, member) in later.by_ref().take(at_most) {
            members.push(Arc::clone(member));
            last = Some(*number);
        }
        Page { total: self.people.len(), members, next: later.next().and(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(n: u64) -> MemberInfo {
        MemberInfo::guest(MemberId::new(format!("m{n}")).unwrap(), format!("person {n}"))
    }

    fn names(page: &Page) -> Vec<&str> {
        page.members.iter().map(|member| member.id.as_str()).collect()
    }

    #[test]
    fn pages_follow_each_other_whoever_comes_and_goes_meanwhile() {
        let mut roster = Roster::default();
        (1..=7).for_each(|n| roster.enter(&info(n)));
        let first = roster.page(0, 3);
        assert_eq!((names(&first), first.total, first.next), (vec!["m1", "m2", "m3"], 7, Some(3)));
        [1, 3, 5].iter().for_each(|n| roster.exit(&info(*n).id));
        roster.enter(&info(8));
        roster.enter(&info(8));
        let second = roster.page(3, 3);
        assert_eq!((names(&second), second.total, second.next), (vec!["m4", "m6", "m7"], 5, Some(7)));
        let third = roster.page(7, 3);
        assert_eq!((names(&third), third.next), (vec!["m8"], None));
        for (after, at_most) in [(8, 3), (u64::MAX, 3)] {
            let none = roster.page(after, at_most);
            assert_eq!((names(&none), none.total, none.next), (vec![], 5, None));
        }
        roster.update(&MemberInfo { name: "somebody else".into(), version: 1, ..info(6) });
        roster.follow(&info(7).id, &MemberInfo { name: "another".into(), version: 1, ..info(7) }.updated());
        roster.update(&info(1));
        let page = roster.page(3, 2);
        assert_eq!(page.members.iter().map(|m| &*m.name).collect::<Vec<_>>(), ["person 4", "somebody else"]);
        assert_eq!(roster.find(&info(7).id).map(|m| &*m.name), Some("another"));
        assert_eq!((roster.find(&info(1).id), roster.len()), (None, 5), "who is gone does not come back by it");
        roster.clear();
        assert_eq!((roster.len(), roster.page(0, 3).members.len()), (0, 0));
    }
}
