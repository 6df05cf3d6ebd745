//! Keeps the house as `docs/ARCHITECTURE.md` draws it: reads the sources and fails where they break a rule.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use circles::check_circles;
use rules::{Breach, check_length, check_manifest, check_source};

/// Folders that hold no sources of ours.
const NOT_OURS: [&str; 4] = ["target", "node_modules", "dist", ".git"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of ours with one of these endings, by its path from the root.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !NOT_OURS.contains(&&*name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
                let short = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((short, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Whether a module for tests only holds the file.
fn is_for_tests(path: &str, for_tests: &[String]) -> bool {
    for_tests.iter().any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
}

/// The modules for tests only that a file declares, as paths without their ending.
fn declared_for_tests((path, text): &(String, String)) -> Vec<String> {
    let path = Path::new(path);
    let parent = path.parent().unwrap_or(Path::new(""));
    let home = match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") | None => parent.to_owned(),
        Some(stem) => parent.join(stem),
    };
    source::test_modules(text).iter().map(|name| home.join(name).to_string_lossy().into_owned()).collect()
}

fn assert_none(breaches: &[Breach]) {
    let list: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "the rules of docs/ARCHITECTURE.md are broken:\n{}", list.join("\n"));
}

#[test]
fn the_sources_keep_the_rules() {
    let sources = files(&["rs"]);
    assert!(sources.iter().any(|(path, _)| path == "src/lib.rs"), "the sources were not found");
    let for_tests: Vec<String> = sources.iter().flat_map(declared_for_tests).collect();
    let check = |(path, text): &(String, String)| match is_for_tests(path, &for_tests) {
        true => check_length(path, text),
        false => check_source(path, text),
    };
    assert_none(&sources.iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let sources = files(&["rs"]);
    let for_tests: Vec<String> = sources.iter().flat_map(declared_for_tests).collect();
    let mut crates: BTreeMap<String, Vec<&(String, String)>> = BTreeMap::new();
    for source in sources.iter().filter(|(path, _)| !is_for_tests(path, &for_tests)) {
        if let Some((root, _)) = format!("/{}", source.0).split_once("/src/") {
            crates.entry(format!("{root}/src/").trim_start_matches('/').to_owned()).or_default().push(source);
        }
    }
    assert!(crates.contains_key("src/") && crates.contains_key("crates/media/src/"), "the sources were not found");
    assert_none(&crates.iter().flat_map(|(folder, sources)| check_circles(folder, sources)).collect::<Vec<_>>());
}

#[test]
fn the_crates_depend_downwards() {
    let manifests = files(&["toml"]);
    assert_none(&manifests.iter().flat_map(|(path, text)| check_manifest(path, text)).collect::<Vec<_>>());
}

#[test]
fn the_web_sources_are_short_enough_to_read() {
    let mut sources = files(&["ts", "tsx", "css"]);
    // Nobody reads what was made from `crates/protocol`.
    sources.retain(|(path, _)| path != "web/sdk/src/protocol.ts");
    assert_none(&sources.iter().flat_map(|(path, text)| check_length(path, text)).collect::<Vec<_>>());
}

/// The lines of the breaches of a literal source.
fn lines(path: &str, text: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = check_source(path, text).iter().map(|breach| breach.line).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn an_import_that_points_up_is_found() {
    assert_eq!(lines("src/room/mod.rs", "use crate::net::demux;\n"), [1], "a neighbour");
    assert_eq!(lines("src/room/mod.rs", "\nuse crate::shard::inbox::{Command, Join};\n"), [2]);
    assert_eq!(lines("src/hub/mod.rs", "use crate::{journal::Journal, http, shard::{inbox, stats}, signal};"), [1, 1]);
    assert_eq!(lines("src/hub/rooms.rs", "fn f() {\n    crate::signal::ws::g();\n}"), [2], "without a use");
    assert_eq!(lines("src/hub/rooms.rs", "use super::super::http::router;"), [1]);
    assert_eq!(lines("src/turn/mod.rs", "use super::{config, telemetry};"), [1]);
    assert_eq!(lines("src/cellar.rs", "fn f() {}"), [1], "a module without a floor");
    assert_eq!(lines("src/hub/mod.rs", "use crate::cellar::wine;"), [1]);
}

#[test]
fn an_import_that_points_down_is_fine() {
    let down = "use crate::hub::Hub;\nuse crate::{journal::Journal, shard::inbox::{Command, Join}};\nuse super::Outer;";
    assert_eq!(lines("src/signal/ws/mod.rs", down), [] as [usize; 0]);
    assert_eq!(lines("src/hub/rooms.rs", "use super::Hub;\nuse crate::hub::Presence;"), [] as [usize; 0]);
    assert_eq!(lines("src/lib.rs", "pub use crate::server::Server;"), [] as [usize; 0]);
    assert_eq!(lines("crates/media/src/plane.rs", "use crate::shard::Anything;"), [] as [usize; 0]);
}

#[test]
fn a_circle_of_modules_is_found() {
    let check = |sources: &[(&str, &str)], expected: &[&str]| {
        let sources: Vec<_> = sources.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned())).collect();
        let found = check_circles("src/", &sources.iter().collect::<Vec<_>>());
        let found: Vec<_> = found.iter().map(|Breach { path, line, .. }| format!("{path}:{line}")).collect();
        assert_eq!(found, expected, "{sources:?}");
    };
    let b = ("b.rs", "\nuse crate::{c::{D, E}, x};");
    check(&[("a.rs", "use crate::b::B;"), b, ("c.rs", "use super::x;"), ("x.rs", "")], &[]);
    let c = ("c.rs", "fn f() { crate::a::g(); }");
    check(&[("a.rs", "use crate::b::B;"), b, c, ("x.rs", "")], &["src/a.rs:1", "src/b.rs:2", "src/c.rs:1"]);
    check(&[("a/mod.rs", "use self::b::B;"), ("a/b.rs", "use super::A;"), ("a/c.rs", "use crate::a::b::B;")], &[]);
    let by_others = [("a/x.rs", "use crate::b::y;"), ("a/z.rs", ""), ("b/y.rs", ""), ("b/w.rs", "use crate::a::z::Z;")];
    check(&by_others, &["src/a/x.rs:1", "src/b/w.rs:1"]);
    let passed_on = [("a/mod.rs", "pub use self::b::B;"), ("a/b.rs", "use super::c;"), ("a/c.rs", "use super::B;")];
    check(&passed_on, &["src/a/b.rs:1", "src/a/c.rs:1"]);
}

#[test]
fn an_import_through_the_public_face_is_found() {
    assert_eq!(lines("src/http/mod.rs", "use crate::Config;\nuse crate::{Server, hub::Hub};"), [1, 2]);
    assert_eq!(lines("src/http/mod.rs", "use crate::hub::{Hub, HubConfig};"), [] as [usize; 0]);
}

#[test]
fn impure_code_is_found_in_pure_places_only() {
    for line in [
        "let now = Instant::now();",
        "let now = std::time::SystemTime::now();",
        "use std::net::{UdpSocket, IpAddr};",
        "use tokio::net::TcpListener as L;",
        "let x = std::env::var(NAME);",
        "std::thread::sleep(PAUSE);",
        "let x: u8 = rand::random();",
        "getrandom::fill(&mut bytes);",
    ] {
        for pure in ["crates/wire/src/rtp.rs", "crates/media/src/plane/mod.rs", "src/room/chat.rs", "src/net/demux.rs"]
        {
            assert!(!lines(pure, line).is_empty(), "{line} in {pure}");
        }
        for free in ["src/shard/timer.rs", "crates/udp/src/lib.rs", "crates/wire/tests/rtp.rs", "xtask/src/main.rs"] {
            assert_eq!(lines(free, line), [] as [usize; 0], "{line} in {free}");
        }
    }
    let innocent = "use std::net::IpAddr;\nfn operand(strand: Instant) {}\nlet at: Instant = now;";
    assert_eq!(lines("crates/wire/src/rtp.rs", innocent), [] as [usize; 0]);
}

#[test]
fn code_under_test_is_left_alone_and_the_rest_is_not() {
    let text = "\
#[cfg(test)]
use std::time::{Instant, Duration};
fn a() {}
#[cfg(test)]
#[allow(dead_code)]
mod tests {
    fn b(x: [u8; 3]) { if x == [0; 3] { Instant::now(); } }
}
fn c() { Instant::now(); }
#[cfg(test)]
fn d(x: [u8; 3]) { Instant::now(); }
#[cfg(all(test, unix))]
mod more;
fn e() { Instant::now(); }
";
    assert_eq!(lines("crates/wire/src/rtp.rs", text), [9, 14]);
    assert_eq!(source::test_modules(text), ["more"]);
    let declared = declared_for_tests(&("src/hub/mod.rs".to_owned(), "#[cfg(test)]\nmod tests;".to_owned()));
    assert!(is_for_tests("src/hub/tests.rs", &declared) && is_for_tests("src/hub/tests/join.rs", &declared));
    assert!(!is_for_tests("src/hub/mod.rs", &declared) && !is_for_tests("src/hub/tests_of_time.rs", &declared));
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r###"
// Instant::now() in a comment
/* Instant::now() /* nested */ Instant::now() */
const A: &str = "Instant::now() \" Instant::now()";
const B: &str = r#"Instant::now() " Instant::now()"#;
const C: (char, char, char) = ('"', '\'', '\\');
fn d<'a>(x: &'a str) -> &'a str { Instant::now(); x }
"###;
    assert_eq!(lines("crates/wire/src/rtp.rs", text), [7]);
}

#[test]
fn what_has_one_home_is_found_elsewhere() {
    assert_eq!(lines("src/shard/mod.rs", "unsafe { libc::x() }"), [1]);
    assert_eq!(lines("tests/rooms.rs", "unsafe fn f() {}"), [1]);
    assert_eq!(lines("crates/udp/src/linux.rs", "unsafe { libc::x() }"), [] as [usize; 0]);
    assert_eq!(lines("crates/prefetch/src/lib.rs", "unsafe { line() }"), [] as [usize; 0]);
    assert_eq!(lines("src/lib.rs", "#![forbid(unsafe_code)]"), [] as [usize; 0]);

    assert_eq!(lines("crates/transport/src/peer.rs", "use rtc_dtls::conn::DTLSConn;"), [1]);
    assert_eq!(lines("crates/transport/src/dtls/mod.rs", "use rtc_dtls::conn::DTLSConn;"), [] as [usize; 0]);
    assert_eq!(lines("crates/transport/src/dtls_guard.rs", "use rtc_dtls::conn::DTLSConn;"), [1]);
    assert_eq!(lines("crates/transport/src/dtls.rs", "use sctp_proto::Association;"), [1]);
    assert_eq!(lines("crates/transport/src/channel/mod.rs", "use sctp_proto::Association;"), [] as [usize; 0]);
    assert_eq!(lines("src/net/demux.rs", "use rtc_stun::message::Message;"), [1]);
    assert_eq!(lines("crates/transport/src/ice_lite.rs", "use rtc_stun::message::Message;"), [] as [usize; 0]);
    assert_eq!(lines("crates/loadtest/src/dtls.rs", "use rtc_dtls::endpoint::Endpoint;"), [] as [usize; 0]);
    assert_eq!(lines("crates/loadtest/src/client.rs", "use rtc_crypto::RTCCrypto;"), [1]);
}

#[test]
fn a_file_that_is_too_long_is_found() {
    assert_eq!(lines("src/server.rs", &"\n".repeat(1000)), [] as [usize; 0]);
    assert_eq!(lines("src/server.rs", &"\n".repeat(1001)), [1000]);
}

#[test]
fn a_crate_that_depends_upwards_is_found() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nbytes.workspace = true\nroundtable-wire.workspace = true\n\n\
                    [dev-dependencies]\nroundtable-media.workspace = true\n";
    let found = |name: &str| {
        let path = format!("crates/{name}/Cargo.toml");
        check_manifest(&path, manifest).iter().map(|breach| breach.line).collect::<Vec<_>>()
    };
    assert_eq!(found("transport"), [] as [usize; 0]);
    assert_eq!(found("protocol"), [6]);
    assert_eq!(found("attic"), [1], "a crate that nobody placed");
    let up = check_manifest("crates/client/Cargo.toml", "[dependencies]\nroundtable.workspace = true");
    assert_eq!(up.len(), 1, "nobody depends on the server");
}
