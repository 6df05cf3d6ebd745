//! Who of a room is listed by name, and who is only counted.
//!
//! Up to [`LIST_UP_TO`] people everybody is listed: each coming and going is an event. In a larger room that would be N
//! messages for each of N people. There only those are listed who publish, and [`MAX_LISTED_RECENT`] others who did
//! something last; all changes but a publisher's are gathered and told together, as one event whose size does not depend on
//! how many came. Below [`LIST_AGAIN_BELOW`] everybody is listed again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use roundtable_protocol::MemberId;
use roundtable_protocol::event::{EventBody, MemberInfo};
use roundtable_protocol::limit::{LIST_AGAIN_BELOW, LIST_UP_TO, MAX_LISTED_RECENT};

use super::member::Member;

/// Changes are gathered for so long, and longer in a room of more people than [`TOLD_PER_SECOND`].
pub const TELL_EVERY: Duration = Duration::from_secs(1);
/// Most messages a second, to all members together, that the gathered changes of one room make.
pub const TOLD_PER_SECOND: u32 = 2_000;

/// The people of a room, as [`Audience`] needs them.
#[derive(Debug, Clone, Copy)]
pub struct People<'a> {
    /// In order of joining.
    pub order: &'a BTreeMap<u64, MemberId>,
    /// Each of them.
    pub members: &'a HashMap<MemberId, Member>,
}

/// Decides who is listed, and when changes are told.
#[derive(Debug, Default)]
pub struct Audience {
    mode: Mode,
    /// Who did something last and does not publish, the latest at the back; at most [`MAX_LISTED_RECENT`], the oldest goes.
    recent: VecDeque<MemberId>,
}

#[derive(Debug, Default)]
enum Mode {
    /// Everybody is.
    #[default]
    Listing,
    /// Some are.
    Counting(Counting),
}

#[derive(Debug)]
struct Counting {
    /// Who is listed, by their numbers in the order of joining: no more than were told.
    listed: BTreeMap<u64, MemberId>,
    /// How many others there were when it was told.
    told: usize,
    told_at: Instant,
    /// When what has changed since is to be told; `None` if nothing has.
    due: Option<Instant>,
}

impl Audience {
    /// Somebody has come, as the last of `people`. Returns whether they are listed; if not, [`Audience::tell`] is to be asked.
    #[must_use]
    pub fn handle_join(&self, people: usize) -> bool {
        matches!(self.mode, Mode::Listing) && people <= LIST_UP_TO
    }

    /// Somebody has gone. Returns whether they were listed.
    pub fn handle_leave(&mut self, number: u64, member: &MemberId) -> bool {
        self.recent.retain(|recent| recent != member);
        match &mut self.mode {
            Mode::Listing => true,
            Mode::Counting(counting) => counting.listed.remove(&number).is_some(),
        }
    }

    /// Somebody who does not publish (any more) did something.
    pub fn handle_act(&mut self, member: &MemberId) {
        self.recent.retain(|recent| recent != member);
        self.recent.push_back(member.clone());
        if self.recent.len() > MAX_LISTED_RECENT {
            self.recent.pop_front();
        }
    }

    /// Somebody begins to publish, which lists them by itself. Returns whether they are listed already; if not,
    /// [`Audience::tell`] is to be asked at once.
    pub fn handle_publish(&mut self, number: u64, member: &MemberId) -> bool {
        self.recent.retain(|recent| recent != member);
        match &self.mode {
            Mode::Listing => true,
            Mode::Counting(counting) => counting.listed.contains_key(&number),
        }
    }

    /// Something has changed that others are to know. Returns whether [`Audience::tell`] is to be asked now; otherwise it
    /// will be due.
    #[must_use]
    pub fn handle_change(&mut self, now: Instant, people: usize) -> bool {
        let counting = match &mut self.mode {
            Mode::Listing => return people > LIST_UP_TO,
            Mode::Counting(counting) => counting,
        };
        let at = counting.told_at + interval(people);
        counting.due = Some(at);
        at <= now
    }

