//! Who is moved to another room goes on with the same peer connection, wherever the two rooms live.

use std::collections::HashMap;
use std::time::Duration;

use roundtable::Config;
use roundtable::protocol::ServerMessage;
use roundtable::protocol::data::DataHeader;
use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable_client::{Client, Options};
use serde_json::json;

use crate::common::http::{Stats, send};
use crate::common::server::Running;
use crate::common::socket::{Heard, RawSocket};
use crate::common::{SOON, eventually, join, mark_of, marks_within};

/// Packets after which something is taken to be heard.
const ENOUGH: u64 = 20;

/// Somebody with microphone and camera, and the marks of what they send, which stay through moves.
struct Talker {
    client: Client,
    marks: [u64; 2],
}

impl Talker {
    async fn join(options: Options) -> Self {
        let client = join(options).await;
        client.publish(&[Microphone, Camera]).await.expect("it may");
        let marks = [Microphone, Camera].map(|source| mark_of(&client, source));
        Self { client, marks }
    }

    /// Waits until sound and picture of another one come.
    async fn hears(&self, other: &Self) {
        let count = || other.marks.map(|mark| self.client.received().get(&mark).map_or(0, |received| received.packets));
        let before = count();
        eventually("sound and picture come", async || {
            count().iter().zip(before).all(|(now, before)| *now >= before + ENOUGH)
        })
        .await;
    }

    /// Is moved by the server's operator, and goes along.
    async fn goes_along(self, server: &Running, from: &str, to: &str) -> Self {
        let Self { client, marks } = self;
        let (ticket, media) = moved(server, &client, from, to).await;
        assert!(media, "the connection is kept");
        let client = client.follow(to, &ticket).await.expect("she is let in with it");
        Self { client, marks }
    }

    /// The last number of each of their slots that has carried something, and how many are missing in all.
    fn numbers(&self) -> (HashMap<u32, u16>, u64) {
        let numbers = self.client.slot_numbers();
        let missing = numbers.values().map(|slot| slot.missing).sum();
        (numbers.into_iter().filter_map(|(ssrc, slot)| Some((ssrc, slot.last?))).collect(), missing)
    }
}

