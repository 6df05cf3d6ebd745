//! Chooses among sockets that share an address: writes a program by which the kernel finds the socket of a remote address.
//!
//! Sockets bound to one address by [`Options::reuse_port`](crate::Options::reuse_port) get datagrams by a hash of the
//! addresses unless a program in the classic packet-filter language says otherwise. The one made here hashes the remote
//! address and port, looks the outcome up among *exceptions*, and else takes it modulo the number of sockets, which
//! [`Steering::usual`] foretells.
//!
//! Twice as many sockets can be had, so that each has a second one which gets nothing but transport-wide feedback. That is
//! told by the first four bytes of a datagram, which SRTCP leaves in clear: RTCP of type 205 and format 15, as browsers send
//! it alone (RFC 5506), and so long that nothing else stands behind it. Who reads it can let it wait for other work.
//!
//! It is a hint and no more: exceptions are told apart by 31 bits of hash, and headers with IP options are not
//! understood. So whoever gets a datagram still has to look whose it is.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU8;

/// By what rule sockets are chosen.
#[derive(Debug, Clone, Copy)]
pub struct Steering {
    seed: u32,
    sockets: NonZeroU8,
    parts_feedback: bool,
}

impl Steering {
    /// Among `sockets` sockets. Who does not know `seed` cannot choose addresses that all come to the same one.
    #[must_use]
    pub fn new(seed: u32, sockets: NonZeroU8) -> Self {
        Self { seed, sockets, parts_feedback: false }
    }

    /// The same with a second socket for each, bound behind all the first ones in the same order: what is transport-wide
    /// feedback alone comes to that one.
    #[must_use]
    pub fn with_feedback_apart(self) -> Self {
        Self { parts_feedback: true, ..self }
    }

    /// The socket that gets datagrams of `remote` unless it is an exception; sockets are numbered in the order in which
    /// they were bound.
    #[must_use]
    pub fn usual(&self, remote: SocketAddr) -> u8 {
        // A remainder of a `u8` is one.
        (self.key(remote) % u32::from(self.sockets.get())) as u8
    }

    /// The program for sockets of IPv6 or of IPv4, by which the remote addresses in `exceptions` come to the socket
    /// that stands beside them. Addresses of the other family are passed over.
    #[must_use]
    pub fn program(&self, ipv6: bool, exceptions: impl IntoIterator<Item = (SocketAddr, u8)>) -> Program {
        let mut keys: Vec<(u32, u8)> = exceptions
            .into_iter()
            .filter(|(remote, _)| remote.is_ipv6() == ipv6)
            .map(|(remote, socket)| (self.key(remote), socket))
            .collect();
        keys.sort_unstable();
        keys.dedup_by_key(|(key, _)| *key);
        let mut program = Vec::new();
        self.look_inside(&mut program);
        self.hash(&mut program, if ipv6 { &V6_WORDS } else { &V4_WORDS }, if ipv6 { V6_PORT } else { V4_PORT });
        self.search(&mut program, &keys);
        Program(program)
    }

    /// What the program makes of an address.
    fn key(&self, remote: SocketAddr) -> u32 {
        let mixed = |key: u32, word: u32| (key ^ word).wrapping_mul(MULTIPLIER);
        let address = match remote {
            SocketAddr::V4(v4) => mixed(self.seed, v4.ip().to_bits()),
            SocketAddr::V6(v6) => {
                let words = v6.ip().octets();
                words.as_chunks::<4>().0.iter().fold(self.seed, |key, word| mixed(key, u32::from_be_bytes(*word)))
            }
        };
        let key = mixed(address, u32::from(remote.port()));
        (key ^ (key >> FOLD)) & KEY_BITS
    }

    /// Leaves how much further on the socket stands that is meant.
    fn look_inside(&self, program: &mut Vec<Instruction>) {
        let second = if self.parts_feedback { u32::from(self.sockets.get()) } else { 0 };
        // Too short a datagram ends the program: it comes to the first socket.
        program.extend([
            Instruction::plain(LOAD_HALF, 0),
            Instruction::plain(AND, !PADDING),
            Instruction { skip_if: 0, skip_else: 8, ..Instruction::plain(IF_EQUAL, FEEDBACK) },
            // The length is told in words of four bytes, less one.
            Instruction::plain(LOAD_HALF, 2),
            Instruction::plain(SHIFT_LEFT, 2),
            Instruction::plain(ADD, 4 + MOST_BEHIND),
            Instruction::plain(TO_INDEX, 0),
            Instruction::plain(LOAD_LENGTH, 0),
            Instruction { skip_if: 2, skip_else: 0, ..Instruction::plain(IF_ABOVE_INDEX, 0) },
            Instruction::plain(LOAD, second),
            Instruction::plain(JUMP, 1),
            Instruction::plain(LOAD, 0),
            Instruction::plain(STORE, FURTHER),
        ]);
    }

