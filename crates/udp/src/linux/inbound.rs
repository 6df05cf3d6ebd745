//! Receives one batch: describes the buffers to the kernel and reads what it says about each.

use std::array;
use std::io;

use super::{EMPTY_VECTOR, Header, empty_header};
use crate::address::Address;
use crate::batch::{Arrival, Beside};
use crate::control::{Control, Told};
use crate::{MAX_SWALLOWED, MESSAGES_PER_CALL, ReceiveBatch, is_transient};

/// Lets `call` fill the batch and returns the number of datagrams.
pub(super) fn receive(
    batch: &mut ReceiveBatch,
    mut call: impl FnMut(&mut [Header]) -> io::Result<usize>,
) -> io::Result<usize> {
    batch.arrivals.clear();
    for _ in 0..MAX_SWALLOWED {
        match receive_once(batch, &mut call) {
            Ok(()) => break,
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(batch.count())
}

fn receive_once(batch: &mut ReceiveBatch, call: &mut impl FnMut(&mut [Header]) -> io::Result<usize>) -> io::Result<()> {
    let mut vectors = [EMPTY_VECTOR; MESSAGES_PER_CALL];
    let mut headers: [Header; MESSAGES_PER_CALL] = array::from_fn(|_| empty_header());

    // The batch holds `MESSAGES_PER_CALL` buffers at most, so every one meets its header.
    let count = batch.buffers();
    let parts = headers.iter_mut().zip(&mut vectors).zip(&mut batch.beside);
    for (buffer, ((header, vector), beside)) in batch.bytes.chunks_exact_mut(batch.stride).zip(parts) {
        vector.iov_base = buffer.as_mut_ptr().cast();
        vector.iov_len = batch.bytes_each;
        let header = &mut header.msg_hdr;
        header.msg_name = (&raw mut beside.address).cast();
        header.msg_namelen = Address::CAPACITY as _;
        header.msg_iov = &raw mut *vector;
        header.msg_iovlen = 1;
        header.msg_control = beside.control.as_mut_ptr().cast();
        header.msg_controllen = Control::CAPACITY as _;
    }

    let received = call(&mut headers[..count])?.min(count);
    for (header, beside) in headers[..received].iter().zip(&batch.beside) {
        let arrival = read(header, beside);
        batch.discarded += u64::from(arrival.is_none());
        batch.arrivals.push(arrival.unwrap_or(PASSED_OVER));
    }
    Ok(())
}

/// Reads what the kernel said about one message; `None` if part of it is missing.
#[allow(clippy::unnecessary_cast, reason = "the length's type differs between C libraries")]
fn read(header: &Header, Beside { address, control }: &Beside) -> Option<Arrival> {
    let truncated = libc::MSG_TRUNC | libc::MSG_CTRUNC;
    if header.msg_hdr.msg_flags & truncated != 0 {
        return None;
    }
    let source = address.read(header.msg_hdr.msg_namelen as usize)?;
    let Told { local, segment_size, arrived } = control.read(header.msg_hdr.msg_controllen as usize);
    Some(Arrival { source, local, len: header.msg_len as usize, segment_size, arrived })
}

/// Stands for a message that cannot be used; it has no bytes, so nobody sees its address.
const PASSED_OVER: Arrival = Arrival {
    source: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
    local: None,
    len: 0,
    segment_size: None,
    arrived: None,
};

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// Writes a message through a header's pointers, as the kernel does. Miri checks that they lead somewhere.
    fn deliver(header: &mut Header, contents: &[u8], flags: i32) {
        let source = SocketAddr::from(([192, 0, 2, 1], 9));
        let mut control = Control::EMPTY;
        control.push_source("127.0.0.2".parse().unwrap());
        // SAFETY: the header under test is to describe live memory of at least the lengths asserted here.
        unsafe {
            let vector = *header.msg_hdr.msg_iov;
            assert!(vector.iov_len >= contents.len());
            std::ptr::copy_nonoverlapping(contents.as_ptr(), vector.iov_base.cast(), contents.len());
            assert_eq!(header.msg_hdr.msg_namelen as usize, Address::CAPACITY);
            header.msg_hdr.msg_namelen = (*header.msg_hdr.msg_name.cast::<Address>()).set(source) as _;
            let len = control.len();
            std::ptr::copy_nonoverlapping(control.as_mut_ptr(), header.msg_hdr.msg_control.cast(), len);
            header.msg_hdr.msg_controllen = len as _;
        }
        header.msg_hdr.msg_flags = flags;
        header.msg_len = contents.len() as _;
    }

    #[test]
    fn each_message_lands_in_its_own_buffer() {
        let mut batch = ReceiveBatch::new(4, 16);
        let received = receive(&mut batch, |headers| {
            assert_eq!(headers.len(), 4);
            deliver(&mut headers[0], b"one", 0);
            deliver(&mut headers[1], b"two, cut", libc::MSG_TRUNC);
            deliver(&mut headers[2], b"three, no sizes", libc::MSG_CTRUNC);
            deliver(&mut headers[3], b"four", 0);
            Ok(4)
        });
        assert_eq!(received.unwrap(), 2);
        assert_eq!(batch.discarded(), 2);
        let seen: Vec<_> = batch.datagrams().map(|datagram| (datagram.local, datagram.contents.to_vec())).collect();
        let local = Some("127.0.0.2".parse().unwrap());
        assert_eq!(seen, [(local, b"one".to_vec()), (local, b"four".to_vec())]);
    }

    #[test]
    fn errors_of_destinations_are_swallowed_within_a_bound() {
        let mut batch = ReceiveBatch::new(2, 16);
        let mut calls = 0;
        let received = receive(&mut batch, |headers| {
            calls += 1;
            if calls < 3 {
                return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
            }
            deliver(&mut headers[0], b"after all", 0);
            Ok(1)
        });
        assert_eq!((received.unwrap(), calls), (1, 3));

        let mut calls = 0;
        let received = receive(&mut batch, |_| {
            calls += 1;
            Err(io::Error::from_raw_os_error(libc::EHOSTUNREACH))
        });
        assert_eq!((received.unwrap(), calls), (0, MAX_SWALLOWED));
        assert_eq!(batch.datagrams().count(), 0, "nothing of an earlier call is given out again");
    }

    #[test]
    fn an_unusable_socket_and_an_empty_one_are_told_apart() {
        let mut batch = ReceiveBatch::new(2, 16);
        for code in [libc::EBADF, libc::EAGAIN] {
            let error = receive(&mut batch, |_| Err(io::Error::from_raw_os_error(code))).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(code));
        }
    }
}
