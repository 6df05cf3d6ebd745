//! Documents that members write together, as far as the server knows them: a snapshot, and the updates behind it in order.
//!
//! What is in them is the clients' affair. An update gets the next number of its document and is kept until a client says
//! that a snapshot stands for it, so that whoever comes late gets the whole: nothing is missing and nothing comes twice.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use roundtable_protocol::limit::{MAX_DOC_SNAPSHOT_BYTES, MAX_DOC_UPDATE_BYTES, MAX_DOC_UPDATES, MAX_DOCS};
use roundtable_protocol::{ErrorCode, MemberId};

/// Topics of documents begin like this; the rest is the document's name.
pub const DOC_PREFIX: &str = "doc/";

/// Why something of a document is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocError {
    /// There are [`MAX_DOCS`] others.
    #[error("a room keeps at most {MAX_DOCS} documents")]
    TooMany,
    /// [`MAX_DOC_UPDATES`] updates are kept, or [`MAX_DOC_UPDATE_BYTES`] of them.
    #[error(
        "a document keeps at most {MAX_DOC_UPDATES} updates and {MAX_DOC_UPDATE_BYTES} bytes of them; put a snapshot first"
    )]
    Full,
    /// More than [`MAX_DOC_SNAPSHOT_BYTES`].
    #[error("a snapshot has at most {MAX_DOC_SNAPSHOT_BYTES} bytes")]
    TooLarge,
    /// The number is none of an update that is there.
    #[error("the snapshot stands for updates up to {up_to}, and those from {first} to {last} are there")]
    BadNumber {
        /// What was said.
        up_to: u64,
        /// The first update that is kept.
        first: u64,
        /// The last one.
        last: u64,
    },
}

impl DocError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::TooMany => ErrorCode::TooManyDocs,
            Self::Full => ErrorCode::DocFull,
            Self::TooLarge => ErrorCode::DataTooLarge,
            Self::BadNumber { .. } => ErrorCode::BadSnapshot,
        }
    }
}

/// The documents of a room, at most [`MAX_DOCS`]. They end with the room.
#[derive(Debug, Default)]
pub struct Docs(BTreeMap<String, Doc>);

/// One document.
#[derive(Debug, Default)]
pub struct Doc {
    snapshot: Option<(u64, Bytes)>,
    /// The updates behind it.
    updates: VecDeque<Update>,
    /// Bytes of these.
    bytes: usize,
    /// The number of the last update ever.
    last: u64,
}

/// One update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Its number.
    pub n: u64,
    /// Who wrote it.
    pub from: MemberId,
    /// What the clients make of it.
    pub payload: Bytes,
}

impl Docs {
    /// Keeps an update and gives it its number.
    ///
    /// # Errors
    /// [`DocError::TooMany`] and [`DocError::Full`].
    pub fn append(&mut self, name: &str, from: &MemberId, payload: Bytes) -> Result<u64, DocError> {
        if !self.0.contains_key(name) {
            if self.0.len() == MAX_DOCS {
                return Err(DocError::TooMany);
            }
            self.0.insert(name.to_owned(), Doc::default());
        }
        // Just made if it was not there.
        self.0.get_mut(name).ok_or(DocError::TooMany)?.append(from, payload)
    }

    /// Has a snapshot stand for the updates up to a number.
    ///
    /// # Errors
    /// [`DocError::TooLarge`], and [`DocError::BadNumber`] where nothing would be replaced or more than there is.
    pub fn put(&mut self, name: &str, up_to: u64, snapshot: Bytes) -> Result<(), DocError> {
        let doc = self.0.get_mut(name).ok_or(DocError::BadNumber { up_to, first: 1, last: 0 })?;
        doc.put(up_to, snapshot)
    }

    /// A document, if anything was ever published to it.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Doc> {
        self.0.get(name)
    }
}

impl Doc {
    fn append(&mut self, from: &MemberId, payload: Bytes) -> Result<u64, DocError> {
        if self.updates.len() == MAX_DOC_UPDATES || self.bytes + payload.len() > MAX_DOC_UPDATE_BYTES {
            return Err(DocError::Full);
        }
        self.last += 1;
        self.bytes += payload.len();
        self.updates.push_back(Update { n: self.last, from: from.clone(), payload });
        Ok(self.last)
    }

