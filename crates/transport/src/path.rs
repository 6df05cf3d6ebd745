//! Where a peer is reached, and the short-term credentials that prove it is there.

use std::net::{IpAddr, SocketAddr};

/// One way between us and a peer: its address, and the address of ours it was reached through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// The peer's address as seen in the datagram's source.
    pub remote: SocketAddr,
    /// Our address the datagram was sent to, where the socket can tell.
    pub local: Option<IpAddr>,
}

/// A user fragment and password of ICE (RFC 8445 §5.3), ours or the peer's.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// The user fragment: 4–256 characters, public.
    pub ufrag: String,
    /// The password: 22–256 characters, the key of MESSAGE-INTEGRITY.
    pub pwd: String,
}

/// Leaves the password out, so that credentials may be logged by accident without harm.
impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}
