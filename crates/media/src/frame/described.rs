//! Frames by their dependency descriptors.

use std::sync::Arc;

use roundtable_wire::dependency::{
    Dti, Dtis, Frame, Layout, MANDATORY_LEN, MAX_TEMPLATES, Mandatory, Structure, StructureHistory,
};

use crate::frame::{Covers, Target, has};

/// Frames whose targets are remembered for those that need them. Chromium looks back less than 20; a frame that needs
/// one further back is taken to need what nobody holds.
const REMEMBERED: usize = 256;

/// What is known of the descriptors of a stream.
#[derive(Debug, Default)]
pub(super) struct Described {
    history: StructureHistory,
    /// The structure whose targets are those of the stream.
    structure: Option<Arc<Structure>>,
    /// The lowest packet that carried it: it holds from there on.
    since: u64,
    /// The layout of its descriptors that have mandatory fields only, which is always the same.
    short: Option<Layout>,
    /// Of each of its templates.
    templates: Vec<Masks>,
    /// Numbers of frames and the targets they belong to; [`REMEMBERED`] of them once there is a structure.
    frames: Vec<(u64, u32)>,
}

/// Indications as masks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masks {
    dtis: Dtis,
    pub(super) present: u32,
    pub(super) switch: u32,
    pub(super) discardable: u32,
}

/// What one descriptor says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) frame: Frame,
    pub(super) layout: Layout,
    pub(super) carries_structure: bool,
    /// None if the frame came late and numbers its targets by an older structure that has others.
    pub(super) masks: Option<Masks>,
    pub(super) has_new_targets: bool,
}

impl Described {
    /// Reads a descriptor; `None` if it is malformed or its structure is not known.
    pub(super) fn read(&mut self, index: u64, data: &[u8]) -> Option<Read> {
        if data.len() == MANDATORY_LEN
            && let Some(read) = self.read_short(index, data)
        {
            return Some(read);
        }
        let received = self.history.handle(index, data).ok()?;
        let (frame, layout, carries_structure) = (received.frame, received.layout, received.carries_structure);
        let is_current = self.structure.as_ref().is_some_and(|ours| Arc::ptr_eq(ours, received.structure));
        let (mut fits, mut has_new_targets) = (true, false);
        if !is_current {
            let theirs = Arc::clone(received.structure);
            has_new_targets = self.follow();
            let ours = self.structure.as_ref();
            fits = ours.is_some_and(|ours| have_same_targets(ours, &theirs));
            if has_new_targets && carries_structure && ours.is_some_and(|ours| Arc::ptr_eq(ours, &theirs)) {
                self.since = index;
            }
        } else if carries_structure {
            self.since = self.since.min(index);
        }
        if data.len() == MANDATORY_LEN && index >= self.since {
            self.short = Some(layout);
        }
        let masks = fits.then(|| self.masks(data, frame.dtis));
        Some(Read { frame, layout, carries_structure, masks, has_new_targets })
    }

    /// Reads what most packets have, a template and a frame number, if the structure holds for the packet.
    fn read_short(&self, index: u64, data: &[u8]) -> Option<Read> {
        let layout = self.short.filter(|_| index >= self.since)?;
        let Mandatory { is_start, is_end, template_id, frame_number } = Mandatory::parse(data).ok()?;
        let structure = self.structure.as_ref()?;
        let template = structure.template(template_id)?;
        let frame = Frame {
            number: frame_number,
            is_start,
            is_end,
            spatial_id: template.spatial_id,
            temporal_id: template.temporal_id,
            dtis: template.dtis,
            frame_diffs: template.frame_diffs,
            chain_diffs: template.chain_diffs,
            resolution: structure.resolution(template.spatial_id),
        };
        let masks = Some(self.masks(data, frame.dtis));
        Some(Read { frame, layout, carries_structure: false, masks, has_new_targets: false })
    }

