//! What waits to leave until the next flush, and what of it is sealed at a time, laid out as the kernel takes it.
//!
//! The plane walks from subscriber to subscriber for each packet, the kernel wants all packets of one subscriber at once.
//! So packets wait unsealed: a head for each subscriber, the payload once for all that follow each other with the same
//! one. The flush seals one subscriber after the other into an arena of bounded size, and sends whenever that is full:
//! however many watch, what is sealed stays in the processor's cache until the kernel has it, the first subscribers need
//! not wait for the last, and none of them keeps memory for what is only on its way.

use roundtable_transport::path::Path;
use roundtable_wire::rtp::set_padding;

/// Bytes that may wait for one peer; packets beyond are dropped and counted. A flush follows every
/// batch of received datagrams, so only a fan-out gone wild comes near.
const MAX_BYTES: usize = 512 * 1024;
/// Segments the kernel takes in one message (UDP_MAX_SEGMENTS of Linux is 64 on older kernels).
const MAX_SEGMENTS: usize = 64;
/// Bytes the kernel takes in one message: the length field of UDP less the headers.
const MAX_MESSAGE: usize = 65_000;
/// With so many bytes sealed the arena is sent. The packets of one peer stay together, so it may hold more.
const FULL_BYTES: usize = 64 * 1024;
/// By so many bytes a packet is padded at most: more would gain next to nothing (decision 11).
const MAX_PADDING: u32 = 1;
/// The bit that says that a packet ends with padding (RFC 3550 5.1).
const PADDED: u8 = 1 << 5;
/// So many tails are remembered: paced subscribers are each sent all that waits of a picture.
const EARLIER: usize = 32;
/// After so many flushes buffers give back what none of these has needed: a crowd that joins needs most.
const FLUSHES: u16 = 128;

/// The packets of all peers that wait for the flush.
#[derive(Debug, Default)]
pub struct Waiting {
    packets: Vec<Packet>,
    heads: Vec<u8>,
    tails: Vec<u8>,
    /// Where the last tail lies.
    last: Place,
    /// Where tails lie that came from elsewhere in memory, found by that.
    earlier: [Place; EARLIER],
    need: Need<3>,
}

/// The most that was needed of some buffers lately.
#[derive(Debug)]
struct Need<const N: usize> {
    most: [usize; N],
    flushes: u16,
}

impl<const N: usize> Need<N> {
    /// Takes what a flush needed of each buffer; now and then returns the room that each is to keep.
    fn handle_flush(&mut self, used: [usize; N]) -> Option<[usize; N]> {
        if used.iter().all(|&used| used == 0) {
            return None; // Most turns have nothing to send.
        }
        for (most, used) in self.most.iter_mut().zip(used) {
            *most = (*most).max(used);
        }
        self.flushes += 1;
        (self.flushes >= FLUSHES).then(|| std::mem::take(self).most)
    }
}

impl<const N: usize> Default for Need<N> {
    fn default() -> Self {
        Self { most: [0; N], flushes: 0 }
    }
}

/// The packets of one peer among those that wait, by the first and the last of a chain.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queue {
    ends: Option<(u32, u32)>,
    bytes: usize,
}

impl Queue {
    /// How many bytes wait with a packet more; `None` if those are too many.
    fn with(&self, len: usize) -> Option<usize> {
        Some(self.bytes + len).filter(|bytes| *bytes <= MAX_BYTES)
    }
}

/// What kind of packet waits to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An RTP packet.
    Rtp {
        /// How many bytes of its head stay readable.
        header_len: usize,
        /// The rollover counter of its SSRC.
        roc: u32,
    },
    /// A compound of RTCP packets.
    Rtcp,
}

/// A packet that waits.
#[derive(Debug, Clone, Copy)]
struct Packet {
    kind: Kind,
    head: Place,
    tail: Place,
    next: Option<u32>,
}

/// Where bytes lie.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start: u32,
    len: u32,
}

impl Place {
    fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..(self.start + self.len) as usize).unwrap_or_default()
    }

    /// Appends `more`; `None` when there is no more room, at four gigabytes.
    fn append(bytes: &mut Vec<u8>, more: &[u8]) -> Option<Self> {
        let place = Self { start: u32::try_from(bytes.len()).ok()?, len: u32::try_from(more.len()).ok()? };
        place.start.checked_add(place.len)?;
        bytes.extend_from_slice(more);
        Some(place)
    }
}

