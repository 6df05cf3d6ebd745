//! Which of its owner's packets a slot forwards: one encoding, and of it one decode target.
//!
//! The allocator sets a [`Goal`]. Within an encoding it is followed at the next frame that allows it; to another one
//! it is followed at a keyframe, until which a [`Bridge`] says what of the old encoding goes on. The decision is made
//! once a frame, with its first packet that comes.

use crate::frame::{FrameInfo, FrameReader};

/// What is to be forwarded of a track. It names layers, as decode targets may be numbered anew at any keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Goal {
    /// The encoding.
    pub(crate) layer: u8,
    /// The highest layers of it.
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
}

impl Goal {
    /// The decode target of these layers, or of the highest below them.
    pub(crate) fn target(&self, reader: &FrameReader) -> Option<u8> {
        reader.target_for(self.spatial, self.temporal)
    }
}

/// The decode target that is being forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Current {
    target: u8,
    /// The version of the reader's targets by which it is numbered, and its layers, to find it in another one.
    version: u32,
    spatial: u8,
    temporal: u8,
}

impl Current {
    fn new(reader: &FrameReader, target: u8) -> Self {
        let (spatial, temporal) = layers(reader, target);
        Self { target, version: reader.version(), spatial, temporal }
    }

    pub(crate) const fn spatial(&self) -> u8 {
        self.spatial
    }

    /// What is left to need of a frame that was sent.
    pub(crate) const fn needs(&self, frame: &FrameInfo) -> Need {
        match (frame.temporal > self.temporal, frame.spatial > self.spatial) {
            _ if !frame.is_known => Need::Itself,
            (true, _) => Need::Nothing,
            (false, true) => Need::Picture,
            (false, false) => Need::Itself,
        }
    }

    /// The same, or what is left of it, as `reader` numbers it now.
    fn renumbered(self, reader: &FrameReader) -> Self {
        if self.version == reader.version() {
            return self;
        }
        Self::new(reader, reader.target_for(self.spatial, self.temporal).unwrap_or(0))
    }
}

/// What is left to need of a frame that was sent, after layers were left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It may be of use.
    Itself,
    /// Nothing that is forwarded needs it, but for that it belongs to a picture: Chromium decodes the spatial layers of
    /// a picture together, or none of them.
    Picture,
    /// Nothing.
    Nothing,
}

/// What is forwarded of the old encoding until the keyframe of another one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bridge {
    /// What was forwarded before: the new one costs more.
    #[default]
    Keep,
    /// This decode target: as much of it as the new one allows.
    More(u8),
    /// This decode target: more of it no longer fits.
    Only(u8),
    /// Nothing: not even its lowest layer fits.
    Nothing,
}

/// Decides about the packets of the owner of one slot.
#[derive(Debug, Default)]
pub(crate) struct Selector {
    goal: Option<Goal>,
    bridge: Bridge,
    /// What is being forwarded of the live encoding.
    current: Option<Current>,
    /// The frame decided about last, and how.
    frame: Option<(u64, Choice)>,
    /// The timestamp of the picture that belongs to.
    picture: Option<u32>,
    /// Whether frames of the past are being forwarded.
    is_behind: bool,
    /// Whether so much waits for the subscriber that frames which nothing needs are left out.
    is_full: bool,
}

/// What becomes of a packet of the live encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Forward,
    /// Its frame is not of the decode target.
    LeaveOut,
    /// Its frame is left out, as too much waits already and nothing needs it.
    Shed,
    /// From here on nothing is forwarded: the slot has to start anew.
    Stop,
}

impl Selector {
    /// What is to be forwarded; `None` if nothing is.
    pub(crate) const fn goal(&self) -> Option<Goal> {
        self.goal
    }

    /// What is being forwarded of the live encoding.
    pub(crate) const fn current(&self) -> Option<Current> {
        self.current
    }

    /// The decode target that is being forwarded, as it was numbered when the last frame was decided about.
    pub(crate) fn target(&self) -> Option<u8> {
        self.current.map(|current| current.target)
    }

    /// The decode target that is being forwarded, as `reader` numbers it, which is that of the live encoding.
    pub(crate) fn target_in(&self, reader: &FrameReader) -> Option<u8> {
        self.current.map(|current| current.renumbered(reader).target)
    }

    /// What is forwarded of the old encoding until the goal can be followed.
    pub(crate) const fn bridge(&self) -> Bridge {
        self.bridge
    }

    /// Stays on `target` until [`Selector::catch_up`]: what is forwarded meanwhile is of the past.
    pub(crate) fn fall_behind(&mut self, reader: &FrameReader, target: u8) {
        (self.current, self.is_behind) = (Some(Current::new(reader, target)), true);
    }

    /// Whether frames of the past are being forwarded.
    pub(crate) const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The goal counts again.
    pub(crate) const fn catch_up(&mut self) {
        self.is_behind = false;
    }

    /// Sets whether so much waits that frames which nothing needs are left out.
    pub(crate) const fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// Sets what is to be forwarded. Returns whether that is something else than before.
    pub(crate) fn set_goal(&mut self, goal: Option<Goal>, bridge: Bridge) -> bool {
        let before = (self.goal, self.bridge);
        (self.goal, self.bridge) = (goal, bridge);
        before.0 != goal
    }

