//! Threads that own their rooms: a batch of datagrams in, forwarding by function call, one batch out.
//!
//! `core` is the loop's body without sockets; this file gives it sockets, a clock and a thread. Nothing
//! on the packet path takes a lock or wakes another thread: the control side speaks through `inbox`,
//! and members are answered through their bounded outboxes.

mod ahead;
mod alarm;
mod arena;
mod aside;
mod balance;
mod conversation;
mod core;
mod counters;
mod data;
mod data_line;
pub mod deed;
mod endpoint;
mod failing;
mod fanout;
mod figures;
mod flush;
mod home;
pub mod inbox;
mod keeping;
mod lane;
mod letter;
pub mod load;
mod moderating;
mod moving;
mod negotiate;
mod opening;
mod parking;
mod peers;
mod ports;
mod post;
mod proof;
mod quality;
pub mod queue;
mod relocated;
mod relocating;
mod returning;
mod rooms;
mod spread;
mod stage;
pub mod stats;
mod steering;
pub mod tape;
mod timer;
mod transports;
mod whisper;
mod whispers;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Instant;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use roundtable_transport::identity::Identity;
use roundtable_transport::path::Path;
use roundtable_udp::{Message, ReceiveBatch, Socket};

use self::arena::Outgoing;
use self::aside::Aside;
use self::core::{Among, Core};
use self::flush::{SendOutcome, Sink};
use self::inbox::{Command, Inbox};
use self::lane::Lanes;
use self::load::{Load, LoadMeter};
use self::ports::Bound;
use self::steering::Steering;
use self::tape::Tape;
use crate::net::address;
use crate::store::Store;

/// Datagrams taken from a socket at once.
const BATCH: usize = 32;
/// Batches taken from one socket before the others, the inbox and the timers have their turn.
const BATCHES_PER_TURN: usize = 16;
/// Batches of other shards that are looked at before the sockets have their turn.
const HANDED_PER_TURN: usize = 64;
/// Commands obeyed before the sockets have their turn.
const COMMANDS_PER_TURN: usize = 128;
/// The DTLS engine recurses on hostile fragments; its guard bounds that, and this leaves it room.
const STACK_BYTES: usize = 8 * 1024 * 1024;

const WAKER: Token = Token(usize::MAX);

/// How a shard is reached.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Addresses to bind: at most one of IPv4 and one of IPv6.
    pub udp: Vec<SocketAddr>,
    /// Addresses to tell members beside those of the interfaces, such as the outer address of a NAT.
    pub public_ips: Vec<IpAddr>,
    /// Whether members may be on this machine: loopback is then told too.
    pub loopback: bool,
    /// Threads among which rooms are spread, at least one.
    pub shards: u8,
    /// How they share what is to be bound.
    pub sharing: Sharing,
    /// A shard that is busy for less than so many thousandths of the time keeps its rooms.
    pub gather_below: u32,
    /// A room goes on to further shards when its own are busy for more than so many thousandths of the time.
    pub spread_above: u32,
    /// A shard gives rooms to others when it is busier than the mean by more than so many thousandths of a core.
    pub rebalance_above: u32,
    /// Where rooms are kept that outlive the process.
    pub store: Option<Store>,
}

/// How shards share UDP ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// All have one port, and the kernel is told whose what is.
    #[default]
    Steered,
    /// All have one port; what the kernel gives to the wrong one is handed over.
    OnePort,
    /// Each has a port of its own, counted up from the one that is set.
    PortEach,
}

/// A running shard.
#[derive(Debug)]
pub struct ShardHandle {
    inbox: Inbox,
    udp: Vec<SocketAddr>,
    thread: JoinHandle<()>,
}

impl ShardHandle {
    /// The way in.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// The addresses bound.
    #[must_use]
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.udp.clone()
    }

    /// Waits for the thread to end, which it does after [`Command::Stop`].
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the shard's thread panicked");
        }
    }
}

