//! The template dependency structure.

use crate::dependency::bits::{BitReader, BitWriter};
use crate::dependency::{
    ChainDiffs, DescriptorError, Dti, Dtis, FrameDiffs, MAX_DECODE_TARGETS, MAX_SPATIAL_LAYERS, MAX_TEMPLATES,
    MAX_TEMPORAL_LAYERS, Resolution,
};

const SAME_LAYER: u8 = 0;
const NEXT_TEMPORAL_LAYER: u8 = 1;
const NEXT_SPATIAL_LAYER: u8 = 2;
const NO_MORE_TEMPLATES: u8 = 3;

/// The largest frame difference and chain difference of a template: both have four bits, the first counts from 1.
const MAX_TEMPLATE_FRAME_DIFF: u16 = 16;
const MAX_TEMPLATE_CHAIN_DIFF: u8 = 15;
const MAX_SIDE: u32 = 1 << 16;

/// A kind of frame that a stream has again and again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Template {
    /// The spatial layer.
    pub spatial_id: u8,
    /// The temporal layer.
    pub temporal_id: u8,
    /// What the frame means to each decode target.
    pub dtis: Dtis,
    /// The frames it needs, each 1–16 back.
    pub frame_diffs: FrameDiffs,
    /// Where each chain was last, each 0–15 back.
    pub chain_diffs: ChainDiffs,
}

/// Why parts do not make a [`Structure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StructureError {
    /// There is no template, or more than 64.
    #[error("a structure has 1 to {MAX_TEMPLATES} templates")]
    Templates,
    /// The templates do not start at layer 0 and go on to the same, the next temporal or the next spatial layer.
    #[error("the templates are not in the order of their layers")]
    LayerOrder,
    /// There is no decode target, or templates differ in how many there are.
    #[error("the templates disagree on the decode targets")]
    DecodeTargets,
    /// Templates differ in how many chains there are, or there are more than decode targets, or not one entry for
    /// each decode target says which protects it.
    #[error("the chains do not fit the decode targets")]
    Chains,
    /// A difference of a template is beyond its four bits.
    #[error("a template has a difference that cannot be written")]
    Difference,
    /// There is not one size for each spatial layer, or a side is not 1–65536.
    #[error("the resolutions do not fit the spatial layers")]
    Resolutions,
}

/// The templates of a stream and what they have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    id: u8,
    decode_target_count: u8,
    chain_count: u8,
    /// 1–64 of them.
    templates: Vec<Template>,
    /// The chain of each decode target.
    protected_by: [u8; MAX_DECODE_TARGETS],
    resolutions: [Option<Resolution>; MAX_SPATIAL_LAYERS],
}

impl Structure {
    /// A structure whose first template has the number `id` (six bits), for a stream of our own making.
    ///
    /// `protected_by` names a chain for each decode target and is empty if there are no chains; `resolutions` has one
    /// entry for each spatial layer or is empty.
    pub fn new(
        id: u8,
        templates: Vec<Template>,
        protected_by: &[u8],
        resolutions: &[Resolution],
    ) -> Result<Self, StructureError> {
        let (Some(&first), 1..=MAX_TEMPLATES) = (templates.first(), templates.len()) else {
            return Err(StructureError::Templates);
        };
        let (targets, chains) = (first.dtis.len(), first.chain_diffs.as_slice().len());
        let mut structure = Self {
            id: id % MAX_TEMPLATES as u8,
            // Both are 32 at most: the types they come from hold no more.
            decode_target_count: targets as u8,
            chain_count: chains as u8,
            templates,
            protected_by: [0; MAX_DECODE_TARGETS],
            resolutions: [None; MAX_SPATIAL_LAYERS],
        };
        structure.check_templates()?;
        let in_reach = protected_by.iter().all(|&chain| usize::from(chain) < chains);
        if chains > targets || protected_by.len() != if chains == 0 { 0 } else { targets } || !in_reach {
            return Err(StructureError::Chains);
        }
        structure.protected_by.iter_mut().zip(protected_by).for_each(|(place, &chain)| *place = chain);
        let sides = resolutions.iter().flat_map(|resolution| [resolution.width, resolution.height]);
        let is_whole = resolutions.is_empty() || resolutions.len() == structure.spatial_layer_count();
        if !is_whole || !sides.into_iter().all(|side| (1..=MAX_SIDE).contains(&side)) {
            return Err(StructureError::Resolutions);
        }
        structure.resolutions.iter_mut().zip(resolutions).for_each(|(place, &size)| *place = Some(size));
        Ok(structure)
    }

