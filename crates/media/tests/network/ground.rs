//! Proof of the simulation itself: on paths that need no adaptation everything arrives and every number is right.

use roundtable_media::allocate::Hints;
use roundtable_wire::{Kind, RtpPacket};

use crate::checker_tests::{dump, is_media};
use crate::figures::{SECOND, fps, freezes, latencies, longest_gap, percentile};
use crate::link::LinkConfig;
use crate::piece::Piece;
use crate::publisher::{HEIGHTS, Media};
use crate::receiver::Receiver;
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
        // Until the path is known the picture is small, and the first keyframe of a large one takes a while.
        assert!(longest_gap(&slot.shown, SECOND + 100_000, 3 * SECOND) < 0.3, "{media:?}");
        assert_eq!(freezes(&slot.shown, 4 * SECOND, 11 * SECOND), (0, 0.0), "{media:?}");
        let later = slot.shown.iter().filter(|shown| shown.at_us > 4 * SECOND);
        assert!({ later }.all(|shown| shown.layer == 2), "{media:?}: the best layer");
        let latency = percentile(&latencies(&slot.shown, 3 * SECOND, 11 * SECOND), 0.95);
        assert!((0.04..0.08).contains(&latency), "{media:?}: two ways of 20 ms, {latency}");
        assert_eq!((slot.nacked, slot.plis.len(), sound.concealed()), (0, 0, 0.0), "{media:?}");
        assert!(world.checked().0 > 1000, "{media:?}: {:?} packets were checked", world.checked());
    }
}

#[test]
fn who_takes_no_descriptors_gets_the_best_layer_but_the_lowest_of_av1_if_it_cannot_put_others_together() {
    for (media, ends_by_marker) in [(Media::Av1, true), (Media::Av1, false), (Media::Vp9 { dependency: true }, false)] {
        let mut world = World::new(12);
        let publisher = world.publish(media, clean());
        let link = world.link(clean());
        world.run_until(SECOND);
        let subscriber = world.subscribe_as(link, false);
        world.watch(subscriber, publisher, 720);
        world.subscribers[subscriber].receiver.slots[0].ends_by_marker = ends_by_marker;
        world.run_until(21 * SECOND);
        assert_faultless(&mut world, &format!("{media:?}"));
        let slot = &world.subscribers[subscriber].receiver.slots[0];
        let rate = fps(&slot.shown, 8 * SECOND, 21 * SECOND);
        assert!((29.0..31.0).contains(&rate), "{media:?} {ends_by_marker}: {rate} pictures a second");
        let best = if ends_by_marker { 0 } else { 2 };
        let settled = slot.shown.iter().filter(|shown| shown.at_us > 8 * SECOND);
        assert!(settled.clone().all(|shown| shown.layer == best), "{media:?} {ends_by_marker}: {best}");
        let late = slot.plis.iter().filter(|&&at| at > 8 * SECOND).count();
        assert_eq!((late, slot.plis.is_empty()), (0, !ends_by_marker), "{media:?}: {:?}", slot.plis);
    }
}

