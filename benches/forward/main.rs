//! CPU per forwarded packet: the server with one 1.4 Mbit/s publisher and N receivers on the webrtc crate,
//! against the bare loop of `floor.rs` in the same run.
//!
//! `cargo bench --bench forward -- 50` prints one line a run and the medians. Figures of different
//! machines do not compare; the ratio of one run does.

#![allow(clippy::print_stdout)]

mod cpu;
mod floor;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use roundtable_client::synthetic::{VideoShape, mark};
use roundtable_client::{Client, Options};
use roundtable_protocol::event::TrackSource;

/// Runs of each kind; the median counts.
const RUNS: usize = 3;
/// How long each is measured.
const WINDOW: Duration = Duration::from_secs(8);
/// Time for joins to settle before.
const SETTLE: Duration = Duration::from_secs(3);
/// Runs that lose more than this do not count.
const MAX_LOSS: f64 = 0.001;

fn main() {
    let receivers = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(50);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    println!("receivers {receivers}, {RUNS} runs of {WINDOW:?}; µs of CPU per forwarded packet");
    let (mut plain, mut segmented, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=RUNS {
        plain.push(floor::run(receivers, WINDOW, floor::Send::Plain));
        segmented.push(floor::run(receivers, WINDOW, floor::Send::Segmented));
        let measured = runtime.block_on(server(receivers));
        println!(
            "run {run}: floor {:.2} (sendmmsg) {:.2} (segmented); server {:.2}, loss {:.3} %, {:.3} calls a packet",
            plain[run - 1],
            segmented[run - 1],
            measured.micros,
            measured.loss * 100.0,
            measured.calls,
        );
        if measured.loss <= MAX_LOSS {
            ours.push(measured.micros);
        }
    }
    let (plain, segmented) = (median(plain), median(segmented));
    match ours.is_empty() {
        true => println!("no run without loss: nothing to report"),
        false => {
            let ours = median(ours);
            println!(
                "median: floor {plain:.2} (sendmmsg) {segmented:.2} (segmented); server {ours:.2} = {:.2} × and {:.2} ×",
                ours / plain,
                ours / segmented
            );
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Measured {
    micros: f64,
    loss: f64,
    calls: f64,
}

/// A server process that ends with its owner.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_roundtable"))
            .args(["--http-listen", "127.0.0.1:0", "--udp-port", "0", "--log", "warn"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("http://")?.1.split('/').next()?.to_owned()))
            .expect("the server says where it listens");
        Self { child, address }
    }

    fn stats(&self) -> Stats {
        let mut socket = TcpStream::connect(&self.address).expect("the server listens");
        write!(socket, "GET /api/v1/stats HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("read");
        let json = answer.split("\r\n\r\n").nth(1).expect("a body");
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let number = |name: &str| value["shard"][name].as_u64().expect("a counter") as f64;
        Stats { packets: number("rtpOut"), calls: number("sendCalls"), cpu: cpu::process_cpu(self.child.id()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Stats {
    packets: f64,
    calls: f64,
    cpu: Duration,
}

async fn server(receivers: usize) -> Measured {
    let server = Server::start();
    let options = |name: String, seats| Options {
        seats: Some(seats),
        max_seats: seats,
        video: VideoShape::CAMERA,
        ..Options::new(format!("ws://{}/ws", server.address), "bench", name)
    };
    let mut clients = Vec::new();
    for n in 0..receivers {
        clients.push(Client::join(options(format!("receiver {n}"), 1)).await.expect("a receiver joins"));
    }
    let publisher = Client::join(options("publisher".into(), 0)).await.expect("the publisher joins");
    publisher.publish(&[TrackSource::Camera]).await.expect("it publishes");
    tokio::time::sleep(SETTLE).await;

    let mark = mark(publisher.member(), TrackSource::Camera);
    let received = |clients: &[Client]| -> f64 {
        clients.iter().map(|c| c.received().get(&mark).map_or(0, |r| r.packets) as f64).sum()
    };
    let (before, got_before, start) = (server.stats(), received(&clients), Instant::now());
    tokio::time::sleep(WINDOW).await;
    let (after, got_after) = (server.stats(), received(&clients));
    let sent = (after.packets - before.packets).max(1.0);
    let expected = start.elapsed().as_secs_f64() * 150.0 * receivers as f64;
    if sent < expected * 0.95 {
        println!("the publisher kept up with {:.0} % of its pace only", 100.0 * sent / expected);
    }
    for client in clients {
        client.vanish().await;
    }
    publisher.vanish().await;
    Measured {
        micros: (after.cpu - before.cpu).as_secs_f64() * 1e6 / sent,
        loss: (1.0 - (got_after - got_before) / sent).max(0.0),
        calls: (after.calls - before.calls) / sent,
    }
}
