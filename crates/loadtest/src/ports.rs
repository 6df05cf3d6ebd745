//! The sockets of a worker, and which of its clients is meant by what comes to one.

use std::sync::Arc;

use roundtable_udp::Socket;

use crate::address::Address;

/// A socket and who is at it.
pub(crate) struct Port {
    pub(crate) socket: Arc<Socket>,
    /// Something came that was not read yet.
    pub(crate) is_readable: bool,
    /// The place of each client by its number at the socket.
    places: Vec<Option<usize>>,
    carried: usize,
}

impl Port {
    /// The place of the client of that number.
    pub(crate) fn place(&self, number: usize) -> Option<usize> {
        self.places.get(number).copied().flatten()
    }
}

/// The sockets of a worker.
#[derive(Default)]
pub(crate) struct Ports {
    ports: Vec<Option<Port>>,
    free: Vec<usize>,
}

impl Ports {
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Port> {
        self.ports.get_mut(at).and_then(Option::as_mut)
    }

    /// Where sockets stand to which something came.
    pub(crate) fn readable(&self) -> impl Iterator<Item = usize> {
        let is_readable = |port: &Option<Port>| port.as_ref().is_some_and(|port| port.is_readable);
        self.ports.iter().enumerate().filter(move |(_, port)| is_readable(port)).map(|(at, _)| at)
    }

    /// Notes which place a client has. Returns where its socket stands if that is a new one: it is to be waited for.
    pub(crate) fn enter(&mut self, address: &Address, place: usize) -> Option<usize> {
        let known = self.find(address);
        let at = known.or_else(|| self.free.pop()).unwrap_or(self.ports.len());
        if at == self.ports.len() {
            self.ports.push(None);
        }
        if let Some(port) = self.ports.get_mut(at) {
            let socket = address.socket().clone();
            let port = port.get_or_insert(Port { socket, is_readable: false, places: Vec::new(), carried: 0 });
            port.places.resize(port.places.len().max(address.number() + 1), None);
            if let Some(client) = port.places.get_mut(address.number()) {
                *client = Some(place);
                port.carried += 1;
            }
        }
        known.is_none().then_some(at)
    }

    /// Forgets a client. Returns its socket if nobody else is at it any more.
    pub(crate) fn leave(&mut self, address: &Address) -> Option<Arc<Socket>> {
        let at = self.find(address)?;
        let port = self.get_mut(at)?;
        if port.places.get_mut(address.number()).and_then(Option::take).is_some() {
            port.carried -= 1;
        }
        if port.carried > 0 {
            return None;
        }
        self.free.push(at);
        self.ports.get_mut(at)?.take().map(|port| port.socket)
    }

    fn find(&self, address: &Address) -> Option<usize> {
        let is_its =
            |port: &Option<Port>| port.as_ref().is_some_and(|port| Arc::ptr_eq(&port.socket, address.socket()));
        self.ports.iter().position(is_its)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Addresses;

    #[test]
    fn clients_at_one_socket_are_told_apart_and_the_last_one_takes_it_along() {
        let server = "127.0.0.1:9".parse().unwrap();
        let (addresses, mut ports) = (Addresses::default(), Ports::default());
        let [first, second] = [(); 2].map(|()| addresses.next(server).unwrap());
        let other = Address::alone(server).unwrap();
        assert_eq!(ports.enter(&first, 7), Some(0));
        let is_shared = cfg!(target_os = "linux");
        assert_eq!(ports.enter(&second, 8).is_none(), is_shared);
        assert!(ports.enter(&other, 9).is_some());
        assert_eq!(ports.get_mut(0).unwrap().place(first.number()), Some(7));
        assert_eq!(ports.get_mut(0).unwrap().place(second.number()).is_some(), is_shared);
        assert_eq!(ports.get_mut(0).unwrap().place(99), None);
        assert_eq!(ports.leave(&first).is_none(), is_shared);
        assert!(ports.leave(&second).is_some());
        assert!(ports.leave(&second).is_none(), "it is gone");
        assert!(ports.leave(&other).is_some());
    }
}
