//! Signalling: over a WebSocket, or over requests where there is none.

use serde_json::Value;

use super::*;
use crate::http::exchange::{Answer as SignalPage, Begun};

const ROOM: Parameter = query("room", "The room to enter.");
const BEHIND: Parameter = query("after", "The number of the last message one has.");
const UNKNOWN: (u16, &[&str]) = (404, &["http/exchange"]);
const GONE: (u16, &[&str]) = (410, &["http/exchange"]);
const BAD_QUERY: (u16, &[&str]) = (400, &["http/query"]);
const BAD_TOKEN: (u16, &[&str]) = (401, &["token/invalid"]);
const RATE: (u16, &[&str]) = (429, &["hello/rate"]);
const FULL: (u16, &[&str]) = (503, &["server/overloaded", "server/stopping"]);
const ORIGIN: (u16, &[&str]) = (403, &["http/origin"]);

pub(super) const ROUTES: &[Route] = &[
    Route {
        query: &[ROOM, query("access_token", "A token, for clients that set no headers and say none in their hello.")],
        answers: &[ok!(101, "A WebSocket.")],
        problems: &[(400, &["room/bad-id", "http/upgrade"]), BAD_TOKEN, ORIGIN, (426, &["http/upgrade"]), RATE, FULL],
        ..route("get", "/ws", Needs::Conversation, "The signalling socket (docs/PROTOCOL.md)")
    },
    Route {
        query: &[ROOM],
        answers: &[ok!(201, "The conversation.", Begun)],
        problems: &[(400, &["room/bad-id"]), BAD_TOKEN, ORIGIN, RATE, FULL],
        ..route("post", "/signal", Needs::Conversation, "Begins a conversation over requests (docs/PROTOCOL.md, §7)")
    },
    Route {
        query: &[query("first", "The number of the first message in the body; the client counts from 1.")],
        body: body!(Vec<Value>),
        answers: &[ok!(204, "They came, now or before.")],
        problems: &[BAD_QUERY, ORIGIN, UNKNOWN, (409, &["message/out-of-order"])],
        ..route(
            "post",
            "/signal/{session}",
            Needs::Conversation,
            "Says messages: at most 64 of the protocol, in an array",
        )
    },
    Route {
        answers: &[ok!(204, "The conversation is over.")],
        problems: &[ORIGIN, UNKNOWN],
        ..route("delete", "/signal/{session}", Needs::Conversation, "Leaves")
    },
    Route {
        query: &[
            BEHIND,
            query("wait", "How long to wait when there is nothing, in seconds; at most, and otherwise, 30."),
        ],
        answers: &[ok!(200, "Messages, none if the wait was in vain, or the end.", SignalPage)],
        problems: &[BAD_QUERY, UNKNOWN, GONE],
        ..route("get", "/signal/{session}/messages", Needs::Conversation, "Hears messages, request by request")
    },
    Route {
        query: &[BEHIND, LAST_EVENT_ID],
        answers: &[Answer { status: 200, about: "Messages, and `closed` at the end.", media: &[(STREAM, TEXT)] }],
        problems: &[BAD_QUERY, UNKNOWN, GONE],
        ..route("get", "/signal/{session}/events", Needs::Conversation, "Hears messages, as a stream")
    },
];
