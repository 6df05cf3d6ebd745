//! The binary as its users meet it: exit codes, variables, and a start and stop.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn roundtable(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn exit_codes_tell_the_command_line_from_the_settings() {
    for (arguments, code, says) in [
        (&["--help"][..], 0, "--udp-port"),
        (&["--version"], 0, env!("CARGO_PKG_VERSION")),
        (&["config", "check", "config/roundtable.toml"], 0, "fine"),
        (&["--udp-prot", "1"], 2, "--udp-port"),
        (&["--udp-port", "many"], 2, "many"),
        (&["--config", "no/such.toml"], 78, "no/such.toml"),
        (&["--tls-cert", "cert.pem"], 78, "tls-key"),
        (&["--tls-cert", "Cargo.toml", "--tls-key", "Cargo.toml"], 78, "no PEM block"),
        (&["config", "check", "rustfmt.toml"], 78, "rustfmt.toml:1: unknown key `max_width`"),
        (&["replay", "no/such.trace"], 1, "no/such.trace: "),
        (&["replay", "Cargo.toml"], 1, "Cargo.toml: at byte 0: this is no trace"),
        (&["replay"], 2, "<FILE>"),
        (&["--http-listen=127.0.0.1:0", "--udp-port=0", "--record-trace=no/such/trace"], 1, "cannot record to no/such"),
    ] {
        let output = run(&mut roundtable(arguments));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} said {said}");
        assert!(said.contains(says), "{arguments:?} said {said}");
    }
}

#[test]
fn a_port_that_is_taken_is_a_fault_of_the_run() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&mut roundtable(&["--http-listen", &address, "--udp-port", "0"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
}

#[test]
fn variables_stand_between_the_file_and_the_flags() {
    let mut command = roundtable(&["config", "print", "--config", "config/roundtable.toml", "--max-rooms", "9"]);
    command.env("ROUNDTABLE_MAX_ROOMS", "8").env("ROUNDTABLE_UDP_PORT", "6000").env("ROUNDTABLE_NO_IPV6", "1");
    command.env("ROUNDTABLE_STUN", "stun:a,stun:b").env("ROUNDTABLE_TURN", "turn:t");
    command.env("ROUNDTABLE_TURN_SECRET", "north-wind");
    let output = run(&mut command);
    let printed = text(&output.stdout);
    for line in [
        "max-rooms = 9  # flag",
        "udp-port = 6000  # ROUNDTABLE_UDP_PORT",
        "no-ipv6 = true  # ROUNDTABLE_NO_IPV6",
        "stun = [\"stun:a\", \"stun:b\"]  # ROUNDTABLE_STUN",
        "# turn-secret is set and not shown  # ROUNDTABLE_TURN_SECRET",
        "turn-ttl = \"4h\"  # config/roundtable.toml:",
        "# tls-cert is not set",
    ] {
        assert!(printed.contains(line), "{line} is missing in\n{printed}{}", text(&output.stderr));
    }
    assert!(!printed.contains("north-wind"));

    let help = run(roundtable(&["--help"]).env("ROUNDTABLE_TURN_SECRET", "north-wind"));
    assert!(!text(&help.stdout).contains("north-wind"));
}

#[test]
fn the_schema_is_the_protocols() {
    let output = run(&mut roundtable(&["schema"]));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema, roundtable::protocol::schema::json_schema());
}

/// A server that is ended with the test, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_start_says_where_to_go_and_a_signal_ends_it_in_good_order() {
    let began = Instant::now();
    let mut command = roundtable(&["--http-listen", "127.0.0.1:0", "--udp-port", "0"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "a start takes a moment only");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect(&line);
    assert!(line.starts_with("Roundtable ") && line.contains("media UDP "), "{line}");

    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let kill = Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let status = running.0.wait().unwrap();
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    for line in log.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(entry["level"].is_string(), "away from a terminal each line is an object: {line}");
    }
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}
