//! Raw DEFLATE (RFC 1951), each text for itself: nothing is remembered between two, so no connection holds a window.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// How hard it is tried. One step less takes two thirds of the time and leaves a third more; more gains next to nothing
/// (`docs/decisions/0021-frames-are-packed.md`).
const LEVEL: u32 = 2;
/// Room that is made for what comes out of a compressed text, to begin with.
const FIRST_BYTES: usize = 4 * 1024;

/// Why something compressed cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::signal) enum InflateError {
    /// More comes out than may.
    #[error("more comes out of it than a message may have")]
    TooLarge,
    /// It is no whole compressed text, or there is something behind it.
    #[error("it is not raw DEFLATE")]
    Broken,
}

/// Compresses a text; `None` if that makes it no shorter.
pub(super) fn deflate(text: &[u8]) -> Option<Bytes> {
    let mut shorter = Vec::with_capacity(text.len());
    let status = Compress::new(Compression::new(LEVEL), false).compress_vec(text, &mut shorter, FlushCompress::Finish);
    let is_whole = matches!(status, Ok(Status::StreamEnd));
    (is_whole && shorter.len() < text.len()).then(|| {
        // Much of the room is left over, and a frame may wait for a slow reader.
        shorter.shrink_to_fit();
        shorter.into()
    })
}

/// Reads a compressed text, out of which come at most so many bytes.
///
/// # Errors
/// [`InflateError`]; no more than `most` bytes and one have been written then.
pub(in crate::signal) fn inflate(packed: &[u8], most: usize) -> Result<Vec<u8>, InflateError> {
    let mut inflater = Decompress::new(false);
    let mut text = Vec::with_capacity(FIRST_BYTES.min(most + 1));
    loop {
        let taken = usize::try_from(inflater.total_in()).map_err(|_| InflateError::TooLarge)?;
        let rest = packed.get(taken..).ok_or(InflateError::Broken)?;
        let status = inflater.decompress_vec(rest, &mut text, FlushDecompress::None);
        if text.len() > most {
            return Err(InflateError::TooLarge);
        }
        match status {
            Ok(Status::StreamEnd) if inflater.total_in() == packed.len() as u64 => return Ok(text),
            Ok(Status::Ok | Status::BufError) if text.len() == text.capacity() => {
                text.reserve_exact(text.len().min(most + 1 - text.len()));
            }
            // There is room, so it is the input that has ended too soon or too late.
            Ok(Status::StreamEnd | Status::Ok | Status::BufError) | Err(_) => return Err(InflateError::Broken),
        }
    }
}
