//! Proof of the simulation itself: on paths that need no adaptation everything arrives and every number is right.

use crate::figures::{SECOND, fps, freezes, latencies, percentile};
use crate::link::LinkConfig;
use crate::publisher::Media;
use crate::world::World;

pub(crate) const EVERY_MEDIA: [Media; 8] = [
    Media::Vp8 { dependency: false },
    Media::Vp8 { dependency: true },
    Media::Vp9 { dependency: false },
    Media::Vp9 { dependency: true },
    Media::Av1,
    Media::H264 { temporal: 1 },
    Media::H264 { temporal: 2 },
    Media::H264 { temporal: 3 },
];

fn clean() -> LinkConfig {
    LinkConfig::new(20e6, 20)
}

/// One publisher, one subscriber, ten seconds.
fn pair(media: Media, up: LinkConfig, down: LinkConfig, seed: u64) -> World {
    let mut world = World::new(seed);
    let publisher = world.publish(media, up);
    let link = world.link(down);
    world.run_until(SECOND);
    let subscriber = world.subscribe(link);
    world.watch(subscriber, publisher, 720);
    world.run_until(11 * SECOND);
    world
}

#[track_caller]
fn assert_faultless(world: &mut World, what: &str) {
    let faults = world.faults();
    assert!(faults.is_empty(), "{what}: {} faults, {:#?}", faults.len(), &faults[..faults.len().min(3)]);
}

#[test]
fn on_a_clean_path_every_picture_of_every_codec_is_shown_and_no_number_is_wrong() {
    for media in EVERY_MEDIA {
        let mut world = pair(media, clean(), clean(), 1);
        assert_faultless(&mut world, &format!("{media:?}"));
        let (slot, sound) = (&world.subscribers[0].receiver.slots[0], &world.subscribers[0].receiver.slots[1]);
        let rate = fps(&slot.shown, 3 * SECOND, 11 * SECOND);
        assert!((29.0..31.0).contains(&rate), "{media:?}: {rate} pictures a second");
        assert_eq!(freezes(&slot.shown, 0, 11 * SECOND), (0, 0.0), "{media:?}");
        assert!(slot.shown[60..].iter().all(|shown| shown.layer == 2), "{media:?}: the best layer");
        let latency = percentile(&latencies(&slot.shown, 3 * SECOND, 11 * SECOND), 0.95);
        assert!((0.04..0.08).contains(&latency), "{media:?}: two ways of 20 ms, {latency}");
        assert_eq!((slot.nacked, slot.plis.len(), sound.concealed()), (0, 0, 0.0), "{media:?}");
        assert!(world.checked().0 > 1000, "{media:?}: {:?} packets were checked", world.checked());
    }
}

#[test]
fn random_loss_to_the_subscriber_is_repaired() {
    for (loss, seed) in [(0.02, 1), (0.05, 2), (0.10, 3)] {
        for media in EVERY_MEDIA {
            let mut world = pair(media, clean(), LinkConfig { loss, ..clean() }, seed);
            assert_faultless(&mut world, &format!("{media:?} {loss}"));
            let slot = &world.subscribers[0].receiver.slots[0];
            let rate = fps(&slot.shown, 3 * SECOND, 11 * SECOND);
            assert!(rate > 27.0, "{media:?} {loss}: {rate} pictures a second");
            // Headers aside 1175 kbit/s in packets of some 1000 bytes, for ten seconds.
            assert!(slot.repaired as f64 > 1000.0 * loss * 0.8, "{media:?} {loss}: {} repaired", slot.repaired);
            assert!(slot.plis.len() <= if loss > 0.05 { 6 } else { 2 }, "{media:?} {loss}: {:?}", slot.plis);
        }
    }
}

#[test]
fn random_loss_from_the_publisher_is_repaired() {
    for media in EVERY_MEDIA {
        let mut world = pair(media, LinkConfig { loss: 0.03, ..clean() }, clean(), 4);
        assert_faultless(&mut world, &format!("{media:?}"));
        let slot = &world.subscribers[0].receiver.slots[0];
        let rate = fps(&slot.shown, 3 * SECOND, 11 * SECOND);
        assert!(rate > 27.0, "{media:?}: {rate} pictures a second");
        assert!(world.uplink(0).lost > 50, "{media:?}");
    }
}

#[test]
fn reordering_and_duplicates_on_both_ways_do_no_harm() {
    for media in EVERY_MEDIA {
        let rough = LinkConfig { reorder: 0.02, duplicate: 0.02, jitter_us: 3000.0, ..clean() };
        let mut world = pair(media, rough.clone(), rough, 5);
        assert_faultless(&mut world, &format!("{media:?}"));
        let slot = &world.subscribers[0].receiver.slots[0];
        let rate = fps(&slot.shown, 3 * SECOND, 11 * SECOND);
        assert!(rate > 28.0, "{media:?}: {rate} pictures a second");
        assert_eq!(freezes(&slot.shown, 0, 11 * SECOND).0, 0, "{media:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_does_not() {
    let rough = || LinkConfig { loss: 0.03, reorder: 0.02, duplicate: 0.02, jitter_us: 3000.0, ..clean() };
    let trace = |seed| {
        let world = pair(Media::Vp8 { dependency: true }, rough(), rough(), seed);
        (world.subscribers[0].receiver.slots[0].shown.clone(), world.events)
    };
    assert_eq!(trace(6), trace(6));
    assert_ne!(trace(6), trace(7));
}

#[test]
fn a_publishers_rates_are_what_chromium_sends() {
    let mut world = World::new(8);
    world.publish(Media::Vp8 { dependency: true }, clean());
    world.run_until(31 * SECOND);
    // Headers and what lies below them, sound with it.
    let kbps = world.uplink(0).mean_bps(1, 31) / 1e3;
    assert!((1700.0..2000.0).contains(&kbps), "{kbps}");
}