    /// Remembers which targets a frame belongs to; returns those that hold all it needs.
    pub(super) fn handle_frame(&mut self, number: u64, diffs: &[u16], present: u32) -> u32 {
        let held = diffs.iter().fold(u32::MAX, |held, &diff| held & self.present(number, diff));
        if let Some(place) = self.frames.get_mut(number as usize % REMEMBERED) {
            *place = (number, present);
        }
        held
    }

    /// The targets of the structure, and what each covers.
    pub(super) fn targets(&self) -> (impl Iterator<Item = Target> + Clone + use<'_>, Covers) {
        let structure = self.structure.as_deref();
        let count = structure.map_or(0, Structure::decode_target_count);
        let list = structure.into_iter().flat_map(move |structure| (0..count).map(move |at| target(structure, at)));
        // By target those that have all of its frames, …
        let mut whole = [u32::MAX; 32];
        for masks in &self.templates {
            let present = (0u8..).zip(&mut whole).filter(|(at, _)| has(masks.present, *at));
            present.for_each(|(_, whole)| *whole &= masks.present);
        }
        // … and the other way round.
        let mut covers = [0; 32];
        for (from, covered) in (0u8..count).zip(&mut covers) {
            let wholes = whole.iter().take(usize::from(count)).enumerate();
            *covered = wholes.fold(0, |mask, (to, &whole)| mask | u32::from(has(whole, from)) << to);
        }
        (list, covers)
    }

    pub(super) fn active(&self) -> u32 {
        self.history.active_decode_targets()
    }

    /// Takes over the newest structure; returns whether it is another one.
    fn follow(&mut self) -> bool {
        let Some(newest) = self.history.current() else { return false };
        let same = |ours: &Arc<Structure>| Arc::ptr_eq(ours, newest);
        if self.structure.as_ref().is_some_and(same) {
            return false;
        }
        let keeps_frames = self.structure.as_ref().is_some_and(|ours| have_same_targets(ours, newest));
        self.templates.clear();
        self.templates.extend(newest.templates().iter().map(|template| Masks::new(template.dtis)));
        (self.structure, self.since, self.short) = (Some(Arc::clone(newest)), u64::MAX, None);
        if !keeps_frames {
            self.frames.clear();
            self.frames.resize(REMEMBERED, (u64::MAX, 0));
        }
        true
    }

    /// The indications of a frame as masks: those of its template, if that has the same.
    fn masks(&self, data: &[u8], dtis: Dtis) -> Masks {
        let first = self.structure.as_ref().map_or(0, |structure| structure.id());
        let place = data.first().map_or(0, |byte| usize::from(byte.wrapping_sub(first)) % MAX_TEMPLATES);
        let template = self.templates.get(place).filter(|masks| masks.dtis == dtis);
        template.copied().unwrap_or_else(|| Masks::new(dtis))
    }

    fn present(&self, number: u64, diff: u16) -> u32 {
        let needed = number.checked_sub(u64::from(diff));
        let entry = needed.and_then(|needed| self.frames.get(needed as usize % REMEMBERED));
        entry.filter(|(number, _)| Some(*number) == needed).map_or(0, |(_, present)| *present)
    }
}

impl Masks {
    fn new(dtis: Dtis) -> Self {
        let mut masks = Self { dtis, present: 0, switch: 0, discardable: 0 };
        for (at, dti) in dtis.iter().enumerate() {
            // At most 32 targets.
            masks.present |= u32::from(dti.is_present()) << at;
            masks.switch |= u32::from(dti == Dti::Switch) << at;
            masks.discardable |= u32::from(dti == Dti::Discardable) << at;
        }
        masks
    }
}

fn target(structure: &Structure, at: u8) -> Target {
    let (spatial, temporal) = structure.layer_of(at);
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    let size = structure.resolution(spatial).map(|size| (side(size.width), side(size.height)));
    Target { spatial, temporal, size }
}

fn have_same_targets(ours: &Structure, theirs: &Structure) -> bool {
    let count = ours.decode_target_count();
    count == theirs.decode_target_count() && (0..count).all(|at| ours.layer_of(at) == theirs.layer_of(at))
}
