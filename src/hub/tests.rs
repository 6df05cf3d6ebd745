use std::time::Instant;

use roundtable_protocol::event::RoomCloseReason;
use roundtable_protocol::grant::QualityLimits;
use roundtable_protocol::limit::{MAX_ATTRIBUTES_BYTES, MAX_IDENTITY_BYTES, MAX_METADATA_BYTES};
use roundtable_protocol::{ErrorCode, Grants, LeaveReason};
use tokio::sync::oneshot;

use super::fake_shard::FakeShard;
use super::membership::Reply;
use super::*;
use crate::shard::inbox::{Join, JoinRefused, OutboxReceiver, Request, ToMember, outbox};

struct House {
    shard: FakeShard,
    hub: Hub,
}

impl House {
    fn new(config: HubConfig) -> Self {
        Self::with_hook(config, None)
    }

    fn with_hook(config: HubConfig, authorise: Option<Arc<dyn Authorize>>) -> Self {
        let shard = FakeShard::start();
        let ice: IceServers = Arc::new(|member| {
            vec![IceServer { urls: vec!["turn:t".into()], username: Some(member.to_string()), credential: None }]
        });
        Self { hub: Hub::new(config, vec![shard.inbox.clone()], ice, authorise, None), shard }
    }

    async fn join(&self, room: &str, name: &str) -> Result<(Admission, OutboxReceiver), JoinError> {
        let (outbox, receiver) = outbox();
        let request = JoinRequest {
            name: name.into(),
            token: Some("t".into()),
            address: None,
            max_seats: 4,
            media: false,
            outbox,
        };
        let pass = self.hub.check(&id(room), &request).await?;
        let admission = self.hub.enter_with(&id(room), request, pass).await?;
        Ok((admission, receiver))
    }
}

fn id(room: &str) -> RoomId {
    RoomId::new(room).unwrap()
}

/// Waits for what another task does soon.
async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn people_of_one_room_share_a_journal() {
    let house = House::new(HubConfig::default());
    assert!(house.hub.rooms().is_empty() && house.hub.room(&id("r")).is_none());
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    let (bob, _bob) = house.join("r", "Bob").await.unwrap();
    let (cid, _cid) = house.join("q", "Cid").await.unwrap();
    assert!(Arc::ptr_eq(&ann.joined.journal, &bob.joined.journal));
    assert!(!Arc::ptr_eq(&ann.joined.journal, &cid.joined.journal));
    assert_eq!(bob.joined.journal.state().members.len(), 2);
    assert_eq!(ann.ice_servers[0].username.as_deref(), Some(ann.joined.member.id.as_str()));
    assert_eq!(ann.grants, Grants::ALL);
    let names: Vec<_> = house.hub.rooms().iter().map(|journal| journal.room().to_string()).collect();
    assert_eq!(names, ["q", "r"]);
    assert_eq!(house.hub.stats().await.unwrap()[0].rooms, 2);
}

#[tokio::test]
async fn letting_go_of_a_membership_takes_the_member_out() {
    let house = House::new(HubConfig::default());
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    let (bob, _bob) = house.join("r", "Bob").await.unwrap();
    let (cid, _cid) = house.join("r", "Cid").await.unwrap();
    drop(ann.membership);
    assert_eq!(house.shard.next_left().await, ("Ann".into(), LeaveReason::Disconnected));
    bob.membership.leave(LeaveReason::Left);
    assert_eq!(house.shard.next_left().await, ("Bob".into(), LeaveReason::Left));
    cid.membership.forget();
    house.hub.stats().await.unwrap();
    assert_eq!(house.shard.members("r"), 1, "forgotten, not left");
}

#[tokio::test]
async fn a_room_that_ended_opens_again_with_a_higher_epoch() {
    let house = House::new(HubConfig::default());
    let mut last = 0;
    for _ in 0..20 {
        let (ann, _ann) = house.join("r", "Ann").await.unwrap();
        let journal = Arc::clone(&ann.joined.journal);
        assert!(journal.epoch() > last, "strictly, even within one millisecond");
        last = journal.epoch();
        drop(ann);
        house.shard.next_left().await;
        eventually("the room ends", || journal.is_closed()).await;
        let late = house.hub.room(&id("r")).expect("for late readers");
        assert!(Arc::ptr_eq(&late, &journal));
        assert!(house.hub.rooms().is_empty(), "but it is not open");
    }
}

#[tokio::test]
async fn a_join_into_a_room_that_just_ended_is_tried_again() {
    let house = House::new(HubConfig::default());
    house.shard.refusals.lock().unwrap().extend([JoinRefused::JournalClosed; 2]);
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    assert_eq!(ann.joined.member.name, "Ann");

    house.shard.refusals.lock().unwrap().extend([JoinRefused::JournalClosed; 3]);
    assert_eq!(house.join("r", "Bob").await.unwrap_err(), JoinError::RoomClosed, "but not for ever");
}