    fn check_templates(&self) -> Result<(), StructureError> {
        let mut previous = None;
        for template in &self.templates {
            next_layer(previous, template).ok_or(StructureError::LayerOrder)?;
            previous = Some(template);
            if template.dtis.is_empty() || template.dtis.len() != usize::from(self.decode_target_count) {
                return Err(StructureError::DecodeTargets);
            }
            let chain_diffs = template.chain_diffs.as_slice();
            if chain_diffs.len() != usize::from(self.chain_count) {
                return Err(StructureError::Chains);
            }
            let are_small = template.frame_diffs.as_slice().iter().all(|&diff| diff <= MAX_TEMPLATE_FRAME_DIFF)
                && chain_diffs.iter().all(|&diff| diff <= MAX_TEMPLATE_CHAIN_DIFF);
            if !are_small {
                return Err(StructureError::Difference);
            }
        }
        Ok(())
    }

    /// The number of the first template. The stream's next structure usually starts behind the last one of this, so
    /// that packets of one are not taken for packets of the other.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// How many decode targets there are, 1–32.
    #[must_use]
    pub const fn decode_target_count(&self) -> u8 {
        self.decode_target_count
    }

    /// How many chains there are, at most as many as decode targets.
    #[must_use]
    pub const fn chain_count(&self) -> u8 {
        self.chain_count
    }

    /// The templates in the order of their numbers, the first one numbered [`Structure::id`].
    #[must_use]
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// The template a descriptor names; they are numbered round 64.
    #[must_use]
    pub fn template(&self, template_id: u8) -> Option<&Template> {
        self.templates.get(usize::from(template_id.wrapping_sub(self.id)) % MAX_TEMPLATES)
    }

    /// The chain that has to be whole for `target` to be decoded; `None` if there are no chains or no such target.
    #[must_use]
    pub fn chain_of(&self, target: u8) -> Option<u8> {
        let is_protected = self.chain_count > 0 && target < self.decode_target_count;
        self.protected_by.get(usize::from(target)).copied().filter(|_| is_protected)
    }

    /// The size of a spatial layer, if the structure tells it.
    #[must_use]
    pub fn resolution(&self, spatial_id: u8) -> Option<Resolution> {
        self.resolutions.get(usize::from(spatial_id)).copied().flatten()
    }

    /// How many spatial layers the templates have, 1–4.
    #[must_use]
    pub fn spatial_layer_count(&self) -> usize {
        // Templates are in the order of their spatial layers.
        self.templates.last().map_or(1, |template| usize::from(template.spatial_id) + 1)
    }

    /// A bit for each decode target, that of the first lowest: all are active unless a descriptor says otherwise.
    #[must_use]
    pub const fn all_decode_targets(&self) -> u32 {
        // 1–32 targets.
        u32::MAX >> (MAX_DECODE_TARGETS as u8 - self.decode_target_count)
    }

