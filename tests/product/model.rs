//! Twelve people do as they please for a minute, and a model that knows nothing of slots says who must hear whom.
//!
//! What is heard is judged by the marks in the packets. The schedule follows a seed; what is compared
//! is compared after the room has settled, so the machine's pace changes nothing but the number of rounds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use roundtable::Config;
use roundtable::protocol::event::TrackSource::{self, Camera, Microphone};
use roundtable::protocol::{MemberId, TrackId};
use roundtable_client::Client;
use roundtable_client::synthetic::{AudioShape, VideoShape};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::common::http::{Stats, json};
use crate::common::server::{Place, Running};
use crate::common::{Dice, SOON, eventually, join, mark_of};

const PEOPLE: usize = 12;
/// How long rounds go on, in seconds, half as long in the second room; `ROUNDTABLE_MODEL_SECONDS` overrides it.
const SECONDS: u64 = 60;
/// People who do something in one round, at most.
const AT_ONCE: usize = 6;
/// Packets that were under way when the room settled have arrived after this.
const UNDER_WAY: Duration = Duration::from_millis(400);
/// How long nothing unexpected may come.
const WINDOW: Duration = Duration::from_millis(500);
/// Seats grow from 8 to 16 once, when more than eight others publish.
const MOST_GROWTHS: u32 = 1;

/// Somebody in the room, with what they have done.
struct Person {
    client: Client,
    /// Own publications, and whether they are muted.
    sources: BTreeMap<Source, bool>,
    publishes: u32,
}

/// What the model knows of a track; ordered, for comparing.
type Source = u8;

fn source(code: Source) -> TrackSource {
    if code == 0 { Microphone } else { Camera }
}

/// What a person does.
#[derive(Debug, Clone)]
enum Deed {
    Join,
    Publish(Vec<Source>),
    Mute(Source, bool),
    Unpublish(Source),
    Leave,
    Vanish,
}

fn choose(dice: &mut Dice, person: Option<&Person>) -> Deed {
    let Some(person) = person else { return Deed::Join };
    let missing: Vec<Source> = [0, 1].into_iter().filter(|code| !person.sources.contains_key(code)).collect();
    let own: Vec<Source> = person.sources.keys().copied().collect();
    match dice.below(100) {
        0..45 if !missing.is_empty() => Deed::Publish(match dice.chance(60) {
            true => missing,
            false => vec![missing[dice.below(missing.len())]],
        }),
        0..70 if !own.is_empty() => {
            let code = own[dice.below(own.len())];
            Deed::Mute(code, !person.sources[&code])
        }
        70..84 if !own.is_empty() => Deed::Unpublish(own[dice.below(own.len())]),
        84..92 => Deed::Leave,
        92..100 => Deed::Vanish,
        _ => Deed::Publish(if missing.is_empty() { vec![0, 1] } else { missing }),
    }
}

/// What somebody did who is no longer there.
struct Gone {
    offers: u32,
    growths: u32,
}

/// Does it, and tells the model in the same place.
async fn perform(place: Place, number: usize, person: Option<Person>, deed: Deed) -> Result<Person, Gone> {
    let Some(mut person) = person else {
        let mut options = place.guest("model", &format!("person {number}"));
        options.audio = AudioShape::SPARSE;
        options.video = VideoShape::TINY;
        return Ok(Person { client: join(options).await, sources: BTreeMap::new(), publishes: 0 });
    };
    match deed {
        Deed::Join => {}
        Deed::Publish(codes) => {
            let sources: Vec<TrackSource> = codes.iter().map(|code| source(*code)).collect();
            person.client.publish(&sources).await.expect("it may publish");
            person.publishes += 1;
            for code in codes {
                person.sources.entry(code).or_insert(false);
            }
        }
        Deed::Mute(code, muted) => {
            person.client.mute(source(code), muted).await.expect("it is there");
            person.sources.insert(code, muted);
        }
        Deed::Unpublish(code) => {
            person.client.unpublish(&[source(code)]).await.expect("it is there");
            person.sources.remove(&code);
        }
        Deed::Leave | Deed::Vanish => {
            let gone = Gone { offers: person.client.offers(), growths: person.client.growths() };
            match deed {
                Deed::Leave => person.client.leave().await,
                _ => person.client.vanish().await,
            }
            return Err(gone);
        }
    }
    Ok(person)
}

/// Tracks as (whose, which, muted).
type Tracks = BTreeSet<(MemberId, Source, bool)>;

/// The room as the model has it.
struct World {
    place: Place,
    people: Vec<Option<Person>>,
    /// Offers of those who are gone.
    offers: u32,
    /// How many of those may not have been answered: who is asked to grow may leave before the answer.
    unanswered: u32,
    deeds: HashMap<&'static str, u32>,
}

impl World {
    fn present(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().flatten()
    }

