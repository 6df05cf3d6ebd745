//! Where a client sends from and is reached at: a socket, which it may share with others, and an address at it.
//!
//! A socket for each client costs a system call for each picture of each, which is more than all else that a client does
//! with it. So clients of one thread share a few sockets, as long as the server is on this machine: every address from
//! 127.0.0.1 to 127.255.255.254 is its own, and the kernel tells of each datagram to which of them it came.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use roundtable_udp::{Message, Options, SendReport, Socket};

/// The address of a client.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    socket: Arc<Socket>,
    /// Which of the socket's clients this is; `None` if it has no other.
    number: Option<NonZeroU16>,
}

impl Address {
    /// An address at a socket of its own, towards a server.
    pub(crate) fn alone(server: SocketAddr) -> io::Result<Self> {
        // On loopback the socket has the address of loopback, or the server would answer to another one.
        let any: IpAddr = match server.ip() {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(Self { socket: Arc::new(open(SocketAddr::new(any, 0), false)?), number: None })
    }

    /// The same address at a socket to which comes what comes to this one only, for as long as that is open. Whoever gets
    /// into a room waits for answers, and is not carried with the others yet.
    pub(crate) fn apart(&self) -> io::Result<Self> {
        match self.local() {
            Some(local) => {
                let address = SocketAddr::new(local, self.socket.local_addr()?.port());
                Ok(Self { socket: Arc::new(open(address, true)?), number: None })
            }
            None => Ok(self.clone()),
        }
    }

    /// What a server sees.
    pub(crate) fn seen(&self) -> io::Result<SocketAddr> {
        let bound = self.socket.local_addr()?;
        Ok(SocketAddr::new(self.local().unwrap_or(bound.ip()), bound.port()))
    }

    /// A message that leaves from here.
    pub(crate) fn message<'a>(
        &self,
        destination: SocketAddr,
        contents: &'a [u8],
        segment_size: Option<NonZeroU16>,
    ) -> Message<'a> {
        Message { destination, local: self.local(), contents, segment_size }
    }

    /// Sends one datagram. What the kernel does not take is lost like anything else on the way.
    pub(crate) fn send(&self, destination: SocketAddr, contents: &[u8]) {
        let _: SendReport = self.socket.send(&[self.message(destination, contents, None)]);
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Which of the clients at the socket this is: what [`number_at`] makes of a datagram's address.
    pub(crate) fn number(&self) -> usize {
        self.number.map_or(0, |number| usize::from(number.get()))
    }

    fn local(&self) -> Option<IpAddr> {
        self.number.map(|number| Ipv4Addr::from_bits(FIRST.to_bits() | u32::from(number.get())).into())
    }
}

/// Which of the clients at a socket a datagram is for that came to this address.
pub(crate) fn number_at(local: Option<IpAddr>) -> usize {
    match local {
        Some(IpAddr::V4(local)) => u16::try_from(local.to_bits() ^ FIRST.to_bits()).map_or(0, usize::from),
        _ => 0,
    }
}

/// The addresses that a thread has for its clients.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    open: Mutex<Option<Shared>>,
}

/// The socket that gets the next client.
#[derive(Debug)]
struct Shared {
    socket: Arc<Socket>,
    last: u16,
    most: u16,
}

impl Addresses {
    /// An address for one more client towards a server. None is given twice at one socket.
    pub(crate) fn next(&self, server: SocketAddr) -> io::Result<Address> {
        if !cfg!(target_os = "linux") || !server.ip().is_loopback() || server.is_ipv6() {
            return Address::alone(server);
        }
        // A poisoned lock holds a socket that still works.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = match open.take().filter(|shared| shared.last < shared.most) {
            Some(shared) => shared,
            None => Shared::open()?,
        };
        let Shared { socket, last, .. } = open.insert(Shared { last: shared.last + 1, ..shared });
        Ok(Address { socket: socket.clone(), number: NonZeroU16::new(*last) })
    }
}

impl Shared {
    fn open() -> io::Result<Self> {
        let socket = open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), true)?;
        let (granted, _) = socket.granted_buffers()?;
        let most = u16::try_from(granted / BYTES_EACH).unwrap_or(MOST).clamp(1, MOST);
        Ok(Self { socket: Arc::new(socket), last: 0, most })
    }
}

fn open(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::bind(address, &Options { reuse_port, whole: true, ..Options::default() })?;
    // Where the kernel does not tell, the time of reading counts.
    let _ = socket.tell_arrivals();
    Ok(socket)
}

/// Where the addresses of clients at a shared socket begin; the numbers are the lower half.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 0);
/// Of a socket's buffer for each of its clients, as the kernel counts: several pictures of 1.5 Mbit/s.
const BYTES_EACH: usize = 48 << 10;
/// Clients at one socket, whatever its buffer.
const MOST: u16 = 512;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use roundtable_udp::ReceiveBatch;

    use super::*;

    /// The next datagram at the socket of `address`, and the number of the client it is for.
    fn next(address: &Address) -> (Vec<u8>, usize) {
        let mut batch = ReceiveBatch::new(1, 100);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if address.socket().receive(&mut batch).is_ok()
                && let Some(datagram) = batch.datagrams().next()
            {
                return (datagram.contents.to_vec(), number_at(datagram.local));
            }
        }
        panic!("nothing came");
    }

    #[test]
    fn clients_have_addresses_of_their_own_at_few_sockets() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        let addresses = Addresses::default();
        let given: Vec<Address> = (0..3).map(|_| addresses.next(to).unwrap()).collect();
        for (address, name) in given.iter().zip([b"a", b"b", b"c"]) {
            address.send(to, name);
            let (mut contents, source) = ([0; 10], address.seen().unwrap());
            assert_eq!(server.recv_from(&mut contents).unwrap(), (1, source));
            server.send_to(name, source).unwrap();
            assert_eq!(next(address), (name.to_vec(), address.number()));
        }
        if cfg!(target_os = "linux") {
            assert!(given.iter().all(|address| Arc::ptr_eq(address.socket(), given[0].socket())));
        }
    }

    #[test]
    fn who_is_apart_is_reached_there_until_it_is_closed() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = Addresses::default().next(server.local_addr().unwrap()).unwrap();
        let apart = address.apart().unwrap();
        assert_eq!(apart.seen().unwrap(), address.seen().unwrap());
        server.send_to(b"first", address.seen().unwrap()).unwrap();
        assert_eq!(next(&apart).0, b"first");
        drop(apart);
        server.send_to(b"second", address.seen().unwrap()).unwrap();
        assert_eq!(next(&address), (b"second".to_vec(), address.number()));
    }

    #[test]
    fn a_socket_takes_so_many_and_then_there_is_another() {
        let addresses = Addresses::default();
        let server = "127.0.0.1:9".parse().unwrap();
        let seen: std::collections::HashSet<SocketAddr> =
            (0..usize::from(MOST) + 5).map(|_| addresses.next(server).unwrap().seen().unwrap()).collect();
        assert_eq!(seen.len(), usize::from(MOST) + 5, "none is given twice");
    }

    #[test]
    fn addresses_of_others_are_nobodys() {
        for (local, expected) in
            [("127.64.1.2", 258), ("127.0.0.1", 0), ("127.65.0.1", 0), ("10.64.0.1", 0), ("::1", 0)]
        {
            assert_eq!(number_at(Some(local.parse().unwrap())), expected, "{local}");
        }
        assert_eq!(number_at(None), 0);
    }
}
