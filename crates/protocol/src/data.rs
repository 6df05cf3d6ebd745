//! Data that members publish to topics: the frame of the data channels, and the shape of its headers.
//!
//! A frame is a byte with the version, the length of the header as two bytes, big-endian, the header as a JSON object, and
//! the payload up to the end. A client writes a [`DataHeader`]; what receivers get begins with a [`DataStamp`], which the
//! server wrote.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::id::MemberId;
use crate::limit::{MAX_DATA_HEADER_BYTES, MAX_DATA_PAYLOAD_BYTES};

/// The first byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// Bytes before the header.
pub const FRAME_HEAD_BYTES: usize = 3;

/// What a client says of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct DataHeader {
    /// What it is about: 1–128 bytes, words with `/` between.
    pub topic: String,
    /// For whom it is, at most 100 members; absent for everybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<MemberId>>,
    /// Chosen by the client: refusals repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
}

/// What the server says of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct DataStamp {
    /// What it is about.
    pub topic: String,
    /// Who published it; nobody can say they are somebody else.
    pub from: MemberId,
    /// The publisher's number for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Of an update of a document (`doc/NAME`): its number there, from 1 and without gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub n: Option<u64>,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame ends before its header does.
    #[error("the frame is cut short")]
    Truncated,
    /// Another version.
    #[error("{0} is no version of a frame")]
    Version(u8),
    /// More than [`MAX_DATA_HEADER_BYTES`] or [`MAX_DATA_PAYLOAD_BYTES`].
    #[error(
        "of {header} bytes of header and {payload} of payload, {MAX_DATA_HEADER_BYTES} and {MAX_DATA_PAYLOAD_BYTES} are allowed"
    )]
    TooLarge {
        /// Bytes of the header.
        header: usize,
        /// Bytes of the payload.
        payload: usize,
    },
}

/// Splits a frame into the JSON of its header, which is not read, and its payload. Any bytes may be given.
///
/// # Errors
/// See [`FrameError`].
pub fn parse_frame(frame: &[u8]) -> Result<(&[u8], &[u8]), FrameError> {
    let (head, rest) = frame.split_first_chunk::<FRAME_HEAD_BYTES>().ok_or(FrameError::Truncated)?;
    let [version, high, low] = *head;
    if version != FRAME_VERSION {
        return Err(FrameError::Version(version));
    }
    let header = usize::from(u16::from_be_bytes([high, low]));
    let parts = rest.split_at_checked(header).ok_or(FrameError::Truncated)?;
    let payload = parts.1.len();
    if header > MAX_DATA_HEADER_BYTES || payload > MAX_DATA_PAYLOAD_BYTES {
        return Err(FrameError::TooLarge { header, payload });
    }
    Ok(parts)
}

/// Writes a frame; `header` is a [`DataHeader`] or a [`DataStamp`]. A header that does not fit its length, which neither of
/// these does within the limits, is cut, and the frame then refused by whoever reads it.
#[must_use]
pub fn write_frame(header: &impl Serialize, payload: &[u8]) -> Vec<u8> {
    // Neither has a map with keys that are no strings, the one thing that fails.
    let mut header = serde_json::to_vec(header).unwrap_or_default();
    header.truncate(usize::from(u16::MAX));
    let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + header.len() + payload.len());
    frame.push(FRAME_VERSION);
    // Just cut to what fits.
    frame.extend_from_slice(&(header.len() as u16).to_be_bytes());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> DataHeader {
        DataHeader { topic: "board/1".into(), to: None, id: Some(7) }
    }

    #[test]
    fn what_is_written_is_read() {
        let frame = write_frame(&header(), b"payload");
        assert_eq!(frame.first(), Some(&1));
        let (json, payload) = parse_frame(&frame).unwrap();
        assert_eq!(json, br#"{"topic":"board/1","id":7}"#);
        assert_eq!(serde_json::from_slice::<DataHeader>(json).unwrap(), header());
        assert_eq!(payload, b"payload");
        let frame = write_frame(&header(), b"");
        assert_eq!(parse_frame(&frame).unwrap().1, b"", "a message may be empty");
    }

    #[test]
    fn bytes_that_are_no_frame_are_refused() {
        assert_eq!(parse_frame(b""), Err(FrameError::Truncated));
        assert_eq!(parse_frame(&[1, 0]), Err(FrameError::Truncated));
        assert_eq!(parse_frame(&[1, 0, 3, b'{', b'}']), Err(FrameError::Truncated));
        assert_eq!(parse_frame(&[2, 0, 0]), Err(FrameError::Version(2)));
        let fits = write_frame(&header(), &[0; MAX_DATA_PAYLOAD_BYTES]);
        assert!(parse_frame(&fits).is_ok());
        let large = write_frame(&header(), &[0; MAX_DATA_PAYLOAD_BYTES + 1]);
        assert!(matches!(parse_frame(&large), Err(FrameError::TooLarge { .. })));
        let chatty = write_frame(&"x".repeat(MAX_DATA_HEADER_BYTES), b"");
        assert!(matches!(parse_frame(&chatty), Err(FrameError::TooLarge { payload: 0, .. })));
    }

    #[test]
    fn a_stamped_frame_fits_sixteen_kilobytes() {
        let topic = "\u{7f}".repeat(crate::limit::MAX_TOPIC_BYTES);
        let from = MemberId::new("m".repeat(64)).unwrap();
        let stamp = DataStamp { topic, from, id: Some(u32::MAX), n: Some(u64::MAX >> 11) };
        assert!(write_frame(&stamp, &[0; MAX_DATA_PAYLOAD_BYTES]).len() <= 16 * 1024);
    }
}
