//! The table of all routes. Whoever adds one to the router adds it here; a test says so otherwise.

use roundtable_protocol::RoomState;
use roundtable_protocol::feed::{EventPage, ServerEventPage};
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::roster::RosterPage;
use roundtable_protocol::stats::RoomStats;
use schemars::json_schema;

use super::{Answer, MakeSchema, Parameter, Route};
use crate::http::api::RoomList;
use crate::webhook::{DeadLetterList, WebhookList};

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";
const TEXT: MakeSchema = |_| json_schema!({ "type": "string" });
const OBJECT: MakeSchema = |_| json_schema!({ "type": "object" });

const OVERLOADED: (u16, &[&str]) = (503, &["server/overloaded", "server/stopping", "server/internal"]);
const ROOM_UNKNOWN: (u16, &[&str]) = (404, &["room/unknown"]);
const BAD_ROOM: (u16, &[&str]) = (400, &["room/bad-id"]);

/// A route without parameters that answers JSON.
const PLAIN: Route =
    Route { method: "get", path: "", summary: "", query: &[], body: None, answers: &[], problems: &[] };

const fn query(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: "query", about, repeatable: false }
}

const AFTER: Parameter = query(
    "after",
    "The id of the last event one has: what follows comes first. Without it, or when it is too old, it begins with the state.",
);
const WAIT: Parameter =
    query("wait", "Makes it a long poll: how long to wait for something, such as `30s`; at most `60s`.");
const LAST_EVENT_ID: Parameter =
    Parameter { name: "last-event-id", place: "header", about: "What browsers send for `after`.", repeatable: false };
const IDEMPOTENCY_KEY: Parameter = Parameter {
    name: "idempotency-key",
    place: "header",
    about: "Makes it safe to send the request again: with the same key it is answered as it was, for a day.",
    repeatable: false,
};

