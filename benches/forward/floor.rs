//! The bare loop: receive a frame, open it once, copy and seal it for every receiver, send. No ICE, no
//! RTCP, no state: what the machine itself costs at the same pace as the server's run.

use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use roundtable_udp::{Message, Options, ReceiveBatch, Socket};

use crate::cpu::thread_cpu;

/// Packets of one frame: 5 × 1200 bytes each 33 ms are 1.45 Mbit/s.
pub(crate) const FRAME_PACKETS: usize = 5;
/// Bytes of an RTP packet on the wire.
pub(crate) const PACKET_BYTES: usize = 1200;
/// Time between frames.
pub(crate) const FRAME_TIME: Duration = Duration::from_millis(33);
/// Length of the RTP header in it.
const HEADER_BYTES: usize = 20;

/// How the loop sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Send {
    /// One message a packet, all in as few `sendmmsg` as possible.
    Plain,
    /// One segmented message a receiver.
    Segmented,
}

/// CPU microseconds of the loop's thread per forwarded packet.
pub(crate) fn run(receivers: usize, time: Duration, send: Send) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let sinks: Vec<UdpSocket> = (0..receivers).map(|_| UdpSocket::bind("127.0.0.1:0").expect("bind")).collect();
    let addresses: Vec<SocketAddr> = sinks.iter().map(|s| s.local_addr().expect("bound")).collect();
    let drains: Vec<_> = sinks.into_iter().map(|sink| drain(sink, stop.clone())).collect();
    let socket = Socket::bind("127.0.0.1:0".parse().expect("an address"), &Options::default()).expect("bind");
    let target = socket.local_addr().expect("bound");
    let publisher = publish(target, stop.clone());
    let forwarded = Arc::new(AtomicU64::new(0));

    let (counter, stopped) = (forwarded.clone(), stop.clone());
    let worker = thread::spawn(move || {
        let before = thread_cpu();
        forward(socket, &addresses, send, &counter, &stopped);
        thread_cpu() - before
    });
    thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let cpu = worker.join().expect("the loop ends");
    publisher.join().expect("the publisher ends");
    drains.into_iter().for_each(|d| d.join().expect("a sink ends"));
    cpu.as_secs_f64() * 1e6 / forwarded.load(Ordering::Relaxed).max(1) as f64
}

fn key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).expect("a key of 16 bytes"))
}

fn forward(mut socket: Socket, receivers: &[SocketAddr], send: Send, forwarded: &AtomicU64, stop: &AtomicBool) {
    use std::os::fd::AsRawFd;
    let mut poll = mio::Poll::new().expect("poll");
    let mut events = mio::Events::with_capacity(4);
    let fd = socket.as_raw_fd();
    poll.registry().register(&mut mio::unix::SourceFd(&fd), mio::Token(0), mio::Interest::READABLE).expect("register");
    let mut batch = ReceiveBatch::new(64, 2048);
    let keys: Vec<LessSafeKey> = receivers.iter().map(|_| key()).collect();
    let open = key();
    let mut arenas: Vec<Vec<u8>> = receivers.iter().map(|_| Vec::with_capacity(64 * 1024)).collect();
    while !stop.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(50))).expect("poll");
        while socket.receive(&mut batch).is_ok_and(|n| n > 0) {
            let mut packets = 0;
            for datagram in batch.datagrams() {
                let (header, body) = datagram.contents.split_at_mut(HEADER_BYTES);
                let plain = open
                    .open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::from(&header[..]), body)
                    .expect("the publisher's key");
                for (arena, key) in arenas.iter_mut().zip(&keys) {
                    let start = arena.len();
                    arena.extend_from_slice(header);
                    arena.extend_from_slice(plain);
                    let (head, payload) = arena[start..].split_at_mut(HEADER_BYTES);
                    head[2] = head[2].wrapping_add(1);
                    let nonce = Nonce::assume_unique_for_key([0; 12]);
                    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&head[..]), payload).expect("seal");
                    arena.extend_from_slice(tag.as_ref());
                }
                packets += 1;
            }
            let sent = flush(&mut socket, receivers, &arenas, send);
            assert!(sent <= packets * receivers.len());
            forwarded.fetch_add(sent as u64, Ordering::Relaxed);
            arenas.iter_mut().for_each(Vec::clear);
        }
    }
}

fn flush(socket: &mut Socket, receivers: &[SocketAddr], arenas: &[Vec<u8>], send: Send) -> usize {
    let message = |destination, contents, segment_size| Message { destination, local: None, contents, segment_size };
    let pairs = receivers.iter().zip(arenas).filter(|(_, arena)| !arena.is_empty());
    let messages: Vec<Message<'_>> = match send {
        Send::Plain => {
            pairs.flat_map(|(to, arena)| arena.chunks(PACKET_BYTES).map(|p| message(*to, p, None))).collect()
        }
        Send::Segmented => {
            let size = NonZeroU16::new(PACKET_BYTES as u16);
            pairs.map(|(to, arena)| message(*to, arena.as_slice(), size)).collect()
        }
    };
    socket.send(&messages).datagrams
}

fn publish(target: SocketAddr, stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let key = key();
        let mut packet = vec![0x80; PACKET_BYTES - 16];
        let (header, payload) = packet.split_at_mut(HEADER_BYTES);
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&header[..]), payload).expect("seal");
        packet.extend_from_slice(tag.as_ref());
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..FRAME_PACKETS {
                let _ = socket.send_to(&packet, target);
            }
            next += FRAME_TIME;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    })
}

/// Reads a sink's datagrams, as a real receiver's kernel would have to.
fn drain(sink: UdpSocket, stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        sink.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        let mut buffer = [0; 2048];
        while !stop.load(Ordering::Relaxed) {
            let _ = sink.recv(&mut buffer);
        }
    })
}
