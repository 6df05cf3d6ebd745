//! Logging in with a password: over real sockets, as people and those who guess meet it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use roundtable::Config;
use serde_json::{Value, json};

use crate::common::eventually;
use crate::common::http::{self, Answer};
use crate::common::scratch::Scratch;
use crate::common::server::{Process, Running};
use crate::common::socket::RawSocket;
use crate::common::token::TestKey;

const KEY: TestKey = TestKey { id: "first", secret: "the first secret, of 32 bytes or more" };

/// A user as another program writes one, with a hash that is little work.
fn user(name: &str, password: &str, more: &str) -> String {
    let (params, salt, mut hash) = (argon2::Params::new(64, 1, 1, Some(32)).unwrap(), b"0123456789abcdef", [0; 32]);
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon.hash_password_into(password.as_bytes(), salt, &mut hash).unwrap();
    let [salt, hash] = [&salt[..], &hash[..]].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    format!("[[users]]\nname = \"{name}\"\npassword = \"$argon2id$v=19$m=64,t=1,p=1${salt}${hash}\"\n{more}\n")
}

fn with_users(file: &Scratch) -> Config {
    let mut config = KEY.config();
    config.auth.users_file = Some(file.path().into());
    config.http.trusted_proxies = vec![[127, 0, 0, 1].into()];
    config
}

