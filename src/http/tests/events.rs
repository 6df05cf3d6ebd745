//! The event stream.

use futures_util::future::join_all;
use roundtable_protocol::RoomState;
use roundtable_protocol::event::RoomCloseReason;

use super::talk::Talk;
use super::*;
use crate::journal::MAX_EVENTS;

const PATH: &str = "/api/v1/rooms/r/events";

/// One block of a stream: its fields, in order.
fn fields(block: &str) -> Vec<(&str, &str)> {
    block.lines().map(|line| line.split_once(": ").unwrap()).collect()
}

impl Answer {
    /// The next event: id, name and data.
    async fn sse(&mut self) -> (String, String, serde_json::Value) {
        let block = self.until("\n\n").await.expect("a block");
        match fields(&block)[..] {
            [("id", id), ("event", name), ("data", data)] => {
                (id.to_owned(), name.to_owned(), serde_json::from_str(data).unwrap())
            }
            _ => panic!("{block:?}"),
        }
    }

    async fn retry(&mut self) {
        assert_eq!(self.status, 200, "{}", self.head);
        assert_eq!(self.until("\n\n").await.unwrap(), "retry: 2000");
    }

    /// Expects a reset, and gives its state.
    async fn reset(&mut self) -> RoomState {
        self.retry().await;
        let (id, name, data) = self.sse().await;
        assert_eq!(name, "reset");
        let state: RoomState = serde_json::from_value(data).unwrap();
        assert_eq!(id, format!("{}-{}", state.epoch, state.seq));
        state
    }
}

async fn resume(site: &Site, id: &str) -> Answer {
    site.request("GET", PATH, &format!("Last-Event-ID: {id}\r\n")).await
}

