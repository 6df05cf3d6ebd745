//! One direction of a path: a drop-tail queue before a bottleneck, then delay, jitter, loss, reordering, duplicates.
//!
//! The rate follows a schedule that is known from the start, so the arrival of a packet is computed when it is sent and
//! nobody has to poll the link.

use crate::rng::Rng;

/// What IP, UDP and SRTP add to a packet.
pub(crate) const OVERHEAD: usize = 20 + 8 + 10;

#[derive(Debug, Clone)]
pub(crate) struct LinkConfig {
    /// From when on (µs) how many bits per second; the first entry holds from the start.
    pub(crate) rate: Vec<(u64, f64)>,
    pub(crate) delay_us: u64,
    /// What is longer than this in the queue is dropped at its tail.
    pub(crate) queue_us: u64,
    /// Standard deviation; packets keep their order.
    pub(crate) jitter_us: f64,
    pub(crate) loss: f64,
    /// Gilbert: the chances to enter and to leave the state in which everything is lost.
    pub(crate) gilbert: Option<(f64, f64)>,
    /// Everything is lost for so long (second) once in each period (first), at its middle.
    pub(crate) outage_us: Option<(u64, u64)>,
    /// The chance of a packet to come 20 ms late, past others.
    pub(crate) reorder: f64,
    pub(crate) duplicate: f64,
}

impl LinkConfig {
    pub(crate) fn new(bps: f64, delay_ms: u64) -> Self {
        Self {
            rate: vec![(0, bps)],
            delay_us: delay_ms * 1000,
            queue_us: 300_000,
            jitter_us: 0.0,
            loss: 0.0,
            gilbert: None,
            outage_us: None,
            reorder: 0.0,
            duplicate: 0.0,
        }
    }