/// Has somebody moved; returns the ticket, and whether the connection is kept.
async fn moved(server: &Running, client: &Client, from: &str, to: &str) -> (String, bool) {
    let mut messages = client.messages();
    let action = json!({"type": "move", "member": client.member(), "room": to});
    let path = format!("/api/v1/rooms/{from}/moderate");
    let answer = send(server.place.http, "POST", &path, "", Some(&action)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = tokio::time::timeout(SOON, async {
        loop {
            if let ServerMessage::Move { ticket, media, .. } = messages.recv().await.expect("she is told") {
                return (ticket, media);
            }
        }
    });
    told.await.expect("soon")
}

async fn peers(server: &Running) -> u64 {
    Stats::of(server.place.http).await.shard("peers")
}

async fn somebody_is_moved_and_back(config: Config) {
    let server = Running::start_with(config).await;
    let bob = Talker::join(server.place.guest("plenum", "Bob")).await;
    let cy = Talker::join(server.place.guest("group", "Cy")).await;
    let ann = Talker::join(server.place.guest("plenum", "Ann")).await;
    ann.hears(&bob).await;
    bob.hears(&ann).await;
    let (path, offers) = (ann.client.path().await, ann.client.offers());
    assert!(offers > 0 && path.contains("fingerprint") && path.contains("ice-ufrag"), "{path}");
    let (before, _) = ann.numbers();
    let known = peers(&server).await;

    let ann = ann.goes_along(&server, "plenum", "group").await;
    assert_eq!(ann.client.path().await, path, "the same certificate and the same ICE session");
    cy.hears(&ann).await;
    ann.hears(&cy).await;
    assert_eq!(peers(&server).await, known, "no other connection was made");
    assert_eq!(ann.client.offers(), 1, "one offer, for what is published; nothing for what is received");
    let (after, missing) = ann.numbers();
    for (ssrc, last) in &before {
        let further = after[ssrc].wrapping_sub(*last);
        assert!(further < 10_000, "numbers go on: {last}, then {}", after[ssrc]);
    }
    assert_eq!(missing, 0, "no number is left out");
    let in_plenum = marks_within(&bob.client, Duration::from_millis(500)).await;
    assert!(!ann.marks.iter().any(|mark| in_plenum.contains(mark)), "in the room she left nothing of her comes");
    for channel in ["chat", "data"] {
        let is_open = |client: &Client| match channel {
            "chat" => client.chat_channel_is_open(),
            _ => client.data_channels_are_open(),
        };
        assert!(ann.client.wait_for(SOON, is_open).await, "{channel}");
    }
    ann.client.chat("hello from the plenum").await.expect("she may");
    let has_come = |client: &Client| client.chat_log().iter().any(|line| line.message.text == "hello from the plenum");
    assert!(cy.client.wait_for(SOON, has_come).await);
    cy.client.chat("welcome").await.expect("he may");
    let over_channel =
        |client: &Client| client.chat_log().iter().any(|l| l.over_channel && l.message.text == "welcome");
    assert!(ann.client.wait_for(SOON, over_channel).await);
    let header = DataHeader { topic: "t".into(), id: None, to: None };
    cy.client.publish_data(&header, b"bytes", false).await.expect("its channel is open");
    eventually("data comes", async || ann.client.take_data().iter().any(|data| data.payload == b"bytes")).await;
    for muted in [true, false] {
        ann.client.mute(Camera, muted).await.expect("she may");
        let is_told = |client: &Client| {
            let tracks = client.state().tracks;
            tracks.iter().any(|t| t.member == *ann.client.member() && t.source == Camera && t.muted == muted)
        };
        assert!(cy.client.wait_for(SOON, is_told).await, "her camera is one of this room");
    }

    let ann = ann.goes_along(&server, "group", "plenum").await;
    bob.hears(&ann).await;
    ann.hears(&bob).await;
    assert_eq!(ann.client.path().await, path, "and back");
    assert_eq!(ann.numbers().1, 0, "no number is left out");
    for talker in [ann, bob, cy] {
        talker.client.leave().await;
    }
    eventually("nothing of them stays", async || {
        let stats = Stats::of(server.place.http).await;
        ["rooms", "members", "peers", "paths", "foreignPaths"].iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_moved_keeps_the_connection() {
    somebody_is_moved_and_back(Config::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_moved_keeps_the_connection_where_every_room_is_on_another_thread() {
    let mut config = Config::default();
    (config.media.shards, config.media.gather_below) = (Some(2), 0);
    somebody_is_moved_and_back(config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_on_the_way_is_replaced_by_another() {
    let server = Running::start().await;
    let place = server.place;
    let ann = Talker::join(place.guest("plenum", "Ann")).await;
    let (ticket, media) = moved(&server, &ann.client, "plenum", "group").await;
    assert!(media);
    assert_eq!(peers(&server).await, 1, "it is kept");
    ann.client.leave().await;
    eventually("it is gone", async || peers(&server).await == 0).await;
    let mut socket = RawSocket::open(place.http, "group").await;
    socket.say(&json!({"type": "hello", "version": 1, "name": "Ann", "token": ticket, "media": true})).await;
    assert_eq!(socket.until("welcome").await["media"], true, "nobody knows yet");
    assert_eq!(socket.until("mediaLost").await["code"], "ice/consent");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_connection_any_more_makes_another() {
    let server = Running::start().await;
    let place = server.place;
    let (mut ann, welcome) = RawSocket::enter(place.http, "plenum", "Ann").await;
    let action = json!({"type": "move", "member": welcome["member"]["id"], "room": "group"});
    send(place.http, "POST", "/api/v1/rooms/plenum/moderate", "", Some(&action)).await;
    let told = ann.until("move").await;
    assert!(told.get("media").is_none(), "there was none");
    let mut socket = RawSocket::open(place.http, "group").await;
    let hello = json!({"type": "hello", "version": 1, "name": "Ann", "token": told["ticket"], "media": true});
    socket.say(&hello).await;
    let Heard::Said(welcome) = socket.hear().await else { panic!("she is let in") };
    assert!(welcome["type"] == "welcome" && welcome.get("media").is_none(), "{welcome}");

    // One who says nothing of it gets none, and what was kept waits for nobody once she closes it.
    let bea = Talker::join(place.guest("plenum", "Bea")).await;
    let (ticket, _) = moved(&server, &bea.client, "plenum", "group").await;
    let (_bea, welcome) = RawSocket::enter_with(place.http, "group", "Bea", &ticket).await;
    assert!(welcome.get("media").is_none(), "{welcome}");
    bea.client.leave().await;
    eventually("it is gone", async || peers(&server).await == 0).await;
    server.stop().await;
}
