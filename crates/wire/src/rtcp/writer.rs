//! Writes RTCP packets one behind the other.

use crate::rtcp::extended::{DELAY_SINCE_LAST, Dlrr, RECEIVER_REFERENCE_TIME};
use crate::rtcp::feedback::{FirEntry, REMB, REMB_MANTISSA_BITS};
use crate::rtcp::report::{CNAME, ReportBlock};
use crate::rtcp::{
    EXTENDED_REPORT, FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, FORMAT_TWCC, GOODBYE, PAYLOAD_FEEDBACK,
    RECEIVER_REPORT, SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
};
use crate::time::NtpTime;
use crate::twcc;

/// The most report blocks, or sources of a goodbye, in one packet: the count has five bits.
pub const MAX_REPORT_BLOCKS: usize = 31;
/// The most entries of one NACK, FIR or DLRR, so that a packet stays near 1 KiB (2 KiB, 3 KiB).
pub const MAX_NACK_ENTRIES: usize = 250;
/// The most sources of a REMB and the longest canonical name: both counts have eight bits.
const MAX_EIGHT_BITS: usize = 255;

/// What a sender report says of the sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// The stream.
    pub ssrc: u32,
    /// When the report is sent.
    pub ntp: NtpTime,
    /// The same instant in the clock of the stream.
    pub rtp_timestamp: u32,
    /// Packets sent since the start.
    pub packet_count: u32,
    /// Payload bytes sent since the start.
    pub octet_count: u32,
}

