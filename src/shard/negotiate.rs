//! Reads one member's offers: which m-lines it sends on, which are its receiving slots, and what to answer.
//!
//! Two steps, so that a refused offer changes nothing: [`Negotiation::plan`] looks and decides,
//! [`Negotiation::commit`] remembers. Receiving lines are append-only and keep SSRC and msid from the
//! first answer on (`docs/ARCHITECTURE.md`, rules of slots).

use roundtable_protocol::ErrorCode;
use roundtable_protocol::event::{MediaKind, TrackSource};
use roundtable_protocol::limit::{MAX_MID_BYTES, MAX_SEATS};
use roundtable_protocol::message::PublishRequest;
use roundtable_transport::sdp::{
    self, AnswerMedia, Direction, InactiveLine, MediaKind as LineKind, Offer, OfferMedia, ReceiveLine, SendLine,
};
use roundtable_wire::Codec;

/// Most m-lines one member may send on.
const MAX_UPLINKS: usize = 16;

/// Why an offer was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiateError {
    /// An m-line is not what it was: lines may be added, never moved, retyped or (for slots) removed.
    #[error("m-line {0} is not what it was in the offer before")]
    Changed(usize),
    /// A published track names an m-line that is not there, does not send, or is of the other kind.
    #[error("track on mid {0:?}: no such m-line that sends {1:?}")]
    BadTrack(String, MediaKind),
    /// None of the m-line's codecs is one that we forward.
    #[error("track on mid {0:?}: none of its codecs is supported")]
    NoCodec(String),
    /// More lines than a member may have.
    #[error("at most {MAX_UPLINKS} sending m-lines and {MAX_SEATS} receiving pairs are allowed")]
    TooMany,
}

impl NegotiateError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Changed(_) => ErrorCode::SdpChanged,
            Self::BadTrack(..) | Self::NoCodec(_) => ErrorCode::BadTrack,
            Self::TooMany => ErrorCode::SdpUnsupported,
        }
    }
}

/// What one m-line is, for the life of the connection.
#[derive(Debug, Clone)]
enum Line {
    /// Refused or stopped: port 0. May be used again by another.
    Closed,
    /// The data channels.
    Data,
    /// Neither sends nor receives yet.
    Idle { mid: String, kind: MediaKind },
    /// The client sends on it; `published` while a track is on it.
    Uplink { mid: String, kind: MediaKind, published: bool },
    /// The client receives on it.
    Slot { mid: String, kind: MediaKind, line: Box<SendLine> },
}

/// A track to be published.
#[derive(Debug)]
pub struct NewTrack {
    /// Its m-line.
    pub mid: String,
    /// What it is.
    pub source: TrackSource,
    /// Whether it begins muted.
    pub muted: bool,
    /// What may come on the line.
    pub line: ReceiveLine,
    /// SSRCs the offer declares.
    pub ssrcs: Vec<u32>,
    /// RTX pairs the offer declares.
    pub fid: Vec<(u32, u32)>,
}

/// A slot to be made.
#[derive(Debug)]
pub struct NewSlot {
    /// Its m-line.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it will carry.
    pub line: SendLine,
}

/// A seat or voice slot: the mids of audio and video.
pub type Seat = (Option<String>, Option<String>);

/// What an offer comes to.
#[derive(Debug)]
pub struct Plan {
    lines: Vec<Line>,
    /// One entry a line, in order.
    pub answer: Vec<AnswerMedia>,
    /// Tracks that begin.
    pub publish: Vec<NewTrack>,
    /// Lines whose track ends, because the client stopped sending on them.
    pub unpublish: Vec<String>,
    /// Slots that are new.
    pub slots: Vec<NewSlot>,
    /// The new slots as seats: mids of audio and video.
    pub seats: Vec<Seat>,
}

/// The m-lines of one peer connection.
#[derive(Debug)]
pub struct Negotiation {
    lines: Vec<Line>,
    session_id: u64,
    version: u64,
    next_ssrc: u32,
    seats: usize,
    voices: usize,
    cname: String,
}

impl Negotiation {
    /// Before the first offer. SSRCs count up from a random start: unique within the connection, as BUNDLE needs.
    #[must_use]
    pub fn new(session_id: u64, first_ssrc: u32, cname: String) -> Self {
        // RFC 8829 §5.2.1 wants the id below 2⁶³.
        let session_id = session_id >> 2;
        Self { lines: Vec::new(), session_id, version: 0, next_ssrc: first_ssrc, seats: 0, voices: 0, cname }
    }

