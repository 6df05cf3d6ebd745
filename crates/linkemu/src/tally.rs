//! What a link did in the last tenth of a second, as a line of a table.

use std::time::Duration;

use crate::link::Drop;

/// The names of the columns of [`Tally::line`].
pub const CSV_HEAD: &str =
    "time_ms,link,direction,packets_in,bytes_in,packets_out,bytes_out,dropped,lost,queue_ms,queue_max_ms";

/// Counts of one direction since the last line. Bytes are with headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    dropped: u64,
    lost: u64,
    queue_max: Duration,
}

impl Tally {
    /// Counts a packet that came, what became of it, and how long the queue is then.
    pub fn count_in(&mut self, bytes: usize, fate: Result<(), Drop>, queue: Duration) {
        self.packets_in += 1;
        self.bytes_in += bytes as u64;
        self.queue_max = self.queue_max.max(queue);
        match fate {
            Ok(()) => {}
            Err(Drop::Queue) => self.dropped += 1,
            Err(Drop::Lost | Drop::TooLarge) => self.lost += 1,
        }
    }

    /// Counts a packet that arrived.
    pub fn count_out(&mut self, bytes: usize) {
        self.packets_out += 1;
        self.bytes_out += bytes as u64;
    }

    /// Counts packets that were in the queue when it became shorter.
    pub fn count_dropped(&mut self, packets: usize) {
        self.dropped += packets as u64;
    }

    /// The counts as a line, which begins the next.
    #[must_use]
    pub fn line(&mut self, time: Duration, link: usize, direction: &str, queue: Duration) -> String {
        let Self { packets_in, bytes_in, packets_out, bytes_out, dropped, lost, queue_max } = std::mem::take(self);
        let queue_max = queue_max.max(queue).as_secs_f64() * 1e3;
        let (time, queue) = (time.as_millis(), queue.as_secs_f64() * 1e3);
        format!(
            "{time},{link},{direction},{packets_in},{bytes_in},{packets_out},{bytes_out},{dropped},{lost},{queue:.1},{queue_max:.1}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_value_for_every_column_and_begins_anew() {
        let mut tally = Tally::default();
        tally.count_in(100, Ok(()), Duration::from_millis(5));
        tally.count_in(200, Err(Drop::Queue), Duration::from_millis(7));
        tally.count_in(300, Err(Drop::Lost), Duration::ZERO);
        tally.count_out(100);
        tally.count_dropped(2);
        let line = tally.line(Duration::from_millis(1200), 3, "down", Duration::from_micros(1500));
        assert_eq!(line, "1200,3,down,3,600,1,100,3,1,1.5,7.0");
        assert_eq!(line.split(',').count(), CSV_HEAD.split(',').count());
        assert_eq!(tally, Tally::default());
    }
}
