//! The first gate of an offer: one pass over the text that bounds everything a parser could be made to work on.

use super::error::{Place, SdpError};

/// Bytes of one offer.
pub const MAX_SDP_BYTES: usize = 64 * 1024;
/// Lines of one offer.
pub const MAX_LINES: usize = 5_000;
/// Bytes of one line without its end.
pub const MAX_LINE_BYTES: usize = 4 * 1024;
/// m-lines of one offer; browsers stay far below, Firefox breaks beyond 128.
pub const MAX_MEDIA: usize = 256;
/// Candidates of one m-line; they are not used, as an ICE-lite agent learns addresses from checks.
pub const MAX_CANDIDATES: usize = 64;
/// Fingerprints of one m-line.
pub const MAX_FINGERPRINTS: usize = 4;
/// Header extensions of one m-line.
pub const MAX_EXTENSIONS: usize = 64;
/// Payload types of one m-line.
pub const MAX_CODECS: usize = 64;
/// Simulcast layers of one m-line.
pub const MAX_RIDS: usize = 3;

/// Checks the form and the size of every line. Whatever passes costs the parsers behind it a few milliseconds at most.
pub(super) fn check(text: &str) -> Result<(), SdpError> {
    if text.len() > MAX_SDP_BYTES {
        return Err(SdpError::TooLarge { place: Place::Session, what: "bytes", limit: MAX_SDP_BYTES });
    }
    let mut section = Section::session();
    let mut media = 0;
    let mut ended = false;
    for (index, line) in text.split('\n').enumerate() {
        if index >= MAX_LINES {
            return Err(SdpError::TooLarge { place: Place::Session, what: "lines", limit: MAX_LINES });
        }
        let place = Place::Line(index + 1);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            ended = true;
            continue;
        }
        if ended {
            return Err(SdpError::malformed(place, "comes after an empty line"));
        }
        let (kind, value) = split(line, place)?;
        if kind == b'm' {
            if media == MAX_MEDIA {
                return Err(SdpError::TooLarge { place: Place::Session, what: "m-lines", limit: MAX_MEDIA });
            }
            section = Section::media(media);
            media += 1;
            section.formats(value, place)?;
        } else if kind == b'a' {
            section.attribute(value)?;
        }
    }
    Ok(())
}

/// Splits `x=value` and refuses control characters, among them the NUL and the lone CR that RFC 8866 §9 forbids.
fn split(line: &str, place: Place) -> Result<(u8, &str), SdpError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(SdpError::TooLarge { place, what: "bytes", limit: MAX_LINE_BYTES });
    }
    if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(SdpError::malformed(place, "holds a control character"));
    }
    match line.split_once('=') {
        Some((kind, value)) => match kind.as_bytes() {
            &[kind] if kind.is_ascii_lowercase() => Ok((kind, value)),
            _ => Err(SdpError::malformed(place, "does not begin with a letter and an equals sign")),
        },
        None => Err(SdpError::malformed(place, "does not begin with a letter and an equals sign")),
    }
}

/// What was counted since the last m-line.
struct Section {
    place: Place,
    candidates: usize,
    fingerprints: usize,
    extensions: usize,
    rtpmaps: usize,
    rids: usize,
}

impl Section {
    fn session() -> Self {
        Self { place: Place::Session, candidates: 0, fingerprints: 0, extensions: 0, rtpmaps: 0, rids: 0 }
    }

    fn media(index: usize) -> Self {
        Self { place: Place::Media(index), ..Self::session() }
    }

    /// Bounds the formats of `m=<media> <port> <proto> <fmt> …`. The line is echoed in answers, hence plain ASCII.
    fn formats(&self, value: &str, line: Place) -> Result<(), SdpError> {
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(SdpError::malformed(line, "holds characters an m-line cannot have"));
        }
        if value.split_ascii_whitespace().skip(3).count() > MAX_CODECS {
            return Err(SdpError::TooLarge { place: self.place, what: "codecs", limit: MAX_CODECS });
        }
        Ok(())
    }

    fn attribute(&mut self, value: &str) -> Result<(), SdpError> {
        let key = value.split_once(':').map_or(value, |(key, _)| key);
        let (count, what, limit) = match key.trim() {
            "candidate" => (&mut self.candidates, "candidates", MAX_CANDIDATES),
            "fingerprint" => (&mut self.fingerprints, "fingerprints", MAX_FINGERPRINTS),
            "extmap" => (&mut self.extensions, "header extensions", MAX_EXTENSIONS),
            "rtpmap" => (&mut self.rtpmaps, "codecs", MAX_CODECS),
            "rid" => (&mut self.rids, "rids", MAX_RIDS),
            _ => return Ok(()),
        };
        *count += 1;
        if *count > limit { Err(SdpError::TooLarge { place: self.place, what, limit }) } else { Ok(()) }
    }
}
