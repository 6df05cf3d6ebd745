//! Dense generational keys of peers, tracks and slots, and the arena that hands them out.

use std::marker::PhantomData;

use roundtable_prefetch::prefetch_start;

/// Bits of a key that say where in the arena its value lives; the rest is the generation.
const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// A place is retired after this many lives, so that no key is ever given out twice.
const MAX_GENERATION: u32 = (1 << (32 - INDEX_BITS)) - 1;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl Key for $name {
            fn from_raw(raw: u32) -> Self {
                Self(raw)
            }

            fn raw(self) -> u32 {
                self.0
            }
        }

        impl $name {
            /// The key as a number, unique among its kind within a plane for the life of the plane.
            #[must_use]
            pub const fn value(self) -> u32 {
                self.0
            }

            /// A small number, unique among the keys of its kind that live at one time: for tables beside the plane.
            #[must_use]
            pub const fn index(self) -> usize {
                (self.0 & INDEX_MASK) as usize
            }
        }
    };
}

key! {
    /// Names one peer of a plane: somebody with a connection, who publishes, watches or both.
    PeerKey
}
key! {
    /// Names one published track of a plane.
    TrackKey
}
impl TrackKey {
    /// The contributing source (RFC 3550 5.1) that packets of the track name on voice slots; unique in its plane.
    #[must_use]
    pub const fn csrc(self) -> u32 {
        // Zero would look like none; of the keys there are fewer than 2^32.
        self.0.wrapping_add(1)
    }
}
key! {
    /// Names one slot of a plane: a receiving m-line of a peer, onto which tracks are put.
    SlotKey
}

/// What an [`Arena`] is indexed by.
pub(crate) trait Key: Copy {
    fn from_raw(raw: u32) -> Self;
    fn raw(self) -> u32;
}

/// Values by generational key: lookup is one index and one comparison, and a key of a removed value finds nothing.
#[derive(Debug)]
pub(crate) struct Arena<K, V> {
    places: Vec<Place<V>>,
    free: Vec<u32>,
    key: PhantomData<K>,
}

/// The generation comes first, so that what a packet needs lies together.
#[derive(Debug)]
#[repr(C)]
struct Place<V> {
    generation: u32,
    value: Option<V>,
}

/// A value of which a packet needs no more than the beginning.
pub(crate) trait HotStart {
    /// How much of it that is, in bytes.
    const HOT_BYTES: usize;
}

impl<K: Key, V: HotStart> Arena<K, V> {
    /// Has what a packet needs of the value of `key` brought near.
    #[inline]
    pub(crate) fn prefetch(&self, key: K) {
        self.prefetch_start(key, std::mem::offset_of!(Place<V>, value) + V::HOT_BYTES);
    }
}

impl<K: Key, V> Arena<K, V> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), key: PhantomData }
    }

    /// Has all of the value of `key` brought near.
    pub(crate) fn prefetch_whole(&self, key: K) {
        self.prefetch_start(key, size_of::<Place<V>>());
    }

    /// Has so many bytes of the place of `key` brought near.
    #[inline(always)]
    fn prefetch_start(&self, key: K, bytes: usize) {
        if let Some(place) = self.places.get((key.raw() & INDEX_MASK) as usize) {
            prefetch_start(place, bytes);
        }
    }

    /// Keeps `value` and returns its key. Holds about a million values at a time; the room's limits are far below.
    pub(crate) fn insert(&mut self, value: V) -> K {
        self.insert_with(|_| value)
    }

    /// Keeps a value that knows its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(K) -> V) -> K {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            (self.places.len() - 1) as u32
        });
        assert!(index <= INDEX_MASK, "a plane holds fewer than {INDEX_MASK} of a kind");
        // The index was just pushed, or freed by a place that still exists.
        let place = &mut self.places[index as usize];
        let key = K::from_raw(place.generation << INDEX_BITS | index);
        place.value = Some(make(key));
        key
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let index = key.raw() & INDEX_MASK;
        let place = self.places.get_mut(index as usize).filter(|place| place.generation == key.raw() >> INDEX_BITS)?;
        let value = place.value.take()?;
        if place.generation < MAX_GENERATION {
            place.generation += 1;
            self.free.push(index);
        }
        Some(value)
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let place = self.places.get((key.raw() & INDEX_MASK) as usize)?;
        if place.generation == key.raw() >> INDEX_BITS { place.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.places.get_mut((key.raw() & INDEX_MASK) as usize)?;
        if place.generation == key.raw() >> INDEX_BITS { place.value.as_mut() } else { None }
    }

    /// The key in the place number `at`: none beyond the last place, and none within if it is free.
    #[expect(clippy::option_option, reason = "the end and a gap are two things")]
    pub(crate) fn nth(&self, at: usize) -> Option<Option<K>> {
        let place = self.places.get(at)?;
        Some(place.value.as_ref().map(|_| K::from_raw(place.generation << INDEX_BITS | at as u32)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let key = K::from_raw(place.generation << INDEX_BITS | index as u32);
            place.value.as_ref().map(|value| (key, value))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.places.iter_mut().enumerate().filter_map(|(index, place)| {
            let key = K::from_raw(place.generation << INDEX_BITS | index as u32);
            place.value.as_mut().map(|value| (key, value))
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.iter().all(|place| place.value.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_removed_value_finds_nothing_even_after_its_place_is_taken_again() {
        let mut arena = Arena::<PeerKey, &str>::new();
        let first = arena.insert("first");
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert("second");

        assert_ne!(first, second);
        assert_eq!((arena.get(first), arena.get(second)), (None, Some(&"second")));
        assert_eq!(arena.remove(first), None);
    }

    #[test]
    fn keys_are_never_given_out_twice() {
        let mut arena = Arena::<SlotKey, ()>::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 * MAX_GENERATION {
            let key = arena.insert(());
            assert!(seen.insert(key), "{key:?} was given out before");
            arena.remove(key);
        }
        assert!(arena.places.len() <= 4, "places are reused until they are worn out");
    }
}
