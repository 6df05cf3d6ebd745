//! What a hello must hold.

use roundtable_protocol::limit::{MAX_SEATS, MAX_TOKEN_BYTES};
use roundtable_protocol::message::Resume;
use roundtable_protocol::name::check_name;
use roundtable_protocol::{ErrorCode, PROTOCOL_VERSION};
use serde::Deserialize;

use super::super::fault::{Fault, JoinWish, ResumeWish};
use super::super::ticket;

/// Checks a hello, in the order in which a client would want to know.
pub(super) fn check(
    version: u32,
    name: &str,
    token: Option<String>,
    max_seats: Option<u16>,
    (resume, media): (Option<Resume>, bool),
) -> Result<JoinWish, Fault> {
    if version != PROTOCOL_VERSION {
        return Err(wrong_version(version.into()));
    }
    if token.as_ref().is_some_and(|token| token.len() > MAX_TOKEN_BYTES) {
        let message = format!("the token is longer than {MAX_TOKEN_BYTES} bytes");
        return Err(Fault { code: ErrorCode::TokenInvalid, message });
    }
    let name = check_name(name).map_err(|bad| Fault { code: ErrorCode::BadName, message: bad.to_string() })?;
    // What is no token of ours is as good as one that is not valid any more: whoever has it enters anew.
    let resume = resume.and_then(|resume| {
        let (member, secret) = ticket::read(&resume.token)?;
        Some(ResumeWish { epoch: resume.epoch, seq: resume.seq, member, secret })
    });
    let max_seats = max_seats.unwrap_or(MAX_SEATS).min(MAX_SEATS);
    Ok(JoinWish { name: name.to_owned(), token, max_seats, resume, media })
}

/// Finds the version of a hello whose other fields this version cannot read.
pub(super) fn foreign_version(text: &str) -> Option<Fault> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        r#type: &'a str,
        version: u64,
    }
    let probe: Probe<'_> = serde_json::from_str(text).ok()?;
    let foreign = probe.r#type == "hello" && probe.version != u64::from(PROTOCOL_VERSION);
    foreign.then(|| wrong_version(probe.version))
}

fn wrong_version(version: u64) -> Fault {
    let message = format!("this server speaks version {PROTOCOL_VERSION}, not {version}");
    Fault { code: ErrorCode::Version, message }
}
