//! Once a call has settled, forwarding takes no memory: neither packets nor feedback, NACKs, reports and timeouts.
//!
//! Allocations are counted for this thread only, and a reallocation counts as one.

mod call;

use allocation_counter::measure;
use call::Call;
use roundtable_media::DropReason;

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
fn the_count_sees_an_allocation_that_is_made() {
    let info = measure(|| drop(std::hint::black_box(vec![0u8; 100])));
    assert_eq!(info.count_total, 1);
    let mut growing = Vec::with_capacity(1);
    let info = measure(|| growing.extend_from_slice(std::hint::black_box(&[0u8; 100])));
    assert_eq!(info.count_total, 1, "a reallocation counts");
}
