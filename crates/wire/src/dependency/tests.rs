//! Tables for structures, descriptors and their history; what Chromium sends is in `tests/descriptors.rs`.

use std::sync::Arc;

use super::*;
use crate::dependency::bits::BitWriter;

const SWITCH: Dti = Dti::Switch;
const DISCARDABLE: Dti = Dti::Discardable;
const NOT_PRESENT: Dti = Dti::NotPresent;
const SIZE: Resolution = Resolution { width: 640, height: 360 };

fn template(temporal_id: u8, dtis: [Dti; 2], frame_diffs: &[u16], chain_diff: u8) -> Template {
    Template {
        spatial_id: 0,
        temporal_id,
        dtis: Dtis::new(&dtis).unwrap(),
        frame_diffs: FrameDiffs::new(frame_diffs).unwrap(),
        chain_diffs: ChainDiffs::new(&[chain_diff]).unwrap(),
    }
}

/// L1T2: a keyframe, the base layer, the layer above.
fn templates() -> Vec<Template> {
    vec![
        template(0, [SWITCH, SWITCH], &[], 0),
        template(0, [SWITCH, SWITCH], &[2], 2),
        template(1, [NOT_PRESENT, DISCARDABLE], &[1], 1),
    ]
}

fn structure(id: u8) -> Structure {
    Structure::new(id, templates(), &[0, 0], &[SIZE]).unwrap()
}

fn mandatory(template_id: u8, frame_number: u16) -> Mandatory {
    Mandatory { is_start: true, is_end: false, template_id, frame_number }
}

fn keyframe(id: u8, frame_number: u16) -> Vec<u8> {
    let mandatory = mandatory(id, frame_number);
    let descriptor = Descriptor { mandatory, structure: Some(structure(id)), ..Descriptor::default() };
    bytes(&descriptor, None)
}

fn bytes(descriptor: &Descriptor, current: Option<&Structure>) -> Vec<u8> {
    let mut out = [0xee; MAX_LEN];
    let len = descriptor.write(current, &mut out);
    assert_eq!(descriptor.write(current, &mut out[..len - 1]), 0, "no room");
    assert_eq!(descriptor.write(current, &mut out), len);
    out[..len].to_vec()
}

#[test]
fn a_structure_is_laid_out_as_in_appendix_a() {
    let bits = [
        "1 0 000101 0000000100000010", // Start, template 5, frame 258.
        "10000",                       // A structure only,
        "000101 00001",                // from template 5 on, two decode targets.
        "00 01 11",                    // Same layer, next temporal layer, no more.
        "10 10 10 10 00 01",           // Indications.
        "0 1 0001 0 1 0000 0",         // Frame differences.
        "10",                          // One chain of 0–2: ns(3).
        "0000 0010 0001",              // Which protects both in no bits, and its differences.
        "1 0000001001111111 0000000101100111",
    ];
    let digits: Vec<u8> = bits.concat().bytes().filter(u8::is_ascii_digit).collect();
    let expected: Vec<u8> = digits
        .chunks(8)
        .map(|byte| byte.iter().zip([128u8, 64, 32, 16, 8, 4, 2, 1]).map(|(&digit, bit)| (digit - b'0') * bit).sum())
        .collect();
    assert_eq!(keyframe(5, 258), expected);
    let read = Descriptor::parse(&expected, None).unwrap();
    assert_eq!(read.structure, Some(structure(5)));
    for cut in 0..expected.len() {
        let error = if cut == 3 { DescriptorError::NoStructure } else { DescriptorError::Truncated };
        assert_eq!(Descriptor::parse(&expected[..cut], None), Err(error), "cut to {cut}");
    }
}