#[tokio::test]
async fn a_stream_begins_with_the_room_and_goes_on_with_what_happens() {
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let mut stream = site.get(PATH).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    assert_eq!(stream.reset().await, welcome.state);

    for seq in 2..200_u64 {
        site.append("r", speaking(&member("m1"), seq % 2 == 0));
        if seq % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for seq in 2..200 {
        let (id, name, data) = stream.sse().await;
        assert_eq!((id, name.as_str()), (format!("{}-{seq}", welcome.state.epoch), "speaking"));
        let event: Event = serde_json::from_value(data).unwrap();
        assert_eq!(event, Event { seq, at: 1_000, body: speaking(&member("m1"), seq % 2 == 0) });
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_exactly_what_it_missed() {
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let epoch = welcome.state.epoch;
    for n in 0..99 {
        site.append("r", speaking(&member("m1"), n % 2 == 0));
    }
    for last in [0, 1, 57, 99] {
        let by_header = resume(&site, &format!("{epoch}-{last}")).await;
        let by_query = site.get(&format!("{PATH}?lastEventId={epoch}-{last}")).await;
        for mut stream in [by_header, by_query] {
            stream.retry().await;
            for seq in last + 1..=100 {
                assert_eq!(stream.sse().await.0, format!("{epoch}-{seq}"));
            }
        }
    }
    let mut stream = resume(&site, &format!("{epoch}-100")).await;
    stream.retry().await;
    site.append("r", speaking(&member("m1"), true));
    assert_eq!(stream.sse().await.0, format!("{epoch}-101"), "who missed nothing waits for the next");
    let mut both =
        site.request("GET", &format!("{PATH}?lastEventId={epoch}-1"), &format!("Last-Event-ID: {epoch}-100\r\n")).await;
    both.retry().await;
    assert_eq!(both.sse().await.0, format!("{epoch}-101"), "the browser's header is newer than the page's query");
}

#[tokio::test]
async fn an_id_that_means_nothing_here_resets() {
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let epoch = welcome.state.epoch;
    for _ in 0..MAX_EVENTS {
        site.append("r", speaking(&member("m1"), true));
    }
    let other = epoch - 1;
    for id in [
        &*format!("{epoch}-0"),
        &format!("{epoch}-2050"),
        &format!("{other}-2049"),
        "x",
        "1",
        "-",
        &format!("{epoch}-x"),
    ] {
        let state = resume(&site, id).await.reset().await;
        assert_eq!((state.epoch, state.seq, state.members.len()), (epoch, 2049, 1), "{id}");
    }
}

#[tokio::test]
async fn a_silent_stream_gets_a_heartbeat() {
    let config = HttpConfig { sse_heartbeat: Duration::from_millis(30), ..HttpConfig::default() };
    let site = Site::with(HubConfig::default(), config).await;
    let (_ann, _) = Talk::enter(&site, "r", "Ann").await;
    let mut stream = site.get(PATH).await;
    stream.reset().await;
    for _ in 0..3 {
        assert_eq!(stream.until("\n\n").await.unwrap(), ": heartbeat");
    }
    site.append("r", speaking(&member("m1"), true));
    let next = loop {
        let block = stream.until("\n\n").await.unwrap();
        if !block.starts_with(':') {
            break block;
        }
    };
    assert_eq!(fields(&next)[1], ("event", "speaking"));
}

#[tokio::test]
async fn a_stream_ends_with_its_room_and_is_not_begun_again() {
    let site = Site::start().await;
    let (ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let epoch = welcome.state.epoch;
    let mut stream = site.get(PATH).await;
    stream.reset().await;
    drop(ann);
    assert_eq!(stream.sse().await.1, "left");
    let (id, name, data) = stream.sse().await;
    assert_eq!((id, name.as_str(), data["reason"].as_str()), (format!("{epoch}-3"), "roomClosed", Some("empty")));
    assert_eq!(stream.text().await, "", "nothing follows");

    assert_eq!(resume(&site, &format!("{epoch}-3")).await.status, 204);
    assert_eq!(resume(&site, "1-1").await.status, 204, "an older life of it");
    site.get(PATH).await.problem(404, "room/unknown").await;
    let mut late = resume(&site, &format!("{epoch}-1")).await;
    late.retry().await;
    assert_eq!((late.sse().await.1.as_str(), late.sse().await.1.as_str()), ("left", "roomClosed"));
    assert_eq!(late.text().await, "");

    let (_bob, welcome) = Talk::enter(&site, "r", "Bob").await;
    assert!(welcome.state.epoch > epoch);
    let state = resume(&site, &format!("{epoch}-3")).await.reset().await;
    assert_eq!(state, welcome.state, "the room lives again, and starts the reader afresh");
}

#[tokio::test]
async fn streams_are_counted() {
    let config = HttpConfig { max_sse_readers: 2, ..HttpConfig::default() };
    let site = Site::with(HubConfig::default(), config).await;
    let (_ann, _) = Talk::enter(&site, "r", "Ann").await;
    let mut streams = [site.get(PATH).await, site.get(PATH).await];
    for stream in &mut streams {
        stream.reset().await;
    }
    assert_eq!(site.get("/api/v1/stats").await.json().await["eventReaders"], 2);
    site.get(PATH).await.problem(503, "server/overloaded").await;
    drop(streams);
    let freed = async {
        while site.get(PATH).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("a place becomes free");
}

#[tokio::test]
async fn there_is_no_stream_without_a_room() {
    let site = Site::start().await;
    site.get(PATH).await.problem(404, "room/unknown").await;
    site.get("/api/v1/rooms/a%20b/events").await.problem(400, "room/bad-id").await;
    site.get("/api/v1/rooms/%ff/events").await.problem(400, "room/bad-id").await;
}

#[tokio::test]
async fn a_failed_room_ends_its_streams_too() {
    let site = Site::start().await;
    let (_ann, _) = Talk::enter(&site, "r", "Ann").await;
    let mut stream = site.get(PATH).await;
    stream.reset().await;
    site.append("r", EventBody::RoomClosed { reason: RoomCloseReason::Failed });
    assert_eq!(stream.sse().await.1, "roomClosed");
    assert_eq!(stream.text().await, "");
}

#[tokio::test]
async fn five_hundred_missed_events_come_exactly() {
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let epoch = welcome.state.epoch;
    for n in 0..500 {
        site.append("r", speaking(&member("m1"), n % 2 == 0));
    }
    let mut stream = resume(&site, &format!("{epoch}-1")).await;
    stream.retry().await;
    for seq in 2..=501_u64 {
        let (id, _, data) = stream.sse().await;
        let event: Event = serde_json::from_value(data).unwrap();
        assert_eq!(
            (id, &event),
            (format!("{epoch}-{seq}"), &Event { seq, at: 1_000, body: speaking(&member("m1"), seq % 2 == 0) })
        );
    }
    site.append("r", speaking(&member("m1"), true));
    assert_eq!(stream.sse().await.0, format!("{epoch}-502"), "and then the next");
}

#[tokio::test]
async fn a_hundred_readers_that_come_back_at_once_lose_nothing() {
    const READERS: u64 = 100;
    const EVENTS: u64 = 400;
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let epoch = welcome.state.epoch;
    let write = async {
        for n in 0..EVENTS {
            site.append("r", speaking(&member("m1"), n % 2 == 0));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let read = async |reader: u64| {
        let mut last = 1;
        // Cut off twice, at a place of its own each time, and back within a tenth of a second.
        for cut in [50 + reader, 150 + reader, EVENTS + 1] {
            let mut stream = resume(&site, &format!("{epoch}-{last}")).await;
            stream.retry().await;
            while last < cut {
                let (id, name, _) = stream.sse().await;
                last += 1;
                assert_eq!((id, name.as_str()), (format!("{epoch}-{last}"), "speaking"));
            }
            drop(stream);
            tokio::time::sleep(Duration::from_millis(reader)).await;
        }
        last
    };
    let ((), reached) = tokio::join!(write, join_all((0..READERS).map(read)));
    assert!(reached.iter().all(|last| *last == EVENTS + 1), "{reached:?}");
}
