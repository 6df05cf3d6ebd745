//! The sending policy against a kernel that refuses on command. Runs under Miri, which checks every pointer that
//! the headers hand over.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use super::*;

/// What the stand-in for the kernel saw of one message.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    destination: SocketAddr,
    contents: Vec<u8>,
    /// Bytes of control messages.
    control: usize,
}

impl Seen {
    /// Whether the message asked for segmentation; no test in this file names a source at the same time.
    fn is_run(&self) -> bool {
        self.control > 0
    }
}

/// Reads what a header points to, as the kernel does.
#[allow(clippy::unnecessary_cast, reason = "the lengths' types differ between C libraries")]
fn see(header: &Header) -> Seen {
    let header = &header.msg_hdr;
    let control = header.msg_controllen as usize;
    // SAFETY: the headers under test are to describe live, initialised memory; Miri fails this test if they do not.
    let (address, contents) = unsafe {
        assert_eq!(header.msg_iovlen as usize, 1);
        let vector = *header.msg_iov;
        let contents = std::slice::from_raw_parts(vector.iov_base.cast::<u8>().cast_const(), vector.iov_len);
        if control > 0 {
            let bytes = std::slice::from_raw_parts(header.msg_control.cast::<u8>().cast_const(), control);
            assert!(bytes.iter().any(|byte| *byte != 0));
        }
        (*header.msg_name.cast::<Address>(), contents.to_vec())
    };
    Seen { destination: address.read(header.msg_namelen as usize).unwrap(), contents, control }
}

/// Runs `send` against a kernel that answers each message by `judge`: `None` takes it.
fn run(outbound: &Outbound, messages: &[Message<'_>], judge: impl Fn(&Seen) -> Option<i32>) -> (SendReport, Vec<Seen>) {
    let mut taken = Vec::new();
    let report = outbound.send(messages.iter().copied(), &mut |headers| {
        let before = taken.len();
        for header in headers.iter() {
            let seen = see(header);
            match judge(&seen) {
                None => taken.push(seen),
                Some(code) if taken.len() == before => return Err(io::Error::from_raw_os_error(code)),
                Some(_) => break,
            }
        }
        Ok(taken.len() - before)
    });
    (report, taken)
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn plain(port: u16, contents: &[u8]) -> Message<'_> {
    Message { destination: to(port), local: None, contents, segment_size: None }
}

fn in_runs(port: u16, contents: &[u8], size: u16) -> Message<'_> {
    Message { segment_size: NonZeroU16::new(size), ..plain(port, contents) }
}

#[test]
fn messages_of_many_destinations_share_a_call() {
    let outbound = Outbound::new(true, true);
    for (count, calls) in [(1, 1), (8, 1), (9, 1), (32, 1), (70, 1), (128, 1), (129, 2), (300, 3)] {
        let messages: Vec<_> = (0..count).map(|port| plain(port + 1, b"abc")).collect();
        let (report, taken) = run(&outbound, &messages, |_| None);
        assert_eq!(report, SendReport { datagrams: count.into(), dropped: 0, calls }, "{count}");
        assert!(taken.iter().zip(1..).all(|(seen, port)| seen.destination == to(port)));
    }
}

#[test]
fn nothing_of_one_call_is_left_over_in_the_next() {
    let outbound = Outbound::new(true, true);
    let mut messages = vec![in_runs(1, &[0; 30], 10); MESSAGES];
    messages.push(plain(2, b"plain"));
    let (report, taken) = run(&outbound, &messages, |_| None);
    assert_eq!((report.datagrams, report.calls), (3 * MESSAGES + 1, 2));
    assert!(!taken[MESSAGES].is_run());
}

#[test]
fn a_full_buffer_drops_the_rest_and_counts_it() {
    let outbound = Outbound::new(true, true);
    let mut messages: Vec<_> = (0..40).map(|port| plain(port + 1, b"abc")).collect();
    messages.push(in_runs(41, &[0; 300], 100));
    let (report, taken) = run(&outbound, &messages, |seen| (seen.destination == to(11)).then_some(libc::EAGAIN));
    assert_eq!(report, SendReport { datagrams: 10, dropped: 33, calls: 2 });
    assert_eq!(taken.len(), 10);
}

#[test]
fn a_refused_destination_costs_only_its_own_message() {
    for code in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::EPERM, libc::EINVAL, libc::EMSGSIZE, libc::ENETUNREACH] {
        let outbound = Outbound::new(true, true);
        let messages: Vec<_> = (1..=5).map(|port| plain(port, b"abc")).collect();
        let (report, _) = run(&outbound, &messages, |seen| (seen.destination == to(3)).then_some(code));
        assert_eq!(report, SendReport { datagrams: 4, dropped: 1, calls: 3 });
        assert!(outbound.is_segmenting());
    }
}

#[test]
fn a_path_that_takes_less_lets_all_leave_in_fragments_and_that_is_said_once() {
    let outbound = Outbound::new(true, true);
    for code in [libc::EINVAL, libc::EHOSTUNREACH] {
        let _ = run(&outbound, &[plain(1, b"abc")], |_| Some(code));
        assert!(outbound.is_whole() && !outbound.take_too_long(), "{code} tells nothing of lengths");
    }
    let messages = [in_runs(1, &[0; 200], 100), plain(2, b"abc")];
    let narrow = |seen: &Seen| (seen.destination == to(1)).then_some(libc::EMSGSIZE);
    let (report, _) = run(&outbound, &messages, |seen| narrow(seen).filter(|_| seen.is_run()));
    assert!((report.datagrams, outbound.is_whole()) == (3, true), "only a run was too long");
    let (report, _) = run(&outbound, &messages, narrow);
    assert_eq!((report.datagrams, report.dropped), (1, 2));
    assert!(!outbound.is_whole() && outbound.take_too_long());
    let _ = run(&outbound, &messages, narrow);
    assert!(!outbound.take_too_long(), "it was said");
    let fragmenting = Outbound::new(true, false);
    let _ = run(&fragmenting, &messages, narrow);
    assert!(!fragmenting.take_too_long(), "there was nothing to give up");
}

