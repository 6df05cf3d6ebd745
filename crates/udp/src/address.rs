//! Writes and reads socket addresses as the kernel lays them out, in safe code.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A `sockaddr_in` or `sockaddr_in6`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Address {
    bytes: [u8; Address::CAPACITY],
}

impl Address {
    /// Room for the larger of both, which is `sockaddr_in6`.
    pub(crate) const CAPACITY: usize = V6_LEN;
    pub(crate) const EMPTY: Self = Self { bytes: [0; Self::CAPACITY] };

    /// Writes `address` and returns its length.
    pub(crate) fn set(&mut self, address: SocketAddr) -> usize {
        match address {
            SocketAddr::V4(v4) => {
                self.bytes[..2].copy_from_slice(&FAMILY_V4.to_ne_bytes());
                self.bytes[2..4].copy_from_slice(&v4.port().to_be_bytes());
                self.bytes[4..8].copy_from_slice(&v4.ip().octets());
                self.bytes[8..V4_LEN].fill(0);
                V4_LEN
            }
            SocketAddr::V6(v6) => {
                self.bytes[..2].copy_from_slice(&FAMILY_V6.to_ne_bytes());
                self.bytes[2..4].copy_from_slice(&v6.port().to_be_bytes());
                self.bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                self.bytes[8..24].copy_from_slice(&v6.ip().octets());
                self.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                V6_LEN
            }
        }
    }

    /// Reads an address of `len` bytes; `None` if it is of another family or too short.
    pub(crate) fn read(&self, len: usize) -> Option<SocketAddr> {
        let bytes = self.bytes.get(..len)?;
        let family = u16::from_ne_bytes(array(bytes, 0)?);
        let port = u16::from_be_bytes(array(bytes, 2)?);
        match family {
            FAMILY_V4 => {
                let ip = Ipv4Addr::from(array::<4>(bytes, 4)?);
                Some(SocketAddrV4::new(ip, port).into())
            }
            FAMILY_V6 => {
                let flow = u32::from_ne_bytes(array(bytes, 4)?);
                let ip = Ipv6Addr::from(array::<16>(bytes, 8)?);
                let scope = u32::from_ne_bytes(array(bytes, 24)?);
                Some(SocketAddrV6::new(ip, port, flow, scope).into())
            }
            _ => None,
        }
    }
}

/// The `N` bytes at `offset`, if there are so many.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

const FAMILY_V4: u16 = libc::AF_INET as u16;
const FAMILY_V6: u16 = libc::AF_INET6 as u16;
const V4_LEN: usize = size_of::<libc::sockaddr_in>();
const V6_LEN: usize = size_of::<libc::sockaddr_in6>();

// The offsets above are these structures' on every Linux.
const _: () = assert!(V4_LEN == 16 && V6_LEN == 28);
const _: () = assert!(std::mem::offset_of!(libc::sockaddr_in, sin_addr) == 4);
const _: () = assert!(std::mem::offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_a_round_trip() {
        let addresses: [SocketAddr; 3] = [
            "203.0.113.7:65535".parse().unwrap(),
            "[2001:db8::1]:1".parse().unwrap(),
            SocketAddrV6::new("fe80::2".parse().unwrap(), 4000, 5, 3).into(),
        ];
        let mut written = Address::EMPTY;
        for address in addresses {
            let len = written.set(address);
            assert_eq!(written.read(len), Some(address));
            assert_eq!(written.read(len - 9), None, "cut short");
        }
    }

    #[test]
    fn the_layout_is_the_one_socket2_uses() {
        for address in ["203.0.113.7:443", "[2001:db8::1%7]:443"] {
            let address: SocketAddr = address.parse().unwrap();
            let mut written = Address::EMPTY;
            let len = written.set(address);
            let expected = socket2::SockAddr::from(address);
            assert_eq!(len, usize::try_from(expected.len()).unwrap());
            assert_eq!(
                i32::from(u16::from_ne_bytes([written.bytes[0], written.bytes[1]])),
                i32::from(expected.family())
            );
        }
    }

    #[test]
    fn other_families_and_no_address_at_all_are_none() {
        assert_eq!(Address::EMPTY.read(0), None);
        assert_eq!(Address::EMPTY.read(Address::CAPACITY), None);
        assert_eq!(Address::EMPTY.read(Address::CAPACITY + 1), None);
    }
}
