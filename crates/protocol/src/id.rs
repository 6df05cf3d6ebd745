//! Names of rooms, members, tracks and chat messages as they stand on the wire.
//!
//! That of a member lies in two dozen places on a server. It is there once for all of them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::limit::MAX_ROOM_ID_BYTES;

/// Why a string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// Nothing was given.
    #[error("the id is empty")]
    Empty,
    /// More bytes than an id may have.
    #[error("the id is longer than {MAX_ROOM_ID_BYTES} bytes")]
    TooLong,
    /// Something other than letters, digits, `-`, `_`, `.` and `~`.
    #[error("the id holds {0:?}; letters, digits, '-', '_', '.' and '~' are allowed")]
    Character(char),
}

fn check(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_ROOM_ID_BYTES {
        return Err(InvalidId::TooLong);
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.~".contains(*c))) {
        Some(c) => Err(InvalidId::Character(c)),
        // "." and ".." would be folded away by URL parsers.
        None if text.bytes().all(|b| b == b'.') => Err(InvalidId::Character('.')),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
        #[serde(try_from = "String", into = "String")]
        #[ts(type = "string")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a string that obeys the rules of ids: 1–64 of `A–Z a–z 0–9 - _ . ~`.
            ///
            /// # Errors
            /// [`InvalidId`] says which rule was broken.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A room's name, part of its link. Chosen by people.
    RoomId
}
id! {
    /// One presence of one person in one room. Chosen by the server, never used twice.
    MemberId
}
id! {
    /// One published track. Chosen by the server, never used twice.
    TrackId
}
id! {
    /// One chat message. Chosen by the server.
    MessageId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_short_word_that_survives_a_url() {
        for good in ["a", "daily-standup", "R2~d.2_x", &"x".repeat(64)] {
            assert!(RoomId::new(good).is_ok(), "{good}");
        }
        assert_eq!(RoomId::new(""), Err(InvalidId::Empty));
        assert_eq!(RoomId::new("x".repeat(65)), Err(InvalidId::TooLong));
        for (bad, c) in [("a b", ' '), ("a/b", '/'), ("ü", 'ü'), ("..", '.'), ("a\n", '\n')] {
            assert_eq!(RoomId::new(bad), Err(InvalidId::Character(c)));
        }
        assert!(serde_json::from_str::<RoomId>("\"a/b\"").is_err());
    }
}