impl Waiting {
    /// Adds a packet of `head` and `tail` to those of a peer; `false` when [`MAX_BYTES`] wait already.
    pub fn push(&mut self, queue: &mut Queue, kind: Kind, head: &[u8], tail: &[u8]) -> bool {
        if queue.with(head.len() + tail.len()).is_none() {
            return false;
        }
        if self.last.of(&self.tails) != tail {
            let Some(place) = self.keep(tail) else { return false };
            self.last = place;
        }
        self.push_with_last(queue, kind, head)
    }

    /// Does the same with the tail of the packet that was added last.
    pub fn push_with_last(&mut self, queue: &mut Queue, kind: Kind, head: &[u8]) -> bool {
        let Some(bytes) = queue.with(head.len() + self.last.len as usize) else { return false };
        let Some(number) = self.add(kind, head) else { return false };
        match &mut queue.ends {
            Some((_, last)) => {
                if let Some(packet) = self.packets.get_mut(*last as usize) {
                    packet.next = Some(number);
                }
                *last = number;
            }
            None => queue.ends = Some((number, number)),
        }
        queue.bytes = bytes;
        true
    }

    fn add(&mut self, kind: Kind, head: &[u8]) -> Option<u32> {
        let number = u32::try_from(self.packets.len()).ok()?;
        let head = Place::append(&mut self.heads, head)?;
        self.packets.push(Packet { kind, head, tail: self.last, next: None });
        Some(number)
    }

    /// Where the bytes of a tail lie, which are kept once.
    fn keep(&mut self, tail: &[u8]) -> Option<Place> {
        // Payloads lie a kilobyte or so from each other.
        let earlier = self.earlier.get_mut((tail.as_ptr().addr() >> 10) % EARLIER)?;
        // Compared by content: buffers are used again, so the same address says little.
        if earlier.of(&self.tails) != tail {
            *earlier = Place::append(&mut self.tails, tail)?;
        }
        Some(*earlier)
    }

    /// The packets of one peer in their order: kind, head and tail, and by how many bytes to pad it.
    pub fn packets(&self, queue: Queue) -> impl Iterator<Item = (Kind, &[u8], &[u8], u8)> {
        let first = queue.ends.and_then(|(first, _)| self.packets.get(first as usize));
        let mut run = Padding::default();
        self.chain(first).map(move |packet| {
            let (head, tail) = (packet.head.of(&self.heads), packet.tail.of(&self.tails));
            (packet.kind, head, tail, run.of(self, packet))
        })
    }

    /// A packet and those behind it.
    fn chain<'a>(&'a self, first: Option<&'a Packet>) -> impl Iterator<Item = &'a Packet> {
        std::iter::successors(first, |before| before.next.and_then(|next| self.packets.get(next as usize)))
    }

    /// Whether a packet can be padded: not so what is none of RTP, or says that it ends with padding already.
    fn takes_padding(&self, packet: &Packet) -> bool {
        let first = packet.head.of(&self.heads).first();
        packet.kind != Kind::Rtcp && first.is_some_and(|first| first & PADDED == 0)
    }

    /// Forgets everything; no queue is to be used any more.
    pub fn clear(&mut self) {
        let used = [self.packets.len(), self.heads.len(), self.tails.len()];
        self.packets.clear();
        self.heads.clear();
        self.tails.clear();
        if let Some([packets, heads, tails]) = self.need.handle_flush(used) {
            self.packets.shrink_to(packets);
            self.heads.shrink_to(heads);
            self.tails.shrink_to(tails);
        }
        (self.last, self.earlier) = (Place::default(), [Place::default(); EARLIER]);
    }
}

/// By how many bytes the packets of one peer are padded, so that they are of one length and the kernel takes them at once.
///
/// Browsers cut a picture into packets that differ by a byte, the shorter ones first. To the last of a run nothing is
/// added: it may be shorter.
#[derive(Debug, Default)]
struct Padding {
    /// The length of the run's packets, and how many but the last are still to come.
    len: u32,
    left: usize,
}

impl Padding {
    /// By how many bytes to pad the next packet.
    fn of(&mut self, waiting: &Waiting, packet: &Packet) -> u8 {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => {
                *self = Self::ahead(waiting, packet);
                if self.left == 0 {
                    return 0;
                }
            }
        }
        // At most as much as was allowed when the run was looked for.
        if self.left == 0 { 0 } else { self.len.saturating_sub(packet.len()) as u8 }
    }

    /// Looks for the longest run that begins with `first`.
    fn ahead(waiting: &Waiting, first: &Packet) -> Self {
        let (mut run, mut last, mut shortest) = (Self { len: first.len(), left: 0 }, first.len(), u32::MAX);
        if !waiting.takes_padding(first) {
            return run;
        }
        for packet in waiting.chain(Some(first)).skip(1).take_while(|packet| waiting.takes_padding(packet)) {
            // All but this one are then to be as long as the longest.
            shortest = shortest.min(last);
            let len = run.len.max(packet.len());
            if len - shortest.min(len) > MAX_PADDING {
                break;
            }
            last = packet.len();
            run = Self { len, left: run.left + 1 };
        }
        run
    }
}