#[tokio::test]
async fn a_journal_that_closes_before_its_room_is_entered_is_replaced() {
    let house = House::new(HubConfig::default());
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    // The shard closes the room, and a join meets the closed journal before anybody noticed.
    house.hub.0.inboxes[0].send(Command::CloseRoom { room: id("r"), reason: RoomCloseReason::Failed }).unwrap();
    let (bob, _bob) = house.join("r", "Bob").await.unwrap();
    assert!(bob.joined.journal.epoch() > ann.joined.journal.epoch());
    assert_eq!(bob.joined.journal.state().members.len(), 1);
}

#[tokio::test]
async fn refusals_carry_their_word() {
    let config = HubConfig { max_rooms: 1, max_members_per_room: 1, ..HubConfig::default() };
    let house = House::new(config);
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    let full = house.join("r", "Bob").await.unwrap_err();
    assert_eq!((full.clone(), full.code()), (JoinError::RoomFull(1), ErrorCode::RoomFull));
    let many = house.join("q", "Bob").await.unwrap_err();
    assert_eq!((many.clone(), many.code()), (JoinError::TooManyRooms(1), ErrorCode::TooManyRooms));

    drop(ann);
    house.shard.next_left().await;
    eventually("the room ends", || house.hub.rooms().is_empty()).await;
    assert!(house.join("q", "Bob").await.is_ok(), "a closed room takes no place");
}

/// Lets everybody in: the token is the key, and «guest» is nobody's.
struct KeyAsToken;

impl Authorize for KeyAsToken {
    fn authorise<'a>(&'a self, _room: &'a RoomId, _name: &'a str, token: Option<&'a str>) -> Authorising<'a> {
        let key = token.filter(|token| *token != "guest").map(str::to_owned);
        Box::pin(std::future::ready(Ok(Authorised { grants: Grants::ALL, key, ..Authorised::default() })))
    }

    fn max_rooms(&self, key: &str) -> Option<u32> {
        (key == "large").then_some(3)
    }
}

async fn enter_by(house: &House, room: &str, key: &str) -> Result<Admission, ErrorCode> {
    let (outbox, _receiver) = outbox();
    let request =
        JoinRequest { name: "Ann".into(), token: Some(key.into()), address: None, max_seats: 4, media: false, outbox };
    let pass = house.hub.check(&id(room), &request).await.map_err(|error| error.code())?;
    house.hub.enter_with(&id(room), request, pass).await.map_err(|error| error.code())
}

#[tokio::test]
async fn a_key_has_so_many_rooms_and_gets_a_place_back_when_one_ends() {
    let config = HubConfig { max_rooms_per_key: Some(2), ..HubConfig::default() };
    let house = House::with_hook(config, Some(Arc::new(KeyAsToken)));
    let first = enter_by(&house, "a1", "small").await.unwrap();
    let _second = enter_by(&house, "a2", "small").await.unwrap();
    assert_eq!(enter_by(&house, "a3", "small").await.unwrap_err(), ErrorCode::KeyQuota);
    let _same = enter_by(&house, "a1", "small").await.expect("a room that is open is open");
    let _others = enter_by(&house, "b1", "other").await.expect("each key has its own count");
    let mut guests = Vec::new();
    for n in 0..5 {
        guests.push(enter_by(&house, &format!("g{n}"), "guest").await.expect("guests' rooms are nobody's"));
    }
    let _in_guests = enter_by(&house, "g0", "small").await.expect("whoever opened it counts, not whoever came");
    let mut large = Vec::new();
    for n in 0..3 {
        large.push(enter_by(&house, &format!("l{n}"), "large").await.expect("a figure of its own"));
    }
    assert_eq!(enter_by(&house, "l3", "large").await.unwrap_err(), ErrorCode::KeyQuota);

    house.hub.close_room(&id("a1"));
    drop(first);
    eventually("the room ends", || house.hub.0.rooms.shard_of(&id("a1")).is_none()).await;
    let _third = enter_by(&house, "a3", "small").await.expect("the place is free again");
    assert_eq!(enter_by(&house, "a1", "small").await.unwrap_err(), ErrorCode::KeyQuota);
}

