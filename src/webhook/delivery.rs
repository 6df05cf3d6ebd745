//! One event on its way to receivers: its id, and the body that all of them get.

use bytes::Bytes;
use roundtable_protocol::feed::{WebhookBody, WebhookData};

use crate::journal::ledger::Entry;

/// What is sent. The same for every receiver and every try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// `EPOCH-SEQ-ROOM`: the receiver knows by it what it has already.
    pub(super) id: String,
    /// The type of the event.
    pub(super) kind: &'static str,
    /// The body, JSON.
    pub(super) body: Bytes,
}

impl Delivery {
    /// Makes it of an entry of the ledger.
    pub(super) fn new(entry: &Entry) -> Self {
        let Entry { room, epoch, event, .. } = entry;
        let kind = event.body.name();
        let data = WebhookData { room: room.clone(), epoch: *epoch, event: (**event).clone() };
        let body = WebhookBody { r#type: kind.to_owned(), timestamp: rfc3339(event.at), data };
        // None of our types has a map with keys that are no strings, the one thing that fails.
        let body = serde_json::to_vec(&body).unwrap_or_default().into();
        Self { id: id(entry), kind, body }
    }
}

/// A full stop parts the id from what follows in the signed text, so the room's are written as colons, which no room has.
fn id(Entry { room, epoch, event, .. }: &Entry) -> String {
    format!("{epoch}-{}-{}", event.seq, room.as_str().replace('.', ":"))
}

/// The time of so many milliseconds since 1970 UTC, such as `2026-11-26T06:15:05.000Z`.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// The date of so many days after 1970-01-01, counted in years that begin with March, so that a leap day ends them.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468); // 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roundtable_protocol::{Event, EventBody, MemberId, RoomId};

    use super::*;

    #[test]
    fn an_event_is_wrapped_and_its_id_has_no_full_stop() {
        let body = EventBody::Speaking { member: MemberId::new("ann").unwrap(), speaking: true };
        let event = Arc::new(Event { seq: 12, at: 1_795_673_705_000, body });
        let entry = Entry { number: 99, room: RoomId::new("daily.eu-1").unwrap(), epoch: 7, event };
        let delivery = Delivery::new(&entry);
        assert_eq!((delivery.id.as_str(), delivery.kind), ("7-12-daily:eu-1", "speaking"));
        let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
        let event = serde_json::json!({
            "seq": 12, "at": 1_795_673_705_000_u64, "type": "speaking", "member": "ann", "speaking": true
        });
        let data = serde_json::json!({ "room": "daily.eu-1", "epoch": 7, "event": event });
        let expected = serde_json::json!({ "type": "speaking", "timestamp": "2026-11-26T06:15:05.000Z", "data": data });
        assert_eq!(body, expected);
    }

    #[test]
    fn times_are_written_as_calendars_have_them() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(ms), expected);
        }
    }
}
