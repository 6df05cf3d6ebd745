//! `/openapi.json`: every route as OpenAPI 3.1, with the schemas of the types that are really sent.
//!
//! The routes are a table beside the router (`routes`); tests hold the two together, and `docs/openapi.json` to both.

mod routes;

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use roundtable_protocol::ErrorCode;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

pub(super) use self::routes::ROUTES;
use super::problem::{Details, HTTP_CODES};

/// One method of one path.
pub(super) struct Route {
    pub(super) method: &'static str,
    /// As axum writes it, which is as OpenAPI does.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<MakeSchema>,
    pub(super) answers: &'static [Answer],
    /// What can go wrong: a status and its codes.
    pub(super) problems: &'static [(u16, &'static [&'static str])],
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

const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// What the variables of paths are.
const PATH_VARIABLES: &[(&str, &str)] = &[
    ("room", "A room: 1 to 64 of `A–Z a–z 0–9 - _ . ~`."),
    ("member", "A member of the room."),
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
    for route in ROUTES {
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
        "components": { "schemas": schemas.take_definitions(true) },
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
    for (status, codes) in route.problems {
        let about = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        let content = json!({ "application/problem+json": { "schema": problem } });
        responses.insert(status.to_string(), json!({ "description": about, "content": content }));
    }
    let mut operation = json!({ "summary": route.summary, "responses": responses });
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
    let others = route.query.iter().map(|parameter| {
        let one = json!({ "type": "string" });
        let schema = if parameter.repeatable { json!({ "type": "array", "items": one }) } else { one };
        json!({ "name": parameter.name, "in": parameter.place, "description": parameter.about, "schema": schema })
    });
    in_path.chain(others).collect()
}

#[cfg(test)]
mod tests;
