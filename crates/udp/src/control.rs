//! Writes and reads control messages (`cmsg(3)`) in safe code.
//!
//! A control message is a `cmsghdr` (length, level, type), its data, and padding to a multiple of a word.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::address::array;

/// The control messages of one datagram.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    bytes: [u8; Control::CAPACITY],
    len: usize,
}

/// What the kernel said about a datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The address of this machine that it was sent to.
    pub(crate) local: Option<IpAddr>,
    /// The size of coalesced datagrams.
    pub(crate) segment_size: Option<NonZeroU16>,
    /// When it came.
    pub(crate) arrived: Option<SystemTime>,
}

impl Control {
    /// Room for an `in6_pktinfo`, a segment size and a time.
    pub(crate) const CAPACITY: usize = 96;
    pub(crate) const EMPTY: Self = Self { bytes: [0; Self::CAPACITY], len: 0 };

    /// The memory itself, for the kernel to read or write.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    /// The bytes written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Forgets what was written.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Says which address of this machine the datagram leaves from.
    pub(crate) fn push_source(&mut self, source: IpAddr) {
        match source {
            IpAddr::V4(source) => {
                // Interface (0: any), the source, and a field that only reception uses.
                let mut info = [0; V4_INFO_LEN];
                info[V4_LOCAL..V4_LOCAL + 4].copy_from_slice(&source.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(source) => {
                let mut info = [0; V6_INFO_LEN];
                info[..16].copy_from_slice(&source.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// Says that the contents are a run of datagrams of `size` bytes.
    pub(crate) fn push_segment_size(&mut self, size: NonZeroU16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.get().to_ne_bytes());
    }

    /// Reads what the kernel said in the first `len` bytes.
    pub(crate) fn read(&self, len: usize) -> Told {
        let mut told = Told::default();
        for Entry { level, kind, data } in entries(self.bytes.get(..len).unwrap_or(&self.bytes)) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    told.local = array::<4>(data, V4_LOCAL).map(|octets| Ipv4Addr::from(octets).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    told.local = array::<16>(data, 0).map(|octets| Ipv6Addr::from(octets).into());
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = array(data, 0).map(i32::from_ne_bytes);
                    told.segment_size = size.and_then(|size| u16::try_from(size).ok()).and_then(NonZeroU16::new);
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => told.arrived = time(data),
                _ => {}
            }
        }
        told
    }

    /// Appends one control message. The two kinds above fit at their largest, which a test holds on to.
    fn push(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        let Some(space) = self.bytes.get_mut(self.len..self.len + padded(HEADER_LEN + data.len())) else { return };
        space.fill(0);
        space[LENGTH..LENGTH + WORD].copy_from_slice(&(HEADER_LEN + data.len()).to_ne_bytes());
        space[LEVEL..LEVEL + 4].copy_from_slice(&level.to_ne_bytes());
        space[KIND..KIND + 4].copy_from_slice(&kind.to_ne_bytes());
        space[HEADER_LEN..HEADER_LEN + data.len()].copy_from_slice(data);
        self.len += space.len();
    }
}

/// Reads a `timespec`.
fn time(data: &[u8]) -> Option<SystemTime> {
    let seconds = array(data, SECONDS).map(libc::time_t::from_ne_bytes)?;
    let nanos = array(data, NANOS).map(libc::c_long::from_ne_bytes)?;
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    UNIX_EPOCH.checked_add(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

/// One control message.
struct Entry<'a> {
    level: libc::c_int,
    kind: libc::c_int,
    data: &'a [u8],
}

/// The control messages in `bytes`, up to the first malformed one.
fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    std::iter::from_fn(move || {
        let len = usize::from_ne_bytes(array(bytes, LENGTH)?);
        let entry = Entry {
            level: libc::c_int::from_ne_bytes(array(bytes, LEVEL)?),
            kind: libc::c_int::from_ne_bytes(array(bytes, KIND)?),
            data: bytes.get(HEADER_LEN..len)?,
        };
        // The last one may lack its padding.
        bytes = bytes.get(padded(len)..).unwrap_or_default();
        Some(entry)
    })
}

/// `len` rounded up to a multiple of a word, as `CMSG_ALIGN` does.
const fn padded(len: usize) -> usize {
    (len + WORD - 1) & !(WORD - 1)
}

const WORD: usize = size_of::<usize>();
const HEADER_LEN: usize = padded(size_of::<libc::cmsghdr>());
const LENGTH: usize = offset_of!(libc::cmsghdr, cmsg_len);
const LEVEL: usize = offset_of!(libc::cmsghdr, cmsg_level);
const KIND: usize = offset_of!(libc::cmsghdr, cmsg_type);
const V4_INFO_LEN: usize = size_of::<libc::in_pktinfo>();
const V6_INFO_LEN: usize = size_of::<libc::in6_pktinfo>();
const SECONDS: usize = offset_of!(libc::timespec, tv_sec);
const NANOS: usize = offset_of!(libc::timespec, tv_nsec);
/// Where `in_pktinfo` has the address to answer from; `ipi_addr` would be the group's for a multicast datagram.
const V4_LOCAL: usize = offset_of!(libc::in_pktinfo, ipi_spec_dst);

// `push` writes whole words, and what it writes at most fits.
const _: () = assert!(LENGTH == 0 && LEVEL == WORD && KIND == WORD + 4);
const _: () = assert!(padded(HEADER_LEN + V6_INFO_LEN) + padded(HEADER_LEN + 4) <= Control::CAPACITY);
// What is read has to fit, too, or the kernel cuts it.
const _: () = assert!(
    padded(HEADER_LEN + V6_INFO_LEN) + padded(HEADER_LEN + 4) + padded(HEADER_LEN + size_of::<libc::timespec>())
        <= Control::CAPACITY
);

#[cfg(test)]
mod tests {
    use super::*;

    fn written(control: &Control) -> Vec<(i32, i32, Vec<u8>)> {
        entries(&control.bytes[..control.len]).map(|entry| (entry.level, entry.kind, entry.data.to_vec())).collect()
    }

    #[test]
    fn the_sizes_are_those_of_the_c_library() {
        for len in [2, 4, V4_INFO_LEN, V6_INFO_LEN] {
            let data = vec![7; len];
            let mut control = Control::EMPTY;
            control.push(1, 2, &data);
            // SAFETY: both only compute with numbers.
            let (space, length) = unsafe { (libc::CMSG_SPACE(len as _), libc::CMSG_LEN(len as _)) };
            assert_eq!(control.len(), space as usize);
            assert_eq!(usize::from_ne_bytes(array(&control.bytes, 0).unwrap()), length as usize);
            assert_eq!(written(&control), [(1, 2, data)]);
        }
    }

    #[test]
    fn source_and_segment_size_stand_side_by_side() {
        let mut control = Control::EMPTY;
        control.push_source("2001:db8::9".parse().unwrap());
        control.push_segment_size(NonZeroU16::new(1200).unwrap());
        let written = written(&control);
        assert_eq!(written.len(), 2);
        assert_eq!((written[0].0, written[0].1), (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO));
        assert_eq!(written[0].2[..3], [0x20, 0x01, 0x0d]);
        assert_eq!((written[1].0, written[1].1), (libc::SOL_UDP, libc::UDP_SEGMENT));
        assert_eq!(written[1].2, 1200u16.to_ne_bytes());
        control.clear();
        assert_eq!(control.len(), 0);
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        for local in ["127.0.0.2", "2001:db8::9"] {
            let local: IpAddr = local.parse().unwrap();
            let mut control = Control::EMPTY;
            control.push_source(local);
            control.push(libc::SOL_UDP, libc::UDP_GRO, &1188i32.to_ne_bytes());
            let told = Told { local: Some(local), segment_size: NonZeroU16::new(1188), arrived: None };
            assert_eq!(control.read(control.len()), told);
            assert_eq!(control.read(3), Told::default());
        }
        let mut control = Control::EMPTY;
        for odd in [0i32, -1, 70_000] {
            control.clear();
            control.push(libc::SOL_UDP, libc::UDP_GRO, &odd.to_ne_bytes());
            assert_eq!(control.read(control.len()), Told::default(), "{odd} is no segment size");
        }
        for (seconds, nanos, expected) in
            [(9, 5, Some(9_000_000_005)), (9, -1, None), (9, 1_000_000_000, None), (-1, 0, None)]
        {
            let mut timespec = vec![0; size_of::<libc::timespec>()];
            timespec[SECONDS..][..size_of::<libc::time_t>()]
                .copy_from_slice(&libc::time_t::from(seconds).to_ne_bytes());
            timespec[NANOS..][..size_of::<libc::c_long>()].copy_from_slice(&libc::c_long::from(nanos).to_ne_bytes());
            control.clear();
            control.push(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &timespec);
            let arrived = expected.map(|nanos| UNIX_EPOCH + Duration::from_nanos(nanos));
            assert_eq!(control.read(control.len()).arrived, arrived, "{seconds} s {nanos} ns");
        }
    }

    #[test]
    fn any_bytes_can_be_read() {
        let mut state = 1u32;
        let mut control = Control::EMPTY;
        for _ in 0..if cfg!(miri) { 200 } else { 100_000 } {
            for byte in &mut control.bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Small values, so that many lengths are plausible.
                *byte = if state >> 31 == 0 { 0 } else { (state >> 24) as u8 & 31 };
            }
            for len in [0, 5, 16, 40, 96, 200] {
                let _ = control.read(len);
            }
        }
    }
}