async fn log_in(at: SocketAddr, from: &str, user: &str, password: &str, room: &str) -> Answer {
    let wish = json!({"user": user, "password": password, "room": room});
    http::send(at, "POST", "/api/v1/login", &format!("X-Forwarded-For: {from}\r\n"), Some(&wish)).await
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or(""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_exchanged_for_a_token_of_one_room() {
    let more = "display-name = \"Ann Example\"\nrole = \"host\"\nrooms = [\"daily\", \"team-*\"]";
    let file = Scratch::new("one.toml", &(user("ann", "correct horse", more) + &user("bob", "battery", "")));
    let server = Running::start_with(with_users(&file)).await;
    let at = server.place.http;
    assert_eq!(http::json(at, "/api/v1/login").await["password"], true);

    let answer = log_in(at, "192.0.2.1", "ann", "correct horse", "team-a").await;
    assert_eq!(
        (answer.status, &answer.body["room"], &answer.body["name"]),
        (200, &json!("team-a"), &json!("Ann Example"))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let token = answer.body["token"].as_str().unwrap();
    let (_ann, welcome) = RawSocket::enter_with(at, "team-a", "Somebody", token).await;
    assert_eq!((&welcome["member"]["identity"], &welcome["member"]["name"]), (&json!("ann"), &json!("Ann Example")));
    assert_eq!(welcome["grants"]["admin"], true, "a host");
    let mut elsewhere = RawSocket::open(at, "daily").await;
    elsewhere.say(&json!({"type": "hello", "version": 1, "name": "Ann", "token": token})).await;
    assert_eq!(elsewhere.until_closed().await.0, ["token/room"]);

    let elsewhere = log_in(at, "192.0.2.1", "ann", "correct horse", "weekly").await;
    assert_eq!(code(&elsewhere), (403, "login/room"));
    let bob = log_in(at, "192.0.2.1", "bob", "battery", "weekly").await;
    let (_bob, welcome) = RawSocket::enter_with(at, "weekly", "Bob", bob.body["token"].as_str().unwrap()).await;
    assert_eq!(welcome["grants"]["admin"], false, "a speaker unless said otherwise");

    let wrong = log_in(at, "192.0.2.1", "ann", "battery", "daily").await;
    let nobody = log_in(at, "192.0.2.1", "nobody", "battery", "daily").await;
    assert_eq!(code(&wrong), (403, "login/refused"));
    assert_eq!((code(&nobody), &nobody.body["detail"]), (code(&wrong), &wrong.body["detail"]), "not to be told apart");
    for (body, status) in [
        (json!({"user": "ann", "password": "x"}), 422),
        (json!({"user": "ann", "password": "x", "room": "a b"}), 422),
        (json!({"user": "x".repeat(65), "password": "x", "room": "daily"}), 422),
        (json!({"user": "ann", "password": "x".repeat(1_025), "room": "daily"}), 422),
    ] {
        let answer = http::send(at, "POST", "/api/v1/login", "", Some(&body)).await;
        assert_eq!(code(&answer), (status, "http/body"), "{body}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_users_says_so() {
    let server = Running::start().await;
    assert_eq!(http::json(server.place.http, "/api/v1/login").await["password"], false);
    assert_eq!(code(&log_in(server.place.http, "192.0.2.1", "ann", "x", "daily").await), (404, "http/not-found"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_wrong_passwords_are_hardly_checked_and_others_log_in_and_enter() {
    let names = ["ann", "bob", "cid"];
    let file = Scratch::new("flood.toml", &names.map(|name| user(name, "the right one", "")).concat());
    let server = Running::start_with(with_users(&file)).await;
    let at = server.place.http;
    let limited = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    // Half of them are about one user, from anywhere; half are from one address, about anybody.
    let flood = (0..10_usize).map(|task| {
        let limited = Arc::clone(&limited);
        tokio::spawn(async move {
            for n in 0..100 {
                let (from, user) = match task % 2 {
                    0 => (format!("203.0.{task}.{n}"), "ann".to_owned()),
                    _ => ("198.51.100.7".to_owned(), format!("user-{task}-{n}")),
                };
                let answer = log_in(at, &from, &user, &format!("wrong{n}"), "daily").await;
                match code(&answer) {
                    (403, "login/refused") => {}
                    (429, "login/rate") => {
                        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                        assert!((1..=300).contains(&wait), "{wait}");
                        limited.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    other => panic!("{other:?}"),
                }
            }
        })
    });
    let flood: Vec<_> = flood.collect();
    let bob = log_in(at, "192.0.2.1", "bob", "the right one", "daily").await;
    let (_bob, _) = RawSocket::enter_with(at, "daily", "Bob", bob.body["token"].as_str().unwrap()).await;
    let (_dan, _) = RawSocket::enter_with(at, "daily", "Dan", &KEY.member("daily", "dan", json!({}))).await;
    for task in flood {
        task.await.unwrap();
    }
    let cid = log_in(at, "192.0.2.2", "cid", "the right one", "daily").await;
    assert_eq!(cid.status, 200, "{:?}", cid.body);
    assert_eq!(code(&log_in(at, "192.0.2.3", "ann", "the right one", "daily").await), (429, "login/rate"));

    let head = format!("Authorization: Bearer {}\r\n", KEY.operator());
    let logins: Value = http::send(at, "GET", "/api/v1/stats", &head, None).await.body["logins"].clone();
    let count = |name: &str| logins[name].as_u64().unwrap();
    assert!(count("checked") < 60, "5 of the user, 20 of the address, 2 that were right, few after a wait: {logins}");
    assert_eq!(count("wrong") + 2, count("checked"), "{logins}");
    let limited = limited.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((count("limited"), count("wrong")), (limited as u64 + 1, 1_000 - limited as u64), "each is one of them");
    server.stop().await;
}

/// Runs the program with a line on its standard input.
fn roundtable(arguments: &[&str], line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_added_on_the_command_line_while_the_server_runs() {
    let keys = Scratch::new("keys.toml", &KEY.in_file());
    let users = Scratch::new("cli.toml", "");
    let add = |name: &str, line: &str| roundtable(&["users", "add", "--users-file", users.path(), name], line);
    let (status, said) = add("ann", "correct horse\n");
    assert_eq!(status, Some(0), "{said}");
    assert!(!std::fs::read_to_string(users.path()).unwrap().contains("correct horse"));
    let arguments = ["--keys-file", keys.path(), "--users-file", users.path()];
    let server = Process::start_with(&arguments);
    let at = server.place.http;
    assert_eq!(log_in(at, "", "ann", "correct horse", "daily").await.status, 200);
    assert_eq!(log_in(at, "", "bob", "battery staple", "daily").await.status, 403);

    assert_eq!(add("bob", "battery staple").0, Some(0));
    let sent = Command::new("kill").args(["-HUP", &server.id().to_string()]).status();
    assert!(sent.unwrap().success());
    eventually("bob is known", async || log_in(at, "", "bob", "battery staple", "daily").await.status == 200).await;

    let (status, said) = roundtable(&["users", "check", users.path()], "");
    assert_eq!((status, said.as_str()), (Some(0), "ann  speaker\nbob  speaker\nfine\n"));
    assert_eq!(add("cid", "short\n").0, Some(78));
    assert_eq!(add("bob", "battery staple").0, Some(78), "there is one");
    let (status, hash) = roundtable(&["users", "hash"], "correct horse\n");
    assert!(status == Some(0) && hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");

    let (status, said) = roundtable(&["--users-file", users.path(), "--udp-port", "0"], "");
    assert!(status == Some(78) && said.contains("keys new"), "without a key there are no tokens: {said}");
    std::fs::write(users.path(), "users = 1").unwrap();
    let (status, said) = roundtable(&[&arguments[..], &["--udp-port", "0"]].concat(), "");
    assert!(status == Some(78) && said.contains("users-file") && said.contains("no list of users"), "{said}");
}
