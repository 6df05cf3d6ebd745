//! One descriptor: read, written, resolved, and changed in its bytes.

use crate::dependency::bits::{BitReader, BitWriter};
use crate::dependency::structure::{read_dtis, write_dtis};
use crate::dependency::{ChainDiffs, DescriptorError, Dtis, Frame, FrameDiffs, MANDATORY_LEN, Structure};

const START_BIT: u8 = 0x80;
const END_BIT: u8 = 0x40;
const TEMPLATE_ID: u8 = 0x3f;

/// Bits of the mandatory fields, and of the flags that extended fields start with.
const MANDATORY_BITS: usize = 8 * MANDATORY_LEN;
const FLAG_BITS: usize = 5;
/// The flag of the bitmask of active decode targets among the five.
const ACTIVE_FLAG: u32 = 0b01000;

/// The fields that stand in front of every descriptor: what can be read without a structure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mandatory {
    /// The packet is the first of the frame.
    pub is_start: bool,
    /// The packet is the last of the frame.
    pub is_end: bool,
    /// The template the frame is made from, 0–63.
    pub template_id: u8,
    /// Counts frames; it wraps.
    pub frame_number: u16,
}

impl Mandatory {
    /// Reads the first three bytes.
    pub fn parse(data: &[u8]) -> Result<Self, DescriptorError> {
        let Some(&[first, high, low]) = data.first_chunk() else { return Err(DescriptorError::Truncated) };
        Ok(Self {
            is_start: first & START_BIT != 0,
            is_end: first & END_BIT != 0,
            template_id: first & TEMPLATE_ID,
            frame_number: u16::from_be_bytes([high, low]),
        })
    }

    fn to_bytes(self) -> [u8; MANDATORY_LEN] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let [high, low] = self.frame_number.to_be_bytes();
        [flag(self.is_start, START_BIT) | flag(self.is_end, END_BIT) | self.template_id & TEMPLATE_ID, high, low]
    }
}

/// The descriptor of one packet as it stands in the packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// What every descriptor has.
    pub mandatory: Mandatory,
    /// The structure for this packet and those to come.
    pub structure: Option<Structure>,
    /// The decode targets that are still fed, the first one in the lowest bit, from this packet on. Without it they
    /// are those of the packet before, or all where a structure comes.
    pub active_decode_targets: Option<u32>,
    /// Indications that replace those of the template.
    pub dtis: Option<Dtis>,
    /// Frames needed in place of those of the template.
    pub frame_diffs: Option<FrameDiffs>,
    /// Chain differences in place of those of the template.
    pub chain_diffs: Option<ChainDiffs>,
}

impl Descriptor {
    /// Reads the element of [`crate::Extension::DependencyDescriptor`]. `current` is the structure it was written for
    /// if it carries none itself. What is read can be resolved beside the same structure.
    ///
    /// Allocates only where the descriptor carries a structure, and then at most 64 templates.
    pub fn parse(data: &[u8], current: Option<&Structure>) -> Result<Self, DescriptorError> {
        Self::read(data, current).map(|(descriptor, _)| descriptor)
    }

    /// Reads the same, and where in the bytes lies what [`Layout::rewrite`] changes.
    pub fn read(data: &[u8], current: Option<&Structure>) -> Result<(Self, Layout), DescriptorError> {
        let mut descriptor = Self { mandatory: Mandatory::parse(data)?, ..Self::default() };
        let layout = if data.len() > MANDATORY_LEN {
            descriptor.read_extended(data, current)?
        } else {
            let targets = current.ok_or(DescriptorError::NoStructure)?.decode_target_count();
            let mask_at = (MANDATORY_BITS + FLAG_BITS) as u16;
            Layout { mask_at, targets, has_extended: false, has_mask: false, end: MANDATORY_BITS as u16 }
        };
        let structure = descriptor.structure.as_ref().or(current).ok_or(DescriptorError::NoStructure)?;
        match structure.template(descriptor.mandatory.template_id) {
            Some(_) => Ok((descriptor, layout)),
            None => Err(DescriptorError::UnknownTemplate),
        }
    }