#[test]
fn custom_fields_replace_those_of_the_template() {
    let current = structure(60);
    let plain = Descriptor { mandatory: mandatory(61, 7), ..Descriptor::default() };
    assert_eq!(bytes(&plain, Some(&current)), [0x80 | 61, 0, 7]);
    let frame = plain.resolve(Some(&current)).unwrap();
    assert_eq!((frame.number, frame.temporal_id, frame.resolution), (7, 0, Some(SIZE)));
    assert_eq!((frame.frame_diffs.as_slice(), frame.chain_diffs.as_slice()), (&[2][..], &[2][..]));
    assert!(frame.is_start && !frame.is_end && !frame.is_discardable() && !frame.is_independent());

    let custom = Descriptor {
        active_decode_targets: Some(0b01),
        dtis: Dtis::new(&[NOT_PRESENT, DISCARDABLE]),
        frame_diffs: FrameDiffs::new(&[16, 17, 256, 257, 4096]),
        chain_diffs: ChainDiffs::new(&[255]),
        ..plain
    };
    let written = bytes(&custom, Some(&current));
    assert_eq!(Descriptor::parse(&written, Some(&current)).as_ref(), Ok(&custom));
    let frame = custom.resolve(Some(&current)).unwrap();
    assert_eq!(frame.frame_diffs.as_slice(), [16, 17, 256, 257, 4096]);
    assert_eq!(frame.chain_diffs.as_slice(), [255]);
    assert_eq!((frame.dtis.present(), frame.is_discardable()), (0b10, true));
}

#[test]
fn template_numbers_go_round() {
    let current = structure(62);
    let temporal = |id| current.template(id).map(|template| template.temporal_id);
    assert_eq!([62, 63, 0, 1, 61].map(temporal), [Some(0), Some(0), Some(1), None, None]);
    assert_eq!(Descriptor::parse(&[0, 0, 1], Some(&current)).map(|read| read.mandatory.template_id), Ok(0));
    assert_eq!(Descriptor::parse(&[1, 0, 1], Some(&current)), Err(DescriptorError::UnknownTemplate));
    assert_eq!(Descriptor::parse(&[61, 0, 1, 0], Some(&current)), Err(DescriptorError::UnknownTemplate));
    assert_eq!(Descriptor::parse(&[62, 0, 1, 0], None), Err(DescriptorError::NoStructure));
}

/// The start of a descriptor whose structure has one decode target, up to its templates.
fn start(bits: &mut BitWriter<'_>) {
    bits.bits(0, 24);
    bits.bits(0b10000, 5);
    bits.bits(0, 11);
}

#[test]
fn structures_beyond_the_bounds_are_refused() {
    let check = |step: u32, count: usize, expected| {
        let mut out = [0; MAX_LEN];
        let mut bits = BitWriter::new(&mut out);
        start(&mut bits);
        (0..count).for_each(|_| bits.bits(step, 2));
        bits.bits(3, 2);
        assert_eq!(Descriptor::parse(&out, None).map(|_| ()), expected, "{count} times {step}");
    };
    check(0, MAX_TEMPLATES - 1, Ok(()));
    check(0, MAX_TEMPLATES, Err(DescriptorError::TooManyTemplates));
    check(1, MAX_TEMPORAL_LAYERS - 1, Ok(()));
    check(1, MAX_TEMPORAL_LAYERS, Err(DescriptorError::TooManyLayers));
    check(2, MAX_SPATIAL_LAYERS - 1, Ok(()));
    check(2, MAX_SPATIAL_LAYERS, Err(DescriptorError::TooManyLayers));
}

#[test]
fn more_frame_differences_than_any_codec_has_are_refused() {
    for (count, expected) in [(MAX_FRAME_DIFFS, Ok(())), (MAX_FRAME_DIFFS + 1, Err(DescriptorError::TooManyFrameDiffs))]
    {
        let mut out = [0; MAX_LEN];
        let mut bits = BitWriter::new(&mut out);
        start(&mut bits);
        bits.bits(3, 2);
        bits.bits(0, 2);
        (0..count).for_each(|_| bits.bits(0b1_0000, 5));
        assert_eq!(Descriptor::parse(&out, None).map(|_| ()), expected, "{count} in a template");

        let mut bits = BitWriter::new(&mut out);
        bits.bits(62, 24 - 16);
        bits.bits(1, 16);
        bits.bits(0b00010, 5);
        (0..count).for_each(|_| bits.bits(0b01_0000, 6));
        bits.bits(0, 2);
        assert_eq!(Descriptor::parse(&out, Some(&structure(62))).map(|_| ()), expected, "{count} of a frame");
    }
}

