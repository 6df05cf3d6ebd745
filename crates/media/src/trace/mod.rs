//! Traces: everything a [`Plane`](crate::Plane) is told, as bytes.
//!
//! A plane is a pure function of what it is told and when. [`Plane::record`](crate::Plane::record) writes that down: its
//! start, then each call with its time and its arguments. [`replay`](crate::replay) makes the same plane from the start,
//! makes the same calls and hears the same decisions. Of a packet's payload only what forwarding reads is kept (`blank`),
//! so a trace holds nobody's media; what was a key is a number, which is the same at each replay.
//!
//! A trace is `rttrace`, the version, the start, and calls until it ends: the number of the call, the nanoseconds since
//! the one before, the arguments. Nanoseconds, as what is due at a fraction of a microsecond is due at the same call.

mod blank;
mod bytes;
mod field;
mod read;
mod record;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::bytes::{Reader, put_number};
use self::field::Field;
use crate::allocate::{Class, Hints};
use crate::config::{PeerLimits, SlotConfig, TrackConfig};
use crate::key::{PeerKey, SlotKey, TrackKey};

pub(crate) use self::blank::blank;
pub use self::bytes::{Problem, TraceError};
pub(crate) use self::read::{Calls, Next};
pub(crate) use self::record::Recorder;
pub use self::record::Recording;

/// How every trace begins.
const MAGIC: &[u8] = b"rttrace";
/// The format, which changes with the calls or their arguments.
const VERSION: u8 = 1;
/// In place of a call: here recording ended, though the plane went on.
const GAP: u64 = 0;

/// Declares the calls: each with its number, which stays the same for ever, and its arguments in their order.
macro_rules! calls {
    ($($(#[$doc:meta])* $number:literal $name:ident { $($field:ident: $type:ty),* $(,)? },)+) => {
        /// Something a plane is told.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Call<'a> {
            $($name { $($field: $type),* },)+
        }

        impl<'a> Call<'a> {
            /// The numbers of all calls.
            #[cfg(test)]
            const NUMBERS: &'static [u64] = &[$($number),+];

            const fn number(&self) -> u64 {
                match self {
                    $(Self::$name { .. } => $number,)+
                }
            }

            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name { $($field),* } => { $($field.put(out);)* })+
                }
            }

            /// Reads the arguments of a call; `None` if there is no such call.
            fn take(number: u64, input: &mut Reader<'a>) -> Result<Option<Self>, TraceError> {
                Ok(match number {
                    $($number => Some(Self::$name { $($field: <$type as Field>::take(input)?),* }),)+
                    _ => None,
                })
            }
        }
    };
}

// To record another call: give it the next number here, make the call in `Call::apply`, and note it at the top of the
// call itself. A test compares the calls of `Plane` with these.
calls! {
    1 AddPeer {},
    2 RemovePeer { peer: PeerKey },
    3 SetPeerReady { peer: PeerKey, ready: bool },
    4 HandlePathChange { peer: PeerKey },
    5 AddTrack { peer: PeerKey, config: TrackConfig },
    6 RemoveTrack { track: TrackKey },
    7 SetTrackPaused { track: TrackKey, paused: bool },
    8 AddSlot { peer: PeerKey, config: SlotConfig },
    9 Assign { slot: SlotKey, track: Option<TrackKey>, generation: u32 },
    10 SetHints { slot: SlotKey, hints: Hints },
    11 SetLimits { peer: PeerKey, limits: PeerLimits },
    12 SetTrackClass { track: TrackKey, class: Class, spoke: u64 },
    13 HandleRtp { from: PeerKey, packet: Cow<'a, [u8]> },
    14 HandleRtcp { from: PeerKey, compound: Cow<'a, [u8]> },
    15 HandleTimeout {},
    16 SetMaxTalkers { most: u64 },
    17 SetVoiceSlot { slot: SlotKey },
    18 SetAudible { peer: PeerKey, track: TrackKey, audible: bool },
    19 EndVoiceSlot { slot: SlotKey },
}

impl Call<'_> {
    /// Writes the call and how long after the last one it came.
    fn write(&self, nanos: u64, out: &mut Vec<u8>) {
        put_number(out, self.number());
        put_number(out, nanos);
        self.put(out);
    }
}
