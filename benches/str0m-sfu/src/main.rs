//! A selective forwarding unit on str0m: one thread, one UDP socket, RTP mode, ICE-lite, AEAD_AES_128_GCM where the client
//! offers nothing else.
//!
//! It speaks as much of Roundtable's signalling as a client needs to get in and receive. What comes from one member of a
//! room goes to all others, in the first idle m-line of its kind; of more than eight microphones only the first three are
//! forwarded, since Roundtable forwards three, too. No estimator is switched on, and nothing is paced.

mod room;
mod sfu;
mod signal;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use mio::Waker;

fn main() -> io::Result<()> {
    str0m::crypto::from_feature_flags().install_process_default();
    let poll = mio::Poll::new()?;
    let socket = mio::net::UdpSocket::bind(([127, 0, 0, 1], 0).into())?;
    let waker = Arc::new(Waker::new(poll.registry(), sfu::NEWCOMER)?);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("str0m-sfu  http://{}/", listener.local_addr()?);
    // A few join at once; more wait for a moment.
    let (newcomers, inbox) = sync_channel(64);
    let media = socket.local_addr()?;
    std::thread::spawn(move || signal::listen(&listener, media, &newcomers, &waker));
    sfu::run(poll, socket, &inbox)
}
