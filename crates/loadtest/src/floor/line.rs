//! What the loop is told of a client, and the keys that both know.

use std::net::SocketAddr;

use crate::srtp::{DirectionKeys, KEY_LEN, SALT_LEN};

/// One client, as a line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) room: u32,
    /// Whether it receives what others in the room send.
    pub(super) receives: bool,
    /// Whether its sound goes to others.
    pub(super) is_heard: bool,
    pub(super) address: SocketAddr,
}

impl Line {
    pub(super) fn write(&self) -> String {
        let Self { number, room, receives, is_heard, address } = self;
        format!("{number} {room} {} {} {address}\n", u8::from(*receives), u8::from(*is_heard))
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut word = || words.next();
        Some(Self {
            number: word()?.parse().ok()?,
            room: word()?.parse().ok()?,
            receives: word()? == "1",
            is_heard: word()? == "1",
            address: word()?.parse().ok()?,
        })
    }
}

/// The keys of a client, in both directions: they keep nothing secret, but cost what keys cost.
pub(super) fn keys(number: u32) -> DirectionKeys {
    let [a, b, c, d] = number.to_be_bytes();
    let key: [u8; KEY_LEN] = std::array::from_fn(|at| [a, b, c, d][at % 4] ^ at as u8);
    let salt: [u8; SALT_LEN] = std::array::from_fn(|at| [d, c, b, a][at % 4] ^ at as u8);
    DirectionKeys { rtp_key: key, rtp_salt: salt, rtcp_key: key, rtcp_salt: salt }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for (receives, is_heard) in [(true, false), (false, true)] {
            let line = Line { number: 7, room: 3, receives, is_heard, address: "127.0.0.1:9".parse().unwrap() };
            assert_eq!(Line::read(&line.write()), Some(line));
        }
        assert_eq!(Line::read("7 3 1 0"), None);
        assert_eq!(Line::read("7 3 1 0 localhost"), None);
    }
}
