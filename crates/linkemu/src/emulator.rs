//! Sockets and threads around the links: one thread that knows the time, one that waits at each socket.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::command::{Command, Which, change};
use crate::tally::{CSV_HEAD, Tally};
use crate::{Link, Profile};

/// The largest datagram carried whole; what is longer is cut, as no peer of ours sends it.
const MAX_DATAGRAM: usize = 2048;
/// Datagrams that wait between the sockets' threads and the links. When it is full, the threads wait and the
/// kernel's buffers fill.
const MAX_INBOX: usize = 1024;
/// Datagrams taken in before those that are due are sent.
const BATCH: usize = 64;
/// Addresses that one link serves, such as the candidates of a few browsers. For one more, that which has been
/// silent for longest is given up.
const MAX_GUESTS: usize = 32;
/// How often a thread that waits at a socket looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(250);
/// How often a line per link and direction is written.
const LINE_EVERY: Duration = Duration::from_millis(100);

/// What to emulate.
pub struct Options {
    /// The server behind each link.
    pub servers: Vec<SocketAddr>,
    /// Where the links' ports are opened.
    pub listen: IpAddr,
    /// The port that commands are sent to, on loopback; 0 is any.
    pub control_port: u16,
    /// What all luck follows from.
    pub seed: u64,
    /// Where the table goes.
    pub table: Box<dyn Write + Send>,
}

impl Options {
    /// Links on loopback to these servers, without a table.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        let table = Box::new(io::sink());
        Self { servers, listen: Ipv4Addr::LOCALHOST.into(), control_port: 0, seed: 1, table }
    }
}

/// A running emulator. It ends when dropped.
#[derive(Debug)]
pub struct Emulator {
    fronts: Vec<SocketAddr>,
    control: SocketAddr,
    stop: Arc<AtomicBool>,
    engine: Option<JoinHandle<io::Result<()>>>,
}

impl Emulator {
    /// Opens the ports and starts.
    ///
    /// # Errors
    /// When a port cannot be opened or the table not be written.
    pub fn start(options: Options) -> io::Result<Self> {
        let Options { servers, listen, control_port, seed, mut table } = options;
        let stop = Arc::new(AtomicBool::new(false));
        let (inbox, mail) = sync_channel(MAX_INBOX);
        let control = open((Ipv4Addr::LOCALHOST, control_port).into())?;
        let mut pipes = Vec::new();
        for (number, server) in servers.into_iter().enumerate() {
            let front = open((listen, 0).into())?;
            wait_at(&front, &stop, &inbox, move |from, at, bytes| Input::Up { link: number, from, at, bytes })?;
            pipes.push(Pipe::new(front, server, seed.wrapping_add(2 * number as u64)));
        }
        wait_at(&control, &stop, &inbox, |from, _, bytes| Input::Command { from, bytes })?;
        let fronts = pipes.iter().map(|pipe| pipe.front.local_addr()).collect::<io::Result<_>>()?;
        let address = control.local_addr()?;
        writeln!(table, "{CSV_HEAD}")?;
        let began = Instant::now();
        let engine = Engine { pipes, control, inbox, mail, stop: stop.clone(), table, began, line_at: began };
        let engine = thread::Builder::new().name("links".into()).spawn(move || engine.run())?;
        Ok(Self { fronts, control: address, stop, engine: Some(engine) })
    }

    /// The port of each link.
    #[must_use]
    pub fn fronts(&self) -> &[SocketAddr] {
        &self.fronts
    }

    /// Where commands are sent.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Waits until it ends by itself, which it does only when the table cannot be written.
    ///
    /// # Errors
    /// Why it ended.
    pub fn wait(mut self) -> io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        match self.engine.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(io::Error::other("the thread of the links panicked")),
            None => Ok(()),
        }
    }
}

impl std::ops::Drop for Emulator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Whoever drops it is not interested in how it ended.
        let _ = self.join();
    }
}

