//! Many microphones in one room, end to end: only the loudest few of them reach anybody.

use std::collections::HashSet;
use std::time::Duration;

use roundtable::Config;
use roundtable::protocol::event::TrackSource::Microphone;
use roundtable_client::Client;
use roundtable_client::synthetic::AudioShape;

use crate::common::server::{Place, Running};
use crate::common::{eventually, join, mark_of, marks_within};

/// More than are forwarded all.
const PEOPLE: usize = 10;
/// Levels in −dBov of those who are to be heard, and of the others, who are loud enough to be heard were they alone.
const LOUD: u8 = 15;
const QUIET: u8 = 40;

/// People of whom the first `loud` are loud and the rest are not; `seats` as many as each can see.
async fn gather(place: Place, loud: usize, seats: u16) -> Vec<Client> {
    let mut clients = Vec::new();
    for n in 0..PEOPLE {
        let mut guest = place.guest("hall", &format!("Guest {n}"));
        (guest.max_seats, guest.voice_slots) = (seats, true);
        guest.audio = AudioShape { level: Some(if n < loud { LOUD } else { QUIET }), ..AudioShape::TALK };
        let client = join(guest).await;
        client.publish(&[Microphone]).await.expect("it may");
        clients.push(client);
    }
    clients
}

/// Waits until everybody hears the first `loud` of them and nobody else.
async fn until_only_the_loud_are_heard(clients: &[Client], loud: usize) {
    let expected = |me: &Client| -> HashSet<u64> {
        let others = clients[..loud].iter().filter(|of| of.member() != me.member());
        others.map(|of| mark_of(of, Microphone)).collect()
    };
    eventually("everybody hears the loudest and nobody else", async || {
        let windows = clients.iter().map(|me| marks_within(me, Duration::from_millis(500)));
        let heard = futures_util::future::join_all(windows).await;
        clients.iter().zip(heard).all(|(me, heard)| heard == expected(me))
    })
    .await;
}

/// How many talkers `me` hears on voice slots, if packets name exactly those as their sources, as signalling tells.
fn voices_named(me: &Client, talkers: &[Client]) -> Option<usize> {
    let (slots, received) = (me.slots(), me.received());
    let owners = slots.values().filter_map(|slot| slot.track.as_ref());
    let named: Vec<_> = owners.filter_map(|owner| Some((&owner.member, owner.csrc?))).collect();
    let is_named = |of: &Client| {
        let told = named.iter().find(|(member, _)| *member == of.member()).map(|&(_, csrc)| csrc);
        received.get(&mark_of(of, Microphone)).is_none_or(|received| received.csrc == told)
    };
    talkers.iter().all(is_named).then_some(named.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_microphones_three_reach_everybody_on_seats() {
    let server = Running::start().await;
    let clients = gather(server.place, 3, 48).await;
    assert!(clients.iter().all(|client| client.welcome().voice_slots == 3));
    until_only_the_loud_are_heard(&clients, 3).await;
    let has_seats_only = |me: &Client| voices_named(me, &clients[..3]) == Some(0);
    eventually("each has a seat for each", async || clients.iter().all(has_seats_only)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_are_heard_is_a_setting_and_who_has_no_seat_is_heard_on_a_voice_slot() {
    let mut config = Config::default();
    config.limits.voice_slots = 4;
    let server = Running::start_with(config).await;
    let clients = gather(server.place, 4, 2).await;
    assert!(clients.iter().all(|client| client.welcome().voice_slots == 4));
    until_only_the_loud_are_heard(&clients, 4).await;
    let has_voices = |me: &Client| voices_named(me, &clients[..4]).is_some_and(|voices| voices > 0);
    eventually("nobody has seats for all", async || clients.iter().all(has_voices)).await;
    server.stop().await;
}
