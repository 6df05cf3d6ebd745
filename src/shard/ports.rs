//! Which UDP addresses each shard is bound to.

use std::io;
use std::net::SocketAddr;

use roundtable_udp::{Options, Socket};

use super::Sharing;

/// Socket buffers: a frame for a hundred receivers is 600 kB at once.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The sockets of one shard, at most one of each family, and where they are bound.
pub(super) struct Bound {
    pub(super) sockets: Vec<Socket>,
    pub(super) addresses: Vec<SocketAddr>,
}

/// Binds the sockets of `shards` shards.
///
/// # Errors
/// When an address cannot be had.
pub(super) fn bind(wanted: &[SocketAddr], shards: u8, sharing: Sharing) -> io::Result<Vec<Bound>> {
    let alone = Options { receive_buffer: SOCKET_BUFFER_BYTES, send_buffer: SOCKET_BUFFER_BYTES, ..Options::default() };
    let first = one(wanted, &alone)?;
    if shards == 1 {
        return Ok(vec![first]);
    }
    match sharing {
        Sharing::PortEach => {
            let port = |n: u8, address: SocketAddr| match address.port() {
                0 => Ok(0),
                port => port.checked_add(u16::from(n)).ok_or(io::ErrorKind::InvalidInput),
            };
            let further = (1..shards).map(|n| {
                let counted = wanted.iter().map(|&address| Ok(SocketAddr::new(address.ip(), port(n, address)?)));
                one(&counted.collect::<io::Result<Vec<_>>>()?, &alone)
            });
            std::iter::once(Ok(first)).chain(further).collect()
        }
        Sharing::Steered | Sharing::OnePort => {
            // The port was had alone, so no other process has it: sockets that share it would hide that.
            let addresses = first.addresses.clone();
            drop(first);
            let shared = Options { reuse_port: true, ..alone };
            (0..shards).map(|_| one(&addresses, &shared)).collect()
        }
    }
}

/// Binds one socket for each address: one port number for both families, also when the first was chosen by the system.
fn one(wanted: &[SocketAddr], options: &Options) -> io::Result<Bound> {
    let mut bound = Bound { sockets: Vec::new(), addresses: Vec::new() };
    for address in wanted {
        let first = bound.addresses.first().map(SocketAddr::port);
        let port = first.filter(|_| address.port() == 0).unwrap_or(address.port());
        let socket = Socket::bind(SocketAddr::new(address.ip(), port), options)?;
        bound.addresses.push(socket.local_addr()?);
        bound.sockets.push(socket);
    }
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: [SocketAddr; 1] = [SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0)];

    fn ports(bound: &[Bound]) -> Vec<u16> {
        bound.iter().flat_map(|bound| bound.addresses.iter().map(SocketAddr::port)).collect()
    }

    #[test]
    fn shards_share_a_port_or_have_one_each() {
        let shared = ports(&bind(&ANY, 3, Sharing::OnePort).unwrap());
        assert!(shared.len() == 3 && shared.iter().all(|&port| port == shared[0] && port != 0), "{shared:?}");
        let mut each = ports(&bind(&ANY, 3, Sharing::PortEach).unwrap());
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), 3);
    }

    #[test]
    fn a_port_that_somebody_else_shares_is_refused() {
        let theirs = bind(&ANY, 2, Sharing::OnePort).unwrap();
        let wanted = [theirs[0].addresses[0]];
        for shards in [1, 2] {
            assert!(bind(&wanted, shards, Sharing::OnePort).is_err());
        }
    }
}