/// What the sockets' threads hand over.
enum Input {
    Up {
        link: usize,
        from: SocketAddr,
        at: Instant,
        bytes: Arc<[u8]>,
    },
    Down {
        link: usize,
        guest: Arc<Guest>,
        at: Instant,
        bytes: Arc<[u8]>,
    },
    Command {
        from: SocketAddr,
        bytes: Arc<[u8]>,
    },
    /// Nothing: only wakes the engine.
    LookUp,
}

/// Somebody on the near side, and the socket by which the server knows him.
struct Guest {
    address: SocketAddr,
    back: UdpSocket,
    /// Ends the thread that waits at `back`.
    gone: Arc<AtomicBool>,
}

impl std::ops::Drop for Guest {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Datagram {
    guest: Arc<Guest>,
    bytes: Arc<[u8]>,
}

/// One direction with its counts.
struct Lane {
    link: Link<Datagram>,
    tally: Tally,
}

impl Lane {
    fn handle(&mut self, at: Instant, datagram: Datagram) {
        let len = datagram.bytes.len();
        let fate = self.link.handle_packet(at, len, datagram);
        self.tally.count_in(len + self.link.profile().overhead, fate, self.link.queue_delay(at));
    }

    fn set(&mut self, now: Instant, settings: &[String]) {
        // They were tried when the command was read.
        let Ok(profile) = change(self.link.profile(), settings) else { return };
        let dropped = self.link.set_profile(now, profile);
        self.tally.count_dropped(dropped);
    }

    /// Sends all that has arrived.
    fn deliver(&mut self, now: Instant, send: impl Fn(&Datagram) -> io::Result<usize>) {
        while let Some(datagram) = self.link.poll_arrival(now) {
            self.tally.count_out(datagram.bytes.len() + self.link.profile().overhead);
            // Nobody there, or no room in the kernel: as lost as on any network.
            let _ = send(&datagram);
        }
    }
}

/// A link with both its ends.
struct Pipe {
    front: UdpSocket,
    server: SocketAddr,
    up: Lane,
    down: Lane,
    /// Who was heard, the longest silent first.
    guests: Vec<Arc<Guest>>,
}

impl Pipe {
    fn new(front: UdpSocket, server: SocketAddr, seed: u64) -> Self {
        let lane = |seed| Lane { link: Link::new(Profile::default(), seed), tally: Tally::default() };
        Self { front, server, up: lane(seed), down: lane(seed.wrapping_add(1)), guests: Vec::new() }
    }

    fn deliver(&mut self, now: Instant) {
        self.up.deliver(now, |datagram| datagram.guest.back.send(&datagram.bytes));
        let front = &self.front;
        self.down.deliver(now, |datagram| front.send_to(&datagram.bytes, datagram.guest.address));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.up.link.poll_timeout(), self.down.link.poll_timeout()].into_iter().flatten().min()
    }
}

struct Engine {
    pipes: Vec<Pipe>,
    control: UdpSocket,
    /// For the threads of sockets yet to be opened.
    inbox: SyncSender<Input>,
    mail: Receiver<Input>,
    stop: Arc<AtomicBool>,
    table: Box<dyn Write + Send>,
    began: Instant,
    line_at: Instant,
}

impl Engine {
    fn run(mut self) -> io::Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let due = self.pipes.iter().filter_map(Pipe::poll_timeout).min();
            let wake_at = due.map_or(self.line_at, |due| due.min(self.line_at));
            match self.mail.recv_timeout(wake_at.saturating_duration_since(Instant::now())) {
                Ok(input) => self.handle_batch(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let now = Instant::now();
            for pipe in &mut self.pipes {
                pipe.deliver(now);
            }
            if now >= self.line_at {
                self.write_lines(now)?;
            }
        }
        self.table.flush()
    }

