//! Peeks at the user name of a STUN message, which tells whom a datagram from an unknown address is for.

use crate::reader::Reader;

const HEADER_LEN: usize = 20;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
/// The longest value of USERNAME (RFC 8489 14.3).
const MAX_USERNAME_LEN: usize = 513;

/// The two halves of the user name of a STUN message: the receiver's fragment, then the sender's (RFC 8445 7.2.2).
///
/// Checks the magic cookie and all lengths and nothing else: the message is not authentic, and it may be
/// of any type. `None` if the message is malformed or has no user name of two halves before its integrity.
#[must_use]
pub fn username(datagram: &[u8]) -> Option<(&str, &str)> {
    let mut reader = Reader(datagram);
    let message_type = reader.u16().ok()?;
    let len = usize::from(reader.u16().ok()?);
    let cookie = reader.u32().ok()?;
    let _transaction = reader.array::<12>().ok()?;
    let is_stun = message_type >> 14 == 0 && cookie == MAGIC_COOKIE;
    if !is_stun || !len.is_multiple_of(4) || datagram.len() != HEADER_LEN + len {
        return None;
    }
    while !reader.0.is_empty() {
        let kind = reader.u16().ok()?;
        let len = usize::from(reader.u16().ok()?);
        let padded = reader.take(len.next_multiple_of(4)).ok()?;
        match kind {
            USERNAME if len <= MAX_USERNAME_LEN => return halves(padded.get(..len)?),
            // What follows the integrity is not covered by it and does not count.
            USERNAME | MESSAGE_INTEGRITY => return None,
            _ => {}
        }
    }
    None
}

fn halves(value: &[u8]) -> Option<(&str, &str)> {
    let (receiver, sender) = std::str::from_utf8(value).ok()?.split_once(':')?;
    (!receiver.is_empty() && !sender.is_empty()).then_some((receiver, sender))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A binding request with the given attributes, each padded to whole words.
    fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        for (kind, value) in attributes {
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&(value.len() as u16).to_be_bytes());
            message.extend_from_slice(value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        let len = (message.len() - HEADER_LEN) as u16;
        message[2..4].copy_from_slice(&len.to_be_bytes());
        message
    }

    #[test]
    fn the_halves_are_split_at_the_colon() {
        let message = request(&[(0x0024, &[1, 2, 3, 4]), (USERNAME, b"evtj:h6vY"), (MESSAGE_INTEGRITY, &[0; 20])]);
        assert_eq!(username(&message), Some(("evtj", "h6vY")), "the user name of RFC 5769 2.1");
    }

    #[test]
    fn a_name_without_two_halves_is_none() {
        for name in [&b"evtj"[..], b":h6vY", b"evtj:", b"", b"\xff:h6vY", &[b':'; 514]] {
            assert_eq!(username(&request(&[(USERNAME, name)])), None, "{name:?}");
        }
    }

    #[test]
    fn a_name_behind_the_integrity_does_not_count() {
        assert_eq!(username(&request(&[(MESSAGE_INTEGRITY, &[0; 20]), (USERNAME, b"evtj:h6vY")])), None);
        assert_eq!(username(&request(&[])), None);
    }

    #[test]
    fn every_wrong_length_and_cookie_is_refused() {
        let message = request(&[(USERNAME, b"evtj:h6vY")]);
        assert!(username(&message).is_some());
        for len in 0..message.len() {
            assert_eq!(username(&message[..len]), None, "cut to {len}");
        }
        for (at, value) in [(0, 0x80), (3, 15), (3, 12), (4, 0x20), (23, 13), (22, 1)] {
            let mut broken = message.clone();
            broken[at] = value;
            assert_eq!(username(&broken), None, "byte {at} = {value}");
        }
        let mut odd = [&message[..], &[0; 2]].concat();
        odd[3] += 2;
        assert_eq!(username(&odd), None, "a length that is no multiple of four");
        let longer = [&message[..], &[0; 4]].concat();
        assert_eq!(username(&longer), None, "bytes behind the message");
    }
}
