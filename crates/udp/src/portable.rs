//! The socket of systems without batched calls: one datagram at a time through the standard library.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Type};

use crate::batch::Arrival;
use crate::{MAX_SWALLOWED, Message, Options, ReceiveBatch, SendReport, is_transient};

/// A UDP socket that never blocks and works in batches.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
}

#[cfg(unix)]
fn reuse_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn reuse_port(_: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Socket {
    /// Opens a socket on `address`: non-blocking, and for an IPv6 address free of IPv4 (IPv4-mapped addresses
    /// never appear).
    ///
    /// # Errors
    /// What the system says, most often that the address is in use or not this machine's.
    pub fn bind(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Some systems refuse what exceeds their limit, where Linux grants what it can: their default then stays.
        let _ = socket.set_recv_buffer_size(options.receive_buffer);
        let _ = socket.set_send_buffer_size(options.send_buffer);
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if options.reuse_port {
            reuse_port(&socket)?;
        }
        socket.bind(&address.into())?;
        Ok(Self { socket: socket.into() })
    }

    /// Receives what is waiting, as far as the batch has room, and returns the number of datagrams.
    ///
    /// Zero means that only errors or unusable datagrams were waiting: ask again.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is waiting; others tell that the socket is unusable.
    pub fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        batch.arrivals.clear();
        let mut swallowed = 0;
        for buffer in batch.bytes.chunks_exact_mut(batch.stride) {
            match self.receive_one(buffer.get_mut(..batch.bytes_each).unwrap_or_default(), &mut swallowed) {
                Ok(Some(arrival)) => batch.arrivals.push(arrival),
                Ok(None) => break,
                // What came before it is given out first; the next call meets the error again.
                Err(_) if !batch.arrivals.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(batch.count())
    }

    /// Receives one datagram; `None` after too many errors that are not the socket's.
    fn receive_one(&self, buffer: &mut [u8], swallowed: &mut usize) -> io::Result<Option<Arrival>> {
        while *swallowed < MAX_SWALLOWED {
            match self.socket.recv_from(buffer) {
                Ok((len, source)) => {
                    return Ok(Some(Arrival { source, local: None, len, segment_size: None, arrived: None }));
                }
                Err(error) if is_transient(&error) => *swallowed += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Sends `messages`, each datagram of a run alone; source addresses are left to the routing table.
    ///
    /// - The socket's buffer is full: the rest is dropped. Media that waits is worth nothing, and control
    ///   messages are repeated by their protocols.
    /// - One destination is refused (unreachable, forbidden, too large): that datagram is dropped.
    pub fn send(&self, messages: &[Message<'_>]) -> SendReport {
        self.send_all(messages.iter().copied())
    }

    /// Does what [`send`](Self::send) does, without that the messages lie anywhere.
    pub fn send_all<'m>(&self, messages: impl Iterator<Item = Message<'m>>) -> SendReport {
        let mut report = SendReport::default();
        let mut full = false;
        for datagram in messages.flat_map(|message| message.pieces(false)) {
            if full || !datagram.is_consistent() {
                report.dropped += 1;
                continue;
            }
            report.calls += 1;
            match self.socket.send_to(datagram.contents, datagram.destination) {
                Ok(_) => report.datagrams += 1,
                Err(error) => {
                    full = error.kind() == io::ErrorKind::WouldBlock;
                    report.dropped += 1;
                }
            }
        }
        report
    }

    /// The address it is bound to, with the port that the system chose if none was asked for.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether datagrams leave in one piece or not at all: that is left to the system.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        false
    }

    /// Lets datagrams tell when the kernel got them: not here.
    ///
    /// # Errors
    /// Always.
    pub fn tell_arrivals(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Lets the kernel choose among sockets by a program: not here.
    ///
    /// # Errors
    /// Always.
    pub fn steer(&self, _: &crate::steering::Program) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The receive and send buffers that the kernel granted, in bytes of its own accounting.
    ///
    /// # Errors
    /// What the system says.
    pub fn granted_buffers(&self) -> io::Result<(usize, usize)> {
        let socket = socket2::SockRef::from(&self.socket);
        Ok((socket.recv_buffer_size()?, socket.send_buffer_size()?))
    }

    /// Whether runs are handed to the kernel whole: never here.
    #[must_use]
    pub fn is_segmenting(&self) -> bool {
        false
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Socket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsRawSocket for Socket {
    fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
        self.socket.as_raw_socket()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsSocket for Socket {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.socket.as_socket()
    }
}
