//! Tables for both forms of elements, their writer and their values.

use super::*;
use crate::NtpTime;

fn elements(profile: u16, bytes: &[u8]) -> Vec<(u8, &[u8])> {
    Extensions::new(profile, bytes).collect()
}

#[test]
fn one_byte_elements_are_read_as_in_rfc_8285_4_2() {
    // ID, L=0, data; ID, L=1, data data; pad; pad; ID, L=3, data.
    let bytes = [0x10, 0xaa, 0x21, 0xbb, 0xbc, 0, 0, 0x33, 1, 2, 3, 4];
    assert_eq!(elements(0xbede, &bytes), [(1, &[0xaa][..]), (2, &[0xbb, 0xbc]), (3, &[1, 2, 3, 4])]);
}

#[test]
fn two_byte_elements_are_read_as_in_rfc_8285_4_3() {
    // ID, L=0; ID, L=1, data, pad; ID, L=4, data.
    let bytes = [1, 0, 2, 1, 0xbb, 0, 200, 4, 1, 2, 3, 4];
    assert_eq!(elements(0x1000, &bytes), [(1, &[][..]), (2, &[0xbb]), (200, &[1, 2, 3, 4])]);
    assert_eq!(elements(0x100f, &bytes).len(), 3, "the application bits are ignored");
}

#[test]
fn what_is_reserved_or_cut_ends_the_elements() {
    assert_eq!(elements(0xbede, &[0x10, 7, 0xf0, 1, 0x20, 9]), [(1, &[7][..])], "id 15 ends the processing");
    assert_eq!(elements(0xbede, &[0x10, 7, 0x01, 1, 2, 0x20, 9]), [(1, &[7][..])], "so does id 0 with a length");
    assert_eq!(elements(0xbede, &[0x10, 7, 0x22, 1]), [(1, &[7][..])], "and an element that is cut");
    assert_eq!(elements(0x1000, &[5, 1, 7, 6]), [(5, &[7][..])], "also in its head");
    assert_eq!(elements(0x1234, &[0x10, 7]), [], "a profile we do not know has no elements");
}

#[test]
fn an_iterator_that_ended_stays_ended() {
    let mut cut = Extensions::new(0xbede, &[0xf0, 0x10, 7]);
    assert_eq!(cut.next(), None);
    assert_eq!(cut.next(), None, "the bytes behind id 15 are not read");
}

#[test]
fn the_writer_prefers_one_byte_elements() {
    let mut out = [0xff; 32];
    let mut writer = ExtensionWriter::new(&mut out);
    assert!(writer.push(4, &[0x12, 0x34]));
    assert!(writer.push(14, &[9; 16]));
    let len = writer.finish();
    assert_eq!(len, 24);
    assert_eq!(&out[..8], [0xbe, 0xde, 0, 5, 0x41, 0x12, 0x34, 0xef]);
    assert_eq!(elements(0xbede, &out[4..len]), [(4, &[0x12, 0x34][..]), (14, &[9; 16])]);
}

#[test]
fn the_writer_widens_what_it_wrote_when_an_element_needs_it() {
    for (id, data) in [(15, &[1][..]), (3, &[7; 17]), (3, &[])] {
        let mut out = [0xff; 64];
        let mut writer = ExtensionWriter::new(&mut out);
        assert!(writer.push(4, &[0x12, 0x34]));
        assert!(writer.push(9, b"video"));
        assert!(writer.push(id, data));
        assert!(writer.push(1, &[5]));
        let len = writer.finish();
        assert_eq!(&out[..2], [0x10, 0x00]);
        let expected = [(4, &[0x12, 0x34][..]), (9, b"video"), (id, data), (1, &[5])];
        assert_eq!(elements(0x1000, &out[4..len]), expected);
        assert!(out[len..].iter().all(|&byte| byte == 0xff), "nothing is written behind the block");
    }
}

