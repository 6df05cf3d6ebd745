//! People: what they may, moderating them, inviting and calling them.

use roundtable_protocol::Grants;
use roundtable_protocol::call::Call;
use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::member::MemberChange;
use roundtable_protocol::moderation::{ModerationAction, ModerationOutcome};
use roundtable_protocol::role::GrantsChange;

use super::*;
use crate::auth::InviteWish;
use crate::http::calls::{Answer as CallDecision, NewCall};
use crate::http::invites::{Exchanged, Guest, Link, Links, Ticket};
use crate::http::login::{Credentials, LoggedIn, LoginWays};
use crate::http::moderation::{BanList, KnockList};
use crate::http::oidc::LoginTicket;

const BAD_LIMIT: (u16, &[&str]) = (422, &["limit/bad"]);
const NO_KEY: (u16, &[&str]) = (409, &["invite/no-key"]);

pub(super) const ROUTES: &[Route] = &[
    Route {
        answers: &[ok!(200, "Who it is, with the version of what others see as `etag`.", MemberInfo)],
        problems: &[MEMBER_UNKNOWN],
        ..at("get", "/api/v1/rooms/{room}/members/{member}", Needs::Read, "One member, unless it is hidden")
    },
    Route {
        query: &[header("if-match", "The `etag` of the member that this is meant for, or `*`.")],
        body: body!(MemberChange),
        answers: &[ok!(200, "What others see from now on.", MemberInfo)],
        problems: &[
            (400, &["http/if-match"]),
            MEMBER_UNKNOWN,
            (412, &["member/changed"]),
            (422, &["hello/name", "member/too-large", "member/bad-attribute"]),
            OVERLOADED,
        ],
        ..at(
            "patch",
            "/api/v1/rooms/{room}/members/{member}",
            Needs::Moderate,
            "Changes what others see of a member: what is left out stays, null takes away",
        )
    },
    Route {
        body: body!(MemberLimits),
        answers: &[ok!(200, "What is in force.", MemberLimits)],
        problems: &[(404, &["member/unknown"]), BAD_LIMIT, OVERLOADED],
        ..at(
            "put",
            "/api/v1/rooms/{room}/members/{member}/limits",
            Needs::Moderate,
            "Changes how much a member may, as a whole",
        )
    },
    Route {
        body: body!(Grants),
        answers: &[ok!(200, "What is in force.", Grants)],
        problems: &[MEMBER_UNKNOWN, BAD_LIMIT, OVERLOADED],
        ..at(
            "put",
            "/api/v1/rooms/{room}/members/{member}/permissions",
            Needs::Moderate,
            "Changes what a member may do, as a whole",
        )
    },
    Route {
        body: body!(GrantsChange),
        answers: &[ok!(200, "What is in force.", Grants)],
        problems: &[MEMBER_UNKNOWN, BAD_LIMIT, OVERLOADED],
        ..at(
            "patch",
            "/api/v1/rooms/{room}/members/{member}/permissions",
            Needs::Moderate,
            "Changes some of what a member may do",
        )
    },
    Route {
        body: body!(ModerationAction),
        answers: &[ok!(200, "What came of it.", ModerationOutcome)],
        problems: &[
            (403, &["moderation/forbidden"]),
            (404, &["room/unknown", "member/unknown", "track/unknown", "ban/unknown", "lobby/unknown"]),
            (409, &["ban/too-many"]),
            (412, &["room/changed"]),
            (422, &["moderation/bad", "room/bad-settings"]),
            (503, &["room/too-many"]),
            OVERLOADED,
        ],
        ..at(
            "post",
            "/api/v1/rooms/{room}/moderate",
            Needs::Moderate,
            "Does what a moderator can do; `move` needs to moderate both rooms",
        )
    },
    Route {
        answers: &[ok!(200, "Oldest first.", BanList)],
        ..at("get", "/api/v1/rooms/{room}/bans", Needs::Moderate, "Who is banned from a room")
    },
    Route {
        answers: &[ok!(204, "It is lifted.")],
        problems: &[(404, &["ban/unknown"])],
        ..at("delete", "/api/v1/rooms/{room}/bans/{ban}", Needs::Moderate, "Lifts a ban")
    },
    Route {
        answers: &[ok!(200, "In the order in which they came.", KnockList)],
        ..at("get", "/api/v1/rooms/{room}/knocks", Needs::Moderate, "Who waits in the lobby")
    },
    Route {
        answers: &[ok!(200, "Those that can be followed.", Links)],
        ..at("get", "/api/v1/rooms/{room}/invites", Needs::Moderate, "The invitations to a room")
    },
    Route {
        body: body!(InviteWish),
        answers: &[ok!(201, "The invitation and its link.", Link)],
        problems: &[NO_KEY, (422, &["invite/bad"]), (503, &["invite/too-many", "server/overloaded"])],
        ..at("post", "/api/v1/rooms/{room}/invites", Needs::Moderate, "Invites to a room")
    },
    Route {
        answers: &[ok!(204, "It is revoked.")],
        problems: &[(404, &["invite/unknown"])],
        ..at("delete", "/api/v1/rooms/{room}/invites/{code}", Needs::Moderate, "Revokes an invitation")
    },
    Route {
        body: body!(Guest),
        answers: &[ok!(200, "A token for the room.", Exchanged)],
        problems: &[
            (404, &["invite/unknown"]),
            NO_KEY,
            (410, &["invite/expired", "invite/used", "invite/revoked"]),
            (422, &["hello/name"]),
            (429, &["hello/rate"]),
            (503, &["server/overloaded"]),
        ],
        ..at("post", "/api/v1/invites/{code}", Needs::Nothing, "Exchanges an invitation for a token")
    },
    Route {
        answers: &[ok!(200, "The ways.", LoginWays)],
        ..at("get", "/api/v1/login", Needs::Nothing, "How one can log in at this server")
    },
    Route {
        body: body!(Credentials),
        answers: &[ok!(200, "A token for the room.", LoggedIn)],
        problems: &[
            (403, &["login/refused", "login/room"]),
            (404, &["http/not-found"]),
            NO_KEY,
            (429, &["login/rate"]),
            (503, &["server/overloaded"]),
        ],
        ..at("post", "/api/v1/login", Needs::Nothing, "Exchanges a name and a password for a token")
    },
    Route {
        query: &[query("room", "The room to log in for.")],
        answers: &[ok!(303, "To the provider, or back to the room's page with `#login-error=` and a code.")],
        problems: &[
            (400, &["http/query", "room/bad-id"]),
            (404, &["http/not-found"]),
            (429, &["hello/rate"]),
            (503, &["server/overloaded"]),
        ],
        ..at("get", "/login/oidc", Needs::Nothing, "Begins a login at the identity provider, for browsers")
    },
    Route {
        query: &[
            query("state", "The word of the login."),
            query("code", "What the provider vouches with."),
            query("iss", "The provider."),
        ],
        answers: &[ok!(303, "To the room's page, with `#login=` and a ticket or `#login-error=` and a code.")],
        problems: &[(400, &["http/query"]), (404, &["http/not-found"])],
        ..at("get", "/login/oidc/callback", Needs::Nothing, "Where the identity provider sends browsers back to")
    },
    Route {
        body: body!(LoginTicket),
        answers: &[ok!(200, "A token for the room.", LoggedIn)],
        problems: &[(403, &["login/stale", "login/room"]), (404, &["http/not-found"]), NO_KEY],
        ..at(
            "post",
            "/api/v1/login/oidc",
            Needs::Nothing,
            "Exchanges the ticket of a login for a token, in its browser",
        )
    },
    Route {
        answers: &[ok!(200, "A ticket for what the token allows.", Ticket)],
        problems: &[(503, &["server/overloaded"])],
        ..at("post", "/api/v1/tickets", Needs::Token, "A ticket that opens one event stream within a minute")
    },
    Route {
        body: body!(NewCall),
        answers: &[ok!(201, "It rings.", Call)],
        problems: &[(422, &["call/bad"]), (429, &["call/too-many"])],
        ..at("post", "/api/v1/calls", Needs::All, "Calls somebody")
    },
    Route {
        answers: &[ok!(200, "The call.", Call)],
        problems: &[(404, &["call/unknown"])],
        ..at("get", "/api/v1/calls/{call}", Needs::All, "A call while it rings")
    },
    Route {
        body: body!(CallDecision),
        answers: &[ok!(200, "The call, which has ended with that.", Call)],
        problems: &[(403, &["call/forbidden"]), (404, &["call/unknown"]), (422, &["call/bad"])],
        ..at(
            "post",
            "/api/v1/calls/{call}/answer",
            Needs::All,
            "Accepts, declines or cancels a call; with `by` also for who has a token of that `sub`",
        )
    },
    Route {
        answers: &[Answer { status: 200, about: "`CallEvent`s.", media: &[(STREAM, TEXT)] }],
        problems: &[(404, &["call/unknown"]), (422, &["call/bad"]), (503, &["server/overloaded", "server/stopping"])],
        ..at("get", "/api/v1/users/{identity}/events", Needs::Person, "What rings for a person, as a stream")
    },
];
