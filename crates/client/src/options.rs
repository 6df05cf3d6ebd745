//! How to join.

use std::fmt;
use std::sync::Arc;

use crate::synthetic::{AudioShape, VideoShape};

/// Changes a session description on its way, for tests of what a server makes of odd ones.
#[derive(Clone)]
pub struct Rewrite(Arc<dyn Fn(String) -> String + Send + Sync>);

impl Rewrite {
    /// Applies `change` to each description.
    pub fn new(change: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(change))
    }

    /// Leaves out transport-wide feedback. A server then has nothing to measure the path by: it sends all it has, and
    /// nothing for probes, so that what is heard does not depend on how busy the machine is.
    #[must_use]
    pub fn unmeasured() -> Self {
        Self::new(|sdp| {
            let is_kept = |line: &&str| !line.contains("transport-cc") && !line.contains("transport-wide-cc");
            sdp.split_inclusive('\n').filter(is_kept).collect()
        })
    }

    /// The description as changed.
    #[must_use]
    pub fn apply(&self, sdp: String) -> String {
        (self.0)(sdp)
    }

    pub(crate) fn apply_to(rewrite: Option<&Self>, sdp: String) -> String {
        match rewrite {
            Some(rewrite) => rewrite.apply(sdp),
            None => sdp,
        }
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rewrite")
    }
}

/// How to join.
#[derive(Debug, Clone)]
pub struct Options {
    /// The WebSocket endpoint, without the query.
    pub url: String,
    /// The room.
    pub room: String,
    /// The name others see.
    pub name: String,
    /// A token for the server's hook.
    pub token: Option<String>,
    /// Seats to begin with; without it as many as the server says. Grown when the server asks.
    pub seats: Option<u16>,
    /// Most seats to have.
    pub max_seats: u16,
    /// Whether to have as many voice slots beside the seats as the server says.
    pub voice_slots: bool,
    /// In what ways messages may come besides one in a text frame; the words of `hello.accept`.
    pub accept: Vec<String>,
    /// What the synthetic microphone sends.
    pub audio: AudioShape,
    /// What the synthetic camera sends.
    pub video: VideoShape,
    /// Bytes of the largest message of a data channel, in either direction; it is also what the offer says.
    pub max_message_bytes: u32,
    /// Changes each offer behind the back of the own peer connection.
    pub rewrite_offer: Option<Rewrite>,
    /// Changes each answer before the own peer connection sees it.
    pub rewrite_answer: Option<Rewrite>,
}

impl Options {
    /// A client with as many seats as the server says, and a small camera.
    #[must_use]
    pub fn new(url: impl Into<String>, room: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            room: room.into(),
            name: name.into(),
            token: None,
            seats: None,
            max_seats: 48,
            voice_slots: false,
            accept: Vec::new(),
            audio: AudioShape::TALK,
            video: VideoShape::SMALL,
            max_message_bytes: 64 * 1024,
            rewrite_offer: None,
            rewrite_answer: None,
        }
    }
}
