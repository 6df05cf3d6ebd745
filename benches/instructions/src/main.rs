//! The hot functions one by one, for `cargo xtask instructions` to count their instructions under valgrind.
//!
//! `instructions PIECE` does the piece and prints how many units it did. Only what happens within [`counted`] is counted, so
//! that making the input costs nothing. Instructions do not depend on what else the machine does; times do.

#![allow(clippy::print_stdout)] // A bench reports.

#[path = "../../../src/shard/arena.rs"]
#[allow(dead_code, unreachable_pub)]
mod arena;
#[path = "../../../crates/media/tests/call/mod.rs"]
mod call;
#[path = "../../../src/net/demux.rs"]
#[allow(dead_code, unreachable_pub)]
mod demux;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use arena::{Arena, Kind, Queue, Waiting};
use call::{Call, Heard};
use demux::{Demux, Owner};
use roundtable_transport::path::Path;
use roundtable_transport::srtp::{Keying, Profile, SrtpSealer};

/// A piece: it returns how many units of it were done.
type Piece = fn() -> u64;

const PIECES: [(&str, Piece); 5] =
    [("plane-10", plane), ("seal-1200", seal_large), ("seal-100", seal_small), ("demux", demux), ("arena", arena)];

fn main() {
    let asked = std::env::args().nth(1).unwrap_or_default();
    match PIECES.iter().find(|(name, _)| *name == asked) {
        Some((_, piece)) => println!("{}", piece()),
        // `cargo xtask instructions` asks so for their names.
        None => println!("pieces: {}", PIECES.map(|(name, _)| name).join(", ")),
    }
}

/// What valgrind counts: it is told so by the name.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// A settled call of one publisher and ten subscribers, reports and retransmissions included; a unit is a forwarded packet.
fn plane() -> u64 {
    let (mut call, mut heard): (Call, Heard) = Call::new(10);
    let mut forwarded = 0;
    for step in 0..SETTLING_STEPS + 100 {
        call.prepare(&mut heard);
        match step < SETTLING_STEPS {
            true => {
                call.run(&mut heard, |_, _, _, _| {});
            }
            false => {
                forwarded += counted(|| {
                    call.run(&mut heard, |head, _, tail, _| {
                        black_box((head, tail));
                    })
                });
            }
        }
    }
    forwarded
}

/// Pictures until a call has settled.
const SETTLING_STEPS: usize = 200;

fn seal_large() -> u64 {
    seal(1_184)
}

fn seal_small() -> u64 {
    seal(84)
}

/// A unit is a sealed packet of so many bytes and its tag.
fn seal(len: usize) -> u64 {
    let keying = Keying::new(Profile::AeadAes128Gcm, &[1; 16], &[2; 12]).expect("lengths of GCM");
    let mut sealer = SrtpSealer::new(&keying).expect("keys of any value will do");
    let mut packet = vec![0x80; len + sealer.overhead()];
    counted(|| {
        for sequence in 0..UNITS as u16 {
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            black_box(sealer.seal_rtp(&mut packet, 20, len, 0)).expect("the packet is long enough");
        }
    });
    UNITS
}

/// A unit is a packet of media over one of a thousand known paths.
fn demux() -> u64 {
    let path = |peer: u16| Path {
        remote: SocketAddr::from(([127, 0, 0, 1], 10_000 + peer)),
        local: Some(Ipv4Addr::LOCALHOST.into()),
    };
    let mut demux = Demux::new(0, 1);
    (0..1_000).for_each(|peer| demux.add_path(path(peer), peer));
    let packet = [0x80; 1_200];
    counted(|| {
        for unit in 0..UNITS {
            let peer = (unit % 1_000) as u16;
            assert_eq!(demux.owner(black_box(path(peer)), black_box(&packet)), Owner::Peer(peer));
        }
    });
    UNITS
}

/// Six packets for each of ten peers: a unit is one that waits, is found again at the flush, and is handed out.
fn arena() -> u64 {
    let path = Path { remote: SocketAddr::from(([127, 0, 0, 1], 10_000)), local: None };
    let (head, tails) = ([0x80; 20], [1, 2, 3, 4, 5, 6].map(|filling| [filling; 1_164]));
    let (mut waiting, mut arena) = (Waiting::default(), Arena::default());
    counted(|| {
        for _ in 0..UNITS / 60 {
            let mut queues = [Queue::default(); 10];
            for tail in &tails {
                for queue in &mut queues {
                    let kind = Kind::Rtp { header_len: 12, roc: 0 };
                    assert!(waiting.push(queue, kind, black_box(&head), black_box(tail)));
                }
            }
            for queue in queues {
                arena.next_peer();
                for (_, head, tail, padding) in waiting.packets(queue) {
                    arena.push(path, (head, tail, padding), 16, |packet| Some(packet.len()));
                }
            }
            assert_eq!(arena.messages().count(), 10);
            arena.clear();
            waiting.clear();
        }
    });
    UNITS / 60 * 60
}

/// Of each piece; fewer than there are sequence numbers.
const UNITS: u64 = 30_000;
