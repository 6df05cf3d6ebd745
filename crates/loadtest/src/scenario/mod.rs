//! The kinds of load, each one run of it.

mod churn;
mod flood;
mod joins;
mod rooms;
mod run;
mod steady;
mod switching;

pub(crate) use run::{Run, RunError};

use crate::figures::Figures;
use crate::options::Scenario;
use crate::verdict::{Rules, refusals};

/// Runs a scenario once and judges it.
pub(crate) fn run(scenario: &Scenario, run: &Run<'_>) -> Result<Figures, RunError> {
    let mut figures = match scenario {
        Scenario::FanOut(options) => steady::run(run, &rooms::fan_out(options))?,
        Scenario::Audio(options) => steady::run(run, &rooms::audio(options))?,
        Scenario::Meetings(options) => steady::run(run, &rooms::meetings(options))?,
        Scenario::Joins(options) => joins::run(run, options)?,
        Scenario::Churn(options) => churn::run(run, options)?,
        Scenario::Switching(options) => switching::run(run, options)?,
    };
    // Where paths are new all the time, the server leaves packets out until it knows what they carry.
    let lossless = !matches!(scenario, Scenario::Switching(_) | Scenario::Churn(_));
    let mut refused = refusals(&figures, Rules { lossless, threads: run.common.threads });
    figures.refused.append(&mut refused);
    Ok(figures)
}
