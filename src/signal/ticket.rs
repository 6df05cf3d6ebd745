//! The text of a resumption token: the member's id and its secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roundtable_protocol::MemberId;
use roundtable_protocol::limit::MAX_RESUME_TOKEN_BYTES;

use crate::shard::inbox::ResumeSecret;

/// Writes a token.
pub(super) fn write(member: &MemberId, secret: ResumeSecret) -> String {
    format!("{}:{}", member.as_str(), URL_SAFE_NO_PAD.encode(secret.0))
}

/// Reads one; `None` if it is none of ours.
pub(super) fn read(token: &str) -> Option<(MemberId, ResumeSecret)> {
    if token.len() > MAX_RESUME_TOKEN_BYTES {
        return None;
    }
    // No id has a colon in it.
    let (member, secret) = token.split_once(':')?;
    let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
    Some((MemberId::new(member).ok()?, ResumeSecret(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let (member, secret) = (MemberId::new("m1.x-2_3~").unwrap(), ResumeSecret([7; 16]));
        let token = write(&member, secret);
        assert_eq!(read(&token), Some((member, secret)));
        let long = format!("{}:{}", "m".repeat(200), "A".repeat(22));
        for bad in ["", ":", "m1", "m1:", "m1:AAAA", ":AAAAAAAAAAAAAAAAAAAAAA", &long, &format!("{token}A")] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
