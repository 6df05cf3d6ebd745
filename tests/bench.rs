//! `roundtable bench` as its users meet it: load flows, and the figures can be read by programs.

use std::process::Command;

use serde_json::Value;

fn bench(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    let output = command.arg("bench").args(arguments).env_clear().output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), said + &String::from_utf8(output.stderr).unwrap())
}

/// The figures of the one run. Whether it counts depends on what else the machine does, so nothing is asserted of that.
fn figures(arguments: &[&str]) -> Value {
    document(arguments)["runs"][0].clone()
}

fn document(arguments: &[&str]) -> Value {
    let (_, said) = bench(arguments);
    let document: Value = serde_json::from_str(&said).expect(&said);
    assert_eq!(document["scenario"], arguments[0]);
    assert!(document["machine"]["kernel"].is_string());
    document
}

#[test]
fn a_picture_reaches_everybody_who_watches() {
    let run = figures(&["fan-out", "--subscribers", "3", "--seconds", "2", "--warmup", "1", "--json"]);
    assert_eq!((&run["members"], &run["ended"], &run["bad"]), (&4.into(), &0.into(), &0.into()), "{run}");
    assert_eq!((run["lossPercent"].as_f64(), run["missingPercent"].as_f64()), (Some(0.0), Some(0.0)), "{run}");
    let delivered = run["delivered"].as_u64().unwrap();
    // Five packets or six a frame, thirty frames a second, to three: 900 to 1080.
    assert!((600..1_500).contains(&delivered), "{run}");
    assert_eq!(run["latencyMs"]["count"].as_u64(), Some(delivered));
    for load in ["server", "generator"] {
        assert!(run[load]["microsPerPacket"].is_f64(), "{run}");
    }
}

#[test]
fn the_bare_loop_forwards_the_same_beside_the_server() {
    let short = ["--seconds", "1", "--warmup", "1", "--compare", "--json"];
    let document = document(&[&["meetings", "--rooms", "2", "--members", "3"][..], &short].concat());
    for (rival, name) in document["beside"].as_array().unwrap().iter().zip(["floor, segmented", "floor, plain"]) {
        let run = &rival["runs"][0];
        assert_eq!((&rival["name"], &run["members"], &run["bad"]), (&name.into(), &6.into(), &0.into()), "{rival}");
        assert_eq!((run["lossPercent"].as_f64(), run["missingPercent"].as_f64()), (Some(0.0), Some(0.0)), "{rival}");
        // From each of six to two others, 50 packets of sound and at least 60 of a picture in the second.
        assert!((1_200..1_800).contains(&run["delivered"].as_u64().unwrap()), "{rival}");
    }
    assert_eq!(document["beside"].as_array().unwrap().len(), 2);
}

#[test]
fn everybody_in_a_meeting_hears_and_sees_the_others() {
    let run = figures(&["meetings", "--rooms", "1", "--members", "3", "--seconds", "2", "--warmup", "2", "--json"]);
    assert_eq!((&run["members"], &run["ended"], &run["bad"]), (&3.into(), &0.into(), &0.into()), "{run}");
    assert_eq!(run["lossPercent"].as_f64(), Some(0.0), "{run}");
    assert!(run["delivered"].as_u64().unwrap() > 600, "sound alone is 50 a second, from two to each of three: {run}");
}

#[test]
fn who_joins_beside_a_flood_gets_in_and_the_flood_does_not() {
    let run = |addresses| {
        let flood = ["--flood", "200", "--flood-addresses", addresses, "--server-args=--dev=true"];
        let run = figures(&[&["joins", "--seconds", "2", "--warmup", "0", "--json"][..], &flood].concat());
        assert!(run["joinMs"]["count"].as_u64().unwrap() > 0, "{run}");
        let end = |name: &str| run["flood"][name].as_u64().unwrap();
        assert_eq!((end("letIn"), end("failed")), (0, 0), "{run}");
        (end("limited"), end("refused"))
    };
    let (limited, refused) = run("1");
    assert!(limited > 0 && refused > 0, "one address has a burst, and no more: {limited} and {refused}");
    let (limited, refused) = run("60000");
    assert!(
        limited == 0 && refused > 0,
        "as many addresses have each of their tokens looked at: {limited} and {refused}"
    );
}

#[test]
fn a_server_that_is_not_there_is_a_fault_and_a_wrong_word_a_usage_error() {
    let (code, said) = bench(&["fan-out", "--url", "ws://127.0.0.1:9/ws", "--seconds", "1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no connection to the server"), "{said}");
    let (code, said) = bench(&["fan-in"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = bench(&["fan-out", "--subscribers", "0"]);
    assert_eq!(code, Some(2), "{said}");
}

/// Twenty connections over one transport, both readings; whether the figures count depends on the machine, but not what came.
fn events(transport: &str, further: &[&str]) -> Vec<Value> {
    let short = ["--connections", "20", "--rate", "40", "--seconds", "1", "--warmup", "1", "--json"];
    let document = document(&[&["events", "--transport", transport][..], &short, further].concat());
    let runs = document["runs"].as_array().unwrap().clone();
    assert_eq!(runs.len(), 2);
    for (run, (reading, delivered)) in runs.iter().zip([("broadcast", 800), ("single", 40)]) {
        assert_eq!((&run["reading"], &run["delivered"]), (&reading.into(), &delivered.into()), "{run}");
        for wrong in ["lost", "doubled", "astray", "beside", "refusals", "ended"] {
            assert_eq!(run[wrong], 0, "{wrong}: {run}");
        }
        assert_eq!(run["latencyMs"]["count"], delivered, "{run}");
        assert!(run["serverCpuSeconds"].as_f64() > Some(0.0) && run["memory"]["kibPerMember"].is_f64(), "{run}");
    }
    runs
}

#[test]
fn every_message_comes_once_over_websockets() {
    assert_eq!(events("websocket", &[])[0]["rooms"], 1);
}

#[test]
fn every_message_comes_once_over_event_streams() {
    assert_eq!(events("sse", &[])[1]["rooms"], 20, "each reader has a room of its own, or it would get them all");
}

#[test]
fn every_message_comes_once_over_data_channels() {
    events("data", &[]);
}

#[test]
fn a_reader_that_stalls_is_told_apart_from_the_others() {
    let short = ["--connections", "5", "--rate", "20", "--seconds", "1", "--warmup", "0", "--stalled", "1", "--json"];
    let document = document(&[&["events", "--transport", "sse", "--reading", "broadcast"][..], &short].concat());
    let run = &document["runs"][0];
    assert_eq!((&run["lost"], &run["delivered"]), (&0.into(), &160.into()), "two windows of twenty to four: {run}");
    assert_eq!((&run["stalled"]["count"], &run["stalled"]["latencyMs"]["count"]), (&1.into(), &80.into()), "{run}");
    assert!(run["stalled"]["p99ChangePercent"].is_f64(), "{run}");
}
