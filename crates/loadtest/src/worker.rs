//! A thread that carries clients: one poll, one timer queue, no allocation per packet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use roundtable_udp::ReceiveBatch;

use crate::address::{Addresses, number_at};
use crate::client::{Client, Joined, Scratch};
use crate::clock::Clock;
use crate::connect::Entered;
use crate::measure::{Measure, Window, histogram};
use crate::ports::Ports;

/// What a worker is asked to do.
enum Command {
    /// Carry this client from now on.
    Enter(Box<Entered>),
    /// Let the client of this number go.
    Leave(u32),
    /// Measure what is sent in this window, from nothing.
    Measure(Window),
    /// Let all clients look at pictures that are so many rows high, of which this source has the best fit.
    Look(u16, u32),
    /// Say how it stands.
    Report(Sender<Report>),
    /// End.
    Stop,
}

/// How the clients of a worker stand.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) latency_us: Histogram<u64>,
    /// From asking for a layer to its first packet.
    pub(crate) switch_us: Histogram<u64>,
    pub(crate) delivered: u64,
    pub(crate) repaired: u64,
    pub(crate) bytes: u64,
    /// RTP packets that should have come to clients that have left, and those that did.
    pub(crate) departed_rtp: (u64, u64),
    pub(crate) clients: Vec<ClientReport>,
}

/// How one client stands.
#[derive(Debug)]
pub(crate) struct ClientReport {
    pub(crate) number: u32,
    pub(crate) room: u32,
    pub(crate) joined: Joined,
    pub(crate) ended: Option<String>,
    /// Of each own encoding its source and the packets sent in the window.
    pub(crate) sent: Vec<(u32, u32)>,
    /// Of each source the packets sent in the window that came.
    pub(crate) received: Vec<(u32, u32)>,
    /// RTP packets that should have come since the client joined, and those that did.
    pub(crate) rtp: (u64, u64),
    /// Datagrams that were no good.
    pub(crate) bad: u64,
}

