//! Once a call has settled, forwarding takes no memory: neither packets nor feedback, NACKs, reports and timeouts.
//!
//! Allocations are counted for this thread only, and a reallocation counts as one.

mod call;

use std::time::Duration;

use allocation_counter::measure;
use call::Call;
use roundtable_media::DropReason;
use roundtable_media::Moment;
use roundtable_media::allocate::{Allocator, Budget, Class, Hints, Rung, Track};
use roundtable_media::bwe::Bitrate;

/// Pictures until everything has the room it needs: half a minute.
const SETTLING_STEPS: usize = 600;
/// Packets of the publisher that are measured, at least.
const PACKETS: usize = 5000;
const FAN_OUT: usize = 10;

/// Runs a call until it has settled, then counts: packets in, packets forwarded, allocations.
fn count(fan_out: usize) -> (usize, u64, u64) {
    let (mut call, mut heard) = Call::new(fan_out);
    for _ in 0..SETTLING_STEPS {
        call.prepare(&mut heard);
        call.run(&mut heard, |_, _, _, _| {});
    }
    let (sent_again, compounds) = (heard.retransmissions, heard.compounds);
    let (mut packets, mut forwarded, mut allocations) = (0, 0, 0);
    while packets < PACKETS {
        call.prepare(&mut heard);
        packets += call.inputs().count();
        let info = measure(|| forwarded += call.run(&mut heard, |_, _, _, _| {}));
        allocations += info.count_total;
    }
    assert!(heard.retransmissions > sent_again, "NACKs are answered meanwhile");
    assert!(heard.compounds > compounds, "reports are sent meanwhile");
    let counters = call.plane.counters();
    assert!(DropReason::ALL.iter().all(|&reason| counters.dropped(reason) == 0), "{counters:?}");
    (packets, forwarded, allocations)
}

#[test]
fn a_settled_call_forwards_without_a_single_allocation() {
    let (packets, forwarded, allocations) = count(FAN_OUT);
    assert!(forwarded > (packets * FAN_OUT / 3) as u64, "{forwarded} of {packets} packets went to {FAN_OUT}");
    assert_eq!(allocations, 0, "while {forwarded} packets were forwarded");
}

#[test]
fn a_subscriber_of_fifty_tracks_is_decided_about_without_a_single_allocation() {
    let start = Moment::ORIGIN; // An origin to add to; the test waits for nothing.
    let rung = |layer: u8| Rung {
        spatial: layer,
        temporal: 0,
        cost: Bitrate::kbps(150 << layer),
        height: 180 << layer,
        fps: 30.0,
        alive: Some(start),
    };
    let rungs = [rung(0), rung(1), rung(2)];
    let track = |key| Track { key, rungs: &rungs, hints: Hints::default(), class: Class::Other, spoke: 0 };
    let tracks: Vec<_> = (0..50).map(track).collect();
    let budget = |kbps| Budget {
        target: Bitrate::kbps(kbps),
        proven: true,
        probed: None,
        audio_slots: 3,
        red: false,
        retransmissions: Bitrate::ZERO,
        congested: false,
        settled: true,
    };
    let (mut allocator, mut choices) = (Allocator::new(), Vec::new());
    allocator.allocate(start, &budget(8000), &tracks, &mut choices);
    let mut used = Vec::with_capacity(60);
    let info = measure(|| {
        for second in 1..=60 {
            // Steps in both directions, with room between them to go up again.
            let kbps = if second % 20 < 10 { 10_000 } else { 30_000 };
            let now = start + Duration::from_secs(second);
            used.push(allocator.allocate(now, &budget(kbps), &tracks, &mut choices).used);
        }
    });
    assert!(used.iter().max() > used.iter().min(), "there was something to decide");
    assert_eq!(info.count_total, 0);
}

#[test]
fn the_count_sees_an_allocation_that_is_made() {
    let info = measure(|| drop(std::hint::black_box(vec![0u8; 100])));
    assert_eq!(info.count_total, 1);
    let mut growing = Vec::with_capacity(1);
    let info = measure(|| growing.extend_from_slice(std::hint::black_box(&[0u8; 100])));
    assert_eq!(info.count_total, 1, "a reallocation counts");
}
