//! The units of an H.264 stream as its packets carry them (RFC 6184 5).

/// A slice of a picture all others after it can be decoded from.
pub const IDR: u8 = 5;
/// A sequence parameter set.
pub const SPS: u8 = 7;
/// A picture parameter set.
pub const PPS: u8 = 8;
const STAP_A: u8 = 24;
/// A fragment of a unit.
pub const FU_A: u8 = 28;

const UNIT_TYPE: u8 = 0x1f;
const REFERENCE_IDC: u8 = 0x60;
const START: u8 = 0x80;
const END: u8 = 0x40;

/// A network abstraction layer unit, or a fragment of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit<'a> {
    /// The type, 1–23 where the packet follows the RFC.
    pub unit_type: u8,
    /// NRI: 0 if no other picture needs it.
    pub reference_idc: u8,
    /// The packet has its first byte.
    pub is_start: bool,
    /// The packet has its last byte.
    pub is_end: bool,
    /// Its bytes: with the header byte if it is whole, without for a fragment.
    pub bytes: &'a [u8],
}

impl Unit<'_> {
    const fn is_whole(&self) -> bool {
        self.is_start && self.is_end
    }
}

/// The units of an RTP payload: one, those of a STAP-A, or the fragment of a FU-A. A unit that is cut ends them.
/// Other aggregates come as one unit of their type: nobody sends them in the modes we negotiate.
#[derive(Debug, Clone)]
pub struct Units<'a>(Payload<'a>);

#[derive(Debug, Clone)]
enum Payload<'a> {
    One(Option<Unit<'a>>),
    Aggregate(&'a [u8]),
}

impl<'a> Units<'a> {
    /// Reads an RTP payload.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self(match payload {
            [header, units @ ..] if header & UNIT_TYPE == STAP_A => Payload::Aggregate(units),
            [indicator, header, bytes @ ..] if indicator & UNIT_TYPE == FU_A => Payload::One(Some(Unit {
                unit_type: header & UNIT_TYPE,
                reference_idc: (indicator & REFERENCE_IDC) >> 5,
                is_start: header & START != 0,
                // None is both (RFC 6184 5.8). One that says so must not count as whole: it lacks the header byte.
                is_end: header & END != 0 && header & START == 0,
                bytes,
            })),
            [header, ..] if header & UNIT_TYPE != FU_A => Payload::One(whole(payload)),
            _ => Payload::One(None),
        })
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = Unit<'a>;

    fn next(&mut self) -> Option<Unit<'a>> {
        let rest = match &mut self.0 {
            Payload::One(unit) => return unit.take(),
            Payload::Aggregate(rest) => rest,
        };
        loop {
            let split = rest.split_first_chunk();
            let (bytes, tail) = split.and_then(|(len, tail)| {
                let len = usize::from(u16::from_be_bytes(*len));
                tail.split_at_checked(len)
            })?;
            *rest = tail;
            // An empty unit says nothing.
            if let Some(unit) = whole(bytes) {
                return Some(unit);
            }
        }
    }
}

impl std::iter::FusedIterator for Units<'_> {}

fn whole(bytes: &[u8]) -> Option<Unit<'_>> {
    let header = bytes.first()?;
    let (unit_type, reference_idc) = (header & UNIT_TYPE, (header & REFERENCE_IDC) >> 5);
    Some(Unit { unit_type, reference_idc, is_start: true, is_end: true, bytes })
}

/// Whether an RTP payload has the start of an SPS or of an IDR slice.
#[must_use]
pub fn is_keyframe(payload: &[u8]) -> bool {
    Units::new(payload).any(|unit| unit.is_start && matches!(unit.unit_type, IDR | SPS))
}

/// The parameter sets of an RTP payload that are whole, to be kept for those who join between them.
pub fn parameter_sets(payload: &[u8]) -> impl Iterator<Item = Unit<'_>> {
    Units::new(payload).filter(|unit| unit.is_whole() && matches!(unit.unit_type, SPS | PPS))
}