#[test]
fn an_interrupted_call_is_made_again() {
    let outbound = Outbound::new(true, true);
    let mut interrupted = false;
    let report = outbound.send([plain(1, b"abc")].into_iter(), &mut |headers| {
        if std::mem::replace(&mut interrupted, true) {
            Ok(headers.len())
        } else {
            Err(io::Error::from_raw_os_error(libc::EINTR))
        }
    });
    assert_eq!(report, SendReport { datagrams: 1, dropped: 0, calls: 2 });
}

#[test]
fn a_device_without_segmentation_gets_single_datagrams_for_good() {
    let outbound = Outbound::new(true, true);
    let contents: Vec<u8> = (0..250).collect();
    let messages = [in_runs(1, &contents, 100), plain(2, b"abc"), in_runs(3, &contents, 100)];
    let judge = |seen: &Seen| seen.is_run().then_some(libc::EIO);
    let (report, taken) = run(&outbound, &messages, judge);
    assert_eq!((report.datagrams, report.dropped), (7, 0));
    assert_eq!(taken.iter().map(|seen| seen.contents.len()).collect::<Vec<_>>(), [100, 100, 50, 3, 100, 100, 50]);
    assert_eq!(taken[..3].iter().flat_map(|seen| seen.contents.clone()).collect::<Vec<_>>(), contents);
    assert!(!outbound.is_segmenting());

    let (report, taken) = run(&outbound, &messages, judge);
    assert_eq!(report, SendReport { datagrams: 7, dropped: 0, calls: 1 }, "nothing is refused any more");
    assert!(taken.iter().all(|seen| !seen.is_run()));
}

#[test]
fn one_narrow_path_does_not_slow_the_others() {
    let outbound = Outbound::new(true, true);
    let contents = [7; 200];
    let messages = [in_runs(1, &contents, 100), in_runs(2, &contents, 100)];
    for code in [libc::EINVAL, libc::EMSGSIZE] {
        for _ in 0..3 * MAX_REFUSALS {
            let narrow = |seen: &Seen| (seen.is_run() && seen.destination == to(1)).then_some(code);
            let (report, taken) = run(&outbound, &messages, narrow);
            assert_eq!((report.datagrams, report.dropped), (4, 0));
            assert_eq!(taken.iter().filter(|seen| seen.is_run()).count(), 1);
        }
        assert!(outbound.is_segmenting());
    }
    for refusals in 1..=MAX_REFUSALS {
        assert!(outbound.is_segmenting(), "before refusal {refusals}");
        let _ = run(&outbound, &messages[..1], |seen| seen.is_run().then_some(libc::EINVAL));
    }
    assert!(!outbound.is_segmenting(), "refused in a row without one success");
}

#[test]
fn a_refused_destination_says_nothing_about_segmentation() {
    let outbound = Outbound::new(true, true);
    for _ in 0..2 * MAX_REFUSALS {
        let (report, _) = run(&outbound, &[in_runs(1, &[0; 200], 100)], |_| Some(libc::EINVAL));
        assert_eq!((report.datagrams, report.dropped), (0, 2));
    }
    assert!(outbound.is_segmenting());
}

#[test]
fn a_buffer_that_fills_within_a_split_run_ends_the_batch() {
    let outbound = Outbound::new(true, true);
    let messages = [in_runs(1, &[0; 500], 100), in_runs(2, &[0; 300], 100)];
    let room = std::cell::Cell::new(2);
    let (report, taken) = run(&outbound, &messages, |seen| {
        if seen.is_run() {
            return Some(libc::EIO);
        }
        let left = room.replace(room.get() - 1);
        (left <= 0).then_some(libc::EAGAIN)
    });
    assert_eq!((report.datagrams, report.dropped, taken.len()), (2, 6, 2));
}

#[test]
fn a_run_beyond_the_kernels_limits_is_cut_into_several() {
    let outbound = Outbound::new(true, true);
    let contents = vec![1; 150 * 10 + 3];
    let (report, taken) = run(&outbound, &[in_runs(1, &contents, 10)], |_| None);
    assert_eq!(report, SendReport { datagrams: 151, dropped: 0, calls: 1 });
    assert_eq!(taken.iter().map(|seen| seen.contents.len()).collect::<Vec<_>>(), [640, 640, 223]);

    let contents = vec![1; 60 * 1200];
    let (report, taken) = run(&outbound, &[in_runs(1, &contents, 1200)], |_| None);
    assert_eq!(report.datagrams, 60);
    assert!(taken.iter().all(|seen| seen.contents.len() <= crate::MAX_RUN_BYTES && seen.contents.len() % 1200 == 0));
}

#[test]
fn a_source_of_the_wrong_family_is_dropped_unsent() {
    let outbound = Outbound::new(true, true);
    let wrong = Message { local: Some(IpAddr::from([0u16; 8])), ..in_runs(1, &[0; 30], 10) };
    let (report, taken) = run(&outbound, &[wrong, plain(2, b"")], |_| None);
    assert_eq!(report, SendReport { datagrams: 1, dropped: 3, calls: 1 });
    assert_eq!(taken[0].contents, b"", "an empty datagram is a datagram");
    assert_eq!(run(&outbound, &[], |_| None).0, SendReport::default());
}