    fn read_extended(&mut self, data: &[u8], current: Option<&Structure>) -> Result<Layout, DescriptorError> {
        let mut bits = BitReader::new(data);
        bits.bits(MANDATORY_BITS)?;
        let (has_structure, has_mask) = (bits.flag()?, bits.flag()?);
        let (has_dtis, has_frame_diffs, has_chain_diffs) = (bits.flag()?, bits.flag()?, bits.flag()?);
        if has_structure {
            self.structure = Some(Structure::read(&mut bits)?);
        }
        let structure = self.structure.as_ref().or(current).ok_or(DescriptorError::NoStructure)?;
        let (targets, chains) = (structure.decode_target_count(), structure.chain_count());
        let mask_at = bits.position();
        if has_mask {
            self.active_decode_targets = Some(bits.bits(usize::from(targets))?);
        }
        if has_dtis {
            self.dtis = Some(read_dtis(&mut bits, targets)?);
        }
        if has_frame_diffs {
            self.frame_diffs = Some(read_frame_diffs(&mut bits)?);
        }
        if has_chain_diffs {
            self.chain_diffs = Some(read_chain_diffs(&mut bits, chains)?);
        }
        let end = bits.position();
        // An element has at most 255 bytes; a longer slice is read no further than its structure goes.
        Ok(Layout { mask_at: mask_at as u16, targets, has_extended: true, has_mask, end: end as u16 })
    }

    /// Writes the descriptor to the start of `out` and returns its length. It is 0 if there is no room, or if custom
    /// fields do not have an entry for each target and chain of the structure (its own, or else `current`).
    pub fn write(&self, current: Option<&Structure>, out: &mut [u8]) -> usize {
        let mut bits = BitWriter::new(out);
        for byte in self.mandatory.to_bytes() {
            bits.bits(u32::from(byte), 8);
        }
        if !self.has_extended() {
            return bits.finish();
        }
        let Some(structure) = self.structure.as_ref().or(current) else { return 0 };
        if !self.fits(structure) {
            return 0;
        }
        bits.flag(self.structure.is_some());
        bits.flag(self.active_decode_targets.is_some());
        bits.flag(self.dtis.is_some());
        bits.flag(self.frame_diffs.is_some());
        bits.flag(self.chain_diffs.is_some());
        if let Some(structure) = &self.structure {
            structure.write(&mut bits);
        }
        if let Some(mask) = self.active_decode_targets {
            bits.bits(mask, usize::from(structure.decode_target_count()));
        }
        if let Some(dtis) = &self.dtis {
            write_dtis(&mut bits, dtis);
        }
        if let Some(diffs) = &self.frame_diffs {
            write_frame_diffs(&mut bits, diffs);
        }
        if let Some(diffs) = &self.chain_diffs {
            diffs.as_slice().iter().for_each(|&diff| bits.bits(u32::from(diff), 8));
        }
        bits.finish()
    }

    /// What the descriptor says of its frame, with the template of the structure (its own, or else `current`).
    pub fn resolve(&self, current: Option<&Structure>) -> Result<Frame, DescriptorError> {
        let structure = self.structure.as_ref().or(current).ok_or(DescriptorError::NoStructure)?;
        let Mandatory { is_start, is_end, template_id, frame_number } = self.mandatory;
        let template = structure.template(template_id).ok_or(DescriptorError::UnknownTemplate)?;
        Ok(Frame {
            number: frame_number,
            is_start,
            is_end,
            spatial_id: template.spatial_id,
            temporal_id: template.temporal_id,
            dtis: self.dtis.unwrap_or(template.dtis),
            frame_diffs: self.frame_diffs.unwrap_or(template.frame_diffs),
            chain_diffs: self.chain_diffs.unwrap_or(template.chain_diffs),
            resolution: structure.resolution(template.spatial_id),
        })
    }

    const fn has_extended(&self) -> bool {
        let has_custom = self.dtis.is_some() || self.frame_diffs.is_some() || self.chain_diffs.is_some();
        has_custom || self.structure.is_some() || self.active_decode_targets.is_some()
    }

    fn fits(&self, structure: &Structure) -> bool {
        let targets = usize::from(structure.decode_target_count());
        let chains = usize::from(structure.chain_count());
        self.dtis.is_none_or(|dtis| dtis.len() == targets)
            && self.chain_diffs.is_none_or(|diffs| diffs.as_slice().len() == chains)
    }
}

