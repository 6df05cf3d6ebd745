//! What a client sends: pre-made packets at the pace of a browser.

mod encoding;
mod shape;
mod track;

pub(crate) use encoding::Arena;
pub(crate) use shape::{Sizes, VideoShape};
pub(crate) use track::{Publisher, TrackSpec, send_runs};
