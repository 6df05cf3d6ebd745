//! The keys in force, which can be changed while the server runs, and what is judged by them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::claims::Claims;
use super::keys::{KeyError, KeySet};
use super::pass::Pass;
use super::refusal::TokenError;
use super::source::KeySources;
use super::token::{mint, verify};

/// Judges tokens by the keys in force, and signs some.
#[derive(Debug)]
pub struct Authority {
    sources: KeySources,
    keys: RwLock<Arc<KeySet>>,
    guests: bool,
    open_api: bool,
}

impl Authority {
    /// Reads the keys. `guests` lets people in without a token, `open_api` lets whoever brings none use the API.
    ///
    /// # Errors
    /// [`KeyError`] names the file or the key.
    pub fn new(sources: KeySources, guests: bool, open_api: bool) -> Result<Self, KeyError> {
        let keys = RwLock::new(Arc::new(sources.read()?));
        Ok(Self { sources, keys, guests, open_api })
    }

    /// Reads the keys again; returns how many there are. A token of a key that is gone opens nothing any more; whoever is
    /// in stays in.
    ///
    /// # Errors
    /// [`KeyError`]: the keys stay as they were.
    pub fn reload(&self) -> Result<usize, KeyError> {
        let keys = self.sources.read()?;
        let count = keys.len();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(count)
    }

    /// Verifies a token at the time `now` since 1970 UTC.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn verify(&self, now: Duration, token: &str) -> Result<Pass, TokenError> {
        verify(&self.keys(), now, token)
    }

    /// Signs claims with the first key that can; `None` if there is none.
    #[must_use]
    pub fn mint(&self, claims: &Claims) -> Option<String> {
        mint(self.keys().signing_key()?, claims).ok()
    }

    /// Whether there is a key to sign with.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.keys().signing_key().is_some()
    }

    /// Rooms that a key may have, if the keys file says so of it.
    #[must_use]
    pub fn max_rooms(&self, key: &str) -> Option<u32> {
        self.keys().find(key)?.max_rooms()
    }

    /// Whether people are let in without a token.
    #[must_use]
    pub fn lets_guests_in(&self) -> bool {
        self.guests
    }

    /// Whether the API is open to whoever brings no token.
    #[must_use]
    pub fn has_open_api(&self) -> bool {
        self.open_api
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}