    /// Leaves the key in the accumulator, and how much further on the socket stands in the index.
    fn hash(&self, program: &mut Vec<Instruction>, words: &[u32], port: u32) {
        program.push(Instruction::plain(LOAD_INDEX, self.seed));
        let loads = words.iter().map(|at| Instruction::plain(LOAD_WORD, NETWORK_HEADER.wrapping_add(*at)));
        let port = Instruction::plain(LOAD_HALF, NETWORK_HEADER.wrapping_add(port));
        for load in loads.chain([port]) {
            program.push(load);
            program.push(Instruction::plain(XOR_INDEX, 0));
            program.push(Instruction::plain(MULTIPLY, MULTIPLIER));
            program.push(Instruction::plain(TO_INDEX, 0));
        }
        program.push(Instruction::plain(SHIFT_RIGHT, FOLD));
        program.push(Instruction::plain(XOR_INDEX, 0));
        program.push(Instruction::plain(AND, KEY_BITS));
        program.push(Instruction::plain(RECALL_INDEX, FURTHER));
    }

    /// Returns the socket of the key in the accumulator, or that which stands further on by the index: a binary tree, whose
    /// leaves compare one key after the other.
    fn search(&self, program: &mut Vec<Instruction>, keys: &[(u32, u8)]) {
        if keys.len() <= LEAF {
            return self.leaf(program, keys);
        }
        let (left, right) = keys.split_at(keys.len() / 2);
        // Not empty, as there are more than a leaf's.
        let pivot = right.first().map_or(KEY_BITS, |(key, _)| *key);
        program.push(Instruction { skip_else: 1, ..Instruction::plain(IF_AT_LEAST, pivot) });
        let jump = program.len();
        program.push(Instruction::plain(JUMP, 0));
        self.search(program, left);
        let distance = program.len() - jump - 1;
        if let Some(instruction) = program.get_mut(jump) {
            *instruction = Instruction::plain(JUMP, u32::try_from(distance).unwrap_or(u32::MAX));
        }
        self.search(program, right);
    }

    fn leaf(&self, program: &mut Vec<Instruction>, keys: &[(u32, u8)]) {
        let sockets: BTreeSet<u8> = keys.iter().map(|(_, socket)| *socket).collect();
        for (at, (key, socket)) in keys.iter().enumerate() {
            // Over the keys that are left and the usual choice, to what returns this socket.
            let choices = 1 + sockets.range(..socket).count();
            let skip = keys.len() - at - 1 + CHOICE_LEN * choices;
            // At most `LEAF` keys and as many sockets, so it fits.
            program.push(Instruction { skip_if: skip as u8, ..Instruction::plain(IF_EQUAL, *key) });
        }
        let usual = Instruction::plain(MODULO, u32::from(self.sockets.get()));
        let own = sockets.iter().map(|socket| Instruction::plain(LOAD, u32::from(*socket)));
        for (choice, after) in std::iter::once(usual).chain(own).zip((0..=sockets.len() as u32).rev()) {
            program.extend([choice, Instruction::plain(JUMP, after * CHOICE_LEN as u32)]);
        }
        program.extend([Instruction::plain(ADD_INDEX, 0), Instruction::plain(RETURN_ACCUMULATOR, 0)]);
    }
}

/// What the kernel is given.
#[derive(Debug, Clone)]
pub struct Program(pub(crate) Vec<Instruction>);

/// One instruction, laid out as `sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u16,
    skip_if: u8,
    skip_else: u8,
    operand: u32,
}

impl Instruction {
    const fn plain(code: u16, operand: u32) -> Self {
        Self { code, skip_if: 0, skip_else: 0, operand }
    }
}

#[cfg(target_os = "linux")]
const _: () = assert!(
    size_of::<Instruction>() == size_of::<libc::sock_filter>()
        && align_of::<Instruction>() == align_of::<libc::sock_filter>()
        && std::mem::offset_of!(Instruction, skip_if) == std::mem::offset_of!(libc::sock_filter, jt)
        && std::mem::offset_of!(Instruction, skip_else) == std::mem::offset_of!(libc::sock_filter, jf)
        && std::mem::offset_of!(Instruction, operand) == std::mem::offset_of!(libc::sock_filter, k)
);

