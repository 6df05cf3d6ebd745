//! What an encoder's frames need of each other: three temporal layers as libwebrtc arranges them, and spatial layers
//! that are simulcast, dependent on key pictures (`L3T3_KEY`) or always (`L3T3`).

use roundtable_wire::dependency::{
    ChainDiffs, Descriptor, Dti, Dtis, FrameDiffs, MAX_TEMPLATES, Mandatory, Resolution, Structure, Template,
};

/// How spatial layers of one stream depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// There is one.
    Single,
    /// Each needs the one below on key pictures only.
    Key,
    /// Each needs the one below always.
    Full,
}

/// One frame of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    /// The frame belongs to a key picture.
    pub(crate) is_key: bool,
    /// Counts frames of the stream from 1.
    pub(crate) number: u64,
    /// How far back the frames it needs lie; none is 0. The first is that of the same layer, if there is one.
    pub(crate) diffs: [u16; 2],
    /// How many pictures back the frame of the same layer lies.
    pub(crate) picture_diff: Option<u8>,
    pub(crate) needs_lower: bool,
    dtis: Dtis,
    chains: ChainDiffs,
}

/// The frame of a layer others refer to.
#[derive(Debug, Clone, Copy)]
struct Stored {
    number: u64,
    picture: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    scheme: Scheme,
    spatial: u8,
    temporal: u8,
    number: u64,
    picture: u64,
    position: usize,
    /// By spatial layer: the last frame of T0 and T1.
    stored: [[Option<Stored>; 2]; 3],
    chains: [Option<u64>; 3],
    pub(crate) structure: Structure,
}

/// The temporal layers of a cycle.
const CYCLES: [&[u8]; 3] = [&[0], &[0, 1], &[0, 2, 1, 2]];

impl Encoder {
    /// An encoder whose largest picture is `height` lines high.
    pub(crate) fn new(scheme: Scheme, spatial: u8, temporal: u8, height: u32) -> Self {
        let mut encoder = Self::bare(scheme, spatial, temporal, dummy());
        encoder.structure = encoder.describe(0, height);
        encoder
    }

    /// The encoder set up anew with other spatial layers, as libwebrtc does when the size of the camera changes: it
    /// goes on counting frames, and its templates are numbered behind those of before.
    pub(crate) fn rebuilt(&self, spatial: u8, height: u32) -> Self {
        let mut encoder = Self::bare(self.scheme, spatial, self.temporal, dummy());
        (encoder.number, encoder.picture) = (self.number, self.picture);
        let behind = usize::from(self.structure.id()) + self.structure.templates().len();
        encoder.structure = encoder.describe((behind % MAX_TEMPLATES) as u8, height);
        encoder
    }

    fn bare(scheme: Scheme, spatial: u8, temporal: u8, structure: Structure) -> Self {
        Self {
            scheme,
            spatial,
            temporal,
            number: 0,
            picture: 0,
            position: 0,
            stored: [[None; 2]; 3],
            chains: [None; 3],
            structure,
        }
    }

    pub(crate) fn temporal(&self) -> u8 {
        self.temporal
    }

    /// The frames of the next picture, the lowest spatial layer first, without those from `active` on.
    pub(crate) fn picture(&mut self, is_key: bool, active: u8) -> Vec<Frame> {
        if is_key {
            self.position = 0;
            self.stored = [[None; 2]; 3];
            self.chains = [None; 3];
        }
        self.picture += 1;
        let cycle = CYCLES[usize::from(self.temporal) - 1];
        let position = self.position;
        self.position = (self.position + 1) % cycle.len();
        let count = self.spatial.min(active);
        (0..count).map(|spatial| self.frame(spatial, cycle[position], position, is_key)).collect()
    }

