//! Who leads the conversation, and what that makes of everybody's tracks: pictures of those who speak go before others.

use std::collections::VecDeque;

use roundtable_media::allocate::Class;
use roundtable_protocol::MemberId;
use roundtable_protocol::event::TrackSource;

/// Speakers before the present one whose pictures still go before others.
pub const RECENT_SPEAKERS: usize = 3;

/// The present dominant speaker and the ones before.
#[derive(Debug, Default)]
pub struct Speakers {
    dominant: Option<MemberId>,
    /// Those before, the latest first, without the present one; at most [`RECENT_SPEAKERS`], the oldest is forgotten.
    recent: VecDeque<MemberId>,
    /// Counts changes: who spoke later has the higher number.
    turn: u64,
}

/// What somebody is to the room now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub member: MemberId,
    /// What their camera counts as.
    pub class: Class,
    /// The later somebody spoke the higher.
    pub spoke: u64,
}

impl Speakers {
    /// Who leads, if anybody does.
    #[must_use]
    pub fn dominant(&self) -> Option<&MemberId> {
        self.dominant.as_ref()
    }

    /// Makes somebody the dominant speaker, or nobody. Returns everybody whose standing has changed; empty if it is the
    /// same as before.
    pub fn set_dominant(&mut self, member: Option<&MemberId>) -> Vec<Standing> {
        if self.dominant.as_ref() == member {
            return Vec::new();
        }
        let mut changed: Vec<MemberId> = Vec::new();
        if let Some(before) = self.dominant.take() {
            changed.push(before.clone());
            self.recent.push_front(before);
        }
        if let Some(member) = member {
            self.turn += 1;
            self.recent.retain(|recent| recent != member);
            self.dominant = Some(member.clone());
            changed.push(member.clone());
        }
        while self.recent.len() > RECENT_SPEAKERS {
            changed.extend(self.recent.pop_back());
        }
        changed.into_iter().map(|member| self.standing(member)).collect()
    }

    /// Forgets somebody who has left. Returns whether they were dominant.
    pub fn remove(&mut self, member: &MemberId) -> bool {
        self.recent.retain(|recent| recent != member);
        let was = self.dominant.as_ref() == Some(member);
        self.dominant = self.dominant.take().filter(|_| !was);
        was
    }

    /// What somebody is to the room.
    #[must_use]
    pub fn standing(&self, member: MemberId) -> Standing {
        let at = self.recent.iter().position(|recent| *recent == member);
        let (class, back) = match at {
            _ if self.dominant.as_ref() == Some(&member) => (Class::Dominant, 0),
            Some(at) => (Class::Recent, at as u64 + 1),
            None => (Class::Other, self.turn),
        };
        Standing { member, class, spoke: self.turn.saturating_sub(back) }
    }
}

/// What a track of somebody with this class counts as: a shared screen always comes first.
#[must_use]
pub fn class_of(source: TrackSource, class: Class) -> Class {
    match source {
        TrackSource::Screen | TrackSource::ScreenAudio => Class::Screen,
        TrackSource::Camera | TrackSource::Microphone => class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> MemberId {
        MemberId::new(name).unwrap()
    }

    fn check(speakers: &mut Speakers, next: Option<&str>, expected: &[(&str, Class)]) {
        let member = next.map(id);
        let changed = speakers.set_dominant(member.as_ref());
        let all: Vec<_> = changed.iter().map(|standing| (standing.member.as_str(), standing.class)).collect();
        assert_eq!(all, expected, "after {next:?}");
    }

    #[test]
    fn the_last_three_others_are_recent_and_who_spoke_before_them_is_like_all_others() {
        use Class::{Dominant, Other, Recent};
        let mut speakers = Speakers::default();
        check(&mut speakers, Some("ann"), &[("ann", Dominant)]);
        check(&mut speakers, Some("ann"), &[]);
        check(&mut speakers, Some("bob"), &[("ann", Recent), ("bob", Dominant)]);
        check(&mut speakers, Some("cid"), &[("bob", Recent), ("cid", Dominant)]);
        check(&mut speakers, Some("dee"), &[("cid", Recent), ("dee", Dominant)]);
        check(&mut speakers, Some("eve"), &[("dee", Recent), ("eve", Dominant), ("ann", Other)]);
        check(&mut speakers, Some("bob"), &[("eve", Recent), ("bob", Dominant)]);
        check(&mut speakers, None, &[("bob", Recent), ("cid", Other)]);
    }

    #[test]
    fn who_spoke_later_has_the_higher_number() {
        let mut speakers = Speakers::default();
        for name in ["ann", "bob", "cid"] {
            speakers.set_dominant(Some(&id(name)));
        }
        let spoke = |name| speakers.standing(id(name)).spoke;
        assert!(spoke("cid") > spoke("bob") && spoke("bob") > spoke("ann") && spoke("ann") > spoke("zoe"));
    }

    #[test]
    fn who_left_is_forgotten() {
        let mut speakers = Speakers::default();
        speakers.set_dominant(Some(&id("ann")));
        speakers.set_dominant(Some(&id("bob")));
        assert!(!speakers.remove(&id("ann")) && speakers.remove(&id("bob")));
        assert_eq!((speakers.dominant(), speakers.standing(id("ann")).class), (None, Class::Other));
    }

    #[test]
    fn a_screen_comes_first_whoever_speaks() {
        assert_eq!(class_of(TrackSource::ScreenAudio, Class::Dominant), Class::Screen);
        assert_eq!(class_of(TrackSource::Camera, Class::Recent), Class::Recent);
    }
}
