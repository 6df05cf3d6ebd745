//! Rooms go from a busy shard to one with less to do, and nobody in them notices.

use roundtable::Config;
use roundtable::config::Sharing;
use roundtable::protocol::data::DataHeader;
use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable_client::Client;

use crate::common::http::{self, Stats};
use crate::common::server::Running;
use crate::common::socket::RawSocket;
use crate::common::{SOON, eventually, heard, join};

/// Packets after which something is taken to be heard.
const ENOUGH: u64 = 20;
const MEMBERS: usize = 2;
/// Rooms in which somebody talks.
const ROOMS: usize = 3;

/// A server of two shards that evens out every difference.
async fn server(sharing: Sharing) -> Running {
    let mut config = Config::default();
    (config.media.shards, config.media.sharing) = (Some(2), sharing);
    (config.media.gather_below, config.media.rebalance_above) = (0, 0);
    Running::start_with(config).await
}

/// A room of talkers.
struct Talk {
    room: String,
    members: Vec<Client>,
    /// What [`Talk::connections`] were when they began.
    begun: Vec<(String, u32)>,
}

impl Talk {
    async fn begin(server: &Running, room: &str) -> Self {
        let mut talk = Self { room: room.to_owned(), members: Vec::new(), begun: Vec::new() };
        for n in 0..MEMBERS {
            talk.join(server, &format!("Guest {n}")).await;
        }
        talk.begun = talk.connections().await;
        talk
    }

    async fn join(&mut self, server: &Running, name: &str) {
        let client = join(server.place.guest(&self.room, name)).await;
        client.publish(&[Microphone, Camera]).await.expect("it may");
        self.members.push(client);
    }

    async fn everybody_hears_everybody(&self) {
        let pairs = self.members.iter().flat_map(|me| self.members.iter().map(move |of| (me, of)));
        let others = pairs.filter(|(me, of)| me.member() != of.member());
        let flows = others.flat_map(|(me, of)| [Microphone, Camera].map(|source| (me, of, source)));
        let flows: Vec<_> = flows.map(|(me, of, source)| (me, of, source, heard(me, of, source) + ENOUGH)).collect();
        for (me, of, source, goal) in flows {
            eventually("it is heard and seen", async || heard(me, of, source) > goal).await;
        }
    }

    /// The certificate and ICE session of each, and how often they offered.
    async fn connections(&self) -> Vec<(String, u32)> {
        let mut connections = Vec::new();
        for client in &self.members {
            connections.push((client.path().await, client.offers()));
        }
        connections
    }

    fn missing(&self) -> u64 {
        self.members.iter().flat_map(|client| client.slot_numbers().into_values()).map(|slot| slot.missing).sum()
    }

    async fn words_and_data_come(&self, text: &str) {
        let [first, .., last] = &self.members[..] else { panic!("there are several") };
        first.chat(text).await.expect("it may");
        let has_come = |client: &Client| client.chat_log().iter().any(|l| l.over_channel && l.message.text == text);
        assert!(last.wait_for(SOON, has_come).await, "{text}");
        let header = DataHeader { topic: "t".into(), id: None, to: None };
        last.publish_data(&header, text.as_bytes(), false).await.expect("its channel is open");
        let is_it = |payload: &[u8]| payload == text.as_bytes();
        eventually("data comes", async || first.take_data().iter().any(|data| is_it(&data.payload))).await;
        for muted in [true, false] {
            first.mute(Camera, muted).await.expect("it may");
            let is_told = |client: &Client| {
                let tracks = client.state().tracks;
                tracks.iter().any(|t| t.member == *first.member() && t.source == Camera && t.muted == muted)
            };
            assert!(last.wait_for(SOON, is_told).await, "muted {muted}");
        }
    }

    async fn end(self) {
        for client in self.members {
            client.leave().await;
        }
    }
}

/// A figure of each shard.
async fn figure(server: &Running, name: &str) -> Vec<u64> {
    Stats::of(server.place.http).await.of_each(name)
}

async fn a_room_goes_where_there_is_less_to_do(sharing: Sharing) {
    let server = server(sharing).await;
    // Rooms are placed by turns, so that all who talk are on the first shard.
    let mut holders = Vec::new();
    for n in 0..2 * ROOMS {
        holders.push(RawSocket::enter(server.place.http, &format!("room-{n}"), "Holder").await);
    }
    let mut talks = Vec::new();
    for n in 0..ROOMS {
        talks.push(Talk::begin(&server, &format!("room-{}", 2 * n)).await);
    }
    eventually("one has gone to the other shard", async || {
        figure(&server, "stagesLeft").await[0] >= 1 && figure(&server, "peers").await[1] >= MEMBERS as u64
    })
    .await;
    for talk in &talks {
        talk.everybody_hears_everybody().await;
        assert_eq!(talk.connections().await, talk.begun, "nobody makes another connection, or offers anything");
        talk.words_and_data_come("after it has moved").await;
        let stats = http::json(server.place.http, &format!("/api/v1/rooms/{}/stats", talk.room)).await;
        assert_eq!(stats["members"].as_array().map(Vec::len), Some(MEMBERS + 1), "{stats}");
        assert_eq!(talk.missing(), 0, "no number is left out in {}", talk.room);
    }
    // ICE goes on by ufrags that name the old shard, and begins anew with others.
    for mut talk in talks {
        talk.join(&server, "Late").await;
        talk.everybody_hears_everybody().await;
        talk.members.remove(1).leave().await;
        talk.everybody_hears_everybody().await;
        assert_eq!(talk.missing(), 0, "no number is left out in {}", talk.room);
        talk.members[0].restart_ice().await.expect("it may");
        talk.everybody_hears_everybody().await;
        assert_eq!(figure(&server, "relayedTracks").await, [0, 0], "each room is on one shard");
        talk.end().await;
    }
    for (holder, _) in holders {
        holder.close(1000).await;
    }
    eventually("nothing of them stays", async || {
        let stats = Stats::of(server.place.http).await;
        let names =
            ["rooms", "branches", "members", "peers", "tracks", "slots", "paths", "foreignPaths", "passedUfrags"];
        names.iter().all(|name| stats.shard(name) == 0)
    })
    .await;
    let stats = Stats::of(server.place.http).await;
    assert_eq!((stats.dropped("full-lane"), stats.shard("panics")), (0, 0), "{stats:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_goes_where_there_is_less_to_do_though_the_port_is_shared_blindly() {
    a_room_goes_where_there_is_less_to_do(Sharing::OnePort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_goes_where_there_is_less_to_do_and_the_kernel_is_told() {
    a_room_goes_where_there_is_less_to_do(Sharing::Steered).await;
}
