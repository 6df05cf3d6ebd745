//! Batched UDP socket calls: `recvmmsg`, and `sendmmsg` with a segment size per message.
//!
//! A forwarding server spends most of its time in the kernel's path of one datagram, so the two calls here do
//! as much as possible each: [`Socket::receive`] takes a batch (with UDP GRO, coalesced datagrams come out
//! split), [`Socket::send`] gives many destinations one [`Message`] each, and a message may be a run of equal
//! datagrams that the kernel or the network card cuts apart (UDP GSO). Every datagram tells the local address
//! it came to and may name the one it leaves from, so one wildcard socket answers from the right address.
//!
//! On Linux nothing is allocated per call. Elsewhere the same interface works one datagram at a time, and
//! local addresses are neither told nor chosen.
//!
//! Beside `crates/prefetch` this is the only crate of the workspace that may hold `unsafe`. The pure parts (control messages, addresses,
//! batching policy) are safe code; what is left are a handful of system calls and one zeroed structure.
//!
//! # Errors
//! Losing a datagram is UDP's normal state, so [`Socket::send`] returns counts and no error. ICMP errors that
//! the kernel reports on the socket are swallowed: they concern one destination, the socket serves all.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

#[cfg(target_os = "linux")]
mod address;
mod batch;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
pub mod steering;

pub use batch::{Datagram, ReceiveBatch};
#[cfg(target_os = "linux")]
pub use linux::Socket;
#[cfg(not(target_os = "linux"))]
pub use portable::Socket;

/// How a [`Socket`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes asked for as `SO_RCVBUF`. The kernel may grant less: see [`Socket::granted_buffers`].
    pub receive_buffer: usize,
    /// Bytes asked for as `SO_SNDBUF`. The kernel may grant less: see [`Socket::granted_buffers`].
    pub send_buffer: usize,
    /// Whether UDP GSO and GRO are used where the kernel has them. Without, each datagram is a message.
    pub offload: bool,
    /// Whether several sockets of this process may have the same address (`SO_REUSEPORT`). The kernel gives all datagrams
    /// of one remote address to the same one of them; to which is up to it, or to a [`steering::Program`].
    pub reuse_port: bool,
    /// Whether datagrams over IPv4 leave in one piece, where the system can promise that, until a path is found that takes
    /// none of their length: see [`Socket::is_whole`]. For what is never in fragments the kernel need not find a number
    /// (RFC 6864 §4.1), which costs it more than to choose the route.
    pub whole: bool,
}

impl Default for Options {
    /// Four MiB each way (one frame for 100 receivers is 600 kB at once), with offload.
    fn default() -> Self {
        Self { receive_buffer: 4 << 20, send_buffer: 4 << 20, offload: true, reuse_port: false, whole: false }
    }
}

/// One datagram to send, or a run of datagrams for one destination.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Where it goes; of the socket's address family, else it is dropped.
    pub destination: SocketAddr,
    /// The address it leaves from; `None` lets the routing table choose. Of the destination's family, else the
    /// message is dropped.
    pub local: Option<IpAddr>,
    /// The bytes, of one datagram or of several back to back.
    pub contents: &'a [u8],
    /// Bytes of each datagram in `contents`; the last may be shorter. `None`: all of it is one datagram.
    ///
    /// The kernel takes [`MAX_SEGMENTS`] datagrams and [`MAX_RUN_BYTES`] bytes at once; a longer run is passed on
    /// in pieces of whole datagrams.
    pub segment_size: Option<NonZeroU16>,
}

/// Most datagrams in one segmented message to the kernel (`UDP_MAX_SEGMENTS` of kernels before 6.10).
pub const MAX_SEGMENTS: usize = 64;

/// Most bytes in one segmented message to the kernel: an IP packet's length less room for its headers.
pub const MAX_RUN_BYTES: usize = 65_000;

/// Messages that one system call receives at most.
///
/// Measured, 64 gain nothing over 32, and the headers of 32 fit a thread's stack without thought.
pub const MESSAGES_PER_CALL: usize = 32;

impl<'a> Message<'a> {
    /// The number of datagrams it makes.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        match self.segment_size {
            Some(size) => self.contents.len().div_ceil(usize::from(size.get())).max(1),
            None => 1,
        }
    }

    /// Whether it is more than one datagram.
    fn is_run(&self) -> bool {
        self.segment_size.is_some_and(|size| usize::from(size.get()) < self.contents.len())
    }

    /// Cuts it into what the kernel takes at once: runs within its limits, or single datagrams without `offload`.
    fn pieces(self, offload: bool) -> impl Iterator<Item = Message<'a>> {
        let (bytes, segment_size) = match self.segment_size.filter(|_| self.is_run()) {
            Some(size) if offload => {
                let (each, len) = (usize::from(size.get()), self.contents.len());
                let fits = len <= MAX_RUN_BYTES && len <= each * MAX_SEGMENTS;
                let most = if fits { len } else { (MAX_RUN_BYTES / each).clamp(1, MAX_SEGMENTS) * each };
                (most, Some(size))
            }
            Some(size) => (usize::from(size.get()), None),
            None => (usize::MAX, None),
        };
        // An empty datagram is one, too.
        let mut rest = Some(self.contents);
        std::iter::from_fn(move || {
            let left = rest.take()?;
            let (contents, more) = left.split_at_checked(bytes).unwrap_or((left, &[]));
            rest = Some(more).filter(|more| !more.is_empty());
            Some(Message { contents, segment_size, ..self })
        })
    }

    /// Whether the source address fits the destination.
    fn is_consistent(&self) -> bool {
        self.local.is_none_or(|local| local.is_ipv4() == self.destination.is_ipv4())
    }
}

/// What [`Socket::send`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct SendReport {
    /// Datagrams that the kernel took.
    pub datagrams: usize,
    /// Datagrams that it did not take, because the socket's buffer was full or a destination was refused.
    pub dropped: usize,
    /// System calls made.
    pub calls: usize,
}

/// Whether an error on the socket tells of one destination or one datagram and not of the socket.
///
/// Linux reports ICMP errors only on connected sockets or with `IP_RECVERR`, Windows reports `ConnectionReset`
/// on any; the caller tries again in all cases.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::Interrupted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    ) || is_transient_code(error)
}

/// The codes among these errors that have no kind of their own.
#[cfg(unix)]
fn is_transient_code(error: &io::Error) -> bool {
    let transient = [libc::EPROTO, libc::ENOPROTOOPT, libc::EHOSTDOWN, libc::EMSGSIZE, libc::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|code| transient.contains(&code))
}

/// The codes among these errors that have no kind of their own.
#[cfg(not(unix))]
fn is_transient_code(_: &io::Error) -> bool {
    false
}

/// Errors in a row that [`Socket::receive`] swallows before it lets its caller breathe.
const MAX_SWALLOWED: usize = 16;

#[cfg(test)]
mod tests;