/// Binds the sockets and starts the threads; the first one records a room if there is a tape.
///
/// # Errors
/// When an address cannot be bound, a thread not started, or no certificate made.
pub fn spawn(config: &ShardConfig, mut tape: Option<Tape>) -> io::Result<Vec<ShardHandle>> {
    let count = config.shards.max(1);
    let shards = NonZeroU8::new(count).unwrap_or(NonZeroU8::MIN);
    let rule = (config.sharing == Sharing::Steered)
        .then(|| roundtable_udp::steering::Steering::new(core::random_u64() as u32, shards));
    let bound = ports::bind(&config.udp, count, config.sharing, rule)?;
    // The first shard does it for all.
    let mut steering = rule.filter(|_| count > 1).map(|rule| {
        let is_apart = bound.iter().all(|bound| !bound.aside.is_empty());
        Steering::new(if is_apart { rule.with_feedback_apart() } else { rule })
    });
    let interfaces = address::interfaces()?;
    let identity = Identity::generate().map_err(io::Error::other)?;
    let polls = bound.iter().map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
    let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), WAKER).map(Arc::new));
    let wakers = wakers.collect::<io::Result<Vec<_>>>()?;
    let lanes = Lanes::between(&wakers);
    let (inboxes, commands): (Vec<_>, Vec<_>) = wakers.into_iter().map(Inbox::new).unzip();
    let loads: Vec<Load> = inboxes.iter().map(Inbox::load).collect();
    let ends = bound.into_iter().zip(polls).zip(inboxes.into_iter().zip(commands)).zip(lanes);
    let mut handles = Vec::new();
    for (number, (((bound, poll), (inbox, commands)), lanes)) in (0..count).zip(ends) {
        let Bound { sockets, aside, addresses } = bound;
        let candidates = address::candidates(&addresses, &config.public_ips, &interfaces, config.loopback);
        tracing::debug!(number, ?candidates, "members are told these addresses");
        for (i, socket) in sockets.iter().enumerate() {
            poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(i), Interest::READABLE)?;
        }
        let load = LoadMeter::new(Instant::now(), inbox.load());
        let among = Among {
            lanes,
            shares_port: config.sharing != Sharing::PortEach,
            steering: steering.take(),
            loads: loads.clone(),
            gather_below: config.gather_below,
            spread_above: config.spread_above,
            rebalance_above: config.rebalance_above,
        };
        let mut core = Core::new(Instant::now(), Arc::clone(&identity), candidates, among);
        core.set_tape(tape.take());
        core.set_store(config.store.clone());
        let batch = ReceiveBatch::new(BATCH, ReceiveBatch::FULL_BYTES);
        let aside = Aside::new(Instant::now(), aside);
        let thread = std::thread::Builder::new()
            .name(format!("shard-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || Loop { poll, sockets, aside, commands, core, batch, load, more_handed: false }.run())?;
        handles.push(ShardHandle { inbox, udp: addresses, thread });
    }
    Ok(handles)
}

/// The thread's state.
struct Loop {
    poll: Poll,
    sockets: Vec<Socket>,
    aside: Aside,
    commands: Receiver<Command>,
    core: Core,
    batch: ReceiveBatch,
    load: LoadMeter,
    /// Whether more may wait of what other shards have handed over.
    more_handed: bool,
}

