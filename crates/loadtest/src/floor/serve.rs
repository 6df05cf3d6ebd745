//! The process of the loop: it says where it listens, is told of clients line by line, and ends with who tells it.

use std::io::{self, BufRead as _, Write};
use std::os::fd::AsRawFd as _;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use roundtable_udp::{Options, ReceiveBatch, Socket};

use super::forward::{Forwarder, Sending};
use super::line::Line;

/// Forwards until the standard input ends.
pub(crate) fn serve(sending: Sending, out: &mut dyn Write) -> io::Result<()> {
    let socket = Socket::bind(([127, 0, 0, 1], 0).into(), &Options { whole: true, ..Options::default() })?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(0), Interest::READABLE)?;
    let inbox = listen(Waker::new(poll.registry(), TOLD)?)?;
    writeln!(out, "{}", socket.local_addr()?)?;
    out.flush()?;
    let mut forwarder = Forwarder::default();
    let mut batch = ReceiveBatch::new(BATCH, ReceiveBatch::FULL_BYTES);
    let mut events = Events::with_capacity(4);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for told in events.iter().filter(|event| event.token() == TOLD).flat_map(|_| inbox.try_iter()) {
            match told {
                Some(line) => forwarder.enter(line),
                None => return Ok(()),
            }
        }
        while socket.receive(&mut batch).is_ok() {
            forwarder.handle_batch(&mut batch);
            // What the kernel does not take is lost, and the clients find it missing.
            let _ = forwarder.flush(&socket, sending);
            if !batch.is_full() {
                break;
            }
        }
    }
}

/// Reads lines in a thread of its own; `None` is the end.
fn listen(waker: Waker) -> io::Result<Receiver<Option<Line>>> {
    let (sender, inbox) = channel();
    thread::Builder::new().name("told".to_owned()).spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        for told in lines.map(|line| Line::read(&line)).filter(Option::is_some).chain([None]) {
            // The loop may be over before its input is.
            let _ = sender.send(told);
            let _ = waker.wake();
        }
    })?;
    Ok(inbox)
}

const TOLD: Token = Token(1);
/// Messages of one receive call.
const BATCH: usize = 32;
