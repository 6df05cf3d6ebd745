//! The addresses of ours that an answer names as ICE candidates (RFC 8839 §5.1).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The component of a stream that carries RTP and RTCP together (RFC 5761); there is no other here.
const COMPONENT: u8 = 1;

/// Which way a candidate address was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CandidateKind {
    /// An address we listen on, or one that is mapped onto it one to one (`--public-ip`).
    Host,
    /// Our address as a STUN server saw it.
    ServerReflexive,
}

impl CandidateKind {
    /// The word behind `typ`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
        }
    }

    /// The type preference RFC 8445 §5.1.2.2 recommends.
    fn preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::ServerReflexive => 100,
        }
    }
}

/// One UDP address of ours; [`Display`](fmt::Display) writes the value of its `a=candidate` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Where a peer sends its checks.
    pub address: SocketAddr,
    /// Which way the address was learned.
    pub kind: CandidateKind,
    /// The priority of RFC 8445 §5.1.2.
    pub priority: u32,
    /// Equal for candidates of one kind and one address (RFC 8445 §5.1.1.3).
    pub foundation: u32,
}

impl Candidate {
    /// Names an address we listen on. Among our host candidates a higher `local_preference` is tried first.
    pub fn host(address: SocketAddr, local_preference: u16) -> Self {
        Self::new(address, CandidateKind::Host, local_preference)
    }

    /// Names an address a STUN server saw; peers try it after the host candidates.
    pub fn server_reflexive(address: SocketAddr, local_preference: u16) -> Self {
        Self::new(address, CandidateKind::ServerReflexive, local_preference)
    }

    fn new(address: SocketAddr, kind: CandidateKind, local_preference: u16) -> Self {
        let priority = kind.preference() << 24 | u32::from(local_preference) << 8 | (256 - u32::from(COMPONENT));
        Self { address, kind, priority, foundation: foundation(kind, address.ip()) }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, kind, priority, foundation } = self;
        let (ip, port, kind_word) = (address.ip(), address.port(), kind.as_str());
        write!(f, "{foundation} {COMPONENT} udp {priority} {ip} {port} typ {kind_word}")?;
        match (kind, ip) {
            (CandidateKind::Host, _) => Ok(()),
            // The base is private; RFC 8839 §5.1 has these values for one who does not tell it.
            (CandidateKind::ServerReflexive, IpAddr::V4(_)) => f.write_str(" raddr 0.0.0.0 rport 9"),
            (CandidateKind::ServerReflexive, IpAddr::V6(_)) => f.write_str(" raddr :: rport 9"),
        }
    }
}

/// Mixes kind and address into a number; FNV-1a, so that it is the same in every process.
fn foundation(kind: CandidateKind, ip: IpAddr) -> u32 {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let start = mix(0x811c_9dc5, kind as u8);
    match ip {
        IpAddr::V4(ip) => ip.octets().into_iter().fold(start, mix),
        IpAddr::V6(ip) => ip.octets().into_iter().fold(start, mix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str, local_preference: u16) -> Candidate {
        Candidate::host(address.parse().unwrap(), local_preference)
    }

    #[test]
    fn a_host_candidate_is_written_as_rfc_8839_has_it() {
        let text = candidate("192.0.2.7:7882", 65_535).to_string();
        let (foundation, rest) = text.split_once(' ').unwrap();
        assert!(foundation.parse::<u32>().is_ok(), "{foundation}");
        assert_eq!(rest, "1 udp 2130706431 192.0.2.7 7882 typ host");
    }

    #[test]
    fn addresses_of_ipv6_carry_no_brackets() {
        assert!(candidate("[2001:db8::7]:7882", 1).to_string().ends_with(" 2001:db8::7 7882 typ host"));
    }

    #[test]
    fn a_reflexive_candidate_hides_its_base_and_comes_last() {
        let address = "198.51.100.1:40000".parse().unwrap();
        let reflexive = Candidate::server_reflexive(address, u16::MAX);
        assert!(reflexive.to_string().ends_with("198.51.100.1 40000 typ srflx raddr 0.0.0.0 rport 9"));
        assert!(reflexive.priority < Candidate::host(address, 0).priority);
        assert_ne!(reflexive.foundation, Candidate::host(address, 0).foundation);
    }

    #[test]
    fn one_address_has_one_foundation_and_two_have_two() {
        assert_eq!(candidate("192.0.2.7:1", 1).foundation, candidate("192.0.2.7:2", 9).foundation);
        assert_ne!(candidate("192.0.2.7:1", 1).foundation, candidate("192.0.2.8:1", 1).foundation);
    }
}