impl Loop {
    fn run(mut self) {
        let mut events = Events::with_capacity(16);
        // Readiness is edge-triggered: what was not drained must be remembered.
        let mut ready = vec![true; self.sockets.len()];
        let mut more_commands = false;
        loop {
            let now = Instant::now();
            self.load.handle_wait(now);
            self.aside.handle_turn(now, self.core.forwarded(), self.poll.registry(), self.sockets.len());
            let busy = more_commands || self.more_handed || ready.contains(&true) || self.aside.has_more();
            let due = self.core.poll_timeout(now).into_iter().chain(self.aside.poll_timeout()).min();
            let wait = match busy {
                true => Some(std::time::Duration::ZERO),
                false => due.map(|at| at.saturating_duration_since(now)),
            };
            match self.poll.poll(&mut events, wait) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return tracing::error!(%error, "the shard cannot wait for its sockets"),
            }
            let now = Instant::now();
            self.load.handle_wake(now);
            self.load.handle_admitting(self.core.take_admitting());
            self.take_handed(now);
            for token in events.iter().map(Event::token).filter(|token| *token != WAKER) {
                match ready.get_mut(token.0) {
                    Some(flag) => *flag = true,
                    None => self.aside.handle_ready(token.0 - self.sockets.len()),
                }
            }
            for (i, flag) in ready.iter_mut().enumerate() {
                *flag = *flag && self.receive(i, BATCHES_PER_TURN) == Received::More;
            }
            self.look_aside(Instant::now());
            let now = Instant::now();
            self.core.guarded(|core| core.handle_timeout(now));
            self.core.guarded(|core| core.deliver_kept(now));
            // Whoever gives a command wakes the shard; the word of those who have closed came before their datagrams.
            let is_told =
                more_commands || events.iter().any(|event| event.token() == WAKER) || self.core.has_goodbyes();
            let commands = if is_told { self.obey() } else { Commands::Drained };
            let now = if is_told { Instant::now() } else { now };
            self.core.guarded(|core| core.heed_goodbyes(now));
            self.flush();
            self.relocate(now);
            self.steer(now);
            self.load.handle_turn(self.core.rooms.is_empty());
            match commands {
                Commands::Drained => more_commands = false,
                Commands::More => more_commands = true,
                Commands::Stop => return,
            }
        }
    }

    /// Takes what feedback has come, if it is time; media goes before it.
    fn look_aside(&mut self, now: Instant) {
        for at in 0..self.aside.len() {
            if self.aside.is_due(at, now) {
                let received = self.receive(self.sockets.len() + at, 1);
                self.aside.handle_looked(at, now, received);
            }
        }
    }

    /// Takes what has come on one socket, those for feedback being numbered behind the others, in so many batches at most.
    fn receive(&mut self, socket: usize, batches: usize) -> Received {
        let mut received = Received::Nothing;
        for _ in 0..batches {
            let socket = self.sockets.iter().chain(self.aside.sockets()).nth(socket);
            let Some(socket) = socket else { return received };
            match socket.receive(&mut self.batch) {
                Ok(0) => return received,
                Ok(_) => received = Received::All,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::warn!(%error, "a media socket cannot be read");
                    return received;
                }
            }
            let now = Instant::now();
            // Whose these are was told before they were sent: a shard tells of a path, then answers what has proven it.
            self.take_handed(now);
            let batch = &mut self.batch;
            // What of a batch stands behind a packet that makes a room fail is lost.
            self.core.guarded(|core| {
                let path = |(remote, local, bytes)| (Path { remote, local }, bytes);
                core.look_ahead(batch.messages().map(path));
                for datagram in batch.datagrams() {
                    let path = Path { remote: datagram.source, local: datagram.local };
                    core.handle_datagram(now, path, datagram.contents);
                }
                core.settle(now);
            });
            self.flush();
            // What comes from now on makes the socket ready again.
            if !self.batch.is_full() {
                return received;
            }
        }
        Received::More
    }

    /// Takes what other shards have handed over, and notes whether more may wait.
    fn take_handed(&mut self, now: Instant) {
        self.more_handed = true;
        for _ in 0..HANDED_PER_TURN {
            // After a fault there may be more.
            if !self.core.guarded(|core| core.take_handed(now)).unwrap_or(true) {
                self.more_handed = false;
                return;
            }
            self.flush();
        }
    }

    fn obey(&mut self) -> Commands {
        for _ in 0..COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else { return Commands::Drained };
            let (now, admits) = (Instant::now(), command.admits());
            if !self.core.guarded(|core| core.handle_command(now, command)).unwrap_or(true) {
                return Commands::Stop;
            }
            if admits {
                self.load.handle_admitting(now.elapsed());
            }
        }
        Commands::More
    }

    fn flush(&mut self) {
        let Self { sockets, core, .. } = self;
        core.hand_over();
        // What was not sent because of a fault is sent without the room that made it.
        while core.guarded(|core| core.flush(&mut Way(sockets))).is_none() {}
    }

    /// Lets rooms go that are better on another shard.
    fn relocate(&mut self, now: Instant) {
        if self.core.guarded(|core| core.relocate(now)).unwrap_or(true) {
            self.flush();
        }
    }

    /// Tells the kernel of new routes.
    fn steer(&mut self, now: Instant) {
        if let Some(steering) = self.core.steering() {
            steering.handle_timeout(now, &self.sockets);
        }
    }
}

/// What was in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    Nothing,
    /// What was taken.
    All,
    /// What was taken, and there may be more.
    More,
}

enum Commands {
    Drained,
    More,
    Stop,
}

/// The sockets of a shard: each gets the messages of its family.
struct Way<'s>(&'s mut [Socket]);

impl Sink for Way<'_> {
    fn send<'a>(&mut self, outgoing: impl Iterator<Item = Outgoing<'a>> + Clone) -> SendOutcome {
        let mut outcome = SendOutcome::default();
        for socket in &mut *self.0 {
            let Ok(local) = socket.local_addr() else { continue };
            let own = outgoing.clone().filter(|o| o.path.remote.is_ipv4() == local.is_ipv4());
            let report = socket.send_all(own.map(|o| Message {
                destination: o.path.remote,
                local: o.path.local,
                contents: o.contents,
                segment_size: o.segment.and_then(|n| NonZeroU16::new(u16::try_from(n).ok()?)),
            }));
            outcome.datagrams += report.datagrams as u64;
            outcome.dropped += report.dropped as u64;
            outcome.calls += report.calls as u64;
        }
        outcome
    }
}
