//! How each kind of argument is written and read.

use std::borrow::Cow;

use roundtable_wire::{Codec, Extension, ExtensionMap, Kind};

use super::bytes::{Problem, Reader, TraceError, put_bytes, put_number};
use crate::allocate::{Class, Hints};
use crate::bwe::Bitrate;
use crate::config::{Limits, PeerLimits, SlotConfig, TrackCodec, TrackConfig};
use crate::key::{Key, PeerKey, SlotKey, TrackKey};

/// The seven bits of a payload type.
const MAX_PAYLOAD_TYPE: u64 = 0x7f;

/// An argument of a call.
pub(super) trait Field<'a>: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError>;
}

/// Structs are written field by field. The pattern names them all, so that a new one cannot be forgotten.
macro_rules! fields {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl<'a> Field<'a> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),+ } = self;
                $($field.put(out);)+
            }

            fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
                Ok(Self { $($field: Field::take(input)?),+ })
            }
        }
    };
}

macro_rules! numbers {
    ($($name:ident),+) => {
        $(impl<'a> Field<'a> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                put_number(out, u64::from(*self));
            }

            fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
                // Bounded by the type, so the cast loses nothing.
                Ok(input.number_to(u64::from($name::MAX), "a number")? as $name)
            }
        })+
    };
}

macro_rules! keys {
    ($($name:ident),+) => {
        $(impl<'a> Field<'a> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.raw().put(out);
            }

            fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
                Ok(Self::from_raw(Field::take(input)?))
            }
        })+
    };
}

numbers!(u8, u16, u32, u64);
keys!(PeerKey, TrackKey, SlotKey);
fields!(TrackConfig { kind, mid, codecs, extensions, rids, ssrcs, fid });
fields!(SlotConfig { kind, mid, ssrc, rtx_ssrc, cname, codecs, extensions });
fields!(Hints { visible, height, max_fps, pinned, priority, max_height });
fields!(Limits { max_bitrate, max_height, max_fps });
fields!(PeerLimits { receive, publish });

impl<'a> Field<'a> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        Ok(input.number_to(1, "yes or no")? == 1)
    }
}

impl<'a> Field<'a> for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.len() as u64);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        input.text().map(str::to_owned)
    }
}

impl<'a> Field<'a> for Cow<'a, [u8]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        input.bytes()
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        if bool::take(input)? { T::take(input).map(Some) } else { Ok(None) }
    }
}

impl<'a, T: Field<'a>> Field<'a> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.len() as u64);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        (0..input.count()?).map(|_| T::take(input)).collect()
    }
}

impl<'a, A: Field<'a>, B: Field<'a>> Field<'a> for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

impl<'a> Field<'a> for Bitrate {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bps().put(out);
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        u64::take(input).map(Self::bps)
    }
}

impl<'a> Field<'a> for Kind {
    fn put(&self, out: &mut Vec<u8>) {
        (*self == Self::Video).put(out);
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        Ok(if bool::take(input)? { Self::Video } else { Self::Audio })
    }
}

impl<'a> Field<'a> for Class {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Screen => 0,
            Self::Dominant => 1,
            Self::Recent => 2,
            Self::Other => 3,
        });
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        Ok(match input.number_to(3, "the class of a track")? {
            0 => Self::Screen,
            1 => Self::Dominant,
            2 => Self::Recent,
            _ => Self::Other,
        })
    }
}

impl<'a> Field<'a> for Codec {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Vp8 => out.push(0),
            Self::Vp9 { profile } => out.extend([1, profile]),
            Self::H264 { profile_level_id: [idc, iop, level], packetization_mode } => {
                out.extend([2, idc, iop, level, packetization_mode]);
            }
            Self::Av1 => out.push(3),
            Self::Opus => out.push(4),
            Self::Red => out.push(5),
        }
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        Ok(match input.number_to(5, "a codec")? {
            0 => Self::Vp8,
            1 => Self::Vp9 { profile: input.byte()? },
            2 => Self::H264 {
                profile_level_id: [input.byte()?, input.byte()?, input.byte()?],
                packetization_mode: input.byte()?,
            },
            3 => Self::Av1,
            4 => Self::Opus,
            _ => Self::Red,
        })
    }
}

impl<'a> Field<'a> for TrackCodec {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { payload_type, codec, rtx_payload_type, nack, pli, transport_cc } = self;
        (*payload_type).put(out);
        codec.put(out);
        rtx_payload_type.put(out);
        [*nack, *pli, *transport_cc].iter().for_each(|feedback| feedback.put(out));
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        let payload_type = |input: &mut Reader<'a>| Ok(input.number_to(MAX_PAYLOAD_TYPE, "a payload type")? as u8);
        Ok(Self {
            payload_type: payload_type(input)?,
            codec: Field::take(input)?,
            rtx_payload_type: if bool::take(input)? { Some(payload_type(input)?) } else { None },
            nack: Field::take(input)?,
            pli: Field::take(input)?,
            transport_cc: Field::take(input)?,
        })
    }
}

impl<'a> Field<'a> for ExtensionMap {
    fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.iter().count() as u64);
        for (extension, id) in self.iter() {
            out.push(extension as u8);
            id.put(out);
        }
    }

    fn take(input: &mut Reader<'a>) -> Result<Self, TraceError> {
        let mut map = Self::default();
        for _ in 0..input.count()? {
            let unknown = input.error(Problem::Range("a header extension"));
            let index = usize::from(input.byte()?);
            map.set(Extension::ALL.get(index).copied().ok_or(unknown)?, Field::take(input)?);
        }
        Ok(map)
    }
}
