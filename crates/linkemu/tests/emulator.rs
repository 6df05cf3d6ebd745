//! Real datagrams through a running emulator. What they meet is judged by counts and order, never by the clock.

use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtable_linkemu::{CSV_HEAD, Emulator, Options};

/// For what must come; a machine so busy that it takes longer fails the test wrongly, not silently.
const PATIENCE: Duration = Duration::from_secs(20);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    (String::from_utf8_lossy(&buffer[..len]).into_owned(), from)
}

fn tell(emulator: &Emulator, line: &str) -> String {
    let socket = socket();
    socket.send_to(line.as_bytes(), emulator.control()).unwrap();
    receive(&socket).0
}

#[test]
fn each_guest_has_an_address_of_its_own_and_its_own_answers() {
    let server = socket();
    let emulator = Emulator::start(Options::new(vec![server.local_addr().unwrap()])).unwrap();
    let (ann, ben) = (socket(), socket());
    ann.send_to(b"ann", emulator.fronts()[0]).unwrap();
    let (said, ann_back) = receive(&server);
    assert_eq!(said, "ann");
    ben.send_to(b"ben", emulator.fronts()[0]).unwrap();
    let (said, ben_back) = receive(&server);
    assert_eq!(said, "ben");
    assert_ne!(ann_back, ben_back);
    server.send_to(b"to ann", ann_back).unwrap();
    server.send_to(b"to ben", ben_back).unwrap();
    assert_eq!(receive(&ann), ("to ann".to_owned(), emulator.fronts()[0]));
    assert_eq!(receive(&ben), ("to ben".to_owned(), emulator.fronts()[0]));
    ann.send_to(b"again", emulator.fronts()[0]).unwrap();
    assert_eq!(receive(&server), ("again".to_owned(), ann_back), "a guest keeps its address");
}

#[test]
fn a_command_changes_one_direction_of_one_link() {
    let server = socket();
    let address = server.local_addr().unwrap();
    let emulator = Emulator::start(Options::new(vec![address, address])).unwrap();
    let guest = socket();
    assert!(tell(&emulator, "link 0 up mtu=40").starts_with("ok "));
    // 28 bytes of headers and 13 more do not fit into 40; the same over the other link, and what is shorter, do.
    guest.send_to(b"thirteen byte", emulator.fronts()[0]).unwrap();
    guest.send_to(b"short", emulator.fronts()[0]).unwrap();
    let (said, back) = receive(&server);
    assert_eq!(said, "short");
    server.send_to(b"an answer as long as you like", back).unwrap();
    assert_eq!(receive(&guest).0, "an answer as long as you like");
    guest.send_to(b"thirteen byte", emulator.fronts()[1]).unwrap();
    assert_eq!(receive(&server).0, "thirteen byte");
}

#[test]
fn a_command_that_makes_no_sense_is_answered_and_changes_nothing() {
    let server = socket();
    let emulator = Emulator::start(Options::new(vec![server.local_addr().unwrap()])).unwrap();
    assert!(tell(&emulator, "time").starts_with("ok "));
    assert_eq!(tell(&emulator, "link 1 up loss=1000"), "error: there is no link 1");
    assert_eq!(tell(&emulator, "link 0 up loss=1000 rate=0"), "error: 0 is no value for rate");
    assert!(tell(&emulator, "hello").starts_with("error: say"));
    let guest = socket();
    guest.send_to(b"still here", emulator.fronts()[0]).unwrap();
    assert_eq!(receive(&server).0, "still here");
}

/// A table in memory.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<Vec<u8>>>);

impl Write for Table {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_table_counts_every_packet_once() {
    let server = socket();
    let table = Table::default();
    let mut options = Options::new(vec![server.local_addr().unwrap()]);
    options.table = Box::new(table.clone());
    let emulator = Emulator::start(options).unwrap();
    assert!(tell(&emulator, "link 0 up loss=500").starts_with("ok "));
    let guest = socket();
    for _ in 0..200 {
        guest.send_to(&[b'x'; 72], emulator.fronts()[0]).unwrap();
    }
    let written = || String::from_utf8(table.0.lock().unwrap().clone()).unwrap();
    let sum = |text: &str, column: &str| -> u64 {
        let at = CSV_HEAD.split(',').position(|name| name == column).unwrap();
        let rows = text.lines().skip(1).filter(|line| line.contains(",up,"));
        rows.filter_map(|row| row.split(',').nth(at)).filter_map(|value| value.parse::<u64>().ok()).sum()
    };
    let wait_for = |packets| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while sum(&written(), "packets_in") < packets && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
    };
    // A command overtakes packets that still wait in the socket.
    wait_for(200);
    assert!(tell(&emulator, "link 0 up loss=0").starts_with("ok "));
    guest.send_to(b"last", emulator.fronts()[0]).unwrap();
    while receive(&server).0 != "last" {}
    wait_for(201);
    drop(emulator);
    let text = written();
    assert_eq!(text.lines().next(), Some(CSV_HEAD));
    assert_eq!(sum(&text, "packets_in"), 201);
    let (out, lost) = (sum(&text, "packets_out"), sum(&text, "lost"));
    assert_eq!(out + lost, 201);
    assert_eq!(sum(&text, "bytes_in"), 200 * 100 + 32);
    assert!((60..140).contains(&lost), "{lost} of 200 lost");
}