    /// The highest spatial and temporal layer among the frames of `target` (A.8.3.2, `decode_target_layers`).
    #[must_use]
    pub fn layer_of(&self, target: u8) -> (u8, u8) {
        let present = self.templates.iter().filter(|template| template.dtis.target(target).is_present());
        present.fold((0, 0), |(spatial, temporal), template| {
            (spatial.max(template.spatial_id), temporal.max(template.temporal_id))
        })
    }

    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, DescriptorError> {
        let id = bits.small(6)?;
        let decode_target_count = bits.small(5)? + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            template.dtis = read_dtis(bits, decode_target_count)?;
        }
        for template in &mut templates {
            while bits.flag()? {
                let diff = bits.bits(4)? as u16 + 1;
                template.frame_diffs.push(diff).then_some(()).ok_or(DescriptorError::TooManyFrameDiffs)?;
            }
        }
        let chain_count = bits.non_symmetric(decode_target_count + 1)?;
        let mut protected_by = [0; MAX_DECODE_TARGETS];
        if chain_count > 0 {
            for chain in protected_by.iter_mut().take(usize::from(decode_target_count)) {
                *chain = bits.non_symmetric(chain_count)?;
            }
            for template in &mut templates {
                for _ in 0..chain_count {
                    // At most as many chains as decode targets: all find room.
                    template.chain_diffs.push(bits.small(4)?);
                }
            }
        }
        let resolutions = [None; MAX_SPATIAL_LAYERS];
        let mut structure = Self { id, decode_target_count, chain_count, templates, protected_by, resolutions };
        if bits.flag()? {
            let layers = structure.spatial_layer_count();
            for resolution in structure.resolutions.iter_mut().take(layers) {
                *resolution = Some(Resolution { width: bits.bits(16)? + 1, height: bits.bits(16)? + 1 });
            }
        }
        Ok(structure)
    }

    pub(super) fn write(&self, bits: &mut BitWriter<'_>) {
        bits.bits(u32::from(self.id), 6);
        bits.bits(u32::from(self.decode_target_count) - 1, 5);
        self.write_layers(bits);
        self.templates.iter().for_each(|template| write_dtis(bits, &template.dtis));
        for template in &self.templates {
            // A flag that one follows, then the difference less 1.
            template.frame_diffs.as_slice().iter().for_each(|&diff| bits.bits(1 << 4 | u32::from(diff - 1), 5));
            bits.flag(false);
        }
        self.write_chains(bits);
        bits.flag(self.resolution(0).is_some());
        for resolution in self.resolutions.iter().flatten() {
            bits.bits(resolution.width - 1, 16);
            bits.bits(resolution.height - 1, 16);
        }
    }

    fn write_layers(&self, bits: &mut BitWriter<'_>) {
        for (previous, template) in self.templates.iter().zip(self.templates.iter().skip(1)) {
            // The order was checked when the structure was made.
            let step = next_layer(Some(previous), template).unwrap_or(NO_MORE_TEMPLATES);
            bits.bits(u32::from(step), 2);
        }
        bits.bits(u32::from(NO_MORE_TEMPLATES), 2);
    }

    fn write_chains(&self, bits: &mut BitWriter<'_>) {
        bits.non_symmetric(self.chain_count, self.decode_target_count + 1);
        if self.chain_count == 0 {
            return;
        }
        for &chain in self.protected_by.iter().take(usize::from(self.decode_target_count)) {
            bits.non_symmetric(chain, self.chain_count);
        }
        for template in &self.templates {
            template.chain_diffs.as_slice().iter().for_each(|&diff| bits.bits(u32::from(diff), 4));
        }
    }
}

/// Templates that have their layers only.
fn read_layers(bits: &mut BitReader<'_>) -> Result<Vec<Template>, DescriptorError> {
    let mut templates = Vec::new();
    let mut template = Template::default();
    loop {
        if templates.len() == MAX_TEMPLATES {
            return Err(DescriptorError::TooManyTemplates);
        }
        templates.push(template);
        match bits.small(2)? {
            SAME_LAYER => {}
            NEXT_TEMPORAL_LAYER => template.temporal_id += 1,
            NEXT_SPATIAL_LAYER => (template.spatial_id, template.temporal_id) = (template.spatial_id + 1, 0),
            _ => return Ok(templates),
        }
        if !is_layer(&template) {
            return Err(DescriptorError::TooManyLayers);
        }
    }
}

pub(super) fn read_dtis(bits: &mut BitReader<'_>, count: u8) -> Result<Dtis, DescriptorError> {
    let mut dtis = Dtis::default();
    for _ in 0..count {
        // At most 32: all find room.
        dtis.push(Dti::from_bits(bits.small(2)?));
    }
    Ok(dtis)
}

pub(super) fn write_dtis(bits: &mut BitWriter<'_>, dtis: &Dtis) {
    dtis.iter().for_each(|dti| bits.bits(u32::from(dti.bits()), 2));
}

/// How the layer of `template` follows that of the one before; `None` if it cannot.
fn next_layer(previous: Option<&Template>, template: &Template) -> Option<u8> {
    let (spatial, temporal) = (template.spatial_id, template.temporal_id);
    let step = match previous {
        None => (spatial == 0 && temporal == 0).then_some(SAME_LAYER),
        Some(previous) if spatial == previous.spatial_id && temporal == previous.temporal_id => Some(SAME_LAYER),
        Some(previous) if spatial == previous.spatial_id && temporal == previous.temporal_id + 1 => {
            Some(NEXT_TEMPORAL_LAYER)
        }
        Some(previous) if spatial == previous.spatial_id + 1 && temporal == 0 => Some(NEXT_SPATIAL_LAYER),
        Some(_) => None,
    };
    step.filter(|_| is_layer(template))
}

fn is_layer(template: &Template) -> bool {
    usize::from(template.spatial_id) < MAX_SPATIAL_LAYERS && usize::from(template.temporal_id) < MAX_TEMPORAL_LAYERS
}
