//! The layers a client announces with `a=rid` (RFC 8851) and `a=simulcast` (RFC 8853).

use rtc_sdp::MediaDescription;

use super::attribute::{single, values};
use super::error::{Place, SdpError};
use super::scan::MAX_RIDS;

/// Bytes of one rid: what a one-byte header extension can carry (RFC 8285 §4.2).
pub const MAX_RID_BYTES: usize = 16;

/// What a client sends on one m-line.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The rids in the order of `a=simulcast:send`, of every set of alternatives the first.
    pub(super) rids: Vec<String>,
    /// Whether there was such an `a=simulcast`, and so must be one in the answer.
    pub(super) simulcast: bool,
}

/// Reads the layers of one m-line. A rid of `a=simulcast` that no `a=rid` describes is passed over (RFC 8853 §5.2).
pub(super) fn layers(media: &MediaDescription, place: Place) -> Result<Layers, SdpError> {
    let mut described = Vec::new();
    for value in values(&media.attributes, "rid") {
        let mut words = value.split_ascii_whitespace();
        let (Some(rid), Some(direction)) = (words.next(), words.next()) else {
            return Err(SdpError::malformed(place, "has an a=rid without a direction"));
        };
        if !is_rid(rid) {
            return Err(SdpError::malformed(place, "has an a=rid that is no identifier of 1 to 16 characters"));
        }
        match direction {
            "send" if described.contains(&rid) => {
                return Err(SdpError::malformed(place, "has the same a=rid twice"));
            }
            "send" => described.push(rid),
            "recv" => {}
            _ => return Err(SdpError::malformed(place, "has an a=rid that neither sends nor receives")),
        }
    }
    let simulcast = single(&media.attributes, "simulcast", place, "has more than one a=simulcast")?;
    let Some(streams) = simulcast.map(|value| send_list(value, place)).transpose()?.flatten() else {
        return Ok(Layers { rids: described.into_iter().map(str::to_owned).collect(), simulcast: false });
    };
    let mut rids: Vec<String> = Vec::new();
    for alternatives in streams.split(';') {
        let mut chosen = None;
        for rid in alternatives.split(',') {
            let rid = rid.strip_prefix('~').unwrap_or(rid); // A paused layer may be resumed without a new offer.
            if !is_rid(rid) {
                return Err(SdpError::malformed(place, "has an a=simulcast with something that is no rid"));
            }
            if chosen.is_none() && described.contains(&rid) {
                chosen = Some(rid);
            }
        }
        let Some(rid) = chosen else { continue };
        if rids.iter().any(|known| known == rid) {
            return Err(SdpError::malformed(place, "has a rid in a=simulcast twice"));
        }
        if rids.len() == MAX_RIDS {
            return Err(SdpError::TooLarge { place, what: "rids", limit: MAX_RIDS });
        }
        rids.push(rid.to_owned());
    }
    Ok(Layers { simulcast: !rids.is_empty(), rids })
}

/// Finds the list behind `send` in `send a;b recv c`; each direction may be there once.
fn send_list(value: &str, place: Place) -> Result<Option<&str>, SdpError> {
    const BROKEN: &str = "has an a=simulcast that is not lists of rids to send and to receive";
    let words: Vec<&str> = value.split_ascii_whitespace().take(5).collect();
    match words.as_slice() {
        ["send", list] | ["send", list, "recv", _] | ["recv", _, "send", list] => Ok(Some(list)),
        ["recv", _] => Ok(None),
        _ => Err(SdpError::malformed(place, BROKEN)),
    }
}

/// RFC 8851 §10.
fn is_rid(text: &str) -> bool {
    let is_rid_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_RID_BYTES).contains(&text.len()) && text.bytes().all(is_rid_char)
}