#[test]
fn parts_that_do_not_fit_make_no_structure() {
    let check = |templates: Vec<Template>, protected_by: &[u8], sizes: &[Resolution], error| {
        assert_eq!(Structure::new(0, templates, protected_by, sizes), Err(error));
    };
    check(vec![], &[0, 0], &[], StructureError::Templates);
    check(vec![templates()[0]; 65], &[0, 0], &[], StructureError::Templates);
    check(templates()[2..].to_vec(), &[0, 0], &[], StructureError::LayerOrder);
    check(templates().into_iter().rev().collect(), &[0, 0], &[], StructureError::LayerOrder);
    check(vec![Template::default()], &[], &[], StructureError::DecodeTargets);
    let short = Template { dtis: Dtis::new(&[SWITCH]).unwrap(), ..templates()[1] };
    check(vec![templates()[0], short], &[0, 0], &[], StructureError::DecodeTargets);
    check(templates(), &[0], &[], StructureError::Chains);
    check(templates(), &[0, 1], &[], StructureError::Chains);
    let unchained = Template { chain_diffs: ChainDiffs::default(), ..templates()[1] };
    check(vec![templates()[0], unchained], &[0, 0], &[], StructureError::Chains);
    check(vec![template(0, [SWITCH; 2], &[17], 0)], &[0, 0], &[], StructureError::Difference);
    check(vec![template(0, [SWITCH; 2], &[], 16)], &[0, 0], &[], StructureError::Difference);
    check(templates(), &[0, 0], &[SIZE, SIZE], StructureError::Resolutions);
    check(templates(), &[0, 0], &[Resolution { width: 0, height: 1 }], StructureError::Resolutions);
    assert_eq!(FrameDiffs::new(&[0]).or(FrameDiffs::new(&[4097])).or(FrameDiffs::new(&[1; 17])), None);
    assert_eq!((Dtis::new(&[SWITCH; 33]), ChainDiffs::new(&[0; 33])), (None, None));
}

#[test]
fn what_does_not_fit_the_structure_is_not_written() {
    let current = structure(0);
    let mut out = [0; MAX_LEN];
    let plain = Descriptor { mandatory: mandatory(0, 1), ..Descriptor::default() };
    let dtis = Descriptor { dtis: Dtis::new(&[SWITCH]), ..plain.clone() };
    let chains = Descriptor { chain_diffs: ChainDiffs::new(&[1, 2]), ..plain.clone() };
    assert_eq!((dtis.write(Some(&current), &mut out), chains.write(Some(&current), &mut out)), (0, 0));
    let mask = Descriptor { active_decode_targets: Some(1), ..plain };
    assert_eq!(mask.write(None, &mut out), 0, "how wide the mask is, the structure tells");
    assert_eq!(mask.write(Some(&current), &mut out), 4);
}

#[test]
fn the_number_and_the_bitmask_are_changed_in_the_bytes() {
    let current = structure(0);
    let check = |data: &[u8], active, expected: &[u8]| {
        let (_, layout) = Descriptor::read(data, Some(&current)).unwrap();
        let mut out = [0xee; MAX_LEN];
        let len = layout.rewrite(data, 0x0102, active, &mut out);
        assert_eq!(&out[..len], expected);
        assert_eq!(layout.rewrite(data, 0x0102, active, &mut out[..len - 1]), 0, "no room");
        assert_eq!(layout.rewrite(&data[..2], 0x0102, active, &mut out), 0, "bytes of another descriptor");
    };
    check(&[0xc1, 9, 9], None, &[0xc1, 1, 2]);
    check(&[0xc1, 9, 9], Some(!2), &[0xc1, 1, 2, 0b0100_0010]);
    check(&[0xc1, 9, 9, 0b0100_0110], Some(2), &[0xc1, 1, 2, 0b0100_0100]);
    check(&[0xc1, 9, 9, 0b0100_0110], None, &[0xc1, 1, 2, 0b0100_0110]);
    // A chain difference moves behind the bitmask.
    check(&[0xc1, 9, 9, 0b0000_1101, 0b0101_0000], Some(1), &[0xc1, 1, 2, 0b0100_1011, 0b0101_0100]);
    let mut number = [0xc1, 9, 9, 5];
    set_frame_number(&mut number, 0x0102);
    set_frame_number(&mut number[..2], 7);
    assert_eq!(number, [0xc1, 1, 2, 5]);
}

