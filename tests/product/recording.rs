//! A call on a real server is recorded, and the recording tells what was decided in it.

use std::path::Path;

use roundtable::Config;
use roundtable::config::RecordConfig;
use roundtable::protocol::RoomId;
use roundtable::protocol::event::TrackSource::{Camera, Microphone};
use roundtable::replay::{ReplayError, ReplayOptions, print};
use serde_json::Value;

use crate::common::scratch::Folder;
use crate::common::server::Running;
use crate::common::{eventually, heard, join};

fn replayed(options: &ReplayOptions) -> String {
    let mut out = Vec::new();
    print(options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Lets two meet and hear each other, with the room `wanted` recorded.
async fn call(file: &Path, wanted: Option<&str>) {
    let room = wanted.map(|name| RoomId::new(name).unwrap());
    let record = Some(RecordConfig { path: file.to_owned(), room, max_bytes: 1 << 20 });
    let server = Running::start_with(Config { record, ..Config::default() }).await;
    let other = join(server.place.guest("lobby", "Eve")).await;
    let ann = join(server.place.guest("two", "Ann")).await;
    let bob = join(server.place.guest("two", "Bob")).await;
    ann.publish(&[Microphone, Camera]).await.unwrap();
    eventually("Bob sees Ann", async || heard(&bob, &ann, Camera) >= 100 && heard(&bob, &ann, Microphone) >= 50).await;
    // Who comes back cannot begin with what was before.
    ann.mute(Camera, true).await.unwrap();
    ann.mute(Camera, false).await.unwrap();
    let before = heard(&bob, &ann, Camera);
    eventually("Bob sees Ann again", async || heard(&bob, &ann, Camera) >= before + 50).await;
    drop((other, ann, bob));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_call_tells_who_asked_for_a_keyframe_and_who_began_with_it() {
    let folder = Folder::new("recorded");
    let file = folder.path().join("trace");
    call(&file, Some("two")).await;
    let options = ReplayOptions { file: file.clone(), ..ReplayOptions::default() };
    let text = replayed(&options);
    for what in [" choice ", " wish ", " asks ", " begins "] {
        assert!(text.contains(what), "{what} is missing in\n{text}");
    }
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("# ") && last.contains(" calls in ") && !last.contains("cut"), "{last}");
    assert_eq!(text, replayed(&options), "the same each time");

    let json = replayed(&ReplayOptions { json: true, ..options.clone() });
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), text.lines().count() - 1, "one for each decision");
    let peer = lines.iter().find(|line| line["what"] == "begins").and_then(|line| line["peer"].as_u64()).unwrap();
    let of_peer = replayed(&ReplayOptions { json: true, peer: Some(peer as u32), ..options.clone() });
    assert!(of_peer.lines().count() < lines.len() && of_peer.contains("\"what\":\"begins\""));
    assert!(of_peer.lines().all(|line| line.contains(&format!("\"peer\":{peer},"))), "{of_peer}");

    // Who was cut off while writing is told where, after all that is known.
    let trace = std::fs::read(&file).unwrap();
    std::fs::write(&file, &trace[..trace.len() - 1]).unwrap();
    let mut out = Vec::new();
    let error = print(&options, &mut out).unwrap_err();
    assert!(matches!(&error, ReplayError::Trace { source, .. } if source.offset <= trace.len()), "{error}");
    assert!(String::from_utf8(out).unwrap().contains(" begins "), "what came before is printed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_name_the_first_room_is_recorded() {
    let folder = Folder::new("first");
    let file = folder.path().join("trace");
    call(&file, None).await;
    let text = replayed(&ReplayOptions { file: file.clone(), ..ReplayOptions::default() });
    assert!(!text.contains(" begins "), "the lobby, where nobody shows anything:\n{text}");
}