    /// Decides what an offer comes to.
    ///
    /// # Errors
    /// [`NegotiateError`]; the negotiation stands as before.
    pub fn plan(&self, offer: &Offer, requests: &[PublishRequest]) -> Result<Plan, NegotiateError> {
        if offer.media.len() < self.lines.len() {
            return Err(NegotiateError::Changed(offer.media.len()));
        }
        check_requests(offer, requests)?;
        let mut draft = Draft {
            negotiation: self,
            next_ssrc: self.next_ssrc,
            plan: Plan {
                lines: Vec::with_capacity(offer.media.len()),
                answer: Vec::with_capacity(offer.media.len()),
                publish: Vec::new(),
                unpublish: Vec::new(),
                slots: Vec::new(),
                seats: Vec::new(),
            },
        };
        let seating = draft.seat_new_lines(offer)?;
        for (index, media) in offer.media.iter().enumerate() {
            let request = requests.iter().find(|r| r.mid == media.mid);
            draft.line(index, media, request, &seating)?;
        }
        draft.plan.seats = seating.pairs;
        let uplinks = draft.plan.lines.iter().filter(|l| matches!(l, Line::Uplink { .. })).count();
        if uplinks > MAX_UPLINKS { Err(NegotiateError::TooMany) } else { Ok(draft.plan) }
    }

    /// Makes a plan the state. Returns the SDP session id and version of the answer.
    pub fn commit(&mut self, plan: &Plan) -> (u64, u64) {
        self.lines.clone_from(&plan.lines);
        self.next_ssrc = self.next_ssrc.wrapping_add(2 * u32::try_from(plan.slots.len()).unwrap_or(0));
        self.voices += plan.seats.iter().filter(|(_, video)| video.is_none()).count();
        self.seats += plan.seats.iter().filter(|(_, video)| video.is_some()).count();
        self.version += 1;
        (self.session_id, self.version)
    }

    /// Notes that the track on a line was unpublished by message; the line can carry another later.
    pub fn unpublished(&mut self, gone: &str) {
        for line in &mut self.lines {
            if let Line::Uplink { mid, published, .. } = line
                && mid == gone
            {
                *published = false;
            }
        }
    }

    /// Notes that nothing is published any more: every line can carry another track.
    pub fn unpublish_all(&mut self) {
        for line in &mut self.lines {
            if let Line::Uplink { published, .. } = line {
                *published = false;
            }
        }
    }

    /// All receiving lines as seats, as [`Plan::seats`] told them one by one: what belongs together has one stream.
    #[must_use]
    pub fn seats(&self) -> Vec<Seat> {
        let mut seats: Vec<(&str, Seat)> = Vec::new();
        for line in &self.lines {
            let Line::Slot { mid, kind, line } = line else { continue };
            let at = seats.iter().position(|(stream, _)| *stream == line.msid_stream).unwrap_or_else(|| {
                seats.push((&line.msid_stream, (None, None)));
                seats.len() - 1
            });
            let half = match kind {
                MediaKind::Audio => &mut seats[at].1.0,
                MediaKind::Video => &mut seats[at].1.1,
            };
            *half = Some(mid.clone());
        }
        seats.into_iter().map(|(_, seat)| seat).collect()
    }
}

/// New receiving lines, paired in the order they stand: the k-th new audio with the k-th new video.
struct Seating {
    pairs: Vec<Seat>,
    first_seat: usize,
    first_voice: usize,
}

impl Seating {
    /// The msid of a new line: one stream for both halves of a seat, because browsers synchronise within a stream.
    fn msid(&self, mid: &str) -> (String, String) {
        let (mut seat, mut voice) = (self.first_seat, self.first_voice);
        for (audio, video) in &self.pairs {
            let here = |half: &Option<String>| half.as_deref() == Some(mid);
            if video.is_none() {
                if here(audio) {
                    return (format!("voice{voice}"), format!("voice{voice}-audio"));
                }
                voice += 1;
                continue;
            }
            if here(audio) {
                return (format!("seat{seat}"), format!("seat{seat}-audio"));
            }
            if here(video) {
                return (format!("seat{seat}"), format!("seat{seat}-video"));
            }
            seat += 1;
        }
        (format!("line{mid}"), format!("line{mid}"))
    }
}

struct Draft<'a> {
    negotiation: &'a Negotiation,
    next_ssrc: u32,
    plan: Plan,
}

