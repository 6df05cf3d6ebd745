//! Judges each SCTP packet before the engine sees it, so that no peer can make the engine work or remember without
//! bound.
//!
//! Everything here came through the peer's own DTLS session: whoever breaks a rule harms nobody else, and losing the
//! association is its own loss. So a packet that a sane stack may send is dropped at worst (SCTP repeats it), and only
//! what no sane stack sends ends the association.

use std::time::Instant;

use super::budget::Budget;
use super::packet::{Chunk, Header, Malformed, be16, be32, chunks, kind, parameters};

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes to the engine.
    Pass(Contents),
    /// It is forgotten.
    Drop,
    /// The association is to be ended.
    End(Offence),
}

/// What is worth knowing about a packet that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Contents {
    /// Its INIT chunk.
    pub(super) init: Option<Init>,
    /// The streams that it asks to reset, one bit each.
    pub(super) resets: u64,
    /// Whether the peer ends the association with it.
    pub(super) ends: bool,
}

/// What an association starts with (RFC 9260 §3.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Init {
    pub(super) header: Header,
    /// The verification tag that the peer wants to see.
    pub(super) tag: u32,
    pub(super) first_tsn: u32,
}

/// What no sane stack sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    /// More chunks in a packet than any stack packs.
    Chunks,
    /// A stream beyond those that were negotiated.
    Stream,
    /// Packets beyond the budget, for long.
    Flood,
}

/// The rules, and what they remember of one association.
#[derive(Debug)]
pub(super) struct Guard {
    phase: Phase,
    packets: Budget,
    work: Budget,
    resets: Budget,
    heartbeats: Budget,
    /// Packets dropped for want of budget since it was last full.
    excess: u32,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// No INIT yet.
    Waiting,
    /// The engine made an association of this INIT.
    Associated { init: Init, is_up: bool, inbound: Inbound },
}

/// What the engine holds of the peer's data, as far as it can be told from outside.
#[derive(Debug, Clone, Copy)]
struct Inbound {
    /// The last TSN that we acknowledged with all before it. Never above the truth.
    acknowledged: u32,
    /// The highest TSN that passed.
    highest: u32,
    /// DATA chunks that passed and were not read. Never below the truth for long; see `Guard::sent`.
    unread: usize,
}

/// Streams of an association in each direction (S1, S3). Ids beyond are an offence.
pub(super) const MAX_STREAMS: u16 = 64;

/// Bytes of received data that wait for being read, the window that we advertise (S3). A message that is too long to be
/// taken is to fit, so that it can be refused without an end to the association.
pub(super) const RECEIVE_WINDOW_BYTES: u32 = 512 * 1024;

/// Bytes of a packet. WebRTC's stacks stay below 1,500; a chunk that is kept keeps its whole packet.
const MAX_PACKET_BYTES: usize = 2_048;

/// Chunks of a packet that are not DATA (S1). DATA is not counted, since a browser packs up to 58 messages of one byte
/// into its 1,191 bytes; a packet has room for 101.
const MAX_CONTROL_CHUNKS: u32 = 32;

/// DATA further above the last acknowledged TSN is dropped (S2): the engine's queue is sorted at each arrival.
const MAX_TSN_AHEAD: u32 = 4_096;

/// FORWARD-TSN may skip more, since data that was dropped by S2 may be given up by its sender.
const MAX_TSN_FORWARD: u32 = 65_536;

/// DATA chunks that wait for being read, whole messages or parts of unfinished ones. Beyond, only gaps are filled.
///
/// The engine's effort per chunk grows with their number. Where the window alone would let in 262,144 chunks of one
/// byte, this lets in enough for the window's worth of 128-byte messages.
const MAX_UNREAD_CHUNKS: usize = 2_048;

/// TSNs that the gap reports of one SACK name together; each is looked up.
const MAX_GAP_TSNS: u32 = 16_384;

/// S4: packets per second.
const PACKETS_PER_SECOND: u32 = 2_000;

/// S4: chunks per second, where a chunk that makes more work counts as several.
const WORK_PER_SECOND: u32 = 4_000;

/// Packets beyond the budget, with never a second's rest between, that end the association.
const MAX_EXCESS: u32 = 20_000;

