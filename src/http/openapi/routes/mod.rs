//! The table of all routes, by topic. Whoever adds one to the router adds it here; a test says so otherwise.

use schemars::json_schema;

use super::{Answer, MakeSchema, Needs, Parameter, Route, STREAM};

/// Answers of one kind: `ok!(200, "What it is.", Type)`, or without a type for one without a body.
macro_rules! ok {
    ($status:literal, $about:literal) => {
        Answer { status: $status, about: $about, media: &[] }
    };
    ($status:literal, $about:literal, $type:ty) => {
        Answer { status: $status, about: $about, media: &[(JSON, |schemas| schemas.subschema_for::<$type>())] }
    };
}

/// The body that a route takes.
macro_rules! body {
    ($type:ty) => {
        Some(|schemas| schemas.subschema_for::<$type>())
    };
}

mod conversation;
mod people;
mod rooms;
mod server;

const JSON: &str = "application/json";
const TEXT: MakeSchema = |_| json_schema!({ "type": "string" });
const OBJECT: MakeSchema = |_| json_schema!({ "type": "object" });

const OVERLOADED: (u16, &[&str]) = (503, &["server/overloaded", "server/stopping", "server/internal"]);
const ROOM_UNKNOWN: (u16, &[&str]) = (404, &["room/unknown"]);
const MEMBER_UNKNOWN: (u16, &[&str]) = (404, &["room/unknown", "member/unknown"]);

/// Every route.
pub(in crate::http) fn routes() -> impl Iterator<Item = &'static Route> {
    [rooms::ROUTES, people::ROUTES, conversation::ROUTES, server::ROUTES].into_iter().flatten()
}

/// A route as it begins: what it is, and what it needs.
const fn route(method: &'static str, path: &'static str, needs: Needs, summary: &'static str) -> Route {
    Route { method, path, summary, needs, query: &[], body: None, answers: &[], problems: &[] }
}

const fn query(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: "query", about, repeatable: false }
}

const fn header(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: "header", about, repeatable: false }
}

const AFTER: Parameter = query(
    "after",
    "The id of the last event one has: what follows comes first. Without it, or when it is too old, it begins with the state.",
);
const WAIT: Parameter =
    query("wait", "Makes it a long poll: how long to wait for something, such as `30s`; at most `60s`.");
const LAST_EVENT_ID: Parameter = header("last-event-id", "What browsers send for `after`.");