#[test]
fn an_element_without_room_changes_nothing() {
    let mut out = [0; 15]; // 12 usable: four of header, eight of elements.
    let mut writer = ExtensionWriter::new(&mut out);
    assert!(writer.push(1, &[1, 2, 3, 4, 5]));
    assert!(!writer.push(2, &[1, 2]), "nine bytes of elements");
    assert!(!writer.push(20, &[]), "widening takes a byte more than there is");
    assert!(writer.push(2, &[1]));
    assert_eq!(writer.finish(), 12);
    assert_eq!(elements(0xbede, &out[4..12]), [(1, &[1, 2, 3, 4, 5][..]), (2, &[1])]);
}

#[test]
fn the_writer_refuses_what_no_form_can_hold() {
    let mut out = [0xff; 1024];
    let mut writer = ExtensionWriter::new(&mut out);
    assert!(!writer.push(0, &[1]));
    assert!(!writer.push(1, &[0; 256]));
    assert_eq!(writer.finish(), 0);
    assert_eq!(out, [0xff; 1024], "a block without elements is not written");
    assert!(!ExtensionWriter::new(&mut []).push(1, &[1]));
}

#[test]
fn the_map_answers_in_both_directions() {
    let mut map = ExtensionMap::default();
    assert_eq!(map.id(Extension::Mid), None);
    assert_eq!(map.extension(0), None, "0 is never an id");
    map.set(Extension::Mid, 9);
    map.set(Extension::ColorSpace, 200);
    assert_eq!(map.id(Extension::Mid), Some(9));
    assert_eq!(map.extension(200), Some(Extension::ColorSpace));
    map.set(Extension::TransportSequence, 9);
    assert_eq!(map.id(Extension::Mid), None, "an id belongs to one extension");
    assert_eq!(map.iter().collect::<Vec<_>>(), [(Extension::TransportSequence, 9), (Extension::ColorSpace, 200)]);
    map.set(Extension::ColorSpace, 0);
    assert_eq!(map.id(Extension::ColorSpace), None);
}

#[test]
fn every_name_leads_back_to_its_extension() {
    for (index, extension) in Extension::ALL.into_iter().enumerate() {
        assert_eq!(Extension::from_uri(extension.uri()), Some(extension));
        assert_eq!(extension as usize, index, "the map relies on the order");
    }
    assert_eq!(Extension::from_uri("urn:ietf:params:rtp-hdrext:csrc-audio-level"), None);
}

#[test]
fn values_are_read_as_written() {
    assert_eq!(read_audio_level(&audio_level(true, 127)), Some((true, 127)));
    assert_eq!(read_audio_level(&audio_level(false, 200)), Some((false, 127)));
    assert_eq!(read_playout_delay(&playout_delay(1, 0x0fff)), Some((1, 0x0fff)));
    assert_eq!(read_playout_delay(&playout_delay(0, 9999)), Some((0, 0x0fff)));
    let now = NtpTime(0x1234_5678_9abc_def0);
    assert_eq!(read_abs_send_time(&abs_send_time(now)), Some(0x1234_5678_9abc_def0_u64 as u32 >> 14 | 0x38 << 18));
    assert_eq!(read_transport_sequence(&[1, 2]), Some(0x0102));
    assert_eq!(read_video_orientation(&[1]), Some(1));
    assert_eq!(read_mid(b"audio"), Some("audio"));
    assert_eq!(read_stream_id(b"q"), Some("q"));
}

#[test]
fn values_that_are_short_or_no_text_are_none() {
    assert_eq!(read_audio_level(&[]), None);
    assert_eq!(read_playout_delay(&[0, 0]), None);
    assert_eq!(read_abs_send_time(&[0, 0]), None);
    assert_eq!(read_transport_sequence(&[1]), None);
    assert_eq!(read_abs_capture_time(&[0; 7]), None);
    assert_eq!(read_mid(&[]), None);
    assert_eq!(read_mid(&[0xff]), None);
}

#[test]
fn the_capture_time_may_lack_the_clock_offset() {
    let mut bytes = [0; 16];
    bytes[7] = 5;
    bytes[8..].fill(0xff);
    assert_eq!(read_abs_capture_time(&bytes[..8]), Some((NtpTime(5), None)));
    assert_eq!(read_abs_capture_time(&bytes), Some((NtpTime(5), Some(-1))));
    assert_eq!(abs_capture_time(NtpTime(5), -1), bytes);
}
