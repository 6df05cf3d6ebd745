//! How a reader of events asks for them: where it begins, whether it waits, what it leaves out.
//!
//! The same query serves the stream and the long poll. It is a poll when the query has `wait`, or when the client takes
//! JSON and no stream; a browser's `EventSource` says neither.

use std::time::Duration;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, HeaderName, header};
use roundtable_protocol::RoomId;
use roundtable_protocol::feed::event_names;

use super::problem::Problem;

/// Longest wait of a poll, in seconds.
pub(super) const MAX_WAIT_S: u64 = 60;
/// Rooms and types that a reader can name.
pub(super) const MAX_NAMED: usize = 100;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The pairs of a query, with keys that may come again.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// What a reader asks for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// The id of the last event it has, if it named one, as it was written.
    pub(super) after: Option<String>,
    /// Whether a bare number may stand there: only where people write it, since a browser repeats what it was sent.
    bare: bool,
    /// How long a poll waits for something; `None` if it is a stream that is wanted.
    pub(super) wait: Option<Duration>,
    /// The types of events it wants; all if there are none.
    pub(super) types: Vec<String>,
    /// The rooms it wants; all if there are none.
    pub(super) rooms: Vec<RoomId>,
}

impl Wish {
    /// Reads the query and the headers. The browser's `Last-Event-ID` is newer than what its page once wrote into the query.
    pub(super) fn read(pairs: Pairs, headers: &HeaderMap) -> Result<Self, Problem> {
        let Query(pairs) = pairs.map_err(|rejection| Problem::query(rejection.body_text()))?;
        let mut wish = Self::default();
        for (key, value) in pairs {
            match key.as_str() {
                "after" | "lastEventId" => (wish.bare, wish.after) = (key == "after", Some(value)),
                "wait" => wish.wait = Some(wait(&value)?),
                "types" => wish.types.extend(types(&value)?),
                "room" => wish.rooms.push(RoomId::new(value).map_err(|bad| Problem::bad_room_id(bad.to_string()))?),
                _ => {}
            }
        }
        if wish.rooms.len() > MAX_NAMED || wish.types.len() > MAX_NAMED {
            return Err(Problem::query(format!("at most {MAX_NAMED} rooms and types can be named")));
        }
        if let Some(id) = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()) {
            (wish.bare, wish.after) = (false, Some(id.to_owned()));
        }
        if wish.wait.is_none() && takes_json_only(headers) {
            wish.wait = Some(Duration::ZERO);
        }
        Ok(wish)
    }

    /// The number after which the reader begins in a sequence of this epoch: `EPOCH-SEQ`, or `SEQ` for who trusts that it
    /// is still the same. `None` if it named nothing that means something there.
    pub(super) fn number_in(&self, epoch: u64) -> Option<u64> {
        let id = self.after.as_deref()?;
        match parse_id(id) {
            Some((of, number)) => Some(number).filter(|_| of == epoch),
            None => parse_number(id).filter(|_| self.bare),
        }
    }
}

fn takes_json_only(headers: &HeaderMap) -> bool {
    let accepts = |kind: &str| {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.split(';').next().unwrap_or("").trim() == kind)
    };
    accepts("application/json") && !accepts("text/event-stream")
}

/// Reads `30s`, or `30`.
fn wait(text: &str) -> Result<Duration, Problem> {
    let seconds = parse_number(text.strip_suffix('s').unwrap_or(text)).filter(|seconds| *seconds <= MAX_WAIT_S);
    let bad = || Problem::query(format!("wait is written like 30s and is at most {MAX_WAIT_S}s"));
    seconds.map(Duration::from_secs).ok_or_else(bad)
}

fn types(text: &str) -> Result<Vec<String>, Problem> {
    let names = text.split(',').filter(|name| !name.is_empty()).map(|name| {
        let known = event_names().iter().any(|known| known == name);
        let unknown =
            || Problem::query(format!("no event has the type {name:?}; there are {}", event_names().join(", ")));
        known.then(|| name.to_owned()).ok_or_else(unknown)
    });
    names.collect()
}

/// Reads `{epoch}-{seq}`.
fn parse_id(id: &str) -> Option<(u64, u64)> {
    let (epoch, seq) = id.split_once('-')?;
    Some((parse_number(epoch)?, parse_number(seq)?))
}

/// Digits only: the standard library would take a sign too.
fn parse_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    fn wish(query: &str, headers: &[(HeaderName, &str)]) -> Result<Wish, Problem> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Wish::read(Query::try_from_uri(&uri), &headers)
    }

    #[test]
    fn ids_are_read_strictly() {
        let table = [
            ("7-0", Some((7, 0))),
            ("18446744073709551615-1", Some((u64::MAX, 1))),
            ("18446744073709551616-1", None),
            ("7", None),
            ("7-", None),
            ("-7", None),
            ("7-1-1", None),
            ("7--1", None),
            ("7-+1", None),
            (" 7-1", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_id(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_number_counts_in_its_own_epoch_only() {
        for (after, expected) in [("7-3", Some(3)), ("8-3", None), ("3", Some(3)), ("+3", None), ("x", None)] {
            let wish = Wish { after: Some(after.to_owned()), bare: true, ..Wish::default() };
            assert_eq!(wish.number_in(7), expected, "{after}");
        }
        let repeated = Wish { after: Some("3".to_owned()), ..Wish::default() };
        assert_eq!((Wish::default().number_in(7), repeated.number_in(7)), (None, None));
    }

    #[test]
    fn who_names_a_wait_or_takes_json_only_polls() {
        let accept = |value| [(header::ACCEPT, value)];
        let table = [
            ("", &[][..], None),
            ("after=3", &[], None),
            ("wait=30s", &[], Some(30)),
            ("wait=5", &[], Some(5)),
            ("wait=60s", &accept("text/event-stream"), Some(60)),
            ("", &accept("application/json"), Some(0)),
            ("", &accept("application/json;q=0.9, text/plain"), Some(0)),
            ("", &accept("application/json, text/event-stream"), None),
            ("", &accept("text/event-stream"), None),
            ("", &accept("*/*"), None),
        ];
        for (query, headers, expected) in table {
            assert_eq!(wish(query, headers).unwrap().wait.map(|wait| wait.as_secs()), expected, "{query} {headers:?}");
        }
        for query in ["wait=61s", "wait=-1", "wait=", "wait=1m", "wait=99999999999999999999", "types=danced"] {
            assert!(wish(query, &[]).is_err(), "{query}");
        }
    }

    #[test]
    fn rooms_and_types_may_come_again_and_the_header_is_newer_than_the_query() {
        let wish = wish("types=joined,left&types=chat&room=a&room=b&lastEventId=1", &[(LAST_EVENT_ID, "2")]).unwrap();
        assert_eq!(wish.types, ["joined", "left", "chat"]);
        assert_eq!(wish.rooms.iter().map(RoomId::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(wish.after.as_deref(), Some("2"));
        let many: String = (0..=MAX_NAMED).map(|n| format!("room=r{n}&")).collect();
        assert!(super::tests::wish(&many, &[]).is_err());
    }
}