    /// What is to be told now: who is listed from now on and who is not, and how many are counted. `None` if that is
    /// nothing new. `publisher` has begun to publish and may not be listed yet; who came last may not either.
    #[must_use]
    pub fn tell(&mut self, now: Instant, people: People<'_>, publisher: Option<&MemberId>) -> Option<EventBody> {
        match &mut self.mode {
            Mode::Listing if people.order.len() > LIST_UP_TO => Some(self.begin(now, people)),
            Mode::Listing => None,
            Mode::Counting(counting) if people.order.len() < LIST_AGAIN_BELOW => {
                let unlisted = people.order.iter().filter(|(number, _)| !counting.listed.contains_key(number));
                let listed = unlisted.filter_map(|(_, id)| Some(people.members.get(id)?.info.clone())).collect();
                self.mode = Mode::Listing;
                Some(EventBody::Audience { viewers: 0, listed, counted: Vec::new() })
            }
            Mode::Counting(counting) => counting.tell(now, people, &self.recent, publisher),
        }
    }

    /// When [`Audience::tell`] is to be asked.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.mode {
            Mode::Listing => None,
            Mode::Counting(counting) => counting.due,
        }
    }

    /// Begins with people who were there before the server was started. Returns who is listed, and how many are not.
    #[must_use]
    pub fn restore(&mut self, now: Instant, people: People<'_>) -> (Vec<MemberInfo>, u32) {
        let info = |id: &MemberId| people.members.get(id).map(|member| member.info.clone());
        if people.order.len() <= LIST_UP_TO {
            return (people.order.values().filter_map(info).collect(), 0);
        }
        let publishing = people.order.iter().filter(|(_, id)| publishes(people, id));
        let listed: BTreeMap<u64, MemberId> = publishing.map(|(number, id)| (*number, id.clone())).collect();
        let told = people.order.len() - listed.len();
        let infos = listed.values().filter_map(info).collect();
        self.mode = Mode::Counting(Counting { listed, told, told_at: now, due: None });
        (infos, number(told))
    }

    /// Whether the member of this number is listed.
    #[must_use]
    pub fn lists(&self, number: u64) -> bool {
        match &self.mode {
            Mode::Listing => true,
            Mode::Counting(counting) => counting.listed.contains_key(&number),
        }
    }

    /// Goes over to counting. Who came last was never listed.
    fn begin(&mut self, now: Instant, people: People<'_>) -> EventBody {
        let stays = |id: &MemberId| publishes(people, id) || self.recent.contains(id);
        let (listed, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            people.order.iter().map(|(number, id)| (*number, id.clone())).partition(|(_, id)| stays(id));
        let viewers = others.len();
        let newest = people.order.keys().next_back();
        let counted = others.into_iter().filter(|(number, _)| Some(number) != newest).map(|(_, id)| id).collect();
        self.mode = Mode::Counting(Counting { listed, told: viewers, told_at: now, due: None });
        EventBody::Audience { viewers: number(viewers), listed: Vec::new(), counted }
    }
}

impl Counting {
    fn tell(
        &mut self,
        now: Instant,
        people: People<'_>,
        recent: &VecDeque<MemberId>,
        publisher: Option<&MemberId>,
    ) -> Option<EventBody> {
        self.due = None;
        let mut counted = Vec::new();
        self.listed.retain(|_, id| {
            let stays = publishes(people, id) || recent.contains(id);
            if !stays {
                counted.push(id.clone());
            }
            stays
        });
        let mut listed = Vec::new();
        for member in recent.iter().chain(publisher).filter_map(|id| people.members.get(id)) {
            if self.listed.insert(member.number, member.info.id.clone()).is_none() {
                listed.push(member.info.clone());
            }
        }
        let viewers = people.order.len() - self.listed.len();
        if listed.is_empty() && counted.is_empty() && viewers == self.told {
            return None;
        }
        (self.told, self.told_at) = (viewers, now);
        Some(EventBody::Audience { viewers: number(viewers), listed, counted })
    }
}

fn publishes(people: People<'_>, id: &MemberId) -> bool {
    people.members.get(id).is_some_and(|member| member.tracks > 0)
}

/// The time between two events of gathered changes in a room of so many.
fn interval(people: usize) -> Duration {
    let people = u32::try_from(people).unwrap_or(u32::MAX);
    TELL_EVERY.max(TELL_EVERY * people / TOLD_PER_SECOND)
}

fn number(viewers: usize) -> u32 {
    u32::try_from(viewers).unwrap_or(u32::MAX)
}