    /// The encoding whose keyframe is waited for; `live` is the one forwarded, as `reader` knows it.
    pub(crate) fn awaits(&self, live: Option<(u8, &FrameReader)>) -> Option<u8> {
        self.awaited_for(self.goal?, live)
    }

    /// The encoding whose keyframe would be waited for if `goal` were the goal.
    pub(crate) fn awaited_for(&self, goal: Goal, live: Option<(u8, &FrameReader)>) -> Option<u8> {
        let Some((layer, reader)) = live.filter(|(layer, _)| *layer == goal.layer) else { return Some(goal.layer) };
        let Some(current) = self.target_in(reader) else { return Some(layer) };
        let target = goal.target(reader)?;
        let is_same = spatial(reader, current) == spatial(reader, target);
        (!is_same && !reader.covers(current, target)).then_some(layer)
    }

    /// Starts with a keyframe of the encoding `layer`, of which all decode targets can be had.
    pub(crate) fn begin(&mut self, layer: u8, reader: &FrameReader) {
        let wanted = self.goal.filter(|goal| goal.layer == layer).and_then(|goal| goal.target(reader));
        let known = wanted.or_else(|| self.target_in(reader)).or_else(|| reader.target_for(u8::MAX, u8::MAX));
        self.current = Some(Current::new(reader, known.unwrap_or(0)));
        self.frame = None;
    }

    /// Forgets the owner: another one begins.
    pub(crate) const fn stop(&mut self) {
        (self.current, self.frame, self.is_behind) = (None, None, false);
    }

    /// Decides about the newest packet of the live encoding `layer`, of the picture at `timestamp`. `is_leaving` says
    /// that another track takes over at its first keyframe, so that the goal is about that one.
    #[inline]
    pub(crate) fn choose(
        &mut self,
        layer: u8,
        is_leaving: bool,
        reader: &FrameReader,
        frame: &FrameInfo,
        timestamp: u32,
    ) -> Choice {
        if let Some((number, choice)) = self.frame
            && number == frame.number
        {
            return choice;
        }
        self.choose_anew(layer, is_leaving, reader, frame, timestamp)
    }

    /// The same for a frame of which this is the first packet.
    fn choose_anew(
        &mut self,
        layer: u8,
        is_leaving: bool,
        reader: &FrameReader,
        frame: &FrameInfo,
        timestamp: u32,
    ) -> Choice {
        let Some(current) = self.renumber(reader) else { return Choice::Stop };
        let goal = self.goal.filter(|goal| goal.layer == layer).and_then(|goal| goal.target(reader));
        let goal = goal.filter(|&goal| follows(reader, frame, current, goal));
        let wanted = match self.goal {
            _ if is_leaving || self.is_behind => Some(current),
            None => None,
            Some(_) if goal.is_some() => goal,
            Some(_) => match self.bridge {
                Bridge::Keep => Some(current),
                Bridge::More(target) | Bridge::Only(target) => Some(target),
                Bridge::Nothing => None,
            },
        };
        let Some(wanted) = wanted else {
            self.stop();
            return Choice::Stop;
        };
        // A picture ends with the highest of the layers it was begun with.
        let is_within = self.picture.replace(timestamp) == Some(timestamp);
        let is_cut = is_within && spatial(reader, wanted) != spatial(reader, current);
        let may = current != wanted && !is_cut && may_move(reader, frame, current, wanted);
        let target = if may { wanted } else { current };
        self.current = Some(Current::new(reader, target));
        let choice = match (frame.is_known, frame.present >> target & 1, frame.discardable >> target & 1) {
            (true, 0, _) => Choice::LeaveOut,
            (true, _, 1) if self.is_full => Choice::Shed,
            _ => Choice::Forward,
        };
        self.frame = Some((frame.number, choice));
        choice
    }

    /// The decode target that is being forwarded. If targets are numbered anew, it is found by its layers, and the
    /// bridge is of use no more.
    fn renumber(&mut self, reader: &FrameReader) -> Option<u8> {
        let current = self.current?.renumbered(reader);
        if self.current.replace(current) != Some(current) {
            self.bridge = Bridge::Keep;
        }
        Some(current.target)
    }
}

/// Whether the goal can be followed within the encoding without waiting for a keyframe.
fn follows(reader: &FrameReader, frame: &FrameInfo, current: u8, goal: u8) -> bool {
    spatial(reader, current) == spatial(reader, goal) || may_move(reader, frame, current, goal)
}

/// Whether one may go from one decode target to another with this frame.
fn may_move(reader: &FrameReader, frame: &FrameInfo, current: u8, wanted: u8) -> bool {
    frame.starts_keyframe || reader.covers(current, wanted) || frame.lets_up(current, wanted)
}

/// The spatial layer of a decode target.
pub(crate) fn spatial(reader: &FrameReader, target: u8) -> u8 {
    layers(reader, target).0
}

/// The spatial and the temporal layer of a decode target.
pub(crate) fn layers(reader: &FrameReader, target: u8) -> (u8, u8) {
    reader.targets().get(usize::from(target)).map_or((0, 0), |target| (target.spatial, target.temporal))
}
