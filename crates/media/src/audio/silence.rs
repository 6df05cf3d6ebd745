//! Tells when a microphone sends nothing worth forwarding.

/// Packets of digital silence that are still forwarded, so that the receiver's noise fades out.
const SILENT_PACKETS: u8 = 3;
const SILENT_LEVEL: u8 = 127;
/// Packets of Opus last 120 ms at most. Consecutive packets further apart than that, in ticks of 48 kHz, have a pause
/// between them in which the encoder sent nothing (DTX); the packets that refresh its noise come every 400 ms.
const LONGEST_PACKET: u32 = 5760;

/// Follows one audio track.
#[derive(Debug, Default)]
pub(crate) struct SilenceGate {
    silent: u8,
    is_paused: bool,
    last: Option<(u64, u32)>,
}

impl SilenceGate {
    /// Takes the newest packet of the track, and its level in −dBov if it tells. Returns whether it is to be held back.
    ///
    /// The first packet of speech after a pause looks like one that refreshes the noise and is held back, too. The next
    /// one tells; who takes it up starts with the packet before.
    pub(crate) fn handle_packet(&mut self, index: u64, timestamp: u32, level: Option<u8>) -> bool {
        let last = self.last.replace((index, timestamp));
        let follows = last.filter(|&(before, _)| index == before + 1);
        // After a loss nobody knows; what is heard counts for more than what is saved.
        self.is_paused = follows.is_some_and(|(_, before)| {
            let step = timestamp.wrapping_sub(before);
            step > LONGEST_PACKET && step < 1 << 31
        });
        match level {
            Some(level) if level >= SILENT_LEVEL => self.silent = self.silent.saturating_add(1),
            Some(_) => self.silent = 0,
            None => {}
        }
        self.is_paused || self.silent > SILENT_PACKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets as (index, milliseconds, level); returns which are held back.
    fn check(packets: &[(u64, u32, u8)], held: &[bool]) {
        let mut gate = SilenceGate::default();
        let all: Vec<_> = packets
            .iter()
            .map(|&(index, ms, level)| gate.handle_packet(index, (u32::MAX - 4000).wrapping_add(48 * ms), Some(level)))
            .collect();
        assert_eq!(all, held, "of {packets:?}");
    }

    #[test]
    fn the_fourth_packet_of_silence_is_held_back_until_there_is_sound() {
        check(
            &[(0, 0, 30), (1, 20, 127), (2, 40, 127), (3, 60, 127), (4, 80, 127), (5, 100, 127), (6, 120, 90)],
            &[false, false, false, false, true, true, false],
        );
    }

    #[test]
    fn packets_that_only_refresh_the_noise_are_held_back_and_speech_is_known_by_its_second() {
        check(
            &[(0, 0, 30), (1, 20, 80), (2, 420, 80), (3, 820, 80), (4, 1100, 30), (5, 1120, 30), (6, 1140, 30)],
            &[false, false, true, true, true, false, false],
        );
    }

    #[test]
    fn loss_and_long_packets_are_no_pause() {
        check(&[(0, 0, 30), (20, 400, 30), (21, 420, 30)], &[false; 3]);
        check(&[(0, 0, 30), (1, 120, 30), (2, 240, 30)], &[false; 3]);
    }
}
