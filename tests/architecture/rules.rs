//! The rules of the house, each a function from a source to what breaks it.

use crate::source::{code, heads, line_of, words};

/// What breaks a rule and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// The floors of the server, from the ground up. A module imports from floors below its own only.
const FLOORS: &[&[&str]] = &[
    &["rate", "replay", "store", "telemetry", "trust"],
    &["auth", "journal", "room", "net", "turn"],
    &["shard"],
    &["hub", "login", "webhook"],
    &["signal"],
    &["config", "http"],
    &["server"],
];

/// The crates of the workspace and those of ours that each may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("protocol", &[]),
    ("udp", &[]),
    ("prefetch", &[]),
    ("media", &["wire", "prefetch"]),
    ("transport", &["wire", "prefetch"]),
    ("client", &["wire", "protocol"]),
    ("linkemu", &[]),
    ("loadtest", &["wire", "protocol", "udp"]),
];

/// Code that is told the time and everything else; what it may not name, and what that would be.
const PURE: &[&str] = &[
    "crates/wire/src/",
    "crates/media/src/",
    "crates/transport/src/",
    "crates/protocol/src/",
    "crates/linkemu/src/link",
    "src/auth/",
    "src/room/",
    "src/net/demux.rs",
    "src/signal/packing/",
    "src/signal/session/",
    "src/hub/placement.rs",
    "src/hub/calls.rs",
];
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "reads the clock"),
    ("SystemTime::now", "reads the clock"),
    ("tokio::time", "waits"),
    ("thread::sleep", "waits"),
    ("UdpSocket", "uses a socket"),
    ("TcpStream", "uses a socket"),
    ("TcpListener", "uses a socket"),
    ("tokio::net", "uses a socket"),
    ("std::env", "reads the environment"),
    ("env::var", "reads the environment"),
    ("env::var_os", "reads the environment"),
    ("rand", "draws random numbers"),
    ("getrandom", "draws random numbers"),
    ("thread_rng", "draws random numbers"),
    ("OsRng", "draws random numbers"),
    ("SystemRandom", "draws random numbers"),
];

/// Crates of others that one module of ours wraps.
const WRAPPED: &[(&str, &str)] =
    &[("rtc_dtls", "crates/transport/src/dtls"), ("sctp_proto", "crates/transport/src/channel")];
/// The load generator shares nothing with the transport, so it has a wrapper of its own.
const OTHER_WRAPPERS: [&str; 2] = ["crates/loadtest/src/dtls.rs", "crates/loadtest/src/events/sctp.rs"];

/// Lines a file may have.
const MAX_LINES: usize = 1000;

/// All rules for one Rust source, `path` from the repository's root.
pub(crate) fn check_source(path: &str, text: &str) -> Vec<Breach> {
    let code = code(text);
    [
        check_length(path, text),
        check_floors(path, &code),
        check_facade(path, &code),
        check_pure(path, &code),
        check_unsafe(path, &code),
        check_wrapped(path, &code),
    ]
    .concat()
}

/// No file is too long to be read at once.
pub(crate) fn check_length(path: &str, text: &str) -> Vec<Breach> {
    match text.lines().count() {
        lines if lines > MAX_LINES => {
            vec![Breach { path: path.to_owned(), line: MAX_LINES, what: format!("the file has {lines} lines") }]
        }
        _ => Vec::new(),
    }
}

/// Which crates of ours a crate names in its `[dependencies]`.
pub(crate) fn check_manifest(path: &str, text: &str) -> Vec<Breach> {
    let Some(name) = path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml")) else {
        return Vec::new();
    };
    let breach = |line: usize, what: String| Breach { path: path.to_owned(), line, what };
    let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
        return vec![breach(1, format!("the crate {name} has no place in the list of this test"))];
    };
    let mut section = "";
    let mut breaches = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        }
        let package: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
        let ours = if package == "roundtable" { Some("roundtable") } else { package.strip_prefix("roundtable-") };
        if let Some(ours) = ours.filter(|ours| section == "[dependencies]" && !allowed.contains(ours)) {
            breaches.push(breach(number + 1, format!("{name} stands beside or below {ours} and cannot depend on it")));
        }
    }
    breaches
}

