//! A conference under `/meet` of an axum application that decides who may enter.
//!
//! `cargo run --example embed`, then open `http://127.0.0.1:8080/meet/r/standup`. The room `board`
//! wants the token that the application knows; a program joins it with `{"type": "hello", "token": …}`.

use axum::response::Html;
use axum::routing::get;
use roundtable::protocol::{Grants, RoomId};
use roundtable::{Authorising, Authorize, Conference, Config, Denied, Router, Server};

/// Lets everybody into open rooms, and into the board's room those who know the word.
struct Door {
    word: String,
}

impl Authorize for Door {
    fn authorise<'a>(&'a self, room: &'a RoomId, _name: &'a str, token: Option<&'a str>) -> Authorising<'a> {
        // A real application would ask its database here.
        Box::pin(async move {
            match (room.as_str(), token) {
                ("board", Some(token)) if token == self.word => Ok(Grants::ALL.into()),
                ("board", _) => Err(Denied::forbidden("the board meets behind closed doors")),
                _ => Ok(Grants::ALL.into()),
            }
        })
    }
}

/// The application: a page of its own, and the conference under a prefix.
fn application(conference: &Conference) -> Router {
    Router::new()
        .route("/", get(|| async { Html("<a href=/meet/r/standup>The stand-up</a>") }))
        .nest("/meet", conference.router())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let door = Door { word: "xyzzy".to_owned() };
    let conference = Server::builder(Config::default()).with_authorizer(door).embed()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    let application = application(&conference);
    // The conference stops first: axum waits for answers under way, and event streams end with their rooms.
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
        conference.stop().await;
    };
    axum::serve(listener, application).with_graceful_shutdown(stop).await?;
    Ok(())
}
