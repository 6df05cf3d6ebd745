//! Where a peer is reached, and the short-term credentials that prove it is there.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// One way between us and a peer: its address, and the address of ours it was reached through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The peer's address as seen in the datagram's source.
    pub remote: SocketAddr,
    /// Our address the datagram was sent to, where the socket can tell.
    pub local: Option<IpAddr>,
}

/// Each datagram that comes is looked up by its path, so addresses are taken as the numbers they are: with addresses that hash
/// piece by piece, as they do by themselves, it took nearly twice as many instructions to find whose one is.
impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.remote {
            SocketAddr::V4(remote) => {
                state.write_u64(u64::from(remote.ip().to_bits()) << 16 | u64::from(remote.port()))
            }
            SocketAddr::V6(remote) => {
                state.write_u128(remote.ip().to_bits());
                state.write_u16(remote.port());
            }
        }
        match self.local {
            Some(IpAddr::V4(local)) => state.write_u32(local.to_bits()),
            Some(IpAddr::V6(local)) => state.write_u128(local.to_bits()),
            None => {}
        }
    }
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