impl Draft<'_> {
    fn seat_new_lines(&self, offer: &Offer) -> Result<Seating, NegotiateError> {
        let fresh = |kind: LineKind| {
            offer
                .media
                .iter()
                .enumerate()
                .filter(move |(i, m)| m.kind == kind && becomes_slot(self.negotiation.lines.get(*i), m))
                .map(|(_, m)| m.mid.clone())
                .collect::<Vec<_>>()
        };
        let (audio, video) = (fresh(LineKind::Audio), fresh(LineKind::Video));
        let most = audio.len().max(video.len());
        let pairs = (0..most).map(|k| (audio.get(k).cloned(), video.get(k).cloned())).collect();
        let all = self.negotiation.seats + self.negotiation.voices + most;
        if all > 2 * usize::from(MAX_SEATS) || self.negotiation.seats + video.len() > usize::from(MAX_SEATS) {
            return Err(NegotiateError::TooMany);
        }
        Ok(Seating { pairs, first_seat: self.negotiation.seats, first_voice: self.negotiation.voices })
    }

    fn line(
        &mut self,
        index: usize,
        media: &OfferMedia,
        request: Option<&PublishRequest>,
        seating: &Seating,
    ) -> Result<(), NegotiateError> {
        let before = self.negotiation.lines.get(index).unwrap_or(&Line::Closed);
        match before {
            Line::Closed => self.fresh(media, request, seating),
            Line::Data if media.kind == LineKind::Application && !media.rejected => {
                self.push(Line::Data, AnswerMedia::DataChannel)
            }
            Line::Data => return Err(NegotiateError::Changed(index)),
            Line::Idle { mid, kind } => {
                check_same(index, media, mid, *kind)?;
                self.fresh(media, request, seating);
            }
            Line::Uplink { mid, kind, published } => {
                check_same(index, media, mid, *kind)?;
                self.uplink(media, request, *published);
            }
            Line::Slot { mid, kind, line } => {
                check_same(index, media, mid, *kind)?;
                if media.rejected || sends(media) {
                    return Err(NegotiateError::Changed(index));
                }
                let answer = match receives(media) {
                    true => AnswerMedia::Send(SendLine::clone(line)),
                    false => inactive(media),
                };
                self.push(before.clone(), answer);
            }
        }
        Ok(())
    }

    /// A line that was nothing so far.
    fn fresh(&mut self, media: &OfferMedia, request: Option<&PublishRequest>, seating: &Seating) {
        let Some(kind) = kind_of(media) else {
            let first = !self.plan.lines.iter().any(|l| matches!(l, Line::Data));
            return match media.kind == LineKind::Application && media.sctp.is_some() && !media.rejected && first {
                true => self.push(Line::Data, AnswerMedia::DataChannel),
                false => self.push(Line::Closed, AnswerMedia::Rejected),
            };
        };
        if media.rejected {
            self.push(Line::Closed, AnswerMedia::Rejected);
        } else if sends(media) {
            self.uplink(media, request, false);
        } else if becomes_slot(None, media) {
            self.slot(media, kind, seating);
        } else if receives(media) {
            // Nothing of ours could be decoded there.
            self.push(Line::Closed, AnswerMedia::Rejected);
        } else {
            self.push(Line::Idle { mid: media.mid.clone(), kind }, inactive(media));
        }
    }

    fn uplink(&mut self, media: &OfferMedia, request: Option<&PublishRequest>, published: bool) {
        let Some(kind) = kind_of(media) else { return self.push(Line::Closed, AnswerMedia::Rejected) };
        let mid = media.mid.clone();
        if media.rejected || !sends(media) {
            if published {
                self.plan.unpublish.push(mid.clone());
            }
            return match media.rejected {
                true => self.push(Line::Closed, AnswerMedia::Rejected),
                false => self.push(Line::Uplink { mid, kind, published: false }, inactive(media)),
            };
        }
        let (mut codecs, extensions) = sdp::receivable(media);
        if codecs.is_empty() {
            return self.push(Line::Closed, AnswerMedia::Rejected);
        }
        if request.is_some_and(|request| request.source == TrackSource::Microphone) {
            codecs.iter_mut().for_each(ask_for_dtx);
        }
        let line = ReceiveLine { codecs, extensions, rids: media.rids.clone() };
        if let Some(request) = request.filter(|_| !published) {
            self.plan.publish.push(NewTrack {
                mid: mid.clone(),
                source: request.source,
                muted: request.muted,
                line: line.clone(),
                ssrcs: media.ssrcs.clone(),
                fid: media.fid.clone(),
            });
        }
        let published = published || request.is_some();
        self.push(Line::Uplink { mid, kind, published }, AnswerMedia::Receive(line));
    }

    fn slot(&mut self, media: &OfferMedia, kind: MediaKind, seating: &Seating) {
        let (codecs, extensions) = sdp::sendable(media);
        let has_rtx = codecs.iter().any(|c| c.rtx_payload_type.is_some());
        let ssrc = self.next_ssrc;
        self.next_ssrc = self.next_ssrc.wrapping_add(2);
        let (msid_stream, msid_track) = seating.msid(&media.mid);
        let line = SendLine {
            codecs,
            extensions,
            ssrc,
            rtx_ssrc: has_rtx.then(|| ssrc.wrapping_add(1)),
            cname: self.negotiation.cname.clone(),
            msid_stream,
            msid_track,
        };
        self.plan.slots.push(NewSlot { mid: media.mid.clone(), kind, line: line.clone() });
        let answer = AnswerMedia::Send(line.clone());
        self.push(Line::Slot { mid: media.mid.clone(), kind, line: Box::new(line) }, answer);
    }

    fn push(&mut self, line: Line, answer: AnswerMedia) {
        self.plan.lines.push(line);
        self.plan.answer.push(answer);
    }
}