/// The room of the server that a file belongs to, and the modules between it and the crate's root.
fn place(path: &str) -> Option<(&str, usize)> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module = inside.strip_suffix("/mod").unwrap_or(inside);
    let room = module.split('/').next()?;
    (!matches!(room, "lib" | "main")).then(|| (room, module.split('/').count()))
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Imports point down.
fn check_floors(path: &str, code: &str) -> Vec<Breach> {
    let Some((room, depth)) = place(path) else { return Vec::new() };
    let breach = |at: usize, what: String| Breach { path: path.to_owned(), line: line_of(code, at), what };
    let Some(own) = floor(room) else {
        return vec![breach(0, format!("the module {room} has no floor in the list of this test"))];
    };
    let up = vec!["super"; depth].join("::");
    let mut imports = heads(code, "crate");
    // As many `super` as there are modules lead to the root; one that does not is an inner module's, whose
    // names are no floors.
    imports.extend(heads(code, &up).into_iter().filter(|(_, name)| floor(name).is_some()));
    imports
        .into_iter()
        .filter(|(_, name)| name != room && name.starts_with(|c: char| c.is_lowercase()))
        .filter_map(|(at, name)| match floor(&name) {
            Some(other) if other < own => None,
            Some(other) if other == own => {
                Some(breach(at, format!("{room} imports {name}, its neighbour on one floor")))
            }
            Some(_) => Some(breach(at, format!("{room} imports {name}, which stands above it"))),
            None => Some(breach(at, format!("{room} imports {name}, which has no floor in the list of this test"))),
        })
        .collect()
}

/// Nothing inside imports through the public face.
fn check_facade(path: &str, code: &str) -> Vec<Breach> {
    if place(path).is_none() {
        return Vec::new();
    }
    heads(code, "crate")
        .into_iter()
        .filter(|(_, name)| name.starts_with(char::is_uppercase))
        .map(|(at, name)| Breach {
            path: path.to_owned(),
            line: line_of(code, at),
            what: format!("{name} is imported through lib.rs; name the module it lives in"),
        })
        .collect()
}

/// Pure code is told everything.
fn check_pure(path: &str, code: &str) -> Vec<Breach> {
    if !PURE.iter().any(|pure| path.starts_with(pure)) {
        return Vec::new();
    }
    let find = |(word, does): &(&'static str, &'static str)| {
        let what = format!("{word}: pure code never {does}");
        words(code, word)
            .map(|at| Breach { path: path.to_owned(), line: line_of(code, at), what: what.clone() })
            .collect::<Vec<_>>()
    };
    IMPURE.iter().flat_map(find).collect()
}

/// `unsafe` has two homes: system calls, and one instruction that the standard library does not give yet.
fn check_unsafe(path: &str, code: &str) -> Vec<Breach> {
    if path.starts_with("crates/udp/") || path.starts_with("crates/prefetch/") {
        return Vec::new();
    }
    words(code, "unsafe")
        .map(|at| Breach {
            path: path.to_owned(),
            line: line_of(code, at),
            what: "unsafe outside crates/udp and crates/prefetch".to_owned(),
        })
        .collect()
}

/// The crates of the webrtc-rs family are named in one crate, and some of them in one module.
fn check_wrapped(path: &str, code: &str) -> Vec<Breach> {
    if !path.contains("src/") || OTHER_WRAPPERS.contains(&path) {
        return Vec::new(); // Tests and benches compare with them.
    }
    let breach = |at: usize, what: String| Breach { path: path.to_owned(), line: line_of(code, at), what };
    let mut breaches = Vec::new();
    for (name, home) in WRAPPED {
        let at_home = path == format!("{home}.rs") || path.starts_with(&format!("{home}/"));
        if !at_home {
            breaches.extend(words(code, name).map(|at| breach(at, format!("{name} is wrapped by {home}"))));
        }
    }
    if !path.starts_with("crates/transport/") {
        let parts = ["rtc_stun", "rtc_srtp", "rtc_crypto", "rtc_sdp", "rtc_shared"];
        let named = parts.into_iter().flat_map(|name| words(code, name).map(move |at| (at, name)));
        breaches.extend(named.map(|(at, name)| breach(at, format!("{name} is wrapped by crates/transport"))));
    }
    breaches
}
