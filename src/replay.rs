//! Prints what a recorded media plane decided, and why.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use roundtable_media::replay::{Summary, replay};
use roundtable_media::trace::TraceError;
use roundtable_media::{Decided, Egress, PeerKey};

/// What is printed, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// The trace.
    pub file: PathBuf,
    /// Only what concerns this peer, by its number in the trace.
    pub peer: Option<u32>,
    /// An object of JSON a line, rather than text.
    pub json: bool,
}

/// Why a trace was not replayed to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is wrong somewhere. What came before was printed.
    #[error("{}: {source}", path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: TraceError,
    },
    /// The decisions cannot be printed.
    #[error(transparent)]
    Print(#[from] io::Error),
}

/// Replays a file and prints a line for each decision, and in text one on the whole.
///
/// # Errors
/// [`ReplayError`], after what could be replayed was printed.
pub fn print(options: &ReplayOptions, out: &mut impl Write) -> Result<(), ReplayError> {
    let path = || options.file.clone();
    let trace = std::fs::read(&options.file).map_err(|source| ReplayError::Read { path: path(), source })?;
    let (mut line, mut printed) = (String::new(), Ok(()));
    let replayed = replay(&trace, Instant::now().into(), &mut Nowhere, &mut |decided| {
        let is_wanted = options.peer.is_none_or(|peer| decided.peer.is_some_and(|of| of.value() == peer));
        if printed.is_ok() && is_wanted {
            printed = print_line(decided, options.json, &mut line, out);
        }
    });
    printed?;
    let summary = replayed.map_err(|source| ReplayError::Trace { path: path(), source })?;
    if !options.json {
        print_summary(&options.file, &summary, out)?;
    }
    Ok(())
}

fn print_line(decided: &Decided, json: bool, line: &mut String, out: &mut impl Write) -> io::Result<()> {
    line.clear();
    // A string takes everything.
    let _ = if json { decided.write_json(line) } else { write!(line, "{decided}") };
    writeln!(out, "{line}")
}

fn print_summary(path: &Path, summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let Summary { unix_micros, span, calls, is_cut, .. } = summary;
    let end = if *is_cut { ", cut off by its bound" } else { "" };
    let (seconds, since) = (span.as_secs_f64(), *unix_micros as f64 / 1e6);
    writeln!(out, "# {}: {calls} calls in {seconds:.3} s from {since:.3} (Unix time){end}", path.display())
}

/// What the plane sends has been sent long ago.
struct Nowhere;

impl Egress for Nowhere {
    fn rtp(&mut self, _: PeerKey, _: &[u8], _: usize, _: &[u8], _: u32) {}
    fn rtcp(&mut self, _: PeerKey, _: &[u8]) {}
}
