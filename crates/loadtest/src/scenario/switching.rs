//! Simulcast under loss: every few seconds all subscribers look at a picture of another size.

use std::time::Duration;

use super::rooms::Rooms;
use super::run::{Run, RunError};
use crate::figures::{Expectation, Figures, Spread};
use crate::measure::histogram;
use crate::options::Switching;
use crate::publish::{Sizes, TrackSpec, VideoShape};

pub(crate) fn run(run: &Run<'_>, options: &Switching) -> Result<Figures, RunError> {
    let mut rooms = Rooms::default();
    for _ in 0..options.subscribers {
        rooms.add(0, 1, vec![]);
    }
    let encodings = LAYERS.map(|Layer { rid, source, kbit, width, height }| {
        (rid.to_owned(), source, VideoShape { bitrate_bps: kbit * 1_000, width, height, sizes: Sizes::Chromium })
    });
    rooms.add(0, 0, vec![TrackSpec::Video { encodings: encodings.to_vec() }]);
    rooms.specs.iter_mut().for_each(|spec| spec.loss = options.loss / 100.0);
    let mut stage = run.stage()?;
    run.fill(&mut stage, &rooms.specs)?;
    let mut turns = ORDER.iter().cycle().filter_map(|layer| LAYERS.get(*layer));
    let mut asked = 0;
    let mut figures = run.measure(&stage, &Expectation::default(), |second| {
        if let Some(layer) = turns.next_if_due(second, options.every) {
            run.say(format!("{second} s: {} rows", layer.height));
            stage.fleet.look(layer.height, layer.source);
            asked += u64::from(options.subscribers);
        }
    });
    std::thread::sleep(Duration::from_secs(1)); // The last layers asked for may still be on their way.
    let mut switch_us = histogram();
    // All histograms have the same bounds, so adding does not fail.
    stage.fleet.report().iter().for_each(|report| switch_us.add(&report.switch_us).unwrap_or_default());
    figures.switch_ms = Spread::of(&switch_us);
    figures.switches_asked = Some(asked);
    Ok(figures)
}

/// Takes the next of a sequence every few seconds.
trait NextIfDue: Iterator {
    fn next_if_due(&mut self, second: u32, every: u32) -> Option<Self::Item> {
        (every > 0 && second.is_multiple_of(every)).then(|| self.next()).flatten()
    }
}

impl<I: Iterator> NextIfDue for I {}

/// One encoding.
#[derive(Debug, Clone, Copy)]
struct Layer {
    rid: &'static str,
    source: u32,
    kbit: u32,
    width: u16,
    height: u16,
}

/// As Chromium encodes 720p in three.
const LAYERS: [Layer; 3] = [
    Layer { rid: "q", source: 1, kbit: 150, width: 320, height: 180 },
    Layer { rid: "h", source: 2, kbit: 500, width: 640, height: 360 },
    Layer { rid: "f", source: 3, kbit: 1_500, width: 1_280, height: 720 },
];
/// The order in which the layers are looked at: down, up by one, to the top.
const ORDER: [usize; 4] = [0, 1, 2, 1];