/// S8: stream resets per second.
const RESETS_PER_SECOND: u32 = 10;

/// S8: heartbeats per second.
const HEARTBEATS_PER_SECOND: u32 = 2;

impl Guard {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Waiting,
            packets: Budget::new(now, PACKETS_PER_SECOND),
            work: Budget::new(now, WORK_PER_SECOND),
            resets: Budget::new(now, RESETS_PER_SECOND),
            heartbeats: Budget::new(now, HEARTBEATS_PER_SECOND),
            excess: 0,
        }
    }

    /// Judges a packet from the peer.
    pub(super) fn judge(&mut self, now: Instant, packet: &[u8]) -> Verdict {
        if self.packets.is_full(now) {
            self.excess = 0;
        }
        if !self.packets.spend(now, 1) {
            return self.refuse();
        }
        let survey = match self.survey(packet) {
            Ok(survey) => survey,
            Err(Refusal::Drop) => return Verdict::Drop,
            Err(Refusal::End(offence)) => return Verdict::End(offence),
        };
        let is_affordable = self.work.spend(now, survey.work)
            && (survey.resets == 0 || self.resets.spend(now, survey.resets))
            && (survey.heartbeats == 0 || self.heartbeats.spend(now, survey.heartbeats));
        if !is_affordable {
            return self.refuse();
        }
        if let Phase::Associated { inbound, .. } = &mut self.phase {
            *inbound = survey.inbound;
        }
        Verdict::Pass(survey.contents)
    }

    /// Notes that the engine made an association of `init`, which was part of a packet that passed.
    pub(super) fn associated(&mut self, init: Init) {
        let acknowledged = init.first_tsn.wrapping_sub(1);
        let inbound = Inbound { acknowledged, highest: acknowledged, unread: 0 };
        self.phase = Phase::Associated { init, is_up: false, inbound };
    }

    /// Notes that the association is up.
    pub(super) fn established(&mut self) {
        if let Phase::Associated { is_up, .. } = &mut self.phase {
            *is_up = true;
        }
    }

    /// Notes that a message of so many DATA chunks was read.
    pub(super) fn delivered(&mut self, chunks: usize) {
        if let Phase::Associated { inbound, .. } = &mut self.phase {
            inbound.unread = inbound.unread.saturating_sub(chunks);
        }
    }

    /// Learns from a packet of ours what the engine acknowledged, and whether it holds anything at all.
    ///
    /// A chunk that came twice is counted twice, which the engine alone can tell; so the count starts anew whenever it
    /// advertises its whole window, which means that it holds nothing.
    pub(super) fn sent(&mut self, packet: &[u8]) {
        let Phase::Associated { inbound, .. } = &mut self.phase else { return };
        for chunk in chunks(packet).flatten().filter(|chunk| chunk.kind == kind::SACK) {
            let (Ok(acknowledged), Ok(window)) = (be32(chunk.value, 0), be32(chunk.value, 4)) else { continue };
            inbound.acknowledged = acknowledged;
            if ahead(inbound.highest, acknowledged) == 0 {
                inbound.highest = acknowledged;
            }
            if window == RECEIVE_WINDOW_BYTES {
                inbound.unread = 0;
            }
        }
    }

    /// The header of a packet to the peer, once it told its tag.
    pub(super) fn header_to_peer(&self) -> Option<Header> {
        let Phase::Associated { init, .. } = &self.phase else { return None };
        Some(Header {
            source_port: init.header.destination_port,
            destination_port: init.header.source_port,
            verification_tag: init.tag,
        })
    }

    /// Drops a packet for want of budget. SCTP takes that as congestion and slows down; who does not is ended.
    fn refuse(&mut self) -> Verdict {
        self.excess += 1;
        if self.excess > MAX_EXCESS { Verdict::End(Offence::Flood) } else { Verdict::Drop }
    }

    /// Looks at every chunk; changes nothing.
    fn survey(&self, packet: &[u8]) -> Result<Survey, Refusal> {
        if packet.len() > MAX_PACKET_BYTES {
            return Err(Refusal::Drop);
        }
        let header = Header::parse(packet)?;
        let mut survey = Survey::new(self.phase);
        let (mut all, mut control) = (0, 0);
        for chunk in chunks(packet) {
            let chunk = chunk?;
            all += 1;
            control += u32::from(chunk.kind != kind::DATA);
            if control > MAX_CONTROL_CHUNKS {
                return Err(Refusal::End(Offence::Chunks));
            }
            survey.work += 1;
            match &self.phase {
                Phase::Waiting => survey.first_chunk(header, chunk)?,
                Phase::Associated { init, is_up, .. } => survey.chunk(header, chunk, *init, *is_up)?,
            }
        }
        // Neither is ever bundled (RFC 9260 §6.10), and a packet without chunks is none.
        let alone = survey.contents.init.is_none() || all == 1;
        if alone && all > 0 { Ok(survey) } else { Err(Refusal::Drop) }
    }
}

