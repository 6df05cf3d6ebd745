//! The long poll of a room.

use roundtable_protocol::event::RoomCloseReason;
use roundtable_protocol::feed::EventPage;

use super::talk::Talk;
use super::*;
use crate::http::poll::EVENTS_PER_POLL;
use crate::journal::MAX_EVENTS;

async fn poll(site: &Site, query: &str) -> EventPage {
    let answer = site.get(&format!("/api/v1/rooms/r/events?{query}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{query}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_value(answer.json().await).unwrap()
}

fn seqs(page: &EventPage) -> Vec<u64> {
    page.events.iter().map(|event| event.seq).collect()
}

#[tokio::test]
async fn a_poll_waits_for_what_happens_and_gets_it_at_once() {
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let epoch = welcome.state.epoch;
    let first = poll(&site, "wait=30s").await;
    assert_eq!((first.reset.as_ref(), &first.next), (Some(&welcome.state), &format!("{epoch}-1")));
    assert!(first.events.is_empty() && !first.closed);

    let query = format!("after={}&wait=60s", first.next);
    let (page, ()) = tokio::join!(poll(&site, &query), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        site.append("r", speaking(&member("m1"), true));
    });
    assert_eq!((seqs(&page), page.reset, page.next), (vec![2], None, format!("{epoch}-2")));

    let nothing = poll(&site, "after=2&wait=0").await;
    assert_eq!((nothing.events, nothing.next, nothing.closed), (vec![], format!("{epoch}-2"), false));
    let by_header = site.request("GET", "/api/v1/rooms/r/events?after=1", "Accept: application/json\r\n").await;
    assert_eq!(by_header.json().await["events"][0]["seq"], 2, "without a wait it is answered at once");
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let site = Site::start().await;
    let (_ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    for n in 0..1_200 {
        site.append("r", speaking(&member("m1"), n % 2 == 0));
    }
    let (mut next, mut seen) = (format!("{}-1", welcome.state.epoch), vec![]);
    while seen.len() < 1_200 {
        let page = poll(&site, &format!("after={next}&wait=10s")).await;
        assert!(page.reset.is_none() && (1..=EVENTS_PER_POLL).contains(&page.events.len()));
        seen.extend(seqs(&page));
        next = page.next;
    }
    assert!(seen.iter().copied().eq(2..=1_201));
}

#[tokio::test]
async fn a_number_that_means_nothing_resets_and_a_room_that_is_over_says_so() {
    let site = Site::start().await;
    let (ann, welcome) = Talk::enter(&site, "r", "Ann").await;
    let epoch = welcome.state.epoch;
    for _ in 0..MAX_EVENTS {
        site.append("r", speaking(&member("m1"), true));
    }
    for after in
        [format!("{epoch}-0"), format!("{epoch}-9999"), "0".to_owned(), format!("{}-2049", epoch - 1), "x".into()]
    {
        let page = poll(&site, &format!("after={after}&wait=60s")).await;
        assert_eq!(page.reset.map(|state| state.seq), Some(2049), "{after}");
        assert_eq!(page.next, format!("{epoch}-2049"));
    }
    let waiting = format!("after={epoch}-2049&wait=60s");
    let (page, ()) = tokio::join!(poll(&site, &waiting), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        site.append("r", EventBody::RoomClosed { reason: RoomCloseReason::Failed });
    });
    assert_eq!((seqs(&page), page.closed), (vec![2050], true));
    let over = poll(&site, &format!("after={epoch}-2050&wait=60s")).await;
    assert!(over.closed && over.events.is_empty(), "at once, without waiting");
    let late = poll(&site, &format!("after={epoch}-2049&wait=60s")).await;
    assert_eq!((seqs(&late), late.closed), (vec![2050], true));
    drop(ann);
}

#[tokio::test]
async fn polls_that_wait_are_counted_with_the_streams_and_bad_ones_refused() {
    let config = HttpConfig { max_sse_readers: 1, ..HttpConfig::default() };
    let site = Site::with(HubConfig::default(), config).await;
    let (_ann, _) = Talk::enter(&site, "r", "Ann").await;
    let _stream = site.get("/api/v1/rooms/r/events").await;
    site.get("/api/v1/rooms/r/events?after=1&wait=60s").await.problem(503, "server/overloaded").await;
    for query in ["wait=61s", "wait=soon", "wait=-1s"] {
        site.get(&format!("/api/v1/rooms/r/events?{query}")).await.problem(400, "http/query").await;
    }
    site.get("/api/v1/rooms/nobody/events?wait=1s").await.problem(404, "room/unknown").await;
}
