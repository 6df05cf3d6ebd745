//! The socket of Linux: `recvmmsg` and `sendmmsg` with control messages.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, Protocol, Type};

use crate::steering::Program;
use crate::{Message, Options, ReceiveBatch, SendReport};

mod inbound;
mod outbound;

/// A UDP socket that never blocks and works in batches.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    local: SocketAddr,
    outbound: outbound::Outbound,
}

impl Socket {
    /// Opens a socket on `address`: non-blocking, telling the local address of each datagram, and for an IPv6
    /// address free of IPv4 (IPv4-mapped addresses never appear).
    ///
    /// # Errors
    /// What the system says, most often that the address is in use or not this machine's.
    pub fn bind(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(options.receive_buffer)?;
        socket.set_send_buffer_size(options.send_buffer)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        match address {
            SocketAddr::V4(_) => set_option(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            }
        }
        // An older kernel ignores the control message silently, so it is asked by its option (zero: no default).
        let segmentation = options.offload && set_option(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        if options.offload {
            // A kernel without it gives each datagram alone, which is what its absence means.
            let _ = set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        let discovery = |way| set_option(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, way);
        let whole = options.whole && address.is_ipv4() && discovery(libc::IP_PMTUDISC_DO).is_ok();
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { socket, local, outbound: outbound::Outbound::new(segmentation, whole) })
    }

    /// Receives what is waiting, as far as the batch has room, and returns the number of datagrams.
    ///
    /// Zero means that only errors or unusable datagrams were waiting: ask again.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is waiting; others tell that the socket is unusable.
    pub fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        inbound::receive(batch, |headers| receive_messages(&self.socket, headers))
    }

    /// Sends `messages` in as few system calls as it takes.
    ///
    /// - The socket's buffer is full: the rest is dropped. Media that waits is worth nothing, and control
    ///   messages are repeated by their protocols.
    /// - One destination is refused (unreachable, forbidden, too large): that message is dropped.
    /// - A datagram is longer than what its path takes in one piece: it is dropped, and from then on they leave in
    ///   fragments where they must; see [`Socket::is_whole`].
    /// - Segmentation is refused: the message is sent as single datagrams; see [`Socket::is_segmenting`].
    pub fn send(&self, messages: &[Message<'_>]) -> SendReport {
        self.send_all(messages.iter().copied())
    }

    /// Does what [`send`](Self::send) does, without that the messages lie anywhere.
    pub fn send_all<'m>(&self, messages: impl Iterator<Item = Message<'m>>) -> SendReport {
        let report = self.outbound.send(messages, &mut |headers| send_messages(&self.socket, headers));
        if self.outbound.take_too_long() {
            // The next one of that length gets there. If the system does not let us, it stays as it was.
            let _ = set_option(&self.socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT);
        }
        report
    }

    /// Lets datagrams tell when the kernel got them. That costs every socket of the machine some ns a datagram.
    ///
    /// # Errors
    /// What the system says.
    pub fn tell_arrivals(&self) -> io::Result<()> {
        set_option(&self.socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
    }

    /// Gives the sockets that share this one's address a program by which the kernel chooses among them, in place of
    /// the one they had. A program that chooses a socket that is not there leaves it to the kernel.
    ///
    /// # Errors
    /// What the system says: most often that the program is too long for it (4096 instructions, or fewer by
    /// `net.core.optmem_max`), or that the address is not shared.
    pub fn steer(&self, program: &Program) -> io::Result<()> {
        let Program(instructions) = program;
        let len = u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let described = libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut().cast() };
        let (name, size) = (libc::SO_ATTACH_REUSEPORT_CBPF, size_of_val(&described) as libc::socklen_t);
        // SAFETY: `described` is initialised, outlives the call and is of the length told. It leads to `len` instructions
        // laid out as `sock_filter` (asserted beside their definition), which the kernel only reads, before it returns.
        // The descriptor is open for as long as `self` is borrowed.
        let result = unsafe {
            libc::setsockopt(self.socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw const described).cast(), size)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The address it is bound to, with the port that the system chose if none was asked for.
    ///
    /// # Errors
    /// Never on Linux.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The receive and send buffers that the kernel granted, in bytes of its own accounting (twice the payload).
    ///
    /// # Errors
    /// What the system says.
    pub fn granted_buffers(&self) -> io::Result<(usize, usize)> {
        Ok((self.socket.recv_buffer_size()?, self.socket.send_buffer_size()?))
    }

    /// Whether runs are handed to the kernel whole.
    ///
    /// Turns false for good where they are refused: at once on `EIO` (the device cannot), after 16 in a row on
    /// `EINVAL`, which one path with a small MTU can cause too. The datagrams of a refused run are sent one by one.
    #[must_use]
    pub fn is_segmenting(&self) -> bool {
        self.outbound.is_segmenting()
    }

    /// Whether datagrams leave in one piece or not at all ([`Options::whole`]).
    ///
    /// Turns false for good with the first that its path does not take in one piece.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.outbound.is_whole()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sets an option that is a C `int`.
fn set_option(socket: &socket2::Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: `value` is an initialised `int` that outlives the call, `len` is its size, and the descriptor is open
    // for as long as `socket` is borrowed. The kernel only reads.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Fills the messages described by `headers` and returns how many.
fn receive_messages(socket: &socket2::Socket, headers: &mut [Header]) -> io::Result<usize> {
    let count = headers.len() as libc::c_uint;
    // SAFETY: `headers` is a mutable slice of `count` headers. `inbound::receive` is the only caller: each header's
    // pointers are null with length zero, or lead to memory of the stated length that is borrowed mutably for longer
    // than this call. The descriptor is open, and a null timeout is allowed.
    let result = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Sends the messages described by `headers` up to the first refused one, and returns how many.
fn send_messages(socket: &socket2::Socket, headers: &mut [Header]) -> io::Result<usize> {
    let count = headers.len() as libc::c_uint;
    // SAFETY: `headers` is a mutable slice of `count` headers. `Outbound::flush` is the only caller: each header's
    // pointers lead to initialised memory of the stated length that is borrowed for longer than this call; the kernel
    // writes to nothing but `msg_len` of the headers. The descriptor is open.
    let result = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// One message of a batched call.
type Header = libc::mmsghdr;

/// Describes no message: no address, no bytes, no control messages.
fn empty_header() -> Header {
    // SAFETY: `mmsghdr` consists of integers and raw pointers, for which all bits zero are valid: null and zero. A
    // literal will not do, since the structure has private padding on some C libraries.
    unsafe { std::mem::zeroed() }
}

/// Describes no bytes.
const EMPTY_VECTOR: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
