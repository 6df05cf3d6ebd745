//! Datagrams of several clients at one socket, which leave by one call.

use std::net::SocketAddr;

use roundtable_udp::{Message, SendReport, Socket};

use crate::address::Address;

/// Datagrams that wait. As many as a socket's clients answer at once.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Of each its end in `bytes`, who sends it and where it goes.
    waiting: Vec<(usize, Address, SocketAddr)>,
}

impl Outbox {
    /// Appends a datagram.
    pub(crate) fn push(&mut self, from: &Address, destination: SocketAddr, contents: &[u8]) {
        self.bytes.extend_from_slice(contents);
        self.waiting.push((self.bytes.len(), from.clone(), destination));
    }

    /// Sends all. What the kernel does not take is lost like anything else on the way.
    pub(crate) fn flush(&mut self, socket: &Socket) {
        if self.waiting.is_empty() {
            return;
        }
        let mut start = 0;
        let messages = self.waiting.iter().map(|(end, from, destination)| {
            let contents = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            from.message(*destination, contents, None)
        });
        let messages: Vec<Message<'_>> = messages.collect();
        let _: SendReport = socket.send(&messages);
        self.waiting.clear();
        self.bytes.clear();
    }
}
