//! A fault in the media of a room that has gone to another shard, with shards and clients that are real.

use std::time::Instant;

use roundtable_client::{Client, Options, Rewrite, synthetic};
use roundtable_protocol::event::TrackSource::{self, Microphone};
use roundtable_protocol::{RoomId, stats::RoomStats};
use tokio::sync::oneshot;

use super::*;
use crate::shard::inbox::{Command, Inbox};
use crate::shard::stats::ShardStats;
use crate::shard::{ShardConfig, ShardHandle, Sharing, spawn};

/// Generous: others may be using this machine.
const SOON: Duration = Duration::from_secs(20);
/// Packets after which something is taken to be heard.
const ENOUGH: u64 = 20;

/// A server of two shards that evens out every difference.
fn shards() -> Vec<ShardHandle> {
    let config = ShardConfig {
        udp: vec![([127, 0, 0, 1], 0).into()],
        public_ips: Vec::new(),
        loopback: true,
        shards: 2,
        sharing: Sharing::OnePort,
        spread_above: 1_000,
        gather_below: 0,
        rebalance_above: 0,
        store: None,
    };
    spawn(&config, None).unwrap()
}

async fn serve(inboxes: Vec<Inbox>) -> SocketAddr {
    let ice: IceServers = Arc::new(|_| vec![]);
    let hub = Hub::new(HubConfig::default(), inboxes, ice, None, None);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(HttpState::new(hub, HttpConfig::default()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < SOON, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn stats(inbox: &Inbox) -> ShardStats {
    let (reply, stats) = oneshot::channel();
    inbox.send(Command::Stats(reply)).unwrap();
    stats.await.unwrap()
}

/// What a shard knows of a room: nothing, if no part of it is there.
async fn room_on(inbox: &Inbox, room: &RoomId) -> Option<RoomStats> {
    let (reply, stats) = oneshot::channel();
    inbox.send(Command::RoomStats { room: room.clone(), reply }).unwrap();
    stats.await.unwrap()
}

fn heard(client: &Client, of: &Client, source: TrackSource) -> u64 {
    client.received().get(&synthetic::mark(of.member(), source)).map_or(0, |received| received.packets)
}

/// Everybody hears something new of everybody.
async fn all_hear(clients: &[Client; 2]) {
    let [one, other] = clients;
    for (me, of) in [(one, other), (other, one)] {
        let before = heard(me, of, Microphone);
        eventually("they hear each other", async || heard(me, of, Microphone) > before + ENOUGH).await;
    }
}

async fn talkers(address: SocketAddr, room: &RoomId) -> [Client; 2] {
    let mut clients = Vec::new();
    for name in ["Ann", "Bob"] {
        let options = Options::new(format!("ws://{address}/ws"), room.as_str(), name);
        let client = Client::join(Options { rewrite_offer: Some(Rewrite::unmeasured()), ..options }).await.unwrap();
        client.publish(&[Microphone]).await.unwrap();
        clients.push(client);
    }
    clients.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_where_the_media_of_a_room_has_gone_costs_connections_and_not_the_room() {
    let shards = shards();
    let inboxes: Vec<Inbox> = shards.iter().map(ShardHandle::inbox).collect();
    let address = serve(inboxes.clone()).await;
    let [here, there] = [&inboxes[0], &inboxes[1]];
    // Rooms are placed by turns while nobody talks: those of the talkers on the first shard.
    let rooms = ["one", "other", "two"].map(|id| RoomId::new(id).unwrap());
    let mut holders = Vec::new();
    for room in &rooms {
        let url = format!("ws://{address}/ws?room={}", room.as_str());
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let mut holder = talk::Talk { socket };
        holder.hello("Holder").await;
        holder.welcome().await;
        holders.push(holder);
    }
    let [one, _, two] = &rooms;
    let (ones, twos) = (talkers(address, one).await, talkers(address, two).await);
    let gone = async |room: &RoomId| room_on(there, room).await.is_some();
    eventually("one has gone to the other shard", async || {
        stats(there).await.branches == 1 && (gone(one).await || gone(two).await)
    })
    .await;
    let (failing, mut failed, untouched) = match gone(one).await {
        true => (one, ones, twos),
        false => (two, twos, ones),
    };
    all_hear(&failed).await;

    there.send(Command::Fault(failing.clone())).unwrap();
    eventually("all in it are told that their media is lost", async || {
        failed.iter().all(|client| client.ended().is_some())
    })
    .await;
    assert_eq!((stats(there).await.panics, stats(there).await.branches), (1, 0));
    let state = failed[0].state();
    assert_eq!((state.closed, state.members.len()), (false, 3), "the room goes on where it lives");

    let [ann, bob] = failed;
    let back = async |client: Client| client.come_back(true).await.unwrap().0;
    failed = [back(ann).await, back(bob).await];
    all_hear(&failed).await;
    all_hear(&untouched).await;
    failed[0].chat("still here").await.unwrap();
    assert!(failed[1].wait_for(SOON, |client| client.chat_log().iter().any(|l| l.message.text == "still here")).await);
    assert_eq!((stats(here).await.panics, stats(there).await.panics), (0, 1));

    for inbox in &inboxes {
        inbox.send(Command::Stop).unwrap();
    }
    shards.into_iter().for_each(ShardHandle::join);
}