    /// A link whose rate changes: pairs of seconds and bits per second.
    pub(crate) fn stepped(steps: &[(u64, f64)], delay_ms: u64) -> Self {
        let rate = steps.iter().map(|&(second, bps)| (second * 1_000_000, bps)).collect();
        Self { rate, ..Self::new(1.0, delay_ms) }
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) config: LinkConfig,
    rng: Rng,
    is_bad: bool,
    /// When the last bit of the queue leaves.
    free_at: f64,
    last_arrival: f64,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) lost: u64,
    /// Bytes that arrive, counted by the second of their arrival.
    pub(crate) carried: Vec<u64>,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, seed: u64) -> Self {
        let rng = Rng::new(seed);
        Self {
            config,
            rng,
            is_bad: false,
            free_at: 0.0,
            last_arrival: 0.0,
            sent: 0,
            dropped: 0,
            lost: 0,
            carried: Vec::new(),
        }
    }

    /// When a packet of `bytes` that is sent now arrives: never, once or twice.
    pub(crate) fn send(&mut self, now_us: u64, bytes: usize) -> [Option<u64>; 2] {
        self.sent += 1;
        let start = self.free_at.max(now_us as f64);
        if start - now_us as f64 > self.config.queue_us as f64 {
            self.dropped += 1;
            return [None, None];
        }
        self.free_at = self.served(start, ((bytes + OVERHEAD) * 8) as f64);
        if self.loses() {
            self.lost += 1;
            return [None, None];
        }
        let jitter = if self.config.jitter_us > 0.0 { self.rng.normal() * self.config.jitter_us } else { 0.0 };
        // Jitter is around the delay, but nothing is faster than light.
        let mut at = self.free_at + (self.config.delay_us as f64 + jitter).max(0.0);
        if self.rng.chance(self.config.reorder) {
            at += 20_000.0;
        } else {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        self.note((at / 1e6) as usize, bytes + OVERHEAD);
        let again = self.rng.chance(self.config.duplicate).then_some(at as u64 + 100);
        [Some(at as u64), again]
    }

    /// How long a packet that is sent now waits in the queue.
    pub(crate) fn queue_us(&self, now_us: u64) -> f64 {
        (self.free_at - now_us as f64).max(0.0)
    }

    pub(crate) fn rate_at(&self, at_us: f64) -> f64 {
        let past = self.config.rate.iter().take_while(|&&(from, _)| from as f64 <= at_us).last();
        past.or(self.config.rate.first()).map_or(1.0, |&(_, bps)| bps)
    }

    /// Bits per second that arrived in whole seconds.
    pub(crate) fn mean_bps(&self, from_s: usize, to_s: usize) -> f64 {
        let bytes: u64 = self.carried.iter().take(to_s).skip(from_s).sum();
        bytes as f64 * 8.0 / (to_s - from_s) as f64
    }

    /// When `bits` have left that start to at `start`, through all changes of the rate.
    fn served(&self, start: f64, mut bits: f64) -> f64 {
        let mut at = start;
        loop {
            let bps = self.rate_at(at);
            let end = at + bits / bps * 1e6;
            let next = self.config.rate.iter().map(|&(from, _)| from as f64).find(|&from| from > at);
            match next {
                Some(next) if next < end => {
                    bits -= (next - at) * bps / 1e6;
                    at = next;
                }
                Some(_) | None => return end,
            }
        }
    }

    fn loses(&mut self) -> bool {
        if let Some((enter, leave)) = self.config.gilbert {
            let flip = if self.is_bad { leave } else { enter };
            self.is_bad ^= self.rng.chance(flip);
        }
        let is_out = self.config.outage_us.is_some_and(|(period, len)| {
            let phase = self.free_at as u64 % period;
            (period / 2..period / 2 + len).contains(&phase)
        });
        self.rng.chance(self.config.loss) || self.is_bad || is_out
    }

    fn note(&mut self, second: usize, bytes: usize) {
        if self.carried.len() <= second {
            self.carried.resize(second + 1, 0);
        }
        self.carried[second] += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 1000 bytes each millisecond: 8.3 Mbit/s on the wire.
    fn flood(config: LinkConfig, millis: u64) -> (Link, Vec<(u64, u64)>) {
        let mut link = Link::new(config, 1);
        let mut arrivals = Vec::new();
        for ms in 0..millis {
            arrivals.extend(link.send(ms * 1000, 1000).into_iter().flatten().map(|at| (ms * 1000, at)));
        }
        (link, arrivals)
    }

    #[test]
    fn an_idle_link_takes_the_time_of_a_packet_and_the_delay() {
        let mut link = Link::new(LinkConfig::new(1e6, 20), 1);
        let bits = (962 + OVERHEAD) * 8;
        assert_eq!(link.send(5000, 962), [Some(5000 + bits as u64 + 20_000), None]);
        assert_eq!(link.queue_us(5000), bits as f64, "one microsecond a bit");
    }

    #[test]
    fn a_full_queue_drops_and_the_rest_leaves_at_the_rate_of_its_time() {
        let (link, arrivals) = flood(LinkConfig::stepped(&[(0, 2e6), (5, 1e6), (10, 20e6)], 20), 15_000);
        assert!(link.dropped > 0);
        let kbps = |from, to| (link.mean_bps(from, to) / 1e3).round();
        assert!((kbps(1, 5) - 2000.0).abs() < 20.0, "{}", kbps(1, 5));
        assert!((kbps(6, 10) - 1000.0).abs() < 20.0, "{}", kbps(6, 10));
        assert!((kbps(11, 15) - 8304.0).abs() < 20.0, "{}", kbps(11, 15));
        assert!(arrivals.is_sorted_by_key(|&(_, at)| at));
        let longest = arrivals.iter().map(|&(sent, at)| at - sent).max().unwrap();
        assert!((300_000..=340_000).contains(&longest), "queue, packet, delay: {longest}");
    }

    #[test]
    fn loss_comes_at_its_rate_and_in_bursts_when_asked() {
        let rate = |link: &Link| link.lost as f64 / link.sent as f64;
        let (link, _) = flood(LinkConfig { loss: 0.05, ..LinkConfig::new(1e8, 20) }, 50_000);
        assert!((rate(&link) - 0.05).abs() < 0.005, "{}", rate(&link));

        let (link, arrivals) = flood(LinkConfig { gilbert: Some((0.01, 0.19)), ..LinkConfig::new(1e8, 20) }, 50_000);
        assert!((rate(&link) - 0.05).abs() < 0.01, "{}", rate(&link));
        let holes = arrivals.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1000).count() as f64;
        assert!((4.0..7.0).contains(&(link.lost as f64 / holes)), "bursts of five: {} {holes}", link.lost);

        let (link, arrivals) =
            flood(LinkConfig { outage_us: Some((10_000_000, 200_000)), ..LinkConfig::new(1e8, 20) }, 20_000);
        assert!((399..=401).contains(&link.lost), "{}", link.lost);
        assert_eq!(arrivals.windows(2).filter(|pair| pair[1].1 > pair[0].1 + 190_000).count(), 2);
    }

    #[test]
    fn reordering_duplicates_and_jitter_are_what_they_are_called() {
        let (_, arrivals) = flood(LinkConfig { reorder: 0.1, ..LinkConfig::new(1e8, 20) }, 10_000);
        let late = arrivals.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
        assert!((700..1300).contains(&late), "{late}");
        let (_, arrivals) = flood(LinkConfig { duplicate: 0.1, ..LinkConfig::new(1e8, 20) }, 10_000);
        assert!((10_800..11_200).contains(&arrivals.len()), "{}", arrivals.len());
        let (_, arrivals) = flood(LinkConfig { jitter_us: 10_000.0, ..LinkConfig::new(1e8, 50) }, 10_000);
        assert!(arrivals.is_sorted_by_key(|&(_, at)| at));
        assert!(arrivals.iter().any(|&(sent, at)| at > sent + 60_000));
    }
}
