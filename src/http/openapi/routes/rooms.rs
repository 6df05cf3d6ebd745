//! Rooms: which there are, how they are set up, what is in them, and what happens.

use roundtable_protocol::RoomState;
use roundtable_protocol::chat::ChatPage;
use roundtable_protocol::feed::{EventPage, ServerEventPage};
use roundtable_protocol::roster::RosterPage;
use roundtable_protocol::settings::{RoomSettings, SettingsChange};
use roundtable_protocol::stats::RoomStats;

use super::*;
use crate::http::api::RoomList;
use crate::http::chat::ChatRetention;
use crate::http::settings::NewRoom;

const IF_MATCH: Parameter =
    header("if-match", "The `etag` of the settings that this is meant for, or `*` for a room that is set up.");
const CHANGED: (u16, &[&str]) = (412, &["room/changed"]);
const BAD_MATCH: (u16, &[&str]) = (400, &["http/if-match"]);
const BAD_SETTINGS: (u16, &[&str]) = (422, &["room/bad-settings"]);
const NO_PLACE: (u16, &[&str]) = (503, &["room/too-many"]);
/// The key of the token has as many rooms as it may; `retry-after` says when to ask again.
const KEY_QUOTA: (u16, &[&str]) = (429, &["room/key-quota"]);

pub(super) const ROUTES: &[Route] = &[
    Route {
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
        ..at("get", "/api/v1/events", Needs::All, "The events of all rooms, as a stream or as a long poll")
    },
    Route {
        answers: &[ok!(200, "All of them, ordered by id.", RoomList)],
        ..at("get", "/api/v1/rooms", Needs::List, "The open rooms")
    },
    Route {
        body: body!(NewRoom),
        answers: &[ok!(201, "Its settings.", RoomSettings)],
        problems: &[(409, &["room/exists"]), BAD_SETTINGS, NO_PLACE, KEY_QUOTA],
        ..at("post", "/api/v1/rooms", Needs::Create, "Sets a room up that is neither set up nor open")
    },
    Route {
        answers: &[ok!(200, "The room.", RoomState)],
        problems: &[ROOM_UNKNOWN],
        ..at("get", "/api/v1/rooms/{room}", Needs::Read, "One room's state")
    },
    Route {
        query: &[IF_MATCH],
        answers: &[ok!(204, "It is gone.")],
        problems: &[BAD_MATCH, ROOM_UNKNOWN, CHANGED],
        ..at("delete", "/api/v1/rooms/{room}", Needs::Moderate, "Forgets a room's settings and bans, and ends it")
    },
    Route {
        answers: &[ok!(200, "Its settings, with their version as `etag`.", RoomSettings)],
        ..at("get", "/api/v1/rooms/{room}/settings", Needs::Moderate, "How a room is set up, open or not")
    },
    Route {
        query: &[IF_MATCH],
        body: body!(SettingsChange),
        answers: &[ok!(200, "What is in force.", RoomSettings)],
        problems: &[BAD_MATCH, CHANGED, BAD_SETTINGS, NO_PLACE, KEY_QUOTA],
        ..at(
            "put",
            "/api/v1/rooms/{room}/settings",
            Needs::Moderate,
            "Replaces the settings: what is left out is as the server has it",
        )
    },
    Route {
        query: &[IF_MATCH],
        body: body!(SettingsChange),
        answers: &[ok!(200, "What is in force.", RoomSettings)],
        problems: &[BAD_MATCH, CHANGED, BAD_SETTINGS, NO_PLACE, KEY_QUOTA],
        ..at(
            "patch",
            "/api/v1/rooms/{room}/settings",
            Needs::Moderate,
            "Changes settings: what is left out stays, null takes away",
        )
    },
    Route {
        query: &[AFTER, WAIT, LAST_EVENT_ID],
        answers: &[
            Answer {
                status: 200,
                about: "`Event`s, or `reset` with a `RoomState`.",
                media: &[(STREAM, TEXT), (JSON, |schemas| schemas.subschema_for::<EventPage>())],
            },
            ok!(204, "The room is over, and the reader of the stream has everything."),
        ],
        problems: &[(400, &["http/query"]), ROOM_UNKNOWN, (503, &["server/overloaded"])],
        ..at("get", "/api/v1/rooms/{room}/events", Needs::Read, "A room's events, as a stream or as a long poll")
    },
    Route {
        query: &[query("after", "The `next` of the page before."), query("limit", "People on a page, 1 to 500.")],
        answers: &[ok!(200, "A page.", RosterPage)],
        problems: &[(400, &["http/query"]), ROOM_UNKNOWN],
        ..at("get", "/api/v1/rooms/{room}/members", Needs::Read, "Everybody in a room, page by page")
    },
    Route {
        answers: &[ok!(200, "The figures of this moment.", RoomStats)],
        problems: &[ROOM_UNKNOWN, OVERLOADED],
        ..at("get", "/api/v1/rooms/{room}/stats", Needs::Read, "How the media of a room's members does")
    },
    Route {
        query: &[
            query("before", "The `before` of the page that follows; the last page without."),
            query("limit", "How many messages at most: 1 to 100; otherwise 50."),
        ],
        answers: &[ok!(200, "Messages, the oldest first.", ChatPage)],
        problems: &[(400, &["http/query"]), ROOM_UNKNOWN],
        ..at("get", "/api/v1/rooms/{room}/chat", Needs::Read, "What was written in a room, page by page backwards")
    },
    Route {
        body: body!(Option<ChatRetention>),
        answers: &[ok!(200, "What is in force.", Option<ChatRetention>)],
        problems: &[(409, &["chat/not-kept"])],
        ..at("put", "/api/v1/rooms/{room}/chat/retention", Needs::Moderate, "Says how much chat of a room is kept")
    },
];
