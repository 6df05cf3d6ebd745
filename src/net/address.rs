//! The addresses that members are told to send to.

use std::net::{IpAddr, SocketAddr};

use roundtable_transport::candidate::Candidate;

/// Most candidates in an answer; further interfaces are left out.
const MAX_CANDIDATES: usize = 16;

/// Candidates for sockets bound to `bound`: the public addresses first, then those of the interfaces.
///
/// A socket bound to one address is reachable there only; a wildcard socket at each interface of its
/// family. Loopback is told only when `loopback` says that members may be on this machine.
#[must_use]
pub fn candidates(bound: &[SocketAddr], public: &[IpAddr], interfaces: &[IpAddr], loopback: bool) -> Vec<Candidate> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for socket in bound {
        let reach = |ip: &&IpAddr| ip.is_ipv4() == socket.is_ipv4();
        let own = if socket.ip().is_unspecified() { interfaces.to_vec() } else { vec![socket.ip()] };
        let usable = own.iter().filter(|ip| is_usable(ip, loopback));
        for ip in public.iter().chain(usable).filter(reach) {
            let address = SocketAddr::new(*ip, socket.port());
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    // Loopback last: it is of use only to pages on this machine.
    found.sort_by_key(|a| a.ip().is_loopback());
    found.truncate(MAX_CANDIDATES);
    found
        .into_iter()
        .zip((0..=u16::MAX).rev())
        .map(|(address, preference)| Candidate::host(address, preference))
        .collect()
}

/// The addresses of this machine's interfaces.
///
/// # Errors
/// When the system cannot list them.
pub fn interfaces() -> std::io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.into_iter().map(|i| i.ip()).collect())
}

fn is_usable(ip: &IpAddr, loopback: bool) -> bool {
    match ip {
        _ if ip.is_loopback() => loopback,
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        // Link-local IPv6 needs a zone, which candidates cannot carry.
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_unspecified() && !v6.is_multicast(),
    }
}
