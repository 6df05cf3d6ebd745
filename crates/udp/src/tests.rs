//! Real sockets on the loopback interface. Miri has no system calls, so these do not run under it.
#![cfg(not(miri))]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16};
use std::time::{Duration, Instant};

use crate::steering::Steering;
use crate::{Message, Options, ReceiveBatch, Socket, portable};

/// One datagram as the tests compare it.
type Got = (SocketAddr, Option<IpAddr>, Vec<u8>);

const PLAIN: Options =
    Options { receive_buffer: 1 << 20, send_buffer: 1 << 20, offload: false, reuse_port: false, whole: false };

fn bind(address: &str, options: &Options) -> Socket {
    Socket::bind(address.parse().unwrap(), options).unwrap()
}

fn message<'a>(to: &Socket, contents: &'a [u8]) -> Message<'a> {
    Message { destination: to.local_addr().unwrap(), local: None, contents, segment_size: None }
}

/// Receives until `count` datagrams are there, or fails after a while.
fn receive(socket: &Socket, count: usize) -> Vec<Got> {
    receive_in(&mut ReceiveBatch::new(8, ReceiveBatch::FULL_BYTES), count, |batch| socket.receive(batch))
}

fn receive_in(
    batch: &mut ReceiveBatch,
    count: usize,
    mut receive: impl FnMut(&mut ReceiveBatch) -> io::Result<usize>,
) -> Vec<Got> {
    let (mut got, start) = (Vec::new(), Instant::now());
    while got.len() < count {
        match receive(batch) {
            Ok(datagrams) => {
                let before = got.len();
                got.extend(batch.datagrams().map(|d| (d.source, d.local, d.contents.to_vec())));
                assert_eq!(got.len() - before, datagrams, "the count is of datagrams");
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                assert!(start.elapsed() < Duration::from_secs(10), "{} of {count} came", got.len());
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    got
}

fn is_empty(socket: &Socket) -> bool {
    let mut batch = ReceiveBatch::new(1, 16);
    socket.receive(&mut batch).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether this machine has an IPv6 loopback; without one, the IPv6 halves of the tests have nothing to run on.
fn loopbacks() -> Vec<&'static str> {
    let v6 = std::net::UdpSocket::bind("[::1]:0").is_ok().then_some("[::1]:0");
    std::iter::once("127.0.0.1:0").chain(v6).collect()
}

#[test]
fn datagrams_go_there_and_back() {
    for address in loopbacks() {
        for options in [Options::default(), PLAIN] {
            let (one, two) = (bind(address, &options), bind(address, &options));
            assert!(is_empty(&two));
            assert_eq!(one.send(&[message(&two, b"ping")]).datagrams, 1);
            let (source, local, contents) = receive(&two, 1).remove(0);
            assert_eq!((source, contents), (one.local_addr().unwrap(), b"ping".to_vec()));
            if cfg!(target_os = "linux") {
                assert_eq!(local, Some(two.local_addr().unwrap().ip()));
            }
            let answer = Message { destination: source, local, contents: b"pong", segment_size: None };
            assert_eq!(two.send(&[answer]).datagrams, 1);
            assert_eq!(receive(&one, 1)[0].2, b"pong");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_wildcard_socket_answers_from_the_address_it_was_asked_at() {
    let server = bind("0.0.0.0:0", &Options::default());
    let client = bind("127.0.0.1:0", &Options::default());
    let port = server.local_addr().unwrap().port();
    for last in [2, 7] {
        let asked = SocketAddr::from(([127, 0, 0, last], port));
        let ask = Message { destination: asked, local: None, contents: b"?", segment_size: None };
        assert_eq!(client.send(&[ask]).datagrams, 1);
        let (source, local, _) = receive(&server, 1).remove(0);
        assert_eq!(local, Some(asked.ip()));
        for (segment_size, count) in [(None, 1), (NonZeroU16::new(3), 2)] {
            let answer = Message { destination: source, local, contents: b"answer", segment_size };
            assert_eq!(server.send(&[answer]).datagrams, count);
            assert!(receive(&client, count).iter().all(|got| got.0 == asked), "from {asked} and no other address");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_source_that_is_not_ours_costs_only_its_message() {
    let (server, client) = (bind("0.0.0.0:0", &Options::default()), bind("127.0.0.1:0", &Options::default()));
    let foreign = Message {
        local: Some("192.0.2.1".parse().unwrap()),
        segment_size: NonZeroU16::new(4),
        ..message(&client, b"forged")
    };
    let report = server.send(&[foreign, message(&client, b"honest")]);
    assert_eq!((report.datagrams, report.dropped), (1, 2));
    assert_eq!(receive(&client, 1)[0].2, b"honest");
    assert!(server.is_segmenting());
}

/// Sends one run and returns the lengths that arrive.
fn lengths(sender: &Socket, receiver: &Socket, len: usize, size: u16) -> Vec<usize> {
    let contents: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let run = Message { segment_size: NonZeroU16::new(size), ..message(receiver, &contents) };
    assert_eq!(sender.send(&[run]).datagrams, run.datagrams());
    let got = receive(receiver, run.datagrams());
    assert_eq!(got.iter().flat_map(|got| got.2.clone()).collect::<Vec<_>>(), contents);
    assert!(is_empty(receiver));
    got.iter().map(|got| got.2.len()).collect()
}

#[test]
fn runs_arrive_as_their_datagrams_with_and_without_offload() {
    for address in loopbacks() {
        for (sending, receiving) in [(true, true), (true, false), (false, true), (false, false)] {
            let options = |offload| Options { offload, ..PLAIN };
            let (sender, receiver) = (bind(address, &options(sending)), bind(address, &options(receiving)));
            assert_eq!(lengths(&sender, &receiver, 3000, 1000), [1000; 3]);
            assert_eq!(lengths(&sender, &receiver, 2500, 1000), [1000, 1000, 500], "the last one is shorter");
            assert_eq!(lengths(&sender, &receiver, 700, 1000), [700], "one datagram, not a run");
            assert_eq!(lengths(&sender, &receiver, 64 * 100, 100), [100; 64], "the kernel's limit");
            assert_eq!(lengths(&sender, &receiver, 65 * 100, 100), [100; 65], "beyond it");
            assert_eq!(lengths(&sender, &receiver, 80 * 1200, 1200), [1200; 80], "beyond one packet's bytes");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn coalesced_datagrams_really_arrive_coalesced_and_are_split() {
    let options = Options { offload: true, ..PLAIN };
    let (sender, receiver) = (bind("127.0.0.1:0", &options), bind("127.0.0.1:0", &options));
    assert!(sender.is_segmenting());
    let contents = [5; 10 * 300 + 1];
    let run = Message { segment_size: NonZeroU16::new(300), ..message(&receiver, &contents) };
    assert_eq!(sender.send(&[run]).calls, 1);
    // One buffer holds them all, since loopback passes the run on whole.
    let mut batch = ReceiveBatch::new(1, ReceiveBatch::FULL_BYTES);
    let got = receive_in(&mut batch, 11, |batch| receiver.receive(batch));
    assert_eq!(batch.arrivals.len(), 1);
    assert!(batch.is_full());
    assert_eq!(got.iter().map(|got| got.2.len()).collect::<Vec<_>>(), [[300; 10].as_slice(), &[1]].concat());

    let mut small = ReceiveBatch::new(2, 1500);
    assert_eq!(sender.send(&[run]).datagrams, 11);
    let start = Instant::now();
    while receiver.receive(&mut small).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert_eq!((small.datagrams().count(), small.discarded()), (0, 1), "what does not fit is counted");
}

#[test]
fn one_batch_reaches_many_destinations() {
    for offload in [true, false] {
        let options = Options { offload, ..PLAIN };
        let sender = bind("127.0.0.1:0", &options);
        let receivers: Vec<_> = (0..50).map(|_| bind("127.0.0.1:0", &options)).collect();
        let contents = [9; 2 * 1100 + 400];
        let messages: Vec<_> = receivers
            .iter()
            .enumerate()
            .map(|(i, receiver)| match i % 3 {
                0 => message(receiver, &contents[..i + 1]),
                _ => Message { segment_size: NonZeroU16::new(1100), ..message(receiver, &contents) },
            })
            .collect();
        let report = sender.send(&messages);
        let expected: usize = messages.iter().map(Message::datagrams).sum();
        assert_eq!((report.datagrams, report.dropped), (expected, 0));
        if cfg!(target_os = "linux") {
            assert_eq!(report.calls, 1, "{offload}");
        }
        for (receiver, message) in receivers.iter().zip(&messages) {
            let got: Vec<u8> = receive(receiver, message.datagrams()).into_iter().flat_map(|got| got.2).collect();
            assert_eq!(got, message.contents);
        }
    }
}

#[test]
fn a_closed_port_disturbs_nobody() {
    let (sender, receiver) = (bind("127.0.0.1:0", &PLAIN), bind("127.0.0.1:0", &PLAIN));
    // Nobody listens to the discard protocol, and no other test can be given this port.
    let closed = "127.0.0.9:9".parse().unwrap();
    for _ in 0..10 {
        let gone = Message { destination: closed, ..message(&receiver, b"?") };
        let report = sender.send(&[gone, message(&receiver, b"here")]);
        assert_eq!(report.dropped, 0, "the kernel tells nobody of the ICMP message on an unconnected socket");
        assert!(is_empty(&sender));
    }
    assert_eq!(receive(&receiver, 10).len(), 10);
}

#[test]
fn an_unreachable_family_and_an_oversized_datagram_are_dropped() {
    let (sender, receiver) = (bind("127.0.0.1:0", &PLAIN), bind("127.0.0.1:0", &PLAIN));
    let other_family = Message { destination: "[::1]:9".parse().unwrap(), ..message(&receiver, b"?") };
    let oversized = vec![0; 70_000];
    let report = sender.send(&[other_family, message(&receiver, &oversized), message(&receiver, b"fits")]);
    assert_eq!((report.datagrams, report.dropped), (1, 2));
    assert_eq!(receive(&receiver, 1)[0].2, b"fits");
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_datagram_too_long_for_its_path_lets_later_ones_leave_in_fragments() {
    let (sender, receiver) = (bind("127.0.0.1:0", &Options { whole: true, ..PLAIN }), bind("127.0.0.1:0", &PLAIN));
    assert!(sender.is_whole() && !bind("127.0.0.1:0", &PLAIN).is_whole());
    assert_eq!(sender.send(&[message(&receiver, &[1; 1_200])]).datagrams, 1);
    assert!(sender.is_whole());
    // No path takes this; one that takes less than usual is refused in the same way.
    assert_eq!(sender.send(&[message(&receiver, &[2; 70_000])]).dropped, 1);
    assert!(!sender.is_whole());
    assert_eq!(sender.send(&[message(&receiver, &[3; 1_200])]).datagrams, 1);
    assert_eq!(receive(&receiver, 2).len(), 2);
}

#[test]
fn a_port_in_use_is_an_error_and_buffers_are_told() {
    let socket = bind("127.0.0.1:0", &Options::default());
    let again = Socket::bind(socket.local_addr().unwrap(), &Options::default());
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let (receive, send) = socket.granted_buffers().unwrap();
    assert!(receive > 1000 && send > 1000);
}

#[test]
fn empty_datagrams_are_passed_over() {
    let (sender, receiver) = (bind("127.0.0.1:0", &PLAIN), bind("127.0.0.1:0", &PLAIN));
    let report = sender.send(&[message(&receiver, b""), message(&receiver, b"x")]);
    assert_eq!(report.datagrams, 2);
    assert_eq!(receive(&receiver, 1)[0].2, b"x");
}

#[test]
fn ipv6_sockets_leave_ipv4_alone() {
    if loopbacks().len() < 2 {
        return;
    }
    // Another program may hold one of the ports, but not five.
    let free = (0..5).any(|_| {
        let six = bind("[::]:0", &PLAIN);
        let port = six.local_addr().unwrap().port();
        Socket::bind(SocketAddr::from(([0, 0, 0, 0], port)), &PLAIN).is_ok()
    });
    assert!(free, "the same port is to be had for IPv4");
}

#[test]
fn the_portable_socket_speaks_the_same_language() {
    let bind = |address: &str| portable::Socket::bind(address.parse().unwrap(), &Options::default()).unwrap();
    for address in loopbacks() {
        let (one, two) = (bind(address), bind(address));
        let contents = [3; 250];
        let run = Message {
            destination: two.local_addr().unwrap(),
            local: None,
            contents: &contents,
            segment_size: NonZeroU16::new(100),
        };
        let single = Message { segment_size: None, ..run };
        let oversized = vec![0; 70_000];
        let report = one.send(&[run, Message { contents: &oversized, ..single }, single]);
        assert_eq!((report.datagrams, report.dropped, report.calls), (4, 1, 5));
        assert!(!one.is_segmenting() && !one.is_whole());

        let mut batch = ReceiveBatch::new(3, 2000);
        let got = receive_in(&mut batch, 4, |batch| two.receive(batch));
        assert_eq!(got.iter().map(|got| got.2.len()).collect::<Vec<_>>(), [100, 100, 50, 250]);
        assert!(got.iter().all(|got| got.0 == one.local_addr().unwrap() && got.1.is_none()));
        assert_eq!(two.receive(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(two.granted_buffers().unwrap().0 > 1000);
        assert!(two.tell_arrivals().is_err(), "it cannot tell");
        let program = Steering::new(0, NonZeroU8::MIN).program(false, []);
        assert!(two.steer(&program).is_err(), "nor choose");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn datagrams_tell_when_they_came_if_they_are_to() {
    for address in loopbacks() {
        let (sender, receiver) = (bind(address, &Options::default()), bind(address, &Options::default()));
        let mut batch = ReceiveBatch::new(4, ReceiveBatch::FULL_BYTES);
        let mut arrivals = |count: usize| {
            let report = sender.send(&vec![message(&receiver, b"now"); count]);
            assert_eq!(report.datagrams, count);
            let mut arrivals = Vec::new();
            while arrivals.len() < count {
                let _ = receiver.receive(&mut batch);
                arrivals.extend(batch.datagrams().map(|datagram| datagram.arrived));
            }
            arrivals
        };
        assert_eq!(arrivals(1), [None]);
        receiver.tell_arrivals().unwrap();
        let before = std::time::SystemTime::now();
        for arrived in arrivals(3) {
            let since = arrived.expect("the kernel tells").duration_since(before);
            assert!(since.is_ok_and(|since| since.as_secs() < 60), "{address}: {arrived:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn sockets_that_share_an_address_get_what_they_are_steered() {
    let shared = Options { reuse_port: true, ..PLAIN };
    let wildcard = |loopback| if loopback == "127.0.0.1:0" { "0.0.0.0:0" } else { "[::]:0" };
    let addresses = loopbacks().into_iter().flat_map(|loopback| [(loopback, loopback), (wildcard(loopback), loopback)]);
    for (address, loopback) in addresses {
        let first = bind(address, &shared);
        let bound = first.local_addr().unwrap();
        let sockets = [first, bind(&bound.to_string(), &shared), bind(&bound.to_string(), &shared)];
        let clients: Vec<_> = (0..60).map(|_| bind(loopback, &PLAIN)).collect();
        let remotes: Vec<SocketAddr> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        let steering = Steering::new(77, NonZeroU8::new(3).unwrap());
        // Every other one to the next socket but its usual one, then none, then all.
        for every in [2, 100, 1] {
            let exceptions = remotes.iter().step_by(every).map(|&remote| (remote, (steering.usual(remote) + 1) % 3));
            sockets[1].steer(&steering.program(bound.is_ipv6(), exceptions.clone())).unwrap();
            let mut expected: [Vec<SocketAddr>; 3] = Default::default();
            for &remote in &remotes {
                let exception = exceptions.clone().find(|(it, _)| *it == remote);
                expected[usize::from(exception.map_or_else(|| steering.usual(remote), |it| it.1))].push(remote);
            }
            let hello = Message {
                destination: SocketAddr::new(remotes[0].ip(), bound.port()),
                ..message(&sockets[0], b"hello")
            };
            assert!(clients.iter().all(|client| client.send(&[hello]).datagrams == 1));
            for (socket, expected) in sockets.iter().zip(expected) {
                let sources: Vec<SocketAddr> = receive(socket, expected.len()).iter().map(|got| got.0).collect();
                assert_eq!(sources, expected);
                assert!(is_empty(socket));
            }
        }
        let too_many = (0..20_000).map(|n| (SocketAddr::new([10, 0, 0, (n >> 10) as u8].into(), n), 1));
        assert!(sockets[0].steer(&steering.program(false, too_many)).is_err(), "the kernel takes 4096 instructions");
    }
    let alone = bind("127.0.0.1:0", &PLAIN);
    assert!(
        alone.steer(&Steering::new(0, NonZeroU8::MIN).program(false, [])).is_err(),
        "it shares its address with nobody"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn feedback_comes_to_sockets_of_its_own() {
    /// Feedback of eight bytes, and something behind it.
    const COMPOUND: &[u8] = b"\x8f\xcd\x00\x01 with a request for packets";
    let shared = Options { reuse_port: true, ..PLAIN };
    for loopback in loopbacks() {
        let first = bind(loopback, &shared);
        let bound = first.local_addr().unwrap();
        let further = (0..3).map(|_| bind(&bound.to_string(), &shared));
        let sockets: Vec<Socket> = std::iter::once(first).chain(further).collect();
        let steering = Steering::new(5, NonZeroU8::new(2).unwrap()).with_feedback_apart();
        sockets[0].steer(&steering.program(bound.is_ipv6(), [])).unwrap();
        let clients: Vec<_> = (0..20).map(|_| bind(loopback, &PLAIN)).collect();
        let mut expected = [0; 4];
        for client in &clients {
            let usual = usize::from(steering.usual(client.local_addr().unwrap()));
            for (contents, second) in [(&b"\x90\x6f media"[..], 0), (b"\x8f\xcd feedback", 2), (COMPOUND, 0), (b"!", 0)]
            {
                let to = Message { destination: bound, ..message(&sockets[0], contents) };
                assert_eq!(client.send(&[to]).datagrams, 1);
                // What is too short to be looked into comes to the first one.
                expected[if contents.len() < 2 { 0 } else { usual + second }] += 1;
            }
        }
        for (socket, expected) in sockets.iter().zip(expected) {
            assert_eq!(receive(socket, expected).len(), expected);
            assert!(is_empty(socket));
        }
    }
}