    fn tracks(&self) -> Tracks {
        let of = |p: &Person| p.sources.iter().map(|(s, m)| (p.client.member().clone(), *s, *m)).collect::<Vec<_>>();
        self.present().flat_map(of).collect()
    }

    async fn round(&mut self, dice: &mut Dice) {
        let mut running = JoinSet::new();
        let mut busy = BTreeSet::new();
        for _ in 0..1 + dice.below(AT_ONCE) {
            let number = dice.below(PEOPLE);
            if !busy.insert(number) {
                continue;
            }
            let person = self.people[number].take();
            let deed = choose(dice, person.as_ref());
            *self.deeds.entry(name(&deed)).or_default() += 1;
            let place = self.place;
            running.spawn(async move { (number, perform(place, number, person, deed).await) });
        }
        while let Some(done) = running.join_next().await {
            match done.expect("nobody fails") {
                (number, Ok(person)) => self.people[number] = Some(person),
                (_, Err(gone)) => {
                    self.offers += gone.offers;
                    self.unanswered += gone.growths;
                }
            }
        }
    }

    /// Waits until everybody has been told everything.
    async fn settle(&self) {
        let members: BTreeSet<MemberId> = self.present().map(|p| p.client.member().clone()).collect();
        let tracks = self.tracks();
        for person in self.present() {
            let told = |client: &Client| {
                let state = client.state();
                let there: BTreeSet<MemberId> = state.members.iter().map(|m| m.id.clone()).collect();
                let code = |of: TrackSource| Source::from(of != Microphone);
                let published: Tracks =
                    state.tracks.iter().map(|t| (t.member.clone(), code(t.source), t.muted)).collect();
                there == members && published == tracks
            };
            let settled = person.client.wait_for(SOON, told).await;
            assert!(
                settled,
                "{:?} was told {:#?}, but it is {tracks:#?}",
                person.client.member(),
                person.client.state()
            );
        }
    }

    /// Compares who hears whom with what the model says; returns how many pairs of listener and track were heard.
    async fn compare(&self) -> usize {
        tokio::time::sleep(UNDER_WAY).await;
        let began = Instant::now();
        let before: Vec<_> = self.present().map(|person| counts(&person.client)).collect();
        let mut pairs = 0;
        for (me, before) in self.present().zip(&before) {
            let expected = self.audible_to(me);
            pairs += expected.len();
            for (mark, whose) in expected {
                let rises = |client: &Client| counts(client).get(&mark) > Some(before.get(&mark).unwrap_or(&0));
                let heard = me.client.wait_for(SOON, rises).await;
                assert!(heard, "{} does not hear {whose}: {}", name_of(me), self.explain(me).await);
            }
        }
        tokio::time::sleep((began + WINDOW).saturating_duration_since(Instant::now())).await;
        for (me, before) in self.present().zip(&before) {
            let expected: HashMap<u64, String> = self.audible_to(me).into_iter().collect();
            for (mark, packets) in counts(&me.client) {
                let more = packets - before.get(&mark).copied().unwrap_or(0);
                let known = expected.contains_key(&mark) || more == 0;
                assert!(known, "{} hears {more} packets of {}", name_of(me), self.whose(mark));
            }
            assert!(me.client.received().values().all(|received| received.duplicates == 0));
        }
        pairs
    }

    /// Marks of everything that this person must hear.
    fn audible_to(&self, me: &Person) -> Vec<(u64, String)> {
        let others = self.present().filter(|p| p.client.member() != me.client.member());
        let audible = |p: &Person| {
            let loud = p.sources.iter().filter(|(_, muted)| !**muted);
            loud.map(|(code, _)| (mark_of(&p.client, source(*code)), label(p, *code))).collect::<Vec<_>>()
        };
        others.flat_map(audible).collect()
    }

    /// No slot may claim what is not there, and whatever is heard must be claimed by exactly one slot.
    async fn compare_slots(&self) {
        for me in self.present() {
            let mut wanted = BTreeSet::new();
            let mut allowed = BTreeSet::new();
            for other in self.present().filter(|p| p.client.member() != me.client.member()) {
                for (code, muted) in &other.sources {
                    let track = other.client.track(source(*code)).await.expect("it is published");
                    if !muted {
                        wanted.insert(track.clone());
                    }
                    allowed.insert(track);
                }
            }
            let truthful = |client: &Client| {
                let claimed = claimed(client);
                let once: BTreeSet<TrackId> = claimed.iter().cloned().collect();
                once.len() == claimed.len() && once.is_superset(&wanted) && once.is_subset(&allowed)
            };
            let settled = me.client.wait_for(SOON, truthful).await;
            assert!(settled, "{}: slots {:#?}, heard {wanted:?}", name_of(me), me.client.slots());
        }
    }