#[tokio::test]
async fn a_room_that_a_key_set_up_counts_once_whoever_opens_it() {
    use roundtable_protocol::settings::SettingsChange;

    use super::settings::Expect;
    let config = HubConfig { max_rooms_per_key: Some(2), ..HubConfig::default() };
    let house = House::with_hook(config, Some(Arc::new(KeyAsToken)));
    let change = SettingsChange::default();
    let set_up = |room: &str, key| {
        let set_up = house.hub.change_settings(&id(room), Some(key), Expect::Anything, (false, &change));
        set_up.map(drop).map_err(|error| error.code())
    };
    set_up("s1", "small").unwrap();
    set_up("s1", "small").expect("it has its place");
    let _guest = enter_by(&house, "s1", "guest").await.unwrap();
    let _open = enter_by(&house, "a1", "small").await.expect("the second place");
    set_up("a1", "small").expect("it is counted already");
    assert_eq!(set_up("s2", "small"), Err(ErrorCode::KeyQuota));
    assert_eq!(enter_by(&house, "a2", "small").await.unwrap_err(), ErrorCode::KeyQuota);

    // Whose rooms they are is kept with how they are set up.
    let kept = serde_json::from_str(&serde_json::to_string(&house.hub.kept()).unwrap()).unwrap();
    let later = House::with_hook(house.hub.0.config.clone(), Some(Arc::new(KeyAsToken)));
    later.hub.restore(kept);
    assert_eq!(enter_by(&later, "a2", "small").await.unwrap_err(), ErrorCode::KeyQuota);
    assert_eq!(later.hub.delete_room(&id("s1"), Expect::Anything), Ok(true));
    let _freed = enter_by(&later, "a2", "small").await.expect("a room that is deleted gives its place back");
}

#[tokio::test]
async fn a_room_that_nobody_could_enter_is_forgotten() {
    let house = House::new(HubConfig { max_rooms: 1, ..HubConfig::default() });
    house.shard.refusals.lock().unwrap().push_back(JoinRefused::Stopping);
    assert_eq!(house.join("r", "Ann").await.unwrap_err().code(), ErrorCode::Stopping);
    assert!(house.hub.room(&id("r")).is_none());
    assert!(house.join("q", "Ann").await.is_ok(), "and takes no place");
}

#[tokio::test]
async fn closed_journals_are_forgotten_after_a_while() {
    let house = House::new(HubConfig { keep_closed: Duration::from_millis(50), ..HubConfig::default() });
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    let (bob, _bob) = house.join("q", "Bob").await.unwrap();
    drop(ann);
    eventually("r is forgotten", || house.hub.room(&id("r")).is_none()).await;
    assert!(house.hub.room(&id("q")).is_some(), "an open one never is");
    drop(bob);
}

#[tokio::test]
async fn no_more_closed_journals_are_kept_than_may_be() {
    let house = House::new(HubConfig { max_rooms: 1_000, ..HubConfig::default() });
    let name = |n: usize| format!("r{n}");
    let extra = 10;
    for n in 0..rooms::MAX_CLOSED + extra {
        let (ann, _ann) = house.join(&name(n), "Ann").await.unwrap();
        let journal = Arc::clone(&ann.joined.journal);
        drop(ann);
        eventually("the room ends", || journal.is_closed()).await;
    }
    let kept = || (0..rooms::MAX_CLOSED + extra).filter(|n| house.hub.room(&id(&name(*n))).is_some()).count();
    eventually("the oldest go", || kept() == rooms::MAX_CLOSED).await;
    assert!(house.hub.room(&id(&name(rooms::MAX_CLOSED + extra - 1))).is_some(), "the newest stays");
}

struct Hook;

impl Authorize for Hook {
    fn authorise<'a>(&'a self, room: &'a RoomId, name: &'a str, token: Option<&'a str>) -> Authorising<'a> {
        Box::pin(async move {
            match (room.as_str(), name, token) {
                ("slow", ..) => std::future::pending().await,
                ("r", "Ann", Some("t")) => {
                    let limits = MemberLimits { last_n: Some(3), ..MemberLimits::NONE };
                    Ok(Grants { publish: false, limits, ..Grants::ALL }.into())
                }
                _ => Err(Denied::forbidden("not you")),
            }
        })
    }
}

#[tokio::test]
async fn the_hook_decides_before_anything_is_done() {
    let receive = QualityLimits { max_height: Some(360), ..QualityLimits::NONE };
    let limits = MemberLimits { receive, last_n: Some(25), ..MemberLimits::NONE };
    let config = HubConfig { authorise_timeout: Duration::from_millis(30), limits, ..HubConfig::default() };
    let house = House::with_hook(config, Some(Arc::new(Hook)));
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    assert_eq!(ann.grants.limits, MemberLimits { receive, last_n: Some(3), ..MemberLimits::NONE });
    assert!(!ann.grants.publish && ann.grants.chat);
    let denied = house.join("r", "Bob").await.unwrap_err();
    assert_eq!((denied.code(), denied.to_string().as_str()), (ErrorCode::Forbidden, "not you"));
    assert_eq!(house.join("slow", "Ann").await.unwrap_err(), JoinError::AuthoriseTimeout);
    assert_eq!(house.shard.members("r"), 1);
}

