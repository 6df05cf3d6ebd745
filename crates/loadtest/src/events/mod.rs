//! Messages to many connections: what they cost over WebSockets, event streams and data channels, and how late they are.
//!
//! One thread holds all connections and reads of each message only which it is and when it was written, so that a server is
//! measured and not the generator. A run in which a delivery was lost or came twice does not count.

mod channel;
mod figures;
mod frames;
mod hall;
mod mark;
mod plan;
mod sctp;
mod tally;
mod wire;

use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use figures::table;
pub use figures::{EventFigures, StalledFigures};
pub(crate) use plan::plans;
pub use plan::{Reading, Transport};

use self::figures::{refusals, title};
use self::hall::Hall;
use self::plan::Plan;
use crate::figures::{Memory, Spread};
use crate::options::Events;
use crate::process::{Cpu, Held, Process, machine};
use crate::scenario::RunError;
use crate::server::Server;

/// Runs a plan on a server of its own.
pub(crate) fn run(
    plan: &Plan,
    options: &Events,
    executable: &Path,
    say: &(dyn Fn(String) + Sync),
) -> Result<EventFigures, RunError> {
    say(title(plan));
    let (server, url) = Server::start(executable, &options.server_args)?;
    let raised = [Some(Process::own()), server.process].map(|process| process.is_none_or(Process::raise));
    if raised.contains(&false) {
        say("  the priority within the autogroup could not be raised (see sched(7)); other work may disturb".to_owned());
    }
    let mut hall = Hall::new(plan, options.bytes, url)?;
    let began = Instant::now();
    for number in 0..plan.writers() {
        hall.enter_writer(number)?;
    }
    settle(&mut hall)?;
    let held_before = server.process.and_then(Process::held);
    for number in 0..plan.connections {
        hall.enter_receiver(number)?;
    }
    settle(&mut hall)?;
    say(format!("  all connected in {:.1} s", began.elapsed().as_secs_f64()));
    let bounds = play(plan, &mut hall, server.process)?;
    Ok(judge(plan, &hall, held_before, &bounds, say))
}

/// What the processes had spent and held at a bound of a window.
#[derive(Debug, Clone, Copy)]
struct Bound {
    server: Option<Cpu>,
    own: Option<Cpu>,
    held: Option<Held>,
}

impl Bound {
    fn read(server: Option<Process>) -> Self {
        let (cpu, held) = (server.and_then(Process::cpu), server.and_then(Process::held));
        Self { server: cpu, own: Process::own().cpu(), held }
    }
}

/// Writes all messages, each when it is due, and takes what comes, also for a while afterwards.
fn play(plan: &Plan, hall: &mut Hall, server: Option<Process>) -> Result<Vec<Bound>, RunError> {
    let (began, all) = (Instant::now(), plan.messages());
    hall.begin(began);
    let (mut next, mut bounds) = (0, Vec::new());
    let expected = plan.bounds();
    loop {
        let elapsed = began.elapsed();
        let is_past = |bound: &u32| plan.due(*bound) <= elapsed && next >= *bound;
        while expected.get(bounds.len()).is_some_and(is_past) {
            hall.stalls |= bounds.len() + 1 == plan.windows() && plan.stalled > 0;
            bounds.push(Bound::read(server));
        }
        let is_drained = hall.tally.lost() == 0 || elapsed > plan.due(all) + DRAIN;
        if bounds.len() == expected.len() && is_drained {
            return Ok(bounds);
        }
        // Never past a bound before that has been noted.
        let until = expected.get(bounds.len()).copied().unwrap_or(all);
        while next < until && plan.due(next) <= elapsed {
            hall.write(next);
            next += 1;
        }
        let wait = plan.due(next).saturating_sub(began.elapsed()).min(LONGEST_WAIT);
        hall.serve(if next < all || bounds.len() < expected.len() { wait } else { LONGEST_WAIT })?;
    }
}

fn judge(
    plan: &Plan,
    hall: &Hall,
    held_before: Option<Held>,
    bounds: &[Bound],
    say: &(dyn Fn(String) + Sync),
) -> EventFigures {
    let spent = |read: fn(&Bound) -> Option<Cpu>| {
        let (before, after) = (bounds.first().and_then(read), bounds.get(1).and_then(read));
        before.zip(after).map_or(0.0, |(before, after)| after.since(before).total().as_secs_f64())
    };
    let held_after = bounds.get(1).and_then(|bound| bound.held);
    let memory = held_before.zip(held_after).map(|(before, after)| Memory::of(before, None, after, plan.connections));
    let mut spreads = hall.tally.latency_us.iter().map(Spread::of);
    let latency_ms = spreads.next().flatten();
    let after = latency_ms.zip(spreads.next().flatten());
    hall.refusals.1.iter().for_each(|first| say(format!("  the first refusal: {first}")));
    hall.ended().next().into_iter().for_each(|why| say(format!("  the first that ended: {why}")));
    let (_, cores, _) = machine();
    let mut figures = EventFigures {
        transport: plan.transport,
        reading: plan.reading,
        connections: plan.connections,
        rooms: plan.rooms(),
        writers: plan.writers(),
        seconds: f64::from(plan.seconds),
        sent: plan.messages(),
        delivered: hall.tally.delivered,
        lost: hall.tally.lost(),
        doubled: hall.tally.doubled,
        astray: hall.tally.astray,
        beside: hall.beside,
        refusals: hall.refusals.0,
        ended: hall.ended().count() as u32,
        latency_ms,
        stalled: after.map(|(before, after)| StalledFigures::of(plan.stalled, before, after)),
        server_cpu_seconds: spent(|bound| bound.server),
        generator_cpu_seconds: spent(|bound| bound.own),
        cores,
        memory,
        refused: Vec::new(),
    };
    figures.refused = refusals(&figures);
    figures
}

/// Takes what comes until nothing has come about for a while that concerns joining.
fn settle(hall: &mut Hall) -> Result<(), RunError> {
    let until = Instant::now() + SETTLE;
    while Instant::now() < until {
        hall.serve(LONGEST_WAIT)?;
    }
    Ok(())
}

/// How long the last deliveries may take.
const DRAIN: Duration = Duration::from_secs(5);
/// After the joins: the room tells its numbers within a second.
const SETTLE: Duration = Duration::from_millis(1_500);
const LONGEST_WAIT: Duration = Duration::from_millis(20);