/// Every route.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        path: "/ws",
        summary: "The signalling socket (docs/PROTOCOL.md)",
        query: &[query("room", "The room to enter.")],
        answers: &[Answer { status: 101, about: "A WebSocket.", media: &[] }],
        problems: &[
            (400, &["room/bad-id", "http/upgrade"]),
            (403, &["http/origin"]),
            (426, &["http/upgrade"]),
            (503, &["server/overloaded", "server/stopping"]),
        ],
        ..PLAIN
    },
    Route {
        path: "/api/v1/events",
        summary: "The events of all rooms, as a stream or as a long poll",
        query: &[
            AFTER,
            WAIT,
            LAST_EVENT_ID,
            Parameter { name: "room", place: "query", about: "Only this room.", repeatable: true },
            query("types", "Only these types of events, with commas between."),
        ],
        answers: &[Answer {
            status: 200,
            about: "`ServerEvent`s, or `reset` with a `ServerState`.",
            media: &[(STREAM, TEXT), (JSON, |schemas| schemas.subschema_for::<ServerEventPage>())],
        }],
        problems: &[(400, &["http/query", "room/bad-id"]), (503, &["server/overloaded", "server/stopping"])],
        ..PLAIN
    },
    Route {
        path: "/api/v1/rooms",
        summary: "The open rooms",
        answers: &[Answer {
            status: 200,
            about: "All of them, ordered by id.",
            media: &[(JSON, |schemas| schemas.subschema_for::<RoomList>())],
        }],
        ..PLAIN
    },
    Route {
        path: "/api/v1/rooms/{room}",
        summary: "One room's state",
        answers: &[Answer {
            status: 200,
            about: "The room.",
            media: &[(JSON, |schemas| schemas.subschema_for::<RoomState>())],
        }],
        problems: &[BAD_ROOM, ROOM_UNKNOWN],
        ..PLAIN
    },
    Route {
        path: "/api/v1/rooms/{room}/events",
        summary: "A room's events, as a stream or as a long poll",
        query: &[AFTER, WAIT, LAST_EVENT_ID],
        answers: &[
            Answer {
                status: 200,
                about: "`Event`s, or `reset` with a `RoomState`.",
                media: &[(STREAM, TEXT), (JSON, |schemas| schemas.subschema_for::<EventPage>())],
            },
            Answer { status: 204, about: "The room is over, and the reader of the stream has everything.", media: &[] },
        ],
        problems: &[(400, &["room/bad-id", "http/query"]), ROOM_UNKNOWN, (503, &["server/overloaded"])],
        ..PLAIN
    },
    Route {
        path: "/api/v1/rooms/{room}/members",
        summary: "Everybody in a room, page by page",
        query: &[query("after", "The `next` of the page before."), query("limit", "People on a page, 1 to 500.")],
        answers: &[Answer {
            status: 200,
            about: "A page.",
            media: &[(JSON, |schemas| schemas.subschema_for::<RosterPage>())],
        }],
        problems: &[(400, &["room/bad-id", "http/query"]), ROOM_UNKNOWN],
        ..PLAIN
    },
    Route {
        path: "/api/v1/rooms/{room}/stats",
        summary: "How the media of a room's members does",
        answers: &[Answer {
            status: 200,
            about: "The figures of this moment.",
            media: &[(JSON, |schemas| schemas.subschema_for::<RoomStats>())],
        }],
        problems: &[BAD_ROOM, ROOM_UNKNOWN, OVERLOADED],
        ..PLAIN
    },
    Route {
        method: "put",
        path: "/api/v1/rooms/{room}/members/{member}/limits",
        summary: "Changes what a member may, as a whole",
        body: Some(|schemas| schemas.subschema_for::<MemberLimits>()),
        answers: &[Answer {
            status: 200,
            about: "What is in force.",
            media: &[(JSON, |schemas| schemas.subschema_for::<MemberLimits>())],
        }],
        problems: &[
            (400, &["room/bad-id", "http/body"]),
            (403, &["http/origin"]),
            (404, &["member/unknown"]),
            (413, &["http/body"]),
            (415, &["http/body"]),
            (422, &["limit/bad", "http/body"]),
            OVERLOADED,
        ],
        ..PLAIN
    },
    Route {
        path: "/api/v1/stats",
        summary: "The server's figures",
        answers: &[Answer { status: 200, about: "Counters and gauges.", media: &[(JSON, OBJECT)] }],
        problems: &[OVERLOADED],
        ..PLAIN
    },
    Route {
        path: "/api/v1/webhooks",
        summary: "The receivers of webhooks and how they do",
        answers: &[Answer {
            status: 200,
            about: "In the order of the settings.",
            media: &[(JSON, |schemas| schemas.subschema_for::<WebhookList>())],
        }],
        ..PLAIN
    },
    Route {
        path: "/api/v1/webhooks/dead-letters",
        summary: "Events that were given up",
        answers: &[Answer {
            status: 200,
            about: "Oldest first.",
            media: &[(JSON, |schemas| schemas.subschema_for::<DeadLetterList>())],
        }],
        ..PLAIN
    },
    Route {
        method: "post",
        path: "/api/v1/webhooks/dead-letters/{id}/retry",
        summary: "Sends an event that was given up again",
        query: &[IDEMPOTENCY_KEY],
        answers: &[Answer { status: 202, about: "It waits to be sent.", media: &[] }],
        problems: &[
            (400, &["http/idempotency"]),
            (403, &["http/origin"]),
            (404, &["http/not-found"]),
            (409, &["http/in-progress"]),
            (413, &["http/body"]),
            (422, &["http/idempotency"]),
        ],
        ..PLAIN
    },
    Route {
        path: "/livez",
        summary: "Whether the process lives",
        answers: &[Answer { status: 200, about: "It does.", media: &[("text/plain", TEXT)] }],
        ..PLAIN
    },
    Route {
        path: "/readyz",
        summary: "Whether the server takes new calls",
        answers: &[Answer { status: 200, about: "It does.", media: &[("text/plain", TEXT)] }],
        problems: &[OVERLOADED],
        ..PLAIN
    },
    Route {
        path: "/healthz",
        summary: "The same as /readyz",
        answers: &[Answer { status: 200, about: "It does.", media: &[("text/plain", TEXT)] }],
        problems: &[OVERLOADED],
        ..PLAIN
    },
    Route {
        path: "/openapi.json",
        summary: "This document",
        answers: &[Answer { status: 200, about: "OpenAPI 3.1.", media: &[(JSON, OBJECT)] }],
        ..PLAIN
    },
    Route {
        path: "/errors/{area}/{word}",
        summary: "What an error code means and what to do about it",
        answers: &[Answer { status: 200, about: "A page.", media: &[("text/markdown", TEXT)] }],
        problems: &[(404, &["http/not-found"])],
        ..PLAIN
    },
    Route {
        path: "/",
        summary: "The page",
        answers: &[Answer { status: 200, about: "HTML.", media: &[("text/html", TEXT)] }],
        ..PLAIN
    },
    Route {
        path: "/r/{room}",
        summary: "The page, in a room",
        answers: &[Answer { status: 200, about: "HTML.", media: &[("text/html", TEXT)] }],
        ..PLAIN
    },
];