/// Keys compared one after the other. More make the program shorter, fewer make it quicker.
const LEAF: usize = 64;
/// Instructions of each choice.
const CHOICE_LEN: usize = 2;
const _: () = assert!(LEAF + CHOICE_LEN * (LEAF + 1) <= u8::MAX as usize, "a jump goes so far");
/// How transport-wide feedback begins: version 2 and format 15, type 205 …
const FEEDBACK: u32 = 0x8fcd;
/// … with padding or without.
const PADDING: u32 = 0x2000;
/// Bytes of SRTCP behind a packet: the longest tag and the index (RFC 7714 §9).
const MOST_BEHIND: u32 = 16 + 4;
/// Where is kept how much further on the socket stands.
const FURTHER: u32 = 0;
/// 2³² divided by the golden ratio, odd.
const MULTIPLIER: u32 = 0x9e37_79b1;
/// The low bits of a product know nothing of the high ones of its factors; this far the high ones are folded down.
const FOLD: u32 = 15;
/// The kernel takes two instructions to compare with an operand that has the highest bit.
const KEY_BITS: u32 = 0x7fff_ffff;

/// Where the source address and the source port lie from the beginning of an IP header without options.
const V4_WORDS: [u32; 1] = [12];
const V4_PORT: u32 = 20;
const V6_WORDS: [u32; 4] = [8, 12, 16, 20];
const V6_PORT: u32 = 40;
/// `SKF_NET_OFF`: offsets from here on are counted from the IP header; data begin behind that of UDP.
const NETWORK_HEADER: u32 = -0x10_0000_i32 as u32;