#[test]
fn an_encoder_that_makes_other_spatial_layers_is_followed_without_a_break() {
    for media in [Media::Av1, Media::Vp9 { dependency: true }] {
        let mut world = World::new(13);
        let publisher = world.publish(media, clean());
        let link = world.link(clean());
        world.run_until(SECOND);
        for height in HEIGHTS {
            let subscriber = world.subscribe(link);
            world.watch(subscriber, publisher, height);
        }
        for (second, height, spatial) in [(5, 360, 2), (8, 180, 1), (11, 720, 3), (14, 360, 2)] {
            world.at(second * SECOND, move |world| world.publishers[publisher].set_size(height, spatial));
        }
        world.run_until(17 * SECOND);
        assert_faultless(&mut world, &format!("{media:?}"));
        for (subscriber, height) in world.subscribers.iter().zip(HEIGHTS) {
            let slot = &subscriber.receiver.slots[0];
            let gap = longest_gap(&slot.shown, 3 * SECOND, 17 * SECOND);
            assert!(gap < 0.3, "{media:?} {height}: {gap} s without a picture");
            assert_eq!(slot.plis.len(), 0, "{media:?} {height}");
        }
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
            // So much loss may be taken for a path that is full.
            let least = if loss > 0.05 { 20.0 } else { 27.0 };
            assert!(rate > least, "{media:?} {loss}: {rate} pictures a second");
            // Headers aside 1175 kbit/s in packets of some 1000 bytes, for ten seconds.
            assert!(
                slot.repaired as f64 > 1000.0 * loss * if loss > 0.05 { 0.4 } else { 0.8 },
                "{media:?} {loss}: {} repaired",
                slot.repaired
            );
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
        assert_eq!(freezes(&slot.shown, 4 * SECOND, 11 * SECOND).0, 0, "{media:?}");
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
    let publisher = world.publish(Media::Vp8 { dependency: true }, clean());
    let link = world.link(LinkConfig::new(50e6, 20));
    for height in HEIGHTS {
        let viewer = world.subscribe(link);
        world.watch(viewer, publisher, height);
    }
    world.run_until(31 * SECOND);
    // Headers and what lies below them, sound with it.
    let kbps = world.uplink(0).mean_bps(1, 31) / 1e3;
    assert!((1700.0..2000.0).contains(&kbps), "{kbps}");
}

#[test]
fn the_plane_learns_what_receivers_report() {
    let world = pair(Media::Vp8 { dependency: true }, clean(), LinkConfig { loss: 0.05, ..clean() }, 9);
    let (counters, subscriber) = (world.plane.counters(), &world.subscribers[0]);
    assert!((150..=210).contains(&counters.feedback_in), "one each 50 ms: {}", counters.feedback_in);
    let stats = world.plane.slot_stats(subscriber.slots[0].key).unwrap();
    assert!((38..50).contains(&stats.rtt.as_millis()), "two ways of 20 ms: {:?}", stats.rtt);
    assert!((1..50).contains(&stats.fraction_lost), "around 13 of 256: {}", stats.fraction_lost);
    assert!(
        (38_000..50_000).contains(&subscriber.receiver.rtt_us),
        "the answer to its own: {}",
        subscriber.receiver.rtt_us
    );
}

#[test]
fn a_slot_that_goes_from_publisher_to_publisher_and_codec_to_codec_stays_one_stream() {
    let mut world = World::new(10);
    let media =
        [Media::Vp8 { dependency: true }, Media::Av1, Media::Vp9 { dependency: true }, Media::H264 { temporal: 3 }];
    let publishers = [media, media].concat();
    for &media in &publishers {
        world.publish(media, clean());
    }
    let link = world.link(clean());
    world.run_until(SECOND);
    let subscriber = world.subscribe(link);
    world.watch(subscriber, 0, 720);
    for step in 1..40 {
        let track = world.publishers[step * 3 % publishers.len()].video;
        world.at(SECOND * (step as u64 + 1), move |world| world.assign(subscriber, 0, track));
    }
    world.run_until(42 * SECOND);
    assert_faultless(&mut world, "one stream");
    let shown = &world.subscribers[subscriber].receiver.slots[0].shown;
    let owners = shown.windows(2).filter(|pair| pair[0].track != pair[1].track).count();
    assert_eq!(owners, 39, "everybody was on the screen");
    assert!(fps(shown, 2 * SECOND, 42 * SECOND) > 28.0);
}

#[test]
fn two_cameras_of_one_codec_share_a_slot_on_a_bad_path() {
    for media in EVERY_MEDIA {
        let mut world = World::new(11);
        let rough = LinkConfig { loss: 0.01, reorder: 0.01, jitter_us: 2000.0, ..clean() };
        world.publish(media, rough.clone());
        world.publish(media, rough.clone());
        let link = world.link(rough);
        world.run_until(SECOND);
        let subscriber = world.subscribe(link);
        world.watch(subscriber, 0, 720);
        for step in 1..20 {
            let track = world.publishers[step % 2].video;
            world.at(SECOND * (step as u64 + 1), move |world| world.assign(subscriber, 0, track));
        }
        world.run_until(22 * SECOND);
        assert_faultless(&mut world, &format!("{media:?}"));
        let shown = &world.subscribers[subscriber].receiver.slots[0].shown;
        let owners = shown.windows(2).filter(|pair| pair[0].track != pair[1].track).count();
        assert_eq!(owners, 19, "{media:?}: everybody was on the screen");
    }
}

#[test]
fn a_receiver_that_misses_what_others_need_shows_nothing_more_and_asks_for_a_keyframe() {
    let dump = dump(Media::Vp8 { dependency: true });
    let piece_of = |bytes: &[u8]| Piece::read(RtpPacket::parse(bytes).unwrap().payload).filter(|_| is_media(bytes));
    let pieces: Vec<Piece> = dump.iter().filter_map(|(_, bytes, _)| piece_of(bytes)).collect();
    let lost =
        |temporal: u8| pieces.iter().skip(100).find(|piece| piece.temporal == temporal && !piece.is_key).unwrap();
    for (temporal, goes_on) in [(0, false), (2, true)] {
        let lost = lost(temporal);
        let mut receiver = Receiver::new(0);
        receiver.add_slot(Kind::Video, 1000);
        let mut compounds = Vec::new();
        for (at, bytes, _) in dump.iter().filter(|(_, bytes, _)| is_media(bytes)) {
            if piece_of(bytes).is_none_or(|piece| piece.frame != lost.frame) {
                receiver.handle_rtp(*at, bytes, bytes.len());
            }
            while receiver.poll_timeout() <= *at {
                receiver.handle_timeout(*at, &mut compounds);
            }
        }
        let slot = &receiver.slots[0];
        let last = slot.shown.last().unwrap().captured_us;
        let end = pieces.last().unwrap().captured_us;
        assert_eq!(last > end - 500_000, goes_on, "T{temporal}: the last picture is of {last}, the end {end}");
        assert!(!slot.plis.is_empty() || goes_on, "T{temporal} was lost for good");
        assert!(slot.nacked >= 10, "T{temporal}: {} requests", slot.nacked);
    }
}

#[test]
fn a_publisher_obeys_what_the_room_wants() {
    let mut world = World::new(12);
    let publisher = world.publish(Media::Vp8 { dependency: true }, clean());
    let link = world.link(clean());
    let viewer = world.subscribe(link);
    world.watch(viewer, publisher, 180);
    world.run_until(15 * SECOND);
    let made = world.publishers[publisher].keyframes.len();
    let kbps = world.uplink(publisher).mean_bps(8, 15) / 1e3;
    assert!((190.0..270.0).contains(&kbps), "the smallest encoding and sound: {kbps}");
    world.hint(viewer, 0, Hints { height: 720, ..Hints::default() });
    world.run_until(30 * SECOND);
    let kbps = world.uplink(publisher).mean_bps(23, 30) / 1e3;
    assert!((1800.0..2000.0).contains(&kbps), "the largest, all below it, and sound: {kbps}");
    assert_eq!(world.publishers[publisher].keyframes.len(), made + 1, "what starts again starts with a keyframe");
}
