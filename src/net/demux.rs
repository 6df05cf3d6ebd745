//! Finds the owner of a datagram. Pure.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use roundtable_transport::path::Path;
use roundtable_wire::packet_kind::{PacketKind, classify};
use roundtable_wire::stun;

/// Whose a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<K> {
    /// It comes over a path that this peer has proven, or names this peer's ufrag.
    Peer(K),
    /// Another shard's, which knows more.
    Shard(u8),
    /// STUN for nobody here.
    UnknownUfrag,
    /// Anything else from a path that nobody has proven.
    UnknownPath,
}

/// Proven paths and ufrags of all peers of a shard, and paths that are other shards'. Bounded by the peers: each has two
/// ufrags at most (around an ICE restart) and as many paths as its ICE agent lets it prove.
///
/// Each datagram is looked up by its path, so paths have a quick hash. One that is made to collide has to be proven first, by
/// somebody who is let in; names of those who are not do not come there.
#[derive(Debug)]
pub struct Demux<K> {
    paths: HashMap<Path, K, RandomState>,
    ufrags: HashMap<String, K>,
    own: u8,
    /// Shards that share the sockets.
    shards: u8,
    foreign: HashMap<Path, u8, RandomState>,
    /// Ufrags of peers that are not with the shard that their digits name any more.
    passed: HashMap<Box<str>, u8>,
}

impl<K: Copy + PartialEq> Demux<K> {
    /// Nobody yet, on shard `own` of `shards` that share the sockets.
    #[must_use]
    pub fn new(own: u8, shards: u8) -> Self {
        Self {
            paths: HashMap::default(),
            ufrags: HashMap::new(),
            own,
            shards,
            foreign: HashMap::default(),
            passed: HashMap::new(),
        }
    }

    /// Finds the owner by path, else, for STUN, by the receiver's ufrag in USERNAME (RFC 8445 §7.2.2), which begins with
    /// its shard's number.
    #[must_use]
    pub fn owner(&self, path: Path, datagram: &[u8]) -> Owner<K> {
        if classify(datagram) == PacketKind::Stun {
            // The ufrag rules over the path: two peers behind one address and port are told apart by it.
            return match stun::username(datagram) {
                Some((ours, _)) => self.by_ufrag(ours),
                None => self.by_path(path).unwrap_or(Owner::UnknownUfrag),
            };
        }
        self.by_path(path).unwrap_or(Owner::UnknownPath)
    }

    fn by_ufrag(&self, ufrag: &str) -> Owner<K> {
        let is_other = |shard: &u8| *shard != self.own && *shard < self.shards;
        let shard = || self.passed.get(ufrag).copied().or_else(|| shard_of(ufrag));
        match self.ufrags.get(ufrag) {
            Some(peer) => Owner::Peer(*peer),
            None => shard().filter(is_other).map_or(Owner::UnknownUfrag, Owner::Shard),
        }
    }

    fn by_path(&self, path: Path) -> Option<Owner<K>> {
        let own = self.paths.get(&path).map(|peer| Owner::Peer(*peer));
        own.or_else(|| self.foreign.get(&path).map(|shard| Owner::Shard(*shard)))
    }

    /// Routes a proven path to a peer from now on.
    pub fn add_path(&mut self, path: Path, peer: K) {
        self.foreign.remove(&path);
        self.paths.insert(path, peer);
    }

    /// Routes a path to another shard from now on, which has proven it later than anybody here.
    pub fn add_foreign(&mut self, path: Path, shard: u8) {
        self.paths.remove(&path);
        self.foreign.insert(path, shard);
    }

    /// Forgets a path of another shard, unless it is a third one's by now.
    pub fn remove_foreign(&mut self, path: &Path, shard: u8) {
        if self.foreign.get(path) == Some(&shard) {
            self.foreign.remove(path);
        }
    }

    /// A peer is with another shard from now on: a path of it is.
    pub fn pass_path(&mut self, path: Path, peer: K, shard: u8) {
        if self.remove_path(&path, peer) {
            self.foreign.insert(path, shard);
        }
    }

    /// … and so is a ufrag of it.
    pub fn pass_ufrag(&mut self, ufrag: &str, peer: K, shard: u8) {
        self.remove_ufrag(ufrag, peer);
        self.note_ufrag(ufrag, shard);
    }

    /// A ufrag is with this shard from now on; with the one that its digits name is where it is taken to be anyway.
    pub fn note_ufrag(&mut self, ufrag: &str, shard: u8) {
        if shard == self.own || shard_of(ufrag) == Some(shard) {
            self.passed.remove(ufrag);
        } else {
            self.passed.insert(ufrag.into(), shard);
        }
    }

    /// The other shard that has made a ufrag.
    #[must_use]
    pub fn made_by(&self, ufrag: &str) -> Option<u8> {
        shard_of(ufrag).filter(|shard| *shard != self.own)
    }

    /// How many ufrags are known not to be where their digits say.
    #[must_use]
    pub fn passed_ufrags(&self) -> usize {
        self.passed.len()
    }

    /// Routes STUN with this ufrag to a peer from now on.
    pub fn add_ufrag(&mut self, ufrag: String, peer: K) {
        self.ufrags.insert(ufrag, peer);
    }

    /// Forgets one ufrag of a peer.
    pub fn remove_ufrag(&mut self, ufrag: &str, peer: K) {
        if self.ufrags.get(ufrag) == Some(&peer) {
            self.ufrags.remove(ufrag);
        }
    }

    /// Forgets one path, unless it belongs to another peer by now; returns whether it did.
    pub fn remove_path(&mut self, path: &Path, peer: K) -> bool {
        let is_its = self.paths.get(path) == Some(&peer);
        if is_its {
            self.paths.remove(path);
        }
        is_its
    }