/// Appends packets to a compound.
///
/// A compound that is not of reduced size starts with a report and names its sender (RFC 3550 6.1): call
/// [`Writer::sender_report`] or [`Writer::receiver_report`] first, then [`Writer::sdes_cname`].
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Bytes in the buffer, whoever wrote them.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// SR (RFC 3550 6.4.1). Blocks above 31 go into receiver reports behind it.
    pub fn sender_report(&mut self, info: &SenderInfo, reports: &[ReportBlock]) -> &mut Self {
        let (first, more) = reports.split_at(reports.len().min(MAX_REPORT_BLOCKS));
        self.packet(SENDER_REPORT, first.len() as u8, |out| {
            put(out, info.ssrc);
            out.extend_from_slice(&info.ntp.0.to_be_bytes());
            put(out, info.rtp_timestamp);
            put(out, info.packet_count);
            put(out, info.octet_count);
            put_blocks(out, first);
        });
        if more.is_empty() { self } else { self.receiver_report(info.ssrc, more) }
    }

    /// RR (RFC 3550 6.4.2), one for each 31 blocks; without blocks an empty one.
    pub fn receiver_report(&mut self, ssrc: u32, reports: &[ReportBlock]) -> &mut Self {
        let mut rest = reports;
        loop {
            let (some, more) = rest.split_at(rest.len().min(MAX_REPORT_BLOCKS));
            self.packet(RECEIVER_REPORT, some.len() as u8, |out| {
                put(out, ssrc);
                put_blocks(out, some);
            });
            rest = more;
            if rest.is_empty() {
                return self;
            }
        }
    }

    /// SDES with the canonical name of one source; a name is cut at 255 bytes.
    pub fn sdes_cname(&mut self, ssrc: u32, cname: &str) -> &mut Self {
        let text = cname.get(..cname.floor_char_boundary(MAX_EIGHT_BITS)).unwrap_or_default();
        self.packet(SOURCE_DESCRIPTION, 1, |out| {
            put(out, ssrc);
            out.extend_from_slice(&[CNAME, text.len() as u8]);
            out.extend_from_slice(text.as_bytes());
            // The item list ends with at least one zero; `packet` fills the word.
            out.push(0);
        })
    }

    /// BYE (RFC 3550 6.6), one for each 31 sources; none without sources.
    pub fn goodbye(&mut self, ssrcs: &[u32]) -> &mut Self {
        for some in ssrcs.chunks(MAX_REPORT_BLOCKS) {
            self.packet(GOODBYE, some.len() as u8, |out| some.iter().for_each(|&ssrc| put(out, ssrc)));
        }
        self
    }

    /// Generic NACK (RFC 4585 6.2.1) for sequence numbers in ascending order (across the wrap); none without numbers.
    ///
    /// Each entry takes up to 17 of them; every 250 entries start a new packet.
    pub fn nack(&mut self, sender_ssrc: u32, media_ssrc: u32, lost: &[u16]) -> &mut Self {
        let mut rest = lost;
        while !rest.is_empty() {
            self.packet(TRANSPORT_FEEDBACK, FORMAT_NACK, |out| {
                put(out, sender_ssrc);
                put(out, media_ssrc);
                for _ in 0..MAX_NACK_ENTRIES {
                    let Some((&first, more)) = rest.split_first() else { break };
                    let mut mask = 0u16;
                    let in_reach = |sequence: u16| (1..=16).contains(&sequence.wrapping_sub(first));
                    let taken = more.iter().take_while(|&&sequence| sequence == first || in_reach(sequence));
                    let mut taken_len = 0;
                    for &sequence in taken {
                        taken_len += 1;
                        if sequence != first {
                            mask |= 1 << (sequence.wrapping_sub(first) - 1);
                        }
                    }
                    rest = more.get(taken_len..).unwrap_or_default();
                    out.extend_from_slice(&first.to_be_bytes());
                    out.extend_from_slice(&mask.to_be_bytes());
                }
            });
        }
        self
    }

    /// PLI (RFC 4585 6.3.1).
    pub fn pli(&mut self, sender_ssrc: u32, media_ssrc: u32) -> &mut Self {
        self.packet(PAYLOAD_FEEDBACK, FORMAT_PLI, |out| {
            put(out, sender_ssrc);
            put(out, media_ssrc);
        })
    }

    /// FIR (RFC 5104 4.3.1), one for each 250 entries; none without entries.
    pub fn fir(&mut self, sender_ssrc: u32, entries: &[FirEntry]) -> &mut Self {
        for some in entries.chunks(MAX_NACK_ENTRIES) {
            self.packet(PAYLOAD_FEEDBACK, FORMAT_FIR, |out| {
                put(out, sender_ssrc);
                put(out, 0); // Unused: the entries name the streams.
                for entry in some {
                    put(out, entry.ssrc);
                    put(out, u32::from(entry.sequence) << 24);
                }
            });
        }
        self
    }

    /// REMB for the sum of `ssrcs`, of which 255 are written; the rate is rounded down to 18 significant bits.
    pub fn remb(&mut self, sender_ssrc: u32, bitrate_bps: u64, ssrcs: &[u32]) -> &mut Self {
        let ssrcs = ssrcs.get(..MAX_EIGHT_BITS).unwrap_or(ssrcs);
        let bits = u64::BITS - bitrate_bps.leading_zeros();
        let exponent = bits.saturating_sub(REMB_MANTISSA_BITS);
        // 18 bits at most after the shift; the exponent is 46 at most and has six bits.
        let mantissa = (bitrate_bps >> exponent) as u32;
        self.packet(PAYLOAD_FEEDBACK, FORMAT_APPLICATION, |out| {
            put(out, sender_ssrc);
            put(out, 0); // The draft wants 0 as media source.
            out.extend_from_slice(&REMB);
            put(out, (ssrcs.len() as u32) << 24 | exponent << REMB_MANTISSA_BITS | mantissa);
            ssrcs.iter().for_each(|&ssrc| put(out, ssrc));
        })
    }

    /// XR with the answers to receivers' reference times (RFC 3611 4.5), one for each 250; none without answers.
    pub fn dlrr(&mut self, ssrc: u32, answers: &[Dlrr]) -> &mut Self {
        for some in answers.chunks(MAX_NACK_ENTRIES) {
            self.packet(EXTENDED_REPORT, 0, |out| {
                put(out, ssrc);
                let words = some.len() as u32 * 3;
                put(out, u32::from(DELAY_SINCE_LAST) << 24 | words);
                for answer in some {
                    put(out, answer.ssrc);
                    put(out, answer.last_receiver_report);
                    put(out, answer.delay_since_last);
                }
            });
        }
        self
    }

    /// XR with our reference time as a receiver (RFC 3611 4.4).
    pub fn receiver_reference_time(&mut self, ssrc: u32, ntp: NtpTime) -> &mut Self {
        self.packet(EXTENDED_REPORT, 0, |out| {
            put(out, ssrc);
            put(out, u32::from(RECEIVER_REFERENCE_TIME) << 24 | 2);
            out.extend_from_slice(&ntp.0.to_be_bytes());
        })
    }

    /// Transport-wide feedback on `arrivals`: that of `base_sequence`, of the next number, and so on. `None` is lost;
    /// the times are in microseconds since any instant that stays the same for the whole session.
    ///
    /// Writes as many messages as it takes (see [`twcc::next_message`]), numbered from `feedback_count`, and returns
    /// how many. One in which nothing arrived would lack a reference time and is left out. `None`s behind the last
    /// arrival are reported lost: a caller that still expects them ends with an arrival.
    pub fn twcc(
        &mut self,
        sender_ssrc: u32,
        media_ssrc: u32,
        feedback_count: u8,
        base_sequence: u16,
        arrivals: &[Option<u64>],
    ) -> u8 {
        let mut rest = arrivals;
        let mut sequence = base_sequence;
        let mut written = 0u8;
        while let Some(message) = twcc::next_message(rest) {
            if message.has_arrival() {
                self.packet(TRANSPORT_FEEDBACK, FORMAT_TWCC, |out| {
                    put(out, sender_ssrc);
                    put(out, media_ssrc);
                    message.write(out, sequence, feedback_count.wrapping_add(written));
                });
                written = written.wrapping_add(1);
            }
            sequence = sequence.wrapping_add(message.status_count());
            rest = rest.get(usize::from(message.status_count())..).unwrap_or_default();
        }
        written
    }

    /// Appends a packet: header, body, zeros up to a whole word.
    fn packet(&mut self, packet_type: u8, count: u8, body: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.out.len();
        self.out.extend_from_slice(&[2 << 6 | count, packet_type, 0, 0]);
        body(self.out);
        let len = (self.out.len() - start).next_multiple_of(4);
        self.out.resize(start + len, 0);
        // Every body is bounded far below 65,536 words.
        let words = (len / 4 - 1) as u16;
        if let Some(field) = self.out.get_mut(start + 2..start + 4) {
            field.copy_from_slice(&words.to_be_bytes());
        }
        self
    }
}

fn put(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_be_bytes());
}

fn put_blocks(out: &mut Vec<u8>, blocks: &[ReportBlock]) {
    blocks.iter().for_each(|block| out.extend_from_slice(&block.to_bytes()));
}
