//! Whom packets of a layer are for, so that who shows another layer need not be looked at for each of them.

use roundtable_wire::Codec;

use crate::key::SlotKey;

/// The subscribers of a track that do not pass over what comes of one layer.
///
/// Who shows another layer has nothing to do with a packet of this one unless it begins a keyframe, until it begins something
/// else or the list of subscribers changes: both have the audience forgotten. The next packet is offered to all, and tells anew.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// The codec of the packets it is known for.
    codec: Option<Codec>,
    slots: Vec<SlotKey>,
    /// Where each of them stands among the subscribers of the track.
    places: Vec<u32>,
}

impl Audience {
    /// Those whom a packet of `codec` is for that begins no keyframe, and the first of them at `place` of the track's
    /// subscribers or behind; `None` if it is not known.
    pub(crate) fn of(&self, codec: Codec, place: usize) -> Option<(&[SlotKey], usize)> {
        let first = || self.places.partition_point(|&known| (known as usize) < place);
        (self.codec == Some(codec)).then(|| (&self.slots[..], first()))
    }

    /// Learns whom a packet of `codec` is for: the places of those who did not pass over it among `subscribers`.
    pub(crate) fn learn(&mut self, codec: Codec, places: &mut [u32], subscribers: &[SlotKey]) {
        places.sort_unstable();
        self.codec = Some(codec);
        self.slots.clear();
        self.places.clear();
        for &place in &*places {
            if let Some(&slot) = subscribers.get(place as usize) {
                self.slots.push(slot);
                self.places.push(place);
            }
        }
    }

    pub(crate) const fn forget(&mut self) {
        self.codec = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Arena;

    #[test]
    fn who_was_found_is_served_in_the_order_of_the_subscribers_from_any_of_them_on() {
        let mut arena = Arena::<SlotKey, ()>::new();
        let subscribers: Vec<SlotKey> = (0..6).map(|_| arena.insert(())).collect();
        let mut audience = Audience::default();
        assert_eq!(audience.of(Codec::Vp8, 0), None);
        audience.learn(Codec::Vp8, &mut [4, 5, 1], &subscribers);
        let found = [subscribers[1], subscribers[4], subscribers[5]];
        let firsts = [0, 1, 2, 4, 5].map(|place| audience.of(Codec::Vp8, place));
        assert_eq!(firsts, [0, 0, 1, 1, 2].map(|first| Some((&found[..], first))));
        assert_eq!(audience.of(Codec::Av1, 0), None, "a subscriber may not be able to decode it");
        audience.forget();
        assert_eq!(audience.of(Codec::Vp8, 0), None);
    }
}
