//! Rooms that nobody enters or leaves while they are measured.

use super::rooms::Rooms;
use super::run::{Run, RunError};
use crate::figures::{Figures, Spread};
use crate::measure::histogram;

pub(crate) fn run(run: &Run<'_>, rooms: &Rooms) -> Result<Figures, RunError> {
    let mut stage = run.stage()?;
    run.fill(&mut stage, &rooms.specs)?;
    let mut figures = run.measure(&stage, &rooms.expected, |_| {});
    let mut connect_us = histogram();
    for client in stage.fleet.report().iter().flat_map(|report| &report.clients) {
        connect_us.saturating_record((client.joined.connected_ns - client.joined.began_ns) / 1_000);
    }
    figures.connect_ms = Spread::of(&connect_us);
    run.count_calls(&stage, &mut figures);
    Ok(figures)
}
