//! Bits in network order, read and written.

use crate::dependency::DescriptorError;

/// Takes bits from the front of a slice.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken so far.
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// The next `count` bits, at most 32, as a number; what is above the bits is zero.
    pub(super) fn bits(&mut self, count: usize) -> Result<u32, DescriptorError> {
        debug_assert!(count <= 32);
        let (first, offset) = (self.position / 8, self.position % 8);
        // Up to 7 + 32 bits: five bytes.
        let needed = (offset + count).div_ceil(8);
        let bytes = self.bytes.get(first..first + needed).ok_or(DescriptorError::Truncated)?;
        let window = bytes.iter().fold(0u64, |window, &byte| window << 8 | u64::from(byte));
        self.position += count;
        Ok((window >> (needed * 8 - offset - count) & ((1 << count) - 1)) as u32)
    }

    /// The same for up to eight bits.
    pub(super) fn small(&mut self, count: usize) -> Result<u8, DescriptorError> {
        self.bits(count).map(|bits| bits as u8)
    }

    pub(super) fn flag(&mut self) -> Result<bool, DescriptorError> {
        self.bits(1).map(|bit| bit != 0)
    }

    /// `ns(n)` of the AV1 specification (4.10.7): a number below `values`, at most 33 of them.
    pub(super) fn non_symmetric(&mut self, values: u8) -> Result<u8, DescriptorError> {
        let (width, short) = non_symmetric_shape(values);
        let value = self.small(width - 1)?;
        if value < short {
            return Ok(value);
        }
        let extra = self.small(1)?;
        Ok((value << 1) - short + extra)
    }
}

/// Puts bits behind one another into a slice.
#[derive(Debug)]
pub(super) struct BitWriter<'b> {
    out: &'b mut [u8],
    /// Bits put so far, those for which there was no room too.
    position: usize,
}

impl<'b> BitWriter<'b> {
    pub(super) const fn new(out: &'b mut [u8]) -> Self {
        Self { out, position: 0 }
    }

    /// Appends the lowest `count` bits of `value`, at most 32.
    pub(super) fn bits(&mut self, value: u32, count: usize) {
        debug_assert!(count <= 32);
        let (first, offset) = (self.position / 8, self.position % 8);
        let touched = (offset + count).div_ceil(8);
        self.position += count;
        let Some(bytes) = self.out.get_mut(first..first + touched) else { return };
        let value = u64::from(value) & ((1 << count) - 1);
        let mut window = value << (touched * 8 - offset - count);
        if offset > 0 {
            // The bits before `offset` are ours, those behind are not yet.
            let kept = bytes.first().map_or(0, |&byte| byte & !(0xff >> offset));
            window |= u64::from(kept) << ((touched.max(1) - 1) * 8);
        }
        for byte in bytes.iter_mut().rev() {
            *byte = window as u8;
            window >>= 8;
        }
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.bits(u32::from(flag), 1);
    }

    /// `ns(n)`: a number below `values`.
    pub(super) fn non_symmetric(&mut self, value: u8, values: u8) {
        let (width, short) = non_symmetric_shape(values);
        if value < short {
            self.bits(u32::from(value), width - 1);
        } else {
            self.bits(u32::from(value) + u32::from(short), width);
        }
    }

    /// Appends `count` bits of `reader`; what it lacks is counted as no room.
    pub(super) fn copy(&mut self, reader: &mut BitReader<'_>, mut count: usize) {
        while count > 0 {
            let some = count.min(32);
            match reader.bits(some) {
                Ok(bits) => self.bits(bits, some),
                Err(_) => self.position = usize::MAX / 2,
            }
            count -= some;
        }
    }

    /// The bytes written, the last one filled up with zeros; 0 if there was no room for all.
    pub(super) fn finish(self) -> usize {
        let len = self.position.div_ceil(8);
        if len <= self.out.len() { len } else { 0 }
    }
}

/// Bits of the longer form of `ns(values)`, and how many numbers have the form that is one bit shorter.
const fn non_symmetric_shape(values: u8) -> (usize, u8) {
    let width = (u8::BITS - values.leading_zeros()) as usize;
    // At most 33 values: 64 − 33 numbers.
    (width, ((1u16 << width) - values as u16) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_as_written_at_any_offset() {
        for offset in 0..16 {
            for count in 0..=32 {
                let value = 0x9e37_79b9u32 & ((1u64 << count) - 1) as u32;
                let mut bytes = [0xff; 8];
                let mut writer = BitWriter::new(&mut bytes);
                writer.bits(0, offset);
                writer.bits(0x9e37_79b9, count);
                writer.bits(5, 3);
                let len = writer.finish();
                assert_eq!(len, (offset + count + 3).div_ceil(8));
                let mut reader = BitReader::new(&bytes[..len]);
                assert_eq!(reader.bits(offset), Ok(0));
                assert_eq!(reader.bits(count), Ok(value), "{count} bits behind {offset}");
                assert_eq!(reader.bits(3), Ok(5));
                let rest = len * 8 - reader.position();
                assert_eq!(reader.bits(rest), Ok(0), "padding");
                assert_eq!(reader.bits(1), Err(DescriptorError::Truncated));
            }
        }
    }

    #[test]
    fn non_symmetric_numbers_are_those_of_the_av1_specification() {
        // n = 5: 00, 01, 10, 110, 111.
        let mut bytes = [0; 2];
        let mut writer = BitWriter::new(&mut bytes);
        (0..5).for_each(|value| writer.non_symmetric(value, 5));
        assert_eq!(writer.finish(), 2);
        assert_eq!(bytes, [0b0001_1011, 0b0111_0000]);
        for values in 1..=33 {
            for value in 0..values {
                let mut bytes = [0; 1];
                let mut writer = BitWriter::new(&mut bytes);
                writer.non_symmetric(value, values);
                let position = writer.position;
                let mut reader = BitReader::new(&bytes);
                assert_eq!(reader.non_symmetric(values), Ok(value));
                assert_eq!(reader.position(), position);
            }
        }
    }

    #[test]
    fn without_room_nothing_counts_as_written() {
        let mut bytes = [0xee; 2];
        let mut writer = BitWriter::new(&mut bytes);
        writer.bits(1, 16);
        writer.flag(true);
        assert_eq!(writer.finish(), 0);
        let mut writer = BitWriter::new(&mut bytes);
        writer.copy(&mut BitReader::new(&[1]), 9);
        assert_eq!(writer.finish(), 0, "the source is too short");
    }
}
