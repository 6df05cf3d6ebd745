//! The server: its figures, webhooks, health, documents and the page.

use super::*;
use crate::webhook::{DeadLetterList, WebhookList};

pub(super) const ROUTES: &[Route] = &[
    Route {
        answers: &[Answer { status: 200, about: "Counters and gauges.", media: &[(JSON, OBJECT)] }],
        problems: &[OVERLOADED],
        ..route("get", "/api/v1/stats", Needs::List, "The server's figures")
    },
    Route {
        answers: &[ok!(200, "In the order of the settings.", WebhookList)],
        ..route("get", "/api/v1/webhooks", Needs::All, "The receivers of webhooks and how they do")
    },
    Route {
        answers: &[ok!(200, "Oldest first.", DeadLetterList)],
        ..route("get", "/api/v1/webhooks/dead-letters", Needs::All, "Events that were given up")
    },
    Route {
        answers: &[ok!(202, "It waits to be sent.")],
        problems: &[(404, &["http/not-found"])],
        ..route(
            "post",
            "/api/v1/webhooks/dead-letters/{id}/retry",
            Needs::All,
            "Sends an event that was given up again",
        )
    },
    Route {
        answers: &[Answer { status: 200, about: "It does.", media: &[("text/plain", TEXT)] }],
        ..route("get", "/livez", Needs::Nothing, "Whether the process lives")
    },
    Route {
        answers: &[Answer { status: 200, about: "It does.", media: &[("text/plain", TEXT)] }],
        problems: &[OVERLOADED],
        ..route("get", "/readyz", Needs::Nothing, "Whether the server takes new calls")
    },
    Route {
        answers: &[Answer { status: 200, about: "It does.", media: &[("text/plain", TEXT)] }],
        problems: &[OVERLOADED],
        ..route("get", "/healthz", Needs::Nothing, "The same as /readyz")
    },
    Route {
        answers: &[Answer { status: 200, about: "OpenAPI 3.1.", media: &[(JSON, OBJECT)] }],
        ..route("get", "/openapi.json", Needs::Nothing, "This document")
    },
    Route {
        answers: &[Answer { status: 200, about: "A page.", media: &[("text/markdown", TEXT)] }],
        problems: &[(404, &["http/not-found"])],
        ..route("get", "/errors/{area}/{word}", Needs::Nothing, "What an error code means and what to do about it")
    },
    Route {
        answers: &[Answer { status: 200, about: "HTML.", media: &[("text/html", TEXT)] }],
        ..route("get", "/", Needs::Nothing, "The page")
    },
    Route {
        answers: &[Answer { status: 200, about: "HTML.", media: &[("text/html", TEXT)] }],
        ..route("get", "/r/{room}", Needs::Nothing, "The page, in a room")
    },
];
