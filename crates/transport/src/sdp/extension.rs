//! The header extensions of one m-line and who may send them (RFC 8285 §5 and §6).

use roundtable_wire::{Extension, ExtensionMap};
use rtc_sdp::description::common::Attribute;

use super::attribute::{number, values};
use super::direction::Direction;
use super::error::{Place, SdpError};

/// The highest id of the one-byte form (RFC 8285 §4.2).
pub(super) const ONE_BYTE_MAX_ID: u8 = 14;
/// The id that ends the elements of the one-byte form and so is never used.
const RESERVED_ID: u16 = 15;
/// The highest id a packet can carry; larger ones in an offer leave the choice of id to us, and we choose to pass.
const MAX_ID: u16 = 255;

/// The extensions we know, by who puts them into packets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mappings {
    /// Those the client may send.
    pub(super) sent: ExtensionMap,
    /// Those the client wants to receive.
    pub(super) received: ExtensionMap,
}

impl Mappings {
    /// What is of use on a line with this direction.
    pub(super) fn on(&self, direction: Direction) -> ExtensionMap {
        let mut map = ExtensionMap::default();
        let received = direction.receives().then_some(self.received);
        let sent = direction.sends().then_some(self.sent);
        // What the client sends comes last and stands, where it uses two ids for one name.
        for (extension, id) in received.iter().chain(&sent).flat_map(|map| map.iter()) {
            map.set(extension, id);
        }
        map
    }
}

/// Reads `a=extmap` of a section, and of the session for what the section does not say itself.
pub(super) fn mappings(session: &[Attribute], section: &[Attribute], place: Place) -> Result<Mappings, SdpError> {
    let mut mappings = Mappings::default();
    let mut taken = [false; MAX_ID as usize + 1];
    for value in values(section, "extmap") {
        let entry = Entry::parse(value, place)?;
        let Some(slot) = taken.get_mut(usize::from(entry.id)) else { continue };
        if std::mem::replace(slot, true) {
            return Err(SdpError::malformed(place, "gives one id to two header extensions"));
        }
        entry.add(&mut mappings);
    }
    for value in values(session, "extmap") {
        let entry = Entry::parse(value, Place::Session)?;
        let Some(slot) = taken.get_mut(usize::from(entry.id)) else { continue };
        if !std::mem::replace(slot, true) {
            entry.add(&mut mappings);
        }
    }
    Ok(mappings)
}

/// One `<id>["/"<direction>] <URI> [<attributes>]`.
struct Entry<'a> {
    id: u16,
    direction: Direction,
    uri: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(value: &'a str, place: Place) -> Result<Self, SdpError> {
        const BROKEN: &str = "has an a=extmap that is not an id, perhaps a direction, and a name";
        let broken = SdpError::malformed(place, BROKEN);
        let mut words = value.split_ascii_whitespace();
        let (Some(id), Some(uri)) = (words.next(), words.next()) else { return Err(broken) };
        let (id, direction) = match id.split_once('/') {
            Some((id, direction)) => (id, Direction::parse(direction).ok_or(broken)?),
            None => (id, Direction::SendRecv),
        };
        match number(id) {
            None | Some(0) => Err(broken),
            Some(id) => Ok(Self { id, direction, uri }),
        }
    }

    fn add(&self, mappings: &mut Mappings) {
        let (Ok(id), Some(extension)) = (u8::try_from(self.id), Extension::from_uri(self.uri)) else { return };
        if self.id == RESERVED_ID {
            return;
        }
        if self.direction.sends() && mappings.sent.id(extension).is_none() {
            mappings.sent.set(extension, id);
        }
        if self.direction.receives() && mappings.received.id(extension).is_none() {
            mappings.received.set(extension, id);
        }
    }
}