impl Packet {
    fn len(&self) -> u32 {
        self.head.len + self.tail.len
    }
}

/// A datagram ready for the socket.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where to, and from which of our addresses.
    pub path: Path,
    /// One datagram, or several of `segment` bytes each of which the last may be shorter.
    pub contents: &'a [u8],
    /// The length of each of several.
    pub segment: Option<usize>,
}

/// A run of packets of one length for one peer, the last of which may be shorter: one message with a segment size.
#[derive(Debug, Clone, Copy)]
struct Run {
    path: Path,
    start: usize,
    segment: usize,
    segments: usize,
    /// Whether it takes no more: a shorter packet ended it, or another peer's turn has come.
    ended: bool,
}

/// Sealed packets of some peers, grouped into runs that the kernel can split (GSO).
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    need: Need<1>,
}

impl Arena {
    /// Ends what is sealed for the peer before.
    pub fn next_peer(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            run.ended = true;
        }
    }

    /// Appends `head`, `tail`, `padding` bytes of padding and `overhead` spare ones, lets `seal` make a packet of them in
    /// place and keeps as many bytes as it says. Returns whether a packet was added: not so when `seal` refuses.
    pub fn push(
        &mut self,
        path: Path,
        (head, tail, padding): (&[u8], &[u8], u8),
        overhead: usize,
        seal: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        let end = self.bytes.len() + usize::from(padding);
        self.bytes.resize(end + overhead, 0);
        set_padding(&mut self.bytes[start..end], padding); // In bounds: `start` was the length before more was appended.
        let sealed = seal(&mut self.bytes[start..]).unwrap_or(0);
        self.bytes.truncate(start + sealed);
        if sealed > 0 {
            self.note(path, start, sealed);
        }
        sealed > 0
    }

    fn note(&mut self, path: Path, start: usize, length: usize) {
        if let Some(run) = self.runs.last_mut() {
            let fits = run.segments < MAX_SEGMENTS && start + length - run.start <= MAX_MESSAGE;
            if !run.ended && fits && length <= run.segment {
                run.segments += 1;
                run.ended = length < run.segment;
                return;
            }
        }
        self.runs.push(Run { path, start, segment: length, segments: 1, ended: false });
    }

    /// Whether it is time to send.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES
    }

    /// The messages to send.
    pub fn messages(&self) -> impl Iterator<Item = Outgoing<'_>> + Clone {
        let ends = self.runs.iter().skip(1).map(|r| r.start).chain([self.bytes.len()]);
        self.runs.iter().zip(ends).map(|(run, end)| Outgoing {
            path: run.path,
            // In bounds: runs lie one behind the other and the last ends with the bytes.
            contents: &self.bytes[run.start..end],
            segment: (run.segments > 1).then_some(run.segment),
        })
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Forgets what was sent.
    pub fn clear(&mut self) {
        let used = self.bytes.len();
        self.runs.clear();
        self.bytes.clear();
        if let Some([bytes]) = self.need.handle_flush([used]) {
            // With room for a little more than lately: without it the buffer would double for that.
            self.bytes.shrink_to(bytes + bytes / 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path { remote: ([127, 0, 0, 1], port).into(), local: None }
    }

    fn push(arena: &mut Arena, length: usize) {
        assert!(arena.push(path(1), (&vec![1; length - 16], &[], 0), 16, |p| Some(p.len())));
    }

    /// The length of a message, and that of its packets if there are several.
    type Shape = (usize, Option<usize>);

    fn shape(arena: &Arena) -> Vec<Shape> {
        arena.messages().map(|message| (message.contents.len(), message.segment)).collect()
    }

    #[test]
    fn equal_lengths_share_a_message_and_a_shorter_one_ends_it() {
        let mut arena = Arena::default();
        [1200, 1200, 1200, 700, 700, 90, 1200].into_iter().for_each(|n| push(&mut arena, n));
        assert_eq!(shape(&arena), [(4300, Some(1200)), (790, Some(700)), (1200, None)]);
        arena.clear();
        assert!(shape(&arena).is_empty());
    }

    #[test]
    fn a_message_ends_at_what_the_kernel_takes() {
        let mut arena = Arena::default();
        (0..100).for_each(|_| push(&mut arena, 100));
        assert_eq!(shape(&arena), [(6400, Some(100)), (3600, Some(100))]);
        arena.clear();
        (0..60).for_each(|_| push(&mut arena, 1200));
        assert_eq!(shape(&arena), [(64_800, Some(1200)), (7_200, Some(1200))]);
    }

    #[test]
    fn packets_of_two_peers_never_share_a_message() {
        let mut arena = Arena::default();
        for peer in [1, 2] {
            arena.next_peer();
            (0..2).for_each(|_| assert!(arena.push(path(peer), (&[0; 84], &[], 0), 16, |p| Some(p.len()))));
        }
        let told: Vec<_> = arena.messages().map(|m| (m.path.remote.port(), m.contents.len())).collect();
        assert_eq!(told, [(1, 200), (2, 200)]);
    }

    #[test]
    fn a_refused_seal_leaves_nothing_behind() {
        let mut arena = Arena::default();
        assert!(!arena.push(path(1), (&[1; 50], &[2; 50], 0), 16, |_| None));
        assert!(shape(&arena).is_empty());
    }

    #[test]
    fn each_peer_finds_its_packets_in_their_order_and_payloads_lie_there_once() {
        let mut waiting = Waiting::default();
        let mut queues = [Queue::default(); 3];
        let (one, other) = (vec![7; 1000], vec![8; 1000]);
        for (number, tail) in [(0, &one), (1, &other)] {
            for (peer, queue) in (0..).zip(&mut queues) {
                let kind = Kind::Rtp { header_len: 2, roc: u32::from(number) };
                assert!(waiting.push(queue, kind, &[peer, number], tail));
            }
        }
        assert!(waiting.push(&mut queues[1], Kind::Rtcp, &[9], &[]));
        assert_eq!(waiting.tails.len(), 2000);
        let told =
            |queue| waiting.packets(queue).map(|(_, head, tail, _)| (head.to_vec(), tail.len())).collect::<Vec<_>>();
        assert_eq!(told(queues[0]), [(vec![0, 0], 1000), (vec![0, 1], 1000)]);
        assert_eq!(told(queues[1]), [(vec![1, 0], 1000), (vec![1, 1], 1000), (vec![9], 0)]);
        assert_eq!(waiting.packets(queues[2]).nth(1).map(|(_, _, tail, _)| tail[0]), Some(8));
        assert_eq!(waiting.packets(Queue::default()).count(), 0);
    }

    /// The paddings of packets of `lengths`, head included, and the messages they make.
    fn padded(lengths: &[usize]) -> (Vec<u8>, Vec<Shape>) {
        let (mut waiting, mut queue, mut arena) = (Waiting::default(), Queue::default(), Arena::default());
        let kind = Kind::Rtp { header_len: 12, roc: 0 };
        lengths.iter().for_each(|len| assert!(waiting.push(&mut queue, kind, &[0x80; 12], &vec![0; len - 12])));
        let mut paddings = Vec::new();
        for (_, head, tail, padding) in waiting.packets(queue) {
            paddings.push(padding);
            assert!(arena.push(path(1), (head, tail, padding), 0, |packet| Some(packet.len())));
        }
        (paddings, shape(&arena))
    }

    #[test]
    fn a_byte_makes_one_run_of_packets_that_differ_by_it_and_the_last_stays_as_it_is() {
        let cases: [(&[usize], &[u8], &[Shape]); 7] = [
            (&[99, 99, 100, 100], &[1, 1, 0, 0], &[(400, Some(100))]),
            (&[100, 99, 100, 99], &[0, 1, 0, 0], &[(399, Some(100))]),
            (&[99, 100, 60], &[1, 0, 0], &[(260, Some(100))]),
            (&[98, 99, 100], &[1, 0, 0], &[(198, Some(99)), (100, None)]),
            (&[60, 100, 100], &[0, 0, 0], &[(60, None), (200, Some(100))]),
            (&[99, 100, 98, 97], &[1, 0, 0, 0], &[(298, Some(100)), (97, None)]),
            (&[99], &[0], &[(99, None)]),
        ];
        for (lengths, paddings, messages) in cases {
            assert_eq!(padded(lengths), (paddings.to_vec(), messages.to_vec()), "{lengths:?}");
        }
    }

    #[test]
    fn what_says_that_it_ends_with_padding_and_what_is_no_rtp_is_left_alone() {
        let (mut waiting, mut queue) = (Waiting::default(), Queue::default());
        let rtp = Kind::Rtp { header_len: 12, roc: 0 };
        for (kind, first, len) in [(rtp, 0x80, 50), (rtp, 0xa0, 51), (Kind::Rtcp, 0x80, 50), (rtp, 0x80, 51)] {
            assert!(waiting.push(&mut queue, kind, &[first; 12], &vec![0; len]));
        }
        assert!(waiting.packets(queue).all(|(_, _, _, padding)| padding == 0));
    }

    #[test]
    fn buffers_keep_what_was_needed_lately_and_give_the_rest_back() {
        let mut need = Need::<2>::default();
        let mut asked = |used: [usize; 2]| need.handle_flush(used);
        assert_eq!(asked([9000, 70]), None);
        assert_eq!((0..FLUSHES - 2).find_map(|_| asked([10, 80])), None);
        assert_eq!((0..FLUSHES).find_map(|_| asked([0, 0])), None, "nothing was sent");
        assert_eq!(asked([10, 60]), Some([9000, 80]));
        assert_eq!((0..FLUSHES).find_map(|_| asked([10, 60])), Some([10, 60]), "the crowd is past");

        let mut arena = Arena::default();
        push(&mut arena, 50_000);
        arena.clear();
        for _ in 0..2 * FLUSHES {
            push(&mut arena, 100);
            arena.clear();
        }
        assert!((100..1000).contains(&arena.bytes.capacity()), "{}", arena.bytes.capacity());
    }

    #[test]
    fn payloads_of_one_picture_lie_there_once_though_each_peer_is_sent_all_of_them_in_turn() {
        let (mut waiting, mut queues) = (Waiting::default(), [Queue::default(); 3]);
        let mut ring: Vec<u8> = (0..20u8).flat_map(|number| [number; 1200]).collect();
        for queue in &mut queues {
            for tail in ring.chunks(1200) {
                assert!(waiting.push(queue, Kind::Rtcp, &[1; 20], tail));
            }
        }
        assert_eq!(waiting.tails.len(), ring.len());
        for queue in queues {
            assert!(waiting.packets(queue).map(|(_, _, tail, _)| tail).eq(ring.chunks(1200)));
        }
        // Another payload at the same address.
        ring.fill(99);
        assert!(waiting.push(&mut queues[0], Kind::Rtcp, &[1; 20], &ring[..1200]));
        let last = waiting.packets(queues[0]).last().map(|(_, _, tail, _)| tail);
        assert_eq!(last, Some(&[99; 1200][..]));
        // The next flush begins with nothing.
        waiting.clear();
        let mut queue = Queue::default();
        assert!(waiting.push(&mut queue, Kind::Rtcp, &[1; 20], &ring[..1200]));
        assert_eq!(waiting.packets(queue).next().map(|(_, _, tail, _)| tail), Some(&[99; 1200][..]));
    }

    #[test]
    fn who_is_sent_the_last_tail_need_not_show_it_again_and_has_the_same_bound() {
        let (mut waiting, mut queues) = (Waiting::default(), [Queue::default(); 2]);
        assert!(waiting.push(&mut queues[0], Kind::Rtcp, &[1], &[7; 1000]));
        assert!(waiting.push_with_last(&mut queues[1], Kind::Rtcp, &[2]));
        assert!(waiting.packets(queues[1]).map(|(_, head, tail, _)| (head, tail)).eq([(&[2][..], &[7; 1000][..])]));
        let taken = (0..1000).filter(|_| waiting.push_with_last(&mut queues[1], Kind::Rtcp, &[0; 200])).count();
        assert_eq!(taken, (MAX_BYTES - 1001) / 1200);
        // What is refused is not the last one.
        assert!(!waiting.push(&mut queues[1], Kind::Rtcp, &[0; 200], &[8; 1000]));
        assert!(waiting.push_with_last(&mut queues[0], Kind::Rtcp, &[3]));
        assert_eq!(waiting.packets(queues[0]).last().map(|(_, _, tail, _)| tail), Some(&[7; 1000][..]));
        assert_eq!(waiting.tails.len(), 1000);
    }

    #[test]
    fn a_packet_that_waits_takes_little_beside_its_head() {
        assert!(size_of::<Packet>() <= 40, "{} bytes", size_of::<Packet>());
    }

    #[test]
    fn what_waits_for_one_peer_is_bounded() {
        let (mut waiting, mut queue) = (Waiting::default(), Queue::default());
        let taken = (0..1000).filter(|_| waiting.push(&mut queue, Kind::Rtcp, &[0; 200], &[0; 1000])).count();
        assert_eq!(taken, MAX_BYTES / 1200);
        assert!(waiting.push(&mut Queue::default(), Kind::Rtcp, &[0; 200], &[]), "others have their own bound");
    }
}
