//! The paths a peer has proven, with the time each was last heard of.

use std::time::{Duration, Instant};

use crate::path::Path;

/// A bounded list of proven paths; a peer with more loses the one silent for longest that is not in use.
#[derive(Debug)]
pub(super) struct Paths {
    proven: Vec<(Path, Instant)>,
    silence: Duration,
}

impl Paths {
    pub(super) fn new(silence: Duration) -> Self {
        Self { proven: Vec::new(), silence }
    }

    /// Notes an authenticated check over a known path; returns whether it is known.
    pub(super) fn refresh(&mut self, now: Instant, path: Path) -> bool {
        let known = self.proven.iter_mut().find(|(proven, _)| *proven == path);
        known.map(|(_, heard)| *heard = now).is_some()
    }

    /// Adds a path and returns the one that had to go for it; `selected` always stays.
    pub(super) fn insert(&mut self, now: Instant, path: Path, selected: Option<Path>) -> Option<Path> {
        let crowded_out = (self.proven.len() >= MAX_PATHS).then(|| self.remove_oldest_but(selected)).flatten();
        self.proven.reserve_exact(1); // Mostly it is one for good.
        self.proven.push((path, now));
        crowded_out
    }

    /// Takes out one path that was silent for too long.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Path> {
        let at = self.proven.iter().position(|(_, heard)| *heard + self.silence <= now)?;
        Some(self.proven.remove(at).0)
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.proven.iter().map(|(_, heard)| *heard + self.silence).min()
    }

    pub(super) fn contains(&self, path: Path) -> bool {
        self.proven.iter().any(|(proven, _)| *proven == path)
    }

    pub(super) fn len(&self) -> usize {
        self.proven.len()
    }

    fn remove_oldest_but(&mut self, selected: Option<Path>) -> Option<Path> {
        let others = self.proven.iter().enumerate().filter(|(_, (path, _))| Some(*path) != selected);
        let (at, _) = others.min_by_key(|(_, (_, heard))| *heard)?;
        Some(self.proven.remove(at).0)
    }
}

/// How many paths one peer may have proven at a time.
pub(super) const MAX_PATHS: usize = 8;
