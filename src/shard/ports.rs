//! Which UDP addresses each shard is bound to.

use std::io;
use std::net::SocketAddr;

use roundtable_udp::steering::Steering;
use roundtable_udp::{Options, Socket};

use super::Sharing;

/// Socket buffers: a frame for a hundred receivers is 600 kB at once.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The sockets of one shard, at most one of each family, and where they are bound.
pub(super) struct Bound {
    pub(super) sockets: Vec<Socket>,
    /// As many that get nothing but feedback, or none: then that comes like everything else.
    pub(super) aside: Vec<Socket>,
    pub(super) addresses: Vec<SocketAddr>,
}

/// Binds the sockets of `shards` shards. Where the kernel is to be told whose what is, `rule` says by what rule.
///
/// # Errors
/// When an address cannot be had.
pub(super) fn bind(
    wanted: &[SocketAddr],
    shards: u8,
    sharing: Sharing,
    rule: Option<Steering>,
) -> io::Result<Vec<Bound>> {
    let alone = Options {
        receive_buffer: SOCKET_BUFFER_BYTES,
        send_buffer: SOCKET_BUFFER_BYTES,
        whole: true,
        ..Options::default()
    };
    let first = one(wanted, &alone)?;
    let rule = rule.filter(|_| cfg!(target_os = "linux"));
    if shards == 1 && rule.is_none() {
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
            let mut bound: Vec<Bound> = (0..shards).map(|_| one(&addresses, &shared)).collect::<io::Result<_>>()?;
            if let Some(rule) = rule {
                bind_aside(&mut bound, &addresses, &shared, rule)?;
            }
            Ok(bound)
        }
    }
}

/// Gives each shard sockets for feedback, if the kernel takes a program that says what comes to them.
fn bind_aside(bound: &mut [Bound], addresses: &[SocketAddr], options: &Options, rule: Steering) -> io::Result<()> {
    let further: Vec<Bound> = bound.iter().map(|_| one(addresses, options)).collect::<io::Result<_>>()?;
    let mut sockets = bound.first().into_iter().flat_map(|bound| &bound.sockets);
    let told = sockets.try_for_each(|socket| {
        let ipv6 = socket.local_addr()?.is_ipv6();
        socket.steer(&rule.with_feedback_apart().program(ipv6, []))
    });
    match told {
        Ok(()) => bound.iter_mut().zip(further).for_each(|(bound, further)| bound.aside = further.sockets),
        // They leave the group again, and the kernel chooses by itself.
        Err(error) => tracing::debug!(%error, "the kernel takes no program: feedback comes like everything else"),
    }
    Ok(())
}

/// Binds one socket for each address: one port number for both families, also when the first was chosen by the system.
fn one(wanted: &[SocketAddr], options: &Options) -> io::Result<Bound> {
    let mut bound = Bound { sockets: Vec::new(), aside: Vec::new(), addresses: Vec::new() };
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
        let shared = ports(&bind(&ANY, 3, Sharing::OnePort, None).unwrap());
        assert!(shared.len() == 3 && shared.iter().all(|&port| port == shared[0] && port != 0), "{shared:?}");
        let mut each = ports(&bind(&ANY, 3, Sharing::PortEach, None).unwrap());
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), 3);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn each_shard_gets_feedback_on_a_socket_of_its_own() {
        use roundtable_udp::{Message, ReceiveBatch};

        for shards in [1, 2] {
            let rule = Steering::new(9, std::num::NonZeroU8::new(shards).unwrap());
            let bound = bind(&ANY, shards, Sharing::Steered, Some(rule)).unwrap();
            assert_eq!(ports(&bound), vec![bound[0].addresses[0].port(); shards.into()]);
            let client = Socket::bind(ANY[0], &Options::default()).unwrap();
            let shard = &bound[usize::from(rule.usual(client.local_addr().unwrap()))];
            let hello =
                |contents| Message { destination: shard.addresses[0], local: None, contents, segment_size: None };
            let _ = client.send(&[hello(b"\x8f\xcd feedback"), hello(b"\x90\x60 media")]);
            let mut batch = ReceiveBatch::new(4, 100);
            for (socket, expected) in
                [(&shard.aside[0], &b"\x8f\xcd feedback"[..]), (&shard.sockets[0], b"\x90\x60 media")]
            {
                assert_eq!(socket.receive(&mut batch).unwrap(), 1);
                assert!(batch.datagrams().all(|datagram| *datagram.contents == *expected));
            }
        }
    }

    #[test]
    fn a_port_that_somebody_else_shares_is_refused() {
        let theirs = bind(&ANY, 2, Sharing::OnePort, None).unwrap();
        let wanted = [theirs[0].addresses[0]];
        for shards in [1, 2] {
            assert!(bind(&wanted, shards, Sharing::OnePort, None).is_err());
        }
    }
}