    /// How many paths are known to be another shard's.
    #[must_use]
    pub fn foreign_paths(&self) -> usize {
        self.foreign.len()
    }

    /// How many paths are known.
    #[must_use]
    pub fn paths(&self) -> usize {
        self.paths.len()
    }
}

/// The shard that a ufrag names.
fn shard_of(ufrag: &str) -> Option<u8> {
    ufrag.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path { remote: ([127, 0, 0, 1], port).into(), local: None }
    }

    /// A Binding request with USERNAME `ours:theirs`.
    fn binding(ours: &str) -> Vec<u8> {
        let name = format!("{ours}:peer");
        let padded = name.len().div_ceil(4) * 4;
        let mut packet = vec![0, 1, 0, (4 + padded) as u8, 0x21, 0x12, 0xa4, 0x42];
        packet.extend([7; 12]);
        packet.extend([0, 6, 0, name.len() as u8]);
        packet.extend(name.as_bytes());
        packet.resize(24 + padded, 0);
        packet
    }

    #[test]
    fn stun_finds_its_peer_by_name_and_the_rest_by_proven_path() {
        let mut demux = Demux::new(0, 1);
        demux.add_ufrag("00ann".into(), 1);
        demux.add_ufrag("00bob".into(), 2);
        let rtp = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(demux.owner(path(5), &binding("00ann")), Owner::Peer(1));
        assert_eq!(demux.owner(path(5), &binding("00eve")), Owner::UnknownUfrag);
        assert_eq!(demux.owner(path(5), &rtp), Owner::UnknownPath, "a name proves nothing yet");
        demux.add_path(path(5), 1);
        assert_eq!(demux.owner(path(5), &rtp), Owner::Peer(1));
        assert_eq!(demux.owner(path(5), &binding("00bob")), Owner::Peer(2), "the ufrag rules over the path");
        assert_eq!(demux.owner(path(6), &rtp), Owner::UnknownPath);

        demux.add_path(path(5), 2);
        demux.remove_path(&path(5), 1);
        assert_eq!(demux.owner(path(5), &rtp), Owner::Peer(2), "a path that passed on stays with its new owner");
        demux.remove_path(&path(5), 2);
        demux.remove_ufrag("00bob", 2);
        assert_eq!(demux.owner(path(5), &rtp), Owner::UnknownPath);
        assert_eq!(demux.owner(path(5), &binding("00bob")), Owner::UnknownUfrag);
    }

    #[test]
    fn what_is_another_shards_is_known_by_its_ufrag_and_by_what_it_has_proven() {
        let mut demux = Demux::new(1, 3);
        let rtp = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        demux.add_ufrag("01ann".into(), 1);
        assert_eq!(demux.owner(path(5), &binding("02bob")), Owner::Shard(2));
        for nobodys in ["01bob", "03bob", "x2bob", "0"] {
            assert_eq!(demux.owner(path(5), &binding(nobodys)), Owner::UnknownUfrag, "{nobodys}");
        }
        demux.add_foreign(path(5), 2);
        assert_eq!(demux.owner(path(5), &rtp), Owner::Shard(2));
        demux.add_path(path(5), 1);
        assert_eq!(demux.owner(path(5), &rtp), Owner::Peer(1), "who has proven it last has it");
        demux.remove_foreign(&path(5), 2);
        demux.add_foreign(path(5), 0);
        demux.remove_path(&path(5), 1);
        demux.remove_foreign(&path(5), 2);
        assert_eq!(demux.owner(path(5), &rtp), Owner::Shard(0), "and is not taken from it by who had it before");
        demux.remove_foreign(&path(5), 0);
        assert_eq!(demux.owner(path(5), &rtp), Owner::UnknownPath);
    }

    #[test]
    fn what_has_passed_to_another_shard_is_found_there_and_forgotten_with_it() {
        let rtp = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        // Made by shard 1, it passes to 2; 0 looks on.
        let [mut onlooker, mut old, mut new] = [0, 1, 2].map(|own| Demux::new(own, 3));
        old.add_ufrag("01ann".into(), 7);
        old.add_path(path(5), 7);
        onlooker.add_foreign(path(5), 1);
        old.pass_ufrag("01ann", 7, 2);
        old.pass_path(path(5), 7, 2);
        assert_eq!(old.owner(path(5), &binding("01ann")), Owner::Shard(2));
        assert_eq!(old.owner(path(5), &rtp), Owner::Shard(2));
        assert_eq!(onlooker.owner(path(5), &rtp), Owner::Shard(1), "it hands it on");
        new.add_ufrag("01ann".into(), 8);
        new.add_path(path(5), 8);
        onlooker.note_ufrag("01ann", 2);
        assert_eq!(onlooker.owner(path(6), &binding("01ann")), Owner::Shard(2));
        assert_eq!(new.owner(path(6), &binding("01ann")), Owner::Peer(8));
        // The peer ends there.
        assert_eq!((new.made_by("01ann"), new.made_by("02bob")), (Some(1), None));
        new.remove_ufrag("01ann", 8);
        for (demux, expected) in [(&mut onlooker, Owner::Shard(1)), (&mut old, Owner::UnknownUfrag)] {
            demux.note_ufrag("01ann", 1);
            assert_eq!(demux.passed_ufrags(), 0);
            assert_eq!(demux.owner(path(6), &binding("01ann")), expected, "as its digits say");
        }
    }

    #[test]
    fn nothing_but_short_noise_has_no_owner() {
        let demux: Demux<u8> = Demux::new(0, 1);
        for noise in [&[][..], &[0], &[22, 254, 253], &[255; 40]] {
            assert_ne!(demux.owner(path(1), noise), Owner::Peer(0));
        }
    }
}
