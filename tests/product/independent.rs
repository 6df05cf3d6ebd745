//! A client in Python that knows the published schema and `docs/PROTOCOL.md` only (`tests/independent`): it gets along.
//!
//! `cargo xtask independent` brings what it stands on and plays this, as does `cargo xtask test`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use roundtable::Config;

use crate::common::server::Running;
use crate::common::token::TestKey;

/// The Python with the packages, unless `ROUNDTABLE_PYTHON` names another one.
const PYTHON: &str = "target/independent/bin/python";
/// With which the client makes tokens, where the server wants any.
const KEY: TestKey = TestKey { id: "first", secret: "the first secret, of 32 bytes or more" };

fn python() -> PathBuf {
    let given = std::env::var_os("ROUNDTABLE_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(PYTHON));
    assert!(python.exists(), "there is no {}: `cargo xtask independent` brings it", python.display());
    python
}

/// Plays a module of the client's tests against a server.
async fn play(module: &str, config: Config) {
    let mut tests = Command::new(python());
    let server = Running::start_with(config).await;
    tests.args(["-m", "unittest", module]);
    tests.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent"));
    tests.env("ROUNDTABLE_URL", server.place.url()).env("PYTHONDONTWRITEBYTECODE", "1");
    tests.env("ROUNDTABLE_KEY", format!("{}:{}", KEY.id, KEY.secret));
    let played = tokio::task::spawn_blocking(move || tests.output()).await.expect("it does not panic");
    let played = played.expect("Python starts");
    // How many tests there were, and how many were skipped, is shown in any case.
    let _ = std::io::stderr().write_all(&played.stderr);
    assert!(played.status.success(), "{module} failed:\n{}", String::from_utf8_lossy(&played.stderr));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants Python packages: cargo xtask independent"]
async fn who_has_read_the_description_only_talks_and_comes_back() {
    play("test_talk", Config::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants Python packages: cargo xtask independent"]
async fn who_has_read_the_description_only_hears_and_is_heard() {
    play("test_media", Config::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants Python packages: cargo xtask independent"]
async fn who_has_read_the_description_only_makes_tokens_moderates_and_calls() {
    play("test_keys", KEY.config()).await;
}
