//! `crowd URL ROOM COUNT JOIN_MS STAY_S`: so many members join within a time, watch, and leave.
//!
//! Says `crowd begins` before the first and `crowd is in: N of COUNT` after the last.
#![allow(clippy::print_stdout)] // Who starts it waits for these lines.

use std::process::ExitCode;
use std::time::Duration;

use roundtable_client::{Client, Options};

/// The most members of one crowd.
const MAX_COUNT: u32 = 200;

struct Crowd {
    url: String,
    room: String,
    count: u32,
    join: Duration,
    stay: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(crowd) = read(&arguments) else {
        eprintln!("crowd URL ROOM COUNT JOIN_MS STAY_S, with a COUNT from 1 to {MAX_COUNT}");
        return ExitCode::from(2);
    };
    println!("crowd begins");
    let mut joining = Vec::new();
    for number in 0..crowd.count {
        let mut options = Options::new(crowd.url.clone(), crowd.room.clone(), format!("Crowd {number}"));
        // One camera is looked at, so one seat is enough, and forty others cost nothing.
        options.seats = Some(1);
        options.max_seats = 1;
        joining.push(tokio::spawn(Client::join(options)));
        tokio::time::sleep(crowd.join / crowd.count).await;
    }
    let mut clients = Vec::new();
    for join in joining {
        match join.await {
            Ok(Ok(client)) => clients.push(client),
            Ok(Err(error)) => eprintln!("one could not join: {error}"),
            Err(error) => eprintln!("one panicked: {error}"),
        }
    }
    println!("crowd is in: {} of {}", clients.len(), crowd.count);
    tokio::time::sleep(crowd.stay).await;
    for client in clients {
        client.leave().await;
    }
    ExitCode::SUCCESS
}

fn read(arguments: &[String]) -> Option<Crowd> {
    let [url, room, count, join, stay] = arguments else { return None };
    Some(Crowd {
        url: url.clone(),
        room: room.clone(),
        count: count.parse().ok().filter(|count| (1..=MAX_COUNT).contains(count))?,
        join: Duration::from_millis(join.parse().ok()?),
        stay: Duration::from_secs(stay.parse().ok()?),
    })
}
