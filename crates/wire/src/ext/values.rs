//! What stands in the elements we read and write.

use crate::reader::Reader;
use crate::time::NtpTime;

/// Reads the element of [`crate::Extension::TransportSequence`].
#[must_use]
pub fn read_transport_sequence(data: &[u8]) -> Option<u16> {
    // Version 2 of the extension appends a feedback request, which we do not negotiate.
    data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// The element of [`crate::Extension::TransportSequence`].
#[must_use]
pub const fn transport_sequence(sequence: u16) -> [u8; 2] {
    sequence.to_be_bytes()
}

/// Reads the element of [`crate::Extension::Mid`].
#[must_use]
pub fn read_mid(data: &[u8]) -> Option<&str> {
    read_text(data)
}

/// Reads the element of [`crate::Extension::RtpStreamId`] or [`crate::Extension::RepairedRtpStreamId`].
#[must_use]
pub fn read_stream_id(data: &[u8]) -> Option<&str> {
    read_text(data)
}

/// Reads the element of [`crate::Extension::AbsSendTime`]: 24 bits of 6.18 fixed-point seconds.
#[must_use]
pub fn read_abs_send_time(data: &[u8]) -> Option<u32> {
    Reader(data).u24().ok()
}

/// The element of [`crate::Extension::AbsSendTime`] for a packet that leaves at `now`.
#[must_use]
pub const fn abs_send_time(now: NtpTime) -> [u8; 3] {
    let [_, a, b, c] = now.abs_send_time().to_be_bytes();
    [a, b, c]
}

/// Reads the element of [`crate::Extension::AudioLevel`]: whether there is voice, and the level in −dBov, 0 (loud) to 127.
#[must_use]
pub fn read_audio_level(data: &[u8]) -> Option<(bool, u8)> {
    data.first().map(|byte| (byte & 0x80 != 0, byte & 0x7f))
}

/// The element of [`crate::Extension::AudioLevel`]; levels above 127 become 127.
#[must_use]
pub fn audio_level(voice: bool, level: u8) -> [u8; 1] {
    [u8::from(voice) << 7 | level.min(127)]
}

/// Reads the element of [`crate::Extension::VideoOrientation`] as its byte: camera, flip, rotation.
#[must_use]
pub fn read_video_orientation(data: &[u8]) -> Option<u8> {
    data.first().copied()
}

/// The element of [`crate::Extension::VideoOrientation`] from its byte.
#[must_use]
pub const fn video_orientation(orientation: u8) -> [u8; 1] {
    [orientation]
}

/// Reads the element of [`crate::Extension::PlayoutDelay`]: smallest and largest delay in units of 10 ms.
#[must_use]
pub fn read_playout_delay(data: &[u8]) -> Option<(u16, u16)> {
    let bits = Reader(data).u24().ok()?;
    Some(((bits >> 12) as u16, bits as u16 & 0x0fff))
}

/// The element of [`crate::Extension::PlayoutDelay`] from delays in units of 10 ms, each at most 4095.
#[must_use]
pub fn playout_delay(min: u16, max: u16) -> [u8; 3] {
    let [_, a, b, c] = (u32::from(min.min(0x0fff)) << 12 | u32::from(max.min(0x0fff))).to_be_bytes();
    [a, b, c]
}

/// Reads the element of [`crate::Extension::AbsCaptureTime`]: when the frame was captured by the capturer's clock, and how
/// far the sender estimates that clock to be ahead of its own, in units of 2^-32 s.
#[must_use]
pub fn read_abs_capture_time(data: &[u8]) -> Option<(NtpTime, Option<i64>)> {
    let mut reader = Reader(data);
    let captured = NtpTime(reader.u64().ok()?);
    Some((captured, reader.u64().ok().map(u64::cast_signed)))
}

/// The element of [`crate::Extension::AbsCaptureTime`] with the estimated offset of the capturer's clock.
#[must_use]
pub fn abs_capture_time(captured: NtpTime, clock_offset: i64) -> [u8; 16] {
    (u128::from(captured.0) << 64 | u128::from(clock_offset.cast_unsigned())).to_be_bytes()
}

/// The element of [`crate::Extension::AbsCaptureTime`] without an offset: the capturer's clock is the sender's.
#[must_use]
pub const fn short_abs_capture_time(captured: NtpTime) -> [u8; 8] {
    captured.0.to_be_bytes()
}

/// Reads an identifier; empty and non-UTF-8 ones are none.
fn read_text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|text| !text.is_empty())
}