    fn frame(&mut self, spatial: u8, temporal: u8, position: usize, is_key: bool) -> Frame {
        self.number += 1;
        let number = self.number;
        let [base, middle] = self.stored[usize::from(spatial)];
        // The second T2 of a cycle needs T1, all others T0.
        let own = if position == 3 { middle } else { base };
        let lower = number - 1;
        let needs_lower = spatial > 0 && (is_key || self.scheme == Scheme::Full);
        let mut diffs = [0; 2];
        let needed = own.map(|own| own.number).into_iter().chain(needs_lower.then_some(lower));
        for (place, needed) in diffs.iter_mut().zip(needed) {
            *place = (number - needed) as u16;
        }
        let chains = self.chains.map(|chain| chain.map_or(0, |last| (number - last) as u8));
        let frame = Frame {
            spatial,
            temporal,
            is_key,
            number,
            diffs,
            picture_diff: own.map(|own| (self.picture - own.picture) as u8),
            needs_lower,
            dtis: self.indications(spatial, temporal, is_key),
            chains: ChainDiffs::new(&chains[..usize::from(self.spatial)]).expect("few chains"),
        };
        if temporal < 2 && (temporal == 0 || self.temporal == 3) {
            self.stored[usize::from(spatial)][usize::from(temporal)] = Some(Stored { number, picture: self.picture });
        }
        for (at, chain) in (0..).zip(&mut self.chains) {
            let is_in = at == spatial || at > spatial && (is_key || self.scheme == Scheme::Full);
            if temporal == 0 && is_in {
                *chain = Some(number);
            }
        }
        frame
    }

    /// Decode targets are ordered by spatial, then by temporal layer.
    fn indications(&self, spatial: u8, temporal: u8, is_key: bool) -> Dtis {
        let mut all = Vec::new();
        for target_spatial in 0..self.spatial {
            for target_temporal in 0..self.temporal {
                let follows = target_spatial > spatial && (is_key || self.scheme == Scheme::Full);
                all.push(if target_temporal < temporal || target_spatial != spatial && !follows {
                    Dti::NotPresent
                } else if follows {
                    if is_key { Dti::Switch } else { Dti::Required }
                } else if temporal > 0 && target_temporal == temporal {
                    Dti::Discardable
                } else {
                    Dti::Switch
                });
            }
        }
        Dtis::new(&all).expect("nine targets at most")
    }

    /// The structure whose templates fit all frames that come while every layer is active.
    fn describe(&self, id: u8, height: u32) -> Structure {
        let mut model = Self::bare(self.scheme, self.spatial, self.temporal, dummy());
        let mut templates: Vec<Template> = Vec::new();
        for picture in 0..9 {
            for frame in model.picture(picture == 0, self.spatial) {
                let template = frame.template();
                if !templates.contains(&template) {
                    templates.push(template);
                }
            }
        }
        templates.sort_by_key(|template| (template.spatial_id, template.temporal_id));
        let protected_by: Vec<u8> = (0..self.spatial * self.temporal).map(|target| target / self.temporal).collect();
        let sizes = (0..u32::from(self.spatial)).rev().map(|down| height >> down);
        let sizes: Vec<_> = sizes.map(|height| Resolution { width: height * 16 / 9, height }).collect();
        Structure::new(id, templates, &protected_by, &sizes).expect("a valid structure")
    }

    /// Writes the descriptor of one packet of a frame.
    pub(crate) fn describe_packet(&self, frame: &Frame, is_start: bool, is_end: bool, out: &mut [u8]) -> usize {
        let wanted = frame.template();
        let templates = self.structure.templates();
        let exact = templates.iter().position(|template| *template == wanted);
        let near = || {
            templates.iter().position(|template| {
                (template.spatial_id, template.temporal_id, template.dtis)
                    == (wanted.spatial_id, wanted.temporal_id, wanted.dtis)
            })
        };
        let at = exact.or_else(near).expect("a template of the layer");
        let is_custom = exact.is_none();
        let descriptor = Descriptor {
            mandatory: Mandatory {
                is_start,
                is_end,
                template_id: (usize::from(self.structure.id()) + at) as u8 % MAX_TEMPLATES as u8,
                frame_number: frame.number as u16,
            },
            structure: (frame.is_key && frame.spatial == 0 && is_start).then(|| self.structure.clone()),
            frame_diffs: is_custom.then_some(wanted.frame_diffs),
            chain_diffs: is_custom.then_some(wanted.chain_diffs),
            ..Descriptor::default()
        };
        let len = descriptor.write(Some(&self.structure), out);
        assert!(len > 0, "a descriptor that fits");
        len
    }
}