    /// Nobody makes an offer but for their own sake.
    async fn count_offers(&self) {
        for person in self.present() {
            let client = &person.client;
            let due = |client: &Client| client.offers() == 1 + person.publishes + client.growths();
            let offers = client.offers();
            assert!(client.wait_for(SOON, due).await, "{offers} offers, {} publishes", person.publishes);
            assert!(client.growths() <= MOST_GROWTHS, "{} growths", client.growths());
            assert!(client.errors().is_empty(), "{}: {:?}", name_of(person), client.errors());
            assert_eq!(client.ended(), None, "{}", name_of(person));
        }
        let offers = self.offers + self.present().map(|person| person.client.offers()).sum::<u32>();
        let stats = Stats::of(self.place.http).await;
        let answered = u64::from(offers - self.unanswered)..=u64::from(offers);
        let said = stats.shard("offers");
        assert!(answered.contains(&said), "the server answered {said} offers, {answered:?} were made");
    }

    fn whose(&self, mark: u64) -> String {
        let all = self.present().flat_map(|p| [0, 1].map(|code| (mark_of(&p.client, source(code)), label(p, code))));
        all.into_iter().find(|(m, _)| *m == mark).map_or_else(|| "somebody who is gone".to_owned(), |(_, label)| label)
    }

    /// What is known on both sides of a track that is not heard.
    async fn explain(&self, me: &Person) -> String {
        let tracks = self.tracks();
        let sent = |p: &Person| [0, 1].map(|code| (label(p, code), p.client.sent(source(code))));
        let sent: Vec<_> = self.present().map(sent).collect();
        let media = json(self.place.http, "/api/v1/rooms/model/stats").await;
        let stats = Stats::of(self.place.http).await;
        let (slots, state) = (me.client.slots(), me.client.state());
        format!("slots {slots:#?}, tracks {tracks:#?}, {state:#?}, sent {sent:?}, {media}, {stats:?}")
    }
}

fn counts(client: &Client) -> HashMap<u64, u64> {
    client.received().into_iter().map(|(mark, received)| (mark, received.packets)).collect()
}

fn claimed(client: &Client) -> Vec<TrackId> {
    client.slots().into_values().filter_map(|slot| slot.track.map(|owner| owner.id)).collect()
}

fn name_of(person: &Person) -> &str {
    &person.client.welcome().member.name
}

fn label(person: &Person, code: Source) -> String {
    format!("the {:?} of {}", source(code), name_of(person))
}

fn name(deed: &Deed) -> &'static str {
    match deed {
        Deed::Join => "join",
        Deed::Publish(_) => "publish",
        Deed::Mute(_, true) => "mute",
        Deed::Mute(_, false) => "unmute",
        Deed::Unpublish(_) => "unpublish",
        Deed::Leave => "leave",
        Deed::Vanish => "vanish",
    }
}

/// One room at a time: twelve clients are enough for this machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn everybody_does_as_they_please(mut config: Config, usual: u64) {
    // Who vanishes is gone: the model knows of nobody who may come back.
    config.rooms.resume_within = Duration::ZERO;
    let _turn = ONE_AT_A_TIME.lock().await;
    let seconds = std::env::var("ROUNDTABLE_MODEL_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(usual);
    let server = Running::start_with(config).await;
    let mut dice = Dice::new("model");
    let people = std::iter::repeat_with(|| None).take(PEOPLE).collect();
    let mut world = World { place: server.place, people, offers: 0, unanswered: 0, deeds: HashMap::new() };
    let (mut rounds, mut pairs) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..1 + dice.below(3) {
            world.round(&mut dice).await;
        }
        world.settle().await;
        pairs += world.compare().await;
        world.compare_slots().await;
        world.count_offers().await;
        rounds += 1;
    }
    let grown = world.present().filter(|person| person.client.growths() > 0).count();
    eprintln!(
        "model: {rounds} comparisons in {:?}, {pairs} times somebody heard a track, no difference; {:?}; {} there at the end, {grown} of them grew seats",
        began.elapsed(),
        world.deeds,
        world.present().count(),
    );
    assert!(seconds < usual || (rounds >= 5 && pairs > 0), "too little was compared to say anything");

    for person in world.people.into_iter().flatten() {
        person.client.leave().await;
    }
    eventually("nothing is left", async || {
        let stats = Stats::of(server.place.http).await;
        let names = ["rooms", "branches", "members", "peers", "paths", "tracks", "relayedTracks", "slots"];
        names.iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_hears_whom_the_model_says() {
    everybody_does_as_they_please(Config::default(), SECONDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_everybody_whose_room_is_on_three_shards() {
    let mut config = Config::default();
    (config.media.shards, config.media.spread_above) = (Some(3), 0);
    everybody_does_as_they_please(config, SECONDS / 2).await;
}