/// Where in the bytes of a descriptor lies what a forwarder changes, so that it need not be read and written anew for
/// every subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The bit at which the bitmask stands or would stand.
    mask_at: u16,
    /// Decode targets, the bits of the bitmask.
    targets: u8,
    has_extended: bool,
    has_mask: bool,
    /// The bit behind the last field.
    end: u16,
}

impl Layout {
    /// Copies the descriptor in `data`, of which this is the layout, to the start of `out` under another frame number,
    /// and returns its length; 0 if there is no room or the layout is that of another descriptor.
    ///
    /// With `active` the copy has this bitmask of active decode targets, whether `data` has one or not; it takes up to
    /// five bytes more then. Without, everything but the frame number stays as it is.
    pub fn rewrite(&self, data: &[u8], frame_number: u16, active: Option<u32>, out: &mut [u8]) -> usize {
        if data.len() * 8 < usize::from(self.end) {
            return 0;
        }
        let Some(mask) = active else { return copy(data, frame_number, out) };
        let mut reader = BitReader::new(data);
        let Ok(first) = reader.bits(8) else { return 0 };
        let mut writer = BitWriter::new(out);
        writer.bits(first, 8);
        writer.bits(u32::from(frame_number), 16);
        let targets = usize::from(self.targets);
        if !self.has_extended {
            writer.bits(ACTIVE_FLAG, FLAG_BITS);
            writer.bits(mask, targets);
            return writer.finish();
        }
        let (Ok(_), Ok(flags)) = (reader.bits(16), reader.bits(FLAG_BITS)) else { return 0 };
        writer.bits(flags | ACTIVE_FLAG, FLAG_BITS);
        writer.copy(&mut reader, usize::from(self.mask_at) - MANDATORY_BITS - FLAG_BITS);
        writer.bits(mask, targets);
        if self.has_mask && reader.bits(targets).is_err() {
            return 0;
        }
        let rest = usize::from(self.end).saturating_sub(reader.position());
        writer.copy(&mut reader, rest);
        writer.finish()
    }
}

fn copy(data: &[u8], frame_number: u16, out: &mut [u8]) -> usize {
    match out.get_mut(..data.len()) {
        Some(out) if data.len() >= MANDATORY_LEN => {
            out.copy_from_slice(data);
            set_frame_number(out, frame_number);
            data.len()
        }
        _ => 0,
    }
}

/// Changes the frame number in the bytes of a descriptor; those too short for one stay as they are.
#[inline]
pub fn set_frame_number(data: &mut [u8], frame_number: u16) {
    if let Some([_, number @ ..]) = data.first_chunk_mut::<MANDATORY_LEN>() {
        *number = frame_number.to_be_bytes();
    }
}

/// Each difference says first how many nibbles it has; none ends them.
fn read_frame_diffs(bits: &mut BitReader<'_>) -> Result<FrameDiffs, DescriptorError> {
    let mut diffs = FrameDiffs::default();
    loop {
        let nibbles = bits.bits(2)? as usize;
        if nibbles == 0 {
            return Ok(diffs);
        }
        // At most twelve bits.
        let diff = bits.bits(4 * nibbles)? as u16 + 1;
        diffs.push(diff).then_some(()).ok_or(DescriptorError::TooManyFrameDiffs)?;
    }
}

fn write_frame_diffs(bits: &mut BitWriter<'_>, diffs: &FrameDiffs) {
    for &diff in diffs.as_slice() {
        let nibbles = match diff {
            ..=0x10 => 1,
            0x11..=0x100 => 2,
            _ => 3,
        };
        bits.bits(nibbles, 2);
        bits.bits(u32::from(diff - 1), 4 * nibbles as usize);
    }
    bits.bits(0, 2);
}

fn read_chain_diffs(bits: &mut BitReader<'_>, count: u8) -> Result<ChainDiffs, DescriptorError> {
    let mut diffs = ChainDiffs::default();
    for _ in 0..count {
        // At most 32: all find room.
        diffs.push(bits.small(8)?);
    }
    Ok(diffs)
}