#[test]
fn a_structure_holds_from_its_packet_to_the_next_ones() {
    let mut history = StructureHistory::new();
    let mut check = |sequence, data: &[u8], expected: Result<u8, DescriptorError>| {
        let received = history.handle(sequence, data).map(|received| received.structure.id());
        assert_eq!(received, expected, "packet {sequence}");
    };
    check(100, &[1, 0, 9], Err(DescriptorError::NoStructure));
    check(101, &keyframe(0, 10), Ok(0));
    check(102, &[1, 0, 12], Ok(0));
    check(110, &keyframe(3, 20), Ok(3));
    check(105, &[1, 0, 14], Ok(0)); // Late, from before the keyframe.
    check(111, &[1, 0, 14], Err(DescriptorError::UnknownTemplate));
    check(112, &[4, 0, 22], Ok(3));
    check(100, &keyframe(9, 2), Err(DescriptorError::NoStructure)); // Older than both.
    check(120, &keyframe(6, 30), Ok(6));
    check(105, &[1, 0, 14], Err(DescriptorError::NoStructure)); // Two keyframes ago.
    check(115, &[4, 0, 24], Ok(3));
    check(118, &keyframe(9, 26), Ok(9)); // A keyframe that comes late replaces the older one.
    check(119, &[10, 0, 28], Ok(9));
    check(121, &[7, 0, 32], Ok(6));
}

#[test]
fn a_structure_that_comes_again_is_the_same() {
    let mut history = StructureHistory::new();
    let first = Arc::clone(history.handle(10, &keyframe(0, 1)).unwrap().structure);
    let again = history.handle(20, &keyframe(0, 9)).unwrap();
    assert!(again.carries_structure && Arc::ptr_eq(again.structure, &first));
    assert_eq!(history.handle(15, &[1, 0, 5]).map(|received| received.frame.number), Ok(5));
}

#[test]
fn another_structure_under_a_known_number_replaces_that_one() {
    let mut history = StructureHistory::new();
    for (sequence, id) in [(10, 0), (20, 3), (10, 6), (20, 9)] {
        let received = history.handle(sequence, &keyframe(id, 1));
        assert_eq!(received.map(|received| received.structure.id()), Ok(id), "packet {sequence}");
    }
    assert_eq!(history.handle(15, &[6, 0, 2]).map(|received| received.structure.id()), Ok(6));
    assert_eq!(history.handle(25, &[9, 0, 2]).map(|received| received.structure.id()), Ok(9));
}

#[test]
fn the_bitmask_of_the_latest_packet_holds() {
    let mut history = StructureHistory::new();
    assert_eq!(history.active_decode_targets(), 0);
    let mut check = |sequence, data: &[u8], expected| {
        assert_eq!(history.handle(sequence, data).unwrap().active_decode_targets, expected, "packet {sequence}");
    };
    check(10, &keyframe(0, 1), 0b11);
    check(12, &[1, 0, 3, 0b0100_0010], 0b01);
    check(13, &[1, 0, 5], 0b01);
    check(11, &[1, 0, 2, 0b0100_0110], 0b01); // Late.
    check(14, &keyframe(0, 7), 0b11); // A keyframe feeds all again.
    check(16, &keyframe(3, 9), 0b11);
    assert_eq!(history.active_decode_targets(), 0b11);
    assert_eq!(history.current().map(|structure| structure.id()), Some(3));
}