/// Asks a microphone to send nothing while nobody speaks (RFC 7587 §7). The sound of a screen may be music, which that
/// would harm.
fn ask_for_dtx(codec: &mut sdp::OfferCodec) {
    if codec.codec == Codec::Opus && !codec.fmtp.split(';').any(|part| part.trim().starts_with("usedtx=")) {
        codec.fmtp += if codec.fmtp.is_empty() { "usedtx=1" } else { ";usedtx=1" };
    }
}

/// Every requested track must name a line that can carry it.
fn check_requests(offer: &Offer, requests: &[PublishRequest]) -> Result<(), NegotiateError> {
    for (index, request) in requests.iter().enumerate() {
        let kind = request.source.kind();
        let bad = || {
            let mid: String = request.mid.chars().take(MAX_MID_BYTES).collect();
            NegotiateError::BadTrack(mid, kind)
        };
        // INVARIANT: `index` comes from enumerating the same slice.
        let twice = requests[..index].iter().any(|r| r.mid == request.mid);
        let media = offer.media.iter().find(|m| m.mid == request.mid).filter(|_| !twice).ok_or_else(bad)?;
        if media.rejected || kind_of(media) != Some(kind) || !sends(media) {
            return Err(bad());
        }
        if sdp::receivable(media).0.is_empty() {
            return Err(NegotiateError::NoCodec(media.mid.clone()));
        }
    }
    Ok(())
}

fn check_same(index: usize, media: &OfferMedia, mid: &str, kind: MediaKind) -> Result<(), NegotiateError> {
    // A stopped line may come without its mid (port 0), the rest must be itself.
    let same = media.rejected || (media.mid == mid && kind_of(media) == Some(kind));
    if same { Ok(()) } else { Err(NegotiateError::Changed(index)) }
}

fn becomes_slot(before: Option<&Line>, media: &OfferMedia) -> bool {
    let open = matches!(before, None | Some(Line::Closed | Line::Idle { .. }));
    open && !media.rejected && receives(media) && !sends(media) && !sdp::sendable(media).0.is_empty()
}

fn kind_of(media: &OfferMedia) -> Option<MediaKind> {
    match media.kind {
        LineKind::Audio => Some(MediaKind::Audio),
        LineKind::Video => Some(MediaKind::Video),
        LineKind::Application | LineKind::Other => None,
    }
}

/// The answer to a line on which nothing flows.
fn inactive(media: &OfferMedia) -> AnswerMedia {
    let (codecs, extensions) = sdp::receivable(media);
    match codecs.is_empty() {
        true => AnswerMedia::Rejected,
        false => AnswerMedia::Inactive(InactiveLine { codecs, extensions }),
    }
}

fn sends(media: &OfferMedia) -> bool {
    matches!(media.direction, Direction::SendOnly | Direction::SendRecv)
}

fn receives(media: &OfferMedia) -> bool {
    matches!(media.direction, Direction::RecvOnly | Direction::SendRecv)
}

#[cfg(test)]
mod tests;
