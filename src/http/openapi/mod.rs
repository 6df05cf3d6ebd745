//! `/openapi.json`: every route as OpenAPI 3.1, with the schemas of the types that are really sent.
//!
//! The routes are a table beside the router (`routes`); tests hold the two together, and `docs/openapi.json` to both.

mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use roundtable_protocol::ErrorCode;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

pub(super) use self::routes::routes;
use super::problem::{Details, HTTP_CODES};

/// One method of one path.
pub(super) struct Route {
    pub(super) method: &'static str,
    /// As axum writes it, which is as OpenAPI does.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) needs: Needs,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<MakeSchema>,
    pub(super) answers: &'static [Answer],
    /// What can go wrong besides what follows from the other fields: a status and its codes.
    pub(super) problems: &'static [(u16, &'static [&'static str])],
}

/// What a server with keys wants of who asks; without keys it wants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing at all.
    Nothing,
    /// What makes a client: the token of its hello, and the name of its conversation from then on.
    Conversation,
    /// Any token.
    Token,
    /// To list rooms.
    List,
    /// To open rooms.
    Create,
    /// To enter the room, or to moderate it.
    Read,
    /// To moderate the room.
    Moderate,
    /// To be the person of the path, or to run the server.
    Person,
    /// To run the server.
    All,
}

impl Needs {
    /// In words.
    fn told(self) -> &'static str {
        match self {
            Self::Nothing => "Needs no token.",
            Self::Conversation => "Needs no token itself: that of the hello counts, and then the conversation's name.",
            Self::Token => "Needs any token.",
            Self::List => "Needs a token with `roomList`, or `roomAdmin` without a room.",
            Self::Create => "Needs a token with `roomCreate`, or `roomAdmin` without a room.",
            Self::Read => "Needs a token that lets its bearer enter the room, or moderate it.",
            Self::Moderate => "Needs a token with `roomAdmin` for the room, or without a room.",
            Self::Person => "Needs a token of the person, or `roomAdmin` without a room.",
            Self::All => "Needs a token with `roomAdmin` without a room.",
        }
    }

    pub(super) fn wants_token(self) -> bool {
        !matches!(self, Self::Nothing | Self::Conversation)
    }

    /// Whether it is nothing for pages of other origins.
    fn minds_origin(self) -> bool {
        matches!(self, Self::Create | Self::Moderate | Self::Person | Self::All)
    }
}

impl Route {
    /// Whether `?ticket=` stands for a token: where browsers, which set no headers there, read a stream.
    pub(super) fn takes_ticket(&self) -> bool {
        let is_stream = self.answers.iter().any(|answer| answer.media.iter().any(|(kind, _)| *kind == STREAM));
        is_stream && self.needs.wants_token()
    }

    /// Whether `Idempotency-Key` is minded. Conversations number their requests themselves.
    pub(super) fn takes_key(&self) -> bool {
        self.method == "post" && self.needs != Needs::Conversation
    }

    /// All that can go wrong.
    fn all_problems(&self) -> BTreeMap<u16, BTreeSet<&'static str>> {
        let mut found = BTreeMap::<_, BTreeSet<_>>::new();
        let mut add = |applies: bool, problems: &[(u16, &[&'static str])]| {
            for (status, codes) in problems.iter().filter(|_| applies) {
                found.entry(*status).or_default().extend(codes.iter().copied());
            }
        };
        add(true, self.problems);
        add(self.path.contains("{room}") && self.needs != Needs::Nothing, &[(400, &["room/bad-id"])]);
        add(self.body.is_some(), &[(400, BODY), (413, BODY), (415, BODY), (422, BODY)]);
        add(self.takes_key(), &[(400, KEY), (409, &["http/in-progress"]), (413, BODY), (422, KEY)]);
        add(self.needs.wants_token(), &[(401, &["token/missing", "token/invalid", "token/expired"])]);
        add(self.needs.wants_token() && self.needs != Needs::Token, &[(403, &["token/grant", "token/room"])]);
        add(self.takes_ticket(), &[(401, &["ticket/invalid"])]);
        add(self.needs.minds_origin(), &[(403, &["http/origin"])]);
        found
    }
}

/// A parameter of the query or a header.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) about: &'static str,
    /// Whether it may come more than once.
    pub(super) repeatable: bool,
}

