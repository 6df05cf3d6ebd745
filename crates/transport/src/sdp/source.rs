//! The SSRCs a client announces with `a=ssrc` and `a=ssrc-group` (RFC 5576).

use rtc_sdp::MediaDescription;

use super::attribute::{number, values};
use super::error::{Place, SdpError};

/// SSRCs of one m-line.
pub const MAX_SSRCS: usize = 16;

/// The SSRCs of one m-line.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Every SSRC once, in the order of the offer.
    pub(super) ssrcs: Vec<u32>,
    /// Which SSRC repairs which: (media, RTX).
    pub(super) fid: Vec<(u32, u32)>,
}

/// Reads the SSRCs of one m-line and refuses plan B, which puts several tracks on one m-line.
pub(super) fn sources(media: &MediaDescription, place: Place) -> Result<Sources, SdpError> {
    let mut sources = Sources::default();
    let mut track = None;
    for value in values(&media.attributes, "ssrc") {
        let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
        if let Some(msid) = attribute.trim().strip_prefix("msid:") {
            if track.is_some_and(|track| track != msid) {
                return Err(SdpError::unsupported(place, "carries several tracks (plan B); unified plan is needed"));
            }
            track = Some(msid);
        }
        sources.add(ssrc, place)?;
    }
    for value in values(&media.attributes, "ssrc-group") {
        let words: Vec<&str> = value.split_ascii_whitespace().take(MAX_SSRCS + 2).collect();
        let [semantics, members @ ..] = words.as_slice() else { continue };
        for ssrc in members {
            sources.add(ssrc, place)?;
        }
        if let ("FID", [media_ssrc, repair]) = (*semantics, members) {
            sources.pair(parse(media_ssrc, place)?, parse(repair, place)?, place)?;
        }
    }
    Ok(sources)
}

impl Sources {
    fn add(&mut self, ssrc: &str, place: Place) -> Result<(), SdpError> {
        let ssrc = parse(ssrc, place)?;
        if self.ssrcs.contains(&ssrc) {
            return Ok(());
        }
        if self.ssrcs.len() == MAX_SSRCS {
            return Err(SdpError::TooLarge { place, what: "SSRCs", limit: MAX_SSRCS });
        }
        self.ssrcs.push(ssrc);
        Ok(())
    }

    fn pair(&mut self, media: u32, repair: u32, place: Place) -> Result<(), SdpError> {
        let known = |ssrc| self.fid.iter().any(|&(a, b)| a == ssrc || b == ssrc);
        if media == repair || known(media) || known(repair) {
            return Err(SdpError::malformed(place, "has an SSRC in two FID groups"));
        }
        self.fid.push((media, repair));
        Ok(())
    }
}

fn parse(ssrc: &str, place: Place) -> Result<u32, SdpError> {
    number(ssrc).ok_or(SdpError::malformed(place, "has an SSRC that is no number of 32 bits"))
}
