//! Finds the owner of a datagram. Pure.

use std::collections::HashMap;

use roundtable_transport::path::Path;
use roundtable_wire::packet_kind::{PacketKind, classify};
use roundtable_wire::stun;

/// Whose a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<K> {
    /// It comes over a path that this peer has proven, or names this peer's ufrag.
    Peer(K),
    /// STUN for nobody here.
    UnknownUfrag,
    /// Anything else from a path that nobody has proven.
    UnknownPath,
}

/// Proven paths and ufrags of all peers of a shard. Bounded by the peers: each has two ufrags at most
/// (around an ICE restart) and as many paths as its ICE agent lets it prove.
#[derive(Debug)]
pub struct Demux<K> {
    paths: HashMap<Path, K>,
    ufrags: HashMap<String, K>,
}

impl<K: Copy + PartialEq> Demux<K> {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self { paths: HashMap::new(), ufrags: HashMap::new() }
    }

    /// Finds the owner by path, else, for STUN, by the receiver's ufrag in USERNAME (RFC 8445 §7.2.2).
    #[must_use]
    pub fn owner(&self, path: Path, datagram: &[u8]) -> Owner<K> {
        if classify(datagram) == PacketKind::Stun {
            // The ufrag rules over the path: two peers behind one address and port are told apart by it.
            let named = stun::username(datagram).map(|(ours, _)| self.ufrags.get(ours));
            return match named {
                Some(Some(peer)) => Owner::Peer(*peer),
                Some(None) => Owner::UnknownUfrag,
                None => self.paths.get(&path).map_or(Owner::UnknownUfrag, |peer| Owner::Peer(*peer)),
            };
        }
        self.paths.get(&path).map_or(Owner::UnknownPath, |peer| Owner::Peer(*peer))
    }

    /// Routes a proven path to a peer from now on.
    pub fn add_path(&mut self, path: Path, peer: K) {
        self.paths.insert(path, peer);
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

    /// Forgets one path, unless it belongs to another peer by now.
    pub fn remove_path(&mut self, path: &Path, peer: K) {
        if self.paths.get(path) == Some(&peer) {
            self.paths.remove(path);
        }
    }

    /// How many paths are known.
    #[must_use]
    pub fn paths(&self) -> usize {
        self.paths.len()
    }
}

impl<K: Copy + PartialEq> Default for Demux<K> {
    fn default() -> Self {
        Self::new()
    }
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
        let mut demux = Demux::new();
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
    fn nothing_but_short_noise_has_no_owner() {
        let demux: Demux<u8> = Demux::new();
        for noise in [&[][..], &[0], &[22, 254, 253], &[255; 40]] {
            assert_ne!(demux.owner(path(1), noise), Owner::Peer(0));
        }
    }
}