const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const LOAD: u16 = 0x00; // BPF_LD | BPF_IMM
const LOAD_LENGTH: u16 = 0x80; // BPF_LD | BPF_W | BPF_LEN
const LOAD_INDEX: u16 = 0x01; // BPF_LDX | BPF_IMM
const STORE: u16 = 0x02; // BPF_ST
const RECALL_INDEX: u16 = 0x61; // BPF_LDX | BPF_MEM
const ADD: u16 = 0x04; // BPF_ALU | BPF_ADD | BPF_K
const SHIFT_LEFT: u16 = 0x64; // BPF_ALU | BPF_LSH | BPF_K
const ADD_INDEX: u16 = 0x0c; // BPF_ALU | BPF_ADD | BPF_X
const MULTIPLY: u16 = 0x24; // BPF_ALU | BPF_MUL | BPF_K
const MODULO: u16 = 0x94; // BPF_ALU | BPF_MOD | BPF_K
const SHIFT_RIGHT: u16 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const XOR_INDEX: u16 = 0xac; // BPF_ALU | BPF_XOR | BPF_X
const TO_INDEX: u16 = 0x07; // BPF_MISC | BPF_TAX
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_ABOVE_INDEX: u16 = 0x2d; // BPF_JMP | BPF_JGT | BPF_X
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN_ACCUMULATOR: u16 = 0x16; // BPF_RET | BPF_A

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    /// Runs a program on the headers of a datagram of `contents` from `remote`, as the kernel does.
    fn run(Program(program): &Program, remote: SocketAddr, contents: &[u8]) -> u32 {
        let mut packet = [0; 48];
        match remote.ip() {
            IpAddr::V4(v4) => packet[12..16].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => packet[8..24].copy_from_slice(&v6.octets()),
        }
        let port = if remote.is_ipv4() { 20 } else { 40 };
        packet[port..port + 2].copy_from_slice(&remote.port().to_be_bytes());
        let byte = |offset: u32| match offset {
            0..0x1000 => u32::from(contents[offset as usize]),
            _ => u32::from(packet[offset.wrapping_sub(NETWORK_HEADER) as usize]),
        };
        let half = |offset: u32| (byte(offset) << 8) | byte(offset + 1);
        let (mut accumulator, mut index, mut memory, mut at) = (0u32, 0u32, None, 0);
        loop {
            let Instruction { code, skip_if, skip_else, operand } = program[at];
            at += 1;
            let skip = |taken: bool| usize::from(if taken { skip_if } else { skip_else });
            match code {
                LOAD_WORD => accumulator = (half(operand) << 16) | half(operand + 2),
                LOAD_HALF => accumulator = half(operand),
                LOAD => accumulator = operand,
                LOAD_LENGTH => accumulator = contents.len() as u32,
                LOAD_INDEX => index = operand,
                STORE => memory = Some((operand, accumulator)),
                RECALL_INDEX => index = memory.filter(|(at, _)| *at == operand).unwrap().1,
                ADD => accumulator += operand,
                ADD_INDEX => accumulator += index,
                SHIFT_LEFT => accumulator <<= operand,
                MULTIPLY => accumulator = accumulator.wrapping_mul(operand),
                MODULO => accumulator %= operand,
                SHIFT_RIGHT => accumulator >>= operand,
                AND => accumulator &= operand,
                XOR_INDEX => accumulator ^= index,
                TO_INDEX => index = accumulator,
                JUMP => at += operand as usize,
                IF_EQUAL => at += skip(accumulator == operand),
                IF_ABOVE_INDEX => at += skip(accumulator > index),
                IF_AT_LEAST => at += skip(accumulator >= operand),
                RETURN_ACCUMULATOR => return accumulator,
                _ => panic!("no such instruction: {code:#x}"),
            }
        }
    }

    const MEDIA: &[u8] = &[0x90, 111, 0, 1];

    /// A packet that begins so and tells that it has so many words behind the first, with so many bytes behind it.
    fn rtcp(begin: [u8; 2], words: u8, behind: usize) -> Vec<u8> {
        let mut packet = vec![0; 4 * (usize::from(words) + 1) + behind];
        packet[..2].copy_from_slice(&begin);
        packet[3] = words;
        packet
    }

    fn remotes(ipv6: bool) -> impl Iterator<Item = SocketAddr> {
        let address = move |n: u32| match ipv6 {
            false => IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 | (n / 7))),
            true => IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) | (u128::from(n / 7) << 60) | 1)),
        };
        (0..).map(move |n| SocketAddr::new(address(n), 1024 + (n * 37 % 60_000) as u16))
    }

    #[test]
    fn exceptions_come_to_their_socket_and_all_others_to_the_usual_one() {
        for (ipv6, count, sockets) in [(false, 0, 2), (false, 1, 3), (true, 33, 64), (false, 1000, 2), (true, 700, 128)]
        {
            let steering = Steering::new(0x1234_5678, NonZeroU8::new(sockets).unwrap());
            let elsewhere = |remote| (steering.usual(remote) + 1) % sockets;
            let exceptions: BTreeMap<_, _> = remotes(ipv6).step_by(2).take(count).map(|r| (r, elsewhere(r))).collect();
            let of_the_other_family = remotes(!ipv6).take(40).map(|remote| (remote, 0));
            let program = steering.program(ipv6, exceptions.clone().into_iter().chain(of_the_other_family));
            for remote in remotes(ipv6).take(if cfg!(miri) { 20 } else { 3000 }) {
                let expected = exceptions.get(&remote).copied().unwrap_or_else(|| steering.usual(remote));
                assert_eq!(run(&program, remote, MEDIA), u32::from(expected), "{remote} of {sockets} sockets");
            }
        }
    }

    #[test]
    fn feedback_comes_to_the_second_socket_of_whose_it_is() {
        let sockets = 5;
        let plain = Steering::new(3, NonZeroU8::new(sockets).unwrap());
        let elsewhere = |remote| (plain.usual(remote) + 1) % sockets;
        let exceptions: Vec<_> = remotes(false).step_by(2).take(100).map(|r| (r, elsewhere(r))).collect();
        let apart = plain.with_feedback_apart().program(false, exceptions.clone());
        let together = plain.program(false, exceptions);
        // With the tag and the index of GCM, with those of AES-CM and padding, and in clear.
        let feedback = [rtcp([0x8f, 205], 5, 20), rtcp([0xaf, 205], 4, 14), rtcp([0x8f, 205], 9, 0)];
        let compound = rtcp([0x8f, 205], 5, 21);
        let others = [[0x81, 205], [0x80, 201], [0x8f, 206], [0x0f, 205], [0, 1]].map(|begin| rtcp(begin, 5, 20));
        for remote in remotes(false).take(300) {
            let first = run(&together, remote, MEDIA);
            for contents in others.iter().map(Vec::as_slice).chain([MEDIA, &compound]) {
                assert_eq!(run(&apart, remote, contents), first, "{remote} {contents:?}");
            }
            for contents in &feedback {
                assert_eq!(run(&apart, remote, contents), first + u32::from(sockets), "{remote}");
                assert_eq!(run(&together, remote, contents), first, "{remote}");
            }
        }
    }

    #[test]
    fn the_usual_choice_spreads_and_depends_on_the_seed() {
        for (ipv6, sockets) in [(false, 2), (false, 7), (true, 16)] {
            let steering = [1, 2].map(|seed| Steering::new(seed, NonZeroU8::new(sockets).unwrap()));
            let mut counts = vec![0; usize::from(sockets)];
            let remotes: Vec<SocketAddr> = remotes(ipv6).take(1000 * counts.len()).collect();
            remotes.iter().for_each(|&remote| counts[usize::from(steering[0].usual(remote))] += 1);
            assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
            let moved = remotes.iter().filter(|&&r| steering[0].usual(r) != steering[1].usual(r)).count();
            assert!(moved > remotes.len() / 3, "{moved}");
        }
    }

    #[test]
    fn a_program_for_a_thousand_is_half_of_what_the_kernel_takes() {
        let steering = Steering::new(9, NonZeroU8::new(16).unwrap());
        let program = steering.program(false, remotes(false).take(1000).map(|r| (r, (r.port() % 16) as u8)));
        assert!(program.0.len() < 2048, "{}", program.0.len());
    }
}
