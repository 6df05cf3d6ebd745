//! What a client receives: every packet opened, counted and answered as a browser would.

mod feedback;
mod inbound;
mod loss;
mod receiver;
mod sources;

pub(crate) use loss::Loss;
pub(crate) use receiver::{Arrival, Receiver};
