//! How large the packets of a picture are.

/// How a frame is cut into packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// As Chromium cuts it: as few packets as hold it, as equal as they can be, the smaller ones first.
    Chromium,
    /// Five packets of 1200 bytes each 33 ms, whatever the bit rate: what segmentation likes best.
    Equal,
}

/// A picture as it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VideoShape {
    /// Of the payloads.
    pub(crate) bitrate_bps: u32,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) sizes: Sizes,
}

impl VideoShape {
    /// Frames a second.
    pub(crate) const FPS: u32 = 30;

    /// The lengths of the payloads of a frame, in bytes, stamps and descriptors included.
    pub(crate) fn payloads(&self, frame: usize, is_key: bool) -> impl Iterator<Item = usize> + use<> {
        let (bytes, packets) = match self.sizes {
            Sizes::Equal => (EQUAL_PACKETS * EQUAL_PAYLOAD, EQUAL_PACKETS),
            Sizes::Chromium => {
                let mean = (self.bitrate_bps / 8 / Self::FPS) as usize;
                // The table is not empty, so a remainder of its length lies in it.
                let relative = usize::from(FRAMES[frame % FRAMES.len()]);
                let bytes = (mean * relative / 1_000 * if is_key { KEY_FRAME } else { 1 }).max(SMALLEST);
                (bytes, bytes.div_ceil(LARGEST_PAYLOAD).min(MOST_PACKETS))
            }
        };
        let each = (bytes / packets).min(LARGEST_PAYLOAD.max(EQUAL_PAYLOAD));
        let larger = bytes % packets;
        (0..packets).map(move |packet| each + usize::from(packet >= packets - larger))
    }
}

/// An RTP packet of 1200 bytes less its header.
const EQUAL_PAYLOAD: usize = 1_188;
const EQUAL_PACKETS: usize = 5;
/// The largest payload that was seen.
const LARGEST_PAYLOAD: usize = 1_160;
/// The largest payload of all, for who sets room aside.
pub(super) const MOST_PAYLOAD: usize = EQUAL_PAYLOAD + 1;
/// Packets of a frame at most; a keyframe of 3 Mbit/s has 60.
const MOST_PACKETS: usize = 128;
/// The smallest frame, so that descriptor, header and stamp have room.
const SMALLEST: usize = 60;
/// A keyframe is that many times as large as the frames about it.
const KEY_FRAME: usize = 5;

/// The sizes of 128 frames that followed each other, in thousandths of their mean: Chromium 156, VP8, 720p layer of
/// three, fake camera, keyframes left out (`rtp/vp8_sim3` of the project's captures).
const FRAMES: [u16; 128] = [
    837, 930, 931, 991, 1195, 1045, 908, 1056, 1340, 873, 844, 1065, 864, 905, 948, 1059, 1229, 848, 824, 1050, 1258,
    870, 874, 1089, 885, 1112, 1206, 1007, 1521, 962, 851, 1019, 1149, 912, 865, 1178, 914, 889, 946, 1014, 1181, 927,
    839, 1055, 1193, 1034, 998, 1129, 1074, 892, 888, 951, 1139, 905, 841, 1124, 1216, 874, 848, 1067, 943, 911, 907,
    957, 1164, 1073, 951, 1009, 1319, 870, 809, 1045, 886, 876, 915, 1030, 1205, 851, 824, 1038, 1161, 920, 850, 1112,
    872, 1000, 1037, 1077, 1352, 877, 831, 968, 1156, 922, 838, 1108, 1009, 841, 918, 1011, 1135, 892, 874, 1002, 1189,
    1068, 963, 1106, 1070, 824, 821, 969, 1102, 868, 871, 1052, 1184, 894, 833, 1071, 1001, 878, 914, 1019, 1127, 1203,
    1182, 1007,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(bitrate_bps: u32, sizes: Sizes) -> VideoShape {
        VideoShape { bitrate_bps, width: 1_280, height: 720, sizes }
    }

    #[test]
    fn equal_packets_are_five_of_1200_bytes() {
        let payloads: Vec<usize> = shape(1, Sizes::Equal).payloads(3, true).collect();
        assert_eq!(payloads, [1_188; 5]);
    }

    #[test]
    fn packets_of_a_frame_differ_by_a_byte_and_the_rate_is_kept() {
        for bitrate in [150_000, 500_000, 1_500_000, 3_000_000] {
            let mut total = 0;
            for frame in 0..FRAMES.len() {
                let payloads: Vec<usize> = shape(bitrate, Sizes::Chromium).payloads(frame, false).collect();
                assert!(payloads.is_sorted() && payloads[payloads.len() - 1] - payloads[0] <= 1, "{payloads:?}");
                assert!(payloads.iter().all(|len| *len <= LARGEST_PAYLOAD));
                total += payloads.iter().sum::<usize>();
            }
            let rate = total as f64 * 8.0 * f64::from(VideoShape::FPS) / FRAMES.len() as f64;
            assert!((rate / f64::from(bitrate) - 1.0).abs() < 0.01, "{rate} of {bitrate}");
        }
    }

    #[test]
    fn no_rate_makes_a_packet_too_large_or_too_small() {
        for bitrate in [0, 1, u32::MAX] {
            for is_key in [false, true] {
                let payloads: Vec<usize> = shape(bitrate, Sizes::Chromium).payloads(0, is_key).collect();
                assert!(payloads.iter().all(|len| (40..=MOST_PAYLOAD).contains(len)), "{bitrate}: {payloads:?}");
            }
        }
    }
}