    fn handle_batch(&mut self, first: Input) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(input) = next else { return };
            self.handle(input);
            next = self.mail.try_recv().ok();
        }
        if let Some(last) = next {
            self.handle(last);
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Up { link, from, at, bytes } => {
                let Ok(guest) = self.guest(link, from) else { return };
                if let Some(pipe) = self.pipes.get_mut(link) {
                    pipe.up.handle(at, Datagram { guest, bytes });
                }
            }
            Input::Down { link, guest, at, bytes } => {
                if let Some(pipe) = self.pipes.get_mut(link) {
                    pipe.down.handle(at, Datagram { guest, bytes });
                }
            }
            Input::Command { from, bytes } => {
                let answer = self.obey(&String::from_utf8_lossy(&bytes));
                // Who does not wait for the answer misses it.
                let _ = self.control.send_to(answer.as_bytes(), from);
            }
            Input::LookUp => {}
        }
    }

    /// Finds who is at an address, and makes it the last to have been heard.
    fn guest(&mut self, link: usize, address: SocketAddr) -> io::Result<Arc<Guest>> {
        let Some(pipe) = self.pipes.get_mut(link) else { return Err(io::ErrorKind::NotFound.into()) };
        let guest = match pipe.guests.iter().position(|guest| guest.address == address) {
            Some(at) => pipe.guests.remove(at),
            None => greet(link, address, pipe.server, &self.inbox)?,
        };
        if pipe.guests.len() >= MAX_GUESTS {
            pipe.guests.remove(0);
        }
        pipe.guests.push(guest.clone());
        Ok(guest)
    }

    fn obey(&mut self, line: &str) -> String {
        let now = Instant::now();
        let time = now.saturating_duration_since(self.began).as_millis();
        match line.parse() {
            Ok(Command::Time) => format!("ok {time}"),
            Ok(Command::Change { link, which, settings }) => match self.pipes.get_mut(link) {
                Some(pipe) => {
                    if matches!(which, Which::Up | Which::Both) {
                        pipe.up.set(now, &settings);
                    }
                    if matches!(which, Which::Down | Which::Both) {
                        pipe.down.set(now, &settings);
                    }
                    format!("ok {time}")
                }
                None => format!("error: there is no link {link}"),
            },
            Err(error) => format!("error: {error}"),
        }
    }

    fn write_lines(&mut self, now: Instant) -> io::Result<()> {
        let time = now.saturating_duration_since(self.began);
        for (number, pipe) in self.pipes.iter_mut().enumerate() {
            for (name, lane) in [("up", &mut pipe.up), ("down", &mut pipe.down)] {
                let line = lane.tally.line(time, number, name, lane.link.queue_delay(now));
                writeln!(self.table, "{line}")?;
            }
        }
        self.table.flush()?;
        // A line that is late is not made up for: its time stands in it.
        while self.line_at <= now {
            self.line_at += LINE_EVERY;
        }
        Ok(())
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    Ok(socket)
}

/// Opens a socket by which the server will know somebody, and waits at it.
fn greet(link: usize, address: SocketAddr, server: SocketAddr, inbox: &SyncSender<Input>) -> io::Result<Arc<Guest>> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0_u16; 8], 0)),
    };
    let back = open(any)?;
    back.connect(server)?;
    let gone = Arc::new(AtomicBool::new(false));
    let socket = back.try_clone()?;
    let guest = Arc::new(Guest { address, back, gone: gone.clone() });
    // Held weakly, so that who is given up is gone.
    let held = Arc::downgrade(&guest);
    wait_at(&socket, &gone, inbox, move |_, at, bytes| match held.upgrade() {
        Some(guest) => Input::Down { link, guest, at, bytes },
        None => Input::LookUp,
    })?;
    Ok(guest)
}

/// Starts a thread that hands over what comes to a socket, until `stop`, or until nobody takes it.
fn wait_at(
    socket: &UdpSocket,
    stop: &Arc<AtomicBool>,
    inbox: &SyncSender<Input>,
    input: impl Fn(SocketAddr, Instant, Arc<[u8]>) -> Input + Send + 'static,
) -> io::Result<()> {
    let (socket, stop, inbox) = (socket.try_clone()?, stop.clone(), inbox.clone());
    thread::Builder::new().name("socket".into()).spawn(move || {
        let mut buffer = [0; MAX_DATAGRAM];
        while !stop.load(Ordering::Relaxed) {
            // An error is a timeout, or word that a datagram was not taken; neither ends anything.
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
            let bytes = buffer.get(..len).unwrap_or_default().into();
            if inbox.send(input(from, Instant::now(), bytes)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