    fn put(&mut self, up_to: u64, snapshot: Bytes) -> Result<(), DocError> {
        if snapshot.len() > MAX_DOC_SNAPSHOT_BYTES {
            return Err(DocError::TooLarge);
        }
        let first = self.last + 1 - self.updates.len() as u64;
        if up_to < first || up_to > self.last {
            return Err(DocError::BadNumber { up_to, first, last: self.last });
        }
        while let Some(update) = self.updates.pop_front_if(|update| update.n <= up_to) {
            self.bytes -= update.payload.len();
        }
        self.snapshot = Some((up_to, snapshot));
        Ok(())
    }

    /// The number of the last update.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// What somebody needs who has the updates up to `after`: the snapshot with its number, unless they have all that it
    /// stands for, and the updates behind both.
    pub fn since(&self, after: u64) -> (Option<&(u64, Bytes)>, impl Iterator<Item = &Update>) {
        let snapshot = self.snapshot.as_ref().filter(|(up_to, _)| *up_to > after);
        (snapshot, self.updates.iter().filter(move |update| update.n > after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> MemberId {
        MemberId::new("ann").unwrap()
    }

    fn numbers(doc: &Doc, after: u64) -> (Option<u64>, Vec<u64>) {
        let (snapshot, updates) = doc.since(after);
        (snapshot.map(|(up_to, _)| *up_to), updates.map(|update| update.n).collect())
    }

    #[test]
    fn who_comes_late_gets_the_snapshot_and_what_is_behind_it() {
        let mut docs = Docs::default();
        for n in 1..=5 {
            assert_eq!(docs.append("plan", &ann(), Bytes::from_static(b"u")), Ok(n));
        }
        assert_eq!(numbers(docs.of("plan").unwrap(), 0), (None, vec![1, 2, 3, 4, 5]));
        assert_eq!(numbers(docs.of("plan").unwrap(), 3), (None, vec![4, 5]));
        docs.put("plan", 4, Bytes::from_static(b"snapshot")).unwrap();
        docs.append("plan", &ann(), Bytes::from_static(b"u")).unwrap();
        let doc = docs.of("plan").unwrap();
        assert_eq!(numbers(doc, 0), (Some(4), vec![5, 6]));
        assert_eq!(numbers(doc, 2), (Some(4), vec![5, 6]), "what is between went with the log");
        assert_eq!(numbers(doc, 4), (None, vec![5, 6]));
        assert_eq!(numbers(doc, 6), (None, vec![]));
        assert_eq!(doc.last(), 6);
    }

    #[test]
    fn a_snapshot_stands_for_updates_that_are_there() {
        let mut docs = Docs::default();
        let put = |docs: &mut Docs, up_to| docs.put("plan", up_to, Bytes::from_static(b"s"));
        assert!(put(&mut docs, 0).is_err() && put(&mut docs, 1).is_err(), "there is no such document");
        for _ in 0..4 {
            let _ = docs.append("plan", &ann(), Bytes::from_static(b"u"));
        }
        assert_eq!(put(&mut docs, 5), Err(DocError::BadNumber { up_to: 5, first: 1, last: 4 }));
        assert_eq!(put(&mut docs, 3), Ok(()));
        assert_eq!(put(&mut docs, 2), Err(DocError::BadNumber { up_to: 2, first: 4, last: 4 }), "an older one is late");
        assert_eq!(put(&mut docs, 4), Ok(()));
        assert_eq!(put(&mut docs, 4), Err(DocError::BadNumber { up_to: 4, first: 5, last: 4 }));
        let large = Bytes::from(vec![0; MAX_DOC_SNAPSHOT_BYTES + 1]);
        assert_eq!(docs.put("plan", 4, large), Err(DocError::TooLarge));
    }

    #[test]
    fn the_log_is_bounded_and_a_snapshot_makes_room() {
        let mut docs = Docs::default();
        for _ in 0..MAX_DOC_UPDATES {
            docs.append("plan", &ann(), Bytes::from_static(b"u")).unwrap();
        }
        assert_eq!(docs.append("plan", &ann(), Bytes::from_static(b"u")), Err(DocError::Full));
        docs.put("plan", 500, Bytes::from_static(b"s")).unwrap();
        assert_eq!(docs.append("plan", &ann(), Bytes::from_static(b"u")), Ok(513));

        let large = Bytes::from(vec![0; 16_000]);
        let fits = (0..100).take_while(|_| docs.append("ink", &ann(), large.clone()).is_ok()).count();
        assert_eq!(fits, MAX_DOC_UPDATE_BYTES / 16_000);
        for n in 2..MAX_DOCS {
            docs.append(&format!("{n}"), &ann(), Bytes::new()).unwrap();
        }
        assert_eq!(docs.append("one more", &ann(), Bytes::new()), Err(DocError::TooMany));
    }
}
