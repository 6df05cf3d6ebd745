//! Why an offer was refused, and where in it.

use std::fmt;

/// Where in an offer the trouble is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The offer as a whole, or its part before the first m-line.
    Session,
    /// A line of the text, counted from 1.
    Line(usize),
    /// An m-line, counted from 0 as browsers count their mids.
    Media(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("the session"),
            Self::Line(number) => write!(f, "line {number}"),
            Self::Media(index) => write!(f, "m-line {index}"),
        }
    }
}

/// Why an offer cannot be answered.
///
/// The sentence never repeats the client's text, so it may be logged and sent anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// The text breaks a rule of SDP or of an attribute.
    #[error("{place} {problem}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong, as a predicate of the place.
        problem: &'static str,
    },
    /// A bound of ours is exceeded; a smaller offer would be read.
    #[error("{place} has more than {limit} {what}")]
    TooLarge {
        /// Where.
        place: Place,
        /// What there is too much of.
        what: &'static str,
        /// The most there may be.
        limit: usize,
    },
    /// The offer is sound but asks for something this server does not do.
    #[error("{place} {problem}")]
    Unsupported {
        /// Where.
        place: Place,
        /// What is not done here, as a predicate of the place.
        problem: &'static str,
    },
}

impl SdpError {
    /// The stable word on the wire; programs switch on it, people read `Display`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "sdp/malformed",
            Self::TooLarge { .. } => "sdp/too-large",
            Self::Unsupported { .. } => "sdp/unsupported",
        }
    }

    pub(super) fn malformed(place: Place, problem: &'static str) -> Self {
        Self::Malformed { place, problem }
    }

    pub(super) fn unsupported(place: Place, problem: &'static str) -> Self {
        Self::Unsupported { place, problem }
    }
}