/// Writes a STAP-A of `units`, each whole with its header byte, to the start of `out` and returns its length. It is 0
/// if there is no room, nothing to write, or a unit is empty or too long for a length of 16 bits.
pub fn write_aggregate(units: &[&[u8]], out: &mut [u8]) -> usize {
    let Some((head, mut rest)) = out.split_first_mut() else { return 0 };
    let mut len = 1;
    // The forbidden bit of any, the highest NRI of all (RFC 6184 5.7.1).
    let (mut forbidden, mut reference_idc) = (0, 0);
    for unit in units {
        let (Some(header), Ok(unit_len)) = (unit.first(), u16::try_from(unit.len())) else { return 0 };
        let Some((place, behind)) = rest.split_at_mut_checked(2 + unit.len()) else { return 0 };
        let (length, bytes) = place.split_at_mut(2);
        length.copy_from_slice(&unit_len.to_be_bytes());
        bytes.copy_from_slice(unit);
        forbidden |= header & 0x80;
        reference_idc = reference_idc.max(header & REFERENCE_IDC);
        (rest, len) = (behind, len + 2 + unit.len());
    }
    *head = forbidden | reference_idc | STAP_A;
    if units.is_empty() { 0 } else { len }
}

/// What stands in front of a fragment of a unit in place of its header byte `header` (RFC 6184 5.8). A unit takes two
/// fragments at least: none is both start and end.
#[must_use]
pub const fn fragment_head(header: u8, is_start: bool, is_end: bool) -> [u8; 2] {
    let start = if is_start { START } else { 0 };
    let end = if is_end { END } else { 0 };
    [header & !UNIT_TYPE | FU_A, start | end | header & UNIT_TYPE]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(payload: &[u8]) -> Vec<(u8, bool, bool, usize)> {
        Units::new(payload).map(|unit| (unit.unit_type, unit.is_start, unit.is_end, unit.bytes.len())).collect()
    }

    #[test]
    fn units_are_found_in_all_three_forms() {
        assert_eq!(types(&[0x65, 1, 2]), [(5, true, true, 3)]);
        assert_eq!(types(&[0x78, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x68]), [(7, true, true, 2), (8, true, true, 1)]);
        assert_eq!(types(&[0x7c, 0x85, 9]), [(5, true, false, 1)]);
        assert_eq!(types(&[0x7c, 0x45]), [(5, false, true, 0)]);
        assert_eq!(Units::new(&[0x7c, 0x85]).next().map(|unit| unit.reference_idc), Some(3));
    }

    #[test]
    fn what_is_cut_ends_the_units() {
        assert_eq!(types(&[]), []);
        assert_eq!(types(&[0x7c]), []);
        assert_eq!(types(&[0x78]), []);
        assert_eq!(types(&[0x78, 0, 1, 0x67, 0, 2, 0x68]), [(7, true, true, 1)]);
        assert_eq!(types(&[0x78, 0, 1, 0x67, 0]), [(7, true, true, 1)]);
    }

    #[test]
    fn only_whole_parameter_sets_are_kept() {
        let kept = |payload| parameter_sets(payload).map(|unit| unit.bytes).collect::<Vec<_>>();
        assert_eq!(kept(&[0x67, 1, 2]), [&[0x67, 1, 2]]);
        assert_eq!(kept(&[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2, 0, 1, 0x65]), [&[0x67, 1], &[0x68, 2]]);
        assert_eq!(kept(&[0x7c, 0x87, 1]), [] as [&[u8]; 0], "the start of one");
        assert_eq!(kept(&[0x7c, 0xc7, 1]), [] as [&[u8]; 0], "one that claims to be start and end");
        assert_eq!(kept(&[0x41]), [] as [&[u8]; 0]);
    }

    #[test]
    fn an_aggregate_reads_as_written() {
        let mut out = [0xee; 16];
        let len = write_aggregate(&[&[0x27, 1, 2], &[0x68, 3]], &mut out);
        assert_eq!(out[..len], [0x78, 0, 3, 0x27, 1, 2, 0, 2, 0x68, 3]);
        assert_eq!(parameter_sets(&out[..len]).count(), 2);
        assert_eq!(write_aggregate(&[&[0x27, 1, 2]], &mut out[..5]), 0, "no room");
        assert_eq!(write_aggregate(&[], &mut out), 0);
        assert_eq!(write_aggregate(&[&[]], &mut out), 0);
    }

    #[test]
    fn a_unit_in_fragments_reads_as_written() {
        assert_eq!(fragment_head(0x65, true, false), [0x7c, 0x85], "NRI 3, an IDR slice");
        assert_eq!(fragment_head(0x41, false, true), [0x5c, 0x41]);
        let [indicator, header] = fragment_head(0x65, false, false);
        assert_eq!(types(&[indicator, header, 1, 2]), [(IDR, false, false, 2)]);
    }
}
