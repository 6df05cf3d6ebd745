//! Header extensions that pass from publisher to subscriber: which, and what a packet says in them.

use roundtable_wire::dependency;
use roundtable_wire::ext::{read_abs_capture_time, read_audio_level};
use roundtable_wire::{Extension, ExtensionMap, NtpTime, RtpPacket};

/// Extensions that pass from publisher to subscriber, the last two changed; the rest ends here or is made anew.
const COPIED: [Extension; 7] = [
    Extension::AudioLevel,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::VideoContentType,
    Extension::ColorSpace,
    Extension::DependencyDescriptor,
    Extension::AbsCaptureTime,
];
const AUDIO_LEVEL: usize = 0;
/// Where those stand that a slot does not just copy.
pub(crate) const ORIENTATION: usize = 1;
pub(crate) const DEPENDENCY: usize = 5;
pub(crate) const CAPTURE: usize = 6;
/// The longest element that is copied: of dependency descriptors, all (RFC 8285 4.3).
pub(crate) const MAX_COPIED_LEN: usize = dependency::MAX_LEN;

/// The elements of one packet that are copied, borrowed from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Carried<'a> {
    /// One for each of [`COPIED`].
    elements: [Option<&'a [u8]>; COPIED.len()],
    /// Bit i says whether there is the i-th of them: most packets carry none or one, and are sent to many.
    present: u8,
    /// When the packet says that it was captured; as subscribers are told once [`Track`](crate::inbound::Track) has
    /// seen to it.
    pub(crate) capture: Option<CaptureTime>,
}

impl<'a> Carried<'a> {
    /// Reads what `packet` carries by the ids of its publisher.
    pub(crate) fn read(packet: &RtpPacket<'a>, ids: &CopiedIds) -> Self {
        let mut elements = [None; COPIED.len()];
        for (id, data) in packet.extensions() {
            if let Some(at) = ids.0.iter().position(|&copied| copied == id)
                && data.len() <= MAX_COPIED_LEN
            {
                // As many elements as ids.
                elements[at] = Some(data);
            }
        }
        let capture = elements[CAPTURE].take().and_then(read_abs_capture_time);
        let present = elements.iter().rev().fold(0, |bits, element| bits << 1 | u8::from(element.is_some()));
        Self { elements, present, capture: capture.map(|(captured, ahead)| CaptureTime { captured, ahead }) }
    }

    /// Those that there are, each with its place in [`COPIED`].
    pub(crate) fn elements(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let mut left = self.present;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            Some((at, self.elements.get(at).copied()??))
        })
    }

    /// Whether there is nothing.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.present == 0 && self.capture.is_none()
    }

    /// The first byte of the dependency descriptor, if behind that there is nothing but the frame number, and no other element.
    #[inline]
    pub(crate) fn only_frame(&self) -> Option<u8> {
        match self.elements[DEPENDENCY] {
            Some(&[first, _, _]) if self.present == 1 << DEPENDENCY && self.capture.is_none() => Some(first),
            Some(_) | None => None,
        }
    }

    /// Whether there is voice, and the level in −dBov, if the packet tells them (RFC 6464).
    pub(crate) fn audio_level(&self) -> Option<(bool, u8)> {
        self.elements[AUDIO_LEVEL].and_then(read_audio_level)
    }

    /// Whether there is an element of video orientation, even one that tells nothing.
    pub(crate) const fn has_orientation(&self) -> bool {
        self.present >> ORIENTATION & 1 == 1
    }

    /// The video orientation, if the packet tells it.
    pub(crate) fn orientation(&self) -> Option<u8> {
        self.elements[ORIENTATION].and_then(<[u8]>::first).copied()
    }

    /// The dependency descriptor, if there is one.
    pub(crate) const fn dependency(&self) -> Option<&'a [u8]> {
        self.elements[DEPENDENCY]
    }

    /// The frame number of the dependency descriptor, if there is one.
    pub(crate) fn frame_number(&self) -> Option<u16> {
        match self.elements[DEPENDENCY] {
            Some([_, high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
            Some(_) | None => None,
        }
    }
}

/// The ids of [`COPIED`] in one m-line; 0 for those not negotiated, which no element has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CopiedIds(pub(crate) [u8; COPIED.len()]);

impl CopiedIds {
    pub(crate) fn new(map: &ExtensionMap) -> Self {
        Self(COPIED.map(|extension| map.id(extension).unwrap_or(0)))
    }
}

/// When a packet says that it was captured (abs-capture-time).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CaptureTime {
    /// By the capturer's clock.
    pub(crate) captured: NtpTime,
    /// How far that is ahead of the sender's clock, in 2^-32 s, if the sender knows.
    pub(crate) ahead: Option<i64>,
}

impl CaptureTime {
    /// The same by the sender's clock. Who says nothing of an offset is the capturer.
    pub(crate) const fn by_sender(self) -> NtpTime {
        let ahead = match self.ahead {
            Some(ahead) => ahead,
            None => 0,
        };
        NtpTime(self.captured.0.wrapping_sub(ahead.cast_unsigned()))
    }

    /// The same as we say it, whom the sender's clock is `ahead` of if that is known.
    pub(crate) fn forwarded(self, ahead: Option<i64>) -> Self {
        Self { ahead: ahead.map(|ahead| ahead.wrapping_add(self.ahead.unwrap_or(0))), ..self }
    }
}