#[tokio::test]
async fn a_stop_interrupts_the_hook_and_refuses_everybody_new() {
    let house = House::with_hook(HubConfig::default(), Some(Arc::new(Hook)));
    let (waiting, left) = tokio::join!(house.join("slow", "Ann"), house.hub.stop(Duration::from_secs(5)));
    assert_eq!((waiting.unwrap_err().code(), left), (ErrorCode::Stopping, 0));
    assert_eq!(house.join("r", "Ann").await.unwrap_err().code(), ErrorCode::Stopping);
    assert!(house.hub.enter().is_none() && house.hub.is_stopping());
}

#[tokio::test]
async fn a_stop_waits_for_the_sessions_but_not_for_ever() {
    let house = House::new(HubConfig { max_sessions: 2, ..HubConfig::default() });
    let (first, second) = (house.hub.enter().unwrap(), house.hub.enter().unwrap());
    assert!(house.hub.enter().is_none(), "as many as may be");
    let (_ann, mut outbox) = house.join("r", "Ann").await.unwrap();
    let hub = house.hub.clone();
    let session = tokio::spawn(async move {
        hub.stopped().await;
        let told = outbox.recv().await;
        drop(first);
        told
    });
    assert_eq!(house.hub.stop(Duration::from_millis(100)).await, 1, "the second does not end");
    assert!(matches!(session.await.unwrap(), Some(ToMember::Close { code: ErrorCode::Stopping, .. })));
    drop(second);
    assert_eq!(house.hub.stop(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn a_shard_that_ended_is_a_fault_of_ours() {
    let house = House::new(HubConfig::default());
    house.shard.inbox.send(Command::Stop).unwrap();
    let mut last = None;
    for _ in 0..100 {
        last = house.join("r", "Ann").await.err();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(last, Some(JoinError::Shard(HubError::Failed)));
    assert_eq!(house.hub.stats().await, Err(HubError::Failed));
    assert!(house.hub.rooms().is_empty() && house.hub.room(&id("r")).is_none());
}

/// Says of everybody what a test wants it to.
struct Says(Authorised);

impl Authorize for Says {
    fn authorise<'a>(&'a self, _room: &'a RoomId, _name: &'a str, _token: Option<&'a str>) -> Authorising<'a> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

#[tokio::test]
async fn what_the_hook_says_of_somebody_is_bounded_and_its_name_wins() {
    let says = |authorised| House::with_hook(HubConfig::default(), Some(Arc::new(Says(authorised))));
    let named = Authorised { name: Some("Dr Ann".into()), ..Authorised::default() };
    let house = says(named.clone());
    let (ann, _ann) = house.join("r", "Ann").await.unwrap();
    assert_eq!(ann.joined.member.name, "Dr Ann");
    for long in [
        Authorised { identity: Some("x".repeat(MAX_IDENTITY_BYTES + 1)), ..named.clone() },
        Authorised { metadata: Some("x".repeat(MAX_METADATA_BYTES + 1)), ..named.clone() },
        Authorised { attributes: [("k".to_owned(), "x".repeat(MAX_ATTRIBUTES_BYTES))].into(), ..named.clone() },
    ] {
        let refused = says(long).join("r", "Ann").await.map(drop).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden);
    }
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_takes_the_member_out_again() {
    let house = House::new(HubConfig::default());
    let (outbox, _receiver) = outbox();
    let (sender, receiver) = oneshot::channel();
    let journal = Journal::new(id("r"), 2, None);
    let join = Join {
        origin: crate::shard::deed::Origin::default(),
        settings: None,
        room: id("r"),
        journal,
        opened_by: None,
        newcomer: "Ann".into(),
        grants: Grants::ALL,
        max_seats: 4,
        max_members: 10,
        voice_slots: 3,
        resume_within: Duration::ZERO,
        connection: None,
        outbox,
        reply: sender,
    };
    let reply = Reply::new(receiver, house.shard.inbox.clone(), id("r"));
    house.shard.inbox.send(Command::Join(Box::new(join))).unwrap();
    house.hub.stats().await.unwrap();
    assert_eq!(house.shard.members("r"), 1, "the answer is there");
    drop(reply);
    assert_eq!(house.shard.next_left().await, ("Ann".into(), LeaveReason::Left));
}

#[tokio::test]
async fn a_leave_gets_through_even_to_a_shard_that_is_full() {
    let poll = mio::Poll::new().unwrap();
    let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
    let (inbox, commands) = Inbox::new(waker);
    let membership = Membership::new(inbox.clone(), id("r"), MemberId::new("ann").unwrap(), 0);
    while inbox.send(Command::CloseRoom { room: id("r"), reason: RoomCloseReason::Empty }).is_ok() {}
    drop(membership);
    let mut left = 0;
    eventually("the leave comes", || {
        let leave = |command: &Command| matches!(command, Command::Member { request: Request::Away, .. });
        left += commands.try_iter().filter(leave).count();
        left == 1
    })
    .await;
}
