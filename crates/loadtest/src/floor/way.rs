//! How clients get to the loop: an address and keys are all it takes.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ChildStdin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::line::{Line, keys};
use crate::address::Addresses;
use crate::client::{Client, Joined};
use crate::clock::Clock;
use crate::connect::{Entered, JoinError, JoinSpec};
use crate::dtls::DtlsError;
use crate::publish::Publisher;
use crate::receive::{Loss, Receiver};
use crate::srtp::Cipher;

/// The way to one loop.
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    /// Takes a line for each client. The loop ends when this is closed.
    pub(crate) lines: Mutex<ChildStdin>,
}

impl Way {
    /// Makes a client that says nothing but media, and tells the loop of it.
    pub(crate) fn join(&self, clock: Clock, spec: &JoinSpec, addresses: &Addresses) -> Result<Entered, JoinError> {
        let JoinSpec { room, number, .. } = *spec;
        let began_ns = clock.now_ns();
        let address = addresses.next(self.address)?;
        let (receives, is_heard) = (spec.seats > 0, spec.is_heard);
        let line = Line { number, room, receives, is_heard, address: address.seen()? };
        self.tell(&line)?;
        // The loop reads on in its own time. A packet before that would be lost, and the publishers join with the others.
        std::thread::sleep(HEARD);
        let now = Instant::now();
        let mut publisher = Publisher::new(now, &spec.tracks, number);
        publisher.start(now, number);
        let cipher = || Cipher::new(&keys(number)).ok_or(DtlsError::NoKeys);
        let connected_ns = clock.now_ns();
        let client = Client {
            room,
            number,
            joined: Joined { began_ns, connected_ns, first_media_ns: None, first_picture_ns: None },
            ended: None,
            notify: None,
            control: None,
            address,
            server: self.address,
            sealer: cipher()?,
            opener: cipher()?,
            publisher,
            receiver: Receiver::new(number, vec![], false, Loss::new(spec.loss, u64::from(number) << 17 | 1)),
            tracks: Vec::new(),
            bad: 0,
        };
        Ok(Entered { client, early: vec![], apart: None })
    }

    fn tell(&self, line: &Line) -> io::Result<()> {
        // A poisoned lock holds a pipe that still works.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write_all(line.write().as_bytes())?;
        lines.flush()
    }
}

/// Time for the loop to read a line.
const HEARD: Duration = Duration::from_millis(1);