/// A running worker. It stops when this is dropped.
pub(crate) struct Worker {
    /// Addresses for clients that are to be carried here.
    pub(crate) addresses: Addresses,
    commands: Sender<Command>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start(clock: Clock) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (commands, inbox) = channel();
        let mut carrier = Carrier {
            clock,
            poll,
            inbox,
            ports: Ports::default(),
            places: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            batch: ReceiveBatch::new(BATCH, ReceiveBatch::FULL_BYTES),
            scratch: Scratch::default(),
            measure: Measure::new(Window::default()),
            departed_rtp: (0, 0),
        };
        let thread = std::thread::Builder::new().name("bench".to_owned()).spawn(move || carrier.run())?;
        Ok(Self { addresses: Addresses::default(), commands, waker, thread: Some(thread) })
    }

    /// Hands a client over.
    pub(crate) fn enter(&self, entered: Entered) {
        self.command(Command::Enter(Box::new(entered)));
    }

    /// Lets a client leave.
    pub(crate) fn leave(&self, number: u32) {
        self.command(Command::Leave(number));
    }

    /// Begins to measure a window.
    pub(crate) fn measure(&self, window: Window) {
        self.command(Command::Measure(window));
    }

    /// Lets all clients ask for a layer, and times how long `source` takes to come.
    pub(crate) fn look(&self, height: u16, source: u32) {
        self.command(Command::Look(height, source));
    }

    /// Asks how its clients stand; `None` if the thread is gone.
    pub(crate) fn report(&self) -> Option<Report> {
        let (sender, receiver) = channel();
        self.command(Command::Report(sender));
        receiver.recv().ok()
    }

    fn command(&self, command: Command) {
        // A worker that is gone is found out by its report.
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.command(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The inside of the thread.
struct Carrier {
    clock: Clock,
    poll: Poll,
    inbox: Receiver<Command>,
    ports: Ports,
    places: Vec<Option<Place>>,
    free: Vec<usize>,
    /// When which client is due. An entry whose time is not the client's own is stale.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    batch: ReceiveBatch,
    scratch: Scratch,
    measure: Measure,
    departed_rtp: (u64, u64),
}

struct Place {
    client: Client,
    due: Option<Instant>,
}

impl Carrier {
    fn run(&mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            let wait = self.due.peek().map(|Reverse((due, _))| due.saturating_duration_since(now));
            if !self.wait(&mut events, wait.unwrap_or(IDLE).min(IDLE)) {
                return;
            }
            // What was sent comes back to others here in a moment: to wait for that without waking up costs less.
            if self.handle_timers() || self.ports.readable().next().is_some() {
                self.gather();
                if !self.wait(&mut events, Duration::ZERO) {
                    return;
                }
                self.read();
            }
        }
    }

    /// Waits for events, does what they ask for, and notes which sockets are to be read; whether to go on.
    fn wait(&mut self, events: &mut Events, wait: Duration) -> bool {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return false,
            _ => {}
        }
        for token in events.iter().map(mio::event::Event::token) {
            match token {
                WAKE => {
                    if !self.handle_commands() {
                        return false;
                    }
                }
                Token(token) => self.handle_event(token - 1),
            }
        }
        true
    }

    /// Lets datagrams gather before they are read, unless something is due.
    fn gather(&self) {
        let until = Instant::now() + GATHER;
        let due = self.due.peek().map_or(until, |Reverse((due, _))| (*due).min(until));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }

    /// Takes what waits on the sockets.
    fn read(&mut self) {
        let readable: Vec<usize> = self.ports.readable().collect();
        for at in readable {
            let Self { clock, ports, places, batch, scratch, measure, .. } = &mut *self;
            let Some(port) = ports.get_mut(at) else { continue };
            port.is_readable = false;
            // What the socket says is about one datagram or about nothing: the timers find out what is dead.
            while port.socket.receive(batch).is_ok() {
                let now = Instant::now();
                let mut answers_due = None;
                for datagram in batch.datagrams() {
                    let Some(place) = port.place(number_at(datagram.local)) else { continue };
                    if answers_due.is_some_and(|other| other != place) {
                        answer(places, answers_due, now, *clock, scratch);
                    }
                    answers_due = Some(place);
                    let Some(Some(Place { client, .. })) = places.get_mut(place) else { continue };
                    let arrived = datagram.arrived.map_or_else(|| clock.now_ns(), |arrived| clock.ns(arrived));
                    client.handle_datagram(arrived, datagram.contents, measure);
                }
                answer(places, answers_due, now, *clock, scratch);
                scratch.outbox.flush(&port.socket);
                if !batch.is_full() {
                    break;
                }
            }
        }
    }

    /// Does what was asked; whether to go on.
    fn handle_commands(&mut self) -> bool {
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Enter(entered) => self.enter(*entered),
                Command::Leave(number) => self.leave(number),
                Command::Measure(window) => {
                    self.measure = Measure::new(window);
                    self.clients_mut().for_each(Client::handle_window);
                }
                Command::Look(height, source) => {
                    let now_ns = self.clock.now_ns();
                    self.clients_mut().for_each(|client| client.look(height, source, now_ns));
                }
                Command::Report(reply) => {
                    let _ = reply.send(self.report()); // Who asked may have given up.
                }
                Command::Stop => {
                    self.clients_mut().for_each(Client::leave);
                    return false;
                }
            }
        }
        true
    }

    /// Each socket has an even token, the signalling of each client an odd one.
    fn handle_event(&mut self, token: usize) {
        match token % 2 {
            0 => self.ports.get_mut(token / 2).into_iter().for_each(|port| port.is_readable = true),
            _ => self.places.get_mut(token / 2).into_iter().flatten().for_each(|place| place.client.handle_news()),
        }
    }

    /// Lets clients do what is due; whether media left.
    fn handle_timers(&mut self) -> bool {
        let mut has_sent = false;
        // The clock is read for each client: packets carry when they left.
        while let Some(&Reverse((due, at))) = self.due.peek() {
            let now = Instant::now();
            if due > now {
                break;
            }
            self.due.pop();
            let Some(Some(place)) = self.places.get_mut(at) else { continue };
            if place.due != Some(due) {
                continue;
            }
            has_sent |= place.client.handle_timeout(now, self.clock, &self.measure, &mut self.scratch);
            place.due = place.client.poll_timeout();
            self.due.extend(place.due.map(|due| Reverse((due, at))));
        }
        has_sent
    }

    fn enter(&mut self, entered: Entered) {
        let Entered { mut client, early, apart } = entered;
        client.greet(self.clock, &mut self.scratch);
        let now_ns = self.clock.now_ns();
        for mut datagram in early {
            client.handle_datagram(now_ns, &mut datagram, &mut self.measure);
        }
        let at = self.free.pop().unwrap_or(self.places.len());
        let port = self.ports.enter(&client.address, at).map(|port| (client.address.descriptor(), 2 * port + 1));
        let signalling = client.descriptor().map(|descriptor| (descriptor, 2 * at + 2));
        for (descriptor, token) in port.into_iter().chain(signalling) {
            let registered =
                self.poll.registry().register(&mut SourceFd(&descriptor), Token(token), Interest::READABLE);
            if let Err(error) = registered {
                client.ended.get_or_insert(format!("it cannot be waited for: {error}"));
            }
        }
        // From when this is closed, what is for the client comes to the shared socket.
        if let Some(apart) = apart.filter(|apart| !Arc::ptr_eq(apart.socket(), client.address.socket())) {
            while apart.socket().receive(&mut self.batch).is_ok() {
                for datagram in self.batch.datagrams() {
                    client.handle_datagram(now_ns, datagram.contents, &mut self.measure);
                }
            }
        }
        let due = client.poll_timeout();
        self.due.extend(due.map(|due| Reverse((due, at))));
        let place = Some(Place { client, due });
        match self.places.get_mut(at) {
            Some(free) => *free = place,
            None => self.places.push(place),
        }
    }

    fn leave(&mut self, number: u32) {
        let is_meant = |place: &Option<Place>| place.as_ref().is_some_and(|place| place.client.number == number);
        let Some(at) = self.places.iter().position(is_meant) else { return };
        if let Some(mut place) = self.places.get_mut(at).and_then(Option::take) {
            place.client.leave();
            let (expected, received) = place.client.receiver.rtp_counts();
            self.departed_rtp = (self.departed_rtp.0 + expected, self.departed_rtp.1 + received);
            let port = self.ports.leave(&place.client.address).map(|socket| socket.as_raw_fd());
            for descriptor in port.into_iter().chain(place.client.descriptor()) {
                // Closing the descriptor does the same a moment later.
                let _ = self.poll.registry().deregister(&mut SourceFd(&descriptor));
            }
            self.free.push(at);
        }
    }

    fn report(&mut self) -> Report {
        let mut switch_us = histogram();
        let clients = self.clients_mut().map(|client| {
            client.switches_us().for_each(|us| switch_us.saturating_record(us));
            ClientReport {
                number: client.number,
                room: client.room,
                joined: client.joined,
                ended: client.ended.clone(),
                sent: client.publisher.sent().collect(),
                received: client.receiver.received().collect(),
                rtp: client.receiver.rtp_counts(),
                bad: client.bad,
            }
        });
        let clients = clients.collect();
        let Measure { ref latency_us, delivered, repaired, bytes, .. } = self.measure;
        let departed_rtp = self.departed_rtp;
        Report { latency_us: latency_us.clone(), switch_us, delivered, repaired, bytes, departed_rtp, clients }
    }

    fn clients_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.places.iter_mut().flatten().map(|place| &mut place.client)
    }
}

/// Lets the client in that place answer what came, if that is due.
fn answer(places: &mut [Option<Place>], place: Option<usize>, now: Instant, clock: Clock, scratch: &mut Scratch) {
    if let Some(Some(place)) = place.and_then(|place| places.get_mut(place)) {
        place.client.answer(now, clock, scratch);
    }
}

const WAKE: Token = Token(0);
/// Events taken from the kernel at once.
const EVENTS: usize = 1_024;
/// From the first datagram to reading what came. A server serves many clients one after the other; to wake up for each would
/// cost as much as what it brings. The kernel notes when a datagram came, so that nothing is measured later for it.
const GATHER: Duration = Duration::from_millis(3);
/// A worker without clients looks up so often.
const IDLE: Duration = Duration::from_secs(1);
/// Messages of one receive call: a frame for one client is one or two of them where the kernel coalesces.
const BATCH: usize = 32;