/// An answer that is no problem.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    pub(super) media: &'static [(&'static str, MakeSchema)],
}

/// Makes the schema of a type, and puts what it refers to among the components.
pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

const STREAM: &str = "text/event-stream";
const BODY: &[&str] = &["http/body"];
const KEY: &[&str] = &["http/idempotency"];

const IDEMPOTENCY_KEY: Parameter = Parameter {
    name: "idempotency-key",
    place: "header",
    about: "Makes it safe to send the request again: with the same key it is answered as it was, for a day.",
    repeatable: false,
};

const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// What the variables of paths are.
const PATH_VARIABLES: &[(&str, &str)] = &[
    ("room", "A room: 1 to 64 of `A–Z a–z 0–9 - _ . ~`."),
    ("member", "A member of the room."),
    ("ban", "A ban of the room."),
    ("code", "The code of an invitation."),
    ("call", "A call that rings."),
    ("identity", "A person: the identity of their tokens."),
    ("session", "The name of a conversation, which its client alone knows."),
    ("id", "A number of the list."),
    ("area", "The part of an error code before the slash."),
    ("word", "The part of an error code behind the slash."),
];

pub(super) async fn document() -> ([(HeaderName, HeaderValue); 2], &'static str) {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", describe()));
    (HEADERS, &TEXT)
}

/// The whole document.
pub(super) fn describe() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Details>();
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route, &problem, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roundtable",
            "version": "1",
            "summary": "Rooms, their events and their figures over HTTP.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token that a key of the server signed (docs/AUTH.md). A server without keys wants none.",
                },
                "ticket": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "A ticket of `POST /api/v1/tickets`: for one event stream, within a minute.",
                },
            },
        },
        "x-error-codes": codes(),
    })
}

/// Every code that a problem may have.
fn codes() -> Vec<&'static str> {
    let ours = ErrorCode::ALL.iter().map(|code| code.as_str());
    ours.chain(HTTP_CODES.iter().map(|(code, _)| *code)).collect()
}

fn operation(route: &Route, problem: &Schema, schemas: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for answer in route.answers {
        let content: Map<_, _> =
            answer.media.iter().map(|(kind, make)| ((*kind).to_owned(), json!({ "schema": make(schemas) }))).collect();
        let mut response = json!({ "description": answer.about });
        if !content.is_empty() {
            response["content"] = content.into();
        }
        responses.insert(answer.status.to_string(), response);
    }
    for (status, codes) in route.all_problems() {
        let about = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        let content = json!({ "application/problem+json": { "schema": problem } });
        responses.insert(status.to_string(), json!({ "description": about, "content": content }));
    }
    let mut security = Vec::new();
    if route.needs.wants_token() {
        security.push(json!({ "token": [] }));
    }
    if route.takes_ticket() {
        security.push(json!({ "ticket": [] }));
    }
    let mut operation = json!({
        "summary": route.summary,
        "description": route.needs.told(),
        "security": security,
        "responses": responses,
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(make) = route.body {
        let content = json!({ "application/json": { "schema": make(schemas) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = PATH_VARIABLES.iter().filter(|(name, _)| route.path.contains(&format!("{{{name}}}")));
    let in_path = in_path.map(|(name, about)| {
        json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } })
    });
    let key = route.takes_key().then_some(&IDEMPOTENCY_KEY);
    let others = route.query.iter().chain(key).map(|parameter| {
        let one = json!({ "type": "string" });
        let schema = if parameter.repeatable { json!({ "type": "array", "items": one }) } else { one };
        json!({ "name": parameter.name, "in": parameter.place, "description": parameter.about, "schema": schema })
    });
    in_path.chain(others).collect()
}

#[cfg(test)]
mod tests;