impl Frame {
    fn template(&self) -> Template {
        let diffs: Vec<u16> = self.diffs.into_iter().filter(|&diff| diff > 0).collect();
        Template {
            spatial_id: self.spatial,
            temporal_id: self.temporal,
            dtis: self.dtis,
            frame_diffs: FrameDiffs::new(&diffs).expect("small differences"),
            chain_diffs: self.chains,
        }
    }

    /// The numbers of the frames it needs.
    pub(crate) fn needs(&self) -> impl Iterator<Item = u64> + '_ {
        self.diffs.iter().filter(|&&diff| diff > 0).map(|&diff| self.number - u64::from(diff))
    }
}

/// Stands where a structure is not looked at.
fn dummy() -> Structure {
    let dtis = Dtis::new(&[Dti::Switch]).expect("one");
    Structure::new(0, vec![Template { dtis, ..Template::default() }], &[], &[]).expect("the least there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_temporal_layers_refer_as_libwebrtc_has_it() {
        let mut encoder = Encoder::new(Scheme::Single, 1, 3, 720);
        let frames: Vec<Frame> = (0..9).flat_map(|picture| encoder.picture(picture == 0, 1)).collect();
        let seen: Vec<_> = frames.iter().map(|frame| (frame.temporal, frame.diffs[0])).collect();
        assert_eq!(seen, [(0, 0), (2, 1), (1, 2), (2, 1), (0, 4), (2, 1), (1, 2), (2, 1), (0, 4)]);
        assert_eq!(encoder.structure.templates().len(), 5);
    }

    #[test]
    fn every_frame_is_covered_by_a_template_and_its_size_is_that_of_browsers() {
        for (scheme, most) in [(Scheme::Key, 110), (Scheme::Full, 125)] {
            let mut encoder = Encoder::new(scheme, 3, 3, 720);
            assert!(encoder.structure.templates().len() <= 20, "{}", encoder.structure.templates().len());
            let mut out = [0; 255];
            for picture in 0..40 {
                for frame in encoder.picture(picture % 13 == 0, 3) {
                    let len = encoder.describe_packet(&frame, true, true, &mut out);
                    let is_structure = frame.is_key && frame.spatial == 0;
                    assert!(if is_structure { (60..most).contains(&len) } else { len == 3 }, "{len} {frame:?}");
                    let read = Descriptor::parse(&out[..len], Some(&encoder.structure)).unwrap();
                    let resolved = read.resolve(Some(&encoder.structure)).unwrap();
                    let targets: Vec<u64> =
                        resolved.frame_diffs.as_slice().iter().map(|&diff| frame.number - u64::from(diff)).collect();
                    assert_eq!(targets, frame.needs().collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn without_the_top_layer_frames_say_themselves_what_they_need() {
        let mut encoder = Encoder::new(Scheme::Full, 3, 3, 720);
        let mut out = [0; 255];
        for picture in 0..12 {
            let active = if picture < 4 { 3 } else { 2 };
            let frames = encoder.picture(picture == 0, active);
            assert_eq!(frames.len(), usize::from(active));
            for frame in frames {
                let len = encoder.describe_packet(&frame, true, true, &mut out);
                let read = Descriptor::parse(&out[..len], Some(&encoder.structure)).unwrap();
                let resolved = read.resolve(Some(&encoder.structure)).unwrap();
                let diffs: Vec<u16> = frame.diffs.into_iter().filter(|&diff| diff > 0).collect();
                assert_eq!(resolved.frame_diffs.as_slice(), diffs);
            }
        }
    }
}
