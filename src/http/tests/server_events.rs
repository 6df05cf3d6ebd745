//! The events of all rooms.

use roundtable_protocol::feed::{ServerEvent, ServerEventPage, ServerState};

use super::talk::Talk;
use super::*;
use crate::journal::ledger::MAX_ENTRIES;

const PATH: &str = "/api/v1/events";

async fn poll(site: &Site, query: &str) -> ServerEventPage {
    let answer = site.get(&format!("{PATH}?{query}")).await;
    assert_eq!(answer.status, 200, "{query}");
    serde_json::from_value(answer.json().await).unwrap()
}

/// The next event of a stream: id, name, data. Heartbeats pass.
async fn next(stream: &mut Answer) -> (String, String, String) {
    loop {
        let block = stream.until("\n\n").await.expect("a block");
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        if let (Some(id), Some(name), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
            return (id, name, data);
        }
    }
}

#[tokio::test]
async fn the_events_of_all_rooms_come_with_their_own_numbers_and_the_servers() {
    let site = Site::start().await;
    let (_ann, a) = Talk::enter(&site, "a", "Ann").await;
    let mut stream = site.get(PATH).await;
    let (id, name, data) = next(&mut stream).await;
    let state: ServerState = serde_json::from_str(&data).unwrap();
    assert_eq!((id, name.as_str()), (format!("{}-1", state.boot), "reset"));
    assert_eq!((state.rooms, state.complete, state.number), (vec![a.state.clone()], true, 1));

    let (_bob, b) = Talk::enter(&site, "b", "Bob").await;
    site.append("a", speaking(&member("m1"), true));
    let expected = [(2, "b", b.state.epoch, 1, "joined"), (3, "a", a.state.epoch, 2, "speaking")];
    for (number, room, epoch, seq, kind) in expected {
        let (id, name, data) = next(&mut stream).await;
        let entry: ServerEvent = serde_json::from_str(&data).unwrap();
        assert_eq!((id, name.as_str()), (format!("{}-{number}", state.boot), kind));
        assert_eq!((entry.number, entry.room.as_str(), entry.epoch, entry.event.seq), (number, room, epoch, seq));
    }
    let resumed = site.request("GET", PATH, &format!("Last-Event-ID: {}-2\r\n", state.boot)).await;
    let mut resumed = resumed;
    assert_eq!(next(&mut resumed).await.0, format!("{}-3", state.boot), "exactly what was missed");
    let page = poll(&site, "after=1&wait=30s").await;
    let told: Vec<_> = page.events.iter().map(|entry| (entry.number, entry.event.seq)).collect();
    assert_eq!((told, page.next), (vec![(2, 1), (3, 2)], format!("{}-3", state.boot)));
}

#[tokio::test]
async fn what_is_filtered_out_moves_the_number_on_all_the_same() {
    let config = HttpConfig { sse_heartbeat: Duration::from_millis(50), ..HttpConfig::default() };
    let site = Site::with(HubConfig::default(), config).await;
    let (_ann, _) = Talk::enter(&site, "a", "Ann").await;
    let (_bob, _) = Talk::enter(&site, "b", "Bob").await;
    let mut stream = site.get(&format!("{PATH}?after=0&types=joined,left&room=b&room=c")).await;
    assert_eq!(next(&mut stream).await.1, "joined");
    for n in 0..MAX_ENTRIES {
        site.append("a", speaking(&member("m1"), true));
        if n % 500 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let last = MAX_ENTRIES + 2;
    let beat = loop {
        let block = stream.until("\n\n").await.unwrap();
        assert!(!block.contains("data: "), "nothing of it is wanted, and nothing lost: {block}");
        if block.ends_with(&format!("-{last}")) {
            break block;
        }
    };
    assert!(beat.starts_with(": heartbeat\nid: "), "{beat}");
    let page = poll(&site, &format!("after={last}&wait=0&room=b")).await;
    assert!(page.reset.is_none() && page.events.is_empty());
    let page = poll(&site, "after=0&wait=60s&room=b").await;
    assert_eq!(page.reset.map(|state| state.rooms.len()), Some(1), "too old; only the room asked for");
    let page = poll(&site, "after=1-5&wait=60s").await;
    assert_eq!(page.reset.map(|state| state.rooms.len()), Some(2), "of another start of the server");
    site.get(&format!("{PATH}?types=danced")).await.problem(400, "http/query").await;
    site.get(&format!("{PATH}?room=a%20b")).await.problem(400, "room/bad-id").await;
}

#[tokio::test]
async fn a_stop_ends_streams_and_polls_after_the_last_event() {
    let site = Site::start().await;
    let (_ann, _) = Talk::enter(&site, "a", "Ann").await;
    let mut stream = site.get(&format!("{PATH}?after=1")).await;
    let (page, _) = tokio::join!(poll(&site, "after=1&wait=60s"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        site.hub.stop(Duration::from_secs(1)).await
    });
    assert_eq!(page.events.first().map(|entry| entry.number), Some(2), "how the room ended");
    stream.until("retry: 2000\n\n").await.unwrap();
    let rest = stream.text().await;
    assert!(rest.contains("event: roomClosed"), "{rest}");
    site.get(PATH).await.problem(503, "server/stopping").await;
}