/// What a packet holds, before it is known whether it passes.
#[derive(Debug, Clone, Copy)]
struct Survey {
    contents: Contents,
    inbound: Inbound,
    work: u32,
    resets: u32,
    heartbeats: u32,
}

/// Why a packet does not pass.
enum Refusal {
    Drop,
    End(Offence),
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Drop
    }
}

impl Survey {
    fn new(phase: Phase) -> Self {
        let inbound = match phase {
            Phase::Waiting => Inbound { acknowledged: 0, highest: 0, unread: 0 },
            Phase::Associated { inbound, .. } => inbound,
        };
        Self { contents: Contents::default(), inbound, work: 0, resets: 0, heartbeats: 0 }
    }

    /// Before there is an association only an INIT can make one.
    fn first_chunk(&mut self, header: Header, chunk: Chunk<'_>) -> Result<(), Refusal> {
        let is_init = chunk.kind == kind::INIT && header.verification_tag == 0;
        if !is_init {
            return Err(Refusal::Drop);
        }
        self.contents.init = Some(init(header, chunk)?);
        Ok(())
    }

    fn chunk(&mut self, header: Header, chunk: Chunk<'_>, first: Init, is_up: bool) -> Result<(), Refusal> {
        match chunk.kind {
            kind::DATA => self.data(chunk),
            // Late copies of the first one are harmless before the association is up, and would end it afterwards.
            kind::INIT => {
                let again = init(header, chunk)?;
                self.contents.init = Some(again);
                if is_up || again != first { Err(Refusal::Drop) } else { Ok(()) }
            }
            // We never start an association. An ERROR is a remark (RFC 9260 §3.3.10) that the engine takes for an ABORT.
            kind::INIT_ACK | kind::ERROR => Err(Refusal::Drop),
            kind::SACK => self.sack(chunk),
            kind::HEARTBEAT => {
                self.heartbeats += 1;
                Ok(())
            }
            kind::RE_CONFIG => self.re_config(chunk),
            kind::FORWARD_TSN => self.forward_tsn(chunk, 4),
            kind::I_FORWARD_TSN => self.forward_tsn(chunk, 8),
            kind::ABORT | kind::SHUTDOWN_COMPLETE => {
                self.contents.ends = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// DATA (RFC 9260 §3.3.1): TSN, stream, sequence number, protocol, and at least one byte.
    fn data(&mut self, chunk: Chunk<'_>) -> Result<(), Refusal> {
        let (tsn, stream) = (be32(chunk.value, 0)?, be16(chunk.value, 4)?);
        if chunk.value.len() <= DATA_HEAD_BYTES {
            return Err(Refusal::Drop);
        }
        if stream >= MAX_STREAMS {
            return Err(Refusal::End(Offence::Stream));
        }
        let ahead_of_acknowledged = ahead(tsn, self.inbound.acknowledged);
        if ahead_of_acknowledged > MAX_TSN_AHEAD {
            return Err(Refusal::Drop);
        }
        let is_new = ahead(tsn, self.inbound.highest) > 0;
        if is_new && self.inbound.unread >= MAX_UNREAD_CHUNKS {
            return Err(Refusal::Drop);
        }
        if is_new {
            self.inbound.highest = tsn;
        }
        // What was acknowledged is a copy, which the engine does not keep.
        self.inbound.unread += usize::from(ahead_of_acknowledged > 0);
        Ok(())
    }

    /// SACK (RFC 9260 §3.3.4): acknowledged TSN, window, counts of gap reports and duplicates, then these.
    fn sack(&mut self, chunk: Chunk<'_>) -> Result<(), Refusal> {
        let gaps = usize::from(be16(chunk.value, 8)?) * 4;
        let gaps = chunk.value.get(SACK_HEAD_BYTES..SACK_HEAD_BYTES + gaps).ok_or(Refusal::Drop)?;
        let mut named = 0u32;
        for gap in gaps.chunks_exact(4) {
            let (start, end) = (be16(gap, 0)?, be16(gap, 2)?);
            named += u32::from(end.saturating_sub(start)) + 1;
        }
        if named > MAX_GAP_TSNS {
            return Err(Refusal::Drop);
        }
        self.work += named / 256;
        Ok(())
    }

    /// RE-CONFIG (RFC 6525 §3.1): requests to reset streams and answers to ours; no browser sends any other.
    ///
    /// A request whose last TSN has not arrived would be parked by the engine, which then checks all parked data anew
    /// at each chunk that follows; dropped, it comes again when the data has been acknowledged.
    fn re_config(&mut self, chunk: Chunk<'_>) -> Result<(), Refusal> {
        self.resets += 1;
        for parameter in parameters(chunk.value) {
            let (kind, value) = parameter?;
            match kind {
                OUTGOING_RESET_REQUEST => {
                    let last_tsn = be32(value, 8)?;
                    if ahead(last_tsn, self.inbound.acknowledged) > 0 {
                        return Err(Refusal::Drop);
                    }
                    self.contents.resets |= streams(value.get(12..).unwrap_or_default());
                }
                RE_CONFIG_RESPONSE => {}
                _ => return Err(Refusal::Drop),
            }
        }
        Ok(())
    }

    /// FORWARD-TSN (RFC 3758 §3.2) and I-FORWARD-TSN (RFC 8260 §2.3.1): new TSN, then entries for streams, each of
    /// which makes the engine go through that stream's queue.
    fn forward_tsn(&mut self, chunk: Chunk<'_>, entry_bytes: usize) -> Result<(), Refusal> {
        let entries = (chunk.value.len() / entry_bytes) as u32;
        if ahead(be32(chunk.value, 0)?, self.inbound.acknowledged) > MAX_TSN_FORWARD {
            return Err(Refusal::Drop);
        }
        self.work += entries;
        Ok(())
    }
}

/// INIT (RFC 9260 §3.3.2): tag, window, streams out and in, first TSN.
fn init(header: Header, chunk: Chunk<'_>) -> Result<Init, Malformed> {
    Ok(Init { header, tag: be32(chunk.value, 0)?, first_tsn: be32(chunk.value, 12)? })
}

/// The streams in the list of a request, one bit each; an empty list means all (RFC 6525 §4.1).
fn streams(list: &[u8]) -> u64 {
    let named = list.chunks_exact(2).filter_map(|id| be16(id, 0).ok());
    let bits = named.filter_map(|id| 1u64.checked_shl(id.into())).fold(0, |bits, bit| bits | bit);
    if list.is_empty() { u64::MAX } else { bits }
}

/// How far `tsn` is above `base` in serial number arithmetic (RFC 1982); zero if it is not.
///
/// Only a quarter of all numbers counts as behind instead of half: `base` may lag the engine's own, and what is about
/// opposite would be behind for us and ahead for it.
fn ahead(tsn: u32, base: u32) -> u32 {
    let distance = tsn.wrapping_sub(base);
    if distance > 3 << 30 { 0 } else { distance }
}

/// Bytes of a DATA chunk before the user's.
const DATA_HEAD_BYTES: usize = 12;
/// Bytes of a SACK chunk before the gap reports.
const SACK_HEAD_BYTES: usize = 12;
// One bit per stream.
const _: () = assert!(MAX_STREAMS as u32 <= u64::BITS);
/// Parameter types of RFC 6525 §4.
const OUTGOING_RESET_REQUEST: u16 = 13;
const RE_CONFIG_RESPONSE: u16 = 16;

#[cfg(test)]
mod tests;
