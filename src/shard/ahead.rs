//! Looks ahead in what has come: what is known of those who have sent it is brought into the processor's cache meanwhile.
//!
//! Feedback of fifty subscribers is fifty times a hundred bytes, for each of which some five kilobytes are needed that are
//! known of its sender: its keys, its estimator, and what these point to. So before a batch is read, all of it is asked for:
//! in steps, each of which looks at what the one before has asked for, and for all senders before the next step.

use roundtable_media::{PeerKey, Plane};
use roundtable_prefetch::prefetch;
use roundtable_transport::path::Path;
use roundtable_wire::packet_kind::{PacketKind, classify};

use super::core::{Core, Sender};
use crate::net::demux::Owner;

impl Core {
    /// Looks ahead in a batch of `messages`, of each of which the path and the bytes are told.
    pub fn look_ahead<'a>(&mut self, messages: impl ExactSizeIterator<Item = (Path, &'a [u8])>) {
        // Of one alone nothing can be done meanwhile.
        if messages.len() < 2 {
            return;
        }
        self.senders.clear();
        for (path, bytes) in messages {
            let kind = classify(bytes);
            if let PacketKind::Rtp | PacketKind::Rtcp = kind
                && let Owner::Peer(key) = self.demux.owner(path, bytes)
                && let Some(endpoint) = self.endpoints.get(key)
            {
                prefetch(&**endpoint);
                self.senders.push(Sender { key, is_report: kind == PacketKind::Rtcp });
            }
        }
        for sender in &self.senders {
            let Some(endpoint) = self.endpoints.get(sender.key) else { continue };
            if sender.is_report {
                endpoint.transport.prefetch_report();
            } else {
                endpoint.transport.prefetch_media();
            }
            if let Some(room) = self.rooms.get(endpoint.room) {
                room.stage.plane.expect(endpoint.plane);
            }
        }
        for expect in [Plane::expect_feedback as fn(&Plane, PeerKey), Plane::expect_arrivals] {
            for sender in self.senders.iter().filter(|sender| sender.is_report) {
                let Some(endpoint) = self.endpoints.get(sender.key) else { continue };
                let Some(room) = self.rooms.get(endpoint.room) else { continue };
                expect(&room.stage.plane, endpoint.plane);
            }
        }
    }
}
